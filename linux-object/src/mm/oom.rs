//! Out of memory: whom to kill, and taking its memory at once (Linux's OOM killer and reaper).

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use super::VmFlags;
use super::addr_space::Mm;
use super::gather::Gather;
use crate::ids::PAGE_SIZE;
use crate::kernel::Kernel;
use crate::task::{SigInfo, Signal, Task, ThreadGroup};

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

/// The process whose end frees most, moved by `oom_score_adj`. The first process and those with -1000
/// are never chosen.
pub fn select_victim(kernel: &Kernel) -> Choice {
    let total = kernel.hal.frame_stats().total as u64;
    let mut best: Option<(i64, Victim)> = None;
    let mut busy = false;
    kernel.tasks.for_each_group(&kernel.init_ns.pid_ns, |nr, group| {
        let Some(mm) = group.threads().iter().find_map(|task| task.try_mm()) else {
            return;
        };
        busy |= mm.is_reaped();
        let adj = group.oom_score_adj.load(Ordering::Relaxed);
        if nr.0 == 1 || group.is_exiting() {
            return;
        }
        if let Some(points) = mm.oom_badness(adj, total)
            && best.as_ref().is_none_or(|(most, _)| points > *most)
        {
            let group = group.clone();
            best = Some((points, Victim { group, mm }));
        }
    });
    match best {
        _ if busy => Choice::Wait,
        Some((_, victim)) => Choice::Kill(victim),
        None => Choice::Nobody,
    }
}

/// No page could be had for `task`: kills a process and takes its memory (Linux's `out_of_memory`).
/// The access that failed is to be made again. Called without locks.
pub fn out_of_memory(task: &Arc<Task>) {
    let victim = match select_victim(task.kernel()) {
        Choice::Kill(victim) => Some(victim),
        Choice::Wait => return,
        Choice::Nobody => None,
    };
    // With nobody else left, the one who asked goes.
    let group = victim.as_ref().map_or(task.group(), |victim| &victim.group);
    log::error!(
        "Out of memory: Killed process {} with {} pages",
        group.tgid.global_nr(),
        victim.as_ref().map_or(0, |victim| victim.mm.rss())
    );
    let _ = crate::task::signal::send_to_group(group, SigInfo::kernel(Signal::KILL));
    if let Some(victim) = &victim
        && !Arc::ptr_eq(&victim.group, task.group())
    {
        victim.mm.reap();
    }
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
        let state = self.core.lock();
        self.core.unstable.store(true, Ordering::Relaxed);
        let mut gather = Gather::new(&self.core);
        for vma in state.vmas.iter() {
            let keep = VmFlags::PFNMAP | VmFlags::LOCKED;
            if !vma.flags.intersects(keep) && (vma.is_anonymous() || !vma.is_shared()) {
                gather.unmap(vma.start..vma.end);
            }
        }
        drop(gather);
        drop(state);
    }

    /// Whether [`Mm::reap`] was called.
    pub fn is_reaped(&self) -> bool {
        self.core.unstable.load(Ordering::Relaxed)
    }
}
