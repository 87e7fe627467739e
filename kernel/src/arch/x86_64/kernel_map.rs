//! The kernel's own page tables: the half that all address spaces share.
//!
//! Four entries of the top level are used (see [`crate::mm`]), all made at boot and never changed,
//! so that a new address space just copies them. Text is executable and read-only, everything else is
//! not executable; what is read-only in the image is so in the direct map as well.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed, Ordering::SeqCst};

use x86_64::PhysAddr;
use x86_64::registers::control::{Cr3, Cr3Flags};
use x86_64::structures::paging::PhysFrame;

use super::pte::{
    ACCESSED, DIRTY, FRAME_MASK, GLOBAL, LARGE, NO_CACHE, NO_EXEC, PRESENT, WRITE, WRITE_THROUGH,
};
use super::{features, page};
use crate::mm::boot_memory::Image;
use crate::mm::frames::{self, PAGE_TABLES, Reserve};
use crate::mm::{KERNEL_BASE, KSTACK_BASE, PAGE_SIZE, PHYS_OFFSET, VMALLOC_BASE, phys_to_virt};
use crate::sync::Lock;

/// Normal memory, readable and writable.
pub const READ_WRITE: u64 = PRESENT | WRITE | ACCESSED | DIRTY | GLOBAL | NO_EXEC;
/// Read-only data.
pub const READ_ONLY: u64 = PRESENT | ACCESSED | GLOBAL | NO_EXEC;
/// Code.
pub const EXECUTE: u64 = PRESENT | ACCESSED | GLOBAL;
/// Device registers.
pub const DEVICE: u64 = READ_WRITE | NO_CACHE | WRITE_THROUGH;

static ROOT: AtomicU64 = AtomicU64::new(0);
static CHANGE: Lock<()> = Lock::new(());

/// Top-level entries in use.
const SHARED: [usize; 4] = [
    top(PHYS_OFFSET),
    top(KSTACK_BASE),
    top(VMALLOC_BASE),
    top(KERNEL_BASE),
];

const fn top(virt: usize) -> usize {
    virt >> 39 & 511
}

/// What CR3 is set to when there is no user address space.
pub fn root_phys() -> u64 {
    ROOT.load(Relaxed)
}

fn slot(table_phys: u64, index: usize) -> &'static AtomicU64 {
    // SAFETY: a table of the kernel's tree, in the direct map, never freed.
    unsafe { &*phys_to_virt::<AtomicU64>(table_phys).add(index) }
}

fn new_table() -> Option<u64> {
    let pfn = frames::alloc_one(Reserve::Use)?;
    page::clear(pfn);
    frames::meta(pfn).refs.store(1, Relaxed);
    PAGE_TABLES.fetch_add(1, Relaxed);
    Some(u64::from(pfn) << 12)
}

/// The slot for an address in the table of `level` (1: pages of 4 KiB). `None` if a table cannot be
/// made, or a large page is in the way.
fn walk(virt: usize, level: u32) -> Option<&'static AtomicU64> {
    let mut table = root_phys();
    for l in (level + 1..=4).rev() {
        let slot = slot(table, virt >> (3 + 9 * l) & 511);
        let entry = slot.load(Relaxed);
        table = if entry == 0 {
            let new = new_table()?;
            slot.store(new | PRESENT | WRITE | ACCESSED, SeqCst);
            new
        } else if entry & LARGE != 0 {
            return None;
        } else {
            entry & FRAME_MASK
        };
    }
    Some(slot(table, virt >> (3 + 9 * level) & 511))
}

/// Maps what is not mapped yet, with the largest pages that fit. Returns whether memory sufficed.
pub fn map(virt: usize, phys: u64, len: u64, flags: u64) -> bool {
    let _guard = CHANGE.lock();
    let mut done = 0;
    while done < len {
        let (v, p, left) = (virt + done as usize, phys + done, len - done);
        let fits = |size: u64| (v as u64 | p).is_multiple_of(size) && left >= size;
        let level = if features::get().gib_pages && fits(1 << 30) {
            3
        } else if fits(1 << 21) {
            2
        } else {
            1
        };
        let large = if level > 1 { LARGE } else { 0 };
        match walk(v, level) {
            Some(slot) if slot.load(Relaxed) == 0 => slot.store(p | flags | large, SeqCst),
            Some(_) => {}
            None if level == 1 && is_mapped(v) => {}
            None => return false,
        }
        done += 1 << (3 + 9 * level);
    }
    true
}

