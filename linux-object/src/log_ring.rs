//! The kernel log (`syslog(2)`, `kmsg`): a ring of records.
//!
//! Records have sequence numbers that never repeat; the oldest are dropped when the ring is full.
//! Readers keep the number that they want next, so a slow one sees that it missed some.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU8, Ordering};

use crate::sync::{SpinLock, WaitQueue, class};
use crate::time::Ktime;

/// Bytes of text that the ring holds (Linux's `CONFIG_LOG_BUF_SHIFT` 17).
pub const LOG_BUF_LEN: usize = 1 << 17;

/// One message.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its number.
    pub seq: u64,
    /// When it was logged.
    pub at: Ktime,
    /// Severity 0 (emergency) to 7 (debug).
    pub level: u8,
    /// Facility as in `syslog(3)`; 0 is the kernel.
    pub facility: u8,
    /// The text without a newline at its end.
    pub text: Vec<u8>,
}

#[derive(Default)]
struct Ring {
    records: VecDeque<Record>,
    bytes: usize,
    next_seq: u64,
    /// Next for `SYSLOG_ACTION_READ`, and how much of that record has been read.
    read_seq: u64,
    read_offset: usize,
    /// Where `SYSLOG_ACTION_CLEAR` was last called.
    clear_seq: u64,
}

/// The log of a kernel.
pub struct LogRing {
    ring: SpinLock<Ring, class::Leaf>,
    /// Messages of a lower number go to the console.
    console_level: AtomicU8,
    saved_level: AtomicU8,
    /// Woken by new records.
    pub queue: WaitQueue,
}

impl Default for LogRing {
    fn default() -> Self {
        LogRing::new()
    }
}

impl LogRing {
    /// An empty log.
    pub fn new() -> LogRing {
        LogRing {
            ring: SpinLock::default(),
            console_level: AtomicU8::new(7),
            saved_level: AtomicU8::new(0),
            queue: WaitQueue::new(),
        }
    }

    /// Adds a record. Returns whether it should go to the console too. Waiters are not
    /// woken, so that this may be called with any lock held; see [`LogRing::wake`].
    pub fn append(&self, at: Ktime, level: u8, facility: u8, text: &[u8]) -> bool {
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        let mut copy = Vec::new();
        if copy.try_reserve_exact(text.len()).is_err() {
            return true;
        }
        copy.extend_from_slice(text);
        let mut ring = self.ring.lock();
        while ring.bytes + copy.len() > LOG_BUF_LEN {
            let Some(oldest) = ring.records.pop_front() else {
                break;
            };
            ring.bytes -= oldest.text.len() + RECORD_COST;
        }
        let seq = ring.next_seq;
        ring.next_seq += 1;
        ring.bytes += copy.len() + RECORD_COST;
        if ring.records.try_reserve(1).is_ok() {
            ring.records.push_back(Record {
                seq,
                at,
                level,
                facility,
                text: copy,
            });
        }
        level < self.console_level.load(Ordering::Relaxed)
    }

    /// Wakes readers.
    pub fn wake(&self) {
        self.queue.wake_all(crate::fs::PollEvents::READABLE);
    }

    /// The first record with a number of at least `seq`.
    pub fn get(&self, seq: u64) -> Option<Record> {
        let ring = self.ring.lock();
        let first = ring.records.front()?.seq;
        let at = seq.saturating_sub(first) as usize;
        ring.records.get(at).cloned()
    }
    /// The number of the oldest record.
    pub fn first_seq(&self) -> u64 {
        let ring = self.ring.lock();
        ring.records.front().map_or(ring.next_seq, |record| record.seq)
    }
    /// The number that the next record will have.
    pub fn next_seq(&self) -> u64 {
        self.ring.lock().next_seq
    }
    /// Where the last clear was.
    pub fn clear_seq(&self) -> u64 {
        self.ring.lock().clear_seq
    }
    /// Makes `SYSLOG_ACTION_READ_ALL` start after what is there now.
    pub fn clear(&self) {
        let mut ring = self.ring.lock();
        ring.clear_seq = ring.next_seq;
    }

    /// Takes up to `max` bytes for `SYSLOG_ACTION_READ`, as lines with their level.
    pub fn take(&self, max: usize) -> Vec<u8> {
        let mut out = Vec::new();
        loop {
            let (seq, offset) = {
                let ring = self.ring.lock();
                (ring.read_seq, ring.read_offset)
            };
            let Some(record) = self.get(seq) else { break };
            let line = record.line();
            let offset = if record.seq == seq {
                offset.min(line.len())
            } else {
                0
            };
            let part = (line.len() - offset).min(max - out.len());
            out.extend_from_slice(&line[offset..offset + part]);
            let mut ring = self.ring.lock();
            if offset + part == line.len() {
                ring.read_seq = record.seq + 1;
                ring.read_offset = 0;
            } else {
                ring.read_seq = record.seq;
                ring.read_offset = offset + part;
                break;
            }
        }
        out
    }

    /// Bytes that [`LogRing::take`] could give.
    pub fn unread(&self) -> usize {
        let (mut seq, offset) = {
            let ring = self.ring.lock();
            (ring.read_seq, ring.read_offset)
        };
        let mut bytes = 0;
        while let Some(record) = self.get(seq) {
            seq = record.seq + 1;
            bytes += record.line().len();
        }
        bytes.saturating_sub(offset)
    }

    /// The last bytes since the last clear, whole lines, at most `max`.
    pub fn tail(&self, max: usize) -> Vec<u8> {
        let mut lines = Vec::new();
        let mut seq = self.clear_seq();
        while let Some(record) = self.get(seq) {
            seq = record.seq + 1;
            lines.push(record.line());
        }
        let mut len = 0;
        let fits = lines.iter().rev().take_while(|line| {
            len += line.len();
            len <= max
        });
        let count = fits.count();
        lines[lines.len() - count..].concat()
    }

    /// The console level (1..=8).
    pub fn console_level(&self) -> u8 {
        self.console_level.load(Ordering::Relaxed)
    }
    /// Sets the console level.
    pub fn set_console_level(&self, level: u8) {
        self.console_level.store(level, Ordering::Relaxed);
        self.saved_level.store(0, Ordering::Relaxed);
    }
    /// `SYSLOG_ACTION_CONSOLE_OFF`.
    pub fn console_off(&self) {
        if self.saved_level.load(Ordering::Relaxed) == 0 {
            self.saved_level.store(self.console_level(), Ordering::Relaxed);
        }
        self.console_level.store(1, Ordering::Relaxed);
    }
    /// `SYSLOG_ACTION_CONSOLE_ON`.
    pub fn console_on(&self) {
        let saved = self.saved_level.swap(0, Ordering::Relaxed);
        if saved != 0 {
            self.console_level.store(saved, Ordering::Relaxed);
        }
    }
}

/// What a record costs beside its text.
const RECORD_COST: usize = 64;

impl Record {
    /// `<6>[    1.234567] text`, with a newline.
    pub fn line(&self) -> Vec<u8> {
        let micros = self.at.0 / 1000;
        let prio = u32::from(self.facility) << 3 | u32::from(self.level);
        let mut line =
            alloc::format!("<{prio}>[{:5}.{:06}] ", micros / 1_000_000, micros % 1_000_000).into_bytes();
        line.extend_from_slice(&self.text);
        line.push(b'\n');
        line
    }
}
