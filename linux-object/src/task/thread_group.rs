//! Thread groups: what user space calls a process (Linux's `signal_struct`).
//!
//! Locks: [`Family`] (parents, children, process group, session, exit state) changes under the
//! `TaskSet` lock *and* its own; either is enough to read. [`SigState`] (threads, shared
//! pending signals, stop and exit of the group) has the `SigHand` lock; the list of threads changes only
//! under `TaskSet` and `SigHand`.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};

use smallvec::SmallVec;

use super::signal::{SIG_IGN, SaFlags, SigHand, SigQueue, Signal, SignalSet};
use super::{Accounting, Resource, Rlimit, Rlimits, Session, Task, TaskTree, Usage};
use crate::ids::KoID;
use crate::namespace::PidNamespace;
use crate::sched::SchedGroup;
use crate::sync::{SpinLock, WaitQueue, class};
use crate::task::pid::Pid;
use crate::time::{Ktime, ProcessTimers};

/// Where a process is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExitState {
    /// It has a thread that runs, or that has exited but is not the last.
    Alive,
    /// Its leader has exited, other threads live on (`Z` already, but not to be waited for).
    LeaderExited,
    /// All threads have exited; its parent may wait for it.
    Zombie,
    /// Reaped.
    Dead,
}

/// A process's place among the others.
pub struct Family {
    /// `None` for the first process and once reaped.
    pub parent: Option<Arc<ThreadGroup>>,
    /// Which thread of the parent made it (`__WNOTHREAD`, `PR_SET_PDEATHSIG`).
    pub parent_thread: KoID,
    /// Children by KoID, which is the order of birth.
    pub children: BTreeMap<KoID, Arc<ThreadGroup>>,
    /// The process group.
    pub pgrp: Arc<Pid>,
    /// The session.
    pub session: Arc<Session>,
    /// The thread whose tid is the process's pid.
    pub leader: Option<Arc<Task>>,
    /// Alive, zombie, reaped.
    pub exit_state: ExitState,
}

bitflags::bitflags! {
    /// State of a process as to signals (Linux's `SIGNAL_*`).
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct SignalFlags: u32 {
        /// Every thread has stopped.
        const STOP_STOPPED = 1 << 0;
        /// SIGCONT continued it since `wait4` looked last.
        const STOP_CONTINUED = 1 << 1;
        /// The whole process exits, or is about to.
        const GROUP_EXIT = 1 << 2;
        /// The parent has to be told of a stop.
        const CLD_STOPPED = 1 << 4;
        /// The parent has to be told of a continuation.
        const CLD_CONTINUED = 1 << 5;
        /// The init of a pid namespace: ignores what it has no handler for.
        const UNKILLABLE = 1 << 6;
        /// All that a stop or a continuation replaces.
        const STOP_MASK = Self::STOP_STOPPED.bits() | Self::STOP_CONTINUED.bits() | Self::CLD_STOPPED.bits()
            | Self::CLD_CONTINUED.bits();
    }
}

/// What concerns signals of the whole process.
pub struct SigState {
    /// The threads that are not reaped, in order of birth (the leader first).
    pub threads: SmallVec<[Arc<Task>; 1]>,
    /// Signals for any of them.
    pub shared: SigQueue,
    /// Stop, continue and exit.
    pub flags: SignalFlags,
    /// Wait status of an exiting process, or the signal of a stop.
    pub group_exit_code: i32,
    /// Threads that have not taken part in the stop yet.
    pub group_stop_count: u32,
    /// The thread in `execve` that waits for the others to end.
    pub exec_task: Option<Arc<Task>>,
    /// Threads that have not exited (a zombie leader is in `threads`, but does not count here).
    pub nr_live: u32,
}

