//! Taking away everything that one `shmat(2)` mapped (`shmdt(2)`).

use alloc::sync::Arc;

use super::addr_space::{Mm, Trash};
use super::{PageCache, Vma};
use crate::bail;
use crate::error::Result;
use crate::ids::{PAGE_SHIFT, PAGE_SIZE};

/// Whether the area is a part, still in its place, of counted memory that was mapped at `addr`.
fn belongs(vma: &Vma, addr: u64) -> bool {
    let counted = vma.file.as_ref().is_some_and(|file| file.ops.is_some());
    counted && vma.start >= addr && (vma.start - addr) >> PAGE_SHIFT == vma.pgoff
}

impl Mm {
    /// Unmaps what is left of the counted memory that was mapped at `addr`, as Linux finds it: the first area
    /// from there on that is in its place, and the areas of the same memory behind it within its size.
    /// `EINVAL` if there is none.
    pub fn detach(&self, addr: u64) -> Result<()> {
        let mut trash = Trash::default();
        let mut state = self.core.lock();
        let first = state
            .vmas
            .iter_range(addr, u64::MAX)
            .find(|vma| belongs(vma, addr))
            .and_then(|vma| Some((vma.start, vma.end, vma.cache()?.clone())));
        let Some((start, end, cache)) = first else {
            drop(state);
            bail!(EINVAL, "shmdt: nothing is attached there");
        };
        let limit = addr.saturating_add(cache.size().next_multiple_of(PAGE_SIZE as u64));
        let mut result = state.unmap_range(&self.core, start..end, &mut trash);
        let mut from = end;
        while result.is_ok() {
            let next = state
                .vmas
                .iter_range(from, limit)
                .find(|vma| vma.end <= limit && belongs(vma, addr) && maps(vma, &cache))
                .map(|vma| (vma.start, vma.end));
            let Some((start, end)) = next else { break };
            from = end;
            result = state.unmap_range(&self.core, start..end, &mut trash);
        }
        drop(state);
        result
    }
}

fn maps(vma: &Vma, cache: &Arc<PageCache>) -> bool {
    vma.cache().is_some_and(|other| Arc::ptr_eq(other, cache))
}
