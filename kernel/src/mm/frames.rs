//! The page frame allocator: a buddy system with per-CPU caches of single frames in front.
//!
//! Model: [`FrameMeta`] describes each frame below the highest usable address. Free memory is
//! kept in blocks of 2^order frames, aligned to their size, in doubly linked lists through the
//! metadata (Knuth, TAOCP vol. 1, 2.5). Each CPU keeps some single frames, so that
//! allocating and freeing one takes no lock.
//!
//! Invariants:
//! - the head of a free block has `refs == 0` and `owner == FREE | order`; no other frame has both;
//! - a frame in a CPU's cache has `refs == 0` and `owner == 0`;
//! - user memory and page tables ([`Reserve::Keep`]) are refused when only the reserve is left; the
//!   kernel heap and stacks may use the reserve, so that small allocations of a system call in
//!   progress succeed;
//! - `LOW` tells whether half of the reserve is used up: before the next system call the libraries refill it.

use core::cell::Cell;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed};

use linux_object::hal::FrameStats;
use linux_object::ids::Frame;

use crate::arch::percpu;
use crate::sync::{BootCell, Lock};

/// What is known of a frame. The last two words belong to whoever holds the frame: links of the
/// buddy system, of slabs, or the occupancy map of a page table.
#[repr(C, align(16))]
pub struct FrameMeta {
    /// References; 0 is free.
    pub refs: AtomicU32,
    /// Owner word of the memory controller; link of freed page tables; state of a slab.
    pub owner: AtomicU32,
    /// Link forward; page-table entries of a counted frame.
    pub next: AtomicU32,
    /// Link back.
    pub prev: AtomicU32,
}

/// No frame.
pub const NIL: u32 = u32::MAX;
/// Block sizes: 1 frame to 64 MiB.
const ORDERS: usize = 15;
/// Mark of the head of a free block, in `owner`.
const FREE: u32 = 0xb0dd_7000;
/// Frames that a CPU keeps for itself at most, on a machine with much memory.
const CACHE: usize = 512;
/// What fraction of memory all CPUs together may keep for themselves.
const CACHE_SHARE: usize = 64;

/// May an allocation use the reserve?
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reserve {
    /// No: user pages and their tables.
    Keep,
    /// Yes: the kernel's own objects.
    Use,
}

static META: BootCell<&'static [FrameMeta]> = BootCell::new(&[]);
static BUDDY: Lock<Buddy> = Lock::new(Buddy {
    heads: [NIL; ORDERS],
    free: 0,
});
static TOTAL: AtomicUsize = AtomicUsize::new(0);
static RESERVE: AtomicUsize = AtomicUsize::new(0);
static LOW: AtomicBool = AtomicBool::new(false);

/// Frames that hold page tables.
pub static PAGE_TABLES: AtomicUsize = AtomicUsize::new(0);
/// Frames that hold kernel stacks.
pub static KERNEL_STACKS: AtomicUsize = AtomicUsize::new(0);
/// Frames that the heap holds.
pub static HEAP: AtomicUsize = AtomicUsize::new(0);

/// The metadata of a frame.
#[inline(always)]
pub fn meta(pfn: u32) -> &'static FrameMeta {
    &META.get()[pfn as usize]
}

/// Frames that have metadata.
pub fn count() -> usize {
    META.get().len()
}

struct Buddy {
    heads: [u32; ORDERS],
    free: usize,
}

impl Buddy {
    /// The number of free frames has changed much.
    fn note_level(&self) {
        let low = self.free < RESERVE.load(Relaxed) / 2;
        if LOW.load(Relaxed) != low {
            LOW.store(low, Relaxed);
        }
    }

    fn push(&mut self, pfn: u32, order: usize) {
        let m = meta(pfn);
        let head = self.heads[order];
        m.refs.store(0, Relaxed);
        m.owner.store(FREE | order as u32, Relaxed);
        m.next.store(head, Relaxed);
        m.prev.store(NIL, Relaxed);
        if head != NIL {
            meta(head).prev.store(pfn, Relaxed);
        }
        self.heads[order] = pfn;
    }

