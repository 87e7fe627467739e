//! CPU time of a thread group: what its threads, living and gone, have used.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::CpuTimes;

/// The scheduler's part of a thread group.
///
/// Time is added whenever a thread is charged, so the sums are exact also after threads are gone.
#[derive(Debug, Default)]
pub struct SchedGroup {
    sum_exec: AtomicU64,
    user: AtomicU64,
    /// CPU time (of the process or a thread) after which someone wants a look: the running thread
    /// needs a tick. `0`: nobody does.
    tick: AtomicU64,
}

impl SchedGroup {
    /// No time used.
    pub fn new() -> SchedGroup {
        SchedGroup::default()
    }
    pub(super) fn charge(&self, delta: u64, user: u64) {
        self.sum_exec.fetch_add(delta, Relaxed);
        if user != 0 {
            self.user.fetch_add(user, Relaxed);
        }
    }
    /// Time charged so far.
    pub fn charged(&self) -> CpuTimes {
        let sum = self.sum_exec.load(Relaxed);
        let user = self.user.load(Relaxed).min(sum);
        CpuTimes {
            user,
            system: sum - user,
        }
    }
    /// Lets running threads of the group look at CPU-time limits every `ns` nanoseconds (0: no more).
    pub fn set_tick(&self, ns: u64) {
        self.tick.store(ns, Relaxed);
    }
    pub(crate) fn tick_needed(&self) -> Option<u64> {
        match self.tick.load(Relaxed) {
            0 => None,
            ns => Some(ns),
        }
    }
}
