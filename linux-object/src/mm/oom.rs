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
//! So a limit of a cgroup can be exceeded by [`MAY_EXCEED`] pages for each task that is in a system call,
//! and by nothing in user mode. *Rejected:* killing inside the charge, as Linux does: the killer takes
//! the outermost locks and the charge is made under the innermost ones.
//!
//! `Documentation/admin-guide/cgroup-v2.rst` (`memory.max`, `memory.oom.group`), `proc(5)` (`oom_score_adj`).

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::VmFlags;
use super::addr_space::Mm;
use super::gather::Gather;
use super::memcg::{Event, MemCgroup, MemControl, Pressure};
use super::memory::Memory;
use super::page_counter::UNLIMITED;
use crate::cgroup::memory::memcg_of;
use crate::fs::PollEvents;
use crate::ids::PAGE_SIZE;
use crate::kernel::Kernel;
use crate::sync::{SpinLock, class};
use crate::task::{SigInfo, Signal, Task, ThreadFlags, ThreadGroup};

/// Pages by which one task may exceed a limit within one system call.
const MAY_EXCEED: u32 = 32;

/// A limit that a charge of the running task met.
enum Pending {
    /// Of the machine.
    Machine,
    /// Of this cgroup, for so many pages; 0 if they were charged nevertheless.
    Group(Arc<MemCgroup>, u32),
}

/// A task waits for room in this cgroup; it is under OOM as long.
struct OomWait {
    over: Arc<MemCgroup>,
    control: Arc<MemControl>,
}

