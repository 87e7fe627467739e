//! Bridges and their ports: `IFLA_BR_*` and `IFLA_BRPORT_*`.

use alloc::vec::Vec;

use super::super::message::{Attrs, Builder, NLMSG_HDRLEN, NlFlags, u16_at, u32_at};
use super::super::{NlResult, Reply};
use super::link::{
    HEAD, IFLA_ADDRESS, IFLA_AF_SPEC, IFLA_IFNAME, IFLA_LINK, IFLA_MASTER, IFLA_MTU, IFLA_OPERSTATE,
    IFLA_PROTINFO, head,
};
use super::{Cx, family, rtm};
use crate::net::stack::device::{Device, DeviceKind};
use crate::net::stack::{Bridge, BridgePort, FdbFlush, Net, PortChange, PortFlags};
use crate::{err, nl_err};

const BR_AGEING_TIME: u16 = 4;
const BR_FDB_FLUSH: u16 = 21;
const BR_MCAST_SNOOPING: u16 = 23;

/// Its priority and address.
fn bridge_id(dev: &Device) -> [u8; 8] {
    let mut id = [0x80, 0, 0, 0, 0, 0, 0, 0];
    id[2..].copy_from_slice(&dev.mac);
    id
}

/// `IFLA_BR_*`: a bridge without the spanning tree protocol.
pub fn info(data: &mut Builder, dev: &Device, bridge: &Bridge) {
    let id = bridge_id(dev);
    data.u32(1, 1500).u32(2, 200).u32(3, 2000);
    data.u32(4, bridge.ageing_time());
    data.u32(5, 0).u16(6, 0x8000).u8(7, 0).u16(9, 0);
    data.attr(11, &id).attr(10, &id).u16(12, 0).u32(13, 0);
    // No timers run without the spanning tree protocol; what was learnt ages by itself.
    data.u8(14, 0).u8(15, 0);
    for timer in 16..=19 {
        data.attr(timer, &[0; 8]);
    }
    data.attr(20, &[1, 0x80, 0xc2, 0, 0, 0]).u16(39, 1);
    data.attr(8, &0x8100u16.to_be_bytes());
    // Neither counters per VLAN nor snooping, and nobody filters what is bridged.
    data.u8(41, 0).u8(45, 0).u8(BR_MCAST_SNOOPING, 0);
    data.u8(36, 0).u8(37, 0).u8(38, 0);
    // Of the options that are on or off, these two are known, and off.
    data.attr(46, &[0u32, 3].map(u32::to_ne_bytes).concat());
}

/// Sets what a message says of a bridge. What this bridge cannot do may only be said to be as it is. `EOPNOTSUPP`,
/// `ERANGE`.
pub fn set(net: &mut Net<'_>, ifindex: u32, data: Attrs<'_>) -> NlResult<()> {
    let mut shown = Builder::new(0, NlFlags::empty(), 0, 0, &[]);
    let Some(dev) = net.device(ifindex) else {
        return Err(err!(ENODEV).into());
    };
    if let DeviceKind::Bridge(bridge) = &dev.kind {
        info(&mut shown, dev, bridge);
    }
    let shown = shown.finish();
    let shown = Attrs::new(&shown[NLMSG_HDRLEN..])?;
    for (attr, value) in data.iter() {
        let settable = matches!(attr, BR_AGEING_TIME | BR_FDB_FLUSH);
        let length = shown.get(attr).map_or(0, |have| have.len());
        if value.len() < length {
            return Err(err!(ERANGE, "rtnetlink: a number is too short").into());
        }
        if !settable && shown.get(attr) != Some(&value[..length]) {
            return Err(err!(EOPNOTSUPP, "rtnetlink: the bridge does not do that").into());
        }
    }
    if let Some(hundredths) = data.u32(BR_AGEING_TIME)? {
        net.set_ageing_time(ifindex, hundredths)?;
    }
    if data.get(BR_FDB_FLUSH).is_some() {
        net.flush_fdb(ifindex, &FdbFlush::AGEING)?;
    }
    Ok(())
}

