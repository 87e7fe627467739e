//! Where a bridge sends frames.

use super::super::Net;
use super::super::device::{BROADCAST, IfFlags, Mac};
use super::super::eth::{ethertype, pkttype};
use super::super::packet::{Packet, be16};
use super::{FdbFlags, FdbKey, PortFlags, PortState};

/// The groups that concern a bridge itself: `01:80:c2:00:00:0X` (IEEE 802.1D, table 7-10).
const RESERVED: [u8; 5] = [1, 0x80, 0xc2, 0, 0];

fn mac_at(frame: &Packet, at: usize) -> Mac {
    frame.data()[at..].first_chunk().copied().unwrap_or_default()
}

/// Where a frame comes from.
#[derive(Clone, Copy)]
pub(super) struct Source {
    /// The port; 0 for the bridge itself.
    pub port: u32,
    isolated: bool,
    /// An ARP request that was answered already: not for ports that are spared those.
    answered: bool,
}

impl Source {
    const BRIDGE: Source = Source {
        port: 0,
        isolated: false,
        answered: false,
    };
}

impl Net<'_> {
    /// A port received a frame; `kind` says to whom it is, as the port sees it.
    pub(in super::super) fn bridge_input(&mut self, ifindex: u32, frame: Packet, kind: u8) {
        let now = self.now();
        let Some(port) = self.device(ifindex).and_then(|dev| dev.port.as_ref()) else {
            return;
        };
        let (state, flags, mask, bridge_index) = (port.state, port.flags, port.group_fwd_mask, port.bridge);
        let in_use = matches!(state, PortState::Learning | PortState::Forwarding);
        let learns = flags.contains(PortFlags::LEARNING) && in_use;
        let (to, from) = (mac_at(&frame, 0), mac_at(&frame, 6));
        let Some(dev) = self.device(bridge_index) else {
            return;
        };
        if !dev.is_up() || from[0] & 1 != 0 || from == [0; 6] {
            return;
        }
        let promiscuous = dev.set_flags.contains(IfFlags::PROMISC);
        let kind = match to == dev.mac {
            true => pkttype::HOST,
            false => kind,
        };
        if to[..5] == RESERVED && to[5] < 16 {
            match to[5] {
                // Without the spanning tree protocol, its frames are as any others.
                0 => {}
                1 => return,
                nr if mask & 1 << nr != 0 => {}
                _ => {
                    // It is for the port alone.
                    if learns {
                        self.learn(bridge_index, ifindex, FdbKey::of(from), false, now);
                    }
                    return self.eth_local(ifindex, frame, kind);
                }
            }
        }
        if !in_use {
            return;
        }
        if flags.contains(PortFlags::LOCKED) {
            let known = self
                .bridge(bridge_index)
                .and_then(|bridge| bridge.fdb.get(&FdbKey::of(from)));
            let here = known.is_some_and(|at| at.port == ifindex && !at.flags.contains(FdbFlags::LOCAL));
            if !here {
                return;
            }
        }
        if learns {
            self.learn(bridge_index, ifindex, FdbKey::of(from), false, now);
        }
        if state != PortState::Forwarding {
            return;
        }
        let source = Source {
            port: ifindex,
            isolated: flags.contains(PortFlags::ISOLATED),
            answered: be16(frame.data(), 12) == ethertype::ARP
                && self.bridge_answers(bridge_index, ifindex, &frame),
        };
        let to_many = to[0] & 1 != 0;
        let Some(bridge) = self.bridge(bridge_index) else {
            return;
        };
        let behind = match to_many {
            true => None,
            false => bridge.fdb.find(&to, now),
        };
        match behind {
            Some((_, true)) => self.bridge_up(bridge_index, frame, kind),
            Some((port, false)) => {
                if promiscuous {
                    self.bridge_up(bridge_index, frame.clone(), kind);
                }
                if self.forwards(port, source) {
                    self.xmit(port, frame);
                }
            }
            None => {
                self.flood(bridge_index, source, &frame);
                if to_many || promiscuous {
                    self.bridge_up(bridge_index, frame, kind);
                }
            }
        }
    }

    /// The bridge itself gets a frame.
    fn bridge_up(&mut self, bridge: u32, frame: Packet, kind: u8) {
        let Some(dev) = self.device_mut(bridge) else {
            return;
        };
        dev.stats.rx_packets += 1;
        dev.stats.rx_bytes += frame.len() as u64;
        // No other of our devices counts those, as on Linux.
        if frame.data()[0] & 1 != 0 && frame.data()[..6] != BROADCAST {
            dev.stats.multicast += 1;
        }
        self.tap(bridge, &frame, kind);
        self.eth_local(bridge, frame, kind);
    }

    /// The bridge itself sends a frame.
    pub(in super::super) fn bridge_xmit(&mut self, ifindex: u32, frame: Packet) {
        let to = mac_at(&frame, 0);
        let Some(bridge) = self.bridge(ifindex) else {
            return;
        };
        // To a port's own address, too: out by the port. Nothing is behind the bridge itself.
        match bridge.fdb.get(&FdbKey::of(to)).map(|entry| entry.port) {
            Some(port) if to[0] & 1 == 0 => {
                if self.forwards(port, Source::BRIDGE) {
                    self.xmit(port, frame);
                }
            }
            _ => self.flood(ifindex, Source::BRIDGE, &frame),
        }
    }

    /// Whether a port sends what comes from there.
    fn forwards(&self, ifindex: u32, from: Source) -> bool {
        let Some(port) = self.device(ifindex).and_then(|dev| dev.port.as_ref()) else {
            return false;
        };
        port.state == PortState::Forwarding
            && (ifindex != from.port || port.flags.contains(PortFlags::HAIRPIN))
            && !(from.isolated && port.flags.contains(PortFlags::ISOLATED))
    }

    /// Sends a frame through all ports that get what is for many, or for nobody that is known.
    fn flood(&mut self, bridge: u32, from: Source, frame: &Packet) {
        let own = from.port == 0;
        let wanted = match mac_at(frame, 0) {
            BROADCAST if own => PortFlags::empty(),
            BROADCAST => PortFlags::BCAST_FLOOD,
            to if to[0] & 1 == 0 => PortFlags::FLOOD,
            _ if own => PortFlags::empty(),
            _ => PortFlags::MCAST_FLOOD,
        };
        for port in self.bridge_ports(bridge) {
            let flags = self.device(port).and_then(|dev| Some(dev.port.as_ref()?.flags));
            let fits = flags.is_some_and(|flags| {
                flags.contains(wanted)
                    && !flags.contains(PortFlags::PROXY_ARP)
                    && !(from.answered && flags.contains(PortFlags::PROXY_ARP_WIFI))
            });
            if fits && self.forwards(port, from) {
                self.xmit(port, frame.clone());
            }
        }
    }
}
