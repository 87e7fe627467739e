//! Devices: `struct ifinfomsg` and its attributes.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::super::message::{Attrs, Builder, NlFlags, u32_at};
use super::super::{NlResult, Reply};
use super::{Cx, bridge, family, rtm};
use crate::namespace::NetNamespace;
use crate::net::stack::device::{DevRef, Device, DeviceKind, IFNAMSIZ, IfFlags};
use crate::net::stack::link::{broadcast_mac, change_netns, create_veth, delete};
use crate::net::stack::{Bridge, Net, NetStack};
use crate::net::tun::Tun;
use crate::{err, nl_err};

pub(super) const HEAD: usize = 16;
pub(super) const IFLA_ADDRESS: u16 = 1;
const IFLA_BROADCAST: u16 = 2;
pub(super) const IFLA_IFNAME: u16 = 3;
pub(super) const IFLA_MTU: u16 = 4;
pub(super) const IFLA_LINK: u16 = 5;
const IFLA_QDISC: u16 = 6;
const IFLA_STATS: u16 = 7;
pub(super) const IFLA_MASTER: u16 = 10;
pub(super) const IFLA_PROTINFO: u16 = 12;
const IFLA_TXQLEN: u16 = 13;
pub(super) const IFLA_OPERSTATE: u16 = 16;
const IFLA_LINKMODE: u16 = 17;
const IFLA_LINKINFO: u16 = 18;
const IFLA_NET_NS_PID: u16 = 19;
const IFLA_IFALIAS: u16 = 20;
const IFLA_STATS64: u16 = 23;
const IFLA_GROUP: u16 = 27;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_PROMISCUITY: u16 = 30;
const IFLA_NUM_TX_QUEUES: u16 = 31;
const IFLA_NUM_RX_QUEUES: u16 = 32;
const IFLA_CARRIER: u16 = 33;
const IFLA_CARRIER_CHANGES: u16 = 35;
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_TARGET_NETNSID: u16 = 46;
const IFLA_MIN_MTU: u16 = 50;
const IFLA_MAX_MTU: u16 = 51;
const IFLA_ALT_IFNAME: u16 = 53;
const IFLA_PERM_ADDRESS: u16 = 54;
const IFLA_PARENT_DEV_NAME: u16 = 56;
const IFLA_PARENT_DEV_BUS_NAME: u16 = 57;
const IFLA_ALLMULTI: u16 = 61;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_INFO_SLAVE_KIND: u16 = 4;
const IFLA_INFO_SLAVE_DATA: u16 = 5;
pub(super) const IFLA_AF_SPEC: u16 = 26;
/// The largest packets to be cut by a device (`IFLA_GSO_MAX_SEGS`, `…_SIZE`), put together (`IFLA_GRO_MAX_SIZE`)
/// or cut by hardware (`IFLA_TSO_MAX_SIZE`, `…_SEGS`): no packet is larger.
const PACKET_LIMITS: [(u16, u32); 5] = [(40, 65535), (41, 65536), (58, 65536), (59, 524_280), (60, 65535)];
const VETH_INFO_PEER: u16 = 1;
const IFF_UP: u32 = 1;

pub(super) fn head(family: u8, dev: &Device) -> Vec<u8> {
    let kind = dev.arphrd();
    let mut head = alloc::vec![family, 0];
    head.extend_from_slice(&kind.to_ne_bytes());
    head.extend_from_slice(&dev.ifindex.to_ne_bytes());
    head.extend_from_slice(&dev.flags().bits().to_ne_bytes());
    head.extend_from_slice(&[0; 4]);
    head
}

