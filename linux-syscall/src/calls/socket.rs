//! System calls: socket.

use linux_object::bail;
use linux_object::error::Result;
use linux_object::ids::Fd;

use crate::abi;
use crate::context::Cx;
use crate::user_ptr::{UserInPtr, UserOutPtr, UserPtr};

/// `socket(2)`.
pub fn socket(_cx: &mut Cx<'_>, _domain: i32, _kind: u32, _protocol: i32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `connect(2)`.
pub fn connect(_cx: &mut Cx<'_>, _sockfd: Fd, _addr: UserInPtr<u8>, _addrlen: u32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `accept(2)`.
pub fn accept(_cx: &mut Cx<'_>, _sockfd: Fd, _addr: UserOutPtr<u8>, _addrlen: UserPtr<u32>) -> Result<usize> {
    bail!(ENOSYS)
}

/// `sendto(2)`.
pub fn sendto(
    _cx: &mut Cx<'_>,
    _sockfd: Fd,
    _buf: UserInPtr<u8>,
    _len: usize,
    _flags: u32,
    _addr: UserInPtr<u8>,
    _addrlen: u32,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `recvfrom(2)`.
pub fn recvfrom(
    _cx: &mut Cx<'_>,
    _sockfd: Fd,
    _buf: UserOutPtr<u8>,
    _len: usize,
    _flags: u32,
    _addr: UserOutPtr<u8>,
    _addrlen: UserPtr<u32>,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `sendmsg(2)`.
pub fn sendmsg(_cx: &mut Cx<'_>, _sockfd: Fd, _msg: UserInPtr<abi::MsgHdr>, _flags: u32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `recvmsg(2)`.
pub fn recvmsg(_cx: &mut Cx<'_>, _sockfd: Fd, _msg: UserPtr<abi::MsgHdr>, _flags: u32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `shutdown(2)`.
pub fn shutdown(_cx: &mut Cx<'_>, _sockfd: Fd, _how: i32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `bind(2)`.
pub fn bind(_cx: &mut Cx<'_>, _sockfd: Fd, _addr: UserInPtr<u8>, _addrlen: u32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `listen(2)`.
pub fn listen(_cx: &mut Cx<'_>, _sockfd: Fd, _backlog: i32) -> Result<usize> {
    bail!(ENOSYS)
}

/// `getsockname(2)`.
pub fn getsockname(
    _cx: &mut Cx<'_>,
    _sockfd: Fd,
    _addr: UserOutPtr<u8>,
    _addrlen: UserPtr<u32>,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `getpeername(2)`.
pub fn getpeername(
    _cx: &mut Cx<'_>,
    _sockfd: Fd,
    _addr: UserOutPtr<u8>,
    _addrlen: UserPtr<u32>,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `socketpair(2)`.
pub fn socketpair(
    _cx: &mut Cx<'_>,
    _domain: i32,
    _kind: u32,
    _protocol: i32,
    _sv: UserOutPtr<i32>,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `setsockopt(2)`.
pub fn setsockopt(
    _cx: &mut Cx<'_>,
    _sockfd: Fd,
    _level: i32,
    _optname: i32,
    _optval: UserInPtr<u8>,
    _optlen: u32,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `getsockopt(2)`.
pub fn getsockopt(
    _cx: &mut Cx<'_>,
    _sockfd: Fd,
    _level: i32,
    _optname: i32,
    _optval: UserOutPtr<u8>,
    _optlen: UserPtr<u32>,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `accept4(2)`.
pub fn accept4(
    _cx: &mut Cx<'_>,
    _sockfd: Fd,
    _addr: UserOutPtr<u8>,
    _addrlen: UserPtr<u32>,
    _flags: u32,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `recvmmsg(2)`.
pub fn recvmmsg(
    _cx: &mut Cx<'_>,
    _sockfd: Fd,
    _msgvec: UserPtr<abi::MMsgHdr>,
    _vlen: u32,
    _flags: u32,
    _timeout: UserPtr<abi::Timespec>,
) -> Result<usize> {
    bail!(ENOSYS)
}

/// `sendmmsg(2)`.
pub fn sendmmsg(
    _cx: &mut Cx<'_>,
    _sockfd: Fd,
    _msgvec: UserPtr<abi::MMsgHdr>,
    _vlen: u32,
    _flags: u32,
) -> Result<usize> {
    bail!(ENOSYS)
}
