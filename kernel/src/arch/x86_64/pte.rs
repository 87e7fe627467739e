//! Page-table entries (Intel SDM vol. 3, 4.5).
//!
//! The bits that the CPU ignores hold what `PageFlags` says beyond the hardware, in the places that the
//! flags have in `PageFlags`, from bit 52 on: an entry can exist although it is not present (a page
//! without any access), be special, anonymous, and so on. Accessed and dirty are the hardware's own.

use linux_object::hal::{PageFlags, Pte};
use linux_object::ids::Frame;

/// The CPU may use the entry.
pub const PRESENT: u64 = 1;
/// Writable.
pub const WRITE: u64 = 1 << 1;
/// User mode may use it.
pub const USER: u64 = 1 << 2;
/// Write-through.
pub const WRITE_THROUGH: u64 = 1 << 3;
/// Not cached.
pub const NO_CACHE: u64 = 1 << 4;
/// Used.
pub const ACCESSED: u64 = 1 << 5;
/// Written through.
pub const DIRTY: u64 = 1 << 6;
/// A large page, in an upper table.
pub const LARGE: u64 = 1 << 7;
/// Survives a change of CR3.
pub const GLOBAL: u64 = 1 << 8;
/// Not executable.
pub const NO_EXEC: u64 = 1 << 63;

/// Software: the entry exists.
const MAPPED: u64 = 1 << 9;
/// Where the flags are that the hardware does not keep.
const SOFTWARE_SHIFT: u32 = 52;

/// Where the frame number is.
pub const FRAME_MASK: u64 = 0x000f_ffff_ffff_f000;
/// An entry that points to a table of user space.
pub const TABLE: u64 = PRESENT | WRITE | USER | ACCESSED;

/// The hardware entry.
#[inline(always)]
pub fn encode(pte: Pte) -> u64 {
    u64::from(pte.frame.0) << 12 | encode_flags(pte.flags)
}

/// Where the hardware's bits are, relative to those in `PageFlags`.
const ACCESSED_SHIFT: u32 = 1;
const DIRTY_SHIFT: u32 = 3;
const NO_EXEC_SHIFT: u32 = 61;

const _: () = {
    assert!((PageFlags::ACCESSED.bits() as u64) << ACCESSED_SHIFT == ACCESSED);
    assert!((PageFlags::DIRTY.bits() as u64) << DIRTY_SHIFT == DIRTY);
    assert!((PageFlags::EXEC.bits() as u64) << NO_EXEC_SHIFT == NO_EXEC);
    assert!(PageFlags::WRITE.bits() as u64 == WRITE);
    assert!(PageFlags::all().bits() < 1 << 7);
};

const ACCESS: u32 = PageFlags::READ.bits() | PageFlags::WRITE.bits() | PageFlags::EXEC.bits();
const NOTED: u32 = PageFlags::ACCESSED.bits() | PageFlags::DIRTY.bits();
const KEPT: u32 = PageFlags::all().bits() & !NOTED;

/// The hardware bits for flags.
#[inline(always)]
pub fn encode_flags(flags: PageFlags) -> u64 {
    let bits = u64::from(flags.bits());
    let exec = u64::from(PageFlags::EXEC.bits());
    MAPPED
        | USER
        | u64::from(flags.bits() & ACCESS != 0)
        | bits & WRITE
        | (!bits & exec) << NO_EXEC_SHIFT
        | bits << ACCESSED_SHIFT & ACCESSED
        | bits << DIRTY_SHIFT & DIRTY
        | (bits & u64::from(KEPT)) << SOFTWARE_SHIFT
}

/// The flags of an entry.
#[inline(always)]
fn decode_flags(entry: u64) -> PageFlags {
    let kept = (entry >> SOFTWARE_SHIFT) as u32 & KEPT;
    let accessed = (entry >> ACCESSED_SHIFT) as u32 & PageFlags::ACCESSED.bits();
    let dirty = (entry >> DIRTY_SHIFT) as u32 & PageFlags::DIRTY.bits();
    PageFlags::from_bits_retain(kept | accessed | dirty)
}

/// The entry's meaning; it is not zero.
#[inline(always)]
pub fn decode(entry: u64) -> Pte {
    Pte {
        frame: Frame(((entry & FRAME_MASK) >> 12) as u32),
        flags: decode_flags(entry),
    }
}
