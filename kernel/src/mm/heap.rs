//! The kernel heap.
//!
//! Model: sizes up to [`slab::MAX`] are rounded up to a class; each CPU has a list of free objects
//! per class, so the common `alloc` and `free` are a table look-up and a list operation without a
//! lock (the kernel is not preempted). Lists are filled from and spilled to [`slab`] in batches.
//! Larger sizes are whole pages: adjacent frames while the buddy system has them, otherwise an area of
//! [`vmalloc`], so that no amount of scattered memory makes an allocation fail.
//!
//! The heap may use the frame allocator's reserve. When even that is gone, an infallible allocation
//! panics: the reserve is sized so that user memory runs out long before.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::Cell;
use core::ptr::null_mut;
use core::sync::atomic::Ordering::Relaxed;

use super::frames::{self, HEAP, Reserve};
use super::{PAGE_SIZE, frame_to_virt, slab, virt_to_phys, vmalloc};
use crate::arch::percpu;

/// Class of a size in units of 16 bytes.
static CLASS_OF: [u8; slab::MAX / 16 + 1] = {
    let mut table = [0; slab::MAX / 16 + 1];
    let (mut i, mut class) = (0, 0);
    while i < table.len() {
        if i * 16 > slab::SIZES[class] as usize {
            class += 1;
        }
        table[i] = class as u8;
        i += 1;
    }
    table
};

/// Objects that a CPU keeps of a class at most: about two pages' worth.
static LIMIT: [u8; slab::CLASSES] = {
    let mut table = [0; slab::CLASSES];
    let mut class = 0;
    while class < table.len() {
        let n = 2 * PAGE_SIZE / slab::SIZES[class] as usize;
        table[class] = if n > 64 {
            64
        } else if n < 8 {
            8
        } else {
            n as u8
        };
        class += 1;
    }
    table
};

/// A CPU's free objects of one class.
struct List {
    head: Cell<usize>,
    len: Cell<usize>,
}

/// A CPU's free objects.
pub struct Magazines([List; slab::CLASSES]);

impl Magazines {
    /// Empty lists.
    pub const fn new() -> Magazines {
        Magazines(
            [const {
                List {
                    head: Cell::new(0),
                    len: Cell::new(0),
                }
            }; slab::CLASSES],
        )
    }
}

impl List {
    #[cold]
    #[inline(never)]
    fn refill(&self, class: usize) -> *mut u8 {
        let (head, got) = slab::take(class, usize::from(LIMIT[class]) / 2);
        if got == 0 {
            return null_mut();
        }
        // SAFETY: `head` is a free object whose first word is the link.
        self.head.set(unsafe { (head as *const usize).read() });
        self.len.set(got - 1);
        head as *mut u8
    }

    #[cold]
    #[inline(never)]
    fn spill(&self, class: usize) {
        let keep = usize::from(LIMIT[class]) / 2;
        let count = self.len.get() - keep;
        // SAFETY: the list holds `len` free objects of this class.
        self.head
            .set(unsafe { slab::give(class, self.head.get(), count) });
        self.len.set(keep);
    }
}

/// The class for a layout; `None`: whole pages.
#[inline(always)]
fn class_of(layout: Layout) -> Option<usize> {
    let size = if layout.align() <= 16 {
        layout.size()
    } else {
        // Powers of two up to a page are aligned to themselves.
        layout.size().max(layout.align()).next_power_of_two()
    };
    (size <= slab::MAX).then(|| usize::from(CLASS_OF[size.div_ceil(16)]))
}

/// The heap as Rust's global allocator.
pub struct Heap;

// SAFETY: every block handed out is free memory of at least the size and alignment asked for: a
// slab object of a class that `class_of` chose for it, or whole pages (whose alignment is checked).
unsafe impl GlobalAlloc for Heap {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(class) = class_of(layout) else {
            return alloc_pages(layout);
        };
        let list = &percpu::this().heap.0[class];
        let head = list.head.get();
        if head == 0 {
            return list.refill(class);
        }
        // SAFETY: a free object in this CPU's list; its first word is the link.
        list.head.set(unsafe { (head as *const usize).read() });
        list.len.set(list.len.get() - 1);
        head as *mut u8
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(class) = class_of(layout) else {
            return free_pages(block, layout);
        };
        let list = &percpu::this().heap.0[class];
        // SAFETY: the caller gives the block back; it is as large as a word.
        unsafe { block.cast::<usize>().write(list.head.get()) };
        list.head.set(block as usize);
        let len = list.len.get() + 1;
        list.len.set(len);
        if len > usize::from(LIMIT[class]) {
            list.spill(class);
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract is that of `alloc`.
        let block = unsafe { self.alloc(layout) };
        if !block.is_null() {
            // SAFETY: the block has this size.
            unsafe { crate::arch::page::zero_bytes(block, layout.size()) };
        }
        block
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises a valid size for this alignment.
        let new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        let same = match (class_of(layout), class_of(new)) {
            (Some(old), Some(new)) => old == new,
            (None, None) => layout.size().div_ceil(PAGE_SIZE) == size.div_ceil(PAGE_SIZE),
            _ => false,
        };
        if same {
            return block;
        }
        // SAFETY: `new` has a non-zero size by the contract of `realloc`.
        let to = unsafe { self.alloc(new) };
        if !to.is_null() {
            // SAFETY: both blocks hold the smaller of the sizes and do not overlap.
            unsafe {
                crate::arch::page::copy_bytes(to, block, layout.size().min(size));
                self.dealloc(block, layout);
            }
        }
        to
    }
}

#[cold]
#[inline(never)]
fn alloc_pages(layout: Layout) -> *mut u8 {
    let pages = layout.size().div_ceil(PAGE_SIZE);
    if layout.align() > PAGE_SIZE {
        return null_mut();
    }
    let block = if pages == 1 {
        frames::alloc_one(Reserve::Use).map(|pfn| hold(pfn, 1))
    } else {
        let adjacent = frames::alloc_many(pages, Reserve::Use).map(|pfn| hold(pfn, pages));
        adjacent.or_else(|| vmalloc::alloc(pages))
    };
    let Some(block) = block else {
        return null_mut();
    };
    HEAP.fetch_add(pages, Relaxed);
    block
}

fn hold(pfn: u32, pages: usize) -> *mut u8 {
    for i in 0..pages as u32 {
        frames::meta(pfn + i).refs.store(1, Relaxed);
    }
    frame_to_virt(pfn)
}

#[cold]
#[inline(never)]
fn free_pages(block: *mut u8, layout: Layout) {
    let pages = layout.size().div_ceil(PAGE_SIZE);
    HEAP.fetch_sub(pages, Relaxed);
    if vmalloc::contains(block as usize) {
        return vmalloc::free(block, pages);
    }
    let pfn = (virt_to_phys(block as usize) / PAGE_SIZE as u64) as u32;
    for i in 0..pages as u32 {
        frames::meta(pfn + i).refs.store(0, Relaxed);
        frames::meta(pfn + i).owner.store(0, Relaxed);
    }
    if pages == 1 {
        frames::free_one(pfn);
    } else {
        frames::free_many(pfn, pages);
    }
}
