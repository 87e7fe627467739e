//! Areas of an address space (Linux's `vm_area_struct`).

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use super::addr_space::MmCore;
use super::{MemPolicy, PageCache};
use crate::error::Result;
use crate::fs::OpenFile;
use crate::hal::{Hal, PageFlags};
use crate::ids::{Frame, PAGE_SHIFT, PAGE_SIZE};

bitflags::bitflags! {
    /// `PROT_*` (`mmap(2)`).
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    #[allow(missing_docs)]
    pub struct Prot: u32 {
        const READ = 1;
        const WRITE = 2;
        const EXEC = 4;
        const SEM = 8;
        const GROWSDOWN = 0x0100_0000;
        const GROWSUP = 0x0200_0000;
    }
}

bitflags::bitflags! {
    /// `MAP_*` (`mmap(2)`), but for the type in the low four bits.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    #[allow(missing_docs)]
    pub struct MapFlags: u32 {
        const SHARED = 1;
        const PRIVATE = 2;
        const FIXED = 0x10;
        const ANONYMOUS = 0x20;
        const _32BIT = 0x40;
        const GROWSDOWN = 0x100;
        const DENYWRITE = 0x800;
        const EXECUTABLE = 0x1000;
        const LOCKED = 0x2000;
        const NORESERVE = 0x4000;
        const POPULATE = 0x8000;
        const NONBLOCK = 0x1_0000;
        const STACK = 0x2_0000;
        const HUGETLB = 0x4_0000;
        const SYNC = 0x8_0000;
        const FIXED_NOREPLACE = 0x10_0000;
        const UNINITIALIZED = 0x400_0000;
    }
}

bitflags::bitflags! {
    /// What an area is, with Linux's numbers (`VM_*`).
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    #[allow(missing_docs)]
    pub struct VmFlags: u32 {
        const READ = 1;
        const WRITE = 2;
        const EXEC = 4;
        const SHARED = 8;
        const MAYREAD = 0x10;
        const MAYWRITE = 0x20;
        const MAYEXEC = 0x40;
        const MAYSHARE = 0x80;
        const GROWSDOWN = 0x100;
        /// Frames that are not counted (vDSO).
        const PFNMAP = 0x400;
        const LOCKED = 0x2000;
        const SEQ_READ = 0x8000;
        const RAND_READ = 0x1_0000;
        const DONTCOPY = 0x2_0000;
        const DONTEXPAND = 0x4_0000;
        const LOCKONFAULT = 0x8_0000;
        /// Its pages are promised (see [`Memory`](super::Memory)).
        const ACCOUNT = 0x10_0000;
        const NORESERVE = 0x20_0000;
        const WIPEONFORK = 0x200_0000;
        const DONTDUMP = 0x400_0000;
        const HUGEPAGE = 0x2000_0000;
        const NOHUGEPAGE = 0x4000_0000;
        /// It may hold anonymous pages, so that `fork` must look at its page tables.
        const HAS_ANON = 0x8000_0000;
        /// All that `mprotect` changes.
        const ACCESS = 7;
    }
}

impl VmFlags {
    /// The bits of [`Prot`].
    pub fn from_prot(prot: Prot) -> VmFlags {
        VmFlags::from_bits_retain(prot.bits() & 7)
    }
    /// Whether anything may be done with the pages at all.
    pub fn accessible(self) -> bool {
        self.intersects(VmFlags::ACCESS)
    }
    /// Private and writable: it counts against `RLIMIT_DATA`.
    pub fn is_data(self) -> bool {
        self.contains(VmFlags::WRITE) && !self.intersects(VmFlags::SHARED | VmFlags::GROWSDOWN)
    }
    /// Whether its pages have to be promised (Linux's `accountable_mapping`).
    pub fn accountable(self) -> bool {
        self.contains(VmFlags::WRITE) && !self.intersects(VmFlags::SHARED | VmFlags::NORESERVE)
    }
    /// What page-table entries allow. Writing is left out where a page may have to be copied.
    pub fn page_flags(self) -> PageFlags {
        let mut flags = PageFlags::empty();
        // The CPU knows no page that may be written or executed but not read.
        flags.set(PageFlags::READ, self.accessible());
        flags.set(PageFlags::EXEC, self.contains(VmFlags::EXEC));
        flags.set(PageFlags::WRITE, self.contains(VmFlags::WRITE));
        flags
    }
}

