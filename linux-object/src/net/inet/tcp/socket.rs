//! The socket of a connection, or of those to come.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::any::Any;
use core::net::IpAddr;

use smoltcp::socket::tcp::State as TcpState;

use super::engine::Engine;
use super::options::TcpOptions;
use super::timewait::TimeWait;
use super::urgent::News;
use crate::cbpf::PacketInput;
use crate::err;
use crate::error::{Errno, Result};
use crate::fs::PollEvents;
use crate::ids::{KoID, UserAddr};
use crate::namespace::NetNamespace;
use crate::net::inet::addr::SockAddrIn;
use crate::net::inet::options::{IpOptions, asks_mtu, mtu_answer, path_mtu};
use crate::net::inet::ports::any;
use crate::net::inet::proto;
use crate::net::payer::Payer;
use crate::net::stack::mib::Counter;
use crate::net::stack::packet::be16;
use crate::net::stack::sockets::{Bound, Delivery, Ends, InetInfo, InetSocket, WeakSocket};
use crate::net::stack::{Job, NetStack, PmtuDiscovery, Run};
use crate::net::{RecvMsg, SendMsg, Shutdown, SockAddr, SockBase, SockOption, Socket, SocketType, af};
use crate::sync::{SpinLock, WaitQueue, class};
use crate::task::Task;
use crate::time::{Ktime, TimerId};

pub(super) enum Phase {
    /// Neither connected nor listening.
    Idle,
    Listening {
        backlog: usize,
        /// Children whose handshake goes on.
        embryos: Vec<Arc<TcpSocket>>,
        /// Children that wait for `accept`.
        ready: VecDeque<Arc<TcpSocket>>,
    },
    Connected(Box<Engine>),
}

pub(super) struct State {
    pub(super) phase: Phase,
    pub(super) options: IpOptions,
    pub(super) local: IpAddr,
    /// 0 before it is bound.
    pub(super) port: u16,
    /// A port that it has given back, which its name still shows.
    pub(super) shown_port: u16,
    /// `bind` was asked for this address, for this port.
    pub(super) chose_addr: bool,
    pub(super) chose_port: bool,
    /// It has listened since it was made or disconnected.
    pub(super) was_listening: bool,
    pub(super) remote: Option<(IpAddr, u16)>,
    pub(super) ifindex: u32,
    pub(super) scope: u32,
    pub(super) shutdown: Shutdown,
    pub(super) tcp: TcpOptions,
    /// `connect` has not told its caller yet.
    pub(super) connecting: bool,
    /// The connection once was there.
    pub(super) was_up: bool,
    /// Its listener knows that; if it is not to know before there is something to read, at the latest then.
    pub(super) announced: bool,
    pub(super) deferred: Option<Ktime>,
    /// The file is gone.
    pub(super) closed: bool,
    /// The last state that was looked at.
    pub(super) last: TcpState,
    pub(super) timer: Option<(Ktime, TimerId)>,
    pub(super) parent: Weak<TcpSocket>,
    /// The port that its connection keeps, because no socket is bound to it.
    pub(super) kept: Option<Bound>,
    /// What its connection left, in its place: the socket is closed.
    pub(super) left: Option<Arc<TimeWait>>,
    /// A run carries its segments; those that were made in others wait behind.
    pub(super) carried: bool,
    pub(super) behind: VecDeque<Job>,
    /// Kept while something is still to be sent.
    pub(super) ns: Option<Arc<NetNamespace>>,
}

/// A TCP socket.
pub struct TcpSocket {
    pub(super) base: SockBase,
    pub(super) v6: bool,
    /// Whose memory its buffers are.
    pub(super) payer: Payer,
    pub(super) stack: Arc<NetStack>,
    pub(super) state: SpinLock<State, class::Inode>,
    pub(super) queue: WaitQueue,
    pub(super) this: Weak<TcpSocket>,
}

impl TcpSocket {
    pub(in crate::net::inet) fn create(ns: Arc<NetNamespace>, v6: bool, payer: Payer) -> Arc<TcpSocket> {
        let options = IpOptions {
            v6only: ns.stack().sysctl.bindv6only.get() != 0,
            ..IpOptions::default()
        };
        let stack = ns.stack().clone();
        let tcp = TcpOptions::new(&stack.sysctl);
        Arc::new_cyclic(|this| TcpSocket {
            base: SockBase::new(SocketType::Stream, proto::TCP as i32, &stack.shared.core),
            v6,
            payer,
            stack,
            state: SpinLock::new(State {
                phase: Phase::Idle,
                options,
                local: any(v6),
                port: 0,
                shown_port: 0,
                chose_addr: false,
                chose_port: false,
                was_listening: false,
                remote: None,
                ifindex: 0,
                scope: 0,
                shutdown: Shutdown::empty(),
                tcp,
                connecting: false,
                was_up: false,
                announced: false,
                deferred: None,
                closed: false,
                last: TcpState::Closed,
                timer: None,
                parent: Weak::new(),
                kept: None,
                left: None,
                carried: false,
                behind: VecDeque::new(),
                ns: Some(ns),
            }),
            queue: WaitQueue::new(),
            this: this.clone(),
        })
    }
    pub(super) fn weak(&self) -> WeakSocket {
        self.this.clone()
    }
    pub(super) fn arc(&self) -> Result<Arc<TcpSocket>> {
        self.this.upgrade().ok_or(err!(ENOTCONN))
    }
    pub(super) fn ns(&self) -> Result<Arc<NetNamespace>> {
        self.state
            .lock()
            .ns
            .clone()
            .ok_or(err!(ENOTCONN, "the namespace is gone"))
    }
    pub(super) fn now(&self) -> Ktime {
        self.stack.shared.time.now()
    }
    pub(super) fn bound(&self, state: &State, local: IpAddr, port: u16) -> Bound {
        Bound {
            ends: Ends {
                local,
                port,
                remote: any(local.is_ipv6()),
                remote_port: 0,
            },
            ifindex: state.ifindex,
            dual: self.v6 && !state.options.v6only,
            reuse_addr: self.base.is_set(SockOption::ReuseAddr),
            reuse_port: self.base.is_set(SockOption::ReusePort).then_some(0),
            socket: self.weak(),
        }
    }
}

