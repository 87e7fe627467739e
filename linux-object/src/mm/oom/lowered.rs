//! `memory.max` set below what its cgroup uses: processes are killed until the rest fits.
//!
//! The writer does not return before that (`cgroup-v2.rst`, `memory.max`). The write itself may hold locks, so it only
//! notes the cgroup; behind it, with nothing locked, the writer kills one process after the other, and sleeps while
//! what the last one held is on its way back.

use alloc::sync::Arc;

use super::OomTurn;
use super::choice::{Choice, select_victim_now};
use super::kill::kill;
use crate::mm::memcg::{Event, MemCgroup};
use crate::task::{Task, ThreadFlags};

/// The running task has set a new limit for `over`. Any lock may be held.
pub fn note_lowered(task: &Arc<Task>, over: &Arc<MemCgroup>) {
    let old = task.memory.lowered.lock().replace(over.clone());
    drop(old);
    task.set_thread_flags(ThreadFlags::MEMORY_OOM);
}

/// Kills one process of a cgroup that the running task has left with more than its limit. True if the task shall
/// sleep and ask again. Called without locks.
pub fn enforce_lowered(task: &Arc<Task>) -> bool {
    let Some(over) = task.memory.lowered.lock().take() else {
        return false;
    };
    let kernel = task.kernel();
    kernel.memory.control.drain(&over);
    if over.memory.usage() <= over.memory.max() || task.fatal_signal_pending() {
        return false;
    }
    let Some(_turn) = OomTurn::take(&kernel.memory) else {
        note_lowered(task, &over);
        return true;
    };
    match select_victim_now(kernel, &over) {
        Choice::Kill(victim) => {
            over.event(Event::Oom);
            kill(task, &victim, "Memory cgroup out of memory", Some(&over));
        }
        Choice::Wait => {}
        Choice::Nobody => {
            over.event(Event::Oom);
            return false;
        }
    }
    note_lowered(task, &over);
    true
}
