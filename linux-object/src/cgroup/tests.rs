//! Trees, sets and counters, with one kernel thread.

use alloc::boxed::Box;
use alloc::sync::Arc;

use super::pids::PidsCss;
use super::{Cgroup, Cgroups, SubsysId};
use crate::cred::Cred;
use crate::error::Errno;
use crate::sched::Scheduler;
use crate::sim::run;
use crate::task::clone::spawn_process;
use crate::task::{Task, TaskParts};

/// Runs `body` as the first task of a kernel.
fn boot(body: impl FnOnce(&Arc<Task>, &Cgroups) + Send + 'static) {
    run(1, 1, move |kernel| {
        let body = Box::new(move |task: &Arc<Task>| {
            body(task, &task.kernel().cgroups);
            task.kernel().hal.power_off();
        });
        let parts = TaskParts {
            cred: Arc::new(Cred::root(kernel.init_user_ns.clone())),
            nsproxy: None,
            fs: None,
            files: None,
            mm: None,
            comm: [0; 16],
        };
        let thread = Scheduler::new_thread(kernel, body).unwrap();
        let task = spawn_process(kernel, thread, parts).unwrap();
        kernel.sched.start(&task);
    });
}

fn mkdir(task: &Arc<Task>, parent: &Arc<Cgroup>, name: &str) -> Arc<Cgroup> {
    let kernel = task.kernel();
    let owner = super::fs::NodeOwner::root(&kernel.time);
    let mut membership = kernel.cgroups.lock();
    membership
        .create(&kernel.css_env(), parent, name.as_bytes(), owner)
        .unwrap()
}

#[test]
fn the_first_task_is_in_the_root() {
    boot(|task, cgroups| {
        let set = task.css_set();
        assert!(Arc::ptr_eq(set.dfl_cgroup(), cgroups.dfl_root()));
        assert!(cgroups.dfl_root().is_populated());
        for id in SubsysId::ALL {
            assert!(set.css(id).is_root());
        }
    });
}

#[test]
fn a_task_moves_and_its_cgroup_cannot_be_removed() {
    boot(|task, cgroups| {
        let a = mkdir(task, cgroups.dfl_root(), "a");
        let b = mkdir(task, &a, "b");
        assert!(!a.is_populated());
        cgroups.lock().attach(&b, task, true).unwrap();
        assert!(a.is_populated() && b.is_populated() && !a.has_tasks());
        assert!(Arc::ptr_eq(task.css_set().dfl_cgroup(), &b));
        assert_eq!(cgroups.lock().destroy(&b).unwrap_err(), Errno::EBUSY);
        cgroups.lock().attach(cgroups.dfl_root(), task, true).unwrap();
        assert!(!a.is_populated());
        assert_eq!(cgroups.lock().destroy(&a).unwrap_err(), Errno::EBUSY);
        cgroups.lock().destroy(&b).unwrap();
        cgroups.lock().destroy(&a).unwrap();
        assert_eq!(cgroups.lock().destroy(&a).unwrap_err(), Errno::ENODEV);
        // The set that the task has left is gone, and with it the cgroups.
        assert!(Arc::ptr_eq(&task.css_set(), cgroups.init_set()));
        assert_eq!(Arc::strong_count(&b), 1);
    });
}

#[test]
fn paths_are_relative_to_a_root() {
    boot(|task, cgroups| {
        let root = cgroups.dfl_root();
        let a = mkdir(task, root, "a");
        let b = mkdir(task, &a, "b");
        let c = mkdir(task, root, "c");
        assert_eq!(root.path(), b"/");
        assert_eq!(b.path(), b"/a/b");
        assert_eq!(b.path_from(&a), b"/b");
        assert_eq!(a.path_from(&a), b"/");
        assert_eq!(c.path_from(&b), b"/../../c");
        assert_eq!(root.path_from(&b), b"/../..");
    });
}

#[test]
fn a_tree_deeper_than_the_stack_goes_at_once() {
    boot(|task, cgroups| {
        let mut at = cgroups.dfl_root().clone();
        for _ in 0..3_000 {
            at = mkdir(task, &at, "deep");
        }
        let mut up = at.clone();
        while let Some(parent) = up.parent().cloned() {
            cgroups.lock().destroy(&up).unwrap();
            up = parent;
        }
        drop(up);
        drop(at);
        assert_eq!(
            cgroups
                .dfl_root()
                .nr_dying_descendants
                .load(core::sync::atomic::Ordering::Relaxed),
            0
        );
    });
}

#[test]
fn pids_count_in_every_ancestor() {
    boot(|task, cgroups| {
        let kernel = task.kernel();
        let a = mkdir(task, cgroups.dfl_root(), "a");
        let pids = super::SubsysMask::EMPTY.with(SubsysId::Pids);
        {
            let mut membership = cgroups.lock();
            membership.online_css(&kernel.css_env(), &a, pids).unwrap();
            membership.attach(&a, task, true).unwrap();
        }
        let css = a.css(SubsysId::Pids).unwrap();
        assert_eq!(css.data::<PidsCss>().current(), 1);
        cgroups.lock().attach(cgroups.dfl_root(), task, true).unwrap();
        assert_eq!(css.data::<PidsCss>().current(), 0);
    });
}
