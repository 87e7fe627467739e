//! IPv4 (RFC 791): where packets go, where they come from, what is forwarded.

use core::net::{IpAddr, Ipv4Addr};

use smoltcp::wire::{IpProtocol, Ipv4Packet};

use super::conf::ConfKey;
use super::mib::Counter;
use super::packet::{Packet, be16, checksum, fold, sum};
use super::route::{RouteType, key, mask, scope, table};
use super::sockets::{Delivery, Ends};
use super::{Job, Net};
use crate::error::Result;
use crate::{bail, ensure, err};

/// Transport protocols (`IPPROTO_*`).
#[allow(missing_docs)]
pub mod proto {
    pub const ICMP: u8 = 1;
    pub const IGMP: u8 = 2;
    pub const TCP: u8 = 6;
    pub const UDP: u8 = 17;
    pub const ICMPV6: u8 = 58;
}

/// `lo` is the first device of every namespace.
pub const LO: u32 = 1;
pub(super) const HLEN4: usize = 20;

/// `IP_MTU_DISCOVER` (`ip(7)`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum PmtuDiscovery {
    /// Cut here and on the way.
    Dont = 0,
    /// Cut here if it is too long for the path; what fits is never cut on the way.
    Want = 1,
    /// Never cut; `EMSGSIZE` if it is too long for the path.
    Do = 2,
    /// Likewise, but only the device's MTU counts.
    Probe = 3,
    /// Cut on the way; `EMSGSIZE` if it is too long for the device.
    Interface = 4,
    /// Cut here if it is too long for the device, and on the way.
    Omit = 5,
}

impl PmtuDiscovery {
    /// From the option's number.
    pub fn from_number(nr: i32) -> Option<PmtuDiscovery> {
        use PmtuDiscovery::*;
        [Dont, Want, Do, Probe, Interface, Omit]
            .into_iter()
            .find(|mode| *mode as i32 == nr)
    }
    /// Whether the path's MTU does not count.
    pub fn of_device(self) -> bool {
        matches!(self, Self::Probe | Self::Interface | Self::Omit)
    }
    /// Whether the sender cuts what is too long.
    pub fn cuts(self) -> bool {
        matches!(self, Self::Dont | Self::Want | Self::Omit)
    }
}

/// What a socket says of a packet that it sends.
#[derive(Clone, Debug)]
pub struct Flow {
    /// Where it comes from, if the socket is bound.
    pub src: Option<IpAddr>,
    /// Where it goes.
    pub dst: IpAddr,
    /// Its transport protocol.
    pub protocol: u8,
    /// Time to live; `None` for the default.
    pub ttl: Option<u8>,
    /// Type of service.
    pub tos: u8,
    /// Only through this device, if not 0.
    pub oif: u32,
    /// Whether it may be cut, and by whom.
    pub pmtu: PmtuDiscovery,
    /// Of IPv6: what is longer than this is cut (`IPV6_MTU`); 0: the path alone counts.
    pub frag_size: u32,
    /// Of IPv6: never cut (`IPV6_DONTFRAG`).
    pub dont_frag: bool,
    /// The packet begins with its own header (`IP_HDRINCL`).
    pub hdrincl: bool,
    /// What is sent to a group comes back to members on this host (`IP_MULTICAST_LOOP`).
    pub mc_loop: bool,
}

impl Flow {
    /// A packet of this protocol to `dst`.
    pub fn new(protocol: u8, dst: IpAddr) -> Flow {
        Flow {
            src: None,
            dst,
            protocol,
            ttl: None,
            tos: 0,
            oif: 0,
            pmtu: PmtuDiscovery::Want,
            frag_size: 0,
            dont_frag: false,
            hdrincl: false,
            mc_loop: false,
        }
    }
}

/// What a route says of a packet.
#[derive(Clone, Copy, Debug)]
pub struct Dst {
    /// What the destination is.
    pub kind: RouteType,
    /// The device.
    pub oif: u32,
    /// The neighbour.
    pub next: IpAddr,
    /// The source address.
    pub src: IpAddr,
    /// Largest packet.
    pub mtu: u32,
    /// The path is so narrow that packets are cut on it: none asks for not being cut.
    pub cut: bool,
}

