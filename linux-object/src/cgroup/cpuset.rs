//! The cpuset controller: which CPUs and memory nodes tasks may use (`cgroup-v2.rst` "Cpuset",
//! `cgroup-v1/cpusets.rst`, `cpuset(7)`).
//!
//! Model: a cpuset has what was asked for (`cpus`, `mems`) and what it gets (`effective`). In
//! cgroup2 the latter is what its parent gets, as far as it was asked for, or all of it if that leaves nothing;
//! anything may be asked for. In v1 both are the same, and must be within the parent's. A change
//! gives every task of the subtree the CPUs that its cpuset gets, at once; what a task had set
//! for itself with `sched_setaffinity(2)` is forgotten, as on Linux 6.1.
//!
//! The machine has one memory node.
//!
//! Locks: cpusets change under `CgroupMembership`; the state is a leaf.

use alloc::boxed::Box;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use super::cpu_list::{parse_list, show_list};
use super::{
    CfCx, CfFlags, CfType, Cgroup, CgroupFlags, CgroupMembership, Css, CssData, CssEnv, CssSet, Show, Subsys,
    SubsysId, Taskset, Write, strip,
};
use crate::error::Result;
use crate::sched::CpuMask;
use crate::sync::{SpinLock, class};
use crate::task::Task;
use crate::{bail, ensure};

/// The only memory node.
const NODES: u64 = 1;
/// Node numbers that can be named.
const MAX_NODES: usize = 64;

/// The controller.
pub struct Cpuset;

/// A cpuset's settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct State {
    cpus: CpuMask,
    mems: u64,
    effective_cpus: CpuMask,
    effective_mems: u64,
    /// v1: no sibling may have the same.
    cpu_exclusive: bool,
    mem_exclusive: bool,
}

