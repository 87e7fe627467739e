//! Which socket a packet is for.
//!
//! Tables of weak references, filled by the sockets themselves when they are bound or connected. A lookup
//! costs the same with one socket as with a thousand connections: connections are found by their four numbers,
//! others by their port.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::net::IpAddr;

use hashbrown::HashMap;

use super::Run;
use super::packet::Packet;
use crate::error::Errno;
use crate::ids::Kuid;
use crate::net::{Shutdown, SocketType};

/// A packet, or an error about one, on its way to a socket.
pub struct Delivery {
    /// The whole network packet (of an error: the one that was sent).
    pub packet: Packet,
    /// Where the transport header is.
    pub transport: usize,
    /// Who sent it.
    pub src: IpAddr,
    /// Whom it was for.
    pub dst: IpAddr,
    /// The transport protocol.
    pub protocol: u8,
    /// The device that it came in on.
    pub ifindex: u32,
    /// Time to live or hop limit.
    pub ttl: u8,
    /// Type of service or traffic class.
    pub tos: u8,
    /// It is an ICMP error: errno, type, code, and whether it ends what it concerns.
    pub error: Option<IcmpError>,
}

impl Delivery {
    /// One more for another socket.
    pub fn copy(&self) -> Delivery {
        Delivery {
            packet: self.packet.clone(),
            ..*self
        }
    }
    /// What is behind the network header.
    pub fn transport(&self) -> &[u8] {
        self.packet.data().get(self.transport..).unwrap_or_default()
    }
}

/// What an ICMP error says.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct IcmpError {
    pub errno: Errno,
    pub kind: u8,
    pub code: u8,
    pub info: u32,
    /// Connected sockets without `IP_RECVERR` are told only of these.
    pub hard: bool,
    /// It is about something that was not sent at all.
    pub local: bool,
    /// Who reports it.
    pub offender: IpAddr,
}

/// A socket that packets are delivered to.
pub trait InetSocket: Send + Sync {
    /// A packet is there. No lock is held.
    fn deliver(self: Arc<Self>, run: &mut Run, delivery: Delivery);
    /// Whether a program looks at the packets that are for it (`SO_ATTACH_FILTER`).
    fn looks(&self) -> bool {
        false
    }
    /// A run that carries its segments has no more: others may, or the run goes on with those that came meanwhile.
    fn put_down(self: Arc<Self>, run: &mut Run) {
        let _ = run;
    }
    /// A segment opens a connection between ends whose last one still waited; its numbers begin at `isn`.
    fn reopen(self: Arc<Self>, run: &mut Run, delivery: Delivery, isn: u32) {
        let _ = (run, delivery, isn);
    }
    /// If it is only what a connection left, it goes, and a new one between the same ends begins with this number or
    /// a later one. No lock is held.
    fn give_way(&self) -> Option<u32> {
        None
    }
    /// What listings show of it. Takes the socket's lock, so the stack's must not be held.
    fn info(&self) -> InetInfo;
}

/// What `ss`, `netstat` and `/proc/net` show of a socket.
#[derive(Clone, Debug)]
pub struct InetInfo {
    /// Its transport protocol.
    pub protocol: u8,
    /// Made with AF_INET6.
    pub v6: bool,
    /// `TCP_ESTABLISHED` and so on, also of sockets that are not TCP (`TCP_CLOSE`: not connected).
    pub state: u8,
    /// Its own end.
    pub local: (IpAddr, u16),
    /// The other end; unspecified if there is none.
    pub remote: (IpAddr, u16),
    /// Only this device, if not 0.
    pub ifindex: u32,
    /// Bytes to read; of a listening socket: connections to accept.
    pub rqueue: u32,
    /// Bytes not acknowledged; of a listening socket: its backlog.
    pub wqueue: u32,
    /// Buffers: taken and allowed, to receive and to send.
    pub memory: [u32; 4],
    /// Datagrams that found no room.
    pub drops: u32,
    /// Owner and number of its inode, and its cookie.
    pub owner: Kuid,
    /// The number of its inode, 0 without one.
    pub ino: u64,
    /// `SO_COOKIE`.
    pub cookie: u64,
    /// Type of service.
    pub tos: u8,
    /// Traffic class.
    pub tclass: u8,
    /// `IPV6_V6ONLY`.
    pub v6only: bool,
    /// Directions that are shut down.
    pub shutdown: Shutdown,
    /// Until a connection in TIME_WAIT goes, in nanoseconds.
    pub expires: u64,
    /// `struct tcp_info` of a TCP socket.
    pub tcp: Option<Vec<u8>>,
}

