//! User address spaces: trees of four levels (Intel SDM vol. 3, 4.5.4).
//!
//! The last leaf table used is remembered, so that walks in order touch the upper levels once per
//! 2 MiB.
//!
//! Invariants: callers hold the `Mm` lock of the owner, so only the CPU's own updates of the accessed and
//! dirty bits race with us; entries are exchanged atomically. A table taken out of the tree is
//! freed by the next [`PageTables::flush`], when no CPU can walk through it any more.

use core::any::Any;
use core::cell::Cell;
use core::ops::Range;
use core::sync::atomic::{
    AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::Release, Ordering::SeqCst, fence,
};

use linux_object::error::Result;
use linux_object::hal::{AddressSpace, PageFlags, Pte};
use linux_object::ids::{USER_END, UserAddr};

use super::page_table::{ENTRIES, Table, child, index, indices, shift};
use super::{kernel_map, percpu, pte, tlb};
use crate::mm::frames::{self, NIL};

/// A flush of more pages than this drops the whole TLB.
const FLUSH_ALL_ABOVE: u64 = 32;

/// Page tables of a user address space.
pub struct PageTables {
    root: u32,
    /// Tables in use, the root included.
    tables: AtomicUsize,
    /// CPUs that have it in CR3.
    pub cpus: AtomicU64,
    /// Address >> 21 of the remembered leaf table. No user address has the initial value.
    leaf_key: Cell<u64>,
    leaf: Cell<Table>,
    /// Tables to free, linked through `owner`.
    doomed: Cell<u32>,
}

// SAFETY: the cells are used under the owner's `Mm` lock (the contract of `AddressSpace`), all else
// is atomic.
unsafe impl Sync for PageTables {}
// SAFETY: nothing in it belongs to a thread or CPU.
unsafe impl Send for PageTables {}

type Each<'a> = &'a mut dyn FnMut(UserAddr, Pte);
type Update<'a> = &'a mut dyn FnMut(UserAddr, Pte) -> Option<PageFlags>;

impl PageTables {
    /// An empty address space.
    pub fn new() -> Result<PageTables> {
        let root = Table::make()?;
        kernel_map::copy_kernel_half(root);
        Ok(PageTables {
            root,
            tables: AtomicUsize::new(1),
            cpus: AtomicU64::new(0),
            leaf_key: Cell::new(u64::MAX),
            leaf: Cell::new(Table::at(root)),
            doomed: Cell::new(NIL),
        })
    }

    /// What CR3 is set to.
    pub fn root_phys(&self) -> u64 {
        u64::from(self.root) << 12
    }

    /// The remembered leaf table, if it is the one for this address (which is a user's, then).
    #[inline(always)]
    fn near_leaf(&self, at: u64) -> Option<Table> {
        (self.leaf_key.get() == at >> 21).then(|| self.leaf.get())
    }

    /// The leaf table for an address, or how many tables lack to have it.
    #[cold]
    #[inline(never)]
    fn find_leaf(&self, at: u64) -> core::result::Result<Table, usize> {
        let mut table = Table::at(self.root);
        for level in [4, 3, 2] {
            match table.slot(index(at, level)).load(Relaxed) {
                0 => return Err(level as usize - 1),
                entry => table = Table::at(child(entry)),
            }
        }
        self.leaf_key.set(at >> 21);
        self.leaf.set(table);
        Ok(table)
    }

    /// The same, made if it is not there.
    fn make_leaf(&self, at: u64) -> Result<Table> {
        let mut table = Table::at(self.root);
        for level in [4, 3, 2] {
            let slot = table.slot(index(at, level));
            let next = match slot.load(Relaxed) {
                0 => {
                    let new = Table::make()?;
                    self.tables.fetch_add(1, Relaxed);
                    table.occupy(index(at, level));
                    // The table's zeros must be visible before the entry.
                    slot.store(u64::from(new) << 12 | pte::TABLE, Release);
                    new
                }
                entry => child(entry),
            };
            table = Table::at(next);
        }
        self.leaf_key.set(at >> 21);
        self.leaf.set(table);
        Ok(table)
    }

    #[cold]
    #[inline(never)]
    fn map_far(&self, at: UserAddr, pte: Pte) -> Result<Option<Pte>> {
        assert!(
            at.0 < USER_END && at.0.is_multiple_of(4096),
            "not a user page: {at}"
        );
        let leaf = match self.find_leaf(at.0) {
            Ok(leaf) => leaf,
            Err(_) => self.make_leaf(at.0)?,
        };
        Ok(map_in(leaf, at, pte))
    }

