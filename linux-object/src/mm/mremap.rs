//! `mremap(2)`.

use core::ops::Range;

use smallvec::SmallVec;

use super::addr_space::{Mm, MmCore, MmState, Trash};
use super::gather::Gather;
use super::memory::MmQuota;
use super::mmap::{is_aligned, page_align, user_range};
use super::{MapFlags, VmFlags, Vma};
use crate::cred::Capability;
use crate::error::Result;
use crate::hal::Pte;
use crate::ids::{PAGE_SHIFT, USER_END, UserAddr};
use crate::{bail, ensure};

bitflags::bitflags! {
    /// `MREMAP_*`.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    #[allow(missing_docs)]
    pub struct RemapFlags: u32 {
        const MAYMOVE = 1;
        const FIXED = 2;
        const DONTUNMAP = 4;
    }
}

/// What is to be resized or moved.
struct Remap {
    addr: u64,
    old_len: u64,
    new_len: u64,
    flags: RemapFlags,
}

impl Mm {
    /// `mremap(2)`: returns the new address.
    pub fn mremap(
        &self,
        who: &dyn MmQuota,
        addr: u64,
        old_len: u64,
        new_len: u64,
        flags: u32,
        new_addr: u64,
    ) -> Result<u64> {
        let Some(flags) = RemapFlags::from_bits(flags) else {
            bail!(EINVAL, "mremap: unknown flags")
        };
        let maymove = flags.contains(RemapFlags::MAYMOVE);
        ensure!(
            maymove || !flags.contains(RemapFlags::FIXED),
            EINVAL,
            "MREMAP_FIXED without MREMAP_MAYMOVE"
        );
        ensure!(
            !flags.contains(RemapFlags::DONTUNMAP) || maymove && old_len == new_len,
            EINVAL,
            "MREMAP_DONTUNMAP resizes nothing and moves"
        );
        ensure!(is_aligned(addr), EINVAL, "mremap: address is not page-aligned");
        let (Some(old_len), Some(new_len)) = (page_align(old_len), page_align(new_len)) else {
            bail!(EINVAL, "mremap: beyond all addresses")
        };
        ensure!(new_len != 0, EINVAL, "mremap: no new length");
        let mut remap = Remap {
            addr,
            old_len,
            new_len,
            flags,
        };
        let mut trash = Trash::default();
        let mut state = self.core.lock();
        let result = if flags.intersects(RemapFlags::FIXED | RemapFlags::DONTUNMAP) {
            state.remap_to(self, who, &mut remap, new_addr, &mut trash)
        } else {
            state.remap(self, who, &remap, &mut trash)
        };
        // Locked memory is brought in where it is new.
        if let Ok(at) = result
            && remap.new_len > remap.old_len
            && state
                .vmas
                .containing(at)
                .is_some_and(|vma| vma.flags.contains(VmFlags::LOCKED))
        {
            let _ = state.populate(&self.core, at + remap.old_len..at + remap.new_len, true);
        }
        drop(state);
        result
    }
}

impl MmState {
    fn mapped(&self, addr: u64) -> Result<&Vma> {
        match self.vmas.containing(addr) {
            Some(vma) => Ok(vma),
            None => bail!(EFAULT, "mremap: nothing is mapped there"),
        }
    }

    /// To wherever there is room.
    fn remap(&mut self, mm: &Mm, who: &dyn MmQuota, remap: &Remap, trash: &mut Trash) -> Result<u64> {
        let &Remap {
            addr,
            old_len,
            new_len,
            flags,
        } = remap;
        self.mapped(addr)?;
        if old_len >= new_len {
            if old_len > new_len {
                ensure!(old_len <= USER_END - addr, EINVAL, "mremap: beyond user space");
                self.unmap_range(&mm.core, addr + new_len..addr + old_len, trash)?;
            }
            return Ok(addr);
        }
        self.check_resize(who, remap)?;
        let vma = self.mapped(addr)?.clone();
        let grow = new_len - old_len;
        if old_len == vma.end - addr && self.room_after(vma.end, grow) {
            let promised = if vma.flags.contains(VmFlags::ACCOUNT) {
                grow >> PAGE_SHIFT
            } else {
                0
            };
            ensure!(
                mm.core
                    .memory
                    .commit(promised, who.capable(Capability::SYS_ADMIN)),
                ENOMEM,
                "more than may be promised"
            );
            if let Some(pos) = self.vmas.find(addr) {
                self.vmas.set_range(pos, vma.start, vma.end + grow);
            }
            self.account(vma.flags, grow >> PAGE_SHIFT, true);
            self.merge(vma.start, vma.end + grow, trash);
            trash.keep(vma);
            return Ok(addr);
        }
        trash.keep(vma);
        ensure!(
            flags.contains(RemapFlags::MAYMOVE),
            ENOMEM,
            "mremap: no room to grow and it may not move"
        );
        let to = self.get_unmapped_area(&mm.core, who, 0, new_len, MapFlags::empty())?;
        self.move_area(mm, who, remap, to, trash)
    }

