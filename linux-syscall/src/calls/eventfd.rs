//! System calls: eventfd.

use linux_object::bail;
use linux_object::error::Result;
use linux_object::ids::Fd;

use crate::context::Cx;
use crate::user_ptr::UserInPtr;

/// `signalfd(2)`.
pub fn signalfd(_cx: &mut Cx<'_>, _fd: Fd, _mask: UserInPtr<u64>, _sigsetsize: usize) -> Result<usize> {
    bail!(ENOSYS)
}

/// `eventfd(2)`.
pub fn eventfd(_cx: &mut Cx<'_>, _initval: u32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `signalfd4(2)`.
pub fn signalfd4(
    _cx: &mut Cx<'_>,
    _fd: Fd,
    _mask: UserInPtr<u64>,
    _sigsetsize: usize,
    _flags: u32,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `eventfd2(2)`.
pub fn eventfd2(_cx: &mut Cx<'_>, _initval: u32, _flags: u32) -> Result<usize> {
    bail!(ENOSYS)
}
