//! Path lookup (`path_resolution(7)`, Linux's `fs/namei.c`).
//!
//! Model: [`Nameidata`] walks: it stands at a [`Path`] and takes one component after the other from
//! [`Names`], which also holds the rests of paths that symlinks interrupted. Whoever wants to do
//! something with the last component itself (open, create, remove) walks to its directory first.
//!
//! A walk over cached names takes one lock and allocates nothing per component; nothing is locked while
//! it stands still, so a directory may be renamed or removed meanwhile, as on Linux.

use alloc::sync::Arc;

use smallvec::SmallVec;

use super::Path;
use crate::cred::Cred;
use crate::error::Result;
use crate::task::Task;
use crate::{bail, ensure};

mod create;
mod remove;
mod rename;
mod walk;

pub use create::{CreateParent, link, make, make_tmpfile, may_open_dev, mkdir, mknod, new_spec, symlink};
pub use remove::{rmdir, unlink};
pub use rename::{RenameFlags, rename};
pub use walk::{LastKind, Nameidata, Names, is_under, lookup_one};

bitflags::bitflags! {
    /// How to walk a path.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct LookupFlags: u32 {
        /// A symlink at the end is followed.
        const FOLLOW = 1 << 0;
        /// The end must be a directory.
        const DIRECTORY = 1 << 1;
        /// An empty path names the base itself (`AT_EMPTY_PATH`).
        const EMPTY = 1 << 2;
        /// For `umount2`: what is mounted where the walk ends is meant, even if the path is `.`; and
        /// passing a mount does not clear its mark of `MNT_EXPIRE`.
        const MOUNTPOINT = 1 << 4;
        /// `RESOLVE_NO_XDEV`.
        const NO_XDEV = 1 << 8;
        /// `RESOLVE_NO_MAGICLINKS`.
        const NO_MAGICLINKS = 1 << 9;
        /// `RESOLVE_NO_SYMLINKS`.
        const NO_SYMLINKS = 1 << 10;
        /// `RESOLVE_BENEATH`.
        const BENEATH = 1 << 11;
        /// `RESOLVE_IN_ROOT`.
        const IN_ROOT = 1 << 12;
    }
}

/// Longest name.
pub const NAME_MAX: usize = 255;
/// Longest path with its zero byte.
pub const PATH_MAX: usize = 4096;
/// Most symlinks in one walk.
pub const MAXSYMLINKS: u32 = 40;

/// The directory of a last component that was not looked up.
pub struct Parent {
    /// The directory.
    pub dir: Path,
    /// What the last component is.
    pub kind: LastKind,
    /// The last component.
    pub name: SmallVec<[u8; 64]>,
    /// Whether slashes follow it.
    pub trailing: bool,
}

/// The place that `name` leads to, from `base` or the working directory.
pub fn path_lookup(task: &Arc<Task>, base: Option<&Path>, name: &[u8], flags: LookupFlags) -> Result<Path> {
    lookup(task, None, base, name, flags)
}

/// Likewise, with other credentials (`access(2)`).
pub fn path_lookup_as(
    task: &Arc<Task>,
    cred: &Arc<Cred>,
    base: Option<&Path>,
    name: &[u8],
    flags: LookupFlags,
) -> Result<Path> {
    lookup(task, Some(cred), base, name, flags)
}

fn lookup(
    task: &Arc<Task>,
    cred: Option<&Arc<Cred>>,
    base: Option<&Path>,
    name: &[u8],
    flags: LookupFlags,
) -> Result<Path> {
    if name.is_empty() {
        ensure!(flags.contains(LookupFlags::EMPTY), ENOENT, "the path is empty");
        return match base {
            Some(base) => Ok(base.clone()),
            None => Ok(super::task_fs(task)?.pwd()),
        };
    }
    let mut nd = Nameidata::new(task, base, name, flags)?;
    if let Some(cred) = cred {
        nd.cred = cred.clone();
    }
    let mut names = Names::new(name);
    loop {
        let (kind, range) = nd.link_path_walk(&mut names)?;
        let follow = flags.contains(LookupFlags::FOLLOW) || names.trailing;
        if nd.walk_last(&mut names, kind, range, follow)? {
            break;
        }
    }
    if flags.contains(LookupFlags::MOUNTPOINT) {
        nd.lookup_down()?;
    }
    nd.complete(names.trailing || flags.contains(LookupFlags::DIRECTORY))
}

/// The directory in which the last component of `name` is, or would be.
pub fn path_parent(task: &Arc<Task>, base: Option<&Path>, name: &[u8], flags: LookupFlags) -> Result<Parent> {
    if name.is_empty() {
        bail!(ENOENT, "the path is empty");
    }
    let mut nd = Nameidata::new(task, base, name, flags)?;
    let mut names = Names::new(name);
    let (kind, range) = nd.link_path_walk(&mut names)?;
    Ok(Parent {
        name: SmallVec::from_slice(names.get(range)),
        trailing: names.trailing,
        kind,
        dir: nd.complete(false)?,
    })
}
