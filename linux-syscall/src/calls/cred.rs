//! System calls: cred.

use linux_object::bail;
use linux_object::error::Result;

use crate::abi;
use crate::context::Cx;
use crate::user_ptr::{UserInPtr, UserOutPtr, UserPtr};

/// `setuid(2)`.
pub fn setuid(_cx: &mut Cx<'_>, _uid: u32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `setgid(2)`.
pub fn setgid(_cx: &mut Cx<'_>, _gid: u32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `setreuid(2)`.
pub fn setreuid(_cx: &mut Cx<'_>, _ruid: u32, _euid: u32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `setregid(2)`.
pub fn setregid(_cx: &mut Cx<'_>, _rgid: u32, _egid: u32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `getgroups(2)`.
pub fn getgroups(_cx: &mut Cx<'_>, _size: i32, _list: UserOutPtr<u32>) -> Result<usize> {
    bail!(ENOSYS)
}

/// `setgroups(2)`.
pub fn setgroups(_cx: &mut Cx<'_>, _size: usize, _list: UserInPtr<u32>) -> Result<usize> {
    bail!(ENOSYS)
}

/// `setresuid(2)`.
pub fn setresuid(_cx: &mut Cx<'_>, _ruid: u32, _euid: u32, _suid: u32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `getresuid(2)`.
pub fn getresuid(
    _cx: &mut Cx<'_>,
    _ruid: UserOutPtr<u32>,
    _euid: UserOutPtr<u32>,
    _suid: UserOutPtr<u32>,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `setresgid(2)`.
pub fn setresgid(_cx: &mut Cx<'_>, _rgid: u32, _egid: u32, _sgid: u32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `getresgid(2)`.
pub fn getresgid(
    _cx: &mut Cx<'_>,
    _rgid: UserOutPtr<u32>,
    _egid: UserOutPtr<u32>,
    _sgid: UserOutPtr<u32>,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `setfsuid(2)`.
pub fn setfsuid(_cx: &mut Cx<'_>, _fsuid: u32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `setfsgid(2)`.
pub fn setfsgid(_cx: &mut Cx<'_>, _fsgid: u32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `capget(2)`.
pub fn capget(
    _cx: &mut Cx<'_>,
    _header: UserPtr<abi::CapHeader>,
    _data: UserOutPtr<abi::CapData>,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `capset(2)`.
pub fn capset(
    _cx: &mut Cx<'_>,
    _header: UserPtr<abi::CapHeader>,
    _data: UserInPtr<abi::CapData>,
) -> Result<usize> {
    bail!(ENOSYS)
}
