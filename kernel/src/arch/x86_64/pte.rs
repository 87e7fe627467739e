//! Page-table entries (Intel SDM vol. 3, 4.5).
//!
//! Bits that the CPU ignores hold what `PageFlags` says beyond the hardware: that an entry exists
//! although it is not present (a page without any access), that it is readable in its own right,
//! special or anonymous.

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
const SPECIAL: u64 = 1 << 10;
const ANON: u64 = 1 << 11;
const READ: u64 = 1 << 52;

/// Where the frame number is.
pub const FRAME_MASK: u64 = 0x000f_ffff_ffff_f000;
/// An entry that points to a table of user space.
pub const TABLE: u64 = PRESENT | WRITE | USER | ACCESSED;

/// The hardware entry.
#[inline]
pub fn encode(pte: Pte) -> u64 {
    u64::from(pte.frame.0) << 12 | encode_flags(pte.flags)
}

#[inline]
fn bit(flags: PageFlags, flag: PageFlags, bit: u64) -> u64 {
    // Without a branch: all constants but `flags` are known.
    let shift_from = flag.bits().trailing_zeros();
    let shift_to = bit.trailing_zeros();
    ((u64::from(flags.bits()) >> shift_from) & 1) << shift_to
}

/// The hardware bits for flags.
#[inline]
pub fn encode_flags(flags: PageFlags) -> u64 {
    let any = PageFlags::READ.bits() | PageFlags::WRITE.bits() | PageFlags::EXEC.bits();
    MAPPED
        | USER
        | u64::from(flags.bits() & any != 0)
        | bit(flags, PageFlags::READ, READ)
        | bit(flags, PageFlags::WRITE, WRITE)
        | (bit(flags, PageFlags::EXEC, NO_EXEC) ^ NO_EXEC)
        | bit(flags, PageFlags::DIRTY, DIRTY)
        | bit(flags, PageFlags::ACCESSED, ACCESSED)
        | bit(flags, PageFlags::SPECIAL, SPECIAL)
        | bit(flags, PageFlags::ANON, ANON)
}

/// The flags of an entry.
#[inline]
fn decode_flags(entry: u64) -> PageFlags {
    let pick = |bit: u64, flag: PageFlags| {
        (((entry >> bit.trailing_zeros()) & 1) as u32) << flag.bits().trailing_zeros()
    };
    PageFlags::from_bits_retain(
        pick(READ, PageFlags::READ)
            | pick(WRITE, PageFlags::WRITE)
            | (pick(NO_EXEC, PageFlags::EXEC) ^ PageFlags::EXEC.bits())
            | pick(DIRTY, PageFlags::DIRTY)
            | pick(ACCESSED, PageFlags::ACCESSED)
            | pick(SPECIAL, PageFlags::SPECIAL)
            | pick(ANON, PageFlags::ANON),
    )
}

/// The entry's meaning; it is not zero.
#[inline]
pub fn decode(entry: u64) -> Pte {
    Pte {
        frame: Frame(((entry & FRAME_MASK) >> 12) as u32),
        flags: decode_flags(entry),
    }
}
