//! What a connection leaves (Linux's `inet_timewait_sock`): TIME-WAIT, and FIN-WAIT-2 when its program is gone.
//!
//! Model: a record takes the connection's place in the table, with its ends and the numbers that stray segments are
//! answered with. It has no engine and no buffers; a socket that is still open keeps what was not read yet, and is
//! closed otherwise. The record keeps the port as the socket would, and goes by a timer, by a reset, or for a new
//! connection whose numbers are later.
//!
//! Invariants: `over` is set by whoever ends it, who alone takes it out of the table. It does not hold its namespace.
//!
//! Locks: its own ranks as a socket's, before the stack's. No other socket's is taken under it.

use alloc::sync::{Arc, Weak};

use smoltcp::socket::tcp::State as TcpState;

use super::engine::Engine;
use super::socket::{State, TcpSocket};
use super::stats::{ACK, FIN, RST, SYN, Segment, after, header_len, segment};
use crate::ids::Kuid;
use crate::net::Shutdown;
use crate::net::inet::proto;
use crate::net::stack::mib::Counter;
use crate::net::stack::packet::Packet;
use crate::net::stack::sockets::{Bound, Delivery, Ends, InetInfo, InetSocket, tcp_state};
use crate::net::stack::{Flow, Job, NetStack, Run, transport_checksum};
use crate::sync::{SpinLock, class};
use crate::time::{Ktime, TimerCallback, TimerId};

/// How long it waits (`TCP_TIMEWAIT_LEN`).
const LENGTH: u64 = 60_000_000_000;
/// Nanoseconds in which strays without data are answered once (`tcp_invalid_ratelimit`).
const ANSWER_INTERVAL: u64 = 500_000_000;
/// A new connection begins so far behind the last one, whose window never was larger.
const BEYOND: u32 = 65535 + 2;

/// What a segment does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    /// Nothing.
    Ignore,
    /// It is told what is expected, strays without data now and then.
    Answer { always: bool },
    /// The other end closes: from now on it is TIME-WAIT.
    Closes,
    /// The record goes; with `told`, the other end is told so.
    Ends { told: bool },
    /// A new connection may begin.
    Opens,
}

struct Inner {
    /// FIN-WAIT-2.
    half: bool,
    /// What is expected.
    ack: u32,
    until: Ktime,
    timer: Option<TimerId>,
    answered: Option<Ktime>,
    over: bool,
}

pub(super) struct TimeWait {
    stack: Weak<NetStack>,
    this: Weak<TimeWait>,
    ends: Ends,
    kept: Bound,
    v6: bool,
    ifindex: u32,
    ttl: Option<u8>,
    tos: u8,
    cookie: u64,
    /// What its next segment would begin with, and the window told last.
    seq: u32,
    window: u16,
    /// That window in bytes.
    room: u32,
    inner: SpinLock<Inner, class::Inode>,
}

impl Inner {
    fn in_window(&self, seg: &Segment<'_>, end: u32, room: u32) -> bool {
        let limit = self.ack.wrapping_add(room);
        seg.seq == self.ack
            || after(end, self.ack) && after(limit, seg.seq)
            || seg.seq == limit && end == seg.seq
    }
    /// Linux's `tcp_timewait_state_process`.
    fn judge(&self, seg: &Segment<'_>, room: u32) -> Verdict {
        let has = |flag: u8| seg.flags & flag != 0;
        let end = seg.seq.wrapping_add(seg.len + has(SYN) as u32 + has(FIN) as u32);
        let stray = Verdict::Answer {
            always: end != seg.seq && !has(SYN),
        };
        if self.half {
            return if !self.in_window(seg, end, room) {
                stray
            } else if has(RST) {
                Verdict::Ends { told: false }
            } else if has(SYN) && !after(self.ack, seg.seq) {
                Verdict::Ends { told: true }
            } else if !has(ACK) || !after(end, self.ack) || end == seg.seq {
                Verdict::Ignore
            } else if !has(FIN) || end != self.ack.wrapping_add(1) {
                // Data that nobody will read.
                Verdict::Ends { told: true }
            } else {
                Verdict::Closes
            };
        }
        if seg.seq == self.ack && (end == seg.seq || has(RST)) {
            return match has(RST) {
                true => Verdict::Ends { told: false },
                false => Verdict::Ignore,
            };
        }
        if has(SYN) && !has(RST) && !has(ACK) && after(seg.seq, self.ack) {
            return Verdict::Opens;
        }
        if has(RST) { Verdict::Ignore } else { stray }
    }
}

