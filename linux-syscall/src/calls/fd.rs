//! System calls: fd.

use linux_object::bail;
use linux_object::error::Result;
use linux_object::ids::Fd;

use crate::context::Cx;
use crate::user_ptr::UserCStr;

/// `close(2)`.
pub fn close(_cx: &mut Cx<'_>, _fd: Fd) -> Result<usize> {
    bail!(ENOSYS)
}

/// `dup(2)`.
pub fn dup(_cx: &mut Cx<'_>, _oldfd: Fd) -> Result<usize> {
    bail!(ENOSYS)
}

/// `dup2(2)`.
pub fn dup2(_cx: &mut Cx<'_>, _oldfd: Fd, _newfd: Fd) -> Result<usize> {
    bail!(ENOSYS)
}

/// `fcntl(2)`.
pub fn fcntl(_cx: &mut Cx<'_>, _fd: Fd, _cmd: u32, _arg: u64) -> Result<usize> {
    bail!(ENOSYS)
}

/// `dup3(2)`.
pub fn dup3(_cx: &mut Cx<'_>, _oldfd: Fd, _newfd: Fd, _flags: u32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `memfd_create(2)`.
pub fn memfd_create(_cx: &mut Cx<'_>, _name: UserCStr, _flags: u32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `close_range(2)`.
pub fn close_range(_cx: &mut Cx<'_>, _first: u32, _last: u32, _flags: u32) -> Result<usize> {
    bail!(ENOSYS)
}
