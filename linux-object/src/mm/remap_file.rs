//! `remap_file_pages(2)`: other pages of a file in the middle of a mapping of it.
//!
//! As in Linux since 4.0, each call leaves an area of its own, as `mmap(2)` would.

use alloc::sync::Arc;

use super::addr_space::{Mm, Trash};
use super::memory::MmQuota;
use super::mmap::is_aligned;
use super::populate::{Populate, Wanted};
use super::{MAX_FILE_SIZE, VmFile, VmFlags, Vma};
use crate::error::Result;
use crate::ids::{PAGE_SHIFT, PAGE_SIZE};
use crate::{bail, ensure};

/// Whether both map the same open file, or the same shared memory.
fn same_file(a: &VmFile, b: &VmFile) -> bool {
    let same_cache = match (a.cache(), b.cache()) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        _ => false,
    };
    let same_open = match (&a.file, &b.file) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        (None, None) => true,
        _ => false,
    };
    same_cache && same_open
}

impl Mm {
    /// Maps the pages of the file from `pgoff` on at `start`, where areas of that file are. `EINVAL` for what is not
    /// shared, or is more than one file or gap, `ENOMEM`.
    pub fn remap_file_pages(&self, who: &dyn MmQuota, start: u64, size: u64, pgoff: u64) -> Result<Populate> {
        const MASK: u64 = !(PAGE_SIZE as u64 - 1);
        let (start, size) = (start & MASK, size & MASK);
        let end = start.checked_add(size).filter(|&end| end > start);
        let (Some(end), Some(last)) = (end, pgoff.checked_add(size >> PAGE_SHIFT)) else {
            bail!(EINVAL, "remap_file_pages: beyond all addresses, or nothing")
        };
        ensure!(
            last <= MAX_FILE_SIZE >> PAGE_SHIFT,
            EOVERFLOW,
            "remap_file_pages: beyond all files"
        );
        debug_assert!(is_aligned(start));
        let mut trash = Trash::default();
        let mut state = self.core.lock();
        let Some(vma) = state.vmas.containing(start) else {
            bail!(EINVAL, "remap_file_pages: nothing is mapped there")
        };
        let file = vma.file.clone().filter(|_| vma.flags.contains(VmFlags::SHARED));
        let Some(file) = file else {
            bail!(EINVAL, "remap_file_pages: not a shared mapping")
        };
        let flags = vma.flags;
        let mut at = start;
        for next in state.vmas.iter_range(start, end) {
            let like = next.file.as_ref().is_some_and(|other| same_file(&file, other));
            ensure!(
                next.start <= at && like && next.flags == flags,
                EINVAL,
                "remap_file_pages: not one mapping"
            );
            at = next.end;
        }
        ensure!(at >= end, EINVAL, "remap_file_pages: not one mapping");
        let vma = Vma {
            start,
            end,
            flags,
            pgoff,
            file: Some(file.share()?),
            policy: None,
        };
        drop(file);
        state.add_area(&self.core, who, vma, &mut trash)?;
        drop(state);
        Ok(Populate::new(start..end, Wanted::Lenient))
    }
}
