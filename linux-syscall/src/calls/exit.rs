//! System calls: exit.

use linux_object::bail;
use linux_object::error::Result;

use crate::context::Cx;

/// `exit(2)`.
pub fn exit(_cx: &mut Cx<'_>, _status: i32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `exit_group(2)`.
pub fn exit_group(_cx: &mut Cx<'_>, _status: i32) -> Result<usize> {
    bail!(ENOSYS)
}
