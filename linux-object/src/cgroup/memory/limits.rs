//! Sizes as they are written: `64M`, `max`, `-1`.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::bail;
use crate::cgroup::{show_limit, strip};
use crate::error::Result;
use crate::fs::seq_file::SeqBuf;
use crate::ids::PAGE_SIZE;
use crate::mm::page_counter::UNLIMITED;

/// A size in pages, rounded down: `none` for no limit, or a number of bytes in C's notation with
/// one of the suffixes `KMGTPE` (Linux's `page_counter_memparse`). Nothing is 0.
pub(super) fn parse_pages(data: &[u8], none: &[u8]) -> Result<u64> {
    let text = strip(data);
    if text == none {
        return Ok(UNLIMITED);
    }
    let (digits, radix) = match text {
        [b'0', b'x' | b'X', rest @ ..] if rest.first().is_some_and(u8::is_ascii_hexdigit) => (rest, 16),
        [b'0', ..] => (text, 8),
        _ => (text, 10),
    };
    let end = digits
        .iter()
        .position(|&byte| !(byte as char).is_digit(radix))
        .unwrap_or(digits.len());
    // Too many digits wrap around, as on Linux.
    let value = digits[..end].iter().fold(0u64, |value, &byte| {
        let digit = (byte as char).to_digit(radix).unwrap_or(0);
        value.wrapping_mul(radix.into()).wrapping_add(digit.into())
    });
    let shift = match &digits[end..] {
        [] => 0,
        [b'K' | b'k'] => 10,
        [b'M' | b'm'] => 20,
        [b'G' | b'g'] => 30,
        [b'T' | b't'] => 40,
        [b'P' | b'p'] => 50,
        [b'E' | b'e'] => 60,
        _ => bail!(EINVAL, "memory: not a size"),
    };
    Ok((value.wrapping_shl(shift) / PAGE_SIZE as u64).min(UNLIMITED))
}

/// Shows a limit in bytes, or `max`.
pub(super) fn show_pages(pages: &AtomicU64, out: &mut SeqBuf) -> Result<()> {
    show_value(pages.load(Relaxed), out)
}

/// Likewise.
pub(super) fn show_value(pages: u64, out: &mut SeqBuf) -> Result<()> {
    show_limit(
        (pages < UNLIMITED).then_some(pages.saturating_mul(PAGE_SIZE as u64)),
        out,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Errno;

    #[test]
    fn sizes_are_read_as_linux_does() {
        for (text, pages) in [
            ("max", UNLIMITED),
            (" max \n", UNLIMITED),
            ("0", 0),
            ("", 0),
            ("4095", 0),
            ("4096\n", 1),
            ("64M", 16384),
            ("64m\n", 16384),
            ("0x1000", 1),
            ("010000", 1),
            ("1G", 262144),
            ("K", 0),
            ("18446744073709551615", UNLIMITED),
        ] {
            assert_eq!(parse_pages(text.as_bytes(), b"max").unwrap(), pages, "{text}");
        }
        for text in ["-1", "maxi", "1 2", "64MB", "x", "1.5G", "- 1", "08"] {
            assert_eq!(
                parse_pages(text.as_bytes(), b"max").unwrap_err(),
                Errno::EINVAL,
                "{text}"
            );
        }
        assert_eq!(parse_pages(b"-1", b"-1").unwrap(), UNLIMITED);
    }
}