/// Where the pages of an area come from, if they are not just anonymous.
pub enum VmSource {
    /// A file, or shared anonymous memory.
    Cache(Arc<PageCache>),
    /// These frames, not counted.
    Frames(Arc<FrameSet>),
}

/// Frames that page tables map without counting; they live as long as this.
pub struct FrameSet {
    frames: Vec<Frame>,
    /// Given back in the end.
    owned: Option<(Arc<dyn Hal>, Frame)>,
}

impl FrameSet {
    /// Frames that live for ever.
    pub fn new(frames: Vec<Frame>) -> Arc<FrameSet> {
        Arc::new(FrameSet { frames, owned: None })
    }
    /// Frames, of which the last one belongs to this set.
    pub fn with_own(frames: Vec<Frame>, own: Frame, hal: &Arc<dyn Hal>) -> Arc<FrameSet> {
        let mut frames = frames;
        frames.push(own);
        let owned = Some((hal.clone(), own));
        Arc::new(FrameSet { frames, owned })
    }
    /// The frames.
    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }
}

impl Drop for FrameSet {
    fn drop(&mut self) {
        if let Some((hal, frame)) = &self.owned {
            hal.put_frame(*frame);
        }
    }
}

/// Who counts the areas that map something (Linux's `open` and `close` of `vm_operations_struct`).
pub trait VmOps: Send + Sync {
    /// An area came. Called under the lock of its address space: takes no lock but leaves.
    fn open(&self);
    /// An area went. Called without that lock, unless other areas of the same owner are still there.
    fn close(&self);
}

/// What an area maps. Shared by the parts that one mapping was split into, within one address
/// space, unless its areas are counted. While it lives, the page cache knows the address space.
pub struct VmFile {
    /// The pages.
    pub source: VmSource,
    /// The file that was mapped; `None` for shared anonymous memory and the vDSO.
    pub file: Option<Arc<OpenFile>>,
    /// What `/proc/PID/maps` shows where there is no file.
    pub name: &'static str,
    /// Who counts its areas: each then has a `VmFile` of its own.
    pub(super) ops: Option<Arc<dyn VmOps>>,
    slot: u32,
    shared: bool,
}

impl VmFile {
    /// Registers a mapping of `source`; `shared` if it may write to the file. `EPERM` where a seal
    /// forbids that.
    pub(super) fn new(
        mm: Weak<MmCore>,
        source: VmSource,
        file: Option<Arc<OpenFile>>,
        name: &'static str,
        shared: bool,
    ) -> Result<Arc<VmFile>> {
        let slot = match &source {
            VmSource::Cache(cache) => cache.register(mm, shared)?,
            VmSource::Frames(_) => 0,
        };
        Ok(Arc::new(VmFile {
            source,
            file,
            name,
            ops: None,
            slot,
            shared,
        }))
    }

    /// The same for an area that `ops` counts.
    pub(super) fn counted(
        mm: Weak<MmCore>,
        source: VmSource,
        file: Option<Arc<OpenFile>>,
        shared: bool,
        ops: Option<Arc<dyn VmOps>>,
    ) -> Result<Arc<VmFile>> {
        let mut new = VmFile::new(mm, source, file, "", shared)?;
        if let Some(this) = Arc::get_mut(&mut new) {
            if let Some(ops) = &ops {
                ops.open();
            }
            this.ops = ops;
        }
        Ok(new)
    }

    /// The same mapping in another address space.
    pub(super) fn copy(&self, mm: Weak<MmCore>) -> Result<Arc<VmFile>> {
        let source = match &self.source {
            VmSource::Cache(cache) => VmSource::Cache(cache.clone()),
            VmSource::Frames(frames) => VmSource::Frames(frames.clone()),
        };
        match &self.ops {
            None => VmFile::new(mm, source, self.file.clone(), self.name, self.shared),
            ops => VmFile::counted(mm, source, self.file.clone(), self.shared, ops.clone()),
        }
    }

    /// For one more area of the same address space: itself, or a copy where areas are counted.
    pub(super) fn share(self: &Arc<VmFile>) -> Result<Arc<VmFile>> {
        match (&self.ops, &self.source) {
            (Some(_), VmSource::Cache(cache)) => self.copy(cache.registered(self.slot)),
            _ => Ok(self.clone()),
        }
    }

