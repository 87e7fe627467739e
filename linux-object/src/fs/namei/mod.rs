//! Path lookup (`path_resolution(7)`, Linux's `fs/namei.c`).

use alloc::sync::Arc;

use super::Path;
use crate::bail;
use crate::error::Result;
use crate::task::Task;

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

/// The place that `name` leads to, from `base` or the working directory.
pub fn path_lookup(task: &Arc<Task>, base: Option<&Path>, name: &[u8], flags: LookupFlags) -> Result<Path> {
    let _ = (task, base, name, flags);
    bail!(ENOSYS)
}
