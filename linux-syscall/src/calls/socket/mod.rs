//! System calls: sockets (`socket(2)` and its page's relatives).
//!
//! What a family means by its addresses and messages is behind [`Socket`]; here are descriptors,
//! waiting, time-outs and user memory.

mod control;
mod message;
mod options;

pub use message::{recvfrom, recvmmsg, recvmsg, sendmmsg, sendmsg, sendto};
pub use options::{getsockopt, setsockopt};

use alloc::sync::Arc;
use core::time::Duration;

use linux_object::error::{Errno, Error, Result};
use linux_object::fs::{FileType, OpenFile, OpenFlags, PollEvents, pseudo_file};
use linux_object::ids::Fd;
use linux_object::net::{self, Shutdown, SockAddr, Socket, SocketFile, socket_of};
use linux_object::time::Ktime;
use linux_object::{bail, ensure, err};
use smallvec::SmallVec;

use super::pipe::{install, install_pair};
use crate::context::Cx;
use crate::user_ptr::{UserInPtr, UserOutPtr, UserPtr};
use crate::wait_until::{WaitError, WaitKind, WaitOn, wait_until};

const SOCK_TYPE_MASK: u32 = 0xf;
const SOCK_FLAGS: u32 = OpenFlags::CLOEXEC.bits() | OpenFlags::NONBLOCK.bits();
/// Longest address (`struct sockaddr_storage`).
const ADDR_MAX: usize = 128;

/// The file and the socket behind a descriptor: `EBADF`, `ENOTSOCK`.
fn socket_file(cx: &Cx<'_>, fd: Fd) -> Result<Arc<OpenFile>> {
    let file = cx.file(fd)?;
    socket_of(&file)?;
    Ok(file)
}

/// When a call that begins now times out, as `SO_SNDTIMEO` or `SO_RCVTIMEO` say.
fn deadline(cx: &Cx<'_>, socket: &dyn Socket, write: bool) -> Ktime {
    match socket.base().timeout(write) {
        0 => Ktime::MAX,
        nanos => cx.kernel.time.now() + Duration::from_nanos(nanos),
    }
}

/// What an interrupted or timed-out wait answers: only a call without a time-out starts again.
fn wait_error(error: WaitError, deadline: Ktime) -> Error {
    match error {
        WaitError::TimedOut => err!(EAGAIN, "SO_SNDTIMEO or SO_RCVTIMEO has passed"),
        WaitError::Interrupted if deadline == Ktime::MAX => err!(ERESTARTSYS),
        WaitError::Interrupted => err!(EINTR),
    }
}

/// Tries until the answer is not `EAGAIN`, waiting for `events` in between unless `nonblock`.
fn retry<T>(
    cx: &Cx<'_>,
    socket: &dyn Socket,
    events: PollEvents,
    nonblock: bool,
    deadline: Ktime,
    mut attempt: impl FnMut() -> Result<T>,
) -> Result<T> {
    use linux_object::error::Errno::EAGAIN;
    if nonblock {
        return attempt();
    }
    let on = [WaitOn::events(socket.wait_queue(), events)];
    let waited = wait_until(
        cx.task,
        &on,
        deadline,
        WaitKind::Interruptible,
        || match attempt() {
            Err(error) if error.errno() == EAGAIN => None,
            done => Some(done),
        },
    );
    waited.unwrap_or_else(|error| Err(wait_error(error, deadline)))
}

/// Copies an address in (Linux's `move_addr_to_kernel`).
fn read_addr(cx: &Cx<'_>, addr: UserInPtr<u8>, len: u32) -> Result<SockAddr> {
    ensure!(
        len as usize <= ADDR_MAX,
        EINVAL,
        "the address is longer than any is"
    );
    let mut raw: SockAddr = SmallVec::from_elem(0, len as usize);
    if len > 0 {
        cx.hal().copy_from_user(&mut raw, addr.addr())?;
    }
    Ok(raw)
}

/// Copies an address out, cut to the room there is, and its true length (`move_addr_to_user`).
fn write_addr(cx: &Cx<'_>, raw: &[u8], addr: UserOutPtr<u8>, len: UserPtr<u32>) -> Result<()> {
    let room = len.read(cx)? as i32;
    ensure!(room >= 0, EINVAL, "a negative length");
    let part = &raw[..raw.len().min(room as usize)];
    if !part.is_empty() {
        addr.write_slice(cx, part)?;
    }
    len.write(cx, &(raw.len() as u32))
}

fn new_file(cx: &Cx<'_>, socket: Arc<dyn Socket>, flags: u32) -> Result<Arc<OpenFile>> {
    let flags = OpenFlags::RDWR | OpenFlags::from_bits_truncate(flags) & OpenFlags::NONBLOCK;
    let ops = SocketFile::new(socket.clone());
    let file = pseudo_file(cx.kernel, FileType::Socket, ops, flags, cx.task.cred())?;
    let inode = file.inode.metadata();
    socket.base().set_inode(inode.inode, inode.uid);
    socket.base().set_file(&file);
    Ok(file)
}

fn cloexec(flags: u32) -> bool {
    flags & OpenFlags::CLOEXEC.bits() != 0
}

fn check_flags(flags: u32) -> Result<()> {
    ensure!(flags & !SOCK_FLAGS == 0, EINVAL, "unknown flags of a socket");
    Ok(())
}

