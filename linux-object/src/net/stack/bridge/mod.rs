//! Bridges: switches of Ethernet frames (`bridge(8)`), without the spanning tree protocol.
//!
//! A port's frames are forwarded to the port behind which their destination is known to be (`fdb`), else to all
//! others, as far as the settings of both ports let them (`port`). A bridge has the smallest address of its ports,
//! unless one was set, and a carrier while a port has one.

mod entry;
mod fdb;
mod forward;
mod learn;
mod own;
mod port;
mod proxy;
#[cfg(test)]
mod tests;

pub use entry::{FdbChange, FdbEntry, FdbFlags, FdbFlush, FdbKey, FdbUpdate, OWN, VLANS};
pub use fdb::Fdb;
pub use port::{BridgePort, PortChange, PortFlags, PortState};

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use smallvec::SmallVec;

use super::device::DeviceKind;
use super::{Event, Net};
use crate::error::Result;
use crate::time::Ktime;
use crate::{bail, ensure, err};

/// `ageing_time` in hundredths of a second.
const AGEING: u32 = 30_000;

/// What a bridge knows.
#[derive(Default)]
pub struct Bridge {
    /// Its ports in the order in which they came.
    pub ports: Vec<u32>,
    /// Whether it was up when it last looked.
    up: bool,
    fdb: Fdb,
    /// When it next looks for what is too old.
    gc: Option<Ktime>,
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
    /// The same as a span.
    pub fn ageing(&self) -> Duration {
        Duration::from_millis(self.ageing_time() as u64 * 10)
    }
    /// The forwarding database.
    pub fn fdb(&self) -> &Fdb {
        &self.fdb
    }
}

impl Net<'_> {
    fn bridge(&mut self, ifindex: u32) -> Option<&mut Bridge> {
        match &mut self.device_mut(ifindex)?.kind {
            DeviceKind::Bridge(bridge) => Some(bridge),
            _ => None,
        }
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
        self.port_comes(ifindex, bridge);
        self.port_changed(ifindex);
        self.port_event(ifindex);
        self.event(Event::NewLink(ifindex));
        Ok(())
    }

    /// Takes a port out of its bridge. `EINVAL`: it is none.
    pub fn leave_bridge(&mut self, ifindex: u32) -> Result<()> {
        let bridge = self.drop_port(ifindex)?;
        self.bridge_changed(bridge);
        self.event(Event::NewLink(ifindex));
        Ok(())
    }

    /// A bridge goes: its ports are free, its database is empty.
    pub(super) fn bridge_ends(&mut self, ifindex: u32) {
        for port in self.bridge_ports(ifindex) {
            if self.drop_port(port).is_ok() {
                self.event(Event::NewLink(port));
            }
        }
        self.port_goes(OWN, ifindex);
    }

    /// Which was the bridge's.
    fn drop_port(&mut self, ifindex: u32) -> Result<u32> {
        let dev = self.device(ifindex).ok_or(err!(ENODEV))?;
        ensure!(dev.port.is_some(), EINVAL, "it is no port");
        if let Some(port) = &dev.port {
            self.flush_port(port.bridge, ifindex);
        }
        crate::net::netlink::rtnl::queue_port_gone(self, ifindex);
        let dev = self.device_mut(ifindex).ok_or(err!(ENODEV))?;
        let port = dev.port.take().ok_or(err!(EINVAL, "it is no port"))?;
        dev.promiscuity -= 1;
        if let Some(bridge) = self.bridge(port.bridge) {
            bridge.ports.retain(|other| *other != ifindex);
        }
        self.port_goes(ifindex, port.bridge);
        Ok(port.bridge)
    }
}
