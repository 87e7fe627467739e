//! Network devices (`netdevice(7)`).
//!
//! A device belongs to one namespace and is guarded by that namespace's lock. Its kind says what
//! becomes of a frame that it sends. Every device speaks Ethernet; `lo` with addresses of zeros.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use smallvec::SmallVec;

use super::NetStack;
use super::address::IfAddr;
use super::bridge::{Bridge, BridgePort};
use super::conf::Conf;
use super::mcast::Groups;
use super::router::Routers;
use super::unicast::Unicast;
use crate::net::nic::Nic;
use crate::net::tun::{self, Tun};

bitflags::bitflags! {
    /// `IFF_*`.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    #[allow(missing_docs)]
    pub struct IfFlags: u32 {
        const UP = 1;
        const BROADCAST = 2;
        const LOOPBACK = 8;
        const POINTOPOINT = 0x10;
        const RUNNING = 0x40;
        const NOARP = 0x80;
        const PROMISC = 0x100;
        const ALLMULTI = 0x200;
        const MASTER = 0x400;
        const SLAVE = 0x800;
        const MULTICAST = 0x1000;
        const LOWER_UP = 0x10000;
        /// What a program may set and clear.
        const SETTABLE = 0x1 | 0x4 | 0x20 | 0x80 | 0x100 | 0x200 | 0x1000 | 0x2000 | 0x4000 | 0x8000;
        const _ = !0;
    }
}

/// A link-layer address.
pub type Mac = [u8; 6];
/// Everyone.
pub const BROADCAST: Mac = [0xff; 6];

/// Longest name, with the zero that ends it.
pub const IFNAMSIZ: usize = 16;

/// Counters of a device (`struct rtnl_link_stats64`).
#[derive(Clone, Copy, Default, Debug)]
#[allow(missing_docs)]
pub struct Stats {
    pub rx_packets: u64,
    pub tx_packets: u64,
    pub rx_bytes: u64,
    pub tx_bytes: u64,
    pub rx_errors: u64,
    pub tx_errors: u64,
    pub rx_dropped: u64,
    pub tx_dropped: u64,
    pub multicast: u64,
    pub collisions: u64,
}

/// A device in some namespace.
#[derive(Clone, Default)]
pub struct DevRef {
    /// Where it is.
    pub stack: Weak<NetStack>,
    /// Its number there.
    pub ifindex: u32,
}

/// What a device is.
pub enum DeviceKind {
    /// `lo`: what it sends it receives.
    Loopback,
    /// One end of a cable; the other one may be in another namespace.
    Veth(DevRef),
    /// A switch.
    Bridge(Box<Bridge>),
    /// Swallows what it sends.
    Dummy,
    /// A program's.
    Tun(Box<Tun>),
    /// A network card's.
    Nic(Arc<Nic>),
}

impl DeviceKind {
    /// `IFLA_INFO_KIND`; `lo` and cards have none.
    pub fn name(&self) -> &'static str {
        match self {
            DeviceKind::Loopback | DeviceKind::Nic(_) => "",
            DeviceKind::Veth(_) => "veth",
            DeviceKind::Bridge(_) => "bridge",
            DeviceKind::Dummy => "dummy",
            DeviceKind::Tun(_) => "tun",
        }
    }
}

/// `IF_OPER_*`.
#[allow(missing_docs)]
pub mod oper {
    pub const UNKNOWN: u8 = 0;
    pub const DOWN: u8 = 2;
    pub const LOWERLAYERDOWN: u8 = 3;
    pub const UP: u8 = 6;
}

/// A device.
pub struct Device {
    /// Its number in its namespace.
    pub ifindex: u32,
    /// Its name.
    pub name: String,
    /// What was set; `RUNNING` and `LOWER_UP` follow from the rest ([`Device::flags`]).
    pub set_flags: IfFlags,
    /// Whether a frame would arrive somewhere.
    pub carrier: bool,
    /// Largest network packet in bytes.
    pub mtu: u32,
    /// Its address.
    pub mac: Mac,
    /// Whether `mac` was chosen by someone (`addr_assign_type`).
    pub mac_set: bool,
    /// Length of the transmit queue, in packets.
    pub txqlen: u32,
    /// `ip link set group`.
    pub group: u32,
    /// `ip link set alias`.
    pub alias: Vec<u8>,
    /// Who wants to see everything.
    pub promiscuity: u32,
    /// The groups that it is in, of IPv4 and of IPv6.
    pub(super) groups: [Groups; 2],
    /// Link-layer addresses of groups that programs added.
    pub(super) added_macs: Vec<Mac>,
    /// What it takes besides its own address.
    pub(super) unicast: Unicast,
    /// Counts groups as they come.
    pub(super) born: u64,
    /// What it is.
    pub kind: DeviceKind,
    /// The bridge that it is a port of.
    pub port: Option<Box<BridgePort>>,
    /// Its addresses, in order.
    pub addrs: SmallVec<[IfAddr; 2]>,
    /// It was up with a carrier and got its link-local address; until it goes down it gets no other.
    pub ip6_ready: bool,
    /// The routers that it has found, or looks for.
    pub(super) routers: Routers,
    /// Its settings in its namespace.
    pub conf: Conf,
    /// Counters.
    pub stats: Stats,
    /// How often the carrier came and went.
    pub carrier_changes: u32,
}

