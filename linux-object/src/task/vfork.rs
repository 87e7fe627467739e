//! `vfork`: the parent waits until the child has released the address space.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, Ordering};

use super::Task;
use crate::fs::PollEvents;
use crate::sync::WaitQueue;

/// Done when the child has called `execve` or exited.
#[derive(Default)]
pub struct VforkDone {
    done: AtomicBool,
    /// Where the parent waits.
    pub queue: WaitQueue,
}

impl VforkDone {
    /// Whether the child has let go.
    pub fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }
}

impl Task {
    /// Tells a parent that waits in `vfork` that this task has let go of the address space (Linux's
    /// `mm_release`). Called by `execve` and exit.
    pub fn complete_vfork(&self) {
        let waiter: Option<Arc<VforkDone>> = self.vfork_done.lock().take();
        if let Some(waiter) = waiter {
            waiter.done.store(true, Ordering::Release);
            waiter.queue.wake_all(PollEvents::IN);
        }
    }
}
