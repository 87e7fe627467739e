//! Who may do what with an inode (`path_resolution(7)`, `capabilities(7)`, Linux's
//! `inode_permission` and its relatives).

use alloc::sync::Arc;

use super::{FileType, INode, InodeFlags, Mount, Owner};
use crate::cred::{Capability, Cred};
use crate::error::Result;
use crate::ids::{Kgid, Kuid};
use crate::namespace::UserNamespace;
use crate::task::Task;
use crate::{bail, ensure};

bitflags::bitflags! {
    /// What is wanted (`R_OK` and so on).
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    #[allow(missing_docs)]
    pub struct Access: u32 {
        const EXEC = 1;
        const WRITE = 2;
        const READ = 4;
        /// A write that only adds at the end (`O_APPEND`).
        const APPEND = 8;
    }
}

/// Set-user-ID bit.
pub const S_ISUID: u32 = 0o4000;
/// Set-group-ID bit.
pub const S_ISGID: u32 = 0o2000;
/// Sticky bit.
pub const S_ISVTX: u32 = 0o1000;

/// Whether `ns` has names for these ids.
fn maps(ns: &Arc<UserNamespace>, uid: Kuid, gid: Kgid) -> bool {
    ns.parent().is_none() || uid_is_mapped(ns, uid) && gid_is_mapped(ns, gid)
}

/// Whether `ns` has a name for this user.
pub fn uid_is_mapped(ns: &Arc<UserNamespace>, uid: Kuid) -> bool {
    ns.parent().is_none() || ns.make_kuid(ns.from_kuid_munged(uid)) == Some(uid)
}

/// Whether `ns` has a name for this group.
pub fn gid_is_mapped(ns: &Arc<UserNamespace>, gid: Kgid) -> bool {
    ns.parent().is_none() || ns.make_kgid(ns.from_kgid_munged(gid)) == Some(gid)
}

/// Linux's `capable_wrt_inode_uidgid`: the capability holds in the caller's user namespace, and that
/// namespace knows the file's owner and group.
pub fn capable_wrt_owner(cred: &Cred, owner: Owner, cap: Capability) -> bool {
    cred.cap_effective.contains(cap.into()) && maps(&cred.user_ns, owner.uid, owner.gid)
}

/// Linux's `inode_owner_or_capable`.
pub fn owner_or_capable(cred: &Cred, owner: Owner) -> bool {
    cred.fsuid == owner.uid
        || cred.cap_effective.contains(Capability::FOWNER.into()) && uid_is_mapped(&cred.user_ns, owner.uid)
}

/// The mode bits, then the capabilities that override them (Linux's `generic_permission`).
pub fn generic_permission(cred: &Cred, owner: Owner, is_dir: bool, access: Access) -> Result<()> {
    let want = access.bits() & 7;
    let bits = if cred.fsuid == owner.uid {
        owner.mode >> 6
    } else if (owner.mode >> 3 & 7) != (owner.mode & 7) && cred.in_group(owner.gid) {
        owner.mode >> 3
    } else {
        owner.mode
    };
    if want & !bits == 0 {
        return Ok(());
    }
    let write = access.contains(Access::WRITE);
    if is_dir {
        if !write && capable_wrt_owner(cred, owner, Capability::DAC_READ_SEARCH) {
            return Ok(());
        }
        if capable_wrt_owner(cred, owner, Capability::DAC_OVERRIDE) {
            return Ok(());
        }
    } else {
        if want == Access::READ.bits() && capable_wrt_owner(cred, owner, Capability::DAC_READ_SEARCH) {
            return Ok(());
        }
        if (want & Access::EXEC.bits() == 0 || owner.mode & 0o111 != 0)
            && capable_wrt_owner(cred, owner, Capability::DAC_OVERRIDE)
        {
            return Ok(());
        }
    }
    bail!(EACCES, "the mode bits forbid it and no capability overrides them")
}

/// Whether the caller may search a directory.
#[inline]
pub fn may_search(task: &Arc<Task>, cred: &Cred, inode: &dyn INode) -> Result<()> {
    if let Some(decided) = inode.permission(task, cred, Access::EXEC.bits()) {
        return decided;
    }
    let owner = inode.owner();
    if owner.mode & 0o111 == 0o111 {
        return Ok(());
    }
    generic_permission(cred, owner, true, Access::EXEC)
}