/// Whether the kernel can touch an address.
pub fn is_mapped(virt: usize) -> bool {
    let mut table = root_phys();
    for level in (1..=4).rev() {
        let entry = slot(table, virt >> (3 + 9 * level) & 511).load(Relaxed);
        if entry & PRESENT == 0 {
            return false;
        }
        if entry & LARGE != 0 {
            return true;
        }
        table = entry & FRAME_MASK;
    }
    true
}

/// Removes one page and returns its frame. The caller flushes.
pub fn unmap_page(virt: usize) -> Option<u32> {
    let _guard = CHANGE.lock();
    let old = walk(virt, 1)?.swap(0, SeqCst);
    (old != 0).then_some(((old & FRAME_MASK) >> 12) as u32)
}

/// Makes physical memory outside of RAM visible in the direct map and returns where.
pub fn map_physical<T>(phys: u64, len: u64, flags: u64) -> *mut T {
    let start = phys & !(PAGE_SIZE as u64 - 1);
    let end = (phys + len).next_multiple_of(PAGE_SIZE as u64);
    let ok = map(PHYS_OFFSET + start as usize, start, end - start, flags);
    assert!(ok, "no memory to map {phys:#x}");
    phys_to_virt(phys)
}

/// Gives a new top-level table the kernel's half.
pub fn copy_kernel_half(root: u32) {
    for index in SHARED {
        let entry = slot(root_phys(), index).load(Relaxed);
        slot(u64::from(root) << 12, index).store(entry, Relaxed);
    }
}

/// Makes the tables and switches to them.
pub fn init(image: &Image, ram: &[(u64, u64)]) {
    let root = new_table().expect("memory for page tables");
    ROOT.store(root, SeqCst);
    for index in SHARED {
        let table = new_table().expect("memory for page tables");
        slot(root, index).store(table | PRESENT | WRITE | ACCESSED, SeqCst);
    }
    let mut ok = true;
    // The image at its link address; the lowest page of the boot stack stays out.
    for (range, flags) in [
        (image.text.clone(), EXECUTE),
        (image.rodata.clone(), READ_ONLY),
        (image.data.start..image.boot_stack, READ_WRITE),
        (image.boot_stack + PAGE_SIZE..image.data.end, READ_WRITE),
        (image.ksyms.clone(), READ_ONLY),
    ] {
        let phys = (range.start - KERNEL_BASE) as u64;
        ok &= map(range.start, phys, range.len() as u64, flags);
    }
    // The direct map. What is read-only in the image is mapped first, and then left alone.
    let fixed = (image.text.start - KERNEL_BASE) as u64..(image.rodata.end - KERNEL_BASE) as u64;
    let direct = |start: u64, end: u64, flags| {
        start >= end || map(PHYS_OFFSET + start as usize, start, end - start, flags)
    };
    ok &= direct(fixed.start, fixed.end, READ_ONLY);
    for &(start, end) in ram {
        ok &= direct(start, end.min(fixed.start), READ_WRITE);
        ok &= direct(start.max(fixed.end), end, READ_WRITE);
    }
    assert!(ok, "memory for page tables");
    // SAFETY: the tables map everything that is in use, at the same addresses as before.
    unsafe {
        Cr3::write(
            PhysFrame::containing_address(PhysAddr::new_truncate(root)),
            Cr3Flags::empty(),
        );
    }
}

/// Calls `each` with address, length, and whether it can be written and executed, for every page of
/// the kernel's half.
pub fn for_each(each: &mut dyn FnMut(usize, usize, bool, bool)) {
    fn visit(table: u64, level: u32, base: usize, each: &mut dyn FnMut(usize, usize, bool, bool)) {
        for index in 0..512 {
            let entry = slot(table, index).load(Relaxed);
            if entry & PRESENT == 0 {
                continue;
            }
            let mut virt = base | index << (3 + 9 * level);
            if level == 4 && index >= 256 {
                virt |= 0xffff << 48;
            }
            if level > 1 && entry & LARGE == 0 {
                visit(entry & FRAME_MASK, level - 1, virt, each);
            } else {
                each(
                    virt,
                    1 << (3 + 9 * level),
                    entry & WRITE != 0,
                    entry & NO_EXEC == 0,
                );
            }
        }
    }
    visit(root_phys(), 4, 0, each);
}
