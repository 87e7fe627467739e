//! System calls: namespace.

use linux_object::bail;
use linux_object::error::Result;
use linux_object::ids::Fd;

use crate::abi;
use crate::context::Cx;
use crate::user_ptr::{UserInPtr, UserOutPtr};

/// `uname(2)`.
pub fn uname(_cx: &mut Cx<'_>, _buf: UserOutPtr<abi::UtsName>) -> Result<usize> {
    bail!(ENOSYS)
}

/// `sethostname(2)`.
pub fn sethostname(_cx: &mut Cx<'_>, _name: UserInPtr<u8>, _len: i32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `setdomainname(2)`.
pub fn setdomainname(_cx: &mut Cx<'_>, _name: UserInPtr<u8>, _len: i32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `unshare(2)`.
pub fn unshare(_cx: &mut Cx<'_>, _flags: u64) -> Result<usize> {
    bail!(ENOSYS)
}

/// `setns(2)`.
pub fn setns(_cx: &mut Cx<'_>, _fd: Fd, _nstype: u64) -> Result<usize> {
    bail!(ENOSYS)
}
