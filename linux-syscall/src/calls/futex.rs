//! System calls: futex.

use linux_object::bail;
use linux_object::error::Result;
use linux_object::ids::UserAddr;

use crate::context::Cx;
use crate::user_ptr::UserOutPtr;

/// `futex(2)`.
pub fn futex(
    _cx: &mut Cx<'_>,
    _uaddr: UserAddr,
    _op: u32,
    _val: u32,
    _timeout: u64,
    _uaddr2: UserAddr,
    _val3: u32,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `set_robust_list(2)`.
pub fn set_robust_list(_cx: &mut Cx<'_>, _head: UserAddr, _len: usize) -> Result<usize> {
    bail!(ENOSYS)
}

/// `get_robust_list(2)`.
pub fn get_robust_list(
    _cx: &mut Cx<'_>,
    _pid: i32,
    _head_ptr: UserOutPtr<u64>,
    _len_ptr: UserOutPtr<usize>,
) -> Result<usize> {
    bail!(ENOSYS)
}
