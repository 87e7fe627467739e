//! A full cgroup of v1 whose processes nobody kills (`memory.oom_control`): who needs memory waits for room.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use crate::fs::PollEvents;
use crate::mm::memcg::{MemCgroup, MemControl};
use crate::task::Task;

/// A task waits for room in this cgroup; it is under OOM as long.
pub(super) struct OomWait {
    over: Arc<MemCgroup>,
    control: Arc<MemControl>,
}

impl OomWait {
    pub(super) fn new(over: Arc<MemCgroup>, control: &Arc<MemControl>) -> OomWait {
        over.oom_waiters.fetch_add(1, Ordering::SeqCst);
        control.oom_waiters.fetch_add(1, Ordering::SeqCst);
        control.oom_waiting.lock().push(over.clone());
        OomWait {
            over,
            control: control.clone(),
        }
    }
}

impl Drop for OomWait {
    fn drop(&mut self) {
        let gone = {
            let mut waiting = self.control.oom_waiting.lock();
            let at = waiting.iter().position(|over| Arc::ptr_eq(over, &self.over));
            at.map(|at| waiting.swap_remove(at))
        };
        drop(gone);
        self.control.oom_waiters.fetch_sub(1, Ordering::SeqCst);
        self.over.oom_waiters.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The full cgroup whose processes nobody kills and in which the task waits for room: it sleeps on
/// [`MemCgroup::oom_queue`] until [`has_room`], and stops waiting.
pub fn waits_for_room(task: &Arc<Task>) -> Option<Arc<MemCgroup>> {
    let waits = task.memory.waits.lock();
    waits.as_ref().map(|wait| wait.over.clone())
}

/// Whether a task need not wait for room in this cgroup any more.
pub fn has_room(task: &Arc<Task>, over: &Arc<MemCgroup>) -> bool {
    // From here on what is given back is not kept in a stock.
    task.kernel().memory.control.drain(over);
    over.memory.margin() > 0 || !over.is_oom_kill_disabled()
}

/// Wakes those who wait where there is room now. Called without locks.
pub(in crate::mm) fn tell_of_room(control: &MemControl) {
    if control.oom_waiters.load(Ordering::SeqCst) == 0 {
        return;
    }
    let waiting = control.oom_waiting.lock().clone();
    for over in &waiting {
        wake_waiters(over);
    }
}

/// Wakes those who wait in this cgroup: its limit was raised, or they may be killed.
pub fn wake_waiters(over: &MemCgroup) {
    if over.memory.margin() > 0 || !over.is_oom_kill_disabled() {
        over.oom_queue.wake(PollEvents::all());
    }
}

/// Whether somebody waits for room here or above (v1's `under_oom`).
pub fn is_under_oom(memcg: &Arc<MemCgroup>) -> bool {
    let mut up = memcg.self_and_ancestors();
    up.any(|memcg| memcg.oom_waiters.load(Ordering::Relaxed) > 0)
}
