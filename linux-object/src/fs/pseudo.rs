//! What file systems made of kernel data have in common: attributes, inode numbers, and trees that
//! stand in tables of paths.

use super::{DevT, FileTime, FileType, Metadata};
use crate::ids::{Kgid, Kuid};

/// An inode number for `name` below the object that `seed` identifies: always the same, never 0, and different
/// for different names as far as 64-bit hashes are (FNV-1a).
pub fn inode_number(seed: u64, name: &[u8]) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325 ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let hash = name.iter().fold(start, |hash, &byte| {
        (hash ^ byte as u64).wrapping_mul(0x0100_0000_01b3)
    });
    // Positive as a signed number, and out of the way of small fixed numbers.
    hash >> 1 | 1 << 32
}

/// Attributes of an inode without content of its own.
#[derive(Clone, Copy, Debug)]
pub struct PseudoAttr {
    /// Inode number.
    pub inode: u64,
    /// Type.
    pub file_type: FileType,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: Kuid,
    /// Group.
    pub gid: Kgid,
    /// Link count.
    pub nlink: u32,
    /// Size that `stat` shows.
    pub size: u64,
    /// `st_blksize`.
    pub block_size: u32,
    /// All time stamps.
    pub time: FileTime,
}

impl PseudoAttr {
    /// A file of root's.
    pub fn new(inode: u64, file_type: FileType, mode: u32, time: FileTime) -> PseudoAttr {
        PseudoAttr {
            inode,
            file_type,
            mode,
            uid: Kuid::ROOT,
            gid: Kgid::ROOT,
            nlink: if file_type == FileType::Directory { 2 } else { 1 },
            size: 0,
            block_size: 1024,
            time,
        }
    }
    /// As `stat` wants it.
    pub fn metadata(&self) -> Metadata {
        Metadata {
            inode: self.inode,
            file_type: self.file_type,
            mode: self.mode,
            nlink: self.nlink,
            uid: self.uid,
            gid: self.gid,
            rdev: DevT::default(),
            size: self.size,
            block_size: self.block_size,
            blocks: 0,
            atime: self.time,
            mtime: self.time,
            ctime: self.time,
            btime: self.time,
        }
    }
}

/// Something that stands in a table under its path: components joined by `/`, none in front. A
/// path that ends with `/` is a directory that is there even if it is empty. Entries of one
/// directory stand together.
pub trait PathEntry {
    /// The path.
    fn path(&self) -> &'static str;
}

/// What a name in a table leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found<E> {
    /// A directory with this path.
    Dir(&'static str),
    /// An entry.
    Leaf(E),
}

/// The part of `path` below directory `dir` (`""` is the root): the first component, and the rest
/// after its slash.
fn below(path: &'static str, dir: &str) -> Option<(&'static str, Option<&'static str>)> {
    let rest = if dir.is_empty() {
        path
    } else {
        path.strip_prefix(dir)?.strip_prefix('/')?
    };
    match rest.split_once('/') {
        _ if rest.is_empty() => None,
        Some((name, rest)) => Some((name, Some(rest))),
        None => Some((rest, None)),
    }
}

fn classify<E: PathEntry>(entry: E, dir: &str) -> Option<(&'static str, Found<E>)> {
    let path = entry.path();
    let (name, rest) = below(path, dir)?;
    Some(match rest {
        None => (name, Found::Leaf(entry)),
        Some(_) => {
            let end = if dir.is_empty() { 0 } else { dir.len() + 1 } + name.len();
            (name, Found::Dir(&path[..end]))
        }
    })
}

/// Finds `name` in directory `dir` of the table.
pub fn find<E: PathEntry>(entries: impl Iterator<Item = E>, dir: &str, name: &[u8]) -> Option<Found<E>> {
    entries
        .filter_map(|entry| classify(entry, dir))
        .find(|(found, _)| found.as_bytes() == name)
        .map(|(_, found)| found)
}

/// The children of directory `dir` in the order of the table, each once.
pub fn children<E: PathEntry>(
    entries: impl Iterator<Item = E>,
    dir: &str,
) -> impl Iterator<Item = (&'static str, Found<E>)> {
    let mut last = "";
    entries
        .filter_map(move |entry| classify(entry, dir))
        .filter(move |(name, _)| core::mem::replace(&mut last, name) != *name)
}

/// How many directories there are in directory `dir`.
pub fn count_dirs<E: PathEntry>(entries: impl Iterator<Item = E>, dir: &str) -> u32 {
    children(entries, dir)
        .filter(|(_, found)| matches!(found, Found::Dir(_)))
        .count() as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    struct P(&'static str);
    impl PathEntry for P {
        fn path(&self) -> &'static str {
            self.0
        }
    }
    const TABLE: &[P] = &[
        P("a"),
        P("fs/"),
        P("sys/k/x"),
        P("sys/k/y"),
        P("sys/v/z"),
        P("sysvipc/m"),
    ];

    #[test]
    fn a_table_of_paths_is_a_tree() {
        let table = || TABLE.iter().copied();
        assert_eq!(find(table(), "", b"a"), Some(Found::Leaf(P("a"))));
        assert_eq!(find(table(), "", b"sys"), Some(Found::Dir("sys")));
        assert_eq!(find(table(), "sys", b"k"), Some(Found::Dir("sys/k")));
        assert_eq!(find(table(), "sys/k", b"y"), Some(Found::Leaf(P("sys/k/y"))));
        assert_eq!(find(table(), "sys", b"m"), None);
        assert_eq!(find(table(), "", b""), None);
        let names = |dir| children(table(), dir).map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(""), ["a", "fs", "sys", "sysvipc"]);
        assert_eq!(names("sys"), ["k", "v"]);
        assert_eq!(names("fs"), [""; 0]);
        assert_eq!(count_dirs(table(), "sys"), 2);
    }

    #[test]
    fn inode_numbers_are_stable_and_apart() {
        assert_eq!(inode_number(1, b"stat"), inode_number(1, b"stat"));
        assert_ne!(inode_number(1, b"stat"), inode_number(2, b"stat"));
        assert_ne!(inode_number(1, b"stat"), inode_number(1, b"statm"));
        assert!(inode_number(0, b"") > 0);
    }
}
