//! Mount options of tmpfs.

use alloc::sync::Arc;

use crate::bail;
use crate::error::Result;
use crate::ids::{Gid, Kgid, Kuid, PAGE_SIZE, Uid};
use crate::namespace::UserNamespace;

/// What `mount -o` may say (`tmpfs(5)`).
#[derive(Clone, Default, Debug)]
pub struct Options {
    /// The limit on pages.
    pub size: Option<Size>,
    /// 0: no limit.
    pub nr_inodes: Option<u64>,
    /// Of the root directory.
    pub mode: Option<u32>,
    /// Owner of the root directory.
    pub uid: Option<Kuid>,
    /// Group of the root directory.
    pub gid: Option<Kgid>,
    /// No limits at all (the kernel's own).
    pub unlimited: bool,
}

/// A limit on pages.
#[derive(Clone, Copy, Debug)]
pub enum Size {
    /// So many; 0: none.
    Pages(u64),
    /// Of the machine's memory.
    Percent(u64),
}

fn number(text: &[u8], radix: u32) -> Option<u64> {
    u64::from_str_radix(core::str::from_utf8(text).ok()?, radix).ok()
}

/// A number with an optional suffix of Linux's `memparse`.
fn memparse(text: &[u8]) -> Option<u64> {
    let (digits, shift) = match text.last()?.to_ascii_lowercase() {
        b'k' => (&text[..text.len() - 1], 10),
        b'm' => (&text[..text.len() - 1], 20),
        b'g' => (&text[..text.len() - 1], 30),
        b't' => (&text[..text.len() - 1], 40),
        _ => (text, 0),
    };
    let (digits, radix) = match digits {
        [b'0', b'x' | b'X', rest @ ..] => (rest, 16),
        [b'0', rest @ ..] if !rest.is_empty() => (rest, 8),
        _ => (digits, 10),
    };
    number(digits, radix)?.checked_mul(1 << shift)
}

impl Options {
    /// The options as `mount(2)` gets them. Ids are those of `user_ns`.
    pub fn parse(text: &[u8], user_ns: Option<&Arc<UserNamespace>>) -> Result<Options> {
        let mut options = Options::default();
        for option in text
            .split(|&byte| byte == b',')
            .filter(|option| !option.is_empty())
        {
            let mut halves = option.splitn(2, |&byte| byte == b'=');
            let key = halves.next().unwrap_or_default();
            let value = halves.next();
            let applied = match (key, value) {
                (b"size", Some(value)) => options.set_size(value),
                (b"nr_blocks", Some(value)) => {
                    memparse(value).map(|pages| options.size = Some(Size::Pages(pages)))
                }
                (b"nr_inodes", Some(value)) => memparse(value).map(|count| options.nr_inodes = Some(count)),
                (b"mode", Some(value)) => {
                    number(value, 8).map(|mode| options.mode = Some(mode as u32 & 0o7777))
                }
                (b"uid", Some(value)) => number(value, 10).and_then(|uid| {
                    let uid = Uid(u32::try_from(uid).ok()?);
                    options.uid = Some(match user_ns {
                        Some(ns) => ns.make_kuid(uid)?,
                        None => Kuid(uid.0),
                    });
                    Some(())
                }),
                (b"gid", Some(value)) => number(value, 10).and_then(|gid| {
                    let gid = Gid(u32::try_from(gid).ok()?);
                    options.gid = Some(match user_ns {
                        Some(ns) => ns.make_kgid(gid)?,
                        None => Kgid(gid.0),
                    });
                    Some(())
                }),
                // Inode numbers have 64 bits here; huge pages are not used, which `never` says.
                (b"inode64", None) => Some(()),
                (b"huge", Some(b"never")) => Some(()),
                _ => None,
            };
            if applied.is_none() {
                bail!(EINVAL, "tmpfs: an unknown option or a bad value");
            }
        }
        Ok(options)
    }

    /// ramfs knows `mode=` and ignores all else, as Linux does.
    pub fn parse_ramfs(text: &[u8]) -> Options {
        let mode = text
            .split(|&byte| byte == b',')
            .filter_map(|option| option.strip_prefix(b"mode="))
            .filter_map(|value| number(value, 8))
            .next_back();
        Options {
            mode: mode.map(|mode| mode as u32 & 0o7777),
            ..Options::default()
        }
    }

    fn set_size(&mut self, value: &[u8]) -> Option<()> {
        self.size = Some(match value.strip_suffix(b"%") {
            Some(percent) => Size::Percent(number(percent, 10)?),
            None => Size::Pages(memparse(value)?.div_ceil(PAGE_SIZE as u64)),
        });
        Some(())
    }

    /// The limit in pages on a machine with so many; 0: no limit.
    pub fn pages(&self, total: u64) -> Option<u64> {
        Some(match self.size? {
            Size::Pages(pages) => pages,
            Size::Percent(percent) => total.saturating_mul(percent) / 100,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_modes_are_read() {
        let options = Options::parse(b"size=10M,mode=0755,nr_inodes=2k,uid=5", None).unwrap();
        assert_eq!(options.pages(0), Some(2560));
        assert_eq!(options.mode, Some(0o755));
        assert_eq!(options.nr_inodes, Some(2048));
        assert_eq!(options.uid, Some(Kuid(5)));
        assert_eq!(Options::parse(b"size=25%", None).unwrap().pages(400), Some(100));
        for bad in [&b"size=x"[..], b"mode=9", b"nonsense", b"uid=-1", b"size"] {
            assert!(Options::parse(bad, None).is_err());
        }
    }
}
