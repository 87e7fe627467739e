//! Charging: the stocks of all CPUs and the table of cgroups.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use spin::Once;

use super::immigrate::Immigration;
use super::kmem::KmemCharge;
use super::stock::{BATCH, CpuStock, Slot};
use super::watch::Watch;
use super::{Event, Item, MemCgroup};
use crate::error::Result;
use crate::hal::Hal;
use crate::ids::PAGE_SIZE;
use crate::mm::page_counter::{OverLimit, PageCounter};
use crate::mm::{charge, oom, reclaim};
use crate::sync::{SpinLock, class};
use crate::task::{Task, ThreadFlags};
use crate::{bail, cgroup};

/// Finds the running task, if there is one.
pub type CurrentTask = Box<dyn Fn() -> Option<Arc<Task>> + Send + Sync>;

/// Every cgroup that something may be charged to, by number.
struct Table {
    memcgs: Vec<Option<Arc<MemCgroup>>>,
    free: Vec<u32>,
}

/// Memory control of one kernel.
pub struct MemControl {
    hal: Arc<dyn Hal>,
    stocks: Box<[SpinLock<CpuStock, class::Counter>]>,
    table: SpinLock<Table, class::Leaf>,
    root: Arc<MemCgroup>,
    /// Cgroups besides the root. Without any, nobody needs to be asked who pays.
    count: AtomicU32,
    current: Once<CurrentTask>,
    /// Tasks that wait for room in a full cgroup.
    pub(in crate::mm) oom_waiters: AtomicU32,
    /// Where each of them waits.
    pub(in crate::mm) oom_waiting: SpinLock<Vec<Arc<MemCgroup>>, class::Leaf>,
    pub(super) watches: SpinLock<Vec<Watch>, class::Leaf>,
    /// How many those are.
    pub(super) nr_watches: AtomicU32,
    /// The process that is about to move with its charges. Under `CgroupMembership`, so there is one.
    pub(crate) immigration: SpinLock<Option<Immigration>, class::Leaf>,
}

impl MemControl {
    /// Nothing but the root.
    pub fn new(hal: &Arc<dyn Hal>) -> Arc<MemControl> {
        let root = MemCgroup::new(0, None);
        Arc::new(MemControl {
            stocks: (0..hal.nr_cpus().max(1)).map(|_| SpinLock::default()).collect(),
            hal: hal.clone(),
            table: SpinLock::new(Table {
                memcgs: alloc::vec![Some(root.clone())],
                free: Vec::new(),
            }),
            root,
            count: AtomicU32::new(0),
            current: Once::new(),
            oom_waiters: AtomicU32::new(0),
            oom_waiting: SpinLock::default(),
            watches: SpinLock::default(),
            immigration: SpinLock::default(),
            nr_watches: AtomicU32::new(0),
        })
    }
    /// The scheduler tells who runs.
    pub fn set_current(&self, current: CurrentTask) {
        self.current.call_once(|| current);
    }
    /// The root.
    pub fn root(&self) -> &Arc<MemCgroup> {
        &self.root
    }
    pub(in crate::mm) fn current_task(&self) -> Option<Arc<Task>> {
        self.current.get().and_then(|current| current())
    }
    /// Who pays for what the running task does.
    pub fn current(&self) -> Arc<MemCgroup> {
        if self.count.load(Relaxed) == 0 {
            return self.root.clone();
        }
        match self.current_task() {
            Some(task) => cgroup::memory::memcg_of(&task),
            None => self.root.clone(),
        }
    }

    /// The process that was about to move.
    pub(crate) fn take_immigration(&self) -> Option<Immigration> {
        self.immigration.lock().take()
    }

    /// A cgroup below `parent`. `ENOMEM`.
    pub fn create(&self, parent: &Arc<MemCgroup>) -> Result<Arc<MemCgroup>> {
        let mut table = self.table.lock();
        let id = match table.free.pop() {
            Some(id) => id,
            None => {
                let id = table.memcgs.len() as u32;
                // The owner word has room for this many; giving a number back must not need memory.
                if id >= charge::MAX_OWNERS
                    || table.memcgs.try_reserve(1).is_err()
                    || table.free.try_reserve(id as usize + 1).is_err()
                {
                    bail!(ENOMEM, "no number for another memory cgroup");
                }
                table.memcgs.push(None);
                id
            }
        };
        let memcg = MemCgroup::new(id, Some(parent.clone()));
        table.memcgs[id as usize] = Some(memcg.clone());
        self.count.fetch_add(1, Relaxed);
        Ok(memcg)
    }

    /// Its cgroup is gone: it lives on until nothing is charged to it.
    pub fn offline(&self, memcg: &Arc<MemCgroup>) {
        memcg.online.store(false, Relaxed);
        self.end_watches(memcg);
        self.drain(memcg);
        self.release_unused(memcg);
    }

