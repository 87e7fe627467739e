//! Paths from user space.

use alloc::vec::Vec;

use linux_object::error::Result;
use linux_object::fs::namei::LookupFlags;
use linux_object::fs::{Path, namei};
use linux_object::ids::Fd;

use crate::abi::AT_FDCWD;
use crate::context::Cx;
use crate::user_ptr::UserCStr;

/// `*at` flag: a symlink at the end is not followed.
pub const AT_SYMLINK_NOFOLLOW: u32 = 0x100;
/// `*at` flag: a symlink at the end is followed.
pub const AT_SYMLINK_FOLLOW: u32 = 0x400;
/// `*at` flag: an empty path names the descriptor itself.
pub const AT_EMPTY_PATH: u32 = 0x1000;
/// `*at` flag: automounts are not triggered.
pub const AT_NO_AUTOMOUNT: u32 = 0x800;

const SHORT: usize = 128;

/// A path that was copied in; a short one needs no allocation.
pub struct UserPath {
    short: [u8; SHORT],
    len: usize,
    long: Vec<u8>,
}

impl UserPath {
    /// Copies a path in (Linux's `getname`); an empty one is allowed.
    pub fn read(cx: &Cx<'_>, path: UserCStr) -> Result<UserPath> {
        let mut short = [0u8; SHORT];
        let (len, ended) = cx.hal().strncpy_from_user(&mut short, path.0)?;
        let long = if ended { Vec::new() } else { path.read_path(cx)? };
        Ok(UserPath { short, len, long })
    }
    /// The path without its zero byte.
    pub fn bytes(&self) -> &[u8] {
        if self.long.is_empty() {
            &self.short[..self.len]
        } else {
            &self.long
        }
    }
}

/// Where a relative `path` begins; `None`: at the working directory, or it is absolute.
pub fn base(cx: &Cx<'_>, dirfd: Fd, path: &[u8]) -> Result<Option<Path>> {
    if path.first() == Some(&b'/') {
        return Ok(None);
    }
    directory(cx, dirfd)
}

/// The place that a descriptor stands for; `None`: the working directory.
pub fn directory(cx: &Cx<'_>, dirfd: Fd) -> Result<Option<Path>> {
    if dirfd.0 == AT_FDCWD {
        return Ok(None);
    }
    Ok(Some(cx.files().get(dirfd)?.path.clone()))
}

/// Looks a path up.
pub fn lookup(cx: &Cx<'_>, dirfd: Fd, path: UserCStr, flags: LookupFlags) -> Result<Path> {
    let path = UserPath::read(cx, path)?;
    lookup_bytes(cx, dirfd, path.bytes(), flags)
}

/// Looks a path up that was copied in.
pub fn lookup_bytes(cx: &Cx<'_>, dirfd: Fd, path: &[u8], flags: LookupFlags) -> Result<Path> {
    if path.is_empty() && !flags.contains(LookupFlags::EMPTY) {
        linux_object::bail!(ENOENT, "the path is empty");
    }
    let base = base(cx, dirfd, path)?;
    namei::path_lookup(cx.task, base.as_ref(), path, flags)
}

/// The directory of a path's last component.
pub fn parent(cx: &Cx<'_>, dirfd: Fd, path: UserCStr) -> Result<namei::Parent> {
    let path = UserPath::read(cx, path)?;
    if path.bytes().is_empty() {
        linux_object::bail!(ENOENT, "the path is empty");
    }
    let base = base(cx, dirfd, path.bytes())?;
    namei::path_parent(cx.task, base.as_ref(), path.bytes(), LookupFlags::empty())
}

/// How the flags of an `*at` call look up.
pub fn at_flags(flags: u32) -> LookupFlags {
    let mut lookup = LookupFlags::empty();
    if flags & AT_SYMLINK_NOFOLLOW == 0 {
        lookup |= LookupFlags::FOLLOW;
    }
    if flags & AT_EMPTY_PATH != 0 {
        lookup |= LookupFlags::EMPTY;
    }
    lookup
}
