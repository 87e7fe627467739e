//! Times of access (`mount(2)`: `MS_NOATIME MS_RELATIME MS_STRICTATIME MS_NODIRATIME`).

use super::{FileTime, FileType, InodeFlags, MountFlags, Path, current_time};
use crate::kernel::Kernel;

const DAY: i128 = 24 * 60 * 60 * 1_000_000_000;

/// Notes that the file was read (Linux's `touch_atime`).
#[inline]
pub fn touch_atime(kernel: &Kernel, path: &Path) {
    let flags = path.mount.flags();
    if flags.intersects(MountFlags::NOATIME | MountFlags::INTERNAL) || path.mount.is_readonly() {
        return;
    }
    let Some(inode) = path.dentry.inode() else { return };
    if inode.common().flags().contains(InodeFlags::NOATIME)
        || flags.contains(MountFlags::NODIRATIME) && inode.file_type() == FileType::Directory
    {
        return;
    }
    inode.touch_atime(current_time(kernel), flags.contains(MountFlags::RELATIME));
}

/// Whether a time of access moves: always, or relative to the other times.
#[inline]
pub fn atime_moves(relative: bool, now: FileTime, atime: FileTime, mtime: FileTime, ctime: FileTime) -> bool {
    if !relative {
        return now != atime;
    }
    atime <= mtime || atime <= ctime || now.0 - atime.0 >= DAY
}
