//! Out of memory: whom to kill, and taking its memory at once (Linux's OOM killer and reaper).
//!
//! Memory runs out for the whole machine or for a memory cgroup. Either way the killer runs where the task
//! holds no lock:
//!
//! - a page fault of user code fails, somebody is killed, the access is made again;
//! - in a system call, a charge over a cgroup's limit is noted in [`TaskMemory`] and allowed as far as
//!   [`MAY_EXCEED`] pages, beyond that it fails. Before the task returns to user mode, [`settle`] kills
//!   somebody; a call that failed for want of memory and has changed nothing is then made again.
//!
//! The task then sleeps a moment, so that the victim gets the CPU whatever the priority of either.
//! So a limit of a cgroup can be exceeded by [`MAY_EXCEED`] pages for each task that is in a system call,
//! and by nothing in user mode. *Rejected:* killing inside the charge, as Linux does: the killer takes
//! the outermost locks and the charge is made under the innermost ones.
//!
//! `Documentation/admin-guide/cgroup-v2.rst` (`memory.max`, `memory.oom.group`), `proc(5)` (`oom_score_adj`).

mod choice;
mod kill;
mod lowered;
mod patience;
mod room;
mod victim;

use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use smallvec::SmallVec;

use self::choice::select_spared;
pub use self::choice::{Choice, Victim, select_victim};
use self::kill::kill;
pub use self::lowered::{enforce_lowered, note_lowered};
pub use self::patience::Patience;
use self::room::OomWait;
pub(super) use self::room::tell_of_room;
pub use self::room::{has_room, is_under_oom, waits_for_room, wake_waiters};
pub use self::victim::OomVictim;
use super::memcg::{Event, MemCgroup, Pressure};
use super::memory::Memory;
use crate::kernel::Kernel;
use crate::sync::{SpinLock, class};
use crate::task::{Task, ThreadFlags};

/// Pages by which one task may exceed a limit within one system call.
const MAY_EXCEED: u32 = 32;

/// A limit that a charge of the running task met.
enum Pending {
    /// Of the machine.
    Machine,
    /// Of this cgroup, for so many pages; 0 if they were charged nevertheless.
    Group(Arc<MemCgroup>, u32),
}

/// What memory control keeps for a task.
#[derive(Default)]
pub struct TaskMemory {
    /// It serves a fault of user code, where the killer can run at once.
    in_user_fault: AtomicBool,
    /// Pages that it charged over a limit since it came from user mode.
    exceeded: AtomicU32,
    pending: SpinLock<Option<Pending>, class::Leaf>,
    /// The cgroup in which it waits for room, without the killer (v1).
    waits: SpinLock<Option<OomWait>, class::Leaf>,
    /// Pages charged above `memory.high`, for which it has to pay with time.
    over_high: AtomicU32,
    /// Somebody has to go before it can have what it needs.
    waits_for_end: AtomicBool,
    /// A cgroup whose limit it has set below the usage.
    lowered: SpinLock<Option<Arc<MemCgroup>>, class::Leaf>,
}

impl TaskMemory {
    pub(super) fn set_in_user_fault(&self, inside: bool) {
        self.in_user_fault.store(inside, Ordering::Relaxed);
    }
    fn note(&self, pending: Pending) {
        let old = self.pending.lock().replace(pending);
        drop(old);
    }
    fn take(&self) -> Option<Pending> {
        self.pending.lock().take()
    }
    /// The task waits for room no longer, or ends.
    pub fn stop_waiting(&self) {
        let wait = self.waits.lock().take();
        drop(wait);
    }
    /// Pages charged above `memory.high` since this was asked last.
    pub fn take_over_high(&self) -> u32 {
        self.over_high.swap(0, Ordering::Relaxed)
    }
    /// Whether it should sleep a moment before it tries again what failed for want of memory.
    pub fn take_waits_for_end(&self) -> bool {
        self.waits_for_end.swap(false, Ordering::Relaxed)
    }
}

