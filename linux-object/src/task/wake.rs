//! Waking a task because something was decided about it.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use super::signal::jobctl;
use super::{Task, ThreadFlags};
use crate::fs::PollEvents;
use crate::sched::StateMask;
use crate::sync::Waiter;

/// A thread that waits in a queue is woken, to look at its condition again.
impl Waiter for Task {
    fn wake(self: Arc<Self>, _events: PollEvents) -> bool {
        self.kernel().sched.wake_up(&self, StateMask::NORMAL)
    }
}

impl Task {
    /// Makes the task look at its signals soon (Linux's `signal_wake_up`): a sleeping one wakes up
    /// (from a killable sleep or a stop only if `fatal`), a running one leaves user mode.
    pub(super) fn signal_wake_up(self: &Arc<Self>, fatal: bool) {
        self.set_thread_flags(ThreadFlags::SIGPENDING);
        self.wake_for_work(fatal);
    }

    /// Makes the task look at its work flags, which the caller has set.
    pub(crate) fn wake_for_work(self: &Arc<Self>, fatal: bool) {
        // A child that waits for its first run is started by its parent alone.
        if !self.started.load(Ordering::SeqCst) {
            return;
        }
        let kernel = self.kernel();
        if fatal
            || self
                .thread_flags()
                .intersects(ThreadFlags::JOBCTL | ThreadFlags::FREEZE)
        {
            kernel.sched.release(self);
        }
        let mask = if fatal {
            StateMask::NORMAL | StateMask::STOPPED | self.end_stops_of_dying()
        } else {
            StateMask::INTERRUPTIBLE
        };
        if !kernel.sched.wake_up(self, mask) {
            self.leave_user_mode();
        }
    }

    /// Makes a task that runs look at its work flags, which the caller has set; a sleeping one goes on sleeping.
    pub(crate) fn leave_user_mode(&self) {
        if self.sched.on_cpu() {
            let (cpu, hal) = (self.sched.cpu(), &self.kernel().hal);
            if cpu != hal.current_cpu() {
                hal.kick(cpu);
            }
        }
    }

    /// A fatal signal ends the stop of a tracee, unless its tracer works on it.
    fn end_stops_of_dying(&self) -> StateMask {
        if self.has_jobctl(jobctl::FROZEN) {
            return StateMask::empty();
        }
        self.clear_jobctl(jobctl::TRACED);
        StateMask::TRACED
    }

    /// Wakes a thread that job control stopped.
    pub(super) fn wake_stopped(self: &Arc<Self>) {
        self.end_stop();
        self.kernel().sched.wake_up(self, StateMask::STOPPED);
    }
}
