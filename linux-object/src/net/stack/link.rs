//! Devices come, go, change and move (`ip-link(8)`).
//!
//! All of this is done with `class::Rtnl` held, but for the death of a namespace, which nobody else can see.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;

use super::device::{BROADCAST, DevRef, Device, DeviceKind, IfFlags, valid_name};
use super::{Event, Job, Net, NetStack, NetState, Run};
use crate::error::Result;
use crate::{bail, ensure, err};

impl NetState {
    /// Puts a device in under a free number: its own if that is free.
    pub(super) fn insert(&mut self, mut dev: Box<Device>) -> u32 {
        if dev.ifindex == 0 || self.devices.contains_key(&dev.ifindex) {
            while self.devices.contains_key(&self.next_ifindex) || self.next_ifindex == 0 {
                self.next_ifindex = (self.next_ifindex + 1) & i32::MAX as u32;
            }
            dev.ifindex = self.next_ifindex;
            self.next_ifindex = (self.next_ifindex + 1) & i32::MAX as u32;
        }
        let ifindex = dev.ifindex;
        dev.conf = self.conf_default.fresh();
        dev.reset_groups();
        dev.reset_unicast();
        self.names.insert(dev.name.clone(), ifindex);
        self.devices.insert(ifindex, dev);
        ifindex
    }
    fn take(&mut self, ifindex: u32) -> Option<Box<Device>> {
        let dev = self.devices.remove(&ifindex)?;
        self.names.remove(&dev.name);
        Some(dev)
    }
    /// A name for a new device: `veth%d` becomes the first free one. `EEXIST`, `EINVAL`, `ENFILE`.
    pub fn choose_name(&self, wanted: &str) -> Result<String> {
        ensure!(valid_name(wanted.as_bytes()), EINVAL, "not a name for a device");
        if let Some((before, after)) = wanted.split_once("%d") {
            ensure!(
                !after.contains('%') && !before.contains('%'),
                EINVAL,
                "more than one %"
            );
            for nr in 0..32768 {
                let name = format!("{before}{nr}{after}");
                if self.by_name(&name).is_none() && valid_name(name.as_bytes()) {
                    return Ok(name);
                }
            }
            bail!(ENFILE, "all numbers are taken");
        }
        ensure!(!wanted.contains('%'), EINVAL, "a % that is no %d");
        ensure!(self.by_name(wanted).is_none(), EEXIST, "the name is taken");
        Ok(wanted.into())
    }
}

