//! System calls: clone.

use linux_object::bail;
use linux_object::error::Result;
use linux_object::ids::UserAddr;

use crate::context::Cx;
use crate::user_ptr::{UserInPtr, UserOutPtr};

/// `clone(2)`.
pub fn clone(
    _cx: &mut Cx<'_>,
    _flags: u64,
    _stack: UserAddr,
    _parent_tid: UserOutPtr<i32>,
    _child_tid: UserOutPtr<i32>,
    _tls: u64,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `fork(2)`.
pub fn fork(_cx: &mut Cx<'_>) -> Result<usize> {
    bail!(ENOSYS)
}

/// `vfork(2)`.
pub fn vfork(_cx: &mut Cx<'_>) -> Result<usize> {
    bail!(ENOSYS)
}

/// `set_tid_address(2)`.
pub fn set_tid_address(_cx: &mut Cx<'_>, _tidptr: UserOutPtr<i32>) -> Result<usize> {
    bail!(ENOSYS)
}

/// `clone3(2)`.
pub fn clone3(_cx: &mut Cx<'_>, _cl_args: UserInPtr<u8>, _size: usize) -> Result<usize> {
    bail!(ENOSYS)
}
