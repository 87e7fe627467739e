//! Putting fragments of IPv4 packets together again (RFC 815).

use core::net::Ipv4Addr;
use core::time::Duration;

use alloc::vec::Vec;
use smoltcp::wire::Ipv4Packet;

use super::Net;
use super::packet::Packet;
use crate::time::Ktime;

/// `net.ipv4.ipfrag_time`.
const TIME: Duration = Duration::from_secs(30);
/// Bytes that wait in one namespace at most (`net.ipv4.ipfrag_high_thresh`).
const HIGH: usize = 4 << 20;

type FragKey = (Ipv4Addr, Ipv4Addr, u16, u8);

struct Waiting {
    key: FragKey,
    until: Ktime,
    /// Offset and bytes, without overlaps, in order.
    parts: Vec<(usize, Vec<u8>)>,
    /// Length of the whole payload, once the last fragment came.
    total: Option<usize>,
    header: Vec<u8>,
}

/// Packets that are not complete yet.
#[derive(Default)]
pub struct Fragments {
    waiting: Vec<Waiting>,
    bytes: usize,
}

impl Fragments {
    /// Datagrams that are not complete, and the bytes that they take.
    pub fn facts(&self) -> (usize, usize) {
        (self.waiting.len(), self.bytes)
    }
    fn expire(&mut self, now: Ktime) {
        let bytes = &mut self.bytes;
        self.waiting.retain(|waiting| {
            let keep = waiting.until > now;
            if !keep {
                *bytes -= waiting.size();
            }
            keep
        });
    }
}

impl Waiting {
    fn size(&self) -> usize {
        self.parts.iter().map(|(_, data)| data.len()).sum()
    }
    /// Adds a part; `false`: it overlaps, the packet is lost.
    fn add(&mut self, offset: usize, data: &[u8]) -> bool {
        let at = self.parts.partition_point(|(other, _)| *other < offset);
        let after_ok = self
            .parts
            .get(at)
            .is_none_or(|(other, _)| *other >= offset + data.len());
        let before_ok = at == 0 || {
            let (other, bytes) = &self.parts[at - 1];
            other + bytes.len() <= offset
        };
        if after_ok && before_ok {
            self.parts.insert(at, (offset, data.to_vec()));
        }
        after_ok && before_ok
    }
    fn is_complete(&self) -> bool {
        self.total == Some(self.size())
    }
}

impl Net<'_> {
    /// Takes a fragment; gives the whole packet if it was the last that was missing.
    pub(super) fn reassemble4(&mut self, packet: Packet, header_len: usize) -> Option<Packet> {
        let now = self.now();
        let frags = &mut self.state.fragments;
        frags.expire(now);
        let header = Ipv4Packet::new_unchecked(packet.data());
        let key = (
            header.src_addr(),
            header.dst_addr(),
            header.ident(),
            header.next_header().into(),
        );
        let offset = header.frag_offset() as usize;
        let more = header.more_frags();
        let payload = &packet.data()[header_len..];
        if frags.bytes + payload.len() > HIGH
            || more && !payload.len().is_multiple_of(8)
            || offset + payload.len() > 65535
        {
            return None;
        }
        let at = frags.waiting.iter().position(|waiting| waiting.key == key);
        let at = at.unwrap_or_else(|| {
            frags.waiting.push(Waiting {
                key,
                until: now + TIME,
                parts: Vec::new(),
                total: None,
                header: Vec::new(),
            });
            frags.waiting.len() - 1
        });
        let waiting = &mut frags.waiting[at];
        if offset == 0 {
            waiting.header = packet.data()[..header_len].to_vec();
        }
        if !more {
            waiting.total = Some(offset + payload.len());
        }
        let before = waiting.size();
        if !waiting.add(offset, payload) {
            frags.bytes -= before;
            frags.waiting.swap_remove(at);
            return None;
        }
        frags.bytes += payload.len();
        if !waiting.is_complete() || waiting.header.is_empty() {
            return None;
        }
        let done = frags.waiting.swap_remove(at);
        frags.bytes -= done.size();
        let mut whole = done.header;
        let header_len = whole.len();
        for (_, part) in &done.parts {
            whole.extend_from_slice(part);
        }
        if whole.len() > 65535 {
            return None;
        }
        let mut whole = Packet::new(&whole);
        let len = whole.len();
        whole.local = packet.local;
        let mut header = Ipv4Packet::new_unchecked(whole.data_mut());
        header.set_total_len(len as u16);
        header.set_more_frags(false);
        header.set_frag_offset(0);
        header.fill_checksum();
        debug_assert_eq!(header.header_len() as usize, header_len);
        Some(whole)
    }
}
