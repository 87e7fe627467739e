//! Adjacent addresses for frames that are not adjacent.
//!
//! Model: a window of [`PAGES`] pages with a bit for each. An area is a run of them, mapped frame by frame, with an
//! unmapped page behind it. The heap comes here when it needs several pages and the buddy system
//! has no such block, however much memory is free.
//!
//! Freeing an area gives its frames back at once, but its addresses only after the next flush of all TLBs:
//! they are `lazy` until the search, which goes round the window, comes to its end. So a
//! flush is paid once for a window full of areas.
//!
//! Invariants: a lazy page is taken and not mapped; only taken pages are mapped.
//!
//! Locks: [`AREAS`], below it those of the frame allocator and of the kernel's page tables. A flush under it cannot
//! block: whoever spins serves (see [`crate::arch::tlb`]).

use core::ops::Range;
use core::sync::atomic::Ordering::Relaxed;

use super::frames::{self, Reserve};
use super::{PAGE_SIZE, VMALLOC_BASE};
use crate::arch::{kernel_map, tlb};
use crate::sync::Lock;

/// Pages of the window: 1 GiB.
const PAGES: usize = 1 << 18;
const WORDS: usize = PAGES / 64;

struct Areas {
    taken: [u64; WORDS],
    lazy: [u64; WORDS],
    /// Where the search goes on.
    cursor: usize,
}

static AREAS: Lock<Areas> = Lock::new(Areas {
    taken: [0; WORDS],
    lazy: [0; WORDS],
    cursor: 0,
});

impl Areas {
    /// Takes `len` free pages in a row.
    fn take(&mut self, len: usize) -> Option<usize> {
        let mut found = self.find(self.cursor, len);
        if found.is_none() {
            self.purge();
            found = self.find(0, len);
        }
        let first = found?;
        self.cursor = first + len;
        set(&mut self.taken, first..first + len);
        Some(first)
    }

    /// The first run of `len` free pages at or behind `from`.
    fn find(&self, from: usize, len: usize) -> Option<usize> {
        let mut at = from;
        let mut start = from;
        while at < PAGES {
            let (word, bit) = (self.taken[at / 64], at % 64);
            if word == u64::MAX {
                at = at / 64 * 64 + 64;
                start = at;
            } else if word == 0 && bit == 0 {
                at += 64;
            } else {
                at += 1;
                if word & 1 << bit != 0 {
                    start = at;
                }
            }
            if at - start >= len && start + len <= PAGES {
                return Some(start);
            }
        }
        None
    }

    /// Makes the lazy pages free.
    fn purge(&mut self) {
        tlb::flush_kernel(&tlb::ALL_KERNEL);
        for (taken, lazy) in self.taken.iter_mut().zip(&mut self.lazy) {
            *taken &= !core::mem::take(lazy);
        }
    }
}

fn set(map: &mut [u64; WORDS], pages: Range<usize>) {
    for page in pages {
        map[page / 64] |= 1 << (page % 64);
    }
}

/// Whether [`alloc()`] gave this address.
pub fn contains(addr: usize) -> bool {
    (VMALLOC_BASE..VMALLOC_BASE + PAGES * PAGE_SIZE).contains(&addr)
}

/// `pages` mapped pages, their contents arbitrary. `None` without memory.
pub fn alloc(pages: usize) -> Option<*mut u8> {
    // The lock stays free meanwhile: nobody else maps at the addresses that are taken.
    let first = AREAS.lock().take(pages + 1)?;
    for i in 0..pages {
        if !map_one(VMALLOC_BASE + (first + i) * PAGE_SIZE) {
            release(first, i, pages);
            return None;
        }
    }
    Some((VMALLOC_BASE + first * PAGE_SIZE) as *mut u8)
}

fn map_one(at: usize) -> bool {
    let Some(pfn) = frames::alloc_one(Reserve::Use) else {
        return false;
    };
    frames::meta(pfn).refs.store(1, Relaxed);
    let mapped = kernel_map::map(at, u64::from(pfn) << 12, PAGE_SIZE as u64, kernel_map::READ_WRITE);
    if !mapped {
        free_frame(pfn);
    }
    mapped
}

fn free_frame(pfn: u32) {
    frames::meta(pfn).refs.store(0, Relaxed);
    frames::meta(pfn).owner.store(0, Relaxed);
    frames::free_one(pfn);
}

/// Gives back what [`alloc()`] gave for so many pages. Nobody uses it any more.
pub fn free(block: *mut u8, pages: usize) {
    release((block as usize - VMALLOC_BASE) / PAGE_SIZE, pages, pages);
}

/// Unmaps the first `mapped` pages of an area of `pages`.
fn release(first: usize, mapped: usize, pages: usize) {
    for page in first..first + mapped {
        let pfn = kernel_map::unmap_page(VMALLOC_BASE + page * PAGE_SIZE);
        free_frame(pfn.expect("a mapped page of an area"));
    }
    let mut areas = AREAS.lock();
    set(&mut areas.lazy, first..first + pages + 1);
}
