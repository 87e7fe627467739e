//! The buffers of a pipe.

use alloc::collections::{TryReserveError, VecDeque};

use crate::bail;
use crate::error::Result;
use crate::fs::io::{IoDst, IoSrc};
use crate::hal::Frames;
use crate::ids::{Frame, PAGE_SIZE};
use crate::mm::Memory;
use crate::mm::charge::{PageKind, alloc_page, put_page};

/// Slots of a new pipe: 64 KiB.
pub const PIPE_DEF_BUFFERS: usize = 16;

/// A part of a page in a pipe. Owns one reference to the frame.
#[derive(Debug)]
pub(super) struct PipeBuf {
    pub frame: Frame,
    pub offset: u16,
    pub len: u16,
    /// Later writes may be appended in place: the frame belongs to the pipe alone.
    pub can_merge: bool,
    /// A packet: a read ends with it and drops what it does not take.
    pub packet: bool,
}

impl PipeBuf {
    /// The first `max` bytes with a reference of their own; the frame is now shared.
    pub fn share(&self, frames: &dyn Frames, max: usize) -> PipeBuf {
        frames.get_frame(self.frame);
        PipeBuf {
            frame: self.frame,
            offset: self.offset,
            len: self.len.min(max.min(PAGE_SIZE) as u16),
            can_merge: false,
            packet: self.packet,
        }
    }
}

#[derive(Default)]
pub(super) struct PipeState {
    pub bufs: VecDeque<PipeBuf>,
    pub bytes: usize,
    /// Capacity in pages.
    pub slots: usize,
    pub readers: u32,
    pub writers: u32,
    /// How often an end was opened: a FIFO's open waits for these to move.
    pub reader_opens: u32,
    pub writer_opens: u32,
    /// A frame kept for the next write.
    spare: Option<Frame>,
}

impl PipeState {
    pub fn new(slots: usize) -> PipeState {
        PipeState {
            slots,
            ..PipeState::default()
        }
    }

    pub fn is_full(&self) -> bool {
        self.bufs.len() >= self.slots
    }

    pub fn reserve(&mut self, slots: usize) -> Result<(), TryReserveError> {
        self.bufs.try_reserve(slots.saturating_sub(self.bufs.len()))
    }

    pub fn push(&mut self, buf: PipeBuf) {
        self.bytes += buf.len as usize;
        self.bufs.push_back(buf);
    }

    pub fn push_front(&mut self, buf: PipeBuf) {
        self.bytes += buf.len as usize;
        self.bufs.push_front(buf);
    }

    /// Takes up to `max` bytes from the first buffer.
    pub fn pop_part(&mut self, frames: &dyn Frames, max: usize) -> Option<PipeBuf> {
        let front = self.bufs.front_mut()?;
        let part = if front.len as usize <= max {
            self.bufs.pop_front()?
        } else {
            let part = front.share(frames, max);
            front.offset += part.len;
            front.len -= part.len;
            part
        };
        self.bytes -= part.len as usize;
        Some(part)
    }

    pub fn read(&mut self, memory: &Memory, to: &mut dyn IoDst) -> Result<usize> {
        let mut done = 0;
        while let Some(buf) = self.bufs.front_mut() {
            let want = (buf.len as usize).min(to.remaining());
            if want == 0 {
                break;
            }
            let moved = match to.put_frame(&*memory.hal, buf.frame, buf.offset as usize, want) {
                Ok(moved) => moved,
                Err(_) if done > 0 => break,
                Err(error) => return Err(error),
            };
            done += moved;
            buf.offset += moved as u16;
            buf.len -= moved as u16;
            self.bytes -= moved;
            let packet = buf.packet;
            if packet {
                self.bytes -= buf.len as usize;
                buf.len = 0;
            }
            if buf.len == 0
                && let Some(buf) = self.bufs.pop_front()
            {
                self.release(memory, buf.frame);
            }
            if packet || moved < want {
                break;
            }
        }
        Ok(done)
    }

    pub fn write(&mut self, memory: &Memory, from: &mut dyn IoSrc, packets: bool) -> Result<usize> {
        let mut done = 0;
        let tail = from.remaining() % PAGE_SIZE;
        if tail > 0
            && let Some(last) = self.bufs.back_mut()
            && last.can_merge
        {
            let end = (last.offset + last.len) as usize;
            if end + tail <= PAGE_SIZE {
                let moved = from.take_frame(&*memory.hal, last.frame, end, tail)?;
                last.len += moved as u16;
                self.bytes += moved;
                done += moved;
            }
        }
        while from.remaining() > 0 {
            if self.is_full() {
                if done == 0 {
                    bail!(EAGAIN, "the pipe is full");
                }
                break;
            }
            match self.write_page(memory, from, packets) {
                Ok(moved) => done += moved,
                Err(_) if done > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_page(&mut self, memory: &Memory, from: &mut dyn IoSrc, packets: bool) -> Result<usize> {
        if self.bufs.try_reserve(1).is_err() {
            bail!(ENOMEM, "no memory for the slots of a pipe");
        }
        let frame = match self.spare.take() {
            Some(frame) => frame,
            None => alloc_page(memory, PageKind::Pipe, false, &memory.control.current())?,
        };
        let want = from.remaining().min(PAGE_SIZE);
        let moved = match from.take_frame(&*memory.hal, frame, 0, want) {
            Ok(0) => {
                self.release(memory, frame);
                bail!(EFAULT, "the source of a write ended early");
            }
            Ok(moved) => moved,
            Err(error) => {
                self.release(memory, frame);
                return Err(error);
            }
        };
        self.push(PipeBuf {
            frame,
            offset: 0,
            len: moved as u16,
            can_merge: !packets,
            packet: packets,
        });
        Ok(moved)
    }

    /// Gives a frame back, keeping one that is ours alone for the next write.
    fn release(&mut self, memory: &Memory, frame: Frame) {
        if self.spare.is_none() && memory.hal.frame_refs(frame) == 1 {
            self.spare = Some(frame);
        } else {
            put_page(memory, frame);
        }
    }

    pub fn clear(&mut self, memory: &Memory) {
        for buf in self.bufs.drain(..) {
            put_page(memory, buf.frame);
        }
        self.bytes = 0;
        if let Some(frame) = self.spare.take() {
            put_page(memory, frame);
        }
    }
}
