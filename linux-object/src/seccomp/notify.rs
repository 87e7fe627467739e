//! User notification (`seccomp_unotify(2)`): a supervisor decides about calls.
//!
//! Model: a task whose filter answers `USER_NOTIF` leaves a request with the filter's [`Notification`]
//! and sleeps on the request's queue. Whoever has the [`Listener`] receives requests in order, may add descriptors to
//! the task, and answers once. The sleeping task does what is asked for itself: it installs the descriptors and
//! takes the answer. A signal takes the request back.
//!
//! A request is *waiting* until it is received, then *sent* until it is answered, then *replied* until the task has
//! seen that.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;
use core::any::Any;

use super::Data;
use crate::error::{Error, Result};
use crate::fs::{FileOps, OpenFile, PollEvents};
use crate::sync::{SpinLock, WaitQueue, class};
use crate::task::Task;
use crate::task::pid::Pid;
use crate::{ensure, err};

/// Names a request of one listener.
pub type RequestId = u64;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Status {
    Waiting,
    Sent,
    Replied,
}

/// How a call that was asked about ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It is made.
    Continue,
    /// It is not made; user space sees this.
    Return(i64),
}

struct Request {
    pid: Arc<Pid>,
    data: Data,
    status: Status,
    outcome: Outcome,
    added: VecDeque<Arc<AddFd>>,
    queue: Arc<WaitQueue>,
}

#[derive(Default)]
struct State {
    next_id: RequestId,
    requests: BTreeMap<RequestId, Request>,
    /// Requests that nobody has received.
    waiting: BTreeSet<RequestId>,
    /// Requests that were received and not answered.
    sent: usize,
    /// Nobody listens any more.
    closed: bool,
    /// No task has the filter any more.
    unused: bool,
}

impl State {
    fn set_status(&mut self, id: RequestId, status: Status) -> Option<&mut Request> {
        let request = self.requests.get_mut(&id)?;
        match request.status {
            Status::Waiting => {
                self.waiting.remove(&id);
            }
            Status::Sent => self.sent -= 1,
            Status::Replied => {}
        }
        match status {
            Status::Waiting => {
                self.waiting.insert(id);
            }
            Status::Sent => self.sent += 1,
            Status::Replied => {}
        }
        request.status = status;
        Some(request)
    }
}

/// The meeting point of a filter's tasks and its listener.
pub struct Notification {
    state: SpinLock<State, class::Inode>,
    /// Who waits for requests.
    queue: WaitQueue,
    wait_killable: bool,
}

/// A request as the listener sees it.
pub struct Received {
    /// Its name.
    pub id: RequestId,
    /// The calling thread.
    pub pid: Arc<Pid>,
    /// The call.
    pub data: Data,
}

/// A descriptor on its way into a task.
pub struct AddFd {
    /// The file.
    pub file: Arc<OpenFile>,
    /// At this number, replacing what is there.
    pub at: Option<u32>,
    /// Closed by `execve`.
    pub cloexec: bool,
    /// The number is the call's result.
    pub answers: bool,
    result: SpinLock<Option<Result<usize>>, class::Leaf>,
    /// Who waits for the result.
    pub queue: WaitQueue,
}

impl AddFd {
    /// A descriptor for `file`.
    pub fn new(file: Arc<OpenFile>, at: Option<u32>, cloexec: bool, answers: bool) -> Arc<AddFd> {
        Arc::new(AddFd {
            file,
            at,
            cloexec,
            answers,
            result: SpinLock::new(None),
            queue: WaitQueue::new(),
        })
    }
    /// Its number, once the task has it.
    pub fn result(&self) -> Option<Result<usize>> {
        *self.result.lock()
    }
    fn finish(&self, result: Result<usize>) {
        *self.result.lock() = Some(result);
        self.queue.wake_all(PollEvents::all());
    }
}

