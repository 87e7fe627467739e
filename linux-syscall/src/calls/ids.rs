//! System calls: ids.

use linux_object::bail;
use linux_object::error::Result;

use crate::context::Cx;

/// `getpid(2)`.
pub fn getpid(_cx: &mut Cx<'_>) -> Result<usize> {
    bail!(ENOSYS)
}

/// `getuid(2)`.
pub fn getuid(_cx: &mut Cx<'_>) -> Result<usize> {
    bail!(ENOSYS)
}

/// `getgid(2)`.
pub fn getgid(_cx: &mut Cx<'_>) -> Result<usize> {
    bail!(ENOSYS)
}

/// `geteuid(2)`.
pub fn geteuid(_cx: &mut Cx<'_>) -> Result<usize> {
    bail!(ENOSYS)
}

/// `getegid(2)`.
pub fn getegid(_cx: &mut Cx<'_>) -> Result<usize> {
    bail!(ENOSYS)
}

/// `setpgid(2)`.
pub fn setpgid(_cx: &mut Cx<'_>, _pid: i32, _pgid: i32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `getppid(2)`.
pub fn getppid(_cx: &mut Cx<'_>) -> Result<usize> {
    bail!(ENOSYS)
}

/// `getpgrp(2)`.
pub fn getpgrp(_cx: &mut Cx<'_>) -> Result<usize> {
    bail!(ENOSYS)
}

/// `setsid(2)`.
pub fn setsid(_cx: &mut Cx<'_>) -> Result<usize> {
    bail!(ENOSYS)
}

/// `getpgid(2)`.
pub fn getpgid(_cx: &mut Cx<'_>, _pid: i32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `getsid(2)`.
pub fn getsid(_cx: &mut Cx<'_>, _pid: i32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `gettid(2)`.
pub fn gettid(_cx: &mut Cx<'_>) -> Result<usize> {
    bail!(ENOSYS)
}
