//! Killing a process for its memory, and taking that memory at once (Linux's `oom_kill_process` and its reaper).

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use super::choice::{Victim, for_each_process};
use crate::ids::PAGE_SIZE;
use crate::mm::gather::Gather;
use crate::mm::memcg::{Event, MemCgroup};
use crate::mm::{Mm, VmFlags};
use crate::task::{SigInfo, Signal, Task, ThreadGroup};

/// Kills the victim, and with `memory.oom.group` everybody in the uppermost cgroup that has it set and is not
/// above `domain`.
pub(super) fn kill(task: &Arc<Task>, victim: &Victim, message: &str, domain: Option<&Arc<MemCgroup>>) {
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
    let leader = group.find_thread(|task| Some(task.clone()));
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
    let mut sharing = alloc::vec![group.clone()];
    let mut may_reap = true;
    kernel.tasks.for_each_group(&kernel.init_ns.pid_ns, |nr, other| {
        let shares = |task: &Arc<Task>| task.try_mm().filter(|theirs| Arc::ptr_eq(theirs, mm));
        if !Arc::ptr_eq(other, group) && other.find_thread(shares).is_some() {
            if nr.0 == 1 {
                may_reap = false;
            } else {
                sharing.push(other.clone());
            }
        }
    });
    // An address space that stays is nothing to wait for.
    if may_reap {
        mm.mark_oom_victim();
    }
    for group in &sharing {
        // Not even the v1 freezer keeps it.
        group.thaw_for_ever();
        let _ = crate::task::signal::send_to_group(group, SigInfo::kernel(Signal::KILL));
    }
    if may_reap && !sharing.iter().any(|group| Arc::ptr_eq(group, task.group())) {
        mm.reap();
    }
}

impl Mm {
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
