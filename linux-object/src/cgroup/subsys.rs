//! Controllers, and how to add one.
//!
//! # How to add a controller
//!
//! 1. Write a unit type and what it keeps per cgroup, in the folder of its subject
//!    (`sched/`, `mm/`, or here):
//!
//! ```
//! use linux_object::cgroup::{CfCx, CfFlags, CfType, Css, CssData, CssEnv, Show, Subsys, SubsysId, Write};
//! use linux_object::error::Result;
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
//!
//! struct Tea;
//!
//! struct TeaCss { cups: AtomicU64 }
//!
//! impl Subsys for Tea {
//!     fn name(&self) -> &'static str { "tea" }
//!     fn css_alloc(&self, _env: &CssEnv<'_>, parent: Option<&Arc<Css>>) -> Result<CssData> {
//!         // The parent's data is that of the same controller: typed, without a cast of ours.
//!         let cups = parent.map_or(4, |parent| parent.data::<TeaCss>().cups.load(Relaxed));
//!         Ok(Box::new(TeaCss { cups: AtomicU64::new(cups) }))
//!     }
//!     fn dfl_cftypes(&self) -> &'static [CfType] { FILES }
//! }
//!
//! static FILES: &[CfType] = &[
//!     CfType::new("tea.cups").flags(CfFlags::NOT_ON_ROOT)
//!         .show(Show::U64(|cx| cx.css().data::<TeaCss>().cups.load(Relaxed)))
//!         .write(Write::U64(|cx, cups| { cx.css().data::<TeaCss>().cups.store(cups, Relaxed); Ok(()) })),
//! ];
//! # assert_eq!(Tea.name(), "tea"); assert_eq!(FILES.len(), 1);
//! ```
//!
//! 2. Add its line to the table at the end of this file, at the place that Linux gives it
//!    (`include/linux/cgroup_subsys.h`): [`SubsysId`] and everything that counts controllers follow.
//! 3. Nothing else: the files appear in the hierarchy that the controller is bound to, its name in
//!    `cgroup.controllers` (if it has `dfl_cftypes`) and in `/proc/cgroups`.
//!
//! From a task to its data: `task.css_set().css(SubsysId::Pids).data::<PidsCss>()`. From data to the
//! cgroup: [`Css::cgroup`]. To wake the pollers of a file: `css.notify("pids.events")`.
//!
//! # What is called when
//!
//! | callback | when | locks held | may fail |
//! |---|---|---|---|
//! | `css_alloc`, `css_online` | mkdir, `+name` in subtree_control | `CgroupMembership` | yes |
//! | `css_offline` | rmdir, `-name`; no task is in it any more | `CgroupMembership` | |
//! | drop of the data | the last reference of whoever still holds charges is gone | any | |
//! | `can_attach`, `cancel_attach` | before a migration | `CgroupMembership` | yes |
//! | `moved` | the moment in which one task changes its set | `CssSet` | |
//! | `attach` | after all have moved | `CgroupMembership` | |
//! | `can_fork`, `cancel_fork` | in the preparation of a clone | none | yes |
//! | `fork` | the child is in its set, but has not run | none | |
//! | `linked` | the moment in which a new task gets into its set | `CssSet` | |
//! | `exit` | the task leaves its set | none | |
//! | `release` | the zombie is reaped | none | |
//! | `bind` | the controller got another hierarchy | `CgroupMembership` | |

use alloc::sync::Arc;

use super::{CfType, Css, CssData, CssEnv, Taskset};
use crate::error::Result;
use crate::task::Task;

/// A controller (Linux's `cgroup_subsys`). See the module.
#[allow(unused_variables)]
pub trait Subsys: Send + Sync + 'static {
    /// Its name in `cgroup.controllers`, mount options and `/proc/cgroups`.
    fn name(&self) -> &'static str;
    /// Whether it may be enabled below a cgroup with processes (`threaded` subtrees).
    fn threaded(&self) -> bool {
        false
    }
    /// The data of a new cgroup; `parent` is `None` for the root.
    fn css_alloc(&self, env: &CssEnv<'_>, parent: Option<&Arc<Css>>) -> Result<CssData>;
    /// The css is reachable from here on; ancestors are online.
    fn css_online(&self, css: &Arc<Css>) -> Result<()> {
        Ok(())
    }
    /// Its cgroup is gone, or the controller was disabled for it.
    fn css_offline(&self, css: &Arc<Css>) {}
    /// Whether these tasks may move; whatever it takes for them `cancel_attach` gives back.
    fn can_attach(&self, set: &Taskset<'_>) -> Result<()> {
        Ok(())
    }
    /// They do not move after all: another controller refused.
    fn cancel_attach(&self, set: &Taskset<'_>) {}
    /// They have moved. Tasks that exited meanwhile are not in `set` any more.
    fn attach(&self, set: &Taskset<'_>) {}
    /// One task changes its set now.
    fn moved(&self, task: &Arc<Task>, from: &Arc<Css>, to: &Arc<Css>) {}
    /// Whether a child of `parent` may be born with this css.
    fn can_fork(&self, parent: &Arc<Task>, css: &Arc<Css>) -> Result<()> {
        Ok(())
    }
    /// It was not born: undoes `can_fork`.
    fn cancel_fork(&self, css: &Arc<Css>) {}
    /// A child is in its set now.
    fn linked(&self, child: &Arc<Task>, css: &Arc<Css>) {}
    /// A child was born.
    fn fork(&self, child: &Arc<Task>, css: &Arc<Css>) {}
    /// The task has left its set for good.
    fn exit(&self, task: &Arc<Task>, css: &Arc<Css>) {}
    /// The task was reaped.
    fn release(&self, task: &Arc<Task>, css: &Arc<Css>) {}
    /// The controller is bound to the hierarchy of `root` now.
    fn bind(&self, root: &Arc<Css>, on_dfl: bool) {}
    /// Its files in cgroup2; a controller without any cannot be used there.
    fn dfl_cftypes(&self) -> &'static [CfType] {
        &[]
    }
    /// Its files in a v1 hierarchy.
    fn legacy_cftypes(&self) -> &'static [CfType] {
        &[]
    }
}

