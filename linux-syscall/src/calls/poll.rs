//! System calls: poll.

use linux_object::bail;
use linux_object::error::Result;

use crate::abi;
use crate::context::Cx;
use crate::user_ptr::{UserInPtr, UserPtr};

/// `poll(2)`.
pub fn poll(_cx: &mut Cx<'_>, _fds: UserPtr<abi::PollFd>, _nfds: u32, _timeout: i32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `select(2)`.
pub fn select(
    _cx: &mut Cx<'_>,
    _nfds: i32,
    _readfds: UserPtr<u64>,
    _writefds: UserPtr<u64>,
    _exceptfds: UserPtr<u64>,
    _timeout: UserPtr<abi::Timeval>,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `pselect6(2)`.
pub fn pselect6(
    _cx: &mut Cx<'_>,
    _nfds: i32,
    _readfds: UserPtr<u64>,
    _writefds: UserPtr<u64>,
    _exceptfds: UserPtr<u64>,
    _timeout: UserPtr<abi::Timespec>,
    _sigmask: UserInPtr<abi::SigMaskArg>,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `ppoll(2)`.
pub fn ppoll(
    _cx: &mut Cx<'_>,
    _fds: UserPtr<abi::PollFd>,
    _nfds: u32,
    _tmo: UserPtr<abi::Timespec>,
    _sigmask: UserInPtr<u64>,
    _sigsetsize: usize,
) -> Result<usize> {
    bail!(ENOSYS)
}
