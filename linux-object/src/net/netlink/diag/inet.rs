//! AF_INET and AF_INET6: `struct inet_diag_req_v2` and its answers.

use alloc::vec::Vec;
use core::net::IpAddr;

use super::filter::Filter;
use super::{Cx, cookie_fits, skmeminfo};
use crate::err;
use crate::error::Result;
use crate::net::af;
use crate::net::netlink::message::{Attrs, u32_at};
use crate::net::netlink::{NlResult, Reply};
use crate::net::stack::proto;
use crate::net::stack::sockets::{InetInfo, Listing, tcp_state};

/// `sizeof(struct inet_diag_req_v2)`.
const REQUEST: usize = 56;
/// `sizeof(struct inet_diag_req)`, from before there were families.
const OLD_REQUEST: usize = 60;
/// `IPPROTO_DCCP`, whose sockets there are none of.
pub const DCCP: u8 = 33;
/// Where `struct inet_diag_sockid` begins in it.
const ID: usize = 8;
const COOKIE: usize = ID + 40;
const REQ_BYTECODE: u16 = 1;
const REQ_PROTOCOL: u16 = 3;
const IPPROTO_RAW: u8 = 255;

/// Attributes of an answer; an extension's bit is its number less one.
mod attr {
    pub const MEMINFO: u16 = 1;
    pub const INFO: u16 = 2;
    pub const TOS: u16 = 5;
    pub const TCLASS: u16 = 6;
    pub const SKMEMINFO: u16 = 7;
    pub const SHUTDOWN: u16 = 8;
    pub const SKV6ONLY: u16 = 11;
}

/// The timer of a connection in TIME_WAIT.
const TIMER_TIME_WAIT: u8 = 3;

fn put_addr(out: &mut Vec<u8>, addr: IpAddr, v6: bool) {
    let mut bytes = [0; 16];
    match addr {
        IpAddr::V4(addr) if v6 && !addr.is_unspecified() => {
            bytes = addr.to_ipv6_mapped().octets();
        }
        IpAddr::V4(addr) => bytes[..4].copy_from_slice(&addr.octets()),
        IpAddr::V6(addr) => bytes = addr.octets(),
    }
    out.extend_from_slice(&bytes);
}

/// `struct inet_diag_msg` with the extensions that were asked for.
fn answer(cx: &Cx<'_>, info: &InetInfo, extensions: u8) -> Vec<u8> {
    let family = if info.v6 { af::INET6 } else { af::INET } as u8;
    let timer = if info.expires != 0 { TIMER_TIME_WAIT } else { 0 };
    let mut head = alloc::vec![family, info.state, timer, 0];
    head.extend_from_slice(&info.local.1.to_be_bytes());
    head.extend_from_slice(&info.remote.1.to_be_bytes());
    put_addr(&mut head, info.local.0, info.v6);
    put_addr(&mut head, info.remote.0, info.v6);
    head.extend_from_slice(&info.ifindex.to_ne_bytes());
    head.extend_from_slice(&info.cookie.to_ne_bytes());
    let gone = info.state == tcp_state::TIME_WAIT && info.protocol == proto::TCP;
    let (uid, ino) = if gone {
        (0, 0)
    } else {
        (cx.uid(info.owner), info.ino as u32)
    };
    let expires = (info.expires / 1_000_000) as u32;
    for word in [expires, info.rqueue, info.wqueue, uid, ino] {
        head.extend_from_slice(&word.to_ne_bytes());
    }
    let mut message = cx.answer(&head);
    if gone {
        return message.finish();
    }
    let wanted = |attr: u16| extensions & 1 << (attr - 1) != 0;
    message.u8(attr::SHUTDOWN, info.shutdown.bits());
    if wanted(attr::TOS) {
        message.u8(attr::TOS, info.tos);
    }
    if info.v6 {
        if wanted(attr::TCLASS) {
            message.u8(attr::TCLASS, info.tclass);
        }
        if matches!(info.state, tcp_state::LISTEN | tcp_state::CLOSE) {
            message.u8(attr::SKV6ONLY, info.v6only as u8);
        }
    }
    if wanted(attr::MEMINFO) {
        let [rmem, _, wmem, _] = info.memory;
        message.attr(
            attr::MEMINFO,
            &[rmem, wmem, 0, wmem].map(u32::to_ne_bytes).concat(),
        );
    }
    if wanted(attr::SKMEMINFO) {
        message.attr(attr::SKMEMINFO, &skmeminfo(info.memory, info.drops));
    }
    if let Some(tcp) = info.tcp.as_ref().filter(|_| wanted(attr::INFO)) {
        message.attr(attr::INFO, tcp);
    }
    message.finish()
}

