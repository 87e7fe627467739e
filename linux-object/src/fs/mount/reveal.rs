//! What a user namespace may see of procfs and sysfs (`mount_namespaces(7)`, Linux's `mount_too_revealing`).
//!
//! A less privileged mount namespace gets a new mount of such a file system only if it has one already that
//! shows all of it: nothing locked covers a part, and flags that are locked there are set here.

use alloc::sync::Arc;

use super::ops::current_ns;
use super::{Mount, MountFlags};
use crate::bail;
use crate::error::Result;
use crate::fs::{SbFlags, SuperBlock};
use crate::task::Task;

/// The flags that a new mount of `sb` gets, which are at least `flags`; `EPERM` if it would show too much.
pub(super) fn check_revealing(
    task: &Arc<Task>,
    sb: &Arc<SuperBlock>,
    flags: MountFlags,
) -> Result<MountFlags> {
    let ns = current_ns(task)?;
    if ns.user_ns().parent().is_none() || !sb.flags().contains(SbFlags::I_USERNS_VISIBLE) {
        return Ok(flags);
    }
    let locked = task.kernel().vfs.change_mounts(|topology| {
        let mut found = None;
        for mount in topology.mounts_of(&ns) {
            if found.is_none() && mount.sb.fs.name() == sb.fs.name() {
                found = shows_all(&mount, flags);
            }
            topology.discard(mount);
        }
        found
    });
    match locked {
        Some(locked) => Ok(flags | locked),
        None => bail!(EPERM, "the file system is not fully visible here yet"),
    }
}

/// The locks that a new mount takes over from this one, if it shows everything with these flags.
fn shows_all(mount: &Arc<Mount>, new: MountFlags) -> Option<MountFlags> {
    if !Arc::ptr_eq(&mount.root, &mount.sb.root) {
        return None;
    }
    let mut flags = mount.flags();
    if mount.sb.is_readonly() {
        flags |= MountFlags::LOCK_READONLY;
    }
    if flags.contains(MountFlags::LOCK_READONLY) && !new.contains(MountFlags::READONLY) {
        return None;
    }
    let atime = MountFlags::ATIME_MASK;
    if flags.contains(MountFlags::LOCK_ATIME) && flags & atime != new & atime {
        return None;
    }
    let covered = mount.children().iter().any(|child| {
        let at = child.mountpoint().and_then(|at| at.dentry.inode().cloned());
        child.flags().contains(MountFlags::LOCKED) && !at.is_some_and(|inode| inode.is_empty_dir())
    });
    (!covered).then_some(flags & (MountFlags::LOCK_READONLY | MountFlags::LOCK_ATIME))
}
