//! `mmap(2)`, `munmap(2)`, `brk(2)`: making and removing areas.
//!
//! A request is checked as a whole before anything changes. Neighbouring areas that are alike become
//! one, and areas are split where a request covers a part of them, both as in Linux.

use alloc::sync::Arc;
use core::ops::Range;

use super::addr_space::{Mm, MmCore, MmState, Trash};
use super::gather::Gather;
use super::memory::MmQuota;
use super::populate::{Populate, Wanted};
use super::{FrameSet, MapFlags, MapRequest, PageCache, Prot, Seals, VmFile, VmFlags, VmOps, VmSource, Vma};
use crate::cred::Capability;
use crate::error::Result;
use crate::fs::{MapSource, OpenFile, may_exec_on};
use crate::ids::{PAGE_SHIFT, PAGE_SIZE, USER_END, UserAddr};
use crate::{bail, ensure};

const PAGE: u64 = PAGE_SIZE as u64;
/// Name of the data pages of the vDSO.
pub(crate) const VVAR: &str = "[vvar]";
/// `READ_IMPLIES_EXEC` of `personality(2)`.
const READ_IMPLIES_EXEC: u32 = 0x40_0000;

/// Rounds up to whole pages; `None` on overflow.
pub(super) fn page_align(len: u64) -> Option<u64> {
    Some(len.checked_add(PAGE - 1)? & !(PAGE - 1))
}

pub(super) fn is_aligned(addr: u64) -> bool {
    addr.is_multiple_of(PAGE)
}

/// A request whose arguments are checked, and what it takes to make the area.
struct Checked {
    len: u64,
    flags: VmFlags,
    source: Option<VmSource>,
    file: Option<Arc<OpenFile>>,
    name: &'static str,
    ops: Option<Arc<dyn VmOps>>,
    pgoff: u64,
    populate: bool,
}

impl Mm {
    /// `mmap(2)`: returns the address.
    pub fn mmap(&self, who: &dyn MmQuota, request: &MapRequest) -> Result<u64> {
        let (addr, todo) = self.mmap_unpopulated(who, request)?;
        let _ = self.populate(todo);
        Ok(addr)
    }

    /// Likewise; leaves to the caller what `MAP_POPULATE` and `MAP_LOCKED` bring in.
    pub fn mmap_unpopulated(&self, who: &dyn MmQuota, request: &MapRequest) -> Result<(u64, Populate)> {
        let mut request = request.clone();
        let checked = self.check(who, &mut request)?;
        let populate = checked.populate;
        let len = checked.len;
        let mut trash = Trash::default();
        let mut state = self.core.lock();
        let max = self.core.memory.sysctl.max_map_count.get_u64();
        ensure!(
            state.vmas.len() as u64 <= max,
            ENOMEM,
            "vm.max_map_count is reached"
        );
        state.charge_area(&self.core)?;
        let addr = state.get_unmapped_area(&self.core, who, request.addr, len, request.flags)?;
        if request.flags.contains(MapFlags::FIXED_NOREPLACE) {
            let taken = state.vmas.iter_range(addr, addr + len).next().is_some();
            ensure!(!taken, EEXIST, "MAP_FIXED_NOREPLACE: something is mapped there");
        }
        let flags = checked.flags | state.def_flags;
        state.check_locked(who, flags, len)?;
        let file = match checked.source {
            None => None,
            Some(source) => {
                let shared = flags.contains(VmFlags::SHARED | VmFlags::MAYWRITE);
                Some(match checked.ops {
                    None => VmFile::new(self.weak(), source, checked.file, checked.name, shared)?,
                    ops => VmFile::counted(self.weak(), source, checked.file, shared, ops)?,
                })
            }
        };
        let vma = Vma {
            start: addr,
            end: addr + len,
            flags,
            pgoff: checked.pgoff,
            file,
            policy: None,
        };
        let locked = state.add_area(&self.core, who, vma, &mut trash)?;
        drop(state);
        let todo = if locked || populate {
            Populate::new(addr..addr + len, Wanted::Lenient)
        } else {
            Populate::nothing()
        };
        Ok((addr, todo))
    }