    /// To a given address, or leaving the old range mapped.
    fn remap_to(
        &mut self,
        mm: &Mm,
        who: &dyn MmQuota,
        remap: &mut Remap,
        to: u64,
        trash: &mut Trash,
    ) -> Result<u64> {
        let (addr, new_len, flags) = (remap.addr, remap.new_len, remap.flags);
        self.mapped(addr)?;
        ensure!(is_aligned(to), EINVAL, "mremap: new address is not page-aligned");
        ensure!(
            new_len <= USER_END && to <= USER_END - new_len,
            EINVAL,
            "mremap: the new range is beyond user space"
        );
        let old_end = addr.saturating_add(remap.old_len);
        ensure!(
            old_end <= to || to + new_len <= addr,
            EINVAL,
            "mremap: the ranges overlap"
        );
        // Moving may split and add; Linux wants a little room in advance.
        let max = mm.core.memory.sysctl.max_map_count.get_u64();
        ensure!(
            self.vmas.len() as u64 + 2 < max.saturating_sub(3),
            ENOMEM,
            "vm.max_map_count is nearly reached"
        );
        if flags.contains(RemapFlags::FIXED) {
            let min = mm.core.memory.sysctl.mmap_min_addr.get_u64();
            ensure!(
                to >= min || who.capable(Capability::SYS_RAWIO),
                EPERM,
                "below vm.mmap_min_addr"
            );
            self.unmap_range(&mm.core, to..to + new_len, trash)?;
        }
        if remap.old_len > new_len {
            self.unmap_range(&mm.core, addr + new_len..old_end.min(USER_END), trash)?;
            remap.old_len = new_len;
        }
        self.check_resize(who, remap)?;
        let vma_flags = self.mapped(addr)?.flags;
        if flags.contains(RemapFlags::DONTUNMAP) {
            let fits = self.may_expand(who, vma_flags, remap.old_len >> PAGE_SHIFT);
            ensure!(fits, ENOMEM, "RLIMIT_AS or RLIMIT_DATA is reached");
        }
        let to = if flags.contains(RemapFlags::FIXED) {
            to
        } else {
            self.get_unmapped_area(&mm.core, who, to, new_len, MapFlags::empty())?
        };
        self.move_area(mm, who, remap, to, trash)
    }

    /// Whether the area may change its size so (Linux's `vma_to_resize`).
    fn check_resize(&self, who: &dyn MmQuota, remap: &Remap) -> Result<()> {
        let vma = self.mapped(remap.addr)?;
        let shared = VmFlags::SHARED | VmFlags::MAYSHARE;
        ensure!(
            remap.old_len != 0 || vma.flags.intersects(shared),
            EINVAL,
            "mremap: only shared memory can be mapped twice"
        );
        let special = vma.flags.intersects(VmFlags::DONTEXPAND | VmFlags::PFNMAP);
        ensure!(
            !(special && remap.flags.contains(RemapFlags::DONTUNMAP)),
            EINVAL,
            "MREMAP_DONTUNMAP of a special mapping"
        );
        ensure!(
            remap.old_len <= vma.end - remap.addr,
            EFAULT,
            "mremap: the range crosses areas"
        );
        if remap.new_len == remap.old_len {
            return Ok(());
        }
        let index = vma.index_of(remap.addr);
        ensure!(
            index.checked_add(remap.new_len >> PAGE_SHIFT).is_some(),
            EINVAL,
            "mremap: the file has no such offset"
        );
        ensure!(!special, EFAULT, "mremap: a special mapping keeps its size");
        let grow = remap.new_len.saturating_sub(remap.old_len);
        self.check_locked(who, vma.flags, grow)?;
        let fits = self.may_expand(who, vma.flags, grow >> PAGE_SHIFT);
        ensure!(fits, ENOMEM, "RLIMIT_AS or RLIMIT_DATA is reached");
        Ok(())
    }

    fn room_after(&self, end: u64, grow: u64) -> bool {
        let Some(new_end) = end.checked_add(grow).filter(|&new| new <= USER_END) else {
            return false;
        };
        self.vmas
            .find(end)
            .is_none_or(|next| self.vmas.get(next).start_gap() >= new_end)
    }

