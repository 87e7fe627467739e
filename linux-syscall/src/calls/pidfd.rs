//! System calls: pidfd.

use linux_object::bail;
use linux_object::error::Result;
use linux_object::ids::Fd;

use crate::abi;
use crate::context::Cx;
use crate::user_ptr::UserInPtr;

/// `pidfd_send_signal(2)`.
pub fn pidfd_send_signal(
    _cx: &mut Cx<'_>,
    _pidfd: Fd,
    _sig: i32,
    _info: UserInPtr<abi::SigInfo>,
    _flags: u32,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `pidfd_open(2)`.
pub fn pidfd_open(_cx: &mut Cx<'_>, _pid: i32, _flags: u32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `pidfd_getfd(2)`.
pub fn pidfd_getfd(_cx: &mut Cx<'_>, _pidfd: Fd, _targetfd: Fd, _flags: u32) -> Result<usize> {
    bail!(ENOSYS)
}