impl Net<'_> {
    /// The address of a device that `target` should see (Linux's `inet_select_addr`).
    pub(super) fn source4(&self, ifindex: u32, target: Ipv4Addr) -> Option<Ipv4Addr> {
        let of = |ifindex: u32| {
            let addrs = self.device(ifindex).map_or(&[][..], |dev| &dev.addrs[..]);
            addrs.iter().filter_map(|addr| match addr.addr {
                IpAddr::V4(own) => Some((own, addr)),
                IpAddr::V6(_) => None,
            })
        };
        let near = of(ifindex).find(|(_, addr)| {
            addr.scope <= scope::LINK && (key(addr.peer) ^ key(target.into())) & mask(addr.prefix) == 0
        });
        let first = || of(ifindex).find(|(_, addr)| addr.scope <= scope::LINK);
        let any = || {
            let mut all = self.state.devices.keys().flat_map(|other| of(*other));
            all.find(|(_, addr)| addr.scope < scope::LINK)
        };
        near.or_else(first).or_else(any).map(|(own, _)| own)
    }

    /// Where a packet of a socket goes (Linux's `ip_route_output_key`). `ENETUNREACH`, `EHOSTUNREACH`,
    /// `EACCES`, `EINVAL`, `ENODEV`.
    pub fn route4(&self, dst: Ipv4Addr, src: Option<Ipv4Addr>, oif: u32) -> Result<Dst> {
        let src = src.filter(|src| !src.is_unspecified());
        if let Some(src) = src {
            ensure!(
                !src.is_multicast() && !src.is_broadcast(),
                EINVAL,
                "no packet comes from there"
            );
        }
        let dst = if dst.is_unspecified() {
            src.unwrap_or(Ipv4Addr::LOCALHOST)
        } else {
            dst
        };
        let mut oif = oif;
        if oif != 0 {
            self.device(oif).ok_or(err!(ENODEV))?;
        }
        let to_many = dst.is_multicast() || dst.is_broadcast();
        if oif == 0
            && to_many
            && let Some(src) = src
        {
            let owner = self
                .state
                .devices
                .values()
                .find(|dev| dev.addrs.iter().any(|a| a.addr == IpAddr::V4(src)));
            oif = owner.map_or(0, |dev| dev.ifindex);
        }
        let direct = |oif: u32, kind: RouteType| -> Result<Dst> {
            let dev = self.device(oif).ok_or(err!(ENODEV))?;
            ensure!(dev.is_up(), ENETUNREACH, "the device is down");
            Ok(Dst {
                kind,
                oif,
                next: dst.into(),
                src: src
                    .or_else(|| self.source4(oif, dst))
                    .unwrap_or(Ipv4Addr::UNSPECIFIED)
                    .into(),
                mtu: dev.mtu,
                cut: false,
            })
        };
        if to_many && oif != 0 {
            let kind = if dst.is_multicast() {
                RouteType::Multicast
            } else {
                RouteType::Broadcast
            };
            return direct(oif, kind);
        }
        let local = self.state.fib4.lookup_in(table::LOCAL, key(dst.into()), 0);
        let route = match local {
            Some(route) if oif == 0 || route.kind == RouteType::Local => Some(route),
            _ => self.state.fib4.lookup(key(dst.into()), oif),
        };
        let Some(route) = route else {
            if oif != 0 {
                return direct(oif, RouteType::Unicast);
            }
            bail!(ENETUNREACH, "there is no route");
        };
        match route.kind {
            RouteType::Unreachable => bail!(EHOSTUNREACH, "the route says so"),
            RouteType::Prohibit => bail!(EACCES, "the route says so"),
            RouteType::Blackhole => bail!(EINVAL, "the route says so"),
            _ => {}
        }
        let next = match route.gateway {
            Some(IpAddr::V4(gateway)) => gateway,
            _ => dst,
        };
        let prefsrc = match route.prefsrc {
            Some(IpAddr::V4(src)) => Some(src),
            _ => None,
        };
        let local = route.kind == RouteType::Local;
        let chosen = match src.or(prefsrc) {
            Some(src) => src,
            None if local => dst,
            None => self.source4(route.oif, next).unwrap_or(Ipv4Addr::UNSPECIFIED),
        };
        let oif = if local { LO } else { route.oif };
        let dev = self.device(oif).ok_or(err!(ENETUNREACH))?;
        Ok(Dst {
            kind: route.kind,
            oif,
            next: next.into(),
            src: if local && src.is_none() && prefsrc.is_none() {
                dst.into()
            } else {
                chosen.into()
            },
            mtu: if route.mtu != 0 {
                route.mtu.min(dev.mtu)
            } else {
                dev.mtu
            },
            cut: false,
        })
    }

    /// Sends what a socket sends, of either family.
    pub fn ip_send(&mut self, flow: &Flow, packet: Packet) -> Result<()> {
        match (flow.dst, flow.src) {
            (IpAddr::V4(dst), Some(IpAddr::V4(src))) => self.ip4_send(flow, Some(src), dst, packet),
            (IpAddr::V4(dst), _) => self.ip4_send(flow, None, dst, packet),
            (IpAddr::V6(dst), Some(IpAddr::V6(src))) => self.ip6_send(flow, Some(src), dst, packet),
            (IpAddr::V6(dst), _) => self.ip6_send(flow, None, dst, packet),
        }
    }

    fn ip4_send(
        &mut self,
        flow: &Flow,
        src: Option<Ipv4Addr>,
        dst: Ipv4Addr,
        mut packet: Packet,
    ) -> Result<()> {
        let route = self.route4(dst, src, flow.oif);
        if route.is_err() {
            self.count(Counter::IpOutNoRoutes);
        }
        let route = self.path(route?, dst.into());
        let (IpAddr::V4(next), IpAddr::V4(src)) = (route.next, route.src) else {
            bail!(EINVAL)
        };
        packet.local = true;
        let size = packet.len() + if flow.hdrincl { 0 } else { HLEN4 };
        ensure!(size <= 65535, EMSGSIZE, "longer than an IPv4 packet");
        let mtu = self.mtu_for(flow, &route);
        if flow.hdrincl {
            ensure!(size <= mtu as usize, EMSGSIZE, "longer than the MTU");
            self.complete_header(&mut packet, src)?;
        } else {
            ensure!(
                size <= mtu as usize || flow.pmtu.cuts(),
                EMSGSIZE,
                "longer than the MTU"
            );
            let id = self.next_id();
            packet.push(HLEN4);
            let mut header = Ipv4Packet::new_unchecked(packet.data_mut());
            header.set_version(4);
            header.set_header_len(HLEN4 as u8);
            header.set_dscp(flow.tos >> 2);
            header.set_ecn(flow.tos & 3);
            header.set_total_len(size as u16);
            header.set_ident(id);
            header.clear_flags();
            header.set_more_frags(false);
            header.set_frag_offset(0);
            header.set_dont_frag(match flow.pmtu {
                PmtuDiscovery::Do | PmtuDiscovery::Probe => true,
                PmtuDiscovery::Want => size <= mtu as usize && !route.cut,
                _ => false,
            });
            let ttl = if dst.is_multicast() {
                1
            } else {
                self.stack.sysctl.ip_default_ttl.get() as u8
            };
            header.set_hop_limit(flow.ttl.unwrap_or(ttl));
            header.set_next_header(IpProtocol::from(flow.protocol));
            header.set_src_addr(src);
            header.set_dst_addr(dst_of(dst, src));
            header.fill_checksum();
        }
        self.count(Counter::IpOutRequests);
        if flow.protocol == proto::ICMP && !flow.hdrincl {
            self.count(Counter::IcmpOutMsgs);
            match packet.data().get(HLEN4) {
                Some(0) => self.count(Counter::IcmpOutEchoReps),
                Some(3) => self.count(Counter::IcmpOutDestUnreachs),
                Some(8) => self.count(Counter::IcmpOutEchos),
                Some(11) => self.count(Counter::IcmpOutTimeExcds),
                _ => {}
            }
        }
        match route.kind {
            RouteType::Broadcast => self.count(Counter::IpExtOutBcastPkts),
            RouteType::Multicast => self.count(Counter::IpExtOutMcastPkts),
            _ => {}
        }
        let members = || self.is_member(route.oif, dst.into(), src.into(), flow.protocol == proto::IGMP);
        let ours = match route.kind {
            RouteType::Broadcast => true,
            RouteType::Multicast => flow.mc_loop && members(),
            _ => false,
        };
        if ours && route.oif != LO {
            // Everyone includes ourselves.
            let mut copy = packet.clone();
            copy.local = true;
            let header_len = (copy.data()[0] & 15) as usize * 4;
            self.ip4_local(route.oif, copy, header_len);
        }
        if dst.is_multicast() && packet.data()[8] == 0 {
            // It was for this host alone.
            return Ok(());
        }
        self.ip4_output(route.oif, next.into(), mtu, packet);
        Ok(())
    }

    fn next_id(&mut self) -> u16 {
        self.state.ip_id = self.state.ip_id.wrapping_add(1);
        self.state.ip_id
    }

    /// Completes a header that a program made (`raw(7)`): length and checksum always, source and identifier if 0.
    fn complete_header(&mut self, packet: &mut Packet, src: Ipv4Addr) -> Result<()> {
        let id = self.next_id();
        let len = packet.len();
        let data = packet.data_mut();
        ensure!(
            len >= HLEN4 && (data[0] & 15) as usize * 4 <= len && data[0] & 15 >= 5,
            EINVAL,
            "no IPv4 header"
        );
        let mut header = Ipv4Packet::new_unchecked(data);
        header.set_total_len(len as u16);
        if header.src_addr().is_unspecified() {
            header.set_src_addr(src);
        }
        if header.ident() == 0 {
            header.set_ident(id);
        }
        header.fill_checksum();
        Ok(())
    }

    /// Sends a complete packet, in fragments if it is too long.
    pub(super) fn ip4_output(&mut self, oif: u32, next: IpAddr, mtu: u32, mut packet: Packet) {
        self.stack
            .mib
            .add_many(Counter::IpExtOutOctets, packet.len() as u64);
        if packet.len() <= mtu as usize {
            self.link_output(oif, next, packet);
            return;
        }
        let header_len = (packet.data()[0] & 15) as usize * 4;
        let room = (mtu as usize).saturating_sub(header_len) & !7;
        if room == 0 {
            return;
        }
        packet.complete();
        let before = Ipv4Packet::new_unchecked(packet.data()).frag_offset() as usize;
        let more_after = Ipv4Packet::new_unchecked(packet.data()).more_frags();
        let payload = &packet.data()[header_len..];
        let count = payload.len().div_ceil(room);
        self.count(Counter::IpFragOKs);
        self.stack.mib.add_many(Counter::IpFragCreates, count as u64);
        for (n, part) in payload.chunks(room).enumerate() {
            let mut fragment = Packet::new(part);
            fragment.local = packet.local;
            fragment.hops = packet.hops;
            fragment.push(header_len)[..header_len].copy_from_slice(&packet.data()[..header_len]);
            let mut header = Ipv4Packet::new_unchecked(fragment.data_mut());
            header.set_total_len((header_len + part.len()) as u16);
            header.set_dont_frag(false);
            header.set_more_frags(n + 1 < count || more_after);
            header.set_frag_offset((before + n * room) as u16);
            header.fill_checksum();
            self.link_output(oif, next, fragment);
        }
    }

    /// A packet came in.
    pub(super) fn ip4_input(&mut self, ifindex: u32, mut packet: Packet, to_all: bool) {
        let data = packet.data();
        self.count(Counter::IpInReceives);
        self.stack.mib.add_many(Counter::IpExtInOctets, data.len() as u64);
        let Ok(header) = Ipv4Packet::new_checked(data) else {
            self.count(Counter::IpInHdrErrors);
            return;
        };
        let header_len = header.header_len() as usize;
        if header.version() != 4 || header_len < HLEN4 || checksum(&data[..header_len]) != 0 {
            self.count(Counter::IpInHdrErrors);
            return;
        }
        let (src, dst) = (header.src_addr(), header.dst_addr());
        let header_protocol: u8 = header.next_header().into();
        let total = header.total_len() as usize;
        packet.trim(total);
        let loopback = ifindex == LO;
        let on = |key: ConfKey| self.conf_max(ifindex, key) > 0;
        let martian = src.is_multicast()
            || src.is_broadcast()
            || !loopback && (src.is_loopback() || dst.is_loopback()) && !on(ConfKey::RouteLocalnet)
            || !loopback && !packet.local && self.is_local(src.into()) && !on(ConfKey::AcceptLocal)
            || !loopback && !packet.local && !self.reverse_path_fits(ifindex, src);
        if martian {
            return;
        }
        if dst.is_broadcast() || dst.is_multicast() {
            let about = header_protocol == proto::IGMP;
            if dst.is_multicast() && !self.is_member(ifindex, dst.into(), src.into(), about) {
                return;
            }
            self.count(match dst.is_multicast() {
                true => Counter::IpExtInMcastPkts,
                false => Counter::IpExtInBcastPkts,
            });
            self.ip4_local(ifindex, packet, header_len);
            return;
        }
        let local = self
            .state
            .fib4
            .lookup_in(table::LOCAL, key(dst.into()), 0)
            .map(|route| route.kind);
        match local {
            Some(RouteType::Local | RouteType::Broadcast) => self.ip4_local(ifindex, packet, header_len),
            _ if !to_all => self.ip4_forward(ifindex, packet),
            _ => {}
        }
    }

    /// `rp_filter`: 1: the way back to `src` leads through the device that the packet came from; 2: there is one.
    fn reverse_path_fits(&self, ifindex: u32, src: Ipv4Addr) -> bool {
        let mode = self.conf_max(ifindex, ConfKey::RpFilter);
        if mode <= 0 || src.is_unspecified() {
            return true;
        }
        let back = self.state.fib4.lookup(key(src.into()), 0);
        let back = back.filter(|route| matches!(route.kind, RouteType::Unicast | RouteType::Local));
        let fits = back.is_some_and(|route| mode == 2 || route.oif == ifindex);
        if !fits {
            self.count(Counter::TcpExtIPReversePathFilter);
        }
        fits
    }

    fn ip4_forward(&mut self, ifindex: u32, mut packet: Packet) {
        if self.conf_of(ifindex, ConfKey::Forwarding) == 0 || ifindex == LO {
            self.count(Counter::IpInAddrErrors);
            return;
        }
        let header = Ipv4Packet::new_unchecked(packet.data());
        let (dst, ttl, dont_frag) = (header.dst_addr(), header.hop_limit(), header.dont_frag());
        if ttl <= 1 {
            self.count(Counter::IpInHdrErrors);
            self.icmp4_error(&packet, 11, 0, 0);
            return;
        }
        let route = match self.route4(dst, None, 0) {
            Ok(route) if route.kind == RouteType::Unicast => route,
            Ok(_) => return,
            Err(error) => {
                let code = match error.errno() {
                    crate::error::Errno::EHOSTUNREACH => 1,
                    crate::error::Errno::EACCES => 13,
                    crate::error::Errno::ENETUNREACH => {
                        self.count(Counter::IpExtInNoRoutes);
                        0
                    }
                    _ => return,
                };
                self.icmp4_error(&packet, 3, code, 0);
                return;
            }
        };
        if packet.len() > route.mtu as usize && dont_frag {
            self.count(Counter::IpFragFails);
            self.icmp4_error(&packet, 3, 4, route.mtu);
            return;
        }
        let mut header = Ipv4Packet::new_unchecked(packet.data_mut());
        header.set_hop_limit(ttl - 1);
        header.fill_checksum();
        packet.local = false;
        self.count(Counter::IpForwDatagrams);
        self.ip4_output(route.oif, route.next, route.mtu, packet);
    }

    /// A packet for us.
    pub(super) fn ip4_local(&mut self, ifindex: u32, packet: Packet, header_len: usize) {
        let header = Ipv4Packet::new_unchecked(packet.data());
        let whole = if header.more_frags() || header.frag_offset() != 0 {
            self.count(Counter::IpReasmReqds);
            match self.reassemble4(packet, header_len) {
                Some(whole) => whole,
                None => return,
            }
        } else {
            packet
        };
        let header = Ipv4Packet::new_unchecked(whole.data());
        let delivery = Delivery {
            transport: header.header_len() as usize,
            src: header.src_addr().into(),
            dst: header.dst_addr().into(),
            protocol: header.next_header().into(),
            ifindex,
            ttl: header.hop_limit(),
            tos: whole.data()[1],
            error: None,
            packet: whole,
        };
        let raw = self.deliver_raw(&delivery);
        let known = matches!(
            delivery.protocol,
            proto::ICMP | proto::IGMP | proto::UDP | proto::TCP
        );
        self.count(match known || raw {
            true => Counter::IpInDelivers,
            false => Counter::IpInUnknownProtos,
        });
        match delivery.protocol {
            proto::ICMP => self.icmp4_input(delivery),
            proto::IGMP => self.igmp_input(&delivery),
            proto::UDP => self.udp_input(delivery),
            proto::TCP => self.tcp_input(delivery),
            _ if !raw => self.icmp4_error(&delivery.packet, 3, 2, 0),
            _ => {}
        }
    }

    /// Copies for raw sockets; whether there was one.
    pub(super) fn deliver_raw(&mut self, delivery: &Delivery) -> bool {
        let mut any = false;
        for raw in &self.state.sockets.raw {
            let fits = raw.protocol == delivery.protocol
                && raw.v6 == delivery.dst.is_ipv6()
                && (raw.ifindex == 0 || raw.ifindex == delivery.ifindex)
                && (raw.local.is_unspecified() || raw.local == delivery.dst)
                && (raw.remote.is_unspecified() || raw.remote == delivery.src);
            if fits && let Some(socket) = raw.socket.upgrade() {
                any = true;
                self.run.push(Job::Deliver(socket, delivery.copy()));
            }
        }
        any
    }

    /// A UDP datagram.
    pub(super) fn udp_input(&mut self, mut delivery: Delivery) {
        let data = &delivery.packet.data()[delivery.transport..];
        let [errors, bad_sums, no_ports] = match delivery.dst {
            IpAddr::V4(_) => [
                Counter::UdpInErrors,
                Counter::UdpInCsumErrors,
                Counter::UdpNoPorts,
            ],
            IpAddr::V6(_) => [
                Counter::Udp6InErrors,
                Counter::Udp6InCsumErrors,
                Counter::Udp6NoPorts,
            ],
        };
        if data.len() < 8 || (be16(data, 4) as usize) < 8 || be16(data, 4) as usize > data.len() {
            self.count(errors);
            return;
        }
        let len = be16(data, 4) as usize;
        let (src_port, dst_port) = (be16(data, 0), be16(data, 2));
        if be16(data, 6) != 0 && !verify(&delivery, &data[..len]) {
            self.count(errors);
            self.count(bad_sums);
            return;
        }
        delivery.packet.trim(delivery.transport + len);
        let to_many = match delivery.dst {
            IpAddr::V6(dst) => dst.is_multicast(),
            IpAddr::V4(dst) => dst.is_multicast() || !self.is_local(dst.into()),
        };
        let table = &self.state.sockets.udp;
        if to_many {
            let all = table.find_all(delivery.dst, dst_port, delivery.src, src_port, delivery.ifindex);
            for socket in all {
                self.run.push(Job::Deliver(socket, delivery.copy()));
            }
            return;
        }
        match table.find(delivery.dst, dst_port, delivery.src, src_port, delivery.ifindex) {
            Some(socket) => self.run.push(Job::Deliver(socket, delivery)),
            None => {
                self.count(no_ports);
                match delivery.dst {
                    IpAddr::V4(_) => self.icmp4_error(&delivery.packet, 3, 3, 0),
                    IpAddr::V6(_) => self.icmp6_error(&delivery.packet, 1, 4, 0),
                }
            }
        }
    }

    /// A TCP segment.
    pub(super) fn tcp_input(&mut self, delivery: Delivery) {
        let data = &delivery.packet.data()[delivery.transport..];
        self.count(Counter::TcpInSegs);
        if data.len() < 20 || !verify(&delivery, data) {
            self.count(Counter::TcpInErrs);
            if data.len() >= 20 {
                self.count(Counter::TcpInCsumErrors);
            }
            return;
        }
        let ends = Ends {
            local: delivery.dst,
            port: be16(data, 2),
            remote: delivery.src,
            remote_port: be16(data, 0),
        };
        let sockets = &self.state.sockets;
        let connection = sockets.connections.get(&ends).cloned();
        let socket = connection.or_else(|| {
            // Only the first segment of a connection concerns a listener.
            let first = data[13] & 0x17 == 0x02;
            let found = || {
                sockets.listeners.find(
                    ends.local,
                    ends.port,
                    ends.remote,
                    ends.remote_port,
                    delivery.ifindex,
                )
            };
            first.then(found).flatten()
        });
        match socket {
            Some(socket) => self.run.push(Job::Deliver(socket, delivery)),
            None => self.tcp_reset(&delivery),
        }
    }

    /// Answers a segment that nobody wants (RFC 9293, 3.10.7.1).
    pub fn tcp_reset(&mut self, delivery: &Delivery) {
        let data = &delivery.packet.data()[delivery.transport..];
        let word = |at: usize| u32::from_be_bytes([data[at], data[at + 1], data[at + 2], data[at + 3]]);
        let (flags, header) = (data[13], (data[12] >> 4) as usize * 4);
        if flags & 4 != 0 || header > data.len() {
            return;
        }
        let len = (data.len() - header) as u32 + (flags >> 1 & 1) as u32 + (flags & 1) as u32;
        let (seq, ack, out) = if flags & 0x10 != 0 {
            (word(8), 0, 0x04)
        } else {
            (0, word(4).wrapping_add(len), 0x14)
        };
        self.count(Counter::TcpOutSegs);
        self.count(Counter::TcpOutRsts);
        let mut reply = Packet::zeroed(20);
        let bytes = reply.data_mut();
        bytes[..2].copy_from_slice(&data[2..4]);
        bytes[2..4].copy_from_slice(&data[..2]);
        bytes[4..8].copy_from_slice(&seq.to_be_bytes());
        bytes[8..12].copy_from_slice(&ack.to_be_bytes());
        bytes[12] = 5 << 4;
        bytes[13] = out;
        let check = transport_checksum(delivery.dst, delivery.src, proto::TCP, bytes);
        bytes[16..18].copy_from_slice(&check.to_be_bytes());
        let mut flow = Flow::new(proto::TCP, delivery.src);
        flow.src = Some(delivery.dst);
        self.run.push(Job::Send(self.stack.clone(), flow, reply));
    }
}

