//! The frames that a socket has seen and its program has not.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// What a frame costs besides its bytes.
const OVERHEAD: usize = 256;

/// A frame, with or without its Ethernet header.
#[derive(Clone)]
pub struct Frame {
    pub data: Vec<u8>,
    pub ifindex: u32,
    pub loopback: bool,
    pub protocol: u16,
    pub kind: u8,
    /// Who sent it, on the wire.
    pub from: [u8; 6],
    /// Nanoseconds of the real-time clock.
    pub at: i64,
    /// Its transport checksum is not there yet.
    pub partial: bool,
}

/// Frames up to a number of bytes, and counts of what came and what was lost.
#[derive(Default)]
pub struct FrameQueue {
    frames: VecDeque<Frame>,
    bytes: usize,
    packets: u32,
    drops: u32,
}

impl FrameQueue {
    /// Adds a frame, or counts it as lost if there is no room below `limit`.
    pub fn push(&mut self, limit: usize, len: usize, make: impl FnOnce() -> Frame) -> bool {
        self.packets = self.packets.wrapping_add(1);
        if self.bytes + len + OVERHEAD > limit {
            self.drops = self.drops.wrapping_add(1);
            return false;
        }
        let frame = make();
        self.bytes += frame.data.len() + OVERHEAD;
        self.frames.push_back(frame);
        true
    }
    /// The next frame; with `peek` it stays.
    pub fn pop(&mut self, peek: bool) -> Option<Frame> {
        if peek {
            return self.frames.front().cloned();
        }
        let frame = self.frames.pop_front()?;
        self.bytes -= frame.data.len() + OVERHEAD;
        Some(frame)
    }
    /// Forgets all frames.
    pub fn clear(&mut self) {
        self.frames.clear();
        self.bytes = 0;
    }
    /// Length of the next frame.
    pub fn next_len(&self) -> Option<usize> {
        self.frames.front().map(|frame| frame.data.len())
    }
    /// Bytes that are taken.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
    /// `PACKET_STATISTICS`: what came, and how much of it was lost, since the last time.
    pub fn take_statistics(&mut self) -> (u32, u32) {
        (
            core::mem::take(&mut self.packets),
            core::mem::take(&mut self.drops),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_room_is_counted() {
        let mut queue = FrameQueue::default();
        let frame = || Frame {
            data: alloc::vec![0; 100],
            ifindex: 1,
            loopback: false,
            protocol: 0x800,
            kind: 0,
            from: [0; 6],
            at: 0,
            partial: false,
        };
        assert!(queue.push(1000, 100, frame));
        assert!(queue.push(1000, 100, frame));
        assert!(!queue.push(1000, 100, frame));
        assert_eq!(queue.take_statistics(), (3, 1));
        assert_eq!(queue.take_statistics(), (0, 0));
        assert!(queue.pop(true).is_some() && queue.pop(false).is_some() && queue.pop(false).is_some());
        assert!(queue.pop(false).is_none());
        assert_eq!(queue.bytes(), 0);
    }
}
