//! `/proc/PID/{cwd,root,exe}`, and the text of links that lead to objects.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::err;
use crate::error::Result;
use crate::fs::{DentryFlags, FsStruct, Path};
use crate::task::Task;

fn fs(task: &Task) -> Result<Arc<FsStruct>> {
    task.parts.lock().fs.clone().ok_or(err!(ENOENT))
}

/// `cwd`.
pub(super) fn cwd(task: &Arc<Task>) -> Result<Path> {
    Ok(fs(task)?.pwd())
}

/// `root`.
pub(super) fn root(task: &Arc<Task>) -> Result<Path> {
    Ok(fs(task)?.root())
}

/// `exe`: the program.
pub(super) fn exe(task: &Arc<Task>) -> Result<Path> {
    let mm = task.try_mm().ok_or(err!(ENOENT))?;
    let exe = mm.exe_file().ok_or(err!(ENOENT))?;
    Ok(exe.path.clone())
}

/// A path as `viewer` would write it from its root.
pub(super) fn path_text(viewer: &Arc<Task>, path: &Path) -> Result<Vec<u8>> {
    Ok(d_path(&viewer.fs().root(), path))
}

/// The path from `root`; from the root of its mount tree if it is not below `root`.
pub(super) fn d_path(root: &Path, path: &Path) -> Vec<u8> {
    let flags = path.dentry.flags();
    if flags.contains(DentryFlags::PSEUDO) {
        return path.dentry.name().to_vec();
    }
    let mut names: Vec<Vec<u8>> = Vec::new();
    let mut at = path.clone();
    while at != *root {
        if at.is_mount_root() {
            match at.mount.mountpoint() {
                Some(below) => at = below,
                None => break,
            }
        } else {
            names.push(at.dentry.name().to_vec());
            let Some(parent) = at.dentry.parent() else { break };
            at = Path::new(at.mount.clone(), parent);
        }
    }
    let mut text = Vec::new();
    for name in names.iter().rev() {
        text.push(b'/');
        text.extend_from_slice(name);
    }
    if text.is_empty() {
        text.push(b'/');
    }
    if path.dentry.is_deleted() {
        text.extend_from_slice(b" (deleted)");
    }
    text
}
