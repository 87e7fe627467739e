//! Memory of another process (Linux's `access_remote_vm`), and what futexes ask of an address.

use alloc::sync::Arc;

use super::addr_space::{Fault, Mm};
use super::charge;
use super::{Memory, VmFlags};
use crate::err;
use crate::error::Result;
use crate::hal::{Access, PageFlags};
use crate::ids::{Frame, PAGE_SIZE, UserAddr};
use crate::task::si_code;

/// A page of some process, kept from being freed.
pub struct PinnedPage {
    /// The frame.
    pub frame: Frame,
    counted: bool,
    memory: Arc<Memory>,
}

impl Drop for PinnedPage {
    fn drop(&mut self) {
        if self.counted {
            charge::put_page(&self.memory, self.frame);
        }
    }
}

impl Mm {
    /// The page at `addr`, brought in for reading or writing. With `force`, access that the
    /// mapping does not allow is made as a debugger's would be (`FOLL_FORCE`).
    pub fn pin(&self, addr: u64, write: bool, force: bool) -> Result<PinnedPage, Fault> {
        let page = addr & !(PAGE_SIZE as u64 - 1);
        let mut state = self.core.lock();
        let denied = Fault::Segv(si_code::SEGV_ACCERR);
        let Some(pos) = state
            .vmas
            .find(addr)
            .filter(|&pos| state.vmas.get(pos).start <= addr)
        else {
            return Err(Fault::Segv(si_code::SEGV_MAPERR));
        };
        let flags = state.vmas.get(pos).flags;
        let allowed = match write {
            true if flags.contains(VmFlags::WRITE) => true,
            // Only into a private copy.
            true => force && flags.contains(VmFlags::MAYWRITE) && !flags.contains(VmFlags::SHARED),
            false if flags.contains(VmFlags::READ) => true,
            false => force && flags.contains(VmFlags::MAYREAD),
        };
        if !allowed {
            return Err(denied);
        }
        let space = &self.core.space;
        let pte = match space.query(UserAddr(page)) {
            Some(pte) if !write || pte.flags.contains(PageFlags::WRITE) => Some(pte),
            Some(pte)
                if !flags.contains(VmFlags::WRITE)
                    && pte.flags.contains(PageFlags::ANON)
                    && self.core.frames().frame_refs(pte.frame) == 1 =>
            {
                Some(pte)
            }
            _ => {
                state.fault_page(&self.core, pos, page, write)?;
                space.query(UserAddr(page))
            }
        };
        let pte = pte.ok_or(denied)?;
        let counted = !pte.flags.contains(PageFlags::SPECIAL);
        if counted {
            self.core.frames().get_frame(pte.frame);
        }
        Ok(PinnedPage {
            frame: pte.frame,
            counted,
            memory: self.core.memory.clone(),
        })
    }

    /// Visits the pages of a range in order; stops at one that cannot be had, and fails if it is the
    /// first.
    fn for_pages(
        &self,
        addr: u64,
        len: usize,
        write: bool,
        force: bool,
        mut each: impl FnMut(Frame, usize, core::ops::Range<usize>),
    ) -> Result<usize> {
        let mut done = 0;
        while done < len {
            let Some(at) = addr.checked_add(done as u64) else {
                break;
            };
            let page = match self.pin(at, write, force) {
                Ok(page) => page,
                Err(_) if done > 0 => break,
                Err(Fault::Oom) => return Err(err!(ENOMEM)),
                Err(_) => return Err(err!(EFAULT, "not mapped, or not so")),
            };
            let within = (at % PAGE_SIZE as u64) as usize;
            let part = (len - done).min(PAGE_SIZE - within);
            each(page.frame, within, done..done + part);
            done += part;
        }
        Ok(done)
    }

    /// Reads memory as a debugger would; returns how much. `EFAULT` if nothing can be read.
    pub fn read_remote(&self, addr: UserAddr, buf: &mut [u8]) -> Result<usize> {
        let frames = self.core.frames();
        self.for_pages(addr.0, buf.len(), false, true, |frame, within, part| {
            frames.read_frame(frame, within, &mut buf[part]);
        })
    }

    /// Writes memory as a debugger would; returns how much. `EFAULT` if nothing can be written.
    pub fn write_remote(&self, addr: UserAddr, data: &[u8]) -> Result<usize> {
        let frames = self.core.frames();
        self.for_pages(addr.0, data.len(), true, true, |frame, within, part| {
            frames.write_frame(frame, within, &data[part]);
        })
    }

    /// Fills a part of one page with zeros, as a debugger would.
    pub(crate) fn clear_remote(&self, addr: u64, len: u64) -> Result<()> {
        let frames = self.core.frames();
        self.for_pages(addr, len as usize, true, true, |frame, within, part| {
            frames.zero_frame(frame, within, part.len());
        })
        .map(drop)
    }

    /// Where a shared futex at `addr` is: the page cache's id and the offset in bytes. `None`: in
    /// private memory of this address space. `EFAULT` if nothing is mapped.
    pub fn futex_key(&self, addr: UserAddr) -> Result<Option<(u64, u64)>> {
        let state = self.core.lock();
        let Some(vma) = state.vmas.containing(addr.0) else {
            return Err(err!(EFAULT, "futex: not mapped"));
        };
        let shared = vma.flags.contains(VmFlags::MAYSHARE);
        let within = addr.0 % PAGE_SIZE as u64;
        Ok(vma
            .cache()
            .filter(|_| shared)
            .map(|cache| (cache.id(), vma.index_of(addr.0) * PAGE_SIZE as u64 + within)))
    }

    /// Whether an access would be allowed by the areas (not whether the page can be had).
    pub fn allows(&self, addr: UserAddr, access: Access) -> bool {
        let state = self.core.lock();
        state.vmas.containing(addr.0).is_some_and(|vma| match access {
            Access::Read => vma.flags.accessible(),
            Access::Write => vma.flags.contains(VmFlags::WRITE),
            Access::Exec => vma.flags.contains(VmFlags::EXEC),
        })
    }
}