    /// Frees the number of an offline cgroup once nothing is charged to it.
    pub(super) fn release_unused(&self, memcg: &Arc<MemCgroup>) {
        if memcg.is_online() || memcg.memory.usage() != 0 {
            return;
        }
        let gone = {
            let mut table = self.table.lock();
            let place = &mut table.memcgs[memcg.id as usize];
            let own = place.as_ref().is_some_and(|held| Arc::ptr_eq(held, memcg));
            let gone = if own { place.take() } else { None };
            if gone.is_some() {
                table.free.push(memcg.id);
                self.count.fetch_sub(1, Relaxed);
            }
            gone
        };
        drop(gone);
    }

    /// The cgroup of a number that something is charged to.
    pub fn find(&self, id: u32) -> Option<Arc<MemCgroup>> {
        self.table.lock().memcgs.get(id as usize)?.clone()
    }

    /// How many cgroups there are besides the root, dead ones with charges included.
    pub fn count(&self) -> usize {
        self.count.load(Relaxed) as usize
    }

    #[inline(always)]
    fn stock(&self) -> &SpinLock<CpuStock, class::Counter> {
        &self.stocks[self.hal.current_cpu().0 as usize]
    }

    /// Charges pages. `ENOMEM` if they do not fit; then the running task knows which cgroup is full.
    #[inline]
    pub fn charge(&self, memcg: &Arc<MemCgroup>, pages: u32, item: Item) -> Result<()> {
        #[cfg(any(test, feature = "sim"))]
        crate::sim::request()?;
        if memcg.is_root() {
            return Ok(());
        }
        self.charge_pages(memcg, pages, item, AtLimit::Kill)
    }

    #[inline(never)]
    fn charge_pages(&self, memcg: &Arc<MemCgroup>, pages: u32, item: Item, at_limit: AtLimit) -> Result<()> {
        {
            let mut stock = self.stock().lock();
            if let Some(slot) = stock.find(memcg.id)
                && slot.take(pages)
            {
                slot.count_charged(item, pages as i32);
                return Ok(());
            }
        }
        self.charge_slow(memcg, pages, item, at_limit)
    }

    /// Fills the stock and charges out of it.
    #[cold]
    #[inline(never)]
    fn charge_slow(&self, memcg: &Arc<MemCgroup>, pages: u32, item: Item, at_limit: AtLimit) -> Result<()> {
        let batch = pages.max(BATCH);
        let fill = if memcg.memory.try_charge(batch.into(), false).is_ok() {
            batch
        } else {
            self.charge_exactly(memcg, pages, at_limit)?;
            pages
        };
        self.keep(memcg, fill - pages, item, pages as i32);
        self.check_high(memcg, pages);
        self.check_thresholds(memcg);
        Ok(())
    }

    /// Charges what is needed and no more, with all that can be done to make it fit.
    fn charge_exactly(&self, memcg: &Arc<MemCgroup>, pages: u32, at_limit: AtLimit) -> Result<()> {
        let counter: &PageCounter = &memcg.memory;
        let Err(OverLimit(level)) = counter.try_charge(pages.into(), false) else {
            return Ok(());
        };
        let over = memcg
            .self_and_ancestors()
            .nth(level)
            .unwrap_or(&self.root)
            .clone();
        self.drain(&over);
        let Err(OverLimit(level)) = counter.try_charge(pages.into(), false) else {
            return Ok(());
        };
        let over = memcg
            .self_and_ancestors()
            .nth(level)
            .unwrap_or(&self.root)
            .clone();
        over.note_failure();
        over.event(Event::Max);
        if reclaim::reclaim(self, &over, pages.into()) > 0 && counter.try_charge(pages.into(), false).is_ok()
        {
            return Ok(());
        }
        let exceed = match (at_limit, self.current_task()) {
            (AtLimit::Exceed, _) => true,
            (AtLimit::Kill, Some(task)) => oom::may_exceed(&task, &over, pages),
            _ => false,
        };
        if exceed {
            counter.charge(pages.into());
            return Ok(());
        }
        bail!(ENOMEM, "memory.max of the cgroup or of one above it")
    }

    /// Keeps pages that are charged in this CPU's stock, and counts.
    fn keep(&self, memcg: &Arc<MemCgroup>, pages: u32, item: Item, count: i32) {
        let mut stock = self.stock().lock();
        if self.keeps_stock(memcg) {
            let (slot, old) = stock.take_place(memcg);
            if count > 0 {
                slot.count_charged(item, count);
            } else {
                slot.count(item, count);
            }
            let much = slot.put(pages);
            if much {
                slot.trim();
            }
            drop(stock);
            if much {
                self.check_thresholds(memcg);
            }
            // The last reference of another cgroup, perhaps.
            drop(old);
        } else {
            drop(stock);
            memcg.memory.uncharge(pages.into());
            memcg.add_stat(item as usize, count.into());
            if count > 0 && item.comes_and_goes() {
                memcg.add_stat(Item::Charged as usize, count.into());
            }
            self.note_room(memcg);
            self.release_unused(memcg);
        }
    }

