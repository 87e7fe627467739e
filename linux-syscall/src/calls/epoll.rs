//! System calls: epoll.

use linux_object::bail;
use linux_object::error::Result;
use linux_object::ids::Fd;

use crate::abi;
use crate::context::Cx;
use crate::user_ptr::{UserInPtr, UserOutPtr};

/// `epoll_create(2)`.
pub fn epoll_create(_cx: &mut Cx<'_>, _size: i32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `epoll_wait(2)`.
pub fn epoll_wait(
    _cx: &mut Cx<'_>,
    _epfd: Fd,
    _events: UserOutPtr<abi::EpollEvent>,
    _maxevents: i32,
    _timeout: i32,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `epoll_ctl(2)`.
pub fn epoll_ctl(
    _cx: &mut Cx<'_>,
    _epfd: Fd,
    _op: i32,
    _fd: Fd,
    _event: UserInPtr<abi::EpollEvent>,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `epoll_pwait(2)`.
pub fn epoll_pwait(
    _cx: &mut Cx<'_>,
    _epfd: Fd,
    _events: UserOutPtr<abi::EpollEvent>,
    _maxevents: i32,
    _timeout: i32,
    _sigmask: UserInPtr<u64>,
    _sigsetsize: usize,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `epoll_create1(2)`.
pub fn epoll_create1(_cx: &mut Cx<'_>, _flags: u32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `epoll_pwait2(2)`.
pub fn epoll_pwait2(
    _cx: &mut Cx<'_>,
    _epfd: Fd,
    _events: UserOutPtr<abi::EpollEvent>,
    _maxevents: i32,
    _timeout: UserInPtr<abi::Timespec>,
    _sigmask: UserInPtr<u64>,
    _sigsetsize: usize,
) -> Result<usize> {
    bail!(ENOSYS)
}
