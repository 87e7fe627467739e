//! `mincore(2)` and `msync(2)`.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::addr_space::Mm;
use super::mmap::{is_aligned, page_align};
use super::{VmFile, VmFlags};
use crate::error::Result;
use crate::ids::{PAGE_SHIFT, UserAddr};
use crate::{bail, ensure};

const MS_ASYNC: u32 = 1;
const MS_INVALIDATE: u32 = 2;
const MS_SYNC: u32 = 4;

impl Mm {
    /// `mincore(2)` for the pages from `addr` on, one byte each. `ENOMEM` at a page that is not mapped.
    pub fn mincore(&self, addr: u64, out: &mut [u8]) -> Result<()> {
        let state = self.core.lock();
        let end = addr + ((out.len() as u64) << PAGE_SHIFT);
        let mut at = addr;
        for vma in state.vmas.iter_range(addr, end) {
            ensure!(vma.start <= at, ENOMEM, "mincore: a part is not mapped");
            let part = at..vma.end.min(end);
            let slots = &mut out[((part.start - addr) >> PAGE_SHIFT) as usize..]
                [..((part.end - part.start) >> PAGE_SHIFT) as usize];
            match vma.cache() {
                None => slots.fill(0),
                Some(cache) => {
                    for (n, slot) in slots.iter_mut().enumerate() {
                        *slot = u8::from(cache.is_present(vma.index_of(part.start) + n as u64));
                    }
                }
            }
            let start = part.start;
            let range = UserAddr(part.start)..UserAddr(part.end);
            self.core.space.update(range, &mut |page, _| {
                slots[((page.0 - start) >> PAGE_SHIFT) as usize] = 1;
                None
            });
            at = part.end;
        }
        ensure!(at >= end, ENOMEM, "mincore: a part is not mapped");
        Ok(())
    }

    /// `msync(2)`. Mappings and files share their pages, so only what the file system itself has to do
    /// is left: `sync` is called for each file of a shared mapping with `MS_SYNC`.
    pub fn msync(
        &self,
        addr: u64,
        len: u64,
        flags: u32,
        mut sync: impl FnMut(&VmFile) -> Result<()>,
    ) -> Result<()> {
        ensure!(
            flags & !(MS_ASYNC | MS_INVALIDATE | MS_SYNC) == 0,
            EINVAL,
            "msync: unknown flags"
        );
        ensure!(is_aligned(addr), EINVAL, "msync: address is not page-aligned");
        ensure!(
            flags & (MS_ASYNC | MS_SYNC) != MS_ASYNC | MS_SYNC,
            EINVAL,
            "MS_ASYNC and MS_SYNC"
        );
        let Some(end) = page_align(len).and_then(|len| addr.checked_add(len)) else {
            bail!(ENOMEM, "msync: beyond all addresses")
        };
        if addr == end {
            return Ok(());
        }
        let mut files: Vec<Arc<VmFile>> = Vec::new();
        let (mut at, mut whole) = (addr, true);
        {
            let state = self.core.lock();
            for vma in state.vmas.iter_range(addr, end) {
                whole &= vma.start <= at;
                at = vma.end;
                ensure!(
                    flags & MS_INVALIDATE == 0 || !vma.flags.contains(VmFlags::LOCKED),
                    EBUSY,
                    "MS_INVALIDATE of locked memory"
                );
                if flags & MS_SYNC != 0 && vma.is_shared() {
                    files.extend(vma.file.clone());
                }
            }
        }
        for file in files {
            sync(&file)?;
        }
        ensure!(whole && at >= end, ENOMEM, "msync: a part is not mapped");
        Ok(())
    }
}
