//! Tells of one entry, or of all (`bridge fdb get`, `show`).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::super::super::message::{Attrs, u32_at};
use super::super::super::{NlResult, Reply};
use super::super::link::{HEAD as LINK_HEAD, IFLA_MASTER};
use super::{
    Cx, HEAD, NDA_IFINDEX, NDA_LLADDR, NDA_MASTER, NDA_VLAN, Ndmsg, Ntf, NudSet, bridge, fill, fill_self,
    is_bridge, rtm, vlan_in,
};
use crate::net::stack::device::{DeviceKind, Mac};
use crate::net::stack::{FdbKey, Net, OWN};
use crate::{err, nl_err};

const NDA_VNI: u16 = 7;

/// `RTM_GETNEIGH`.
pub fn get(cx: &Cx<'_>, payload: &[u8]) -> NlResult<Reply> {
    match cx.is_dump() {
        true => dump(cx, payload),
        false => one(cx, payload),
    }
}

/// Which bridge and which device a dump is about; 0 for all.
fn filter(cx: &Cx<'_>, payload: &[u8]) -> NlResult<(u32, u32)> {
    if !cx.socket.strict() {
        // Old programs send `struct ndmsg`, alone or with a number, and get all; newer ones `struct ifinfomsg`.
        if payload.len() == HEAD || payload.len() == HEAD + 8 {
            return Ok((0, 0));
        }
        let attrs = Attrs::after(payload, LINK_HEAD)?;
        return Ok((attrs.u32(IFLA_MASTER)?.unwrap_or(0), u32_at(payload, 4)));
    }
    if payload.len() < HEAD {
        return Err(nl_err!(EINVAL, "Invalid header for fdb dump request"));
    }
    if payload[1..4] != [0; 3] || payload[8..12] != [0; 4] {
        return Err(nl_err!(EINVAL, "Invalid values in header for fdb dump request"));
    }
    let attrs = Attrs::after(payload, HEAD)?;
    let (mut bridge, mut dev) = (0, u32_at(payload, 4));
    for (attr, value) in attrs.iter() {
        match attr {
            NDA_IFINDEX if value.len() != 4 => {
                return Err(nl_err!(EINVAL, "Invalid IFINDEX attribute in fdb dump request"));
            }
            NDA_MASTER if value.len() != 4 => {
                return Err(nl_err!(EINVAL, "Invalid MASTER attribute in fdb dump request"));
            }
            NDA_IFINDEX => dev = u32_at(value, 0),
            NDA_MASTER => bridge = u32_at(value, 0),
            _ => return Err(nl_err!(EINVAL, "Unsupported attribute in fdb dump request")),
        }
    }
    Ok((bridge, dev))
}

fn dump(cx: &Cx<'_>, payload: &[u8]) -> NlResult<Reply> {
    let (master, only) = filter(cx, payload)?;
    let to = (cx.header.seq, cx.header.pid);
    cx.socket.stack().with(|net| {
        if master != 0 && net.device(master).is_none() {
            return Err(err!(ENODEV, "rtnetlink: no such master").into());
        }
        let now = net.now();
        let devices = || net.state.devices.values();
        // The entries of each device: a port's, or the bridge's own.
        let mut entries: BTreeMap<u32, Vec<Vec<u8>>> = BTreeMap::new();
        for dev in devices() {
            let DeviceKind::Bridge(bridge) = &dev.kind else {
                continue;
            };
            if master != 0 && dev.ifindex != master {
                continue;
            }
            for (key, entry) in bridge.fdb().list() {
                let at = if entry.port == OWN {
                    dev.ifindex
                } else {
                    entry.port
                };
                if only == 0 || only == at {
                    let message = fill(dev.ifindex, bridge, (&key, &entry), now, rtm::NEWNEIGH, to);
                    entries.entry(at).or_default().push(message);
                }
            }
        }
        let mut messages = Vec::new();
        for dev in devices() {
            let port_of = dev.port.as_ref().map(|port| port.bridge);
            let of_master = port_of == Some(master) || dev.ifindex == master && is_bridge(dev);
            if only != 0 && dev.ifindex != only || master != 0 && !of_master {
                continue;
            }
            let mut known = entries.remove(&dev.ifindex).unwrap_or_default();
            // What the bridge knows of a port comes before what the port has itself.
            if dev.port.is_some() {
                messages.append(&mut known);
            }
            if dev.arphrd() == 1 {
                let groups = dev.multicast_macs();
                let groups = groups.iter().map(|(mac, ..)| mac);
                for mac in dev.unicast_macs().iter().chain(groups) {
                    let state = NudSet::PERMANENT;
                    messages.push(fill_self(dev.ifindex, *mac, 0, state, rtm::NEWNEIGH, to));
                }
            }
            messages.append(&mut known);
        }
        Ok(Reply::Dump(messages))
    })
}

