//! Answers to ARP requests that a bridge gives for those behind its ports (`proxy_arp`, `proxy_arp_wifi` in
//! `bridge(8)`).

use core::net::IpAddr;

use smoltcp::wire::{ArpOperation, ArpPacket, ArpRepr, EthernetAddress};

use super::super::Net;
use super::super::device::IfFlags;
use super::super::neigh::Nud;
use super::super::packet::{ETH_HLEN, Packet};
use super::{FdbKey, PortFlags};

impl Net<'_> {
    /// Answers an ARP request that came in by a port, if the port asks for it or the one behind which the answer is,
    /// and both the neighbour and its place are known. Whether it did.
    pub(super) fn bridge_answers(&mut self, bridge: u32, ifindex: u32, frame: &Packet) -> bool {
        let now = self.now();
        let Ok(packet) = ArpPacket::new_checked(&frame.data()[ETH_HLEN..]) else {
            return false;
        };
        let Ok(ArpRepr::EthernetIpv4 {
            operation: ArpOperation::Request,
            source_hardware_addr,
            source_protocol_addr,
            target_protocol_addr: target,
            ..
        }) = ArpRepr::parse(&packet)
        else {
            return false;
        };
        let asks = |net: &Self, port: u32, flag: PortFlags| {
            let port = net.device(port).and_then(|dev| dev.port.as_ref());
            port.is_some_and(|port| port.flags.contains(flag))
        };
        let without_arp = self
            .device(bridge)
            .is_none_or(|dev| dev.set_flags.contains(IfFlags::NOARP));
        if without_arp || target.is_loopback() || target.is_multicast() {
            return false;
        }
        let mac = match self.state.neigh.get(&(bridge, IpAddr::V4(target))) {
            Some(neigh) if !matches!(neigh.state(now), Nud::Incomplete | Nud::Failed) => neigh.mac,
            _ => return false,
        };
        let at = |bridge: &mut super::Bridge| Some(bridge.fdb.get(&FdbKey::of(mac))?.port);
        let Some(behind) = self.bridge(bridge).and_then(at) else {
            return false;
        };
        if !asks(self, ifindex, PortFlags::PROXY_ARP) && !asks(self, behind, PortFlags::PROXY_ARP_WIFI) {
            return false;
        }
        let repr = ArpRepr::EthernetIpv4 {
            operation: ArpOperation::Reply,
            source_hardware_addr: EthernetAddress(mac),
            source_protocol_addr: target,
            target_hardware_addr: source_hardware_addr,
            target_protocol_addr: source_protocol_addr,
        };
        self.arp_send(ifindex, (mac, source_hardware_addr.0), repr);
        true
    }
}
