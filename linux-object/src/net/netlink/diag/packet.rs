//! AF_PACKET: `struct packet_diag_req` and its answers.

use super::{Cx, skmeminfo};
use crate::err;
use crate::net::af;
use crate::net::netlink::message::u32_at;
use crate::net::netlink::{NlResult, Reply};
use crate::net::stack::sockets::Tap;

/// `sizeof(struct packet_diag_req)`.
const REQUEST: usize = 20;
/// `PACKET_SHOW_*`.
const SHOW_INFO: u32 = 1;
const SHOW_MEMINFO: u32 = 0x10;
/// Attributes of an answer.
const INFO: u16 = 0;
const UID: u16 = 4;
const MEMINFO: u16 = 5;

pub(super) fn request(cx: &Cx<'_>, payload: &[u8]) -> NlResult<Reply> {
    if payload.len() < REQUEST {
        return Err(err!(EINVAL, "packet_diag: the request is too short").into());
    }
    if !cx.is_dump() {
        return Err(err!(EOPNOTSUPP, "packet_diag: only as a dump").into());
    }
    if payload[1] != 0 {
        return Err(err!(EINVAL, "packet_diag: there are no protocols").into());
    }
    let show = u32_at(payload, 8);
    let taps: alloc::vec::Vec<Tap> = cx.socket.stack().lock().sockets.taps.clone();
    let mut messages = alloc::vec::Vec::new();
    for socket in taps.iter().filter_map(|tap| tap.socket.upgrade()) {
        let info = socket.info();
        let mut head = alloc::vec![af::PACKET as u8, info.kind as u8];
        head.extend_from_slice(&info.protocol.to_ne_bytes());
        head.extend_from_slice(&(info.ino as u32).to_ne_bytes());
        head.extend_from_slice(&info.cookie.to_ne_bytes());
        let mut message = cx.answer(&head);
        if show & SHOW_INFO != 0 {
            let words = [info.ifindex, 0, 0, 0, 0, 0];
            message.attr(INFO, &words.map(u32::to_ne_bytes).concat());
            message.u32(UID, cx.uid(info.owner));
        }
        if show & SHOW_MEMINFO != 0 {
            message.attr(MEMINFO, &skmeminfo(info.memory, 0));
        }
        messages.push(message.finish());
    }
    Ok(Reply::Dump(messages))
}
