//! The cpuset controller: which CPUs and memory nodes tasks may use (`cgroup-v2.rst` "Cpuset",
//! `cgroup-v1/cpusets.rst`, `cpuset(7)`).
//!
//! Model: a cpuset has what was asked for (`cpus`, `mems`) and what it gets (`effective`). In
//! cgroup2 the latter is what its parent gets, as far as it was asked for, or all of it if that leaves nothing;
//! anything may be asked for. In v1 both are the same, and must be within the parent's. A change
//! gives every task of the subtree the CPUs that its cpuset gets, at once; what a task had set
//! for itself with `sched_setaffinity(2)` is forgotten, as on Linux 6.1.
//!
//! A cpuset of cgroup2 can be a [`partition`]; which CPUs share their load follows from these, or in v1 from
//! `sched_load_balance` ([`domains`]).
//!
//! The machine has one memory node, so flags of v1 about where memory goes have no choice to make, and nothing is
//! reclaimed, so there is no `memory_pressure`. There is one level of domains, so `sched_relax_domain_level` is
//! not there.
//!
//! Locks: cpusets change under `CgroupMembership`; the state is a leaf.

mod domains;
mod files;
mod partition;
mod spread;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{CfCx, CfType, Cgroup, CgroupFlags, Css, CssData, CssEnv, Subsys, SubsysId, Taskset};
use crate::error::{Error, Result};
use crate::sched::{CpuMask, Domains};
use crate::sync::{SpinLock, class};
use crate::task::Task;
use crate::{bail, ensure, err};
use core::sync::atomic::AtomicBool;
use partition::{Kind, Part, Partition};

/// The only memory node.
const NODES: u64 = 1;

bitflags::bitflags! {
    /// Yes or no.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    struct Flags: u8 {
        /// v1: no sibling may have the same. In cgroup2: it is a valid partition.
        const CPU_EXCLUSIVE = 1 << 0;
        const MEM_EXCLUSIVE = 1 << 1;
        const MEM_HARDWALL = 1 << 2;
        const MEMORY_MIGRATE = 1 << 3;
        const SPREAD_PAGE = 1 << 4;
        const SPREAD_SLAB = 1 << 5;
        /// v1: its CPUs share their load. In cgroup2: it is no valid isolated partition.
        const SCHED_LOAD_BALANCE = 1 << 6;
    }
}

impl Flags {
    const EXCLUSIVE: Flags = Flags::CPU_EXCLUSIVE.union(Flags::MEM_EXCLUSIVE);
    const SPREAD: Flags = Flags::SPREAD_PAGE.union(Flags::SPREAD_SLAB);
}

/// The controller.
pub struct Cpuset;

/// A cpuset's settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct State {
    cpus: CpuMask,
    mems: u64,
    effective_cpus: CpuMask,
    effective_mems: u64,
    flags: Flags,
    /// cgroup2: what it is.
    partition: Partition,
    /// cgroup2: CPUs that it has given to partitions right below.
    given: CpuMask,
}

/// What it keeps.
pub struct CpusetCss {
    all_cpus: CpuMask,
    domains: Arc<Domains>,
    /// v1, the root's: `memory_pressure_enabled`.
    pressure_enabled: AtomicBool,
    state: SpinLock<State, class::Leaf>,
}

impl CpusetCss {
    fn state(&self) -> State {
        *self.state.lock()
    }
    /// The CPUs that tasks here may use.
    pub fn effective_cpus(&self) -> CpuMask {
        self.state().effective_cpus
    }
}

fn cpuset(css: &Arc<Css>) -> &CpusetCss {
    css.data::<CpusetCss>()
}

/// Whether the rules of cgroup2 hold.
fn on_dfl(css: &Arc<Css>) -> bool {
    css.cgroup().is_none_or(|cgroup| cgroup.on_dfl())
}

