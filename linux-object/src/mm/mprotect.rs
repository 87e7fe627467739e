//! `mprotect(2)`, and changing the flags of a range in general.

use core::ops::Range;

use super::addr_space::{Mm, MmCore, MmState, Trash};
use super::gather::Gather;
use super::memory::MmQuota;
use super::mmap::{is_aligned, page_align, user_range};
use super::{Prot, VmFlags, Vma};
use crate::cred::Capability;
use crate::error::Result;
use crate::hal::PageFlags;
use crate::{bail, ensure};

impl Mm {
    /// `mprotect(2)`.
    pub fn mprotect(&self, who: &dyn MmQuota, addr: u64, len: u64, prot: u32) -> Result<()> {
        let grows = Prot::GROWSDOWN | Prot::GROWSUP;
        let all = Prot::from_bits_retain(prot);
        ensure!(!all.contains(grows), EINVAL, "PROT_GROWSDOWN and PROT_GROWSUP");
        ensure!(is_aligned(addr), EINVAL, "mprotect: address is not page-aligned");
        if len == 0 {
            return Ok(());
        }
        let end = page_align(len)
            .and_then(|len| addr.checked_add(len))
            .filter(|&end| end > addr);
        let Some(end) = end else {
            bail!(ENOMEM, "mprotect: beyond all addresses")
        };
        let known = Prot::READ | Prot::WRITE | Prot::EXEC | Prot::SEM | grows;
        ensure!(known.contains(all), EINVAL, "mprotect: unknown access");
        let mut access = VmFlags::from_prot(all);
        let mut trash = Trash::default();
        let mut state = self.core.lock();
        let mut start = addr;
        let Some(first) = state.vmas.find(start).map(|pos| state.vmas.get(pos)) else {
            bail!(ENOMEM, "mprotect: not mapped")
        };
        if all.contains(Prot::GROWSDOWN) {
            ensure!(first.start < end, ENOMEM, "mprotect: not mapped");
            start = first.start;
            ensure!(
                first.flags.contains(VmFlags::GROWSDOWN),
                EINVAL,
                "PROT_GROWSDOWN: does not grow"
            );
        } else {
            ensure!(first.start <= start, ENOMEM, "mprotect: not mapped");
            ensure!(
                !all.contains(Prot::GROWSUP),
                EINVAL,
                "PROT_GROWSUP: does not grow"
            );
        }
        // READ_IMPLIES_EXEC, where the area may be executed at all.
        let implied = who.personality() & 0x40_0000 != 0 && access.contains(VmFlags::READ);
        let changed = state.protect(&self.core, who, start..end, &mut trash, |old| {
            access.set(
                VmFlags::EXEC,
                all.contains(Prot::EXEC) || implied && old.contains(VmFlags::MAYEXEC),
            );
            access
        });
        drop(state);
        changed
    }
}

