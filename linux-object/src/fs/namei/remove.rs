//! Removing names: `unlink` and `rmdir`.

use alloc::sync::Arc;

use super::create::{check_len, lock_dir};
use super::walk::lookup_one;
use super::{LastKind, Parent};
use crate::error::Result;
use crate::fs::notify::{self, NotifyMask};
use crate::fs::permission::may_delete;
use crate::fs::{FileType, InodeFlags, hash_name};
use crate::task::Task;
use crate::{bail, ensure};

/// `unlink(2)`: removes a name that is not a directory's.
pub fn unlink(task: &Arc<Task>, parent: &Parent) -> Result<()> {
    ensure!(parent.kind == LastKind::Norm, EISDIR, "the path ends in . or ..");
    let Parent { dir, name, .. } = parent;
    let _write = dir.mount.write_guard()?;
    check_len(name)?;
    let cred = task.cred();
    let inode = dir.inode()?;
    let (victim, removed);
    {
        let _locked = lock_dir(&dir.dentry, &**inode);
        victim = lookup_one(&dir.dentry, name, hash_name(name))?;
        let Some(target) = victim.inode() else {
            bail!(ENOENT)
        };
        if parent.trailing {
            ensure!(target.file_type() == FileType::Directory, ENOTDIR);
            bail!(EISDIR);
        }
        may_delete(task, &cred, &dir.mount, &**inode, &**target, false, false)?;
        ensure!(
            !is_local_mountpoint(task, dir, &victim),
            EBUSY,
            "something is mounted there"
        );
        inode.unlink(name)?;
        removed = target.clone();
        victim.delete();
    }
    crate::fs::mount::detach_mounts(task.kernel(), &victim);
    notify::inode_event(&*removed, NotifyMask::ATTRIB);
    notify::inode_released(&*removed);
    notify::dir_event(&**inode, NotifyMask::DELETE, name, 0, false);
    Ok(())
}

/// `rmdir(2)`: removes an empty directory.
pub fn rmdir(task: &Arc<Task>, parent: &Parent) -> Result<()> {
    match parent.kind {
        LastKind::Norm => {}
        LastKind::DotDot => bail!(ENOTEMPTY, "the path ends in .."),
        LastKind::Dot => bail!(EINVAL, "the path ends in ."),
        LastKind::Root => bail!(EBUSY, "the root"),
    }
    let Parent { dir, name, .. } = parent;
    let _write = dir.mount.write_guard()?;
    check_len(name)?;
    let cred = task.cred();
    let inode = dir.inode()?;
    let (victim, removed);
    {
        let _locked = lock_dir(&dir.dentry, &**inode);
        victim = lookup_one(&dir.dentry, name, hash_name(name))?;
        let Some(target) = victim.inode() else {
            bail!(ENOENT)
        };
        may_delete(task, &cred, &dir.mount, &**inode, &**target, false, true)?;
        // Nothing is made in the victim from here on; parents come before children.
        let locked = _locked.is_some().then(|| target.common().dir.lock_nested());
        ensure!(
            !is_local_mountpoint(task, dir, &victim),
            EBUSY,
            "something is mounted there"
        );
        inode.rmdir(name)?;
        target.common().set_flags(InodeFlags::DEAD);
        drop(locked);
        removed = target.clone();
        victim.delete();
    }
    crate::fs::mount::detach_mounts(task.kernel(), &victim);
    notify::inode_removed(&*removed);
    notify::dir_event(&**inode, NotifyMask::DELETE, name, 0, true);
    Ok(())
}

/// Whether something is mounted on `dentry` in the caller's mount namespace. Mounts of others do not
/// keep it; they are detached.
pub(super) fn is_local_mountpoint(
    task: &Arc<Task>,
    dir: &crate::fs::Path,
    dentry: &Arc<crate::fs::Dentry>,
) -> bool {
    dentry.is_mountpoint() && crate::fs::mount::is_local_mountpoint(task, dir, dentry)
}
