//! The scheduler.
//!
//! Model: each CPU has a [`RunQueue`] and at most one running task; without one it is in its idle
//! loop, on the stack it booted on. Kernel code is not preempted: a CPU switches in
//! [`Scheduler::schedule`] only, which is called where a thread blocks and on the way back to
//! user mode when [`ThreadFlags::NEED_RESCHED`] is set.
//!
//! Real-time tasks go first; others share the CPU by weight in a tree of groups ([`fair`]), each with
//! at most the CPU time that its limit gives ([`bandwidth`], [`throttle`]). There is no fixed tick:
//! the one-shot timer is set to the end of the running task's slice when another one waits, to
//! the end of its bandwidth, and to the next timer.
//!
//! Locks: `SchedTask` (a task's parameters) before `RunQueue`; two run queues in the order of their
//! CPUs. Switching holds none. How wake-ups are never lost: [`SchedTask`].
//!
//! `sched(7)`, `Documentation/scheduler/sched-design-CFS.rst`.

mod account;
mod balance;
mod bandwidth;
mod control;
mod cpu_mask;
mod domains;
mod fair;
mod idle;
mod loadavg;
mod migration;
mod policy;
mod real_time;
mod rt_bandwidth;
mod run_queue;
mod sched_group;
mod sched_task;
mod task_group;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_machine;
mod throttle;
mod weight;

pub use account::{Accounts, CpuAccount};
pub use bandwidth::{Bandwidth, BandwidthStat, DEFAULT_PERIOD, Limit};
pub use cpu_mask::{CpuMask, MAX_CPUS};
pub use domains::Domains;
pub use fair::{Enqueue, Tunables};
pub use loadavg::{LOAD_PERIOD, LoadAverage};
pub use policy::Policy;
pub use real_time::MAX_RT_PRIO;
pub use rt_bandwidth::RtBandwidth;
pub use run_queue::{RunQueue, RunTask};
pub use sched_group::SchedGroup;
pub use sched_task::{CpuTimes, SchedParams, SchedTask, StateMask};
pub use task_group::TaskGroup;
pub use weight::{DEFAULT_WEIGHT, NICE_0_WEIGHT, NICE_RANGE, WEIGHT_SHIFT, nice_to_weight};

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};

use smallvec::SmallVec;
use spin::Once;

use crate::error::Result;
use crate::hal::{Hal, MachineThread};
use crate::ids::CpuId;
use crate::kernel::Kernel;
use crate::sync::{SpinLock, class};
use crate::task::{Task, TaskState, ThreadFlags};
use crate::time::{ClockEvents, Ktime};
use sched_task::Wake;

/// One CPU.
struct CpuState {
    rq: SpinLock<RunQueue<Task>, class::RunQueue>,
    /// Whose stack the CPU is on; `None`: the idle thread's.
    current: SpinLock<Option<Arc<Task>>, class::Leaf>,
    /// The task that the running switch leaves, until `finish_switch`.
    leaving: SpinLock<Option<Arc<Task>>, class::Leaf>,
    idle_thread: Once<Arc<dyn MachineThread>>,
    /// `nr_running` of the run queue, readable without its lock.
    nr_running: AtomicU32,
    /// `steady_load` of the run queue, readable without its lock.
    load: AtomicU64,
    /// When this CPU compares its load with the others' next.
    next_balance: AtomicU64,
    /// Time spent idle, and since when it is (0: it is not).
    idle_time: AtomicU64,
    idle_since: AtomicU64,
    /// Context switches.
    switches: AtomicU64,
    /// Counts kicks and switches served, each a full memory barrier.
    barriers: AtomicU64,
    /// Kicks that it has taken.
    kicks: AtomicU64,
    /// With the next kick, what runs is to leave a restartable sequence.
    restart: AtomicBool,
}

impl CpuState {
    /// Publishes figures of the run queue.
    fn publish(&self, rq: &RunQueue<Task>) {
        self.nr_running.store(rq.nr_running() as u32, Ordering::Relaxed);
        self.load.store(rq.steady_load(), Ordering::Relaxed);
    }
}

/// The scheduler of a kernel.
pub struct Scheduler {
    hal: Arc<dyn Hal>,
    events: Arc<ClockEvents>,
    cpus: Arc<[CpuState]>,
    root: Arc<TaskGroup>,
    /// CPUs in their idle loop.
    idle: AtomicU64,
    domains: Arc<Domains>,
    load: LoadAverage,
}

