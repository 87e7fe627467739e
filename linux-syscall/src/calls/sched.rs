//! System calls: sched.

use linux_object::bail;
use linux_object::error::Result;
use linux_object::ids::UserAddr;

use crate::abi;
use crate::context::Cx;
use crate::user_ptr::{UserInPtr, UserOutPtr, UserPtr};

/// `sched_yield(2)`.
pub fn sched_yield(_cx: &mut Cx<'_>) -> Result<usize> {
    bail!(ENOSYS)
}

/// `getpriority(2)`.
pub fn getpriority(_cx: &mut Cx<'_>, _which: i32, _who: i32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `setpriority(2)`.
pub fn setpriority(_cx: &mut Cx<'_>, _which: i32, _who: i32, _prio: i32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `sched_setparam(2)`.
pub fn sched_setparam(_cx: &mut Cx<'_>, _pid: i32, _param: UserInPtr<abi::SchedParam>) -> Result<usize> {
    bail!(ENOSYS)
}

/// `sched_getparam(2)`.
pub fn sched_getparam(_cx: &mut Cx<'_>, _pid: i32, _param: UserOutPtr<abi::SchedParam>) -> Result<usize> {
    bail!(ENOSYS)
}

/// `sched_setscheduler(2)`.
pub fn sched_setscheduler(
    _cx: &mut Cx<'_>,
    _pid: i32,
    _policy: i32,
    _param: UserInPtr<abi::SchedParam>,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `sched_getscheduler(2)`.
pub fn sched_getscheduler(_cx: &mut Cx<'_>, _pid: i32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `sched_get_priority_max(2)`.
pub fn sched_get_priority_max(_cx: &mut Cx<'_>, _policy: i32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `sched_get_priority_min(2)`.
pub fn sched_get_priority_min(_cx: &mut Cx<'_>, _policy: i32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `sched_rr_get_interval(2)`.
pub fn sched_rr_get_interval(_cx: &mut Cx<'_>, _pid: i32, _tp: UserOutPtr<abi::Timespec>) -> Result<usize> {
    bail!(ENOSYS)
}

/// `sched_setaffinity(2)`.
pub fn sched_setaffinity(
    _cx: &mut Cx<'_>,
    _pid: i32,
    _cpusetsize: usize,
    _mask: UserInPtr<u8>,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `sched_getaffinity(2)`.
pub fn sched_getaffinity(
    _cx: &mut Cx<'_>,
    _pid: i32,
    _cpusetsize: usize,
    _mask: UserOutPtr<u8>,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `getcpu(2)`.
pub fn getcpu(
    _cx: &mut Cx<'_>,
    _cpu: UserOutPtr<u32>,
    _node: UserOutPtr<u32>,
    _cache: UserAddr,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `sched_setattr(2)`.
pub fn sched_setattr(
    _cx: &mut Cx<'_>,
    _pid: i32,
    _attr: UserPtr<abi::SchedAttr>,
    _flags: u32,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `sched_getattr(2)`.
pub fn sched_getattr(
    _cx: &mut Cx<'_>,
    _pid: i32,
    _attr: UserOutPtr<abi::SchedAttr>,
    _size: u32,
    _flags: u32,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `membarrier(2)`.
pub fn membarrier(_cx: &mut Cx<'_>, _cmd: i32, _flags: u32, _cpu_id: i32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `rseq(2)`.
pub fn rseq(_cx: &mut Cx<'_>, _rseq: UserAddr, _rseq_len: u32, _flags: u32, _sig: u32) -> Result<usize> {
    bail!(ENOSYS)
}
