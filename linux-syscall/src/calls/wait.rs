//! System calls: wait.

use linux_object::bail;
use linux_object::error::Result;

use crate::abi;
use crate::context::Cx;
use crate::user_ptr::UserOutPtr;

/// `wait4(2)`.
pub fn wait4(
    _cx: &mut Cx<'_>,
    _pid: i32,
    _wstatus: UserOutPtr<i32>,
    _options: u32,
    _rusage: UserOutPtr<abi::Rusage>,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `waitid(2)`.
pub fn waitid(
    _cx: &mut Cx<'_>,
    _idtype: i32,
    _id: i32,
    _infop: UserOutPtr<abi::SigInfo>,
    _options: u32,
    _rusage: UserOutPtr<abi::Rusage>,
) -> Result<usize> {
    bail!(ENOSYS)
}
