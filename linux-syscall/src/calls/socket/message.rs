//! Sending and receiving (`send(2)`, `recv(2)`, `sendmmsg(2)`, `recvmmsg(2)`).

use alloc::sync::Arc;
use core::time::Duration;

use linux_object::ensure;
use linux_object::error::{Errno, Error, Result};
use linux_object::fs::{OpenFile, PollEvents, send_sigpipe};
use linux_object::ids::{Fd, UserAddr};
use linux_object::net::{MsgFlags, RecvMsg, SendMsg, SockAddr, Socket, SocketType, socket_of};
use linux_object::time::Ktime;

use super::super::poll::timespec;
use super::control::{self, Control};
use super::{deadline, read_addr, retry, socket_file, write_addr};
use crate::abi;
use crate::context::Cx;
use crate::user_io::{UIO_MAXIOV, UserIo};
use crate::user_ptr::{UserInPtr, UserOutPtr, UserPtr};

/// Control data up to this many bytes needs no memory of its own.
const SMALL_CONTROL: u64 = 36;

/// Sends one message.
fn send(
    cx: &Cx<'_>,
    file: &Arc<OpenFile>,
    flags: MsgFlags,
    data: &UserIo<'_>,
    addr: Option<&[u8]>,
    control: Control,
) -> Result<usize> {
    let socket = &**socket_of(file)?;
    let nonblock = flags.contains(MsgFlags::DONTWAIT) || file.nonblocking();
    let until = deadline(cx, socket, true);
    let mut left = data.clone();
    let mut rights = control.rights;
    let mut sent = 0;
    loop {
        let attempt = || {
            let mut source = left.clone();
            let mut msg = SendMsg {
                data: &mut source,
                addr,
                rights: core::mem::take(&mut rights),
                creds: control.creds.clone(),
                control: &control.others,
                flags,
            };
            let done = socket.send(cx.task, &mut msg);
            // Kept for the next attempt if this one has to wait.
            rights = msg.rights;
            done.map(|n| (n, source))
        };
        match retry(cx, socket, PollEvents::WRITABLE, nonblock, until, attempt) {
            Ok((n, rest)) => {
                sent += n;
                left = rest;
            }
            Err(error) => {
                let broken = error.errno() == Errno::EPIPE && socket.base().sends_sigpipe();
                if sent == 0 && broken && !flags.contains(MsgFlags::NOSIGNAL) {
                    send_sigpipe(cx.task);
                }
                return if sent > 0 { Ok(sent) } else { Err(error) };
            }
        }
        if left.is_empty() || nonblock || socket.base().kind != SocketType::Stream {
            return Ok(sent);
        }
    }
}

/// What one receive got besides bytes.
struct Received<'m> {
    len: usize,
    msg: RecvMsg<'m>,
}