impl TcpSocket {
    /// Whether the socket's filter lets it in.
    fn passes(&self, delivery: &Delivery) -> bool {
        let seen = || PacketInput {
            data: delivery.transport(),
            network: Some(delivery.packet.data()),
            protocol: if delivery.src.is_ipv6() { 0x86dd } else { 0x800 },
            ifindex: delivery.ifindex,
            hatype: 1,
            ..PacketInput::default()
        };
        !self.base.is_filtered() || self.base.passes(&seen()).is_some()
    }
    /// Whether an ICMP error is about something that is not acknowledged yet: who sees no segment cannot know the
    /// numbers (RFC 5927, 4.1).
    fn quotes_flight(&self, delivery: &Delivery) -> bool {
        let quoted = delivery.transport();
        if quoted.len() < 8 {
            return false;
        }
        let seq = (be16(quoted, 4) as u32) << 16 | be16(quoted, 6) as u32;
        match &self.state.lock().phase {
            Phase::Connected(engine) => engine.stats.is_in_flight(seq),
            _ => false,
        }
    }
    /// A router says that a segment is too long for the path: what was in it is sent again in time, in shorter ones.
    fn too_big(&self, run: &mut Run, delivery: &Delivery, mtu: u32) {
        let mode = {
            let options = &self.state.lock().options;
            match delivery.dst {
                IpAddr::V4(_) => options.mtu_discover,
                IpAddr::V6(_) => options.mtu_discover6,
            }
        };
        if matches!(mode, PmtuDiscovery::Interface | PmtuDiscovery::Omit) {
            return;
        }
        self.stack.enter(run, |net| net.learn_path_mtu(delivery.dst, mtu));
        let Some(mtu) = self.path_mtu() else { return };
        let (seed, now) = (self.stack.shared.rng.next_u64(), self.now());
        if let Phase::Connected(engine) = &mut self.state.lock().phase {
            engine.narrow(mtu as usize, seed, now);
        }
    }
    /// The MTU of the way to the other end.
    fn path_mtu(&self) -> Option<u32> {
        let (remote, local, devices) = {
            let state = self.state.lock();
            (state.remote?.0, state.local, [state.scope, state.ifindex])
        };
        path_mtu(&self.stack, remote, local, devices)
    }
}

impl InetSocket for TcpSocket {
    fn deliver(self: Arc<Self>, run: &mut Run, delivery: Delivery) {
        if let Some(error) = delivery.error {
            if !self.quotes_flight(&delivery) {
                self.stack.mib.add(Counter::TcpExtOutOfWindowIcmps);
                return;
            }
            if error.errno == Errno::EMSGSIZE {
                return self.too_big(run, &delivery, error.info);
            }
            {
                let mut state = self.state.lock();
                let connecting = state.last == TcpState::SynSent;
                let Phase::Connected(engine) = &mut state.phase else {
                    return;
                };
                if !connecting {
                    return;
                }
                engine.socket().abort();
                state.last = TcpState::Closed;
            }
            self.base.set_error(error.errno);
            self.drive(run, false);
            self.queue.wake_all(PollEvents::all());
            return;
        }
        let passes = self.passes(&delivery);
        let plain = delivery.transport == if delivery.src.is_ipv6() { 40 } else { 20 };
        let mut state = self.state.lock();
        if let Some(left) = &state.left {
            // It was on its way when the connection ended.
            let left = left.clone();
            drop(state);
            return left.deliver(run, delivery);
        }
        match &mut state.phase {
            Phase::Listening { .. } => {
                drop(state);
                if passes {
                    self.first_segment(run, delivery, None);
                }
            }
            Phase::Connected(engine) => {
                let mut news = News::default();
                if plain && passes {
                    let mut packet = delivery.packet;
                    packet.hops = 0;
                    news = engine.receive(packet, self.now(), || self.is_inline());
                }
                drop(state);
                if news != News::default() {
                    self.tell_urgent(news);
                }
                // Of several segments that come together one answer tells.
                if !run.has_more_for(&*self) {
                    self.drive(run, false);
                }
            }
            Phase::Idle => {}
        }
    }
    fn reopen(self: Arc<Self>, run: &mut Run, delivery: Delivery, isn: u32) {
        if self.passes(&delivery) {
            self.first_segment(run, delivery, Some(isn));
        }
    }
    fn looks(&self) -> bool {
        self.base.is_filtered()
    }
    fn put_down(self: Arc<Self>, run: &mut Run) {
        let now = self.now();
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if state.behind.is_empty() {
            state.carried = false;
            drop(guard);
            // What waited may have been the last.
            return self.depart();
        }
        if !run.goes_on() {
            // Whoever called has done enough for others: the next timer interrupt goes on.
            state.carried = false;
            self.look_again_at(state, now);
            return;
        }
        for job in state.behind.drain(..) {
            run.push(job);
        }
        drop(guard);
        run.carry(self);
    }
    fn info(&self) -> InetInfo {
        self.describe()
    }
}

