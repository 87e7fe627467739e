//! Addresses that a device takes besides its own (`bridge fdb add … self`; Linux's `dev_uc`).
//!
//! A device that cannot choose by address looks at everything while it is up and has any. Cards can; a bridge has a
//! database instead.

use alloc::vec::Vec;

use super::Net;
use super::device::{Device, DeviceKind, Mac};
use crate::error::Result;
use crate::{ensure, err};

/// As many as a device takes: there is a search for each that is added.
const MAX: usize = 4096;

/// The addresses.
#[derive(Default)]
pub(super) struct Unicast {
    macs: Vec<Mac>,
    /// It looks at everything because of them.
    promisc: bool,
}

impl Device {
    /// The addresses that it takes besides its own, the oldest first.
    pub fn unicast_macs(&self) -> &[Mac] {
        &self.unicast.macs
    }
    /// It came to another namespace, where nobody has added any.
    pub(super) fn reset_unicast(&mut self) {
        self.unicast.macs = Vec::new();
    }
    /// It went up, or they changed: whether it looks at everything.
    pub(super) fn unicast_changed(&mut self) {
        let wanted = !self.unicast.macs.is_empty();
        if !self.is_up() || matches!(self.kind, DeviceKind::Nic(_)) || wanted == self.unicast.promisc {
            return;
        }
        self.unicast.promisc = wanted;
        self.promiscuity = match wanted {
            true => self.promiscuity.saturating_add(1),
            false => self.promiscuity.saturating_sub(1),
        };
    }
}

impl Net<'_> {
    /// Adds an address, of a group or not. `EEXIST`: it is there; `ENOMEM`.
    pub fn add_device_mac(&mut self, ifindex: u32, mac: Mac) -> Result<()> {
        let dev = self.device_mut(ifindex).ok_or(err!(ENODEV))?;
        if mac[0] & 1 != 0 {
            let there = dev.multicast_macs().iter().any(|(have, ..)| *have == mac);
            ensure!(!there, EEXIST, "the device listens to the group");
            return dev.add_mac(mac);
        }
        let macs = &mut dev.unicast.macs;
        ensure!(!macs.contains(&mac), EEXIST, "the device takes the address");
        let room = macs.len() < MAX && macs.try_reserve(1).is_ok();
        ensure!(room, ENOMEM, "the device takes no more addresses");
        macs.push(mac);
        dev.unicast_changed();
        Ok(())
    }
    /// Takes one away. `ENOENT`: no program added it.
    pub fn drop_device_mac(&mut self, ifindex: u32, mac: Mac) -> Result<()> {
        let dev = self.device_mut(ifindex).ok_or(err!(ENODEV))?;
        if mac[0] & 1 != 0 {
            return dev.drop_mac(mac);
        }
        let at = dev.unicast.macs.iter().position(|have| *have == mac);
        dev.unicast
            .macs
            .remove(at.ok_or(err!(ENOENT, "no program added the address"))?);
        dev.unicast_changed();
        Ok(())
    }
}
