//! The kernel's own function names.
//!
//! `kernel/ksyms` puts the table behind the linked image: a header, the functions' addresses in
//! ascending order as offsets from the link base, the offsets of their names, and the names. Without
//! that step the header says that the table is empty.

use crate::mm::KERNEL_BASE;

/// The header; all numbers little-endian.
#[repr(C)]
struct Header {
    magic: [u8; 8],
    /// Bytes of the whole table.
    len: u32,
    /// Number of functions.
    count: u32,
}

const MAGIC: [u8; 8] = *b"ZCELLSYM";

#[used]
#[unsafe(link_section = ".ksyms")]
static HEADER: Header = Header {
    magic: MAGIC,
    len: size_of::<Header>() as u32,
    count: 0,
};

fn header() -> &'static Header {
    let header = &raw const HEADER;
    // SAFETY: the static itself. It is read as volatile memory because the table is put in after
    // linking, which the compiler does not know.
    core::hint::black_box(unsafe { &*header })
}

/// Bytes of the table.
pub fn table_len() -> usize {
    header().len as usize
}

/// The function around an address: its name and the offset in it.
pub fn lookup(addr: u64) -> Option<(&'static str, u64)> {
    let header = header();
    let count = header.count as usize;
    if header.magic != MAGIC || count == 0 {
        return None;
    }
    // SAFETY: the table has `len` bytes from the header on (made so by the tool, mapped read-only).
    let table =
        unsafe { core::slice::from_raw_parts(core::ptr::from_ref(header).cast::<u8>(), header.len as usize) };
    let word = |index: usize| -> Option<u32> {
        let at = size_of::<Header>() + 4 * index;
        Some(u32::from_le_bytes(table.get(at..at + 4)?.try_into().ok()?))
    };
    let offset = u32::try_from(addr.checked_sub(KERNEL_BASE as u64)?).ok()?;
    let (mut low, mut high) = (0, count);
    while low < high {
        let mid = (low + high) / 2;
        if word(mid)? <= offset {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    let index = low.checked_sub(1)?;
    let (start, end) = (word(count + index)? as usize, word(count + index + 1)? as usize);
    let name = core::str::from_utf8(table.get(start..end)?).ok()?;
    Some((name, u64::from(offset - word(index)?)))
}
