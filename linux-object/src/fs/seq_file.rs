//! Files whose content is text made when it is read (Linux's `seq_file`).
//!
//! Model: a [`SeqSource`] writes its whole text into a [`SeqBuf`]. An open description keeps the
//! text it made last and serves reads from it. The text is made anew by a read at position 0 and
//! by a read that does not go on where the last one ended, so that `lseek(fd, 0, SEEK_SET)`
//! refreshes the file and small reads see one consistent text.
//!
//! Locks: the text is made with no lock held; the `Inode`-class lock covers only the kept text.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::fmt;

use super::io::{IoDst, IoSrc};
use super::{FileOps, OpenFile, PollEvents};
use crate::error::Result;
use crate::sync::{SpinLock, WaitQueue, class};
use crate::task::Task;
use crate::{bail, err};

/// Text that a program has written to a file of the kernel, which ends at its first zero byte.
pub fn until_nul(data: &[u8]) -> &[u8] {
    let len = data.iter().position(|&byte| byte == 0).unwrap_or(data.len());
    &data[..len]
}

/// Text being made. Growing it can fail with `ENOMEM`, so every write is a `Result`.
///
/// `write!(out, …)?` works without a trait in scope.
#[derive(Default)]
pub struct SeqBuf {
    text: Vec<u8>,
}

struct Grow<'a>(&'a mut Vec<u8>);

impl fmt::Write for Grow<'_> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        self.0.try_reserve(s.len()).map_err(|_| fmt::Error)?;
        self.0.extend_from_slice(s.as_bytes());
        Ok(())
    }
}

impl SeqBuf {
    /// Empty text.
    pub fn new() -> SeqBuf {
        SeqBuf::default()
    }
    /// What `write!` calls.
    pub fn write_fmt(&mut self, args: fmt::Arguments<'_>) -> Result<()> {
        fmt::Write::write_fmt(&mut Grow(&mut self.text), args).map_err(|_| err!(ENOMEM, "no memory for text"))
    }
    /// Adds bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        if self.text.try_reserve(bytes.len()).is_err() {
            bail!(ENOMEM, "no memory for text");
        }
        self.text.extend_from_slice(bytes);
        Ok(())
    }
    /// Adds one byte.
    pub fn byte(&mut self, byte: u8) -> Result<()> {
        self.bytes(&[byte])
    }
    /// Adds bytes with those in `special` as `\ooo` (Linux's `seq_escape`).
    pub fn escaped(&mut self, bytes: &[u8], special: &[u8]) -> Result<()> {
        for &byte in bytes {
            if special.contains(&byte) {
                write!(self, "\\{byte:03o}")?;
            } else {
                self.byte(byte)?;
            }
        }
        Ok(())
    }
    /// Adds blanks up to `column` of the line that began at `line_start` (Linux's `seq_pad`).
    pub fn pad(&mut self, line_start: usize, column: usize) -> Result<()> {
        while self.len() - line_start < column {
            self.byte(b' ')?;
        }
        Ok(())
    }
    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.text.len()
    }
    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }
    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }
    /// The text.
    pub fn into_bytes(self) -> Vec<u8> {
        self.text
    }
}

/// Who reads or writes.
pub struct SeqCx<'a> {
    /// The open description; its credentials are the opener's.
    pub file: &'a OpenFile,
    /// The calling task.
    pub task: &'a Arc<Task>,
}

/// Makes the text of a file, and takes what is written to it.
#[allow(unused_variables)]
pub trait SeqSource: Send + Sync + 'static {
    /// Writes the whole text.
    fn show(&self, cx: &SeqCx<'_>, out: &mut SeqBuf) -> Result<()>;
    /// Takes the bytes of one `write(2)`, at most [`SeqSource::max_write`]; returns how many it used.
    fn write(&self, cx: &SeqCx<'_>, offset: u64, data: &[u8]) -> Result<usize> {
        bail!(EIO, "the file takes no writes")
    }
    /// The longest write that is looked at; longer ones are cut.
    fn max_write(&self) -> usize {
        crate::ids::PAGE_SIZE - 1
    }
    /// Whether `pwrite(2)` is possible; `ESPIPE` otherwise.
    fn pwritable(&self) -> bool {
        true
    }
    /// Whether a write moves the position.
    fn write_moves(&self) -> bool {
        true
    }
    /// Where changes are announced to `poll(2)`, and how often it was woken so far.
    fn event(&self) -> Option<(&WaitQueue, u64)> {
        None
    }
}

