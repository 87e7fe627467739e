//! A POSIX message queue with its waiters, its notification and what it is charged for.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering};

use super::state::{Events, MqState, Sent};
use super::{HARD_MSGMAX, HARD_MSGSIZEMAX, Notification};
use crate::cred::{Capability, UCountRlimit, UCounts};
use crate::error::Result;
use crate::fs::PollEvents;
use crate::ipc::IpcContent;
use crate::ipc::msg::{Message, MsgWaiter};
use crate::sync::{SpinLock, WaitQueue, class};
use crate::task::pid::Pid;
use crate::task::{Resource, Task};
use crate::{bail, ensure};

/// Size of a queue (`mq_maxmsg`, `mq_msgsize`).
#[derive(Clone, Copy, Debug)]
pub struct MqSize {
    /// Messages.
    pub max_messages: i64,
    /// Bytes of each.
    pub message_size: i64,
}

/// What Linux counts for a message besides its text: the records of a message and of a priority.
const MESSAGE_OVERHEAD: u64 = 48 + 48;
/// There are no more priorities than this to have a record.
const PRIORITIES: u64 = 32768;

/// Bytes of a user's queues; given back when dropped.
struct Charge {
    ucounts: Arc<UCounts>,
    bytes: i64,
}

impl Charge {
    /// `EMFILE`: `RLIMIT_MSGQUEUE`.
    fn new(task: &Task, bytes: u64) -> Result<Charge> {
        let ucounts = task.cred().ucounts.clone();
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX / 2);
        let now = ucounts.inc_rlimit(UCountRlimit::MsgQueue, bytes);
        let charge = Charge { ucounts, bytes };
        let limit = task.group().rlimit(Resource::MSGQUEUE).cur;
        ensure!(
            now != i64::MAX && now as u64 <= limit,
            EMFILE,
            "mq_open: RLIMIT_MSGQUEUE"
        );
        Ok(charge)
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.ucounts.dec_rlimit(UCountRlimit::MsgQueue, self.bytes);
    }
}

/// One of the queues of a namespace; taken back when dropped.
struct Counted(Arc<AtomicU32>);

impl Counted {
    /// `ENOSPC`: `queues_max`, for those without `CAP_SYS_RESOURCE`.
    fn new(count: &Arc<AtomicU32>, max: i64, privileged: bool) -> Result<Counted> {
        let counted = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
            (i64::from(count) < max || privileged).then_some(count + 1)
        });
        ensure!(counted.is_ok(), ENOSPC, "mq_open: queues_max");
        Ok(Counted(count.clone()))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

struct State {
    queue: MqState<Arc<MsgWaiter>>,
    notification: Option<Notification>,
}

/// A queue.
pub struct Mqueue {
    /// How many messages, and how long.
    pub size: MqSize,
    state: SpinLock<State, class::Ipc>,
    /// Woken for `poll`.
    pub poll: WaitQueue,
    _charge: Charge,
    _counted: Counted,
}

/// What a look at the queue gave.
pub enum Attempt<T> {
    /// It is done.
    Done(T),
    /// The waiter is in the queue.
    Waits,
}

/// Where a thread stands among those who wait: smaller goes first (Linux's `prio`).
fn rank(task: &Task) -> i32 {
    let params = task.sched.params();
    match params.rt_priority {
        0 => 120 + i32::from(params.nice),
        rt => 99 - i32::from(rt),
    }
}

impl Mqueue {
    /// A new queue of the calling task. `EINVAL`, `EOVERFLOW`, `ENOSPC`, `EMFILE`.
    pub(super) fn new(content: &IpcContent, task: &Task, size: Option<MqSize>) -> Result<Arc<Mqueue>> {
        let limits = &content.limits;
        let privileged = task.cred().capable(Capability::SYS_RESOURCE);
        let counted = Counted::new(&content.mqueues.count, limits.mq_queues_max.get(), privileged)?;
        let size = size.unwrap_or(MqSize {
            max_messages: limits.mq_msg_max.get().min(limits.mq_msg_default.get()),
            message_size: limits.mq_msgsize_max.get().min(limits.mq_msgsize_default.get()),
        });
        ensure!(
            size.max_messages > 0 && size.message_size > 0,
            EINVAL,
            "mq_open: a queue without messages"
        );
        let (most, longest) = if privileged {
            (HARD_MSGMAX, HARD_MSGSIZEMAX)
        } else {
            (limits.mq_msg_max.get(), limits.mq_msgsize_max.get())
        };
        ensure!(
            size.max_messages <= most && size.message_size <= longest,
            EINVAL,
            "mq_open: msg_max or msgsize_max"
        );
        let (max, len) = (size.max_messages as u64, size.message_size as u64);
        let records = max * (MESSAGE_OVERHEAD / 2) + max.min(PRIORITIES) * (MESSAGE_OVERHEAD / 2);
        let bytes = max.checked_mul(len).and_then(|bytes| bytes.checked_add(records));
        let Some(bytes) = bytes else {
            bail!(EOVERFLOW, "mq_open: more bytes than can be counted")
        };
        Ok(Arc::new(Mqueue {
            size,
            state: SpinLock::new(State {
                queue: MqState::new(size.max_messages as usize),
                notification: None,
            }),
            poll: WaitQueue::new(),
            _charge: Charge::new(task, bytes)?,
            _counted: counted,
        }))
    }