/// A charge of `pages` by the running task does not fit into `over`: whether it may be made nevertheless.
/// Any lock may be held.
pub(super) fn may_exceed(task: &Arc<Task>, over: &Arc<MemCgroup>, pages: u32) -> bool {
    let memory = &task.memory;
    if memory.in_user_fault.load(Ordering::Relaxed) {
        memory.note(Pending::Group(over.clone(), pages));
        return false;
    }
    let exceeded = memory.exceeded.load(Ordering::Relaxed) + pages;
    let may = exceeded <= MAY_EXCEED && !over.is_oom_kill_disabled();
    if may {
        memory.exceeded.store(exceeded, Ordering::Relaxed);
    }
    memory.note(Pending::Group(over.clone(), if may { 0 } else { pages }));
    task.set_thread_flags(ThreadFlags::MEMORY_OOM);
    may
}

/// The running task charged pages above some `memory.high`.
pub(super) fn note_high(task: &Arc<Task>, pages: u32) {
    task.memory.over_high.fetch_add(pages, Ordering::Relaxed);
    task.set_thread_flags(ThreadFlags::MEMORY_HIGH);
}

/// No frame is left for a copy of the running task to user memory; any lock may be held.
pub(super) fn note_machine_oom(task: &Arc<Task>) {
    if task.memory.pending.lock().is_none() {
        task.memory.note(Pending::Machine);
    }
    task.set_thread_flags(ThreadFlags::MEMORY_OOM);
}

/// A system call of the running task met a limit: makes room. True if what failed should be tried again.
/// Called without locks.
pub fn settle(task: &Arc<Task>) -> bool {
    task.clear_thread_flags(ThreadFlags::MEMORY_OOM);
    task.memory.exceeded.store(0, Ordering::Relaxed);
    match task.memory.take() {
        Some(Pending::Group(over, pages)) => memcg_out_of_memory(task, &over, pages),
        Some(Pending::Machine) => {
            out_of_memory(task);
            true
        }
        None => false,
    }
}

/// A page fault of user code found no memory: of the cgroup or of the machine. Called without locks.
pub(super) fn user_fault_out_of_memory(task: &Arc<Task>) {
    match task.memory.take() {
        Some(Pending::Group(over, pages)) => {
            if !memcg_out_of_memory(task, &over, pages) && over.is_oom_kill_disabled() {
                let wait = OomWait::new(over, &task.kernel().memory.control);
                let old = task.memory.waits.lock().replace(wait);
                drop(old);
                task.set_thread_flags(ThreadFlags::MEMORY_HIGH);
            }
        }
        _ => out_of_memory(task),
    }
}

/// The right to choose whom to kill, which one task has at a time (Linux's `oom_lock`): a second one would choose
/// by what it saw before the first one's victim was marked. Who does not get it tries again what failed.
struct OomTurn<'a>(&'a Memory);

impl OomTurn<'_> {
    fn take(memory: &Memory) -> Option<OomTurn<'_>> {
        let taken = memory.oom_turn.swap(true, Ordering::SeqCst);
        // Not `then_some`: a turn that is made only to be dropped would end the other's.
        (!taken).then(|| OomTurn(memory))
    }
}

impl Drop for OomTurn<'_> {
    fn drop(&mut self) {
        self.0.oom_turn.store(false, Ordering::SeqCst);
    }
}

/// What [`refill_reserve`] could do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refill {
    /// Somebody ends; what that frees is not there yet.
    Wait,
    /// Nobody is left whose end would free anything.
    Nobody,
}

/// The kernel's own objects have used up the reserve that infallible allocations live on: a process has
/// to go. Called without locks.
pub fn refill_reserve(task: &Arc<Task>) -> Refill {
    let kernel = task.kernel();
    let Some(_turn) = OomTurn::take(&kernel.memory) else {
        return Refill::Wait;
    };
    if !kernel.hal.reserve_is_low() {
        return Refill::Wait;
    }
    match select_victim(kernel, None) {
        Choice::Kill(victim) => {
            kill(task, &victim, "Out of memory", None);
            Refill::Wait
        }
        Choice::Wait => Refill::Wait,
        Choice::Nobody => Refill::Nobody,
    }
}

/// Stops the kernel if the administrator wants that (`vm.panic_on_oom`).
fn check_panic(kernel: &Kernel, from: i64) {
    if kernel.sysctl.panic_on_oom.get() >= from {
        panic!("Out of memory: vm.panic_on_oom is set");
    }
}

