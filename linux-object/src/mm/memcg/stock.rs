//! What one CPU has charged in advance, and counted but not told yet (Linux's `memcg_stock_pcp` and the
//! per-CPU part of its statistics).

use alloc::sync::Arc;
use core::sync::atomic::Ordering::Relaxed;

use super::{Item, MemCgroup};
use crate::ids::PAGE_SIZE;

/// Pages that are charged at once (Linux's `MEMCG_CHARGE_BATCH`).
pub const BATCH: u32 = 64;
/// A stock above this goes back down to [`BATCH`].
const STOCK_MAX: u32 = 2 * BATCH;
/// Cgroups for which a CPU has a stock. A cgroup's place follows from its number.
const SLOTS: usize = 8;
/// A CPU tells of what it counted at the latest now.
const TELL: i32 = 1 << 16;

/// For one cgroup.
#[derive(Default)]
pub(super) struct Slot {
    /// The cgroup's number; 0: nobody's.
    id: u32,
    memcg: Option<Arc<MemCgroup>>,
    /// Pages charged in advance.
    pages: u32,
    /// Bytes of a page that is charged for kernel objects.
    bytes: u32,
    delta: [i32; Item::COUNT],
}

/// For all cgroups that lately charged on this CPU.
#[derive(Default)]
pub(super) struct CpuStock([Slot; SLOTS]);

impl CpuStock {
    /// The place of the cgroup, if it has it.
    #[inline(always)]
    pub fn find(&mut self, id: u32) -> Option<&mut Slot> {
        let slot = &mut self.0[id as usize % SLOTS];
        (slot.id == id).then_some(slot)
    }
    /// The place of the cgroup, made free for it. Returns what it must give up outside of the lock.
    pub fn take_place(&mut self, memcg: &Arc<MemCgroup>) -> (&mut Slot, Slot) {
        let slot = &mut self.0[memcg.id as usize % SLOTS];
        let mut old = Slot::default();
        if slot.id != memcg.id {
            old = core::mem::take(slot);
            old.flush();
            slot.id = memcg.id;
            slot.memcg = Some(memcg.clone());
        }
        (slot, old)
    }
    /// Every place in use.
    pub fn slots(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.0.iter_mut().filter(|slot| slot.id != 0)
    }
}

impl Slot {
    pub fn memcg(&self) -> Option<&Arc<MemCgroup>> {
        self.memcg.as_ref()
    }

    /// Takes pages out of the stock, if it has them.
    #[inline(always)]
    pub fn take(&mut self, pages: u32) -> bool {
        if self.pages < pages {
            return false;
        }
        self.pages -= pages;
        true
    }
    /// Puts pages back; true if it is too many now.
    #[inline(always)]
    pub fn put(&mut self, pages: u32) -> bool {
        self.pages += pages;
        self.pages > STOCK_MAX
    }
    /// Gives back all but a batch.
    pub fn trim(&mut self) {
        let give = self.pages.saturating_sub(BATCH);
        self.pages -= give;
        if let Some(memcg) = &self.memcg {
            memcg.memory.uncharge(give.into());
        }
        self.tell();
    }

    #[inline(always)]
    pub fn count(&mut self, item: Item, by: i32) {
        let delta = &mut self.delta[item as usize];
        *delta = delta.wrapping_add(by);
    }
    /// Counts pages that are charged.
    #[inline(always)]
    pub fn count_charged(&mut self, item: Item, pages: i32) {
        self.count(item, pages);
        if item.comes_and_goes() {
            self.count(Item::Charged, pages);
            if self.is_due(Item::Charged) {
                self.tell();
            }
        }
    }
    /// Whether what was counted should be told.
    #[inline(always)]
    pub fn is_due(&self, item: Item) -> bool {
        self.delta[item as usize].unsigned_abs() >= TELL as u32
    }

    /// Takes bytes for an object, if they are there.
    pub fn take_bytes(&mut self, bytes: u32) -> bool {
        if self.bytes < bytes {
            return false;
        }
        self.bytes -= bytes;
        true
    }
    /// Puts bytes back; whole pages of them go to the stock.
    pub fn put_bytes(&mut self, bytes: u32) -> bool {
        self.bytes += bytes;
        let page = PAGE_SIZE as u32;
        if self.bytes >= 2 * page {
            let pages = self.bytes / page - 1;
            self.bytes -= pages * page;
            self.count(Item::Kmem, -(pages as i32));
            return self.put(pages);
        }
        false
    }

    /// Tells the cgroup and its ancestors what was counted.
    pub fn tell(&mut self) {
        let Some(memcg) = &self.memcg else { return };
        for (item, delta) in self.delta.iter_mut().enumerate() {
            if *delta != 0 {
                memcg.add_stat(item, core::mem::take(delta).into());
            }
        }
    }

    /// Gives everything back and tells everything.
    pub fn flush(&mut self) {
        let Some(memcg) = self.memcg.clone() else { return };
        let page = PAGE_SIZE as u64;
        let bytes = u64::from(core::mem::take(&mut self.bytes));
        if bytes > 0 {
            memcg.odd_bytes.fetch_add(bytes, Relaxed);
            // Whole pages of them go back; another CPU may have been faster.
            let rest = |odd: u64| Some(odd % page);
            let all = memcg.odd_bytes.fetch_update(Relaxed, Relaxed, rest).unwrap_or(0);
            let whole = (all / page) as u32;
            self.pages += whole;
            self.count(Item::Kmem, -(whole as i32));
        }
        memcg.memory.uncharge(core::mem::take(&mut self.pages).into());
        self.tell();
    }
}
