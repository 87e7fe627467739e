//! Kernel stacks.
//!
//! Each slot of the stack window is [`SLOT`] bytes; the upper [`SIZE`] are mapped, below lies the guard:
//! running over the end is a double fault, which has a stack of its own and says so. Stacks of
//! ended threads stay mapped for the next ones, up to [`CACHED`]; beyond that half of them are
//! unmapped with a single TLB flush.

use core::ops::Range;

use super::frames::{self, KERNEL_STACKS, Reserve};
use super::{KSTACK_BASE, PAGE_SIZE};
use crate::arch::{kernel_map, tlb};
use crate::sync::Lock;
use core::sync::atomic::Ordering::Relaxed;

/// Distance of stacks.
const SLOT: usize = 32 * 1024;
/// Bytes of a stack.
pub const SIZE: usize = if cfg!(debug_assertions) { 28 } else { 24 } * 1024;
const PAGES: usize = SIZE / PAGE_SIZE;
/// Stacks that can exist: more than tasks can.
const SLOTS: usize = 1 << 16;
/// Free stacks kept mapped.
const CACHED: usize = 64;

struct Pool {
    /// Slots whose stack is mapped and free.
    cached: [u32; CACHED],
    cached_len: usize,
    /// A bit per slot that is mapped or about to be.
    taken: [u64; SLOTS / 64],
    /// Below this word all bits of `taken` are set.
    first_free: usize,
}

static POOL: Lock<Pool> = Lock::new(Pool {
    cached: [0; CACHED],
    cached_len: 0,
    taken: [0; SLOTS / 64],
    first_free: 0,
});

impl Pool {
    fn take_slot(&mut self) -> Option<u32> {
        let word = (self.first_free..SLOTS / 64).find(|&w| self.taken[w] != u64::MAX)?;
        self.first_free = word;
        let bit = self.taken[word].trailing_ones();
        self.taken[word] |= 1 << bit;
        Some(word as u32 * 64 + bit)
    }

    fn free_slot(&mut self, slot: u32) {
        let word = slot as usize / 64;
        self.taken[word] &= !(1 << (slot % 64));
        self.first_free = self.first_free.min(word);
    }
}

/// A mapped stack, given back when dropped.
pub struct KernelStack(u32);

impl KernelStack {
    /// A stack, its contents arbitrary. `None` without memory.
    pub fn new() -> Option<KernelStack> {
        let mut pool = POOL.lock();
        if pool.cached_len > 0 {
            pool.cached_len -= 1;
            return Some(KernelStack(pool.cached[pool.cached_len]));
        }
        let slot = pool.take_slot()?;
        drop(pool);
        let range = mapped(slot);
        for (i, at) in range.clone().step_by(PAGE_SIZE).enumerate() {
            let frame = frames::alloc_one(Reserve::Keep);
            if let Some(pfn) = frame {
                frames::meta(pfn).refs.store(1, Relaxed);
                if kernel_map::map(at, u64::from(pfn) << 12, PAGE_SIZE as u64, kernel_map::READ_WRITE) {
                    continue;
                }
                frames::meta(pfn).refs.store(0, Relaxed);
                frames::free_one(pfn);
            }
            // Nobody has used the stack, so no TLB knows it.
            unmap(range.start..range.start + i * PAGE_SIZE);
            POOL.lock().free_slot(slot);
            return None;
        }
        KERNEL_STACKS.fetch_add(PAGES, Relaxed);
        Some(KernelStack(slot))
    }

    /// The addresses of the stack.
    pub fn range(&self) -> Range<usize> {
        mapped(self.0)
    }
}

impl Drop for KernelStack {
    fn drop(&mut self) {
        let mut out = [0; CACHED / 2];
        {
            let mut pool = POOL.lock();
            let len = pool.cached_len;
            if len < CACHED {
                pool.cached[len] = self.0;
                pool.cached_len += 1;
                return;
            }
            pool.cached_len = CACHED / 2;
            out.copy_from_slice(&pool.cached[CACHED / 2..]);
            pool.cached[CACHED / 2] = self.0;
            pool.cached_len += 1;
        }
        // The frames are free only after every TLB forgot them, so they are collected first.
        let mut pages = [[0; PAGES]; CACHED / 2];
        for (slot, pages) in out.iter().zip(&mut pages) {
            for (at, page) in mapped(*slot).step_by(PAGE_SIZE).zip(pages) {
                *page = kernel_map::unmap_page(at).expect("a mapped stack");
            }
        }
        tlb::flush_kernel(&tlb::ALL_KERNEL);
        for &pfn in pages.as_flattened() {
            frames::meta(pfn).refs.store(0, Relaxed);
            frames::free_one(pfn);
        }
        KERNEL_STACKS.fetch_sub(PAGES * out.len(), Relaxed);
        let mut pool = POOL.lock();
        for slot in out {
            pool.free_slot(slot);
        }
    }
}

fn mapped(slot: u32) -> Range<usize> {
    let end = KSTACK_BASE + (slot as usize + 1) * SLOT;
    end - SIZE..end
}

fn unmap(range: Range<usize>) {
    for at in range.step_by(PAGE_SIZE) {
        if let Some(pfn) = kernel_map::unmap_page(at) {
            frames::meta(pfn).refs.store(0, Relaxed);
            frames::free_one(pfn);
        }
    }
}

/// Whether an address is in the guard of a kernel stack.
pub fn is_guard(addr: usize) -> bool {
    let boot_guard = crate::mm::boot_memory::Image::get().boot_stack;
    let window = KSTACK_BASE..KSTACK_BASE + SLOTS * SLOT;
    window.contains(&addr) && addr % SLOT < SLOT - SIZE
        || (boot_guard..boot_guard + PAGE_SIZE).contains(&addr)
}