/// States of TCP as programs see them (`TCP_*`).
#[allow(missing_docs)]
pub mod tcp_state {
    pub const ESTABLISHED: u8 = 1;
    pub const SYN_SENT: u8 = 2;
    pub const SYN_RECV: u8 = 3;
    pub const FIN_WAIT1: u8 = 4;
    pub const FIN_WAIT2: u8 = 5;
    pub const TIME_WAIT: u8 = 6;
    pub const CLOSE: u8 = 7;
    pub const CLOSE_WAIT: u8 = 8;
    pub const LAST_ACK: u8 = 9;
    pub const LISTEN: u8 = 10;
    pub const CLOSING: u8 = 11;
}

/// A weak reference to one.
pub type WeakSocket = Weak<dyn InetSocket>;

/// Local and remote end of a bound or connected socket; unspecified and 0 are wildcards.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub struct Ends {
    pub local: IpAddr,
    pub port: u16,
    pub remote: IpAddr,
    pub remote_port: u16,
}

/// A bound socket.
#[derive(Clone)]
pub struct Bound {
    /// Its ends.
    pub ends: Ends,
    /// Only packets of this device, if not 0.
    pub ifindex: u32,
    /// Also takes IPv4 (an IPv6 socket on `::` without `IPV6_V6ONLY`).
    pub dual: bool,
    /// `SO_REUSEADDR`, `SO_REUSEPORT` with the user who asked.
    pub reuse_addr: bool,
    /// `SO_REUSEPORT` and whose it is.
    pub reuse_port: Option<u32>,
    /// The socket.
    pub socket: WeakSocket,
}

impl Bound {
    /// How well it fits a packet; `None`: not at all (Linux's `compute_score`).
    fn score(&self, local: IpAddr, remote: IpAddr, remote_port: u16, ifindex: u32) -> Option<u32> {
        if self.ifindex != 0 && self.ifindex != ifindex {
            return None;
        }
        let wildcard = self.ends.local.is_unspecified();
        if self.ends.local.is_ipv6() != local.is_ipv6() && !(self.dual && wildcard) {
            return None;
        }
        if !wildcard && self.ends.local != local {
            return None;
        }
        let mut score = 1 + self.ends.local.is_ipv4() as u32 + (self.ifindex != 0) as u32 * 4;
        score += !wildcard as u32 * 4;
        if self.ends.remote_port != 0 {
            if self.ends.remote != remote || self.ends.remote_port != remote_port {
                return None;
            }
            score += 8;
        }
        Some(score)
    }
    /// Whether both are in the way of the same others.
    fn is_like(&self, other: &Bound) -> bool {
        let key = |bound: &Bound| {
            let Bound {
                ends,
                ifindex,
                dual,
                reuse_addr,
                reuse_port,
                ..
            } = *bound;
            (ends.local, ifindex, dual, reuse_addr, reuse_port)
        };
        key(self) == key(other)
    }
    /// Whether both cannot have the port.
    pub fn conflicts(&self, other: &Bound, listening: bool) -> bool {
        let any = |bound: &Bound| bound.ends.local.is_unspecified();
        let same_family = self.ends.local.is_ipv6() == other.ends.local.is_ipv6();
        let overlap = if same_family {
            any(self) || any(other) || self.ends.local == other.ends.local
        } else {
            // A dual-stack wildcard meets IPv4.
            self.dual && any(self) || other.dual && any(other)
        };
        let devices = self.ifindex == 0 || other.ifindex == 0 || self.ifindex == other.ifindex;
        let reuse = self.reuse_addr && other.reuse_addr && !listening;
        let port = matches!((self.reuse_port, other.reuse_port), (Some(a), Some(b)) if a == b);
        overlap && devices && !reuse && !port
    }
}