/// What a sleeping task finds.
pub enum Step {
    /// A descriptor to install; tell [`Notification::added`].
    Add(Arc<AddFd>),
    /// The end.
    Done(Outcome),
}

impl Notification {
    pub(super) fn new(first: RequestId, wait_killable: bool) -> Arc<Notification> {
        Arc::new(Notification {
            state: SpinLock::new(State {
                // Far from the end of the numbers.
                next_id: first >> 1,
                ..State::default()
            }),
            queue: WaitQueue::new(),
            wait_killable,
        })
    }

    /// Leaves a request; its name, and where to wait. `None` if nobody listens.
    pub fn ask(&self, task: &Task, data: Data) -> Option<(RequestId, Arc<WaitQueue>)> {
        let queue = Arc::new(WaitQueue::new());
        let id = {
            let mut state = self.state.lock();
            if state.closed {
                return None;
            }
            let id = state.next_id;
            state.next_id += 1;
            let request = Request {
                pid: task.pid().clone(),
                data,
                status: Status::Waiting,
                // What a supervisor that goes away in the middle of an answer leaves.
                outcome: Outcome::Return(0),
                added: VecDeque::new(),
                queue: queue.clone(),
            };
            state.requests.insert(id, request);
            state.waiting.insert(id);
            id
        };
        self.queue.wake_all(PollEvents::READABLE);
        Some((id, queue))
    }

    /// Whether only fatal signals may interrupt the wait now.
    pub fn waits_killable(&self, id: RequestId) -> bool {
        self.wait_killable
            && self
                .state
                .lock()
                .requests
                .get(&id)
                .is_some_and(|request| request.status == Status::Sent)
    }

    /// What the task that asked has to do next, if anything.
    pub fn step(&self, id: RequestId) -> Option<Step> {
        let mut state = self.state.lock();
        let request = state.requests.get_mut(&id)?;
        if let Some(added) = request.added.pop_front() {
            return Some(Step::Add(added));
        }
        (request.status == Status::Replied).then_some(Step::Done(request.outcome))
    }

    /// The task has, or has not, installed a descriptor.
    pub fn added(&self, id: RequestId, added: &AddFd, result: Result<usize>) {
        if added.answers {
            let mut state = self.state.lock();
            match result {
                Ok(fd) => {
                    if let Some(request) = state.requests.get_mut(&id) {
                        request.outcome = Outcome::Return(fd as i64);
                    }
                }
                // The supervisor may try again.
                Err(_) if !state.closed => {
                    state.set_status(id, Status::Sent);
                }
                Err(_) => {
                    if let Some(request) = state.requests.get_mut(&id) {
                        request.outcome = Outcome::Return(-(crate::error::Errno::ENOSYS as i64));
                    }
                }
            }
        }
        added.finish(result);
    }

    /// The task does not wait any more: the request goes.
    pub fn take_back(&self, id: RequestId) {
        let request = {
            let mut state = self.state.lock();
            state.set_status(id, Status::Replied);
            state.requests.remove(&id)
        };
        for added in request.into_iter().flat_map(|request| request.added) {
            added.finish(Err(err!(ESRCH, "seccomp: the call was interrupted")));
        }
    }

    pub(super) fn filter_is_gone(&self) {
        self.state.lock().unused = true;
        self.queue.wake_all(PollEvents::HUP);
    }
}

/// What the listener's descriptor is of.
pub struct Listener(Arc<Notification>);

impl Listener {
    pub(super) fn new(notification: Arc<Notification>) -> Arc<Listener> {
        Arc::new(Listener(notification))
    }

    /// Where requests are waited for.
    pub fn queue(&self) -> &WaitQueue {
        &self.0.queue
    }

    /// Takes the next request; `None` if there is none.
    pub fn receive(&self) -> Option<Received> {
        let mut state = self.0.state.lock();
        let id = *state.waiting.first()?;
        let request = state.set_status(id, Status::Sent)?;
        let received = Received {
            id,
            pid: request.pid.clone(),
            data: request.data,
        };
        drop(state);
        self.0.queue.wake_all(PollEvents::WRITABLE);
        Some(received)
    }

