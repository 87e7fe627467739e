//! The ends of a pipe as open files, and the opening of FIFOs (`fifo(7)`).

use alloc::sync::{Arc, Weak};
use core::any::Any;

use super::{FifoSlot, Pipe};
use crate::bail;
use crate::cred::Capability;
use crate::error::{Errno, Result};
use crate::fs::io::{IoDst, IoSrc};
use crate::fs::{FileOps, OpenFile, OpenFlags, PollEvents};
use crate::ids::UserAddr;
use crate::sync::WaitQueue;
use crate::task::Task;

const FIONREAD: u32 = 0x541b;

/// An open end: reading, writing, or both (a FIFO opened `O_RDWR`).
pub struct PipeEnd {
    pipe: Arc<Pipe>,
    read: bool,
    write: bool,
    /// `writer_opens` when a FIFO was opened for reading without waiting for a writer: until one
    /// came, there is no hang-up. Otherwise 0.
    version: u32,
    /// The count of the other side's opens that `open(2)` waits to see passed.
    wait_reader: Option<u32>,
    wait_writer: Option<u32>,
}

impl PipeEnd {
    /// Opens an end: from here on it counts.
    fn open(pipe: Arc<Pipe>, read: bool, write: bool) -> PipeEnd {
        let mut state = pipe.state.lock();
        if read {
            state.readers += 1;
            state.reader_opens = state.reader_opens.wrapping_add(1);
        }
        if write {
            state.writers += 1;
            state.writer_opens = state.writer_opens.wrapping_add(1);
        }
        drop(state);
        PipeEnd {
            pipe,
            read,
            write,
            version: 0,
            wait_reader: None,
            wait_writer: None,
        }
    }
    /// The pipe.
    pub fn pipe(&self) -> &Arc<Pipe> {
        &self.pipe
    }
}

impl Drop for PipeEnd {
    fn drop(&mut self) {
        let mut state = self.pipe.state.lock();
        state.readers -= self.read as u32;
        state.writers -= self.write as u32;
        if state.readers == 0 && state.writers == 0 {
            // A FIFO that nobody has open keeps nothing.
            state.clear(&self.pipe.memory);
        }
        drop(state);
        let events = PollEvents::READABLE | PollEvents::WRITABLE | PollEvents::ERR | PollEvents::HUP;
        self.pipe.queue.wake_all(events);
    }
}

/// The pipe behind an open file, if it is one.
pub fn pipe_of(file: &OpenFile) -> Option<&Arc<Pipe>> {
    let ops = file.ops.as_deref()?;
    ops.as_any().downcast_ref::<PipeEnd>().map(PipeEnd::pipe)
}

fn new_pipe(task: &Arc<Task>, anonymous: bool) -> Result<Arc<Pipe>> {
    let cred = task.cred();
    let privileged = cred.capable(Capability::SYS_RESOURCE) || cred.capable(Capability::SYS_ADMIN);
    let kernel = task.kernel();
    Pipe::new(
        kernel.memory.clone(),
        kernel.pipe_users.clone(),
        &kernel.sysctl,
        cred.uid,
        privileged,
        anonymous,
    )
}

/// A new pipe with its reading and its writing end (`pipe2(2)`).
pub fn make_pipe(task: &Arc<Task>) -> Result<(Arc<PipeEnd>, Arc<PipeEnd>)> {
    let pipe = new_pipe(task, true)?;
    let reader = PipeEnd::open(pipe.clone(), true, false);
    let writer = PipeEnd::open(pipe, false, true);
    Ok((Arc::new(reader), Arc::new(writer)))
}

/// Opens a FIFO. The end counts at once; [`FileOps::opened`] tells when `open(2)` may return.
/// `ENXIO`: for writing, not to wait, and nobody reads.
pub fn fifo_open(task: &Arc<Task>, slot: &FifoSlot, flags: OpenFlags) -> Result<Arc<dyn FileOps>> {
    let (read, write) = (flags.readable(), flags.writable());
    let nonblock = flags.contains(OpenFlags::NONBLOCK);
    let fresh = new_pipe(task, false)?;
    let pipe = {
        let mut slot = slot.lock();
        match slot.upgrade() {
            Some(pipe) => pipe,
            None => {
                *slot = Arc::downgrade(&fresh);
                fresh
            }
        }
    };
    let (readers, writers) = {
        let state = pipe.state.lock();
        (
            (state.readers, state.reader_opens),
            (state.writers, state.writer_opens),
        )
    };
    let named = !pipe.anonymous;
    if named && write && !read && nonblock && readers.0 == 0 {
        bail!(ENXIO, "the FIFO has no reader");
    }
    let mut end = PipeEnd::open(pipe, read, write);
    match (read, write) {
        (true, false) if named && writers.0 == 0 && nonblock => end.version = writers.1,
        (true, false) if named && writers.0 == 0 => end.wait_writer = Some(writers.1),
        (false, true) if named && readers.0 == 0 => end.wait_reader = Some(readers.1),
        _ => {}
    }
    end.pipe
        .queue
        .wake_all(PollEvents::READABLE | PollEvents::WRITABLE);
    Ok(Arc::new(end))
}

impl FileOps for PipeEnd {
    fn moves_atime(&self) -> bool {
        true
    }
    fn read(&self, _: &OpenFile, _: &Arc<Task>, _: &mut u64, to: &mut dyn IoDst) -> Result<usize> {
        self.pipe.read(to)
    }
    fn write(&self, file: &OpenFile, task: &Arc<Task>, _: &mut u64, from: &mut dyn IoSrc) -> Result<usize> {
        let packets = file.flags().contains(OpenFlags::DIRECT);
        let done = self.pipe.write(from, packets);
        if matches!(&done, Err(error) if error.errno() == Errno::EPIPE) {
            crate::fs::send_sigpipe(task);
        }
        done
    }
    fn poll(&self, _: &OpenFile, _: &Arc<Task>) -> PollEvents {
        let mut events = PollEvents::empty();
        if self.read {
            events |= self.pipe.poll_read(self.version);
        }
        if self.write {
            events |= self.pipe.poll_write();
        }
        events
    }
    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.pipe.queue)
    }
    fn opened(&self, _: &OpenFile) -> Result<()> {
        let state = self.pipe.state.lock();
        if self.wait_reader == Some(state.reader_opens) || self.wait_writer == Some(state.writer_opens) {
            bail!(EAGAIN, "the FIFO has no other end");
        }
        Ok(())
    }
    fn ioctl(&self, _: &OpenFile, task: &Arc<Task>, cmd: u32, arg: UserAddr) -> Result<usize> {
        match cmd {
            FIONREAD => {
                let len = i32::try_from(self.pipe.len()).unwrap_or(i32::MAX);
                task.kernel().hal.copy_to_user(arg, &len.to_ne_bytes())?;
                Ok(0)
            }
            _ => bail!(ENOTTY),
        }
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// An empty slot for an inode.
pub fn fifo_slot() -> FifoSlot {
    FifoSlot::new(Weak::new())
}
