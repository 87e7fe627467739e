//! The parser of mount options (Linux's `fs_parser.c`).
//!
//! Each file system type has one table of [`Spec`]s. An option from a comma-separated list of `mount(2)` and one
//! from `fsconfig(2)` become the same [`Param`], and [`parse`] turns it into a typed value or
//! says in the log why it cannot.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Log;
use crate::error::Result;
use crate::fs::{OpenFile, Path};
use crate::{bail, ensure};

/// An option as user space gives it.
pub struct Param {
    /// Its name.
    pub key: Vec<u8>,
    /// What it is set to.
    pub value: Value,
}

/// What an option is set to (`FSCONFIG_SET_*`).
pub enum Value {
    /// It is just there.
    Flag,
    /// Text.
    String(Vec<u8>),
    /// Bytes.
    Blob(Vec<u8>),
    /// A name, and where it begins (`None`: the working directory). It may be empty if that was asked for.
    Path(Option<Path>, Vec<u8>),
    /// An open file.
    File(Arc<OpenFile>),
}

impl Param {
    /// An option of a list: text, or a flag.
    pub fn text(key: &[u8], value: Option<&[u8]>) -> Param {
        Param {
            key: key.to_vec(),
            value: value.map_or(Value::Flag, |value| Value::String(value.to_vec())),
        }
    }
    /// The name, for messages.
    pub fn name(&self) -> String {
        String::from_utf8_lossy(&self.key).into_owned()
    }
}

/// What an option takes.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Nothing.
    Flag,
    /// Text that is not empty.
    Text,
    /// A number of 32 bits in C's notation.
    U32,
    /// An octal number of 32 bits.
    U32Oct,
    /// One of these words.
    Enum(&'static [(&'static str, u32)]),
}

/// One line of a file system type's table.
#[derive(Clone, Copy, Debug)]
pub struct Spec<K: 'static> {
    /// The option's name.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// What the file system calls it.
    pub key: K,
}

impl<K> Spec<K> {
    /// A line.
    pub const fn new(name: &'static str, kind: Kind, key: K) -> Spec<K> {
        Spec { name, kind, key }
    }
}

/// A value of the kind that the table asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Typed<'p> {
    /// Of [`Kind::Flag`].
    Flag,
    /// Of [`Kind::Text`].
    Text(&'p [u8]),
    /// Of the numbers and [`Kind::Enum`].
    Number(u32),
}

impl<'p> Typed<'p> {
    /// The number; the table has made sure that it is one.
    pub fn number(self) -> u32 {
        match self {
            Typed::Number(number) => number,
            _ => 0,
        }
    }
    /// The text; likewise.
    pub fn bytes(self) -> &'p [u8] {
        match self {
            Typed::Text(text) => text,
            _ => &[],
        }
    }
}

/// Finds an option in the table and checks its value; `None`: the table does not have it.
pub fn parse<'p, K: Copy>(
    log: &mut Log,
    table: &'static [Spec<K>],
    param: &'p Param,
) -> Result<Option<(K, Typed<'p>)>> {
    let Some(spec) = table.iter().find(|spec| spec.name.as_bytes() == param.key) else {
        return Ok(None);
    };
    let text = match &param.value {
        Value::String(text) => Some(&text[..]),
        _ => None,
    };
    let typed = match spec.kind {
        Kind::Flag => {
            if !matches!(param.value, Value::Flag) {
                log.prefixed('e', format_args!("Unexpected value for '{}'", spec.name));
                bail!(EINVAL, "an option that takes no value has one");
            }
            Some(Typed::Flag)
        }
        Kind::Text => text.filter(|text| !text.is_empty()).map(Typed::Text),
        Kind::U32 => text.and_then(|text| kstrtouint(text, 0)).map(Typed::Number),
        Kind::U32Oct => text.and_then(|text| kstrtouint(text, 8)).map(Typed::Number),
        Kind::Enum(words) => text.and_then(|text| {
            let (_, number) = words.iter().find(|(word, _)| word.as_bytes() == text)?;
            Some(Typed::Number(*number))
        }),
    };
    match typed {
        Some(typed) => Ok(Some((spec.key, typed))),
        None => bad_value(log, param),
    }
}

/// The error for a value that makes no sense.
pub fn bad_value<T>(log: &mut Log, param: &Param) -> Result<T> {
    log.prefixed('e', format_args!("Bad value for '{}'", param.name()));
    bail!(EINVAL, "a bad value of a mount option")
}

/// The options of a comma-separated list, without empty ones (Linux's `generic_parse_monolithic`).
pub fn split_list(text: &[u8]) -> impl Iterator<Item = Param> {
    text.split(|&byte| byte == b',').filter_map(|option| {
        let mut halves = option.splitn(2, |&byte| byte == b'=');
        let key = halves.next().filter(|key| !key.is_empty())?;
        Some(Param::text(key, halves.next()))
    })
}

