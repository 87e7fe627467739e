//! Frames in and out of devices.

use core::net::IpAddr;

use super::device::{BROADCAST, DeviceKind, IfFlags, Mac};
use super::packet::{ETH_HLEN, Packet, be16};
use super::{Job, Net};

/// EtherTypes (`ETH_P_*`).
#[allow(missing_docs)]
pub mod ethertype {
    pub const ALL: u16 = 3;
    pub const IP: u16 = 0x800;
    pub const ARP: u16 = 0x806;
    pub const IPV6: u16 = 0x86dd;
}

/// To whom a frame is (`PACKET_*`).
#[allow(missing_docs)]
pub mod pkttype {
    pub const HOST: u8 = 0;
    pub const BROADCAST: u8 = 1;
    pub const MULTICAST: u8 = 2;
    pub const OTHERHOST: u8 = 3;
    pub const OUTGOING: u8 = 4;
}

/// Devices that a frame crosses before it is taken for one that circles.
const MAX_HOPS: u8 = 64;

impl Net<'_> {
    /// Puts an Ethernet header in front of a network packet and sends it.
    pub(super) fn eth_output(&mut self, ifindex: u32, to: Mac, packet: Packet, v6: bool) {
        let kind = if v6 { ethertype::IPV6 } else { ethertype::IP };
        self.eth_send(ifindex, to, kind, packet);
    }
    /// Puts an Ethernet header with this EtherType in front, and sends.
    pub fn eth_send(&mut self, ifindex: u32, to: Mac, kind: u16, packet: Packet) {
        let Some(dev) = self.device(ifindex) else { return };
        self.eth_send_as(ifindex, (dev.mac, to), kind, packet);
    }
    /// The same, as if it came from elsewhere.
    pub(super) fn eth_send_as(
        &mut self,
        ifindex: u32,
        (from, to): (Mac, Mac),
        kind: u16,
        mut packet: Packet,
    ) {
        let header = packet.push(ETH_HLEN);
        header[..6].copy_from_slice(&to);
        header[6..12].copy_from_slice(&from);
        header[12..14].copy_from_slice(&kind.to_be_bytes());
        self.xmit(ifindex, packet);
    }

    /// Sends a frame through a device (Linux's `dev_queue_xmit`).
    pub fn xmit(&mut self, ifindex: u32, mut frame: Packet) {
        self.tap(ifindex, &frame, pkttype::OUTGOING);
        frame.sender = 0;
        let Some(dev) = self.device_mut(ifindex) else {
            return;
        };
        if !dev.is_up() || frame.len() < ETH_HLEN {
            dev.stats.tx_dropped += 1;
            return;
        }
        frame.hops += 1;
        if frame.hops > MAX_HOPS {
            dev.stats.tx_dropped += 1;
            return;
        }
        let bare = dev.is_loopback() || dev.addr_len() == 0;
        let len = frame.len() - if bare { ETH_HLEN } else { 0 };
        let mut sent = true;
        match &dev.kind {
            DeviceKind::Loopback => {
                frame.local = true;
                self.run.push(Job::Receive(self.stack.clone(), ifindex, frame));
            }
            DeviceKind::Veth(_) => match dev.peer() {
                Some((stack, peer)) if dev.carrier => {
                    // At the other end it comes from somebody else.
                    frame.local = false;
                    self.run.push(Job::Receive(stack, peer, frame));
                }
                _ => sent = false,
            },
            DeviceKind::Bridge(_) => self.bridge_xmit(ifindex, frame),
            DeviceKind::Dummy => {}
            DeviceKind::Tun(tun) => sent = dev.carrier && tun.send(frame, dev.txqlen),
            DeviceKind::Nic(nic) => sent = dev.carrier && nic.send(frame),
        }
        if let Some(dev) = self.device_mut(ifindex) {
            if sent {
                dev.stats.tx_packets += 1;
                dev.stats.tx_bytes += len as u64;
            } else {
                dev.stats.tx_dropped += 1;
            }
        }
    }

    /// A frame arrives at a device (Linux's `netif_receive_skb`).
    pub(super) fn eth_input(&mut self, ifindex: u32, frame: Packet) {
        let Some(dev) = self.device_mut(ifindex) else {
            return;
        };
        let loopback = dev.is_loopback();
        if !dev.is_up()
            || frame.len() < ETH_HLEN
            || !loopback && frame.len() > dev.mtu as usize + ETH_HLEN + 4
        {
            dev.stats.rx_dropped += 1;
            return;
        }
        dev.stats.rx_packets += 1;
        let bare = loopback || dev.addr_len() == 0;
        dev.stats.rx_bytes += (frame.len() - if bare { ETH_HLEN } else { 0 }) as u64;
        let port = dev.port.is_some();
        let kind = self.pkttype(ifindex, &frame);
        self.tap(ifindex, &frame, kind);
        if port {
            self.bridge_input(ifindex, frame, kind);
        } else {
            self.eth_local(ifindex, frame, kind);
        }
    }

    /// To whom a frame is that arrives at a device.
    fn pkttype(&self, ifindex: u32, frame: &Packet) -> u8 {
        let to = &frame.data()[..6];
        match self.device(ifindex) {
            _ if to == BROADCAST => pkttype::BROADCAST,
            _ if to[0] & 1 != 0 => pkttype::MULTICAST,
            Some(dev) if to != dev.mac => pkttype::OTHERHOST,
            _ => pkttype::HOST,
        }
    }

    /// A frame goes up to the network layer; `kind` says to whom it is.
    pub(super) fn eth_local(&mut self, ifindex: u32, mut frame: Packet, kind: u8) {
        if kind == pkttype::OTHERHOST {
            return;
        }
        let to_all = frame.data()[0] & 1 != 0;
        let kind = be16(frame.data(), 12);
        frame.pull(ETH_HLEN);
        match kind {
            ethertype::IP => self.ip4_input(ifindex, frame, to_all),
            ethertype::IPV6 => self.ip6_input(ifindex, frame),
            ethertype::ARP => self.arp_input(ifindex, &frame),
            _ => {
                if let Some(dev) = self.device_mut(ifindex) {
                    dev.stats.rx_dropped += 1;
                }
            }
        }
    }

    /// Sends a network packet to a neighbour of a device, whose address may have to be found.
    pub(super) fn link_output(&mut self, ifindex: u32, next: IpAddr, packet: Packet) {
        let Some(dev) = self.device(ifindex) else { return };
        let to = match next {
            _ if dev.is_loopback() => [0; 6],
            IpAddr::V4(addr) if addr.is_broadcast() => BROADCAST,
            IpAddr::V4(addr) if addr.is_multicast() => {
                let [_, b, c, d] = addr.octets();
                [1, 0, 0x5e, b & 0x7f, c, d]
            }
            IpAddr::V6(addr) if addr.is_multicast() => {
                let o = addr.octets();
                [0x33, 0x33, o[12], o[13], o[14], o[15]]
            }
            _ if dev.set_flags.contains(IfFlags::NOARP) => dev.mac,
            _ => return self.neigh_output(ifindex, next, packet),
        };
        self.eth_output(ifindex, to, packet, next.is_ipv6());
    }

    /// Shows a frame to AF_PACKET sockets.
    pub(super) fn tap(&mut self, ifindex: u32, frame: &Packet, kind: u8) {
        if self.state.sockets.taps.is_empty() || frame.len() < ETH_HLEN {
            return;
        }
        let ethertype = be16(frame.data(), 12);
        let loopback = self.device(ifindex).is_some_and(|dev| dev.is_loopback());
        for tap in &self.state.sockets.taps {
            let outgoing = kind == pkttype::OUTGOING;
            let wanted = tap.protocol == ethertype::ALL || tap.protocol == ethertype && !outgoing;
            if wanted
                && tap.protocol != 0
                && (tap.ifindex == 0 || tap.ifindex == ifindex)
                && let Some(socket) = tap.socket.upgrade()
            {
                socket.frame((ifindex, loopback), frame, kind);
            }
        }
    }
}
