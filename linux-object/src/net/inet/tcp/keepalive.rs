//! Keep-alive (`tcp(7)`, RFC 9293 3.8.4): whether a peer of whom nothing is heard is still there.
//!
//! After `idle` seconds without a segment from the peer a probe goes out, an old number without data that it has to
//! answer; then one every `interval`. After `count` probes without an answer the connection is reset. Nothing is
//! probed while data is on its way: whether that arrives is known from its acknowledgements.

use core::time::Duration;

use super::engine::Engine;
use crate::net::stack::packet::Packet;
use crate::time::Ktime;

/// The options of a socket, and how far the probes are.
#[derive(Clone, Debug)]
pub struct KeepAlive {
    /// `SO_KEEPALIVE`.
    pub on: bool,
    /// `TCP_KEEPIDLE` in seconds.
    pub idle: u32,
    /// `TCP_KEEPINTVL` in seconds.
    pub interval: u32,
    /// `TCP_KEEPCNT`.
    pub count: u32,
    probes: u32,
    last: Ktime,
}

/// What a look at a connection gives.
#[derive(Debug)]
pub enum Verdict {
    /// Nothing to do until then; `None`: no time at all.
    Wait(Option<Ktime>),
    /// Send a probe, look again then.
    Probe(Ktime),
    /// The peer is gone.
    Dead,
}

impl KeepAlive {
    /// Off, with the namespace's settings in seconds.
    pub fn new(idle: u32, interval: u32, count: u32) -> KeepAlive {
        KeepAlive {
            on: false,
            idle,
            interval,
            count,
            probes: 0,
            last: Ktime(0),
        }
    }

    /// What is to be done. `heard`: when the last segment came in; `waiting`: data is not acknowledged. Milliseconds
    /// of silence after which the user gives up stand in place of the number of probes (`TCP_USER_TIMEOUT`).
    pub fn look(&mut self, now: Ktime, (heard, waiting): (Ktime, bool), user_timeout: u32) -> Verdict {
        if !self.on || waiting {
            self.probes = 0;
            return Verdict::Wait(None);
        }
        if heard > self.last {
            self.probes = 0;
        }
        let seconds = |n: u32| Duration::from_secs(n.into());
        let due = match self.probes {
            0 => heard + seconds(self.idle),
            _ => self.last + seconds(self.interval),
        };
        if now < due {
            return Verdict::Wait(Some(due));
        }
        let given_up = match user_timeout {
            0 => self.probes >= self.count,
            ms => self.probes > 0 && now >= heard + Duration::from_millis(ms.into()),
        };
        if given_up {
            return Verdict::Dead;
        }
        self.probes += 1;
        self.last = now;
        Verdict::Probe(now + seconds(self.interval))
    }
}

impl Engine {
    /// A segment that the peer has to answer: it acknowledges everything and has the number before the next.
    pub fn probe(&mut self, local_port: u16, remote_port: u16) -> Packet {
        let (seq, ack, window) = self.stats.position();
        let mut packet = Packet::zeroed(20);
        let bytes = packet.data_mut();
        bytes[..2].copy_from_slice(&local_port.to_be_bytes());
        bytes[2..4].copy_from_slice(&remote_port.to_be_bytes());
        bytes[4..8].copy_from_slice(&seq.wrapping_sub(1).to_be_bytes());
        bytes[8..12].copy_from_slice(&ack.to_be_bytes());
        bytes[12] = 5 << 4;
        bytes[13] = 0x10;
        bytes[14..16].copy_from_slice(&window.to_be_bytes());
        packet
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Ktime {
        Ktime(seconds * 1_000_000_000)
    }

    #[test]
    fn silence_is_probed_and_then_ends_the_connection() {
        let mut keep = KeepAlive::new(10, 2, 3);
        assert!(matches!(
            keep.look(at(100), (at(1), false), 0),
            Verdict::Wait(None)
        ));
        keep.on = true;
        assert!(matches!(keep.look(at(5), (at(1), false), 0), Verdict::Wait(Some(due)) if due == at(11)));
        for n in 0..3 {
            let now = at(11 + 2 * n);
            assert!(
                matches!(keep.look(now, (at(1), false), 0), Verdict::Probe(next) if next == at(13 + 2 * n))
            );
        }
        assert!(matches!(
            keep.look(at(16), (at(1), false), 0),
            Verdict::Wait(Some(_))
        ));
        assert!(matches!(keep.look(at(17), (at(1), false), 0), Verdict::Dead));
    }

    #[test]
    fn an_answer_or_data_on_its_way_begins_again() {
        let mut keep = KeepAlive::new(10, 2, 1);
        keep.on = true;
        assert!(matches!(keep.look(at(11), (at(1), false), 0), Verdict::Probe(_)));
        assert!(matches!(keep.look(at(13), (at(12), false), 0), Verdict::Wait(Some(due)) if due == at(22)));
        assert!(matches!(keep.look(at(22), (at(12), false), 0), Verdict::Probe(_)));
        assert!(matches!(
            keep.look(at(30), (at(12), true), 0),
            Verdict::Wait(None)
        ));
        assert!(matches!(
            keep.look(at(30), (at(29), false), 0),
            Verdict::Wait(Some(_))
        ));
    }
}
