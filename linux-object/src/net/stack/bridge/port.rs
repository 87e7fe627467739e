//! The settings of a bridge's port (`bridge(8)`), and whether it forwards.
//!
//! A port is disabled while it or its bridge is down or it has no carrier, and forwards else, unless a
//! program chose another state. There is no spanning tree protocol: what protects or speaks it is not here.

use super::super::device::{Device, DeviceKind};
use super::super::{Event, Net};
use crate::error::Result;
use crate::{ensure, err};

/// `BR_STATE_*`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum PortState {
    /// Nothing passes.
    Disabled = 0,
    /// Nothing passes, but the spanning tree protocol of a program.
    Listening = 1,
    /// Who is there is learnt, and nothing passes.
    Learning = 2,
    /// Everything passes.
    Forwarding = 3,
}

bitflags::bitflags! {
    /// What a port does.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct PortFlags: u16 {
        /// Sends frames back to where they came from, too (`hairpin`).
        const HAIRPIN = 1;
        /// Who sends is known to be behind it.
        const LEARNING = 2;
        /// Gets what is for nobody that is known …
        const FLOOD = 4;
        /// … what is for groups …
        const MCAST_FLOOD = 8;
        /// … and what is for all.
        const BCAST_FLOOD = 0x10;
        /// ARP requests that come in are answered for others, and nothing is flooded to it.
        const PROXY_ARP = 0x20;
        /// ARP requests for who is behind it are answered and not flooded to it.
        const PROXY_ARP_WIFI = 0x40;
        /// Does not talk to other isolated ports.
        const ISOLATED = 0x80;
        /// Takes frames only of those who are known to be behind it.
        const LOCKED = 0x100;
    }
}

impl Default for PortFlags {
    fn default() -> PortFlags {
        PortFlags::LEARNING | PortFlags::FLOOD | PortFlags::MCAST_FLOOD | PortFlags::BCAST_FLOOD
    }
}

/// `priority` of a port that nobody set.
const PRIORITY: u16 = 32;
/// Bits of a port's number in its identity.
const NUMBER_BITS: u32 = 10;
/// Group `01:80:c2:00:00:01`, PAUSE, is never forwarded.
const PAUSE: u16 = 1 << 1;

/// What a port knows.
pub struct BridgePort {
    /// The bridge.
    pub bridge: u32,
    /// Its number within the bridge, from 1.
    pub number: u16,
    /// Whether it forwards.
    pub state: PortState,
    /// What it does.
    pub flags: PortFlags,
    /// The spanning tree's.
    pub priority: u16,
    /// The spanning tree's, if it was set; else it depends on the device.
    pub cost: Option<u32>,
    /// Which of the reserved groups `01:80:c2:00:00:0X` it forwards, bit for bit.
    pub group_fwd_mask: u16,
}

impl BridgePort {
    pub(super) fn new(bridge: u32, number: u16) -> BridgePort {
        BridgePort {
            bridge,
            number,
            state: PortState::Disabled,
            flags: PortFlags::default(),
            priority: PRIORITY,
            cost: None,
            group_fwd_mask: 0,
        }
    }
    /// Priority and number in one (`port_id`).
    pub fn id(&self) -> u16 {
        self.priority << NUMBER_BITS | self.number
    }
    /// What a way through the port costs.
    pub fn path_cost(&self, dev: &Device) -> u32 {
        self.cost.unwrap_or(dev.path_cost())
    }
}

/// What to change of a port.
#[derive(Default)]
pub struct PortChange {
    /// Flags to set …
    pub set: Option<PortFlags>,
    /// … and to clear.
    pub clear: Option<PortFlags>,
    /// The state's number.
    pub state: Option<u8>,
    /// The priority.
    pub priority: Option<u16>,
    /// The cost.
    pub cost: Option<u32>,
    /// The reserved groups.
    pub group_fwd_mask: Option<u16>,
    /// What is known to be behind the port is forgotten.
    pub flush: bool,
}

impl PortChange {
    /// Sets or clears one flag.
    pub fn flag(&mut self, flag: PortFlags, on: bool) {
        let list = if on { &mut self.set } else { &mut self.clear };
        *list = Some(list.unwrap_or(PortFlags::empty()) | flag);
    }
    /// The state it asks for, on a port of such a device. `EINVAL`: no state; `ENETDOWN`: the device does not carry
    /// frames.
    fn wanted_state(&self, dev: &Device) -> Result<Option<PortState>> {
        use PortState::*;
        let Some(number) = self.state else {
            return Ok(None);
        };
        // Nobody is there who would end what blocks, so it does not begin.
        let states = [Disabled, Listening, Learning, Forwarding, Forwarding];
        let state = *states
            .get(number as usize)
            .ok_or(err!(EINVAL, "no state of a port"))?;
        let fine = dev.is_up() && (dev.carrier || state == Disabled);
        ensure!(fine, ENETDOWN, "the port carries nothing");
        Ok(Some(state))
    }
}