impl RunTask for Task {
    fn sched(&self) -> &SchedTask {
        &self.sched
    }
    fn user_time(&self) -> u64 {
        let hal = &self.kernel().hal;
        hal.cycles_to_ns(self.sched.user_clock().read(|| hal.cycles()))
    }
    fn charged(&self, delta: u64, user: u64) {
        self.group().sched.charge(delta, user);
        let times = self.sched.charged();
        self.acct.utime.store(times.user, Ordering::Relaxed);
        self.acct.stime.store(times.system, Ordering::Relaxed);
    }
    fn must_throttle(&self) {
        self.set_thread_flags(ThreadFlags::THROTTLED);
    }
    fn must_run(&self) -> bool {
        self.fatal_signal_pending()
            || self
                .thread_flags()
                .intersects(ThreadFlags::JOBCTL | ThreadFlags::FREEZE)
    }
}

impl Scheduler {
    /// A scheduler for the CPUs of this machine.
    pub fn new(hal: Arc<dyn Hal>, events: Arc<ClockEvents>, rt_bandwidth: &Arc<RtBandwidth>) -> Scheduler {
        let nr_cpus = hal.nr_cpus().clamp(1, MAX_CPUS);
        let root = TaskGroup::root(nr_cpus);
        let tunables = Tunables::default();
        let cpus: Arc<[CpuState]> = (0..nr_cpus)
            .map(|cpu| {
                let mut rq = RunQueue::new(CpuId(cpu as u32), &root, tunables);
                rq.set_rt_bandwidth(rt_bandwidth.clone());
                rq
            })
            .map(|rq| CpuState {
                rq: SpinLock::new(rq),
                current: SpinLock::new(None),
                leaving: SpinLock::new(None),
                idle_thread: Once::new(),
                nr_running: AtomicU32::new(0),
                load: AtomicU64::new(0),
                next_balance: AtomicU64::new(0),
                idle_time: AtomicU64::new(0),
                idle_since: AtomicU64::new(0),
                switches: AtomicU64::new(0),
                barriers: AtomicU64::new(0),
                kicks: AtomicU64::new(0),
                restart: AtomicBool::new(false),
            })
            .collect();
        Scheduler {
            load: LoadAverage::new(hal.now()),
            domains: Arc::new(Domains::new(cpus.len())),
            hal,
            events,
            cpus,
            root,
            idle: AtomicU64::new(0),
        }
    }

    fn here(&self) -> (CpuId, &CpuState) {
        let cpu = self.hal.current_cpu();
        (cpu, self.cpu(cpu))
    }
    fn cpu(&self, cpu: CpuId) -> &CpuState {
        &self.cpus[cpu.0 as usize]
    }

    /// All CPUs.
    pub fn cpu_mask(&self) -> CpuMask {
        CpuMask::first_n(self.cpus.len())
    }
    /// Which CPUs share their load.
    pub fn domains(&self) -> &Arc<Domains> {
        &self.domains
    }
    /// The group of tasks that are in no other.
    pub fn root_group(&self) -> &Arc<TaskGroup> {
        &self.root
    }

    /// The task that this CPU runs; `None` in the idle thread.
    pub fn try_current(&self) -> Option<Arc<Task>> {
        self.here().1.current.lock().clone()
    }
    /// Finds the running task without the scheduler.
    pub fn current_finder(&self) -> Box<dyn Fn() -> Option<Arc<Task>> + Send + Sync> {
        let (hal, cpus) = (self.hal.clone(), self.cpus.clone());
        Box::new(move || cpus[hal.current_cpu().0 as usize].current.lock().clone())
    }
    /// The task that this CPU runs. Panics in the idle thread, which has no task.
    pub fn current(&self) -> Arc<Task> {
        self.try_current().expect("a task runs")
    }
    /// The CPU this runs on.
    pub fn current_cpu(&self) -> CpuId {
        self.hal.current_cpu()
    }

    // ---- threads ----

    /// A machine thread that runs `body` as the task it is given to, and ends when `body` returns.
    pub fn new_thread(
        kernel: &Arc<Kernel>,
        body: Box<dyn FnOnce(&Arc<Task>) + Send>,
    ) -> Result<Arc<dyn MachineThread>> {
        let entry_kernel = kernel.clone();
        kernel.hal.new_thread(Box::new(move || {
            let sched = &entry_kernel.sched;
            sched.finish_switch();
            let task = sched.current();
            body(&task);
            drop(task);
            sched.exit_current()
        }))
    }

