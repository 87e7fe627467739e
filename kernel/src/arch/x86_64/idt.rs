//! The interrupt descriptor table, one for all CPUs (Intel SDM vol. 3, 6.14).

use core::cell::UnsafeCell;

use super::gdt;

#[repr(C, align(4096))]
struct Table(UnsafeCell<[[u64; 2]; 256]>);

// SAFETY: written once by `init` before other CPUs start, then only read by the hardware.
unsafe impl Sync for Table {}

static TABLE: Table = Table(UnsafeCell::new([[0; 2]; 256]));

unsafe extern "C" {
    /// 256 stubs of 16 bytes, in entry.S.
    static vector_stubs: [[u8; 16]; 256];
}

/// Fills in the table and loads it on the boot CPU.
///
/// # Safety
/// Once, on the boot CPU, after its descriptors are loaded.
pub unsafe fn init() {
    for vector in 0..256_usize {
        let handler = (&raw const vector_stubs).addr() as u64 + 16 * vector as u64;
        let ist = match vector {
            1 => gdt::IST_DEBUG,
            2 => gdt::IST_NMI,
            8 => gdt::IST_DOUBLE_FAULT,
            18 => gdt::IST_MACHINE_CHECK,
            _ => 0,
        };
        // User mode may use `int3` and `into`.
        let dpl = if matches!(vector, 3 | 4) { 3 } else { 0 };
        let low = handler & 0xffff
            | u64::from(gdt::KERNEL_CS) << 16
            | u64::from(ist) << 32
            | (0x8e | dpl << 5) << 40
            | (handler >> 16 & 0xffff) << 48;
        // SAFETY: exclusive by the contract of this function.
        unsafe { (*TABLE.0.get())[vector] = [low, handler >> 32] };
    }
    load();
}

/// Loads the table on this CPU.
pub fn load() {
    let pointer = x86_64::structures::DescriptorTablePointer {
        limit: size_of::<Table>() as u16 - 1,
        base: x86_64::VirtAddr::from_ptr(TABLE.0.get()),
    };
    // SAFETY: the table lives for ever and its gates lead to the stubs.
    unsafe { x86_64::instructions::tables::lidt(&pointer) };
}
