//! The `SIOC*` calls of every socket (`netdevice(7)`): devices, addresses and routes as before rtnetlink.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

use super::brioctl;
use super::ethtool::{self, SIOCETHTOOL};
use crate::cred::Capability;
use crate::error::Result;
use crate::ids::UserAddr;
use crate::namespace::NetNamespace;
use crate::net::af;
use crate::net::stack::Net;
use crate::net::stack::address::IfAddr;
use crate::net::stack::device::IFNAMSIZ;
use crate::net::stack::route::{Route, RouteType, key, mask, protocol, scope, table};
use crate::task::Task;
use crate::{bail, ensure, err};

const IFREQ: usize = 40;

/// `ioctl(2)` with a number of `0x89..`. `ENOTTY`: not one of these.
pub fn ioctl(task: &Arc<Task>, ns: &Arc<NetNamespace>, cmd: u32, arg: UserAddr) -> Result<usize> {
    let hal = &task.kernel().hal;
    if brioctl::is_one(cmd) {
        return brioctl::ioctl(task, ns, cmd, arg);
    }
    let admin = || task.cred().ns_capable(ns.user_ns(), Capability::NET_ADMIN);
    match cmd {
        0x8912 => return conf(task, ns, arg),
        0x890b | 0x890c => {
            ensure!(admin(), EPERM, "no CAP_NET_ADMIN");
            let mut raw = [0; 120];
            hal.copy_from_user(&mut raw, arg)?;
            return route(task, ns, cmd == 0x890b, &raw);
        }
        0x8910 | 0x8913..=0x8924 | 0x8927 | 0x8931..=0x8933 | 0x8942 | 0x8943 | SIOCETHTOOL | 0x8970 => {}
        _ => bail!(ENOTTY, "no such call for sockets"),
    }
    let mut req = [0; IFREQ];
    hal.copy_from_user(&mut req, arg)?;
    if cmd == 0x8910 {
        let ifindex = u32::from_ne_bytes([req[16], req[17], req[18], req[19]]);
        let state = ns.stack().lock();
        let dev = state.devices.get(&ifindex).ok_or(err!(ENODEV))?;
        req[..IFNAMSIZ].fill(0);
        req[..dev.name.len()].copy_from_slice(dev.name.as_bytes());
        drop(state);
        hal.copy_to_user(arg, &req)?;
        return Ok(0);
    }
    req[IFNAMSIZ - 1] = 0;
    let end = req.iter().position(|&c| c == 0).unwrap_or(0);
    let full = core::str::from_utf8(&req[..end]).map_err(|_| err!(ENODEV))?;
    // `eth0:1` names an address of eth0.
    let name = full.split(':').next().unwrap_or_default();
    if cmd == SIOCETHTOOL {
        let data = req[16..24]
            .first_chunk()
            .map_or(0, |bytes| u64::from_ne_bytes(*bytes));
        return ethtool::ioctl(task, ns, name, UserAddr(data));
    }
    let sets = matches!(
        cmd,
        0x8914 | 0x8916 | 0x8918 | 0x891a | 0x891c | 0x891e | 0x8922..=0x8924 | 0x8931 | 0x8932 | 0x8943
    );
    ensure!(!sets || admin(), EPERM, "no CAP_NET_ADMIN");
    let _rtnl = sets.then(|| ns.stack().shared.rtnl());
    let mut value = [0u8; 24];
    value.copy_from_slice(&req[16..]);
    ns.stack().with(|net| {
        let ifindex = net.state.by_name(name).ok_or(err!(ENODEV, "no such device"))?;
        one(net, ifindex, cmd, &mut value)
    })?;
    if !sets {
        req[16..].copy_from_slice(&value);
        hal.copy_to_user(arg, &req)?;
    }
    Ok(0)
}

fn put_addr(value: &mut [u8; 24], addr: Ipv4Addr) {
    value.fill(0);
    value[..2].copy_from_slice(&af::INET.to_ne_bytes());
    value[4..8].copy_from_slice(&addr.octets());
}

