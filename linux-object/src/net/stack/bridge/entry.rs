//! The entries of a forwarding database, and what is said of them.

use core::time::Duration;

use super::super::device::Mac;
use super::super::neigh::Nud;
use crate::time::Ktime;

/// What ports and bridge are in: no VLAN, and the default one (`vlan_default_pvid`).
pub const VLANS: [u16; 2] = [0, 1];
/// The bridge itself in place of a port.
pub const OWN: u32 = 0;

bitflags::bitflags! {
    /// What an entry is.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct FdbFlags: u16 {
        /// An address of this host.
        const LOCAL = 1;
        /// Does not age.
        const STATIC = 2;
        /// Does not move.
        const STICKY = 4;
        /// A program made it, or made it its own.
        const ADDED_BY_USER = 8;
        /// A program has learnt it: the bridge does not let it age.
        const EXT_LEARN = 0x10;
        /// Listeners hear when it would age, and when a frame comes again …
        const NOTIFY = 0x20;
        /// … and it would.
        const NOTIFY_INACTIVE = 0x40;
        /// Hardware forwards: no entry has it, but a request may ask for those that do.
        const OFFLOADED = 0x80;
    }
}

/// What an entry is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FdbKey {
    /// The address.
    pub mac: Mac,
    /// The VLAN; 0 for none.
    pub vlan: u16,
}

impl FdbKey {
    /// An address of a frame.
    pub fn of(mac: Mac) -> FdbKey {
        FdbKey { mac, vlan: 0 }
    }
}

/// Where an address is.
#[derive(Clone, Copy, Debug)]
pub struct FdbEntry {
    /// The port, or [`OWN`].
    pub port: u32,
    /// What it is.
    pub flags: FdbFlags,
    /// When it was last learnt or changed.
    pub updated: Ktime,
    /// When it was last looked up.
    pub used: Ktime,
    /// Which entry came first.
    pub(super) serial: u64,
}

impl FdbEntry {
    /// Whether time removes it.
    pub(super) fn ages(&self) -> bool {
        !self.flags.intersects(FdbFlags::STATIC | FdbFlags::EXT_LEARN)
    }
    /// Its `NUD_*`.
    pub fn state(&self, now: Ktime, ageing: Duration) -> Nud {
        match self.flags {
            flags if flags.contains(FdbFlags::LOCAL) => Nud::Permanent,
            flags if flags.contains(FdbFlags::STATIC) => Nud::Noarp,
            _ if self.ages() && self.updated + ageing <= now => Nud::Stale,
            _ => Nud::Reachable,
        }
    }
}

/// What listeners hear: the entry is new or other than before, or it is gone.
#[derive(Clone, Copy, Debug)]
pub struct FdbChange {
    /// It is gone.
    pub gone: bool,
    /// Which one.
    pub key: FdbKey,
    /// As it is, or was.
    pub entry: FdbEntry,
}

/// What a program says of an entry.
#[derive(Clone, Copy, Debug)]
pub struct FdbUpdate {
    /// The port, or [`OWN`].
    pub port: u32,
    /// Permanent makes it local, no ARP static, all else lets it age.
    pub state: Nud,
    /// Whether it does not move.
    pub sticky: bool,
    /// Whether it may be made …
    pub create: bool,
    /// … and may not be there.
    pub exclusive: bool,
    /// [`FdbFlags::NOTIFY`] and [`FdbFlags::NOTIFY_INACTIVE`].
    pub notify: FdbFlags,
    /// Whether a change makes it young again.
    pub refresh: bool,
}

/// What to remove of a database.
#[derive(Clone, Copy, Default, Debug)]
pub struct FdbFlush {
    /// Only of this VLAN, if not 0.
    pub vlan: u16,
    /// Only of this port or the bridge itself.
    pub port: Option<u32>,
    /// Only entries that of these flags …
    pub mask: FdbFlags,
    /// … have exactly these.
    pub flags: FdbFlags,
}

impl FdbFlush {
    /// All that is not static.
    pub const AGEING: FdbFlush = FdbFlush {
        vlan: 0,
        port: None,
        mask: FdbFlags::STATIC,
        flags: FdbFlags::empty(),
    };
}