    fn unmap_upper(&self, level: u32, pfn: u32, base: u64, range: &Range<u64>, each: Each<'_>) {
        let table = Table::at(pfn);
        let (touched, covered) = indices(level, base, range);
        table.for_occupied(touched, |i, slot, entry| {
            let at = base + ((i as u64) << shift(level));
            let sub = child(entry);
            if level > 2 {
                self.unmap_upper(level - 1, sub, at, range, each);
            } else {
                unmap_leaf(sub, at, range, each);
            }
            if covered.contains(&i) {
                slot.store(0, Relaxed);
                self.doom(sub);
            }
        });
        table.vacate(covered);
    }

    /// Leaves a table, which is out of the tree, to the next flush.
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
            Table::free(pfn);
            pfn = next;
        }
    }
}

#[inline(always)]
fn map_in(leaf: Table, at: UserAddr, pte: Pte) -> Option<Pte> {
    let index = index(at.0, 1);
    let old = leaf.slot(index).swap(pte::encode(pte), Relaxed);
    if old != 0 {
        return Some(pte::decode(old));
    }
    leaf.occupy(index);
    None
}

fn unmap_leaf(pfn: u32, base: u64, range: &Range<u64>, each: Each<'_>) {
    let table = Table::at(pfn);
    let (touched, _) = indices(1, base, range);
    table.for_occupied(touched.clone(), |i, slot, _| {
        let old = slot.swap(0, Relaxed);
        each(UserAddr(base + ((i as u64) << 12)), pte::decode(old));
    });
    table.vacate(touched);
}

fn update_upper(level: u32, pfn: u32, base: u64, range: &Range<u64>, each: Update<'_>) {
    let (touched, _) = indices(level, base, range);
    Table::at(pfn).for_occupied(touched, |i, _, entry| {
        let at = base + ((i as u64) << shift(level));
        if level > 2 {
            update_upper(level - 1, child(entry), at, range, each);
        } else {
            update_leaf(child(entry), at, range, each);
        }
    });
}

fn update_leaf(pfn: u32, base: u64, range: &Range<u64>, each: Update<'_>) {
    let (touched, _) = indices(1, base, range);
    Table::at(pfn).for_occupied(touched, |i, slot, entry| {
        let at = UserAddr(base + ((i as u64) << 12));
        let Some(flags) = each(at, pte::decode(entry)) else {
            return;
        };
        let new = entry & pte::FRAME_MASK | pte::encode_flags(flags);
        if slot.compare_exchange(entry, new, Relaxed, Relaxed).is_err() {
            update_noted(slot, entry, new);
        }
    });
}

/// Exchanges an entry in which the CPU has noted something since it was read; that is kept.
#[cold]
fn update_noted(slot: &AtomicU64, entry: u64, new: u64) {
    let mut seen = slot.load(Relaxed);
    loop {
        let noted = seen & !entry & (pte::ACCESSED | pte::DIRTY);
        match slot.compare_exchange(seen, new | noted, Relaxed, Relaxed) {
            Ok(_) => return,
            Err(now) => seen = now,
        }
    }
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
        match self.near_leaf(at.0) {
            Some(leaf) => Ok(map_in(leaf, at, pte)),
            None => self.map_far(at, pte),
        }
    }

    fn query(&self, at: UserAddr) -> Option<Pte> {
        self.lookup(at).ok().flatten()
    }

    #[inline]
    fn lookup(&self, at: UserAddr) -> core::result::Result<Option<Pte>, usize> {
        let leaf = match self.near_leaf(at.0) {
            Some(leaf) => leaf,
            None if at.0 < USER_END => self.find_leaf(at.0)?,
            None => return Ok(None),
        };
        let entry = leaf.slot(index(at.0, 1)).load(Relaxed);
        Ok((entry != 0).then(|| pte::decode(entry)))
    }

    fn unmap(&self, range: Range<UserAddr>, each: Each<'_>) {
        let range = check(&range);
        if !range.is_empty() {
            self.unmap_upper(4, self.root, 0, &range, each);
        }
    }

    fn update(&self, range: Range<UserAddr>, each: Update<'_>) {
        let range = check(&range);
        if !range.is_empty() {
            update_upper(4, self.root, 0, &range, each);
        }
    }

    fn flush(&self, range: Range<UserAddr>) {
        let mut range = check(&range);
        if range.end - range.start > FLUSH_ALL_ABOVE << 12 {
            range = tlb::ALL_USER;
        }
        // The changed entries must be visible before the mask is read: a CPU that is not in it
        // loads CR3 later and sees them.
        fence(SeqCst);
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
                let end = if level == 4 { ENTRIES / 2 } else { ENTRIES };
                Table::at(pfn).for_occupied(0..end, |_, _, entry| free_in(level - 1, child(entry)));
            }
            Table::free(pfn);
        }
        debug_assert_eq!(*self.cpus.get_mut(), 0, "page tables in use are dropped");
        self.free_doomed();
        free_in(4, self.root);
    }
}
