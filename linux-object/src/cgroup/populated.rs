//! Whether there are tasks in a cgroup or below it, kept as tasks come and go.
//!
//! A cgroup counts its non-empty sets and its populated children. A count that leaves or reaches 0
//! goes on to the parent. All of it happens under `class::CgroupState`, so
//! no count is ever ahead of what it counts; tasks that come to or leave a set that has others do not get here.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use super::{Cgroup, CssSet};

impl CssSet {
    /// The set got its first task, or lost its last. Its tasks are locked.
    pub(super) fn populated_changed(&self, populated: bool) {
        let shared = &self.cgroups().next().expect("cgroup2").hierarchy().shared;
        let _state = shared.state.lock();
        for cgroup in self.cgroups() {
            cgroup.set_populated(populated);
        }
    }
}

impl Cgroup {
    fn set_populated(self: &Arc<Cgroup>, populated: bool) {
        let mut counter = &self.state.populated_sets;
        let mut at = self;
        loop {
            let was = at.is_populated();
            if populated {
                counter.fetch_add(1, Ordering::SeqCst);
            } else {
                counter.fetch_sub(1, Ordering::SeqCst);
            }
            if was == at.is_populated() {
                break;
            }
            at.notify("cgroup.events");
            if !populated {
                at.check_for_release();
            }
            let Some(parent) = at.parent() else { break };
            counter = if at.is_threaded() {
                &parent.state.populated_threaded_children
            } else {
                &parent.state.populated_domain_children
            };
            at = parent;
        }
    }
}