impl MmState {
    fn protect(
        &mut self,
        core: &MmCore,
        who: &dyn MmQuota,
        range: Range<u64>,
        trash: &mut Trash,
        mut access: impl FnMut(VmFlags) -> VmFlags,
    ) -> Result<()> {
        let mut gather = Gather::new(core);
        let mut at = range.start;
        let result = loop {
            if at >= range.end {
                break Ok(());
            }
            let Some(vma) = self.vmas.find(at).map(|pos| self.vmas.get(pos)) else {
                break Err(crate::err!(ENOMEM, "mprotect: not mapped"));
            };
            if vma.start > at {
                break Err(crate::err!(ENOMEM, "mprotect: not mapped"));
            }
            let old = vma.flags;
            let part = at..vma.end.min(range.end);
            let mut new = (old - VmFlags::ACCESS) | access(old);
            let may = VmFlags::from_bits_retain(new.bits() >> 4) & VmFlags::ACCESS;
            if !may.contains(new & VmFlags::ACCESS) {
                break Err(crate::err!(EACCES, "mprotect: more than the mapping allows"));
            }
            if new != old {
                let pages = (part.end - part.start) >> crate::ids::PAGE_SHIFT;
                let mut promised = 0;
                if new.contains(VmFlags::WRITE) {
                    if !self.may_expand(who, new, pages) && self.may_expand(who, old, pages) {
                        break Err(crate::err!(ENOMEM, "RLIMIT_DATA is reached"));
                    }
                    let counted = VmFlags::ACCOUNT | VmFlags::WRITE | VmFlags::SHARED | VmFlags::NORESERVE;
                    if !old.intersects(counted) {
                        promised = pages;
                        new |= VmFlags::ACCOUNT;
                    }
                }
                if !core.memory.commit(promised, who.capable(Capability::SYS_ADMIN)) {
                    break Err(crate::err!(ENOMEM, "more than may be promised"));
                }
                if let Err(error) = self.set_flags(core, &part, new) {
                    core.memory.uncommit(promised);
                    break Err(error);
                }
                self.protect_pages(core, &part, new, &mut gather);
                let fill = VmFlags::LOCKED | VmFlags::WRITE;
                if new.contains(fill) && !old.contains(VmFlags::WRITE) && !new.contains(VmFlags::SHARED) {
                    let _ = self.populate(core, part.clone(), true);
                }
            }
            at = part.end;
        };
        drop(gather);
        self.merge(range.start, at, trash);
        result
    }

    /// Sets page-table entries to what an area with `flags` allows.
    fn protect_pages(&self, core: &MmCore, range: &Range<u64>, flags: VmFlags, gather: &mut Gather<'_>) {
        let prot = flags.page_flags();
        let access = PageFlags::READ | PageFlags::WRITE | PageFlags::EXEC;
        let mut less = false;
        core.space.update(user_range(range), &mut |_, pte| {
            let mut new = (pte.flags - access) | prot;
            // A page that is not the process's alone is copied at the next write.
            let own = pte.flags.contains(PageFlags::ANON)
                && (pte.flags.contains(PageFlags::WRITE) || core.frames().frame_refs(pte.frame) == 1);
            if !flags.contains(VmFlags::SHARED) && !own {
                new -= PageFlags::WRITE;
            }
            less |= !new.contains(pte.flags & access);
            (new != pte.flags).then_some(new)
        });
        if less {
            gather.touch(range.clone());
        }
    }

    /// Gives `range`, which lies in one area, these flags, splitting the area.
    pub fn set_flags(&mut self, core: &MmCore, range: &Range<u64>, flags: VmFlags) -> Result<()> {
        self.split(core, range.start)?;
        self.split(core, range.end)?;
        if let Some(pos) = self.vmas.find(range.start) {
            let vma = self.vmas.get_mut(pos);
            let (old, pages) = (vma.flags, vma.pages());
            vma.flags = flags;
            self.account(old, pages, false);
            self.account(flags, pages, true);
        }
        Ok(())
    }

    /// Changes the flags of every area in the range; `change` sees the area as it is. Returns
    /// whether all of the range is mapped.
    pub fn change_flags(
        &mut self,
        core: &MmCore,
        range: Range<u64>,
        trash: &mut Trash,
        mut change: impl FnMut(&Vma) -> Result<VmFlags>,
    ) -> Result<bool> {
        let (mut at, mut whole) = (range.start, true);
        let result = loop {
            if at >= range.end {
                break Ok(());
            }
            let Some(vma) = self.vmas.find(at).map(|pos| self.vmas.get(pos)) else {
                whole = false;
                break Ok(());
            };
            if vma.start > at {
                whole = false;
                at = vma.start;
                continue;
            }
            let part = at..vma.end.min(range.end);
            let new = match change(vma) {
                Ok(new) => new,
                Err(error) => break Err(error),
            };
            if new != vma.flags
                && let Err(error) = self.set_flags(core, &part, new)
            {
                break Err(error);
            }
            at = part.end;
        };
        self.merge(range.start, at, trash);
        result.map(|()| whole)
    }
}
