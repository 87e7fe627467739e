//! Numbers as `/proc/sys` takes them (`do_proc_dointvec`, `proc_get_long`).

use smallvec::SmallVec;

use crate::bail;
use crate::error::Result;

/// Up to `N` numbers, separated by blanks. What follows the last one is ignored, but each number
/// must end at a blank or at the end. Nothing at all is `EINVAL`.
pub(super) fn parse<const N: usize>(data: &[u8]) -> Result<SmallVec<[i64; 4]>> {
    let mut numbers = SmallVec::new();
    let mut rest = data;
    while numbers.len() < N {
        rest = rest.trim_ascii_start();
        // A zero byte ends a text, as some programs write one.
        if rest.is_empty() || (rest[0] == 0 && !numbers.is_empty()) {
            break;
        }
        let (number, used) = parse_one(rest)?;
        let Ok(number) = i64::try_from(number) else {
            bail!(EINVAL, "sysctl: the number is too large");
        };
        numbers.push(number);
        rest = &rest[used..];
    }
    if numbers.is_empty() {
        bail!(EINVAL, "sysctl: no number");
    }
    Ok(numbers)
}

/// One number of the range of `unsigned long`.
pub(super) fn parse_unsigned(data: &[u8]) -> Result<u64> {
    let text = data.trim_ascii_start();
    if text.is_empty() {
        bail!(EINVAL, "sysctl: no number");
    }
    match u64::try_from(parse_one(text)?.0) {
        Ok(number) => Ok(number),
        Err(_) => bail!(EINVAL, "sysctl: the number is out of range"),
    }
}

fn parse_one(text: &[u8]) -> Result<(i128, usize)> {
    let negative = text[0] == b'-';
    let sign = negative as usize;
    let digits = &text[sign..];
    let (base, prefix) = match digits {
        [b'0', b'x' | b'X', digit, ..] if digit.is_ascii_hexdigit() => (16, 2),
        [b'0', ..] => (8, 0),
        _ => (10, 0),
    };
    let mut value: i128 = 0;
    let mut used = prefix;
    while let Some(digit) = digits.get(used).and_then(|&byte| (byte as char).to_digit(base)) {
        let next = value
            .checked_mul(base as i128)
            .and_then(|value| value.checked_add(digit as i128));
        let Some(next) = next else {
            bail!(EINVAL, "sysctl: the number is too large");
        };
        value = next;
        used += 1;
    }
    let ends = digits
        .get(used)
        .is_none_or(|byte| byte.is_ascii_whitespace() || *byte == 0);
    if used == prefix || !ends {
        bail!(EINVAL, "sysctl: not a number");
    }
    Ok((if negative { -value } else { value }, sign + used))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(text: &str) -> Option<SmallVec<[i64; 4]>> {
        parse::<4>(text.as_bytes()).ok()
    }

    #[test]
    fn numbers_in_c_notation() {
        assert_eq!(numbers("42\n").unwrap()[..], [42]);
        assert_eq!(numbers(" -1").unwrap()[..], [-1]);
        assert_eq!(numbers("0x10 010 0\0").unwrap()[..], [16, 8, 0]);
        assert_eq!(numbers("1 2\t3\n4 5 x").unwrap()[..], [1, 2, 3, 4]);
        assert_eq!(parse_unsigned(b"18446744073709551615\n").unwrap(), u64::MAX);
        assert!(parse_unsigned(b"18446744073709551616").is_err());
        assert!(parse_unsigned(b"-1").is_err());
        for wrong in ["", "\n", "x", "1x", "08", "--1", "0x", "99999999999999999999"] {
            assert_eq!(numbers(wrong), None, "{wrong:?}");
        }
    }
}