    /// Moves pages and area (Linux's `move_vma`). What can fail comes first.
    fn move_area(
        &mut self,
        mm: &Mm,
        who: &dyn MmQuota,
        remap: &Remap,
        to: u64,
        trash: &mut Trash,
    ) -> Result<u64> {
        let core = &*mm.core;
        let &Remap {
            addr,
            old_len,
            new_len,
            flags,
        } = remap;
        let stays = flags.contains(RemapFlags::DONTUNMAP) || old_len == 0;
        let mut new = self.mapped(addr)?.clone();
        new.pgoff = if new.file.is_some() { new.index_of(addr) } else { 0 };
        (new.start, new.end) = (to, to + new_len);
        if stays && let Some(file) = &new.file {
            new.file = Some(file.share()?);
        }
        let max = core.memory.sysctl.max_map_count.get_u64();
        ensure!(
            (self.vmas.len() as u64) < max.saturating_sub(3),
            ENOMEM,
            "vm.max_map_count is nearly reached"
        );
        let grows = if stays { new_len } else { new_len - old_len };
        let promised = if new.flags.contains(VmFlags::ACCOUNT) {
            grows >> PAGE_SHIFT
        } else {
            0
        };
        ensure!(
            core.memory.commit(promised, who.capable(Capability::SYS_ADMIN)),
            ENOMEM,
            "more than may be promised"
        );
        let old = addr..addr + old_len;
        let result = self
            .split(core, old.start)
            .and_then(|()| self.split(core, old.end))
            .and_then(|()| {
                if !stays {
                    // What the part has of its own since the split moves with it.
                    new.file = self.mapped(addr)?.file.clone();
                }
                core.copy_entries(&old, to)
            })
            .and_then(|()| {
                // Not merged yet: the old area must not become a part of it.
                let (flags, pages) = (new.flags, new.pages());
                let inserted = self.vmas.insert(new);
                match inserted {
                    Ok(()) => self.account(flags, pages, true),
                    // They are still at the old place.
                    Err(_) => core.space.unmap(user_range(&(to..to + old_len)), &mut |_, _| {}),
                }
                inserted
            });
        if let Err(error) = result {
            core.memory.uncommit(promised);
            self.merge(old.start, old.end, trash);
            return Err(error);
        }
        // The frames have moved: the old entries go without giving a reference back.
        core.space.unmap(user_range(&old), &mut |_, _| {});
        let mut gather = Gather::new(core);
        gather.touch(old.clone());
        drop(gather);
        if !stays {
            // Its promise went with the pages.
            let pos = self.vmas.find(addr).filter(|_| old_len != 0);
            if let Some(pos) = pos {
                let vma = self.vmas.remove(pos);
                self.account(vma.flags, vma.pages(), false);
                trash.keep(vma);
            }
        } else if let Some(pos) = self.vmas.find(addr).filter(|_| old_len != 0) {
            let vma = self.vmas.get_mut(pos);
            let locked = VmFlags::LOCKED | VmFlags::LOCKONFAULT;
            let (old_flags, pages) = (vma.flags, vma.pages());
            vma.flags -= locked;
            let new_flags = vma.flags;
            self.account(old_flags, pages, false);
            self.account(new_flags, pages, true);
        }
        self.merge(old.start, old.end, trash);
        self.merge(to, to + new_len, trash);
        Ok(to)
    }
}

impl MmCore {
    /// Maps at `to` what is mapped in `from`, without taking references. On an error nothing is.
    fn copy_entries(&self, from: &Range<u64>, to: u64) -> Result<()> {
        const CHUNK: u64 = 256 << PAGE_SHIFT;
        let mut at = from.start;
        while at < from.end {
            let end = from.end.min(at + CHUNK);
            let mut found: SmallVec<[(UserAddr, Pte); 32]> = SmallVec::new();
            let mut room = true;
            self.space.update(user_range(&(at..end)), &mut |page, pte| {
                room &= found.try_reserve(1).is_ok();
                if room {
                    found.push((page, pte));
                }
                None
            });
            let mut result = if room { Ok(()) } else { Err(crate::err!(ENOMEM)) };
            for (page, pte) in found {
                if result.is_ok() {
                    result = self.space.map(UserAddr(page.0 - from.start + to), pte).map(drop);
                }
            }
            if let Err(error) = result {
                let done = to..to + (end - from.start);
                self.space.unmap(user_range(&done), &mut |_, _| {});
                return Err(error);
            }
            at = end;
        }
        Ok(())
    }
}