impl Net<'_> {
    /// Adds a device, whose name has been chosen.
    pub fn register(&mut self, dev: Device) -> u32 {
        let ifindex = self.state.insert(Box::new(dev));
        self.bridge_begins(ifindex);
        self.groups_begin(ifindex);
        self.uevent(ifindex, "add", &[]);
        self.event(Event::NewLink(ifindex));
        ifindex
    }

    /// A device comes from another namespace, under a name that has been chosen.
    pub(in crate::net) fn arrive(&mut self, dev: Box<Device>) -> u32 {
        let ifindex = self.state.insert(dev);
        let stack = Arc::downgrade(self.stack);
        if let Some(dev) = self.device(ifindex) {
            dev.moved(Some(DevRef { stack, ifindex }));
        }
        self.groups_begin(ifindex);
        self.uevent(ifindex, "add", &[]);
        self.event(Event::NewLink(ifindex));
        ifindex
    }

    /// Removes a device; returns the other end of its cable, which has to go too.
    pub fn unregister(&mut self, ifindex: u32) -> Option<(Arc<NetStack>, u32)> {
        self.detach(ifindex);
        crate::net::netlink::rtnl::queue_link_gone(self, ifindex);
        self.uevent(ifindex, "remove", &[]);
        let dev = self.state.take(ifindex)?;
        self.stack_forget(ifindex);
        dev.moved(None);
        dev.peer()
    }

    /// Takes a device out of use: down, out of its bridge, its ports free, without addresses.
    fn detach(&mut self, ifindex: u32) {
        self.set_down(ifindex);
        let _ = self.leave_bridge(ifindex);
        self.bridge_ends(ifindex);
        let addrs = match self.device_mut(ifindex) {
            Some(dev) => core::mem::take(&mut dev.addrs),
            None => return,
        };
        for addr in addrs {
            self.event_addr_gone(ifindex, &addr);
        }
        for v6 in [false, true] {
            self.state.fib(v6).remove(|route| route.oif == ifindex);
        }
    }

    fn stack_forget(&mut self, ifindex: u32) {
        self.state.neigh.forget(|key, _| key.0 == ifindex);
    }

    /// Sets a device up.
    pub fn set_up(&mut self, ifindex: u32) {
        let Some(dev) = self.device_mut(ifindex) else {
            return;
        };
        if dev.is_up() {
            return;
        }
        dev.set_flags |= IfFlags::UP;
        dev.unicast_changed();
        let peer = dev.peer();
        self.addrs_up(ifindex);
        self.port_changed(ifindex);
        self.event(Event::NewLink(ifindex));
        if let Some((stack, other)) = peer {
            let here = (self.stack.clone(), ifindex);
            self.run.push(Job::PeerUp(stack, other, here));
        }
    }

    /// Sets a device down.
    pub fn set_down(&mut self, ifindex: u32) {
        let Some(dev) = self.device_mut(ifindex) else {
            return;
        };
        if !dev.is_up() {
            return;
        }
        dev.set_flags -= IfFlags::UP;
        let peer = dev.peer();
        if peer.is_some() {
            dev.carrier = false;
        }
        self.addrs_down(ifindex);
        self.port_changed(ifindex);
        self.event(Event::NewLink(ifindex));
        if let Some((stack, other)) = peer {
            self.run.push(Job::Carrier(stack, other, false));
        }
    }

    /// The other end of a cable came up: if this end is up, both have a carrier.
    pub(super) fn peer_up(&mut self, ifindex: u32, other: (Arc<NetStack>, u32)) {
        if self.device(ifindex).is_some_and(|dev| dev.is_up()) {
            self.set_carrier(ifindex, true);
            self.run.push(Job::Carrier(other.0, other.1, true));
        }
    }

    /// A device's program came or went.
    pub fn carrier(&mut self, ifindex: u32, on: bool) {
        self.set_carrier(ifindex, on);
    }

    /// The carrier came or went.
    pub(super) fn set_carrier(&mut self, ifindex: u32, on: bool) {
        let Some(dev) = self.device_mut(ifindex) else {
            return;
        };
        if dev.carrier == on {
            return;
        }
        dev.carrier = on;
        dev.carrier_changes += 1;
        let mac = dev.mac;
        if dev.is_up() {
            self.port_changed(ifindex);
            if on {
                self.addrs6_ready(ifindex, mac);
            }
            self.event(Event::NewLink(ifindex));
        }
    }

    /// Renames a device. `EBUSY`: Linux 6.1 renames devices that are up only if they may be live renamed.
    pub fn rename(&mut self, ifindex: u32, name: &str) -> Result<()> {
        let dev = self.device(ifindex).ok_or(err!(ENODEV))?;
        if dev.name == name {
            return Ok(());
        }
        ensure!(!dev.is_up(), EBUSY, "a device that is up is not renamed");
        let name = self.state.choose_name(name)?;
        let Some(dev) = self.state.devices.get_mut(&ifindex) else {
            return Ok(());
        };
        let from = format!("DEVPATH_OLD=/{}", dev.path());
        let old = core::mem::replace(&mut dev.name, name.clone());
        for addr in dev.addrs.iter_mut().filter(|addr| addr.label == old) {
            addr.label = name.clone();
        }
        self.state.names.remove(&old);
        self.state.names.insert(name, ifindex);
        self.uevent(ifindex, "move", &[from]);
        self.event(Event::NewLink(ifindex));
        Ok(())
    }

    /// Sets the MTU. `EINVAL`: the device cannot have it.
    pub fn set_mtu(&mut self, ifindex: u32, mtu: u32) -> Result<()> {
        let dev = self.device_mut(ifindex).ok_or(err!(ENODEV))?;
        let (min, max) = dev.mtu_range();
        ensure!(
            mtu >= min && (max == 0 || mtu <= max) && mtu <= i32::MAX as u32,
            EINVAL,
            "the device cannot have this MTU"
        );
        dev.mtu = mtu;
        self.event(Event::NewLink(ifindex));
        Ok(())
    }

    /// Sets how many packets wait at most (`ip link set txqueuelen`). `ERANGE`: not so many.
    pub fn set_txqlen(&mut self, ifindex: u32, len: u32) -> Result<()> {
        let dev = self.device_mut(ifindex).ok_or(err!(ENODEV))?;
        ensure!(len <= i32::MAX as u32, ERANGE, "the queue is too long");
        dev.txqlen = len;
        self.event(Event::NewLink(ifindex));
        Ok(())
    }
    /// Something that is told of the device has changed.
    pub fn link_changed(&mut self, ifindex: u32) {
        self.event(Event::NewLink(ifindex));
    }

    /// Sets the address. `EADDRNOTAVAIL`: not one of a single device.
    pub fn set_mac(&mut self, ifindex: u32, mac: [u8; 6]) -> Result<()> {
        let dev = self.device_mut(ifindex).ok_or(err!(ENODEV))?;
        ensure!(
            !dev.is_loopback() && dev.addr_len() != 0,
            EOPNOTSUPP,
            "the device has no address"
        );
        ensure!(
            mac[0] & 1 == 0 && mac != [0; 6],
            EADDRNOTAVAIL,
            "not the address of a single device"
        );
        dev.mac_set = true;
        let (old, is_bridge) = (dev.mac, matches!(dev.kind, DeviceKind::Bridge(_)));
        if is_bridge {
            self.set_bridge_mac(ifindex, mac);
        } else if old != mac {
            dev.mac = mac;
            self.port_mac_changed(ifindex, old);
        }
        self.port_changed(ifindex);
        self.event(Event::NewLink(ifindex));
        Ok(())
    }
}

