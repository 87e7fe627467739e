//! `/proc/PID/{cwd,root,exe}`, and the text of links that lead to objects.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::err;
use crate::error::Result;
use crate::fs::d_path::d_path;
use crate::fs::{FsStruct, Path};
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
    Ok(d_path(path, &viewer.fs().root()))
}
