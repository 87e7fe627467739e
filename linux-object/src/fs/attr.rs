//! Changing attributes: `chmod chown utimensat truncate` (Linux's `notify_change` and `setattr_prepare`).

use alloc::sync::Arc;

use super::notify::{self, NotifyMask};
use super::permission::{
    Access, S_ISGID, S_ISUID, capable_wrt_owner, gid_is_mapped, inode_permission, owner_or_capable,
    uid_is_mapped,
};
use super::{FileTime, FileType, INode, InodeFlags, OpenFile, Path, SetAttr, current_time};
use crate::cred::{Capability, Cred};
use crate::error::Result;
use crate::ids::{Kgid, Kuid};
use crate::task::Task;
use crate::{bail, ensure};

/// Tells watchers of a file and of its directory.
#[inline]
pub fn notify_change(path: &Path, mask: NotifyMask) {
    if path.mount.sb.is_watched() {
        tell_watchers(path, mask);
    }
}

#[cold]
fn tell_watchers(path: &Path, mask: NotifyMask) {
    let Some(inode) = path.dentry.inode() else { return };
    let is_dir = inode.file_type() == FileType::Directory;
    if let Some(parent) = path.dentry.parent()
        && let Some(dir) = parent.inode()
        && dir.common().marks.wants(mask)
    {
        let deleted = path.dentry.is_deleted();
        notify::dir_event_of(&**dir, mask, &path.dentry.name(), 0, is_dir, deleted);
    }
    let shown = if is_dir { mask | NotifyMask::ISDIR } else { mask };
    notify::inode_event(&**inode, shown);
}

fn check_mutable(path: &Path) -> Result<()> {
    ensure!(
        !path
            .inode()?
            .common()
            .flags()
            .intersects(InodeFlags::IMMUTABLE | InodeFlags::APPEND),
        EPERM,
        "the file may not change"
    );
    Ok(())
}

/// `chmod(2)`.
pub fn chmod(task: &Arc<Task>, path: &Path, mode: u32) -> Result<()> {
    let _write = path.mount.write_guard()?;
    let inode = path.inode()?;
    check_mutable(path)?;
    let cred = task.cred();
    let owner = inode.owner();
    ensure!(
        inode.file_type() != FileType::Symlink,
        EOPNOTSUPP,
        "the mode of a symlink"
    );
    ensure!(owner_or_capable(&cred, owner), EPERM, "chmod: not the owner");
    let mut mode = mode & 0o7777;
    if !cred.in_group(owner.gid) && !capable_wrt_owner(&cred, owner, Capability::FSETID) {
        mode &= !S_ISGID;
    }
    inode.setattr(&SetAttr {
        mode: Some(mode),
        ..SetAttr::default()
    })?;
    notify_change(path, NotifyMask::ATTRIB);
    Ok(())
}

/// `chown(2)`; `None` leaves the id.
pub fn chown(task: &Arc<Task>, path: &Path, uid: Option<Kuid>, gid: Option<Kgid>) -> Result<()> {
    let _write = path.mount.write_guard()?;
    let inode = path.inode()?;
    check_mutable(path)?;
    let cred = task.cred();
    let owner = inode.owner();
    let sb_ns = &path.mount.sb.user_ns;
    ensure!(
        uid.is_none_or(|uid| uid_is_mapped(sb_ns, uid)) && gid.is_none_or(|gid| gid_is_mapped(sb_ns, gid)),
        EOVERFLOW,
        "the file system's user namespace has no name for the id"
    );
    let capable = capable_wrt_owner(&cred, owner, Capability::CHOWN);
    let own = cred.fsuid == owner.uid;
    if let Some(uid) = uid {
        ensure!(own && uid == owner.uid || capable, EPERM, "chown: no CAP_CHOWN");
    }
    if let Some(gid) = gid {
        ensure!(
            own && (gid == owner.gid || cred.in_group(gid)) || capable,
            EPERM,
            "chown: no CAP_CHOWN, or not in the group"
        );
    }
    let mut attr = SetAttr {
        uid,
        gid,
        ..SetAttr::default()
    };
    if inode.file_type() != FileType::Directory {
        let mut kill = owner.mode & S_ISUID;
        let group_exec = owner.mode & (S_ISGID | 0o010) == S_ISGID | 0o010;
        if group_exec || owner.mode & S_ISGID != 0 && !capable_wrt_owner(&cred, owner, Capability::FSETID) {
            kill |= owner.mode & S_ISGID;
        }
        if kill != 0 {
            attr.mode = Some(owner.mode & !kill);
        }
        // A new owner does not inherit the file's capabilities.
        remove_file_caps(&**inode);
    }
    inode.setattr(&attr)?;
    notify_change(path, NotifyMask::ATTRIB);
    Ok(())
}