/// The running task's own process, if it may be killed.
fn asker(task: &Arc<Task>) -> Option<Victim> {
    let group = task.group();
    let adj = group.oom_score_adj.load(Ordering::Relaxed);
    let may = group.tgid.global_nr().0 != 1 && adj != -1000 && !group.is_exiting();
    let mm = task.try_mm().filter(|mm| may && !mm.is_reaped())?;
    let group = group.clone();
    Some(Victim { group, mm })
}

/// Whether one access to user memory would find all that it can need: a page, and a table of each level but the
/// first. With less it would be tried again for ever.
fn room_for_access(kernel: &Kernel) -> bool {
    const FRAMES: usize = 4;
    let frames: SmallVec<[_; FRAMES]> = (0..FRAMES)
        .map_while(|_| kernel.hal.alloc_frame(false).ok())
        .collect();
    let enough = frames.len() == FRAMES;
    for frame in frames {
        kernel.hal.put_frame(frame);
    }
    enough
}

/// No page could be had for `task`: kills a process and takes its memory (Linux's `out_of_memory`).
/// The access that failed is to be made again. Called without locks.
pub fn out_of_memory(task: &Arc<Task>) {
    let kernel = task.kernel();
    let Some(_turn) = OomTurn::take(&kernel.memory) else {
        return wait_a_moment(task);
    };
    if room_for_access(kernel) {
        // Somebody has given back meanwhile.
        return;
    }
    check_panic(kernel, 1);
    if kernel.sysctl.oom_kill_allocating_task.get() != 0
        && let Some(victim) = asker(task)
    {
        return kill(task, &victim, "Out of memory (oom_kill_allocating_task)", None);
    }
    wait_a_moment(task);
    match select_victim(kernel, None) {
        Choice::Kill(victim) => kill(task, &victim, "Out of memory", None),
        Choice::Wait => {}
        Choice::Nobody => kill_spared(task),
    }
}

/// Nobody is left but those that asked not to be killed. *Rejected:* Linux's panic.
fn kill_spared(task: &Arc<Task>) {
    match select_spared(task.kernel()) {
        Choice::Kill(victim) => kill(task, &victim, "Out of memory and no killable processes", None),
        Choice::Wait => {}
        Choice::Nobody if task.group().tgid.global_nr().0 == 1 => {
            panic!("System is deadlocked on memory: the first process has it all")
        }
        // Whoever asks is ending.
        Choice::Nobody => {}
    }
}

/// The running task sleeps before it tries again what failed, or goes back to user mode.
fn wait_a_moment(task: &Arc<Task>) {
    task.memory.waits_for_end.store(true, Ordering::Relaxed);
    task.set_thread_flags(ThreadFlags::MEMORY_HIGH);
}

/// `pages` do not fit into `over`, or, if 0, it holds more than it may: kills a process of it (Linux's
/// `mem_cgroup_out_of_memory`). False if that is no way out.
fn memcg_out_of_memory(task: &Arc<Task>, over: &Arc<MemCgroup>, pages: u32) -> bool {
    let kernel = task.kernel();
    kernel.memory.control.drain(over);
    if over.memory.usage() + u64::from(pages) <= over.memory.max() {
        return true;
    }
    if task.fatal_signal_pending() {
        return false;
    }
    over.event(Event::Oom);
    // Nothing could be reclaimed.
    kernel.memory.control.tell_pressure(over, Pressure::Critical);
    kernel.memory.control.tell_oom(over);
    if over.is_oom_kill_disabled() {
        return false;
    }
    wait_a_moment(task);
    let Some(_turn) = OomTurn::take(&kernel.memory) else {
        return true;
    };
    check_panic(kernel, 2);
    match select_victim(kernel, Some(over)) {
        Choice::Kill(victim) => {
            kill(task, &victim, "Memory cgroup out of memory", Some(over));
            true
        }
        Choice::Wait => true,
        Choice::Nobody => {
            log::warn!("Memory cgroup out of memory: no killable process");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mm::testing::memory;

    #[test]
    fn one_chooses_at_a_time() {
        let (_hal, memory) = memory(16);
        let turn = OomTurn::take(&memory);
        assert!(turn.is_some());
        // Who asks in vain does not end the turn.
        for _ in 0..2 {
            assert!(OomTurn::take(&memory).is_none());
        }
        drop(turn);
        assert!(OomTurn::take(&memory).is_some());
    }
}
