//! Addresses: `struct ifaddrmsg` and its attributes.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::message::{Attrs, Builder, NlFlags, u32_at};
use super::super::{NlResult, Reply};
use super::{Cx, family, rtm};
use crate::net::stack::Net;
use crate::net::stack::address::{FOREVER, IfAddr, IfaFlags, scope6};
use crate::{err, nl_err};

const HEAD: usize = 8;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_LABEL: u16 = 3;
const IFA_BROADCAST: u16 = 4;
const IFA_CACHEINFO: u16 = 6;
const IFA_FLAGS: u16 = 8;
const IFA_RT_PRIORITY: u16 = 9;

/// An address of a message, of the family that its header names.
pub fn ip(family: u8, data: &[u8]) -> Option<IpAddr> {
    match family {
        family::INET => Some(IpAddr::V4(Ipv4Addr::from(*data.first_chunk::<4>()?))),
        family::INET6 => Some(IpAddr::V6(Ipv6Addr::from(*data.first_chunk::<16>()?))),
        _ => None,
    }
}

/// An address for a message.
pub fn put_ip(message: &mut Builder, kind: u16, addr: IpAddr) {
    match addr {
        IpAddr::V4(addr) => message.attr(kind, &addr.octets()),
        IpAddr::V6(addr) => message.attr(kind, &addr.octets()),
    };
}

/// Writes an address.
pub fn fill(net: &Net<'_>, ifindex: u32, addr: &IfAddr, kind: u16, seq: u32, pid: u32) -> Vec<u8> {
    let v6 = addr.addr.is_ipv6();
    let now = net.now();
    let mut head = alloc::vec![
        if v6 { family::INET6 } else { family::INET },
        addr.prefix,
        addr.flags.bits() as u8,
        addr.scope,
    ];
    head.extend_from_slice(&ifindex.to_ne_bytes());
    let mut message = Builder::new(kind, NlFlags::empty(), seq, pid, &head);
    if v6 {
        if addr.peer != addr.addr {
            put_ip(&mut message, IFA_LOCAL, addr.addr);
        }
        put_ip(&mut message, IFA_ADDRESS, addr.peer);
    } else {
        put_ip(&mut message, IFA_ADDRESS, addr.peer);
        put_ip(&mut message, IFA_LOCAL, addr.addr);
        if let Some(broadcast) = addr.broadcast {
            put_ip(&mut message, IFA_BROADCAST, broadcast.into());
        }
        message.string(IFA_LABEL, &addr.label);
    }
    if addr.metric != 0 {
        message.u32(IFA_RT_PRIORITY, addr.metric);
    }
    let age = now.since(addr.stamp).as_secs() as u32;
    let permanent = addr.flags.contains(IfaFlags::PERMANENT);
    let left = |time: u32| {
        if time == FOREVER || permanent && !v6 {
            FOREVER
        } else {
            time.saturating_sub(age)
        }
    };
    let hundredths = |at: crate::time::Ktime| (at.as_nanos() / 10_000_000) as u32;
    let cache = [
        left(addr.preferred),
        left(addr.valid),
        hundredths(addr.created),
        hundredths(addr.stamp),
    ];
    let cache = cache.map(u32::to_ne_bytes).concat();
    if v6 {
        message.attr(IFA_CACHEINFO, &cache);
        message.u32(IFA_FLAGS, addr.flags.bits());
    } else {
        message.u32(IFA_FLAGS, addr.flags.bits());
        message.attr(IFA_CACHEINFO, &cache);
    }
    message.finish()
}

/// `RTM_GETADDR`: only as a dump, of one family and one device if asked.
pub fn get(cx: &Cx<'_>, payload: &[u8]) -> NlResult<Reply> {
    if !cx.is_dump() {
        return Err(err!(EOPNOTSUPP, "rtnetlink: addresses are dumped").into());
    }
    let wanted = payload[0];
    let mut only = 0;
    if cx.socket.strict() {
        if payload.len() < HEAD {
            return Err(nl_err!(EINVAL, "ipv4: Invalid header for address dump request"));
        }
        only = u32_at(payload, 4);
    }
    let (seq, pid) = (cx.header.seq, cx.header.pid);
    cx.socket.stack().with(|net| {
        if only != 0 && net.device(only).is_none() {
            return Err(err!(ENODEV).into());
        }
        let mut messages = Vec::new();
        for family in [family::INET, family::INET6] {
            if wanted != family::UNSPEC && wanted != family {
                continue;
            }
            for dev in net.state.devices.values() {
                if only != 0 && dev.ifindex != only {
                    continue;
                }
                let of_family = |addr: &&IfAddr| addr.addr.is_ipv6() == (family == family::INET6);
                for addr in dev.addrs.iter().filter(of_family) {
                    messages.push(fill(net, dev.ifindex, addr, rtm::NEWADDR, seq, pid));
                }
            }
        }
        Ok(Reply::Dump(messages))
    })
}

struct Request {
    ifindex: u32,
    addr: IfAddr,
}