/// `IFLA_BRPORT_*`.
#[allow(missing_docs)]
mod brport {
    pub const STATE: u16 = 1;
    pub const PRIORITY: u16 = 2;
    pub const COST: u16 = 3;
    pub const MODE: u16 = 4;
    pub const GUARD: u16 = 5;
    pub const PROTECT: u16 = 6;
    pub const FAST_LEAVE: u16 = 7;
    pub const LEARNING: u16 = 8;
    pub const UNICAST_FLOOD: u16 = 9;
    pub const PROXYARP: u16 = 10;
    pub const PROXYARP_WIFI: u16 = 12;
    pub const ROOT_ID: u16 = 13;
    pub const BRIDGE_ID: u16 = 14;
    pub const DESIGNATED_PORT: u16 = 15;
    pub const DESIGNATED_COST: u16 = 16;
    pub const ID: u16 = 17;
    pub const NO: u16 = 18;
    pub const TOPOLOGY_CHANGE_ACK: u16 = 19;
    pub const CONFIG_PENDING: u16 = 20;
    pub const MESSAGE_AGE_TIMER: u16 = 21;
    pub const FORWARD_DELAY_TIMER: u16 = 22;
    pub const HOLD_TIMER: u16 = 23;
    pub const FLUSH: u16 = 24;
    pub const MULTICAST_ROUTER: u16 = 25;
    pub const MCAST_FLOOD: u16 = 27;
    pub const MCAST_TO_UCAST: u16 = 28;
    pub const VLAN_TUNNEL: u16 = 29;
    pub const BCAST_FLOOD: u16 = 30;
    pub const GROUP_FWD_MASK: u16 = 31;
    pub const NEIGH_SUPPRESS: u16 = 32;
    pub const ISOLATED: u16 = 33;
    pub const BACKUP_PORT: u16 = 34;
    pub const MCAST_EHT_HOSTS_LIMIT: u16 = 37;
    pub const LOCKED: u16 = 39;
}

/// Attributes that are a flag.
const FLAGS: [(u16, PortFlags); 9] = [
    (brport::MODE, PortFlags::HAIRPIN),
    (brport::LEARNING, PortFlags::LEARNING),
    (brport::UNICAST_FLOOD, PortFlags::FLOOD),
    (brport::MCAST_FLOOD, PortFlags::MCAST_FLOOD),
    (brport::BCAST_FLOOD, PortFlags::BCAST_FLOOD),
    (brport::PROXYARP, PortFlags::PROXY_ARP),
    (brport::PROXYARP_WIFI, PortFlags::PROXY_ARP_WIFI),
    (brport::ISOLATED, PortFlags::ISOLATED),
    (brport::LOCKED, PortFlags::LOCKED),
];
/// Those of what is not here (the spanning tree protocol, snooping, VLANs): their length, and all that they may say.
const ABSENT: [(u16, usize, u32); 9] = [
    (brport::GUARD, 1, 0),
    (brport::PROTECT, 1, 0),
    (brport::FAST_LEAVE, 1, 0),
    (brport::MCAST_TO_UCAST, 1, 0),
    (brport::VLAN_TUNNEL, 1, 0),
    (brport::NEIGH_SUPPRESS, 1, 0),
    (brport::MULTICAST_ROUTER, 1, 1),
    (brport::MCAST_EHT_HOSTS_LIMIT, 4, 512),
    (brport::BACKUP_PORT, 4, 0),
];

/// Tells of a port.
pub fn port_info(data: &mut Builder, dev: &Device, port: &BridgePort, bridge: Option<&Device>) {
    data.u8(brport::STATE, port.state as u8);
    data.u16(brport::PRIORITY, port.priority);
    data.u32(brport::COST, port.path_cost(dev));
    for (attr, flag) in FLAGS {
        data.u8(attr, port.flags.contains(flag) as u8);
    }
    for (attr, len, value) in ABSENT {
        match attr {
            // No port has no number, and nobody is counted.
            brport::MCAST_EHT_HOSTS_LIMIT | brport::BACKUP_PORT => {}
            _ => _ = data.attr(attr, &value.to_ne_bytes()[..len]),
        }
    }
    if let Some(bridge) = bridge {
        let id = bridge_id(bridge);
        data.attr(brport::ROOT_ID, &id).attr(brport::BRIDGE_ID, &id);
    }
    data.u16(brport::DESIGNATED_PORT, port.id());
    data.u16(brport::DESIGNATED_COST, 0);
    data.u16(brport::ID, port.id()).u16(brport::NO, port.number);
    data.u8(brport::TOPOLOGY_CHANGE_ACK, 0);
    data.u8(brport::CONFIG_PENDING, 0);
    data.u16(brport::GROUP_FWD_MASK, port.group_fwd_mask);
    // No timers run without the spanning tree protocol.
    for timer in [
        brport::MESSAGE_AGE_TIMER,
        brport::FORWARD_DELAY_TIMER,
        brport::HOLD_TIMER,
    ] {
        data.attr(timer, &[0; 8]);
    }
}

/// A number of so many bytes, if it is there. `ERANGE`: too short.
fn number(data: Attrs<'_>, attr: u16, len: usize) -> NlResult<Option<u32>> {
    let Some(bytes) = data.get(attr) else {
        return Ok(None);
    };
    let Some(bytes) = bytes.get(..len) else {
        return Err(err!(ERANGE, "rtnetlink: a number is too short").into());
    };
    let mut number = [0; 4];
    number[..len].copy_from_slice(bytes);
    Ok(Some(u32::from_ne_bytes(number)))
}