    /// Maps frames that are not counted, for the vDSO. The caller chose a free address with
    /// [`Mm::free_address`].
    pub(crate) fn map_special(
        &self,
        addr: u64,
        frames: Arc<FrameSet>,
        prot: Prot,
        name: &'static str,
    ) -> Result<()> {
        let mut trash = Trash::default();
        let len = (frames.frames().len() * PAGE_SIZE) as u64;
        let source = VmSource::Frames(frames);
        let file = VmFile::new(self.weak(), source, None, name, false)?;
        let flags = VmFlags::from_prot(prot)
            | VmFlags::MAYREAD
            | VmFlags::MAYEXEC
            | VmFlags::DONTEXPAND
            | VmFlags::PFNMAP;
        let vma = Vma {
            start: addr,
            end: addr + len,
            flags,
            pgoff: 0,
            file: Some(file),
            policy: None,
        };
        let mut state = self.core.lock();
        let added = state.add_area(&self.core, &super::memory::Unlimited, vma, &mut trash);
        drop(state);
        added.map(drop)
    }

    /// Replaces the data pages of the vDSO: the process entered a time namespace
    /// ([`Vdso::vvar_for`](crate::loader::Vdso::vvar_for)).
    pub fn set_vvar(&self, frames: Arc<FrameSet>) -> Result<()> {
        let mut trash = Trash::default();
        let file = VmFile::new(self.weak(), VmSource::Frames(frames), None, VVAR, false)?;
        let mut state = self.core.lock();
        let found = state
            .vmas
            .iter()
            .find(|vma| vma.file.as_ref().is_some_and(|file| file.name == VVAR));
        let start = found.map(|vma| vma.start);
        if let Some(pos) = start.and_then(|start| state.vmas.find(start)) {
            let vma = state.vmas.get_mut(pos);
            let old = Vma {
                file: vma.file.replace(file),
                policy: None,
                ..*vma
            };
            Gather::new(&self.core).unmap(old.start..old.end);
            trash.keep(old);
        }
        drop(state);
        Ok(())
    }

    /// Maps the stack of a new program.
    pub(crate) fn map_stack(&self, who: &dyn MmQuota, range: Range<u64>, exec: bool) -> Result<()> {
        let mut trash = Trash::default();
        let mut flags = VmFlags::READ | VmFlags::WRITE | VmFlags::GROWSDOWN | VmFlags::ACCOUNT;
        flags |= VmFlags::MAYREAD | VmFlags::MAYWRITE | VmFlags::MAYEXEC;
        flags.set(VmFlags::EXEC, exec || who.personality() & READ_IMPLIES_EXEC != 0);
        let vma = Vma {
            start: range.start,
            end: range.end,
            flags,
            pgoff: 0,
            file: None,
            policy: None,
        };
        let mut state = self.core.lock();
        let added = state.add_area(&self.core, who, vma, &mut trash);
        drop(state);
        added.map(drop)
    }

    /// The end of the highest area that grows downwards: the stack of a new program.
    pub(crate) fn stack_end(&self) -> u64 {
        let state = self.core.lock();
        let stacks = state
            .vmas
            .iter()
            .filter(|vma| vma.flags.contains(VmFlags::GROWSDOWN));
        stacks.last().map_or(USER_END, |vma| vma.end)
    }

    /// An address where `len` bytes are free, `hint` if possible.
    pub(crate) fn free_address(&self, who: &dyn MmQuota, hint: u64, len: u64) -> Result<u64> {
        let mut state = self.core.lock();
        state.get_unmapped_area(&self.core, who, hint, len, MapFlags::empty())
    }

