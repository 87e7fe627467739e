//! Tasks come and go.
//!
//! # Why a fork takes no global lock
//!
//! Linux keeps migrations out during a fork with a per-CPU rwsem. Here a fork assumes that its parent stays
//! where it is: [`ForkCharge::new`] takes a reference to the parent's set and asks the
//! controllers (`can_fork`: `pids.max`). The birth ([`ForkCharge::link`]) runs under the parent's
//! signal lock and the set's own lock, and looks whether the parent is still in that set. It is, but
//! for the rare migration in between; then the controllers of the new set are asked instead.
//!
//! What this gives: (a) a new thread is in the set of its process, since a migration of a process looks
//! for new threads under the same signal lock before it moves any; (b) a walk over a set's tasks sees a
//! child, or the child's birth sees what the walk has left behind (a freeze, a kill); (c)
//! who finds the parent moved finds no child of it left behind in a cgroup that was then removed.

use alloc::sync::Arc;

use super::core_files::{may_migrate, may_write_procs};
use super::{Cgroup, CgroupMembership, CssSet, SubsysId};
use crate::ensure;
use crate::error::Result;
use crate::sync::{SpinGuard, class};
use crate::task::Task;

/// The cgroup of `CLONE_INTO_CGROUP`.
#[derive(Clone)]
pub struct IntoCgroup {
    /// Which; of cgroup2.
    pub cgroup: Arc<Cgroup>,
}

impl core::fmt::Debug for IntoCgroup {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "cgroup {}", self.cgroup.koid())
    }
}

impl IntoCgroup {
    /// Whether a child of `parent` may be born there.
    fn check(&self, parent: &Arc<Task>, is_thread: bool, _: &mut CgroupMembership) -> Result<()> {
        ensure!(!self.cgroup.is_dead(), ENODEV, "clone3: the cgroup is gone");
        let cred = parent.cred();
        may_write_procs(&self.cgroup, &cred)?;
        let from = parent.css_set().dfl_cgroup().clone();
        let ns_root = parent
            .try_nsproxy()
            .and_then(|nsproxy| nsproxy.cgroup_ns.root(from.hierarchy()));
        may_migrate(&from, &self.cgroup, &cred, ns_root.as_ref(), !is_thread)
    }
}

/// The place of a child that is not born yet. Dropped, the controllers get back what they gave.
pub struct ForkCharge {
    parent: Arc<Task>,
    set: Arc<CssSet>,
    /// `CLONE_INTO_CGROUP`: not where the parent is.
    into: Option<(IntoCgroup, bool)>,
    charged: bool,
}

fn charge(parent: &Arc<Task>, set: &Arc<CssSet>) -> Result<()> {
    for id in SubsysId::ALL {
        if let Err(error) = id.subsys().can_fork(parent, set.css(id)) {
            for done in SubsysId::ALL.into_iter().take_while(|&done| done != id) {
                done.subsys().cancel_fork(set.css(done));
            }
            return Err(error);
        }
    }
    Ok(())
}

fn uncharge(set: &Arc<CssSet>) {
    for id in SubsysId::ALL {
        id.subsys().cancel_fork(set.css(id));
    }
}

