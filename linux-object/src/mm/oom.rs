//! Out of memory: whom to kill, and taking its memory at once (Linux's OOM killer and reaper).

use core::sync::atomic::Ordering;

use super::VmFlags;
use super::addr_space::Mm;
use super::gather::Gather;
use crate::ids::PAGE_SIZE;

impl Mm {
    /// How much memory killing the process would free, in pages, moved by `oom_score_adj` in
    /// thousandths of `total` pages (Linux's `oom_badness`). `None`: never kill it.
    pub fn oom_badness(&self, oom_score_adj: i16, total: u64) -> Option<i64> {
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
