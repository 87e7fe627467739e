//! Pids (Linux's `struct pid`): what is named by a number in each pid namespace.
//!
//! Model: a [`Pid`] has one number in the pid namespace it was made in and one in each ancestor.
//! It may name a task, a thread group, a process group and a session at once; it lives as
//! long as any of them or a handle (pidfd, procfs inode, `F_SETOWN`), and its numbers are free again
//! when nothing is attached to it. A handle never reaches a later task that was given the
//! same number.
//!
//! Locks: what is attached changes under the `TaskSet` lock *and* the pid's own lock; either is
//! enough to read.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use smallvec::SmallVec;

use crate::ids::{KoID, PidNr};
use crate::namespace::PidNamespace;
use crate::sync::{SpinLock, WaitQueue, class};
use crate::task::task_set::TaskTree;
use crate::task::{Task, ThreadGroup};

/// Numbers by level; processes in the initial namespace need no allocation.
pub type Numbers = SmallVec<[PidNr; 4]>;

/// What a pid names.
#[derive(Default)]
struct Attached {
    task: Option<Arc<Task>>,
    group: Option<Arc<ThreadGroup>>,
    pgrp: BTreeMap<KoID, Arc<ThreadGroup>>,
    session: BTreeMap<KoID, Arc<ThreadGroup>>,
}

impl Attached {
    fn is_empty(&self) -> bool {
        self.task.is_none() && self.group.is_none() && self.pgrp.is_empty() && self.session.is_empty()
    }
}

/// An object with a number in every pid namespace from its own up to the initial one.
pub struct Pid {
    koid: KoID,
    ns: Arc<PidNamespace>,
    /// From the initial namespace (index 0) down to its own.
    numbers: Numbers,
    attached: SpinLock<Attached, class::Leaf>,
    /// Woken when the thread group that it names exits (pidfd poll).
    pub exit_queue: WaitQueue,
}

impl Pid {
    /// A pid with these numbers, from the initial namespace down to `ns`.
    pub fn new(koid: KoID, ns: Arc<PidNamespace>, numbers: Numbers) -> Pid {
        debug_assert_eq!(numbers.len(), ns.level() as usize + 1);
        Pid {
            koid,
            ns,
            numbers,
            attached: SpinLock::new(Attached::default()),
            exit_queue: WaitQueue::new(),
        }
    }
    /// Its identity.
    pub fn koid(&self) -> KoID {
        self.koid
    }
    /// The namespace it was made in.
    pub fn ns(&self) -> &Arc<PidNamespace> {
        &self.ns
    }
    /// Its numbers from the initial namespace down (`NSpid` of `/proc/PID/status`).
    pub fn numbers(&self) -> &[PidNr] {
        &self.numbers
    }
    /// Its number in `ns`, 0 where it is not visible (Linux's `pid_nr_ns`).
    #[inline]
    pub fn nr_in(&self, ns: &PidNamespace) -> PidNr {
        match self.numbers.get(ns.level() as usize) {
            Some(nr) if self.ns.koid() == ns.koid() || ns.is_ancestor_of(&self.ns) => *nr,
            _ => PidNr(0),
        }
    }
    /// Its number in the namespace it was made in.
    #[inline]
    pub fn own_nr(&self) -> PidNr {
        self.numbers[self.numbers.len() - 1]
    }
    /// Its number in the initial namespace.
    pub fn global_nr(&self) -> PidNr {
        self.numbers[0]
    }
    /// Whether it is pid 1 of its namespace.
    pub fn is_child_reaper(&self) -> bool {
        self.own_nr() == PidNr(1)
    }

    /// The task that it names.
    pub fn task(&self) -> Option<Arc<Task>> {
        self.attached.lock().task.clone()
    }
    /// The thread group whose leader it names.
    pub fn group(&self) -> Option<Arc<ThreadGroup>> {
        self.attached.lock().group.clone()
    }
    /// Whether it names a process group.
    pub fn has_pgrp(&self) -> bool {
        !self.attached.lock().pgrp.is_empty()
    }
    /// Whether it names a session.
    pub fn has_session(&self) -> bool {
        !self.attached.lock().session.is_empty()
    }
    /// The members of the process group that it names, oldest first.
    pub fn pgrp_members(&self) -> Vec<Arc<ThreadGroup>> {
        self.attached.lock().pgrp.values().cloned().collect()
    }
    /// The members of the session that it names, oldest first.
    pub fn session_members(&self) -> Vec<Arc<ThreadGroup>> {
        self.attached.lock().session.values().cloned().collect()
    }

    /// Names `task` from now on (in place of another one when a thread takes over by `execve`).
    pub(super) fn attach_task(&self, _tree: &mut TaskTree, task: Arc<Task>) {
        let old = self.attached.lock().task.replace(task);
        drop(old);
    }
    /// Names `group` as a process.
    pub(super) fn attach_group(&self, _tree: &mut TaskTree, group: Arc<ThreadGroup>) {
        let old = self.attached.lock().group.replace(group);
        drop(old);
    }
    /// `group` joins the process group.
    pub(super) fn attach_pgrp(&self, _tree: &mut TaskTree, group: Arc<ThreadGroup>) {
        self.attached.lock().pgrp.insert(group.koid(), group);
    }
    /// `group` joins the session.
    pub(super) fn attach_session(&self, _tree: &mut TaskTree, group: Arc<ThreadGroup>) {
        self.attached.lock().session.insert(group.koid(), group);
    }
    /// Stops naming `task`, if it does.
    pub(super) fn detach_task(&self, _tree: &mut TaskTree, task: &Arc<Task>) {
        self.detach(|attached| match &attached.task {
            Some(named) if Arc::ptr_eq(named, task) => (attached.task.take(), None),
            _ => (None, None),
        });
    }
    /// Stops naming a process.
    pub(super) fn detach_group(&self, _tree: &mut TaskTree) {
        self.detach(|attached| (None, attached.group.take()));
    }
    /// `group` leaves the process group.
    pub(super) fn detach_pgrp(&self, _tree: &mut TaskTree, group: &ThreadGroup) {
        self.detach(|attached| (None, attached.pgrp.remove(&group.koid())));
    }
    /// `group` leaves the session.
    pub(super) fn detach_session(&self, _tree: &mut TaskTree, group: &ThreadGroup) {
        self.detach(|attached| (None, attached.session.remove(&group.koid())));
    }

    fn detach(&self, f: impl FnOnce(&mut Attached) -> (Option<Arc<Task>>, Option<Arc<ThreadGroup>>)) {
        let (gone, unused) = {
            let mut attached = self.attached.lock();
            let gone = f(&mut attached);
            (gone, attached.is_empty())
        };
        drop(gone);
        if unused {
            self.ns.free_numbers(&self.numbers);
        }
    }
}
