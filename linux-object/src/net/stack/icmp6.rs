//! ICMPv6 (RFC 4443), neighbour discovery and the check for duplicate addresses (RFC 4861, RFC 4862).

use core::net::{IpAddr, Ipv6Addr};
use core::time::Duration;

use smallvec::SmallVec;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, Icmpv6Packet, Icmpv6Repr, Ipv6Packet, NdiscNeighborFlags, NdiscRepr, RawHardwareAddress,
};

use super::address::{IfAddr, IfaFlags};
use super::conf::ConfKey;
use super::device::{IfFlags, Mac};
use super::headers6::Headers;
use super::ip4::{proto, transport_checksum};
use super::ip6::{HLEN6, solicited_node};
use super::mcast::SOON;
use super::mib::Counter;
use super::packet::{Packet, be16, fold, sum};
use super::sockets::{Delivery, IcmpError};
use super::{Event, Flow, Job, Net};
use crate::error::Errno;
use crate::time::Ktime;

const ECHO: u8 = 128;
const ECHO_REPLY: u8 = 129;
/// `dad_transmits` questions, a second apart, and the random wait before the first.
const DAD_TIME: Duration = Duration::from_millis(1000);
const DAD_DELAY_MS: u64 = 1000;

const SOLICIT: u8 = 135;
const NS_LEN: usize = 24;
/// `ND_OPT_NONCE`.
const NONCE: u8 = 14;
const NONCE_LEN: usize = 8;
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

