//! System calls: time.

use linux_object::bail;
use linux_object::error::Result;

use crate::abi;
use crate::context::Cx;
use crate::user_ptr::{UserInPtr, UserOutPtr, UserPtr};

/// `nanosleep(2)`.
pub fn nanosleep(
    _cx: &mut Cx<'_>,
    _req: UserInPtr<abi::Timespec>,
    _rem: UserOutPtr<abi::Timespec>,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `gettimeofday(2)`.
pub fn gettimeofday(_cx: &mut Cx<'_>, _tv: UserOutPtr<abi::Timeval>, _tz: UserOutPtr<u64>) -> Result<usize> {
    bail!(ENOSYS)
}

/// `adjtimex(2)`.
pub fn adjtimex(_cx: &mut Cx<'_>, _buf: UserPtr<abi::Timex>) -> Result<usize> {
    bail!(ENOSYS)
}

/// `settimeofday(2)`.
pub fn settimeofday(_cx: &mut Cx<'_>, _tv: UserInPtr<abi::Timeval>, _tz: UserInPtr<u64>) -> Result<usize> {
    bail!(ENOSYS)
}

/// `time(2)`.
pub fn time(_cx: &mut Cx<'_>, _tloc: UserOutPtr<i64>) -> Result<usize> {
    bail!(ENOSYS)
}

/// `clock_settime(2)`.
pub fn clock_settime(_cx: &mut Cx<'_>, _clockid: i32, _tp: UserInPtr<abi::Timespec>) -> Result<usize> {
    bail!(ENOSYS)
}

/// `clock_gettime(2)`.
pub fn clock_gettime(_cx: &mut Cx<'_>, _clockid: i32, _tp: UserOutPtr<abi::Timespec>) -> Result<usize> {
    bail!(ENOSYS)
}

/// `clock_getres(2)`.
pub fn clock_getres(_cx: &mut Cx<'_>, _clockid: i32, _res: UserOutPtr<abi::Timespec>) -> Result<usize> {
    bail!(ENOSYS)
}

/// `clock_nanosleep(2)`.
pub fn clock_nanosleep(
    _cx: &mut Cx<'_>,
    _clockid: i32,
    _flags: i32,
    _req: UserInPtr<abi::Timespec>,
    _rem: UserOutPtr<abi::Timespec>,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `clock_adjtime(2)`.
pub fn clock_adjtime(_cx: &mut Cx<'_>, _clockid: i32, _buf: UserPtr<abi::Timex>) -> Result<usize> {
    bail!(ENOSYS)
}
