//! One task as the scheduler sees it.
//!
//! The *word* holds the task's state together with two bits: `ON_RQ` (it is in a run queue, or on
//! the way there in the hands of exactly one waker) and `ON_CPU` (a CPU still uses its stack).
//! All of the protocol against lost wake-ups is in the transitions of this one word:
//!
//! - The task sets a sleeping state with [`SchedTask::set_state`], then looks at its condition, then
//!   calls `schedule`.
//! - A waker changes sleeping → Running. If either bit is set it is done: with `ON_RQ` the task
//!   has not left its queue and never will; with only `ON_CPU` the CPU that is switching away
//!   finds it Running without `ON_RQ` when it clears `ON_CPU`, and enqueues it. With neither bit the
//!   waker sets `ON_RQ` in the same step and enqueues it.
//! - `schedule` clears `ON_RQ` only if the state is not Running, in one step.
//!
//! So nobody ever spins for another CPU's switch, and exactly one party enqueues.
//!
//! A task that is *throttled* ([`bandwidth`](super::bandwidth)) is parked in its run queue: its state
//! is none of those that a waker ends. It gets into and out of this state only under the lock of the
//! run queue of `cpu`, which says where it is.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};

use super::fair::Entity;
use super::weight::{IDLE_WEIGHT, nice_to_weight};
use super::{Accounts, CpuMask, Policy, TaskGroup};
use crate::hal::UserClock;
use crate::ids::CpuId;
use crate::sync::{SpinLock, class};
use crate::task::TaskState;

const STATE: u32 = 0xff;
/// State of a task that was never started: no signal wakes it.
const NEW: u32 = 6;
/// State of a runnable task that waits for bandwidth.
const THROTTLED: u32 = 7;
const ON_RQ: u32 = 1 << 8;
const ON_CPU: u32 = 1 << 9;

bitflags::bitflags! {
    /// States that a wake-up ends.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct StateMask: u32 {
        /// Sleeps that any signal ends.
        const INTERRUPTIBLE = 1 << TaskState::Interruptible as u32;
        /// Sleeps that only a fatal signal ends.
        const KILLABLE = 1 << TaskState::Killable as u32;
        /// Job control.
        const STOPPED = 1 << TaskState::Stopped as u32;
        /// Stopped for a tracer.
        const TRACED = 1 << TaskState::Traced as u32;
        /// Not started yet.
        const NEW = 1 << NEW;
        /// Both kinds of sleep (Linux's `TASK_NORMAL`).
        const NORMAL = Self::INTERRUPTIBLE.bits() | Self::KILLABLE.bits();
    }
}

/// What a waker has to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wake {
    /// The task was in none of the states.
    No,
    /// It runs on.
    Done,
    /// The caller must enqueue it.
    Enqueue,
}

/// Scheduling parameters of a task (`sched(7)`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SchedParams {
    /// The policy.
    pub policy: Policy,
    /// Real-time priority 1..=99, 0 for other policies.
    pub rt_priority: u8,
    /// Nice level; kept while the policy is a real-time one.
    pub nice: i8,
    /// Children start with `SCHED_OTHER` and nice 0 at most.
    pub reset_on_fork: bool,
}

impl Default for SchedParams {
    fn default() -> Self {
        SchedParams {
            policy: Policy::Other,
            rt_priority: 0,
            nice: 0,
            reset_on_fork: false,
        }
    }
}

impl SchedParams {
    /// The priority as Linux counts (`normal_prio`): 0 is the most urgent, 98 the least urgent real-time
    /// one, then nice levels from 100 on.
    pub fn normal_prio(&self) -> u8 {
        match self.policy {
            Policy::Fifo | Policy::Rr => 99 - self.rt_priority,
            _ => (120 + i16::from(self.nice)) as u8,
        }
    }
    /// The scaled weight in a fair queue.
    pub fn weight(&self) -> u64 {
        match self.policy {
            Policy::Idle => IDLE_WEIGHT,
            _ => nice_to_weight(self.nice.into()),
        }
    }
}

/// CPU time in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CpuTimes {
    /// In user mode.
    pub user: u64,
    /// In the kernel.
    pub system: u64,
}

impl CpuTimes {
    /// Both.
    pub fn total(self) -> u64 {
        self.user + self.system
    }
}