/// Writes a device.
pub fn fill(
    net: &mut Net<'_>,
    ifindex: u32,
    kind: u16,
    flags: NlFlags,
    seq: u32,
    pid: u32,
) -> Option<Vec<u8>> {
    // The other end's namespace needs a number here before the device is looked at.
    let peer = net.device(ifindex)?.peer();
    let netnsid = match &peer {
        Some((stack, _)) if !Arc::ptr_eq(stack, net.stack) => Some(net.state.nsid_alloc(stack)),
        _ => None,
    };
    let dev = net.device(ifindex)?;
    let mut message = Builder::new(kind, flags, seq, pid, &head(family::UNSPEC, dev));
    message.string(IFLA_IFNAME, &dev.name);
    message.u32(IFLA_TXQLEN, dev.txqlen);
    message.u8(IFLA_OPERSTATE, dev.operstate());
    message.u8(IFLA_LINKMODE, 0);
    message.u32(IFLA_MTU, dev.mtu);
    let (min, max) = dev.mtu_range();
    message.u32(IFLA_MIN_MTU, min).u32(IFLA_MAX_MTU, max);
    message.u32(IFLA_GROUP, dev.group);
    message.u32(IFLA_PROMISCUITY, dev.promiscuity);
    message.u32(IFLA_ALLMULTI, 0);
    message.u32(IFLA_NUM_TX_QUEUES, 1).u32(IFLA_NUM_RX_QUEUES, 1);
    for (attr, limit) in PACKET_LIMITS {
        message.u32(attr, limit);
    }
    if let Some(port) = &dev.port {
        message.u32(IFLA_MASTER, port.bridge);
    }
    if let Some((_, other)) = &peer {
        message.u32(IFLA_LINK, *other);
    }
    message.u8(IFLA_CARRIER, dev.carrier as u8);
    message.string(IFLA_QDISC, dev.qdisc());
    if !dev.alias.is_empty() {
        message.attr(IFLA_IFALIAS, &dev.alias);
    }
    message.u32(IFLA_CARRIER_CHANGES, dev.carrier_changes);
    if dev.addr_len() != 0 {
        message.attr(IFLA_ADDRESS, &dev.mac);
        message.attr(IFLA_BROADCAST, &broadcast_mac(dev));
    }
    if let Some(mac) = dev.perm_addr() {
        message.attr(IFLA_PERM_ADDRESS, &mac);
    }
    if let DeviceKind::Nic(nic) = &dev.kind {
        let (bus, name) = nic.parent();
        message.string(IFLA_PARENT_DEV_NAME, name);
        message.string(IFLA_PARENT_DEV_BUS_NAME, bus);
    }
    let s = &dev.stats;
    let stats = [
        s.rx_packets,
        s.tx_packets,
        s.rx_bytes,
        s.tx_bytes,
        s.rx_errors,
        s.tx_errors,
        s.rx_dropped,
        s.tx_dropped,
        s.multicast,
        s.collisions,
    ];
    let mut wide: Vec<u64> = stats.to_vec();
    wide.resize(25, 0);
    let wide: Vec<u8> = wide.iter().flat_map(|n| n.to_ne_bytes()).collect();
    let mut narrow: Vec<u32> = stats.iter().map(|n| *n as u32).collect();
    narrow.resize(24, 0);
    let narrow: Vec<u8> = narrow.iter().flat_map(|n| n.to_ne_bytes()).collect();
    message.attr(IFLA_STATS64, &wide).attr(IFLA_STATS, &narrow);
    if let Some(id) = netnsid {
        message.attr(IFLA_LINK_NETNSID, &id.to_ne_bytes());
    }
    if !dev.kind.name().is_empty() || dev.port.is_some() {
        message.nest(IFLA_LINKINFO, |info| {
            if !dev.kind.name().is_empty() {
                info.string(IFLA_INFO_KIND, dev.kind.name());
            }
            if let DeviceKind::Bridge(of_it) = &dev.kind {
                info.nest(IFLA_INFO_DATA, |data| bridge::info(data, dev, of_it));
            }
            if let DeviceKind::Tun(tun) = &dev.kind {
                info.nest(IFLA_INFO_DATA, |data| tun_info(data, tun));
            }
            if let Some(port) = &dev.port {
                info.string(IFLA_INFO_SLAVE_KIND, "bridge");
                info.nest(IFLA_INFO_SLAVE_DATA, |data| {
                    bridge::port_info(data, dev, port, net.device(port.bridge))
                });
            }
        });
    }
    if dev.mtu >= 1280 {
        message.nest(IFLA_AF_SPEC, |spec| {
            spec.nest(family::INET6.into(), |inet6| ipv6_info(inet6, dev));
        });
    }
    Some(message.finish())
}