    fn unlink(&mut self, pfn: u32, order: usize) {
        let m = meta(pfn);
        let (next, prev) = (m.next.load(Relaxed), m.prev.load(Relaxed));
        if prev == NIL {
            self.heads[order] = next;
        } else {
            meta(prev).next.store(next, Relaxed);
        }
        if next != NIL {
            meta(next).prev.store(prev, Relaxed);
        }
        m.owner.store(0, Relaxed);
    }

    fn alloc(&mut self, order: usize) -> Option<u32> {
        let from = (order..ORDERS).find(|&o| self.heads[o] != NIL)?;
        let pfn = self.heads[from];
        self.unlink(pfn, from);
        for o in (order..from).rev() {
            self.push(pfn + (1 << o), o);
        }
        self.free -= 1 << order;
        Some(pfn)
    }

    fn free(&mut self, mut pfn: u32, order: usize) {
        self.free += 1 << order;
        let mut o = order;
        while o < ORDERS - 1 {
            let buddy = pfn ^ (1 << o);
            let Some(m) = META.get().get(buddy as usize) else {
                break;
            };
            if m.refs.load(Relaxed) != 0 || m.owner.load(Relaxed) != FREE | o as u32 {
                break;
            }
            self.unlink(buddy, o);
            pfn &= !(1 << o);
            o += 1;
        }
        self.push(pfn, o);
    }

    /// Frees `len` frames of any alignment.
    fn free_range(&mut self, mut pfn: u32, end: u32) {
        while pfn < end {
            let fit = (end - pfn).ilog2();
            let order = pfn.trailing_zeros().min(fit).min(ORDERS as u32 - 1);
            self.free(pfn, order as usize);
            pfn += 1 << order;
        }
    }
}

/// One CPU's free single frames.
pub struct FrameCache {
    len: Cell<u32>,
    /// How many it may keep.
    limit: Cell<u32>,
    frames: [Cell<u32>; CACHE],
}

impl FrameCache {
    /// An empty cache.
    pub const fn new() -> FrameCache {
        FrameCache {
            len: Cell::new(0),
            limit: Cell::new(32),
            frames: [const { Cell::new(0) }; CACHE],
        }
    }

    /// Sets the limit for a machine with so many CPUs.
    pub fn set_limit(&self, cpus: usize) {
        let share = TOTAL.load(Relaxed) / CACHE_SHARE / cpus;
        self.limit.set(share.clamp(32, CACHE) as u32);
    }

    #[inline(always)]
    fn pop(&self) -> Option<u32> {
        let len = self.len.get();
        if len == 0 {
            return None;
        }
        self.len.set(len - 1);
        self.frames.get(len as usize - 1).map(Cell::get)
    }

    #[cold]
    #[inline(never)]
    fn refill(&self, reserve: Reserve) -> Option<u32> {
        let mut buddy = BUDDY.lock();
        let keep = match reserve {
            Reserve::Keep => RESERVE.load(Relaxed),
            Reserve::Use => 0,
        };
        let mut want = buddy.free.saturating_sub(keep).min(self.limit.get() as usize / 2);
        let mut order = ORDERS - 1;
        while want > 0 {
            order = order.min(want.ilog2() as usize);
            let Some(pfn) = buddy.alloc(order) else {
                // No block of that size is left; there may be smaller ones.
                if order == 0 {
                    break;
                }
                order -= 1;
                continue;
            };
            let len = self.len.get();
            // In descending order, so that they are used in ascending order.
            for i in 0..1u32 << order {
                self.frames[(len + i) as usize].set(pfn + (1 << order) - 1 - i);
            }
            self.len.set(len + (1 << order));
            want -= 1 << order;
        }
        buddy.note_level();
        drop(buddy);
        self.pop()
    }

    #[inline]
    fn push(&self, pfn: u32) {
        let mut len = self.len.get();
        if len >= self.limit.get() {
            self.drain();
            len = self.len.get();
        }
        self.frames[len as usize].set(pfn);
        self.len.set(len + 1);
    }

    /// Gives half of the frames back, those that have been here longest.
    #[cold]
    #[inline(never)]
    fn drain(&self) {
        let len = self.len.get() as usize;
        let give = len / 2;
        let mut buddy = BUDDY.lock();
        for cell in &self.frames[..give] {
            buddy.free(cell.get(), 0);
        }
        buddy.note_level();
        drop(buddy);
        for i in give..len {
            self.frames[i - give].set(self.frames[i].get());
        }
        self.len.set((len - give) as u32);
    }