    /// Whether a CPU may keep a stock for the cgroup: not for dead ones, nor where somebody waits for room.
    #[inline]
    fn keeps_stock(&self, memcg: &Arc<MemCgroup>) -> bool {
        memcg.is_online() && (self.oom_waiters.load(Relaxed) == 0 || !oom::is_under_oom(memcg))
    }

    /// Something was given back to a cgroup without a stock: the running task tells who waits.
    fn note_room(&self, memcg: &Arc<MemCgroup>) {
        if self.oom_waiters.load(Relaxed) != 0
            && oom::is_under_oom(memcg)
            && let Some(task) = self.current_task()
        {
            task.set_thread_flags(ThreadFlags::MEMORY_EVENTS);
        }
    }

    /// Above `memory.high` of the cgroup or one above it, the running task pays with time.
    fn check_high(&self, memcg: &Arc<MemCgroup>, pages: u32) {
        for at in memcg.self_and_ancestors() {
            if at.memory.usage() > at.high.load(Relaxed) {
                if let Some(task) = self.current_task() {
                    oom::note_high(&task, pages);
                }
                return;
            }
        }
    }

    /// Gives pages back that a frame's owner word says belong to this cgroup.
    #[inline]
    pub fn uncharge(&self, id: u32, pages: u32, item: Item) {
        if id == 0 {
            return;
        }
        {
            let mut stock = self.stock().lock();
            if let Some(slot) = stock.find(id) {
                slot.count(item, -(pages as i32));
                if !slot.put(pages) {
                    return;
                }
                slot.trim();
                if self.nr_watches.load(Relaxed) == 0 {
                    return;
                }
                let memcg = slot.memcg().cloned();
                drop(stock);
                if let Some(memcg) = &memcg {
                    self.check_thresholds(memcg);
                }
                return;
            }
        }
        self.uncharge_slow(id, pages, item);
    }

    #[cold]
    #[inline(never)]
    fn uncharge_slow(&self, id: u32, pages: u32, item: Item) {
        let Some(memcg) = self.find(id) else {
            debug_assert!(false, "a page of a memory cgroup that is gone");
            return;
        };
        self.keep(&memcg, pages, item, -(pages as i32));
    }

    /// Counts what costs nothing.
    #[inline]
    pub fn count_event(&self, memcg: &Arc<MemCgroup>, item: Item) {
        if memcg.is_root() {
            return;
        }
        let found = {
            let mut stock = self.stock().lock();
            match stock.find(memcg.id) {
                Some(slot) => {
                    slot.count(item, 1);
                    if slot.is_due(item) {
                        slot.tell();
                    }
                    true
                }
                None => false,
            }
        };
        if !found {
            self.keep(memcg, 0, item, 1);
        }
    }

    /// A page of a file that this cgroup pays for is mapped now (1), or no longer (-1).
    pub(in crate::mm) fn count_mapped(&self, id: u32, by: i32) {
        if id == 0 {
            return;
        }
        if let Some(slot) = self.stock().lock().find(id) {
            slot.count(Item::Mapped, by);
            return;
        }
        if let Some(memcg) = self.find(id) {
            self.keep(&memcg, 0, Item::Mapped, by);
        }
    }

    // Kernel objects.

    /// Charges an object of the running task. `ENOMEM` over the limit.
    #[inline]
    pub fn charge_kmem(self: &Arc<MemControl>, bytes: usize, item: Item) -> Result<KmemCharge> {
        #[cfg(any(test, feature = "sim"))]
        crate::sim::request()?;
        if self.count.load(Relaxed) == 0 {
            return Ok(KmemCharge::none());
        }
        self.charge_kmem_to(&self.current(), bytes, item)
    }

    /// Likewise to this cgroup.
    pub fn charge_kmem_to(
        self: &Arc<MemControl>,
        memcg: &Arc<MemCgroup>,
        bytes: usize,
        item: Item,
    ) -> Result<KmemCharge> {
        self.charge_bytes(memcg, bytes, item, AtLimit::Kill)
    }

    /// Likewise for others than the running task: nobody is killed for it. `ENOMEM`.
    pub fn charge_kmem_if_fits(
        self: &Arc<MemControl>,
        memcg: &Arc<MemCgroup>,
        bytes: usize,
    ) -> Result<KmemCharge> {
        #[cfg(any(test, feature = "sim"))]
        crate::sim::request()?;
        self.charge_bytes(memcg, bytes, Item::Slab, AtLimit::Refuse)
    }