/// What the threads of a process share for ever.
pub struct ThreadGroup {
    koid: KoID,
    /// Woken with every change that `wait4` of this process may look for, and when a vfork child
    /// releases it.
    pub wait_child: WaitQueue,
    /// Woken when a signal becomes pending for any thread (signalfd).
    pub signal_queue: WaitQueue,
    /// Threads of it that compute the credentials of a new program; no tracer comes meanwhile.
    pub(super) in_exec: AtomicU32,
    /// Woken when one of those is done.
    pub exec_queue: WaitQueue,
    /// CPU time of its threads.
    pub sched: SchedGroup,
    /// Interval and POSIX timers.
    pub timers: ProcessTimers,
    /// The pid of the leader.
    pub tgid: Arc<Pid>,
    /// Threads and signals.
    pub signal: SpinLock<SigState, class::SigHand>,
    /// Mirror of `signal.shared.set()`, read without the lock.
    pub(super) shared_set: AtomicU64,
    pub(super) sighand: SpinLock<Arc<SigHand>, class::Leaf>,
    pub(super) family: SpinLock<Family, class::Leaf>,
    rlimits: SpinLock<Rlimits, class::Leaf>,
    /// What exited threads used.
    pub dead_threads: Accounting,
    /// What reaped children used (`RUSAGE_CHILDREN`).
    pub dead_children: Accounting,
    /// Sent to the parent when the process ends; 0 is none.
    pub(super) exit_signal: AtomicI32,
    /// `PR_SET_CHILD_SUBREAPER`.
    pub is_subreaper: AtomicBool,
    /// `PR_SET_THP_DISABLE`.
    pub thp_disabled: AtomicBool,
    /// Wait status, once it is a zombie.
    pub(super) exit_code: AtomicI32,
    /// Has called `execve` since it was forked (`setpgid(2)`).
    pub did_exec: AtomicBool,
    /// When it was made.
    pub start_time: Ktime,
    /// `/proc/PID/oom_score_adj`.
    pub oom_score_adj: AtomicI32,
    /// Lowest value an unprivileged writer may set.
    pub oom_score_adj_min: AtomicI32,
    /// Killed for its memory: the v1 freezer holds it no longer.
    pub(super) thawed: AtomicBool,
    /// Bumped by each `execve` (guards `exit_signal` of children against changed parents).
    pub exec_id: AtomicU32,
    /// `exec_id` of the parent when this was forked.
    pub(super) parent_exec_id: AtomicU32,
}

/// What a new group starts with.
pub(super) struct GroupInit {
    pub tgid: Arc<Pid>,
    pub sighand: Arc<SigHand>,
    pub rlimits: Rlimits,
    pub pgrp: Arc<Pid>,
    pub session: Arc<Session>,
    pub exit_signal: i32,
    pub thp_disabled: bool,
    pub start_time: Ktime,
    pub oom_score_adj: (i32, i32),
}

impl ThreadGroup {
    pub(super) fn new(koid: KoID, init: GroupInit) -> Arc<ThreadGroup> {
        Arc::new(ThreadGroup {
            koid,
            wait_child: WaitQueue::new(),
            signal_queue: WaitQueue::new(),
            in_exec: AtomicU32::new(0),
            exec_queue: WaitQueue::new(),
            sched: SchedGroup::new(),
            timers: ProcessTimers::default(),
            tgid: init.tgid,
            signal: SpinLock::new(SigState {
                threads: SmallVec::new(),
                shared: SigQueue::default(),
                flags: SignalFlags::empty(),
                group_exit_code: 0,
                group_stop_count: 0,
                exec_task: None,
                nr_live: 0,
            }),
            shared_set: AtomicU64::new(0),
            sighand: SpinLock::new(init.sighand),
            family: SpinLock::new(Family {
                parent: None,
                parent_thread: KoID(0),
                children: BTreeMap::new(),
                pgrp: init.pgrp,
                session: init.session,
                leader: None,
                exit_state: ExitState::Alive,
            }),
            rlimits: SpinLock::new(init.rlimits),
            dead_threads: Accounting::default(),
            dead_children: Accounting::default(),
            exit_signal: AtomicI32::new(init.exit_signal),
            is_subreaper: AtomicBool::new(false),
            thp_disabled: AtomicBool::new(init.thp_disabled),
            exit_code: AtomicI32::new(0),
            did_exec: AtomicBool::new(false),
            start_time: init.start_time,
            oom_score_adj: AtomicI32::new(init.oom_score_adj.0),
            oom_score_adj_min: AtomicI32::new(init.oom_score_adj.1),
            thawed: AtomicBool::new(false),
            exec_id: AtomicU32::new(0),
            parent_exec_id: AtomicU32::new(0),
        })
    }

