//! Datagram sockets: UDP, raw and echo ("ping") sockets.
//!
//! They differ in how a packet is found for them and in what they put in front of it; queues, errors,
//! addresses and options are the same.

use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::any::Any;
use core::net::IpAddr;

use super::addr::SockAddrIn;
use super::options::{IpOptions, SOL_IP, SOL_IPV6, int};
use super::ports::{any, check_low_port, claim};
use super::{ifreq, proto};
use crate::cred::Capability;
use crate::error::Result;
use crate::fs::PollEvents;
use crate::ids::UserAddr;
use crate::namespace::NetNamespace;
use crate::net::stack::packet::{Packet, be16, checksum};
use crate::net::stack::sockets::{
    Bound, Delivery, Ends, IcmpError, InetInfo, InetSocket, PortTable, RawBound, SocketTable, WeakSocket,
    tcp_state,
};
use crate::net::stack::{Flow, Run, transport_checksum};
use crate::net::{
    MsgFlags, RecvMsg, SendMsg, Shutdown, SockAddr, SockBase, SockOption, Socket, SocketType, af,
};
use crate::sync::{SpinLock, WaitQueue, class};
use crate::task::Task;
use crate::{bail, ensure, err};

const SOL_RAW: i32 = 255;
const SOL_ICMPV6: i32 = 58;
const ICMP_FILTER: i32 = 1;
const SO_EE_ORIGIN_ICMP: u8 = 2;
const SO_EE_ORIGIN_ICMP6: u8 = 3;

struct Datagram {
    data: Vec<u8>,
    src: IpAddr,
    port: u16,
    dst: IpAddr,
    ifindex: u32,
    ttl: u8,
    tos: u8,
    /// Nanoseconds of the real-time clock.
    at: i64,
    error: Option<IcmpError>,
}

struct State {
    options: IpOptions,
    local: IpAddr,
    /// Port, or identifier of an echo socket; 0 before it is bound.
    port: u16,
    remote: Option<(IpAddr, u16)>,
    ifindex: u32,
    scope: u32,
    shutdown: Shutdown,
    queue: VecDeque<Datagram>,
    bytes: usize,
    errors: VecDeque<Datagram>,
    timestamp: bool,
    /// Types of ICMP that a raw socket does not want, bit n for type n.
    filter: u32,
    filter6: [u32; 8],
    /// Datagrams that found no room.
    drops: u32,
    closed: bool,
}

/// A datagram socket.
pub struct DatagramSocket {
    base: SockBase,
    ns: Arc<NetNamespace>,
    v6: bool,
    proto: u8,
    state: SpinLock<State, class::Inode>,
    queue: WaitQueue,
    this: Weak<DatagramSocket>,
}

impl DatagramSocket {
    pub(super) fn create(
        ns: Arc<NetNamespace>,
        v6: bool,
        kind: SocketType,
        protocol: u8,
    ) -> Arc<DatagramSocket> {
        let options = IpOptions {
            v6only: ns.stack().sysctl.bindv6only.get() != 0,
            hdrincl: kind == SocketType::Raw && protocol == proto::RAW,
            ..IpOptions::default()
        };
        let new = Arc::new_cyclic(|this| DatagramSocket {
            base: SockBase::new(kind, protocol as i32),
            ns,
            v6,
            proto: protocol,
            state: SpinLock::new(State {
                options,
                local: any(v6),
                port: 0,
                remote: None,
                ifindex: 0,
                scope: 0,
                shutdown: Shutdown::empty(),
                queue: VecDeque::new(),
                bytes: 0,
                errors: VecDeque::new(),
                timestamp: false,
                filter: 0,
                filter6: [0; 8],
                drops: 0,
                closed: false,
            }),
            queue: WaitQueue::new(),
            this: this.clone(),
        });
        if new.is_raw() {
            new.register_raw();
        }
        new
    }
    fn is_raw(&self) -> bool {
        self.base.kind == SocketType::Raw
    }
    fn is_udp(&self) -> bool {
        !self.is_raw() && self.proto == proto::UDP
    }
    fn weak(&self) -> WeakSocket {
        self.this.clone()
    }
    fn table(&self) -> fn(&mut SocketTable) -> &mut PortTable {
        if self.is_udp() {
            |sockets| &mut sockets.udp
        } else {
            |sockets| &mut sockets.ping
        }
    }
    fn register_raw(&self) {
        let (local, remote, ifindex) = {
            let state = self.state.lock();
            let remote = state.remote.map_or(any(self.v6), |(remote, _)| remote);
            (state.local, remote, state.ifindex)
        };
        let raw = RawBound {
            protocol: self.proto,
            v6: self.v6,
            local,
            remote,
            ifindex,
            socket: self.weak(),
        };
        let mut stack = self.ns.stack().lock();
        let list = &mut stack.sockets.raw;
        list.retain(|have| !have.socket.ptr_eq(&raw.socket));
        list.push(raw);
    }