impl Subsys for Cpuset {
    fn name(&self) -> &'static str {
        "cpuset"
    }
    fn threaded(&self) -> bool {
        true
    }
    fn css_alloc(&self, env: &CssEnv<'_>, parent: Option<&Arc<Css>>) -> Result<CssData> {
        let all_cpus = env.sched.cpu_mask();
        let state = match parent {
            Some(_) => State {
                flags: Flags::SCHED_LOAD_BALANCE,
                ..State::default()
            },
            None => State {
                cpus: all_cpus,
                mems: NODES,
                effective_cpus: all_cpus,
                effective_mems: NODES,
                flags: Flags::EXCLUSIVE | Flags::SCHED_LOAD_BALANCE,
                partition: Partition {
                    kind: Kind::Root,
                    invalid: None,
                },
                given: CpuMask::EMPTY,
            },
        };
        Ok(Box::new(CpusetCss {
            all_cpus,
            domains: env.sched.domains().clone(),
            pressure_enabled: AtomicBool::new(false),
            state: SpinLock::new(state),
        }))
    }
    fn css_online(&self, css: &Arc<Css>) -> Result<()> {
        let (Some(parent), Some(cgroup)) = (css.parent(), css.cgroup()) else {
            return Ok(());
        };
        let above = cpuset(parent).state();
        if cgroup.on_dfl() {
            let mut state = cpuset(css).state.lock();
            state.effective_cpus = above.effective_cpus;
            state.effective_mems = above.effective_mems;
            return Ok(());
        }
        cpuset(css).state.lock().flags |= above.flags & Flags::SPREAD;
        let clone = cgroup.flags().contains(CgroupFlags::CLONE_CHILDREN);
        let exclusive = |css: &Arc<Css>| cpuset(css).state().flags.intersects(Flags::EXCLUSIVE);
        if clone && !children(parent).iter().any(exclusive) {
            let mut state = cpuset(css).state.lock();
            *state = State {
                flags: state.flags,
                ..above
            };
        }
        Ok(())
    }
    fn css_offline(&self, css: &Arc<Css>) {
        let Some(root) = css.self_and_ancestors().last().filter(|root| root.is_root()) else {
            return;
        };
        if cpuset(css).state().partition.is_valid() {
            set_partition_kind(css, Kind::Member);
        }
        // It has no CPUs to share any more.
        cpuset(css).state.lock().flags -= Flags::SCHED_LOAD_BALANCE;
        domains::rebuild(root);
    }
    fn can_attach(&self, set: &Taskset<'_>) -> Result<()> {
        for (_, _, to) in set.iter() {
            let state = cpuset(to).state();
            ensure!(
                !state.effective_cpus.is_empty() && (on_dfl(to) || state.mems != 0),
                ENOSPC,
                "cpuset: no CPUs or no memory nodes"
            );
        }
        Ok(())
    }
    fn attach(&self, set: &Taskset<'_>) {
        for (task, _, to) in set.iter() {
            confine(task, cpuset(to).effective_cpus());
        }
    }
    fn fork(&self, child: &Arc<Task>, css: &Arc<Css>) {
        // A child has its parent's CPUs, unless it was born elsewhere or the cpuset has just changed.
        let cpuset = cpuset(css);
        let own = child.sched.affinity().and(cpuset.all_cpus);
        if own.and(cpuset.effective_cpus()) != own {
            confine(child, cpuset.effective_cpus());
        }
    }
    fn bind(&self, root: &Arc<Css>, _on_dfl: bool) {
        let all = cpuset(root).all_cpus;
        {
            let mut state = cpuset(root).state.lock();
            (state.cpus, state.effective_cpus) = (all, all);
            state.given = CpuMask::EMPTY;
            state.flags |= Flags::SCHED_LOAD_BALANCE;
        }
        domains::rebuild(root);
    }
    fn dfl_cftypes(&self) -> &'static [CfType] {
        files::DFL
    }
    fn legacy_cftypes(&self) -> &'static [CfType] {
        files::LEGACY
    }
}

impl Task {
    /// The CPUs that its cpuset lets it ask for (Linux's `cpuset_cpus_allowed`).
    pub fn cpuset_cpus_allowed(&self) -> CpuMask {
        cpuset(self.css_set().css(SubsysId::Cpuset)).effective_cpus()
    }
}

/// Gives a task these CPUs, unless there are none.
fn confine(task: &Arc<Task>, cpus: CpuMask) {
    if !cpus.is_empty() {
        task.kernel().sched.set_affinity(task, cpus);
    }
}

