//! AF_UNIX: `struct unix_diag_req` and its answers.

use alloc::vec::Vec;

use super::{Cx, cookie_fits, skmeminfo};
use crate::err;
use crate::kobject::KObject;
use crate::net::af;
use crate::net::netlink::message::u32_at;
use crate::net::netlink::{NlResult, Reply};
use crate::net::unix::UnixInfo;

/// `sizeof(struct unix_diag_req)`.
const REQUEST: usize = 24;

bitflags::bitflags! {
    /// `UDIAG_SHOW_*`.
    #[derive(Clone, Copy)]
    struct Show: u32 {
        const NAME = 1;
        const VFS = 2;
        const PEER = 4;
        const ICONS = 8;
        const RQLEN = 0x10;
        const MEMINFO = 0x20;
        const UID = 0x40;
    }
}

/// Attributes of an answer.
mod attr {
    pub const NAME: u16 = 0;
    pub const VFS: u16 = 1;
    pub const PEER: u16 = 2;
    pub const ICONS: u16 = 3;
    pub const RQLEN: u16 = 4;
    pub const MEMINFO: u16 = 5;
    pub const SHUTDOWN: u16 = 6;
    pub const UID: u16 = 7;
}

fn answer(cx: &Cx<'_>, info: &UnixInfo, show: Show) -> Vec<u8> {
    let mut head = alloc::vec![af::UNIX as u8, info.kind as u8, info.state, 0];
    head.extend_from_slice(&(info.ino as u32).to_ne_bytes());
    head.extend_from_slice(&info.cookie.to_ne_bytes());
    let mut message = cx.answer(&head);
    if let Some(name) = info.name.as_ref().filter(|_| show.contains(Show::NAME)) {
        message.attr(attr::NAME, name);
    }
    if let Some((ino, dev)) = info.file.filter(|_| show.contains(Show::VFS)) {
        message.attr(attr::VFS, &[ino as u32, dev].map(u32::to_ne_bytes).concat());
    }
    if let Some(peer) = info.peer.filter(|_| show.contains(Show::PEER)) {
        message.u32(attr::PEER, peer as u32);
    }
    if let Some(pending) = info.pending.as_ref().filter(|_| show.contains(Show::ICONS)) {
        let bytes: Vec<u8> = pending
            .iter()
            .flat_map(|&ino| (ino as u32).to_ne_bytes())
            .collect();
        message.attr(attr::ICONS, &bytes);
    }
    if show.contains(Show::RQLEN) {
        let (receive, send) = info.queues;
        message.attr(attr::RQLEN, &[receive, send].map(u32::to_ne_bytes).concat());
    }
    if show.contains(Show::MEMINFO) {
        message.attr(attr::MEMINFO, &skmeminfo(info.memory, 0));
    }
    message.u8(attr::SHUTDOWN, info.shutdown.bits());
    if show.contains(Show::UID) {
        message.u32(attr::UID, cx.uid(info.owner));
    }
    message.finish()
}

pub(super) fn request(cx: &Cx<'_>, payload: &[u8]) -> NlResult<Reply> {
    if payload.len() < REQUEST {
        return Err(err!(EINVAL, "unix_diag: the request is too short").into());
    }
    let (states, ino) = (u32_at(payload, 4), u32_at(payload, 8));
    let show = Show::from_bits_truncate(u32_at(payload, 12));
    let sockets = cx.task.kernel().unix.list(cx.socket.ns().koid());
    // What waits for `accept` has no inode and is not told.
    let all = sockets
        .iter()
        .map(|socket| socket.info())
        .filter(|info| info.ino != 0);
    if cx.is_dump() {
        let wanted = all.filter(|info| states & 1 << info.state != 0);
        return Ok(Reply::Dump(wanted.map(|info| answer(cx, &info, show)).collect()));
    }
    if ino == 0 {
        return Err(err!(EINVAL, "unix_diag: which inode?").into());
    }
    let mut all = all;
    let found = all.find(|info| info.ino as u32 == ino);
    let found = found.ok_or(err!(ENOENT, "unix_diag: there is no such socket"))?;
    if !cookie_fits(payload, 16, found.cookie) {
        return Err(err!(ESTALE, "unix_diag: another socket has taken its place").into());
    }
    Ok(Reply::One(answer(cx, &found, show)))
}
