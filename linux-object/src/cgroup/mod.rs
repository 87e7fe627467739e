//! Control groups: processes in trees, and controllers that hold each subtree to a limit
//! (`cgroups(7)`, Linux's `Documentation/admin-guide/cgroup-v2.rst` and `cgroup-v1/cgroups.rst`).
//!
//! Model: a [`Hierarchy`] is a tree of [`Cgroup`]s: the default one (cgroup2), which is always there, and
//! any number of v1 hierarchies. A controller ([`Subsys`]) is bound to one hierarchy at a time and
//! has a [`Css`] for each cgroup that it controls. A task is in one cgroup of every hierarchy; all
//! of them together are its [`CssSet`], which tasks share, so that a fork costs one reference.
//!
//! A `CssSet` names the cgroups that are *not* the root of a v1 hierarchy: making and dropping
//! hierarchies then changes no task. Its `css` are the effective ones: in cgroup2 those of the
//! nearest ancestor for which the controller is enabled.
//!
//! Locks, outermost first: [`CgroupMembership`] for everything that changes a tree, binds a controller or
//! moves a task; `CssSet` for the tasks of one set; `CgroupState` for what
//! follows from tasks coming and going (populated, frozen). Fork and exit take `CssSet` only, and
//! `CgroupState` when a set gets its first task or loses its last: see [`fork`] for why that suffices.

pub mod bpf;
mod cftype;
#[allow(clippy::module_inception)]
mod cgroup;
mod control;
mod core_files;
pub mod cpu;
mod cpu_list;
pub mod cpuacct;
pub mod cpuset;
mod css;
mod css_set;
pub mod devices;
pub mod fork;
mod freeze;
pub mod freezer;
pub mod fs;
mod hierarchy;
mod legacy_files;
mod membership;
pub mod memory;
mod migrate;
pub mod pids;
mod populated;
pub mod proc;
pub mod release;
pub mod subsys;
#[cfg(test)]
mod tests;
pub mod view;

pub use cftype::{CfCx, CfFlags, CfType, Show, Write, parse_i64, parse_limit, parse_u64, show_limit, strip};
pub use cgroup::{Cgroup, CgroupFlags};
pub use css::{Css, CssData};
pub use css_set::CssSet;
pub use hierarchy::{Hierarchy, RootFlags};
pub use membership::{CgroupMembership, Cgroups, CssEnv};
pub use migrate::{Moved, Taskset};
pub use subsys::{Subsys, SubsysId, SubsysMask};
