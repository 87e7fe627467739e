//! Address spaces (Linux's `mm_struct`).
//!
//! [`Mm`] is what tasks share: when the last of them lets it go, everything in it is unmapped.
//! [`MmCore`] is its inside; page caches refer to it weakly, so that a truncation that meets an
//! exiting process never finds itself tearing the process down.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};

use smallvec::SmallVec;
use spin::Once;

use super::charge;
use super::memcg::{Item, KmemCharge, MemCgroup, MemControl};
use super::oom::OomVictim;
use super::vma_tree::VmaTree;
use super::{ExeFile, Memory, VmFile, VmFlags, Vma};
use crate::error::Result;
use crate::fs::OpenFile;
use crate::fs::aio::AioTable;
use crate::hal::{AddressSpace, Frames, PageFlags, Pte};
use crate::ids::{KoID, PAGE_SIZE, USER_END};
use crate::kernel::Kernel;
use crate::namespace::UserNamespace;
use crate::sync::{SpinGuard, SpinLock, class};

/// Why an access cannot be served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// `SIGSEGV` with this `si_code`.
    Segv(i32),
    /// `SIGBUS` with this `si_code`.
    Bus(i32),
    /// No memory.
    Oom,
}

/// Entries of the auxiliary vector that are kept for `/proc/PID/auxv`.
pub const AUXV_MAX: usize = 24;

/// Where things are in an address space, as `execve` put them.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)]
pub struct MmLayout {
    /// Mappings go below this address.
    pub mmap_base: u64,
    /// With the old layout, and when nothing is free below `mmap_base`: above this one.
    pub mmap_legacy_base: u64,
    /// Mappings go upwards (`ADDR_COMPAT_LAYOUT`).
    pub legacy: bool,
    pub start_code: u64,
    pub end_code: u64,
    pub start_data: u64,
    pub end_data: u64,
    pub start_brk: u64,
    pub brk: u64,
    pub start_stack: u64,
    pub arg_start: u64,
    pub arg_end: u64,
    pub env_start: u64,
    pub env_end: u64,
    /// Where the vDSO is; 0 without one.
    pub vdso: u64,
    /// Pairs of type and value, ended by a pair of zeros.
    pub auxv: [(u64, u64); AUXV_MAX],
}

/// Pages in an address space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct MmCounts {
    /// Mapped.
    pub total: u64,
    /// Private and writable.
    pub data: u64,
    /// Executable and not writable.
    pub exec: u64,
    /// Growing downwards.
    pub stack: u64,
    /// Locked.
    pub locked: u64,
    /// The most that was mapped.
    pub total_peak: u64,
}

/// What the lock protects.
pub(super) struct MmState {
    /// Who pays for pages that faults make.
    pub memcg: Arc<MemCgroup>,
    /// The process that decides who pays (Linux's `mm->owner`).
    pub owner: KoID,
    /// Page tables, as they are charged.
    tables: PagesCharge,
    /// Areas, likewise: pages of [`AREAS_PER_PAGE`], but for the first, which is free.
    areas: PagesCharge,
    pub vmas: VmaTree,
    pub layout: MmLayout,
    pub counts: MmCounts,
    /// Flags that every new area gets (`mlockall`).
    pub def_flags: VmFlags,
    pub exe: Option<Arc<ExeFile>>,
}

/// Areas that a page of memory is charged for.
const AREAS_PER_PAGE: usize = PAGE_SIZE / (size_of::<Vma>() + size_of::<u64>());

/// Pages of the kernel's that are charged: to one cgroup, or to several if the process moved.
#[derive(Default)]
struct PagesCharge {
    parts: SmallVec<[KmemCharge; 1]>,
    pages: usize,
}

impl PagesCharge {
    fn join(&mut self, memcg: &Arc<MemCgroup>, charge: KmemCharge, pages: usize) {
        match self.parts.last_mut() {
            Some(last) if last.is_of(memcg) => last.join(charge),
            _ => self.parts.push(charge),
        }
        self.pages += pages;
    }

    /// Makes them `now`. What is there already is not stopped by a limit.
    #[cold]
    fn set(&mut self, control: &Arc<MemControl>, memcg: &Arc<MemCgroup>, now: usize, item: Item) {
        if let Some(more) = now.checked_sub(self.pages) {
            let charge = control.charge_kmem_forced(memcg, more * PAGE_SIZE, item);
            self.join(memcg, charge, more);
            return;
        }
        let mut less = (self.pages - now) * PAGE_SIZE;
        while less > 0
            && let Some(last) = self.parts.last_mut()
        {
            let part = less.min(last.bytes() as usize);
            last.shrink(part as u32);
            less -= part;
            if last.bytes() == 0 {
                self.parts.pop();
            }
        }
        self.pages = now;
    }
}

