//! What follows when a connection has something to do: packets leave, the timer is set, waiters are told.

use alloc::sync::Arc;

use smoltcp::socket::tcp::State as TcpState;

use super::keepalive::Verdict;
use super::socket::{Phase, State, TcpSocket};
use crate::error::{Errno, Result};
use crate::fs::PollEvents;
use crate::net::Shutdown;
use crate::net::inet::proto;
use crate::net::stack::mib::Counter;
use crate::net::stack::sockets::Ends;
use crate::net::stack::{Flow, Job, Run, transport_checksum};
use crate::time::{Ktime, TimerCallback};

impl TcpSocket {
    /// Polls the engine and does what follows: sends packets, sets the timer, tells who waits.
    pub(super) fn drive(&self, run: &mut Run, timed_out: bool) {
        let now = self.now();
        let mut gone = None;
        let mut released = None;
        let departs;
        let mut parent_of = None;
        let mut events = PollEvents::empty();
        {
            let mut guard = self.state.lock();
            let state = &mut *guard;
            let Some((remote, remote_port)) = state.remote else {
                return;
            };
            if state.left.is_some() {
                return;
            }
            let Phase::Connected(engine) = &mut state.phase else {
                return;
            };
            let (could_read, could_write) = {
                let socket = engine.socket();
                (socket.can_recv(), socket.can_send())
            };
            let mib = &self.stack.mib;
            let retrans = engine.stats.retrans();
            let mut dead = false;
            let mut look_at = None;
            let mut probe = None;
            if !matches!(engine.socket().state(), TcpState::SynSent | TcpState::Closed) {
                let (heard, waiting) = (engine.stats.heard(), engine.stats.is_waiting());
                let patience = state.tcp.user_timeout;
                match state.tcp.keepalive.look(now, (heard, waiting), patience) {
                    Verdict::Wait(at) => look_at = at,
                    Verdict::Probe(at) => {
                        look_at = Some(at);
                        mib.add(Counter::TcpExtTCPKeepAlive);
                        let mut packet = engine.probe(state.port, remote_port);
                        let data = packet.data_mut();
                        let check = transport_checksum(state.local, remote, proto::TCP, data);
                        data[16..18].copy_from_slice(&check.to_be_bytes());
                        probe = Some(packet);
                    }
                    Verdict::Dead => {
                        dead = true;
                        engine.socket().abort();
                    }
                }
            }
            let buffers = &self.stack.shared.buffers;
            engine.poll(now, buffers);
            if state.closed && engine.socket().can_recv() {
                // Nobody will ever read it: the peer is told, and stops (Linux's `TCPAbortOnData`).
                engine.socket().abort();
                engine.poll(now, buffers);
            }
            if state.closed && state.tcp.linger2 < 0 && engine.state() == TcpState::FinWait2 {
                // `TCP_LINGER2`: it does not wait for the other end.
                mib.add(Counter::TcpExtTCPAbortOnLinger);
                engine.socket().abort();
                engine.poll(now, buffers);
            }
            let again = engine.stats.retrans().wrapping_sub(retrans);
            mib.add_many(Counter::TcpRetransSegs, again.into());
            if probe.is_some() || engine.has_packets() || !state.behind.is_empty() {
                let mut carried = run.carries(self);
                if !carried
                    && !state.carried
                    && let Some(this) = self.this.upgrade()
                {
                    run.carry(this);
                    (carried, state.carried) = (true, true);
                }
                // What waits goes first.
                while carried && let Some(job) = state.behind.pop_front() {
                    run.push(job);
                }
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
                let header = if remote.is_ipv6() { 40 } else { 20 };
                let mut next = || match probe.take() {
                    Some(probe) => Some(Job::Send(self.stack.clone(), flow.clone(), probe)),
                    None => {
                        let packet = engine.next_packet()?;
                        if packet.data().get(header + 13).is_some_and(|flags| flags & 4 != 0) {
                            mib.add(Counter::TcpOutRsts);
                        }
                        Some(Job::Segment(self.stack.clone(), flow.clone(), packet))
                    }
                };
                while let Some(job) = next() {
                    mib.add(Counter::TcpOutSegs);
                    match carried {
                        true => run.push(job),
                        false => state.behind.push_back(job),
                    }
                }
            }
            let new = engine.state();
            let socket = engine.socket();
            let old = core::mem::replace(&mut state.last, new);
            let open = |state: TcpState| matches!(state, TcpState::Established | TcpState::CloseWait);
            match (open(old), open(new)) {
                (false, true) => mib.add(Counter::TcpCurrEstab),
                (true, false) => mib.sub(Counter::TcpCurrEstab),
                _ => {}
            }
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
                if state.parent.strong_count() > 0 {
                    mib.add(Counter::TcpPassiveOpens);
                }
                engine.set_timeout(state.tcp.user_timeout.into());
            }
            if state.was_up && !state.announced {
                let due = state.deferred.filter(|until| *until > now);
                match due {
                    Some(until) if new == TcpState::Established && !engine.socket().can_recv() => {
                        look_at = look_at.into_iter().chain([until]).min();
                    }
                    _ => {
                        state.announced = true;
                        parent_of = Some(state.parent.clone());
                    }
                }
            }
            if new == TcpState::Closed && old != TcpState::Closed {
                let error = match old {
                    _ if dead => Some(Errno::ETIMEDOUT),
                    TcpState::SynSent if timed_out => Some(Errno::ETIMEDOUT),
                    TcpState::SynSent => Some(Errno::ECONNREFUSED),
                    TcpState::TimeWait | TcpState::LastAck => None,
                    _ if timed_out => Some(Errno::ETIMEDOUT),
                    TcpState::CloseWait => Some(Errno::EPIPE),
                    _ => Some(Errno::ECONNRESET),
                };
                match old {
                    TcpState::SynSent | TcpState::SynReceived | TcpState::Listen => {
                        mib.add(Counter::TcpAttemptFails);
                    }
                    TcpState::Established | TcpState::CloseWait => mib.add(Counter::TcpEstabResets),
                    _ => {}
                }
                if error == Some(Errno::ETIMEDOUT) {
                    mib.add(Counter::TcpExtTCPAbortOnTimeout);
                }
                if let Some(errno) = error {
                    if old != TcpState::CloseWait {
                        engine.urgent.broke();
                    }
                    self.base.set_error(errno);
                    events |= PollEvents::ERR;
                }
                state.shutdown = Shutdown::all();
                events |= PollEvents::HUP | PollEvents::READABLE | PollEvents::WRITABLE;
                parent_of = Some(state.parent.clone());
            }
            // What a closed program left needs its namespace only to send.
            if state.closed && new == TcpState::Closed {
                released = state.ns.take();
            }
            departs = matches!(new, TcpState::TimeWait | TcpState::FinWait2);
            if new == TcpState::Closed {
                if let Some((_, id)) = state.timer.take() {
                    self.stack.shared.timers.cancel(id);
                }
                let ends = Ends {
                    local: state.local,
                    port: state.port,
                    remote,
                    remote_port,
                };
                gone = Some((ends, state.kept.take()));
            } else if let Some(at) = engine.poll_at(now).into_iter().chain(look_at).min() {
                self.look_again_at(state, at);
            }
        }
        let mut dropped = None;
        let ended = gone.is_some();
        if let Some((ends, kept)) = gone {
            let mut stack = self.stack.lock();
            let ours = stack.sockets.connections.get(&ends);
            if ours.is_some_and(|have| core::ptr::addr_eq(Arc::as_ptr(have), self)) {
                dropped = stack.sockets.connections.remove(&ends);
            }
            if let Some(kept) = kept {
                stack.sockets.tcp.give_back(&kept);
            }
        }
        if let Some(parent) = parent_of.and_then(|parent| parent.upgrade()) {
            parent.child_changed(self, !ended);
        }
        if departs {
            self.depart();
        }
        if !events.is_empty() {
            self.queue.wake_all(events);
        }
        drop(released);
        drop(dropped);
    }

    /// If only strays and the end of the other side are waited for, a record does that from now on.
    pub(super) fn depart(&self) {
        let (record, keeps, released, engine) = {
            let mut guard = self.state.lock();
            let state = &mut *guard;
            let mut phase = core::mem::replace(&mut state.phase, Phase::Idle);
            let record = match &mut phase {
                Phase::Connected(engine) if state.left.is_none() => self.leave(state, engine),
                _ => None,
            };
            let Some(record) = record else {
                state.phase = phase;
                return;
            };
            if let Some((_, id)) = state.timer.take() {
                self.stack.shared.timers.cancel(id);
            }
            state.left = Some(record.clone());
            state.last = TcpState::Closed;
            state.shutdown = Shutdown::all();
            let keeps = state.kept.take().is_some();
            if state.closed {
                (record, keeps, state.ns.take(), Some(phase))
            } else {
                // What was not read yet can be.
                state.phase = phase;
                (record, keeps, None, None)
            }
        };
        self.replace(record, keeps);
        drop((released, engine));
    }

    /// Sees that somebody looks whether something is to be done at `at` or before.
    pub(super) fn look_again_at(&self, state: &mut State, at: Ktime) {
        if state.timer.is_some_and(|(armed, _)| armed <= at) {
            return;
        }
        if let Some((_, id)) = state.timer.take() {
            self.stack.shared.timers.cancel(id);
        }
        if let Some(this) = self.this.upgrade() {
            let id = self.stack.shared.timers.add(at, this);
            state.timer = Some((at, id));
        }
    }

    /// Looks whether something is to be done.
    pub(super) fn drive_now(&self) {
        let mut run = Run::new();
        self.drive(&mut run, false);
        run.finish();
    }

    /// Sends, receives or closes with the engine, then does what follows.
    pub(super) fn with_engine<R>(&self, work: impl FnOnce(&mut State) -> Result<R>) -> Result<R> {
        let result = self.with_state(work);
        self.drive_now();
        result
    }

    /// Does something that the connection need not be looked at for.
    pub(super) fn with_state<R>(&self, work: impl FnOnce(&mut State) -> R) -> R {
        work(&mut self.state.lock())
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
