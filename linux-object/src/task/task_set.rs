//! All tasks, and the lock over the process tree (Linux's `tasklist_lock`).
//!
//! The lock's content is a token: functions that change parents, children, thread lists, process
//! groups, sessions or what a pid names take `&mut TaskTree`, which only the lock can lend.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicI32, AtomicU64, AtomicUsize, Ordering};

use super::pid_map::PID_MAX_LIMIT;
use crate::ids::PidNr;
use crate::namespace::PidNamespace;
use crate::sync::{SpinGuard, SpinLock, class};
use crate::task::pid::Pid;
use crate::task::{Task, ThreadGroup};

/// Proof that the process tree may be changed.
pub struct TaskTree(());

/// The set of tasks.
pub struct TaskSet {
    tree: SpinLock<TaskTree, class::TaskSet>,
    /// Tasks that exist, zombies included.
    nr_threads: AtomicUsize,
    /// Tasks ever made (`processes` of `/proc/stat`).
    total_forks: AtomicU64,
    /// `/proc/sys/kernel/threads-max`.
    threads_max: AtomicUsize,
    /// `/proc/sys/kernel/pid_max`.
    pid_max: AtomicI32,
}

impl TaskSet {
    /// No tasks; `threads_max` from the size of memory.
    pub fn new(threads_max: usize, nr_cpus: usize) -> TaskSet {
        let pid_max = 32768.max(1024 * nr_cpus as i32).min(PID_MAX_LIMIT);
        TaskSet {
            tree: SpinLock::new(TaskTree(())),
            nr_threads: AtomicUsize::new(0),
            total_forks: AtomicU64::new(0),
            threads_max: AtomicUsize::new(threads_max),
            pid_max: AtomicI32::new(pid_max),
        }
    }
    /// Locks the process tree.
    pub fn lock(&self) -> SpinGuard<'_, TaskTree, class::TaskSet> {
        self.tree.lock()
    }
    /// Tasks that exist.
    pub fn nr_threads(&self) -> usize {
        self.nr_threads.load(Ordering::Relaxed)
    }
    /// Tasks ever made.
    pub fn total_forks(&self) -> u64 {
        self.total_forks.load(Ordering::Relaxed)
    }
    /// How many tasks there may be.
    pub fn threads_max(&self) -> usize {
        self.threads_max.load(Ordering::Relaxed)
    }
    /// Sets it.
    pub fn set_threads_max(&self, max: usize) {
        self.threads_max.store(max, Ordering::Relaxed);
    }
    /// Numbers are given below this one.
    pub fn pid_max(&self) -> i32 {
        self.pid_max.load(Ordering::Relaxed)
    }
    /// Sets it; the caller has checked the range 301..=[`PID_MAX_LIMIT`].
    pub fn set_pid_max(&self, max: i32) {
        self.pid_max.store(max, Ordering::Relaxed);
    }

    pub(super) fn count_task(&self) {
        self.nr_threads.fetch_add(1, Ordering::Relaxed);
        self.total_forks.fetch_add(1, Ordering::Relaxed);
    }
    pub(super) fn uncount_task(&self) {
        self.nr_threads.fetch_sub(1, Ordering::Relaxed);
    }

    /// What `nr` names in `ns`.
    pub fn find_pid(&self, ns: &PidNamespace, nr: PidNr) -> Option<Arc<Pid>> {
        ns.find(nr)
    }
    /// The task that `ns` knows by `nr` (Linux's `find_task_by_pid_ns`).
    pub fn find_task(&self, ns: &PidNamespace, nr: PidNr) -> Option<Arc<Task>> {
        ns.find(nr)?.task()
    }
    /// The process that `ns` knows by `nr`.
    pub fn find_group(&self, ns: &PidNamespace, nr: PidNr) -> Option<Arc<ThreadGroup>> {
        ns.find(nr)?.group()
    }
    /// Visits every process that `ns` sees, in the order of its numbers, with its number. The
    /// visitor runs without locks; processes that come or go meanwhile may be missed.
    pub fn for_each_group(&self, ns: &PidNamespace, mut f: impl FnMut(PidNr, &Arc<ThreadGroup>)) {
        let mut from = PidNr(1);
        while let Some((nr, pid)) = ns.next_from(from) {
            if let Some(group) = pid.group() {
                f(nr, &group);
            }
            from = PidNr(nr.0 + 1);
        }
    }
}