    /// Frames in the cache, from any CPU (a racy figure).
    fn len(&self) -> usize {
        // SAFETY: a racy read of a word that only its CPU writes; the cell is never moved.
        unsafe { self.len.as_ptr().read_volatile() as usize }
    }
}

/// Installs the metadata, before any frame is added.
///
/// # Safety
/// Called once, while no other CPU runs.
pub unsafe fn init(meta: &'static [FrameMeta]) {
    // SAFETY: by the contract of this function.
    unsafe { META.set(meta) };
}

/// Gives memory to the allocator that was counted into the total.
pub fn add(pfn: u32, end: u32) {
    BUDDY.lock().free_range(pfn, end);
}

/// Counts frames into the total that are usable in principle.
pub fn count_usable(frames: usize) {
    let total = TOTAL.fetch_add(frames, Relaxed) + frames;
    RESERVE.store((total / 32).clamp(256, 4096), Relaxed);
}

/// Whether the kernel's own objects have used up half of the reserve.
#[inline(always)]
pub fn is_low() -> bool {
    LOW.load(Relaxed)
}

/// One frame, `refs` and `owner` 0, contents arbitrary.
#[inline(always)]
pub fn alloc_one(reserve: Reserve) -> Option<u32> {
    let cache = &percpu::this().frames;
    match cache.pop() {
        Some(pfn) => Some(pfn),
        None => cache.refill(reserve),
    }
}

/// Gives back one frame whose `refs` and `owner` are 0.
#[inline]
pub fn free_one(pfn: u32) {
    percpu::this().frames.push(pfn);
}

/// `frames` adjacent frames.
pub fn alloc_many(frames: usize, reserve: Reserve) -> Option<u32> {
    let order = frames.next_power_of_two().ilog2() as usize;
    if order >= ORDERS {
        return None;
    }
    let mut buddy = BUDDY.lock();
    if reserve == Reserve::Keep && buddy.free < RESERVE.load(Relaxed) + frames {
        return None;
    }
    let pfn = buddy.alloc(order)?;
    buddy.free_range(pfn + frames as u32, pfn + (1 << order));
    buddy.note_level();
    Some(pfn)
}

/// Gives back adjacent frames; their `refs` and `owner` are 0.
pub fn free_many(pfn: u32, frames: usize) {
    let mut buddy = BUDDY.lock();
    buddy.free_range(pfn, pfn + frames as u32);
    buddy.note_level();
}

/// A counted frame for user memory.
#[inline]
pub fn alloc_counted(zeroed: bool) -> Option<Frame> {
    let pfn = alloc_one(Reserve::Keep)?;
    let m = meta(pfn);
    m.owner.store(0, Relaxed);
    m.next.store(0, Relaxed);
    m.refs.store(1, Relaxed);
    if zeroed {
        crate::arch::page::clear(pfn);
    }
    Some(Frame(pfn))
}

/// One reference less; the owner word if it was the last.
#[inline]
pub fn put(frame: Frame) -> Option<u32> {
    use core::sync::atomic::Ordering::{AcqRel, Acquire};
    let m = meta(frame.0);
    // The only reference needs no atomic operation: nobody else can make a second one.
    if m.refs.load(Acquire) != 1 {
        let before = m.refs.fetch_sub(1, AcqRel);
        assert!(before != 0, "frame {frame} freed twice");
        if before != 1 {
            return None;
        }
    } else {
        m.refs.store(0, Relaxed);
    }
    let owner = m.owner.load(Relaxed);
    m.owner.store(0, Relaxed);
    free_one(frame.0);
    Some(owner)
}

/// Figures for `/proc/meminfo`.
pub fn stats() -> FrameStats {
    let cached: usize = percpu::all().map(|cpu| cpu.frames.len()).sum();
    FrameStats {
        total: TOTAL.load(Relaxed),
        free: BUDDY.lock().free + cached,
        page_tables: PAGE_TABLES.load(Relaxed),
        kernel_stacks: KERNEL_STACKS.load(Relaxed),
        heap: HEAP.load(Relaxed),
    }
}
