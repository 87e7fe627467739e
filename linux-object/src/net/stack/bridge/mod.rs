//! Bridges: switches of Ethernet frames (`bridge(8)`), without the spanning tree protocol.
//!
//! A port's frames are forwarded to the port behind which their destination was last seen, else to all others, as
//! far as the settings of both ports let them (`port`).
//! What was learnt is forgotten after five minutes. A bridge has the smallest address of its ports,
//! unless one was set, and a carrier while a port has one.

mod forward;
mod port;
mod proxy;

pub use port::{BridgePort, PortChange, PortFlags, PortState};

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use hashbrown::HashMap;
use smallvec::SmallVec;

use super::device::{DeviceKind, Mac};
use super::{Event, Net};
use crate::error::Result;
use crate::time::Ktime;
use crate::{bail, ensure, err};

/// `ageing_time` in hundredths of a second.
const AGEING: u32 = 30_000;
/// Addresses that a bridge remembers.
const MAX_FDB: usize = 4096;

/// What a bridge knows.
#[derive(Default)]
pub struct Bridge {
    /// Its ports in the order in which they came.
    pub ports: Vec<u32>,
    /// Whether it was up when it last looked.
    up: bool,
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
        self.bridge_ports_of(ifindex).to_vec()
    }
    fn bridge_ports_of(&self, ifindex: u32) -> &[u32] {
        match self.device(ifindex).map(|dev| &dev.kind) {
            Some(DeviceKind::Bridge(bridge)) => &bridge.ports,
            _ => &[],
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
            port.port = Some(Box::new(BridgePort::new(bridge, number)));
            port.promiscuity += 1;
        }
        self.port_changed(ifindex);
        self.port_event(ifindex);
        self.event(Event::NewLink(ifindex));
        Ok(())
    }

    /// Takes a port out of its bridge. `EINVAL`: it is none.
    pub fn leave_bridge(&mut self, ifindex: u32) -> Result<()> {
        let dev = self.device(ifindex).ok_or(err!(ENODEV))?;
        ensure!(dev.port.is_some(), EINVAL, "it is no port");
        crate::net::netlink::rtnl::queue_port_gone(self, ifindex);
        let dev = self.device_mut(ifindex).ok_or(err!(ENODEV))?;
        let port = dev.port.take().ok_or(err!(EINVAL, "it is no port"))?;
        dev.promiscuity -= 1;
        if let Some(bridge) = self.bridge(port.bridge) {
            bridge.ports.retain(|other| *other != ifindex);
        }
        self.forget_behind(port.bridge, ifindex);
        self.bridge_changed(port.bridge);
        self.event(Event::NewLink(ifindex));
        Ok(())
    }
}
