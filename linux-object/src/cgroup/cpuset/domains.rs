//! Which CPUs share their load, as the cpusets say it (Linux's `generate_sched_domains`).

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::partition::Kind;
use super::{Flags, children, cpuset, on_dfl};
use crate::cgroup::Css;
use crate::sched::CpuMask;

/// Tells the scheduler. Called when a cpuset below `root` has changed, under `CgroupMembership`.
pub(super) fn rebuild(root: &Arc<Css>) {
    let mut domains: Vec<CpuMask> = Vec::new();
    if on_dfl(root) {
        for_each(root, |css| {
            let state = cpuset(css).state();
            if state.partition.is_valid() && state.partition.kind == Kind::Root {
                domains.push(state.effective_cpus);
            }
            // Where nothing was given away there are no partitions below.
            !state.given.is_empty()
        });
    } else {
        for_each(root, |css| {
            let state = cpuset(css).state();
            let balances = state.flags.contains(Flags::SCHED_LOAD_BALANCE);
            if balances && !state.effective_cpus.is_empty() {
                join(&mut domains, state.effective_cpus);
            }
            // Those below have no other CPUs.
            !balances
        });
    }
    cpuset(root).domains.set(&domains);
}

/// Cpusets with CPUs in common share their load.
fn join(domains: &mut Vec<CpuMask>, mut cpus: CpuMask) {
    domains.retain(|domain| {
        let apart = domain.and(cpus).is_empty();
        if !apart {
            cpus = CpuMask(cpus.0 | domain.0);
        }
        apart
    });
    domains.push(cpus);
}

/// Every cpuset from `root` on, the upper ones first; not those below one for which `visit` is false.
fn for_each(root: &Arc<Css>, mut visit: impl FnMut(&Arc<Css>) -> bool) {
    let mut todo = alloc::vec![root.clone()];
    while let Some(css) = todo.pop() {
        if visit(&css) {
            todo.extend(children(&css));
        }
    }
}
