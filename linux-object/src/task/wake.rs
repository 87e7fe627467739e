//! Waking a task because something was decided about it.

use alloc::sync::Arc;

use super::{Task, ThreadFlags};

impl Task {
    /// Makes the task look at its signals soon (Linux's `signal_wake_up`): a sleeping one wakes up
    /// (a killable sleep and a stop only if `fatal`), a running one leaves user mode.
    pub(super) fn signal_wake_up(self: &Arc<Self>, fatal: bool) {
        self.set_thread_flags(ThreadFlags::SIGPENDING);
        self.wake_for_work(fatal);
    }

    /// Makes the task look at its work flags, which the caller has set.
    pub(crate) fn wake_for_work(self: &Arc<Self>, fatal: bool) {
        let _ = fatal;
    }

    /// Wakes a thread that job control stopped.
    pub(super) fn wake_stopped(self: &Arc<Self>) {}
}
