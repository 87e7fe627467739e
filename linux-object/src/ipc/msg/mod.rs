//! System V message queues (`msgget(2)`, `msgop(2)`, `msgctl(2)`).
//!
//! A [`MsgQueue`] is a [`MsgState`] with an identity, under one lock. A thread that has to wait leaves a
//! [`MsgWaiter`] there and finds in it what happened.
//!
//! Locks: the state is `class::Ipc`, and never held together with another of the class. User memory is not
//! copied under it: texts are copied before and after.

mod queue;
mod waiter;

pub use queue::{Event, Events, Message, MsgState, Receive, Want};
pub use waiter::MsgWaiter;

use alloc::sync::Arc;
use core::sync::atomic::{AtomicI64, Ordering};

use super::ids::{IpcObject, Limit};
use super::perm::{IpcPerm, READ, WRITE};
use super::{IpcContent, seconds};
use crate::ensure;
use crate::error::Result;
use crate::namespace::IpcNamespace;
use crate::sync::{SpinLock, class};
use crate::task::Task;
use crate::task::pid::Pid;

/// What `msgctl(2)` tells besides the permissions.
#[derive(Clone, Default)]
#[allow(missing_docs)]
pub struct MsgStat {
    pub stime: i64,
    pub rtime: i64,
    pub ctime: i64,
    pub bytes: u64,
    pub messages: u64,
    pub max_bytes: u64,
    /// Who sent last.
    pub lspid: Option<Arc<Pid>>,
    /// Who received last.
    pub lrpid: Option<Arc<Pid>>,
}

struct State {
    queue: MsgState<Arc<MsgWaiter>>,
    stat: MsgStat,
    removed: bool,
}

/// Messages and bytes in all queues of a namespace.
#[derive(Default)]
pub struct MsgTotals {
    /// Messages.
    pub messages: AtomicI64,
    /// Bytes.
    pub bytes: AtomicI64,
}

/// A message queue.
pub struct MsgQueue {
    perm: SpinLock<IpcPerm, class::Leaf>,
    totals: Arc<MsgTotals>,
    state: SpinLock<State, class::Ipc>,
}

impl IpcObject for MsgQueue {
    fn perm(&self) -> &SpinLock<IpcPerm, class::Leaf> {
        &self.perm
    }
}

/// What a look at the queue gave.
pub enum Attempt<T> {
    /// It is done.
    Done(T),
    /// The waiter is in the queue.
    Waits,
}

impl MsgQueue {
    /// Who may do what.
    pub fn ipc_perm(&self) -> IpcPerm {
        *self.perm.lock()
    }
    /// `EACCES` unless the task may read or (`write`) write.
    pub fn check(&self, ns: &IpcNamespace, task: &Task, write: bool) -> Result<()> {
        let flag = if write { WRITE } else { READ };
        self.ipc_perm().check(ns.user_ns(), &task.cred(), flag)
    }
    /// Times, sizes, pids. `EIDRM` if it was removed.
    pub fn stat(&self) -> Result<MsgStat> {
        let state = self.state.lock();
        ensure!(!state.removed, EIDRM, "the queue was removed");
        let mut stat = state.stat.clone();
        stat.bytes = state.queue.bytes as u64;
        stat.messages = state.queue.len() as u64;
        stat.max_bytes = state.queue.max_bytes;
        Ok(stat)
    }

    /// Runs `f` on the locked queue, keeps the totals, and tells those to whom something happened.
    fn with<R>(
        &self,
        task: &Task,
        f: impl FnOnce(&mut State, &mut Events<Arc<MsgWaiter>>) -> Result<R>,
    ) -> Result<R> {
        let mut events = Events::new();
        let mut state = self.state.lock();
        ensure!(!state.removed, EIDRM, "the queue was removed");
        let before = (state.queue.len(), state.queue.bytes);
        let result = f(&mut state, &mut events);
        let after = (state.queue.len(), state.queue.bytes);
        let change = |total: &AtomicI64, before: usize, after: usize| {
            if before != after {
                total.fetch_add(after as i64 - before as i64, Ordering::Relaxed);
            }
        };
        change(&self.totals.messages, before.0, after.0);
        change(&self.totals.bytes, before.1, after.1);
        if !events.is_empty() {
            let now = seconds(task.kernel());
            for (who, event) in &events {
                match event {
                    Event::Received(_) => {
                        state.stat.lrpid = Some(who.pid().clone());
                        state.stat.rtime = now;
                    }
                    Event::Sent => {
                        state.stat.lspid = Some(who.pid().clone());
                        state.stat.stime = now;
                    }
                    Event::Failed(_) => {}
                }
            }
        }
        let told = MsgWaiter::tell_all(events);
        drop(state);
        drop(told);
        result
    }

