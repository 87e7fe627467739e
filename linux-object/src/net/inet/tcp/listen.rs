//! A listening socket: the queue of its children.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

use smoltcp::socket::tcp::State as TcpState;

use super::engine::{BUFFER, Engine};
use super::socket::{Phase, TcpSocket};
use crate::error::Result;
use crate::fs::PollEvents;
use crate::net::Socket;
use crate::net::inet::ports::{any, claim, not_kept};
use crate::net::stack::Run;
use crate::net::stack::mib::Counter;
use crate::net::stack::sockets::{Delivery, Ends};
use crate::{bail, ensure};

impl TcpSocket {
    /// `listen(2)`.
    pub(super) fn start_listening(&self, backlog: u32) -> Result<()> {
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
            claim(&ns, |sockets| &mut sockets.tcp, bound, not_kept)?
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
        let mut state = self.state.lock();
        state.was_listening = true;
        state.phase = Phase::Listening {
            backlog: backlog as usize,
            embryos: Vec::new(),
            ready: VecDeque::new(),
        };
        Ok(())
    }

    /// `accept(2)`.
    pub(super) fn take_child(&self) -> Result<Arc<dyn Socket>> {
        let mut state = self.state.lock();
        match &mut state.phase {
            Phase::Listening { ready, .. } => match ready.pop_front() {
                Some(child) => Ok(child),
                None => bail!(EAGAIN, "nobody has connected"),
            },
            _ => bail!(EINVAL, "the socket does not listen"),
        }
    }

    /// A child's handshake is over, one way or the other.
    pub(super) fn child_changed(&self, child: &TcpSocket, up: bool) {
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
    pub(super) fn first_segment(self: &Arc<Self>, run: &mut Run, delivery: Delivery, isn: Option<u32>) {
        let transport = delivery.transport();
        let port = |at: usize| u16::from_be_bytes([transport[at], transport[at + 1]]);
        let (remote_port, local_port) = (port(0), port(2));
        let (ns, v6, options, (ifindex, chose_addr), tcp) = {
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
                self.stack.mib.add(Counter::TcpExtListenOverflows);
                self.stack.mib.add(Counter::TcpExtListenDrops);
                return;
            }
            let Some(ns) = state.ns.clone() else { return };
            (
                ns,
                self.v6,
                state.options.clone(),
                (state.ifindex, state.chose_addr),
                state.tcp.clone(),
            )
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
        // Nobody is told but the peer, who tries again.
        let Ok(memory) = self.payer.charge_buffers(BUFFER) else {
            self.stack.mib.add(Counter::TcpExtListenDrops);
            return;
        };
        let child = TcpSocket::create(ns, v6, self.payer.clone());
        child.base.inherit(&self.base);
        let isn = self.first_number(&ends, isn);
        let mtu = tcp.narrowed(mtu, ends.local);
        let mut engine = Engine::new(ends.local, mtu as usize, isn, self.now(), memory);
        if engine.socket().listen(local_port).is_err() {
            return;
        }
        {
            let mut state = child.state.lock();
            state.options = options;
            tcp.apply(&mut engine);
            state.deferred = tcp.defer_until(self.now());
            state.tcp = tcp;
            state.local = ends.local;
            state.chose_addr = chose_addr;
            state.port = ends.port;
            state.remote = Some((ends.remote, ends.remote_port));
            state.ifindex = ifindex;
            let narrow = matches!(ends.remote, IpAddr::V6(addr) if addr.is_unicast_link_local());
            state.scope = if narrow { delivery.ifindex } else { 0 };
            state.last = TcpState::Listen;
            state.parent = Arc::downgrade(self);
            engine.receive(delivery.packet, self.now(), || false);
            state.phase = Phase::Connected(Box::new(engine));
        }
        {
            let mut state = self.state.lock();
            let Phase::Listening { embryos, .. } = &mut state.phase else {
                return;
            };
            embryos.push(child.clone());
        }
        {
            let mut state = child.state.lock();
            let kept = child.kept(&state);
            let mut stack = self.stack.lock();
            stack.sockets.tcp.keep(&kept);
            stack.sockets.connections.insert(ends, child.clone());
            state.kept = Some(kept);
        }
        child.drive(run, false);
    }
}