    /// Claims a port for an address; 0 is any.
    fn claim(&self, local: IpAddr, port: u16) -> Result<()> {
        let (ifindex, v6only) = {
            let state = self.state.lock();
            (state.ifindex, state.options.v6only)
        };
        let bound = Bound {
            ends: Ends {
                local,
                port,
                remote: any(local.is_ipv6()),
                remote_port: 0,
            },
            ifindex,
            dual: self.v6 && !v6only,
            reuse_addr: self.base.is_set(SockOption::ReuseAddr),
            reuse_port: self.base.is_set(SockOption::ReusePort).then_some(0),
            socket: self.weak(),
        };
        let port = claim(&self.ns, self.table(), bound, |_, _| true)?;
        let mut state = self.state.lock();
        state.port = port;
        state.local = local;
        Ok(())
    }
    /// Gives a socket that sends a port.
    fn autobind(&self) -> Result<()> {
        if self.is_raw() || self.state.lock().port != 0 {
            return Ok(());
        }
        let local = self.state.lock().local;
        self.claim(local, 0)
    }
    /// Tells the table what the socket is connected to.
    fn update_table(&self) {
        if self.is_raw() {
            return self.register_raw();
        }
        let (port, local, remote, ifindex) = {
            let state = self.state.lock();
            (state.port, state.local, state.remote, state.ifindex)
        };
        let (remote, remote_port) = remote.unwrap_or((any(self.v6), 0));
        let echo = !self.is_udp();
        let mut stack = self.ns.stack().lock();
        (self.table())(&mut stack.sockets).update(port, &self.weak(), |bound| {
            bound.ends.local = local;
            bound.ends.remote = remote;
            bound.ends.remote_port = if echo { 0 } else { remote_port };
            bound.ifindex = ifindex;
        });
    }

    fn flow(&self, state: &State, dst: IpAddr, scope: u32) -> Flow {
        let mut flow = Flow::new(self.proto, dst);
        flow.src = (!state.local.is_unspecified()).then_some(state.local);
        flow.oif = if scope != 0 { scope } else { state.ifindex };
        let options = &state.options;
        let many = dst.is_multicast();
        match dst {
            IpAddr::V4(_) => {
                flow.ttl = if many {
                    Some(options.multicast_ttl)
                } else {
                    options.ttl
                };
                flow.tos = options.tos;
            }
            IpAddr::V6(_) => {
                flow.ttl = if many {
                    options.multicast_hops
                } else {
                    options.hops
                };
                flow.tos = options.tclass;
            }
        }
        flow.dont_fragment = matches!(options.mtu_discover, 2 | 3);
        flow.hdrincl = options.hdrincl && self.is_raw() && !self.v6;
        flow
    }