/// What IPv6 tells of a device.
fn ipv6_info(data: &mut Builder, dev: &Device) {
    const FLAGS: u16 = 1;
    const ADDR_GEN_MODE: u16 = 8;
    /// `IF_READY`.
    const READY: u32 = 0x8000_0000;
    let ready = dev.ip6_ready || dev.is_loopback() && dev.is_up();
    data.u32(FLAGS, if ready { READY } else { 0 });
    // Addresses are made of the MAC address.
    data.u8(ADDR_GEN_MODE, 0);
}

/// `IFLA_TUN_*`.
fn tun_info(data: &mut Builder, tun: &Tun) {
    if let Some(owner) = tun.owner {
        data.u32(1, owner.0);
    }
    if let Some(group) = tun.group {
        data.u32(2, group.0);
    }
    data.u8(3, if tun.tap { 2 } else { 1 }).u8(4, !tun.no_pi as u8);
    data.u8(5, 0).u8(6, tun.persist as u8).u8(7, 0);
}

/// A device as IPv6 sees it (`ip -6 addr` asks for it): what concerns the link is told elsewhere.
fn fill6(dev: &Device, seq: u32, pid: u32) -> Vec<u8> {
    let mut message = Builder::new(rtm::NEWLINK, NlFlags::MULTI, seq, pid, &head(family::INET6, dev));
    message.string(IFLA_IFNAME, &dev.name);
    if dev.addr_len() != 0 {
        message.attr(IFLA_ADDRESS, &dev.mac);
    }
    message.u32(IFLA_MTU, dev.mtu);
    if let Some((_, other)) = dev.peer() {
        message.u32(IFLA_LINK, other);
    }
    message.u8(IFLA_OPERSTATE, dev.operstate());
    message.nest(IFLA_PROTINFO, |data| ipv6_info(data, dev));
    message.finish()
}

fn name_of(attrs: Attrs<'_>) -> NlResult<Option<String>> {
    let Some(name) = attrs.string(IFLA_IFNAME).or(attrs.string(IFLA_ALT_IFNAME)) else {
        return Ok(None);
    };
    if name.len() >= IFNAMSIZ {
        return Err(err!(ERANGE, "rtnetlink: the name is too long").into());
    }
    match core::str::from_utf8(name) {
        Ok(name) => Ok(Some(name.into())),
        Err(_) => Err(err!(EINVAL, "rtnetlink: not a name").into()),
    }
}

fn find(net: &Net<'_>, ifindex: u32, name: Option<&str>) -> NlResult<u32> {
    let found = match (ifindex as i32, name) {
        (1.., _) => net.device(ifindex).map(|dev| dev.ifindex),
        (0, Some(name)) => net.state.by_name(name),
        (0, None) => return Err(err!(EINVAL, "rtnetlink: which device?").into()),
        _ => return Err(err!(EINVAL, "rtnetlink: a negative number").into()),
    };
    Ok(found.ok_or(err!(ENODEV, "rtnetlink: no such device"))?)
}