/// Linux's `inode_permission`: read-only superblocks, immutable files, then [`generic_permission`].
pub fn inode_permission(
    task: &Arc<Task>,
    cred: &Cred,
    mount: &Mount,
    inode: &dyn INode,
    access: Access,
) -> Result<()> {
    let file_type = inode.file_type();
    let owner = inode.owner();
    if access.contains(Access::WRITE) {
        let stored = matches!(
            file_type,
            FileType::Regular | FileType::Directory | FileType::Symlink
        );
        ensure!(!(stored && mount.sb.is_readonly()), EROFS);
        ensure!(
            !inode.common().flags().contains(InodeFlags::IMMUTABLE),
            EPERM,
            "the file is immutable"
        );
        ensure!(
            maps(&mount.sb.user_ns, owner.uid, owner.gid),
            EACCES,
            "the owner is unknown to the file system's user namespace"
        );
    }
    if let Some(decided) = inode.permission(task, cred, access.bits() & 7) {
        return decided;
    }
    generic_permission(cred, owner, file_type == FileType::Directory, access)?;
    if matches!(file_type, FileType::CharDevice | FileType::BlockDevice) {
        crate::cgroup::devices::check_open(task, file_type, inode.metadata().rdev, access)?;
    }
    Ok(())
}

/// Whether `victim` in the directory `dir` is protected by the directory's sticky bit
/// (Linux's `check_sticky`).
pub fn is_sticky(cred: &Cred, dir: &dyn INode, victim: &dyn INode) -> bool {
    let dir = dir.owner();
    if dir.mode & S_ISVTX == 0 {
        return false;
    }
    let victim = victim.owner();
    cred.fsuid != victim.uid && cred.fsuid != dir.uid && !capable_wrt_owner(cred, victim, Capability::FOWNER)
}

/// Linux's `may_delete`: whether `victim`, a name in `dir`, may be removed or replaced; `isdir` tells
/// whether the caller removes a directory.
pub fn may_delete(
    task: &Arc<Task>,
    cred: &Cred,
    mount: &Mount,
    dir: &dyn INode,
    victim: &dyn INode,
    is_root: bool,
    isdir: bool,
) -> Result<()> {
    inode_permission(task, cred, mount, dir, Access::WRITE | Access::EXEC)?;
    ensure!(
        !dir.common().flags().contains(InodeFlags::APPEND),
        EPERM,
        "the directory is append-only"
    );
    let protected = InodeFlags::APPEND | InodeFlags::IMMUTABLE;
    ensure!(
        !is_sticky(cred, dir, victim) && !victim.common().flags().intersects(protected),
        EPERM,
        "the directory is sticky, or the file may not change"
    );
    let victim_is_dir = victim.file_type() == FileType::Directory;
    if isdir {
        ensure!(victim_is_dir, ENOTDIR);
        ensure!(!is_root, EBUSY);
    } else {
        ensure!(!victim_is_dir, EISDIR);
    }
    ensure!(!dir.common().flags().contains(InodeFlags::DEAD), ENOENT);
    Ok(())
}

/// Linux's `may_create`: whether a name may be made in `dir`.
pub fn may_create(task: &Arc<Task>, cred: &Cred, mount: &Mount, dir: &dyn INode) -> Result<()> {
    ensure!(
        !dir.common().flags().contains(InodeFlags::DEAD),
        ENOENT,
        "the directory was removed"
    );
    ensure!(
        maps(&mount.sb.user_ns, cred.fsuid, cred.fsgid),
        EOVERFLOW,
        "the file system's user namespace has no name for the caller"
    );
    inode_permission(task, cred, mount, dir, Access::WRITE | Access::EXEC)
}

/// The mode after a write by someone who may not keep set-id bits (Linux's `file_remove_privs`);
/// `None` if nothing changes.
pub fn mode_without_privs(cred: &Cred, owner: Owner) -> Option<u32> {
    let mut kill = owner.mode & S_ISUID;
    if owner.mode & (S_ISGID | 0o010) == S_ISGID | 0o010 {
        kill |= S_ISGID;
    }
    (kill != 0 && !cred.capable(Capability::FSETID)).then_some(owner.mode & !kill)
}
