//! Bridges: switches of Ethernet frames (`bridge(8)`), without the spanning tree protocol.
//!
//! A port's frames are forwarded to the port behind which their destination was last seen, else to all others.
//! What was learnt is forgotten after five minutes. A bridge has the smallest address of its ports,
//! unless one was set, and a carrier while a port has one.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use hashbrown::HashMap;
use smallvec::SmallVec;

use super::device::{BROADCAST, Device, DeviceKind, Mac};
use super::packet::Packet;
use super::{Event, Net};
use crate::error::Result;
use crate::time::Ktime;
use crate::{bail, ensure, err};

/// `ageing_time` in hundredths of a second.
const AGEING: u32 = 30_000;
/// Addresses that a bridge remembers.
const MAX_FDB: usize = 4096;

/// `BR_STATE_*`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
#[repr(u8)]
pub enum PortState {
    Disabled = 0,
    Forwarding = 3,
}

/// What a port knows.
pub struct BridgePort {
    /// The bridge.
    pub bridge: u32,
    /// Its number within the bridge, from 1.
    pub number: u16,
    /// Whether it forwards.
    pub state: PortState,
}

/// What a bridge knows.
#[derive(Default)]
pub struct Bridge {
    /// Its ports in the order in which they came.
    pub ports: Vec<u32>,
    fdb: HashMap<Mac, (u32, Ktime)>,
    /// `ageing_time` in hundredths of a second: what was learnt is forgotten after it. `None`: the default.
    ageing: Option<u32>,
}

impl Bridge {
    /// A bridge without ports.
    pub fn new() -> Box<Bridge> {
        Box::default()
    }
    /// `ageing_time` in hundredths of a second.
    pub fn ageing_time(&self) -> u32 {
        self.ageing.unwrap_or(AGEING)
    }
    fn ageing(&self) -> Duration {
        Duration::from_millis(self.ageing_time() as u64 * 10)
    }
    /// Every address that was learnt: its port and when it was last seen.
    pub fn fdb(&self) -> impl Iterator<Item = (&Mac, u32, Ktime)> {
        self.fdb.iter().map(|(mac, (port, seen))| (mac, *port, *seen))
    }
    fn learn(&mut self, mac: Mac, port: u32, now: Ktime) {
        if mac[0] & 1 != 0 || mac == [0; 6] {
            return;
        }
        if self.fdb.len() >= MAX_FDB && !self.fdb.contains_key(&mac) {
            let ageing = self.ageing();
            self.fdb.retain(|_, (_, seen)| *seen + ageing > now);
            if self.fdb.len() >= MAX_FDB {
                return;
            }
        }
        self.fdb.insert(mac, (port, now));
    }
    fn find(&self, mac: &Mac, now: Ktime) -> Option<u32> {
        let (port, seen) = self.fdb.get(mac)?;
        (*seen + self.ageing() > now).then_some(*port)
    }
}

fn mac_at(frame: &Packet, at: usize) -> Mac {
    frame.data()[at..].first_chunk().copied().unwrap_or_default()
}