/// `RTM_GETLINK`: one device, or all.
pub fn get(cx: &Cx<'_>, payload: &[u8]) -> NlResult<Reply> {
    let (seq, pid) = (cx.header.seq, cx.header.pid);
    if cx.is_dump() {
        let mut master = 0;
        let mut kind = None;
        if payload.len() >= HEAD {
            let attrs = Attrs::after(payload, HEAD)?;
            master = attrs.u32(IFLA_MASTER)?.unwrap_or(0);
            if let Some(info) = attrs.nest(IFLA_LINKINFO)? {
                kind = info.string(IFLA_INFO_KIND).map(|kind| kind.to_vec());
            }
        }
        let as_bridge = payload[0] == family::BRIDGE;
        return cx.socket.stack().with(|net| {
            let indices: Vec<u32> = net.state.devices.keys().copied().collect();
            let mut messages = Vec::new();
            for ifindex in indices {
                let Some(dev) = net.device(ifindex) else { continue };
                if as_bridge {
                    messages.extend(bridge::fill_port(
                        net,
                        ifindex,
                        rtm::NEWLINK,
                        NlFlags::MULTI,
                        seq,
                        pid,
                    ));
                    continue;
                }
                if payload[0] == family::INET6 {
                    // IPv6 knows only devices that can carry it.
                    if dev.mtu >= 1280 {
                        messages.push(fill6(dev, seq, pid));
                    }
                    continue;
                }
                let of_master = master == 0 || dev.port.as_ref().is_some_and(|port| port.bridge == master);
                let of_kind = kind
                    .as_ref()
                    .is_none_or(|kind| dev.kind.name().as_bytes() == kind);
                if of_master && of_kind {
                    messages.extend(fill(net, ifindex, rtm::NEWLINK, NlFlags::MULTI, seq, pid));
                }
            }
            Ok(Reply::Dump(messages))
        });
    }
    let attrs = Attrs::after(payload, HEAD)?;
    if attrs.get(IFLA_TARGET_NETNSID).is_some() {
        return Err(err!(EOPNOTSUPP, "rtnetlink: IFLA_TARGET_NETNSID").into());
    }
    let name = name_of(attrs)?;
    cx.socket.stack().with(|net| {
        let ifindex = find(net, u32_at(payload, 4), name.as_deref())?;
        let message = fill(net, ifindex, rtm::NEWLINK, NlFlags::empty(), seq, pid);
        Ok(Reply::One(message.ok_or(err!(ENODEV))?))
    })
}

/// The namespace that a message names for a device.
fn target_ns(cx: &Cx<'_>, attrs: Attrs<'_>) -> NlResult<Option<Arc<NetNamespace>>> {
    let ns = if let Some(pid) = attrs.u32(IFLA_NET_NS_PID)? {
        cx.ns_of_pid(pid)?
    } else if let Some(fd) = attrs.u32(IFLA_NET_NS_FD)? {
        cx.ns_of_fd(fd)?
    } else {
        return Ok(None);
    };
    cx.check_ns(&ns)?;
    Ok(Some(ns))
}

/// `RTM_NEWLINK`: changes the device that is there, or makes one.
pub fn new(cx: &Cx<'_>, payload: &[u8]) -> NlResult<Reply> {
    let attrs = Attrs::after(payload, HEAD)?;
    let name = name_of(attrs)?;
    let ifindex = u32_at(payload, 4);
    let stack = cx.socket.stack();
    let found = {
        let state = stack.lock();
        match (ifindex as i32, &name) {
            (1.., _) => state.devices.contains_key(&ifindex).then_some(ifindex),
            (..0, _) => return Err(err!(EINVAL, "rtnetlink: a negative number").into()),
            (0, Some(name)) => state.by_name(name),
            (0, None) => None,
        }
    };
    let info = attrs.nest(IFLA_LINKINFO)?;
    let kind = info.and_then(|info| info.string(IFLA_INFO_KIND));
    if let Some(ifindex) = found {
        if cx.flag(NlFlags::EXCL) {
            return Err(err!(EEXIST, "rtnetlink: there is such a device").into());
        }
        if cx.flag(NlFlags::REPLACE) {
            return Err(err!(EOPNOTSUPP, "rtnetlink: devices are not replaced").into());
        }
        if let Some(info) = info
            && let Some(data) = info.nest(IFLA_INFO_DATA)?
        {
            let fits = |kind| info.string(IFLA_INFO_KIND) == Some(kind);
            stack.with(|net| match net.device(ifindex).map(|dev| &dev.kind) {
                Some(DeviceKind::Bridge(_)) if fits(b"bridge") => bridge::set(net, ifindex, data),
                _ => Err(err!(EOPNOTSUPP, "rtnetlink: the device has nothing to change").into()),
            })?;
        }
        if let Some(info) = info
            && let Some(data) = info.nest(IFLA_INFO_SLAVE_DATA)?
        {
            stack.with(|net| bridge::set_slave(net, ifindex, data))?;
        }
        return change(cx, ifindex, payload, attrs);
    }
    if !cx.flag(NlFlags::CREATE) {
        if ifindex == 0 && attrs.get(IFLA_GROUP).is_some() && name.is_none() {
            return change_group(cx, payload, attrs);
        }
        return Err(err!(ENODEV, "rtnetlink: no such device").into());
    }
    let Some(kind) = kind else {
        return Err(err!(EOPNOTSUPP, "rtnetlink: which kind of device?").into());
    };
    let data = match info {
        Some(info) => info.nest(IFLA_INFO_DATA)?,
        None => None,
    };
    let ns = target_ns(cx, attrs)?;
    let there = ns.as_ref().map_or(stack, |ns| ns.stack());
    if ifindex != 0 && there.lock().devices.contains_key(&ifindex) {
        return Err(err!(EBUSY, "rtnetlink: the number is taken").into());
    }
    match kind {
        b"veth" => new_veth(cx, payload, attrs, data, name, there),
        b"bridge" => {
            let kind = DeviceKind::Bridge(Bridge::new());
            new_device(cx, payload, attrs, name, (kind, data), there)
        }
        b"tun" => Err(nl_err!(
            EOPNOTSUPP,
            "tun/tap creation via rtnetlink is not supported."
        )),
        b"dummy" => new_device(cx, payload, attrs, name, (DeviceKind::Dummy, None), there),
        _ => Err(nl_err!(EOPNOTSUPP, "Unknown device type")),
    }
}

