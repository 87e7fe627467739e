//! System calls: xattr.

use linux_object::bail;
use linux_object::error::Result;
use linux_object::ids::Fd;

use crate::context::Cx;
use crate::user_ptr::{UserCStr, UserInPtr, UserOutPtr};

/// `setxattr(2)`.
pub fn setxattr(
    _cx: &mut Cx<'_>,
    _path: UserCStr,
    _name: UserCStr,
    _value: UserInPtr<u8>,
    _size: usize,
    _flags: u32,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `lsetxattr(2)`.
pub fn lsetxattr(
    _cx: &mut Cx<'_>,
    _path: UserCStr,
    _name: UserCStr,
    _value: UserInPtr<u8>,
    _size: usize,
    _flags: u32,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `fsetxattr(2)`.
pub fn fsetxattr(
    _cx: &mut Cx<'_>,
    _fd: Fd,
    _name: UserCStr,
    _value: UserInPtr<u8>,
    _size: usize,
    _flags: u32,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `getxattr(2)`.
pub fn getxattr(
    _cx: &mut Cx<'_>,
    _path: UserCStr,
    _name: UserCStr,
    _value: UserOutPtr<u8>,
    _size: usize,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `lgetxattr(2)`.
pub fn lgetxattr(
    _cx: &mut Cx<'_>,
    _path: UserCStr,
    _name: UserCStr,
    _value: UserOutPtr<u8>,
    _size: usize,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `fgetxattr(2)`.
pub fn fgetxattr(
    _cx: &mut Cx<'_>,
    _fd: Fd,
    _name: UserCStr,
    _value: UserOutPtr<u8>,
    _size: usize,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `listxattr(2)`.
pub fn listxattr(_cx: &mut Cx<'_>, _path: UserCStr, _list: UserOutPtr<u8>, _size: usize) -> Result<usize> {
    bail!(ENOSYS)
}

/// `llistxattr(2)`.
pub fn llistxattr(_cx: &mut Cx<'_>, _path: UserCStr, _list: UserOutPtr<u8>, _size: usize) -> Result<usize> {
    bail!(ENOSYS)
}

/// `flistxattr(2)`.
pub fn flistxattr(_cx: &mut Cx<'_>, _fd: Fd, _list: UserOutPtr<u8>, _size: usize) -> Result<usize> {
    bail!(ENOSYS)
}

/// `removexattr(2)`.
pub fn removexattr(_cx: &mut Cx<'_>, _path: UserCStr, _name: UserCStr) -> Result<usize> {
    bail!(ENOSYS)
}

/// `lremovexattr(2)`.
pub fn lremovexattr(_cx: &mut Cx<'_>, _path: UserCStr, _name: UserCStr) -> Result<usize> {
    bail!(ENOSYS)
}

/// `fremovexattr(2)`.
pub fn fremovexattr(_cx: &mut Cx<'_>, _fd: Fd, _name: UserCStr) -> Result<usize> {
    bail!(ENOSYS)
}
