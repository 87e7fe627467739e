//! Extended attributes: who may touch which (`xattr(7)`, Linux's `xattr_permission` and
//! `cap_inode_setxattr`).

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::attr::notify_change;
use super::notify::NotifyMask;
use super::permission::{Access, S_ISVTX, capable_wrt_owner, inode_permission, owner_or_capable};
use super::{FileType, InodeFlags, Path};
use crate::cred::exec::root_owns;
use crate::cred::{Capability, Cred};
use crate::error::Result;
use crate::ids::{Kuid, Uid};
use crate::task::Task;
use crate::{bail, ensure};

const CAPABILITY: &[u8] = b"security.capability";

fn permission(task: &Arc<Task>, cred: &Cred, path: &Path, name: &[u8], write: bool) -> Result<()> {
    let inode = path.inode()?;
    if write {
        ensure!(
            !inode
                .common()
                .flags()
                .intersects(InodeFlags::IMMUTABLE | InodeFlags::APPEND),
            EPERM,
            "the file may not change"
        );
    }
    if name.starts_with(b"security.") || name.starts_with(b"system.") {
        return Ok(());
    }
    if name.starts_with(b"trusted.") {
        if cred.capable(Capability::SYS_ADMIN) {
            return Ok(());
        }
        if write {
            bail!(EPERM, "trusted. attributes: no CAP_SYS_ADMIN");
        }
        bail!(ENODATA);
    }
    if name.starts_with(b"user.") {
        let file_type = inode.file_type();
        if !matches!(file_type, FileType::Regular | FileType::Directory) {
            if write {
                bail!(EPERM, "user. attributes are for files and directories");
            }
            bail!(ENODATA);
        }
        let owner = inode.owner();
        ensure!(
            !(write && file_type == FileType::Directory && owner.mode & S_ISVTX != 0)
                || owner_or_capable(cred, owner),
            EPERM,
            "user. attributes of a sticky directory of someone else"
        );
    }
    let access = if write { Access::WRITE } else { Access::READ };
    inode_permission(task, cred, &path.mount, &**inode, access)
}

/// Who may change `security.` attributes without a security module.
fn security(cred: &Cred, path: &Path, name: &[u8]) -> Result<()> {
    if !name.starts_with(b"security.") {
        return Ok(());
    }
    if name == CAPABILITY {
        ensure!(
            capable_wrt_owner(cred, path.inode()?.owner(), Capability::SETFCAP),
            EPERM,
            "file capabilities: no CAP_SETFCAP"
        );
    } else {
        ensure!(
            cred.ns_capable(&path.mount.sb.user_ns, Capability::SYS_ADMIN),
            EPERM,
            "security. attributes: no CAP_SYS_ADMIN"
        );
    }
    Ok(())
}

const VFS_CAP_REVISION_MASK: u32 = 0xff00_0000;
const VFS_CAP_REVISION_2: u32 = 0x0200_0000;
const VFS_CAP_REVISION_3: u32 = 0x0300_0000;

fn word(value: &[u8], at: usize) -> u32 {
    value
        .get(at..at + 4)
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(0, u32::from_le_bytes)
}

/// File capabilities as they are kept: those set inside of a user namespace name its root
/// (Linux's `cap_convert_nscap`).
fn convert_capability(cred: &Cred, path: &Path, value: &[u8]) -> Result<Option<Vec<u8>>> {
    let revision = word(value, 0) & VFS_CAP_REVISION_MASK;
    let valid = match value.len() {
        20 => revision == VFS_CAP_REVISION_2,
        24 => revision == VFS_CAP_REVISION_3,
        _ => false,
    };
    ensure!(valid, EINVAL, "malformed file capabilities");
    if value.len() == 20 && cred.ns_capable(&path.mount.sb.user_ns, Capability::SETFCAP) {
        return Ok(None);
    }
    let root = if value.len() == 24 { word(value, 20) } else { 0 };
    let Some(root) = cred.user_ns.make_kuid(Uid(root)) else {
        bail!(EINVAL, "file capabilities for an unmapped root")
    };
    let mut kept = Vec::with_capacity(24);
    let flags = word(value, 0) & !VFS_CAP_REVISION_MASK;
    kept.extend_from_slice(&(flags | VFS_CAP_REVISION_3).to_le_bytes());
    kept.extend_from_slice(&value[4..20]);
    kept.extend_from_slice(&root.0.to_le_bytes());
    Ok(Some(kept))
}

