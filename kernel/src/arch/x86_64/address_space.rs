//! User page tables: four levels (Intel SDM vol. 3, 4.5.4).
//!
//! Model: tables are frames; the two link words of a table's [`FrameMeta`] form a map of 64 bits,
//! one per group of eight entries (a cache line) that may hold something, so that walks skip what
//! is empty. The last leaf table used is remembered: walks in order touch the upper levels once per
//! 2 MiB.
//!
//! Invariants: callers hold the `Mm` lock of the owner, so only the CPU's own updates of the accessed and
//! dirty bits race with us; entries are exchanged atomically. A table taken out of the tree is
//! freed by the next [`PageTables::flush`], when no CPU can walk through it any more.

use core::any::Any;
use core::cell::Cell;
use core::ops::Range;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};

use linux_object::err;
use linux_object::error::Result;
use linux_object::hal::{AddressSpace, PageFlags, Pte};
use linux_object::ids::{USER_END, UserAddr};

use super::{kernel_map, percpu, pte, tlb};
use crate::mm::frame_to_virt;
use crate::mm::frames::{self, FrameMeta, NIL, PAGE_TABLES, Reserve};

type Table = [AtomicU64; 512];

/// A flush of more pages than this drops the whole TLB.
const FLUSH_ALL_ABOVE: u64 = 32;

/// Page tables of a user address space.
pub struct PageTables {
    root: u32,
    /// Tables in use, the root included.
    tables: AtomicUsize,
    /// CPUs that have it in CR3.
    pub cpus: AtomicU64,
    /// Address >> 21 of the remembered leaf table.
    leaf_key: Cell<u64>,
    leaf: Cell<u32>,
    /// Tables to free, linked through `owner`.
    doomed: Cell<u32>,
}

// SAFETY: the cells are used under the owner's `Mm` lock (the contract of `AddressSpace`), all else
// is atomic.
unsafe impl Sync for PageTables {}
// SAFETY: nothing in it belongs to a thread or CPU.
unsafe impl Send for PageTables {}

#[inline(always)]
fn table(pfn: u32) -> &'static Table {
    // SAFETY: `pfn` is a table of a live tree, an initialised frame in the direct map that is only
    // accessed through atomics until it is freed.
    unsafe { &*frame_to_virt(pfn).cast::<Table>() }
}

#[inline(always)]
fn child(entry: u64) -> u32 {
    ((entry & pte::FRAME_MASK) >> 12) as u32
}

/// Shift of the address bits that index a table of this level (1: leaf).
#[inline(always)]
const fn shift(level: u32) -> u32 {
    3 + 9 * level
}

fn occupancy(m: &FrameMeta) -> u64 {
    u64::from(m.next.load(Relaxed)) | u64::from(m.prev.load(Relaxed)) << 32
}

fn set_occupancy(m: &FrameMeta, map: u64) {
    m.next.store(map as u32, Relaxed);
    m.prev.store((map >> 32) as u32, Relaxed);
}

#[inline(always)]
fn occupy(m: &FrameMeta, index: usize) {
    let group = index / 8;
    let word = if group < 32 { &m.next } else { &m.prev };
    word.store(word.load(Relaxed) | 1 << (group % 32), Relaxed);
}

/// Bits `from..to` of a word; `to` may be 64.
#[inline]
fn bits(from: usize, to: usize) -> u64 {
    (u64::MAX << from) & (u64::MAX >> (64 - to))
}

/// Calls `f` for the entries in `from..to` that hold something.
#[inline]
fn for_occupied(pfn: u32, from: usize, to: usize, mut f: impl FnMut(usize, &AtomicU64, u64)) {
    let mut map = occupancy(frames::meta(pfn)) & bits(from / 8, to.div_ceil(8));
    let table = table(pfn);
    while map != 0 {
        let group = map.trailing_zeros() as usize * 8;
        map &= map - 1;
        for (i, slot) in table
            .iter()
            .enumerate()
            .take(to.min(group + 8))
            .skip(from.max(group))
        {
            let entry = slot.load(Relaxed);
            if entry != 0 {
                f(i, slot, entry);
            }
        }
    }
}

impl PageTables {
    /// An empty address space.
    pub fn new() -> Result<PageTables> {
        let root = new_table()?;
        kernel_map::copy_kernel_half(root);
        Ok(PageTables {
            root,
            tables: AtomicUsize::new(1),
            cpus: AtomicU64::new(0),
            leaf_key: Cell::new(u64::MAX),
            leaf: Cell::new(0),
            doomed: Cell::new(NIL),
        })
    }

