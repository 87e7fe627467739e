//! Memory control groups: who pays for a page, and how much each may have (Linux's `mem_cgroup`).
//!
//! Model: a [`MemCgroup`] has a [`PageCounter`] in the tree of counters and the statistics of its subtree.
//! A page is charged when it is made, to the cgroup of the address space that faulted or of the task that
//! wrote; the frame's owner word remembers cgroup and kind until it is freed. Memory of the kernel's
//! objects is charged by a guard ([`KmemCharge`]) that the object keeps. Charges stay where they are when a task
//! moves. A removed cgroup lives on as long as something is charged to it, as on Linux.
//!
//! Charging is cheap at any depth: [`MemControl`] keeps *stocks* per CPU, charged in advance in batches of
//! [`BATCH`] pages. A stock makes no limit weaker: all are given back before a charge is refused. And no usage
//! wrong: they are given back before one is read. *Decided:* `memory.current` is exact when read (on Linux it
//! may be too large by 63 pages for each CPU); `memory.peak` may show a stock as Linux's does.
//!
//! Where tasks wait for room because nobody is killed (v1's `oom_kill_disable`), there are no stocks: what is given
//! back is seen at once, and told to them by whoever gave it back, on its way to user mode.
//!
//! The root charges nothing and has no limits; its statistics are those of the machine.
//!
//! Over the limit a charge fails, and the out-of-memory killer runs where no lock is held: in a page
//! fault of user code at once, then the access is made again; in a system call on the way out, see
//! [`super::oom`].
//!
//! Locks: one `class::Counter` per CPU for its stocks, the table of cgroups a leaf. A charge may be made
//! with any lock held that ranks before `Counter`.
//!
//! `Documentation/admin-guide/cgroup-v2.rst` "Memory", `cgroup-v1/memory.rst`.

mod control;
mod high;
mod immigrate;
mod kmem;
mod stock;
#[cfg(test)]
mod tests;
mod watch;

pub use control::{CurrentTask, MemControl};
pub use high::high_delay;
pub use immigrate::{Immigration, MoveCharge};
pub use kmem::KmemCharge;
pub use stock::BATCH;
pub use watch::{Pressure, Reach, Watched};

use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};

use spin::Once;

use super::oom::Patience;
use super::page_counter::{PageCounter, UNLIMITED};
use crate::cgroup::Css;
use crate::ensure;
use crate::error::Result;
use crate::sync::{SpinLock, WaitQueue, class};

/// What is counted for `memory.stat`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Item {
    /// Pages of private memory.
    Anon = 0,
    /// Pages of files; all our files are in memory (`shmem`).
    Shmem = 1,
    /// Pages of pipes.
    Pipe = 2,
    /// Pages of kernel objects, all of the following.
    Kmem = 3,
    /// Pages of kernel stacks.
    KernelStack = 4,
    /// Pages of page tables.
    PageTables = 5,
    /// Bytes of kernel objects that go with what they describe.
    Slab = 6,
    /// Page faults.
    Faults = 7,
    /// Bytes of sockets' buffers.
    Sock = 8,
    /// Pages of [`Item::Anon`] and [`Item::Shmem`] that were ever charged.
    Charged = 9,
    /// Pages of files that are in page tables.
    Mapped = 10,
}

impl Item {
    /// How many there are.
    pub const COUNT: usize = 11;
    /// Whether v1 counts these pages as they come and go.
    #[inline(always)]
    fn comes_and_goes(self) -> bool {
        matches!(self, Item::Anon | Item::Shmem)
    }
}

/// What happened (`memory.events`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Event {
    /// Memory was reclaimed although it was below `memory.low`.
    Low,
    /// The allocator was slowed down at `memory.high`.
    High,
    /// A charge met `memory.max`.
    Max,
    /// It could not be helped by reclaim.
    Oom,
    /// A process of the cgroup was killed for it.
    OomKill,
    /// All of it was killed.
    OomGroupKill,
}

