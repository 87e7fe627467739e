//! Urgent data (`tcp(7)`, `send(2)`, `recv(2)`; RFC 6093).
//!
//! Model: one byte of the stream is urgent, the last of a `send` with `MSG_OOB`. The state machine knows nothing of
//! it; marks are places in the stream, numbered as its segments number it, and segments are looked at and written to
//! on their way in and out, as for [`Stats`](super::stats::Stats). So a mark travels with the bytes, on whatever way,
//! and is told again with each segment before it.
//!
//! Invariants: the mark is never behind the reader: who reads past it clears it. While a mark's byte is awaited, every
//! segment is looked at for it. The urgent byte is kept aside from where it first appears; in the stream it is skipped
//! unless `SO_OOBINLINE` says otherwise when it is read.
//!
//! Locks: all under the connection's state. Signals are sent without it.

use smoltcp::socket::tcp::State as TcpState;

use super::engine::Engine;
use super::socket::{Phase, TcpSocket};
use super::stats::{ACK, RST, SYN, after, header_len, segment};
use crate::error::Result;
use crate::fs::PollEvents;
use crate::net::stack::packet::be16;
use crate::net::{MsgFlags, RecvMsg, SockOption};
use crate::task::Task;
use crate::{bail, ensure};

/// The urgent pointer counts.
const URG: u8 = 0x20;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Byte {
    /// The mark was told of, the byte has not come.
    Awaited,
    There(u8),
    /// It was received with `MSG_OOB`.
    Taken,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    /// The number of the urgent byte.
    at: u32,
    byte: Byte,
}

/// The marks of a connection.
#[derive(Debug)]
pub struct Urgent {
    /// Segments with any of these flags are looked at.
    pub watch: u8,
    /// The mark that was received and not passed.
    mark: Option<Mark>,
    /// The number behind the last urgent byte that was sent, until that is acknowledged.
    sent: Option<u32>,
    /// Bytes that were written and read since the handshake.
    pub written: u32,
    pub read: u32,
    /// The other end gave the connection up.
    broken: bool,
}

impl Default for Urgent {
    fn default() -> Urgent {
        Urgent {
            watch: URG,
            mark: None,
            sent: None,
            written: 0,
            read: 0,
            broken: false,
        }
    }
}

impl Urgent {
    /// Whether the received stream has a mark.
    pub fn is_marked(&self) -> bool {
        self.mark.is_some()
    }
    /// Whether an urgent byte is sent and not acknowledged.
    pub fn is_sending(&self) -> bool {
        self.sent.is_some()
    }
    /// Whether the urgent byte can be received (`POLLPRI`). It may be in line, too.
    pub fn is_there(&self) -> bool {
        matches!(self.mark, Some(mark) if matches!(mark.byte, Byte::There(_)))
    }
    /// The other end gave the connection up, without an end of the stream.
    pub fn broke(&mut self) {
        self.broken = true;
    }
    fn set(&mut self, mark: Option<Mark>) {
        self.mark = mark;
        self.watch = match mark {
            Some(mark) if mark.byte == Byte::Awaited => URG | ACK,
            _ => URG,
        };
    }
}

/// What a segment told of urgent data.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct News {
    /// There is a new mark.
    pub mark: bool,
    /// The urgent byte is there.
    pub byte: bool,
}

/// What of the stream is read at once.
pub struct Reach {
    /// Bytes that are passed over.
    pub skip: usize,
    /// Bytes up to the mark.
    pub most: usize,
}

impl Reach {
    /// Whatever there is.
    pub const ALL: Reach = Reach {
        skip: 0,
        most: usize::MAX,
    };
}

