//! What is told of a connection: listings, `TCP_INFO`.

use alloc::vec::Vec;

use smoltcp::socket::tcp::State as TcpState;

use super::engine::Engine;
use super::socket::{Phase, State, TcpSocket};
use crate::net::inet::ports::any;
use crate::net::inet::proto;
use crate::net::stack::sockets::{InetInfo, tcp_state};

/// Ack delays and the like that are not measured are told as Linux begins with (microseconds).
const RTO_MIN: u32 = 200_000;
/// A slow start that never ended.
const INFINITE_SSTHRESH: u32 = i32::MAX as u32;

/// The number of a state in Linux's ABI.
pub(super) fn number(state: TcpState) -> u8 {
    match state {
        TcpState::Established => tcp_state::ESTABLISHED,
        TcpState::SynSent => tcp_state::SYN_SENT,
        TcpState::SynReceived => tcp_state::SYN_RECV,
        TcpState::FinWait1 => tcp_state::FIN_WAIT1,
        TcpState::FinWait2 => tcp_state::FIN_WAIT2,
        TcpState::TimeWait => tcp_state::TIME_WAIT,
        TcpState::Closed => tcp_state::CLOSE,
        TcpState::CloseWait => tcp_state::CLOSE_WAIT,
        TcpState::LastAck => tcp_state::LAST_ACK,
        TcpState::Listen => tcp_state::LISTEN,
        TcpState::Closing => tcp_state::CLOSING,
    }
}

impl State {
    /// The state of the connection, or of the socket without one.
    pub(super) fn number(&mut self) -> u8 {
        match &mut self.phase {
            _ if self.left.is_some() => tcp_state::CLOSE,
            Phase::Idle => tcp_state::CLOSE,
            Phase::Listening { .. } => tcp_state::LISTEN,
            // A child whose handshake has just begun has left smoltcp's own LISTEN.
            Phase::Connected(engine) => match number(engine.state()) {
                tcp_state::LISTEN => tcp_state::SYN_RECV,
                state => state,
            },
        }
    }

    /// `struct tcp_info` of Linux 6.1: 232 bytes. What is not measured is 0.
    pub(super) fn tcp_info(&mut self, now: crate::time::Ktime) -> Vec<u8> {
        let state = self.number();
        let mut out = alloc::vec![state, 0, 0, 0, 0, 0, 0, 0];
        let mut words = [0u32; 24];
        let mut tail: Vec<u8> = Vec::new();
        match &mut self.phase {
            Phase::Listening { backlog, ready, .. } => {
                // The queue and its limit, as Linux tells them.
                words[4] = ready.len() as u32;
                words[5] = *backlog as u32;
            }
            Phase::Connected(engine) => {
                engine.stats.fill(&mut out, &mut words, &mut tail, now);
                let window = engine.socket().recv_capacity() as u32;
                words[14] = window;
                words[22] = window;
            }
            Phase::Idle => {}
        }
        words[0] = words[0].max(RTO_MIN);
        words[17] = INFINITE_SSTHRESH;
        for word in words {
            out.extend_from_slice(&word.to_ne_bytes());
        }
        out.append(&mut tail);
        out.resize(232, 0);
        out
    }
}

/// Bytes that the peer has not acknowledged, and bytes to read.
pub(super) fn queues(engine: &mut Engine) -> (u32, u32) {
    (engine.socket().recv_queue() as u32, engine.send_queue() as u32)
}

impl TcpSocket {
    /// What listings show.
    pub(super) fn describe(&self) -> InetInfo {
        let now = self.now();
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let number = state.number();
        let (rqueue, wqueue, memory) = match &mut state.phase {
            Phase::Idle => (0, 0, [0; 2]),
            Phase::Listening { backlog, ready, .. } => (ready.len() as u32, *backlog as u32, [0; 2]),
            Phase::Connected(engine) => {
                let (rqueue, wqueue) = queues(engine);
                (rqueue, wqueue, [rqueue, wqueue])
            }
        };
        let (rcvbuf, sndbuf) = (self.base.rcvbuf() as u32, self.base.sndbuf() as u32);
        InetInfo {
            protocol: proto::TCP,
            v6: self.v6,
            state: number,
            local: (state.local, state.port),
            remote: state.remote.unwrap_or((any(self.v6), 0)),
            ifindex: if state.scope != 0 {
                state.scope
            } else {
                state.ifindex
            },
            rqueue,
            wqueue,
            memory: [memory[0], rcvbuf, memory[1], sndbuf],
            drops: 0,
            owner: self.base.owner(),
            ino: self.base.ino(),
            cookie: self.base.cookie(),
            tos: state.options.tos,
            tclass: state.options.tclass,
            v6only: state.options.v6only,
            shutdown: state.shutdown,
            expires: 0,
            tcp: Some(state.tcp_info(now)),
        }
    }
}
