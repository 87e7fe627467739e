//! System calls: stat.

use linux_object::bail;
use linux_object::error::Result;
use linux_object::ids::Fd;

use crate::abi;
use crate::context::Cx;
use crate::user_ptr::{UserCStr, UserOutPtr};

/// `stat(2)`.
pub fn stat(_cx: &mut Cx<'_>, _path: UserCStr, _statbuf: UserOutPtr<abi::Stat>) -> Result<usize> {
    bail!(ENOSYS)
}

/// `fstat(2)`.
pub fn fstat(_cx: &mut Cx<'_>, _fd: Fd, _statbuf: UserOutPtr<abi::Stat>) -> Result<usize> {
    bail!(ENOSYS)
}

/// `lstat(2)`.
pub fn lstat(_cx: &mut Cx<'_>, _path: UserCStr, _statbuf: UserOutPtr<abi::Stat>) -> Result<usize> {
    bail!(ENOSYS)
}

/// `statfs(2)`.
pub fn statfs(_cx: &mut Cx<'_>, _path: UserCStr, _buf: UserOutPtr<abi::Statfs>) -> Result<usize> {
    bail!(ENOSYS)
}

/// `fstatfs(2)`.
pub fn fstatfs(_cx: &mut Cx<'_>, _fd: Fd, _buf: UserOutPtr<abi::Statfs>) -> Result<usize> {
    bail!(ENOSYS)
}

/// `newfstatat(2)`.
pub fn newfstatat(
    _cx: &mut Cx<'_>,
    _dirfd: Fd,
    _path: UserCStr,
    _statbuf: UserOutPtr<abi::Stat>,
    _flags: u32,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `statx(2)`.
pub fn statx(
    _cx: &mut Cx<'_>,
    _dirfd: Fd,
    _path: UserCStr,
    _flags: u32,
    _mask: u32,
    _statxbuf: UserOutPtr<abi::Statx>,
) -> Result<usize> {
    bail!(ENOSYS)
}