/// What `utimensat(2)` does with one time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NewTime {
    /// `UTIME_OMIT`.
    Keep,
    /// `UTIME_NOW`.
    Now,
    /// This.
    Set(FileTime),
}

/// `utimensat(2)`; `None` times: both now, with the weaker permission that this needs.
pub fn utimes(task: &Arc<Task>, path: &Path, times: Option<(NewTime, NewTime)>) -> Result<()> {
    let _write = path.mount.write_guard()?;
    let inode = path.inode()?;
    let cred = task.cred();
    let now = current_time(task.kernel());
    let (atime, mtime) = times.unwrap_or((NewTime::Now, NewTime::Now));
    let touch = atime == NewTime::Now && mtime == NewTime::Now;
    let flags = inode.common().flags();
    if touch {
        ensure!(
            !flags.contains(InodeFlags::IMMUTABLE),
            EPERM,
            "the file is immutable"
        );
        if !owner_or_capable(&cred, inode.owner()) {
            inode_permission(task, &cred, &path.mount, &**inode, Access::WRITE)?;
        }
    } else {
        check_mutable(path)?;
        ensure!(
            owner_or_capable(&cred, inode.owner()),
            EPERM,
            "utimensat: not the owner"
        );
    }
    let pick = |time| match time {
        NewTime::Keep => None,
        NewTime::Now => Some(now),
        NewTime::Set(time) => Some(time),
    };
    inode.setattr(&SetAttr {
        atime: pick(atime),
        mtime: pick(mtime),
        ..SetAttr::default()
    })?;
    notify_change(path, NotifyMask::ATTRIB);
    Ok(())
}

/// `truncate(2)`.
pub fn truncate(task: &Arc<Task>, path: &Path, size: u64) -> Result<()> {
    let inode = path.inode()?;
    match inode.file_type() {
        FileType::Regular => {}
        FileType::Directory => bail!(EISDIR),
        _ => bail!(EINVAL, "truncate: not a regular file"),
    }
    let _write = path.mount.write_guard()?;
    let cred = task.cred();
    inode_permission(task, &cred, &path.mount, &**inode, Access::WRITE)?;
    ensure!(
        !inode.common().flags().contains(InodeFlags::APPEND),
        EPERM,
        "the file is append-only"
    );
    inode.common().get_write_access()?;
    let result = super::open::truncate_inode(task, path, size);
    inode.common().put_write_access();
    result
}

/// `ftruncate(2)`.
pub fn ftruncate(task: &Arc<Task>, file: &OpenFile, size: u64) -> Result<()> {
    ensure!(
        file.inode.file_type() == FileType::Regular && file.flags().writable(),
        EINVAL,
        "ftruncate: not a regular file open for writing"
    );
    ensure!(
        !file.inode.common().flags().contains(InodeFlags::APPEND),
        EPERM,
        "the file is append-only"
    );
    super::open::truncate_inode(task, &file.path, size)
}

/// A write happened: set-id bits of a file written by someone who may not keep them go, and file
/// capabilities whoever writes.
pub fn file_remove_privs(task: &Arc<Task>, file: &OpenFile) -> Result<()> {
    let owner = file.inode.owner();
    if owner.mode & (S_ISUID | S_ISGID) == 0 && file.inode.common().flags().contains(InodeFlags::NOSEC) {
        return Ok(());
    }
    remove_privs(&task.cred(), file)
}

/// File capabilities do not survive a change of content or owner.
pub fn remove_file_caps(inode: &dyn INode) {
    // Noted first: who gives the file capabilities meanwhile takes the note back afterwards.
    inode.common().set_flags(InodeFlags::NOSEC);
    let _ = inode.removexattr(b"security.capability");
}

#[cold]
fn remove_privs(cred: &Cred, file: &OpenFile) -> Result<()> {
    remove_file_caps(&*file.inode);
    match super::permission::mode_without_privs(cred, file.inode.owner()) {
        Some(mode) => file.inode.setattr(&SetAttr {
            mode: Some(mode),
            ..SetAttr::default()
        }),
        None => Ok(()),
    }
}
