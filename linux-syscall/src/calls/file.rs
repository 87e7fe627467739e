//! System calls: file.

use linux_object::bail;
use linux_object::error::Result;
use linux_object::ids::{Fd, UserAddr};

use crate::abi;
use crate::context::Cx;
use crate::user_ptr::{UserInPtr, UserOutPtr};

/// `read(2)`.
pub fn read(_cx: &mut Cx<'_>, _fd: Fd, _buf: UserOutPtr<u8>, _count: usize) -> Result<usize> {
    bail!(ENOSYS)
}

/// `write(2)`.
pub fn write(_cx: &mut Cx<'_>, _fd: Fd, _buf: UserInPtr<u8>, _count: usize) -> Result<usize> {
    bail!(ENOSYS)
}

/// `lseek(2)`.
pub fn lseek(_cx: &mut Cx<'_>, _fd: Fd, _offset: i64, _whence: u32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `ioctl(2)`.
pub fn ioctl(_cx: &mut Cx<'_>, _fd: Fd, _cmd: u32, _arg: UserAddr) -> Result<usize> {
    bail!(ENOSYS)
}

/// `pread64(2)`.
pub fn pread64(
    _cx: &mut Cx<'_>,
    _fd: Fd,
    _buf: UserOutPtr<u8>,
    _count: usize,
    _offset: i64,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `pwrite64(2)`.
pub fn pwrite64(
    _cx: &mut Cx<'_>,
    _fd: Fd,
    _buf: UserInPtr<u8>,
    _count: usize,
    _offset: i64,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `readv(2)`.
pub fn readv(_cx: &mut Cx<'_>, _fd: Fd, _iov: UserInPtr<abi::IoVec>, _iovcnt: usize) -> Result<usize> {
    bail!(ENOSYS)
}

/// `writev(2)`.
pub fn writev(_cx: &mut Cx<'_>, _fd: Fd, _iov: UserInPtr<abi::IoVec>, _iovcnt: usize) -> Result<usize> {
    bail!(ENOSYS)
}

/// `fsync(2)`.
pub fn fsync(_cx: &mut Cx<'_>, _fd: Fd) -> Result<usize> {
    bail!(ENOSYS)
}

/// `fdatasync(2)`.
pub fn fdatasync(_cx: &mut Cx<'_>, _fd: Fd) -> Result<usize> {
    bail!(ENOSYS)
}

/// `ftruncate(2)`.
pub fn ftruncate(_cx: &mut Cx<'_>, _fd: Fd, _length: i64) -> Result<usize> {
    bail!(ENOSYS)
}

/// `getdents(2)`.
pub fn getdents(_cx: &mut Cx<'_>, _fd: Fd, _dirp: UserOutPtr<u8>, _count: u32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `sync(2)`.
pub fn sync(_cx: &mut Cx<'_>) -> Result<usize> {
    bail!(ENOSYS)
}

/// `readahead(2)`.
pub fn readahead(_cx: &mut Cx<'_>, _fd: Fd, _offset: u64, _count: usize) -> Result<usize> {
    bail!(ENOSYS)
}

/// `getdents64(2)`.
pub fn getdents64(_cx: &mut Cx<'_>, _fd: Fd, _dirp: UserOutPtr<u8>, _count: u32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `fadvise64(2)`.
pub fn fadvise64(_cx: &mut Cx<'_>, _fd: Fd, _offset: i64, _len: i64, _advice: i32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `sync_file_range(2)`.
pub fn sync_file_range(_cx: &mut Cx<'_>, _fd: Fd, _offset: i64, _nbytes: i64, _flags: u32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `fallocate(2)`.
pub fn fallocate(_cx: &mut Cx<'_>, _fd: Fd, _mode: u32, _offset: i64, _len: i64) -> Result<usize> {
    bail!(ENOSYS)
}

/// `preadv(2)`.
pub fn preadv(
    _cx: &mut Cx<'_>,
    _fd: Fd,
    _iov: UserInPtr<abi::IoVec>,
    _iovcnt: usize,
    _pos_l: u64,
    _pos_h: u64,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `pwritev(2)`.
pub fn pwritev(
    _cx: &mut Cx<'_>,
    _fd: Fd,
    _iov: UserInPtr<abi::IoVec>,
    _iovcnt: usize,
    _pos_l: u64,
    _pos_h: u64,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `syncfs(2)`.
pub fn syncfs(_cx: &mut Cx<'_>, _fd: Fd) -> Result<usize> {
    bail!(ENOSYS)
}

/// `preadv2(2)`.
pub fn preadv2(
    _cx: &mut Cx<'_>,
    _fd: Fd,
    _iov: UserInPtr<abi::IoVec>,
    _iovcnt: usize,
    _pos_l: u64,
    _pos_h: u64,
    _flags: u32,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `pwritev2(2)`.
pub fn pwritev2(
    _cx: &mut Cx<'_>,
    _fd: Fd,
    _iov: UserInPtr<abi::IoVec>,
    _iovcnt: usize,
    _pos_l: u64,
    _pos_h: u64,
    _flags: u32,
) -> Result<usize> {
    bail!(ENOSYS)
}
