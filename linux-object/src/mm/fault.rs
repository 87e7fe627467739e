//! Page faults (Linux's `handle_mm_fault`).

use alloc::sync::Arc;
use core::ops::Range;

use super::addr_space::{Fault, Mm, MmCore, MmState};
use super::charge::{self, PageKind};
use super::gather::Gather;
use super::memcg::{Item, MemCgroup};
use super::memory::MmQuota;
use super::vma::STACK_GUARD_GAP;
use super::vma_tree::Pos;
use super::{PageCache, VmFlags, VmSource};
use crate::cred::Capability;
use crate::hal::{Access, PageFlags, Pte};
use crate::ids::{Frame, PAGE_SHIFT, PAGE_SIZE, UserAddr};
use crate::task::si_code;

/// Pages that a read fault on a file maps at once, if they are in the cache.
const FAULT_AROUND: u64 = 16;

impl Mm {
    /// Serves a fault at `addr`. `who` is asked only when a stack must grow.
    pub fn handle_fault(&self, who: &dyn MmQuota, addr: UserAddr, access: Access) -> Result<(), Fault> {
        let mut state = self.core.lock();
        self.core.memory.control.count_event(&state.memcg, Item::Faults);
        state.fault(&self.core, who, addr.0, access)
    }
}

impl MmState {
    /// Serves a fault, under the lock.
    pub fn fault(
        &mut self,
        core: &MmCore,
        who: &dyn MmQuota,
        addr: u64,
        access: Access,
    ) -> Result<(), Fault> {
        let Some(pos) = self.vmas.find(addr) else {
            return Err(Fault::Segv(si_code::SEGV_MAPERR));
        };
        let vma = self.vmas.get(pos);
        if vma.start > addr {
            if !vma.flags.contains(VmFlags::GROWSDOWN) {
                return Err(Fault::Segv(si_code::SEGV_MAPERR));
            }
            self.expand_stack(core, who, pos, addr)?;
        }
        let flags = self.vmas.get(pos).flags;
        let allowed = match access {
            Access::Read => flags.accessible(),
            Access::Write => flags.contains(VmFlags::WRITE),
            Access::Exec => flags.contains(VmFlags::EXEC),
        };
        if !allowed {
            return Err(Fault::Segv(si_code::SEGV_ACCERR));
        }
        if core.unstable.load(core::sync::atomic::Ordering::Relaxed) {
            return Err(Fault::Bus(si_code::BUS_ADRERR));
        }
        let done = self.fault_page(core, pos, addr & !(PAGE_SIZE as u64 - 1), access == Access::Write);
        self.sync_tables(core);
        done
    }