impl Net<'_> {
    fn bridge(&mut self, ifindex: u32) -> Option<&mut Bridge> {
        match &mut self.device_mut(ifindex)?.kind {
            DeviceKind::Bridge(bridge) => Some(bridge),
            _ => None,
        }
    }
    /// Sets a bridge's `ageing_time` in hundredths of a second. `EINVAL`: not a bridge.
    pub fn set_ageing_time(&mut self, ifindex: u32, hundredths: u32) -> Result<()> {
        let bridge = self.bridge(ifindex).ok_or(err!(EINVAL, "not a bridge"))?;
        bridge.ageing = Some(hundredths);
        self.event(Event::NewLink(ifindex));
        Ok(())
    }
    /// A bridge forgets what it has learnt.
    pub fn flush_fdb(&mut self, ifindex: u32) -> Result<()> {
        let bridge = self.bridge(ifindex).ok_or(err!(EINVAL, "not a bridge"))?;
        bridge.fdb.clear();
        Ok(())
    }
    /// The ports of a bridge; none of another device.
    pub fn bridge_ports(&self, ifindex: u32) -> Vec<u32> {
        match self.device(ifindex).map(|dev| &dev.kind) {
            Some(DeviceKind::Bridge(bridge)) => bridge.ports.clone(),
            _ => Vec::new(),
        }
    }

    /// Makes a device a port (`ip link set master`). `EINVAL`, `ELOOP`: it cannot be one; `EBUSY`: it is one.
    pub fn join_bridge(&mut self, ifindex: u32, bridge: u32) -> Result<()> {
        let port = self.device(ifindex).ok_or(err!(ENODEV))?;
        ensure!(
            !port.is_loopback() && port.addr_len() != 0,
            EINVAL,
            "a port is an Ethernet"
        );
        ensure!(
            !matches!(port.kind, DeviceKind::Bridge(_)),
            ELOOP,
            "a bridge is no port"
        );
        ensure!(port.port.is_none(), EBUSY, "it is a port already");
        let Some(found) = self.bridge(bridge) else {
            bail!(EOPNOTSUPP, "the master is no bridge");
        };
        found.ports.push(ifindex);
        let taken: SmallVec<[u32; 8]> = found.ports.iter().copied().collect();
        let numbers: SmallVec<[u16; 8]> = taken
            .iter()
            .filter_map(|port| Some(self.device(*port)?.port.as_ref()?.number))
            .collect();
        let number = (1..).find(|n| !numbers.contains(n)).unwrap_or(1);
        if let Some(port) = self.device_mut(ifindex) {
            port.port = Some(Box::new(BridgePort {
                bridge,
                number,
                state: PortState::Disabled,
            }));
            port.promiscuity += 1;
        }
        self.port_changed(ifindex);
        self.event(Event::NewLink(ifindex));
        Ok(())
    }

    /// Takes a port out of its bridge. `EINVAL`: it is none.
    pub fn leave_bridge(&mut self, ifindex: u32) -> Result<()> {
        let dev = self.device_mut(ifindex).ok_or(err!(ENODEV))?;
        let port = dev.port.take().ok_or(err!(EINVAL, "it is no port"))?;
        dev.promiscuity -= 1;
        if let Some(bridge) = self.bridge(port.bridge) {
            bridge.ports.retain(|other| *other != ifindex);
            bridge.fdb.retain(|_, (behind, _)| *behind != ifindex);
        }
        self.bridge_changed(port.bridge);
        self.event(Event::NewLink(ifindex));
        Ok(())
    }

    /// A device changed its carrier, address or whether it is up: what that means for its bridge.
    pub(super) fn port_changed(&mut self, ifindex: u32) {
        let Some(dev) = self.device_mut(ifindex) else {
            return;
        };
        let running = dev.is_running();
        match (&mut dev.port, &dev.kind) {
            (Some(port), _) => {
                port.state = if running {
                    PortState::Forwarding
                } else {
                    PortState::Disabled
                };
                let bridge = port.bridge;
                if !running && let Some(bridge) = self.bridge(bridge) {
                    bridge.fdb.retain(|_, (behind, _)| *behind != ifindex);
                }
                self.bridge_changed(bridge);
            }
            (None, DeviceKind::Bridge(bridge)) if !bridge.ports.is_empty() => self.bridge_changed(ifindex),
            _ => {}
        }
    }

    /// Carrier and address of a bridge follow its ports.
    fn bridge_changed(&mut self, ifindex: u32) {
        let ports = self.bridge_ports(ifindex);
        let devices: SmallVec<[&Device; 8]> = ports.iter().filter_map(|port| self.device(*port)).collect();
        let carrier = devices.iter().any(|dev| dev.is_running());
        let mac = devices.iter().map(|dev| dev.mac).min();
        drop(devices);
        if let (Some(dev), Some(mac)) = (self.device_mut(ifindex), mac)
            && !dev.mac_set
        {
            dev.mac = mac;
        }
        self.set_carrier(ifindex, carrier);
    }

    /// A port received a frame.
    pub(super) fn bridge_input(&mut self, ifindex: u32, frame: Packet) {
        let now = self.now();
        let Some(port) = self.device(ifindex).and_then(|dev| dev.port.as_ref()) else {
            return;
        };
        if port.state != PortState::Forwarding {
            return;
        }
        let bridge_index = port.bridge;
        let (to, from) = (mac_at(&frame, 0), mac_at(&frame, 6));
        let Some(bridge) = self.device(bridge_index) else {
            return;
        };
        // 01:80:c2:00:00:0x is for the bridge alone.
        if !bridge.is_up() || to[..5] == [1, 0x80, 0xc2, 0, 0] && to[5] < 16 {
            return;
        }
        let own = bridge.mac;
        let of_port = self
            .bridge_ports(bridge_index)
            .iter()
            .any(|port| self.device(*port).is_some_and(|dev| dev.mac == to));
        let Some(bridge) = self.bridge(bridge_index) else {
            return;
        };
        bridge.learn(from, ifindex, now);
        if to == own || of_port {
            self.bridge_up(bridge_index, frame);
            return;
        }
        match bridge.find(&to, now) {
            Some(port) if to[0] & 1 == 0 => {
                if port != ifindex {
                    self.xmit(port, frame);
                }
            }
            _ => {
                self.flood(bridge_index, ifindex, &frame);
                if to[0] & 1 != 0 {
                    self.bridge_up(bridge_index, frame);
                }
            }
        }
    }

    /// The bridge itself gets a frame.
    fn bridge_up(&mut self, bridge: u32, mut frame: Packet) {
        let Some(dev) = self.device_mut(bridge) else {
            return;
        };
        dev.stats.rx_packets += 1;
        dev.stats.rx_bytes += frame.len() as u64;
        // No other of our devices counts those, as on Linux.
        if frame.data()[0] & 1 != 0 && frame.data()[..6] != BROADCAST {
            dev.stats.multicast += 1;
        }
        let mac = dev.mac;
        if frame.data()[0] & 1 == 0 {
            // It may have been for a port's address.
            frame.data_mut()[..6].copy_from_slice(&mac);
        }
        self.eth_local(bridge, frame);
    }

    /// The bridge itself sends a frame.
    pub(super) fn bridge_xmit(&mut self, ifindex: u32, frame: Packet) {
        let now = self.now();
        let to = mac_at(&frame, 0);
        let Some(bridge) = self.bridge(ifindex) else {
            return;
        };
        match bridge.find(&to, now) {
            Some(port) if to[0] & 1 == 0 => self.xmit(port, frame),
            _ => self.flood(ifindex, 0, &frame),
        }
    }

    fn flood(&mut self, bridge: u32, except: u32, frame: &Packet) {
        for port in self.bridge_ports(bridge) {
            let forwards = self
                .device(port)
                .and_then(|dev| dev.port.as_ref())
                .is_some_and(|port| port.state == PortState::Forwarding);
            if port != except && forwards {
                self.xmit(port, frame.clone());
            }
        }
    }
}