/// Sets what a message says of a port: all of it, or nothing. What this bridge cannot do may only be said to be as it
/// is. `EOPNOTSUPP`.
fn set_port(net: &mut Net<'_>, ifindex: u32, data: Attrs<'_>) -> NlResult<()> {
    let mut change = PortChange::default();
    for (attr, flag) in FLAGS {
        if let Some(on) = number(data, attr, 1)? {
            change.flag(flag, on != 0);
        }
    }
    for (attr, len, only) in ABSENT {
        if number(data, attr, len)?.is_some_and(|value| value != only) {
            return Err(err!(EOPNOTSUPP, "rtnetlink: the bridge does not do that").into());
        }
    }
    change.state = number(data, brport::STATE, 1)?.map(|state| state as u8);
    change.priority = number(data, brport::PRIORITY, 2)?.map(|priority| priority as u16);
    change.cost = number(data, brport::COST, 4)?;
    change.group_fwd_mask = number(data, brport::GROUP_FWD_MASK, 2)?.map(|mask| mask as u16);
    change.flush = data.get(brport::FLUSH).is_some();
    Ok(net.change_port(ifindex, &change)?)
}

/// `IFLA_INFO_SLAVE_DATA` of a port (`ip link set type bridge_slave`). `EOPNOTSUPP`: the device is none.
pub fn set_slave(net: &mut Net<'_>, ifindex: u32, data: Attrs<'_>) -> NlResult<()> {
    if net.device(ifindex).is_none_or(|dev| dev.port.is_none()) {
        return Err(err!(EOPNOTSUPP, "rtnetlink: the device is no port").into());
    }
    set_port(net, ifindex, data)?;
    // A message about a device has its carrier looked at, as ever on Linux: a port that was disabled forwards again.
    net.port_changed(ifindex);
    net.link_changed(ifindex);
    Ok(())
}

/// `RTM_SETLINK` of `AF_BRIDGE` (`bridge link set`).
pub fn set_link(cx: &Cx<'_>, payload: &[u8]) -> NlResult<Reply> {
    const BRIDGE_FLAGS: u16 = 0;
    const MASTER: u16 = 1;
    const SELF: u16 = 2;
    let attrs = Attrs::after(payload, HEAD)?;
    let ifindex = u32_at(payload, 4);
    let spec = attrs.nest(IFLA_AF_SPEC)?;
    let whose = match spec {
        Some(spec) => match spec.iter().find(|(attr, _)| *attr == BRIDGE_FLAGS) {
            Some((_, flags)) if flags.len() < 2 => {
                return Err(err!(EINVAL, "rtnetlink: the flags are too short").into());
            }
            Some((_, flags)) => u16_at(flags, 0),
            None => 0,
        },
        None => 0,
    };
    let of_vlans = spec.is_some_and(|spec| spec.iter().any(|(attr, _)| attr != BRIDGE_FLAGS));
    cx.socket.stack().with(|net| {
        let Some(dev) = net.device(ifindex) else {
            return Err(nl_err!(ENODEV, "unknown ifindex"));
        };
        if (whose == 0 || whose & MASTER != 0) && dev.port.is_none() {
            return Err(err!(EOPNOTSUPP, "rtnetlink: the device is no port").into());
        }
        if whose & SELF != 0 || of_vlans {
            return Err(err!(EOPNOTSUPP, "rtnetlink: neither devices nor VLANs have settings").into());
        }
        let Some((kind, info)) = attrs.with_nested(IFLA_PROTINFO) else {
            return Ok(Reply::Done);
        };
        match kind {
            true => set_port(net, ifindex, Attrs::new(info)?)?,
            // As programs did before there were other settings.
            false => {
                let state = info.first().ok_or(err!(EINVAL, "rtnetlink: which state?"))?;
                let change = PortChange {
                    state: Some(*state),
                    ..PortChange::default()
                };
                net.change_port(ifindex, &change)?;
            }
        }
        net.port_event(ifindex);
        Ok(Reply::Done)
    })
}

/// A port of a bridge, as `bridge link` sees it.
pub fn fill_port(
    net: &Net<'_>,
    ifindex: u32,
    kind: u16,
    flags: NlFlags,
    seq: u32,
    pid: u32,
) -> Option<Vec<u8>> {
    let dev = net.device(ifindex)?;
    let port = dev.port.as_ref()?;
    let mut message = Builder::new(kind, flags, seq, pid, &head(family::BRIDGE, dev));
    message
        .string(IFLA_IFNAME, &dev.name)
        .u32(IFLA_MASTER, port.bridge);
    message.u32(IFLA_MTU, dev.mtu).u8(IFLA_OPERSTATE, dev.operstate());
    message.attr(IFLA_ADDRESS, &dev.mac);
    if let Some((_, other)) = dev.peer() {
        message.u32(IFLA_LINK, other);
    }
    if kind == rtm::NEWLINK {
        message.nest(IFLA_PROTINFO | 0x8000, |data| {
            port_info(data, dev, port, net.device(port.bridge))
        });
    }
    Some(message.finish())
}
