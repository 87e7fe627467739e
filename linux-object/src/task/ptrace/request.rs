//! What a tracer does to a tracee.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use super::link::detach;
use super::{Event, PtraceFlags, Stop, Work};
use crate::ensure;
use crate::error::Result;
use crate::sched::StateMask;
use crate::task::exit::release_task;
use crate::task::signal::jobctl;
use crate::task::{SigInfo, Signal, SignalSet, Task};

/// A tracee in a stop, in the hands of its tracer: it does not run, and SIGKILL wakes it only when this is
/// dropped.
pub struct Tracee<'a>(&'a Arc<Task>);

/// How a tracee goes on.
#[derive(Clone, Copy, Default, Debug)]
pub struct Resume {
    /// It stops at system calls.
    pub syscall: bool,
    /// It stops at the next system call, and does not make it.
    pub emu: bool,
    /// It runs one instruction.
    pub step: bool,
}

/// `task` as a stopped tracee of the calling task. `ESRCH` if it is not (Linux's `ptrace_check_attach`).
pub fn tracee_of<'a>(tracer: &Arc<Task>, task: &'a Arc<Task>) -> Result<Tracee<'a>> {
    ensure!(
        is_tracer(tracer, task),
        ESRCH,
        "ptrace: not a tracee of the caller"
    );
    {
        let _signals = task.group().signal.lock();
        ensure!(
            task.has_jobctl(jobctl::TRACED)
                && !task.has_jobctl(jobctl::LISTENING)
                && !task.sig.pending().contains(Signal::KILL),
            ESRCH,
            "ptrace: the tracee is not stopped"
        );
        task.set_jobctl(jobctl::FROZEN);
    }
    let tracee = Tracee(task);
    // It is on its way to sleep, and holds on to nothing that the caller has.
    while task.sched.on_cpu() {
        task.kernel().hal.relax();
    }
    Ok(tracee)
}

/// Whether `tracer` traces `task`.
fn is_tracer(tracer: &Arc<Task>, task: &Arc<Task>) -> bool {
    let link = task.ptrace.link.lock();
    link.as_ref()
        .is_some_and(|link| Arc::ptr_eq(&link.tracer, tracer))
}

impl Drop for Tracee<'_> {
    fn drop(&mut self) {
        let task = self.0;
        let _signals = task.group().signal.lock();
        task.clear_jobctl(jobctl::FROZEN);
        if task.sig.pending().contains(Signal::KILL) {
            task.clear_jobctl(jobctl::TRACED);
            task.kernel().sched.wake_up(task, StateMask::TRACED);
        }
    }
}