    /// What can be checked without the lock, in Linux's order as far as it can be told apart.
    fn check(&self, who: &dyn MmQuota, request: &mut MapRequest) -> Result<Checked> {
        let MapRequest { prot, flags, .. } = *request;
        ensure!(
            is_aligned(request.offset),
            EINVAL,
            "mmap: offset is not page-aligned"
        );
        ensure!(
            !flags.contains(MapFlags::HUGETLB),
            EINVAL,
            "MAP_HUGETLB: there are no huge pages"
        );
        ensure!(request.len != 0, EINVAL, "mmap: no length");
        let noexec = request.file.as_ref().is_some_and(|file| path_noexec(file));
        let mut prot = prot;
        if prot.contains(Prot::READ) && who.personality() & READ_IMPLIES_EXEC != 0 && !noexec {
            prot |= Prot::EXEC;
        }
        if flags.contains(MapFlags::FIXED_NOREPLACE) {
            request.flags |= MapFlags::FIXED;
        }
        let Some(len) = page_align(request.len) else {
            bail!(ENOMEM, "mmap: the length is beyond all addresses")
        };
        let mut pgoff = request.offset >> PAGE_SHIFT;
        let mut vm_flags = VmFlags::from_prot(prot) | VmFlags::MAYREAD | VmFlags::MAYWRITE | VmFlags::MAYEXEC;
        vm_flags.set(VmFlags::GROWSDOWN, flags.contains(MapFlags::GROWSDOWN));
        vm_flags.set(VmFlags::LOCKED, flags.contains(MapFlags::LOCKED));
        if flags.contains(MapFlags::LOCKED) {
            ensure!(
                who.limit_memlock() != 0 || who.capable(Capability::IPC_LOCK),
                EPERM,
                "MAP_LOCKED: RLIMIT_MEMLOCK is 0"
            );
        }
        let memory = &self.core.memory;
        if flags.contains(MapFlags::NORESERVE) && memory.sysctl.overcommit_memory.get() != 2 {
            vm_flags |= VmFlags::NORESERVE;
        }
        let (mut source, mut file, mut name, mut vm_ops) = (None, None, "", None);
        let kind = flags.bits() & 0xf;
        match &request.file {
            Some(opened) => {
                let pages = len >> PAGE_SHIFT;
                ensure!(
                    pgoff
                        .checked_add(pages)
                        .is_some_and(|end| end <= 1 << (63 - PAGE_SHIFT)),
                    EOVERFLOW,
                    "mmap: the offset is beyond the largest file"
                );
                let mode = opened.flags();
                match kind {
                    1 | 3 => {
                        // LEGACY_MAP_MASK: what MAP_SHARED never complained about.
                        const LEGACY: u32 = 0x7_f973 | 31 << 26;
                        ensure!(
                            kind == 1 || flags.bits() & !(LEGACY | 3) == 0,
                            EOPNOTSUPP,
                            "MAP_SHARED_VALIDATE: unknown flags"
                        );
                        ensure!(
                            mode.writable() || !prot.contains(Prot::WRITE),
                            EACCES,
                            "mmap: a writable shared mapping of a file not open for writing"
                        );
                        vm_flags |= VmFlags::SHARED | VmFlags::MAYSHARE;
                        if !mode.writable() {
                            vm_flags -= VmFlags::MAYWRITE | VmFlags::SHARED;
                        }
                    }
                    2 => {}
                    _ => bail!(EINVAL, "mmap: neither private nor shared"),
                }
                ensure!(mode.readable(), EACCES, "mmap: the file is not open for reading");
                if noexec {
                    ensure!(!prot.contains(Prot::EXEC), EPERM, "mmap: the mount is noexec");
                    vm_flags -= VmFlags::MAYEXEC;
                }
                let mapped = match &opened.ops {
                    Some(ops) => ops.mmap(opened)?,
                    None => match opened.inode.page_cache() {
                        Some(cache) => MapSource::Cache(cache),
                        None => bail!(ENODEV, "mmap: the file cannot be mapped"),
                    },
                };
                ensure!(
                    !vm_flags.contains(VmFlags::GROWSDOWN),
                    EINVAL,
                    "MAP_GROWSDOWN of a file"
                );
                match mapped {
                    MapSource::Cache(cache) => {
                        let sealed = cache.seals().intersects(Seals::WRITE | Seals::FUTURE_WRITE);
                        if sealed && vm_flags.contains(VmFlags::SHARED) {
                            ensure!(!prot.contains(Prot::WRITE), EPERM, "mmap: sealed against writes");
                            vm_flags -= VmFlags::MAYWRITE;
                        }
                        source = Some(VmSource::Cache(cache));
                        file = Some(opened.clone());
                    }
                    MapSource::Counted(cache, ops) => {
                        source = Some(VmSource::Cache(cache));
                        file = Some(opened.clone());
                        vm_ops = Some(ops);
                    }
                    MapSource::Frames(frames) => {
                        vm_flags |= VmFlags::PFNMAP | VmFlags::DONTEXPAND;
                        source = Some(VmSource::Frames(FrameSet::new(frames)));
                        file = Some(opened.clone());
                    }
                    MapSource::Anonymous if vm_flags.contains(VmFlags::SHARED) => {
                        source = Some(VmSource::Cache(self.shared_anonymous(len)?));
                        (name, pgoff) = ("/dev/zero (deleted)", 0);
                    }
                    MapSource::Anonymous => pgoff = 0,
                }
            }
            None => match kind {
                1 => {
                    ensure!(
                        !flags.contains(MapFlags::GROWSDOWN),
                        EINVAL,
                        "MAP_GROWSDOWN of shared memory"
                    );
                    vm_flags |= VmFlags::SHARED | VmFlags::MAYSHARE;
                    source = Some(VmSource::Cache(self.shared_anonymous(len)?));
                    (name, pgoff) = ("/dev/zero (deleted)", 0);
                }
                2 => pgoff = 0,
                _ => bail!(EINVAL, "mmap: neither private nor shared"),
            },
        }
        if vm_flags.accountable() {
            vm_flags |= VmFlags::ACCOUNT;
        }
        let populate = flags.contains(MapFlags::POPULATE) && !flags.contains(MapFlags::NONBLOCK);
        Ok(Checked {
            len,
            flags: vm_flags,
            source,
            file,
            name,
            ops: vm_ops,
            pgoff,
            populate,
        })
    }

