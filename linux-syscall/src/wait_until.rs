//! The one way to block.
//!
//! [`wait_until`] enqueues on every queue, looks at the condition, and only then parks; a wake-up
//! that comes in between makes the parking a no-op. It ends when the condition gives a value, when
//! the deadline has come, or when a signal asks for it, and leaves every queue whatever happens.
//! Being woken means only "look again".

use alloc::sync::Arc;

use linux_object::err;
use linux_object::error::Error;
use linux_object::fs::PollEvents;
use linux_object::sync::{WaitEntry, WaitQueue};
use linux_object::task::{Task, TaskState};
use linux_object::time::{Ktime, TimerId};

/// A queue to wait on, and for what.
#[derive(Clone, Copy)]
pub struct WaitOn<'a> {
    /// The queue.
    pub queue: &'a WaitQueue,
    /// The events of interest.
    pub events: PollEvents,
    /// Only one exclusive waiter is told of an event.
    pub exclusive: bool,
}

impl<'a> WaitOn<'a> {
    /// Any event of this queue.
    pub fn any(queue: &'a WaitQueue) -> WaitOn<'a> {
        WaitOn::events(queue, PollEvents::all())
    }
    /// These events of this queue.
    pub fn events(queue: &'a WaitQueue, events: PollEvents) -> WaitOn<'a> {
        WaitOn {
            queue,
            events,
            exclusive: false,
        }
    }
    /// The same, but one waiter at a time is told.
    pub fn exclusive(self) -> WaitOn<'a> {
        WaitOn {
            exclusive: true,
            ..self
        }
    }
}

/// What may end a wait early.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WaitKind {
    /// Any signal that is to be handled.
    Interruptible,
    /// Only a signal that kills.
    Killable,
}

/// Why a wait ended without its condition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WaitError {
    /// A signal is pending.
    Interrupted,
    /// The deadline has come.
    TimedOut,
}

impl WaitError {
    /// The usual translation: restart the call after a handler with `SA_RESTART`; `EAGAIN` on time-out.
    pub fn restart_sys(self) -> Error {
        match self {
            WaitError::Interrupted => err!(ERESTARTSYS),
            WaitError::TimedOut => err!(EAGAIN, "the time-out has passed"),
        }
    }
}

impl WaitKind {
    fn state(self) -> TaskState {
        match self {
            WaitKind::Interruptible => TaskState::Interruptible,
            WaitKind::Killable => TaskState::Killable,
        }
    }
    fn is_interrupted(self, task: &Task) -> bool {
        match self {
            WaitKind::Interruptible => task.signal_pending(),
            WaitKind::Killable => task.fatal_signal_pending(),
        }
    }
}

/// Waits until `cond` gives a value. See the module for the rules; `deadline` is
/// [`Ktime::MAX`] for none. No lock may be held.
pub fn wait_until<T>(
    task: &Arc<Task>,
    on: &[WaitOn<'_>],
    deadline: Ktime,
    kind: WaitKind,
    mut cond: impl FnMut() -> Option<T>,
) -> Result<T, WaitError> {
    if let Some(value) = cond() {
        return Ok(value);
    }
    let _queued = Queued::enqueue(task, on);
    let mut timer = SleepTimer { task, armed: None };
    let outcome = loop {
        task.sched.set_state(kind.state());
        if let Some(value) = cond() {
            break Ok(value);
        }
        if kind.is_interrupted(task) {
            break Err(WaitError::Interrupted);
        }
        if deadline != Ktime::MAX {
            if task.kernel().time.now() >= deadline {
                break Err(WaitError::TimedOut);
            }
            timer.arm(deadline);
        }
        task.kernel().sched.schedule();
    };
    task.sched.set_state(TaskState::Running);
    outcome
}

/// Places in queues, left when dropped. The address of each [`WaitOn`] is the key.
struct Queued<'a>(&'a [WaitOn<'a>]);

impl<'a> Queued<'a> {
    fn enqueue(task: &Arc<Task>, on: &'a [WaitOn<'a>]) -> Queued<'a> {
        for wait in on {
            wait.queue.enqueue(WaitEntry {
                waiter: task.clone(),
                events: wait.events,
                exclusive: wait.exclusive,
                key: core::ptr::from_ref(wait).addr(),
            });
        }
        Queued(on)
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        for wait in self.0 {
            wait.queue.dequeue(core::ptr::from_ref(wait).addr());
        }
    }
}

/// The timer behind a deadline, cancelled when dropped.
struct SleepTimer<'a> {
    task: &'a Arc<Task>,
    armed: Option<TimerId>,
}

impl SleepTimer<'_> {
    fn arm(&mut self, deadline: Ktime) {
        if self.armed.is_none() {
            self.armed = Some(self.task.kernel().timers.add(deadline, self.task.clone()));
        }
    }
}

impl Drop for SleepTimer<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.armed {
            self.task.kernel().timers.cancel(id);
        }
    }
}
