//! Argument and environment strings on their way from the old program to the new one.
//!
//! They are kept as they will stand on the new stack: one after the other, each with its zero byte.

use alloc::vec::Vec;

use crate::ensure;
use crate::error::Result;

/// Longest single string with its zero byte (`MAX_ARG_STRLEN`).
pub const MAX_ARG_STRLEN: usize = 131072;
/// What is always allowed in total (`ARG_MAX`).
const ARG_MAX: u64 = 131072;
/// Three quarters of the default stack: never more than that.
const MOST: u64 = (8 << 20) / 4 * 3;

/// Strings of `argv` or `envp`.
#[derive(Clone, Default)]
pub struct ArgStrings {
    bytes: Vec<u8>,
    count: usize,
}

impl ArgStrings {
    /// How many strings.
    pub fn count(&self) -> usize {
        self.count
    }
    /// All bytes, zero bytes included.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
    /// Adds a string without its zero byte. `E2BIG` if it is too long for one.
    pub fn push(&mut self, string: &[u8]) -> Result<()> {
        ensure!(
            string.len() < MAX_ARG_STRLEN,
            E2BIG,
            "a string of 128 KiB or more"
        );
        let room = self.bytes.try_reserve(string.len() + 1).is_ok();
        ensure!(room, ENOMEM, "no memory for arguments");
        self.bytes.extend_from_slice(string);
        self.bytes.push(0);
        self.count += 1;
        Ok(())
    }
    /// The strings, without their zero bytes.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.split(|&byte| byte == 0).take(self.count)
    }
    /// Puts `front` in the place of the first string, as the interpreter of a script sees it.
    pub fn replace_first(&self, front: &[&[u8]]) -> Result<ArgStrings> {
        let mut new = ArgStrings::default();
        front.iter().try_for_each(|string| new.push(string))?;
        let skipped = self
            .bytes
            .iter()
            .position(|&byte| byte == 0)
            .map_or(0, |at| at + 1);
        let rest = &self.bytes[skipped..];
        ensure!(
            new.bytes.try_reserve(rest.len()).is_ok(),
            ENOMEM,
            "no memory for arguments"
        );
        new.bytes.extend_from_slice(rest);
        new.count += self.count.saturating_sub(1);
        Ok(new)
    }
}

/// Whether strings of `len` bytes and `count` pointers fit a new stack (Linux's `bprm_stack_limits`).
/// `E2BIG`.
pub fn check_size(limit_stack: u64, count: u64, len: u64) -> Result<()> {
    let limit = (limit_stack / 4).clamp(ARG_MAX, MOST);
    let pointers = count.saturating_mul(8);
    ensure!(
        limit > pointers && len <= limit - pointers,
        E2BIG,
        "more than a quarter of RLIMIT_STACK"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_see_their_interpreter_first() {
        let mut args = ArgStrings::default();
        for arg in [b"a".as_slice(), b"", b"long one"] {
            args.push(arg).unwrap();
        }
        assert_eq!(
            args.iter().collect::<Vec<_>>(),
            [b"a".as_slice(), b"", b"long one"]
        );
        let new = args.replace_first(&[b"/bin/sh", b"./a"]).unwrap();
        assert_eq!(new.count(), 4);
        let expected: [&[u8]; 4] = [b"/bin/sh", b"./a", b"", b"long one"];
        assert_eq!(new.iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn limits() {
        assert!(check_size(8 << 20, 2, 2 << 20).is_err());
        assert!(check_size(8 << 20, 2, (2 << 20) - 16).is_ok());
        assert!(check_size(0, 1, 131064).is_ok());
        assert!(check_size(u64::MAX, 1, (6 << 20) + 1).is_err());
        assert!(ArgStrings::default().push(&[1; MAX_ARG_STRLEN]).is_err());
        assert!(ArgStrings::default().push(&[1; MAX_ARG_STRLEN - 1]).is_ok());
    }
}