/// The scheduler's part of a task.
pub struct SchedTask {
    word: AtomicU32,
    cpu: AtomicU32,
    /// Its place in a fair queue.
    pub(super) entity: Entity,
    /// Serialises wake-ups that enqueue with changes of parameters (Linux's `pi_lock`).
    pub(super) params: SpinLock<SchedParams, class::SchedTask>,
    policy: AtomicU8,
    rt_priority: AtomicU8,
    /// The real-time priority inherited from those who wait for it, 0 for none. Changed under `params`.
    boost: AtomicU8,
    /// What the task asked for.
    affinity: AtomicU64,
    group: SpinLock<Arc<TaskGroup>, class::Leaf>,
    group_slot: AtomicU32,
    accounts: SpinLock<Arc<Accounts>, class::Leaf>,
    /// The address of `accounts`, to compare.
    accounts_at: AtomicUsize,
    /// It is on its way to user mode and holds nothing: it may be throttled.
    boundary: AtomicBool,
    /// While it is throttled: the group that it waits for and its place among those that do.
    pub(super) parked_slot: AtomicU32,
    pub(super) parked_at: AtomicU32,
    /// The task never ran: a newcomer's placement.
    pub(super) fresh: AtomicBool,
    /// Time used since the RR slice began.
    pub(super) rr_used: AtomicU64,
    sum_exec: AtomicU64,
    /// `sum_exec` when it last woke up, or became a real-time task.
    rt_since: AtomicU64,
    /// Time in user mode: what has been charged, in nanoseconds, and what the machine counts.
    user: AtomicU64,
    user_clock: UserClock,
}

impl SchedTask {
    /// A task that does not run yet, `SCHED_OTHER` at nice 0, in this group.
    pub fn new(group: Arc<TaskGroup>) -> SchedTask {
        SchedTask::with_params(group, Arc::default(), SchedParams::default(), CpuMask::ALL)
    }
    /// The same, charging its time to these accounts.
    pub fn new_in(group: Arc<TaskGroup>, accounts: Arc<Accounts>) -> SchedTask {
        SchedTask::with_params(group, accounts, SchedParams::default(), CpuMask::ALL)
    }

    /// A child's scheduling state (`fork`): what its parent has, but for reset-on-fork.
    pub fn fork(parent: &SchedTask) -> SchedTask {
        let mut params = *parent.params.lock();
        if params.reset_on_fork {
            params = SchedParams {
                policy: match params.policy {
                    Policy::Fifo | Policy::Rr => Policy::Other,
                    other => other,
                },
                rt_priority: 0,
                nice: params.nice.max(0),
                reset_on_fork: false,
            };
        }
        let child = SchedTask::with_params(parent.group(), parent.accounts(), params, parent.affinity());
        child.set_cpu(parent.cpu());
        child.entity.set_vruntime(parent.entity.vruntime());
        child
    }

    fn with_params(
        group: Arc<TaskGroup>,
        accounts: Arc<Accounts>,
        params: SchedParams,
        affinity: CpuMask,
    ) -> SchedTask {
        SchedTask {
            word: AtomicU32::new(NEW),
            cpu: AtomicU32::new(0),
            entity: Entity::new(params.weight()),
            params: SpinLock::new(params),
            policy: AtomicU8::new(params.policy as u8),
            rt_priority: AtomicU8::new(params.rt_priority),
            boost: AtomicU8::new(0),
            affinity: AtomicU64::new(affinity.0),
            group_slot: AtomicU32::new(group.slot()),
            group: SpinLock::new(group),
            accounts_at: AtomicUsize::new(Arc::as_ptr(&accounts) as usize),
            accounts: SpinLock::new(accounts),
            boundary: AtomicBool::new(false),
            parked_slot: AtomicU32::new(0),
            parked_at: AtomicU32::new(0),
            fresh: AtomicBool::new(true),
            rr_used: AtomicU64::new(0),
            sum_exec: AtomicU64::new(0),
            rt_since: AtomicU64::new(0),
            user: AtomicU64::new(0),
            user_clock: UserClock::default(),
        }
    }

    // ---- the word ----

    /// Whether it runs, sleeps, …
    pub fn state(&self) -> TaskState {
        state_of(self.word.load(Ordering::Relaxed))
    }
    /// Sets the state of the running task itself. Everything stored before a waker's look at the
    /// state is seen after this (sequentially consistent).
    #[inline]
    pub fn set_state(&self, state: TaskState) {
        self.word.swap(state as u32 | ON_RQ | ON_CPU, Ordering::SeqCst);
    }
    /// Whether a CPU uses its stack.
    pub fn on_cpu(&self) -> bool {
        self.word.load(Ordering::Acquire) & ON_CPU != 0
    }
    /// Whether it runs or waits in a run queue.
    pub fn on_rq(&self) -> bool {
        self.word.load(Ordering::Acquire) & ON_RQ != 0
    }