/// The sockets of a protocol. `ENOENT`: nobody lists it.
fn list(cx: &Cx<'_>, protocol: u8) -> Result<Vec<InetInfo>> {
    let which = match protocol {
        proto::TCP => Listing::Tcp,
        proto::UDP => Listing::Udp,
        IPPROTO_RAW => Listing::Raw,
        _ => crate::bail!(ENOENT, "inet_diag: no such protocol"),
    };
    let sockets = cx.socket.stack().lock().sockets.list(which);
    let infos = sockets.iter().map(|socket| socket.info());
    // Of TCP, what is only bound is not told.
    Ok(infos
        .filter(|info| protocol != proto::TCP || info.state != tcp_state::CLOSE)
        .collect())
}

fn addr_at(payload: &[u8], at: usize, v6: bool) -> IpAddr {
    let bytes = &payload[at..at + 16];
    match (v6, bytes.first_chunk::<16>()) {
        (true, Some(&bytes)) => IpAddr::V6(bytes.into()),
        _ => IpAddr::V4([bytes[0], bytes[1], bytes[2], bytes[3]].into()),
    }
}

/// A request of the old layout: a dump is of both families.
pub(super) fn request_old(cx: &Cx<'_>, protocol: u8, payload: &[u8]) -> NlResult<Reply> {
    let Some((old, attrs)) = payload.split_at_checked(OLD_REQUEST) else {
        return Err(err!(EINVAL, "inet_diag: the request is too short").into());
    };
    let family = if cx.is_dump() { af::UNSPEC as u8 } else { old[0] };
    let mut new = alloc::vec![family, protocol, old[3], 0];
    new.extend_from_slice(&old[52..56]);
    new.extend_from_slice(&old[4..52]);
    new.extend_from_slice(attrs);
    request(cx, &new)
}

pub(super) fn request(cx: &Cx<'_>, payload: &[u8]) -> NlResult<Reply> {
    if payload.len() < REQUEST {
        return Err(err!(EINVAL, "inet_diag: the request is too short").into());
    }
    let v6 = payload[0] as u16 == af::INET6;
    let (protocol, extensions, states) = (payload[1], payload[2], u32_at(payload, 4));
    let attrs = Attrs::after(payload, REQUEST)?;
    // A protocol that does not fit into the byte (MPTCP).
    if attrs.u32(REQ_PROTOCOL)?.is_some_and(|whole| whole > 255) {
        return Err(err!(ENOENT, "inet_diag: no such protocol").into());
    }
    let port = |at: usize| u16::from_be_bytes([payload[at], payload[at + 1]]);
    let (own, other) = (port(ID), port(ID + 2));
    let all = list(cx, protocol)?;
    let every = payload[0] as u16 == af::UNSPEC;
    let here = all.into_iter().filter(|info| every || info.v6 == v6);
    if !cx.is_dump() {
        let (local, remote) = (addr_at(payload, ID + 4, v6), addr_at(payload, ID + 20, v6));
        let fits = |info: &InetInfo| {
            let plain = |addr: IpAddr| addr.to_canonical();
            info.local.1 == own
                && (plain(info.local.0) == plain(local) || info.local.0.is_unspecified())
                && (info.remote.1 == other && plain(info.remote.0) == plain(remote)
                    || info.remote.1 == 0 && info.remote.0.is_unspecified())
        };
        // A connection fits better than who listens.
        let found = here.filter(fits).max_by_key(|info| info.remote.1 != 0);
        let found = found.ok_or(err!(ENOENT, "inet_diag: there is no such socket"))?;
        if !cookie_fits(payload, COOKIE, found.cookie) {
            return Err(err!(ENOENT, "inet_diag: another socket has taken its place").into());
        }
        return Ok(Reply::One(answer(cx, &found, extensions)));
    }
    let filter = attrs.get(REQ_BYTECODE).map(Filter::new).transpose()?;
    let wanted = here.filter(|info| {
        // A child whose handshake goes on is told as SYN_RECV.
        states & 1 << info.state != 0
            && (own == 0 || own == info.local.1)
            && (other == 0 || other == info.remote.1)
            && filter.is_none_or(|filter| filter.wants(info))
    });
    Ok(Reply::Dump(
        wanted.map(|info| answer(cx, &info, extensions)).collect(),
    ))
}
