//! What a connection measures about itself, read off the segments that pass.
//!
//! The engine keeps its own estimates to itself, so segments are looked at on their way in and out: counts,
//! sequence numbers, and the round-trip time as RFC 6298 estimates it (one sample at a time, none of a segment
//! that was sent again).

use alloc::vec::Vec;

use crate::net::stack::packet::be16;
use crate::time::Ktime;

pub(super) const FIN: u8 = 1;
pub(super) const SYN: u8 = 2;
pub(super) const RST: u8 = 4;
pub(super) const ACK: u8 = 0x10;
/// Without an option the other end takes so much (RFC 9293).
const DEFAULT_MSS: u32 = 536;

/// Counters and estimates of one connection.
#[derive(Default, Debug)]
pub struct Stats {
    segs_out: u32,
    segs_in: u32,
    data_segs_out: u32,
    data_segs_in: u32,
    bytes_sent: u64,
    bytes_retrans: u64,
    bytes_acked: u64,
    bytes_received: u64,
    retrans: u32,
    snd_wnd: u32,
    /// Shifts of the windows: theirs and ours.
    scale: [u8; 2],
    /// What they take, and what we said that we take.
    mss: [u32; 2],
    rcv_mss: u32,
    pmtu: u32,
    /// The next number to send, and the first that is not acknowledged.
    next: Option<u32>,
    una: u32,
    /// What comes next from them.
    expect: Option<u32>,
    /// The first byte of each direction: ours and theirs.
    begin: [u32; 2],
    /// The flags of the last segment that arrived.
    flags: u8,
    /// A segment whose answer is timed: its end, and when it left.
    timed: Option<(u32, Ktime)>,
    /// Microseconds.
    srtt: u32,
    rttvar: u32,
    min_rtt: u32,
    /// The newest window that the peer told, unshifted, and the sequence number of the segment that did (`SND.WND`,
    /// `SND.WL1`).
    window: u16,
    window_seq: u32,
    /// The last acknowledgement and window that were told the peer.
    told: (u32, u16),
    last_sent: Ktime,
    /// When the last segment of any kind came in.
    heard: Ktime,
    last_received: Ktime,
    last_ack: Ktime,
}

pub(super) struct Segment<'a> {
    pub seq: u32,
    pub ack: u32,
    pub flags: u8,
    window: u32,
    options: &'a [u8],
    pub len: u32,
}

#[cfg(test)]
impl Segment<'_> {
    pub(super) fn bare(seq: u32, flags: u8, len: u32) -> Segment<'static> {
        Segment {
            seq,
            ack: 0,
            flags,
            window: 0,
            options: &[],
            len,
        }
    }
}

/// Length of the IP header, which may have options in version 4.
pub(super) fn header_len(packet: &[u8]) -> usize {
    match packet.first() {
        Some(first) if first >> 4 == 4 => (first & 15) as usize * 4,
        _ => 40,
    }
}

/// The TCP segment of a network packet without extension headers.
pub(super) fn segment(packet: &[u8]) -> Option<Segment<'_>> {
    let tcp = packet.get(header_len(packet)..)?;
    if tcp.len() < 20 {
        return None;
    }
    let word = |at: usize| (be16(tcp, at) as u32) << 16 | be16(tcp, at + 2) as u32;
    let offset = (tcp[12] >> 4) as usize * 4;
    Some(Segment {
        seq: word(4),
        ack: word(8),
        flags: tcp[13],
        window: be16(tcp, 14) as u32,
        options: tcp.get(20..offset).unwrap_or_default(),
        len: tcp.len().saturating_sub(offset.max(20)) as u32,
    })
}

/// Whether `a` is behind `b` in the circle of sequence numbers.
pub(super) fn after(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) > 0
}

/// The largest segment and the window's shift that a SYN offers.
fn offers(mut options: &[u8]) -> (u32, Option<u8>) {
    let (mut mss, mut scale) = (DEFAULT_MSS, None);
    while let Some(&kind) = options.first() {
        let len = match kind {
            0 => break,
            1 => 1,
            _ => options.get(1).copied().unwrap_or(0).max(2) as usize,
        };
        match (kind, len) {
            (2, 4) if options.len() >= 4 => mss = be16(options, 2) as u32,
            (3, 3) if options.len() >= 3 => scale = Some(options[2].min(14)),
            _ => {}
        }
        options = options.get(len..).unwrap_or_default();
    }
    (mss, scale)
}

