//! A thread that waits for semaphores.

use alloc::sync::Arc;

use smallvec::SmallVec;

use super::set::{Operation, Operator};
use crate::error::Result;
use crate::fs::PollEvents;
use crate::sync::{SpinLock, Waiter, class};
use crate::task::pid::Pid;

/// One wait of one thread.
pub struct SemWaiter {
    task: Arc<dyn Waiter>,
    /// Its process: what semaphores remember.
    pid: Arc<Pid>,
    numbers: SmallVec<[u16; 2]>,
    result: SpinLock<Option<Result<()>>, class::Leaf>,
}

impl SemWaiter {
    /// A wait of `task`, a thread of process `pid`, for `operation`; it is in no queue yet.
    pub fn new(task: Arc<dyn Waiter>, pid: Arc<Pid>, operation: &Operation) -> Arc<SemWaiter> {
        Arc::new(SemWaiter {
            task,
            pid,
            numbers: operation.steps.iter().map(|step| step.num).collect(),
            result: SpinLock::new(None),
        })
    }
    /// Its process.
    pub fn pid(&self) -> &Arc<Pid> {
        &self.pid
    }
    /// The semaphores that it may wait for.
    pub(super) fn numbers(&self) -> &[u16] {
        &self.numbers
    }
    /// How the operation has ended, once it has.
    pub fn result(&self) -> Option<Result<()>> {
        *self.result.lock()
    }
    /// These operations have ended, and nobody has them in a queue any more. Called while the set is locked, so
    /// that who finds itself out of it finds its result, too; returns what is to be dropped after the
    /// unlock, since a waiter may be the last to hold its thread.
    #[must_use]
    pub(super) fn end_all(
        ended: impl IntoIterator<Item = (Arc<SemWaiter>, Result<()>)>,
    ) -> SmallVec<[Arc<SemWaiter>; 4]> {
        let end = |(waiter, result): (Arc<SemWaiter>, Result<()>)| {
            *waiter.result.lock() = Some(result);
            waiter.task.clone().wake(PollEvents::all());
            waiter
        };
        ended.into_iter().map(end).collect()
    }
}

impl Operator for Arc<SemWaiter> {
    type Name = Arc<Pid>;
    fn name(&self) -> Arc<Pid> {
        self.pid.clone()
    }
}
