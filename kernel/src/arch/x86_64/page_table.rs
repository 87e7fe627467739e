//! One table of a tree of user page tables.
//!
//! A table is a frame. The two link words of its [`FrameMeta`] form a map of 64 bits, one for
//! each group of eight entries (a cache line) that may hold something, so that walks skip what is
//! empty.

use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use linux_object::err;
use linux_object::error::Result;

use super::{page, pte};
use crate::mm::frame_to_virt;
use crate::mm::frames::{self, FrameMeta, PAGE_TABLES, Reserve};

/// Entries in a table.
pub const ENTRIES: usize = 512;

/// A table that is in use.
#[derive(Clone, Copy)]
pub struct Table {
    slots: &'static [AtomicU64; ENTRIES],
    meta: &'static FrameMeta,
}

/// Shift of the address bits that index a table of this level (1: leaf).
#[inline(always)]
pub const fn shift(level: u32) -> u32 {
    3 + 9 * level
}

/// Index of an address in a table of this level.
#[inline(always)]
pub const fn index(at: u64, level: u32) -> usize {
    (at >> shift(level)) as usize % ENTRIES
}

/// The table that an entry of an upper table points to.
#[inline(always)]
pub fn child(entry: u64) -> u32 {
    ((entry & pte::FRAME_MASK) >> 12) as u32
}

/// Bits `from..to` of a word; `to` is not 0.
#[inline(always)]
fn bits(from: usize, to: usize) -> u64 {
    (u64::MAX << (from % 64)) & (u64::MAX >> (64 - to))
}

/// The entries of a table at `base` that a range touches, and those that it covers as a whole.
#[inline]
pub fn indices(level: u32, base: u64, range: &Range<u64>) -> (Range<usize>, Range<usize>) {
    let (entry, span) = (1u64 << shift(level), (ENTRIES as u64) << shift(level));
    let start = range.start.saturating_sub(base);
    let end = (range.end - base).min(span);
    let touched = start >> shift(level)..(end + entry - 1) >> shift(level);
    let covered = (start + entry - 1) >> shift(level)..end >> shift(level);
    (
        touched.start as usize..touched.end as usize,
        covered.start as usize..covered.end as usize,
    )
}

impl Table {
    /// An empty table. `ENOMEM`.
    pub fn make() -> Result<u32> {
        let Some(pfn) = frames::alloc_one(Reserve::Keep) else {
            return Err(err!(ENOMEM, "no frame for a page table"));
        };
        page::clear(pfn);
        let table = Table::at(pfn);
        table.meta.refs.store(1, Relaxed);
        table.meta.owner.store(0, Relaxed);
        table.occupied().store(0, Relaxed);
        PAGE_TABLES.fetch_add(1, Relaxed);
        Ok(pfn)
    }

    /// Frees a table that no CPU can walk through any more.
    pub fn free(pfn: u32) {
        let meta = frames::meta(pfn);
        meta.refs.store(0, Relaxed);
        meta.owner.store(0, Relaxed);
        PAGE_TABLES.fetch_sub(1, Relaxed);
        frames::free_one(pfn);
    }

    /// The table in a frame.
    #[inline(always)]
    pub fn at(pfn: u32) -> Table {
        Table {
            // SAFETY: `pfn` is a table of a live tree, an initialised frame in the direct map that is
            // only accessed through atomics until it is freed.
            slots: unsafe { &*frame_to_virt(pfn).cast() },
            meta: frames::meta(pfn),
        }
    }

    /// The entry at an index.
    #[inline(always)]
    pub fn slot(self, index: usize) -> &'static AtomicU64 {
        &self.slots[index % ENTRIES]
    }

    /// The map of groups that may hold something.
    #[inline(always)]
    fn occupied(self) -> &'static AtomicU64 {
        // SAFETY: `next` and `prev` are adjacent words of a 16-byte structure, at offset 8, and both
        // belong to the table.
        unsafe { &*(&raw const self.meta.next).cast::<AtomicU64>() }
    }

    /// Notes that an entry holds something.
    #[inline(always)]
    pub fn occupy(self, index: usize) {
        let map = self.occupied();
        map.store(map.load(Relaxed) | 1 << (index / 8 % 64), Relaxed);
    }

    /// Notes that the entries hold nothing, where whole groups are among them.
    #[inline]
    pub fn vacate(self, entries: Range<usize>) {
        let (first, last) = (entries.start.div_ceil(8), entries.end / 8);
        if first < last {
            let map = self.occupied();
            map.store(map.load(Relaxed) & !bits(first, last), Relaxed);
        }
    }

    /// Calls `f` for the entries in a range (that is not empty) that hold something.
    #[inline(always)]
    pub fn for_occupied(self, entries: Range<usize>, mut f: impl FnMut(usize, &'static AtomicU64, u64)) {
        let groups = bits(entries.start / 8, entries.end.div_ceil(8));
        let mut map = self.occupied().load(Relaxed) & groups;
        while map != 0 {
            let group = map.trailing_zeros() as usize * 8;
            map &= map - 1;
            let end = entries.end.min(group + 8);
            let mut i = entries.start.max(group);
            while i < end {
                let slot = self.slot(i);
                let entry = slot.load(Relaxed);
                if entry != 0 {
                    f(i, slot, entry);
                }
                i += 1;
            }
        }
    }
}
