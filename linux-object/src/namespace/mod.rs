//! The eight namespaces (`namespaces(7)`).
//!
//! One file per namespace: its identity, its copy rule and its install rule; the content lives in
//! its subsystem. [`NsProxy`] is a task's set of them; [`Namespace`] is what `setns`, nsfs and
//! `ioctl_ns` know of any of them.

mod cgroup_ns;
mod common;
mod id_map;
mod id_map_write;
mod install;
mod ipc_ns;
mod mnt_ns;
mod net_ns;
mod nsproxy;
mod pid_ns;
mod time_ns;
mod user_ns;
mod user_ns_create;
mod uts_ns;

pub use cgroup_ns::CgroupNamespace;
pub use common::{Namespace, NsCommon, NsKind, NsRegistry};
pub use id_map::{Extent, IdMap, OVERFLOW_ID};
pub use install::NsSet;
pub use ipc_ns::IpcNamespace;
pub use mnt_ns::MountNamespace;
pub use net_ns::NetNamespace;
pub use nsproxy::{InitNamespaces, NsProxy};
pub use pid_ns::{PidNamespace, PidReservation, RESERVED_PIDS};
pub use time_ns::{TimeNamespace, TimeOffsets};
pub use user_ns::{IdKind, UserNamespace};
pub use uts_ns::{MACHINE, Name, RELEASE, SYSNAME, UtsNames, UtsNamespace, VERSION};