    /// Its page cache.
    pub fn cache(&self) -> Option<&Arc<PageCache>> {
        match &self.source {
            VmSource::Cache(cache) => Some(cache),
            VmSource::Frames(_) => None,
        }
    }

    /// Whether both map the same thing, so that neighbours may merge.
    fn same(&self, other: &VmFile) -> bool {
        if self.ops.is_some() {
            return false;
        }
        let same_source = match (&self.source, &other.source) {
            (VmSource::Cache(a), VmSource::Cache(b)) => Arc::ptr_eq(a, b),
            _ => false,
        };
        let same_file = match (&self.file, &other.file) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        };
        same_source && same_file && self.shared == other.shared
    }
}

impl Drop for VmFile {
    fn drop(&mut self) {
        if let VmSource::Cache(cache) = &self.source {
            cache.unregister(self.slot, self.shared);
        }
        if let Some(ops) = &self.ops {
            ops.close();
        }
    }
}

/// One area: pages from `start` up to `end`, all mapped alike.
#[derive(Clone)]
pub struct Vma {
    /// First byte.
    pub start: u64,
    /// First byte after it.
    pub end: u64,
    /// What it is.
    pub flags: VmFlags,
    /// Page of `file` at `start`.
    pub pgoff: u64,
    /// What it maps; `None`: private anonymous memory.
    pub file: Option<Arc<VmFile>>,
    /// Where its pages are to come from; `None`: as the thread says that touches them first.
    pub policy: Option<Arc<MemPolicy>>,
}

/// Bytes that stay unmapped below a growing stack (`stack_guard_gap`).
pub const STACK_GUARD_GAP: u64 = 256 << PAGE_SHIFT;

impl Vma {
    /// Bytes in it.
    pub fn len(&self) -> u64 {
        self.end - self.start
    }
    /// Areas are never empty.
    pub fn is_empty(&self) -> bool {
        false
    }
    /// Pages in it.
    pub fn pages(&self) -> u64 {
        self.len() >> PAGE_SHIFT
    }
    /// The page of the file that `addr` maps.
    pub fn index_of(&self, addr: u64) -> u64 {
        self.pgoff + ((addr - self.start) >> PAGE_SHIFT)
    }
    /// Whether it has no file and no shared memory behind it.
    pub fn is_anonymous(&self) -> bool {
        self.file.is_none()
    }
    /// Whether it is shared.
    pub fn is_shared(&self) -> bool {
        self.flags.contains(VmFlags::SHARED)
    }
    /// The page cache behind it.
    pub fn cache(&self) -> Option<&Arc<PageCache>> {
        self.file.as_ref()?.cache()
    }
    /// Where other areas must end.
    pub(super) fn start_gap(&self) -> u64 {
        if self.flags.contains(VmFlags::GROWSDOWN) {
            self.start.saturating_sub(STACK_GUARD_GAP)
        } else {
            self.start
        }
    }
    /// The part from `at` on of this area, which then ends there. `ENOMEM`.
    pub(super) fn tail(&self, at: u64) -> Result<Vma> {
        debug_assert!(self.start < at && at < self.end && at.is_multiple_of(PAGE_SIZE as u64));
        Ok(Vma {
            start: at,
            pgoff: self.index_of(at),
            file: self.file.as_ref().map(VmFile::share).transpose()?,
            policy: self.policy.clone(),
            ..*self
        })
    }
    /// Whether `next`, which begins where this ends, can become one area with it.
    pub(super) fn can_merge(&self, next: &Vma) -> bool {
        let same_file = match (&self.file, &next.file) {
            (None, None) => true,
            (Some(a), Some(b)) => self.pgoff + self.pages() == next.pgoff && a.same(b),
            _ => false,
        };
        self.end == next.start
            && same_file
            && (self.flags ^ next.flags).difference(VmFlags::HAS_ANON).is_empty()
            && !self.flags.contains(VmFlags::PFNMAP)
            && self.policy == next.policy
    }
}

/// What `mmap(2)` is asked for.
#[derive(Clone)]
pub struct MapRequest {
    /// Where, or a hint.
    pub addr: u64,
    /// Bytes; rounded up to pages.
    pub len: u64,
    /// Access.
    pub prot: Prot,
    /// How; the type is in the low four bits.
    pub flags: MapFlags,
    /// What; `None`: anonymous.
    pub file: Option<Arc<OpenFile>>,
    /// Where in the file, in bytes, page-aligned.
    pub offset: u64,
}