    /// Messages in it.
    pub fn messages(&self) -> usize {
        self.state.lock().queue.len()
    }
    /// Bytes in it, and who is to be told: how, by which signal, who.
    pub fn status(&self) -> (usize, Option<(i32, u8, Arc<Pid>)>) {
        let state = self.state.lock();
        let shown = state.notification.as_ref().map(|notification| {
            let (how, signal) = notification.shown();
            (how, signal, notification.owner.clone())
        });
        (state.queue.bytes(), shown)
    }
    /// What is true now.
    pub fn poll_events(&self) -> PollEvents {
        let state = self.state.lock();
        let mut events = PollEvents::empty();
        if !state.queue.is_empty() {
            events |= PollEvents::IN | PollEvents::RDNORM;
        }
        if !state.queue.is_full() {
            events |= PollEvents::OUT | PollEvents::WRNORM;
        }
        events
    }

    /// `mq_send`. With `waiter`, one that finds no room waits; else `EAGAIN`.
    pub fn send(
        &self,
        task: &Task,
        message: &Arc<Message>,
        waiter: Option<&Arc<MsgWaiter>>,
    ) -> Result<Attempt<()>> {
        let mut events = Events::new();
        let mut notification = None;
        let (sent, told);
        {
            let mut state = self.state.lock();
            sent = state.queue.send(message, &mut events)?;
            match sent {
                Sent::Full => {
                    let Some(waiter) = waiter else {
                        bail!(EAGAIN, "mq_send: the queue is full");
                    };
                    state
                        .queue
                        .wait(rank(task), waiter.clone(), Some(message.clone()))?;
                    return Ok(Attempt::Waits);
                }
                Sent::Queued(true) => notification = state.notification.take(),
                _ => {}
            }
            told = MsgWaiter::tell_all(events);
        }
        drop(told);
        if let Sent::Queued(_) = sent {
            self.poll.wake(PollEvents::IN | PollEvents::RDNORM);
        }
        if let Some(notification) = notification {
            notification.fire(task);
        }
        Ok(Attempt::Done(()))
    }

    /// `mq_receive`. With `waiter`, one that finds no message waits; else `EAGAIN`.
    pub fn receive(&self, task: &Task, waiter: Option<&Arc<MsgWaiter>>) -> Result<Attempt<Arc<Message>>> {
        let mut events = Events::new();
        let (message, told) = {
            let mut state = self.state.lock();
            let Some(message) = state.queue.receive(&mut events) else {
                let Some(waiter) = waiter else {
                    bail!(EAGAIN, "mq_receive: the queue is empty");
                };
                state.queue.wait(rank(task), waiter.clone(), None)?;
                return Ok(Attempt::Waits);
            };
            (message, MsgWaiter::tell_all(events))
        };
        drop(told);
        self.poll.wake(PollEvents::OUT | PollEvents::WRNORM);
        Ok(Attempt::Done(message))
    }

    /// A thread gives up waiting. False if something has happened meanwhile.
    pub fn cancel(&self, waiter: &Arc<MsgWaiter>) -> bool {
        let mut state = self.state.lock();
        state.queue.cancel(|other| Arc::ptr_eq(other, waiter))
    }

    /// `mq_notify(2)`. `EBUSY` if someone is to be told already.
    pub fn set_notification(&self, new: Notification) -> Result<()> {
        let mut state = self.state.lock();
        ensure!(
            state.notification.is_none(),
            EBUSY,
            "mq_notify: a process is registered"
        );
        state.notification = Some(new);
        Ok(())
    }

    /// Takes the notification of this process back, if it is there.
    pub fn remove_notification(&self, owner: &Arc<Pid>) {
        let removed = {
            let mut state = self.state.lock();
            let own = state
                .notification
                .as_ref()
                .is_some_and(|notification| Arc::ptr_eq(&notification.owner, owner));
            own.then(|| state.notification.take()).flatten()
        };
        if let Some(removed) = removed {
            removed.remove();
        }
    }
}