impl Event {
    /// In the order of the file, with their names.
    pub const ALL: [(Event, &'static str); 6] = [
        (Event::Low, "low"),
        (Event::High, "high"),
        (Event::Max, "max"),
        (Event::Oom, "oom"),
        (Event::OomKill, "oom_kill"),
        (Event::OomGroupKill, "oom_group_kill"),
    ];
}

/// One cgroup's memory.
pub struct MemCgroup {
    /// What frames that it pays for say; 0 is the root.
    id: u32,
    parent: Option<Arc<MemCgroup>>,
    /// Its side in the cgroup tree, for notifications.
    css: Once<Weak<Css>>,
    online: AtomicBool,
    /// Everything that is charged.
    pub memory: Arc<PageCounter>,
    /// `memory.high`, `memory.low`, `memory.min`, in pages.
    pub high: AtomicU64,
    /// See `high`.
    pub low: AtomicU64,
    /// See `high`.
    pub min: AtomicU64,
    /// `memory.swap.max`, `memory.swap.high`, in pages. There is no swap, so nothing ever meets them.
    pub swap_max: AtomicU64,
    /// See `swap_max`.
    pub swap_high: AtomicU64,
    /// v1: the limit of memory with swap and the soft limit, in pages, and `memory.swappiness`. All three
    /// are about reclaim and swap, which have no subject here; see `cgroup::memory::v1`.
    memsw_max: AtomicU64,
    /// Held while either limit is set: `memsw_max` is never below that of `memory`.
    limits: SpinLock<(), class::Leaf>,
    /// Charges that were refused where both limits are equal.
    pub memsw_failcnt: AtomicU64,
    /// See `memsw_max`.
    pub soft_limit: AtomicU64,
    /// See `memsw_max`.
    pub swappiness: AtomicU64,
    /// Of the subtree, but for what the stocks have not told yet.
    stat: [AtomicI64; Item::COUNT],
    /// Of this cgroup alone, likewise.
    local: [AtomicI64; Item::COUNT],
    events: [AtomicU64; Event::ALL.len()],
    events_local: [AtomicU64; Event::ALL.len()],
    /// v1: thresholds that somebody watches.
    bounds: watch::Bounds,
    /// The most pages of kernel memory that were ever told of.
    kmem_peak: AtomicU64,
    /// Bytes that are charged but belong to no object: rest of pages.
    odd_bytes: AtomicU64,
    /// v1: buffers of sockets, apart from everything else, if they are counted at all.
    pub tcp: Arc<PageCounter>,
    /// v1: whether they are: a limit was set once.
    pub tcp_active: AtomicBool,
    /// v1: [`MoveCharge`] of who comes.
    pub move_charge: AtomicU8,
    /// `memory.oom.group`.
    pub oom_group: AtomicBool,
    /// v1: nobody is killed; who needs memory waits.
    pub oom_kill_disable: AtomicBool,
    /// Processes here and below that were killed for their memory and still hold some.
    pub oom_victims: AtomicU32,
    /// How long one waits for them.
    pub(in crate::mm) oom_patience: Patience,
    /// Tasks that wait for the end of an out-of-memory situation, which v1 leaves to user space.
    pub oom_waiters: AtomicU32,
    /// Where they wait.
    pub oom_queue: WaitQueue,
}

impl MemCgroup {
    fn new(id: u32, parent: Option<Arc<MemCgroup>>) -> Arc<MemCgroup> {
        let counter = parent.as_ref().map(|parent| parent.memory.clone());
        let tcp = parent.as_ref().map(|parent| parent.tcp.clone());
        let zeros = || core::array::from_fn(|_| AtomicI64::new(0));
        let none = || core::array::from_fn(|_| AtomicU64::new(0));
        let inherit = |flag: fn(&MemCgroup) -> &AtomicBool| {
            AtomicBool::new(parent.as_ref().is_some_and(|parent| flag(parent).load(Relaxed)))
        };
        Arc::new(MemCgroup {
            id,
            css: Once::new(),
            online: AtomicBool::new(true),
            memory: PageCounter::new(counter),
            high: AtomicU64::new(UNLIMITED),
            low: AtomicU64::new(0),
            min: AtomicU64::new(0),
            swap_max: AtomicU64::new(UNLIMITED),
            swap_high: AtomicU64::new(UNLIMITED),
            memsw_max: AtomicU64::new(UNLIMITED),
            limits: SpinLock::default(),
            memsw_failcnt: AtomicU64::new(0),
            soft_limit: AtomicU64::new(UNLIMITED),
            swappiness: AtomicU64::new(
                parent
                    .as_ref()
                    .map_or(60, |parent| parent.swappiness.load(Relaxed)),
            ),
            bounds: watch::Bounds::new(),
            kmem_peak: AtomicU64::new(0),
            stat: zeros(),
            local: zeros(),
            events: none(),
            events_local: none(),
            odd_bytes: AtomicU64::new(0),
            tcp: PageCounter::new(tcp),
            tcp_active: AtomicBool::new(false),
            move_charge: AtomicU8::new(0),
            oom_group: AtomicBool::new(false),
            oom_kill_disable: inherit(|parent| &parent.oom_kill_disable),
            oom_victims: AtomicU32::new(0),
            oom_patience: Patience::default(),
            oom_waiters: AtomicU32::new(0),
            oom_queue: WaitQueue::new(),
            parent,
        })
    }

