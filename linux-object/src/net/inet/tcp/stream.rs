//! The bytes of a connection, and its end.

use alloc::vec::Vec;

use smoltcp::socket::tcp::State as TcpState;

use super::socket::{Phase, TcpSocket};
use super::urgent::Reach;
use crate::error::Result;
use crate::fs::PollEvents;
use crate::net::stack::Run;
use crate::net::{MsgFlags, RecvMsg, SendMsg, Shutdown, Socket};
use crate::task::Task;
use crate::{bail, ensure};

impl TcpSocket {
    /// `send(2)`.
    pub(super) fn write(&self, msg: &mut SendMsg<'_>) -> Result<usize> {
        self.base.take_error()?;
        let (len, now) = (msg.data.remaining(), self.now());
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
            let urgent = msg.flags.contains(MsgFlags::OOB);
            let more = (state.tcp.cork || msg.flags.contains(MsgFlags::MORE)) && !urgent;
            if more || engine.is_holding() {
                let sent = engine.hold(now, len, |buf| msg.data.take(buf))?;
                if !more {
                    engine.uncork();
                }
                ensure!(sent > 0 || len == 0, EAGAIN, "the buffer is full");
                engine.urgent.written = engine.urgent.written.wrapping_add(sent as u32);
                if urgent && sent > 0 {
                    engine.urge();
                }
                return Ok(sent);
            }
            let socket = engine.socket();
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
            engine.urgent.written = engine.urgent.written.wrapping_add(sent as u32);
            if urgent && sent > 0 {
                engine.urge();
            }
            Ok(sent)
        })
    }

    /// `recv(2)`.
    pub(super) fn read(&self, task: &Task, msg: &mut RecvMsg<'_>) -> Result<usize> {
        ensure!(!msg.flags.contains(MsgFlags::ERRQUEUE), EAGAIN, "no errors");
        if msg.flags.contains(MsgFlags::OOB) {
            return self.read_urgent(msg);
        }
        let peek = msg.flags.contains(MsgFlags::PEEK);
        let discard = msg.flags.contains(MsgFlags::TRUNC);
        let base = &self.base;
        let mut inq = false;
        let mut looks = false;
        let got = self.with_state(|state| {
            inq = state.tcp.inq;
            let shut = state.shutdown.contains(Shutdown::RECV) && !state.closed;
            let was_up = state.was_up;
            let Phase::Connected(engine) = &mut state.phase else {
                bail!(ENOTCONN, "not connected");
            };
            let mut reach = Reach::ALL;
            if engine.urgent.is_marked() {
                reach = self.reach(engine, task, msg)?;
            }
            let socket = engine.socket();
            if !socket.can_recv() || reach.skip == socket.recv_queue() {
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
                let most = msg.data.remaining().min(reach.most).saturating_add(reach.skip);
                let mut copy = alloc::vec![0; most.min(socket.recv_queue())];
                let n = socket.peek_slice(&mut copy).unwrap_or(0);
                return msg.data.put(&copy[reach.skip.min(n)..n]);
            }
            let mut got = 0;
            while msg.data.remaining() > 0 && got < reach.most && socket.can_recv() {
                let taken = socket.recv(|buf| {
                    let buf = &buf[..buf.len().min(reach.most - got)];
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
            engine.urgent.read = engine.urgent.read.wrapping_add(got as u32);
            if engine.urgent.is_marked() {
                msg.ends = engine.was_read();
            }
            looks = engine.may_tell_window();
            Ok(got)
        })?;
        if looks {
            self.drive_now();
        }
        if inq {
            self.tell_left(msg);
        }
        Ok(got)
    }

    /// `shutdown(2)`.
    pub(super) fn shut_down(&self, how: Shutdown) -> Result<()> {
        let listening = self.is_listening();
        self.with_engine(|state| {
            let Phase::Connected(engine) = &mut state.phase else {
                ensure!(listening, ENOTCONN, "not connected");
                return Ok(());
            };
            ensure!(engine.state() != TcpState::Closed, ENOTCONN, "not connected");
            if how.contains(Shutdown::SEND) {
                engine.close();
            }
            state.shutdown |= how;
            Ok(())
        })?;
        self.queue.wake_all(PollEvents::all());
        Ok(())
    }

    /// The last descriptor is gone.
    pub(super) fn close(&self) {
        let linger_zero = self.base.linger() == Some(0);
        let mut children = Vec::new();
        let mut idle = Phase::Idle;
        let idle_ns = {
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
                Phase::Connected(_) if state.left.is_some() => {
                    idle = core::mem::replace(&mut state.phase, Phase::Idle);
                    ns = state.ns.take();
                }
                Phase::Connected(engine) => {
                    let socket = engine.socket();
                    if linger_zero || socket.can_recv() {
                        socket.abort();
                    } else {
                        engine.close();
                    }
                }
                Phase::Idle => ns = state.ns.take(),
            }
            if state.port != 0 {
                let mut stack = self.stack.lock();
                stack.sockets.tcp.remove(state.port, &self.weak());
                stack.sockets.listeners.remove(state.port, &self.weak());
                // The connection outlives the socket.
                if state.kept.is_none() && matches!(state.phase, Phase::Connected(_)) {
                    let kept = self.kept(state);
                    stack.sockets.tcp.keep(&kept);
                    state.kept = Some(kept);
                }
            }
            ns
        };
        TcpSocket::reset_all(children);
        let mut run = Run::new();
        self.drive(&mut run, false);
        run.finish();
        drop((idle_ns, idle));
    }
}
