//! Where bytes of a read go and bytes of a write come from.
//!
//! A file never sees addresses. It is given an [`IoDst`] or [`IoSrc`], which may be user memory
//! (several ranges), a kernel buffer, a pipe. A transfer may take a page fault, so the caller
//! holds only locks that rank before `class::Mm`. On `EFAULT` what was moved before counts:
//! callers return the count if it is not 0.

use crate::ensure;
use crate::error::Result;
use crate::hal::Frames;
use crate::ids::Frame;

/// Takes bytes.
pub trait IoDst {
    /// Bytes that still fit.
    fn remaining(&self) -> usize;
    /// Takes up to `remaining` bytes; returns how many (fewer than given only at the end, or where
    /// user memory ends).
    fn put(&mut self, data: &[u8]) -> Result<usize>;
    /// Takes all of the bytes; `EFAULT` if they end up nowhere.
    fn put_all(&mut self, data: &[u8]) -> Result<()> {
        let put = self.put(data)?;
        ensure!(put == data.len(), EFAULT, "the destination ended early");
        Ok(())
    }
    /// Takes bytes of a page frame.
    fn put_frame(&mut self, frames: &dyn Frames, frame: Frame, offset: usize, len: usize) -> Result<usize>;
    /// Takes zeros.
    fn put_zeros(&mut self, len: usize) -> Result<usize>;
}

/// Gives bytes.
pub trait IoSrc {
    /// Bytes that are left.
    fn remaining(&self) -> usize;
    /// Fills the buffer; returns how many bytes (fewer only at the end, or where user memory ends).
    fn take(&mut self, buf: &mut [u8]) -> Result<usize>;
    /// Fills a part of a page frame.
    fn take_frame(&mut self, frames: &dyn Frames, frame: Frame, offset: usize, len: usize) -> Result<usize>;
    /// Fills all of the buffer; `EFAULT` if the source ends before.
    fn take_all(&mut self, buf: &mut [u8]) -> Result<()> {
        let taken = self.take(buf)?;
        ensure!(taken == buf.len(), EFAULT, "the source ended early");
        Ok(())
    }
    /// Takes everything without looking at it (`/dev/null`); returns how many bytes there were.
    fn skip_all(&mut self) -> usize {
        let len = self.remaining();
        let mut buf = [0u8; 64];
        while self.remaining() > 0 {
            if !matches!(self.take(&mut buf), Ok(taken) if taken > 0) {
                break;
            }
        }
        len
    }
}

/// A kernel buffer to read into.
pub struct KernelDst<'a> {
    buf: &'a mut [u8],
    filled: usize,
}

impl<'a> KernelDst<'a> {
    /// All of `buf`.
    pub fn new(buf: &'a mut [u8]) -> Self {
        KernelDst { buf, filled: 0 }
    }
    /// Bytes taken so far.
    pub fn filled(&self) -> usize {
        self.filled
    }
    fn next(&mut self, len: usize) -> &mut [u8] {
        let len = len.min(self.buf.len() - self.filled);
        let part = &mut self.buf[self.filled..][..len];
        self.filled += len;
        part
    }
}

impl IoDst for KernelDst<'_> {
    fn remaining(&self) -> usize {
        self.buf.len() - self.filled
    }
    fn put(&mut self, data: &[u8]) -> Result<usize> {
        let part = self.next(data.len());
        part.copy_from_slice(&data[..part.len()]);
        Ok(part.len())
    }
    fn put_frame(&mut self, frames: &dyn Frames, frame: Frame, offset: usize, len: usize) -> Result<usize> {
        let part = self.next(len);
        frames.read_frame(frame, offset, part);
        Ok(part.len())
    }
    fn put_zeros(&mut self, len: usize) -> Result<usize> {
        let part = self.next(len);
        part.fill(0);
        Ok(part.len())
    }
}

/// A kernel buffer to write from.
pub struct KernelSrc<'a> {
    data: &'a [u8],
}

impl<'a> KernelSrc<'a> {
    /// All of `data`.
    pub fn new(data: &'a [u8]) -> Self {
        KernelSrc { data }
    }
    fn next(&mut self, len: usize) -> &'a [u8] {
        let (part, rest) = self.data.split_at(len.min(self.data.len()));
        self.data = rest;
        part
    }
}

impl IoSrc for KernelSrc<'_> {
    fn remaining(&self) -> usize {
        self.data.len()
    }
    fn take(&mut self, buf: &mut [u8]) -> Result<usize> {
        let part = self.next(buf.len());
        buf[..part.len()].copy_from_slice(part);
        Ok(part.len())
    }
    fn take_frame(&mut self, frames: &dyn Frames, frame: Frame, offset: usize, len: usize) -> Result<usize> {
        let part = self.next(len);
        frames.write_frame(frame, offset, part);
        Ok(part.len())
    }
}