    /// The file without a name behind shared anonymous memory.
    fn shared_anonymous(&self, len: u64) -> Result<Arc<PageCache>> {
        ensure!(len <= USER_END, ENOMEM, "mmap: more than all addresses");
        let memory = &self.core.memory;
        // An obvious overcommit, as `shmem_file_setup` would find it.
        ensure!(
            memory.sysctl.overcommit_memory.get() == 1
                || len >> PAGE_SHIFT <= memory.hal.frame_stats().total as u64,
            ENOMEM,
            "shared memory of more than all memory"
        );
        let cache = PageCache::with(memory, None);
        cache.truncate(len)?;
        Ok(cache)
    }

    /// `munmap(2)`.
    pub fn munmap(&self, addr: u64, len: u64) -> Result<()> {
        ensure!(is_aligned(addr), EINVAL, "munmap: address is not page-aligned");
        let end = page_align(len)
            .and_then(|len| addr.checked_add(len))
            .filter(|&end| end <= USER_END && end > addr);
        let Some(end) = end else {
            bail!(EINVAL, "munmap: no length or beyond user space")
        };
        let mut trash = Trash::default();
        let mut state = self.core.lock();
        let unmapped = state.unmap_range(&self.core, addr..end, &mut trash);
        drop(state);
        unmapped
    }

    /// `brk(2)`: returns the new end of the heap, or the old one if it cannot be moved.
    pub fn brk(&self, who: &dyn MmQuota, addr: u64) -> u64 {
        let mut trash = Trash::default();
        let mut state = self.core.lock();
        let layout = state.layout;
        let moved = state.move_brk(&self.core, who, addr, &mut trash);
        drop(state);
        match moved {
            Ok(()) => addr,
            Err(_) => layout.brk,
        }
    }
}

/// Whether programs on the mount of this file cannot be executed.
fn path_noexec(file: &OpenFile) -> bool {
    !may_exec_on(&file.path)
}