impl Net<'_> {
    fn ndisc_send(
        &mut self,
        ifindex: u32,
        src: Ipv6Addr,
        dst: Ipv6Addr,
        to: Option<Mac>,
        repr: NdiscRepr<'_>,
    ) {
        let repr = Icmpv6Repr::Ndisc(repr);
        let mut packet = Packet::zeroed(repr.buffer_len());
        let mut message = Icmpv6Packet::new_unchecked(packet.data_mut());
        repr.emit(&src, &dst, &mut message, &ChecksumCapabilities::default());
        let packet = self.header6(packet, proto::ICMPV6, src, dst, 255, 0);
        match to {
            Some(mac) => self.eth_output(ifindex, mac, packet, true),
            None => self.link_output(ifindex, dst.into(), packet),
        }
    }

    /// Asks who has `target`; with `to` only that device.
    pub(super) fn ndp_solicit(&mut self, ifindex: u32, target: Ipv6Addr, to: Option<Mac>) {
        let Some(src) = self.source6(ifindex, target) else {
            return;
        };
        let Some(dev) = self.device(ifindex) else { return };
        let mac = RawHardwareAddress::from(EthernetAddress(dev.mac));
        let dst = if to.is_some() {
            target
        } else {
            solicited_node(target)
        };
        let repr = NdiscRepr::NeighborSolicit {
            target_addr: target,
            lladdr: Some(mac),
        };
        self.ndisc_send(ifindex, src, dst, to, repr);
    }

    /// An ICMPv6 message for us.
    pub(super) fn icmp6_input(&mut self, delivery: Delivery) {
        let (IpAddr::V6(src), IpAddr::V6(dst)) = (delivery.src, delivery.dst) else {
            return;
        };
        let message = delivery.transport();
        self.count(Counter::Icmp6InMsgs);
        if message.len() < 8 {
            self.count(Counter::Icmp6InErrors);
            return;
        }
        let check = sum(&src.octets())
            + sum(&dst.octets())
            + proto::ICMPV6 as u64
            + message.len() as u64
            + sum(message);
        if fold(check) != 0xffff {
            self.count(Counter::Icmp6InErrors);
            self.count(Counter::Icmp6InCsumErrors);
            return;
        }
        match message[0] {
            ECHO => {
                let mut reply = Packet::new(message);
                let data = reply.data_mut();
                data[0] = ECHO_REPLY;
                data[2..4].fill(0);
                let from = if dst.is_multicast() {
                    match self.source6(delivery.ifindex, src) {
                        Some(from) => from,
                        None => return,
                    }
                } else {
                    dst
                };
                let check = transport_checksum(from.into(), src.into(), proto::ICMPV6, data);
                data[2..4].copy_from_slice(&check.to_be_bytes());
                let mut flow = Flow::new(proto::ICMPV6, delivery.src);
                flow.src = Some(from.into());
                flow.oif = self.zone(src, delivery.ifindex);
                self.run.push(Job::Send(self.stack.clone(), flow, reply));
            }
            ECHO_REPLY => {
                let id = be16(message, 4);
                let sockets = &self.state.sockets.ping;
                if let Some(socket) = sockets.find(delivery.dst, id, delivery.src, 0, delivery.ifindex) {
                    self.run.push(Job::Deliver(socket, delivery));
                }
            }
            1..=4 => self.icmp6_error_input(&delivery),
            130..=132 => self.mld_input(&delivery),
            134 if delivery.ttl == 255 => self.router_input(&delivery),
            SOLICIT if self.is_own_echo(&delivery) => {}
            133..=137 if delivery.ttl == 255 => {
                let caps = ChecksumCapabilities::ignored();
                let Ok(packet) = Icmpv6Packet::new_checked(message) else {
                    return;
                };
                if let Ok(Icmpv6Repr::Ndisc(repr)) = Icmpv6Repr::parse(&src, &dst, &packet, &caps) {
                    self.ndisc_input(delivery.ifindex, src, dst, repr);
                }
            }
            _ => {}
        }
    }

    /// Whether it is our own check for a duplicate, sent back by the network.
    fn is_own_echo(&self, delivery: &Delivery) -> bool {
        let Some((target, option)) = delivery.transport().get(8..).and_then(|m| m.split_at_checked(16))
        else {
            return false;
        };
        let addrs = self
            .device(delivery.ifindex)
            .map_or(&[][..], |dev| &dev.addrs[..]);
        let same = |addr: &&IfAddr| matches!(addr.addr, IpAddr::V6(own) if own.octets() == target);
        let nonce = addrs.iter().find(same).and_then(|addr| addr.dad_nonce);
        nonce.is_some_and(|nonce| option.starts_with(&[NONCE, 1]) && option[2..].starts_with(&nonce))
    }

    /// The device that belongs to a link-local address, else 0.
    fn zone(&self, addr: Ipv6Addr, ifindex: u32) -> u32 {
        if addr.is_unicast_link_local() || addr.is_multicast() {
            ifindex
        } else {
            0
        }
    }

    fn ndisc_input(&mut self, ifindex: u32, src: Ipv6Addr, dst: Ipv6Addr, repr: NdiscRepr<'_>) {
        let mac_of = |addr: Option<RawHardwareAddress>| -> Option<Mac> {
            let addr = addr?;
            addr.as_bytes().try_into().ok()
        };
        match repr {
            NdiscRepr::NeighborSolicit { target_addr, lladdr } => {
                let own = self.device(ifindex).map(|dev| dev.mac);
                let have = self
                    .addr_mut(ifindex, target_addr.into())
                    .map(|addr| addr.usable());
                let (Some(usable), Some(own)) = (have, own) else {
                    return;
                };
                if !usable {
                    // Somebody else checks the same address.
                    if src.is_unspecified() {
                        self.dad_failed(ifindex, target_addr);
                    }
                    return;
                }
                let (to, to_mac) = if src.is_unspecified() {
                    (ALL_NODES, None)
                } else {
                    let mac = mac_of(lladdr);
                    if let Some(mac) = mac {
                        self.neigh_update(ifindex, src.into(), mac, false, true, true);
                    }
                    (src, mac)
                };
                let mut flags = NdiscNeighborFlags::OVERRIDE;
                flags.set(NdiscNeighborFlags::SOLICITED, !src.is_unspecified());
                flags.set(
                    NdiscNeighborFlags::ROUTER,
                    self.conf_of(ifindex, ConfKey::Forwarding6) != 0,
                );
                let repr = NdiscRepr::NeighborAdvert {
                    flags,
                    target_addr,
                    lladdr: Some(RawHardwareAddress::from(EthernetAddress(own))),
                };
                self.ndisc_send(ifindex, target_addr, to, to_mac, repr);
            }
            NdiscRepr::NeighborAdvert {
                flags,
                target_addr,
                lladdr,
            } => {
                if let Some(addr) = self.addr_mut(ifindex, target_addr.into()) {
                    if addr.flags.contains(IfaFlags::TENTATIVE) {
                        self.dad_failed(ifindex, target_addr);
                    }
                    return;
                }
                let known = self
                    .state
                    .neigh
                    .get(&(ifindex, target_addr.into()))
                    .map(|neigh| neigh.mac);
                let Some(mac) = mac_of(lladdr).or(known) else {
                    return;
                };
                let solicited = flags.contains(NdiscNeighborFlags::SOLICITED) && !dst.is_multicast();
                let over = flags.contains(NdiscNeighborFlags::OVERRIDE);
                self.neigh_update(ifindex, target_addr.into(), mac, solicited, false, over);
            }
            _ => {}
        }
    }

    /// Begins the check for a duplicate of an address; without one to do, it is usable at once.
    pub(super) fn start_dad(&mut self, ifindex: u32, addr: IpAddr) {
        let now = self.now();
        let Some(dev) = self.device(ifindex) else { return };
        let unchecked = self.conf_max(ifindex, ConfKey::AcceptDad) < 1;
        let skip = unchecked || dev.is_loopback() || dev.set_flags.contains(IfFlags::NOARP);
        let running = dev.is_running();
        // Switches that look at reports have to know of the group before answers go there (RFC 4862, 5.4.2).
        let delay = SOON * 2 + Duration::from_millis(self.stack.shared.rng.next_u64() % DAD_DELAY_MS);
        let Some(have) = self.addr_mut(ifindex, addr) else {
            return;
        };
        if skip || have.flags.contains(IfaFlags::NODAD) {
            have.flags -= IfaFlags::TENTATIVE;
            if running {
                self.address_ready(ifindex, addr);
            }
            return;
        }
        have.flags |= IfaFlags::TENTATIVE;
        if !running {
            return;
        }
        have.dad_until = Some(now + delay);
        have.dad_nonce = None;
        self.stack.arm(self.state, now + delay);
    }

    /// Asks whether anybody has the address. The nonce is how the question's own echo is known (RFC 7527).
    fn dad_ask(&mut self, ifindex: u32, target: Ipv6Addr, nonce: [u8; 6]) {
        let dst = solicited_node(target);
        let mut packet = Packet::zeroed(NS_LEN + NONCE_LEN);
        let data = packet.data_mut();
        data[0] = SOLICIT;
        data[8..NS_LEN].copy_from_slice(&target.octets());
        data[NS_LEN..NS_LEN + 2].copy_from_slice(&[NONCE, 1]);
        data[NS_LEN + 2..].copy_from_slice(&nonce);
        let check = transport_checksum(Ipv6Addr::UNSPECIFIED.into(), dst.into(), proto::ICMPV6, data);
        data[2..4].copy_from_slice(&check.to_be_bytes());
        let packet = self.header6(packet, proto::ICMPV6, Ipv6Addr::UNSPECIFIED, dst, 255, 0);
        self.link_output(ifindex, dst.into(), packet);
    }

    /// Asks for addresses whose turn it is; those that nobody else has are usable.
    pub(super) fn dad_timer(&mut self) {
        let now = self.now();
        let nonce = self.stack.shared.rng.next_u64().to_le_bytes();
        let [a, b, c, d, e, f, ..] = nonce;
        let nonce = [a, b, c, d, e, f];
        let mut ask: SmallVec<[(u32, Ipv6Addr); 4]> = SmallVec::new();
        let mut done: SmallVec<[(u32, IpAddr); 4]> = SmallVec::new();
        let mut next: Option<Ktime> = None;
        for dev in self.state.devices.values_mut() {
            let ifindex = dev.ifindex;
            for addr in dev.addrs.iter_mut() {
                match (addr.dad_until, addr.addr) {
                    (Some(until), IpAddr::V6(own)) if until <= now && addr.dad_nonce.is_none() => {
                        addr.dad_nonce = Some(nonce);
                        addr.dad_until = Some(now + DAD_TIME);
                        ask.push((ifindex, own));
                    }
                    (Some(until), _) if until <= now => {
                        addr.dad_until = None;
                        addr.dad_nonce = None;
                        addr.flags -= IfaFlags::TENTATIVE;
                        done.push((ifindex, addr.addr));
                    }
                    _ => {}
                }
                if let Some(until) = addr.dad_until {
                    next = Some(next.map_or(until, |at| at.min(until)));
                }
            }
        }
        for (ifindex, addr) in ask {
            self.dad_ask(ifindex, addr, nonce);
        }
        for (ifindex, addr) in done {
            self.event(Event::NewAddr(ifindex, addr));
            self.address_ready(ifindex, addr);
        }
        if let Some(next) = next {
            self.stack.arm(self.state, next);
        }
    }

    /// A link-local address is in use: what the device is in is told from there, and routers are looked for.
    fn address_ready(&mut self, ifindex: u32, addr: IpAddr) {
        let link_local = |addr: IpAddr| matches!(addr, IpAddr::V6(addr) if addr.is_unicast_link_local());
        let Some(dev) = self.device(ifindex) else { return };
        let usable = dev
            .addrs
            .iter()
            .filter(|have| link_local(have.addr) && have.usable());
        if link_local(addr) && usable.count() == 1 {
            self.mld_again(ifindex);
            self.look_for_routers(ifindex);
        }
    }

    fn dad_failed(&mut self, ifindex: u32, addr: Ipv6Addr) {
        let Some(have) = self.addr_mut(ifindex, addr.into()) else {
            return;
        };
        have.dad_until = None;
        have.flags |= IfaFlags::TENTATIVE | IfaFlags::DADFAILED;
        self.event(Event::NewAddr(ifindex, addr.into()));
    }

    /// Tells the sender of a packet that it did not arrive.
    pub(super) fn icmp6_error(&mut self, about: &Packet, kind: u8, code: u8, info: u32) {
        let Ok(header) = Ipv6Packet::new_checked(about.data()) else {
            return;
        };
        let (src, dst) = (header.src_addr(), header.dst_addr());
        let about_error = Headers::to_transport(about.data()).is_some_and(|end| {
            end.next == proto::ICMPV6 && about.data().get(end.at).is_none_or(|kind| *kind < 128)
        });
        // Of what is for many only these are told (RFC 4443, 2.4 e.3).
        let to_many = dst.is_multicast() && kind != 2 && (kind, code) != (4, 2);
        if about_error || src.is_unspecified() || src.is_multicast() || to_many {
            return;
        }
        let quoted = &about.data()[..about.len().min(1280 - HLEN6 - 8)];
        let mut message = Packet::new(quoted);
        let data = message.push(8);
        data[0] = kind;
        data[1] = code;
        data[2..4].fill(0);
        data[4..8].copy_from_slice(&info.to_be_bytes());
        let from = if self.is_local(dst.into()) {
            dst
        } else {
            match self.route6(src, None, 0).map(|route| route.src) {
                Ok(IpAddr::V6(from)) => from,
                _ => return,
            }
        };
        let data = message.data_mut();
        let check = transport_checksum(from.into(), src.into(), proto::ICMPV6, data);
        data[2..4].copy_from_slice(&check.to_be_bytes());
        let mut flow = Flow::new(proto::ICMPV6, src.into());
        flow.src = Some(from.into());
        self.run.push(Job::Send(self.stack.clone(), flow, message));
    }

    fn icmp6_error_input(&mut self, delivery: &Delivery) {
        let message = delivery.transport();
        let (kind, code) = (message[0], message[1]);
        let info = u32::from_be_bytes([message[4], message[5], message[6], message[7]]);
        let quoted = &message[8..];
        if quoted.len() < HLEN6 {
            return;
        }
        let header = Ipv6Packet::new_unchecked(quoted);
        let Some(transport) = Headers::to_transport(quoted) else {
            return;
        };
        let (errno, hard) = match (kind, code) {
            (1, 0) => (Errno::ENETUNREACH, false),
            (1, 1 | 5 | 6) => (Errno::EACCES, true),
            (1, 4) => (Errno::ECONNREFUSED, true),
            (1, _) => (Errno::EHOSTUNREACH, false),
            (2, _) => (Errno::EMSGSIZE, false),
            (3, _) => (Errno::EHOSTUNREACH, false),
            _ => (Errno::EPROTO, true),
        };
        let error = IcmpError {
            errno,
            kind,
            code,
            info: if kind == 2 { info } else { 0 },
            hard,
            local: false,
            offender: delivery.src,
        };
        let (src, dst) = (header.src_addr().into(), header.dst_addr().into());
        self.deliver_error(
            quoted,
            transport.at,
            transport.next,
            src,
            dst,
            delivery.ifindex,
            error,
        );
    }
}