/// Sockets of one transport protocol by port.
#[derive(Default)]
pub struct PortTable {
    ports: HashMap<u16, Vec<Bound>>,
    /// Ports that connections without a bound socket keep from others: each kind, and how many are of it.
    kept: HashMap<u16, Vec<(Bound, usize)>>,
}

impl PortTable {
    /// Whether the port can be had.
    pub fn is_free(&self, port: u16, new: &Bound, listening: bool) -> bool {
        let Some(list) = self.ports.get(&port) else {
            return true;
        };
        !list.iter().any(|have| {
            have.socket.strong_count() > 0
                && !have.socket.ptr_eq(&new.socket)
                && have.conflicts(new, listening)
        })
    }
    /// Binds.
    pub fn insert(&mut self, bound: Bound) {
        let list = self.ports.entry(bound.ends.port).or_default();
        list.retain(|have| have.socket.strong_count() > 0);
        list.push(bound);
    }
    /// Whether a connection keeps the port from a new socket.
    pub fn is_kept(&self, port: u16, new: &Bound) -> bool {
        let kinds = self.kept.get(&port);
        kinds.is_some_and(|kinds| kinds.iter().any(|(kept, _)| kept.conflicts(new, false)))
    }
    /// Whether any connection keeps the port.
    pub fn is_kept_at_all(&self, port: u16) -> bool {
        self.kept.contains_key(&port)
    }
    /// A connection keeps its port, until [`PortTable::give_back`].
    pub fn keep(&mut self, bound: &Bound) {
        let kinds = self.kept.entry(bound.ends.port).or_default();
        match kinds.iter_mut().find(|(kept, _)| kept.is_like(bound)) {
            Some((_, count)) => *count += 1,
            None => kinds.push((bound.clone(), 1)),
        }
    }
    /// It keeps it no more.
    pub fn give_back(&mut self, bound: &Bound) {
        let port = bound.ends.port;
        let Some(kinds) = self.kept.get_mut(&port) else {
            return;
        };
        if let Some(at) = kinds.iter().position(|(kept, _)| kept.is_like(bound)) {
            kinds[at].1 -= 1;
            if kinds[at].1 == 0 {
                kinds.swap_remove(at);
            }
        }
        if kinds.is_empty() {
            self.kept.remove(&port);
        }
    }
    /// Changes the entry of a socket.
    pub fn update(&mut self, port: u16, socket: &WeakSocket, change: impl FnOnce(&mut Bound)) {
        let list = self.ports.get_mut(&port);
        if let Some(bound) = list.and_then(|list| list.iter_mut().find(|have| have.socket.ptr_eq(socket))) {
            change(bound);
        }
    }
    /// Unbinds.
    pub fn remove(&mut self, port: u16, socket: &WeakSocket) {
        if let Some(list) = self.ports.get_mut(&port) {
            list.retain(|have| !have.socket.ptr_eq(socket) && have.socket.strong_count() > 0);
            if list.is_empty() {
                self.ports.remove(&port);
            }
        }
    }
    /// The socket that fits best; of equals the one that `hash` picks.
    pub fn find(
        &self,
        local: IpAddr,
        port: u16,
        remote: IpAddr,
        remote_port: u16,
        ifindex: u32,
    ) -> Option<Arc<dyn InetSocket>> {
        let list = self.ports.get(&port)?;
        let mut best: Option<(u32, &Bound)> = None;
        let mut equals = 0u32;
        for bound in list {
            let Some(score) = bound.score(local, remote, remote_port, ifindex) else {
                continue;
            };
            match best {
                Some((have, _)) if have > score => {}
                Some((have, first)) if have == score => {
                    equals += 1;
                    let spread = first.reuse_port.is_some() && bound.reuse_port.is_some();
                    let pick = u32::from(remote_port).is_multiple_of(equals + 1);
                    if !spread || pick {
                        best = Some((score, bound));
                    }
                }
                _ => {
                    equals = 0;
                    best = Some((score, bound));
                }
            }
        }
        best?.1.socket.upgrade()
    }
    /// Every socket that takes a packet to many.
    pub fn find_all(
        &self,
        local: IpAddr,
        port: u16,
        remote: IpAddr,
        remote_port: u16,
        ifindex: u32,
    ) -> Vec<Arc<dyn InetSocket>> {
        let list = self.ports.get(&port).map_or(&[][..], |list| list);
        list.iter()
            .filter(|bound| bound.score(local, remote, remote_port, ifindex).is_some())
            .filter_map(|bound| bound.socket.upgrade())
            .collect()
    }
    /// Every bound socket.
    pub fn iter(&self) -> impl Iterator<Item = &Bound> {
        self.ports.values().flatten()
    }
}

