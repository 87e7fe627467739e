//! System calls: lock.

use linux_object::bail;
use linux_object::error::Result;
use linux_object::ids::Fd;

use crate::context::Cx;

/// `flock(2)`.
pub fn flock(_cx: &mut Cx<'_>, _fd: Fd, _operation: u32) -> Result<usize> {
    bail!(ENOSYS)
}