/// Receives one message into `data`, then hands it to `then` together with its ancillary data.
fn recv<T>(
    cx: &Cx<'_>,
    file: &Arc<OpenFile>,
    flags: MsgFlags,
    data: &UserIo<'_>,
    want_rights: bool,
    until: Ktime,
    then: impl FnOnce(Received<'_>) -> Result<T>,
) -> Result<T> {
    let socket = &**socket_of(file)?;
    // A stream's urgent byte is there or not.
    let nonblock = flags.contains(MsgFlags::DONTWAIT)
        || file.nonblocking()
        || flags.contains(MsgFlags::OOB) && is_stream(socket);
    let mut left = data.clone();
    let mut total = 0;
    let mut all = RecvAll::default();
    loop {
        let attempt = || {
            let mut to = left.clone();
            let mut msg = RecvMsg::new(&mut to, flags);
            msg.want_rights = want_rights;
            msg.got = total;
            let n = socket.recv(cx.task, &mut msg)?;
            let RecvMsg {
                addr,
                rights,
                creds,
                control,
                out_flags,
                ends,
                ..
            } = msg;
            Ok((
                n,
                RecvAll {
                    addr,
                    rights,
                    creds,
                    control,
                    out_flags,
                    ends,
                },
                to,
            ))
        };
        let (n, got, to) = match retry(cx, socket, PollEvents::READABLE, nonblock, until, attempt) {
            Ok(got) => got,
            Err(_) if total > 0 => break,
            Err(error) => return Err(error),
        };
        total += n;
        left = to;
        let ends = got.ends || !got.rights.is_empty() || !got.out_flags.is_empty();
        all = got;
        // MSG_WAITALL fills the buffer, unless it ends, or something came along.
        let waitall = flags.contains(MsgFlags::WAITALL) && !flags.contains(MsgFlags::PEEK);
        if n == 0 || ends || left.is_empty() || !waitall || nonblock || !is_stream(socket) {
            break;
        }
    }
    let mut msg = RecvMsg::new(&mut left, flags);
    msg.addr = all.addr;
    msg.rights = all.rights;
    msg.creds = all.creds;
    msg.control = all.control;
    msg.out_flags = all.out_flags;
    then(Received { len: total, msg })
}

#[derive(Default)]
struct RecvAll {
    addr: Option<SockAddr>,
    rights: alloc::vec::Vec<Arc<OpenFile>>,
    creds: Option<linux_object::net::ScmCreds>,
    control: alloc::vec::Vec<(i32, i32, alloc::vec::Vec<u8>)>,
    out_flags: MsgFlags,
    ends: bool,
}

fn is_stream(socket: &dyn Socket) -> bool {
    socket.base().kind == SocketType::Stream
}

/// `sendto(2)`.
pub fn sendto(
    cx: &mut Cx<'_>,
    sockfd: Fd,
    buf: UserInPtr<u8>,
    len: usize,
    flags: u32,
    addr: UserInPtr<u8>,
    addrlen: u32,
) -> Result<usize> {
    let file = socket_file(cx, sockfd)?;
    let to = if addr.is_null() {
        None
    } else {
        Some(read_addr(cx, addr, addrlen)?)
    };
    let data = UserIo::new(cx, buf.addr(), len)?;
    let flags = MsgFlags::from_bits_retain(flags);
    send(cx, &file, flags, &data, to.as_deref(), Control::default())
}

/// `recvfrom(2)`.
pub fn recvfrom(
    cx: &mut Cx<'_>,
    sockfd: Fd,
    buf: UserOutPtr<u8>,
    len: usize,
    flags: u32,
    addr: UserOutPtr<u8>,
    addrlen: UserPtr<u32>,
) -> Result<usize> {
    let file = socket_file(cx, sockfd)?;
    let data = UserIo::new(cx, buf.addr(), len)?;
    let flags = MsgFlags::from_bits_retain(flags);
    let until = deadline(cx, &**socket_of(&file)?, false);
    recv(cx, &file, flags, &data, false, until, |got| {
        if !addr.is_null() {
            let name = got.msg.addr.unwrap_or_default();
            write_addr(cx, &name, addr, addrlen)?;
        }
        Ok(got.len)
    })
}

fn send_hdr(cx: &Cx<'_>, file: &Arc<OpenFile>, hdr: &abi::MsgHdr, flags: u32) -> Result<usize> {
    let to = if hdr.name != 0 && hdr.namelen != 0 {
        ensure!(hdr.namelen as i32 >= 0, EINVAL, "a negative length");
        // Longer ones are cut, as in Linux.
        Some(read_addr(
            cx,
            UserInPtr::new(UserAddr(hdr.name)),
            hdr.namelen.min(128),
        )?)
    } else {
        None
    };
    ensure!(hdr.iovlen <= UIO_MAXIOV as u64, EMSGSIZE, "more than 1024 ranges");
    let data = UserIo::from_iovec(cx, UserInPtr::new(UserAddr(hdr.iov)), hdr.iovlen as usize)?;
    ensure!(
        hdr.controllen <= SMALL_CONTROL || hdr.controllen < cx.kernel.net.core.optmem_max.get_u64(),
        ENOBUFS,
        "more control data than optmem_max"
    );
    let control = if hdr.controllen > 0 {
        let raw = UserInPtr::<u8>::new(UserAddr(hdr.control)).read_bytes(cx, hdr.controllen as usize)?;
        control::parse(cx, &raw)?
    } else {
        Control::default()
    };
    let flags = MsgFlags::from_bits_retain(flags);
    send(cx, file, flags, &data, to.as_deref(), control)
}

/// `sendmsg(2)`.
pub fn sendmsg(cx: &mut Cx<'_>, sockfd: Fd, msg: UserInPtr<abi::MsgHdr>, flags: u32) -> Result<usize> {
    let file = socket_file(cx, sockfd)?;
    let hdr = msg.read(cx)?;
    send_hdr(cx, &file, &hdr, flags)
}

fn recv_hdr(
    cx: &Cx<'_>,
    file: &Arc<OpenFile>,
    at: UserPtr<abi::MsgHdr>,
    flags: u32,
    until: Option<Ktime>,
) -> Result<usize> {
    let mut hdr = at.read(cx)?;
    ensure!(hdr.namelen as i32 >= 0, EINVAL, "a negative length");
    ensure!(hdr.iovlen <= UIO_MAXIOV as u64, EMSGSIZE, "more than 1024 ranges");
    let data = UserIo::from_iovec(cx, UserInPtr::new(UserAddr(hdr.iov)), hdr.iovlen as usize)?;
    let flags = MsgFlags::from_bits_retain(flags);
    let until = match until {
        Some(until) => until,
        None => deadline(cx, &**socket_of(file)?, false),
    };
    let room = hdr.controllen as usize;
    recv(cx, file, flags, &data, room > 0, until, |mut got| {
        let name = got.msg.addr.take().unwrap_or_default();
        if hdr.name != 0 {
            let part = &name[..name.len().min(hdr.namelen as usize)];
            cx.hal().copy_to_user(UserAddr(hdr.name), part)?;
            hdr.namelen = name.len() as u32;
        }
        let control = UserOutPtr::new(UserAddr(hdr.control));
        hdr.controllen = control::write(cx, &mut got.msg, control, room) as u64;
        hdr.flags = (got.msg.out_flags | flags & MsgFlags::CMSG_CLOEXEC).bits();
        // The pointers are the caller's own: only what changed is written.
        let field = |offset: u64, bytes: &[u8]| cx.hal().copy_to_user(at.addr().offset(offset), bytes);
        if hdr.name != 0 {
            field(8, &hdr.namelen.to_ne_bytes())?;
        }
        field(40, &hdr.controllen.to_ne_bytes())?;
        field(48, &hdr.flags.to_ne_bytes())?;
        Ok(got.len)
    })
}

/// `recvmsg(2)`.
pub fn recvmsg(cx: &mut Cx<'_>, sockfd: Fd, msg: UserPtr<abi::MsgHdr>, flags: u32) -> Result<usize> {
    let file = socket_file(cx, sockfd)?;
    recv_hdr(cx, &file, msg, flags, None)
}

/// `recvmmsg(2)`. The time-out is looked at after each message.
pub fn recvmmsg(
    cx: &mut Cx<'_>,
    sockfd: Fd,
    msgvec: UserPtr<abi::MMsgHdr>,
    vlen: u32,
    flags: u32,
    timeout: UserPtr<abi::Timespec>,
) -> Result<usize> {
    let span = timeout.read_opt(cx)?.map(timespec).transpose()?;
    let until = match span {
        None => Ktime::MAX,
        Some(span) => cx.kernel.time.now() + span,
    };
    let file = socket_file(cx, sockfd)?;
    socket_of(&file)?.base().take_error()?;
    let mut flags = flags;
    let mut count = 0;
    let mut failed: Option<Error> = None;
    for n in 0..vlen as usize {
        let at = msgvec.at(n);
        let hdr = UserPtr::<abi::MsgHdr>::new(at.addr());
        let done = recv_hdr(cx, &file, hdr, flags & !MsgFlags::WAITFORONE.bits(), None).and_then(|len| {
            cx.hal()
                .copy_to_user(at.addr().offset(56), &(len as u32).to_ne_bytes())
        });
        if let Err(error) = done {
            failed = Some(error);
            break;
        }
        count += 1;
        if flags & MsgFlags::WAITFORONE.bits() != 0 {
            flags |= MsgFlags::DONTWAIT.bits();
        }
        if until != Ktime::MAX && cx.kernel.time.now() >= until {
            break;
        }
    }
    if span.is_some() {
        let left = until.since(cx.kernel.time.now());
        write_left(cx, timeout, left)?;
    }
    match failed {
        Some(error) if count == 0 => Err(error),
        _ => Ok(count),
    }
}

fn write_left(cx: &Cx<'_>, to: UserPtr<abi::Timespec>, left: Duration) -> Result<()> {
    let left = abi::Timespec {
        sec: left.as_secs() as i64,
        nsec: left.subsec_nanos() as i64,
    };
    to.write(cx, &left)
}

/// `sendmmsg(2)`.
pub fn sendmmsg(
    cx: &mut Cx<'_>,
    sockfd: Fd,
    msgvec: UserPtr<abi::MMsgHdr>,
    vlen: u32,
    flags: u32,
) -> Result<usize> {
    let file = socket_file(cx, sockfd)?;
    let mut count = 0;
    for n in 0..(vlen as usize).min(UIO_MAXIOV) {
        let at = msgvec.at(n);
        let sent = UserInPtr::<abi::MsgHdr>::new(at.addr())
            .read(cx)
            .and_then(|hdr| send_hdr(cx, &file, &hdr, flags))
            .and_then(|len| {
                cx.hal()
                    .copy_to_user(at.addr().offset(56), &(len as u32).to_ne_bytes())
            });
        match sent {
            Ok(()) => count += 1,
            Err(error) if count == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(count)
}
