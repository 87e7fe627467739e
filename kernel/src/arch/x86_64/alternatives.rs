//! Instructions chosen at boot.
//!
//! `mem.S` and `entry.S` hold three-byte no-ops where a CPU with SMAP needs `stac` or `clac`; the
//! section `.altinstr` lists them with what to put there. Done on the boot page tables, where text is
//! still writable.

use super::features;

#[repr(C)]
struct Alternative {
    at: *mut [u8; 3],
    bytes: u64,
}

unsafe extern "C" {
    static __altinstr_start: Alternative;
    static __altinstr_end: Alternative;
}

/// Patches the kernel's text for this CPU.
///
/// # Safety
/// Once, on the boot CPU, while text is writable and before user memory is touched.
pub unsafe fn apply() {
    if !features::get().smap {
        return;
    }
    let (start, end) = (&raw const __altinstr_start, &raw const __altinstr_end);
    let len = (end.addr() - start.addr()) / size_of::<Alternative>();
    for i in 0..len {
        // SAFETY: the section is an array of that many entries, each with the address of three bytes
        // of text that no CPU is executing.
        unsafe {
            let entry = &*start.add(i);
            let [a, b, c, ..] = entry.bytes.to_le_bytes();
            entry.at.write_volatile([a, b, c]);
        }
    }
}
