//! Copying and filling memory: the Rust side of `mem.S`.

use core::sync::atomic::{AtomicU8, Ordering::Relaxed};

use crate::mm::frame_to_virt;

unsafe extern "C" {
    static mem_vector: AtomicU8;
    fn clear_page_avx(to: *mut u8);
    fn clear_page_sse(to: *mut u8);
    fn copy_page_avx(to: *mut u8, from: *const u8);
    fn copy_page_sse(to: *mut u8, from: *const u8);
}

fn avx() -> bool {
    // SAFETY: the variable of mem.S, an aligned byte that is only accessed atomically.
    unsafe { mem_vector.load(Relaxed) == 2 }
}

/// Tells the copying code that SSE (and AVX) work on every CPU that will run it.
pub fn enable_vectors(avx: bool) {
    // SAFETY: as above.
    unsafe { mem_vector.store(if avx { 2 } else { 1 }, Relaxed) };
}

/// Fills a frame with zeros.
#[inline]
pub fn clear(pfn: u32) {
    let to = frame_to_virt(pfn);
    // SAFETY: the direct map holds every frame; user space may race with a frame it has mapped, which
    // is its own business: the kernel keeps no reference into frames.
    unsafe {
        if avx() {
            clear_page_avx(to);
        } else {
            clear_page_sse(to);
        }
    }
}

/// Copies a frame.
#[inline]
pub fn copy(to: u32, from: u32) {
    let (to, from) = (frame_to_virt(to), frame_to_virt(from));
    // SAFETY: as in `clear`.
    unsafe {
        if avx() {
            copy_page_avx(to, from);
        } else {
            copy_page_sse(to, from);
        }
    }
}

/// Zeroes memory.
///
/// # Safety
/// `to` is valid for writes of `len` bytes.
#[inline]
pub unsafe fn zero_bytes(to: *mut u8, len: usize) {
    // SAFETY: by the contract.
    unsafe { core::ptr::write_bytes(to, 0, len) }
}

/// Copies memory that does not overlap.
///
/// # Safety
/// `to` is valid for writes and `from` for reads of `len` bytes.
#[inline]
pub unsafe fn copy_bytes(to: *mut u8, from: *const u8, len: usize) {
    // SAFETY: by the contract.
    unsafe { core::ptr::copy_nonoverlapping(from, to, len) }
}