impl MmState {
    /// Chooses the address of a new area (Linux's `get_unmapped_area`).
    pub fn get_unmapped_area(
        &mut self,
        core: &MmCore,
        who: &dyn MmQuota,
        addr: u64,
        len: u64,
        flags: MapFlags,
    ) -> Result<u64> {
        ensure!(len <= USER_END, ENOMEM, "longer than user space");
        let min = core.memory.sysctl.mmap_min_addr.get_u64();
        if flags.contains(MapFlags::FIXED) {
            ensure!(addr <= USER_END - len, ENOMEM, "beyond the end of user space");
            ensure!(is_aligned(addr), EINVAL, "MAP_FIXED: address is not page-aligned");
            ensure!(
                addr >= min || who.capable(Capability::SYS_RAWIO),
                EPERM,
                "below vm.mmap_min_addr"
            );
            return Ok(addr);
        }
        let layout = self.layout;
        let low_half = flags.contains(MapFlags::_32BIT);
        let (low, high) = if low_half {
            (0x4000_0000, 0x8000_0000)
        } else {
            (layout.mmap_legacy_base.max(min), USER_END)
        };
        // A hint below the lowest address means the lowest address.
        let hint = match page_align(addr) {
            Some(hint) if addr != 0 => hint.max(page_align(min).unwrap_or(min)),
            _ => 0,
        };
        if hint != 0 && hint <= high && high - hint >= len && self.is_free(hint, len) {
            return Ok(hint);
        }
        let found = if low_half || layout.legacy {
            self.vmas.find_gap_bottomup(len, low, high)
        } else {
            let base = if layout.mmap_base == 0 {
                USER_END
            } else {
                layout.mmap_base
            };
            let found = self
                .vmas
                .find_gap_topdown(len, page_align(min).unwrap_or(PAGE).max(PAGE), base);
            // Nothing below the base: above it there may be room.
            found.or_else(|| self.vmas.find_gap_bottomup(len, low, high))
        };
        match found {
            Some(addr) => Ok(addr),
            None => bail!(ENOMEM, "no gap of this length"),
        }
    }

    /// Whether nothing is mapped there, nor a stack guarded.
    fn is_free(&self, addr: u64, len: u64) -> bool {
        match self.vmas.find(addr) {
            Some(pos) => self.vmas.get(pos).start_gap() >= addr + len,
            None => true,
        }
    }

    /// `RLIMIT_MEMLOCK` for `len` bytes more (Linux's `mlock_future_check`).
    pub fn check_locked(&self, who: &dyn MmQuota, flags: VmFlags, len: u64) -> Result<()> {
        if flags.contains(VmFlags::LOCKED) {
            let locked = (self.counts.locked << PAGE_SHIFT).saturating_add(len);
            ensure!(
                locked <= who.limit_memlock() || who.capable(Capability::IPC_LOCK),
                EAGAIN,
                "RLIMIT_MEMLOCK is reached"
            );
        }
        Ok(())
    }

    /// Puts an area in the place of whatever is there (Linux's `mmap_region`). Returns whether its
    /// pages are to be brought in because it is locked.
    pub fn add_area(
        &mut self,
        core: &MmCore,
        who: &dyn MmQuota,
        mut vma: Vma,
        trash: &mut Trash,
    ) -> Result<bool> {
        let covered: u64 = self
            .vmas
            .iter_range(vma.start, vma.end)
            .map(|old| (old.end.min(vma.end) - old.start.max(vma.start)) >> PAGE_SHIFT)
            .sum();
        let fits = self.may_expand(who, vma.flags, vma.pages() - covered);
        ensure!(fits, ENOMEM, "RLIMIT_AS or RLIMIT_DATA is reached");
        if vma.flags.contains(VmFlags::PFNMAP) {
            vma.flags -= VmFlags::LOCKED | VmFlags::LOCKONFAULT;
        }
        let locked = vma.flags.contains(VmFlags::LOCKED) && !vma.flags.contains(VmFlags::LOCKONFAULT);
        let promised = if vma.flags.contains(VmFlags::ACCOUNT) {
            vma.pages()
        } else {
            0
        };
        ensure!(
            core.memory.commit(promised, who.capable(Capability::SYS_ADMIN)),
            ENOMEM,
            "more than may be promised (vm.overcommit_memory)"
        );
        let (flags, pages) = (vma.flags, vma.pages());
        let added = match covered {
            0 => Ok(()),
            _ => self.unmap_range(core, vma.start..vma.end, trash),
        };
        let added = added.and_then(|()| self.insert_merged(vma, trash));
        match added {
            Ok(()) => self.account(flags, pages, true),
            Err(_) => core.memory.uncommit(promised),
        }
        added.map(|()| locked)
    }

