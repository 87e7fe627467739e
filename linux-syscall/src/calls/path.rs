//! System calls: path.

use linux_object::bail;
use linux_object::error::Result;
use linux_object::ids::Fd;

use crate::arg::OpenArg;
use crate::context::Cx;
use crate::user_ptr::{UserCStr, UserInPtr, UserOutPtr};

/// `open(2)`.
pub fn open(_cx: &mut Cx<'_>, _path: UserCStr, _flags: OpenArg, _mode: u32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `access(2)`.
pub fn access(_cx: &mut Cx<'_>, _path: UserCStr, _mode: u32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `truncate(2)`.
pub fn truncate(_cx: &mut Cx<'_>, _path: UserCStr, _length: i64) -> Result<usize> {
    bail!(ENOSYS)
}

/// `getcwd(2)`.
pub fn getcwd(_cx: &mut Cx<'_>, _buf: UserOutPtr<u8>, _size: usize) -> Result<usize> {
    bail!(ENOSYS)
}

/// `chdir(2)`.
pub fn chdir(_cx: &mut Cx<'_>, _path: UserCStr) -> Result<usize> {
    bail!(ENOSYS)
}

/// `fchdir(2)`.
pub fn fchdir(_cx: &mut Cx<'_>, _fd: Fd) -> Result<usize> {
    bail!(ENOSYS)
}

/// `rename(2)`.
pub fn rename(_cx: &mut Cx<'_>, _oldpath: UserCStr, _newpath: UserCStr) -> Result<usize> {
    bail!(ENOSYS)
}

/// `mkdir(2)`.
pub fn mkdir(_cx: &mut Cx<'_>, _path: UserCStr, _mode: u32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `rmdir(2)`.
pub fn rmdir(_cx: &mut Cx<'_>, _path: UserCStr) -> Result<usize> {
    bail!(ENOSYS)
}

/// `creat(2)`.
pub fn creat(_cx: &mut Cx<'_>, _path: UserCStr, _mode: u32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `link(2)`.
pub fn link(_cx: &mut Cx<'_>, _oldpath: UserCStr, _newpath: UserCStr) -> Result<usize> {
    bail!(ENOSYS)
}

/// `unlink(2)`.
pub fn unlink(_cx: &mut Cx<'_>, _path: UserCStr) -> Result<usize> {
    bail!(ENOSYS)
}

/// `symlink(2)`.
pub fn symlink(_cx: &mut Cx<'_>, _target: UserCStr, _linkpath: UserCStr) -> Result<usize> {
    bail!(ENOSYS)
}

/// `readlink(2)`.
pub fn readlink(_cx: &mut Cx<'_>, _path: UserCStr, _buf: UserOutPtr<u8>, _bufsiz: i32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `umask(2)`.
pub fn umask(_cx: &mut Cx<'_>, _mask: u32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `mknod(2)`.
pub fn mknod(_cx: &mut Cx<'_>, _path: UserCStr, _mode: u32, _dev: u64) -> Result<usize> {
    bail!(ENOSYS)
}

/// `chroot(2)`.
pub fn chroot(_cx: &mut Cx<'_>, _path: UserCStr) -> Result<usize> {
    bail!(ENOSYS)
}

/// `openat(2)`.
pub fn openat(_cx: &mut Cx<'_>, _dirfd: Fd, _path: UserCStr, _flags: OpenArg, _mode: u32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `mkdirat(2)`.
pub fn mkdirat(_cx: &mut Cx<'_>, _dirfd: Fd, _path: UserCStr, _mode: u32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `mknodat(2)`.
pub fn mknodat(_cx: &mut Cx<'_>, _dirfd: Fd, _path: UserCStr, _mode: u32, _dev: u64) -> Result<usize> {
    bail!(ENOSYS)
}

/// `unlinkat(2)`.
pub fn unlinkat(_cx: &mut Cx<'_>, _dirfd: Fd, _path: UserCStr, _flags: u32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `renameat(2)`.
pub fn renameat(
    _cx: &mut Cx<'_>,
    _olddirfd: Fd,
    _oldpath: UserCStr,
    _newdirfd: Fd,
    _newpath: UserCStr,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `linkat(2)`.
pub fn linkat(
    _cx: &mut Cx<'_>,
    _olddirfd: Fd,
    _oldpath: UserCStr,
    _newdirfd: Fd,
    _newpath: UserCStr,
    _flags: u32,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `symlinkat(2)`.
pub fn symlinkat(_cx: &mut Cx<'_>, _target: UserCStr, _newdirfd: Fd, _linkpath: UserCStr) -> Result<usize> {
    bail!(ENOSYS)
}

/// `readlinkat(2)`.
pub fn readlinkat(
    _cx: &mut Cx<'_>,
    _dirfd: Fd,
    _path: UserCStr,
    _buf: UserOutPtr<u8>,
    _bufsiz: i32,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `faccessat(2)`.
pub fn faccessat(_cx: &mut Cx<'_>, _dirfd: Fd, _path: UserCStr, _mode: u32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `renameat2(2)`.
pub fn renameat2(
    _cx: &mut Cx<'_>,
    _olddirfd: Fd,
    _oldpath: UserCStr,
    _newdirfd: Fd,
    _newpath: UserCStr,
    _flags: u32,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `openat2(2)`.
pub fn openat2(
    _cx: &mut Cx<'_>,
    _dirfd: Fd,
    _path: UserCStr,
    _how: UserInPtr<u8>,
    _size: usize,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `faccessat2(2)`.
pub fn faccessat2(_cx: &mut Cx<'_>, _dirfd: Fd, _path: UserCStr, _mode: u32, _flags: u32) -> Result<usize> {
    bail!(ENOSYS)
}