#[derive(Default)]
struct Kept {
    text: Option<Vec<u8>>,
    /// Where the next sequential read begins.
    next: u64,
    /// Count of events when last polled.
    seen: u64,
}

/// An open description of a text file.
pub struct SeqFile {
    source: Box<dyn SeqSource>,
    kept: SpinLock<Kept, class::Inode>,
}

impl SeqFile {
    /// A description of the file that `source` makes.
    pub fn open(source: Box<dyn SeqSource>) -> Arc<dyn FileOps> {
        let seen = source.event().map_or(0, |(_, count)| count);
        Arc::new(SeqFile {
            source,
            kept: SpinLock::new(Kept {
                seen,
                ..Kept::default()
            }),
        })
    }
}

impl FileOps for SeqFile {
    fn read(&self, file: &OpenFile, task: &Arc<Task>, offset: &mut u64, to: &mut dyn IoDst) -> Result<usize> {
        let start = *offset;
        let stale = {
            let kept = self.kept.lock();
            start == 0 || kept.text.is_none() || kept.next != start
        };
        if stale {
            let mut out = SeqBuf::new();
            self.source.show(&SeqCx { file, task }, &mut out)?;
            let old = self.kept.lock().text.replace(out.into_bytes());
            drop(old);
        }
        let mut kept = self.kept.lock();
        let rest = kept
            .text
            .as_deref()
            .and_then(|text| text.get(usize::try_from(start).ok()?..))
            .unwrap_or_default();
        let count = if rest.is_empty() { 0 } else { to.put(rest)? };
        *offset = start + count as u64;
        kept.next = *offset;
        Ok(count)
    }

    fn write(
        &self,
        file: &OpenFile,
        task: &Arc<Task>,
        offset: &mut u64,
        from: &mut dyn IoSrc,
    ) -> Result<usize> {
        let len = from.remaining().min(self.source.max_write());
        let mut data = Vec::new();
        if data.try_reserve_exact(len).is_err() {
            bail!(ENOMEM, "no memory for what was written");
        }
        data.resize(len, 0);
        from.take_all(&mut data)?;
        let count = self.source.write(&SeqCx { file, task }, *offset, &data)?;
        if self.source.write_moves() {
            *offset += count as u64;
        }
        Ok(count)
    }

    fn takes_outer_locks(&self) -> bool {
        true
    }

    fn seekable(&self) -> bool {
        true
    }

    fn pwritable(&self) -> bool {
        self.source.pwritable()
    }

    fn poll(&self, _file: &OpenFile, _task: &Arc<Task>) -> PollEvents {
        let always = PollEvents::READABLE | PollEvents::WRITABLE;
        let Some((_, count)) = self.source.event() else {
            return always;
        };
        let mut kept = self.kept.lock();
        if kept.seen == count {
            return always;
        }
        kept.seen = count;
        always | PollEvents::ERR | PollEvents::PRI
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        self.source.event().map(|(queue, _)| queue)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_as_linux_does() {
        let mut out = SeqBuf::new();
        out.escaped(b"a b\n\\c", b" \t\n\\").unwrap();
        assert_eq!(out.as_bytes(), br"a\040b\012\134c");
    }

    #[test]
    fn pads_to_a_column() {
        let mut out = SeqBuf::new();
        write!(out, "ab").unwrap();
        out.pad(0, 5).unwrap();
        assert_eq!(out.as_bytes(), b"ab   ");
    }
}
