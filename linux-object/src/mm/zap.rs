//! Taking pages of a file out of page tables (Linux's `unmap_mapping_range`).

use core::ops::Range;
use core::ptr;

use super::PageCache;
use super::addr_space::MmCore;
use super::gather::Gather;
use super::vma::VmFlags;
use crate::hal::PageFlags;
use crate::ids::{PAGE_SHIFT, PAGE_SIZE, UserAddr};

impl MmCore {
    /// Unmaps pages `range` of `cache`; with `even_cows` private copies too.
    pub fn zap_cache(&self, cache: &PageCache, range: Range<u64>, even_cows: bool) {
        let state = self.lock();
        let mut gather = Gather::new(self);
        for vma in state.vmas.iter() {
            if !vma.cache().is_some_and(|other| ptr::eq(&**other, cache)) {
                continue;
            }
            let first = range.start.max(vma.pgoff);
            let last = range.end.min(vma.pgoff + vma.pages());
            if first >= last {
                continue;
            }
            let at = |index: u64| vma.start + ((index - vma.pgoff) << PAGE_SHIFT);
            let part = at(first)..at(last);
            if even_cows || !vma.flags.contains(VmFlags::HAS_ANON) {
                gather.unmap(part);
                continue;
            }
            // Page by page, since copies stay.
            for page in part.step_by(PAGE_SIZE) {
                let page = UserAddr(page);
                let pte = self.space.query(page);
                if pte.is_some_and(|pte| !pte.flags.contains(PageFlags::ANON)) {
                    gather.unmap(page.0..page.0 + PAGE_SIZE as u64);
                }
            }
        }
        drop(gather);
        drop(state);
    }
}
