//! Mount options of overlayfs. What would change how files are stored is refused, except by its value `off`.

use alloc::string::String;
use alloc::vec::Vec;

use crate::error::Result;
use crate::fs::fs_context::Log;
use crate::fs::fs_context::param::{Kind, Param, Spec, parse};
use crate::{bail, ensure};

/// What was asked for.
#[derive(Clone, Default)]
pub(super) struct Options {
    /// The text of `lowerdir=`.
    pub lowerdir: Vec<u8>,
    pub upperdir: Option<Vec<u8>>,
    pub workdir: Option<Vec<u8>>,
    pub userxattr: bool,
}

#[derive(Clone, Copy)]
enum Key {
    Lower,
    Upper,
    Work,
    UserXattr,
    Nothing,
}

const OFF: Kind = Kind::Enum(&[("off", 0)]);

const TABLE: &[Spec<Key>] = &[
    Spec::new("lowerdir", Kind::Text, Key::Lower),
    Spec::new("upperdir", Kind::Text, Key::Upper),
    Spec::new("workdir", Kind::Text, Key::Work),
    Spec::new("userxattr", Kind::Flag, Key::UserXattr),
    Spec::new(
        "redirect_dir",
        Kind::Enum(&[("off", 0), ("nofollow", 0)]),
        Key::Nothing,
    ),
    Spec::new("index", OFF, Key::Nothing),
    Spec::new("nfs_export", OFF, Key::Nothing),
    Spec::new("xino", OFF, Key::Nothing),
    Spec::new("metacopy", OFF, Key::Nothing),
];

/// The parts of a text between separators that no backslash precedes.
fn split(text: &[u8], separator: u8) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    let (mut start, mut at) = (0, 0);
    while at < text.len() {
        if text[at] == b'\\' {
            at += 1;
        } else if text[at] == separator {
            parts.push(&text[start..at]);
            start = at + 1;
        }
        at += 1;
    }
    parts.push(&text[start.min(text.len())..]);
    parts
}

/// A name without the backslashes that kept its characters from being separators.
pub(super) fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        out.push(if byte == b'\\' {
            bytes.next().unwrap_or(byte)
        } else {
            byte
        });
    }
    out
}

impl Options {
    /// Parses the list.
    pub fn parse(text: &[u8], log: &mut Log) -> Result<Options> {
        let mut options = Options::default();
        for option in split(text, b',').into_iter().filter(|option| !option.is_empty()) {
            let mut halves = option.splitn(2, |&byte| byte == b'=');
            let param = Param::text(halves.next().unwrap_or_default(), halves.next());
            let Some((key, value)) = parse(log, TABLE, &param)? else {
                bail!(EINVAL, "overlay: no such option");
            };
            let text = value.bytes().to_vec();
            match key {
                Key::Lower => options.lowerdir = text,
                Key::Upper => options.upperdir = Some(text),
                Key::Work => options.workdir = Some(text),
                Key::UserXattr => options.userxattr = true,
                Key::Nothing => {}
            }
        }
        if options.upperdir.is_none() {
            // Without an upper tree it is ignored.
            options.workdir = None;
        }
        ensure!(!options.lowerdir.is_empty(), EINVAL, "overlay: no lowerdir");
        ensure!(
            options.upperdir.is_none() || options.workdir.is_some(),
            EINVAL,
            "overlay: no workdir"
        );
        Ok(options)
    }

    /// The names of the lower trees, uppermost first.
    pub fn lower_names(&self) -> Vec<Vec<u8>> {
        split(&self.lowerdir, b':').into_iter().map(unescape).collect()
    }

    /// As `/proc/mounts` shows them.
    pub fn show(&self, out: &mut String) {
        let mut put = |name: &str, value: &[u8]| {
            out.push(',');
            out.push_str(name);
            out.push('=');
            for &byte in value {
                match byte {
                    b' ' | b'\t' | b'\n' | b'\\' => out.push_str(&alloc::format!("\\{byte:03o}")),
                    _ => out.push(char::from(byte)),
                }
            }
        };
        put("lowerdir", &self.lowerdir);
        if let (Some(upper), Some(work)) = (&self.upperdir, &self.workdir) {
            put("upperdir", upper);
            put("workdir", work);
        }
        if self.userxattr {
            out.push_str(",userxattr");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_may_be_escaped() {
        let mut log = Log::unread("overlay");
        let options = Options::parse(b"lowerdir=/a\\:b:/c\\,d,upperdir=/u,workdir=/w", &mut log).unwrap();
        assert_eq!(options.lower_names(), [b"/a:b".to_vec(), b"/c,d".to_vec()]);
        for wrong in [
            "",
            "upperdir=/u,workdir=/w",
            "lowerdir=/a,upperdir=/u",
            "lowerdir=/a,index=on",
        ] {
            assert!(Options::parse(wrong.as_bytes(), &mut log).is_err(), "{wrong}");
        }
    }
}
