//! System calls: pipe.

use linux_object::bail;
use linux_object::error::Result;

use crate::context::Cx;
use crate::user_ptr::UserOutPtr;

/// `pipe(2)`.
pub fn pipe(_cx: &mut Cx<'_>, _pipefd: UserOutPtr<i32>) -> Result<usize> {
    bail!(ENOSYS)
}

/// `pipe2(2)`.
pub fn pipe2(_cx: &mut Cx<'_>, _pipefd: UserOutPtr<i32>, _flags: u32) -> Result<usize> {
    bail!(ENOSYS)
}
