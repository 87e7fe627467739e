//! What a task has of seccomp.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU8, Ordering};

use smallvec::SmallVec;

use super::filter::{Filter, FilterBody, FilterFlags};
use super::notify::{Listener, Notification};
use super::{Action, Answer, Data, Program};
use crate::cred::Capability;
use crate::ensure;
use crate::error::Result;
use crate::ids::PidNr;
use crate::mm::memcg::Item;
use crate::sync::{SpinLock, class};
use crate::task::{Task, ThreadFlags};

/// How a task's calls are filtered (`prctl(PR_GET_SECCOMP)`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Mode {
    /// They are not.
    Disabled = 0,
    /// Only `read`, `write`, `exit` and `rt_sigreturn`.
    Strict = 1,
    /// By filters.
    Filter = 2,
}

/// A task's part.
pub struct TaskSeccomp {
    mode: AtomicU8,
    filter: SpinLock<Option<Arc<Filter>>, class::Leaf>,
}

/// What is to happen with a call.
pub struct Decision {
    /// The action with its data.
    pub answer: Answer,
    /// Whether it is to be logged.
    pub log: bool,
    /// Who is to be asked.
    pub notification: Option<Arc<Notification>>,
}

/// How an installation ended that changed something or could not.
pub enum Synced {
    /// The filter is in place.
    Done,
    /// With `TSYNC`: this thread has other filters, nothing was changed.
    Differs(PidNr),
}

impl Default for TaskSeccomp {
    fn default() -> TaskSeccomp {
        TaskSeccomp {
            mode: AtomicU8::new(Mode::Disabled as u8),
            filter: SpinLock::new(None),
        }
    }
}

impl TaskSeccomp {
    /// How the calls are filtered.
    pub fn mode(&self) -> Mode {
        match self.mode.load(Ordering::Acquire) {
            0 => Mode::Disabled,
            1 => Mode::Strict,
            _ => Mode::Filter,
        }
    }
    /// How many filters there are.
    pub fn filter_count(&self) -> u32 {
        self.filter.lock().as_ref().map_or(0, |filter| filter.count())
    }
    /// The `n`-th filter, counted from the oldest.
    pub fn nth_filter(&self, n: u64) -> Option<Arc<FilterBody>> {
        self.filter()?.nth(n)
    }
    fn filter(&self) -> Option<Arc<Filter>> {
        self.filter.lock().clone()
    }
    /// Whether the mode may become `mode`.
    fn may_become(&self, mode: Mode) -> bool {
        let now = self.mode();
        now == Mode::Disabled || now == mode
    }
    /// Whether a thread whose filters are `own` may give its new ones to this one.
    fn may_follow(&self, own: Option<&Arc<Filter>>) -> bool {
        match self.mode() {
            Mode::Disabled => true,
            Mode::Strict => false,
            Mode::Filter => {
                let filter = self.filter.lock();
                filter.as_ref().is_none_or(|filter| filter.is_ancestor(own))
            }
        }
    }
    /// The task is reaped: it needs no filter any more.
    pub fn release(&self) {
        let filter = self.filter.lock().take();
        drop(filter);
    }
    /// Whether the filters allow this call whatever its arguments are. Quick.
    #[inline]
    pub fn allows_always(&self, nr: u32) -> bool {
        self.filter
            .lock()
            .as_ref()
            .is_some_and(|filter| filter.allows_always(nr))
    }
    /// Asks all filters. `logged` is `actions_logged`.
    pub fn decide(&self, data: &Data, logged: i64) -> Decision {
        let Some(filter) = self.filter() else {
            return Decision {
                answer: Answer(Action::KillProcess.code()),
                log: true,
                notification: None,
            };
        };
        let (answer, from) = filter.run(data);
        let requested = from.is_some_and(|filter| filter.body().flags.contains(FilterFlags::LOG));
        let action = answer.action();
        let log = match action {
            Action::Allow => false,
            Action::Log | Action::KillThread | Action::KillProcess => true,
            _ => requested,
        };
        Decision {
            answer,
            log: log && logged & action.log_bit() != 0,
            notification: from.and_then(|filter| filter.body().notification.clone()),
        }
    }
}

impl Task {
    /// Strict mode for the calling task (`SECCOMP_SET_MODE_STRICT`).
    pub fn set_seccomp_strict(&self) -> Result<()> {
        let _threads = self.group().signal.lock();
        ensure!(
            self.seccomp.may_become(Mode::Strict),
            EINVAL,
            "seccomp: the mode cannot be changed any more"
        );
        self.assign_seccomp(Mode::Strict);
        Ok(())
    }