impl Default for VmFlags {
    fn default() -> VmFlags {
        VmFlags::empty()
    }
}

/// The inside of an address space.
pub(super) struct MmCore {
    pub memory: Arc<Memory>,
    pub space: Arc<dyn AddressSpace>,
    pub id: u64,
    /// Anonymous pages mapped. Changed under the lock only.
    pub rss_anon: AtomicI64,
    /// Pages of caches mapped. Changed under the lock only.
    pub rss_file: AtomicI64,
    /// The most pages that were mapped at once.
    pub rss_peak: AtomicI64,
    /// Its memory was taken away; faults fail (Linux's `MMF_UNSTABLE`).
    pub unstable: AtomicBool,
    /// Its process was killed for its memory.
    pub oom_victim: SpinLock<Option<Arc<OomVictim>>, class::Leaf>,
    /// Whether others may look into it (`PR_SET_DUMPABLE`).
    pub dumpable: AtomicU64,
    /// The user namespace in which the program was executed; set once, before anyone uses it.
    pub user_ns: Once<Arc<UserNamespace>>,
    state: SpinLock<MmState, class::Mm>,
}

/// Removed areas and files, kept until the lock is free. Make one *before* taking the lock.
#[derive(Default)]
pub(super) struct Trash {
    files: Vec<Arc<VmFile>>,
    exe: Option<Arc<ExeFile>>,
}

impl Trash {
    /// Keeps what an area referred to.
    pub fn keep(&mut self, vma: Vma) {
        if let Some(file) = vma.file {
            if let Some(last) = self.files.last()
                && Arc::ptr_eq(last, &file)
            {
                return;
            }
            self.files.push(file);
        }
    }
}

impl MmCore {
    /// Locks it.
    pub fn lock(&self) -> SpinGuard<'_, MmState, class::Mm> {
        self.state.lock()
    }
    /// Locks it while another address space is locked: a child that nobody else sees yet.
    pub fn lock_child(&self) -> SpinGuard<'_, MmState, class::Mm> {
        self.state.lock_nested()
    }
    /// The frames.
    pub fn frames(&self) -> &dyn Frames {
        &*self.memory.hal
    }
    /// Counts a page that was mapped. Under the lock.
    #[inline]
    pub fn count_mapped(&self, pte: Pte) {
        if self.count_page(pte.flags, 1) {
            charge::note_mapped(&self.memory, pte.frame);
        }
    }
    /// Counts a page that was unmapped; its reference is still there. Under the lock.
    #[inline]
    pub fn count_unmapped(&self, pte: Pte) {
        if self.count_page(pte.flags, -1) {
            charge::note_unmapped(&self.memory, pte.frame);
        }
    }
    /// Whether it is a page of a file.
    #[inline]
    fn count_page(&self, flags: PageFlags, by: i64) -> bool {
        if flags.contains(PageFlags::SPECIAL) {
            return false;
        }
        let anon = flags.contains(PageFlags::ANON);
        let counter = if anon { &self.rss_anon } else { &self.rss_file };
        // The lock makes this the only writer.
        counter.store(counter.load(Ordering::Relaxed) + by, Ordering::Relaxed);
        !anon
    }
    /// Counts pages that were mapped. Under the lock.
    pub fn count_pages(&self, anon: i64, file: i64) {
        for (counter, by) in [(&self.rss_anon, anon), (&self.rss_file, file)] {
            counter.store(counter.load(Ordering::Relaxed) + by, Ordering::Relaxed);
        }
    }
    /// Pages mapped.
    pub fn rss(&self) -> i64 {
        self.rss_anon.load(Ordering::Relaxed) + self.rss_file.load(Ordering::Relaxed)
    }
    /// Notes the peak before pages go.
    pub fn note_peak(&self) {
        if self.rss() > self.rss_peak.load(Ordering::Relaxed) {
            self.rss_peak.store(self.rss(), Ordering::Relaxed);
        }
    }
    /// Gives back the frame of an entry that is in no TLB any more.
    pub fn put_pte(&self, pte: Pte) {
        if !pte.flags.contains(PageFlags::SPECIAL) {
            charge::put_page(&self.memory, pte.frame);
        }
    }
}

