//! Ancillary data that changes how one datagram is sent (`ip(7)`, `ipv6(7)`; Linux's `ip_cmsg_send` and
//! `ip6_datagram_send_ctl`).
//!
//! What goes to an IPv4 address obeys messages of `SOL_IP`, the rest those of `SOL_IPV6`; a message of
//! another level is for somebody else. `IPV6_PKTINFO` is understood in both cases.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::error::Result;
use crate::net::inet::options::{SOL_IP, SOL_IPV6};
use crate::net::stack::{Flow, Net};
use crate::net::{ControlMessage, SOL_SOCKET};
use crate::{bail, ensure, err};

const IP_TOS: i32 = 1;
const IP_TTL: i32 = 2;
const IP_PKTINFO: i32 = 8;
const IPV6_PKTINFO: i32 = 50;
const IPV6_HOPLIMIT: i32 = 52;
const IPV6_DONTFRAG: i32 = 62;
const IPV6_TCLASS: i32 = 67;

/// Changes `flow` as the messages say. `v6`: the socket is of `AF_INET6`; `bound`: the device that it or the
/// address names. `EINVAL`, `ENODEV`.
pub fn apply(net: &Net<'_>, flow: &mut Flow, v6: bool, bound: u32, control: &[ControlMessage]) -> Result<()> {
    for (level, kind, data) in control {
        match (flow.dst, *level) {
            (_, SOL_SOCKET) => {}
            (IpAddr::V4(_), SOL_IP) => apply4(net, flow, *kind, data)?,
            (IpAddr::V4(_), SOL_IPV6) if v6 && *kind == IPV6_PKTINFO => {
                let (addr, ifindex) = packet_info6(data)?;
                let mapped = addr.to_ipv4_mapped();
                let addr = mapped.ok_or(err!(EINVAL, "IPV6_PKTINFO: to IPv4"))?;
                come_from(net, flow, addr, ifindex)?;
            }
            (IpAddr::V6(_), SOL_IPV6) => apply6(net, flow, bound, *kind, data)?,
            _ => {}
        }
    }
    Ok(())
}

fn apply4(net: &Net<'_>, flow: &mut Flow, kind: i32, data: &[u8]) -> Result<()> {
    match (kind, data) {
        (IP_TTL, _) => {
            let ttl = number(data)?;
            ensure!((1..=255).contains(&ttl), EINVAL, "IP_TTL: out of range");
            flow.ttl = Some(ttl as u8);
        }
        (IP_TOS, &[tos]) => flow.tos = tos,
        (IP_TOS, _) => {
            let tos = u8::try_from(number(data)?);
            flow.tos = tos.map_err(|_| err!(EINVAL, "IP_TOS: out of range"))?;
        }
        // `struct in_pktinfo`: the device, the address to come from, and one that only a receiver is told.
        (IP_PKTINFO, &[i0, i1, i2, i3, a, b, c, d, _, _, _, _]) => {
            let ifindex = u32::from_ne_bytes([i0, i1, i2, i3]);
            come_from(net, flow, Ipv4Addr::new(a, b, c, d), ifindex)?;
        }
        _ => bail!(EINVAL, "no such control message of IPv4"),
    }
    Ok(())
}

/// Leaves by this device, if it is one, with this address, if it is one.
fn come_from(net: &Net<'_>, flow: &mut Flow, addr: Ipv4Addr, ifindex: u32) -> Result<()> {
    if ifindex != 0 {
        flow.oif = ifindex;
    }
    if !addr.is_unspecified() {
        // The route refuses groups and the broadcast address.
        let fine = addr.is_multicast() || addr.is_broadcast() || net.is_local(addr.into());
        ensure!(fine || flow.hdrincl, ENETUNREACH, "IP_PKTINFO: not of this host");
        flow.src = Some(addr.into());
    }
    Ok(())
}

fn apply6(net: &Net<'_>, flow: &mut Flow, bound: u32, kind: i32, data: &[u8]) -> Result<()> {
    match kind {
        IPV6_HOPLIMIT => {
            let hops = number(data)?;
            ensure!((-1..=255).contains(&hops), EINVAL, "IPV6_HOPLIMIT: out of range");
            flow.ttl = u8::try_from(hops).ok().or(flow.ttl);
        }
        IPV6_DONTFRAG => {
            let on = number(data)?;
            ensure!((0..=1).contains(&on), EINVAL, "IPV6_DONTFRAG: 0 or 1");
            flow.dont_frag = on != 0;
        }
        IPV6_TCLASS => {
            let class = number(data)?;
            ensure!((-1..=255).contains(&class), EINVAL, "IPV6_TCLASS: out of range");
            flow.tos = u8::try_from(class).unwrap_or(flow.tos);
        }
        IPV6_PKTINFO => {
            let (addr, ifindex) = packet_info6(data)?;
            ensure!(
                bound == 0 || ifindex == 0 || ifindex == bound,
                EINVAL,
                "IPV6_PKTINFO: bound to another device"
            );
            let device = if ifindex != 0 { ifindex } else { bound };
            if device != 0 {
                net.device(device).ok_or(err!(ENODEV, "IPV6_PKTINFO"))?;
                flow.oif = device;
            } else {
                let narrow = addr.is_unicast_link_local();
                ensure!(!narrow, EINVAL, "IPV6_PKTINFO: of which link?");
            }
            if !addr.is_unspecified() {
                ensure!(
                    net.is_local(addr.into()),
                    EINVAL,
                    "IPV6_PKTINFO: not of this host"
                );
                flow.src = Some(addr.into());
            }
        }
        _ => bail!(EINVAL, "no such control message of IPv6"),
    }
    Ok(())
}

fn number(data: &[u8]) -> Result<i32> {
    let bytes = data
        .try_into()
        .map_err(|_| err!(EINVAL, "the control message is an int"))?;
    Ok(i32::from_ne_bytes(bytes))
}

/// `struct in6_pktinfo`, or something that begins so.
fn packet_info6(data: &[u8]) -> Result<(Ipv6Addr, u32)> {
    let short = err!(EINVAL, "IPV6_PKTINFO: too short");
    let (Some(addr), Some(ifindex)) = (data.first_chunk::<16>(), data.get(16..20)) else {
        return Err(short);
    };
    let ifindex = ifindex
        .first_chunk()
        .map_or(0, |&bytes| u32::from_ne_bytes(bytes));
    Ok((Ipv6Addr::from(*addr), ifindex))
}
