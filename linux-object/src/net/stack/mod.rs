//! What a network namespace contains: devices, addresses, routes, neighbours, sockets.
//!
//! Model: a [`NetStack`] belongs to one namespace. A packet moves in the context of whoever sends it: a
//! [`Run`] is a queue of jobs that belongs to one call, and each job concerns one stack. A frame that crosses a
//! veth is a job for the other stack; a packet that reaches a socket is a job for that socket. Nothing
//! recurses, no two stacks are locked at once, and there is no thread per namespace.
//!
//! Invariants: a route refers only to devices of its stack that are up; a veth whose peer is gone
//! is gone too; a device dies with its namespace, but for network cards ([`NetStack::shutdown`]).
//!
//! Locks: `class::Rtnl`, one for the kernel, around changes of devices, addresses and routes (Linux's
//! `rtnl_lock`); `class::Net` around one stack. Sockets are told without any lock, so theirs ranks before.
//!
//! Timers: one per stack for the earliest thing to do (neighbours, checks for duplicates); each TCP socket
//! has its own.

pub mod address;
mod arp;
mod bridge;
pub mod conf;
pub mod device;
mod eth;
pub mod frag;
mod headers6;
mod icmp4;
mod icmp6;
mod ip4;
mod ip6;
pub mod link;
pub mod mcast;
pub mod mib;
pub mod neigh;
pub mod packet;
mod pmtu;
pub mod route;
mod router;
mod run;
pub mod sockets;
mod sysctl;
mod tcp;
mod unicast;

pub use bridge::{
    Bridge, BridgePort, FdbChange, FdbEntry, FdbFlags, FdbFlush, FdbKey, FdbUpdate, OWN, PortChange,
    PortFlags, VLANS,
};
pub use eth::pkttype;
pub use ip4::{Dst, Flow, PmtuDiscovery, proto, pseudo_sum, transport_checksum};
pub use run::{Event, Job, Run};
pub use sysctl::{NetCore, NetSysctls};

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use hashbrown::HashMap;
use spin::Once;

use self::device::{Device, DeviceKind};
use self::mib::{Counter, Mib};
use self::neigh::NeighTable;
use self::route::Fib;
use self::sockets::SocketTable;
use crate::ids::KoID;
use crate::namespace::{NetNamespace, UserNamespace};
use crate::net::netlink::NetlinkTable;
use crate::net::nic::{Cards, Nic};
use crate::rng::Rng;
use crate::sync::{SpinGuard, SpinLock, class};
use crate::time::{Ktime, Timekeeper, TimerCallback, TimerId, Timers};

/// What the stacks of a kernel share.
pub struct NetShared {
    /// The clocks.
    pub time: Arc<Timekeeper>,
    /// The timers.
    pub timers: Arc<Timers>,
    /// Random numbers for ports, sequence numbers and MAC addresses.
    pub rng: Rng,
    /// What the first numbers of connections are hidden with.
    pub isn_key: [u8; 16],
    /// Large buffers for packets.
    pub buffers: packet::Buffers,
    /// The number of the last uevent (`SEQNUM`).
    pub uevent_seqnum: AtomicU64,
    /// Settings of all namespaces.
    pub core: NetCore,
    /// The initial namespace's.
    init: Once<Weak<NetStack>>,
    nics: Once<Cards>,
    rtnl: SpinLock<(), class::Rtnl>,
}

impl NetShared {
    /// For a kernel with these clocks.
    pub fn new(time: Arc<Timekeeper>, timers: Arc<Timers>, rng: Rng) -> Arc<NetShared> {
        let mut isn_key = [0; 16];
        rng.fill(&mut isn_key);
        Arc::new(NetShared {
            time,
            timers,
            rng,
            isn_key,
            buffers: packet::Buffers::new(),
            uevent_seqnum: AtomicU64::new(0),
            core: NetCore::default(),
            init: Once::new(),
            nics: Once::new(),
            rtnl: SpinLock::new(()),
        })
    }
    /// The initial namespace's, while it is there.
    pub fn init_stack(&self) -> Option<Arc<NetStack>> {
        self.init.get()?.upgrade()
    }
    /// The network cards.
    pub(in crate::net) fn nics(&self) -> &[Arc<Nic>] {
        self.nics.get().map_or(&[], |nics| nics)
    }
    /// Sets them, once.
    pub(in crate::net) fn set_nics(&self, nics: Cards) {
        self.nics.call_once(|| nics);
    }
    /// Holds off other changes of devices, addresses and routes in every namespace.
    pub fn rtnl(&self) -> SpinGuard<'_, (), class::Rtnl> {
        self.rtnl.lock()
    }
    /// An address for a new device: random, local, unicast.
    pub fn random_mac(&self) -> device::Mac {
        let [a, b, c, d, e, f, ..] = self.rng.next_u64().to_le_bytes();
        [a & 0xfc | 2, b, c, d, e, f]
    }
}