    /// What CR3 is set to.
    pub fn root_phys(&self) -> u64 {
        u64::from(self.root) << 12
    }

    /// The leaf table for an address.
    #[inline(always)]
    fn leaf(&self, at: u64) -> Option<u32> {
        if self.leaf_key.get() == at >> 21 {
            return Some(self.leaf.get());
        }
        let mut pfn = self.root;
        for level in [4, 3, 2] {
            let entry = table(pfn)[(at >> shift(level)) as usize & 511].load(Relaxed);
            if entry == 0 {
                return None;
            }
            pfn = child(entry);
        }
        self.leaf_key.set(at >> 21);
        self.leaf.set(pfn);
        Some(pfn)
    }

    /// The same, made if it is not there.
    #[cold]
    #[inline(never)]
    fn make_leaf(&self, at: u64) -> Result<u32> {
        let mut pfn = self.root;
        for level in [4, 3, 2] {
            let index = (at >> shift(level)) as usize & 511;
            let slot = &table(pfn)[index];
            let entry = slot.load(Relaxed);
            pfn = if entry == 0 {
                let new = new_table()?;
                self.tables.fetch_add(1, Relaxed);
                occupy(frames::meta(pfn), index);
                // The table's zeros must be visible before the entry (x86 keeps stores in order).
                slot.store(
                    u64::from(new) << 12 | pte::TABLE,
                    core::sync::atomic::Ordering::Release,
                );
                new
            } else {
                child(entry)
            };
        }
        self.leaf_key.set(at >> 21);
        self.leaf.set(pfn);
        Ok(pfn)
    }

    fn unmap_in(
        &self,
        level: u32,
        pfn: u32,
        base: u64,
        range: &Range<u64>,
        each: &mut dyn FnMut(UserAddr, Pte),
    ) {
        let (from, to) = indices(level, base, range);
        for_occupied(pfn, from, to, |i, slot, entry| {
            let at = base + ((i as u64) << shift(level));
            if level == 1 {
                let old = slot.swap(0, Relaxed);
                each(UserAddr(at), pte::decode(old));
            } else {
                let sub = child(entry);
                self.unmap_in(level - 1, sub, at, range, each);
                if range.start <= at && at + (1 << shift(level)) <= range.end {
                    slot.store(0, Relaxed);
                    self.doom(sub);
                }
            }
        });
        // Groups whose entries were covered as a whole are empty now. An upper entry at either end
        // may have been covered in part.
        let part_at = |at: u64| usize::from(at & ((1 << shift(level)) - 1) != 0);
        let full_from = from + part_at(range.start.max(base));
        let full_to = to - part_at(range.end.min(base + (512 << shift(level))));
        let (first, last) = (full_from.div_ceil(8), full_to / 8);
        if first < last {
            let m = frames::meta(pfn);
            set_occupancy(m, occupancy(m) & !bits(first, last));
        }
    }

    fn doom(&self, pfn: u32) {
        frames::meta(pfn).owner.store(self.doomed.get(), Relaxed);
        self.doomed.set(pfn);
        self.tables.fetch_sub(1, Relaxed);
        self.leaf_key.set(u64::MAX);
    }

    fn free_doomed(&self) {
        let mut pfn = self.doomed.replace(NIL);
        while pfn != NIL {
            let next = frames::meta(pfn).owner.load(Relaxed);
            free_table(pfn);
            pfn = next;
        }
    }

    fn update_in(
        level: u32,
        pfn: u32,
        base: u64,
        range: &Range<u64>,
        each: &mut dyn FnMut(UserAddr, Pte) -> Option<PageFlags>,
    ) {
        let (from, to) = indices(level, base, range);
        for_occupied(pfn, from, to, |i, slot, entry| {
            let at = base + ((i as u64) << shift(level));
            if level > 1 {
                return Self::update_in(level - 1, child(entry), at, range, each);
            }
            let Some(flags) = each(UserAddr(at), pte::decode(entry)) else {
                return;
            };
            let new = entry & pte::FRAME_MASK | pte::encode_flags(flags);
            let mut seen = entry;
            loop {
                // What the CPU noted since we looked is kept.
                let noted = seen & !entry & (pte::ACCESSED | pte::DIRTY);
                match slot.compare_exchange(seen, new | noted, Relaxed, Relaxed) {
                    Ok(_) => break,
                    Err(now) => seen = now,
                }
            }
        });
    }
}