/// What a message says of a device that is being made.
fn describe(stack: &NetStack, dev: &mut Device, payload: &[u8], attrs: Attrs<'_>) -> NlResult<()> {
    if let Some(mac) = attrs.get(IFLA_ADDRESS) {
        let Some(mac) = mac.first_chunk::<6>() else {
            return Err(err!(EINVAL, "rtnetlink: the address is too short").into());
        };
        if mac[0] & 1 != 0 || *mac == [0; 6] {
            return Err(err!(EADDRNOTAVAIL, "rtnetlink: not the address of a single device").into());
        }
        dev.mac = *mac;
        dev.mac_set = true;
    } else {
        dev.mac = stack.shared.random_mac();
    }
    if let Some(mtu) = attrs.u32(IFLA_MTU)? {
        let (min, max) = dev.mtu_range();
        if mtu < min || max != 0 && mtu > max {
            return Err(if mtu < min {
                nl_err!(EINVAL, "mtu less than device minimum")
            } else {
                nl_err!(EINVAL, "mtu greater than device maximum")
            });
        }
        dev.mtu = mtu;
    }
    if let Some(len) = attrs.u32(IFLA_TXQLEN)? {
        dev.txqlen = len;
    }
    if let Some(group) = attrs.u32(IFLA_GROUP)? {
        dev.group = group;
    }
    let ifindex = u32_at(payload, 4);
    if ifindex as i32 > 0 {
        dev.ifindex = ifindex;
    }
    Ok(())
}

fn choose_name(stack: &NetStack, name: Option<&str>, kind: &str) -> NlResult<String> {
    let pattern = alloc::format!("{kind}%d");
    Ok(stack.lock().choose_name(name.unwrap_or(&pattern))?)
}

