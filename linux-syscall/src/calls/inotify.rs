//! System calls: inotify.

use linux_object::bail;
use linux_object::error::Result;
use linux_object::ids::Fd;

use crate::context::Cx;
use crate::user_ptr::UserCStr;

/// `inotify_init(2)`.
pub fn inotify_init(_cx: &mut Cx<'_>) -> Result<usize> {
    bail!(ENOSYS)
}

/// `inotify_add_watch(2)`.
pub fn inotify_add_watch(_cx: &mut Cx<'_>, _fd: Fd, _path: UserCStr, _mask: u32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `inotify_rm_watch(2)`.
pub fn inotify_rm_watch(_cx: &mut Cx<'_>, _fd: Fd, _wd: i32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `inotify_init1(2)`.
pub fn inotify_init1(_cx: &mut Cx<'_>, _flags: u32) -> Result<usize> {
    bail!(ENOSYS)
}