impl Stats {
    /// For packets of at most `mtu` bytes.
    pub fn new(mtu: usize) -> Stats {
        Stats {
            pmtu: mtu as u32,
            mss: [DEFAULT_MSS; 2],
            ..Stats::default()
        }
    }
    /// The largest segment that is sent.
    pub fn mss(&self) -> u32 {
        self.mss[0].min(self.mss[1])
    }
    /// The shift of the windows that are told the peer.
    pub fn window_scale(&self) -> u8 {
        self.scale[1]
    }
    /// The next number to send, the acknowledgement and the window that were told last.
    pub fn position(&self) -> (u32, u32, u16) {
        (self.next.unwrap_or(self.una), self.told.0, self.told.1)
    }
    /// The number of the first byte: ours and theirs.
    pub fn begin(&self) -> [u32; 2] {
        self.begin
    }
    /// The first number that is not acknowledged.
    pub fn una(&self) -> u32 {
        self.una
    }
    /// Whether a number was sent and is not acknowledged, or is the next to send.
    pub fn is_in_flight(&self, seq: u32) -> bool {
        seq.wrapping_sub(self.una) <= self.next.unwrap_or(self.una).wrapping_sub(self.una)
    }
    /// The flags of the last segment that arrived.
    pub fn flags(&self) -> u8 {
        self.flags
    }
    /// Segments that were sent again.
    pub fn retrans(&self) -> u32 {
        self.retrans
    }
    /// When something was last heard from the peer.
    pub fn heard(&self) -> Ktime {
        self.heard
    }
    /// Whether something that was sent is not acknowledged.
    pub fn is_waiting(&self) -> bool {
        self.next.is_some_and(|next| next != self.una)
    }
    /// Tells one unit of the window less than there is. With a scaled window the rest of a division is not told; the
    /// state machine counts in what it told last, so that the end of its window moves back by as much, and what was
    /// sent in good faith would be refused (a window does not shrink: RFC 9293, 3.8.6).
    pub fn withhold(&self, packet: &mut [u8]) {
        let header = header_len(packet);
        let Some(tcp) = packet.get_mut(header..).filter(|tcp| tcp.len() >= 20) else {
            return;
        };
        if tcp[13] & SYN == 0 && self.scale[1] != 0 {
            let window = be16(tcp, 14).saturating_sub(1);
            tcp[14..16].copy_from_slice(&window.to_be_bytes());
        }
    }
    /// A packet leaves.
    pub fn sent(&mut self, packet: &[u8], now: Ktime) {
        let Some(segment) = segment(packet) else { return };
        self.segs_out = self.segs_out.wrapping_add(1);
        self.told = (segment.ack, segment.window as u16);
        if segment.flags & SYN != 0 {
            let (mss, scale) = offers(segment.options);
            self.mss[1] = mss;
            self.scale[1] = scale.unwrap_or(0);
            self.una = segment.seq;
            self.begin[0] = segment.seq.wrapping_add(1);
        }
        let counts = segment.len + (segment.flags & (SYN | FIN) != 0) as u32;
        if counts == 0 {
            return;
        }
        let end = segment.seq.wrapping_add(counts);
        self.last_sent = now;
        if segment.len > 0 {
            self.data_segs_out = self.data_segs_out.wrapping_add(1);
            self.bytes_sent += segment.len as u64;
        }
        if self.next.is_none_or(|next| after(end, next)) {
            self.next = Some(end);
            self.timed.get_or_insert((end, now));
        } else {
            self.retrans = self.retrans.wrapping_add(1);
            self.bytes_retrans += segment.len as u64;
            self.timed = None;
        }
    }
    /// A packet arrives. If later ones have overtaken it, what it acknowledges and its window are old: then those
    /// that count are returned (RFC 9293, 3.10.7.4: an old acknowledgement is ignored, not the segment's data).
    pub fn received(&mut self, packet: &[u8], now: Ktime) -> Option<(u32, u16)> {
        let segment = segment(packet)?;
        let overtaken = self.overtaken(&segment);
        self.count_received(&segment, now);
        overtaken
    }
    /// Takes note of a window, as Linux's `tcp_may_update_window` does.
    fn overtaken(&mut self, segment: &Segment<'_>) -> Option<(u32, u16)> {
        let sent = self.next.is_none_or(|next| !after(segment.ack, next));
        if segment.flags & ACK == 0 || !sent {
            return None;
        }
        let (seq, window) = (segment.seq, segment.window as u16);
        let old = after(self.una, segment.ack) && segment.flags & SYN == 0;
        let news = segment.flags & SYN != 0 || after(segment.ack, self.una) || after(seq, self.window_seq);
        if !old && (news || seq == self.window_seq && window > self.window) {
            (self.window_seq, self.window) = (seq, window);
            return None;
        }
        // Without data it is nothing but old.
        let carries = segment.len > 0 || segment.flags & FIN != 0;
        let differs = old || window != self.window;
        (differs && (carries || !old)).then_some((if old { self.una } else { segment.ack }, self.window))
    }
    fn count_received(&mut self, segment: &Segment<'_>, now: Ktime) {
        self.segs_in = self.segs_in.wrapping_add(1);
        self.heard = now;
        self.flags = segment.flags;
        if segment.flags & SYN != 0 {
            // The first counts, or the answer to ours; others begin nothing.
            let answers =
                segment.flags & ACK != 0 && Some(segment.ack) == self.next && after(segment.ack, self.una);
            if self.expect.is_some() && !answers {
                return;
            }
            self.begin[1] = segment.seq.wrapping_add(1);
            let (mss, scale) = offers(segment.options);
            self.mss[0] = mss;
            // Only if both offer it are windows scaled (RFC 7323).
            self.scale[0] = scale.unwrap_or(0);
            if scale.is_none() {
                self.scale[1] = 0;
            }
            self.expect = Some(segment.seq.wrapping_add(1));
            self.snd_wnd = segment.window;
        } else {
            self.snd_wnd = segment.window << self.scale[0];
        }
        let sent = self.next.is_none_or(|next| !after(segment.ack, next));
        if segment.flags & ACK != 0 && after(segment.ack, self.una) && sent {
            let first = segment.flags & SYN != 0 || self.bytes_acked == 0 && self.data_segs_out == 0;
            let more = segment.ack.wrapping_sub(self.una) as u64;
            self.una = segment.ack;
            self.last_ack = now;
            if !first {
                self.bytes_acked = (self.bytes_acked + more).min(self.bytes_sent);
            }
            if let Some((end, at)) = self.timed
                && !after(end, segment.ack)
            {
                self.timed = None;
                self.sample((now.as_nanos().saturating_sub(at.as_nanos()) / 1000).max(1) as u32);
            }
        }
        if segment.len > 0 {
            self.data_segs_in = self.data_segs_in.wrapping_add(1);
            self.rcv_mss = self.rcv_mss.max(segment.len);
            self.last_received = now;
            let end = segment.seq.wrapping_add(segment.len);
            if let Some(expect) = self.expect
                && after(end, expect)
            {
                self.bytes_received += end.wrapping_sub(expect) as u64;
                self.expect = Some(end);
            }
        }
    }
    fn sample(&mut self, rtt: u32) {
        if self.srtt == 0 {
            (self.srtt, self.rttvar, self.min_rtt) = (rtt, rtt / 2, rtt);
            return;
        }
        self.min_rtt = self.min_rtt.min(rtt);
        self.rttvar = self.rttvar - self.rttvar / 4 + self.srtt.abs_diff(rtt) / 4;
        self.srtt = self.srtt - self.srtt / 8 + rtt / 8;
    }

