//! `rename(2)` and `renameat2(2)`.

use alloc::sync::Arc;

use super::create::{check_len, new_spec};
use super::remove::is_local_mountpoint;
use super::walk::lookup_one;
use super::{LastKind, Parent};
use crate::error::Result;
use crate::fs::notify::{self, NotifyMask};
use crate::fs::permission::{Access, inode_permission, may_create, may_delete};
use crate::fs::{DentryFlags, DevT, FileType, INode, InodeFlags, hash_name};
use crate::task::Task;
use crate::{bail, ensure};

bitflags::bitflags! {
    /// Flags of `renameat2(2)`.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    #[allow(missing_docs)]
    pub struct RenameFlags: u32 {
        const NOREPLACE = 1;
        const EXCHANGE = 2;
        const WHITEOUT = 4;
    }
}

fn is_dir(inode: &dyn INode) -> bool {
    inode.file_type() == FileType::Directory
}

/// Moves a name.
pub fn rename(task: &Arc<Task>, old: &Parent, new: &Parent, flags: RenameFlags) -> Result<()> {
    ensure!(
        Arc::ptr_eq(&old.dir.mount, &new.dir.mount),
        EXDEV,
        "rename to another mount"
    );
    ensure!(old.kind == LastKind::Norm, EBUSY, "the old path ends in . or ..");
    let noreplace = flags.contains(RenameFlags::NOREPLACE);
    let exchange = flags.contains(RenameFlags::EXCHANGE);
    if new.kind != LastKind::Norm {
        if noreplace {
            bail!(EEXIST);
        }
        bail!(EBUSY, "the new path ends in . or ..");
    }
    let mount = &old.dir.mount;
    let _write = mount.write_guard()?;
    check_len(&old.name)?;
    check_len(&new.name)?;
    let cred = task.cred();
    let moves = &mount.sb.moves;
    let (old_dir, new_dir) = (old.dir.inode()?, new.dir.inode()?);
    let (old_dentry, new_dentry, source, target);
    {
        let same = Arc::ptr_eq(&old.dir.dentry, &new.dir.dentry);
        // Between directories the tree's shape is kept; ancestors are locked before descendants, others
        // by address, which the shape lock makes a total order.
        let _shape = (!same).then(|| mount.sb.rename.lock());
        let cached = old.dir.dentry.flags().contains(DentryFlags::CACHED);
        let _locks = cached.then(|| {
            if same {
                (old_dir.common().dir.lock(), None)
            } else {
                let old_first = if new.dir.dentry.is_subdir(&old.dir.dentry) {
                    true
                } else if old.dir.dentry.is_subdir(&new.dir.dentry) {
                    false
                } else {
                    Arc::as_ptr(&old.dir.dentry) < Arc::as_ptr(&new.dir.dentry)
                };
                let (first, second) = if old_first {
                    (old_dir, new_dir)
                } else {
                    (new_dir, old_dir)
                };
                (first.common().dir.lock(), Some(second.common().dir.lock_nested()))
            }
        });
        old_dentry = lookup_one(&old.dir.dentry, &old.name, hash_name(&old.name))?;
        let Some(from) = old_dentry.inode() else {
            bail!(ENOENT)
        };
        new_dentry = lookup_one(&new.dir.dentry, &new.name, hash_name(&new.name))?;
        let to = new_dentry.inode();
        ensure!(!(noreplace && to.is_some()), EEXIST);
        if exchange {
            let Some(to) = to else { bail!(ENOENT) };
            ensure!(is_dir(&**to) || !new.trailing, ENOTDIR);
        }
        if !is_dir(&**from) {
            ensure!(!old.trailing, ENOTDIR);
            ensure!(exchange || !new.trailing, ENOTDIR);
        }
        ensure!(
            !new.dir.dentry.is_subdir(&old_dentry),
            EINVAL,
            "a directory cannot move into itself"
        );
        if old.dir.dentry.is_subdir(&new_dentry) {
            ensure!(exchange, ENOTEMPTY);
            bail!(EINVAL, "a directory cannot move into itself");
        }
        if to.is_some_and(|to| Arc::ptr_eq(from, to)) {
            return Ok(());
        }
        may_delete(task, &cred, mount, &**old_dir, &**from, false, is_dir(&**from))?;
        match to {
            None => may_create(task, &cred, mount, &**new_dir)?,
            Some(to) => {
                let as_dir = if exchange { is_dir(&**to) } else { is_dir(&**from) };
                may_delete(task, &cred, mount, &**new_dir, &**to, false, as_dir)?;
            }
        }
        // A directory that gets a new parent changes its "..".
        if !same {
            if is_dir(&**from) {
                inode_permission(task, &cred, mount, &**from, Access::WRITE)?;
            }
            if let Some(to) = to.filter(|to| exchange && is_dir(&***to)) {
                inode_permission(task, &cred, mount, &**to, Access::WRITE)?;
            }
        }
        ensure!(
            !is_local_mountpoint(task, &old.dir, &old_dentry)
                && !is_local_mountpoint(task, &new.dir, &new_dentry),
            EBUSY,
            "something is mounted there"
        );
        ensure!(
            !flags.contains(RenameFlags::WHITEOUT) || mount.sb.fs.has_whiteouts(),
            EINVAL,
            "the file system leaves no whiteouts"
        );
        let victim = to.filter(|_| !exchange);
        let victim_lock = victim
            .filter(|victim| cached && is_dir(&***victim))
            .map(|victim| victim.common().dir.lock_nested());
        old_dir.rename(&old.name, new_dir, &new.name, exchange)?;
        if flags.contains(RenameFlags::WHITEOUT) {
            let spec = new_spec(&cred, &**old_dir, FileType::CharDevice, 0, DevT::default());
            old_dir.create(&old.name, &spec)?;
        }
        if let Some(victim) = victim {
            if is_dir(&**victim) {
                victim.common().set_flags(InodeFlags::DEAD);
            }
            drop(victim_lock);
            new_dentry.delete();
        }
        if exchange {
            old_dentry.exchange(moves, &new_dentry);
        } else {
            old_dentry.move_to(moves, &new.dir.dentry, &new.name);
        }
        source = from.clone();
        target = to.cloned();
    }
    if !exchange && target.is_some() {
        crate::fs::mount::detach_mounts(task.kernel(), &new_dentry);
    }
    let cookie = notify::cookie(&task.kernel().vfs.rename_cookie);
    let moved = |from: &Parent, to: &Parent, inode: &dyn INode| -> Result<()> {
        let dir = is_dir(inode);
        let (from_dir, to_dir) = (from.dir.inode()?, to.dir.inode()?);
        if Arc::ptr_eq(from_dir, to_dir) {
            notify::dir_event(&**from_dir, NotifyMask::RENAME, &from.name, 0, dir);
        }
        notify::dir_event(&**from_dir, NotifyMask::MOVED_FROM, &from.name, cookie, dir);
        notify::dir_event(&**to_dir, NotifyMask::MOVED_TO, &to.name, cookie, dir);
        notify::inode_event(inode, NotifyMask::MOVE_SELF);
        Ok(())
    };
    moved(old, new, &*source)?;
    match target {
        Some(target) if exchange => moved(new, old, &*target)?,
        Some(target) if is_dir(&*target) => notify::inode_removed(&*target),
        Some(target) => {
            notify::inode_event(&*target, NotifyMask::ATTRIB);
            notify::inode_released(&*target);
        }
        None => {}
    }
    Ok(())
}