/// The cpusets right below.
fn children(css: &Arc<Css>) -> Vec<Arc<Css>> {
    let below = css.cgroup().map(|cgroup| cgroup.children());
    let below = below.into_iter().flatten();
    below.filter_map(|cgroup| cgroup.css(SubsysId::Cpuset)).collect()
}

/// Changes what was asked for.
fn change(cx: &CfCx<'_>, to: impl FnOnce(State) -> Result<State>) -> Result<()> {
    let _membership = cx.kernel.cgroups.lock();
    let css = cx.css();
    ensure!(css.is_online(), ENODEV, "cpuset: the cgroup is gone");
    let old = cpuset(css).state();
    let new = to(old)?;
    if new == old {
        return Ok(());
    }
    let Some(cgroup) = css.cgroup() else {
        bail!(ENODEV, "cpuset: the cgroup is gone")
    };
    let mut shared = false;
    match validate(css, &cgroup, &old, &new) {
        // A partition loses its CPUs rather than forbid them to a sibling.
        Err(Refused::Shared) if cgroup.on_dfl() => shared = true,
        Err(Refused::Shared) => bail!(EINVAL, "cpuset: exclusive, and a sibling has the same"),
        Err(Refused::Other(error)) => return Err(error),
        Ok(()) => {}
    }
    let before = css.parent().map(|parent| cpuset(parent).effective_cpus());
    if shared && let Some(parent) = css.parent() {
        for sibling in children(parent) {
            let common = cpuset(&sibling).state().cpus.and(new.cpus);
            if !Arc::ptr_eq(&sibling, css) && !common.is_empty() {
                let _ = partition::change_part(&sibling, Part::Lose);
            }
        }
    }
    if old.partition.kind != Kind::Member && new.cpus != old.cpus {
        let part = if shared { Part::Lose } else { Part::Ask(new.cpus) };
        let _ = partition::change_part(css, part);
    }
    {
        let mut state = cpuset(css).state.lock();
        (state.cpus, state.mems) = (new.cpus, new.mems);
        if !cgroup.on_dfl() {
            state.flags = new.flags;
        }
    }
    spread::spread(css, before);
    Ok(())
}

/// Changes what a cpuset is, with all that follows.
fn set_partition_kind(css: &Arc<Css>, kind: Kind) {
    let before = css.parent().map(|parent| cpuset(parent).effective_cpus());
    partition::become_kind(css, kind);
    spread::spread(css, before);
}

/// Why a change is refused.
enum Refused {
    /// A sibling has the same, and one of both has it for itself alone.
    Shared,
    Other(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Refused {
        Refused::Other(error)
    }
}

fn within(inner: &State, outer: &State) -> bool {
    inner.cpus.and(outer.cpus) == inner.cpus
        && inner.mems & !outer.mems == 0
        && outer.flags.contains(inner.flags & Flags::EXCLUSIVE)
}

/// Linux's `validate_change`.
fn validate(css: &Arc<Css>, cgroup: &Arc<Cgroup>, old: &State, new: &State) -> Result<(), Refused> {
    let v1 = !cgroup.on_dfl();
    let inside = |child: &Arc<Css>| within(&cpuset(child).state(), new);
    if v1 && !children(css).iter().all(inside) {
        return Err(err!(EBUSY, "cpuset: a child has more").into());
    }
    let Some(parent) = css.parent() else {
        return Ok(());
    };
    if v1 && !within(new, &cpuset(parent).state()) {
        return Err(err!(EACCES, "cpuset: more than the parent has").into());
    }
    if cgroup.is_populated()
        && (!old.cpus.is_empty() && new.cpus.is_empty() || old.mems != 0 && new.mems == 0)
    {
        return Err(err!(ENOSPC, "cpuset: tasks need a CPU and a memory node").into());
    }
    for sibling in children(parent) {
        if Arc::ptr_eq(&sibling, css) {
            continue;
        }
        let other = cpuset(&sibling).state();
        let exclusive = new.flags | other.flags;
        let cpus = exclusive.contains(Flags::CPU_EXCLUSIVE) && !new.cpus.and(other.cpus).is_empty();
        let mems = exclusive.contains(Flags::MEM_EXCLUSIVE) && new.mems & other.mems != 0;
        if cpus || mems {
            return Err(Refused::Shared);
        }
    }
    Ok(())
}