impl MmState {
    fn new(memcg: Arc<MemCgroup>) -> MmState {
        MmState {
            memcg,
            owner: KoID(0),
            tables: PagesCharge::default(),
            areas: PagesCharge::default(),
            vmas: VmaTree::default(),
            layout: MmLayout::default(),
            counts: MmCounts::default(),
            def_flags: VmFlags::empty(),
            exe: None,
        }
    }

    /// Charges page tables that are about to be made. `ENOMEM`.
    #[cold]
    pub fn charge_missing_tables(&mut self, core: &MmCore, missing: usize) -> Result<()> {
        self.sync_tables(core);
        let control = &core.memory.control;
        let charge = control.charge_kmem_to(&self.memcg, missing * PAGE_SIZE, Item::PageTables)?;
        self.tables.join(&self.memcg, charge, missing);
        Ok(())
    }

    /// Gives back the charges of page tables that went or did not come. Those that came without one, as
    /// mappings moved, exist already, so a limit does not stop them; the next page meets it.
    #[inline]
    pub fn sync_tables(&mut self, core: &MmCore) {
        let now = core.space.table_pages();
        if now != self.tables.pages {
            self.tables
                .set(&core.memory.control, &self.memcg, now, Item::PageTables);
        }
        let areas = self.vmas.len() / AREAS_PER_PAGE;
        if areas > self.areas.pages || areas + 1 < self.areas.pages {
            self.areas
                .set(&core.memory.control, &self.memcg, areas, Item::Slab);
        }
    }

    /// Charges an area that is about to be made. `ENOMEM`.
    #[inline]
    pub fn charge_area(&mut self, core: &MmCore) -> Result<()> {
        if self.vmas.len() / AREAS_PER_PAGE < self.areas.pages + 1 {
            return Ok(());
        }
        let control = &core.memory.control;
        let charge = control.charge_kmem_to(&self.memcg, PAGE_SIZE, Item::Slab)?;
        self.areas.join(&self.memcg, charge, 1);
        Ok(())
    }

    /// Counts an area that came (`+`) or went (`-`).
    pub fn account(&mut self, flags: VmFlags, pages: u64, add: bool) {
        let change = |count: &mut u64| {
            *count = if add {
                *count + pages
            } else {
                count.saturating_sub(pages)
            };
        };
        change(&mut self.counts.total);
        if flags.contains(VmFlags::GROWSDOWN) {
            change(&mut self.counts.stack);
        } else if flags.is_data() {
            change(&mut self.counts.data);
        } else if flags.contains(VmFlags::EXEC) && !flags.contains(VmFlags::WRITE) {
            change(&mut self.counts.exec);
        }
        if flags.contains(VmFlags::LOCKED) {
            change(&mut self.counts.locked);
        }
        self.counts.total_peak = self.counts.total_peak.max(self.counts.total);
    }
}

/// An address space.
pub struct Mm {
    pub(super) core: Arc<MmCore>,
    /// The commands of `membarrier(2)` that it is registered for.
    pub membarrier: AtomicU32,
    /// Its contexts of asynchronous I/O.
    pub(crate) aio: AioTable,
}

impl Mm {
    /// An empty address space. `ENOMEM`.
    pub fn new(kernel: &Arc<Kernel>) -> Result<Arc<Mm>> {
        Mm::with(&kernel.memory)
    }

    /// Likewise, from the kernel's memory alone.
    pub fn with(memory: &Arc<Memory>) -> Result<Arc<Mm>> {
        Ok(Arc::new(Mm {
            core: Arc::new(MmCore {
                space: memory.hal.new_address_space()?,
                id: memory.next_id(),
                memory: memory.clone(),
                rss_anon: AtomicI64::new(0),
                rss_file: AtomicI64::new(0),
                rss_peak: AtomicI64::new(0),
                unstable: AtomicBool::new(false),
                oom_victim: SpinLock::new(None),
                dumpable: AtomicU64::new(1),
                user_ns: Once::new(),
                state: SpinLock::new(MmState::new(memory.control.current())),
            }),
            membarrier: AtomicU32::new(0),
            aio: AioTable::default(),
        }))
    }

