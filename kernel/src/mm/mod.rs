//! Physical memory, the kernel heap and kernel stacks.
//!
//! Layout of the kernel's half (4-level paging):
//!
//! | address               | what                                                      |
//! |-----------------------|-----------------------------------------------------------|
//! | `0xffff800000000000`  | all physical memory (and the devices' registers), RW, NX   |
//! | `0xffffc00000000000`  | kernel stacks, each between unmapped pages                 |
//! | `0xffffc80000000000`  | parts of the heap whose frames are not adjacent            |
//! | `0xffffffff80000000`  | the image: text RX, read-only data R, data RW             |
//!
//! The image's text and read-only data are read-only through the first window, too.

pub mod boot_memory;
pub mod frames;
pub mod heap;
pub mod kstack;
pub mod slab;
pub mod vmalloc;

/// Where physical memory appears.
pub const PHYS_OFFSET: usize = 0xffff_8000_0000_0000;
/// Where kernel stacks are mapped.
pub const KSTACK_BASE: usize = 0xffff_c000_0000_0000;
/// Where [`vmalloc`] maps.
pub const VMALLOC_BASE: usize = 0xffff_c800_0000_0000;
/// Link address minus load address of the image.
pub const KERNEL_BASE: usize = 0xffff_ffff_8000_0000;
/// Bytes in a page.
pub const PAGE_SIZE: usize = linux_object::ids::PAGE_SIZE;

/// The address at which the kernel sees a physical address.
#[inline(always)]
pub fn phys_to_virt<T>(phys: u64) -> *mut T {
    (phys as usize + PHYS_OFFSET) as *mut T
}

/// The address at which the kernel sees a page frame.
#[inline(always)]
pub fn frame_to_virt(pfn: u32) -> *mut u8 {
    phys_to_virt(u64::from(pfn) << linux_object::ids::PAGE_SHIFT)
}

/// The physical address behind an address of the direct map or the image.
#[inline(always)]
pub fn virt_to_phys(virt: usize) -> u64 {
    let base = if virt >= KERNEL_BASE {
        KERNEL_BASE
    } else {
        PHYS_OFFSET
    };
    (virt - base) as u64
}