fn one(net: &mut Net<'_>, ifindex: u32, cmd: u32, value: &mut [u8; 24]) -> Result<()> {
    let dev = net.device(ifindex).ok_or(err!(ENODEV))?;
    let word = i32::from_ne_bytes([value[0], value[1], value[2], value[3]]);
    let given = Ipv4Addr::new(value[4], value[5], value[6], value[7]);
    let first = dev.addrs.iter().find(|addr| addr.addr.is_ipv4()).cloned();
    let number = |value: &mut [u8; 24], n: u32| {
        value.fill(0);
        value[..4].copy_from_slice(&n.to_ne_bytes());
    };
    let netmask = |prefix: u8| Ipv4Addr::from((mask(prefix) >> 96) as u32);
    match cmd {
        0x8913 => {
            let flags = dev.flags().bits() as u16;
            value.fill(0);
            value[..2].copy_from_slice(&flags.to_ne_bytes());
        }
        0x8914 => {
            let flags = u16::from_ne_bytes([value[0], value[1]]) as u32;
            net.change_flags(ifindex, flags, 0xffff);
        }
        0x8915 | 0x8917 | 0x8919 | 0x891b => {
            let addr = first.ok_or(err!(EADDRNOTAVAIL, "the device has no address"))?;
            let shown = match (cmd, addr.addr, addr.peer) {
                (0x8915, IpAddr::V4(own), _) => own,
                (0x8917, _, IpAddr::V4(peer)) => peer,
                (0x8919, ..) => addr.broadcast.unwrap_or(Ipv4Addr::UNSPECIFIED),
                _ => netmask(addr.prefix),
            };
            put_addr(value, shown);
        }
        0x8916 => {
            // Classful prefixes, as ifconfig expects before it sets a netmask.
            let prefix = match given.octets()[0] {
                _ if dev.is_loopback() => 8,
                0..=127 => 8,
                128..=191 => 16,
                192..=223 => 24,
                _ => bail!(EINVAL, "not the address of a device"),
            };
            let loopback = dev.is_loopback();
            if let Some(old) = &first {
                let _ = net.del_addr(ifindex, old.addr, old.prefix);
            }
            if given.is_unspecified() {
                return Ok(());
            }
            let scope = if given.is_loopback() {
                scope::HOST
            } else {
                scope::UNIVERSE
            };
            let mut new = IfAddr::new(given.into(), prefix, scope, net.now());
            if !loopback && prefix < 31 {
                new.broadcast = Some(Ipv4Addr::from(u32::from(given) | !u32::from(netmask(prefix))));
            }
            net.add_addr(ifindex, new)?;
            net.set_up(ifindex);
        }
        0x891a | 0x891c => {
            let old = first.ok_or(err!(EADDRNOTAVAIL, "the device has no address"))?;
            let mut new = old.clone();
            if cmd == 0x891a {
                new.broadcast = Some(given);
            } else {
                let bits = u32::from(given);
                ensure!(
                    bits.leading_ones() + bits.trailing_zeros() >= 32,
                    EINVAL,
                    "not a netmask"
                );
                new.prefix = bits.leading_ones() as u8;
                if new.broadcast.is_some()
                    && new.prefix < 31
                    && let IpAddr::V4(own) = new.addr
                {
                    new.broadcast = Some(Ipv4Addr::from(u32::from(own) | !bits));
                }
            }
            if new.prefix != old.prefix || new.broadcast != old.broadcast {
                net.del_addr(ifindex, old.addr, old.prefix)?;
                net.add_addr(ifindex, new)?;
            }
        }
        0x891d => number(value, 0),
        0x8921 => number(value, dev.mtu),
        0x8922 => net.set_mtu(ifindex, word.max(0) as u32)?,
        0x8923 => {
            let end = value[..IFNAMSIZ]
                .iter()
                .position(|&c| c == 0)
                .unwrap_or(IFNAMSIZ - 1);
            let name = core::str::from_utf8(&value[..end]).map_err(|_| err!(EINVAL))?;
            net.rename(ifindex, name)?;
        }
        0x8924 => {
            let mac = [value[2], value[3], value[4], value[5], value[6], value[7]];
            net.set_mac(ifindex, mac)?;
        }
        0x8927 => {
            let kind: u16 = if dev.is_loopback() { 772 } else { 1 };
            value.fill(0);
            value[..2].copy_from_slice(&kind.to_ne_bytes());
            value[2..8].copy_from_slice(&dev.mac);
        }
        0x8931 | 0x8932 => {
            let mac = [value[2], value[3], value[4], value[5], value[6], value[7]];
            let family = u16::from_ne_bytes([value[0], value[1]]);
            ensure!(family == af::UNSPEC, EINVAL, "the address is of no family");
            let dev = net.device_mut(ifindex).ok_or(err!(ENODEV))?;
            match cmd {
                0x8931 => dev.add_mac(mac)?,
                _ => dev.drop_mac(mac)?,
            }
        }
        0x8933 => number(value, ifindex),
        0x8942 => number(value, dev.txqlen),
        0x8943 => {
            ensure!(word >= 0, EINVAL, "a negative length");
            if let Some(dev) = net.device_mut(ifindex) {
                dev.txqlen = word as u32;
            }
        }
        0x8970 => value.fill(0),
        _ => bail!(EOPNOTSUPP, "not of this device"),
    }
    Ok(())
}