/// Makes a pair of veths, each end in its namespace, under names that were chosen. The peer is made first.
pub fn create_veth(
    (stack, dev): (&Arc<NetStack>, Device),
    (peer_stack, peer): (&Arc<NetStack>, Device),
) -> (u32, u32) {
    let mut run = Run::new();
    let other = peer_stack.enter(&mut run, |net| net.register(peer));
    let this = stack.enter(&mut run, |net| net.register(dev));
    connect(&mut run, (stack, this), (peer_stack, other));
    connect(&mut run, (peer_stack, other), (stack, this));
    run.finish();
    (this, other)
}

fn connect(run: &mut Run, (stack, ifindex): (&Arc<NetStack>, u32), (to, peer): (&Arc<NetStack>, u32)) {
    stack.enter(run, |net| {
        if let Some(dev) = net.device_mut(ifindex)
            && let DeviceKind::Veth(end) = &mut dev.kind
        {
            *end = DevRef {
                stack: Arc::downgrade(to),
                ifindex: peer,
            };
        }
    });
}

/// Removes a device and what belongs to it. `EOPNOTSUPP`: `lo` and network cards stay.
pub fn delete(stack: &Arc<NetStack>, ifindex: u32) -> Result<()> {
    let mut run = Run::new();
    let peer = stack.enter(&mut run, |net| {
        let dev = net.device(ifindex).ok_or(err!(ENODEV))?;
        let stays = dev.is_loopback() || matches!(dev.kind, DeviceKind::Nic(_));
        ensure!(!stays, EOPNOTSUPP, "lo and cards stay");
        Ok(net.unregister(ifindex))
    });
    if let Ok(Some((stack, ifindex))) = &peer {
        stack.enter(&mut run, |net| net.unregister(*ifindex));
    }
    run.finish();
    peer.map(drop)
}

/// Moves a device to another namespace, down and without addresses (`ip link set netns`).
/// `EINVAL`: it stays where it is; `EEXIST`: its name is taken there.
pub fn change_netns(
    stack: &Arc<NetStack>,
    ifindex: u32,
    to: &Arc<NetStack>,
    name: Option<&str>,
) -> Result<u32> {
    if Arc::ptr_eq(stack, to) {
        return Ok(ifindex);
    }
    let mut run = Run::new();
    let current = stack.enter(&mut run, |net| {
        let dev = net.device(ifindex).ok_or(err!(ENODEV))?;
        ensure!(
            !dev.is_loopback() && !matches!(dev.kind, DeviceKind::Bridge(_)),
            EINVAL,
            "the device belongs to its namespace"
        );
        Ok(dev.name.clone())
    })?;
    let name = to.lock().choose_name(name.unwrap_or(&current))?;
    let moved = stack.enter(&mut run, |net| {
        net.detach(ifindex);
        crate::net::netlink::rtnl::queue_link_gone(net, ifindex);
        net.uevent(ifindex, "remove", &[]);
        let dev = net.state.take(ifindex);
        net.stack_forget(ifindex);
        dev
    });
    let mut dev = moved.ok_or(err!(ENODEV))?;
    dev.name = name;
    let peer = dev.peer();
    let new = to.enter(&mut run, |net| net.arrive(dev));
    if let Some((peer_stack, other)) = &peer {
        connect(&mut run, (peer_stack, *other), (to, new));
    }
    run.finish();
    Ok(new)
}

/// The broadcast address of every device that is not `lo`.
pub fn broadcast_mac(dev: &Device) -> [u8; 6] {
    if dev.is_loopback() || dev.addr_len() == 0 {
        [0; 6]
    } else {
        BROADCAST
    }
}