impl Net<'_> {
    /// Changes a port: all of it, or nothing. `EINVAL`: no port, state or mask; `ERANGE`: a number is too small or
    /// large; `ENETDOWN`.
    pub fn change_port(&mut self, ifindex: u32, change: &PortChange) -> Result<()> {
        let dev = self.device_mut(ifindex).ok_or(err!(ENODEV))?;
        let state = change.wanted_state(dev)?;
        let port = dev.port.as_mut().ok_or(err!(EINVAL, "not a port"))?;
        let (cost, priority) = (change.cost.unwrap_or(1), change.priority.unwrap_or(0));
        ensure!((1..=65535).contains(&cost), ERANGE, "no cost of a port");
        ensure!(priority < 64, ERANGE, "no priority of a port");
        let mask = change.group_fwd_mask.unwrap_or(port.group_fwd_mask);
        ensure!(mask & PAUSE == 0, EINVAL, "PAUSE is never forwarded");
        port.flags |= change.set.unwrap_or(PortFlags::empty());
        port.flags -= change.clear.unwrap_or(PortFlags::empty());
        port.cost = change.cost.or(port.cost);
        port.priority = change.priority.unwrap_or(port.priority);
        port.group_fwd_mask = mask;
        port.state = state.unwrap_or(port.state);
        let bridge = port.bridge;
        if change.flush {
            self.flush_port(bridge, ifindex);
        }
        if state.is_some() {
            self.bridge_changed(bridge);
        }
        Ok(())
    }

    /// Whether a port is in a state in which it learns.
    pub(super) fn learns(&self, ifindex: u32) -> bool {
        let port = self.device(ifindex).and_then(|dev| dev.port.as_ref());
        port.is_some_and(|port| matches!(port.state, PortState::Learning | PortState::Forwarding))
    }

    /// A port begins to forward once it can and is disabled when it no longer can.
    fn port_follows(&mut self, ifindex: u32, bridge: u32) {
        let up = self.device(bridge).is_some_and(Device::is_up);
        let Some(dev) = self.device_mut(ifindex) else {
            return;
        };
        let running = up && dev.is_running();
        let Some(port) = &mut dev.port else { return };
        let was_on = port.state != PortState::Disabled;
        match running {
            true if !was_on => port.state = PortState::Forwarding,
            false if was_on => {
                port.state = PortState::Disabled;
                self.flush_port(bridge, ifindex);
            }
            _ => {}
        }
    }

    /// A device changed its carrier, address or whether it is up: what that means for its bridge.
    pub(in crate::net) fn port_changed(&mut self, ifindex: u32) {
        let Some(dev) = self.device_mut(ifindex) else {
            return;
        };
        let up = dev.is_up();
        let bridge = match (&dev.port, &mut dev.kind) {
            (Some(port), _) => {
                let bridge = port.bridge;
                self.port_follows(ifindex, bridge);
                bridge
            }
            (None, DeviceKind::Bridge(bridge)) if !bridge.ports.is_empty() => {
                let was_up = core::mem::replace(&mut bridge.up, up);
                if was_up != up {
                    for port in self.bridge_ports(ifindex) {
                        self.port_follows(port, ifindex);
                    }
                }
                ifindex
            }
            (None, DeviceKind::Bridge(bridge)) => {
                bridge.up = up;
                return;
            }
            _ => return,
        };
        self.bridge_changed(bridge);
    }

    /// Carrier and address of a bridge follow its ports. Without any left its address is none, as on Linux.
    pub(super) fn bridge_changed(&mut self, ifindex: u32) {
        let ports = self.bridge_ports(ifindex);
        let devices = || ports.iter().filter_map(|port| self.device(*port));
        let forwards = |dev: &Device| {
            dev.port
                .as_ref()
                .is_some_and(|port| port.state == PortState::Forwarding)
        };
        let carrier = devices().any(forwards);
        let mac = devices().map(|dev| dev.mac).min().unwrap_or_default();
        if self.device(ifindex).is_some_and(|dev| !dev.mac_set) {
            self.set_bridge_mac(ifindex, mac);
        }
        self.set_carrier(ifindex, carrier);
    }

    /// Listeners hear of a port, as a bridge tells of it.
    pub fn port_event(&mut self, ifindex: u32) {
        self.event(Event::NewPort(ifindex));
    }
}
