//! Datagram sockets: UDP, raw and echo ("ping") sockets.
//!
//! They differ in how a packet is found for them and in what they put in front of it; queues, errors,
//! addresses and options are the same.

mod bind;
mod control;
mod deliver;
mod options;
mod recv;
mod send;

use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::any::Any;
use core::net::IpAddr;

use super::addr::SockAddrIn;
use super::membership::Memberships;
use super::options::IpOptions;
use super::options::{SOL_IP, asks_mtu, mtu_answer, path_mtu};
use super::ports::any;
use super::{membership, proto};
use crate::error::Result;
use crate::fs::PollEvents;
use crate::ids::{KoID, UserAddr};
use crate::namespace::NetNamespace;
use crate::net::payer::{Payer, SockCharge};
use crate::net::stack::Run;
use crate::net::stack::sockets::{IcmpError, PortTable, RawBound, SocketTable, WeakSocket};
use crate::net::{RecvMsg, SendMsg, Shutdown, SockAddr, SockBase, Socket, SocketType, af};
use crate::sync::{SpinLock, WaitQueue, class};
use crate::task::Task;
use crate::{ensure, err};

/// Errors that wait for a program at most.
const MAX_ERRORS: usize = 64;

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
    /// What it costs.
    _memory: SockCharge,
}

struct State {
    options: IpOptions,
    groups: Memberships,
    local: IpAddr,
    /// Port, or identifier of an echo socket; 0 before it is bound.
    port: u16,
    remote: Option<(IpAddr, u16)>,
    ifindex: u32,
    scope: u32,
    /// `bind` named the local address: it outlives a connection.
    keeps_local: bool,
    /// Likewise the port.
    keeps_port: bool,
    shutdown: Shutdown,
    queue: VecDeque<Datagram>,
    bytes: usize,
    errors: VecDeque<Datagram>,
    /// Where something did not go because it was too long, through which device, and what is not (`IPV6_RECVPATHMTU`).
    path_mtu: Option<(IpAddr, u32, u32)>,
    timestamp: bool,
    /// Types of ICMP that a raw socket does not want, bit n for type n.
    filter: u32,
    filter6: [u32; 8],
    /// Where a raw IPv6 socket has its checksum (`IPV6_CHECKSUM`).
    checksum: Option<u16>,
    /// Datagrams that found no room.
    drops: u32,
    closed: bool,
}

/// A datagram socket.
pub struct DatagramSocket {
    base: SockBase,
    ns: Arc<NetNamespace>,
    v6: bool,
    /// Whose memory what waits is.
    payer: Payer,
    proto: u8,
    state: SpinLock<State, class::Inode>,
    queue: WaitQueue,
    this: Weak<DatagramSocket>,
}

impl DatagramSocket {
    pub(in crate::net::inet) fn create(
        ns: Arc<NetNamespace>,
        v6: bool,
        payer: Payer,
        kind: SocketType,
        protocol: u8,
    ) -> Arc<DatagramSocket> {
        let options = IpOptions {
            v6only: ns.stack().sysctl.bindv6only.get() != 0,
            hdrincl: kind == SocketType::Raw && protocol == proto::RAW,
            // Of IPv4, an AF_INET6 socket hears only what it has joined.
            mc_all: !v6,
            ..IpOptions::default()
        };
        let new = Arc::new_cyclic(|this| DatagramSocket {
            base: SockBase::new(kind, protocol as i32, &ns.stack().shared.core),
            ns,
            v6,
            payer,
            proto: protocol,
            state: SpinLock::new(State {
                options,
                groups: Memberships::default(),
                local: any(v6),
                port: 0,
                remote: None,
                ifindex: 0,
                scope: 0,
                keeps_local: false,
                keeps_port: false,
                shutdown: Shutdown::empty(),
                queue: VecDeque::new(),
                bytes: 0,
                errors: VecDeque::new(),
                path_mtu: None,
                timestamp: false,
                filter: 0,
                filter6: [0; 8],
                // ICMPv6's place is fixed.
                checksum: (kind == SocketType::Raw && v6 && protocol == proto::ICMPV6).then_some(2),
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
    /// The MTU of the way to whom it is connected to.
    fn path_mtu(&self) -> Option<u32> {
        let (remote, local, devices) = {
            let state = self.state.lock();
            (state.remote?.0, state.local, [state.scope, state.ifindex])
        };
        path_mtu(self.ns.stack(), remote, local, devices)
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
}

impl Socket for DatagramSocket {
    fn base(&self) -> &SockBase {
        &self.base
    }
    fn net_ns(&self) -> KoID {
        self.ns.stack().koid
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
        let mut run = Run::new();
        let port = {
            let mut state = self.state.lock();
            self.ns.stack().enter(&mut run, |net| state.groups.leave_all(net));
            state.closed = true;
            state.queue.clear();
            state.errors.clear();
            core::mem::take(&mut state.port)
        };
        run.finish();
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
        self.bind_to(task, addr)
    }
    fn connect(&self, _: &Arc<Task>, addr: &[u8]) -> Result<()> {
        self.connect_to(addr)
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
        self.transmit(msg)
    }
    fn recv(&self, _: &Arc<Task>, msg: &mut RecvMsg<'_>) -> Result<usize> {
        self.receive(msg)
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
        self.set(task, level, name, value)
    }
    fn get_option(&self, _: &Arc<Task>, level: i32, name: i32, room: usize) -> Result<Vec<u8>> {
        if asks_mtu(self.v6, level, name) {
            return mtu_answer(level, name, room, self.path_mtu());
        }
        self.get(level, name, room)
    }
    fn is_asked(&self, level: i32, name: i32) -> bool {
        membership::is_asked(level, name)
    }
    fn get_asked(&self, level: i32, name: i32, asked: &[u8]) -> Result<Vec<u8>> {
        ensure!(self.v6 || level == SOL_IP, ENOPROTOOPT, "there is no such option");
        let state = self.state.lock();
        let mut run = Run::new();
        self.ns
            .stack()
            .enter(&mut run, |net| state.groups.get(net, level, name, asked))
    }
    fn ioctl(&self, task: &Arc<Task>, cmd: u32, arg: UserAddr) -> Result<usize> {
        self.control(task, cmd, arg)
    }
}
