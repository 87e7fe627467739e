//! System calls: exec.

use linux_object::bail;
use linux_object::error::Result;
use linux_object::ids::Fd;

use crate::context::Cx;
use crate::user_ptr::{UserCStr, UserInPtr};

/// `execve(2)`.
pub fn execve(
    _cx: &mut Cx<'_>,
    _path: UserCStr,
    _argv: UserInPtr<u64>,
    _envp: UserInPtr<u64>,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `execveat(2)`.
pub fn execveat(
    _cx: &mut Cx<'_>,
    _dirfd: Fd,
    _path: UserCStr,
    _argv: UserInPtr<u64>,
    _envp: UserInPtr<u64>,
    _flags: u32,
) -> Result<usize> {
    bail!(ENOSYS)
}