/// What is behind a stack's lock.
pub struct NetState {
    /// Devices by number.
    pub devices: BTreeMap<u32, Box<Device>>,
    names: HashMap<String, u32>,
    next_ifindex: u32,
    /// IPv4 routes.
    pub fib4: Fib,
    /// IPv6 routes.
    pub fib6: Fib,
    /// Neighbours.
    pub neigh: NeighTable,
    /// Sockets that packets are looked up for.
    pub sockets: SocketTable,
    /// Numbers that this namespace has for others (`ip netns`, `link-netnsid`).
    pub nsids: Vec<(i32, Weak<NetStack>)>,
    /// Counts changes of devices, addresses and routes: a dump that sees it move was interrupted.
    pub generation: u32,
    timer: Option<(Ktime, TimerId)>,
    /// The namespace is gone.
    dead: bool,
    ip_id: u16,
    /// Settings that count for all devices, and those of new ones.
    conf_all: conf::Conf,
    conf_default: conf::Conf,
    /// Datagrams that arrive in pieces, of IPv4 and of IPv6.
    pub fragments: [frag::Fragments; 2],
    /// Paths that are narrower than they look.
    pub(super) paths: pmtu::Paths,
}

impl NetState {
    /// The routes of one family.
    pub fn fib(&mut self, v6: bool) -> &mut Fib {
        if v6 { &mut self.fib6 } else { &mut self.fib4 }
    }
    /// The device with this name.
    pub fn by_name(&self, name: &str) -> Option<u32> {
        self.names.get(name).copied()
    }
}

/// The content of a network namespace.
pub struct NetStack {
    /// What all stacks share.
    pub shared: Arc<NetShared>,
    /// The namespace's identity.
    pub koid: KoID,
    /// The owner of the namespace.
    pub user_ns: Arc<UserNamespace>,
    /// The namespace itself.
    pub ns: Once<Weak<NetNamespace>>,
    /// Settings below `/proc/sys/net`.
    pub sysctl: NetSysctls,
    /// Counters.
    pub mib: Mib,
    /// Netlink sockets by port.
    pub netlink: NetlinkTable,
    /// Which rtnetlink groups somebody listens to.
    pub listeners: AtomicU32,
    state: SpinLock<NetState, class::Net>,
    this: Weak<NetStack>,
}