    /// Its identity.
    pub fn koid(&self) -> KoID {
        self.koid
    }
    /// The pid namespace that it lives in.
    pub fn pid_ns(&self) -> &Arc<PidNamespace> {
        self.tgid.ns()
    }
    /// The leader; a zombie leader too, `None` only once reaped.
    pub fn leader(&self) -> Option<Arc<Task>> {
        self.family.lock().leader.clone()
    }
    /// The parent process.
    pub fn parent(&self) -> Option<Arc<ThreadGroup>> {
        self.family.lock().parent.clone()
    }
    /// The thread of the parent that made it.
    pub fn parent_thread(&self) -> KoID {
        self.family.lock().parent_thread
    }
    /// The process group.
    pub fn pgrp(&self) -> Arc<Pid> {
        self.family.lock().pgrp.clone()
    }
    /// The session.
    pub fn session(&self) -> Arc<Session> {
        self.family.lock().session.clone()
    }
    /// Whether its leader leads its session.
    pub fn is_session_leader(&self) -> bool {
        Arc::ptr_eq(self.family.lock().session.sid(), &self.tgid)
    }
    /// Where it is in its life.
    pub fn exit_state(&self) -> ExitState {
        self.family.lock().exit_state
    }
    /// The children, oldest first.
    pub fn children(&self) -> SmallVec<[Arc<ThreadGroup>; 4]> {
        self.family.lock().children.values().cloned().collect()
    }
    /// The threads, oldest first.
    pub fn threads(&self) -> SmallVec<[Arc<Task>; 4]> {
        self.signal.lock().threads.iter().cloned().collect()
    }
    /// What `f` finds first with a thread, oldest first. Needs no memory and holds no lock meanwhile. No thread is
    /// left out that lives all the time; where one is reaped during the search, `f` may see others twice.
    pub fn find_thread<R>(&self, mut f: impl FnMut(&Arc<Task>) -> Option<R>) -> Option<R> {
        let mut last: Option<Arc<Task>> = None;
        let mut at = 0;
        loop {
            let task = {
                let state = self.signal.lock();
                let stands = |last: &Arc<Task>| {
                    state
                        .threads
                        .get(at - 1)
                        .is_some_and(|task| Arc::ptr_eq(task, last))
                };
                if !last.as_ref().is_none_or(stands) {
                    at = 0;
                }
                state.threads.get(at).cloned()?
            };
            if let Some(found) = f(&task) {
                return Some(found);
            }
            at += 1;
            last = Some(task);
        }
    }
    /// How many threads there are, a zombie leader included.
    pub fn nr_threads(&self) -> usize {
        self.signal.lock().threads.len()
    }
    /// Whether all of it exits or has exited.
    pub fn is_exiting(&self) -> bool {
        self.signal.lock().flags.contains(SignalFlags::GROUP_EXIT)
    }
    /// Wait status of a zombie.
    pub fn exit_code(&self) -> i32 {
        self.exit_code.load(Ordering::Relaxed)
    }
    /// The signal for the parent at its end.
    pub fn exit_signal(&self) -> Option<Signal> {
        Signal::new(self.exit_signal.load(Ordering::Relaxed) as u32)
    }
    /// The signal actions.
    pub fn sighand(&self) -> Arc<SigHand> {
        self.sighand.lock().clone()
    }
    /// Whether its children vanish when they end: it ignores SIGCHLD, or has `SA_NOCLDWAIT`.
    pub(super) fn ignores_children(&self) -> bool {
        let action = self.sighand().get(Signal::CHLD);
        action.handler == SIG_IGN || action.flags.contains(SaFlags::NOCLDWAIT)
    }
    /// Signals pending for any thread.
    pub fn shared_pending(&self) -> SignalSet {
        SignalSet(self.shared_set.load(Ordering::SeqCst))
    }

    /// One resource limit.
    pub fn rlimit(&self, resource: Resource) -> Rlimit {
        self.rlimits.lock()[resource]
    }
    /// All of them.
    pub fn rlimits(&self) -> Rlimits {
        *self.rlimits.lock()
    }
    /// Changes a limit under the lock: `f` sees the old one and answers with the new one.
    pub fn update_rlimit<E>(
        &self,
        resource: Resource,
        f: impl FnOnce(Rlimit) -> Result<Rlimit, E>,
    ) -> Result<Rlimit, E> {
        let mut rlimits = self.rlimits.lock();
        let old = rlimits[resource];
        rlimits[resource] = f(old)?;
        Ok(old)
    }

    /// What all its threads used, the exited ones included (`RUSAGE_SELF`).
    pub fn usage(&self) -> Usage {
        let state = self.signal.lock();
        let mut sum = self.dead_threads.read();
        for task in &state.threads {
            sum.add(&task.usage());
        }
        sum
    }

    /// Changes the place among the others.
    pub(super) fn family(&self, _tree: &mut TaskTree) -> crate::sync::SpinGuard<'_, Family, class::Leaf> {
        self.family.lock()
    }
}
