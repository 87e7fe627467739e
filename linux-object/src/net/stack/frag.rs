//! Putting fragments together again (RFC 791, RFC 815; for IPv6 RFC 8200, 4.5).
//!
//! A packet waits until all of it has come, for `ipfrag_time` or `ip6frag_time` at most. What overlaps with something
//! else makes the whole packet lost (RFC 5722, and Linux for both families); the same part once more is nothing new.
//! If the packet's time is over and its first fragment has come, the sender is told.

use core::net::IpAddr;
use core::time::Duration;

use alloc::vec::Vec;
use hashbrown::HashMap;
use smoltcp::wire::{Ipv4Packet, Ipv6Packet};

use super::Net;
use super::headers6::Headers;
use super::ip6::{FRAGMENT_HLEN, HLEN6};
use super::mib::Counter;
use super::packet::{Packet, be16};
use crate::time::Ktime;

/// Bytes that wait of one family in one namespace at most.
const HIGH: usize = 4 << 20;
/// The longest payload.
const MAX: usize = 65535;

/// What the fragments of a packet have in common.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    src: IpAddr,
    dst: IpAddr,
    id: u32,
    /// Of IPv4.
    protocol: u8,
    /// The device, if the addresses alone do not say where they are.
    ifindex: u32,
}

/// A fragment: a part of the payload of a packet.
struct Part {
    packet: Packet,
    /// Where the part begins in the packet.
    at: usize,
    /// From where to where it is in the payload.
    from: usize,
    to: usize,
}

struct Waiting {
    until: Ktime,
    /// Without overlaps, in order.
    parts: Vec<Part>,
    /// Bytes of the payload that are there, and memory that they take.
    bytes: usize,
    memory: usize,
    /// Where the payload ends, as far as is known, and whether that is the end.
    end: usize,
    ended: bool,
}

enum Added {
    Waits,
    /// The same was there before.
    Twice,
    Overlaps,
    /// It cannot be.
    Wrong,
}

/// Packets of one family that are not complete yet.
#[derive(Default)]
pub struct Fragments {
    waiting: HashMap<Key, Waiting>,
    memory: usize,
}

impl Fragments {
    /// Datagrams that are not complete, and the bytes that they take.
    pub fn facts(&self) -> (usize, usize) {
        (self.waiting.len(), self.memory)
    }
    fn forget(&mut self, key: &Key) -> Option<Waiting> {
        let gone = self.waiting.remove(key)?;
        self.memory -= gone.memory;
        Some(gone)
    }
    fn due(&self) -> Option<Ktime> {
        self.waiting.values().map(|waiting| waiting.until).min()
    }
}

impl Waiting {
    fn add(&mut self, part: Part, more: bool) -> Added {
        if !more {
            if part.to < self.end || self.ended && part.to != self.end {
                return Added::Wrong;
            }
            (self.ended, self.end) = (true, part.to);
        } else if part.to > self.end {
            if self.ended {
                return Added::Wrong;
            }
            self.end = part.to;
        }
        if part.from == part.to {
            return Added::Wrong;
        }
        let at = self.parts.partition_point(|other| other.from <= part.from);
        if at > 0 && self.parts[at - 1].to > part.from {
            // Within what has come, however that was cut.
            let mut covered = self.parts[at - 1].to;
            for next in &self.parts[at..] {
                if next.from == covered {
                    covered = next.to;
                }
            }
            return match part.to <= covered {
                true => Added::Twice,
                false => Added::Overlaps,
            };
        }
        if self.parts.get(at).is_some_and(|next| next.from < part.to) {
            return Added::Overlaps;
        }
        if self.parts.try_reserve(1).is_err() {
            return Added::Wrong;
        }
        self.bytes += part.to - part.from;
        self.memory += part.packet.truesize();
        self.parts.insert(at, part);
        Added::Waits
    }
    fn is_complete(&self) -> bool {
        self.ended && self.bytes == self.end
    }
    /// The first fragment, if it has come.
    fn first(&self) -> Option<&Part> {
        self.parts.first().filter(|part| part.from == 0)
    }
}

/// What is counted of one family.
struct Counters {
    ok: Counter,
    failed: Counter,
    timeout: Counter,
    overlaps: Option<Counter>,
}

const COUNTERS_4: Counters = Counters {
    ok: Counter::IpReasmOKs,
    failed: Counter::IpReasmFails,
    timeout: Counter::IpReasmTimeout,
    overlaps: Some(Counter::IpExtReasmOverlaps),
};
const COUNTERS_6: Counters = Counters {
    ok: Counter::Ip6ReasmOKs,
    failed: Counter::Ip6ReasmFails,
    timeout: Counter::Ip6ReasmTimeout,
    overlaps: None,
};