    /// Puts the transport header in front of the data.
    fn packet(&self, data: &[u8], flow: &Flow, src: IpAddr, port: u16, dst_port: u16) -> Result<Packet> {
        let mut packet = Packet::new(data);
        if self.is_udp() {
            let len = data.len() + 8;
            let header = packet.push(8);
            header[..2].copy_from_slice(&port.to_be_bytes());
            header[2..4].copy_from_slice(&dst_port.to_be_bytes());
            header[4..6].copy_from_slice(&(len as u16).to_be_bytes());
            header[6..8].fill(0);
            let check = match transport_checksum(src, flow.dst, proto::UDP, packet.data()) {
                0 => 0xffff,
                check => check,
            };
            packet.data_mut()[6..8].copy_from_slice(&check.to_be_bytes());
            return Ok(packet);
        }
        let bytes = packet.data_mut();
        if !self.is_raw() {
            let echo = if self.v6 { 128 } else { 8 };
            ensure!(
                bytes.len() >= 8 && bytes[0] == echo && bytes[1] == 0,
                EINVAL,
                "an echo socket sends echo requests"
            );
            bytes[2..4].fill(0);
            bytes[4..6].copy_from_slice(&port.to_be_bytes());
        }
        if self.proto == proto::ICMPV6 && self.v6 {
            ensure!(bytes.len() >= 4, EINVAL, "shorter than a header");
            bytes[2..4].fill(0);
            let check = transport_checksum(src, flow.dst, proto::ICMPV6, bytes);
            bytes[2..4].copy_from_slice(&check.to_be_bytes());
        } else if !self.is_raw() {
            let check = checksum(bytes);
            bytes[2..4].copy_from_slice(&check.to_be_bytes());
        }
        Ok(packet)
    }

    fn wanted(&self, state: &State, delivery: &Delivery) -> bool {
        let transport = delivery.transport();
        match (self.is_raw(), self.proto, transport.first()) {
            (true, proto::ICMP, Some(&kind)) if kind < 32 => state.filter & 1 << kind == 0,
            (true, proto::ICMPV6, Some(&kind)) => state.filter6[kind as usize / 32] & 1 << (kind % 32) == 0,
            _ => true,
        }
    }
}

impl InetSocket for DatagramSocket {
    fn deliver(self: Arc<Self>, _: &mut Run, delivery: Delivery) {
        let at = self.ns.stack().shared.time.realtime();
        let transport = delivery.transport();
        if let Some(error) = delivery.error {
            let mut state = self.state.lock();
            let recverr = if self.v6 {
                state.options.recverr6
            } else {
                state.options.recverr
            };
            let connected = state.remote.is_some();
            if !(recverr || connected && error.hard) {
                return;
            }
            if recverr && state.errors.len() < 64 {
                let skip = if self.is_udp() { 8 } else { 0 };
                state.errors.push_back(Datagram {
                    data: transport.get(skip..).unwrap_or_default().to_vec(),
                    src: delivery.dst,
                    port: if self.is_udp() { be16(transport, 2) } else { 0 },
                    dst: delivery.src,
                    ifindex: delivery.ifindex,
                    ttl: 0,
                    tos: 0,
                    at,
                    error: Some(error),
                });
            }
            drop(state);
            self.base.set_error(error.errno);
            self.queue
                .wake_all(PollEvents::ERR | PollEvents::READABLE | PollEvents::WRITABLE);
            return;
        }
        {
            let mut state = self.state.lock();
            if state.closed || !self.wanted(&state, &delivery) {
                return;
            }
            let data = match (self.is_raw(), self.v6) {
                (true, false) => delivery.packet.data(),
                _ if self.is_udp() => transport.get(8..).unwrap_or_default(),
                _ => transport,
            };
            let size = data.len() + 512;
            if state.bytes + size > self.base.rcvbuf() {
                state.drops = state.drops.wrapping_add(1);
                return;
            }
            state.bytes += size;
            state.queue.push_back(Datagram {
                data: data.to_vec(),
                src: delivery.src,
                port: if self.is_udp() { be16(transport, 0) } else { 0 },
                dst: delivery.dst,
                ifindex: delivery.ifindex,
                ttl: delivery.ttl,
                tos: delivery.tos,
                at,
                error: None,
            });
        }
        self.queue.wake(PollEvents::READABLE);
    }
    fn info(&self) -> InetInfo {
        let state = self.state.lock();
        let port = if self.is_raw() {
            self.proto as u16
        } else {
            state.port
        };
        InetInfo {
            protocol: self.proto,
            v6: self.v6,
            state: match state.remote {
                Some(_) => tcp_state::ESTABLISHED,
                None => tcp_state::CLOSE,
            },
            local: (state.local, port),
            remote: state.remote.unwrap_or((any(self.v6), 0)),
            ifindex: state.ifindex,
            rqueue: state.bytes as u32,
            wqueue: 0,
            memory: [
                state.bytes as u32,
                self.base.rcvbuf() as u32,
                0,
                self.base.sndbuf() as u32,
            ],
            drops: state.drops,
            owner: self.base.owner(),
            ino: self.base.ino(),
            cookie: self.base.cookie(),
            tos: state.options.tos,
            tclass: state.options.tclass,
            v6only: state.options.v6only,
            shutdown: state.shutdown,
            expires: 0,
            tcp: None,
        }
    }
}