    /// Makes the page at `at`, which the area allows to touch so, present and if asked writable.
    /// Also used to write where the area does not allow it (`/proc/PID/mem`); the page is
    /// then the process's own but its entry stays read-only.
    pub fn fault_page(&mut self, core: &MmCore, pos: Pos, at: u64, write: bool) -> Result<(), Fault> {
        let prot = self.vmas.get(pos).flags.page_flags();
        let own = PageFlags::ANON | PageFlags::ACCESSED | PageFlags::DIRTY;
        let page = UserAddr(at);
        let entry = core.space.lookup(page).or_else(|missing| {
            let charged = self.charge_missing_tables(core, missing);
            charged.map(|()| None).map_err(|_| Fault::Oom)
        })?;
        let vma = self.vmas.get_mut(pos);
        if let Some(pte) = entry {
            if !write || pte.flags.contains(PageFlags::WRITE) {
                // Another thread was faster, or the CPU had an old entry.
                return Ok(());
            }
            if !vma.flags.contains(VmFlags::SHARED) {
                vma.flags |= VmFlags::HAS_ANON;
                return core.copy_on_write(page, pte, prot | own, &self.memcg);
            }
            if let Some(cache) = vma.cache() {
                core.note_mapped_write(cache);
            }
            let flags = pte.flags | prot | PageFlags::DIRTY | PageFlags::ACCESSED;
            return core.replace(page, Pte { flags, ..pte });
        }
        let Some(file) = &vma.file else {
            if !write {
                let flags = PageFlags::SPECIAL | PageFlags::ACCESSED | (prot - PageFlags::WRITE);
                let frame = core.frames().zero_page();
                return core.set(page, Pte { frame, flags });
            }
            vma.flags |= VmFlags::HAS_ANON;
            let frame = core.new_anon(true, &self.memcg)?;
            return core.set(
                page,
                Pte {
                    frame,
                    flags: prot | own,
                },
            );
        };
        let index = vma.pgoff + ((at - vma.start) >> PAGE_SHIFT);
        let cache = match &file.source {
            VmSource::Cache(cache) => cache,
            VmSource::Frames(frames) => {
                let frame = usize::try_from(index)
                    .ok()
                    .and_then(|index| frames.frames().get(index));
                let frame = *frame.ok_or(Fault::Bus(si_code::BUS_ADRERR))?;
                let prot = if vma.is_shared() {
                    prot
                } else {
                    prot - PageFlags::WRITE
                };
                let flags = prot | PageFlags::SPECIAL | PageFlags::ACCESSED;
                core.set(page, Pte { frame, flags })?;
                return if write && !vma.is_shared() {
                    self.fault_page(core, pos, at, true)
                } else {
                    Ok(())
                };
            }
        };
        let frame = cache.fault_page(index, &self.memcg)?;
        let source = Pte {
            frame,
            flags: PageFlags::empty(),
        };
        if vma.is_shared() {
            if write {
                core.note_mapped_write(cache);
            }
            let flags = prot | PageFlags::ACCESSED | PageFlags::DIRTY;
            return core.set(page, Pte { frame, flags });
        }
        if write {
            vma.flags |= VmFlags::HAS_ANON;
            let copy = core.new_anon(false, &self.memcg);
            if let Ok(copy) = copy {
                core.frames().copy_frame(frame, copy);
            }
            core.put_pte(source);
            let flags = prot | own;
            return core.set(page, Pte { frame: copy?, flags });
        }
        let flags = (prot - PageFlags::WRITE) | PageFlags::ACCESSED;
        core.set(page, Pte { frame, flags })?;
        // Neighbours in the cache come along.
        let first = (at & !((FAULT_AROUND << PAGE_SHIFT) - 1)).max(vma.start);
        let end = (first | ((FAULT_AROUND << PAGE_SHIFT) - 1))
            .wrapping_add(1)
            .min(vma.end);
        let (start, pgoff) = (vma.start, vma.pgoff);
        core.fault_around(cache, first..end, pgoff + ((first - start) >> PAGE_SHIFT), flags);
        Ok(())
    }

    /// Lets the stack grow down to `addr` (Linux's `expand_downwards`).
    fn expand_stack(&mut self, core: &MmCore, who: &dyn MmQuota, pos: Pos, addr: u64) -> Result<(), Fault> {
        let denied = Err(Fault::Segv(si_code::SEGV_MAPERR));
        let vma = self.vmas.get(pos);
        let (start, end, flags) = (vma.start, vma.end, vma.flags);
        let new_start = addr & !(PAGE_SIZE as u64 - 1);
        if new_start < core.memory.sysctl.mmap_min_addr.get_u64() {
            return denied;
        }
        if let Some(prev) = self.vmas.prev(pos) {
            let prev = self.vmas.get(prev);
            // Nothing accessible may come closer than the guard gap, but another stack.
            let gap = new_start.saturating_sub(prev.end);
            let close = gap < STACK_GUARD_GAP && prev.flags.accessible();
            if prev.end > new_start || close && !prev.flags.contains(VmFlags::GROWSDOWN) {
                return denied;
            }
        }
        let grow = (start - new_start) >> PAGE_SHIFT;
        let stack_limit = who.limit_stack();
        if end - new_start > stack_limit || !self.may_expand(who, flags, grow) {
            return denied;
        }
        if flags.contains(VmFlags::LOCKED) {
            let locked = (self.counts.locked + grow) << PAGE_SHIFT;
            if locked > who.limit_memlock() && !who.capable(Capability::IPC_LOCK) {
                return denied;
            }
        }
        if flags.contains(VmFlags::ACCOUNT) && !core.memory.commit(grow, who.capable(Capability::SYS_ADMIN)) {
            return denied;
        }
        self.vmas.set_range(pos, new_start, end);
        self.account(flags, grow, true);
        Ok(())
    }