/// The device whose database is asked: a bridge's.
fn asked(net: &Net<'_>, message: &Ndmsg, master: u32) -> NlResult<u32> {
    let mut found = None;
    if message.ifindex != 0 {
        let dev = net.device(message.ifindex);
        let dev = dev.ok_or(nl_err!(ENODEV, "Unknown device ifindex"))?;
        if master != 0 {
            return Err(nl_err!(EINVAL, "Master and device are mutually exclusive"));
        }
        found = match (&dev.port, message.for_master()) {
            (Some(port), true) => Some(port.bridge),
            (None, true) => return Err(nl_err!(EINVAL, "Device is not a bridge port")),
            (_, false) => Some(dev.ifindex),
        };
    } else if master != 0 {
        let dev = net.device(master);
        found = Some(dev.ok_or(nl_err!(EINVAL, "Invalid master ifindex"))?.ifindex);
    }
    found.ok_or(nl_err!(ENODEV, "No device specified"))
}

fn one(cx: &Cx<'_>, payload: &[u8]) -> NlResult<Reply> {
    if payload.len() < HEAD {
        return Err(nl_err!(EINVAL, "Invalid header for fdb get request"));
    }
    let message = Ndmsg::read(payload);
    if payload[1..4] != [0; 3] || !message.state.is_empty() || payload[11] != 0 {
        return Err(nl_err!(EINVAL, "Invalid values in header for fdb get request"));
    }
    if !(Ntf::MASTER | Ntf::SELF).contains(message.flags) {
        return Err(nl_err!(EINVAL, "Invalid flags in header for fdb get request"));
    }
    let attrs = Attrs::after(payload, HEAD)?;
    if attrs.leftover() != 0 {
        return Err(nl_err!(EINVAL, "bytes leftover after parsing attributes"));
    }
    if attrs.get(NDA_LLADDR).is_some_and(|mac| mac.len() != 6) {
        return Err(nl_err!(EINVAL, "Invalid address in fdb get request"));
    }
    let vlan = vlan_in(attrs)?;
    let known = [NDA_LLADDR, NDA_VLAN, NDA_VNI, NDA_MASTER];
    if attrs.iter().any(|(attr, _)| !known.contains(&attr)) {
        return Err(nl_err!(EINVAL, "Unsupported attribute in fdb get request"));
    }
    let master = attrs.u32(NDA_MASTER)?.unwrap_or(0);
    let Some(Ok(mac)) = attrs.get(NDA_LLADDR).map(Mac::try_from) else {
        return Err(nl_err!(EINVAL, "Missing lookup address for fdb get request"));
    };
    let to = (cx.header.seq, cx.header.pid);
    cx.socket.stack().with(|net| {
        let ifindex = asked(net, &message, master)?;
        let Some(bridge) = bridge(net, ifindex) else {
            return Err(nl_err!(EOPNOTSUPP, "Fdb get operation not supported by device"));
        };
        let key = FdbKey { mac, vlan };
        let Some(entry) = bridge.fdb().get(&key) else {
            return Err(nl_err!(ENOENT, "Fdb entry not found"));
        };
        let message = fill(ifindex, bridge, (&key, entry), net.now(), rtm::NEWNEIGH, to);
        Ok(Reply::One(message))
    })
}
