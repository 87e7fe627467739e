//! Copies to and from user memory: the Rust side of `mem.S`.
//!
//! An address is checked against the end of user space before it is used, so that a copy can only fault
//! on user pages; the rest is the page fault handler's business (see [`super::trap`]).

use linux_object::err;
use linux_object::error::Result;
use linux_object::ids::{Frame, PAGE_SIZE, USER_END, UserAddr};

use crate::mm::frame_to_virt;

unsafe extern "C" {
    fn copy_user(to: *mut u8, from: *const u8, len: usize) -> u64;
    fn clear_user(to: *mut u8, zero: u64, len: usize) -> u64;
    fn strncpy_user(to: *mut u8, from: *const u8, len: usize) -> usize;
    fn load_user_u32(at: *const u32) -> u64;
    fn cmpxchg_user_u32(at: *mut u32, old: u32, new: u32) -> u64;
}

#[inline]
fn check(at: UserAddr, len: usize) -> Result<()> {
    // With `at` below the end, neither term can wrap.
    if at.0 <= USER_END && len as u64 <= USER_END - at.0 {
        Ok(())
    } else {
        Err(err!(EFAULT))
    }
}

#[inline]
fn done(failed: u64) -> Result<()> {
    if failed == 0 { Ok(()) } else { Err(err!(EFAULT)) }
}

/// Copies in.
#[inline]
pub fn copy_from_user(to: &mut [u8], from: UserAddr) -> Result<()> {
    check(from, to.len())?;
    // SAFETY: `to` is ours, `from` is user memory, whose faults are handled.
    done(unsafe { copy_user(to.as_mut_ptr(), from.0 as *const u8, to.len()) })
}

/// Copies out.
#[inline]
pub fn copy_to_user(to: UserAddr, from: &[u8]) -> Result<()> {
    check(to, from.len())?;
    // SAFETY: as above, the other way.
    done(unsafe { copy_user(to.0 as *mut u8, from.as_ptr(), from.len()) })
}

/// Copies a string in, see `UserMemory::strncpy_from_user`.
pub fn strncpy_from_user(to: &mut [u8], from: UserAddr) -> Result<(usize, bool)> {
    if from.0 >= USER_END {
        return Err(err!(EFAULT));
    }
    // A string may end before user space does.
    let room = to.len().min((USER_END - from.0) as usize);
    // SAFETY: `to` has `room` bytes; `from` is user memory, whose faults are handled.
    let len = unsafe { strncpy_user(to.as_mut_ptr(), from.0 as *const u8, room) };
    if len == usize::MAX || len == room && room < to.len() {
        return Err(err!(EFAULT));
    }
    Ok((len, len < room))
}

/// Fills with zeros.
pub fn clear(to: UserAddr, len: usize) -> Result<()> {
    check(to, len)?;
    // SAFETY: user memory, whose faults are handled.
    done(unsafe { clear_user(to.0 as *mut u8, 0, len) })
}

fn in_frame(frame: Frame, offset: usize, len: usize) -> *mut u8 {
    assert!(
        offset <= PAGE_SIZE && len <= PAGE_SIZE - offset,
        "beyond the frame"
    );
    assert!((frame.0 as usize) < crate::mm::frames::count(), "no such frame");
    // SAFETY: within the frame, which is in the direct map.
    unsafe { frame_to_virt(frame.0).add(offset) }
}

/// Copies a part of a frame out.
pub fn frame_to_user(frame: Frame, offset: usize, to: UserAddr, len: usize) -> Result<()> {
    check(to, len)?;
    let from = in_frame(frame, offset, len);
    // SAFETY: raw bytes of a frame and user memory, whose faults are handled.
    done(unsafe { copy_user(to.0 as *mut u8, from, len) })
}

/// Copies into a part of a frame.
pub fn user_to_frame(from: UserAddr, frame: Frame, offset: usize, len: usize) -> Result<()> {
    check(from, len)?;
    let to = in_frame(frame, offset, len);
    // SAFETY: as above.
    done(unsafe { copy_user(to, from.0 as *const u8, len) })
}

/// Copies out of a frame.
pub fn read_frame(frame: Frame, offset: usize, to: &mut [u8]) {
    let from = in_frame(frame, offset, to.len());
    // SAFETY: raw bytes of a frame; user space may write them meanwhile, no reference is made.
    unsafe { super::page::copy_bytes(to.as_mut_ptr(), from, to.len()) }
}

/// Copies into a frame.
pub fn write_frame(frame: Frame, offset: usize, from: &[u8]) {
    let to = in_frame(frame, offset, from.len());
    // SAFETY: as above.
    unsafe { super::page::copy_bytes(to, from.as_ptr(), from.len()) }
}

/// Zeroes a part of a frame.
pub fn zero_frame(frame: Frame, offset: usize, len: usize) {
    let to = in_frame(frame, offset, len);
    // SAFETY: as above.
    unsafe { super::page::zero_bytes(to, len) }
}

#[inline]
fn word(at: UserAddr) -> Result<*mut u32> {
    check(at, 4)?;
    if !at.0.is_multiple_of(4) {
        return Err(err!(EFAULT, "not aligned"));
    }
    Ok(at.0 as *mut u32)
}

fn word_done(value: u64) -> Result<u32> {
    u32::try_from(value).map_err(|_| err!(EFAULT))
}

/// Loads an aligned word.
pub fn load_u32(at: UserAddr) -> Result<u32> {
    let at = word(at)?;
    // SAFETY: an aligned word of user memory, whose faults are handled.
    word_done(unsafe { load_user_u32(at) })
}

/// Compares and exchanges an aligned word.
pub fn cmpxchg_u32(at: UserAddr, old: u32, new: u32) -> Result<u32> {
    let at = word(at)?;
    // SAFETY: as above.
    word_done(unsafe { cmpxchg_user_u32(at, old, new) })
}
