//! Pages on their way between a pipe and something else (`splice(2)`).
//!
//! A batch belongs to one call and needs no lock, so a file may fill or drain it under its own
//! locks while the pipe's is free.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::state::PipeBuf;
use crate::bail;
use crate::error::Result;
use crate::fs::io::{IoDst, IoSrc};
use crate::hal::{Frames, Hal};
use crate::ids::{Frame, PAGE_SIZE};
use crate::mm::Memory;
use crate::mm::charge::{PageKind, alloc_page, put_page};

/// Some pages. As an [`IoDst`] it collects them, page frames by reference; as an [`IoSrc`] it
/// gives them.
pub struct PipeBatch {
    memory: Arc<Memory>,
    bufs: Vec<PipeBuf>,
    bytes: usize,
    max_slots: usize,
    max_bytes: usize,
    /// Index of the buffer that the source side is at.
    at: usize,
}

impl PipeBatch {
    pub(super) fn new(memory: Arc<Memory>, max_slots: usize, max_bytes: usize) -> PipeBatch {
        PipeBatch {
            memory,
            bufs: Vec::new(),
            bytes: 0,
            max_slots,
            max_bytes,
            at: 0,
        }
    }
    /// Bytes in it.
    pub fn len(&self) -> usize {
        self.bytes
    }
    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }
    pub(super) fn room(&self) -> usize {
        if self.bufs.len() >= self.max_slots {
            0
        } else {
            self.max_bytes - self.bytes.min(self.max_bytes)
        }
    }
    pub(super) fn push(&mut self, buf: PipeBuf) {
        self.bytes += buf.len as usize;
        self.bufs.push(buf);
    }
    /// The buffers that still hold bytes, in order.
    pub(super) fn into_bufs(mut self) -> Vec<PipeBuf> {
        self.bufs.drain(..self.at).for_each(drop);
        core::mem::take(&mut self.bufs)
    }
    /// Copies bytes out that stay in it; returns how many.
    pub fn peek(&self, buf: &mut [u8]) -> usize {
        let mut done = 0;
        for front in self.bufs.iter().skip(self.at) {
            let n = (front.len as usize).min(buf.len() - done);
            let part = &mut buf[done..][..n];
            self.memory
                .hal
                .read_frame(front.frame, front.offset as usize, part);
            done += n;
        }
        done
    }
    /// Drops bytes at the front.
    pub fn skip(&mut self, mut count: usize) {
        while count > 0
            && let Some(front) = self.bufs.get(self.at)
        {
            let n = count.min(front.len as usize);
            self.advance(n);
            count -= n;
        }
    }
    /// Moves bytes to the end of another batch as far as that has room, pages by reference; returns
    /// how many.
    pub fn move_to(&mut self, to: &mut PipeBatch) -> Result<usize> {
        let mut done = 0;
        while let Some(front) = self.bufs.get(self.at) {
            let (frame, offset, len) = (front.frame, front.offset as usize, front.len as usize);
            let hal = self.memory.hal.clone();
            match to.put_frame(&*hal, frame, offset, len) {
                Ok(0) => break,
                Ok(moved) => {
                    self.advance(moved);
                    done += moved;
                }
                Err(_) if done > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }
    fn reserve(&mut self) -> Result<()> {
        if self.bufs.try_reserve(1).is_err() {
            bail!(ENOMEM, "no memory for spliced pages");
        }
        Ok(())
    }
    fn push_new(&mut self, len: usize, fill: impl FnOnce(&dyn Hal, Frame)) -> Result<()> {
        self.reserve()?;
        let payer = self.memory.control.current();
        let frame = alloc_page(&self.memory, PageKind::Pipe, false, &payer)?;
        fill(&*self.memory.hal, frame);
        self.push(PipeBuf {
            frame,
            offset: 0,
            len: len as u16,
            can_merge: false,
            packet: false,
        });
        Ok(())
    }
    /// Moves on by `n` bytes of the buffer at hand.
    fn advance(&mut self, n: usize) {
        let Some(buf) = self.bufs.get_mut(self.at) else {
            return;
        };
        buf.offset += n as u16;
        buf.len -= n as u16;
        self.bytes -= n;
        if buf.len == 0 {
            put_page(&self.memory, buf.frame);
            self.at += 1;
        }
    }
}

impl Drop for PipeBatch {
    fn drop(&mut self) {
        for buf in self.bufs.drain(..).skip(self.at) {
            put_page(&self.memory, buf.frame);
        }
    }
}

impl IoDst for PipeBatch {
    fn remaining(&self) -> usize {
        let slots = self.max_slots.saturating_sub(self.bufs.len());
        self.room().min(slots.saturating_mul(PAGE_SIZE))
    }
    fn put(&mut self, data: &[u8]) -> Result<usize> {
        let mut done = 0;
        while done < data.len() && self.room() > 0 {
            let len = (data.len() - done).min(PAGE_SIZE).min(self.room());
            let part = &data[done..][..len];
            self.push_new(len, |hal, frame| hal.write_frame(frame, 0, part))?;
            done += len;
        }
        Ok(done)
    }
    fn put_frame(&mut self, frames: &dyn Frames, frame: Frame, offset: usize, len: usize) -> Result<usize> {
        let len = len.min(self.room());
        if len == 0 {
            return Ok(0);
        }
        self.reserve()?;
        frames.get_frame(frame);
        self.push(PipeBuf {
            frame,
            offset: offset as u16,
            len: len as u16,
            can_merge: false,
            packet: false,
        });
        Ok(len)
    }
    fn put_zeros(&mut self, len: usize) -> Result<usize> {
        let mut done = 0;
        while done < len && self.room() > 0 {
            let part = (len - done).min(PAGE_SIZE).min(self.room());
            self.push_new(part, |hal, frame| hal.zero_frame(frame, 0, part))?;
            done += part;
        }
        Ok(done)
    }
}

impl IoSrc for PipeBatch {
    fn remaining(&self) -> usize {
        self.bytes
    }
    fn take(&mut self, buf: &mut [u8]) -> Result<usize> {
        let mut done = 0;
        while done < buf.len() {
            let Some(front) = self.bufs.get(self.at) else {
                break;
            };
            let n = (front.len as usize).min(buf.len() - done);
            self.memory
                .hal
                .read_frame(front.frame, front.offset as usize, &mut buf[done..][..n]);
            self.advance(n);
            done += n;
        }
        Ok(done)
    }
    fn take_frame(&mut self, frames: &dyn Frames, frame: Frame, offset: usize, len: usize) -> Result<usize> {
        let mut chunk = [0u8; 512];
        let mut done = 0;
        while done < len {
            let part = (len - done).min(chunk.len());
            let n = self.take(&mut chunk[..part])?;
            if n == 0 {
                break;
            }
            frames.write_frame(frame, offset + done, &chunk[..n]);
            done += n;
        }
        Ok(done)
    }
}