impl OomWait {
    fn new(over: Arc<MemCgroup>, control: &Arc<MemControl>) -> OomWait {
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
pub(super) fn tell_of_room(control: &MemControl) {
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

/// A process and its memory.
pub struct Victim {
    /// Who is to be killed.
    pub group: Arc<ThreadGroup>,
    /// What that frees.
    pub mm: Arc<Mm>,
}

/// Whom to kill.
pub enum Choice {
    /// This process.
    Kill(Victim),
    /// Nobody more: an earlier victim has not gone yet.
    Wait,
    /// Nobody is left that may be killed.
    Nobody,
}

/// The processes of a memory cgroup and below it; all but the first process for the machine.
fn for_each_process(
    kernel: &Kernel,
    within: Option<&Arc<MemCgroup>>,
    mut f: impl FnMut(&Arc<ThreadGroup>, &Arc<Mm>),
) {
    kernel.tasks.for_each_group(&kernel.init_ns.pid_ns, |nr, group| {
        let Some((task, mm)) = group
            .threads()
            .iter()
            .find_map(|task| Some((task.clone(), task.try_mm()?)))
        else {
            return;
        };
        if nr.0 != 1 && within.is_none_or(|within| memcg_of(&task).is_descendant(within)) {
            f(group, &mm);
        }
    });
}

/// The process whose end frees most, moved by `oom_score_adj`. The first process and those with -1000
/// are never chosen.
pub fn select_victim(kernel: &Kernel, within: Option<&Arc<MemCgroup>>) -> Choice {
    let machine = kernel.hal.frame_stats().total as u64;
    let total = within.map_or(machine, |memcg| memcg.memory.max().min(machine));
    let mut best: Option<(i64, Victim)> = None;
    // What an earlier victim holds is on its way.
    let mut busy = match within {
        Some(memcg) => memcg.oom_victims.load(Ordering::SeqCst) > 0,
        None => kernel.memory.oom_victims.load(Ordering::SeqCst) > 0,
    };
    for_each_process(kernel, within, |group, mm| {
        busy |= mm.is_reaped();
        let adj = group.oom_score_adj.load(Ordering::Relaxed);
        if group.is_exiting() {
            return;
        }
        if let Some(points) = mm.oom_badness(adj, total)
            && best.as_ref().is_none_or(|(most, _)| points > *most)
        {
            best = Some((
                points,
                Victim {
                    group: group.clone(),
                    mm: mm.clone(),
                },
            ));
        }
    });
    match best {
        _ if busy => Choice::Wait,
        Some((_, victim)) => Choice::Kill(victim),
        None => Choice::Nobody,
    }
}

/// The right to choose whom to kill, which one task has at a time (Linux's `oom_lock`): a second one would choose
/// by what it saw before the first one's victim was marked. Who does not get it tries again what failed.
struct OomTurn<'a>(&'a Memory);

impl OomTurn<'_> {
    fn take(memory: &Memory) -> Option<OomTurn<'_>> {
        let taken = memory.oom_turn.swap(true, Ordering::SeqCst);
        (!taken).then_some(OomTurn(memory))
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

/// No page could be had for `task`: kills a process and takes its memory (Linux's `out_of_memory`).
/// The access that failed is to be made again. Called without locks.
pub fn out_of_memory(task: &Arc<Task>) {
    let kernel = task.kernel();
    let Some(_turn) = OomTurn::take(&kernel.memory) else {
        return task.set_thread_flags(ThreadFlags::NEED_RESCHED);
    };
    if let Ok(frame) = kernel.hal.alloc_frame(false) {
        // Somebody has given back meanwhile.
        kernel.hal.put_frame(frame);
        return;
    }
    check_panic(kernel, 1);
    if kernel.sysctl.oom_kill_allocating_task.get() != 0
        && let Some(victim) = asker(task)
    {
        return kill(task, &victim, "Out of memory (oom_kill_allocating_task)", None);
    }
    match select_victim(kernel, None) {
        Choice::Kill(victim) => kill(task, &victim, "Out of memory", None),
        // It goes on once the victim is gone: let it run.
        Choice::Wait => task.set_thread_flags(ThreadFlags::NEED_RESCHED),
        // With nobody else left, the one who asked goes.
        Choice::Nobody => {
            log::error!(
                "Out of memory: no killable process but {}",
                task.group().tgid.global_nr()
            );
            let _ = crate::task::signal::send_to_group(task.group(), SigInfo::kernel(Signal::KILL));
        }
    }
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
    let Some(_turn) = OomTurn::take(&kernel.memory) else {
        task.set_thread_flags(ThreadFlags::NEED_RESCHED);
        return true;
    };
    check_panic(kernel, 2);
    match select_victim(kernel, Some(over)) {
        Choice::Kill(victim) => {
            kill(task, &victim, "Memory cgroup out of memory", Some(over));
            true
        }
        Choice::Wait => {
            task.set_thread_flags(ThreadFlags::NEED_RESCHED);
            true
        }
        Choice::Nobody => {
            log::warn!("Memory cgroup out of memory: no killable process");
            false
        }
    }
}

/// `memory.max` of `over` was set below its usage: kills until it fits or nobody is left.
pub fn enforce_max(task: &Arc<Task>, over: &Arc<MemCgroup>) {
    let kernel = task.kernel();
    loop {
        kernel.memory.control.drain(over);
        if over.memory.usage() <= over.memory.max() || task.fatal_signal_pending() {
            return;
        }
        over.event(Event::Oom);
        match select_victim(kernel, Some(over)) {
            Choice::Kill(victim) => kill(task, &victim, "Memory cgroup out of memory", Some(over)),
            // What it still holds goes with it.
            Choice::Wait | Choice::Nobody => return,
        }
    }
}

/// Kills the victim, and with `memory.oom.group` everybody in the uppermost cgroup that has it set and is not
/// above `domain`.
fn kill(task: &Arc<Task>, victim: &Victim, message: &str, domain: Option<&Arc<MemCgroup>>) {
    let kernel = task.kernel();
    let memcg = victim.mm.memcg();
    let mut whole = None;
    for at in memcg.self_and_ancestors().filter(|at| !at.is_root()) {
        if at.oom_group.load(Ordering::Relaxed) {
            whole = Some(at.clone());
        }
        if domain.is_some_and(|domain| Arc::ptr_eq(at, domain)) {
            break;
        }
    }
    kill_process(task, &victim.group, &victim.mm, message);
    if let Some(whole) = whole {
        whole.event(Event::OomGroupKill);
        let path = whole.css().and_then(|css| css.cgroup());
        let path = path.map_or(Vec::new(), |cgroup| cgroup.path());
        log::error!(
            "Tasks in {} are going to be killed due to memory.oom.group set",
            String::from_utf8_lossy(&path)
        );
        let mut members = Vec::new();
        for_each_process(kernel, Some(&whole), |group, mm| {
            let adj = group.oom_score_adj.load(Ordering::Relaxed);
            if adj != -1000 && !group.is_exiting() && !Arc::ptr_eq(group, &victim.group) {
                members.push((group.clone(), mm.clone()));
            }
        });
        for (group, mm) in members {
            kill_process(task, &group, &mm, message);
        }
    }
}

/// Kills one process and all others with the same memory, and takes that memory.
fn kill_process(task: &Arc<Task>, group: &Arc<ThreadGroup>, mm: &Arc<Mm>, message: &str) {
    let kernel = task.kernel();
    let kb = |pages: u64| pages * (PAGE_SIZE as u64 / 1024);
    let leader = group.threads().first().cloned();
    let comm = leader.as_ref().map_or([0; 16], |task| task.comm());
    let comm = comm.split(|byte| *byte == 0).next().unwrap_or_default();
    log::error!(
        "{message}: Killed process {} ({}) total-vm:{}kB, anon-rss:{}kB, file-rss:0kB, shmem-rss:{}kB, UID:{} \
         pgtables:{}kB oom_score_adj:{}",
        group.tgid.global_nr(),
        String::from_utf8_lossy(comm),
        kb(mm.counts().total),
        kb(mm.rss_anon()),
        kb(mm.rss_file()),
        leader.map_or(0, |task| task.cred().uid.0),
        mm.page_table_bytes() / 1024,
        group.oom_score_adj.load(Ordering::Relaxed)
    );
    mm.memcg().event(Event::OomKill);
    mm.mark_oom_victim();
    let mut sharing = alloc::vec![group.clone()];
    let mut may_reap = true;
    kernel.tasks.for_each_group(&kernel.init_ns.pid_ns, |nr, other| {
        let shares = |task: &Arc<Task>| task.try_mm().is_some_and(|theirs| Arc::ptr_eq(&theirs, mm));
        if !Arc::ptr_eq(other, group) && other.threads().iter().any(shares) {
            if nr.0 == 1 {
                may_reap = false;
            } else {
                sharing.push(other.clone());
            }
        }
    });
    for group in &sharing {
        let _ = crate::task::signal::send_to_group(group, SigInfo::kernel(Signal::KILL));
    }
    if may_reap && !sharing.iter().any(|group| Arc::ptr_eq(group, task.group())) {
        mm.reap();
    }
}

/// How long a task has to sleep that charged `pages` while its cgroup or one above was over `memory.high`,
/// in nanoseconds (Linux's `mem_cgroup_handle_over_high`): with the square of the overage, at most two seconds.
pub fn high_delay(memcg: &Arc<MemCgroup>, pages: u32) -> Option<u64> {
    const SHIFT: u32 = 20;
    const SECOND: u64 = 1_000_000_000;
    let mut most = 0u128;
    for at in memcg.self_and_ancestors().filter(|at| !at.is_root()) {
        let (usage, high) = (at.memory.usage(), at.high.load(Ordering::Relaxed));
        if high >= UNLIMITED || usage <= high {
            continue;
        }
        at.event(Event::High);
        most = most.max((u128::from(usage - high) << SHIFT) / u128::from(high.max(1)));
    }
    let delay = (most * most * u128::from(SECOND)) >> (SHIFT + 14);
    let delay = (delay * u128::from(pages) / 64).min(u128::from(2 * SECOND)) as u64;
    // Less is not worth a sleep.
    (delay > SECOND / 100).then_some(delay)
}

impl Mm {
    /// How much memory killing the process would free, in pages, moved by `oom_score_adj` in
    /// thousandths of `total` pages (Linux's `oom_badness`). `None`: never kill it.
    pub fn oom_badness(&self, oom_score_adj: i32, total: u64) -> Option<i64> {
        if oom_score_adj == -1000 || self.core.unstable.load(Ordering::Relaxed) {
            return None;
        }
        let points = self.rss() + self.page_table_bytes() / PAGE_SIZE as u64;
        Some(points as i64 + i64::from(oom_score_adj) * (total / 1000) as i64)
    }

    /// Takes the private memory of a process that is being killed (Linux's `oom_reap_task_mm`,
    /// `process_mrelease(2)`). Its areas stay until it exits; faults fail from now on.
    pub fn reap(&self) {
        let mut state = self.core.lock();
        self.core.unstable.store(true, Ordering::Relaxed);
        let mut gather = Gather::new(&self.core);
        for vma in state.vmas.iter() {
            let keep = VmFlags::PFNMAP | VmFlags::LOCKED;
            if !vma.flags.intersects(keep) && (vma.is_anonymous() || !vma.is_shared()) {
                gather.unmap(vma.start..vma.end);
            }
        }
        drop(gather);
        state.sync_tables(&self.core);
        drop(state);
    }

    /// Whether [`Mm::reap`] was called.
    pub fn is_reaped(&self) -> bool {
        self.core.unstable.load(Ordering::Relaxed)
    }
}
