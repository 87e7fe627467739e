//! What is known about each page: `/proc/PID/{pagemap,clear_refs,numa_maps}`
//! (`Documentation/admin-guide/mm/pagemap.rst`, `proc(5)`).
//!
//! *Not here:* the soft-dirty bit (55), which reads as 0; writing 4 to `clear_refs` is refused.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use super::addr_space::Mm;
use super::mmap::user_range;
use super::{VmFlags, Vma};
use crate::fs::OpenFile;
use crate::hal::{PageFlags, Pte};
use crate::ids::PAGE_SHIFT;

/// Bytes of an entry.
pub const PAGEMAP_ENTRY: u64 = 8;
/// The page is in a table.
const PRESENT: u64 = 1 << 63;
/// It is a page of a file or of shared memory.
const FILE: u64 = 1 << 61;
/// Only this entry maps it.
const EXCLUSIVE: u64 = 1 << 56;

/// What `/proc/PID/numa_maps` tells of an area, in pages.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)]
pub struct NumaUsage {
    pub pages: u64,
    pub anon: u64,
    pub dirty: u64,
    /// The most entries that map one of them.
    pub mapmax: u64,
}

/// Whose references [`Mm::clear_refs`] clears.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Clear {
    /// Of all areas.
    All,
    /// Of those without a file.
    Anonymous,
    /// Of those with one.
    Mapped,
}

impl Mm {
    /// How many entries map a page that is not [`PageFlags::SPECIAL`].
    fn maps(&self, pte: Pte) -> u64 {
        // The page cache's own reference is no mapping.
        let own = u64::from(!pte.flags.contains(PageFlags::ANON));
        let refs = u64::from(self.core.frames().frame_refs(pte.frame));
        refs.saturating_sub(own).max(1)
    }

    /// The entries of `/proc/PID/pagemap` for the pages from `start` on, all of which are user addresses. Frame numbers
    /// are for those who may know.
    pub fn pagemap(&self, start: u64, out: &mut [u64], show_frames: bool) {
        out.fill(0);
        let range = start..start + ((out.len() as u64) << PAGE_SHIFT);
        let _state = self.core.lock();
        self.core.space.update(user_range(&range), &mut |at, pte| {
            let mut entry = PRESENT;
            if show_frames {
                entry |= u64::from(pte.frame.0);
            }
            if !pte.flags.contains(PageFlags::SPECIAL) {
                if !pte.flags.contains(PageFlags::ANON) {
                    entry |= FILE;
                }
                if self.maps(pte) == 1 {
                    entry |= EXCLUSIVE;
                }
            }
            out[((at.0 - start) >> PAGE_SHIFT) as usize] = entry;
            None
        });
    }

    /// Forgets which pages were used. CPUs may not notice before they look into the tables again, as in Linux.
    pub fn clear_refs(&self, which: Clear) {
        let state = self.core.lock();
        for vma in state.vmas.iter() {
            let wanted = match which {
                Clear::All => true,
                Clear::Anonymous => vma.file.is_none(),
                Clear::Mapped => vma.file.is_some(),
            };
            if wanted && !vma.flags.contains(VmFlags::PFNMAP) {
                let range = user_range(&(vma.start..vma.end));
                self.core
                    .space
                    .update(range, &mut |_, pte| Some(pte.flags - PageFlags::ACCESSED));
            }
        }
    }

    /// The most pages that were resident are those that are now (`VmHWM`).
    pub fn reset_rss_peak(&self) {
        self.core.rss_peak.store(0, Ordering::Relaxed);
    }

    /// What is resident of an area.
    pub fn numa_usage(&self, vma: &Vma) -> NumaUsage {
        let mut usage = NumaUsage::default();
        let _state = self.core.lock();
        let range = user_range(&(vma.start..vma.end));
        self.core.space.update(range, &mut |_, pte| {
            if pte.flags.contains(PageFlags::SPECIAL) {
                return None;
            }
            let anon = pte.flags.contains(PageFlags::ANON);
            usage.pages += 1;
            usage.anon += u64::from(anon);
            usage.dirty += u64::from(anon || pte.flags.contains(PageFlags::DIRTY));
            usage.mapmax = usage.mapmax.max(self.maps(pte));
            None
        });
        usage
    }

    /// The file of the area with exactly these ends, and what the area allows.
    pub fn mapped_file(&self, start: u64, end: u64) -> Option<(Arc<OpenFile>, VmFlags)> {
        let state = self.core.lock();
        let vma = state.vmas.get(state.vmas.find(start)?);
        if (vma.start, vma.end) != (start, end) {
            return None;
        }
        let file = vma.file.as_ref()?.file.clone()?;
        Some((file, vma.flags))
    }

    /// The first area with a file that begins at `from` or above.
    pub fn next_mapped(&self, from: u64) -> Option<(u64, u64)> {
        let state = self.core.lock();
        let mut areas = state.vmas.iter_range(from, crate::ids::USER_END);
        let found = areas
            .find(|vma| vma.start >= from && vma.file.as_ref().is_some_and(|mapped| mapped.file.is_some()))?;
        Some((found.start, found.end))
    }
}
