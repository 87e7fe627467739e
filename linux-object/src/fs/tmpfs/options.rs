//! Mount options of tmpfs.

use crate::error::Result;
use crate::fs::fs_context::ParamCx;
use crate::fs::fs_context::param::{Kind, Param, Spec, bad_value, memparse, parse};
use crate::fs::permission::{gid_is_mapped, uid_is_mapped};
use crate::ids::{Gid, Kgid, Kuid, PAGE_SIZE, Uid};

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

#[derive(Clone, Copy)]
enum Key {
    Size,
    NrBlocks,
    NrInodes,
    Mode,
    Uid,
    Gid,
    Nothing,
}

/// Inode numbers have 64 bits here; huge pages are not used, which `never` says.
const TABLE: &[Spec<Key>] = &[
    Spec::new("size", Kind::Text, Key::Size),
    Spec::new("nr_blocks", Kind::Text, Key::NrBlocks),
    Spec::new("nr_inodes", Kind::Text, Key::NrInodes),
    Spec::new("mode", Kind::U32Oct, Key::Mode),
    Spec::new("uid", Kind::U32, Key::Uid),
    Spec::new("gid", Kind::U32, Key::Gid),
    Spec::new("inode64", Kind::Flag, Key::Nothing),
    Spec::new("huge", Kind::Enum(&[("never", 0)]), Key::Nothing),
];

const RAMFS_TABLE: &[Spec<Key>] = &[Spec::new("mode", Kind::U32Oct, Key::Mode)];

fn memsize(text: &[u8]) -> Option<u64> {
    let (size, rest) = memparse(text)?;
    rest.is_empty().then_some(size)
}

impl Options {
    /// Takes an option; false if there is no such. Ids are those of the caller, and the superblock's
    /// namespace must know them.
    pub fn parse_param(&mut self, cx: &mut ParamCx<'_>, param: &Param) -> Result<bool> {
        let Some((key, value)) = parse(cx.log, TABLE, param)? else {
            return Ok(false);
        };
        let text = value.bytes();
        let user_ns = cx.task.user_ns();
        let taken = match key {
            Key::Size => self.set_size(text),
            Key::NrBlocks => memsize(text).map(|pages| self.size = Some(Size::Pages(pages))),
            Key::NrInodes => memsize(text).map(|count| self.nr_inodes = Some(count)),
            Key::Mode => {
                self.mode = Some(value.number() & 0o7777);
                Some(())
            }
            Key::Uid => user_ns
                .make_kuid(Uid(value.number()))
                .filter(|&uid| uid_is_mapped(cx.user_ns, uid))
                .map(|uid| self.uid = Some(uid)),
            Key::Gid => user_ns
                .make_kgid(Gid(value.number()))
                .filter(|&gid| gid_is_mapped(cx.user_ns, gid))
                .map(|gid| self.gid = Some(gid)),
            Key::Nothing => Some(()),
        };
        match taken {
            Some(()) => Ok(true),
            None => bad_value(cx.log, param),
        }
    }

    /// ramfs knows `mode=`.
    pub fn parse_ramfs(&mut self, cx: &mut ParamCx<'_>, param: &Param) -> Result<()> {
        if let Some((Key::Mode, value)) = parse(cx.log, RAMFS_TABLE, param)? {
            self.mode = Some(value.number() & 0o7777);
        }
        Ok(())
    }

    fn set_size(&mut self, value: &[u8]) -> Option<()> {
        self.size = Some(match memparse(value)? {
            (percent, b"%") => Size::Percent(percent),
            (size, b"") => Size::Pages(size.div_ceil(PAGE_SIZE as u64)),
            _ => return None,
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
    fn sizes_are_pages_or_a_share() {
        let pages = |text: &[u8]| {
            let mut options = Options::default();
            options.set_size(text).and_then(|()| options.pages(400))
        };
        assert_eq!(pages(b"10M"), Some(2560));
        assert_eq!(pages(b"1"), Some(1));
        assert_eq!(pages(b"25%"), Some(100));
        assert_eq!(pages(b"25%%"), None);
        assert_eq!(pages(b"x"), None);
    }
}