    /// Lets a new task run for the first time.
    pub fn start(&self, task: &Arc<Task>) {
        crate::time::update_tick(task.group());
        let woken = self.wake_up(task, StateMask::NEW);
        debug_assert!(woken);
    }

    /// The last act of a thread: returns the thread that the machine continues with. The caller
    /// keeps no reference to its task on its stack.
    pub fn exit_current(&self) -> Arc<dyn MachineThread> {
        {
            let current = self.here().1.current.lock();
            if let Some(task) = &*current {
                task.sched.set_state(TaskState::Dead);
            }
        }
        match self.choose() {
            Some(switch) => switch.next_thread,
            None => unreachable!("a dead task is never chosen"),
        }
    }

    // ---- switching ----

    /// Blocks if the task's state is not Running; else lets others run if they should.
    pub fn schedule(&self) {
        if let Some(switch) = self.choose() {
            let prev = switch.prev_thread;
            self.hal.switch(&prev, &switch.next_thread);
            drop((prev, switch.next_thread));
            self.finish_switch();
        }
    }

    /// On the way to user mode, holding nothing: lets others run if they should, or waits until
    /// the groups of the task may use the CPU again.
    pub fn schedule_to_user(&self, task: &Task) {
        task.sched.set_boundary(true);
        self.schedule();
        task.sched.set_boundary(false);
    }