impl Tracee<'_> {
    /// The tracee.
    pub fn task(&self) -> &Arc<Task> {
        self.0
    }
    /// Works on what it shows.
    pub fn with_stop<R>(&self, f: impl FnOnce(&mut Stop) -> R) -> Option<R> {
        self.0.ptrace.with_stop(f)
    }
    /// `PTRACE_GETEVENTMSG`.
    pub fn message(&self) -> u64 {
        self.with_stop(|stop| stop.message).unwrap_or(0)
    }
    /// `PTRACE_GETSIGINFO`; none in a plain group stop.
    pub fn info(&self) -> Option<SigInfo> {
        self.with_stop(|stop| stop.info.clone()).flatten()
    }
    /// `PTRACE_SETSIGINFO`. Whether there was one.
    pub fn set_info(&self, info: SigInfo) -> bool {
        let old = self.with_stop(|stop| match stop.info {
            Some(_) => stop.info.replace(info),
            None => None,
        });
        old.flatten().is_some()
    }

    /// It goes on, with this signal if it is in a signal-delivery stop (Linux's `ptrace_resume`).
    pub fn resume(self, how: Resume, signal: i32) {
        let task = self.0;
        self.set_step(how.step);
        let mut work = Work::empty();
        work.set(Work::SYSCALL, how.syscall);
        work.set(Work::EMU, how.emu);
        task.change_work(Work::SYSCALL | Work::EMU, work);
        let _signals = task.group().signal.lock();
        self.with_stop(|stop| stop.code = signal);
        task.clear_jobctl(jobctl::TRACED);
        task.kernel().sched.wake_up(task, StateMask::TRACED);
        drop(_signals);
    }

    /// `PTRACE_DETACH`.
    pub fn detach(self, tracer: &Arc<Task>, signal: i32) {
        let task = self.0;
        self.set_step(false);
        let dead = {
            let mut tree = task.kernel().tasks.lock();
            self.with_stop(|stop| stop.code = signal);
            detach(&mut tree, tracer, task)
        };
        if dead {
            release_task(task);
        }
    }

    /// `PTRACE_LISTEN`: it stays in its stop, but waits for a change of job control. Whether it is in such a stop of a
    /// seized tracee.
    pub fn listen(self) -> bool {
        let task = self.0;
        let _signals = task.group().signal.lock();
        let code = self.with_stop(|stop| stop.info.as_ref().map_or(0, |info| info.code));
        let stops = code.is_some_and(|code| code >> 8 == Event::Stop as i32);
        if !task.ptrace_flags().contains(PtraceFlags::SEIZED) || !stops {
            return false;
        }
        task.set_jobctl(jobctl::LISTENING);
        if task.has_jobctl(jobctl::TRAP_NOTIFY) {
            task.ptrace_wake(true);
        }
        true
    }

    /// `PTRACE_SETOPTIONS`.
    pub fn set_options(&self, options: PtraceFlags) {
        let task = self.0;
        let _signals = task.group().signal.lock();
        let kept = task.ptrace_flags().difference(PtraceFlags::OPTIONS);
        task.ptrace.flags.store((kept | options).bits(), Ordering::SeqCst);
    }

    /// `PTRACE_PEEKSIGINFO`: up to `count` pending records from the `skip`-th on.
    pub fn peek_signals(&self, shared: bool, skip: usize, count: usize) -> Vec<SigInfo> {
        let task = self.0;
        let state = task.group().signal.lock();
        if shared {
            return state.shared.records().skip(skip).take(count).cloned().collect();
        }
        let queue = task.sig.private.lock();
        queue.records().skip(skip).take(count).cloned().collect()
    }

    /// `PTRACE_GETSIGMASK`: what it blocks outside of a call with a mask of its own.
    pub fn sigmask(&self) -> SignalSet {
        self.0.saved_sigmask().unwrap_or(self.0.sig.blocked())
    }
    /// `PTRACE_SETSIGMASK`.
    pub fn set_sigmask(&self, mask: SignalSet) {
        let task = self.0;
        let _signals = task.group().signal.lock();
        let mask = mask.without(SignalSet::UNBLOCKABLE);
        task.sig.blocked.store(mask.0, Ordering::SeqCst);
        let _ = task.take_saved_sigmask();
    }
}

/// `PTRACE_INTERRUPT` of a tracee in any state. `ESRCH` if it is none of the caller's, `EIO` if it is not seized.
pub fn interrupt(tracer: &Arc<Task>, task: &Arc<Task>) -> Result<()> {
    ensure!(
        is_tracer(tracer, task),
        ESRCH,
        "ptrace: not a tracee of the caller"
    );
    let _signals = task.group().signal.lock();
    ensure!(
        task.ptrace_flags().contains(PtraceFlags::SEIZED) && !task.is_released(),
        EIO,
        "PTRACE_INTERRUPT: the tracee is not seized"
    );
    if task.ask_to_trap(jobctl::TRAP_STOP) {
        task.ptrace_wake(task.has_jobctl(jobctl::LISTENING));
    }
    Ok(())
}

/// Whether `PTRACE_KILL` is for the caller's tracee; `ESRCH`.
pub fn check_tracer(tracer: &Arc<Task>, task: &Arc<Task>) -> Result<()> {
    ensure!(
        is_tracer(tracer, task),
        ESRCH,
        "ptrace: not a tracee of the caller"
    );
    Ok(())
}
