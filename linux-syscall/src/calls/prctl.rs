//! System calls: prctl.

use linux_object::bail;
use linux_object::error::Result;
use linux_object::ids::UserAddr;

use crate::context::Cx;

/// `personality(2)`.
pub fn personality(_cx: &mut Cx<'_>, _persona: u32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `prctl(2)`.
pub fn prctl(
    _cx: &mut Cx<'_>,
    _option: i32,
    _arg2: u64,
    _arg3: u64,
    _arg4: u64,
    _arg5: u64,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `arch_prctl(2)`.
pub fn arch_prctl(_cx: &mut Cx<'_>, _code: i32, _addr: UserAddr) -> Result<usize> {
    bail!(ENOSYS)
}
