//! System calls: mount.

use linux_object::bail;
use linux_object::error::Result;

use crate::context::Cx;
use crate::user_ptr::UserCStr;

/// `pivot_root(2)`.
pub fn pivot_root(_cx: &mut Cx<'_>, _new_root: UserCStr, _put_old: UserCStr) -> Result<usize> {
    bail!(ENOSYS)
}

/// `mount(2)`.
pub fn mount(
    _cx: &mut Cx<'_>,
    _source: UserCStr,
    _target: UserCStr,
    _fstype: UserCStr,
    _flags: u64,
    _data: UserCStr,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `umount2(2)`.
pub fn umount2(_cx: &mut Cx<'_>, _target: UserCStr, _flags: u32) -> Result<usize> {
    bail!(ENOSYS)
}
