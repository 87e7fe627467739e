//! `/proc/PID/ns/*`: links to the nsfs inodes of a task's namespaces (`namespaces(7)`).

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::err;
use crate::error::Result;
use crate::fs::{Path, nsfs};
use crate::namespace::{Namespace, NsKind};
use crate::task::Task;

/// A line of the directory.
#[derive(Clone, Copy)]
pub(super) struct NsLink {
    pub name: &'static str,
    kind: NsKind,
    for_children: bool,
}

const fn link(name: &'static str, kind: NsKind, for_children: bool) -> NsLink {
    NsLink {
        name,
        kind,
        for_children,
    }
}

/// The links in Linux's order.
pub(super) static LINKS: &[NsLink] = &[
    link("net", NsKind::Net, false),
    link("uts", NsKind::Uts, false),
    link("ipc", NsKind::Ipc, false),
    link("pid", NsKind::Pid, false),
    link("pid_for_children", NsKind::Pid, true),
    link("user", NsKind::User, false),
    link("mnt", NsKind::Mnt, false),
    link("cgroup", NsKind::Cgroup, false),
    link("time", NsKind::Time, false),
    link("time_for_children", NsKind::Time, true),
];

/// A link by name.
pub(super) fn find(name: &[u8]) -> Option<NsLink> {
    LINKS.iter().find(|link| link.name.as_bytes() == name).copied()
}

fn namespace(task: &Task, link: NsLink) -> Result<Arc<dyn Namespace>> {
    let ns = if link.for_children {
        task.namespace_for_children(link.kind)
    } else {
        task.namespace(link.kind)
    };
    ns.ok_or(err!(ENOENT))
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