/// `socket(2)`.
pub fn socket(cx: &mut Cx<'_>, domain: i32, kind: u32, protocol: i32) -> Result<usize> {
    let flags = kind & !SOCK_TYPE_MASK;
    check_flags(flags)?;
    let socket = net::create(cx.task, domain, kind & SOCK_TYPE_MASK, protocol)?;
    let file = new_file(cx, socket, flags)?;
    install(cx, file, cloexec(flags))
}

/// `socketpair(2)`.
pub fn socketpair(
    cx: &mut Cx<'_>,
    domain: i32,
    kind: u32,
    protocol: i32,
    sv: UserOutPtr<i32>,
) -> Result<usize> {
    let flags = kind & !SOCK_TYPE_MASK;
    check_flags(flags)?;
    let [one, two] = net::create_pair(cx.task, domain, kind & SOCK_TYPE_MASK, protocol)?;
    let files = [new_file(cx, one, flags)?, new_file(cx, two, flags)?];
    install_pair(cx, files, cloexec(flags), sv)
}

/// `bind(2)`.
pub fn bind(cx: &mut Cx<'_>, sockfd: Fd, addr: UserInPtr<u8>, addrlen: u32) -> Result<usize> {
    let file = socket_file(cx, sockfd)?;
    let addr = read_addr(cx, addr, addrlen)?;
    socket_of(&file)?.bind(cx.task, &addr)?;
    Ok(0)
}

/// `listen(2)`.
pub fn listen(cx: &mut Cx<'_>, sockfd: Fd, backlog: i32) -> Result<usize> {
    let file = socket_file(cx, sockfd)?;
    // A negative one is a very large one.
    let somaxconn = cx.task.nsproxy().net_ns.stack().sysctl.somaxconn.get_u64() as u32;
    let backlog = (backlog as u32).min(somaxconn);
    socket_of(&file)?.listen(cx.task, backlog)?;
    Ok(0)
}

/// `connect(2)`.
pub fn connect(cx: &mut Cx<'_>, sockfd: Fd, addr: UserInPtr<u8>, addrlen: u32) -> Result<usize> {
    let file = socket_file(cx, sockfd)?;
    let addr = read_addr(cx, addr, addrlen)?;
    let socket = &**socket_of(&file)?;
    let until = deadline(cx, socket, true);
    let nonblock = file.nonblocking();
    retry(cx, socket, PollEvents::WRITABLE, nonblock, until, || {
        match socket.connect(cx.task, &addr) {
            // Another's handshake is waited for too.
            Err(error) if !nonblock && matches!(error.errno(), Errno::EINPROGRESS | Errno::EALREADY) => {
                bail!(EAGAIN, "the handshake goes on")
            }
            done => done,
        }
    })?;
    Ok(0)
}

/// `accept(2)`.
pub fn accept(cx: &mut Cx<'_>, sockfd: Fd, addr: UserOutPtr<u8>, addrlen: UserPtr<u32>) -> Result<usize> {
    accept4(cx, sockfd, addr, addrlen, 0)
}

/// `accept4(2)`.
pub fn accept4(
    cx: &mut Cx<'_>,
    sockfd: Fd,
    addr: UserOutPtr<u8>,
    addrlen: UserPtr<u32>,
    flags: u32,
) -> Result<usize> {
    check_flags(flags)?;
    let file = socket_file(cx, sockfd)?;
    let socket = &**socket_of(&file)?;
    let until = deadline(cx, socket, false);
    let new = retry(
        cx,
        socket,
        PollEvents::READABLE,
        file.nonblocking(),
        until,
        || socket.accept(cx.task),
    )?;
    let new_file = new_file(cx, new.clone(), flags)?;
    if !addr.is_null() {
        let Ok(name) = new.name(true) else {
            bail!(ECONNABORTED, "the other end is gone");
        };
        write_addr(cx, &name, addr, addrlen)?;
    }
    install(cx, new_file, cloexec(flags))
}

/// `shutdown(2)`.
pub fn shutdown(cx: &mut Cx<'_>, sockfd: Fd, how: i32) -> Result<usize> {
    let file = socket_file(cx, sockfd)?;
    let how = match how {
        0 => Shutdown::RECV,
        1 => Shutdown::SEND,
        2 => Shutdown::all(),
        _ => bail!(EINVAL, "no such direction"),
    };
    socket_of(&file)?.shutdown(how)?;
    Ok(0)
}

/// `getsockname(2)`.
pub fn getsockname(
    cx: &mut Cx<'_>,
    sockfd: Fd,
    addr: UserOutPtr<u8>,
    addrlen: UserPtr<u32>,
) -> Result<usize> {
    let file = socket_file(cx, sockfd)?;
    let name = socket_of(&file)?.name(false)?;
    write_addr(cx, &name, addr, addrlen)?;
    Ok(0)
}

/// `getpeername(2)`.
pub fn getpeername(
    cx: &mut Cx<'_>,
    sockfd: Fd,
    addr: UserOutPtr<u8>,
    addrlen: UserPtr<u32>,
) -> Result<usize> {
    let file = socket_file(cx, sockfd)?;
    let name = socket_of(&file)?.name(true)?;
    write_addr(cx, &name, addr, addrlen)?;
    Ok(0)
}