    /// Fills in `struct tcp_info`: its first 8 bytes, its 24 words of 32 bits, and what follows them.
    pub fn fill(&self, head: &mut [u8], words: &mut [u32; 24], tail: &mut Vec<u8>, now: Ktime) {
        let since = |at: Ktime| (now.as_nanos().saturating_sub(at.as_nanos()) / 1_000_000) as u32;
        let mss = self.mss();
        let unacked = self.next.map_or(0, |next| next.wrapping_sub(self.una));
        if self.scale != [0, 0] {
            head[5] = 4;
            head[6] = self.scale[0] | self.scale[1] << 4;
        }
        words[0] = (self.srtt.saturating_add(self.rttvar.saturating_mul(4))).saturating_add(200_000);
        words[2] = mss;
        words[3] = self.rcv_mss.max(DEFAULT_MSS.min(mss));
        words[4] = unacked.div_ceil(mss.max(1));
        words[9] = since(self.last_sent);
        words[11] = since(self.last_received);
        words[12] = since(self.last_ack);
        words[13] = self.pmtu;
        words[15] = self.srtt;
        words[16] = self.rttvar;
        // No congestion window but the one of the receiver.
        words[18] = self.snd_wnd.div_ceil(mss.max(1)).max(1);
        words[19] = self.mss[1];
        words[20] = 3;
        words[23] = self.retrans;
        for word in [0, u64::MAX, self.bytes_acked, self.bytes_received] {
            tail.extend_from_slice(&word.to_ne_bytes());
        }
        for word in [
            self.segs_out,
            self.segs_in,
            unacked,
            self.min_rtt,
            self.data_segs_in,
            self.data_segs_out,
        ] {
            tail.extend_from_slice(&word.to_ne_bytes());
        }
        tail.extend_from_slice(&[0; 32]);
        let delivered = self.data_segs_out.saturating_sub(self.retrans);
        tail.extend_from_slice(&delivered.to_ne_bytes());
        tail.extend_from_slice(&0u32.to_ne_bytes());
        tail.extend_from_slice(&self.bytes_sent.to_ne_bytes());
        tail.extend_from_slice(&self.bytes_retrans.to_ne_bytes());
        for word in [0, 0, 0, self.snd_wnd] {
            tail.extend_from_slice(&u32::to_ne_bytes(word));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(seq: u32, ack: u32, flags: u8, data: usize) -> Vec<u8> {
        let mut packet = alloc::vec![0; 40 + data];
        packet[0] = 0x45;
        packet[24..28].copy_from_slice(&seq.to_be_bytes());
        packet[28..32].copy_from_slice(&ack.to_be_bytes());
        packet[32] = 0x50;
        packet[33] = flags;
        packet[34..36].copy_from_slice(&1000u16.to_be_bytes());
        packet
    }

    #[test]
    fn a_transfer_is_counted() {
        let mut stats = Stats::new(1500);
        let at = |ms: u64| Ktime(ms * 1_000_000);
        stats.sent(&packet(u32::MAX - 1, 0, SYN, 0), at(1));
        stats.received(&packet(500, u32::MAX, SYN | ACK, 0), at(11));
        assert_eq!(stats.srtt, 10_000);
        stats.sent(&packet(u32::MAX, 501, ACK, 100), at(12));
        stats.sent(&packet(u32::MAX, 501, ACK, 100), at(212));
        stats.received(&packet(501, 99, ACK, 50), at(213));
        stats.received(&packet(501, 99, ACK, 50), at(214));
        assert_eq!(
            (stats.bytes_sent, stats.bytes_retrans, stats.retrans),
            (200, 100, 1)
        );
        assert_eq!((stats.bytes_acked, stats.bytes_received), (100, 50));
        assert_eq!(stats.srtt, 10_000, "a segment that was sent again is not timed");
    }

    #[test]
    fn what_overtaken_segments_say_is_old() {
        let mut stats = Stats::new(1500);
        let window = |mut packet: Vec<u8>, window: u16| {
            packet[34..36].copy_from_slice(&window.to_be_bytes());
            packet
        };
        let now = Ktime(1);
        stats.sent(&packet(99, 0, SYN, 0), now);
        assert_eq!(stats.received(&packet(500, 100, SYN | ACK, 0), now), None);
        stats.sent(&packet(100, 501, ACK, 200), now);
        assert_eq!(stats.received(&window(packet(601, 300, ACK, 50), 7), now), None);
        // Sent before, and overtaken: its data counts, what it acknowledges does not.
        assert_eq!(stats.received(&packet(501, 200, ACK, 100), now), Some((300, 7)));
        assert_eq!(stats.received(&packet(501, 300, ACK, 100), now), Some((300, 7)));
        assert_eq!(stats.received(&packet(601, 200, ACK, 0), now), None);
        // The window opens; a later one that says less was sent earlier.
        assert_eq!(stats.received(&window(packet(651, 300, ACK, 0), 9), now), None);
        assert_eq!(
            stats.received(&window(packet(651, 300, ACK, 0), 8), now),
            Some((300, 9))
        );
        // Nobody has sent that much.
        assert_eq!(stats.received(&packet(651, 301, ACK, 10), now), None);
        assert_eq!(stats.una, 300);
    }

    #[test]
    fn nonsense_is_survived() {
        let mut stats = Stats::new(1500);
        for len in 0..80 {
            for fill in [0u8, 0x45, 0x4f, 0xff] {
                let bytes = alloc::vec![fill; len];
                stats.received(&bytes, Ktime(1));
                stats.sent(&bytes, Ktime(1));
                let _ = offers(&bytes);
            }
        }
    }
}
