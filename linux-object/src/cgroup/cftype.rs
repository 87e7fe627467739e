//! One table describes every interface file of a cgroup (Linux's `cftype`).
//!
//! A line says what the file is called, where it is there, and what reading and writing it does.
//! The functions run with no lock held; what they need for the duration they lock themselves.

use alloc::sync::Arc;

use super::{Cgroup, Css, SubsysId};
use crate::bail;
use crate::cred::Cred;
use crate::error::Result;
use crate::fs::OpenFile;
use crate::fs::seq_file::{SeqBuf, until_nul};
use crate::ids::PAGE_SIZE;
use crate::kernel::Kernel;
use crate::namespace::CgroupNamespace;
use crate::task::Task;

bitflags::bitflags! {
    /// Where a file is there, and who may write it.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct CfFlags: u32 {
        /// Only in the root.
        const ONLY_ON_ROOT = 1 << 0;
        /// Everywhere but in the root.
        const NOT_ON_ROOT = 1 << 1;
        /// The prefix of the name is no controller's: the mount option `noprefix` leaves it alone.
        const NO_PREFIX = 1 << 3;
        /// Anybody may write it.
        const WORLD_WRITABLE = 1 << 4;
        /// With `nsdelegate`, may be written in the root of the writer's cgroup namespace.
        const NS_DELEGATABLE = 1 << 2;
        /// Only with the kernel argument `cgroup_debug`.
        const DEBUG = 1 << 5;
    }
}

/// Who looks at which cgroup.
pub struct CfCx<'a> {
    /// The kernel.
    pub kernel: &'a Arc<Kernel>,
    /// The cgroup.
    pub cgroup: &'a Arc<Cgroup>,
    /// The controller's side, for a file of a controller.
    pub css: Option<&'a Arc<Css>>,
    /// The line.
    pub cftype: &'static CfType,
    /// The calling task.
    pub task: &'a Arc<Task>,
    /// Credentials of whoever opened the file: what counts for writes.
    pub cred: &'a Arc<Cred>,
    /// Cgroup namespace of whoever opened the file.
    pub ns: &'a Arc<CgroupNamespace>,
    /// The open description.
    pub file: &'a OpenFile,
}

impl CfCx<'_> {
    /// The controller's side. Core files have none.
    pub fn css(&self) -> &Arc<Css> {
        self.css.expect("the file of a controller")
    }
}

