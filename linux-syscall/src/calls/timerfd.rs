//! System calls: timerfd.

use linux_object::bail;
use linux_object::error::Result;
use linux_object::ids::Fd;

use crate::abi;
use crate::context::Cx;
use crate::user_ptr::{UserInPtr, UserOutPtr};

/// `timerfd_create(2)`.
pub fn timerfd_create(_cx: &mut Cx<'_>, _clockid: i32, _flags: u32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `timerfd_settime(2)`.
pub fn timerfd_settime(
    _cx: &mut Cx<'_>,
    _fd: Fd,
    _flags: u32,
    _new_value: UserInPtr<abi::ItimerSpec>,
    _old_value: UserOutPtr<abi::ItimerSpec>,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `timerfd_gettime(2)`.
pub fn timerfd_gettime(_cx: &mut Cx<'_>, _fd: Fd, _curr_value: UserOutPtr<abi::ItimerSpec>) -> Result<usize> {
    bail!(ENOSYS)
}