/// 0.0.0.0 as a destination means this host.
fn dst_of(dst: Ipv4Addr, src: Ipv4Addr) -> Ipv4Addr {
    if dst.is_unspecified() { src } else { dst }
}

/// The sum of the pseudo header that TCP, UDP and ICMPv6 are protected with.
fn pseudo(src: IpAddr, dst: IpAddr, protocol: u8, len: usize) -> u64 {
    let of = |addr: IpAddr| match addr {
        IpAddr::V4(addr) => sum(&addr.octets()),
        IpAddr::V6(addr) => sum(&addr.octets()),
    };
    of(src) + of(dst) + protocol as u64 + len as u64
}

/// The part of a transport header's checksum that is about addresses and length.
pub fn pseudo_sum(src: IpAddr, dst: IpAddr, protocol: u8, len: usize) -> u16 {
    fold(pseudo(src, dst, protocol, len))
}

/// The checksum to put into a transport header whose own is 0.
pub fn transport_checksum(src: IpAddr, dst: IpAddr, protocol: u8, data: &[u8]) -> u16 {
    !fold(pseudo(src, dst, protocol, data.len()) + sum(data))
}

/// Whether the transport checksum is right.
fn verify(delivery: &Delivery, data: &[u8]) -> bool {
    // What never left the machine was not damaged on the way.
    delivery.ifindex == LO
        || delivery.packet.is_partial()
        || fold(pseudo(delivery.src, delivery.dst, delivery.protocol, data.len()) + sum(data)) == 0xffff
}
