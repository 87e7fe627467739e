//! Forwarding databases (`AF_BRIDGE` in `struct ndmsg`; `bridge fdb`).
//!
//! `NTF_MASTER`, or no flag, is the bridge that a port belongs to; `NTF_SELF` is the device itself: a bridge has a
//! database, another device a list of addresses that it takes.

mod bulk;
mod change;
mod get;

pub use bulk::del as del_bulk;
pub use change::{del, new};
pub use get::get;

use alloc::vec::Vec;

use super::super::message::{Attrs, Builder, NlFlags, u16_at, u32_at};
use super::super::{NlError, NlResult};
use super::neigh::{HEAD, NDA_CACHEINFO, NDA_IFINDEX, NDA_LLADDR, head};
use super::{Cx, family, queue_self, rtm};
use crate::net::stack::device::{Device, DeviceKind, Mac};
use crate::net::stack::{Bridge, FdbChange, FdbEntry, FdbFlags, FdbKey, Net, OWN};
use crate::time::Ktime;
use crate::{err, nl_err};

const NDA_VLAN: u16 = 5;
const NDA_MASTER: u16 = 9;
const NDA_FDB_EXT_ATTRS: u16 = 14;
const NFEA_ACTIVITY_NOTIFY: u16 = 1;
/// `FDB_NOTIFY_BIT` and `FDB_NOTIFY_INACTIVE_BIT`.
const NOTIFY_BITS: [(u8, FdbFlags); 2] = [(1, FdbFlags::NOTIFY), (2, FdbFlags::NOTIFY_INACTIVE)];

bitflags::bitflags! {
    /// `NTF_*`.
    #[derive(Clone, Copy, PartialEq, Eq)]
    struct Ntf: u8 {
        const USE = 1;
        const SELF = 2;
        const MASTER = 4;
        const EXT_LEARNED = 0x10;
        const OFFLOADED = 0x20;
        const STICKY = 0x40;
        const _ = !0;
    }
}

bitflags::bitflags! {
    /// `NUD_*`, several of which a message may have.
    #[derive(Clone, Copy, PartialEq, Eq)]
    struct NudSet: u16 {
        const REACHABLE = 2;
        const NOARP = 0x40;
        const PERMANENT = 0x80;
        const _ = !0;
    }
}

/// `struct ndmsg`.
struct Ndmsg {
    ifindex: u32,
    state: NudSet,
    flags: Ntf,
}

impl Ndmsg {
    fn read(payload: &[u8]) -> Ndmsg {
        Ndmsg {
            ifindex: u32_at(payload, 4),
            state: NudSet::from_bits_retain(u16_at(payload, 8)),
            flags: Ntf::from_bits_retain(payload.get(10).copied().unwrap_or(0)),
        }
    }
    /// The device is meant as a port.
    fn for_master(&self) -> bool {
        self.flags.is_empty() || self.flags.contains(Ntf::MASTER)
    }
    fn device<'a>(&self, net: &'a Net<'_>) -> NlResult<&'a Device> {
        if self.ifindex == 0 {
            return Err(nl_err!(EINVAL, "invalid ifindex"));
        }
        net.device(self.ifindex).ok_or(nl_err!(ENODEV, "unknown ifindex"))
    }
}

fn nobody() -> NlError {
    err!(EOPNOTSUPP, "rtnetlink: neither a port nor the device itself").into()
}

fn is_bridge(dev: &Device) -> bool {
    matches!(dev.kind, DeviceKind::Bridge(_))
}

fn bridge<'a>(net: &'a Net<'_>, ifindex: u32) -> Option<&'a Bridge> {
    match &net.device(ifindex)?.kind {
        DeviceKind::Bridge(bridge) => Some(bridge),
        _ => None,
    }
}

fn mac_in(attrs: Attrs<'_>) -> NlResult<Mac> {
    match attrs.get(NDA_LLADDR).map(Mac::try_from) {
        Some(Ok(mac)) => Ok(mac),
        _ => Err(nl_err!(EINVAL, "invalid address")),
    }
}

/// The VLAN; 0 if there is none.
fn vlan_in(attrs: Attrs<'_>) -> NlResult<u16> {
    const LAST: u16 = 4094;
    let Some(data) = attrs.get(NDA_VLAN) else {
        return Ok(0);
    };
    if data.len() != 2 {
        return Err(nl_err!(EINVAL, "invalid vlan attribute size"));
    }
    match u16_at(data, 0) {
        vlan @ 1..=LAST => Ok(vlan),
        _ => Err(nl_err!(EINVAL, "invalid vlan id")),
    }
}

/// Writes an entry.
fn fill(
    ifindex: u32,
    bridge: &Bridge,
    (key, entry): (&FdbKey, &FdbEntry),
    now: Ktime,
    kind: u16,
    (seq, pid): (u32, u32),
) -> Vec<u8> {
    let dev = if entry.port == OWN { ifindex } else { entry.port };
    let mut flags = Ntf::empty();
    flags.set(Ntf::EXT_LEARNED, entry.flags.contains(FdbFlags::EXT_LEARN));
    flags.set(Ntf::STICKY, entry.flags.contains(FdbFlags::STICKY));
    let state = entry.state(now, bridge.ageing()) as u16;
    let head = head(family::BRIDGE, dev, state, flags.bits(), 0);
    let mut message = Builder::new(kind, NlFlags::empty(), seq, pid, &head);
    message.attr(NDA_LLADDR, &key.mac).u32(NDA_MASTER, ifindex);
    let ago = |at: Ktime| (now.since(at).as_millis() / 10) as u32;
    let cache = [0, ago(entry.used), ago(entry.updated), 0];
    message.attr(NDA_CACHEINFO, &cache.map(u32::to_ne_bytes).concat());
    if key.vlan != 0 {
        message.u16(NDA_VLAN, key.vlan);
    }
    if entry.flags.contains(FdbFlags::NOTIFY) {
        let set = NOTIFY_BITS.iter().filter(|(_, flag)| entry.flags.contains(*flag));
        let bits = set.fold(0, |bits, (bit, _)| bits | bit);
        message.nest(NDA_FDB_EXT_ATTRS, |data| _ = data.u8(NFEA_ACTIVITY_NOTIFY, bits));
    }
    message.finish()
}

/// Writes an entry that changed or is gone.
pub(super) fn fill_change(net: &Net<'_>, ifindex: u32, change: &FdbChange) -> Option<Vec<u8>> {
    let kind = match change.gone {
        true => rtm::DELNEIGH,
        false => rtm::NEWNEIGH,
    };
    let entry = (&change.key, &change.entry);
    Some(fill(
        ifindex,
        bridge(net, ifindex)?,
        entry,
        net.now(),
        kind,
        (0, 0),
    ))
}

/// Writes an address that a device takes.
fn fill_self(ifindex: u32, mac: Mac, vlan: u16, state: NudSet, kind: u16, (seq, pid): (u32, u32)) -> Vec<u8> {
    let head = head(family::BRIDGE, ifindex, state.bits(), Ntf::SELF.bits(), 0);
    let mut message = Builder::new(kind, NlFlags::empty(), seq, pid, &head);
    message.attr(NDA_LLADDR, &mac);
    if vlan != 0 {
        message.u16(NDA_VLAN, vlan);
    }
    message.finish()
}