    /// Whether `pages` more fit the limits (Linux's `may_expand_vm`).
    pub fn may_expand(&self, who: &dyn MmQuota, flags: VmFlags, pages: u64) -> bool {
        let fits = |count: u64, limit: u64| count.saturating_add(pages) <= limit >> PAGE_SHIFT;
        fits(self.counts.total, who.limit_as())
            && (!flags.is_data() || fits(self.counts.data, who.limit_data()))
    }
}

impl MmCore {
    fn new_anon(&self, zeroed: bool, memcg: &Arc<MemCgroup>) -> Result<Frame, Fault> {
        charge::alloc_page(&self.memory, PageKind::Anon, zeroed, memcg).map_err(|_| Fault::Oom)
    }

    /// Maps a page where none was; takes over the reference.
    fn set(&self, page: UserAddr, pte: Pte) -> Result<(), Fault> {
        match self.space.map(page, pte) {
            Ok(old) => {
                debug_assert!(old.is_none(), "a page was mapped over another");
                self.count_mapped(pte);
                Ok(())
            }
            Err(_) => {
                self.put_pte(pte);
                Err(Fault::Oom)
            }
        }
    }

    /// Changes the flags of a page that is mapped: more is allowed, so no TLB needs to hear of it.
    fn replace(&self, page: UserAddr, pte: Pte) -> Result<(), Fault> {
        self.space.map(page, pte).map(drop).map_err(|_| Fault::Oom)
    }

    /// Makes a private page writable: as it is, if nobody else has it, or a copy.
    fn copy_on_write(
        &self,
        page: UserAddr,
        old: Pte,
        flags: PageFlags,
        memcg: &Arc<MemCgroup>,
    ) -> Result<(), Fault> {
        if old.flags.contains(PageFlags::ANON) && self.frames().frame_refs(old.frame) == 1 {
            return self.replace(page, Pte { flags, ..old });
        }
        let zero = old.flags.contains(PageFlags::SPECIAL) && old.frame == self.frames().zero_page();
        let frame = self.new_anon(zero, memcg)?;
        if !zero {
            self.frames().copy_frame(old.frame, frame);
        }
        let new = Pte { frame, flags };
        if self.space.map(page, new).is_err() {
            self.put_pte(new);
            return Err(Fault::Oom);
        }
        self.count_mapped(new);
        let mut gather = Gather::new(self);
        gather.take(page.0, old);
        Ok(())
    }

    /// Maps pages of `range` that the cache has and the page tables have not, `index` being the page
    /// of the file at its start.
    fn fault_around(&self, cache: &PageCache, range: Range<u64>, index: u64, flags: PageFlags) {
        let pages = (range.end - range.start) >> PAGE_SHIFT;
        let mut present = 0u64;
        self.space
            .update(UserAddr(range.start)..UserAddr(range.end), &mut |at, _| {
                present |= 1 << ((at.0 - range.start) >> PAGE_SHIFT);
                None
            });
        cache.for_present(index..index + pages, |found, frame| {
            let n = found - index;
            let pte = Pte {
                frame,
                flags: flags - PageFlags::ACCESSED,
            };
            if present & 1 << n != 0 {
                self.put_pte(pte);
            } else {
                // Without memory for a table the page is just not there yet.
                let _ = self.set(UserAddr(range.start + (n << PAGE_SHIFT)), pte);
            }
        });
    }

    /// Notes the time of a write through a mapping, for the file's mtime.
    fn note_mapped_write(&self, cache: &PageCache) {
        cache.note_mapped_write(self.memory.time.realtime_coarse());
    }
}
