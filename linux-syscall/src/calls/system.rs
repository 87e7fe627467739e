//! System calls: system.

use linux_object::bail;
use linux_object::error::Result;

use crate::abi;
use crate::context::Cx;
use crate::user_ptr::{UserCStr, UserOutPtr};

/// `sysinfo(2)`.
pub fn sysinfo(_cx: &mut Cx<'_>, _info: UserOutPtr<abi::SysInfo>) -> Result<usize> {
    bail!(ENOSYS)
}

/// `syslog(2)`.
pub fn syslog(_cx: &mut Cx<'_>, _kind: i32, _buf: UserOutPtr<u8>, _len: i32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `vhangup(2)`.
pub fn vhangup(_cx: &mut Cx<'_>) -> Result<usize> {
    bail!(ENOSYS)
}

/// `reboot(2)`.
pub fn reboot(_cx: &mut Cx<'_>, _magic: u32, _magic2: u32, _op: u32, _arg: UserCStr) -> Result<usize> {
    bail!(ENOSYS)
}

/// `getrandom(2)`.
pub fn getrandom(_cx: &mut Cx<'_>, _buf: UserOutPtr<u8>, _buflen: usize, _flags: u32) -> Result<usize> {
    bail!(ENOSYS)
}
