//! Event counters (`eventfd(2)`).
//!
//! Locks: the counter is `class::Inode`; nothing is called while it is held.

use alloc::string::String;
use alloc::sync::Arc;
use core::any::Any;
use core::fmt::Write;

use super::io::{IoDst, IoSrc};
use super::{FileOps, OpenFile, PollEvents};
use crate::bail;
use crate::error::Result;
use crate::sync::{SpinLock, WaitQueue, class};
use crate::task::Task;

/// A counter that can be waited for. It never exceeds `u64::MAX - 1`.
pub struct EventFd {
    count: SpinLock<u64, class::Inode>,
    semaphore: bool,
    queue: WaitQueue,
}

impl EventFd {
    /// A counter; with `semaphore` (`EFD_SEMAPHORE`) each read takes 1.
    pub fn new(count: u32, semaphore: bool) -> Arc<EventFd> {
        Arc::new(EventFd {
            count: SpinLock::new(count as u64),
            semaphore,
            queue: WaitQueue::new(),
        })
    }
    /// Adds from inside the kernel (Linux's `eventfd_signal`), stopping at the maximum.
    pub fn signal(&self, n: u64) {
        let mut count = self.count.lock();
        *count = count.saturating_add(n);
        drop(count);
        self.queue.wake_all(PollEvents::READABLE);
    }
    fn take(&self) -> Result<u64> {
        let mut count = self.count.lock();
        if *count == 0 {
            bail!(EAGAIN, "the counter is 0");
        }
        let value = if self.semaphore { 1 } else { *count };
        *count -= value;
        drop(count);
        self.queue.wake_all(PollEvents::WRITABLE);
        Ok(value)
    }
    fn add(&self, n: u64) -> Result<()> {
        let mut count = self.count.lock();
        if u64::MAX - *count <= n {
            bail!(EAGAIN, "the counter would overflow");
        }
        *count += n;
        drop(count);
        self.queue.wake_all(PollEvents::READABLE);
        Ok(())
    }
}

impl FileOps for EventFd {
    fn read(&self, _: &OpenFile, _: &Arc<Task>, _: &mut u64, to: &mut dyn IoDst) -> Result<usize> {
        if to.remaining() < 8 {
            bail!(EINVAL, "an eventfd is read in 8 bytes");
        }
        let value = self.take()?;
        to.put_all(&value.to_ne_bytes())?;
        Ok(8)
    }
    fn write(&self, _: &OpenFile, _: &Arc<Task>, _: &mut u64, from: &mut dyn IoSrc) -> Result<usize> {
        if from.remaining() < 8 {
            bail!(EINVAL, "an eventfd is written in 8 bytes");
        }
        let mut value = [0; 8];
        from.take_all(&mut value)?;
        let value = u64::from_ne_bytes(value);
        if value == u64::MAX {
            bail!(EINVAL, "the counter cannot hold this");
        }
        self.add(value)?;
        Ok(8)
    }
    fn poll(&self, _: &OpenFile, _: &Arc<Task>) -> PollEvents {
        let count = *self.count.lock();
        let mut events = PollEvents::empty();
        if count > 0 {
            events |= PollEvents::IN;
        }
        if count == u64::MAX {
            events |= PollEvents::ERR;
        }
        if count < u64::MAX - 1 {
            events |= PollEvents::OUT;
        }
        events
    }
    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.queue)
    }
    fn fdinfo(&self, _: &OpenFile, _: &Arc<Task>, out: &mut String) {
        let _ = writeln!(out, "eventfd-count: {:16x}", *self.count.lock());
        let _ = writeln!(out, "eventfd-id: 0");
        let _ = writeln!(out, "eventfd-semaphore: {}", self.semaphore as u8);
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}