    /// Puts an area into a gap, as a part of its neighbours where it is like them.
    pub fn insert_merged(&mut self, vma: Vma, trash: &mut Trash) -> Result<()> {
        let next = self.vmas.find(vma.start);
        let prev = match next {
            Some(next) => self.vmas.prev(next),
            None => self.vmas.last(),
        };
        let with_next = next.filter(|&next| vma.can_merge(self.vmas.get(next)));
        let with_prev = prev.filter(|&prev| self.vmas.get(prev).can_merge(&vma));
        if let Some(prev) = with_prev {
            let old = self.vmas.get_mut(prev);
            old.flags |= vma.flags;
            let (start, mut end) = (old.start, vma.end);
            if let Some(next) = with_next {
                let next = self.vmas.remove(next);
                end = next.end;
                self.vmas.get_mut(prev).flags |= next.flags;
                trash.keep(next);
            }
            self.vmas.set_range(prev, start, end);
            trash.keep(vma);
            Ok(())
        } else if let Some(next) = with_next {
            let old = self.vmas.get_mut(next);
            old.flags |= vma.flags;
            old.pgoff = vma.pgoff;
            let end = old.end;
            self.vmas.set_range(next, vma.start, end);
            trash.keep(vma);
            Ok(())
        } else {
            self.vmas.insert(vma)
        }
    }

    /// Makes `at` a border between areas (Linux's `split_vma`).
    pub fn split(&mut self, core: &MmCore, at: u64) -> Result<()> {
        let Some(pos) = self.vmas.find(at) else {
            return Ok(());
        };
        if self.vmas.get(pos).start >= at {
            return Ok(());
        }
        let max = core.memory.sysctl.max_map_count.get_u64();
        ensure!(
            (self.vmas.len() as u64) < max,
            ENOMEM,
            "vm.max_map_count is reached"
        );
        self.charge_area(core)?;
        self.split_uncounted(at)
    }

    /// Likewise, where a part goes away and the number of areas does not grow.
    fn split_uncounted(&mut self, at: u64) -> Result<()> {
        let Some(pos) = self.vmas.find(at) else {
            return Ok(());
        };
        let vma = self.vmas.get(pos);
        if vma.start >= at {
            return Ok(());
        }
        let (start, end, tail) = (vma.start, vma.end, vma.tail(at)?);
        self.vmas.set_range(pos, start, at);
        let inserted = self.vmas.insert(tail);
        if inserted.is_err()
            && let Some(pos) = self.vmas.find(start)
        {
            self.vmas.set_range(pos, start, end);
        }
        inserted
    }

    /// Merges areas that are alike at the borders from `start` to `end`.
    pub fn merge(&mut self, start: u64, end: u64, trash: &mut Trash) {
        let mut pos = self.vmas.find(start.saturating_sub(1));
        while let Some(this) = pos {
            let Some(next) = self.vmas.next(this) else { break };
            if self.vmas.get(next).start > end {
                break;
            }
            if self.vmas.get(this).can_merge(self.vmas.get(next)) {
                let next = self.vmas.remove(next);
                let (start, end) = (self.vmas.get(this).start, next.end);
                self.vmas.get_mut(this).flags |= next.flags;
                self.vmas.set_range(this, start, end);
                trash.keep(next);
            } else {
                pos = Some(next);
            }
        }
    }

