//! System calls: splice.

use linux_object::bail;
use linux_object::error::Result;
use linux_object::ids::Fd;

use crate::abi;
use crate::context::Cx;
use crate::user_ptr::{UserInPtr, UserPtr};

/// `sendfile(2)`.
pub fn sendfile(
    _cx: &mut Cx<'_>,
    _out_fd: Fd,
    _in_fd: Fd,
    _offset: UserPtr<i64>,
    _count: usize,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `splice(2)`.
pub fn splice(
    _cx: &mut Cx<'_>,
    _fd_in: Fd,
    _off_in: UserPtr<i64>,
    _fd_out: Fd,
    _off_out: UserPtr<i64>,
    _len: usize,
    _flags: u32,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `tee(2)`.
pub fn tee(_cx: &mut Cx<'_>, _fd_in: Fd, _fd_out: Fd, _len: usize, _flags: u32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `vmsplice(2)`.
pub fn vmsplice(
    _cx: &mut Cx<'_>,
    _fd: Fd,
    _iov: UserInPtr<abi::IoVec>,
    _nr_segs: usize,
    _flags: u32,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `copy_file_range(2)`.
pub fn copy_file_range(
    _cx: &mut Cx<'_>,
    _fd_in: Fd,
    _off_in: UserPtr<i64>,
    _fd_out: Fd,
    _off_out: UserPtr<i64>,
    _len: usize,
    _flags: u32,
) -> Result<usize> {
    bail!(ENOSYS)
}
