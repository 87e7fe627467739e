//! Lists of CPUs and memory nodes as text: `0-3,8` (`cpuset(7)`, "List format").

use crate::bail;
use crate::error::Result;
use crate::fs::seq_file::SeqBuf;

/// Reads a list of numbers below `nr`, up to the end of the line. `EINVAL` if it is none, or has a number from 64 on,
/// which nothing here has; `ERANGE` for a number too large.
///
/// Beside numbers and ranges there are `all`, `N` (the last number), and `a-b:used/group`: of each
/// group of the range, the first few.
pub fn parse_list(text: &[u8], nr: usize) -> Result<u64> {
    let is_separator = |byte: &u8| *byte == b',' || byte.is_ascii_whitespace();
    let mut mask = 0;
    let line = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
    for region in line.split(is_separator).filter(|region| !region.is_empty()) {
        let mut at = Reader(region);
        let (mut start, mut end) = (0, nr - 1);
        if !at.eat(b"all") {
            start = at.number(nr)?;
            end = if at.eat(b"-") { at.number(nr)? } else { start };
        }
        let (mut used, mut group) = (end.wrapping_sub(start).wrapping_add(1), 0);
        if at.eat(b":") {
            used = at.number(nr)?;
            if !at.eat(b"/") {
                bail!(EINVAL, "cpuset: a group without a size");
            }
            group = at.number(nr)?;
            if used > group || group == 0 {
                bail!(EINVAL, "cpuset: more used than there are in a group");
            }
        }
        if !at.0.is_empty() || start > end {
            bail!(EINVAL, "cpuset: not a list of numbers");
        }
        if end >= nr {
            bail!(ERANGE, "cpuset: a number that is too large");
        }
        let group = if group == 0 { usize::MAX } else { group };
        if end >= 64 {
            bail!(EINVAL, "cpuset: there is no such CPU or node");
        }
        for n in (start..=end).filter(|n| (n - start) % group < used) {
            mask |= 1 << n;
        }
    }
    Ok(mask)
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn eat(&mut self, word: &[u8]) -> bool {
        match self.0.strip_prefix(word) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }
    fn number(&mut self, nr: usize) -> Result<usize> {
        if self.eat(b"N") {
            return Ok(nr - 1);
        }
        let len = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = self.0.split_at(len);
        if digits.is_empty() {
            bail!(EINVAL, "cpuset: not a number");
        }
        self.0 = rest;
        digits
            .iter()
            .try_fold(0u32, |value, digit| {
                let value = value.checked_mul(10);
                value.and_then(|value| value.checked_add(u32::from(digit - b'0')))
            })
            .map_or_else(
                || bail!(EOVERFLOW, "cpuset: a number that is too large"),
                |value| Ok(value as usize),
            )
    }
}

/// Shows a set as a list, with a newline.
pub fn show_list(mask: u64, out: &mut SeqBuf) -> Result<()> {
    let mut n = 0;
    let mut first = true;
    while n < 64 && mask >> n != 0 {
        n += (mask >> n).trailing_zeros();
        let len = (mask >> n).trailing_ones();
        if !first {
            out.byte(b',')?;
        }
        first = false;
        match len {
            1 => write!(out, "{n}")?,
            _ => write!(out, "{n}-{}", n + len - 1)?,
        }
        n += len;
    }
    out.byte(b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Errno;

    #[test]
    fn lists() {
        for (text, mask) in [
            ("", 0),
            ("0", 1),
            ("0-3", 15),
            ("0,2-3", 13),
            ("3,,0 1", 11),
            ("all", 255),
            ("6-N", 0xc0),
            ("0-7:1/2", 0x55),
            ("all:2/4", 0x33),
            ("1\n2", 2),
        ] {
            assert_eq!(parse_list(text.as_bytes(), 8).unwrap(), mask, "{text}");
        }
        for text in ["x", "-1", "3-1", "1-", "0-3:2", "0-3:3/2", "0-3:0/0", "1;2"] {
            assert_eq!(
                parse_list(text.as_bytes(), 8).unwrap_err(),
                Errno::EINVAL,
                "{text}"
            );
        }
        assert_eq!(parse_list(b"64", 1024).unwrap_err(), Errno::EINVAL);
        assert_eq!(parse_list(b"8", 8).unwrap_err(), Errno::ERANGE);
        assert_eq!(parse_list(b"0-99", 8).unwrap_err(), Errno::ERANGE);
        assert_eq!(parse_list(b"99999999999", 8).unwrap_err(), Errno::EOVERFLOW);
        for (mask, text) in [
            (0, "\n"),
            (1, "0\n"),
            (0b1101_1110, "1-4,6-7\n"),
            (u64::MAX, "0-63\n"),
        ] {
            let mut out = SeqBuf::new();
            show_list(mask, &mut out).unwrap();
            assert_eq!(out.into_bytes(), text.as_bytes());
        }
    }
}