    /// Removes everything in the range (Linux's `do_munmap`). Only the splits at its ends can fail, and
    /// then nothing is gone.
    pub fn unmap_range(&mut self, core: &MmCore, range: Range<u64>, trash: &mut Trash) -> Result<()> {
        let hole = self.vmas.containing(range.start);
        if hole.is_some_and(|vma| vma.start < range.start && vma.end > range.end) {
            self.split(core, range.end)?;
        }
        self.split_uncounted(range.start)?;
        self.split_uncounted(range.end)?;
        let mut gather = Gather::new(core);
        let mut promised = 0;
        while let Some(pos) = self.vmas.find(range.start) {
            if self.vmas.get(pos).start >= range.end {
                break;
            }
            let vma = self.vmas.remove(pos);
            self.account(vma.flags, vma.pages(), false);
            if vma.flags.contains(VmFlags::ACCOUNT) {
                promised += vma.pages();
            }
            gather.unmap(vma.start..vma.end);
            trash.keep(vma);
        }
        drop(gather);
        self.sync_tables(core);
        core.memory.uncommit(promised);
        Ok(())
    }

    /// Moves the end of the heap.
    fn move_brk(&mut self, core: &MmCore, who: &dyn MmQuota, brk: u64, trash: &mut Trash) -> Result<()> {
        let layout = self.layout;
        ensure!(brk >= layout.start_brk, EINVAL, "below the start of the heap");
        ensure!(brk <= USER_END, ENOMEM, "beyond user space");
        let data = (brk - layout.start_brk).saturating_add(layout.end_data - layout.start_data);
        ensure!(data <= who.limit_data(), ENOMEM, "RLIMIT_DATA is reached");
        let (Some(new), Some(old)) = (page_align(brk), page_align(layout.brk)) else {
            bail!(ENOMEM)
        };
        if new < old {
            self.unmap_range(core, new..old, trash)?;
        } else if new > old {
            // One page stays free above the heap.
            ensure!(
                self.is_free(old, new - old + PAGE),
                ENOMEM,
                "something is mapped there"
            );
            let max = core.memory.sysctl.max_map_count.get_u64();
            ensure!(
                self.vmas.len() as u64 <= max,
                ENOMEM,
                "vm.max_map_count is reached"
            );
            let mut flags = VmFlags::READ | VmFlags::WRITE | VmFlags::ACCOUNT | self.def_flags;
            flags |= VmFlags::MAYREAD | VmFlags::MAYWRITE | VmFlags::MAYEXEC;
            if who.personality() & READ_IMPLIES_EXEC != 0 {
                flags |= VmFlags::EXEC;
            }
            self.check_locked(who, flags, new - old)?;
            let vma = Vma {
                start: old,
                end: new,
                flags,
                pgoff: 0,
                file: None,
                policy: None,
            };
            if self.add_area(core, who, vma, trash)? {
                let _ = self.populate(core, old..new, true);
            }
        }
        self.layout.brk = brk;
        Ok(())
    }
}

/// A range of user addresses.
pub(super) fn user_range(range: &Range<u64>) -> Range<UserAddr> {
    UserAddr(range.start)..UserAddr(range.end)
}

#[cfg(test)]
impl Mm {
    /// Maps pages of a cache that no file stands for.
    pub(super) fn map_cache_for_test(
        &self,
        addr: u64,
        cache: &Arc<PageCache>,
        pages: u64,
        shared: bool,
    ) -> u64 {
        let source = VmSource::Cache(cache.clone());
        let file = VmFile::new(self.weak(), source, None, "test", shared).unwrap();
        let mut flags = VmFlags::READ | VmFlags::WRITE | VmFlags::MAYREAD | VmFlags::MAYWRITE;
        flags.set(VmFlags::SHARED | VmFlags::MAYSHARE, shared);
        let vma = Vma {
            start: addr,
            end: addr + pages * PAGE,
            flags,
            pgoff: 0,
            file: Some(file),
            policy: None,
        };
        let mut trash = Trash::default();
        let mut state = self.core.lock();
        state
            .add_area(&self.core, &super::memory::Unlimited, vma, &mut trash)
            .unwrap();
        drop(state);
        addr
    }
}
