//! Pipes (`pipe(7)`).
//!
//! Model: a [`Pipe`] is a queue of `PipeBuf`s, each a part of one page frame. A write fills the
//! last page if the whole remainder fits there, then takes new pages; a slot that is free always
//! has room for `PIPE_BUF` (one page) bytes, which makes writes of that size atomic. Capacity
//! counts slots, not bytes, as in Linux. The two ends are [`PipeEnd`]s; a FIFO is a pipe whose
//! ends come and go.
//!
//! Invariants: no buffer is empty; `bytes` is the sum of their lengths; every buffer owns one
//! reference to its frame.
//!
//! Locks: `class::Inode` around the state, held while user memory is copied. Signals are sent and
//! waiters woken after it is released.

mod batch;
mod end;
mod limits;
mod state;
#[cfg(test)]
mod tests;

pub use batch::PipeBatch;
pub use end::{PipeEnd, fifo_open, fifo_slot, make_pipe, pipe_of};
pub use limits::PipeUsers;
pub use state::PIPE_DEF_BUFFERS;

use alloc::sync::{Arc, Weak};

use self::state::PipeState;
use super::PollEvents;
use super::io::{IoDst, IoSrc};
use crate::bail;
use crate::error::Result;
use crate::ids::{Kuid, PAGE_SIZE};
use crate::mm::Memory;
use crate::sync::{SpinLock, WaitQueue, class};
use crate::sysctl::Sysctls;

/// Where an inode keeps the pipe of a FIFO while it is open.
pub type FifoSlot = SpinLock<Weak<Pipe>, class::Inode>;

/// A pipe.
pub struct Pipe {
    memory: Arc<Memory>,
    users: Arc<PipeUsers>,
    /// Whose limits the pages count against.
    user: Kuid,
    /// Made by `pipe(2)`: opening it again through `/proc/PID/fd` never waits for another end.
    anonymous: bool,
    state: SpinLock<PipeState, class::Inode>,
    /// Readers, writers and pollers; told apart by the events they wait for.
    pub queue: WaitQueue,
}

impl Pipe {
    /// An empty pipe without ends. `ENFILE` over the user's hard limit of pages.
    pub fn new(
        memory: Arc<Memory>,
        users: Arc<PipeUsers>,
        sysctl: &Sysctls,
        user: Kuid,
        privileged: bool,
        anonymous: bool,
    ) -> Result<Arc<Pipe>> {
        let slots = users.charge_new(sysctl, user, privileged)?;
        Ok(Arc::new(Pipe {
            memory,
            users,
            user,
            anonymous,
            state: SpinLock::new(PipeState::new(slots)),
            queue: WaitQueue::new(),
        }))
    }

    /// Reads up to what `to` holds. 0: no writer is left; `EAGAIN`: empty.
    pub fn read(&self, to: &mut dyn IoDst) -> Result<usize> {
        if to.remaining() == 0 {
            return Ok(0);
        }
        let mut state = self.state.lock();
        if state.bufs.is_empty() {
            if state.writers == 0 {
                return Ok(0);
            }
            bail!(EAGAIN, "the pipe is empty");
        }
        let was_full = state.is_full();
        let done = state.read(&self.memory, to);
        let wake = was_full && !state.is_full();
        let left = !state.bufs.is_empty();
        drop(state);
        if wake {
            self.queue.wake(PollEvents::WRITABLE);
        }
        if left {
            self.queue.wake_next(PollEvents::READABLE);
        }
        done
    }

    /// Writes what fits. With `packets` each page is a packet of its own (`O_DIRECT`). `EPIPE`: no
    /// reader (the caller sends SIGPIPE); `EAGAIN`: full.
    pub fn write(&self, from: &mut dyn IoSrc, packets: bool) -> Result<usize> {
        if from.remaining() == 0 {
            return Ok(0);
        }
        let mut state = self.state.lock();
        if state.readers == 0 {
            bail!(EPIPE, "the pipe has no reader");
        }
        let done = state.write(&self.memory, from, packets);
        let room = !state.is_full();
        drop(state);
        if matches!(done, Ok(n) if n > 0) {
            self.queue.wake(PollEvents::READABLE);
            if room {
                self.queue.wake_next(PollEvents::WRITABLE);
            }
        }
        done
    }

    /// Bytes that can be read (`FIONREAD`).
    pub fn len(&self) -> usize {
        self.state.lock().bytes
    }

    /// Whether nothing can be read.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Capacity in bytes (`F_GETPIPE_SZ`).
    pub fn size(&self) -> usize {
        self.state.lock().slots * PAGE_SIZE
    }

