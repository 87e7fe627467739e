//! System calls: signal.

use linux_object::bail;
use linux_object::error::Result;

use crate::abi;
use crate::context::Cx;
use crate::user_ptr::{UserInPtr, UserOutPtr};

/// `rt_sigaction(2)`.
pub fn rt_sigaction(
    _cx: &mut Cx<'_>,
    _signum: i32,
    _act: UserInPtr<abi::SigAction>,
    _oldact: UserOutPtr<abi::SigAction>,
    _sigsetsize: usize,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `rt_sigprocmask(2)`.
pub fn rt_sigprocmask(
    _cx: &mut Cx<'_>,
    _how: i32,
    _set: UserInPtr<u64>,
    _oldset: UserOutPtr<u64>,
    _sigsetsize: usize,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `rt_sigreturn(2)`.
pub fn rt_sigreturn(_cx: &mut Cx<'_>) -> Result<usize> {
    bail!(ENOSYS)
}

/// `pause(2)`.
pub fn pause(_cx: &mut Cx<'_>) -> Result<usize> {
    bail!(ENOSYS)
}

/// `kill(2)`.
pub fn kill(_cx: &mut Cx<'_>, _pid: i32, _sig: i32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `rt_sigpending(2)`.
pub fn rt_sigpending(_cx: &mut Cx<'_>, _set: UserOutPtr<u64>, _sigsetsize: usize) -> Result<usize> {
    bail!(ENOSYS)
}

/// `rt_sigtimedwait(2)`.
pub fn rt_sigtimedwait(
    _cx: &mut Cx<'_>,
    _set: UserInPtr<u64>,
    _info: UserOutPtr<abi::SigInfo>,
    _timeout: UserInPtr<abi::Timespec>,
    _sigsetsize: usize,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `rt_sigqueueinfo(2)`.
pub fn rt_sigqueueinfo(
    _cx: &mut Cx<'_>,
    _tgid: i32,
    _sig: i32,
    _info: UserInPtr<abi::SigInfo>,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `rt_sigsuspend(2)`.
pub fn rt_sigsuspend(_cx: &mut Cx<'_>, _mask: UserInPtr<u64>, _sigsetsize: usize) -> Result<usize> {
    bail!(ENOSYS)
}

/// `sigaltstack(2)`.
pub fn sigaltstack(
    _cx: &mut Cx<'_>,
    _ss: UserInPtr<abi::StackT>,
    _old_ss: UserOutPtr<abi::StackT>,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `tkill(2)`.
pub fn tkill(_cx: &mut Cx<'_>, _tid: i32, _sig: i32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `restart_syscall(2)`.
pub fn restart_syscall(cx: &mut Cx<'_>) -> Result<usize> {
    crate::restart::run(cx)
}

/// `tgkill(2)`.
pub fn tgkill(_cx: &mut Cx<'_>, _tgid: i32, _tid: i32, _sig: i32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `rt_tgsigqueueinfo(2)`.
pub fn rt_tgsigqueueinfo(
    _cx: &mut Cx<'_>,
    _tgid: i32,
    _tid: i32,
    _sig: i32,
    _info: UserInPtr<abi::SigInfo>,
) -> Result<usize> {
    bail!(ENOSYS)
}
