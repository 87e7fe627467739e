//! Pages on their way out (Linux's `mmu_gather`).
//!
//! A frame that left the page tables may still be in a TLB, so it is freed only after a flush.
//! A [`Gather`] collects frames, flushes once for many, then frees. It works without memory for its
//! list, just more slowly.

use core::ops::Range;

use smallvec::SmallVec;

use super::addr_space::MmCore;
use crate::hal::Pte;
use crate::ids::{PAGE_SHIFT, UserAddr};

/// Frames that are freed with one flush.
const BATCH: u64 = 8192;
const INLINE: usize = 32;

/// Collects what is unmapped. Used under the `Mm` lock.
pub(super) struct Gather<'a> {
    core: &'a MmCore,
    ptes: SmallVec<[Pte; INLINE]>,
    dirty: Option<Range<u64>>,
}

impl<'a> Gather<'a> {
    pub fn new(core: &'a MmCore) -> Gather<'a> {
        Gather {
            core,
            ptes: SmallVec::new(),
            dirty: None,
        }
    }

    /// Removes every entry of the range.
    pub fn unmap(&mut self, range: Range<u64>) {
        self.core.note_peak();
        let mut start = range.start;
        while start < range.end {
            let pages = self.make_room((range.end - start) >> PAGE_SHIFT);
            let end = start + (pages << PAGE_SHIFT);
            let (core, ptes) = (self.core, &mut self.ptes);
            let before = ptes.len();
            core.space.unmap(UserAddr(start)..UserAddr(end), &mut |_, pte| {
                core.count_unmapped(pte);
                ptes.push(pte);
            });
            if self.ptes.len() > before {
                self.touch(start..end);
            }
            start = end;
        }
    }

    /// Takes an entry that was removed or replaced already.
    pub fn take(&mut self, at: u64, pte: Pte) {
        self.make_room(1);
        self.core.count_unmapped(pte);
        self.ptes.push(pte);
        self.touch(at..at + (1 << PAGE_SHIFT));
    }

    /// Notes that old entries of the range may be in a TLB.
    pub fn touch(&mut self, range: Range<u64>) {
        self.dirty = Some(match self.dirty.take() {
            None => range,
            Some(old) => old.start.min(range.start)..old.end.max(range.end),
        });
    }

    /// Makes room for at least one entry; returns for how many of `pages`.
    fn make_room(&mut self, pages: u64) -> u64 {
        let want = pages.min(BATCH) as usize;
        if self.ptes.len() + want > BATCH as usize {
            self.flush();
        }
        if self.ptes.try_reserve(want).is_err() && self.ptes.len() == self.ptes.capacity() {
            self.flush();
        }
        ((self.ptes.capacity() - self.ptes.len()) as u64).min(pages)
    }

    /// Flushes the TLBs and frees what was collected.
    pub fn flush(&mut self) {
        if let Some(range) = self.dirty.take() {
            self.core.space.flush(UserAddr(range.start)..UserAddr(range.end));
        }
        for pte in self.ptes.drain(..) {
            self.core.put_pte(pte);
        }
    }
}

impl Drop for Gather<'_> {
    fn drop(&mut self) {
        self.flush();
    }
}