/// A set of controllers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SubsysMask(pub u16);

impl SubsysMask {
    /// None.
    pub const EMPTY: SubsysMask = SubsysMask(0);
    /// Whether `id` is in it.
    pub fn contains(self, id: SubsysId) -> bool {
        self.0 >> id as u16 & 1 != 0
    }
    /// With `id` too.
    #[must_use]
    pub fn with(self, id: SubsysId) -> SubsysMask {
        SubsysMask(self.0 | 1 << id as u16)
    }
    /// In either.
    #[must_use]
    pub fn union(self, other: SubsysMask) -> SubsysMask {
        SubsysMask(self.0 | other.0)
    }
    /// In both.
    #[must_use]
    pub fn intersection(self, other: SubsysMask) -> SubsysMask {
        SubsysMask(self.0 & other.0)
    }
    /// In `self` only.
    #[must_use]
    pub fn without(self, other: SubsysMask) -> SubsysMask {
        SubsysMask(self.0 & !other.0)
    }
    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
    /// Its members in Linux's order.
    pub fn iter(self) -> impl Iterator<Item = SubsysId> {
        SubsysId::ALL.into_iter().filter(move |&id| self.contains(id))
    }
    /// The controllers for which `f` is true.
    pub fn filter(f: impl Fn(&'static dyn Subsys) -> bool) -> SubsysMask {
        let all = SubsysId::ALL.into_iter().filter(|id| f(id.subsys()));
        all.fold(SubsysMask::EMPTY, SubsysMask::with)
    }
    /// Those that may be enabled below processes.
    pub fn threaded() -> SubsysMask {
        SubsysMask::filter(|subsys| subsys.threaded())
    }
    /// Those that cgroup2 can have.
    pub fn on_dfl() -> SubsysMask {
        SubsysMask::filter(|subsys| !subsys.dfl_cftypes().is_empty())
    }
    /// Those that v1 can have.
    pub fn on_v1() -> SubsysMask {
        SubsysMask::filter(|subsys| !subsys.legacy_cftypes().is_empty())
    }
}

macro_rules! subsystems {
    ($($(#[doc = $doc:literal])+ $name:ident => $subsys:path,)*) => {
        /// Which controller.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u8)]
        pub enum SubsysId { $($(#[doc = $doc])+ $name,)* }
        impl SubsysId {
            /// All of them, in Linux's order.
            pub const ALL: [SubsysId; [$(stringify!($name)),*].len()] = [$(SubsysId::$name),*];
            /// How many there are.
            pub const COUNT: usize = SubsysId::ALL.len();
            /// What it does.
            pub fn subsys(self) -> &'static dyn Subsys {
                match self { $(SubsysId::$name => &$subsys,)* }
            }
            /// The controller of this name.
            pub fn find(name: &[u8]) -> Option<SubsysId> {
                SubsysId::ALL.into_iter().find(|id| id.subsys().name().as_bytes() == name)
            }
        }
    };
}

// In the order of Linux's cgroup_subsys.h: cpuset cpu cpuacct memory devices freezer pids.
subsystems! {
    /// Which CPUs and memory nodes.
    Cpuset => super::cpuset::Cpuset,
    /// Shares and limits of CPU time.
    Cpu => super::cpu::Cpu,
    /// CPU time used, in v1.
    Cpuacct => super::cpuacct::Cpuacct,
    /// Memory.
    Memory => super::memory::Memory,
    /// v1: which devices may be used.
    Devices => super::devices::Devices,
    /// v1: stops the tasks of a subtree.
    Freezer => super::freezer::Freezer,
    /// Number of tasks.
    Pids => super::pids::Pids,
}
