//! Charges that move with a process (v1's `memory.move_charge_at_immigrate`).
//!
//! Before the process moves, its pages that the old cgroup pays for are counted and room for as many is charged to the
//! new one, or the move is refused. Behind it their owner words change, each in one step, so a page
//! is uncharged where it is charged whenever it goes. Pages that came between the two count only as far as there is
//! room; room that is left over is given back.
//!
//! `Documentation/admin-guide/cgroup-v1/memory.rst`, section 8.

use alloc::sync::Arc;
use core::ops::Range;
use core::sync::atomic::Ordering::Relaxed;

use super::{Item, MemCgroup, MemControl};
use crate::ensure;
use crate::error::Result;
use crate::hal::PageFlags;
use crate::ids::{Frame, PAGE_SHIFT, USER_END, UserAddr};
use crate::mm::Mm;
use crate::mm::charge::{self, PageKind};

bitflags::bitflags! {
    /// Whose charges move.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct MoveCharge: u8 {
        /// Those of private pages.
        const ANON = 1;
        /// Those of pages of files that are mapped, touched or not.
        const FILE = 2;
    }
}

/// What is looked at with the address space locked: 2 MiB of it.
const PORTION: u64 = 2 << 20;

/// A process is about to move, and there is room for what it takes along. Dropped, the room that is left is
/// given back.
pub struct Immigration {
    mm: Arc<Mm>,
    from: Arc<MemCgroup>,
    to: Arc<MemCgroup>,
    kinds: MoveCharge,
    /// Pages charged to `to` for those that have not moved.
    room: u64,
}

/// Pages that moved, of one kind.
#[derive(Default)]
struct Tally {
    pages: u64,
    mapped: u64,
}

impl Immigration {
    /// Makes room. `ENOMEM` if there is none.
    pub fn prepare(
        mm: &Arc<Mm>,
        from: &Arc<MemCgroup>,
        to: &Arc<MemCgroup>,
        kinds: MoveCharge,
    ) -> Result<Immigration> {
        let mut this = Immigration {
            mm: mm.clone(),
            from: from.clone(),
            to: to.clone(),
            kinds,
            room: 0,
        };
        let mut pages = 0;
        this.portions(|this, range| {
            let memory = &this.mm.core.memory;
            this.pages_in(range, |frame, kind| {
                pages += u64::from(charge::is_charged_to(memory, frame, kind, from));
            });
        });
        ensure!(
            this.try_room(pages),
            ENOMEM,
            "memory: no room for the charges of the process"
        );
        Ok(this)
    }

    fn control(&self) -> &Arc<MemControl> {
        &self.mm.core.memory.control
    }

    fn try_room(&mut self, pages: u64) -> bool {
        if !self.to.is_root() && pages > 0 {
            let fits = |counts| self.to.memory.try_charge(pages, counts).is_ok();
            if !fits(false) {
                self.control().drain(&self.to);
                if !fits(true) {
                    return false;
                }
            }
        }
        self.room += pages;
        true
    }

    /// The process has moved: its charges follow.
    pub fn commit(mut self) {
        self.portions(|this, range| {
            let mm = this.mm.clone();
            let (mut anon, mut file) = (Tally::default(), Tally::default());
            let (from, to) = (this.from.clone(), this.to.clone());
            mm.pages_in_range(range, this.kinds, |frame, kind| {
                if this.room == 0
                    && !(charge::is_charged_to(&mm.core.memory, frame, kind, &from) && this.try_room(1))
                {
                    return;
                }
                if let Some(mapped) = charge::change_payer(&mm.core.memory, frame, kind, &from, &to) {
                    let tally = if kind == PageKind::Anon {
                        &mut anon
                    } else {
                        &mut file
                    };
                    tally.pages += 1;
                    tally.mapped += u64::from(mapped);
                    this.room -= 1;
                }
            });
            for (item, tally) in [(Item::Anon, anon), (Item::Shmem, file)] {
                let (pages, mapped) = (tally.pages as i64, tally.mapped as i64);
                if pages == 0 {
                    continue;
                }
                if !this.from.is_root() {
                    this.from.memory.uncharge(tally.pages);
                    this.from.add_stat(item as usize, -pages);
                    this.from.add_stat(Item::Mapped as usize, -mapped);
                }
                if !this.to.is_root() {
                    this.to.add_stat(item as usize, pages);
                    this.to.add_stat(Item::Charged as usize, pages);
                    this.to.add_stat(Item::Mapped as usize, mapped);
                }
            }
        });
        self.control().release_unused(&self.from);
    }

    fn portions(&mut self, mut each: impl FnMut(&mut Immigration, Range<u64>)) {
        let mut start = 0;
        while let Some(next) = self.mm.next_area(start) {
            start = next & !(PORTION - 1);
            each(self, start..start + PORTION);
            start += PORTION;
        }
    }

    fn pages_in(&self, range: Range<u64>, each: impl FnMut(Frame, PageKind)) {
        self.mm.pages_in_range(range, self.kinds, each);
    }
}

impl Drop for Immigration {
    fn drop(&mut self) {
        if !self.to.is_root() {
            self.to.memory.uncharge(self.room);
            self.control().release_unused(&self.to);
        }
    }
}

impl MemCgroup {
    /// Whose charges come along with a process that comes.
    pub fn move_charge(&self) -> MoveCharge {
        MoveCharge::from_bits_truncate(self.move_charge.load(Relaxed))
    }
}

impl Mm {
    /// The first address from `at` on that is mapped.
    fn next_area(&self, at: u64) -> Option<u64> {
        let state = self.core.lock();
        let pos = state.vmas.find(at)?;
        let start = state.vmas.get(pos).start.max(at);
        (start < USER_END).then_some(start)
    }

    /// Every page of the kinds within the range, under the lock: private ones that are in the page
    /// tables, and those that files have there, in them or not.
    fn pages_in_range(&self, range: Range<u64>, kinds: MoveCharge, mut each: impl FnMut(Frame, PageKind)) {
        let core = &self.core;
        let state = core.lock();
        for vma in state.vmas.iter_range(range.start, range.end) {
            let (start, end) = (vma.start.max(range.start), vma.end.min(range.end));
            if kinds.contains(MoveCharge::ANON) {
                core.space.update(UserAddr(start)..UserAddr(end), &mut |_, pte| {
                    if pte.flags & (PageFlags::ANON | PageFlags::SPECIAL) == PageFlags::ANON {
                        each(pte.frame, PageKind::Anon);
                    }
                    None
                });
            }
            if kinds.contains(MoveCharge::FILE)
                && let Some(cache) = vma.cache()
            {
                let first = vma.index_of(start);
                cache.for_present(first..first + ((end - start) >> PAGE_SHIFT), |_, frame| {
                    each(frame, PageKind::Cache);
                    charge::put_page(&core.memory, frame);
                });
            }
        }
    }
}
