//! `/proc/PID/ns/*`: links to the nsfs inodes of a task's namespaces (`namespaces(7)`).

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::err;
use crate::error::Result;
use crate::fs::{Path, nsfs};
use crate::namespace::Namespace;
use crate::task::Task;

/// A line of the directory.
#[derive(Clone, Copy)]
pub(super) struct NsLink {
    pub name: &'static str,
    get: fn(&Task) -> Option<Arc<dyn Namespace>>,
}

/// The links in Linux's order.
#[rustfmt::skip]
pub(super) static LINKS: &[NsLink] = &[
    NsLink { name: "net", get: |task| Some(task.try_nsproxy()?.net_ns.clone()) },
    NsLink { name: "uts", get: |task| Some(task.try_nsproxy()?.uts_ns.clone()) },
    NsLink { name: "ipc", get: |task| Some(task.try_nsproxy()?.ipc_ns.clone()) },
    NsLink { name: "pid", get: |task| Some(task.pid_ns().clone()) },
    NsLink { name: "pid_for_children", get: pid_for_children },
    NsLink { name: "user", get: |task| Some(task.user_ns()) },
    NsLink { name: "mnt", get: |task| Some(task.try_nsproxy()?.mnt_ns.clone()) },
    NsLink { name: "cgroup", get: |task| Some(task.try_nsproxy()?.cgroup_ns.clone()) },
    NsLink { name: "time", get: |task| Some(task.try_nsproxy()?.time_ns.clone()) },
    NsLink { name: "time_for_children", get: |task| Some(task.try_nsproxy()?.time_ns_for_children.clone()) },
];

/// A pid namespace cannot be seen before its first process was there.
fn pid_for_children(task: &Task) -> Option<Arc<dyn Namespace>> {
    let ns = task.try_nsproxy()?.pid_ns_for_children.clone();
    ns.child_reaper().is_some().then_some(ns as Arc<dyn Namespace>)
}

/// A link by name.
pub(super) fn find(name: &[u8]) -> Option<NsLink> {
    LINKS.iter().find(|link| link.name.as_bytes() == name).copied()
}

fn namespace(task: &Task, link: NsLink) -> Result<Arc<dyn Namespace>> {
    (link.get)(task).ok_or(err!(ENOENT))
}

/// Where the link leads.
pub(super) fn path(task: &Arc<Task>, link: NsLink) -> Result<Path> {
    nsfs::path(task.kernel(), namespace(task, link)?)
}

/// What `readlink` gives.
pub(super) fn link_text(task: &Arc<Task>, link: NsLink) -> Result<Vec<u8>> {
    let ns = namespace(task, link)?;
    Ok(format!("{}:[{}]", ns.kind().name(), ns.common().number()).into_bytes())
}