impl Device {
    /// A device that is down.
    pub fn new(name: &str, kind: DeviceKind, mac: Mac) -> Device {
        let (flags, mtu, carrier) = match &kind {
            DeviceKind::Tun(tun) => (tun::device_flags(tun), 1500, false),
            DeviceKind::Loopback => (IfFlags::LOOPBACK, 65536, true),
            DeviceKind::Veth(_) | DeviceKind::Nic(_) => {
                (IfFlags::BROADCAST | IfFlags::MULTICAST, 1500, false)
            }
            // A bridge is without a carrier only once it has had ports.
            DeviceKind::Bridge(_) => (IfFlags::BROADCAST | IfFlags::MULTICAST, 1500, true),
            DeviceKind::Dummy => (IfFlags::BROADCAST | IfFlags::NOARP, 1500, true),
        };
        Device {
            ifindex: 0,
            name: name.into(),
            set_flags: flags,
            carrier,
            mtu,
            mac,
            mac_set: false,
            txqlen: match kind {
                DeviceKind::Tun(_) => tun::QUEUE_LEN,
                _ => 1000,
            },
            group: 0,
            alias: Vec::new(),
            promiscuity: 0,
            groups: Default::default(),
            added_macs: Vec::new(),
            unicast: Unicast::default(),
            born: 0,
            kind,
            port: None,
            addrs: SmallVec::new(),
            ip6_ready: false,
            routers: Routers::default(),
            conf: Conf::default(),
            stats: Stats::default(),
            carrier_changes: 0,
        }
    }

    /// Whether it is up.
    pub fn is_up(&self) -> bool {
        self.set_flags.contains(IfFlags::UP)
    }
    /// Whether it is `lo`.
    pub fn is_loopback(&self) -> bool {
        self.set_flags.contains(IfFlags::LOOPBACK)
    }
    /// Whether it is up and has a carrier.
    pub fn is_running(&self) -> bool {
        self.is_up() && self.carrier
    }
    /// What `IFF_*` a program sees.
    pub fn flags(&self) -> IfFlags {
        let mut flags = self.set_flags;
        if self.is_running() {
            flags |= IfFlags::RUNNING | IfFlags::LOWER_UP;
        }
        flags
    }
    /// `IF_OPER_*` (RFC 2863).
    pub fn operstate(&self) -> u8 {
        match self.kind {
            _ if !self.is_up() => oper::DOWN,
            DeviceKind::Loopback | DeviceKind::Dummy => oper::UNKNOWN,
            DeviceKind::Tun(_) if self.carrier => oper::UNKNOWN,
            DeviceKind::Bridge(_) if self.carrier_changes == 0 => oper::UNKNOWN,
            _ if self.carrier => oper::UP,
            DeviceKind::Veth(_) => oper::LOWERLAYERDOWN,
            _ => oper::DOWN,
        }
    }
    /// `qdisc`: nothing queues here.
    pub fn qdisc(&self) -> &'static str {
        if self.is_up() { "noqueue" } else { "noop" }
    }
    /// Its hardware (`ARPHRD_*`).
    pub fn arphrd(&self) -> u16 {
        match &self.kind {
            DeviceKind::Loopback => 772,
            // No hardware at all.
            DeviceKind::Tun(tun) if !tun.tap => 65534,
            _ => 1,
        }
    }
    /// Bytes of its address.
    pub fn addr_len(&self) -> u8 {
        if self.arphrd() == 65534 { 0 } else { 6 }
    }
    /// What a way through it costs as a port of a bridge: 2 for the 10 Gbit/s that a veth says it has, 100 where
    /// nothing is known (Linux's `port_cost`).
    pub fn path_cost(&self) -> u32 {
        match self.kind {
            DeviceKind::Veth(_) => 2,
            _ => 100,
        }
    }
    /// Smallest and largest MTU.
    pub fn mtu_range(&self) -> (u32, u32) {
        match &self.kind {
            DeviceKind::Loopback => (0, 0),
            DeviceKind::Dummy => (0, 0),
            DeviceKind::Nic(nic) => (68, nic.max_mtu()),
            _ => (68, 65535),
        }
    }
    /// The address of its hardware, if it has any.
    pub fn perm_addr(&self) -> Option<Mac> {
        match &self.kind {
            DeviceKind::Nic(nic) => Some(nic.mac()),
            _ => None,
        }
    }
    /// Its path below `/sys`.
    pub fn path(&self) -> String {
        match &self.kind {
            DeviceKind::Nic(nic) => format!("devices/{}/net/{}", nic.path(), self.name),
            _ => format!("devices/virtual/net/{}", self.name),
        }
    }
    /// Whoever is behind it learns where it is now.
    pub(super) fn moved(&self, to: Option<DevRef>) {
        match &self.kind {
            DeviceKind::Tun(tun) => tun.moved(to),
            DeviceKind::Nic(nic) => nic.moved(to.unwrap_or_default()),
            _ => {}
        }
    }
    /// Its namespace is gone: it is down, alone, and without what it had there.
    pub(in crate::net) fn leave_namespace(&mut self) {
        self.set_flags -= IfFlags::UP;
        (self.port, self.promiscuity) = (None, 0);
        self.unicast = Unicast::default();
        self.addrs.clear();
        self.ip6_ready = false;
        self.routers = Routers::default();
    }
    /// The other end of a veth.
    pub fn peer(&self) -> Option<(Arc<NetStack>, u32)> {
        match &self.kind {
            DeviceKind::Veth(peer) => Some((peer.stack.upgrade()?, peer.ifindex)),
            _ => None,
        }
    }
}

/// Whether a device may have this name (Linux's `dev_valid_name`).
pub fn valid_name(name: &[u8]) -> bool {
    !name.is_empty()
        && name.len() < IFNAMSIZ
        && name != b"."
        && name != b".."
        && core::str::from_utf8(name).is_ok()
        && !name
            .iter()
            .any(|&c| c == b'/' || c == b':' || c.is_ascii_whitespace() || c == 0x0b)
}