    /// Sets the capacity (`F_SETPIPE_SZ`): rounded up to a power of two of pages. Returns the new
    /// one. `EBUSY`: more is in use; `EPERM`: over `pipe-max-size` or the user's limits.
    pub fn set_size(&self, sysctl: &Sysctls, size: u64, privileged: bool) -> Result<usize> {
        if size > 1 << 31 {
            bail!(EINVAL, "a pipe holds at most 2 GiB");
        }
        let slots = (size as usize)
            .max(PAGE_SIZE)
            .next_power_of_two()
            .div_ceil(PAGE_SIZE);
        let mut state = self.state.lock();
        let old = state.slots;
        if slots > old && (slots * PAGE_SIZE) as u64 > sysctl.pipe_max_size.get_u64() && !privileged {
            bail!(EPERM, "over /proc/sys/fs/pipe-max-size");
        }
        if slots < state.bufs.len() {
            bail!(EBUSY, "more pages are in use");
        }
        self.users
            .resize(sysctl, self.user, old, slots, privileged || slots <= old)?;
        if state.reserve(slots).is_err() {
            self.users.uncharge(self.user, slots);
            self.users.charge(self.user, old);
            bail!(ENOMEM, "no memory for the slots of a pipe");
        }
        let was_full = state.is_full();
        state.slots = slots;
        let wake = was_full && !state.is_full();
        drop(state);
        if wake {
            self.queue.wake_all(PollEvents::WRITABLE);
        }
        Ok(slots * PAGE_SIZE)
    }

    /// Slots that are free and whether someone reads: what `splice` may put in.
    /// `EPIPE` without readers, `EAGAIN` when full.
    pub fn room(&self) -> Result<usize> {
        let state = self.state.lock();
        if state.readers == 0 {
            bail!(EPIPE, "the pipe has no reader");
        }
        if state.is_full() {
            bail!(EAGAIN, "the pipe is full");
        }
        Ok(state.slots - state.bufs.len())
    }

    /// An empty batch for as many pages as have room now; filled by a file and given to
    /// [`Pipe::push_batch`]. Errors as [`Pipe::room`].
    pub fn batch_in(&self, max_bytes: usize) -> Result<PipeBatch> {
        Ok(PipeBatch::new(self.memory.clone(), self.room()?, max_bytes))
    }

    /// Appends a batch. It always fits: a writer that came in between may be waiting a little longer.
    pub fn push_batch(&self, batch: PipeBatch) -> usize {
        let mut state = self.state.lock();
        let mut count = 0;
        for buf in batch.into_bufs() {
            count += buf.len as usize;
            state.push(buf);
        }
        drop(state);
        if count > 0 {
            self.queue.wake(PollEvents::READABLE);
        }
        count
    }

    /// Takes up to `max_bytes` out of the pipe. `EAGAIN` when empty; an empty batch: no writer.
    pub fn batch_out(&self, max_bytes: usize) -> Result<PipeBatch> {
        let mut batch = PipeBatch::new(self.memory.clone(), usize::MAX, max_bytes);
        let mut state = self.state.lock();
        if state.bufs.is_empty() && state.writers > 0 {
            bail!(EAGAIN, "the pipe is empty");
        }
        let was_full = state.is_full();
        while batch.room() > 0 {
            let Some(buf) = state.pop_part(&*self.memory.hal, batch.room()) else {
                break;
            };
            batch.push(buf);
        }
        let wake = was_full && !state.is_full();
        drop(state);
        if wake {
            self.queue.wake(PollEvents::WRITABLE);
        }
        Ok(batch)
    }

    /// Puts what was not used of a batch from [`Pipe::batch_out`] back to the front.
    pub fn unpop_batch(&self, batch: PipeBatch) {
        let mut bufs = batch.into_bufs();
        if bufs.is_empty() {
            return;
        }
        let mut state = self.state.lock();
        while let Some(buf) = bufs.pop() {
            state.push_front(buf);
        }
        drop(state);
        self.queue.wake(PollEvents::READABLE);
    }

    /// Copies up to `max_bytes` to another pipe without consuming them (`tee(2)`): the pages are
    /// shared. Errors as reading from this one or as [`Pipe::room`] of the other.
    pub fn tee(&self, to: &Pipe, max_bytes: usize) -> Result<usize> {
        let slots = to.room()?;
        let mut batch = PipeBatch::new(self.memory.clone(), slots, max_bytes);
        let state = self.state.lock();
        if state.bufs.is_empty() {
            if state.writers == 0 {
                return Ok(0);
            }
            bail!(EAGAIN, "the pipe is empty");
        }
        for buf in &state.bufs {
            if batch.room() == 0 {
                break;
            }
            batch.push(buf.share(&*self.memory.hal, batch.room()));
        }
        drop(state);
        Ok(to.push_batch(batch))
    }

    fn poll_read(&self, version: u32) -> PollEvents {
        let state = self.state.lock();
        let mut events = PollEvents::empty();
        if !state.bufs.is_empty() {
            events |= PollEvents::READABLE;
        }
        if state.writers == 0 && version != state.writer_opens {
            events |= PollEvents::HUP;
        }
        events
    }

    fn poll_write(&self) -> PollEvents {
        let state = self.state.lock();
        let mut events = PollEvents::empty();
        if !state.is_full() {
            events |= PollEvents::WRITABLE;
        }
        if state.readers == 0 {
            events |= PollEvents::ERR;
        }
        events
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        state.clear(&self.memory);
        self.users.uncharge(self.user, state.slots);
    }
}