impl NetStack {
    /// Whether it is the initial namespace's.
    pub fn is_initial(&self) -> bool {
        self.shared
            .init
            .get()
            .is_some_and(|init| Weak::ptr_eq(init, &self.this))
    }
    /// A stack with nothing but `lo`, which is down.
    pub fn new(shared: Arc<NetShared>, koid: KoID, user_ns: Arc<UserNamespace>) -> Arc<NetStack> {
        let (mut conf_all, mut conf_default) = <(conf::Conf, conf::Conf)>::default();
        if let Some(init) = shared.init_stack() {
            let init = init.lock();
            conf_all.inherit(&init.conf_all);
            conf_default.inherit(&init.conf_default);
        }
        Arc::new_cyclic(|this| {
            shared.init.call_once(|| this.clone());
            let mut state = NetState {
                devices: BTreeMap::new(),
                names: HashMap::new(),
                next_ifindex: 1,
                fib4: Fib::default(),
                fib6: Fib::default(),
                neigh: NeighTable::default(),
                sockets: SocketTable::default(),
                nsids: Vec::new(),
                generation: 0,
                timer: None,
                dead: false,
                conf_all,
                conf_default,
                ip_id: shared.rng.next_u64() as u16,
                fragments: Default::default(),
                paths: pmtu::Paths::default(),
            };
            let lo = Device::new("lo", DeviceKind::Loopback, [0; 6]);
            state.insert(Box::new(lo));
            NetStack {
                shared,
                koid,
                user_ns,
                ns: Once::new(),
                sysctl: NetSysctls::default(),
                mib: Mib::default(),
                netlink: NetlinkTable::default(),
                listeners: AtomicU32::new(0),
                state: SpinLock::new(state),
                this: this.clone(),
            }
        })
    }
    /// Looks at the state. Nothing is sent meanwhile.
    pub fn lock(&self) -> SpinGuard<'_, NetState, class::Net> {
        self.state.lock()
    }
    /// Works on the stack; what has to happen elsewhere goes into `run`.
    pub fn enter<R>(self: &Arc<Self>, run: &mut Run, work: impl FnOnce(&mut Net<'_>) -> R) -> R {
        let mut state = self.state.lock();
        work(&mut Net {
            stack: self,
            state: &mut state,
            run,
        })
    }
    /// Works on the stack, and does what follows from it.
    pub fn with<R>(self: &Arc<Self>, work: impl FnOnce(&mut Net<'_>) -> R) -> R {
        let mut run = Run::new();
        let result = self.enter(&mut run, work);
        run.finish();
        result
    }
    /// A reference to itself.
    pub fn arc(&self) -> Option<Arc<NetStack>> {
        self.this.upgrade()
    }
    /// Whether somebody listens to the rtnetlink group.
    pub fn has_listeners(&self, group: u32) -> bool {
        self.listeners.load(Ordering::Relaxed) & 1 << (group & 31) != 0
    }

    /// Sees that [`Net::timers`] is called at `deadline` or before.
    pub(super) fn arm(&self, state: &mut NetState, deadline: Ktime) {
        if state.dead {
            return;
        }
        if let Some((at, id)) = state.timer {
            if at <= deadline {
                return;
            }
            self.shared.timers.cancel(id);
        }
        if let Some(this) = self.arc() {
            let id = self.shared.timers.add(deadline, this);
            state.timer = Some((deadline, id));
        }
    }

    /// The namespace goes: so do its devices, and the other ends of its cables. Network cards go home.
    pub fn shutdown(self: &Arc<Self>) {
        let mut peers = Vec::new();
        let (devices, connections) = {
            let mut state = self.state.lock();
            state.dead = true;
            if let Some((_, id)) = state.timer.take() {
                self.shared.timers.cancel(id);
            }
            state.names.clear();
            peers.extend(state.devices.values().filter_map(|dev| dev.peer()));
            let connections = core::mem::take(&mut state.sockets.connections);
            (core::mem::take(&mut state.devices), connections)
        };
        for (_, dev) in devices {
            match &dev.kind {
                DeviceKind::Nic(nic) => nic.clone().go_home(dev),
                _ => drop(dev),
            }
        }
        drop(connections);
        let mut run = Run::new();
        for (stack, ifindex) in peers.into_iter().filter(|(stack, _)| !Arc::ptr_eq(stack, self)) {
            stack.enter(&mut run, |net| net.unregister(ifindex));
        }
        run.finish();
    }
}

impl TimerCallback for NetStack {
    fn fire(self: Arc<Self>, now: Ktime) {
        self.with(|net| {
            if net.state.timer.is_some_and(|(at, _)| at <= now) {
                net.state.timer = None;
            }
            net.timers();
        });
    }
}

/// A locked stack, with the run that its work belongs to.
pub struct Net<'a> {
    /// The stack.
    pub stack: &'a Arc<NetStack>,
    /// What its lock protects.
    pub state: &'a mut NetState,
    /// Where jobs for others go.
    pub run: &'a mut Run,
}

impl Net<'_> {
    /// Counts something.
    pub(super) fn count(&self, counter: Counter) {
        self.stack.mib.add(counter);
    }
    /// The time.
    pub fn now(&self) -> Ktime {
        self.stack.shared.time.now()
    }
    /// A device.
    pub fn device(&self, ifindex: u32) -> Option<&Device> {
        self.state.devices.get(&ifindex).map(|dev| &**dev)
    }
    /// A device.
    pub fn device_mut(&mut self, ifindex: u32) -> Option<&mut Device> {
        self.state.devices.get_mut(&ifindex).map(|dev| &mut **dev)
    }
    /// Tells listeners, once the lock is released.
    pub(super) fn event(&mut self, event: Event) {
        if let Event::DelRoute(..) = event {
            self.state.paths.clear();
        }
        self.state.generation = self.state.generation.wrapping_add(1);
        crate::net::netlink::rtnl::queue_event(self, event);
    }
    fn event_addr_gone(&mut self, ifindex: u32, addr: &address::IfAddr) {
        self.state.generation = self.state.generation.wrapping_add(1);
        crate::net::netlink::rtnl::queue_addr_gone(self, ifindex, addr);
    }
    /// Whatever is due.
    fn timers(&mut self) {
        self.neigh_timer();
        // Groups first: the check for a duplicate listens in one.
        self.groups_timer();
        self.dad_timer();
        self.router_timer();
        self.lifetime_timer();
        self.fragments_timer();
        self.bridges_timer();
    }
}