impl TimeWait {
    /// Of a connection that has nothing left to send. `state` is its socket's.
    fn new(
        socket: &TcpSocket,
        state: &State,
        engine: &Engine,
        (half, until): (bool, Ktime),
    ) -> Arc<TimeWait> {
        let (remote, remote_port) = state.remote.unwrap_or((state.local, 0));
        let (seq, ack, window) = engine.stats.position();
        let ends = Ends {
            local: state.local,
            port: state.port,
            remote,
            remote_port,
        };
        Arc::new_cyclic(|this| TimeWait {
            stack: Arc::downgrade(&socket.stack),
            this: this.clone(),
            ends,
            kept: socket.kept(state),
            v6: socket.v6,
            ifindex: match state.scope {
                0 => state.ifindex,
                scope => scope,
            },
            ttl: match remote.is_ipv6() {
                true => state.options.hops,
                false => state.options.ttl,
            },
            tos: state.options.tos,
            cookie: socket.base.cookie(),
            seq,
            window,
            room: u32::from(window) << engine.stats.window_scale(),
            inner: SpinLock::new(Inner {
                half,
                ack,
                until,
                timer: None,
                answered: None,
                over: false,
            }),
        })
    }

    /// It is over: takes it out of the table. Whether it was there.
    fn end(&self) -> bool {
        let timer = {
            let mut inner = self.inner.lock();
            if core::mem::replace(&mut inner.over, true) {
                return false;
            }
            inner.timer.take()
        };
        let Some(stack) = self.stack.upgrade() else {
            return false;
        };
        if let Some(id) = timer {
            stack.shared.timers.cancel(id);
        }
        let mut state = stack.lock();
        let sockets = &mut state.sockets;
        let ours = sockets.connections.get(&self.ends);
        if !ours.is_some_and(|have| core::ptr::addr_eq(Arc::as_ptr(have), self)) {
            return false;
        }
        let gone = sockets.connections.remove(&self.ends);
        sockets.waiting -= 1;
        sockets.tcp.give_back(&self.kept);
        drop(state);
        drop(gone);
        true
    }

    /// Waits until then. The timer looks at `until` when it fires, so that it need not be set for each segment.
    fn wait(&self, stack: &NetStack, inner: &mut Inner, until: Ktime) {
        inner.until = until;
        if inner.timer.is_none()
            && let Some(this) = self.this.upgrade()
        {
            inner.timer = Some(stack.shared.timers.add(until, this));
        }
    }

    fn wait_again(&self, stack: &NetStack, inner: &mut Inner) {
        let until = Ktime(stack.shared.time.now().as_nanos() + LENGTH);
        let earlier = inner.until > until;
        if earlier && let Some(id) = inner.timer.take() {
            stack.shared.timers.cancel(id);
        }
        self.wait(stack, inner, until);
    }

    /// An acknowledgement of everything.
    fn answer(&self, stack: &Arc<NetStack>, ack: u32, run: &mut Run) {
        let mut packet = Packet::zeroed(20);
        let bytes = packet.data_mut();
        bytes[..2].copy_from_slice(&self.ends.port.to_be_bytes());
        bytes[2..4].copy_from_slice(&self.ends.remote_port.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.seq.to_be_bytes());
        bytes[8..12].copy_from_slice(&ack.to_be_bytes());
        bytes[12] = 5 << 4;
        bytes[13] = ACK;
        bytes[14..16].copy_from_slice(&self.window.to_be_bytes());
        let check = transport_checksum(self.ends.local, self.ends.remote, proto::TCP, bytes);
        bytes[16..18].copy_from_slice(&check.to_be_bytes());
        let mut flow = Flow::new(proto::TCP, self.ends.remote);
        flow.src = Some(self.ends.local);
        flow.oif = self.ifindex;
        flow.ttl = self.ttl;
        flow.tos = self.tos;
        stack.mib.add(Counter::TcpOutSegs);
        run.push(Job::Send(stack.clone(), flow, packet));
    }
}