impl Socket for DatagramSocket {
    fn base(&self) -> &SockBase {
        &self.base
    }
    fn family(&self) -> u16 {
        if self.v6 { af::INET6 } else { af::INET }
    }
    fn wait_queue(&self) -> &WaitQueue {
        &self.queue
    }
    fn poll(&self) -> PollEvents {
        let state = self.state.lock();
        let mut events = PollEvents::WRITABLE;
        if self.base.has_error() || !state.errors.is_empty() {
            events |= PollEvents::ERR;
        }
        if state.shutdown == Shutdown::all() {
            events |= PollEvents::HUP;
        }
        if state.shutdown.contains(Shutdown::RECV) {
            events |= PollEvents::READABLE | PollEvents::RDHUP;
        }
        if !state.queue.is_empty() {
            events |= PollEvents::READABLE;
        }
        events
    }
    fn release(&self) {
        let port = {
            let mut state = self.state.lock();
            state.closed = true;
            state.queue.clear();
            state.errors.clear();
            core::mem::take(&mut state.port)
        };
        let mut stack = self.ns.stack().lock();
        let weak = self.weak();
        if self.is_raw() {
            stack.sockets.raw.retain(|raw| !raw.socket.ptr_eq(&weak));
        } else if port != 0 {
            (self.table())(&mut stack.sockets).remove(port, &weak);
        }
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn bind(&self, task: &Arc<Task>, addr: &[u8]) -> Result<()> {
        let to = SockAddrIn::parse(addr, self.v6)?;
        if !self.is_raw() {
            check_low_port(task, &self.ns, if self.is_udp() { to.port } else { 0 })?;
        }
        {
            let state = self.state.lock();
            ensure!(self.is_raw() || state.port == 0, EINVAL, "the socket is bound");
            if !state.options.freebind {
                let free = state.options.freebind;
                drop(state);
                self.ns
                    .stack()
                    .with(|net| if free { Ok(()) } else { net.check_bindable(to.addr) })?;
            }
        }
        if self.is_raw() {
            {
                let mut state = self.state.lock();
                state.local = to.addr;
                if to.scope != 0 {
                    state.ifindex = to.scope;
                }
            }
            self.register_raw();
            return Ok(());
        }
        if to.scope != 0 && matches!(to.addr, IpAddr::V6(addr) if addr.is_unicast_link_local()) {
            self.state.lock().ifindex = to.scope;
        }
        self.claim(to.addr, to.port)
    }
    fn connect(&self, _: &Arc<Task>, addr: &[u8]) -> Result<()> {
        if SockAddrIn::is_unspec(addr) {
            self.state.lock().remote = None;
            self.update_table();
            return Ok(());
        }
        let mut to = SockAddrIn::parse(addr, self.v6)?;
        if to.addr.is_unspecified() {
            to.addr = match to.addr {
                IpAddr::V4(_) => core::net::Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => core::net::Ipv6Addr::LOCALHOST.into(),
            };
        }
        let (local, ifindex) = {
            let state = self.state.lock();
            (state.local, if to.scope != 0 { to.scope } else { state.ifindex })
        };
        let found = self.ns.stack().with(|net| match (to.addr, local) {
            (IpAddr::V4(dst), IpAddr::V4(src)) => net.route4(dst, Some(src), ifindex),
            (IpAddr::V4(dst), _) => net.route4(dst, None, ifindex),
            (IpAddr::V6(dst), IpAddr::V6(src)) => net.route6(dst, Some(src), ifindex),
            (IpAddr::V6(dst), _) => net.route6(dst, None, ifindex),
        })?;
        let broadcast = found.kind == crate::net::stack::route::RouteType::Broadcast;
        ensure!(
            !broadcast || self.base.is_set(SockOption::Broadcast),
            EACCES,
            "SO_BROADCAST is off"
        );
        self.autobind()?;
        {
            let mut state = self.state.lock();
            if state.local.is_unspecified() {
                state.local = found.src;
            }
            state.scope = to.scope;
            state.remote = Some((to.addr, to.port));
        }
        self.update_table();
        Ok(())
    }
    fn name(&self, peer: bool) -> Result<SockAddr> {
        let state = self.state.lock();
        if peer {
            let (addr, port) = state.remote.ok_or(err!(ENOTCONN, "not connected"))?;
            return Ok(SockAddrIn::emit(addr, port, state.scope, self.v6));
        }
        let port = if self.is_raw() {
            self.proto as u16
        } else {
            state.port
        };
        Ok(SockAddrIn::emit(state.local, port, state.ifindex, self.v6))
    }
    fn send(&self, _: &Arc<Task>, msg: &mut SendMsg<'_>) -> Result<usize> {
        self.base.take_error()?;
        ensure!(!msg.flags.contains(MsgFlags::OOB), EOPNOTSUPP, "no urgent data");
        let len = msg.data.remaining();
        ensure!(len <= 65535, EMSGSIZE, "longer than a packet");
        let to = match msg.addr {
            Some(raw) if !raw.is_empty() => Some(SockAddrIn::parse(raw, self.v6)?),
            _ => None,
        };
        if let Some(to) = to {
            ensure!(!self.is_udp() || to.port != 0, EINVAL, "port 0");
        }
        self.autobind()?;
        let (mut flow, dst_port, port) = {
            let state = self.state.lock();
            ensure!(!state.shutdown.contains(Shutdown::SEND), EPIPE, "shut down");
            let (dst, dst_port, scope) = match (to, state.remote) {
                (Some(to), _) => (to.addr, to.port, to.scope),
                (None, Some((addr, port))) => (addr, port, state.scope),
                (None, None) => bail!(EDESTADDRREQ, "where to?"),
            };
            (self.flow(&state, dst, scope), dst_port, state.port)
        };
        ensure!(len <= 65507 || !self.is_udp(), EMSGSIZE, "longer than a packet");
        let mut data = alloc::vec![0; len];
        msg.data.take_all(&mut data)?;
        let allow_broadcast = self.base.is_set(SockOption::Broadcast);
        self.ns.stack().with(|net| {
            let src = match flow.src {
                Some(IpAddr::V4(src)) => Some(src),
                _ => None,
            };
            let src6 = match flow.src {
                Some(IpAddr::V6(src)) => Some(src),
                _ => None,
            };
            let route = match flow.dst {
                IpAddr::V4(dst) => net.route4(dst, src, flow.oif)?,
                IpAddr::V6(dst) => net.route6(dst, src6, flow.oif)?,
            };
            let broadcast = route.kind == crate::net::stack::route::RouteType::Broadcast;
            ensure!(!broadcast || allow_broadcast, EACCES, "SO_BROADCAST is off");
            if flow.dst.is_unspecified() {
                flow.dst = route.next;
            }
            let packet = self.packet(&data, &flow, route.src, port, dst_port)?;
            if !flow.hdrincl {
                flow.src = Some(route.src);
            }
            net.ip_send(&flow, packet)
        })?;
        Ok(len)
    }
    fn recv(&self, task: &Arc<Task>, msg: &mut RecvMsg<'_>) -> Result<usize> {
        let _ = task;
        if msg.flags.contains(MsgFlags::ERRQUEUE) {
            return self.recv_error(msg);
        }
        self.base.take_error()?;
        let peek = msg.flags.contains(MsgFlags::PEEK);
        let (datagram, options, timestamp) = {
            let mut state = self.state.lock();
            let options = state.options.clone();
            let timestamp = state.timestamp;
            let Some(first) = state.queue.front() else {
                if state.shutdown.contains(Shutdown::RECV) {
                    return Ok(0);
                }
                bail!(EAGAIN, "nothing was received");
            };
            let datagram = if peek {
                Datagram {
                    data: first.data.clone(),
                    ..*first
                }
            } else {
                state.bytes -= first.data.len() + 512;
                match state.queue.pop_front() {
                    Some(first) => first,
                    None => bail!(EAGAIN),
                }
            };
            (datagram, options, timestamp)
        };
        let port = if self.is_udp() { datagram.port } else { 0 };
        msg.addr = Some(SockAddrIn::emit(datagram.src, port, datagram.ifindex, self.v6));
        if timestamp {
            let (sec, usec) = (datagram.at / 1_000_000_000, datagram.at % 1_000_000_000 / 1000);
            msg.control
                .push((1, 29, [sec, usec].map(i64::to_ne_bytes).concat()));
        }
        match datagram.dst {
            IpAddr::V4(dst) => {
                if options.pktinfo {
                    let mut info = datagram.ifindex.to_ne_bytes().to_vec();
                    info.extend_from_slice(&dst.octets());
                    info.extend_from_slice(&dst.octets());
                    msg.control.push((SOL_IP, 8, info));
                }
                if options.recvttl {
                    msg.control
                        .push((SOL_IP, 2, (datagram.ttl as i32).to_ne_bytes().to_vec()));
                }
                if options.recvtos {
                    msg.control.push((SOL_IP, 1, alloc::vec![datagram.tos]));
                }
            }
            IpAddr::V6(dst) => {
                if options.recvpktinfo6 {
                    let mut info = dst.octets().to_vec();
                    info.extend_from_slice(&datagram.ifindex.to_ne_bytes());
                    msg.control.push((SOL_IPV6, 50, info));
                }
                if options.recvhops {
                    msg.control
                        .push((SOL_IPV6, 52, (datagram.ttl as i32).to_ne_bytes().to_vec()));
                }
                if options.recvtclass {
                    msg.control
                        .push((SOL_IPV6, 67, (datagram.tos as i32).to_ne_bytes().to_vec()));
                }
            }
        }
        copy_out(msg, &datagram.data)
    }
    fn shutdown(&self, how: Shutdown) -> Result<()> {
        {
            let mut state = self.state.lock();
            ensure!(state.remote.is_some(), ENOTCONN, "not connected");
            state.shutdown |= how;
        }
        self.queue.wake_all(PollEvents::all());
        Ok(())
    }
    fn set_option(&self, task: &Arc<Task>, level: i32, name: i32, value: &[u8]) -> Result<()> {
        match (level, name) {
            (1, 29) => {
                self.state.lock().timestamp = int(value)? != 0;
                return Ok(());
            }
            (1, 25) => return self.bind_to_device(task, value),
            (SOL_RAW, ICMP_FILTER) => {
                ensure!(
                    self.is_raw() && self.proto == proto::ICMP,
                    EOPNOTSUPP,
                    "ICMP_FILTER is for raw ICMP"
                );
                self.state.lock().filter = int(value)? as u32;
                return Ok(());
            }
            (SOL_ICMPV6, 1) => {
                ensure!(self.is_raw() && self.proto == proto::ICMPV6, ENOPROTOOPT);
                let mut state = self.state.lock();
                for (word, bytes) in state.filter6.iter_mut().zip(value.chunks_exact(4)) {
                    *word = u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
                }
                return Ok(());
            }
            _ => {}
        }
        let set = self.state.lock().options.set(self.v6, level, name, value)?;
        ensure!(set, ENOPROTOOPT, "there is no such option");
        Ok(())
    }
    fn get_option(&self, _: &Arc<Task>, level: i32, name: i32, _: usize) -> Result<Vec<u8>> {
        let state = self.state.lock();
        match (level, name) {
            (1, 29) => Ok((state.timestamp as i32).to_ne_bytes().to_vec()),
            (SOL_RAW, ICMP_FILTER) => Ok(state.filter.to_ne_bytes().to_vec()),
            _ => state.options.get(self.v6, level, name),
        }
    }
    fn ioctl(&self, task: &Arc<Task>, cmd: u32, arg: UserAddr) -> Result<usize> {
        let number = match cmd {
            0x541b => self
                .state
                .lock()
                .queue
                .front()
                .map_or(0, |first| first.data.len()),
            0x5411 => 0,
            _ => return ifreq::ioctl(task, &self.ns, cmd, arg),
        };
        task.kernel()
            .hal
            .copy_to_user(arg, &(number as i32).to_ne_bytes())?;
        Ok(0)
    }
}

fn copy_out(msg: &mut RecvMsg<'_>, data: &[u8]) -> Result<usize> {
    let room = msg.data.remaining();
    msg.data.put_all(&data[..data.len().min(room)])?;
    if data.len() > room {
        msg.out_flags |= MsgFlags::TRUNC;
    }
    Ok(if msg.flags.contains(MsgFlags::TRUNC) {
        data.len()
    } else {
        data.len().min(room)
    })
}

impl DatagramSocket {
    /// `SO_BINDTODEVICE`.
    fn bind_to_device(&self, task: &Arc<Task>, value: &[u8]) -> Result<()> {
        let end = value.iter().position(|&c| c == 0).unwrap_or(value.len());
        let name = core::str::from_utf8(&value[..end]).map_err(|_| err!(ENODEV))?;
        let ifindex = match name {
            "" => 0,
            name => self.ns.stack().lock().by_name(name).ok_or(err!(ENODEV))?,
        };
        let bound = self.state.lock().ifindex != 0;
        ensure!(
            !bound || task.cred().ns_capable(self.ns.user_ns(), Capability::NET_RAW),
            EPERM,
            "no CAP_NET_RAW"
        );
        self.state.lock().ifindex = ifindex;
        self.update_table();
        Ok(())
    }
    /// `MSG_ERRQUEUE`: what came back, and why (`IP_RECVERR`).
    fn recv_error(&self, msg: &mut RecvMsg<'_>) -> Result<usize> {
        let (item, more) = {
            let mut state = self.state.lock();
            let item = state.errors.pop_front().ok_or(err!(EAGAIN, "no errors"))?;
            (item, state.errors.front().and_then(|next| next.error))
        };
        match more {
            Some(next) => self.base.set_error(next.errno),
            None => {
                let _ = self.base.take_error();
            }
        }
        let Some(error) = item.error else { bail!(EAGAIN) };
        let v4 = item.src.is_ipv4();
        let mut body = (error.errno as u32).to_ne_bytes().to_vec();
        body.extend_from_slice(&[
            if v4 { SO_EE_ORIGIN_ICMP } else { SO_EE_ORIGIN_ICMP6 },
            error.kind,
            error.code,
            0,
        ]);
        body.extend_from_slice(&error.info.to_ne_bytes());
        body.extend_from_slice(&0u32.to_ne_bytes());
        body.extend_from_slice(&SockAddrIn::emit(error.offender, 0, item.ifindex, !v4));
        msg.control.push(if v4 {
            (SOL_IP, 11, body)
        } else {
            (SOL_IPV6, 25, body)
        });
        msg.addr = Some(SockAddrIn::emit(item.src, item.port, item.ifindex, self.v6));
        msg.out_flags |= MsgFlags::ERRQUEUE;
        copy_out(msg, &item.data)
    }
}
