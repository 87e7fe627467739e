//! IPv6 (RFC 8200): where packets go and come from, what is cut and what is forwarded.

use core::net::{IpAddr, Ipv6Addr};

use smoltcp::wire::{IpProtocol, Ipv6Packet};

use super::conf::ConfKey;
use super::headers6::{Headers, Verdict, ext, options};
use super::ip4::{Dst, LO, proto};
use super::mib::Counter;
use super::packet::Packet;
use super::route::{RouteType, key, mask, scope, table};
use super::sockets::Delivery;
use super::{Flow, Net};
use crate::error::Result;
use crate::net::stack::address::{IfaFlags, scope6};
use crate::{bail, ensure, err};

pub(super) const HLEN6: usize = 40;
pub(super) const FRAGMENT_HLEN: usize = 8;

impl Net<'_> {
    /// The address that a packet to `dst` through a device comes from (RFC 6724: the scope, then one that
    /// is not deprecated, then the longest common prefix).
    pub(super) fn source6(&self, ifindex: u32, dst: Ipv6Addr) -> Option<Ipv6Addr> {
        let wanted = scope6(dst);
        let dst_key = u128::from(dst);
        let usable = |ifindex: u32| {
            let addrs = self.device(ifindex).map_or(&[][..], |dev| &dev.addrs[..]);
            addrs.iter().filter_map(|addr| match addr.addr {
                IpAddr::V6(own) if addr.usable() => {
                    Some((own, addr.scope, addr.flags.contains(IfaFlags::DEPRECATED)))
                }
                _ => None,
            })
        };
        let best = |ifindex: u32| {
            // Of several that are as good it is the first: the newest.
            let best = usable(ifindex).rev().max_by_key(|(own, have, old)| {
                let near = (u128::from(*own) ^ dst_key).leading_zeros();
                // The same scope is best, then a wider one.
                let fit = match *have {
                    have if have == wanted => 2,
                    have if have < wanted => 1,
                    _ => 0,
                };
                (*own == dst, fit, !old, near)
            });
            best.map(|(own, have, _)| (own, have))
        };
        let here = best(ifindex);
        if let Some((own, have)) = here
            && (have <= wanted || wanted >= scope::LINK)
        {
            return Some(own);
        }
        let all = self.state.devices.keys().filter_map(|other| best(*other));
        let wide = all
            .filter(|(_, have)| *have == scope::UNIVERSE)
            .map(|(own, _)| own);
        wide.max_by_key(|own| (u128::from(*own) ^ dst_key).leading_zeros())
            .or(here.map(|(own, _)| own))
    }

    /// Where a packet of a socket goes.
    pub fn route6(&self, dst: Ipv6Addr, src: Option<Ipv6Addr>, oif: u32) -> Result<Dst> {
        let src = src.filter(|src| !src.is_unspecified());
        let dst = if dst.is_unspecified() {
            Ipv6Addr::LOCALHOST
        } else {
            dst
        };
        let narrow = dst.is_unicast_link_local() || dst.is_multicast();
        let local = self
            .state
            .fib6
            .lookup_in(table::LOCAL, key(dst.into()), if narrow { oif } else { 0 });
        let route = match local {
            Some(route) if route.kind == RouteType::Local || route.kind == RouteType::Multicast => {
                Some(route)
            }
            _ => self.state.fib6.lookup(key(dst.into()), oif),
        };
        let route = route.ok_or(err!(ENETUNREACH, "there is no route"))?;
        match route.kind {
            RouteType::Unreachable => bail!(EHOSTUNREACH, "the route says so"),
            RouteType::Prohibit => bail!(EACCES, "the route says so"),
            RouteType::Blackhole => bail!(EINVAL, "the route says so"),
            _ => {}
        }
        let next = match route.gateway {
            Some(IpAddr::V6(gateway)) => gateway,
            _ => dst,
        };
        let prefsrc = match route.prefsrc {
            Some(IpAddr::V6(src)) => Some(src),
            _ => None,
        };
        let is_local = route.kind == RouteType::Local;
        let from = match src.or(prefsrc) {
            Some(src) => src,
            None if is_local => dst,
            None => match self.source6(route.oif, dst) {
                Some(src) => src,
                None => bail!(EADDRNOTAVAIL, "no address to send from"),
            },
        };
        let oif = if is_local { LO } else { route.oif };
        let dev = self.device(oif).ok_or(err!(ENETUNREACH))?;
        Ok(Dst {
            kind: route.kind,
            oif,
            next: next.into(),
            src: from.into(),
            mtu: if route.mtu != 0 {
                route.mtu.min(dev.mtu)
            } else {
                dev.mtu
            },
            cut: false,
        })
    }

    pub(super) fn ip6_send(
        &mut self,
        flow: &Flow,
        src: Option<Ipv6Addr>,
        dst: Ipv6Addr,
        packet: Packet,
    ) -> Result<()> {
        let route = self.route6(dst, src, flow.oif);
        if route.is_err() {
            self.count(Counter::Ip6OutNoRoutes);
        }
        let route = route?;
        let IpAddr::V6(src) = route.src else { bail!(EINVAL) };
        let dst = if dst.is_unspecified() {
            Ipv6Addr::LOCALHOST
        } else {
            dst
        };
        let route = self.path(route, dst.into());
        let (whole, mtu) = (self.mtu_of(flow, &route), self.mtu_for(flow, &route));
        let fits = packet.len() + HLEN6 <= mtu as usize;
        ensure!(
            packet.len() <= 65535 && (fits || flow.pmtu.cuts() && !flow.dont_frag),
            EMSGSIZE,
            "longer than the MTU"
        );
        let ttl = match dst.is_multicast() {
            true => 1,
            false => self.conf_of(route.oif, ConfKey::HopLimit) as u8,
        };
        let ttl = flow.ttl.unwrap_or(ttl);
        let packet = self.header6(packet, flow.protocol, src, dst, ttl, flow.tos);
        if dst.is_multicast() && route.oif != LO {
            if flow.mc_loop && self.is_member(route.oif, dst.into(), src.into(), false) {
                self.ip6_local(route.oif, packet.clone());
            }
            // It was for this host alone.
            if ttl == 0 || dst.octets()[1] & 15 <= 1 {
                return Ok(());
            }
        }
        self.ip6_output(route.oif, route.next, (whole, mtu), packet);
        Ok(())
    }

    /// Sends a packet without extension headers, in fragments of another size if it is too long as a whole.
    fn ip6_output(&mut self, oif: u32, next: IpAddr, (whole, mtu): (u32, u32), mut packet: Packet) {
        if packet.len() <= whole as usize {
            self.link_output(oif, next, packet);
            return;
        }
        let room = (mtu as usize).saturating_sub(HLEN6 + FRAGMENT_HLEN) & !7;
        if room == 0 {
            self.count(Counter::Ip6FragFails);
            return;
        }
        packet.complete();
        let id = (self.stack.shared.rng.next_u64() as u32).max(1).to_be_bytes();
        let (header, payload) = packet.data().split_at(HLEN6);
        let count = payload.len().div_ceil(room);
        self.count(Counter::Ip6FragOKs);
        self.stack.mib.add_many(Counter::Ip6FragCreates, count as u64);
        for (n, part) in payload.chunks(room).enumerate() {
            let mut fragment = Packet::new(part);
            fragment.local = packet.local;
            fragment.hops = packet.hops;
            let data = fragment.push(FRAGMENT_HLEN);
            data[..2].copy_from_slice(&[header[6], 0]);
            let place = (n * room) as u16 | (n + 1 < count) as u16;
            data[2..4].copy_from_slice(&place.to_be_bytes());
            data[4..8].copy_from_slice(&id);
            fragment.push(HLEN6)[..HLEN6].copy_from_slice(header);
            let mut header = Ipv6Packet::new_unchecked(fragment.data_mut());
            header.set_payload_len((FRAGMENT_HLEN + part.len()) as u16);
            header.set_next_header(IpProtocol::Ipv6Frag);
            self.link_output(oif, next, fragment);
        }
    }

    /// Puts a header in front.
    pub(super) fn header6(
        &self,
        mut packet: Packet,
        protocol: u8,
        src: Ipv6Addr,
        dst: Ipv6Addr,
        ttl: u8,
        tos: u8,
    ) -> Packet {
        let len = packet.len();
        self.count(Counter::Ip6OutRequests);
        self.stack
            .mib
            .add_many(Counter::Ip6OutOctets, (len + HLEN6) as u64);
        if dst.is_multicast() {
            self.count(Counter::Ip6OutMcastPkts);
        }
        if protocol == proto::ICMPV6 {
            self.count(Counter::Icmp6OutMsgs);
        }
        packet.push(HLEN6);
        packet.local = true;
        let mut header = Ipv6Packet::new_unchecked(packet.data_mut());
        header.set_version(6);
        header.set_traffic_class(tos);
        header.set_flow_label(0);
        header.set_payload_len(len as u16);
        header.set_next_header(IpProtocol::from(protocol));
        header.set_hop_limit(ttl);
        header.set_src_addr(src);
        header.set_dst_addr(dst);
        packet
    }

    /// A packet came in.
    pub(super) fn ip6_input(&mut self, ifindex: u32, mut packet: Packet) {
        self.count(Counter::Ip6InReceives);
        self.stack.mib.add_many(Counter::Ip6InOctets, packet.len() as u64);
        let Ok(header) = Ipv6Packet::new_checked(packet.data()) else {
            self.count(Counter::Ip6InHdrErrors);
            return;
        };
        let (src, dst) = (header.src_addr(), header.dst_addr());
        let total = header.total_len();
        let loopback = ifindex == LO;
        let on = self.device(ifindex).is_some() && self.conf_of(ifindex, ConfKey::DisableIpv6) == 0;
        if header.version() != 6
            || !on
            || src.is_multicast()
            || dst.is_unspecified()
            || !loopback && (src.is_loopback() || dst.is_loopback())
        {
            return;
        }
        packet.trim(total);
        let first = Headers::of(packet.data());
        if first.next == ext::HOP_BY_HOP {
            let Some(end) = first.skip(packet.data()) else {
                self.count(Counter::Ip6InHdrErrors);
                return;
            };
            if !self.options_fine(&packet, first.at, end.at, true) {
                return;
            }
        }
        if dst.is_multicast() {
            self.count(Counter::Ip6InMcastPkts);
            if self.is_member(ifindex, dst.into(), src.into(), false) {
                self.ip6_local(ifindex, packet);
            }
            return;
        }
        let narrow = dst.is_unicast_link_local() && !loopback;
        let oif = if narrow { ifindex } else { 0 };
        let local = self.state.fib6.lookup_in(table::LOCAL, key(dst.into()), oif);
        match local.map(|route| route.kind) {
            Some(RouteType::Local) => self.ip6_local(ifindex, packet),
            _ if narrow => {}
            _ => self.ip6_forward(ifindex, packet),
        }
    }

    fn ip6_forward(&mut self, ifindex: u32, mut packet: Packet) {
        if self.state.conf_all.get(ConfKey::Forwarding6) == 0 || ifindex == LO {
            return;
        }
        let header = Ipv6Packet::new_unchecked(packet.data());
        let (src, dst, ttl) = (header.src_addr(), header.dst_addr(), header.hop_limit());
        if src.is_unspecified() || src.is_unicast_link_local() {
            return;
        }
        if ttl <= 1 {
            self.icmp6_error(&packet, 3, 0, 0);
            return;
        }
        let route = match self.route6(dst, Some(src), 0) {
            Ok(route) if route.kind == RouteType::Unicast => route,
            Ok(_) => return,
            Err(_) => {
                self.icmp6_error(&packet, 1, 0, 0);
                return;
            }
        };
        if packet.len() > route.mtu as usize {
            self.count(Counter::Ip6InTooBigErrors);
            self.count(Counter::Ip6FragFails);
            self.icmp6_error(&packet, 2, 0, route.mtu);
            return;
        }
        Ipv6Packet::new_unchecked(packet.data_mut()).set_hop_limit(ttl - 1);
        packet.local = false;
        self.count(Counter::Ip6OutForwDatagrams);
        self.link_output(route.oif, route.next, packet);
    }

    /// A packet for us: behind its extension headers is the transport.
    fn ip6_local(&mut self, ifindex: u32, mut packet: Packet) {
        let mut here = Headers::of(packet.data());
        let mut whole = false;
        loop {
            let next = match here.next {
                ext::FRAGMENT if whole => {
                    self.count(Counter::Ip6InHdrErrors);
                    self.icmp6_error(&packet, 4, 0, here.at as u32);
                    return;
                }
                ext::FRAGMENT => {
                    let Some(joined) = self.reassemble6(ifindex, packet, here) else {
                        return;
                    };
                    packet = joined;
                    whole = true;
                    here.next = packet.data()[here.next_at];
                    continue;
                }
                // It is looked at before the packet's way is.
                ext::HOP_BY_HOP if here.at == HLEN6 => here.skip(packet.data()),
                ext::ROUTING => match packet.data().get(here.at + 3) {
                    Some(0) => here.skip(packet.data()),
                    // There is more of the way, which no sender chooses here.
                    Some(_) => {
                        self.count(Counter::Ip6InHdrErrors);
                        self.icmp6_error(&packet, 4, 0, here.at as u32 + 2);
                        return;
                    }
                    None => None,
                },
                ext::DESTINATION => {
                    let next = here.skip(packet.data());
                    if let Some(next) = next
                        && !self.options_fine(&packet, here.at, next.at, false)
                    {
                        return;
                    }
                    next
                }
                _ => break,
            };
            let Some(next) = next else {
                self.count(Counter::Ip6InHdrErrors);
                return;
            };
            here = next;
        }
        let header = Ipv6Packet::new_unchecked(packet.data());
        let delivery = Delivery {
            transport: here.at,
            src: header.src_addr().into(),
            dst: header.dst_addr().into(),
            protocol: here.next,
            ifindex,
            ttl: header.hop_limit(),
            tos: header.traffic_class(),
            error: None,
            packet,
        };
        let raw = self.deliver_raw(&delivery);
        let known = matches!(here.next, proto::ICMPV6 | proto::UDP | proto::TCP | ext::NONE);
        self.count(match known || raw {
            true => Counter::Ip6InDelivers,
            false => Counter::Ip6InUnknownProtos,
        });
        match here.next {
            proto::ICMPV6 => self.icmp6_input(delivery),
            proto::UDP => self.udp_input(delivery),
            proto::TCP => self.tcp_input(delivery),
            ext::NONE => {}
            _ if !raw => self.icmp6_error(&delivery.packet, 4, 1, here.next_at as u32),
            _ => {}
        }
    }

    /// Whether the options of a header let the packet pass; if not, its sender is told if they say so.
    fn options_fine(&mut self, packet: &Packet, at: usize, end: usize, hop_by_hop: bool) -> bool {
        let dst = Ipv6Packet::new_unchecked(packet.data()).dst_addr();
        match options(packet.data(), at, end, hop_by_hop, dst) {
            Verdict::Fine => return true,
            Verdict::Drop => {}
            Verdict::Tell(pointer) => self.icmp6_error(packet, 4, 2, pointer),
        }
        self.count(Counter::Ip6InHdrErrors);
        false
    }
}

/// The multicast address on which the owner of `addr` is asked (RFC 4291, 2.7.1).
pub fn solicited_node(addr: Ipv6Addr) -> Ipv6Addr {
    let low = u128::from(addr) & !mask(104);
    Ipv6Addr::from(0xff02_0000_0000_0000_0000_0001_ff00_0000_u128 | low)
}
