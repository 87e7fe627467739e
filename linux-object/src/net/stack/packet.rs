//! A packet on its way through the stack (Linux's `sk_buff`).
//!
//! One buffer with room in front, so that headers are prepended without copying. The packet begins
//! at its link-layer header while it is on a device, at its network header while the network layer has it.

use alloc::vec;
use alloc::vec::Vec;

use smallvec::SmallVec;

use crate::sync::{SpinLock, class};

/// Room for headers in front of what a socket sends: Ethernet, IPv6, TCP with options.
const HEADROOM: usize = 128;

/// The length of an Ethernet header.
pub const ETH_HLEN: usize = 14;

/// From this size on a buffer is worth keeping for the next packet: it takes pages, which would have to be cleared.
pub const LARGE: usize = 16384;
/// Buffers that are kept at most.
const KEPT: usize = 2;

/// Large buffers between two packets.
#[derive(Default)]
pub struct Buffers(SpinLock<SmallVec<[Vec<u8>; KEPT]>, class::Leaf>);

impl Buffers {
    /// None.
    pub fn new() -> Buffers {
        Buffers(SpinLock::new(SmallVec::new()))
    }
    /// One of them, if there is one.
    pub fn take(&self) -> Option<Vec<u8>> {
        self.0.lock().pop()
    }
    /// Keeps one, if there is room.
    pub fn put(&self, buf: Vec<u8>) {
        let mut kept = self.0.lock();
        if kept.len() < KEPT {
            kept.push(buf);
            return;
        }
        drop(kept);
        drop(buf);
    }
}

/// Bytes with room in front.
#[derive(Clone, Debug, Default)]
pub struct Packet {
    buf: Vec<u8>,
    /// Where the packet begins.
    head: usize,
    /// Devices that it has crossed: what circles for ever is dropped.
    pub hops: u8,
    /// Sent by this very stack; an address of its own as source is no spoof then.
    pub local: bool,
    /// A transport checksum that is not there yet: where in `buf` its header begins, and the checksum in
    /// that.
    partial: Option<(usize, usize)>,
    /// The cookie of the AF_PACKET socket that sends it, which does not see it; 0 for none.
    pub sender: u64,
}

impl Packet {
    /// A packet of `len` zeros with room for headers.
    pub fn zeroed(len: usize) -> Packet {
        Packet {
            buf: vec![0; HEADROOM + len],
            head: HEADROOM,
            ..Packet::default()
        }
    }
    /// A packet of `len` bytes, all of which have to be written, in a buffer that was used before.
    pub fn reusing(mut buf: Vec<u8>, len: usize) -> Packet {
        buf.resize(HEADROOM + len, 0);
        Packet {
            buf,
            head: HEADROOM,
            ..Packet::default()
        }
    }
    /// Its buffer, if it is large.
    pub fn into_large(self) -> Option<Vec<u8>> {
        (self.buf.capacity() >= LARGE).then_some(self.buf)
    }
    /// A packet with this content.
    pub fn new(data: &[u8]) -> Packet {
        let mut buf = Vec::with_capacity(HEADROOM + data.len());
        buf.resize(HEADROOM, 0);
        buf.extend_from_slice(data);
        Packet {
            buf,
            head: HEADROOM,
            ..Packet::default()
        }
    }
    /// The bytes.
    pub fn data(&self) -> &[u8] {
        &self.buf[self.head..]
    }
    /// The bytes, to change them.
    pub fn data_mut(&mut self) -> &mut [u8] {
        &mut self.buf[self.head..]
    }
    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.buf.len() - self.head
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Prepends `n` bytes; returns the packet, whose first `n` bytes have to be written.
    pub fn push(&mut self, n: usize) -> &mut [u8] {
        if self.head < n {
            let more = HEADROOM + n;
            self.buf.splice(0..0, core::iter::repeat_n(0, more));
            self.head += more;
            if let Some((start, _)) = &mut self.partial {
                *start += more;
            }
        }
        self.head -= n;
        &mut self.buf[self.head..]
    }
    /// Takes `n` bytes off the front (all, if there are fewer).
    pub fn pull(&mut self, n: usize) {
        self.head = (self.head + n).min(self.buf.len());
    }
    /// Cuts to `len` bytes.
    pub fn trim(&mut self, len: usize) {
        self.buf.truncate((self.head + len).min(self.buf.len()));
    }
    /// The packet is a transport header and what follows. Its checksum, at `offset`, is only the pseudo
    /// header's sum: who puts the packet on a wire completes it, and within the machine nobody does (Linux's
    /// `CHECKSUM_PARTIAL`).
    pub fn set_partial(&mut self, offset: usize, pseudo: u16) {
        self.data_mut()[offset..offset + 2].copy_from_slice(&pseudo.to_be_bytes());
        self.partial = Some((self.head, offset));
    }
    /// Whether the transport checksum is not there yet.
    pub fn is_partial(&self) -> bool {
        self.partial.is_some()
    }
    /// Puts in the transport checksum if it is not there yet.
    pub fn complete(&mut self) {
        if let Some((start, offset)) = self.partial.take() {
            let check = checksum(&self.buf[start..]);
            self.buf[start + offset..start + offset + 2].copy_from_slice(&check.to_be_bytes());
        }
    }
    /// Memory that it takes, for socket buffers (Linux's `truesize`, roughly).
    pub fn truesize(&self) -> usize {
        self.buf.capacity() + 256
    }
}

