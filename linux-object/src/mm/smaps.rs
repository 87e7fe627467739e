//! Figures of `/proc/PID/{maps,smaps,smaps_rollup}`.

use super::addr_space::{Mm, MmLayout};
use super::mmap::user_range;
use super::{VmFlags, Vma};
use crate::hal::PageFlags;
use crate::ids::PAGE_SIZE;

/// Bytes resident in a range (`proc(5)`).
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)]
pub struct Smaps {
    pub rss: u64,
    /// In 4096ths of a byte, so that shares of small pages add up.
    pub pss: u64,
    pub shared_clean: u64,
    pub shared_dirty: u64,
    pub private_clean: u64,
    pub private_dirty: u64,
    pub referenced: u64,
    pub anonymous: u64,
    /// Pages of files; all our files are kept in memory as shmem is.
    pub file: u64,
    pub locked: u64,
}

impl Vma {
    /// What `/proc/PID/maps` shows for an area without a file.
    pub fn special_name(&self, layout: &MmLayout) -> Option<&'static str> {
        match &self.file {
            Some(file) if file.file.is_some() => None,
            Some(file) => Some(file.name),
            None if self.start <= layout.brk
                && self.end >= layout.start_brk
                && layout.brk > layout.start_brk =>
            {
                Some("[heap]")
            }
            None if self.start <= layout.start_stack && self.end >= layout.start_stack => Some("[stack]"),
            None => None,
        }
    }
}

impl Mm {
    /// Adds up what is resident of an area.
    pub fn smaps(&self, vma: &Vma) -> Smaps {
        const PAGE: u64 = PAGE_SIZE as u64;
        let mut sums = Smaps::default();
        let _state = self.core.lock();
        let frames = self.core.frames();
        self.core
            .space
            .update(user_range(&(vma.start..vma.end)), &mut |_, pte| {
                if pte.flags.contains(PageFlags::SPECIAL) {
                    return None;
                }
                let anon = pte.flags.contains(PageFlags::ANON);
                // The page cache's own reference is no mapping.
                let maps = u64::from(frames.frame_refs(pte.frame))
                    .saturating_sub(u64::from(!anon))
                    .max(1);
                let dirty = anon || pte.flags.contains(PageFlags::DIRTY);
                sums.rss += PAGE;
                sums.pss += PAGE * 4096 / maps;
                *match (maps > 1, dirty) {
                    (true, false) => &mut sums.shared_clean,
                    (true, true) => &mut sums.shared_dirty,
                    (false, false) => &mut sums.private_clean,
                    (false, true) => &mut sums.private_dirty,
                } += PAGE;
                if anon {
                    sums.anonymous += PAGE;
                } else {
                    sums.file += PAGE;
                }
                if pte.flags.contains(PageFlags::ACCESSED) {
                    sums.referenced += PAGE;
                }
                None
            });
        if vma.flags.contains(VmFlags::LOCKED) {
            sums.locked = sums.pss / 4096;
        }
        sums
    }
}