/// File capabilities as the caller sees them (Linux's `cap_inode_getsecurity`): version 2 if their
/// root is the caller's or that of a namespace around it, else version 3 with the root's number here.
fn show_capability(cred: &Cred, value: Vec<u8>) -> Result<Vec<u8>> {
    let root = match value.len() {
        20 => Kuid::ROOT,
        24 => Kuid(word(&value, 20)),
        _ => return Ok(value),
    };
    let flags = word(&value, 0) & !VFS_CAP_REVISION_MASK;
    let mut shown = value;
    match cred.user_ns.from_kuid(root) {
        Some(uid) if uid != Uid(0) => {
            shown.resize(24, 0);
            shown[..4].copy_from_slice(&(flags | VFS_CAP_REVISION_3).to_le_bytes());
            shown[20..24].copy_from_slice(&uid.0.to_le_bytes());
        }
        mapped => {
            ensure!(
                mapped.is_some() || root_owns(&cred.user_ns, root),
                EOVERFLOW,
                "file capabilities for a root that has no name here"
            );
            shown.truncate(20);
            shown[..4].copy_from_slice(&(flags | VFS_CAP_REVISION_2).to_le_bytes());
        }
    }
    Ok(shown)
}

/// `setxattr(2)`.
pub fn set(task: &Arc<Task>, path: &Path, name: &[u8], value: &[u8], flags: u32) -> Result<()> {
    let _write = path.mount.write_guard()?;
    let cred = task.cred();
    let converted = if name == CAPABILITY {
        ensure!(
            capable_wrt_owner(&cred, path.inode()?.owner(), Capability::SETFCAP),
            EPERM,
            "file capabilities: no CAP_SETFCAP"
        );
        convert_capability(&cred, path, value)?
    } else {
        None
    };
    permission(task, &cred, path, name, true)?;
    security(&cred, path, name)?;
    let value = converted.as_deref().unwrap_or(value);
    let inode = path.inode()?;
    inode.setxattr(name, value, flags)?;
    if name == CAPABILITY {
        inode.common().clear_flags(InodeFlags::NOSEC);
    }
    notify_change(path, NotifyMask::ATTRIB);
    Ok(())
}

/// `getxattr(2)`.
pub fn get(task: &Arc<Task>, path: &Path, name: &[u8]) -> Result<Vec<u8>> {
    let cred = task.cred();
    permission(task, &cred, path, name, false)?;
    let value = path.inode()?.getxattr(name)?;
    if name == CAPABILITY {
        return show_capability(&cred, value);
    }
    Ok(value)
}

/// `listxattr(2)`: the names, each with a zero byte, without those that the caller may not know.
pub fn list(task: &Arc<Task>, path: &Path) -> Result<Vec<u8>> {
    let names = path.inode()?.listxattr()?;
    if task.cred().capable(Capability::SYS_ADMIN) {
        return Ok(names);
    }
    Ok(names
        .split_inclusive(|&byte| byte == 0)
        .filter(|name| !name.starts_with(b"trusted."))
        .flatten()
        .copied()
        .collect())
}

/// `removexattr(2)`.
pub fn remove(task: &Arc<Task>, path: &Path, name: &[u8]) -> Result<()> {
    let _write = path.mount.write_guard()?;
    let cred = task.cred();
    permission(task, &cred, path, name, true)?;
    security(&cred, path, name)?;
    path.inode()?.removexattr(name)?;
    notify_change(path, NotifyMask::ATTRIB);
    Ok(())
}