    /// `msgsnd(2)`. With `waiter`, one that finds no room waits; else `EAGAIN`. `EACCES`, `EIDRM`.
    pub fn send(
        &self,
        ns: &IpcNamespace,
        task: &Task,
        message: &Arc<Message>,
        waiter: Option<&Arc<MsgWaiter>>,
    ) -> Result<Attempt<()>> {
        self.check(ns, task, true)?;
        self.with(task, |state, events| {
            if state.queue.send(message, events)? {
                state.stat.lspid = Some(task.group().tgid.clone());
                state.stat.stime = seconds(task.kernel());
                return Ok(Attempt::Done(()));
            }
            let Some(waiter) = waiter else {
                crate::bail!(EAGAIN, "msgsnd: the queue is full");
            };
            state.queue.wait_to_send(message.clone(), waiter.clone())?;
            Ok(Attempt::Waits)
        })
    }

    /// `msgrcv(2)`. With `waiter`, one that finds no message waits; else `ENOMSG`. `EACCES`, `EIDRM`, `E2BIG`.
    pub fn receive(
        &self,
        ns: &IpcNamespace,
        task: &Task,
        receive: Receive,
        waiter: Option<&Arc<MsgWaiter>>,
    ) -> Result<Attempt<Arc<Message>>> {
        self.check(ns, task, false)?;
        self.with(task, |state, events| {
            if let Some(message) = state.queue.receive(receive, events)? {
                state.stat.lrpid = Some(task.group().tgid.clone());
                state.stat.rtime = seconds(task.kernel());
                return Ok(Attempt::Done(message));
            }
            let Some(waiter) = waiter else {
                crate::bail!(ENOMSG, "msgrcv: no such message");
            };
            state.queue.wait_to_receive(receive, waiter.clone())?;
            Ok(Attempt::Waits)
        })
    }

    /// `MSG_COPY`: the n-th message, which stays. `ENOMSG`, `EACCES`, `EIDRM`, `E2BIG`.
    pub fn peek(&self, ns: &IpcNamespace, task: &Task, n: i64, max: usize) -> Result<Arc<Message>> {
        self.check(ns, task, false)?;
        self.with(task, |state, _| {
            let Some(message) = state.queue.peek(n) else {
                crate::bail!(ENOMSG, "msgrcv: not so many messages");
            };
            ensure!(message.text.len() <= max, E2BIG, "msgrcv: the message is longer");
            Ok(message.clone())
        })
    }

    /// A thread gives up waiting. False if something has happened meanwhile.
    pub fn cancel(&self, waiter: &Arc<MsgWaiter>) -> bool {
        let mut state = self.state.lock();
        state.queue.cancel(|other| Arc::ptr_eq(other, waiter))
    }

    /// `IPC_SET`, after the permissions were changed: receivers look at them again, and there may be room for
    /// senders.
    pub fn set_max_bytes(&self, task: &Task, max_bytes: u64) -> Result<()> {
        self.with(task, |state, events| {
            state.queue.max_bytes = max_bytes;
            state.stat.ctime = seconds(task.kernel());
            for (_, who) in state.queue.take_receivers() {
                events.push((who, Event::Failed(crate::err!(EAGAIN, "look again"))));
            }
            state.queue.admit_senders(events);
            Ok(())
        })
    }

    /// The queue goes: everyone who waits gets `EIDRM`.
    fn destroy(&self) {
        let mut gone = MsgState::new(0);
        let mut state = self.state.lock();
        state.removed = true;
        core::mem::swap(&mut state.queue, &mut gone);
        let receivers = gone.take_receivers().into_iter().map(|(_, who)| who);
        let senders = gone.take_senders();
        let waiters = receivers.chain(senders.into_iter().map(|(_, who)| who));
        let removed = || Event::Failed(crate::err!(EIDRM, "the queue was removed"));
        let told = MsgWaiter::tell_all(waiters.map(|who| (who, removed())));
        drop(state);
        drop(told);
        self.totals
            .messages
            .fetch_sub(gone.len() as i64, Ordering::Relaxed);
        self.totals.bytes.fetch_sub(gone.bytes as i64, Ordering::Relaxed);
    }
}

impl IpcContent {
    /// `msgget(2)`.
    pub fn msgget(&self, ns: &IpcNamespace, task: &Task, key: i32, flags: u32) -> Result<i32> {
        let cred = task.cred();
        let limit = || Limit {
            count: self.limits.msgmni.get() as u32,
            weight: 0,
        };
        let check = |found: &MsgQueue| found.ipc_perm().check(ns.user_ns(), &cred, flags);
        self.msg.get(key, flags, limit, check, || {
            Ok(Arc::new(MsgQueue {
                perm: SpinLock::new(IpcPerm::new(key, flags, &cred)),
                totals: self.msg_totals.clone(),
                state: SpinLock::new(State {
                    queue: MsgState::new(self.limits.msgmnb.get() as u64),
                    stat: MsgStat {
                        ctime: seconds(task.kernel()),
                        ..MsgStat::default()
                    },
                    removed: false,
                }),
            }))
        })
    }

    /// `IPC_RMID`.
    pub fn remove_msg(&self, queue: &Arc<MsgQueue>) -> Result<()> {
        ensure!(
            self.msg.remove_if(queue, |_| true),
            EIDRM,
            "the queue was removed"
        );
        queue.destroy();
        Ok(())
    }

    /// The namespace goes.
    pub(super) fn destroy_msgs(&self) {
        for queue in self.msg.all() {
            let _ = self.remove_msg(&queue);
        }
    }
}
