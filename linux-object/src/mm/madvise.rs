//! `madvise(2)`.
//!
//! There is no swap, so `MADV_FREE`, `MADV_COLD` and `MADV_PAGEOUT` check what Linux checks and
//! leave the pages in place, which all three allow.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

use super::addr_space::{Mm, MmState, Trash};
use super::gather::Gather;
use super::mmap::{is_aligned, page_align};
use super::populate::{Populate, Wanted};
use super::{VmFile, VmFlags, Vma};
use crate::error::Result;
use crate::ids::PAGE_SHIFT;
use crate::{bail, ensure, err};

/// `MADV_*`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Advice {
    Normal = 0,
    Random = 1,
    Sequential = 2,
    WillNeed = 3,
    DontNeed = 4,
    Free = 8,
    Remove = 9,
    DontFork = 10,
    DoFork = 11,
    HugePage = 14,
    NoHugePage = 15,
    DontDump = 16,
    DoDump = 17,
    WipeOnFork = 18,
    KeepOnFork = 19,
    Cold = 20,
    PageOut = 21,
    PopulateRead = 22,
    PopulateWrite = 23,
    DontNeedLocked = 24,
}

impl Advice {
    /// The advice with this number.
    pub fn from_number(number: i32) -> Option<Advice> {
        use Advice::*;
        [
            Normal,
            Random,
            Sequential,
            WillNeed,
            DontNeed,
            Free,
            Remove,
            DontFork,
            DoFork,
            HugePage,
            NoHugePage,
            DontDump,
            DoDump,
            WipeOnFork,
            KeepOnFork,
            Cold,
            PageOut,
            PopulateRead,
            PopulateWrite,
            DontNeedLocked,
        ]
        .into_iter()
        .find(|&advice| advice as i32 == number)
    }
}

impl Mm {
    /// `madvise(2)`, but for bringing pages in. `ENOMEM` if a part is not mapped; the rest is done nevertheless.
    pub fn madvise(&self, addr: u64, len: u64, advice: i32) -> Result<Populate> {
        let Some(advice) = Advice::from_number(advice) else {
            bail!(EINVAL, "madvise: unknown advice")
        };
        ensure!(is_aligned(addr), EINVAL, "madvise: address is not page-aligned");
        let end = page_align(len).filter(|&rounded| len == 0 || rounded != 0);
        let Some(end) = end.and_then(|len| addr.checked_add(len)) else {
            bail!(EINVAL, "madvise: beyond all addresses")
        };
        if end == addr {
            return Ok(Populate::nothing());
        }
        let done = match advice {
            Advice::PopulateRead => return Ok(Populate::new(addr..end, Wanted::Read)),
            Advice::PopulateWrite => return Ok(Populate::new(addr..end, Wanted::Write)),
            Advice::Remove => self.madvise_remove(addr..end),
            _ => {
                let mut trash = Trash::default();
                let mut state = self.core.lock();
                let whole = match advice {
                    Advice::DontNeed
                    | Advice::DontNeedLocked
                    | Advice::Free
                    | Advice::Cold
                    | Advice::PageOut
                    | Advice::WillNeed => self.advise_pages(&mut state, addr..end, advice),
                    _ => state.change_flags(&self.core, addr..end, &mut trash, |vma| new_flags(vma, advice)),
                };
                drop(state);
                whole.and_then(|whole| {
                    ensure!(whole, ENOMEM, "madvise: a part is not mapped");
                    Ok(())
                })
            }
        };
        done.map(|()| Populate::nothing())
    }