impl Engine {
    /// The number of the next byte to read.
    fn reader(&self) -> u32 {
        self.stats.begin()[1].wrapping_add(self.urgent.read)
    }
    /// Bytes before the mark, if there is one.
    pub fn before_mark(&self) -> Option<usize> {
        let mark = self.urgent.mark?;
        Some(mark.at.wrapping_sub(self.reader()) as usize)
    }
    /// What was written last is urgent.
    pub fn urge(&mut self) {
        let end = self.stats.begin()[0].wrapping_add(self.urgent.written);
        self.urgent.sent = Some(end);
        // It does not wait for more (Nagle).
        self.socket().set_nagle_enabled(false);
    }
    /// Marks a segment that leaves, as long as the urgent byte is not acknowledged (Linux's `tcp_transmit_skb`).
    /// `nagle`: what the connection does without urgent data.
    pub fn mark_sent(&mut self, nagle: bool) {
        let Some(end) = self.urgent.sent else { return };
        if !after(end, self.stats.una()) {
            self.urgent.sent = None;
            self.socket().set_nagle_enabled(nagle);
            return;
        }
        let next = self.stats.position().0;
        for packet in self.outgoing() {
            let Some(segment) = segment(packet.data()) else {
                continue;
            };
            let distance = end.wrapping_sub(segment.seq);
            let pointer = match distance {
                _ if segment.flags & (SYN | RST) != 0 || !after(end, segment.seq) => continue,
                0..0x10000 => distance as u16,
                _ if after(segment.seq.wrapping_add(0xffff), next) => 0xffff,
                _ => continue,
            };
            let header = header_len(packet.data());
            let tcp = &mut packet.data_mut()[header..];
            tcp[13] |= URG;
            tcp[18..20].copy_from_slice(&pointer.to_be_bytes());
        }
    }
    /// A segment arrives that is urgent, or may have the byte that is waited for; those before it have been worked
    /// on (Linux's `tcp_urg`).
    pub fn look_for_urgent(&mut self, packet: &[u8], inline: bool) -> News {
        let mut news = News::default();
        let Some(segment) = segment(packet) else {
            return news;
        };
        let socket = self.socket();
        let (queued, room) = (socket.recv_queue(), socket.recv_capacity() - socket.recv_queue());
        let synchronized = !matches!(
            socket.state(),
            TcpState::Closed | TcpState::Listen | TcpState::SynSent
        );
        let (sent, told, _) = self.stats.position();
        let reader = self.reader();
        let next = reader.wrapping_add(queued as u32);
        let end = segment.seq.wrapping_add(segment.len);
        let acceptable = segment.flags & (SYN | RST | ACK) == ACK
            && !after(segment.ack, sent)
            && !after(segment.seq, next.wrapping_add(room as u32))
            && !after(told, end);
        if !synchronized || !acceptable {
            return news;
        }
        if segment.flags & URG != 0 {
            let header = header_len(packet);
            let pointer = be16(packet, header + 18) as u32;
            // It points behind the byte: RFC 1122 says otherwise, RFC 6093 what everybody does.
            let at = segment.seq.wrapping_add(pointer.saturating_sub(1));
            let newer = self.urgent.mark.is_none_or(|mark| after(at, mark.at));
            if newer && !after(next, at) {
                // The byte of the last mark stays in the stream if there are others before it, but not if it is the
                // very next.
                if self.before_mark() == Some(0) && !inline && queued > 0 {
                    self.pass_byte();
                }
                let byte = Byte::Awaited;
                self.urgent.set(Some(Mark { at, byte }));
                news.mark = true;
            }
        }
        if let Some(mark) = self.urgent.mark
            && mark.byte == Byte::Awaited
        {
            let offset = mark.at.wrapping_sub(segment.seq);
            if offset < segment.len {
                let byte = packet[packet.len() - (segment.len - offset) as usize];
                let byte = Byte::There(byte);
                self.urgent.set(Some(Mark { byte, ..mark }));
                news.byte = true;
            }
        }
        news
    }
    fn pass_byte(&mut self) {
        if self.socket().recv(|buf| (buf.len().min(1), ())).is_ok() {
            self.urgent.read = self.urgent.read.wrapping_add(1);
        }
    }
    /// The reader is at the mark, and goes on behind its byte.
    fn pass_mark(&mut self) {
        self.pass_byte();
        self.urgent.set(None);
    }
    /// Bytes were read; whether the mark is next. If it is behind, it is gone.
    pub fn was_read(&mut self) -> bool {
        let Some(mark) = self.urgent.mark else {
            return false;
        };
        let reader = self.reader();
        if after(reader, mark.at) {
            self.urgent.set(None);
        }
        reader == mark.at
    }
}