    fn assign_seccomp(&self, mode: Mode) {
        self.seccomp.mode.store(mode as u8, Ordering::Release);
        self.set_thread_flags(ThreadFlags::SECCOMP);
    }

    /// Whether the calling task may install filters: they must not deceive programs that have more
    /// privileges.
    pub fn may_filter(&self) -> Result<()> {
        let cred = self.cred();
        ensure!(
            self.no_new_privs.load(Ordering::Relaxed)
                || cred.ns_capable(&cred.user_ns, Capability::SYS_ADMIN),
            EACCES,
            "seccomp: neither no_new_privs nor CAP_SYS_ADMIN"
        );
        Ok(())
    }

    /// A filter for the calling task, charged to it; with a listener if `flags` ask for one.
    pub fn prepare_filter(
        &self,
        program: Program,
        flags: FilterFlags,
    ) -> Result<(Arc<FilterBody>, Option<Arc<Listener>>)> {
        let bytes = program.bytes() + size_of::<Filter>();
        let charge = self.kernel().memory.control.charge_kmem(bytes, Item::Slab)?;
        let notification = flags.contains(FilterFlags::NEW_LISTENER).then(|| {
            let first = self.kernel().rng.next_u64();
            Notification::new(first, flags.contains(FilterFlags::WAIT_KILLABLE_RECV))
        });
        let listener = notification.clone().map(Listener::new);
        let body = FilterBody {
            program,
            flags,
            notification,
            charge,
        };
        Ok((Arc::new(body), listener))
    }

    /// Puts a filter on top of the calling task's, and with `TSYNC` of all threads' (Linux's
    /// `seccomp_attach_filter`).
    pub fn attach_filter(self: &Arc<Self>, body: &Arc<FilterBody>) -> Result<Synced> {
        loop {
            ensure!(
                self.seccomp.may_become(Mode::Filter),
                EINVAL,
                "seccomp: the mode cannot be changed any more"
            );
            let own = self.seccomp.filter();
            ensure!(
                body.notification.is_none() || own.as_ref().is_none_or(|own| !own.has_listener()),
                EBUSY,
                "seccomp: the filters have a listener already"
            );
            let chain = Filter::push(own.clone(), body.clone())?;
            if let Some(synced) = self.replace_filter(own.as_ref(), chain, body.flags) {
                return Ok(synced);
            }
        }
    }

    /// Puts `chain` in the place of `own`; `None` if another thread was faster.
    fn replace_filter(
        self: &Arc<Self>,
        own: Option<&Arc<Filter>>,
        chain: Arc<Filter>,
        flags: FilterFlags,
    ) -> Option<Synced> {
        // Dropped after the lock.
        let mut old: SmallVec<[Option<Arc<Filter>>; 8]> = SmallVec::new();
        let state = self.group().signal.lock();
        if self.seccomp.filter.lock().as_ref().map(Arc::as_ptr) != own.map(Arc::as_ptr) {
            return None;
        }
        if flags.contains(FilterFlags::TSYNC) {
            let others = || {
                let all = state.threads.iter();
                all.filter(|thread| !Arc::ptr_eq(thread, self) && !thread.is_exiting())
            };
            if let Some(thread) = others().find(|thread| !thread.seccomp.may_follow(own)) {
                return Some(Synced::Differs(thread.pid().nr_in(self.pid_ns())));
            }
            for thread in others() {
                old.push(thread.seccomp.filter.lock().replace(chain.clone()));
                if self.no_new_privs.load(Ordering::Relaxed) {
                    thread.no_new_privs.store(true, Ordering::Relaxed);
                }
                thread.assign_seccomp(Mode::Filter);
            }
        }
        old.push(self.seccomp.filter.lock().replace(chain));
        self.assign_seccomp(Mode::Filter);
        drop(state);
        Some(Synced::Done)
    }

    /// A child begins with what its parent has. With the parent's `SigHand` lock held, so that no
    /// synchronisation misses the child.
    pub(crate) fn copy_seccomp(&self, parent: &Task) {
        let mode = parent.seccomp.mode();
        if mode == Mode::Disabled {
            return;
        }
        let filter = parent.seccomp.filter();
        *self.seccomp.filter.lock() = filter;
        if parent.no_new_privs.load(Ordering::Relaxed) {
            self.no_new_privs.store(true, Ordering::Relaxed);
        }
        self.assign_seccomp(mode);
    }
}