/// `SIOCGIFCONF`: the devices that have IPv4 addresses.
fn conf(task: &Arc<Task>, ns: &Arc<NetNamespace>, arg: UserAddr) -> Result<usize> {
    let hal = &task.kernel().hal;
    let mut head = [0; 16];
    hal.copy_from_user(&mut head, arg)?;
    let room = i32::from_ne_bytes([head[0], head[1], head[2], head[3]]);
    let mut to = [0; 8];
    to.copy_from_slice(&head[8..]);
    let to = u64::from_ne_bytes(to);
    let mut out: Vec<u8> = Vec::new();
    {
        let state = ns.stack().lock();
        for dev in state.devices.values() {
            for addr in &dev.addrs {
                let IpAddr::V4(own) = addr.addr else { continue };
                let mut req = [0; IFREQ];
                let label = &addr.label.as_bytes()[..addr.label.len().min(IFNAMSIZ - 1)];
                req[..label.len()].copy_from_slice(label);
                let mut value = [0; 24];
                put_addr(&mut value, own);
                req[16..].copy_from_slice(&value);
                out.extend_from_slice(&req);
            }
        }
    }
    let len = if to == 0 {
        out.len()
    } else {
        ensure!(room >= 0, EINVAL, "a negative length");
        let len = out.len().min(room as usize / IFREQ * IFREQ);
        hal.copy_to_user(UserAddr(to), &out[..len])?;
        len
    };
    hal.copy_to_user(arg, &(len as i32).to_ne_bytes())?;
    Ok(0)
}

/// `SIOCADDRT` and `SIOCDELRT` with a `struct rtentry`.
fn route(task: &Arc<Task>, ns: &Arc<NetNamespace>, add: bool, raw: &[u8; 120]) -> Result<usize> {
    const RTF_GATEWAY: u16 = 2;
    const RTF_HOST: u16 = 4;
    const RTF_REJECT: u16 = 0x200;
    let addr = |at: usize| -> Result<Ipv4Addr> {
        let family = u16::from_ne_bytes([raw[at], raw[at + 1]]);
        ensure!(
            family == af::INET || family == af::UNSPEC,
            EAFNOSUPPORT,
            "IPv4 routes only"
        );
        Ok(Ipv4Addr::new(raw[at + 4], raw[at + 5], raw[at + 6], raw[at + 7]))
    };
    let (dst, gateway, genmask) = (addr(8)?, addr(24)?, addr(40)?);
    let flags = u16::from_ne_bytes([raw[56], raw[57]]);
    let metric = i16::from_ne_bytes([raw[80], raw[81]]);
    let mut name_at = [0; 8];
    name_at.copy_from_slice(&raw[88..96]);
    let name_at = UserAddr(u64::from_ne_bytes(name_at));
    let mut name = [0; IFNAMSIZ];
    if name_at.0 != 0 {
        // The name may end right before memory that is not mapped.
        for (n, byte) in name.iter_mut().enumerate().take(IFNAMSIZ - 1) {
            let mut one = [0];
            task.kernel()
                .hal
                .copy_from_user(&mut one, name_at.offset(n as u64))?;
            if one[0] == 0 {
                break;
            }
            *byte = one[0];
        }
    }
    let bits = u32::from(genmask);
    let prefix = if flags & RTF_HOST != 0 {
        32
    } else {
        ensure!(
            bits.leading_ones() + bits.trailing_zeros() >= 32,
            EINVAL,
            "not a netmask"
        );
        bits.leading_ones() as u8
    };
    ensure!(
        key(dst.into()) & !mask(prefix) == 0,
        EINVAL,
        "bits outside of the mask"
    );
    let end = name.iter().position(|&c| c == 0).unwrap_or(0);
    let name = core::str::from_utf8(&name[..end]).map_err(|_| err!(ENODEV))?;
    let _rtnl = ns.stack().shared.rtnl();
    ns.stack().with(|net| {
        let mut oif = match name {
            "" => 0,
            name => net.state.by_name(name).ok_or(err!(ENODEV, "no such device"))?,
        };
        let via = (flags & RTF_GATEWAY != 0 && !gateway.is_unspecified()).then_some(IpAddr::V4(gateway));
        let metric = if metric > 0 { metric as u32 - 1 } else { 0 };
        if !add {
            let gone = net
                .state
                .fib4
                .remove_one(table::MAIN, key(dst.into()), prefix, |route| {
                    (oif == 0 || route.oif == oif) && (via.is_none() || route.gateway == via)
                });
            ensure!(gone.is_some(), ESRCH, "there is no such route");
            return Ok(0);
        }
        let reject = flags & RTF_REJECT != 0;
        if !reject {
            if let Some(via) = via {
                let way = net.state.fib4.lookup_in(table::MAIN, key(via), oif);
                let way = way.filter(|way| way.gateway.is_none() && way.kind == RouteType::Unicast);
                oif = way.ok_or(err!(ENETUNREACH, "no way to the gateway"))?.oif;
            }
            let dev = net.device(oif).ok_or(err!(ENODEV, "no device"))?;
            ensure!(dev.is_up(), ENETDOWN, "the device is down");
        }
        let route = Route {
            dst: key(dst.into()),
            prefix,
            tos: 0,
            table: table::MAIN,
            kind: if reject {
                RouteType::Unreachable
            } else {
                RouteType::Unicast
            },
            scope: if via.is_some() || reject {
                scope::UNIVERSE
            } else {
                scope::LINK
            },
            protocol: protocol::BOOT,
            metric,
            oif,
            gateway: via,
            prefsrc: None,
            mtu: 0,
            onlink: false,
        };
        net.add_route(false, route)?;
        Ok(0)
    })
}
