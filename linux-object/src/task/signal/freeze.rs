//! Asking tasks to freeze, for the cgroup freezers.
//!
//! A task that is asked leaves what it does as for a signal, and sleeps on its way back to user mode. A
//! frozen task of cgroup2 (`JOBCTL_TRAP_FREEZE`) can be killed; one of the v1 freezer
//! ([`ThreadFlags::FREEZE`]) cannot, but by the OOM killer. Who sets and clears this holds the lock of the task's set.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use super::task_signals::jobctl;
use crate::sched::StateMask;
use crate::task::{Signal, Task, ThreadFlags, ThreadGroup};

impl Task {
    /// cgroup2: freezes it, or lets it go on.
    pub(crate) fn ask_to_freeze(self: &Arc<Self>, freeze: bool) {
        if freeze == self.has_jobctl(jobctl::TRAP_FREEZE) || self.is_exiting() {
            return;
        }
        if freeze {
            self.set_jobctl(jobctl::TRAP_FREEZE);
            self.signal_wake_up(false);
        } else {
            self.clear_jobctl(jobctl::TRAP_FREEZE);
            self.wake_frozen();
        }
    }
    /// v1: likewise.
    pub(crate) fn ask_to_freeze_hard(self: &Arc<Self>, freeze: bool) {
        if freeze == self.thread_flags().contains(ThreadFlags::FREEZE) || self.is_exiting() {
            return;
        }
        if freeze {
            self.set_thread_flags(ThreadFlags::FREEZE);
            self.signal_wake_up(false);
        } else {
            self.clear_thread_flags(ThreadFlags::FREEZE);
            self.wake_frozen();
        }
    }
    fn wake_frozen(self: &Arc<Self>) {
        if self.is_frozen() {
            self.kernel().sched.wake_up(self, StateMask::NORMAL);
        }
    }
    /// Whether the v1 freezer holds it: not even SIGKILL wakes it.
    pub fn is_frozen_hard(&self) -> bool {
        self.thread_flags().contains(ThreadFlags::FREEZE) && !self.group().thawed.load(Ordering::SeqCst)
    }
    /// Whether it shall sleep before it goes back to user mode.
    pub fn shall_freeze(&self) -> bool {
        self.is_frozen_hard()
            || self.has_jobctl(jobctl::TRAP_FREEZE) && !self.sig.pending().contains(Signal::KILL)
    }
    /// Whether it sleeps because it is frozen, or where it counts as frozen.
    pub fn is_frozen(&self) -> bool {
        self.sig.frozen.load(Ordering::SeqCst)
    }
    pub(crate) fn store_frozen(&self, frozen: bool) {
        self.sig.frozen.store(frozen, Ordering::SeqCst);
    }
}

impl ThreadGroup {
    /// The v1 freezer holds it no longer, for the memory that its end gives back is needed.
    pub(crate) fn thaw_for_ever(&self) {
        self.thawed.store(true, Ordering::SeqCst);
        for task in self.threads().iter() {
            task.wake_frozen();
        }
    }
}