fn parse(net: &Net<'_>, payload: &[u8]) -> NlResult<Request> {
    let attrs = Attrs::after(payload, HEAD)?;
    let (family, prefix) = (payload[0], payload[1]);
    let ifindex = u32_at(payload, 4);
    let address = attrs.get(IFA_ADDRESS).and_then(|data| ip(family, data));
    let local = attrs.get(IFA_LOCAL).and_then(|data| ip(family, data));
    let (bits, own) = match family {
        family::INET => (32, local),
        family::INET6 => (128, local.or(address)),
        _ => return Err(err!(EOPNOTSUPP, "rtnetlink: no such family").into()),
    };
    if prefix > bits {
        return Err(err!(EINVAL, "rtnetlink: the prefix is too long").into());
    }
    let Some(own) = own else {
        return Err(err!(EINVAL, "rtnetlink: no local address").into());
    };
    let scope = match own {
        IpAddr::V4(_) => payload[3],
        IpAddr::V6(own) => scope6(own),
    };
    let mut addr = IfAddr::new(own, prefix, scope, net.now());
    addr.peer = match family {
        family::INET => address.unwrap_or(own),
        _ => match (local, address) {
            (Some(_), Some(peer)) => peer,
            _ => own,
        },
    };
    let flags = attrs.u32(IFA_FLAGS)?.unwrap_or(payload[2] as u32);
    let settable = IfaFlags::NODAD
        | IfaFlags::OPTIMISTIC
        | IfaFlags::HOMEADDRESS
        | IfaFlags::MANAGETEMPADDR
        | IfaFlags::NOPREFIXROUTE;
    addr.flags |= IfaFlags::from_bits_retain(flags) & settable;
    if let Some(IpAddr::V4(broadcast)) = attrs.get(IFA_BROADCAST).and_then(|data| ip(family, data)) {
        addr.broadcast = Some(broadcast);
    }
    if let Some(label) = attrs.string(IFA_LABEL) {
        addr.label = core::str::from_utf8(label).unwrap_or_default().into();
        if label.len() >= crate::net::stack::device::IFNAMSIZ {
            return Err(err!(ERANGE, "rtnetlink: the label is too long").into());
        }
    }
    addr.metric = attrs.u32(IFA_RT_PRIORITY)?.unwrap_or(0);
    if let Some(cache) = attrs.get(IFA_CACHEINFO) {
        let (preferred, valid) = (u32_at(cache, 0), u32_at(cache, 4));
        if valid == 0 || preferred > valid {
            return Err(err!(EINVAL, "rtnetlink: lifetimes").into());
        }
        addr.live(valid, preferred);
    }
    Ok(Request { ifindex, addr })
}

/// `RTM_NEWADDR`.
pub fn new(cx: &Cx<'_>, payload: &[u8]) -> NlResult<Reply> {
    cx.socket.stack().with(|net| {
        let request = parse(net, payload)?;
        let Some(dev) = net.device(request.ifindex) else {
            return Err(err!(ENODEV, "rtnetlink: no such device").into());
        };
        if request.addr.addr.is_ipv6() && !dev.is_loopback() && dev.mtu < 1280 {
            return Err(err!(EINVAL, "rtnetlink: the MTU is too small for IPv6").into());
        }
        let multicast = match request.addr.addr {
            IpAddr::V4(addr) => addr.is_broadcast(),
            IpAddr::V6(addr) => addr.is_multicast() || addr.is_unspecified(),
        };
        if multicast {
            return Err(err!(EADDRNOTAVAIL, "rtnetlink: not the address of a device").into());
        }
        let exists = dev.addrs.iter().any(|have| {
            have.addr == request.addr.addr && (have.addr.is_ipv6() || have.prefix == request.addr.prefix)
        });
        if exists {
            if cx.flag(NlFlags::EXCL) || !cx.flag(NlFlags::REPLACE) {
                return Err(err!(EEXIST, "rtnetlink: the device has the address").into());
            }
            let new = request.addr;
            net.set_lifetimes(request.ifindex, new.addr, new.valid, new.preferred);
            return Ok(Reply::Done);
        }
        net.add_addr(request.ifindex, request.addr)?;
        Ok(Reply::Done)
    })
}

/// `RTM_DELADDR`: the first address that fits what is given.
pub fn del(cx: &Cx<'_>, payload: &[u8]) -> NlResult<Reply> {
    let attrs = Attrs::after(payload, HEAD)?;
    let (family, prefix) = (payload[0], payload[1]);
    let local = attrs.get(IFA_LOCAL).and_then(|data| ip(family, data));
    let address = attrs.get(IFA_ADDRESS).and_then(|data| ip(family, data));
    let label = attrs.string(IFA_LABEL);
    let ifindex = u32_at(payload, 4);
    cx.socket.stack().with(|net| {
        let Some(dev) = net.device(ifindex) else {
            return Err(nl_err!(ENODEV, "ipv4: Unable to find respective device"));
        };
        let v6 = family == family::INET6;
        let found = dev.addrs.iter().find(|have| {
            have.addr.is_ipv6() == v6
                && local.is_none_or(|local| local == have.addr)
                && label.is_none_or(|label| v6 || label == have.label.as_bytes())
                && address.is_none_or(|address| have.prefix == prefix && (address == have.peer || v6))
        });
        let Some(found) = found else {
            return Err(if v6 {
                nl_err!(EADDRNOTAVAIL, "address not found")
            } else {
                nl_err!(EADDRNOTAVAIL, "ipv4: Address not found")
            });
        };
        let (addr, prefix) = (found.addr, found.prefix);
        net.del_addr(ifindex, addr, prefix)?;
        Ok(Reply::Done)
    })
}