    pub(super) fn try_wake(&self, mask: StateMask) -> Wake {
        fence(Ordering::SeqCst);
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            if mask.bits() & (1 << (word & STATE)) == 0 {
                return Wake::No;
            }
            let here = word & (ON_RQ | ON_CPU);
            let new = TaskState::Running as u32 | if here == 0 { ON_RQ } else { here };
            match self
                .word
                .compare_exchange_weak(word, new, Ordering::SeqCst, Ordering::Acquire)
            {
                Ok(_) if here == 0 => return Wake::Enqueue,
                Ok(_) => return Wake::Done,
                Err(now) => word = now,
            }
        }
    }

    /// Leaves the run queue if the state says so.
    pub(super) fn try_block(&self) -> bool {
        let mut word = self.word.load(Ordering::Acquire);
        while word & STATE != TaskState::Running as u32 {
            match self
                .word
                .compare_exchange_weak(word, word & !ON_RQ, Ordering::SeqCst, Ordering::Acquire)
            {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
        false
    }

    /// Takes a runnable task out of its queue for another CPU. True: it does not run, the caller
    /// enqueues it. False: its CPU will, when it has switched away.
    pub(super) fn detach(&self) -> bool {
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            if word & ON_CPU == 0 {
                return true;
            }
            match self
                .word
                .compare_exchange_weak(word, word & !ON_RQ, Ordering::SeqCst, Ordering::Acquire)
            {
                Ok(_) => return false,
                Err(now) => word = now,
            }
        }
    }

    pub(super) fn enter_cpu(&self) {
        self.word.fetch_or(ON_CPU, Ordering::Acquire);
    }

    /// The CPU has left its stack. Returns whether the caller must enqueue it.
    pub(super) fn leave_cpu(&self) -> bool {
        let word = self.word.fetch_and(!ON_CPU, Ordering::SeqCst);
        let enqueue = word & ON_RQ == 0 && word & STATE == TaskState::Running as u32;
        if enqueue {
            self.word.fetch_or(ON_RQ, Ordering::SeqCst);
        }
        enqueue
    }

    // ---- throttling ----

    /// Whether it may be throttled where it is now: on its way to user mode.
    pub(super) fn at_boundary(&self) -> bool {
        self.boundary.load(Ordering::Relaxed)
    }
    pub(super) fn set_boundary(&self, there: bool) {
        self.boundary.store(there, Ordering::Relaxed);
    }
    /// Whether it waits for bandwidth.
    pub fn is_throttled(&self) -> bool {
        self.word.load(Ordering::SeqCst) & STATE == THROTTLED
    }
    /// Makes a runnable task a throttled one.
    pub(super) fn throttle(&self) -> bool {
        self.swap_word(TaskState::Running as u32 | ON_RQ, THROTTLED)
    }
    /// Makes a throttled task runnable; the caller enqueues it where it was.
    pub(super) fn unthrottle(&self) -> bool {
        self.swap_word(THROTTLED, TaskState::Running as u32 | ON_RQ)
    }
    /// Exchanges all but `ON_CPU`.
    fn swap_word(&self, from: u32, to: u32) -> bool {
        let mut word = self.word.load(Ordering::Acquire);
        while word & !ON_CPU == from {
            match self.word.compare_exchange_weak(
                word,
                to | word & ON_CPU,
                Ordering::SeqCst,
                Ordering::Acquire,
            ) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
        false
    }

    // ---- parameters ----

    /// The CPU it runs or ran on.
    pub fn cpu(&self) -> CpuId {
        CpuId(self.cpu.load(Ordering::Relaxed))
    }
    pub(super) fn set_cpu(&self, cpu: CpuId) {
        self.cpu.store(cpu.0, Ordering::Relaxed);
    }
    /// Its parameters.
    pub fn params(&self) -> SchedParams {
        *self.params.lock()
    }
    pub(super) fn policy(&self) -> Policy {
        Policy::from_nr(self.policy.load(Ordering::Relaxed).into()).unwrap_or(Policy::Other)
    }
    pub(super) fn rt_priority(&self) -> u8 {
        self.rt_priority.load(Ordering::Relaxed)
    }
    /// Whether its policy is a real-time one.
    pub fn is_real_time(&self) -> bool {
        matches!(self.policy(), Policy::Fifo | Policy::Rr)
    }
    /// The priority that it inherits, 0 for none.
    pub(super) fn boost(&self) -> u8 {
        self.boost.load(Ordering::Relaxed)
    }
    pub(super) fn set_boost(&self, priority: u8) {
        self.boost.store(priority, Ordering::Relaxed);
    }
    /// Installs parameters, while the task is in no queue or its run queue is locked. With a higher
    /// inherited priority it runs by that, in turns only if it does so by itself.
    pub(super) fn install(&self, params: &SchedParams) {
        if !self.is_real_time() {
            self.begin_rt_time();
        }
        let boost = self.boost();
        let policy = match params.policy {
            _ if boost <= params.rt_priority => params.policy,
            Policy::Rr => Policy::Rr,
            _ => Policy::Fifo,
        };
        self.policy.store(policy as u8, Ordering::Relaxed);
        self.rt_priority
            .store(boost.max(params.rt_priority), Ordering::Relaxed);
        self.entity.set_weight(params.weight());
    }
    /// CPUs it may use.
    pub fn affinity(&self) -> CpuMask {
        CpuMask(self.affinity.load(Ordering::Relaxed))
    }
    pub(super) fn set_affinity(&self, mask: CpuMask) {
        self.affinity.store(mask.0, Ordering::Relaxed);
    }
    /// Its group.
    pub fn group(&self) -> Arc<TaskGroup> {
        self.group.lock().clone()
    }
    pub(super) fn group_slot(&self) -> usize {
        self.group_slot.load(Ordering::Relaxed) as usize
    }
    pub(super) fn set_group(&self, group: Arc<TaskGroup>) -> Arc<TaskGroup> {
        self.group_slot.store(group.slot(), Ordering::Relaxed);
        core::mem::replace(&mut *self.group.lock(), group)
    }

    /// Whether it is in this group already, and its time goes to these accounts.
    pub(super) fn is_in(&self, group: &TaskGroup, accounts: &Arc<Accounts>) -> bool {
        self.group_slot() == group.slot() as usize && self.accounts_at() == Arc::as_ptr(accounts) as usize
    }

    // ---- accounting ----

    /// Where its time is charged.
    pub fn accounts(&self) -> Arc<Accounts> {
        self.accounts.lock().clone()
    }
    pub(super) fn accounts_at(&self) -> usize {
        self.accounts_at.load(Ordering::Relaxed)
    }
    pub(super) fn set_accounts(&self, accounts: Arc<Accounts>) -> Arc<Accounts> {
        self.accounts_at
            .store(Arc::as_ptr(&accounts) as usize, Ordering::Relaxed);
        core::mem::replace(&mut *self.accounts.lock(), accounts)
    }

    /// Counts the cycles that it spends in user mode.
    #[inline]
    pub fn user_clock(&self) -> &UserClock {
        &self.user_clock
    }
    /// Adds time used; `user` is all of its time in user mode up to now. Returns how much of that is
    /// new since the last charge.
    pub(super) fn charge(&self, delta: u64, user: u64) -> u64 {
        let sum = self.sum_exec.load(Ordering::Relaxed) + delta;
        self.sum_exec.store(sum, Ordering::Relaxed);
        let before = self.user.load(Ordering::Relaxed);
        let user = user.max(before);
        self.user.store(user, Ordering::Relaxed);
        user - before
    }
    /// A real-time task comes back from a sleep.
    pub(super) fn begin_rt_time(&self) {
        self.rt_since
            .store(self.sum_exec.load(Ordering::Relaxed), Ordering::Relaxed);
    }
    /// Nanoseconds that it has used as a real-time task since it slept (`RLIMIT_RTTIME`); 0 for others.
    pub fn rt_time(&self) -> u64 {
        match self.is_real_time() {
            true => self.sum_exec.load(Ordering::Relaxed) - self.rt_since.load(Ordering::Relaxed),
            false => 0,
        }
    }
    /// Time charged so far; what a running task has used since its last charge is not in it
    /// (`Scheduler::cpu_times` adds it).
    pub fn charged(&self) -> CpuTimes {
        let sum = self.sum_exec.load(Ordering::Relaxed);
        let user = self.user.load(Ordering::Relaxed).min(sum);
        CpuTimes {
            user,
            system: sum - user,
        }
    }
}

fn state_of(word: u32) -> TaskState {
    match word & STATE {
        0 => TaskState::Running,
        1 => TaskState::Interruptible,
        2 => TaskState::Killable,
        3 => TaskState::Stopped,
        8 => TaskState::Traced,
        4 => TaskState::Zombie,
        NEW | THROTTLED => TaskState::Running,
        _ => TaskState::Dead,
    }
}