    /// The page tables, for `hal.activate`.
    pub fn space(&self) -> &Arc<dyn AddressSpace> {
        &self.core.space
    }
    /// A number that no other address space of this kernel has or had (private futexes).
    pub fn id(&self) -> u64 {
        self.core.id
    }
    /// Who pays for its pages.
    pub fn memcg(&self) -> Arc<MemCgroup> {
        self.core.lock().memcg.clone()
    }
    /// Another cgroup pays from now on. What was charged stays where it is.
    pub fn set_memcg(&self, memcg: &Arc<MemCgroup>) {
        let old = core::mem::replace(&mut self.core.lock().memcg, memcg.clone());
        drop(old);
    }
    /// The process whose cgroup pays (Linux's `mm->owner`).
    pub fn owner(&self) -> KoID {
        self.core.lock().owner
    }
    /// Sets it and who pays.
    pub fn set_owner(&self, owner: KoID, memcg: &Arc<MemCgroup>) {
        let old = {
            let mut state = self.core.lock();
            state.owner = owner;
            core::mem::replace(&mut state.memcg, memcg.clone())
        };
        drop(old);
    }
    pub(super) fn weak(&self) -> Weak<MmCore> {
        Arc::downgrade(&self.core)
    }

    /// Where things are.
    pub fn layout(&self) -> MmLayout {
        self.core.lock().layout
    }
    /// Changes where things are (`execve`, `PR_SET_MM`).
    pub fn set_layout(&self, change: impl FnOnce(&mut MmLayout)) {
        change(&mut self.core.lock().layout);
    }
    /// Pages mapped, by kind of area.
    pub fn counts(&self) -> MmCounts {
        self.core.lock().counts
    }
    /// Anonymous pages resident.
    pub fn rss_anon(&self) -> u64 {
        self.core.rss_anon.load(Ordering::Relaxed).max(0) as u64
    }
    /// Pages of files resident. All our files live in memory, as shmem does.
    pub fn rss_file(&self) -> u64 {
        self.core.rss_file.load(Ordering::Relaxed).max(0) as u64
    }
    /// Pages resident.
    pub fn rss(&self) -> u64 {
        self.rss_anon() + self.rss_file()
    }
    /// The most pages that were resident (`VmHWM`).
    pub fn rss_peak(&self) -> u64 {
        self.rss()
            .max(self.core.rss_peak.load(Ordering::Relaxed).max(0) as u64)
    }
    /// Bytes of page tables (`VmPTE`).
    pub fn page_table_bytes(&self) -> u64 {
        (self.core.space.table_pages() * PAGE_SIZE) as u64
    }
    /// The program (`/proc/PID/exe`).
    pub fn exe_file(&self) -> Option<Arc<OpenFile>> {
        self.core.lock().exe.as_ref().map(|exe| exe.file.clone())
    }
    /// Sets the program and returns the old one, which the caller drops without locks.
    pub fn set_exe_file(&self, exe: Option<Arc<ExeFile>>) -> Option<Arc<ExeFile>> {
        core::mem::replace(&mut self.core.lock().exe, exe)
    }
    /// `PR_GET_DUMPABLE`: 0, 1 or 2.
    pub fn dumpable(&self) -> u64 {
        self.core.dumpable.load(Ordering::Relaxed)
    }
    /// Sets it.
    pub fn set_dumpable(&self, value: u64) {
        self.core.dumpable.store(value, Ordering::Relaxed);
    }
    /// Whose capabilities reach into it if it must not be dumped: the user namespace in which
    /// its program was executed (Linux's `mm->user_ns`); none for a space without a program.
    pub fn user_ns(&self) -> Option<&Arc<UserNamespace>> {
        self.core.user_ns.get()
    }
    /// Names that user namespace, once.
    pub fn set_user_ns(&self, user_ns: Arc<UserNamespace>) {
        self.core.user_ns.call_once(|| user_ns);
    }
    /// The areas as they are now, in order.
    pub fn vmas(&self) -> Vec<Vma> {
        self.core.lock().vmas.iter().cloned().collect()
    }
}

impl Drop for Mm {
    /// Unmaps everything (Linux's `exit_mmap`). No task uses it, so nothing is in a TLB.
    fn drop(&mut self) {
        let mut trash = Trash::default();
        let core = &self.core;
        let mut state = core.lock();
        let all = crate::ids::UserAddr(0)..crate::ids::UserAddr(USER_END);
        core.space.unmap(all, &mut |_, pte| {
            core.count_unmapped(pte);
            core.put_pte(pte);
        });
        let mut accounted = 0;
        for vma in state.vmas.take() {
            if vma.flags.contains(VmFlags::ACCOUNT) {
                accounted += vma.pages();
            }
            trash.keep(vma);
        }
        state.counts = MmCounts::default();
        let charges = (
            core::mem::take(&mut state.tables),
            core::mem::take(&mut state.areas),
        );
        trash.exe = state.exe.take();
        drop(state);
        core.memory.uncommit(accounted);
        drop(charges);
        drop(trash);
        let victim = core.oom_victim.lock().take();
        drop(victim);
    }
}