    fn advise_pages(&self, state: &mut MmState, range: Range<u64>, advice: Advice) -> Result<bool> {
        let mut gather = Gather::new(&self.core);
        let mut at = range.start;
        let mut whole = true;
        for vma in state.vmas.iter_range(range.start, range.end) {
            whole &= vma.start <= at;
            let part = vma.start.max(range.start)..vma.end.min(range.end);
            at = part.end;
            let mut fixed = VmFlags::PFNMAP;
            fixed.set(VmFlags::LOCKED, advice != Advice::DontNeedLocked);
            if advice == Advice::WillNeed {
                continue;
            }
            ensure!(
                !vma.flags.intersects(fixed),
                EINVAL,
                "madvise: locked or special memory"
            );
            match advice {
                Advice::Free => ensure!(vma.is_anonymous(), EINVAL, "MADV_FREE of a file"),
                Advice::DontNeed | Advice::DontNeedLocked => gather.unmap(part),
                _ => {}
            }
        }
        Ok(whole && at >= range.end)
    }

    /// Punches holes into the files behind the range.
    fn madvise_remove(&self, range: Range<u64>) -> Result<()> {
        let mut files: Vec<(Arc<VmFile>, Range<u64>)> = Vec::new();
        let mut whole = true;
        let mut result = Ok(());
        {
            let state = self.core.lock();
            let mut at = range.start;
            for vma in state.vmas.iter_range(range.start, range.end) {
                whole &= vma.start <= at;
                let part = vma.start.max(range.start)..vma.end.min(range.end);
                at = part.end;
                let needed = VmFlags::SHARED | VmFlags::WRITE;
                result = match &vma.file {
                    _ if vma.flags.contains(VmFlags::LOCKED) => Err(err!(EINVAL, "MADV_REMOVE: locked")),
                    None => Err(err!(EINVAL, "MADV_REMOVE: no file")),
                    Some(_) if !vma.flags.contains(needed) => {
                        Err(err!(EACCES, "MADV_REMOVE: not shared and writable"))
                    }
                    Some(file) => {
                        let start = vma.index_of(part.start) << PAGE_SHIFT;
                        files.push((file.clone(), start..start + (part.end - part.start)));
                        Ok(())
                    }
                };
                if result.is_err() {
                    break;
                }
            }
            whole &= at >= range.end || result.is_err();
        }
        for (file, range) in files {
            const PUNCH_HOLE_KEEP_SIZE: u32 = 3;
            match &file.file {
                Some(opened) => {
                    let len = range.end - range.start;
                    opened.inode.fallocate(PUNCH_HOLE_KEEP_SIZE, range.start, len)?;
                }
                None => {
                    if let Some(cache) = file.cache() {
                        cache.punch_hole(range);
                    }
                }
            }
        }
        result?;
        ensure!(whole, ENOMEM, "madvise: a part is not mapped");
        Ok(())
    }
}

fn new_flags(vma: &Vma, advice: Advice) -> Result<VmFlags> {
    let flags = vma.flags;
    let special = flags.intersects(VmFlags::DONTEXPAND | VmFlags::PFNMAP);
    let readahead = VmFlags::SEQ_READ | VmFlags::RAND_READ;
    Ok(match advice {
        Advice::Normal => flags - readahead,
        Advice::Sequential => (flags - readahead) | VmFlags::SEQ_READ,
        Advice::Random => (flags - readahead) | VmFlags::RAND_READ,
        Advice::DontFork => flags | VmFlags::DONTCOPY,
        Advice::DoFork => flags - VmFlags::DONTCOPY,
        Advice::DontDump => flags | VmFlags::DONTDUMP,
        Advice::DoDump => {
            ensure!(!special, EINVAL, "MADV_DODUMP of a special mapping");
            flags - VmFlags::DONTDUMP
        }
        Advice::WipeOnFork => {
            ensure!(
                vma.is_anonymous() && !flags.contains(VmFlags::SHARED),
                EINVAL,
                "MADV_WIPEONFORK is for private anonymous memory"
            );
            flags | VmFlags::WIPEONFORK
        }
        Advice::KeepOnFork => flags - VmFlags::WIPEONFORK,
        Advice::HugePage => {
            ensure!(!special, EINVAL, "MADV_HUGEPAGE of a special mapping");
            (flags - VmFlags::NOHUGEPAGE) | VmFlags::HUGEPAGE
        }
        Advice::NoHugePage => (flags - VmFlags::HUGEPAGE) | VmFlags::NOHUGEPAGE,
        _ => flags,
    })
}