    /// Charges an object that the running task may make whatever the limits; what it asks for next then meets them.
    #[inline]
    pub fn charge_kmem_over(self: &Arc<MemControl>, bytes: usize) -> KmemCharge {
        if self.count.load(Relaxed) == 0 {
            return KmemCharge::none();
        }
        self.charge_bytes(&self.current(), bytes, Item::Slab, AtLimit::Exceed)
            .unwrap_or_default()
    }

    pub(super) fn charge_bytes(
        self: &Arc<MemControl>,
        memcg: &Arc<MemCgroup>,
        bytes: usize,
        item: Item,
        at_limit: AtLimit,
    ) -> Result<KmemCharge> {
        if memcg.is_root() {
            return Ok(KmemCharge::new(self, memcg, bytes as u32, item));
        }
        let mut done = false;
        if let Some(slot) = self.stock().lock().find(memcg.id)
            && slot.take_bytes(bytes as u32)
        {
            slot.count(item, amount(bytes as u32, item));
            done = true;
        }
        if !done {
            let pages = bytes.div_ceil(PAGE_SIZE) as u32;
            self.charge_pages(memcg, pages, Item::Kmem, at_limit)?;
            let spare = pages * PAGE_SIZE as u32 - bytes as u32;
            self.put_bytes(memcg, spare, item, amount(bytes as u32, item));
        }
        Ok(KmemCharge::new(self, memcg, bytes as u32, item))
    }

    /// Charges whole pages that are there already, whatever the limits.
    pub fn charge_kmem_forced(
        self: &Arc<MemControl>,
        memcg: &Arc<MemCgroup>,
        bytes: usize,
        item: Item,
    ) -> KmemCharge {
        if !memcg.is_root() {
            let pages = (bytes / PAGE_SIZE) as u32;
            let mut stock = self.stock().lock();
            let stocked = stock.find(memcg.id()).is_some_and(|slot| slot.take(pages));
            drop(stock);
            if !stocked {
                memcg.memory.charge(pages.into());
            }
            self.keep(memcg, 0, Item::Kmem, pages as i32);
            self.keep(memcg, 0, item, amount(bytes as u32, item));
        }
        KmemCharge::new(self, memcg, bytes as u32, item)
    }

    pub(super) fn uncharge_kmem(&self, memcg: &Arc<MemCgroup>, bytes: u32, item: Item) {
        if bytes > 0 {
            self.put_bytes(memcg, bytes, item, -amount(bytes, item));
        }
    }

    fn put_bytes(&self, memcg: &Arc<MemCgroup>, bytes: u32, item: Item, count: i32) {
        let mut dead = Slot::default();
        let mut stock = self.stock().lock();
        let (slot, old) = stock.take_place(memcg);
        slot.count(item, count);
        if slot.put_bytes(bytes) {
            slot.trim();
        }
        if !self.keeps_stock(memcg) {
            slot.flush();
            dead = core::mem::take(slot);
        }
        drop(stock);
        if dead.memcg().is_some() {
            self.note_room(memcg);
            self.release_unused(memcg);
        }
        drop((dead, old));
    }

    /// Gives back the stocks of the cgroup and of those below it, on all CPUs: behind it, its usage and its
    /// statistics are exact, but for what happens meanwhile.
    pub fn drain(&self, top: &Arc<MemCgroup>) {
        for stock in &self.stocks {
            // A cgroup whose last reference this is must go without the lock.
            let mut gone: smallvec::SmallVec<[Slot; 8]> = smallvec::SmallVec::new();
            let mut stock = stock.lock();
            for slot in stock.slots() {
                if slot.memcg().is_some_and(|memcg| memcg.is_descendant(top)) {
                    slot.flush();
                    gone.push(core::mem::take(slot));
                }
            }
            drop(stock);
        }
    }

    /// Bytes in use, exactly.
    pub fn usage_bytes(&self, memcg: &Arc<MemCgroup>) -> u64 {
        self.drain(memcg);
        self.check_thresholds(memcg);
        memcg.memory.usage() * PAGE_SIZE as u64
    }
}

/// What becomes of a charge that meets a limit.
#[derive(Clone, Copy)]
pub(super) enum AtLimit {
    /// The running task has somebody killed, see [`oom`].
    Kill,
    /// It fails.
    Refuse,
    /// It is made nevertheless.
    Exceed,
}

/// Stacks and tables are counted in pages, small objects in bytes.
fn amount(bytes: u32, item: Item) -> i32 {
    match item {
        Item::Slab | Item::Sock => bytes as i32,
        _ => (bytes / PAGE_SIZE as u32) as i32,
    }
}