impl InetSocket for TimeWait {
    fn deliver(self: Arc<Self>, run: &mut Run, delivery: Delivery) {
        let Some(stack) = self.stack.upgrade() else { return };
        // An error about something that is acknowledged concerns nobody.
        if delivery.error.is_some() {
            return;
        }
        // Segments behind extension headers are not looked at, as by connections.
        if delivery.transport != header_len(delivery.packet.data()) {
            return;
        }
        let Some(seg) = segment(delivery.packet.data()) else {
            return;
        };
        let mut guard = self.inner.lock();
        let inner = &mut *guard;
        if inner.over {
            return;
        }
        let mut verdict = inner.judge(&seg, self.room);
        let now = stack.shared.time.now();
        if verdict == Verdict::Opens {
            let found = || {
                let ends = &self.ends;
                let state = stack.lock();
                let listeners = &state.sockets.listeners;
                listeners.find(
                    ends.local,
                    ends.port,
                    ends.remote,
                    ends.remote_port,
                    delivery.ifindex,
                )
            };
            match found() {
                Some(listener) => {
                    drop(guard);
                    if self.end() {
                        listener.reopen(run, delivery, self.seq.wrapping_add(BEYOND));
                    }
                    return;
                }
                None => verdict = Verdict::Answer { always: false },
            }
        }
        if !inner.half && seg.flags & ACK != 0 && seg.flags & RST == 0 {
            self.wait_again(&stack, inner);
        }
        match verdict {
            Verdict::Ignore | Verdict::Opens => {}
            Verdict::Answer { always } => {
                let lately = |at: Ktime| now.as_nanos().saturating_sub(at.as_nanos()) < ANSWER_INTERVAL;
                if always || !inner.answered.is_some_and(lately) {
                    inner.answered = Some(now);
                    let ack = inner.ack;
                    drop(guard);
                    self.answer(&stack, ack, run);
                }
            }
            Verdict::Closes => {
                inner.half = false;
                inner.ack = inner.ack.wrapping_add(1);
                self.wait_again(&stack, inner);
                let ack = inner.ack;
                drop(guard);
                self.answer(&stack, ack, run);
            }
            Verdict::Ends { told } => {
                drop(guard);
                self.end();
                if told {
                    stack.enter(run, |net| net.tcp_reset(&delivery));
                }
            }
        }
    }
    fn give_way(&self) -> Option<u32> {
        if self.inner.lock().half {
            return None;
        }
        self.end().then(|| self.seq.wrapping_add(BEYOND))
    }
    fn info(&self) -> InetInfo {
        let now = self
            .stack
            .upgrade()
            .map_or(Ktime(0), |stack| stack.shared.time.now());
        let inner = self.inner.lock();
        InetInfo {
            protocol: proto::TCP,
            v6: self.v6,
            state: match inner.half {
                true => tcp_state::FIN_WAIT2,
                false => tcp_state::TIME_WAIT,
            },
            local: (self.ends.local, self.ends.port),
            remote: (self.ends.remote, self.ends.remote_port),
            ifindex: self.ifindex,
            rqueue: 0,
            wqueue: 0,
            memory: [0; 4],
            drops: 0,
            owner: Kuid(0),
            ino: 0,
            cookie: self.cookie,
            tos: self.tos,
            tclass: 0,
            v6only: false,
            shutdown: Shutdown::all(),
            expires: inner.until.as_nanos().saturating_sub(now.as_nanos()).max(1),
            tcp: None,
        }
    }
}

impl TimerCallback for TimeWait {
    fn fire(self: Arc<Self>, now: Ktime) {
        let Some(stack) = self.stack.upgrade() else { return };
        {
            let mut inner = self.inner.lock();
            inner.timer = None;
            if inner.over {
                return;
            }
            if inner.until > now {
                let until = inner.until;
                self.wait(&stack, &mut inner, until);
                return;
            }
        }
        if self.end() {
            stack.mib.add(Counter::TcpExtTW);
        }
    }
}

