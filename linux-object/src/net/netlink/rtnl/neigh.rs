//! Neighbours: `struct ndmsg` and its attributes. Those of bridges are in `fdb`.

use alloc::vec::Vec;
use core::net::IpAddr;

use super::super::message::{Attrs, Builder, NlFlags, u16_at, u32_at};
use super::super::{NlResult, Reply};
use super::addr::{ip, put_ip};
use super::{Cx, family, rtm};
use crate::net::stack::neigh::{Neigh, Nud};
use crate::time::Ktime;
use crate::{err, nl_err};

pub(super) const HEAD: usize = 12;
const NDA_DST: u16 = 1;
pub(super) const NDA_LLADDR: u16 = 2;
pub(super) const NDA_CACHEINFO: u16 = 3;
const NDA_PROBES: u16 = 4;
pub(super) const NDA_IFINDEX: u16 = 8;

pub(super) fn head(family: u8, ifindex: u32, state: u16, flags: u8, kind: u8) -> Vec<u8> {
    let mut head = alloc::vec![family, 0, 0, 0];
    head.extend_from_slice(&ifindex.to_ne_bytes());
    head.extend_from_slice(&state.to_ne_bytes());
    head.extend_from_slice(&[flags, kind]);
    head
}

/// Writes a neighbour.
pub fn fill(now: Ktime, ifindex: u32, addr: IpAddr, neigh: &Neigh, kind: u16, seq: u32, pid: u32) -> Vec<u8> {
    let family = if addr.is_ipv6() {
        family::INET6
    } else {
        family::INET
    };
    let state = neigh.state(now);
    let head = head(family, ifindex, state as u16, 0, 1);
    let mut message = Builder::new(kind, NlFlags::empty(), seq, pid, &head);
    put_ip(&mut message, NDA_DST, addr);
    if !matches!(state, Nud::Incomplete | Nud::Failed) {
        message.attr(NDA_LLADDR, &neigh.mac);
    }
    message.u32(NDA_PROBES, neigh.probes() as u32);
    let ago = |at: Ktime| (now.since(at).as_millis() / 10) as u32;
    let cache = [ago(neigh.confirmed), ago(neigh.used), ago(neigh.updated), 0];
    message.attr(NDA_CACHEINFO, &cache.map(u32::to_ne_bytes).concat());
    message.finish()
}

/// `RTM_GETNEIGH`.
pub fn get(cx: &Cx<'_>, payload: &[u8]) -> NlResult<Reply> {
    if !cx.is_dump() {
        return one(cx, payload);
    }
    let wanted = payload[0];
    let mut only = 0;
    if payload.len() >= HEAD {
        let attrs = Attrs::after(payload, HEAD)?;
        only = attrs.u32(NDA_IFINDEX)?.unwrap_or(0);
    }
    let (seq, pid) = (cx.header.seq, cx.header.pid);
    cx.socket.stack().with(|net| {
        let now = net.now();
        let mut messages = Vec::new();
        let mut all: Vec<_> = net.state.neigh.iter().collect();
        all.sort_by_key(|(key, _)| **key);
        for ((ifindex, addr), neigh) in all {
            let family = if addr.is_ipv6() {
                family::INET6
            } else {
                family::INET
            };
            if (wanted == family::UNSPEC || wanted == family) && (only == 0 || only == *ifindex) {
                messages.push(fill(now, *ifindex, *addr, neigh, rtm::NEWNEIGH, seq, pid));
            }
        }
        Ok(Reply::Dump(messages))
    })
}

fn one(cx: &Cx<'_>, payload: &[u8]) -> NlResult<Reply> {
    let attrs = Attrs::after(payload, HEAD)?;
    let addr = attrs.get(NDA_DST).and_then(|data| ip(payload[0], data));
    let Some(addr) = addr else {
        return Err(nl_err!(EINVAL, "Network address not specified"));
    };
    let ifindex = u32_at(payload, 4);
    cx.socket.stack().with(|net| {
        let now = net.now();
        match net.state.neigh.get(&(ifindex, addr)) {
            Some(neigh) => Ok(Reply::One(fill(
                now,
                ifindex,
                addr,
                neigh,
                rtm::NEWNEIGH,
                cx.header.seq,
                cx.header.pid,
            ))),
            None => Err(nl_err!(ENOENT, "Neighbour entry not found")),
        }
    })
}

/// `RTM_NEWNEIGH`.
pub fn new(cx: &Cx<'_>, payload: &[u8]) -> NlResult<Reply> {
    let attrs = Attrs::after(payload, HEAD)?;
    let family = payload[0];
    let Some(addr) = attrs.get(NDA_DST).and_then(|data| ip(family, data)) else {
        return Err(nl_err!(EINVAL, "Network address not specified"));
    };
    let ifindex = u32_at(payload, 4);
    let state = Nud::from_number(u16_at(payload, 8));
    let mac = attrs
        .get(NDA_LLADDR)
        .and_then(|data| data.first_chunk::<6>())
        .copied();
    cx.socket.stack().with(|net| {
        if net.device(ifindex).is_none() {
            return Err(err!(ENODEV, "rtnetlink: no such device").into());
        }
        let known = net.state.neigh.get(&(ifindex, addr)).map(|neigh| neigh.mac);
        match known {
            Some(_) if cx.flag(NlFlags::EXCL) => return Err(err!(EEXIST).into()),
            None if !cx.flag(NlFlags::CREATE) => return Err(err!(ENOENT).into()),
            _ => {}
        }
        let Some(mac) = mac.or(known) else {
            return Err(err!(EINVAL, "rtnetlink: no link-layer address").into());
        };
        let state = state.ok_or(err!(EINVAL, "rtnetlink: no such state"))?;
        net.set_neigh(ifindex, addr, mac, state);
        Ok(Reply::Done)
    })
}

/// `RTM_DELNEIGH`.
pub fn del(cx: &Cx<'_>, payload: &[u8]) -> NlResult<Reply> {
    let attrs = Attrs::after(payload, HEAD)?;
    let Some(addr) = attrs.get(NDA_DST).and_then(|data| ip(payload[0], data)) else {
        return Err(nl_err!(EINVAL, "Network address not specified"));
    };
    let ifindex = u32_at(payload, 4);
    cx.socket.stack().with(|net| {
        if net.state.neigh.get(&(ifindex, addr)).is_none() {
            return Err(err!(ENOENT, "rtnetlink: no such neighbour").into());
        }
        net.state.neigh.forget(|key, _| *key == (ifindex, addr));
        Ok(Reply::Done)
    })
}