    /// The request could not be delivered: the next one may have it.
    pub fn give_back(&self, id: RequestId) {
        let mut state = self.0.state.lock();
        let sent = state
            .requests
            .get(&id)
            .is_some_and(|request| request.status == Status::Sent);
        if sent {
            state.set_status(id, Status::Waiting);
        }
        drop(state);
        self.0.queue.wake_all(PollEvents::READABLE);
    }

    /// Whether the request waits for an answer.
    pub fn is_valid(&self, id: RequestId) -> bool {
        let state = self.0.state.lock();
        state
            .requests
            .get(&id)
            .is_some_and(|request| request.status == Status::Sent)
    }

    fn check_sent(state: &State, id: RequestId) -> Result<&Request, Error> {
        let request = state
            .requests
            .get(&id)
            .ok_or(err!(ENOENT, "seccomp: no such request"))?;
        ensure!(
            request.status == Status::Sent,
            EINPROGRESS,
            "seccomp: the request was not received, or is answered"
        );
        Ok(request)
    }

    /// Answers. `ENOENT` without such a request, `EINPROGRESS` if it is not one to be answered.
    pub fn answer(&self, id: RequestId, outcome: Outcome) -> Result<()> {
        let mut state = self.0.state.lock();
        Listener::check_sent(&state, id)?;
        if let Some(request) = state.set_status(id, Status::Replied) {
            request.outcome = outcome;
            request.queue.wake_all(PollEvents::all());
        }
        Ok(())
    }

    /// Sends a descriptor. Errors as [`Listener::answer`]; `EBUSY` if it is to be the answer and others are
    /// on their way.
    pub fn add_fd(&self, id: RequestId, added: Arc<AddFd>) -> Result<()> {
        let mut state = self.0.state.lock();
        let request = Listener::check_sent(&state, id)?;
        let status = if added.answers {
            ensure!(
                request.added.is_empty(),
                EBUSY,
                "seccomp: other descriptors are on their way"
            );
            Status::Replied
        } else {
            Status::Sent
        };
        if let Some(request) = state.set_status(id, status) {
            request.added.push_back(added);
            request.queue.wake_all(PollEvents::all());
        }
        Ok(())
    }

    /// The supervisor does not want to wait for the descriptor any more. False if the task has taken it.
    pub fn cancel_add(&self, id: RequestId, added: &Arc<AddFd>) -> bool {
        let removed = {
            let mut state = self.0.state.lock();
            state.requests.get_mut(&id).and_then(|request| {
                let at = request.added.iter().position(|other| Arc::ptr_eq(other, added))?;
                request.added.remove(at)
            })
        };
        removed.is_some()
    }
}

impl Drop for Listener {
    /// Whoever waits gets `ENOSYS`.
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.closed = true;
        let ids: alloc::vec::Vec<RequestId> = state.requests.keys().copied().collect();
        for id in ids {
            let replied = state
                .requests
                .get(&id)
                .is_some_and(|request| request.status == Status::Replied);
            if !replied && let Some(request) = state.set_status(id, Status::Replied) {
                request.outcome = Outcome::Return(-(crate::error::Errno::ENOSYS as i64));
                request.queue.wake_all(PollEvents::all());
            }
        }
    }
}

impl FileOps for Listener {
    fn poll(&self, _: &OpenFile, _: &Arc<Task>) -> PollEvents {
        let state = self.0.state.lock();
        let mut events = PollEvents::empty();
        if !state.waiting.is_empty() {
            events |= PollEvents::READABLE;
        }
        if state.sent > 0 {
            events |= PollEvents::WRITABLE;
        }
        if state.unused {
            events |= PollEvents::HUP;
        }
        events
    }
    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.0.queue)
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}