impl TcpSocket {
    /// How a connection of this socket keeps its port when the socket does not.
    pub(super) fn kept(&self, state: &State) -> Bound {
        Bound {
            socket: Weak::<TcpSocket>::new(),
            ..self.bound(state, state.local, state.port)
        }
    }

    /// If nothing is left to be sent, and only strays and the end of the other side are waited for: what does that from
    /// now on. It has to [take the connection's place](TcpSocket::replace).
    pub(super) fn leave(&self, state: &State, engine: &mut Engine) -> Option<Arc<TimeWait>> {
        let half = match engine.state() {
            TcpState::TimeWait => false,
            TcpState::FinWait2 if state.closed => true,
            _ => return None,
        };
        if engine.has_packets() || !state.behind.is_empty() {
            return None;
        }
        let now = self.now().as_nanos();
        let length = match (half, state.tcp.linger2) {
            (false, _) => LENGTH,
            (true, 0) => self.stack.sysctl.tcp_fin_timeout.get().max(1) as u64 * 1_000_000_000,
            (true, seconds) => seconds.max(1) as u64 * 1_000_000_000,
        };
        Some(TimeWait::new(self, state, engine, (half, Ktime(now + length))))
    }

    /// Puts what this connection left into its place. The port that the connection kept is the record's.
    pub(super) fn replace(&self, record: Arc<TimeWait>, keeps: bool) {
        let most = self.stack.sysctl.tcp_max_tw_buckets.get();
        let gone = {
            // Before anybody finds it.
            let mut inner = record.inner.lock();
            let mut stack = self.stack.lock();
            let sockets = &mut stack.sockets;
            let ours = sockets.connections.get(&record.ends);
            let ours = ours.is_some_and(|have| core::ptr::addr_eq(Arc::as_ptr(have), self));
            if ours && (sockets.waiting as i64) < most {
                sockets.waiting += 1;
                if !keeps {
                    sockets.tcp.keep(&record.kept);
                }
                let until = inner.until;
                record.wait(&self.stack, &mut inner, until);
                sockets.connections.insert(record.ends, record.clone())
            } else {
                inner.over = true;
                if keeps {
                    sockets.tcp.give_back(&record.kept);
                }
                if ours {
                    self.stack.mib.add(Counter::TcpExtTCPTimeWaitOverflow);
                }
                match ours {
                    true => sockets.connections.remove(&record.ends),
                    false => None,
                }
            }
        };
        drop(gone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(half: bool) -> Inner {
        Inner {
            half,
            ack: 100,
            until: Ktime(0),
            timer: None,
            answered: None,
            over: false,
        }
    }

    fn seg(seq: u32, flags: u8, len: u32) -> Segment<'static> {
        Segment::bare(seq, flags, len)
    }

    #[test]
    fn strays_are_answered_and_the_end_is_awaited() {
        let judge = |half, seq, flags, len| at(half).judge(&seg(seq, flags, len), 1000);
        let stray = |always| Verdict::Answer { always };
        // TIME-WAIT: old data, the last FIN again, a reset that fits and one that does not, an old SYN.
        assert_eq!(judge(false, 50, ACK, 10), stray(true));
        assert_eq!(judge(false, 99, ACK | FIN, 0), stray(true));
        assert_eq!(judge(false, 100, ACK, 0), Verdict::Ignore);
        assert_eq!(judge(false, 100, RST, 0), Verdict::Ends { told: false });
        assert_eq!(judge(false, 90, RST, 0), Verdict::Ignore);
        assert_eq!(judge(false, 90, SYN, 0), stray(false));
        assert_eq!(judge(false, 5000, SYN, 0), Verdict::Opens);
        // FIN-WAIT-2.
        assert_eq!(judge(true, 100, ACK, 0), Verdict::Ignore);
        assert_eq!(judge(true, 100, ACK | FIN, 0), Verdict::Closes);
        assert_eq!(judge(true, 100, ACK, 1), Verdict::Ends { told: true });
        assert_eq!(judge(true, 100, ACK | FIN, 1), Verdict::Ends { told: true });
        assert_eq!(judge(true, 5000, ACK, 1), stray(true));
        assert_eq!(judge(true, 5000, ACK, 0), stray(false));
        assert_eq!(judge(true, 500, RST, 0), Verdict::Ends { told: false });
    }
}
