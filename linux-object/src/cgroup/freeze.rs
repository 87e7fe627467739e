//! `cgroup.freeze` (`cgroup-v2.rst`): all tasks of a subtree stop, can be killed and traced, and
//! move in and out.
//!
//! Model: a cgroup is to freeze if it or an ancestor says so (`FREEZE`). Its tasks are asked for it like for
//! a stop by job control; each counts itself as frozen once it sleeps (`enter_frozen`), as do tasks that job control
//! has stopped and parents in `vfork`. The cgroup *is* frozen (`FROZEN`, in `cgroup.events`) when it is to freeze,
//! all its tasks are frozen and all its children are.
//!
//! Locks: the counts change under `class::CgroupState`. `FREEZE` is set before the sets of tasks are
//! visited, one lock after the other; a birth looks at it under the lock of its set. So no task is missed.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use super::{Cgroup, CgroupFlags, CgroupMembership};
use crate::task::Task;

impl Cgroup {
    /// What `cgroup.freeze` shows.
    pub fn is_freezing_self(&self) -> bool {
        self.freeze_self.load(Ordering::Relaxed)
    }

    /// Looks again whether it is frozen, and tells its ancestors. `CgroupState` is locked.
    pub(super) fn update_frozen(self: &Arc<Cgroup>) {
        let mut at = self;
        loop {
            let state = &at.state;
            let frozen = at.flags().contains(CgroupFlags::FREEZE)
                && state.frozen_tasks.load(Ordering::SeqCst) == state.tasks.load(Ordering::SeqCst)
                && state.frozen_children.load(Ordering::SeqCst) == state.nr_children.load(Ordering::SeqCst);
            if frozen == at.flags().contains(CgroupFlags::FROZEN) {
                return;
            }
            at.set_flags(CgroupFlags::FROZEN, frozen);
            at.notify("cgroup.events");
            let Some(parent) = at.parent() else { return };
            if at.is_dead() {
                return;
            }
            if frozen {
                parent.state.frozen_children.fetch_add(1, Ordering::SeqCst);
            } else {
                parent.state.frozen_children.fetch_sub(1, Ordering::SeqCst);
            }
            at = parent;
        }
    }

    /// What a new cgroup has from its parent.
    pub(super) fn inherit(&self, parent: &Cgroup) {
        let inherited = CgroupFlags::NOTIFY_ON_RELEASE | CgroupFlags::CLONE_CHILDREN | CgroupFlags::FREEZE;
        self.set_flags(parent.flags() & inherited, true);
    }
    /// It counts among its parent's children.
    pub(super) fn joins_parent(self: &Arc<Cgroup>, parent: &Arc<Cgroup>) {
        let _state = self.hierarchy().shared.state.lock();
        parent.state.nr_children.fetch_add(1, Ordering::SeqCst);
        self.update_frozen();
        parent.update_frozen();
    }
    /// It does no more.
    pub(super) fn leaves_parent(self: &Arc<Cgroup>, parent: &Arc<Cgroup>) {
        let _state = self.hierarchy().shared.state.lock();
        if self.flags().contains(CgroupFlags::FROZEN) {
            parent.state.frozen_children.fetch_sub(1, Ordering::SeqCst);
        }
        parent.state.nr_children.fetch_sub(1, Ordering::SeqCst);
        parent.update_frozen();
        parent.check_for_release();
    }

    /// A task was born into it; its set is locked. A cgroup that is frozen stays so: the child freezes before it
    /// comes to user mode, and counts itself then.
    pub(super) fn count_child(self: &Arc<Cgroup>, child: &Arc<Task>) {
        self.state.tasks.fetch_add(1, Ordering::SeqCst);
        child.ask_to_freeze(self.flags().contains(CgroupFlags::FREEZE));
    }
    /// A task of cgroup2 came (or left); its set is locked.
    pub(super) fn count_task(self: &Arc<Cgroup>, task: &Arc<Task>, comes: bool) {
        let count = |counter: &core::sync::atomic::AtomicU32| {
            if comes {
                counter.fetch_add(1, Ordering::SeqCst);
            } else {
                counter.fetch_sub(1, Ordering::SeqCst);
            }
        };
        count(&self.state.tasks);
        let freeze = self.flags().contains(CgroupFlags::FREEZE);
        if comes {
            task.ask_to_freeze(freeze);
        }
        if freeze || task.is_frozen() {
            let _state = self.hierarchy().shared.state.lock();
            if task.is_frozen() {
                count(&self.state.frozen_tasks);
            }
            self.update_frozen();
        }
    }
}

impl CgroupMembership {
    /// A write to `cgroup.freeze`.
    pub fn freeze(&mut self, cgroup: &Arc<Cgroup>, freeze: bool) {
        if cgroup.freeze_self.swap(freeze, Ordering::Relaxed) == freeze {
            return;
        }
        let mut changed = false;
        for below in cgroup.subtree() {
            let from_above = below
                .parent()
                .is_some_and(|parent| parent.flags().contains(CgroupFlags::FREEZE));
            let freeze = from_above || below.is_freezing_self();
            if freeze != below.flags().contains(CgroupFlags::FREEZE) {
                changed = true;
                below.set_flags(CgroupFlags::FREEZE, freeze);
                for set in below.sets() {
                    let tasks = set.tasks.lock();
                    for task in tasks.live.values() {
                        task.ask_to_freeze(freeze);
                    }
                }
            }
        }
        if !changed {
            // An ancestor freezes it: whoever waits for the change has nothing to wait for.
            cgroup.notify("cgroup.events");
            return;
        }
        // Children first, so that each cgroup changes its state at most once.
        let all: alloc::vec::Vec<_> = cgroup.subtree().collect();
        let _state = cgroup.hierarchy().shared.state.lock();
        for below in all.iter().rev() {
            below.update_frozen();
        }
    }
}

impl Task {
    /// The calling task sleeps where it counts as frozen. Returns whether it did not before.
    pub fn enter_frozen(self: &Arc<Self>) {
        self.set_frozen(true);
    }
    /// The calling task goes on.
    pub fn leave_frozen(self: &Arc<Self>) {
        self.set_frozen(false);
    }
    fn set_frozen(self: &Arc<Self>, frozen: bool) {
        if self.is_frozen() == frozen {
            return;
        }
        // The set's lock keeps the task in its cgroup meanwhile.
        loop {
            let set = self.css_set();
            let tasks = set.tasks.lock();
            if !Arc::ptr_eq(&self.css_set(), &set) {
                continue;
            }
            let counted = tasks.live.contains_key(&self.koid());
            let cgroup = set.dfl_cgroup();
            let _state = cgroup.hierarchy().shared.state.lock();
            self.store_frozen(frozen);
            if counted {
                if frozen {
                    cgroup.state.frozen_tasks.fetch_add(1, Ordering::SeqCst);
                } else {
                    cgroup.state.frozen_tasks.fetch_sub(1, Ordering::SeqCst);
                }
                cgroup.update_frozen();
            }
            return;
        }
    }
}
