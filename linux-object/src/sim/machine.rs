//! The simulated machine: CPUs, their threads, interrupts and time.
//!
//! Model: a simulated thread is a thread of the host, but only one of all runs: the one that holds
//! the *baton*, on behalf of the CPU that `running` names. At every lock, spin, switch and halt the
//! holder may pass the baton to the thread of another CPU; who gets it, and how much time that
//! took, comes from the seed. So one seed is one interleaving.
//!
//! When the run ends, all threads unwind at the point where they wait, freely.

use alloc::string::String;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;

use super::fault::FailNth;
use super::gate::Gate;
use super::lockdep;
use super::memory::FrameTable;
use super::random::Random;
use super::thread::SimThread;
use crate::hal::AddressSpace;
use crate::kernel::Kernel;

/// How a run ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// `reboot(2)` or the end of the first thread.
    PowerOff,
    /// A panic, or nobody can ever run again.
    Failed(String),
}

/// Thrown through threads that end because the run does.
pub(super) struct EndOfRun;

pub(super) struct SimCpu {
    /// Whose stack it is on.
    pub thread: Option<Arc<SimThread>>,
    pub halted: bool,
    pub kicked: bool,
    pub timer: Option<u64>,
    pub space: Option<Arc<dyn AddressSpace>>,
}

pub(super) struct State {
    pub random: Random,
    pub now: u64,
    pub cpus: Vec<SimCpu>,
    pub outcome: Option<Outcome>,
    joins: Vec<JoinHandle<()>>,
    gates: Vec<Weak<Gate>>,
    /// Turns of spinning without anybody getting further.
    spins: u32,
    pub console: Vec<u8>,
}

/// The machine.
pub struct Machine {
    pub(super) state: Mutex<State>,
    pub(super) running: AtomicUsize,
    pub(super) ending: AtomicBool,
    pub(super) kernel: Mutex<Weak<Kernel>>,
    pub(super) frames: FrameTable,
    pub(super) fail: FailNth,
    pub(super) nr_cpus: usize,
    ended: Condvar,
}

std::thread_local! {
    static HERE: RefCell<Option<(Arc<Machine>, Arc<SimThread>)>> = const { RefCell::new(None) };
}

/// Whether this host thread is a simulated one.
pub fn is_simulated() -> bool {
    HERE.with_borrow(Option::is_some)
}

/// Maybe passes the baton; certainly, if the caller spins. False on other threads of the host.
pub(super) fn yield_here(spinning: bool) -> bool {
    let here = HERE.with_borrow(Clone::clone);
    let Some((machine, thread)) = here else {
        return false;
    };
    machine.turn(&thread, spinning)
}

/// The simulated thread that runs.
pub(super) fn here() -> (Arc<Machine>, Arc<SimThread>) {
    HERE.with_borrow(Clone::clone)
        .expect("a port is used by a simulated thread")
}

