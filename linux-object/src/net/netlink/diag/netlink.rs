//! AF_NETLINK: `struct netlink_diag_req` and its answers.

use super::{Cx, skmeminfo};
use crate::err;
use crate::net::netlink::message::u32_at;
use crate::net::netlink::{NlResult, Reply, proto};
use crate::net::{Socket, SocketType, af};

/// `sizeof(struct netlink_diag_req)`.
const REQUEST: usize = 20;
/// `NDIAG_PROTO_ALL`.
const EVERY: u8 = 255;
/// `NDIAG_SHOW_*`.
const SHOW_MEMINFO: u32 = 1;
const SHOW_GROUPS: u32 = 2;
/// Attributes of an answer.
const MEMINFO: u16 = 0;
const GROUPS: u16 = 1;
/// `NETLINK_UNCONNECTED` and `NETLINK_CONNECTED`.
const STATES: [u8; 2] = [0, 1];

pub(super) fn request(cx: &Cx<'_>, payload: &[u8]) -> NlResult<Reply> {
    if payload.len() < REQUEST {
        return Err(err!(EINVAL, "netlink_diag: the request is too short").into());
    }
    if !cx.is_dump() {
        return Err(err!(EOPNOTSUPP, "netlink_diag: only as a dump").into());
    }
    let (protocol, show) = (payload[1], u32_at(payload, 8));
    let mut messages = alloc::vec::Vec::new();
    // The kernel's own ends, whose port is 0.
    for kernel in proto::OF_KERNEL {
        if protocol != EVERY && protocol as i32 != kernel {
            continue;
        }
        let mut head = alloc::vec![af::NETLINK as u8, SocketType::Datagram as u8, kernel as u8, 0];
        head.resize(28, 0);
        let mut message = cx.answer(&head);
        if show & SHOW_MEMINFO != 0 {
            message.attr(MEMINFO, &skmeminfo([0; 4], 0));
        }
        messages.push(message.finish());
    }
    for socket in cx.socket.stack().netlink.all() {
        if protocol != EVERY && protocol as i32 != socket.protocol() {
            continue;
        }
        let base = socket.base();
        let (groups, bytes) = socket.facts();
        let (peer, peer_groups) = socket.peer();
        let connected = peer != 0 || peer_groups != 0;
        let mut head = alloc::vec![
            af::NETLINK as u8,
            base.kind as u8,
            socket.protocol() as u8,
            STATES[connected as usize],
        ];
        for word in [socket.port(), peer, peer_groups, base.ino() as u32] {
            head.extend_from_slice(&word.to_ne_bytes());
        }
        head.extend_from_slice(&base.cookie().to_ne_bytes());
        let mut message = cx.answer(&head);
        if show & SHOW_GROUPS != 0 && groups != 0 {
            message.attr(GROUPS, &groups.to_ne_bytes());
        }
        if show & SHOW_MEMINFO != 0 {
            let memory = [bytes as u32, base.rcvbuf() as u32, 0, base.sndbuf() as u32];
            let drops = socket.drops.load(core::sync::atomic::Ordering::Relaxed);
            message.attr(MEMINFO, &skmeminfo(memory, drops));
        }
        messages.push(message.finish());
    }
    Ok(Reply::Dump(messages))
}