    /// Whether it is the root, which charges nothing.
    #[inline]
    pub fn is_root(&self) -> bool {
        self.id == 0
    }
    /// The number in owner words; 0 for the root. Another cgroup may get it once nothing is charged here.
    pub fn id(&self) -> u32 {
        self.id
    }
    /// The one above.
    pub fn parent(&self) -> Option<&Arc<MemCgroup>> {
        self.parent.as_ref()
    }
    /// Itself and its ancestors, up to the root.
    pub fn self_and_ancestors(self: &Arc<MemCgroup>) -> impl Iterator<Item = &Arc<MemCgroup>> {
        core::iter::successors(Some(self), |memcg| memcg.parent())
    }
    /// Whether `ancestor` is this or above it.
    pub fn is_descendant(self: &Arc<MemCgroup>, ancestor: &Arc<MemCgroup>) -> bool {
        ancestor.is_root()
            || self
                .self_and_ancestors()
                .any(|memcg| Arc::ptr_eq(memcg, ancestor))
    }
    /// Whether its cgroup is there.
    pub fn is_online(&self) -> bool {
        self.online.load(Relaxed)
    }
    /// Its side in the cgroup tree; `None` once that is gone, or before it is there.
    pub fn css(&self) -> Option<Arc<Css>> {
        self.css.get()?.upgrade()
    }
    /// Whether the rules of v1 hold: the controller is bound to a v1 hierarchy.
    pub fn is_legacy(&self) -> bool {
        let cgroup = self.css().and_then(|css| css.cgroup());
        cgroup.is_some_and(|cgroup| !cgroup.on_dfl())
    }
    /// Enters it into the cgroup tree.
    pub fn set_css(&self, css: &Arc<Css>) {
        self.css.call_once(|| Arc::downgrade(css));
    }

    /// A statistic of the subtree or of the cgroup alone; exact behind [`MemControl::drain`].
    pub fn stat(&self, item: Item) -> u64 {
        self.stat[item as usize].load(Relaxed).max(0) as u64
    }
    /// Likewise of the cgroup alone.
    pub fn stat_local(&self, item: Item) -> u64 {
        self.local[item as usize].load(Relaxed).max(0) as u64
    }
    fn add_stat(&self, item: usize, delta: i64) {
        self.local[item].fetch_add(delta, Relaxed);
        let mut at = Some(self);
        while let Some(memcg) = at {
            memcg.stat[item].fetch_add(delta, Relaxed);
            if delta > 0 && (item == Item::Kmem as usize || item == Item::Pipe as usize) {
                memcg.kmem_peak.fetch_max(memcg.kmem_usage(), Relaxed);
            }
            at = memcg.parent.as_deref();
        }
    }

    /// Pages of kernel memory in the subtree; exact behind [`MemControl::drain`].
    pub fn kmem_usage(&self) -> u64 {
        self.stat(Item::Kmem) + self.stat(Item::Pipe)
    }
    /// The most of it that there ever was, but for what the stocks had not told.
    pub fn kmem_peak(&self) -> u64 {
        self.kmem_peak.load(Relaxed)
    }
    /// Forgets that.
    pub fn reset_kmem_peak(&self) {
        self.kmem_peak.store(self.kmem_usage(), Relaxed);
    }
    /// The limit of memory with swap.
    pub fn memsw_max(&self) -> u64 {
        self.memsw_max.load(Relaxed)
    }
    /// v1: sets the limit unless more is used. `EINVAL` above that of memory with swap.
    pub fn set_limit(&self, pages: u64) -> Result<bool> {
        let _limits = self.limits.lock();
        ensure!(
            pages <= self.memsw_max(),
            EINVAL,
            "memory.limit_in_bytes above memory.memsw.limit_in_bytes"
        );
        Ok(self.memory.try_set_max(pages))
    }
    /// v1: sets the limit of memory with swap. `EINVAL` below that of memory.
    pub fn set_memsw_limit(&self, pages: u64) -> Result<()> {
        let _limits = self.limits.lock();
        ensure!(
            pages >= self.memory.max(),
            EINVAL,
            "memory.memsw.limit_in_bytes below memory.limit_in_bytes"
        );
        self.memsw_max.store(pages, Relaxed);
        Ok(())
    }
    /// A charge was refused at this limit: at that of memory with swap, if it is no higher.
    fn note_failure(&self) {
        if self.memsw_max() <= self.memory.max() {
            self.memsw_failcnt.fetch_add(1, Relaxed);
        } else {
            self.memory.note_failure();
        }
    }

    /// How often something happened, in the subtree.
    pub fn events(&self, event: Event) -> u64 {
        self.events[event as usize].load(Relaxed)
    }
    /// Likewise in the cgroup alone.
    pub fn events_local(&self, event: Event) -> u64 {
        self.events_local[event as usize].load(Relaxed)
    }
    /// Something happened: counts it here and above, and wakes who waits on the files. Called
    /// without locks from `class::Ready` on.
    pub fn event(self: &Arc<MemCgroup>, event: Event) {
        self.events_local[event as usize].fetch_add(1, Relaxed);
        if let Some(css) = self.css() {
            css.notify("memory.events.local");
        }
        for memcg in self.self_and_ancestors().filter(|memcg| !memcg.is_root()) {
            memcg.events[event as usize].fetch_add(1, Relaxed);
            if let Some(css) = memcg.css() {
                css.notify("memory.events");
            }
        }
    }
    /// Whether killing somebody is no way out.
    pub fn is_oom_kill_disabled(&self) -> bool {
        self.oom_kill_disable.load(Relaxed)
    }
}

impl Drop for MemCgroup {
    /// Ancestors go one after the other.
    fn drop(&mut self) {
        let mut above = self.parent.take();
        while let Some(parent) = above {
            above = Arc::into_inner(parent).and_then(|mut parent| parent.parent.take());
        }
    }
}
