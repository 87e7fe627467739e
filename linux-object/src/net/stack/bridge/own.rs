//! The addresses of a bridge and its ports, which its database has as local entries.

use alloc::vec::Vec;

use super::super::Net;
use super::super::device::Mac;
use super::fdb::Owners;
use super::{Fdb, OWN, VLANS};

impl Net<'_> {
    fn owners(&self, bridge: u32) -> Owners {
        let mac = |port: &u32| Some((*port, self.device(*port)?.mac));
        let ports: Vec<(u32, Mac)> = self.bridge_ports_of(bridge).iter().filter_map(mac).collect();
        let bridge = self.device(bridge).map_or([0; 6], |dev| dev.mac);
        Owners { bridge, ports }
    }

    /// One of the bridge's ports, or the bridge itself, has another address than before; none before or after, if it
    /// came or goes.
    fn own_mac(&mut self, bridge: u32, port: u32, old: Option<Mac>, new: Option<Mac>) {
        let owners = self.owners(bridge);
        let _ = self.work_on_fdb(bridge, |bridge, now| {
            let fdb = &mut bridge.fdb;
            let lose = |fdb: &mut Fdb, vlan: u16| {
                if let Some(old) = old {
                    fdb.lose_local(port, old, vlan, &owners);
                }
            };
            // A port loses both, the newer first; a bridge one after the other. Listeners hear it in this order.
            if port != OWN {
                VLANS.iter().rev().for_each(|&vlan| lose(fdb, vlan));
            }
            for vlan in VLANS {
                if port == OWN {
                    lose(fdb, vlan);
                }
                if let Some(new) = new {
                    fdb.add_local(port, new, vlan, now);
                }
            }
            Ok(())
        });
    }

    /// A device is new: if it is a bridge, its address is in its database.
    pub(in super::super) fn bridge_begins(&mut self, ifindex: u32) {
        let mac = self.device(ifindex).map(|dev| dev.mac);
        self.own_mac(ifindex, OWN, None, mac);
    }
    /// A bridge has another address.
    pub(in super::super) fn set_bridge_mac(&mut self, ifindex: u32, mac: Mac) {
        let old = self.device(ifindex).map(|dev| dev.mac);
        if old == Some(mac) {
            return;
        }
        self.own_mac(ifindex, OWN, old, Some(mac));
        if let Some(dev) = self.device_mut(ifindex) {
            dev.mac = mac;
        }
    }
    /// A device has another address than `old`, which may be a port's.
    pub(in super::super) fn port_mac_changed(&mut self, ifindex: u32, old: Mac) {
        let found = self.device(ifindex);
        if let Some(dev) = found
            && let Some(port) = &dev.port
        {
            let (bridge, new) = (port.bridge, dev.mac);
            self.own_mac(bridge, ifindex, Some(old), Some(new));
        }
    }
    /// A port is new.
    pub(super) fn port_comes(&mut self, ifindex: u32, bridge: u32) {
        let mac = self.device(ifindex).map(|dev| dev.mac);
        self.own_mac(bridge, ifindex, None, mac);
    }
    /// A port is no longer one, or the bridge goes: so does whatever is behind it.
    pub(super) fn port_goes(&mut self, port: u32, bridge: u32) {
        let owners = self.owners(bridge);
        let _ = self.work_on_fdb(bridge, |bridge, _| {
            bridge.fdb.port_gone(port, &owners);
            Ok(())
        });
    }
}
