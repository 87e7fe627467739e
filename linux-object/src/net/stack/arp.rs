//! ARP (RFC 826): asking for and answering with addresses of Ethernet devices.

use core::net::{IpAddr, Ipv4Addr};

use smoltcp::wire::{ArpOperation, ArpPacket, ArpRepr, EthernetAddress};

use super::Net;
use super::conf::ConfKey;
use super::device::{BROADCAST, IfFlags, Mac};
use super::eth::ethertype;
use super::packet::Packet;
use super::route::{RouteType, key, table};

impl Net<'_> {
    /// Sends an ARP packet from one address to another.
    pub(super) fn arp_send(&mut self, ifindex: u32, ends: (Mac, Mac), repr: ArpRepr) {
        let mut packet = Packet::zeroed(repr.buffer_len());
        repr.emit(&mut ArpPacket::new_unchecked(packet.data_mut()));
        self.eth_send_as(ifindex, ends, ethertype::ARP, packet);
    }

    /// Asks who has `target`; with `to` only that device.
    pub(super) fn arp_request(&mut self, ifindex: u32, target: Ipv4Addr, to: Option<Mac>) {
        let Some(dev) = self.device(ifindex) else { return };
        let mac = dev.mac;
        // The question comes from the address that is in the target's network.
        let Some(source) = self.source4(ifindex, target) else {
            return;
        };
        let repr = ArpRepr::EthernetIpv4 {
            operation: ArpOperation::Request,
            source_hardware_addr: EthernetAddress(mac),
            source_protocol_addr: source,
            target_hardware_addr: EthernetAddress([0; 6]),
            target_protocol_addr: target,
        };
        self.arp_send(ifindex, (mac, to.unwrap_or(BROADCAST)), repr);
    }

    /// A question or an answer.
    pub(super) fn arp_input(&mut self, ifindex: u32, packet: &Packet) {
        let Ok(parsed) = ArpPacket::new_checked(packet.data()) else {
            return;
        };
        let Ok(ArpRepr::EthernetIpv4 {
            operation,
            source_hardware_addr: EthernetAddress(mac),
            source_protocol_addr: source,
            target_protocol_addr: target,
            ..
        }) = ArpRepr::parse(&parsed)
        else {
            return;
        };
        let Some(dev) = self.device(ifindex) else { return };
        let own = dev.mac;
        if dev.set_flags.contains(IfFlags::NOARP)
            || target.is_multicast()
            || target.is_loopback()
            || mac[0] & 1 != 0
        {
            return;
        }
        let local = |net: &Self, addr: Ipv4Addr| {
            let route = net.state.fib4.lookup_in(table::LOCAL, key(addr.into()), 0);
            route.is_some_and(|route| route.kind == RouteType::Local)
        };
        match operation {
            ArpOperation::Request => {
                if !local(self, target) && !self.answers_for(ifindex, target) {
                    // Announcements change what is known already.
                    self.neigh_update(ifindex, source.into(), mac, false, false, true);
                    return;
                }
                if !source.is_unspecified() {
                    if local(self, source) {
                        return;
                    }
                    self.neigh_update(ifindex, IpAddr::V4(source), mac, false, true, true);
                }
                let repr = ArpRepr::EthernetIpv4 {
                    operation: ArpOperation::Reply,
                    source_hardware_addr: EthernetAddress(own),
                    source_protocol_addr: target,
                    target_hardware_addr: EthernetAddress(mac),
                    target_protocol_addr: source,
                };
                self.arp_send(ifindex, (own, mac), repr);
            }
            ArpOperation::Reply => {
                // Only an answer to us confirms; one to all is news.
                let to_us = local(self, target);
                self.neigh_update(ifindex, source.into(), mac, to_us, false, true);
            }
            ArpOperation::Unknown(_) => {}
        }
    }

    /// `proxy_arp`: whether a question about an address that lies behind another device is answered here.
    fn answers_for(&self, ifindex: u32, target: Ipv4Addr) -> bool {
        let asked = self.conf_max(ifindex, ConfKey::ProxyArp) > 0;
        asked
            && self.conf_of(ifindex, ConfKey::Forwarding) != 0
            && self
                .route4(target, None, 0)
                .is_ok_and(|route| route.kind == RouteType::Unicast && route.oif != ifindex)
    }
}
