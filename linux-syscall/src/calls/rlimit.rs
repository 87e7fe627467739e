//! System calls: rlimit.

use linux_object::bail;
use linux_object::error::Result;

use crate::abi;
use crate::context::Cx;
use crate::user_ptr::{UserInPtr, UserOutPtr};

/// `getrlimit(2)`.
pub fn getrlimit(_cx: &mut Cx<'_>, _resource: u32, _rlim: UserOutPtr<abi::Rlimit>) -> Result<usize> {
    bail!(ENOSYS)
}

/// `getrusage(2)`.
pub fn getrusage(_cx: &mut Cx<'_>, _who: i32, _usage: UserOutPtr<abi::Rusage>) -> Result<usize> {
    bail!(ENOSYS)
}

/// `times(2)`.
pub fn times(_cx: &mut Cx<'_>, _buf: UserOutPtr<abi::Tms>) -> Result<usize> {
    bail!(ENOSYS)
}

/// `setrlimit(2)`.
pub fn setrlimit(_cx: &mut Cx<'_>, _resource: u32, _rlim: UserInPtr<abi::Rlimit>) -> Result<usize> {
    bail!(ENOSYS)
}

/// `prlimit64(2)`.
pub fn prlimit64(
    _cx: &mut Cx<'_>,
    _pid: i32,
    _resource: u32,
    _new_limit: UserInPtr<abi::Rlimit>,
    _old_limit: UserOutPtr<abi::Rlimit>,
) -> Result<usize> {
    bail!(ENOSYS)
}
