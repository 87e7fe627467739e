//! Urgent data of streams (`MSG_OOB` in `send(2)` and `recv(2)`).
//!
//! Model: the last byte of a `send` with `MSG_OOB` is a packet of its own, and the newest such packet is the mark. A
//! receive that has got something stops there. One that begins there reads on behind it, and the byte is lost unless
//! `SO_OOBINLINE` makes it part of the stream. Who takes it with `MSG_OOB` leaves the packet *spent*: without a byte,
//! but in its place, where a receive stops, too. That much can be seen on Linux: poll tells of a spent packet as of
//! data.
//!
//! Linux 6.1 fails with `EAGAIN` where a receive begins at a spent packet with data behind it, and a look
//! (`MSG_PEEK`) that passes one reads an urgent byte behind. Neither is done here.
//!
//! Invariants: [`UnixState::urgent`] is the place of the mark in the queue; no two spent packets are neighbours.

use super::recv::Packet;
use super::{Phase, UnixSocket, UnixState};
use crate::error::Result;
use crate::net::{MsgFlags, RecvMsg, SockOption, SocketType};
use crate::{bail, ensure};

/// What a reader finds at a place in the queue.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Something to read, or nothing.
    Plain,
    /// The urgent byte was taken from here.
    Spent,
    /// The urgent byte.
    Mark,
}

impl UnixState {
    /// What there is.
    pub fn place(&self, at: usize) -> Place {
        if self.urgent == Some(at) {
            return Place::Mark;
        }
        match self.recvq.get(at) {
            Some(packet) if packet.is_spent() => Place::Spent,
            _ => Place::Plain,
        }
    }
    /// Takes the first packet out of the queue, and with it the mark if it is that.
    pub fn pop(&mut self) -> Option<Packet> {
        let packet = self.recvq.pop_front()?;
        self.recv_bytes -= packet.remaining();
        self.urgent = self.urgent.and_then(|at| at.checked_sub(1));
        Some(packet)
    }
    /// Whether something is there that nobody has read.
    pub fn has_unread(&self) -> bool {
        self.recvq.iter().any(|packet| !packet.is_spent())
    }
}

impl UnixSocket {
    /// `SO_OOBINLINE`.
    pub(super) fn is_inline(&self) -> bool {
        self.base.is_set(SockOption::OobInline)
    }
    /// `recv(2)` with `MSG_OOB`. It never waits. `EINVAL`: there is no urgent byte, or it is in line.
    pub(super) fn recv_urgent(&self, msg: &mut RecvMsg<'_>) -> Result<usize> {
        // Dropped after the lock.
        let _neighbour;
        let mut state = self.state.lock();
        ensure!(
            matches!(state.phase, Phase::Connected | Phase::Dead),
            EINVAL,
            "the socket is not connected"
        );
        let Some(at) = state.urgent.filter(|_| !self.is_inline()) else {
            bail!(EINVAL, "no urgent data");
        };
        let Some(packet) = state.recvq.get_mut(at) else {
            bail!(EINVAL, "no urgent data");
        };
        let byte = packet.first();
        if !msg.flags.contains(MsgFlags::PEEK) {
            packet.spend();
            state.urgent = None;
            state.recv_bytes -= 1;
            if at > 0 && state.place(at - 1) == Place::Spent {
                _neighbour = state.recvq.remove(at - 1);
            }
        }
        msg.out_flags |= MsgFlags::OOB;
        if msg.data.remaining() > 0 {
            msg.data.put_all(&[byte])?;
        }
        Ok(1)
    }
    /// `SIOCATMARK`: whether the urgent byte is what a receive comes to next.
    pub(super) fn at_mark(&self) -> Result<bool> {
        ensure!(
            self.base.kind == SocketType::Stream,
            EOPNOTSUPP,
            "only streams have urgent data"
        );
        Ok(self.state.lock().urgent == Some(0))
    }
}