/// A raw socket.
#[derive(Clone)]
pub struct RawBound {
    /// The protocol that it takes.
    pub protocol: u8,
    /// IPv6.
    pub v6: bool,
    /// Its ends, without ports.
    pub local: IpAddr,
    /// Whom it is connected to, or unspecified.
    pub remote: IpAddr,
    /// Only this device, if not 0.
    pub ifindex: u32,
    /// The socket.
    pub socket: WeakSocket,
}

/// An AF_PACKET socket.
#[derive(Clone)]
pub struct Tap {
    /// The EtherType that it takes; 3 is all, 0 none.
    pub protocol: u16,
    /// Only this device, if not 0.
    pub ifindex: u32,
    /// The socket.
    pub socket: Weak<dyn TapSocket>,
}

/// A socket that sees frames.
pub trait TapSocket: Send + Sync {
    /// A frame was received or sent by a device, of which is told whether it is `lo`; `kind` is one of
    /// `PACKET_*`. Called with the stack locked; it only queues.
    fn frame(&self, device: (u32, bool), frame: &Packet, kind: u8);
    /// What listings show.
    fn info(&self) -> TapInfo;
}

/// What `ss` and `/proc/net/packet` show of an AF_PACKET socket.
#[derive(Clone, Copy, Debug)]
pub struct TapInfo {
    /// Its type.
    pub kind: SocketType,
    /// The EtherType.
    pub protocol: u16,
    /// The device; 0 is any.
    pub ifindex: u32,
    /// Bytes that wait.
    pub bytes: u32,
    /// Owner of its inode.
    pub owner: Kuid,
    /// The number of its inode.
    pub ino: u64,
    /// `SO_COOKIE`.
    pub cookie: u64,
    /// Taken and allowed, to receive and to send.
    pub memory: [u32; 4],
}

/// All sockets of a namespace.
#[derive(Default)]
pub struct SocketTable {
    /// UDP.
    pub udp: PortTable,
    /// ICMP echo sockets by identifier.
    pub ping: PortTable,
    /// TCP sockets that are bound or listen.
    pub tcp: PortTable,
    /// TCP sockets that listen.
    pub listeners: PortTable,
    /// TCP connections, each kept until both sides know that it is over.
    pub connections: HashMap<Ends, Arc<dyn InetSocket>>,
    /// Those of them that are only what a connection left.
    pub waiting: usize,
    /// Raw sockets.
    pub raw: Vec<RawBound>,
    /// AF_PACKET sockets.
    pub taps: Vec<Tap>,
    /// Where the search for a free port goes on.
    pub next_port: u16,
}

/// Tables of sockets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Listing {
    Tcp,
    Udp,
    Raw,
    Ping,
}

impl SocketTable {
    /// Every socket of a protocol that packets can reach: those that listen first, then connections.
    pub fn list(&self, which: Listing) -> Vec<Arc<dyn InetSocket>> {
        let bound = |table: &PortTable| -> Vec<_> {
            let sockets = table.iter().filter_map(|bound| bound.socket.upgrade());
            sockets.collect()
        };
        match which {
            Listing::Tcp => {
                let mut list = bound(&self.listeners);
                list.extend(self.connections.values().cloned());
                // Those that are only bound stand in no other table.
                list.extend(bound(&self.tcp));
                let mut seen = hashbrown::HashSet::new();
                list.retain(|socket| seen.insert(Arc::as_ptr(socket).cast::<()>() as usize));
                list
            }
            Listing::Udp => bound(&self.udp),
            Listing::Ping => bound(&self.ping),
            Listing::Raw => self.raw.iter().filter_map(|raw| raw.socket.upgrade()).collect(),
        }
    }
}