impl Net<'_> {
    fn counters(v6: bool) -> &'static Counters {
        if v6 { &COUNTERS_6 } else { &COUNTERS_4 }
    }
    /// Adds a part; gives all parts, in order, if it was the last that was missing.
    fn reassemble(&mut self, key: Key, part: Part, more: bool) -> Option<Vec<Part>> {
        let v6 = key.src.is_ipv6();
        let counters = Self::counters(v6);
        let sysctl = &self.stack.sysctl;
        let time = if v6 {
            &sysctl.ip6frag_time
        } else {
            &sysctl.ipfrag_time
        };
        let until = self.now() + Duration::from_secs(time.get().max(0) as u64);
        let frags = &mut self.state.fragments[v6 as usize];
        let known = frags.waiting.contains_key(&key);
        if !known && (frags.memory + part.packet.truesize() > HIGH || frags.waiting.try_reserve(1).is_err()) {
            self.count(counters.failed);
            return None;
        }
        let waiting = frags.waiting.entry(key).or_insert_with(|| Waiting {
            until,
            parts: Vec::new(),
            bytes: 0,
            memory: 0,
            end: 0,
            ended: false,
        });
        let before = waiting.memory;
        let full = frags.memory + part.packet.truesize() > HIGH;
        let added = if full {
            Added::Wrong
        } else {
            waiting.add(part, more)
        };
        frags.memory += waiting.memory - before;
        match added {
            Added::Waits if waiting.is_complete() => return Some(frags.forget(&key)?.parts),
            Added::Waits if !known => self.stack.arm(self.state, until),
            Added::Waits | Added::Twice => {}
            Added::Overlaps | Added::Wrong => {
                frags.forget(&key);
                if let (Added::Overlaps, Some(counter)) = (added, counters.overlaps) {
                    self.count(counter);
                }
                self.count(counters.failed);
            }
        }
        None
    }

    /// Takes a fragment of IPv4; gives the whole packet if it was the last that was missing.
    pub(super) fn reassemble4(&mut self, packet: Packet, header_len: usize) -> Option<Packet> {
        let header = Ipv4Packet::new_unchecked(packet.data());
        let key = Key {
            src: header.src_addr().into(),
            dst: header.dst_addr().into(),
            id: header.ident().into(),
            protocol: header.next_header().into(),
            ifindex: 0,
        };
        let (from, more) = (header.frag_offset() as usize, header.more_frags());
        let mut to = from + packet.len() - header_len;
        if more {
            // All but the last are cut to multiples of 8.
            to &= !7;
        }
        let part = Part {
            packet,
            at: header_len,
            from,
            to,
        };
        let parts = self.reassemble(key, part, more)?;
        let first = parts.first()?;
        let (len, local) = (first.at + parts.last()?.to, first.packet.local);
        if len > MAX {
            self.count(Counter::IpReasmFails);
            return None;
        }
        let mut whole = join(&parts, first.at);
        whole.local = local;
        let mut header = Ipv4Packet::new_unchecked(whole.data_mut());
        header.set_total_len(len as u16);
        header.set_more_frags(false);
        header.set_frag_offset(0);
        header.fill_checksum();
        self.count(COUNTERS_4.ok);
        Some(whole)
    }

    /// Takes a fragment of IPv6, whose fragment header is at `headers`; gives the whole packet, without it, if it was
    /// the last that was missing.
    pub(super) fn reassemble6(&mut self, ifindex: u32, packet: Packet, headers: Headers) -> Option<Packet> {
        self.count(Counter::Ip6ReasmReqds);
        let (src, dst) = {
            let header = Ipv6Packet::new_unchecked(packet.data());
            (header.src_addr(), header.dst_addr())
        };
        let at = headers.at + FRAGMENT_HLEN;
        let field = headers.at as u32 + 2;
        if packet.len() < at || be16(packet.data(), 4) == 0 {
            self.count(Counter::Ip6InHdrErrors);
            self.icmp6_error(&packet, 4, 0, headers.at as u32);
            return None;
        }
        let word = be16(packet.data(), headers.at + 2);
        let (from, more) = ((word & !7) as usize, word & 1 != 0);
        if from == 0 && !more {
            // It is no part of anything (RFC 6946).
            let mut packet = packet;
            without_header(&mut packet, headers);
            self.count(Counter::Ip6ReasmOKs);
            return Some(packet);
        }
        if from == 0 && Headers::are_cut(packet.data(), headers) {
            self.count(Counter::Ip6InHdrErrors);
            self.icmp6_error(&packet, 4, 3, 0);
            return None;
        }
        let to = from + packet.len() - at;
        let wrong = match () {
            _ if to > MAX => Some(field),
            // The length of the payload is what is wrong.
            _ if more && !to.is_multiple_of(8) => Some(4),
            _ => None,
        };
        if let Some(pointer) = wrong {
            self.count(Counter::Ip6InHdrErrors);
            self.icmp6_error(&packet, 4, 0, pointer);
            return None;
        }
        let narrow = dst.is_multicast() || dst.is_unicast_link_local();
        let key = Key {
            src: src.into(),
            dst: dst.into(),
            id: (be16(packet.data(), headers.at + 4) as u32) << 16
                | be16(packet.data(), headers.at + 6) as u32,
            protocol: 0,
            ifindex: if narrow { ifindex } else { 0 },
        };
        let part = Part { packet, at, from, to };
        let parts = self.reassemble(key, part, more)?;
        let first = parts.first()?;
        let headers = Headers::to_fragment(first.packet.data())?;
        let (end, local) = (parts.last()?.to, first.packet.local);
        let mut whole = join(&parts, first.at);
        whole.local = local;
        if first.at - FRAGMENT_HLEN - HLEN6 + end > MAX {
            self.count(Counter::Ip6ReasmFails);
            return None;
        }
        without_header(&mut whole, headers);
        self.count(Counter::Ip6ReasmOKs);
        Some(whole)
    }

    /// Packets that are not complete in time are given up.
    pub(super) fn fragments_timer(&mut self) {
        let now = self.now();
        for v6 in [false, true] {
            let frags = &mut self.state.fragments[v6 as usize];
            let over = |(key, waiting): (&Key, &Waiting)| (waiting.until <= now).then_some(*key);
            let over: Vec<Key> = frags.waiting.iter().filter_map(over).collect();
            for key in over {
                let Some(gone) = self.state.fragments[v6 as usize].forget(&key) else {
                    continue;
                };
                self.count(Self::counters(v6).failed);
                self.count(Self::counters(v6).timeout);
                match gone.first() {
                    Some(first) if v6 => self.icmp6_error(&first.packet, 3, 1, 0),
                    Some(first) => self.icmp4_error(&first.packet, 11, 1, 0),
                    None => {}
                }
            }
            if let Some(next) = self.state.fragments[v6 as usize].due() {
                self.stack.arm(self.state, next);
            }
        }
    }
}