impl Socket for TcpSocket {
    fn base(&self) -> &SockBase {
        &self.base
    }
    fn net_ns(&self) -> KoID {
        self.stack.koid
    }
    fn family(&self) -> u16 {
        if self.v6 { af::INET6 } else { af::INET }
    }
    fn wait_queue(&self) -> &WaitQueue {
        &self.queue
    }
    fn poll(&self) -> PollEvents {
        let mut state = self.state.lock();
        let mut events = PollEvents::empty();
        if self.base.has_error() {
            events |= PollEvents::ERR;
        }
        let shutdown = state.shutdown;
        match &mut state.phase {
            Phase::Idle => events |= PollEvents::OUT | PollEvents::WRNORM | PollEvents::HUP,
            Phase::Listening { ready, .. } => {
                if !ready.is_empty() {
                    events |= PollEvents::READABLE;
                }
            }
            Phase::Connected(engine) => {
                let socket = engine.socket();
                let connecting = matches!(socket.state(), TcpState::SynSent | TcpState::SynReceived);
                // Bytes that are left may still be read behind the end.
                let ended = match socket.state() {
                    TcpState::CloseWait | TcpState::Closing | TcpState::LastAck | TcpState::TimeWait => true,
                    _ => !socket.may_recv() && !connecting,
                };
                if socket.can_recv() && !self.hides(engine) {
                    events |= PollEvents::READABLE;
                }
                if engine.urgent.is_there() {
                    events |= PollEvents::PRI;
                }
                let socket = engine.socket();
                if ended || shutdown.contains(Shutdown::RECV) {
                    events |= PollEvents::READABLE | PollEvents::RDHUP;
                }
                if socket.state() == TcpState::Closed || ended && shutdown.contains(Shutdown::SEND) {
                    events |= PollEvents::HUP | PollEvents::WRITABLE;
                }
                if !connecting && (socket.can_send() || shutdown.contains(Shutdown::SEND)) {
                    events |= PollEvents::WRITABLE;
                }
            }
        }
        events
    }
    fn release(&self) {
        self.close();
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn bind(&self, task: &Arc<Task>, addr: &[u8]) -> Result<()> {
        self.bind_to(task, addr)
    }
    fn listen(&self, _: &Arc<Task>, backlog: u32) -> Result<()> {
        self.start_listening(backlog)
    }
    fn connect(&self, _: &Arc<Task>, addr: &[u8]) -> Result<()> {
        self.connect_to(addr)
    }
    fn accept(&self, _: &Arc<Task>) -> Result<Arc<dyn Socket>> {
        self.take_child()
    }
    fn name(&self, peer: bool) -> Result<SockAddr> {
        let state = self.state.lock();
        if peer {
            let up =
                matches!(state.phase, Phase::Connected(_)) && state.was_up && state.last != TcpState::Closed;
            let (addr, port) = state
                .remote
                .filter(|_| up)
                .ok_or(err!(ENOTCONN, "not connected"))?;
            return Ok(SockAddrIn::emit(addr, port, state.scope, self.v6));
        }
        let port = match state.port {
            0 => state.shown_port,
            port => port,
        };
        Ok(SockAddrIn::emit(state.local, port, state.scope, self.v6))
    }
    fn send(&self, _: &Arc<Task>, msg: &mut SendMsg<'_>) -> Result<usize> {
        self.write(msg)
    }
    fn recv(&self, task: &Arc<Task>, msg: &mut RecvMsg<'_>) -> Result<usize> {
        self.read(task, msg)
    }
    fn shutdown(&self, how: Shutdown) -> Result<()> {
        self.shut_down(how)
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
    fn ioctl(&self, task: &Arc<Task>, cmd: u32, arg: UserAddr) -> Result<usize> {
        self.control(task, cmd, arg)
    }
    fn keep_alive(&self, on: bool) {
        self.state.lock().tcp.keepalive.on = on;
        self.drive_now();
    }
    fn lingers(&self) -> bool {
        matches!(
            self.state.lock().last,
            TcpState::FinWait1 | TcpState::Closing | TcpState::LastAck
        )
    }
    fn is_listening(&self) -> bool {
        matches!(self.state.lock().phase, Phase::Listening { .. })
    }
}
