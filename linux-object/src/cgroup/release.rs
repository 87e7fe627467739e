//! Empty cgroups of v1 are told of (`cgroup-v1/cgroups.rst`, "What does notify_on_release do?").
//!
//! Model: a cgroup with `notify_on_release` whose last task leaves, or whose last child is removed, is put down under
//! the inner locks where that is seen. Whoever was the reason takes it on its way to user mode, or at the end of its
//! exit, and starts the hierarchy's agent: a process of the initial namespaces with all capabilities and the cgroup's
//! path as its argument.
//!
//! Locks: the list is `class::Leaf`; whatever it held is dropped outside.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use super::{Cgroup, CgroupFlags, Cgroups};
use crate::kernel::Kernel;
use crate::sync::{SpinLock, class};
use crate::task::ThreadFlags;

/// Cgroups that are to be told of.
#[derive(Default)]
pub(super) struct Released {
    any: AtomicBool,
    list: SpinLock<Vec<Arc<Cgroup>>, class::Leaf>,
}

/// A program to start: its path and its argument.
pub struct Agent {
    /// The program.
    pub path: Vec<u8>,
    /// The cgroup, from the root of its hierarchy.
    pub cgroup: Vec<u8>,
}

impl Cgroup {
    /// It may have become empty. Its counts are locked.
    pub(super) fn check_for_release(self: &Arc<Cgroup>) {
        if self.on_dfl()
            || !self.flags().contains(CgroupFlags::NOTIFY_ON_RELEASE)
            || self.is_populated()
            || self.state.nr_children.load(Ordering::SeqCst) != 0
            || self.is_dead()
            || self.hierarchy().release_agent.lock().is_empty()
        {
            return;
        }
        let released = &self.hierarchy().shared.released;
        let mut list = released.list.lock();
        if !list.iter().any(|other| Arc::ptr_eq(other, self)) {
            list.push(self.clone());
        }
        drop(list);
        released.any.store(true, Ordering::Release);
    }
}

impl Cgroups {
    /// Whether there is something to tell: one load.
    pub fn has_released(&self) -> bool {
        self.shared.released.any.load(Ordering::Acquire)
    }
    /// What is to be started now. The caller holds no lock.
    pub fn take_released(&self) -> Vec<Agent> {
        let released = &self.shared.released;
        if !released.any.swap(false, Ordering::AcqRel) {
            return Vec::new();
        }
        let list = core::mem::take(&mut *released.list.lock());
        list.iter()
            .map(|cgroup| {
                let path = cgroup.hierarchy().release_agent.lock().clone();
                let cgroup = cgroup.path();
                Agent { path, cgroup }
            })
            .filter(|agent| !agent.path.is_empty())
            .collect()
    }
    /// After a change that may have emptied a cgroup: the running task looks on its way out.
    pub(super) fn ask_for_release(&self, kernel: &Kernel) {
        if self.has_released()
            && let Some(task) = kernel.sched.try_current()
        {
            task.set_thread_flags(ThreadFlags::TASK_WORK);
        }
    }
}
