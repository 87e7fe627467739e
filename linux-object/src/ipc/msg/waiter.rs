//! A thread that waits at a message queue.

use alloc::sync::Arc;

use smallvec::SmallVec;

use super::queue::Event;
use crate::fs::PollEvents;
use crate::sync::{SpinLock, Waiter, class};
use crate::task::pid::Pid;

/// One wait of one thread.
pub struct MsgWaiter {
    task: Arc<dyn Waiter>,
    /// What the queue remembers of it.
    pid: Arc<Pid>,
    event: SpinLock<Option<Event>, class::Leaf>,
}

impl MsgWaiter {
    /// A wait that is in no queue yet.
    pub fn new(task: Arc<dyn Waiter>, pid: Arc<Pid>) -> Arc<MsgWaiter> {
        Arc::new(MsgWaiter {
            task,
            pid,
            event: SpinLock::new(None),
        })
    }
    /// What the queue remembers of it.
    pub fn pid(&self) -> &Arc<Pid> {
        &self.pid
    }
    /// What happened, once something has.
    pub fn take(&self) -> Option<Event> {
        self.event.lock().take()
    }
    /// Something happened to these waiters, which are in no queue any more. Called while the queue is locked, so that
    /// who finds itself out of it finds its event, too; returns what is to be dropped after the unlock, since
    /// a waiter may be the last to hold its thread.
    #[must_use]
    pub(in crate::ipc) fn tell_all(
        events: impl IntoIterator<Item = (Arc<MsgWaiter>, Event)>,
    ) -> SmallVec<[Arc<MsgWaiter>; 2]> {
        let tell = |(waiter, event): (Arc<MsgWaiter>, Event)| {
            *waiter.event.lock() = Some(event);
            waiter.task.clone().wake(PollEvents::all());
            waiter
        };
        events.into_iter().map(tell).collect()
    }
}