/// What it keeps.
pub struct CpusetCss {
    all_cpus: CpuMask,
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
            Some(_) => State::default(),
            None => State {
                cpus: all_cpus,
                mems: NODES,
                effective_cpus: all_cpus,
                effective_mems: NODES,
                cpu_exclusive: true,
                mem_exclusive: true,
            },
        };
        Ok(Box::new(CpusetCss {
            all_cpus,
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
        let clone = cgroup.flags().contains(CgroupFlags::CLONE_CHILDREN);
        let exclusive = |css: &Arc<Css>| {
            let state = cpuset(css).state();
            state.cpu_exclusive || state.mem_exclusive
        };
        if clone && !children(parent).iter().any(exclusive) {
            *cpuset(css).state.lock() = State {
                cpu_exclusive: false,
                mem_exclusive: false,
                ..above
            };
        }
        Ok(())
    }
    fn can_attach(&self, set: &Taskset<'_>) -> Result<()> {
        for (_, _, to) in set.iter() {
            let state = cpuset(to).state();
            ensure!(
                on_dfl(to) || !state.cpus.is_empty() && state.mems != 0,
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
        let cpuset = cpuset(root);
        let mut state = cpuset.state.lock();
        (state.cpus, state.effective_cpus) = (cpuset.all_cpus, cpuset.all_cpus);
    }
    fn dfl_cftypes(&self) -> &'static [CfType] {
        DFL_FILES
    }
    fn legacy_cftypes(&self) -> &'static [CfType] {
        LEGACY_FILES
    }
}

impl Task {
    /// The CPUs that its cpuset lets it ask for (Linux's `cpuset_cpus_allowed`).
    pub fn cpuset_cpus_allowed(&self) -> CpuMask {
        cpuset(self.css_set().css(SubsysId::Cpuset)).effective_cpus()
    }
}

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

static DFL_FILES: &[CfType] = &[
    CfType::new("cpuset.cpus")
        .flags(CfFlags::NOT_ON_ROOT)
        .show(Show::Text(|cx, out| {
            show_list(cpuset(cx.css()).state().cpus.0, out)
        }))
        .write(Write::Text(set_cpus)),
    CfType::new("cpuset.mems")
        .flags(CfFlags::NOT_ON_ROOT)
        .show(Show::Text(|cx, out| {
            show_list(cpuset(cx.css()).state().mems, out)
        }))
        .write(Write::Text(set_mems)),
    CfType::new("cpuset.cpus.effective").show(Show::Text(|cx, out| {
        show_list(cpuset(cx.css()).state().effective_cpus.0, out)
    })),
    CfType::new("cpuset.mems.effective").show(Show::Text(|cx, out| {
        show_list(cpuset(cx.css()).state().effective_mems, out)
    })),
];

static LEGACY_FILES: &[CfType] = &[
    CfType::new("cpuset.cpus")
        .show(Show::Text(|cx, out| {
            show_list(cpuset(cx.css()).state().cpus.0, out)
        }))
        .write(Write::Text(set_cpus)),
    CfType::new("cpuset.mems")
        .show(Show::Text(|cx, out| {
            show_list(cpuset(cx.css()).state().mems, out)
        }))
        .write(Write::Text(set_mems)),
    CfType::new("cpuset.effective_cpus").show(Show::Text(|cx, out| {
        show_list(cpuset(cx.css()).state().effective_cpus.0, out)
    })),
    CfType::new("cpuset.effective_mems").show(Show::Text(|cx, out| {
        show_list(cpuset(cx.css()).state().effective_mems, out)
    })),
    CfType::new("cpuset.cpu_exclusive")
        .show(Show::U64(|cx| cpuset(cx.css()).state().cpu_exclusive.into()))
        .write(Write::U64(|cx, on| {
            change(cx, |state| {
                Ok(State {
                    cpu_exclusive: on != 0,
                    ..state
                })
            })
        })),
    CfType::new("cpuset.mem_exclusive")
        .show(Show::U64(|cx| cpuset(cx.css()).state().mem_exclusive.into()))
        .write(Write::U64(|cx, on| {
            change(cx, |state| {
                Ok(State {
                    mem_exclusive: on != 0,
                    ..state
                })
            })
        })),
];

fn set_cpus(cx: &CfCx<'_>, text: &[u8]) -> Result<()> {
    change(cx, |state| {
        ensure!(!cx.css().is_root(), EACCES, "cpuset.cpus: of the root");
        let all = cpuset(cx.css()).all_cpus;
        let cpus = CpuMask(parse_list(strip(text), all.count())?);
        ensure!(cpus.and(all) == cpus, EINVAL, "cpuset.cpus: no such CPU");
        Ok(State { cpus, ..state })
    })
}

fn set_mems(cx: &CfCx<'_>, text: &[u8]) -> Result<()> {
    change(cx, |state| {
        ensure!(!cx.css().is_root(), EACCES, "cpuset.mems: of the root");
        let mems = parse_list(strip(text), MAX_NODES)?;
        ensure!(mems & !NODES == 0, EINVAL, "cpuset.mems: no such node");
        Ok(State { mems, ..state })
    })
}

fn change(cx: &CfCx<'_>, to: impl FnOnce(State) -> Result<State>) -> Result<()> {
    let mut membership = cx.kernel.cgroups.lock();
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
    validate(css, &cgroup, &old, &new)?;
    *cpuset(css).state.lock() = new;
    update(css, &mut membership);
    Ok(())
}

fn within(inner: &State, outer: &State) -> bool {
    inner.cpus.and(outer.cpus) == inner.cpus
        && inner.mems & !outer.mems == 0
        && inner.cpu_exclusive <= outer.cpu_exclusive
        && inner.mem_exclusive <= outer.mem_exclusive
}

/// Linux's `validate_change`.
fn validate(css: &Arc<Css>, cgroup: &Arc<Cgroup>, old: &State, new: &State) -> Result<()> {
    let v1 = !cgroup.on_dfl();
    if v1 {
        ensure!(
            children(css)
                .iter()
                .all(|child| within(&cpuset(child).state(), new)),
            EBUSY,
            "cpuset: a child has more"
        );
    }
    let Some(parent) = css.parent() else {
        return Ok(());
    };
    ensure!(
        !v1 || within(new, &cpuset(parent).state()),
        EACCES,
        "cpuset: more than the parent has"
    );
    for sibling in children(parent) {
        if Arc::ptr_eq(&sibling, css) {
            continue;
        }
        let other = cpuset(&sibling).state();
        let shared_cpus = !new.cpus.and(other.cpus).is_empty();
        let shared_mems = new.mems & other.mems != 0;
        let cpus = (new.cpu_exclusive || other.cpu_exclusive) && shared_cpus;
        let mems = (new.mem_exclusive || other.mem_exclusive) && shared_mems;
        ensure!(
            !cpus && !mems,
            EINVAL,
            "cpuset: exclusive, and a sibling has the same"
        );
    }
    ensure!(
        !(cgroup.is_populated()
            && (!old.cpus.is_empty() && new.cpus.is_empty() || old.mems != 0 && new.mems == 0)),
        ENOSPC,
        "cpuset: tasks need a CPU and a memory node"
    );
    Ok(())
}

/// Works out what a cpuset and those below get, and gives it to their tasks.
fn update(css: &Arc<Css>, _: &mut CgroupMembership) {
    let Some(cgroup) = css.cgroup() else { return };
    for at in cgroup.subtree() {
        // Where the controller is not enabled, tasks are in the cpuset above.
        let Some(css) = at.effective_css(SubsysId::Cpuset) else {
            continue;
        };
        if at.css(SubsysId::Cpuset).is_some() {
            let above = css.parent().map(|parent| cpuset(parent).state());
            let mut state = cpuset(&css).state.lock();
            let (cpus, mems) = match above {
                Some(above) if at.on_dfl() => {
                    let cpus = state.cpus.and(above.effective_cpus);
                    let mems = state.mems & above.effective_mems;
                    (
                        if cpus.is_empty() {
                            above.effective_cpus
                        } else {
                            cpus
                        },
                        if mems == 0 { above.effective_mems } else { mems },
                    )
                }
                _ => (state.cpus, state.mems),
            };
            state.effective_cpus = cpus;
            state.effective_mems = mems;
        }
        let cpus = cpuset(&css).effective_cpus();
        let sets: Vec<Arc<CssSet>> = {
            let sets = at.sets.lock();
            sets.values().filter_map(Weak::upgrade).collect()
        };
        for set in sets {
            let tasks: Vec<Arc<Task>> = set.tasks.lock().live.values().cloned().collect();
            tasks.iter().for_each(|task| confine(task, cpus));
        }
    }
}
