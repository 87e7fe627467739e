//! What a change of one cpuset means for those below and beside it, and for their tasks.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::partition::Kind;
use super::{State, children, confine, cpuset, domains, partition};
use crate::cgroup::{Cgroup, Css};
use crate::sched::CpuMask;
use crate::task::Task;

/// A cpuset whose own CPUs are found.
struct Found {
    css: Arc<Css>,
    /// Its tasks have to hear of it.
    confine: bool,
    /// Partitions right below are to be looked at again.
    review: bool,
}

/// Works out what `css`, its siblings and those below get, and gives it to their tasks; `before` is what its
/// parent got before the change.
pub(super) fn spread(css: &Arc<Css>, before: Option<CpuMask>) {
    let mut todo = Vec::new();
    // One that is on its way out leaves the others.
    if css.is_online() {
        settle(css, &mut todo, true);
    }
    if let Some(parent) = css.parent() {
        todo.push(Found {
            css: parent.clone(),
            confine: before != Some(cpuset(parent).effective_cpus()),
            review: false,
        });
    }
    while let Some(mut found) = todo.pop() {
        let kids = children(&found.css);
        if found.review {
            let before = cpuset(&found.css).effective_cpus();
            kids.iter().for_each(partition::review);
            found.confine |= before != cpuset(&found.css).effective_cpus();
        }
        if found.confine {
            confine_tasks(&found.css);
        }
        for kid in kids.iter().filter(|kid| !Arc::ptr_eq(kid, css)) {
            settle(kid, &mut todo, false);
        }
    }
    if let Some(root) = css.self_and_ancestors().last().filter(|root| root.is_root()) {
        domains::rebuild(root);
    }
}

/// Finds what a cpuset gets of its parent's; those below are to follow if that is new, or in any case.
fn settle(css: &Arc<Css>, todo: &mut Vec<Found>, always: bool) {
    let Some(parent) = css.parent() else { return };
    let above = cpuset(parent).state();
    let own = cpuset(css).state();
    let (effective_cpus, given, effective_mems) = if super::on_dfl(css) {
        let (cpus, given) = partition::shares(css, &own, &above);
        let mems = own.mems & above.effective_mems;
        (cpus, given, if mems == 0 { above.effective_mems } else { mems })
    } else {
        (own.cpus, CpuMask::EMPTY, own.mems)
    };
    let new = State {
        effective_cpus,
        given,
        effective_mems,
        ..own
    };
    if new != own || always || own.partition.kind != Kind::Member {
        *cpuset(css).state.lock() = new;
        todo.push(Found {
            css: css.clone(),
            confine: new.effective_cpus != own.effective_cpus,
            review: true,
        });
    }
}

/// Gives the tasks of a cpuset its CPUs. They are also in cgroups below that have none of their own.
fn confine_tasks(css: &Arc<Css>) {
    let cpus = cpuset(css).effective_cpus();
    let mut cgroups: Vec<Arc<Cgroup>> = css.cgroup().into_iter().collect();
    while let Some(cgroup) = cgroups.pop() {
        for set in cgroup.sets() {
            let tasks: Vec<Arc<Task>> = set.tasks.lock().live.values().cloned().collect();
            tasks.iter().for_each(|task| confine(task, cpus));
        }
        let below = cgroup.children();
        cgroups.extend(below.into_iter().filter(|below| below.css(css.ssid()).is_none()));
    }
}
