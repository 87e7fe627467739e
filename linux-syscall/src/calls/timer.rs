//! System calls: timer.

use linux_object::bail;
use linux_object::error::Result;

use crate::abi;
use crate::context::Cx;
use crate::user_ptr::{UserInPtr, UserOutPtr};

/// `getitimer(2)`.
pub fn getitimer(_cx: &mut Cx<'_>, _which: i32, _curr_value: UserOutPtr<abi::ItimerVal>) -> Result<usize> {
    bail!(ENOSYS)
}

/// `alarm(2)`.
pub fn alarm(_cx: &mut Cx<'_>, _seconds: u32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `setitimer(2)`.
pub fn setitimer(
    _cx: &mut Cx<'_>,
    _which: i32,
    _new_value: UserInPtr<abi::ItimerVal>,
    _old_value: UserOutPtr<abi::ItimerVal>,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `timer_create(2)`.
pub fn timer_create(
    _cx: &mut Cx<'_>,
    _clockid: i32,
    _sevp: UserInPtr<abi::SigEvent>,
    _timerid: UserOutPtr<i32>,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `timer_settime(2)`.
pub fn timer_settime(
    _cx: &mut Cx<'_>,
    _timerid: i32,
    _flags: i32,
    _new_value: UserInPtr<abi::ItimerSpec>,
    _old_value: UserOutPtr<abi::ItimerSpec>,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `timer_gettime(2)`.
pub fn timer_gettime(
    _cx: &mut Cx<'_>,
    _timerid: i32,
    _curr_value: UserOutPtr<abi::ItimerSpec>,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `timer_getoverrun(2)`.
pub fn timer_getoverrun(_cx: &mut Cx<'_>, _timerid: i32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `timer_delete(2)`.
pub fn timer_delete(_cx: &mut Cx<'_>, _timerid: i32) -> Result<usize> {
    bail!(ENOSYS)
}