    /// Chooses who runs next on this CPU; `None`: who runs now.
    fn choose(&self) -> Option<Chosen> {
        let (id, cpu) = self.here();
        let now = self.hal.now();
        self.load.catch_up(now, || self.nr_active());
        let mut pulled = false;
        let mut blocked = None;
        let next = loop {
            let mut rq = cpu.rq.lock();
            rq.update_curr(now.0);
            rq.unthrottle_due(now.0);
            if let Some(prev) = rq.curr().cloned() {
                prev.clear_thread_flags(ThreadFlags::NEED_RESCHED | ThreadFlags::THROTTLED);
                let sched = &prev.sched;
                let leaves = if sched.try_block() {
                    blocked = Some(true);
                    true
                } else if !sched.affinity().contains(id) {
                    blocked = Some(false);
                    // It runs, so its next CPU is found when this one has left its stack.
                    !sched.detach()
                } else {
                    false
                };
                if !leaves && rq.nr_running() == 1 && !rq.has_limits() {
                    drop(rq);
                    return None;
                }
                rq.put_prev(leaves);
            }
            let next = rq.pick_next();
            self.kick_all(id, rq.take_kicks());
            if next.is_some() || pulled {
                if let Some(next) = &next {
                    next.sched.enter_cpu();
                }
                cpu.publish(&rq);
                self.set_tick(id, &rq, now);
                break next;
            }
            // Nothing to run: look elsewhere before going idle.
            drop(rq);
            pulled = true;
            if self.cpus.len() > 1 {
                self.pull(id, now);
            }
        };
        let prev = core::mem::replace(&mut *cpu.current.lock(), next.clone());
        let same = match (&prev, &next) {
            (Some(prev), Some(next)) => Arc::ptr_eq(prev, next),
            (None, None) => true,
            _ => false,
        };
        if same {
            self.events.program(id);
            return None;
        }
        cpu.barriers.fetch_add(1, Ordering::SeqCst);
        cpu.switches
            .store(cpu.switches.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        if let Some(prev) = &prev {
            let counter = match blocked {
                Some(true) => &prev.acct.nvcsw,
                _ => &prev.acct.nivcsw,
            };
            counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
            prev.rseq_preempt();
        }
        self.note_idle(id, cpu, next.is_none(), now);
        self.events.program(id);
        if let Some(next) = &next {
            self.activate_mm(next);
        }
        let thread = |task: &Option<Arc<Task>>| match task {
            Some(task) => task.thread.clone(),
            None => cpu
                .idle_thread
                .get()
                .expect("this CPU has entered its idle loop")
                .clone(),
        };
        let chosen = Chosen {
            prev_thread: thread(&prev),
            next_thread: thread(&next),
        };
        *cpu.leaving.lock() = prev;
        Some(chosen)
    }

    fn activate_mm(&self, task: &Task) {
        let parts = task.parts.lock();
        self.hal.activate(parts.mm.as_ref().map(|mm| mm.space()));
    }

    /// Completes a switch on the side of the thread that continues. A new thread calls it first.
    pub fn finish_switch(&self) {
        let (_, cpu) = self.here();
        let left = cpu.leaving.lock().take();
        if let Some(left) = left
            && left.sched.leave_cpu()
        {
            self.place(&left, Enqueue::Wakeup);
        }
    }

    /// In a long loop, without locks: takes interrupts, and lets others run if they should.
    pub fn cond_resched(&self, task: &Task) {
        self.hal.poll_interrupts();
        if task.thread_flags().contains(ThreadFlags::NEED_RESCHED) {
            self.schedule();
        }
    }

    /// Waits until every other CPU that runs a thread has passed a full memory barrier
    /// (`membarrier(2)`). No lock may be held.
    pub fn barrier(&self) {
        fence(Ordering::SeqCst);
        let (here, _) = self.here();
        let idle = CpuMask(self.idle.load(Ordering::SeqCst));
        let others = || self.cpu_mask().iter().filter(|cpu| *cpu != here);
        let busy = others().filter(|cpu| !idle.contains(*cpu));
        let seen: SmallVec<[(CpuId, u64); 8]> = busy
            .map(|cpu| (cpu, self.cpu(cpu).barriers.load(Ordering::SeqCst)))
            .collect();
        seen.iter().for_each(|(cpu, _)| self.hal.kick(*cpu));
        for (cpu, before) in seen {
            // Others may wait for this CPU meanwhile.
            while self.cpu(cpu).barriers.load(Ordering::SeqCst) == before {
                self.hal.poll_interrupts();
                self.hal.relax();
            }
        }
        fence(Ordering::SeqCst);
    }

    /// Waits until every CPU, or one, has taken an interrupt, behind whose end no old instruction is executed; with
    /// `restart`, what it interrupted leaves a restartable sequence (`membarrier(2)`). No lock may be held.
    pub fn interrupt_fence(&self, only: Option<CpuId>, restart: bool) {
        fence(Ordering::SeqCst);
        let asked = || {
            self.cpu_mask()
                .iter()
                .filter(|cpu| only.is_none_or(|only| only == *cpu))
        };
        let seen: SmallVec<[(CpuId, u64); 8]> = asked()
            .map(|cpu| (cpu, self.cpu(cpu).kicks.load(Ordering::SeqCst)))
            .collect();
        for (cpu, _) in &seen {
            if restart {
                self.cpu(*cpu).restart.store(true, Ordering::SeqCst);
            }
            self.hal.kick(*cpu);
        }
        for (cpu, before) in seen {
            while self.cpu(cpu).kicks.load(Ordering::SeqCst) == before {
                self.hal.poll_interrupts();
                self.hal.relax();
            }
        }
        fence(Ordering::SeqCst);
    }

    /// Lets others run that have waited longer (`sched_yield(2)`).
    pub fn yield_now(&self) {
        let (_, cpu) = self.here();
        {
            let mut rq = cpu.rq.lock();
            rq.update_curr(self.hal.now().0);
            rq.yield_curr();
        }
        self.schedule();
    }

    // ---- waking ----

    /// Makes a task run whose state is one of `mask`. Returns whether it was. What the caller wrote
    /// before is seen by the task when it looks again.
    pub fn wake_up(&self, task: &Arc<Task>, mask: StateMask) -> bool {
        match task.sched.try_wake(mask) {
            Wake::No => false,
            Wake::Done => true,
            Wake::Enqueue => {
                self.place(task, Enqueue::Wakeup);
                true
            }
        }
    }

    /// Enqueues a task that the caller was given (`ON_RQ` is set, it is in no queue).
    fn place(&self, task: &Arc<Task>, how: Enqueue) {
        let now = self.hal.now();
        let sched = &task.sched;
        let params = sched.params.lock();
        let from = sched.cpu();
        let to = self.select_cpu(task);
        rebase_task(sched, from, to);
        let how = if sched.fresh.swap(false, Ordering::Relaxed) {
            Enqueue::New
        } else {
            how
        };
        let cpu = self.cpu(to);
        let mut rq = cpu.rq.lock();
        rq.update_curr(now.0);
        rq.enqueue(task, how);
        self.after_enqueue(to, cpu, &rq, task, now);
        drop(rq);
        drop(params);
    }

    /// Preempts, kicks and sets the tick, after `task` came into `rq`.
    fn after_enqueue(&self, id: CpuId, cpu: &CpuState, rq: &RunQueue<Task>, task: &Arc<Task>, now: Ktime) {
        cpu.publish(rq);
        let preempts = rq.preempts(task);
        if preempts && let Some(curr) = rq.curr() {
            curr.set_thread_flags(ThreadFlags::NEED_RESCHED);
        }
        if id != self.hal.current_cpu() {
            // The other CPU has to look, to preempt or to start its tick.
            if preempts || rq.nr_running() == 2 || rq.is_first_kept_waiting() {
                self.hal.kick(id);
            }
        } else {
            self.set_tick(id, rq, now);
            self.events.program(id);
        }
    }

    /// Lets a throttled task run: it is to die, to stop or to freeze.
    pub(crate) fn release(&self, task: &Arc<Task>) {
        fence(Ordering::SeqCst);
        if !task.sched.is_throttled() {
            return;
        }
        let now = self.hal.now();
        let (id, cpu, mut rq) = self.lock_rq_of(&task.sched);
        rq.update_curr(now.0);
        if rq.release(task) {
            self.after_enqueue(id, cpu, &rq, task, now);
        }
    }

    fn kick_all(&self, here: CpuId, cpus: CpuMask) {
        for cpu in cpus.iter().filter(|cpu| *cpu != here) {
            self.hal.kick(cpu);
        }
    }

    // ---- interrupts ----

    fn set_tick(&self, id: CpuId, rq: &RunQueue<Task>, now: Ktime) {
        let mut tick = rq.next_tick().map_or(u64::MAX, |left| now.0 + left.max(MIN_TICK));
        if let Some(curr) = rq.curr()
            && let Some(left) = curr.group().sched.tick_needed()
        {
            tick = tick.min(now.0 + left.max(MIN_TICK));
        }
        self.events.set_tick(id, tick);
    }

    /// The slice and CPU-time part of a timer interrupt: the machine's timer is no longer set.
    pub(crate) fn tick(&self) {
        let (id, cpu) = self.here();
        let now = self.hal.now();
        self.events.fired(id);
        self.load.catch_up(now, || self.nr_active());
        let busy = {
            let mut rq = cpu.rq.lock();
            rq.update_curr(now.0);
            let back = rq.unthrottle_due(now.0);
            if (rq.tick() | back)
                && let Some(curr) = rq.curr()
            {
                curr.set_thread_flags(ThreadFlags::NEED_RESCHED);
            }
            self.kick_all(id, rq.take_kicks());
            cpu.publish(&rq);
            self.set_tick(id, &rq, now);
            rq.nr_running()
        };
        if busy > 1 && self.cpus.len() > 1 {
            self.balance(id, now);
        }
        let current = cpu.current.lock().clone();
        if let Some(task) = current {
            crate::time::check_cpu_timers(&task);
        }
        self.events.program(id);
    }

    /// Lets the CPU that runs this task set its tick anew.
    pub fn look_again(&self, task: &Task) {
        if !task.sched.on_cpu() {
            return;
        }
        let cpu = task.sched.cpu();
        if cpu == self.hal.current_cpu() {
            self.kick_interrupt();
        } else {
            self.hal.kick(cpu);
        }
    }

    /// Another CPU asked this one to look at its run queue.
    pub fn kick_interrupt(&self) {
        let (id, cpu) = self.here();
        cpu.barriers.fetch_add(1, Ordering::SeqCst);
        let restart = cpu.restart.swap(false, Ordering::SeqCst);
        let now = self.hal.now();
        {
            let mut rq = cpu.rq.lock();
            rq.update_curr(now.0);
            if restart && let Some(curr) = rq.curr() {
                curr.rseq_preempt();
            }
            if rq.has_throttled() && rq.look_again(now.0) {
                cpu.publish(&rq);
                if let Some(curr) = rq.curr() {
                    curr.set_thread_flags(ThreadFlags::NEED_RESCHED);
                }
            }
            self.set_tick(id, &rq, now);
        }
        cpu.kicks.fetch_add(1, Ordering::SeqCst);
        self.events.program(id);
    }
}

/// Shortest time to a tick, so that rounding never makes a storm of them.
const MIN_TICK: u64 = 10_000;

/// Who leaves and who comes.
struct Chosen {
    prev_thread: Arc<dyn MachineThread>,
    next_thread: Arc<dyn MachineThread>,
}

fn rebase_task(task: &SchedTask, from: CpuId, to: CpuId) {
    if from != to && !task.is_real_time() {
        run_queue::rebase(task, &task.group(), from, to);
    }
}
