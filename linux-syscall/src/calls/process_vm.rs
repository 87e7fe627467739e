//! System calls: process_vm.

use linux_object::bail;
use linux_object::error::Result;
use linux_object::ids::Fd;

use crate::abi;
use crate::context::Cx;
use crate::user_ptr::UserInPtr;

/// `process_vm_readv(2)`.
pub fn process_vm_readv(
    _cx: &mut Cx<'_>,
    _pid: i32,
    _local_iov: UserInPtr<abi::IoVec>,
    _liovcnt: usize,
    _remote_iov: UserInPtr<abi::IoVec>,
    _riovcnt: usize,
    _flags: u64,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `process_vm_writev(2)`.
pub fn process_vm_writev(
    _cx: &mut Cx<'_>,
    _pid: i32,
    _local_iov: UserInPtr<abi::IoVec>,
    _liovcnt: usize,
    _remote_iov: UserInPtr<abi::IoVec>,
    _riovcnt: usize,
    _flags: u64,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `process_mrelease(2)`.
pub fn process_mrelease(_cx: &mut Cx<'_>, _pidfd: Fd, _flags: u32) -> Result<usize> {
    bail!(ENOSYS)
}
