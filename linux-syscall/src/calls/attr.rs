//! System calls: attr.

use linux_object::bail;
use linux_object::error::Result;
use linux_object::ids::Fd;

use crate::abi;
use crate::context::Cx;
use crate::user_ptr::{UserCStr, UserInPtr};

/// `chmod(2)`.
pub fn chmod(_cx: &mut Cx<'_>, _path: UserCStr, _mode: u32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `fchmod(2)`.
pub fn fchmod(_cx: &mut Cx<'_>, _fd: Fd, _mode: u32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `chown(2)`.
pub fn chown(_cx: &mut Cx<'_>, _path: UserCStr, _owner: u32, _group: u32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `fchown(2)`.
pub fn fchown(_cx: &mut Cx<'_>, _fd: Fd, _owner: u32, _group: u32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `lchown(2)`.
pub fn lchown(_cx: &mut Cx<'_>, _path: UserCStr, _owner: u32, _group: u32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `utime(2)`.
pub fn utime(_cx: &mut Cx<'_>, _path: UserCStr, _times: UserInPtr<abi::UtimBuf>) -> Result<usize> {
    bail!(ENOSYS)
}

/// `utimes(2)`.
pub fn utimes(_cx: &mut Cx<'_>, _path: UserCStr, _times: UserInPtr<abi::Timeval>) -> Result<usize> {
    bail!(ENOSYS)
}

/// `fchownat(2)`.
pub fn fchownat(
    _cx: &mut Cx<'_>,
    _dirfd: Fd,
    _path: UserCStr,
    _owner: u32,
    _group: u32,
    _flags: u32,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `futimesat(2)`.
pub fn futimesat(
    _cx: &mut Cx<'_>,
    _dirfd: Fd,
    _path: UserCStr,
    _times: UserInPtr<abi::Timeval>,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `fchmodat(2)`.
pub fn fchmodat(_cx: &mut Cx<'_>, _dirfd: Fd, _path: UserCStr, _mode: u32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `utimensat(2)`.
pub fn utimensat(
    _cx: &mut Cx<'_>,
    _dirfd: Fd,
    _path: UserCStr,
    _times: UserInPtr<abi::Timespec>,
    _flags: u32,
) -> Result<usize> {
    bail!(ENOSYS)
}