/// The part of a table at `base` that a range covers.
#[inline]
fn indices(level: u32, base: u64, range: &Range<u64>) -> (usize, usize) {
    let span = 512 << shift(level);
    let from = range.start.saturating_sub(base) >> shift(level);
    let end = (range.end - base).min(span);
    let to = (end + (1 << shift(level)) - 1) >> shift(level);
    (from as usize, to as usize)
}

fn new_table() -> Result<u32> {
    let Some(pfn) = frames::alloc_one(Reserve::Keep) else {
        return Err(err!(ENOMEM, "no frame for a page table"));
    };
    super::page::clear(pfn);
    let m = frames::meta(pfn);
    m.refs.store(1, Relaxed);
    m.owner.store(0, Relaxed);
    set_occupancy(m, 0);
    PAGE_TABLES.fetch_add(1, Relaxed);
    Ok(pfn)
}

fn free_table(pfn: u32) {
    let m = frames::meta(pfn);
    m.refs.store(0, Relaxed);
    m.owner.store(0, Relaxed);
    PAGE_TABLES.fetch_sub(1, Relaxed);
    frames::free_one(pfn);
}

fn check(range: &Range<UserAddr>) -> Range<u64> {
    assert!(
        range.start.0 <= range.end.0
            && range.end.0 <= USER_END
            && (range.start.0 | range.end.0).is_multiple_of(4096),
        "not a range of user pages: {range:?}"
    );
    range.start.0..range.end.0
}

impl AddressSpace for PageTables {
    fn map(&self, at: UserAddr, pte: Pte) -> Result<Option<Pte>> {
        assert!(
            at.0 < USER_END && at.0.is_multiple_of(4096),
            "not a user page: {at}"
        );
        let leaf = match self.leaf(at.0) {
            Some(leaf) => leaf,
            None => self.make_leaf(at.0)?,
        };
        let index = (at.0 >> 12) as usize & 511;
        let old = table(leaf)[index].swap(pte::encode(pte), Relaxed);
        if old == 0 {
            occupy(frames::meta(leaf), index);
            Ok(None)
        } else {
            Ok(Some(pte::decode(old)))
        }
    }

    fn query(&self, at: UserAddr) -> Option<Pte> {
        if at.0 >= USER_END {
            return None;
        }
        let leaf = self.leaf(at.0)?;
        let entry = table(leaf)[(at.0 >> 12) as usize & 511].load(Relaxed);
        (entry != 0).then(|| pte::decode(entry))
    }

    fn unmap(&self, range: Range<UserAddr>, each: &mut dyn FnMut(UserAddr, Pte)) {
        let range = check(&range);
        if !range.is_empty() {
            self.unmap_in(4, self.root, 0, &range, each);
        }
    }

    fn update(&self, range: Range<UserAddr>, each: &mut dyn FnMut(UserAddr, Pte) -> Option<PageFlags>) {
        let range = check(&range);
        if !range.is_empty() {
            Self::update_in(4, self.root, 0, &range, each);
        }
    }

    fn flush(&self, range: Range<UserAddr>) {
        let mut range = check(&range);
        if range.end - range.start > FLUSH_ALL_ABOVE << 12 {
            range = tlb::ALL_USER;
        }
        // The changed entries must be visible before the mask is read: a CPU that is not in it
        // loads CR3 later and sees them.
        core::sync::atomic::fence(SeqCst);
        let me = 1 << percpu::this().id.get();
        let cpus = self.cpus.load(SeqCst);
        if cpus & me != 0 {
            tlb::flush_local(&range);
        }
        if cpus & !me != 0 {
            tlb::shoot(cpus & !me, &range);
        }
        self.free_doomed();
    }

    fn table_pages(&self) -> usize {
        self.tables.load(Relaxed)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Drop for PageTables {
    fn drop(&mut self) {
        fn free_in(level: u32, pfn: u32) {
            if level > 1 {
                // Of the root, only the user's half.
                let to = if level == 4 { 256 } else { 512 };
                for_occupied(pfn, 0, to, |_, _, entry| free_in(level - 1, child(entry)));
            }
            free_table(pfn);
        }
        debug_assert_eq!(*self.cpus.get_mut(), 0, "page tables in use are dropped");
        self.free_doomed();
        free_in(4, self.root);
    }
}
