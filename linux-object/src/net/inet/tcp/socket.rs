//! The socket of a connection, or of those to come.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::any::Any;
use core::net::IpAddr;
use core::time::Duration;

use smoltcp::socket::tcp::State as TcpState;

use super::engine::Engine;
use crate::error::{Errno, Result};
use crate::fs::PollEvents;
use crate::ids::UserAddr;
use crate::namespace::NetNamespace;
use crate::net::inet::addr::SockAddrIn;
use crate::net::inet::options::{IpOptions, int};
use crate::net::inet::ports::{any, check_low_port, claim};
use crate::net::inet::{ifreq, proto};
use crate::net::stack::route::RouteType;
use crate::net::stack::sockets::{Bound, Delivery, Ends, InetInfo, InetSocket, WeakSocket};
use crate::net::stack::{Dst, Flow, Job, NetStack, Run};
use crate::net::{
    MsgFlags, RecvMsg, SendMsg, Shutdown, SockAddr, SockBase, SockOption, Socket, SocketType, af,
};
use crate::sync::{SpinLock, WaitQueue, class};
use crate::task::Task;
use crate::time::{Ktime, TimerCallback, TimerId};
use crate::{bail, ensure, err};

const SOL_TCP: i32 = 6;
const TCP_NODELAY: i32 = 1;
const TCP_MAXSEG: i32 = 2;
const TCP_INFO: i32 = 11;
const TCP_KEEPIDLE: i32 = 4;
const TCP_KEEPINTVL: i32 = 5;
const TCP_KEEPCNT: i32 = 6;
/// Bytes that a connection's buffers have, each way.
const BUFFER: usize = 65536;

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
    pub(super) remote: Option<(IpAddr, u16)>,
    pub(super) ifindex: u32,
    pub(super) scope: u32,
    pub(super) shutdown: Shutdown,
    pub(super) nodelay: bool,
    pub(super) keepalive: [u32; 3],
    /// `connect` has not told its caller yet.
    pub(super) connecting: bool,
    /// The connection once was there.
    pub(super) was_up: bool,
    /// The file is gone.
    pub(super) closed: bool,
    /// The last state that was looked at.
    pub(super) last: TcpState,
    pub(super) timer: Option<(Ktime, TimerId)>,
    pub(super) parent: Weak<TcpSocket>,
    /// Kept while something is still to be sent.
    pub(super) ns: Option<Arc<NetNamespace>>,
}

/// A TCP socket.
pub struct TcpSocket {
    pub(super) base: SockBase,
    pub(super) v6: bool,
    pub(super) stack: Arc<NetStack>,
    pub(super) state: SpinLock<State, class::Inode>,
    pub(super) queue: WaitQueue,
    pub(super) this: Weak<TcpSocket>,
}