fn new_device(
    cx: &Cx<'_>,
    payload: &[u8],
    attrs: Attrs<'_>,
    name: Option<String>,
    (kind, data): (DeviceKind, Option<Attrs<'_>>),
    there: &Arc<NetStack>,
) -> NlResult<Reply> {
    let name = choose_name(there, name.as_deref(), kind.name())?;
    let mut dev = Device::new(&name, kind, [0; 6]);
    describe(there, &mut dev, payload, attrs)?;
    let set = dev.mac_set;
    let ifindex = there.with(|net| net.register(dev));
    if let Some(data) = data
        && let Err(error) = there.with(|net| bridge::set(net, ifindex, data))
    {
        delete(there, ifindex)?;
        return Err(error);
    }
    finish(cx, there, ifindex, payload, attrs, set)
}

fn new_veth(
    cx: &Cx<'_>,
    payload: &[u8],
    attrs: Attrs<'_>,
    data: Option<Attrs<'_>>,
    name: Option<String>,
    there: &Arc<NetStack>,
) -> NlResult<Reply> {
    let peer_payload = data.and_then(|data| data.get(VETH_INFO_PEER));
    let peer_attrs = match peer_payload {
        Some(payload) => Attrs::after(payload, HEAD)?,
        None => Attrs::new(&[])?,
    };
    let peer_payload = peer_payload.unwrap_or(&[0; HEAD]);
    let peer_name = name_of(peer_attrs)?;
    let peer_ns = target_ns(cx, peer_attrs)?;
    let peer_there = peer_ns.as_ref().map_or(there, |ns| ns.stack());
    let own = choose_name(there, name.as_deref(), "veth")?;
    let same = Arc::ptr_eq(there, peer_there);
    let mut other = choose_name(peer_there, peer_name.as_deref(), "veth")?;
    if same && other == own {
        if peer_name.is_some() && name.is_some() {
            return Err(err!(EEXIST, "rtnetlink: both ends with one name").into());
        }
        // The peer is made first and has the first free name; ours is the next.
        let state = there.lock();
        let taken =
            |n: &u32| state.by_name(&alloc::format!("veth{n}")).is_some() || alloc::format!("veth{n}") == own;
        let nr = (0..).find(|n| !taken(n)).unwrap_or(0);
        other = alloc::format!("veth{nr}");
    }
    let (own, other) = if same && name.is_none() && peer_name.is_none() {
        (other, own)
    } else {
        (own, other)
    };
    let kind = || DeviceKind::Veth(DevRef::default());
    let mut dev = Device::new(&own, kind(), [0; 6]);
    describe(there, &mut dev, payload, attrs)?;
    let mut peer = Device::new(&other, kind(), [0; 6]);
    describe(peer_there, &mut peer, peer_payload, peer_attrs)?;
    let (ifindex, peer_index) = create_veth((there, dev), (peer_there, peer));
    let flags = u32_at(peer_payload, 8);
    if flags & IFF_UP != 0 {
        peer_there.with(|net| net.set_up(peer_index));
    }
    finish(cx, there, ifindex, payload, attrs, true)
}

/// A new device goes up or into a bridge at once.
fn finish(
    _: &Cx<'_>,
    there: &Arc<NetStack>,
    ifindex: u32,
    payload: &[u8],
    attrs: Attrs<'_>,
    _: bool,
) -> NlResult<Reply> {
    let master = attrs.u32(IFLA_MASTER)?;
    there.with(|net| {
        if let Some(master) = master.filter(|master| *master != 0) {
            net.join_bridge(ifindex, master)?;
        }
        if u32_at(payload, 8) & IFF_UP != 0 {
            net.set_up(ifindex);
        }
        Ok(Reply::Done)
    })
}

/// `RTM_SETLINK`.
pub fn set(cx: &Cx<'_>, payload: &[u8]) -> NlResult<Reply> {
    let attrs = Attrs::after(payload, HEAD)?;
    let name = name_of(attrs)?;
    let stack = cx.socket.stack();
    let ifindex = stack.with(|net| find(net, u32_at(payload, 4), name.as_deref()))?;
    change(cx, ifindex, payload, attrs)
}

/// Changes a device (Linux's `do_setlink`): first the namespace, then what it has, last whether it is up.
fn change(cx: &Cx<'_>, ifindex: u32, payload: &[u8], attrs: Attrs<'_>) -> NlResult<Reply> {
    let mut stack = cx.socket.stack().clone();
    let mut ifindex = ifindex;
    let name = name_of(attrs)?;
    if let Some(ns) = target_ns(cx, attrs)? {
        ifindex = change_netns(&stack, ifindex, ns.stack(), name.as_deref())?;
        stack = ns.stack().clone();
    }
    let mac = match attrs.get(IFLA_ADDRESS).map(|mac| mac.first_chunk::<6>().copied()) {
        Some(None) => return Err(err!(EINVAL, "rtnetlink: the address is too short").into()),
        mac => mac.flatten(),
    };
    let mtu = attrs.u32(IFLA_MTU)?;
    let (txqlen, group) = (attrs.u32(IFLA_TXQLEN)?, attrs.u32(IFLA_GROUP)?);
    let master = attrs.u32(IFLA_MASTER)?;
    let alias = attrs.get(IFLA_IFALIAS);
    let (flags, mask) = (u32_at(payload, 8), u32_at(payload, 12));
    stack.with(|net| {
        if let Some(mac) = mac {
            net.set_mac(ifindex, mac)?;
        }
        if let Some(mtu) = mtu {
            let dev = net.device(ifindex).ok_or(err!(ENODEV))?;
            let (min, max) = dev.mtu_range();
            if mtu < min {
                return Err(nl_err!(EINVAL, "mtu less than device minimum"));
            }
            if max != 0 && mtu > max {
                return Err(nl_err!(EINVAL, "mtu greater than device maximum"));
            }
            net.set_mtu(ifindex, mtu)?;
        }
        if let Some(name) = name.as_deref().filter(|name| !name.is_empty()) {
            net.rename(ifindex, name)?;
        }
        if let Some(len) = txqlen {
            net.set_txqlen(ifindex, len)?;
        }
        if let Some(dev) = net.device_mut(ifindex) {
            dev.group = group.unwrap_or(dev.group);
            if let Some(alias) = alias {
                if alias.len() > 255 {
                    return Err(err!(EINVAL, "rtnetlink: the alias is too long").into());
                }
                dev.alias = alias.strip_suffix(&[0]).unwrap_or(alias).to_vec();
            }
        }
        if let Some(master) = master {
            let current = net
                .device(ifindex)
                .and_then(|dev| dev.port.as_ref())
                .map(|port| port.bridge);
            if current.is_some() {
                net.leave_bridge(ifindex)?;
            }
            if master != 0 {
                if net.device(master).is_none() {
                    return Err(err!(EINVAL, "rtnetlink: no such master").into());
                }
                net.join_bridge(ifindex, master)?;
            }
        }
        if flags != 0 || mask != 0 {
            net.change_flags(ifindex, flags, if mask == 0 { u32::MAX } else { mask });
        }
        Ok(Reply::Done)
    })
}

fn change_group(cx: &Cx<'_>, payload: &[u8], attrs: Attrs<'_>) -> NlResult<Reply> {
    let group = attrs.u32(IFLA_GROUP)?.unwrap_or(0);
    let (flags, mask) = (u32_at(payload, 8), u32_at(payload, 12));
    cx.socket.stack().with(|net| {
        let of_group = net.state.devices.values().filter(|dev| dev.group == group);
        let indices: Vec<u32> = of_group.map(|dev| dev.ifindex).collect();
        for ifindex in indices {
            net.change_flags(ifindex, flags, if mask == 0 { u32::MAX } else { mask });
        }
        Ok(Reply::Done)
    })
}

impl Net<'_> {
    /// Sets those of the flags that `mask` names (Linux's `dev_change_flags`).
    pub fn change_flags(&mut self, ifindex: u32, flags: u32, mask: u32) {
        let Some(dev) = self.device_mut(ifindex) else {
            return;
        };
        let mask = IfFlags::from_bits_retain(mask);
        let flags = IfFlags::from_bits_retain(flags);
        let plain = mask & IfFlags::SETTABLE & !IfFlags::UP;
        let promisc = (
            flags.contains(IfFlags::PROMISC),
            dev.set_flags.contains(IfFlags::PROMISC),
        );
        if plain.contains(IfFlags::PROMISC) && promisc.0 != promisc.1 {
            dev.promiscuity = if promisc.0 {
                dev.promiscuity + 1
            } else {
                dev.promiscuity.saturating_sub(1)
            };
        }
        dev.set_flags = dev.set_flags & !plain | flags & plain;
        if mask.contains(IfFlags::UP) {
            if flags.contains(IfFlags::UP) {
                self.set_up(ifindex);
            } else {
                self.set_down(ifindex);
            }
        }
    }
}

/// `RTM_DELLINK`.
pub fn del(cx: &Cx<'_>, payload: &[u8]) -> NlResult<Reply> {
    let attrs = Attrs::after(payload, HEAD)?;
    let name = name_of(attrs)?;
    let stack = cx.socket.stack();
    let ifindex = stack.with(|net| find(net, u32_at(payload, 4), name.as_deref()))?;
    delete(stack, ifindex)?;
    Ok(Reply::Done)
}