/// The first part with the headers in front of it, and what is in the others.
fn join(parts: &[Part], header_len: usize) -> Packet {
    let mut whole = Vec::with_capacity(header_len + parts.last().map_or(0, |last| last.to));
    for part in parts {
        let from = if part.from == 0 { 0 } else { part.at };
        whole.extend_from_slice(&part.packet.data()[from..part.at + part.to - part.from]);
    }
    Packet::new(&whole)
}

/// Takes the fragment header out.
fn without_header(packet: &mut Packet, headers: Headers) {
    let data = packet.data_mut();
    data[headers.next_at] = data[headers.at];
    data.copy_within(..headers.at, FRAGMENT_HLEN);
    packet.pull(FRAGMENT_HLEN);
    let len = packet.len() - HLEN6;
    Ipv6Packet::new_unchecked(packet.data_mut()).set_payload_len(len as u16);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting() -> Waiting {
        Waiting {
            until: Ktime::default(),
            parts: Vec::new(),
            bytes: 0,
            memory: 0,
            end: 0,
            ended: false,
        }
    }
    fn part(from: usize, to: usize) -> Part {
        Part {
            packet: Packet::zeroed(to - from),
            at: 0,
            from,
            to,
        }
    }

    #[test]
    fn parts_are_taken_in_any_order_but_never_over_others() {
        let mut seed = 7u64;
        for _ in 0..2000 {
            let mut waiting = waiting();
            let mut have = [false; 8];
            let mut lost = false;
            for _ in 0..12 {
                seed = seed
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                let from = (seed >> 33) as usize % 8;
                let to = from + 1 + (seed >> 40) as usize % (8 - from);
                let new = have[from..to].iter().all(|have| !have);
                let old = have[from..to].iter().all(|have| *have);
                match waiting.add(part(from, to), to < 8) {
                    Added::Waits => assert!(new),
                    Added::Twice => assert!(old),
                    Added::Overlaps => {
                        assert!(!new && !old);
                        lost = true;
                        break;
                    }
                    Added::Wrong => unreachable!(),
                }
                have[from..to].fill(true);
            }
            if !lost {
                assert_eq!(waiting.is_complete(), have == [true; 8]);
                assert_eq!(waiting.bytes, have.iter().filter(|have| **have).count());
            }
        }
    }

    #[test]
    fn there_is_one_end() {
        let mut one = waiting();
        assert!(matches!(one.add(part(8, 16), false), Added::Waits));
        assert!(matches!(one.add(part(0, 8), false), Added::Wrong));
        let mut one = waiting();
        assert!(matches!(one.add(part(0, 8), false), Added::Waits));
        assert!(matches!(one.add(part(8, 16), true), Added::Wrong));
        let mut one = waiting();
        assert!(matches!(one.add(part(8, 24), true), Added::Waits));
        assert!(matches!(one.add(part(0, 8), false), Added::Wrong));
        assert!(matches!(waiting().add(part(8, 8), true), Added::Wrong));
    }
}