impl TcpSocket {
    pub(in crate::net::inet) fn create(ns: Arc<NetNamespace>, v6: bool) -> Arc<TcpSocket> {
        let options = IpOptions {
            v6only: ns.stack().sysctl.bindv6only.get() != 0,
            ..IpOptions::default()
        };
        let stack = ns.stack().clone();
        Arc::new_cyclic(|this| TcpSocket {
            base: SockBase::new(SocketType::Stream, proto::TCP as i32),
            v6,
            stack,
            state: SpinLock::new(State {
                phase: Phase::Idle,
                options,
                local: any(v6),
                port: 0,
                remote: None,
                ifindex: 0,
                scope: 0,
                shutdown: Shutdown::empty(),
                nodelay: false,
                keepalive: [7200, 75, 9],
                connecting: false,
                was_up: false,
                closed: false,
                last: TcpState::Closed,
                timer: None,
                parent: Weak::new(),
                ns: Some(ns),
            }),
            queue: WaitQueue::new(),
            this: this.clone(),
        })
    }
    fn weak(&self) -> WeakSocket {
        self.this.clone()
    }
    fn arc(&self) -> Result<Arc<TcpSocket>> {
        self.this.upgrade().ok_or(err!(ENOTCONN))
    }
    fn ns(&self) -> Result<Arc<NetNamespace>> {
        self.state
            .lock()
            .ns
            .clone()
            .ok_or(err!(ENOTCONN, "the namespace is gone"))
    }
    pub(super) fn now(&self) -> Ktime {
        self.stack.shared.time.now()
    }
    fn bound(&self, state: &State, local: IpAddr, port: u16) -> Bound {
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

    /// Polls the engine and does what follows: sends packets, sets the timer, tells who waits.
    fn drive(&self, run: &mut Run, timed_out: bool) {
        let now = self.now();
        let mut gone = None;
        let mut released = None;
        let mut parent_of = None;
        let mut events = PollEvents::empty();
        {
            let mut guard = self.state.lock();
            let state = &mut *guard;
            let Some((remote, _)) = state.remote else { return };
            let Phase::Connected(engine) = &mut state.phase else {
                return;
            };
            let (could_read, could_write) = {
                let socket = engine.socket();
                (socket.can_recv(), socket.can_send())
            };
            for mut packet in engine.poll(now) {
                packet.pull(if remote.is_ipv6() { 40 } else { 20 });
                let mut flow = Flow::new(proto::TCP, remote);
                flow.src = Some(state.local);
                flow.oif = if state.scope != 0 {
                    state.scope
                } else {
                    state.ifindex
                };
                flow.ttl = if remote.is_ipv6() {
                    state.options.hops
                } else {
                    state.options.ttl
                };
                flow.tos = state.options.tos;
                run.push(Job::Send(self.stack.clone(), flow, packet));
            }
            let socket = engine.socket();
            let new = socket.state();
            let old = core::mem::replace(&mut state.last, new);
            if socket.can_recv() && !could_read || !socket.may_recv() && new != old {
                events |= PollEvents::READABLE;
            }
            if socket.can_send() && (!could_write || new != old) {
                events |= PollEvents::WRITABLE;
            }
            if new != old {
                events |= PollEvents::READABLE | PollEvents::WRITABLE;
                if matches!(new, TcpState::CloseWait | TcpState::TimeWait | TcpState::Closing) {
                    events |= PollEvents::RDHUP;
                }
            }
            if new == TcpState::Established && !state.was_up {
                state.was_up = true;
                engine.established();
                parent_of = Some(state.parent.clone());
            }
            if new == TcpState::Closed && old != TcpState::Closed {
                let error = match old {
                    TcpState::SynSent if timed_out => Some(Errno::ETIMEDOUT),
                    TcpState::SynSent => Some(Errno::ECONNREFUSED),
                    TcpState::TimeWait | TcpState::LastAck => None,
                    _ if timed_out => Some(Errno::ETIMEDOUT),
                    TcpState::CloseWait => Some(Errno::EPIPE),
                    _ => Some(Errno::ECONNRESET),
                };
                if let Some(errno) = error {
                    self.base.set_error(errno);
                    events |= PollEvents::ERR;
                }
                state.shutdown = Shutdown::all();
                events |= PollEvents::HUP | PollEvents::READABLE | PollEvents::WRITABLE;
                parent_of = Some(state.parent.clone());
            }
            // What a closed program left needs its namespace only to send.
            if state.closed && matches!(new, TcpState::TimeWait | TcpState::FinWait2 | TcpState::Closed) {
                released = state.ns.take();
            }
            if new == TcpState::Closed {
                if let Some((_, id)) = state.timer.take() {
                    self.stack.shared.timers.cancel(id);
                }
                gone = state.remote.map(|(remote, remote_port)| Ends {
                    local: state.local,
                    port: state.port,
                    remote,
                    remote_port,
                });
            } else if let Some(at) = engine.poll_at(now)
                && state.timer.is_none_or(|(armed, _)| at < armed)
            {
                if let Some((_, id)) = state.timer.take() {
                    self.stack.shared.timers.cancel(id);
                }
                if let Some(this) = self.this.upgrade() {
                    let id = self.stack.shared.timers.add(at, this);
                    state.timer = Some((at, id));
                }
            }
        }
        let mut dropped = None;
        if let Some(ends) = gone {
            let mut stack = self.stack.lock();
            let ours = stack.sockets.connections.get(&ends);
            if ours.is_some_and(|have| core::ptr::addr_eq(Arc::as_ptr(have), self)) {
                dropped = stack.sockets.connections.remove(&ends);
            }
        }
        if let Some(parent) = parent_of.and_then(|parent| parent.upgrade()) {
            parent.child_changed(self, gone.is_none());
        }
        if !events.is_empty() {
            self.queue.wake_all(events);
        }
        drop(released);
        drop(dropped);
    }

    /// A child's handshake is over, one way or the other.
    fn child_changed(&self, child: &TcpSocket, up: bool) {
        let mut lost = None;
        {
            let mut state = self.state.lock();
            let Phase::Listening { embryos, ready, .. } = &mut state.phase else {
                return;
            };
            if let Some(at) = embryos.iter().position(|have| core::ptr::eq(&**have, child)) {
                let child = embryos.swap_remove(at);
                if up {
                    ready.push_back(child);
                } else {
                    lost = Some(child);
                }
            }
        }
        drop(lost);
        self.queue.wake(PollEvents::READABLE);
    }

    /// The first segment of a connection arrives at a listening socket.
    fn first_segment(self: &Arc<Self>, run: &mut Run, delivery: Delivery) {
        let transport = delivery.transport();
        let port = |at: usize| u16::from_be_bytes([transport[at], transport[at + 1]]);
        let (remote_port, local_port) = (port(0), port(2));
        let (ns, v6, options, ifindex) = {
            let state = self.state.lock();
            let Phase::Listening {
                backlog,
                embryos,
                ready,
            } = &state.phase
            else {
                return;
            };
            if ready.len() > *backlog || embryos.len() > (*backlog).max(8) {
                return;
            }
            let Some(ns) = state.ns.clone() else { return };
            (ns, self.v6, state.options.clone(), state.ifindex)
        };
        let mtu = self
            .stack
            .lock()
            .devices
            .get(&delivery.ifindex)
            .map_or(1500, |dev| dev.mtu);
        let ends = Ends {
            local: delivery.dst,
            port: local_port,
            remote: delivery.src,
            remote_port,
        };
        let child = TcpSocket::create(ns, v6);
        child.base.inherit(&self.base);
        let seed = self.stack.shared.rng.next_u64();
        let mut engine = Engine::new(ends.local, mtu as usize, BUFFER, BUFFER, seed, self.now());
        if engine.socket().listen(local_port).is_err() {
            return;
        }
        {
            let mut state = child.state.lock();
            state.options = options;
            state.local = ends.local;
            state.port = ends.port;
            state.remote = Some((ends.remote, ends.remote_port));
            state.ifindex = ifindex;
            let narrow = matches!(ends.remote, IpAddr::V6(addr) if addr.is_unicast_link_local());
            state.scope = if narrow { delivery.ifindex } else { 0 };
            state.last = TcpState::Listen;
            state.parent = Arc::downgrade(self);
            engine.receive(delivery.packet, self.now());
            state.phase = Phase::Connected(Box::new(engine));
        }
        {
            let mut state = self.state.lock();
            let Phase::Listening { embryos, .. } = &mut state.phase else {
                return;
            };
            embryos.push(child.clone());
        }
        self.stack.lock().sockets.connections.insert(ends, child.clone());
        child.drive(run, false);
    }

    fn route(&self, to: &SockAddrIn, local: IpAddr, ifindex: u32) -> Result<Dst> {
        let oif = if to.scope != 0 { to.scope } else { ifindex };
        self.stack.with(|net| match (to.addr, local) {
            (IpAddr::V4(dst), IpAddr::V4(src)) => net.route4(dst, Some(src), oif),
            (IpAddr::V4(dst), _) => net.route4(dst, None, oif),
            (IpAddr::V6(dst), IpAddr::V6(src)) => net.route6(dst, Some(src), oif),
            (IpAddr::V6(dst), _) => net.route6(dst, None, oif),
        })
    }

    fn start_connect(&self, addr: &[u8]) -> Result<()> {
        let mut to = SockAddrIn::parse(addr, self.v6)?;
        if to.addr.is_unspecified() {
            to.addr = match to.addr {
                IpAddr::V4(_) => core::net::Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => core::net::Ipv6Addr::LOCALHOST.into(),
            };
        }
        let ns = self.ns()?;
        let (local, port, ifindex) = {
            let state = self.state.lock();
            (state.local, state.port, state.ifindex)
        };
        let route = self.route(&to, local, ifindex)?;
        ensure!(
            matches!(route.kind, RouteType::Unicast | RouteType::Local),
            ENETUNREACH,
            "TCP connects to one host"
        );
        ensure!(to.port != 0, ECONNREFUSED, "port 0");
        let ends = |port: u16| Ends {
            local: route.src,
            port,
            remote: to.addr,
            remote_port: to.port,
        };
        let this = self.arc()?;
        let port = if port == 0 {
            let mut bound = self.bound(&self.state.lock(), route.src, 0);
            // Two connections may have one port if they lead to different places.
            bound.reuse_addr = true;
            claim(
                &ns,
                |sockets| &mut sockets.tcp,
                bound,
                |sockets, port| !sockets.connections.contains_key(&ends(port)),
            )?
        } else {
            port
        };
        let ends = ends(port);
        {
            let mut stack = self.stack.lock();
            let connections = &mut stack.sockets.connections;
            ensure!(
                !connections.contains_key(&ends),
                EADDRNOTAVAIL,
                "there is such a connection"
            );
            connections.insert(ends, this);
        }
        let seed = self.stack.shared.rng.next_u64();
        let now = self.now();
        let mut engine = Engine::new(route.src, route.mtu as usize, BUFFER, BUFFER, seed, now);
        engine.connect((to.addr, to.port), (route.src, port));
        {
            let mut state = self.state.lock();
            engine.socket().set_nagle_enabled(!state.nodelay);
            state.local = route.src;
            state.port = port;
            state.remote = Some((to.addr, to.port));
            state.scope = to.scope;
            state.connecting = true;
            state.last = TcpState::SynSent;
            state.phase = Phase::Connected(Box::new(engine));
        }
        let mut run = Run::new();
        self.drive(&mut run, false);
        run.finish();
        Ok(())
    }

    /// Sends, receives or closes with the engine, then does what follows.
    fn with_engine<R>(&self, work: impl FnOnce(&mut State) -> Result<R>) -> Result<R> {
        let result = work(&mut self.state.lock());
        let mut run = Run::new();
        self.drive(&mut run, false);
        run.finish();
        result
    }
}

impl InetSocket for TcpSocket {
    fn deliver(self: Arc<Self>, run: &mut Run, delivery: Delivery) {
        if let Some(error) = delivery.error {
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
        let listening = {
            let mut state = self.state.lock();
            match &mut state.phase {
                Phase::Listening { .. } => true,
                Phase::Connected(engine) => {
                    let mut packet = delivery.packet.clone();
                    if delivery.transport != if delivery.src.is_ipv6() { 40 } else { 20 } {
                        return;
                    }
                    packet.hops = 0;
                    engine.receive(packet, self.now());
                    false
                }
                Phase::Idle => return,
            }
        };
        if listening {
            self.first_segment(run, delivery);
        } else {
            self.drive(run, false);
        }
    }
    fn info(&self) -> InetInfo {
        self.describe()
    }
}

impl TimerCallback for TcpSocket {
    fn fire(self: Arc<Self>, now: Ktime) {
        {
            let mut state = self.state.lock();
            if state.timer.is_some_and(|(at, _)| at <= now) {
                state.timer = None;
            }
        }
        let mut run = Run::new();
        self.drive(&mut run, true);
        run.finish();
    }
}

impl Socket for TcpSocket {
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
                let ended = !socket.may_recv() && !connecting;
                if socket.can_recv() {
                    events |= PollEvents::READABLE;
                }
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
        let linger_zero = self.base.linger() == Some(0);
        let mut children = Vec::new();
        let (port, idle_ns) = {
            let mut guard = self.state.lock();
            let state = &mut *guard;
            state.closed = true;
            state.shutdown = Shutdown::all();
            let mut ns = None;
            match &mut state.phase {
                Phase::Listening { embryos, ready, .. } => {
                    children.append(embryos);
                    children.extend(ready.drain(..));
                    state.phase = Phase::Idle;
                    ns = state.ns.take();
                }
                Phase::Connected(engine) => {
                    let socket = engine.socket();
                    if linger_zero || socket.can_recv() {
                        socket.abort();
                    } else {
                        socket.close();
                    }
                }
                Phase::Idle => ns = state.ns.take(),
            }
            (state.port, ns)
        };
        if port != 0 {
            let mut stack = self.stack.lock();
            stack.sockets.tcp.remove(port, &self.weak());
            stack.sockets.listeners.remove(port, &self.weak());
        }
        for child in children {
            if let Phase::Connected(engine) = &mut child.state.lock().phase {
                engine.socket().abort();
            }
            child.state.lock().closed = true;
            let mut run = Run::new();
            child.drive(&mut run, false);
            run.finish();
        }
        let mut run = Run::new();
        self.drive(&mut run, false);
        run.finish();
        drop(idle_ns);
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn bind(&self, task: &Arc<Task>, addr: &[u8]) -> Result<()> {
        let to = SockAddrIn::parse(addr, self.v6)?;
        let ns = self.ns()?;
        self.stack.with(|net| net.check_bindable(to.addr))?;
        check_low_port(task, &ns, to.port)?;
        let bound = {
            let mut state = self.state.lock();
            ensure!(
                state.port == 0 && matches!(state.phase, Phase::Idle),
                EINVAL,
                "the socket is bound"
            );
            if to.scope != 0 {
                state.ifindex = to.scope;
            }
            self.bound(&state, to.addr, to.port)
        };
        let port = claim(&ns, |sockets| &mut sockets.tcp, bound, |_, _| true)?;
        let mut state = self.state.lock();
        state.local = to.addr;
        state.port = port;
        Ok(())
    }
    fn listen(&self, _: &Arc<Task>, backlog: u32) -> Result<()> {
        let ns = self.ns()?;
        let port = {
            let mut state = self.state.lock();
            match &mut state.phase {
                Phase::Listening { backlog: have, .. } => {
                    *have = backlog as usize;
                    return Ok(());
                }
                Phase::Connected(engine) => {
                    ensure!(
                        engine.socket().state() == TcpState::Closed,
                        EINVAL,
                        "the socket is connected"
                    );
                }
                Phase::Idle => {}
            }
            state.port
        };
        let port = if port == 0 {
            let bound = self.bound(&self.state.lock(), any(self.v6), 0);
            claim(&ns, |sockets| &mut sockets.tcp, bound, |_, _| true)?
        } else {
            port
        };
        let bound = {
            let mut state = self.state.lock();
            state.port = port;
            self.bound(&state, state.local, port)
        };
        {
            let mut stack = self.stack.lock();
            ensure!(
                stack.sockets.listeners.is_free(port, &bound, true),
                EADDRINUSE,
                "somebody listens there"
            );
            stack.sockets.listeners.insert(bound);
        }
        self.state.lock().phase = Phase::Listening {
            backlog: backlog as usize,
            embryos: Vec::new(),
            ready: VecDeque::new(),
        };
        Ok(())
    }
    fn connect(&self, _: &Arc<Task>, addr: &[u8]) -> Result<()> {
        ensure!(addr.len() >= 2, EINVAL, "the address is too short");
        let fresh = {
            let mut state = self.state.lock();
            let connecting = state.connecting;
            match &mut state.phase {
                Phase::Idle => true,
                Phase::Listening { .. } => bail!(EISCONN, "the socket listens"),
                Phase::Connected(engine) => match engine.socket().state() {
                    TcpState::SynSent => bail!(EALREADY, "the handshake goes on"),
                    TcpState::Closed => {
                        let failed = self.base.take_error();
                        state.phase = Phase::Idle;
                        state.shutdown = Shutdown::empty();
                        state.connecting = false;
                        failed?;
                        ensure!(!connecting, ECONNABORTED, "the connection failed");
                        true
                    }
                    _ if connecting => {
                        state.connecting = false;
                        return Ok(());
                    }
                    _ => bail!(EISCONN, "the socket is connected"),
                },
            }
        };
        if fresh {
            if SockAddrIn::is_unspec(addr) {
                return Ok(());
            }
            self.start_connect(addr)?;
            // It may be over already, but as on Linux only the next call tells.
            bail!(EINPROGRESS, "the handshake goes on");
        }
        let mut state = self.state.lock();
        let Phase::Connected(engine) = &mut state.phase else {
            bail!(ECONNABORTED)
        };
        match engine.socket().state() {
            TcpState::SynSent => bail!(EINPROGRESS, "the handshake goes on"),
            TcpState::Closed => {
                state.phase = Phase::Idle;
                state.shutdown = Shutdown::empty();
                state.connecting = false;
                drop(state);
                self.base.take_error()?;
                bail!(ECONNREFUSED, "nobody listens there")
            }
            _ => {
                state.connecting = false;
                Ok(())
            }
        }
    }
    fn accept(&self, _: &Arc<Task>) -> Result<Arc<dyn Socket>> {
        let mut state = self.state.lock();
        match &mut state.phase {
            Phase::Listening { ready, .. } => match ready.pop_front() {
                Some(child) => Ok(child),
                None => bail!(EAGAIN, "nobody has connected"),
            },
            _ => bail!(EINVAL, "the socket does not listen"),
        }
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
        Ok(SockAddrIn::emit(state.local, state.port, state.scope, self.v6))
    }
    fn send(&self, _: &Arc<Task>, msg: &mut SendMsg<'_>) -> Result<usize> {
        ensure!(!msg.flags.contains(MsgFlags::OOB), EOPNOTSUPP, "no urgent data");
        self.base.take_error()?;
        let len = msg.data.remaining();
        self.with_engine(|state| {
            let sending = !state.shutdown.contains(Shutdown::SEND);
            let Phase::Connected(engine) = &mut state.phase else {
                bail!(EPIPE, "not connected");
            };
            let socket = engine.socket();
            if sending && matches!(socket.state(), TcpState::SynSent | TcpState::SynReceived) {
                bail!(EAGAIN, "the handshake goes on");
            }
            ensure!(sending && socket.may_send(), EPIPE, "nothing more can be sent");
            let mut sent = 0;
            // The free part of the ring may be in two pieces.
            while msg.data.remaining() > 0 && socket.can_send() {
                let put = socket.send(|buf| match msg.data.take(buf) {
                    Ok(n) => (n, Ok(n)),
                    Err(error) => (0, Err(error)),
                });
                match put {
                    Ok(Ok(0)) | Err(_) => break,
                    Ok(Ok(n)) => sent += n,
                    Ok(Err(error)) if sent == 0 => return Err(error),
                    Ok(Err(_)) => break,
                }
            }
            ensure!(sent > 0 || len == 0, EAGAIN, "the buffer is full");
            Ok(sent)
        })
    }
    fn recv(&self, _: &Arc<Task>, msg: &mut RecvMsg<'_>) -> Result<usize> {
        ensure!(!msg.flags.contains(MsgFlags::OOB), EINVAL, "no urgent data");
        ensure!(!msg.flags.contains(MsgFlags::ERRQUEUE), EAGAIN, "no errors");
        let peek = msg.flags.contains(MsgFlags::PEEK);
        let discard = msg.flags.contains(MsgFlags::TRUNC);
        let base = &self.base;
        self.with_engine(|state| {
            let shut = state.shutdown.contains(Shutdown::RECV) && !state.closed;
            let was_up = state.was_up;
            let Phase::Connected(engine) = &mut state.phase else {
                bail!(ENOTCONN, "not connected");
            };
            let socket = engine.socket();
            if !socket.can_recv() {
                base.take_error()?;
                if matches!(socket.state(), TcpState::SynSent | TcpState::SynReceived) {
                    bail!(EAGAIN, "the handshake goes on");
                }
                if shut || !socket.may_recv() {
                    ensure!(was_up || shut, ENOTCONN, "not connected");
                    return Ok(0);
                }
                bail!(EAGAIN, "nothing was received");
            }
            if peek {
                let mut copy = alloc::vec![0; msg.data.remaining().min(socket.recv_queue())];
                let n = socket.peek_slice(&mut copy).unwrap_or(0);
                return msg.data.put(&copy[..n]);
            }
            let mut got = 0;
            while msg.data.remaining() > 0 && socket.can_recv() {
                let taken = socket.recv(|buf| {
                    if discard {
                        let n = buf.len().min(msg.data.remaining());
                        return (n, msg.data.put_zeros(n));
                    }
                    match msg.data.put(buf) {
                        Ok(n) => (n, Ok(n)),
                        Err(error) => (0, Err(error)),
                    }
                });
                match taken {
                    Ok(Ok(0)) | Err(_) => break,
                    Ok(Ok(n)) => got += n,
                    Ok(Err(error)) if got == 0 => return Err(error),
                    Ok(Err(_)) => break,
                }
            }
            Ok(got)
        })
    }
    fn shutdown(&self, how: Shutdown) -> Result<()> {
        let listening = self.is_listening();
        self.with_engine(|state| {
            let Phase::Connected(engine) = &mut state.phase else {
                ensure!(listening, ENOTCONN, "not connected");
                return Ok(());
            };
            let socket = engine.socket();
            ensure!(
                !matches!(socket.state(), TcpState::Closed),
                ENOTCONN,
                "not connected"
            );
            if how.contains(Shutdown::SEND) {
                socket.close();
            }
            state.shutdown |= how;
            Ok(())
        })?;
        self.queue.wake_all(PollEvents::all());
        Ok(())
    }
    fn set_option(&self, task: &Arc<Task>, level: i32, name: i32, value: &[u8]) -> Result<()> {
        let mut state = self.state.lock();
        if level != SOL_TCP {
            if (level, name) == (1, 25) {
                let end = value.iter().position(|&c| c == 0).unwrap_or(value.len());
                let name = core::str::from_utf8(&value[..end]).map_err(|_| err!(ENODEV))?;
                let _ = task;
                state.ifindex = match name {
                    "" => 0,
                    name => self.stack.lock().by_name(name).ok_or(err!(ENODEV))?,
                };
                return Ok(());
            }
            let set = state.options.set(self.v6, level, name, value)?;
            ensure!(set, ENOPROTOOPT, "there is no such option");
            return Ok(());
        }
        ensure!(value.len() >= 4, EINVAL, "the option is an int");
        let number = int(value)?;
        match name {
            TCP_NODELAY => {
                state.nodelay = number != 0;
                if let Phase::Connected(engine) = &mut state.phase {
                    engine.socket().set_nagle_enabled(number == 0);
                }
            }
            TCP_KEEPIDLE | TCP_KEEPINTVL | TCP_KEEPCNT => {
                ensure!((1..=32767).contains(&number), EINVAL, "the option's range");
                state.keepalive[(name - TCP_KEEPIDLE) as usize] = number as u32;
            }
            _ => bail!(ENOPROTOOPT, "there is no such option"),
        }
        if self.base.is_set(SockOption::KeepAlive) {
            let idle = Duration::from_secs(state.keepalive[0] as u64);
            if let Phase::Connected(engine) = &mut state.phase {
                engine.socket().set_keep_alive(Some(idle.into()));
            }
        }
        Ok(())
    }
    fn get_option(&self, _: &Arc<Task>, level: i32, name: i32, _: usize) -> Result<Vec<u8>> {
        let mut state = self.state.lock();
        if level != SOL_TCP {
            return state.options.get(self.v6, level, name);
        }
        let number = match name {
            TCP_INFO => return Ok(state.tcp_info(self.now())),
            TCP_NODELAY => state.nodelay as i32,
            TCP_MAXSEG => match &state.phase {
                Phase::Connected(engine) => engine.stats.mss() as i32,
                // What a connection that offers nothing is given.
                _ => 536,
            },
            TCP_KEEPIDLE | TCP_KEEPINTVL | TCP_KEEPCNT => {
                state.keepalive[(name - TCP_KEEPIDLE) as usize] as i32
            }
            _ => bail!(ENOPROTOOPT, "there is no such option"),
        };
        Ok(number.to_ne_bytes().to_vec())
    }
    fn ioctl(&self, task: &Arc<Task>, cmd: u32, arg: UserAddr) -> Result<usize> {
        let number = {
            let mut state = self.state.lock();
            match (cmd, &mut state.phase) {
                (0x541b, Phase::Listening { .. }) => bail!(EINVAL, "the socket listens"),
                (0x541b, Phase::Connected(engine)) => engine.socket().recv_queue(),
                (0x5411, Phase::Connected(engine)) => engine.socket().send_queue(),
                (0x541b | 0x5411, _) => 0,
                _ => {
                    drop(state);
                    return ifreq::ioctl(task, &self.ns()?, cmd, arg);
                }
            }
        };
        task.kernel()
            .hal
            .copy_to_user(arg, &(number as i32).to_ne_bytes())?;
        Ok(0)
    }
    fn is_listening(&self) -> bool {
        matches!(self.state.lock().phase, Phase::Listening { .. })
    }
}