/// A big-endian number at an offset; 0 where the packet ends before.
pub fn be16(data: &[u8], at: usize) -> u16 {
    data.get(at..at + 2)
        .map_or(0, |b| u16::from_be_bytes([b[0], b[1]]))
}

/// The Internet checksum's sum over `data` (RFC 1071), not yet folded.
pub fn sum(data: &[u8]) -> u64 {
    let (words, rest) = data.as_chunks::<8>();
    let mut total = 0u64;
    for word in words {
        let word = u64::from_be_bytes(*word);
        let (next, carry) = total.overflowing_add(word);
        total = next + carry as u64;
    }
    let mut tail = [0; 8];
    tail[..rest.len()].copy_from_slice(rest);
    let (next, carry) = total.overflowing_add(u64::from_be_bytes(tail));
    fold(next + carry as u64) as u64
}

/// Folds a sum to 16 bits.
pub fn fold(mut sum: u64) -> u16 {
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// The checksum of `data`.
pub fn checksum(data: &[u8]) -> u16 {
    !fold(sum(data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_go_in_front() {
        let mut packet = Packet::new(b"data");
        packet.push(3)[..3].copy_from_slice(b"abc");
        assert_eq!(packet.data(), b"abcdata");
        packet.push(300)[..3].copy_from_slice(b"xyz");
        assert_eq!(packet.len(), 307);
        packet.pull(300);
        packet.pull(3);
        packet.trim(2);
        assert_eq!(packet.data(), b"da");
        packet.pull(10);
        assert!(packet.is_empty());
    }

    #[test]
    fn a_partial_checksum_is_completed_once() {
        let mut packet = Packet::new(&[1, 2, 0, 0, 5, 6]);
        packet.set_partial(2, 0x1111);
        packet.push(400)[..4].fill(0xff);
        assert!(packet.is_partial());
        packet.complete();
        packet.complete();
        let want = checksum(&[1, 2, 0x11, 0x11, 5, 6]).to_be_bytes();
        assert_eq!(packet.data()[400..], [1, 2, want[0], want[1], 5, 6]);
    }

    #[test]
    fn large_buffers_come_back() {
        let buffers = Buffers::new();
        assert!(buffers.take().is_none());
        assert!(Packet::zeroed(LARGE - HEADROOM - 1).into_large().is_none());
        for len in [LARGE, LARGE + 1, LARGE + 2] {
            buffers.put(Packet::zeroed(len).into_large().unwrap());
        }
        // No more than are kept; the memory is the same, its size is the next packet's.
        let kept = buffers.take().unwrap();
        assert_eq!(kept.len(), HEADROOM + LARGE + 1);
        let (at, len) = (kept.as_ptr(), LARGE - 5);
        let mut packet = Packet::reusing(kept, len);
        assert_eq!((packet.len(), packet.is_partial(), packet.hops), (len, false, 0));
        packet.push(HEADROOM);
        assert_eq!(packet.data().as_ptr(), at);
        assert!(buffers.take().is_some() && buffers.take().is_none());
        // One that is too short grows, and what it grows by is zeros.
        let packet = Packet::reusing(vec![7; 10], 300);
        assert_eq!(packet.data(), [0; 300]);
    }

    #[test]
    fn sums_as_rfc_1071_says() {
        assert_eq!(
            checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]),
            !0xddf2
        );
        for len in 0..40u8 {
            let data: Vec<u8> = (0..len).map(|n| n.wrapping_mul(37)).collect();
            let naive: u64 = data
                .chunks(2)
                .map(|c| (c[0] as u64) << 8 | *c.get(1).unwrap_or(&0) as u64)
                .sum();
            assert_eq!(fold(sum(&data)), fold(naive));
        }
    }
}
