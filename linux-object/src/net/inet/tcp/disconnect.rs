//! A connection or a queue of them is given up, the socket stays: `connect(2)` to `AF_UNSPEC`.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use smoltcp::socket::tcp::State as TcpState;

use super::socket::{Phase, TcpSocket};
use crate::error::Errno;
use crate::fs::PollEvents;
use crate::net::Shutdown;
use crate::net::inet::ports::any;
use crate::net::stack::Run;
use crate::net::stack::sockets::Ends;

/// What becomes of a connection whose socket is used again.
enum Rest {
    /// The other end is told by a reset.
    Reset,
    /// Nobody is told.
    Forgotten,
}

impl TcpSocket {
    /// Linux's `tcp_disconnect`.
    pub(super) fn disconnect(&self) {
        let (rest, error) = {
            let mut state = self.state.lock();
            match &mut state.phase {
                Phase::Idle => (Rest::Forgotten, None),
                Phase::Listening { .. } => {
                    drop(state);
                    self.stop_listening();
                    (Rest::Forgotten, None)
                }
                Phase::Connected(engine) => match engine.socket().state() {
                    TcpState::Closed | TcpState::TimeWait => (Rest::Forgotten, None),
                    TcpState::SynSent => (Rest::Forgotten, Some(Errno::ECONNRESET)),
                    TcpState::Closing | TcpState::LastAck => (Rest::Forgotten, None),
                    _ => {
                        engine.socket().abort();
                        (Rest::Reset, Some(Errno::ECONNRESET))
                    }
                },
            }
        };
        match rest {
            Rest::Reset => {
                let mut run = Run::new();
                self.drive(&mut run, false);
                run.finish();
            }
            Rest::Forgotten => self.forget(),
        }
        self.reset();
        if let Some(errno) = error {
            self.base.set_error(errno);
        }
        self.queue.wake_all(PollEvents::all());
    }

    /// Those who wait for `accept` are reset.
    fn stop_listening(&self) {
        let mut children = Vec::new();
        let port = {
            let mut state = self.state.lock();
            if let Phase::Listening { embryos, ready, .. } = &mut state.phase {
                children.append(embryos);
                children.extend(ready.drain(..));
                state.phase = Phase::Idle;
            }
            state.port
        };
        self.stack.lock().sockets.listeners.remove(port, &self.weak());
        TcpSocket::reset_all(children);
    }

    /// Resets connections that nobody has accepted.
    pub(super) fn reset_all(children: Vec<Arc<TcpSocket>>) {
        for child in children {
            if let Phase::Connected(engine) = &mut child.state.lock().phase {
                engine.socket().abort();
            }
            child.state.lock().closed = true;
            let mut run = Run::new();
            child.drive(&mut run, false);
            run.finish();
        }
    }

    /// Segments for the connection find it no more.
    fn forget(&self) {
        let (ends, kept) = {
            let mut state = self.state.lock();
            let Some((remote, remote_port)) = state.remote else {
                return;
            };
            let ends = Ends {
                local: state.local,
                port: state.port,
                remote,
                remote_port,
            };
            (ends, state.kept.take())
        };
        let mut dropped = None;
        {
            let mut stack = self.stack.lock();
            let connections = &mut stack.sockets.connections;
            let ours = connections.get(&ends);
            if ours.is_some_and(|have| core::ptr::addr_eq(Arc::as_ptr(have), self)) {
                dropped = connections.remove(&ends);
            }
            if let Some(kept) = kept {
                stack.sockets.tcp.give_back(&kept);
            }
        }
        drop(dropped);
    }

    /// As it was before it was connected, but for its options and what `bind` chose.
    fn reset(&self) {
        let (old, given_back) = {
            let mut state = self.state.lock();
            if state.left.is_none()
                && let Phase::Connected(engine) = &mut state.phase
                && engine.socket().state() != TcpState::Closed
                && engine.socket().state() != TcpState::SynSent
                && !matches!(engine.socket().state(), TcpState::Closing | TcpState::LastAck)
            {
                // Another thread has connected it meanwhile.
                return;
            }
            let was_idle = state.remote.is_none() && !state.was_listening;
            let old = core::mem::replace(&mut state.phase, Phase::Idle);
            if let Some((_, id)) = state.timer.take() {
                self.stack.shared.timers.cancel(id);
            }
            state.remote = None;
            state.left = None;
            state.scope = 0;
            state.shutdown = Shutdown::empty();
            state.connecting = false;
            state.was_up = false;
            state.was_listening = false;
            state.last = TcpState::Closed;
            state.parent = Weak::new();
            if !state.chose_addr {
                state.local = any(self.v6);
            }
            let mut given_back = None;
            if !state.chose_port && !was_idle && state.port != 0 {
                given_back = Some(state.port);
                state.shown_port = state.port;
                state.port = 0;
            }
            (old, given_back)
        };
        if let Some(port) = given_back {
            self.stack.lock().sockets.tcp.remove(port, &self.weak());
        }
        drop(old);
    }
}