/// Makes the content.
#[derive(Clone, Copy)]
pub enum Show {
    /// Text of any length.
    Text(fn(&CfCx<'_>, &mut SeqBuf) -> Result<()>),
    /// One number and a newline.
    U64(fn(&CfCx<'_>) -> u64),
    /// One signed number and a newline.
    I64(fn(&CfCx<'_>) -> i64),
}

/// Takes what is written, all of one `write(2)`.
#[derive(Clone, Copy)]
pub enum Write {
    /// The bytes up to the first zero byte, as they are: see [`strip`].
    Text(fn(&CfCx<'_>, &[u8]) -> Result<()>),
    /// A number as C writes it; anything else is `EINVAL`, too large is `ERANGE`.
    U64(fn(&CfCx<'_>, u64) -> Result<()>),
    /// Likewise with a sign.
    I64(fn(&CfCx<'_>, i64) -> Result<()>),
}

/// A line of a table of files.
pub struct CfType {
    /// The whole name, with the controller's prefix: `pids.max`.
    pub name: &'static str,
    /// Where it is.
    pub flags: CfFlags,
    /// Permission bits, where they do not follow from `show` and `write`.
    pub mode: Option<u32>,
    /// Reading.
    pub show: Option<Show>,
    /// Writing.
    pub write: Option<Write>,
    /// Longer writes are `E2BIG`.
    pub max_write: usize,
}

impl CfType {
    /// A file that can neither be read nor written yet.
    pub const fn new(name: &'static str) -> CfType {
        CfType {
            name,
            flags: CfFlags::empty(),
            mode: None,
            show: None,
            write: None,
            max_write: PAGE_SIZE,
        }
    }
    /// With these flags.
    pub const fn flags(self, flags: CfFlags) -> CfType {
        CfType { flags, ..self }
    }
    /// With these permission bits.
    pub const fn mode(self, mode: u32) -> CfType {
        CfType {
            mode: Some(mode),
            ..self
        }
    }
    /// Readable.
    pub const fn show(self, show: Show) -> CfType {
        CfType {
            show: Some(show),
            ..self
        }
    }
    /// Writable.
    pub const fn write(self, write: Write) -> CfType {
        CfType {
            write: Some(write),
            ..self
        }
    }
    /// Longer writes than this are `E2BIG`.
    pub const fn max_write(self, max_write: usize) -> CfType {
        CfType { max_write, ..self }
    }
    /// Its permission bits before any `chmod`.
    pub fn initial_mode(&self) -> u32 {
        if let Some(mode) = self.mode {
            return mode;
        }
        let read = if self.show.is_some() { 0o444 } else { 0 };
        let write = match self.write {
            Some(_) if self.flags.contains(CfFlags::WORLD_WRITABLE) => 0o222,
            Some(_) => 0o200,
            None => 0,
        };
        read | write
    }
    /// Whether it is in this cgroup, as far as its flags say.
    pub fn is_in(&self, is_root: bool) -> bool {
        let excluded = if is_root {
            CfFlags::NOT_ON_ROOT
        } else {
            CfFlags::ONLY_ON_ROOT
        };
        !self.flags.intersects(excluded | CfFlags::DEBUG)
    }
    /// Its content.
    pub fn read(&self, cx: &CfCx<'_>, out: &mut SeqBuf) -> Result<()> {
        match self.show {
            Some(Show::Text(show)) => show(cx, out),
            Some(Show::U64(show)) => writeln!(out, "{}", show(cx)),
            Some(Show::I64(show)) => writeln!(out, "{}", show(cx)),
            None => bail!(EINVAL, "cgroup: the file is not readable"),
        }
    }
    /// Takes a write.
    pub fn take(&self, cx: &CfCx<'_>, data: &[u8]) -> Result<()> {
        let data = until_nul(data);
        match self.write {
            Some(Write::Text(write)) => write(cx, data),
            Some(Write::U64(write)) => write(cx, parse_u64(data)?),
            Some(Write::I64(write)) => write(cx, parse_i64(data)?),
            None => bail!(EINVAL, "cgroup: the file is not writable"),
        }
    }
}

/// Whose file it is, and its line.
pub(super) type Line = (Option<SubsysId>, &'static CfType);

/// Without white space at both ends (Linux's `strstrip`).
pub fn strip(data: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r' | 0xa0);
    let start = data.iter().position(|byte| !is_space(byte)).unwrap_or(data.len());
    let end = data
        .iter()
        .rposition(|byte| !is_space(byte))
        .map_or(start, |at| at + 1);
    &data[start..end]
}

/// A number in C's notation, an optional `+` in front and one newline behind (Linux's `kstrtoull`
/// with base 0).
pub fn parse_u64(text: &[u8]) -> Result<u64> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let text = text.strip_prefix(b"+").unwrap_or(text);
    let (digits, radix) = match text {
        [b'0', b'x' | b'X', rest @ ..] if rest.first().is_some_and(u8::is_ascii_hexdigit) => (rest, 16),
        [b'0', rest @ ..] if !rest.is_empty() => (rest, 8),
        _ => (text, 10),
    };
    let mut value = 0u64;
    if digits.is_empty() {
        bail!(EINVAL, "cgroup: not a number");
    }
    let mut overflow = false;
    for &byte in digits {
        let Some(digit) = (byte as char).to_digit(radix) else {
            bail!(EINVAL, "cgroup: not a number")
        };
        match value
            .checked_mul(radix.into())
            .and_then(|value| value.checked_add(digit.into()))
        {
            Some(next) => value = next,
            None => overflow = true,
        }
    }
    if overflow {
        bail!(ERANGE, "cgroup: the number is too large");
    }
    Ok(value)
}

/// Likewise with a sign (`kstrtoll`).
pub fn parse_i64(text: &[u8]) -> Result<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    if negative && digits.first() == Some(&b'+') {
        bail!(EINVAL, "cgroup: two signs");
    }
    let magnitude = parse_u64(digits)?;
    let value = if negative {
        0i64.checked_sub_unsigned(magnitude)
    } else {
        i64::try_from(magnitude).ok()
    };
    match value {
        Some(value) => Ok(value),
        None => bail!(ERANGE, "cgroup: the number is too large"),
    }
}

/// `max`, or a number.
pub fn parse_limit(data: &[u8]) -> Result<Option<i64>> {
    match strip(data) {
        b"max" => Ok(None),
        number => parse_i64(number).map(Some),
    }
}

/// Shows a limit: `max` for none.
pub fn show_limit(limit: Option<u64>, out: &mut SeqBuf) -> Result<()> {
    match limit {
        None => out.bytes(b"max\n"),
        Some(limit) => writeln!(out, "{limit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Errno;

    #[test]
    fn numbers_are_read_as_linux_does() {
        for (text, value) in [
            ("0", 0),
            ("12\n", 12),
            ("+7", 7),
            ("0x1F", 31),
            ("010", 8),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(parse_u64(text.as_bytes()).unwrap(), value, "{text}");
        }
        for text in ["", "\n", "-1", "1 2", "08", "0x", "1\n\n", "++1", "x"] {
            assert_eq!(parse_u64(text.as_bytes()).unwrap_err(), Errno::EINVAL, "{text}");
        }
        assert_eq!(parse_u64(b"18446744073709551616").unwrap_err(), Errno::ERANGE);
        assert_eq!(parse_i64(b"-9223372036854775808").unwrap(), i64::MIN);
        assert_eq!(parse_i64(b"9223372036854775808").unwrap_err(), Errno::ERANGE);
        assert_eq!(parse_i64(b"-+1").unwrap_err(), Errno::EINVAL);
        assert_eq!(parse_limit(b" max\n").unwrap(), None);
        assert_eq!(strip(b"  a b \n"), b"a b");
        assert_eq!(strip(b" \n"), b"");
    }
}
