//! System calls: mm.

use linux_object::bail;
use linux_object::error::Result;
use linux_object::ids::{Fd, UserAddr};

use crate::context::Cx;
use crate::user_ptr::UserOutPtr;

/// `mmap(2)`.
pub fn mmap(
    _cx: &mut Cx<'_>,
    _addr: UserAddr,
    _length: usize,
    _prot: u32,
    _flags: u32,
    _fd: Fd,
    _offset: u64,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `mprotect(2)`.
pub fn mprotect(_cx: &mut Cx<'_>, _addr: UserAddr, _len: usize, _prot: u32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `munmap(2)`.
pub fn munmap(_cx: &mut Cx<'_>, _addr: UserAddr, _len: usize) -> Result<usize> {
    bail!(ENOSYS)
}

/// `brk(2)`.
pub fn brk(_cx: &mut Cx<'_>, _addr: UserAddr) -> Result<usize> {
    bail!(ENOSYS)
}

/// `mremap(2)`.
pub fn mremap(
    _cx: &mut Cx<'_>,
    _old_address: UserAddr,
    _old_size: usize,
    _new_size: usize,
    _flags: u32,
    _new_address: UserAddr,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `msync(2)`.
pub fn msync(_cx: &mut Cx<'_>, _addr: UserAddr, _length: usize, _flags: u32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `mincore(2)`.
pub fn mincore(_cx: &mut Cx<'_>, _addr: UserAddr, _length: usize, _vec: UserOutPtr<u8>) -> Result<usize> {
    bail!(ENOSYS)
}

/// `madvise(2)`.
pub fn madvise(_cx: &mut Cx<'_>, _addr: UserAddr, _length: usize, _advice: i32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `mlock(2)`.
pub fn mlock(_cx: &mut Cx<'_>, _addr: UserAddr, _len: usize) -> Result<usize> {
    bail!(ENOSYS)
}

/// `munlock(2)`.
pub fn munlock(_cx: &mut Cx<'_>, _addr: UserAddr, _len: usize) -> Result<usize> {
    bail!(ENOSYS)
}

/// `mlockall(2)`.
pub fn mlockall(_cx: &mut Cx<'_>, _flags: u32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `munlockall(2)`.
pub fn munlockall(_cx: &mut Cx<'_>) -> Result<usize> {
    bail!(ENOSYS)
}

/// `mlock2(2)`.
pub fn mlock2(_cx: &mut Cx<'_>, _addr: UserAddr, _len: usize, _flags: u32) -> Result<usize> {
    bail!(ENOSYS)
}
