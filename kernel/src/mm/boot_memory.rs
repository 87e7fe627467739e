//! From the loader's memory map to a working allocator.
//!
//! Memory below 64 KiB stays unused (the BIOS's data, and the page where other CPUs begin). The frames'
//! metadata is placed in the first gap that is large enough; then memory below 4 GiB, which the
//! boot page tables map, goes to the allocator, the real page tables are made, and the rest follows.

use core::ops::Range;

use super::frames::{self, FrameMeta};
use super::{KERNEL_BASE, PAGE_SIZE, phys_to_virt};
use crate::arch::kernel_map;
use crate::arch::pvh::BootData;

const LOW_MEMORY: u64 = 0x10000;
const FOUR_GIB: u64 = 1 << 32;

unsafe extern "C" {
    static __image_start: u8;
    static __boot_end: u8;
    static __text_start: u8;
    static __text_end: u8;
    static __rodata_start: u8;
    static __rodata_end: u8;
    static __data_start: u8;
    static __data_end: u8;
    static __ksyms_start: u8;
    static boot_stack: u8;
}

/// Where the parts of the kernel image are (virtual addresses, but for `boot`).
pub struct Image {
    /// Physical addresses of the boot code and tables, needed until all CPUs run.
    pub boot: Range<u64>,
    /// Code.
    pub text: Range<usize>,
    /// Read-only data.
    pub rodata: Range<usize>,
    /// Data.
    pub data: Range<usize>,
    /// The symbol table, whole pages.
    pub ksyms: Range<usize>,
    /// Lowest page of the boot stack.
    pub boot_stack: usize,
}

impl Image {
    /// The image as the linker laid it out.
    pub fn get() -> Image {
        let ksyms = (&raw const __ksyms_start).addr();
        let ksyms_len = crate::symbols::table_len().next_multiple_of(PAGE_SIZE);
        Image {
            boot: (&raw const __image_start).addr() as u64..(&raw const __boot_end).addr() as u64,
            text: (&raw const __text_start).addr()..(&raw const __text_end).addr(),
            rodata: (&raw const __rodata_start).addr()..(&raw const __rodata_end).addr(),
            data: (&raw const __data_start).addr()..(&raw const __data_end).addr(),
            ksyms: ksyms..ksyms + ksyms_len,
            boot_stack: (&raw const boot_stack).addr(),
        }
    }

    fn end_phys(&self) -> u64 {
        (self.ksyms.end - KERNEL_BASE) as u64
    }
}

/// The parts of `range` that no reserved range covers.
fn for_free(range: Range<u64>, reserved: &[Range<u64>], f: &mut dyn FnMut(Range<u64>)) {
    let mut at = range.start;
    while at < range.end {
        if let Some(hit) = reserved.iter().find(|r| r.contains(&at)) {
            at = hit.end;
            continue;
        }
        let next = reserved.iter().map(|r| r.start).filter(|&s| s > at).min();
        let end = next.unwrap_or(range.end).min(range.end);
        f(at..end);
        at = end;
    }
}

/// Sets up the allocator and the kernel's page tables.
///
/// # Safety
/// Once, on the boot CPU, on the boot page tables.
pub unsafe fn init(boot: &BootData) {
    let image = Image::get();
    let ram = boot.ram();
    let page = PAGE_SIZE as u64;
    let initrd = boot.initrd.map_or(0..0, |(start, len)| {
        start & !(page - 1)..(start + len).next_multiple_of(page)
    });
    let mut reserved = [0..LOW_MEMORY, image.boot.start..image.end_phys(), initrd, 0..0];

    let top = ram.iter().map(|r| r.1).max().unwrap_or(0);
    let nr_frames = (top / page) as usize;
    let meta_len = ((nr_frames * size_of::<FrameMeta>()) as u64).next_multiple_of(page);
    let mut place = None;
    for &(start, end) in ram {
        for_free(start..end.min(FOUR_GIB), &reserved, &mut |free| {
            if place.is_none() && free.end - free.start >= meta_len {
                place = Some(free.start);
            }
        });
    }
    let place = place.expect("no room for the page frames' metadata");
    reserved[3] = place..place + meta_len;
    let base = phys_to_virt::<FrameMeta>(place);
    // SAFETY: free memory of that size below 4 GiB, which the boot tables map; zero bytes are a
    // valid `FrameMeta`. Nobody else runs yet.
    unsafe {
        base.cast::<u8>().write_bytes(0, meta_len as usize);
        frames::init(core::slice::from_raw_parts(base, nr_frames));
    }

    let pages: u64 = ram.iter().map(|r| (r.1 - r.0) / page).sum();
    frames::count_usable(pages as usize);
    let add = |from: u64, to: u64| {
        for &(start, end) in ram {
            for_free(start.max(from)..end.min(to), &reserved, &mut |free| {
                frames::add((free.start / page) as u32, (free.end / page) as u32);
            });
        }
    };
    add(0, FOUR_GIB);
    kernel_map::init(&image, ram);
    add(FOUR_GIB, u64::MAX);
}

/// Gives the boot code and tables to the allocator, when all CPUs run on the real tables.
pub fn free_boot_part() {
    free_physical(Image::get().boot);
}

/// Gives the initial RAM disk's memory to the allocator.
pub fn free_physical(range: Range<u64>) {
    let page = PAGE_SIZE as u64;
    let (first, end) = (range.start / page, range.end.div_ceil(page));
    frames::add(first as u32, end as u32);
}