impl ForkCharge {
    /// A place beside the parent.
    pub fn new(parent: &Arc<Task>) -> Result<ForkCharge> {
        ForkCharge::with_set(parent, parent.css_set(), None)
    }
    /// A place in the cgroup that `CLONE_INTO_CGROUP` names.
    pub fn into_cgroup(parent: &Arc<Task>, into: &IntoCgroup, is_thread: bool) -> Result<ForkCharge> {
        let kernel = parent.kernel().clone();
        let mut membership = kernel.cgroups.lock();
        into.check(parent, is_thread, &mut membership)?;
        let set = parent.css_set().with_cgroup(&into.cgroup, &mut membership);
        let mut place = ForkCharge::with_set(parent, set, None)?;
        place.into = Some((into.clone(), is_thread));
        Ok(place)
    }
    /// Before the locks of a birth with `CLONE_INTO_CGROUP`: keeps the trees as they are and looks
    /// once more whether the child may be born there.
    pub fn reenter<'a>(
        &mut self,
        parent: &'a Arc<Task>,
    ) -> Result<Option<SpinGuard<'a, CgroupMembership, class::CgroupMembership>>> {
        let Some((into, is_thread)) = self.into.clone() else {
            return Ok(None);
        };
        let mut membership = parent.kernel().cgroups.lock();
        into.check(parent, is_thread, &mut membership)?;
        let set = parent.css_set().with_cgroup(&into.cgroup, &mut membership);
        if !Arc::ptr_eq(&set, &self.set) {
            charge(parent, &set)?;
            uncharge(&self.set);
            self.set = set;
        }
        Ok(Some(membership))
    }
    fn with_set(
        parent: &Arc<Task>,
        set: Arc<CssSet>,
        into: Option<(IntoCgroup, bool)>,
    ) -> Result<ForkCharge> {
        charge(parent, &set)?;
        Ok(ForkCharge {
            parent: parent.clone(),
            set,
            into,
            charged: true,
        })
    }
    /// The set that the child will most likely be in.
    pub fn css_set(&self) -> &Arc<CssSet> {
        &self.set
    }

    /// The child gets its place. The parent's signals are locked.
    pub fn link(&mut self, child: &Arc<Task>) -> Result<()> {
        loop {
            let set = self.set.clone();
            let mut tasks = set.tasks.lock();
            if self.into.is_none() && !Arc::ptr_eq(&self.parent.css_set(), &set) {
                drop(tasks);
                let now = self.parent.css_set();
                charge(&self.parent, &now)?;
                uncharge(&self.set);
                self.set = now;
                continue;
            }
            let before = core::mem::replace(&mut *child.cgroups.lock(), set.clone());
            if tasks.live.is_empty() {
                set.populated_changed(true);
            }
            tasks.live.insert(child.koid(), child.clone());
            set.dfl_cgroup().count_child(child);
            child.follow_css_set(&set);
            for id in SubsysId::ALL {
                id.subsys().linked(child, set.css(id));
            }
            drop(tasks);
            drop(before);
            self.charged = false;
            return Ok(());
        }
    }
}

impl Drop for ForkCharge {
    fn drop(&mut self) {
        if self.charged {
            uncharge(&self.set);
        }
    }
}

/// A child was born (Linux's `cgroup_post_fork`).
pub fn post_fork(child: &Arc<Task>) {
    let set = child.css_set();
    for id in SubsysId::ALL {
        id.subsys().fork(child, set.css(id));
    }
}

/// The first process gets its place: in the roots, which limit nothing.
pub fn link_init(task: &Arc<Task>) {
    let linked = ForkCharge::new(task).and_then(|mut place| place.link(task));
    debug_assert!(linked.is_ok());
    post_fork(task);
}

/// The task leaves its set (Linux's `cgroup_exit`); as a zombie it still keeps the cgroups from being
/// freed. `last`: no thread of its process lives any more.
pub fn exit(task: &Arc<Task>, last: bool) {
    task.leave_frozen();
    let (set, gone) = loop {
        let set = task.css_set();
        let mut tasks = set.tasks.lock();
        if !Arc::ptr_eq(&task.css_set(), &set) {
            continue;
        }
        let gone = tasks.live.remove(&task.koid());
        if gone.is_some() {
            set.dfl_cgroup().count_task(task, false);
        }
        if gone.is_some() && tasks.live.is_empty() {
            set.populated_changed(false);
        }
        if gone.is_some() && task.is_leader() && !last {
            tasks.dying.insert(task.koid(), task.clone());
        }
        drop(tasks);
        break (set, gone);
    };
    if gone.is_some() {
        for id in SubsysId::ALL {
            id.subsys().exit(task, set.css(id));
        }
    }
}

/// The task was reaped (Linux's `cgroup_release`).
pub fn release(task: &Arc<Task>) {
    let set = task.css_set();
    let gone = set.tasks.lock().dying.remove(&task.koid());
    drop(gone);
    for id in SubsysId::ALL {
        id.subsys().release(task, set.css(id));
    }
}