impl Machine {
    /// A machine that is switched off.
    pub fn new(seed: u64, nr_cpus: usize) -> Arc<Machine> {
        lockdep::install();
        let cpu = |_| SimCpu {
            thread: None,
            halted: false,
            kicked: false,
            timer: None,
            space: None,
        };
        Arc::new(Machine {
            state: Mutex::new(State {
                random: Random::new(seed),
                now: 1_000_000,
                cpus: (0..nr_cpus).map(cpu).collect(),
                outcome: None,
                joins: Vec::new(),
                gates: Vec::new(),
                spins: 0,
                console: Vec::new(),
            }),
            running: AtomicUsize::new(0),
            ending: AtomicBool::new(false),
            kernel: Mutex::new(Weak::new()),
            frames: FrameTable::new(8192),
            fail: FailNth::default(),
            nr_cpus,
            ended: Condvar::new(),
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
    /// The kernel that runs on it.
    pub fn kernel(&self) -> Option<Arc<Kernel>> {
        self.kernel.lock().unwrap().upgrade()
    }
    /// What was written to the console.
    pub fn console(&self) -> Vec<u8> {
        self.lock().console.clone()
    }

    /// Starts a thread of the host that waits at `gate` before it runs `body`.
    pub(super) fn spawn(
        self: &Arc<Machine>,
        gate: &Arc<Gate>,
        thread: Option<Arc<SimThread>>,
        body: impl FnOnce() + Send + 'static,
    ) {
        let machine = self.clone();
        let own_gate = gate.clone();
        let builder = std::thread::Builder::new().stack_size(256 << 10);
        let join = builder.spawn(move || {
            own_gate.pass();
            if let Some(thread) = thread {
                HERE.set(Some((machine.clone(), thread)));
            }
            let ran = catch_unwind(AssertUnwindSafe(|| {
                machine.check_end();
                body();
            }));
            HERE.set(None);
            if let Err(payload) = ran
                && !payload.is::<EndOfRun>()
            {
                let text = match payload.downcast_ref::<&str>() {
                    Some(text) => String::from(*text),
                    None => payload
                        .downcast_ref::<String>()
                        .cloned()
                        .unwrap_or_else(|| String::from("a panic")),
                };
                machine.end(Outcome::Failed(text));
            }
        });
        self.open_at_end(gate);
        self.lock().joins.push(join.expect("the host has threads"));
    }

    /// Whoever waits at this gate goes on when the run ends.
    pub(super) fn open_at_end(&self, gate: &Arc<Gate>) {
        self.lock().gates.push(Arc::downgrade(gate));
    }

    /// Ends the run; the first outcome counts.
    pub(super) fn end(&self, outcome: Outcome) {
        let mut state = self.lock();
        state.outcome.get_or_insert(outcome);
        self.ending.store(true, Ordering::SeqCst);
        for gate in state.gates.iter().filter_map(Weak::upgrade) {
            gate.open();
        }
        self.ended.notify_all();
    }

    /// Unwinds if the run has ended.
    pub(super) fn check_end(&self) {
        if self.ending.load(Ordering::SeqCst) && !std::thread::panicking() {
            resume_unwind(alloc::boxed::Box::new(EndOfRun));
        }
    }

    /// Waits for the end of the run and of all its threads.
    pub fn join(&self) -> Outcome {
        let mut state = self.lock();
        while state.outcome.is_none() {
            state = self
                .ended
                .wait(state)
                .unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        let outcome = state.outcome.clone();
        while let Some(join) = state.joins.pop() {
            for gate in state.gates.iter().filter_map(Weak::upgrade) {
                gate.open();
            }
            drop(state);
            let _ = join.join();
            state = self.lock();
        }
        state.cpus.clear();
        drop(state);
        self.frames.clear();
        outcome.unwrap_or(Outcome::PowerOff)
    }

    /// Has a CPU run `thread` from the start of the run on.
    pub(super) fn set_boot_thread(&self, cpu: usize, thread: Arc<SimThread>) {
        self.lock().cpus[cpu].thread = Some(thread);
    }

    /// A chance to pass the baton.
    pub(super) fn turn(&self, thread: &Arc<SimThread>, spinning: bool) -> bool {
        if self.ending.load(Ordering::SeqCst) {
            if !spinning {
                self.check_end();
            }
            return false;
        }
        let mut state = self.lock();
        let step = 20 + state.random.below(200);
        state.now += step;
        if self.nr_cpus == 1 || !spinning && !state.random.one_in(4) {
            if spinning {
                drop(state);
                panic!("the only CPU spins for ever");
            }
            return true;
        }
        if spinning {
            state.spins += 1;
            if state.spins > 100_000 {
                drop(state);
                panic!("deadlock: everybody spins");
            }
        } else {
            state.spins = 0;
        }
        let next = Self::choose(&mut state);
        self.pass_to(state, next, thread);
        true
    }

    /// A CPU that can go on; time advances to the next timer if none can.
    fn choose(state: &mut State) -> Option<usize> {
        loop {
            let now = state.now;
            let ready = |cpu: &SimCpu| {
                cpu.thread.is_some() && (!cpu.halted || cpu.kicked || cpu.timer.is_some_and(|at| at <= now))
            };
            let count = state.cpus.iter().filter(|cpu| ready(cpu)).count();
            if count > 0 {
                let nth = state.random.below(count as u64) as usize;
                let mut cpus = state.cpus.iter().enumerate().filter(|(_, cpu)| ready(cpu));
                return cpus.nth(nth).map(|(at, _)| at);
            }
            let first = state.cpus.iter().filter_map(|cpu| cpu.timer).min()?;
            state.now = first.max(now);
        }
    }

    fn pass_to(&self, mut state: MutexGuard<'_, State>, next: Option<usize>, me: &Arc<SimThread>) {
        let Some(next) = next else {
            drop(state);
            panic!("everybody sleeps, and no timer is set: a lost wake-up");
        };
        state.cpus[next].halted = false;
        self.running.store(next, Ordering::SeqCst);
        let target = state.cpus[next].thread.clone();
        drop(state);
        if let Some(target) = target
            && !Arc::ptr_eq(&target, me)
        {
            target.gate.open();
            drop(target);
            me.gate.pass();
            self.check_end();
        }
    }

    /// Halts the CPU until an interrupt comes.
    pub(super) fn halt(&self, me: &Arc<SimThread>) {
        lockdep::assert_none("a CPU halts");
        self.check_end();
        let cpu = self.running.load(Ordering::SeqCst);
        let mut state = self.lock();
        state.cpus[cpu].halted = true;
        state.spins = 0;
        let next = Self::choose(&mut state);
        self.pass_to(state, next, me);
    }

    /// Takes the interrupts that are pending for this CPU. Returns whether there was one.
    pub(super) fn take_interrupts(&self) -> bool {
        let cpu = self.running.load(Ordering::SeqCst);
        let (kicked, timer) = {
            let mut state = self.lock();
            let now = state.now;
            let Some(cpu) = state.cpus.get_mut(cpu) else {
                return false;
            };
            let kicked = core::mem::take(&mut cpu.kicked);
            let timer = cpu.timer.is_some_and(|at| at <= now);
            if timer {
                cpu.timer = None;
            }
            (kicked, timer)
        };
        if let Some(kernel) = self.kernel() {
            if kicked {
                kernel.kick_interrupt();
            }
            if timer {
                kernel.timer_interrupt();
            }
        }
        kicked || timer
    }
}