impl TcpSocket {
    /// `SO_OOBINLINE`.
    pub(super) fn is_inline(&self) -> bool {
        self.base.is_set(SockOption::OobInline)
    }
    /// `recv(2)` with `MSG_OOB` (Linux's `tcp_recv_urg`). It never waits.
    pub(super) fn read_urgent(&self, msg: &mut RecvMsg<'_>) -> Result<usize> {
        let mut state = self.state.lock();
        let engine = match &mut state.phase {
            Phase::Listening { .. } => bail!(ENOTCONN, "the socket listens"),
            Phase::Idle => bail!(EINVAL, "no urgent data"),
            Phase::Connected(engine) => engine,
        };
        let urgent = &mut engine.urgent;
        let mark = urgent.mark.filter(|mark| mark.byte != Byte::Taken);
        let Some(mark) = mark.filter(|_| !self.is_inline()) else {
            bail!(EINVAL, "no urgent data");
        };
        ensure!(!urgent.broken, ENOTCONN, "the connection is gone");
        if let Byte::There(byte) = mark.byte {
            if !msg.flags.contains(MsgFlags::PEEK) {
                let byte = Byte::Taken;
                urgent.set(Some(Mark { byte, ..mark }));
            }
            msg.out_flags |= MsgFlags::OOB;
            if msg.data.remaining() == 0 {
                msg.out_flags |= MsgFlags::TRUNC;
                return Ok(0);
            }
            if !msg.flags.contains(MsgFlags::TRUNC) {
                msg.data.put_all(&[byte])?;
            }
            return Ok(1);
        }
        let ended = engine.socket().state() == TcpState::Closed;
        if ended || state.shutdown.contains(crate::net::Shutdown::RECV) {
            return Ok(0);
        }
        bail!(EAGAIN, "the urgent byte has not come");
    }
    /// What may be read of a stream with a mark: up to it, or if the reader is there, from behind it.
    pub(super) fn reach(&self, engine: &mut Engine, task: &Task, msg: &mut RecvMsg<'_>) -> Result<Reach> {
        let ahead = engine.before_mark().unwrap_or(usize::MAX);
        if ahead > 0 {
            let most = ahead;
            return Ok(Reach { most, ..Reach::ALL });
        }
        if msg.got > 0 {
            // The call stops here.
            return Ok(Reach {
                most: 0,
                ..Reach::ALL
            });
        }
        // Who waits for SIGURG finds the mark where it is.
        ensure!(!task.signal_pending(), EAGAIN, "a signal comes first");
        if self.is_inline() || engine.socket().recv_queue() == 0 {
            return Ok(Reach::ALL);
        }
        if msg.flags.contains(MsgFlags::PEEK) {
            return Ok(Reach {
                skip: 1,
                ..Reach::ALL
            });
        }
        engine.pass_mark();
        Ok(Reach::ALL)
    }
    /// Whether the only byte that is there is the urgent one, which is not read in the stream.
    pub(super) fn hides(&self, engine: &mut Engine) -> bool {
        engine.before_mark() == Some(0) && !self.is_inline() && engine.socket().recv_queue() == 1
    }
    /// Tells of urgent data. No lock is held.
    pub(super) fn tell_urgent(&self, news: News) {
        if news.mark {
            self.base.send_sigurg();
            self.queue.wake_all(PollEvents::PRI);
        }
        if news.byte {
            self.queue.wake_all(PollEvents::READABLE | PollEvents::PRI);
        }
    }
}
