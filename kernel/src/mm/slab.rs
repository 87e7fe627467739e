//! Slabs: pages cut into objects of one size.
//!
//! Model: a class has a list of pages with free objects. A page's metadata holds the list links
//! (`next`, `prev`), the number of objects handed out and the first free object (`owner`), and the
//! class (`refs`). Free objects are linked through their first word. A page whose last object
//! comes back is returned to the frame allocator, unless it is the only one of its class.
//!
//! Only [`super::heap`]'s per-CPU lists call in here, with batches of objects.

use core::sync::atomic::Ordering::Relaxed;

use super::frames::{self, FrameMeta, HEAP, NIL, Reserve};
use super::{PAGE_SIZE, frame_to_virt, virt_to_phys};
use crate::sync::Lock;

/// Object sizes. Up to 1 KiB the loss to rounding is under a quarter; the larger ones divide a page.
pub const SIZES: [u16; 22] = [
    16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 672, 816, 1024, 1360, 2048,
];
/// Number of classes that come from slabs.
pub const CLASSES: usize = 22;
/// The largest object of a slab.
pub const MAX: usize = 2048;

/// No free object in the page.
const FULL: u32 = 0xffff;

struct Class {
    /// First page with free objects.
    partial: u32,
}

static POOLS: [Lock<Class>; CLASSES] = [const { Lock::new(Class { partial: NIL }) }; CLASSES];

/// Objects of a class in a page.
const fn per_page(class: usize) -> usize {
    PAGE_SIZE / SIZES[class] as usize
}

impl Class {
    fn link(&mut self, pfn: u32, m: &FrameMeta) {
        m.next.store(self.partial, Relaxed);
        m.prev.store(NIL, Relaxed);
        if self.partial != NIL {
            frames::meta(self.partial).prev.store(pfn, Relaxed);
        }
        self.partial = pfn;
    }

    fn unlink(&mut self, m: &FrameMeta) {
        let (next, prev) = (m.next.load(Relaxed), m.prev.load(Relaxed));
        if prev == NIL {
            self.partial = next;
        } else {
            frames::meta(prev).next.store(next, Relaxed);
        }
        if next != NIL {
            frames::meta(next).prev.store(prev, Relaxed);
        }
    }

    /// A new page of this class, all objects free.
    fn grow(&mut self, class: usize) -> Option<u32> {
        let pfn = frames::alloc_one(Reserve::Use)?;
        HEAP.fetch_add(1, Relaxed);
        let size = SIZES[class] as usize;
        let base = frame_to_virt(pfn) as usize;
        let last = base + (per_page(class) - 1) * size;
        let mut at = base;
        while at <= last {
            let next = if at == last { 0 } else { at + size };
            // SAFETY: the page was just allocated and every object lies within it.
            unsafe { (at as *mut usize).write(next) };
            at += size;
        }
        let m = frames::meta(pfn);
        m.refs.store(1 + class as u32, Relaxed);
        m.owner.store(0, Relaxed);
        self.link(pfn, m);
        Some(pfn)
    }
}

/// Takes up to `want` objects, linked through their first words. Returns the first and how many.
pub fn take(class: usize, want: usize) -> (usize, usize) {
    let mut pool = POOLS[class].lock();
    let (mut head, mut got) = (0, 0);
    while got < want {
        let pfn = match pool.partial {
            NIL => match pool.grow(class) {
                Some(pfn) => pfn,
                None => break,
            },
            pfn => pfn,
        };
        let m = frames::meta(pfn);
        let state = m.owner.load(Relaxed);
        let (mut used, first) = (state >> 16, state & 0xffff);
        let base = frame_to_virt(pfn) as usize;
        let mut object = base + first as usize;
        while object != 0 && got < want {
            // SAFETY: a free object of this page; its first word is the link.
            let next = unsafe { (object as *const usize).read() };
            // SAFETY: as above; it is ours now.
            unsafe { (object as *mut usize).write(head) };
            head = object;
            got += 1;
            used += 1;
            object = next;
        }
        let first = if object == 0 { FULL } else { (object - base) as u32 };
        m.owner.store(used << 16 | first, Relaxed);
        if first == FULL {
            pool.unlink(m);
        }
    }
    (head, got)
}

/// Gives back `count` objects, linked through their first words. Returns what remains of the list.
///
/// # Safety
/// The objects are of this class, came from [`take`], and nobody uses them any more.
pub unsafe fn give(class: usize, mut head: usize, count: usize) -> usize {
    let mut pool = POOLS[class].lock();
    for _ in 0..count {
        let object = head;
        // SAFETY: by the contract, a free object whose first word is the link.
        head = unsafe { (object as *const usize).read() };
        let pfn = (virt_to_phys(object) / PAGE_SIZE as u64) as u32;
        let m = frames::meta(pfn);
        debug_assert_eq!(m.refs.load(Relaxed), 1 + class as u32, "freed with another size");
        let state = m.owner.load(Relaxed);
        let (used, first) = ((state >> 16) - 1, state & 0xffff);
        let offset = object % PAGE_SIZE;
        let link = match first {
            FULL => 0,
            first => object - offset + first as usize,
        };
        // SAFETY: the object is free and in this page.
        unsafe { (object as *mut usize).write(link) };
        if first == FULL {
            pool.link(pfn, m);
        }
        let alone = m.next.load(Relaxed) == NIL && m.prev.load(Relaxed) == NIL;
        if used == 0 && !alone {
            pool.unlink(m);
            m.owner.store(0, Relaxed);
            m.refs.store(0, Relaxed);
            HEAP.fetch_sub(1, Relaxed);
            frames::free_one(pfn);
        } else {
            m.owner.store(used << 16 | offset as u32, Relaxed);
        }
    }
    head
}