/// Applies a whole list with one table; anything that is not in it is `EINVAL`.
pub fn parse_list<K: Copy>(
    log: &mut Log,
    table: &'static [Spec<K>],
    text: &[u8],
    mut apply: impl FnMut(K, Typed<'_>) -> Result<()>,
) -> Result<()> {
    for param in split_list(text) {
        match parse(log, table, &param)? {
            Some((key, value)) => apply(key, value)?,
            None => {
                log.prefixed('e', format_args!("Unknown parameter '{}'", param.name()));
                bail!(EINVAL, "the file system has no such option");
            }
        }
    }
    Ok(())
}

fn digits(text: &[u8], radix: u32) -> Option<u64> {
    if !text.first()?.is_ascii_alphanumeric() {
        return None;
    }
    u64::from_str_radix(core::str::from_utf8(text).ok()?, radix).ok()
}

/// A number of 32 bits: all of the text, perhaps with a plus sign and a newline. Radix 0 is C's notation.
pub fn kstrtouint(text: &[u8], radix: u32) -> Option<u32> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let text = text.strip_prefix(b"+").unwrap_or(text);
    let (text, radix) = match (text, radix) {
        ([b'0', b'x' | b'X', rest @ ..], 0) => (rest, 16),
        ([b'0', rest @ ..], 0) if !rest.is_empty() => (rest, 8),
        (text, 0) => (text, 10),
        (text, radix) => (text, radix),
    };
    u32::try_from(digits(text, radix)?).ok()
}

/// A number with a suffix of Linux's `memparse`, and what follows.
pub fn memparse(text: &[u8]) -> Option<(u64, &[u8])> {
    let (body, radix) = match text {
        [b'0', b'x' | b'X', rest @ ..] if rest.first().is_some_and(u8::is_ascii_hexdigit) => (rest, 16),
        [b'0', rest @ ..] if rest.first().is_some_and(u8::is_ascii_digit) => (rest, 8),
        _ => (text, 10),
    };
    let end = body
        .iter()
        .position(|&byte| !(byte as char).is_digit(radix))
        .unwrap_or(body.len());
    let (number, rest) = body.split_at(end);
    let number = if number.is_empty() {
        0
    } else {
        digits(number, radix)?
    };
    let shift = match rest.first().map(u8::to_ascii_lowercase) {
        Some(b'k') => 10,
        Some(b'm') => 20,
        Some(b'g') => 30,
        Some(b't') => 40,
        Some(b'p') => 50,
        Some(b'e') => 60,
        _ => return Some((number, rest)),
    };
    Some((number.checked_mul(1 << shift)?, &rest[1..]))
}

/// The value of `source=`, which any type may have once (Linux's `vfs_parse_fs_param_source`).
pub(super) fn source(log: &mut Log, param: &Param, source: &mut Option<Vec<u8>>) -> Result<bool> {
    if param.key != b"source" {
        return Ok(false);
    }
    let Value::String(text) = &param.value else {
        log.plain('e', format_args!("Non-string source"));
        bail!(EINVAL, "a source that is no text");
    };
    if source.is_some() {
        log.plain('e', format_args!("Multiple sources"));
    }
    ensure!(source.is_none(), EINVAL, "a second source");
    *source = Some(text.clone());
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, PartialEq, Debug)]
    enum Key {
        Plain,
        Name,
        Mode,
        Count,
        Which,
    }

    const TABLE: &[Spec<Key>] = &[
        Spec::new("plain", Kind::Flag, Key::Plain),
        Spec::new("name", Kind::Text, Key::Name),
        Spec::new("mode", Kind::U32Oct, Key::Mode),
        Spec::new("count", Kind::U32, Key::Count),
        Spec::new("which", Kind::Enum(&[("one", 1), ("two", 2)]), Key::Which),
    ];

    #[test]
    fn values_get_the_type_of_the_table() {
        let mut seen = Vec::new();
        let mut log = Log::kept("t");
        let text = b"plain,,name=a=b,mode=755,count=0x10,count=010,which=two,";
        parse_list(&mut log, TABLE, text, |key, value| {
            seen.push((key, value.number(), value.bytes().to_vec()));
            Ok(())
        })
        .unwrap();
        assert_eq!(
            seen,
            [
                (Key::Plain, 0, Vec::new()),
                (Key::Name, 0, b"a=b".to_vec()),
                (Key::Mode, 0o755, Vec::new()),
                (Key::Count, 16, Vec::new()),
                (Key::Count, 8, Vec::new()),
                (Key::Which, 2, Vec::new()),
            ]
        );
    }

    #[test]
    fn what_does_not_fit_is_refused_and_said() {
        for (text, says) in [
            ("plain=1", "e t: Unexpected value for 'plain'\n"),
            ("name=", "e t: Bad value for 'name'\n"),
            ("name", "e t: Bad value for 'name'\n"),
            ("mode=8", "e t: Bad value for 'mode'\n"),
            ("count=-1", "e t: Bad value for 'count'\n"),
            ("count=4294967296", "e t: Bad value for 'count'\n"),
            ("which=three", "e t: Bad value for 'which'\n"),
            ("other", "e t: Unknown parameter 'other'\n"),
        ] {
            let mut log = Log::kept("t");
            assert!(parse_list(&mut log, TABLE, text.as_bytes(), |_, _| Ok(())).is_err());
            assert_eq!(log.pop().as_deref(), Some(says));
        }
    }

    #[test]
    fn sizes_have_suffixes() {
        assert_eq!(memparse(b"10M"), Some((10 << 20, &b""[..])));
        assert_eq!(memparse(b"0x10k%"), Some((16 << 10, &b"%"[..])));
        assert_eq!(memparse(b"010"), Some((8, &b""[..])));
        assert_eq!(memparse(b"5x"), Some((5, &b"x"[..])));
        assert_eq!(memparse(b"99999999999E"), None);
    }
}
