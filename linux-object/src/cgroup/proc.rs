//! What procfs and sysfs show about control groups.

use alloc::sync::Arc;

use super::{CfFlags, CfType, SubsysId, core_files};
use crate::error::Result;
use crate::fs::seq_file::SeqBuf;
use crate::kernel::Kernel;
use crate::task::Task;

/// `/proc/PID/cgroup` of `task`, as the cgroup namespace of `reader` sees it: the newest hierarchy first.
pub fn task_cgroups(task: &Arc<Task>, reader: &Arc<Task>, out: &mut SeqBuf) -> Result<()> {
    let kernel = reader.kernel();
    let Some(ns) = reader.try_nsproxy().map(|nsproxy| nsproxy.cgroup_ns.clone()) else {
        return Ok(());
    };
    let membership = kernel.cgroups.lock();
    let set = task.css_set();
    for root in membership.hierarchies.iter().rev() {
        let hierarchy = &root.hierarchy;
        if hierarchy.on_dfl() && !kernel.cgroups.dfl_is_visible() {
            continue;
        }
        write!(out, "{}:", hierarchy.id())?;
        if !hierarchy.on_dfl() {
            let mut comma = false;
            for id in hierarchy.subsys_mask().iter() {
                if core::mem::replace(&mut comma, true) {
                    out.byte(b',')?;
                }
                out.bytes(id.subsys().name().as_bytes())?;
            }
            if !hierarchy.name().is_empty() {
                out.bytes(if comma { b",name=" } else { b"name=" })?;
                out.bytes(hierarchy.name())?;
            }
        }
        out.byte(b':')?;
        // In v1 a task that exits is shown in the root.
        let cgroup = if hierarchy.on_dfl() || !task.is_exiting() {
            set.cgroup(hierarchy).unwrap_or_else(|| root.cgroup.clone())
        } else {
            root.cgroup.clone()
        };
        let from = ns.root(hierarchy).unwrap_or_else(|| root.cgroup.clone());
        out.bytes(&cgroup.path_from(&from))?;
        out.bytes(if hierarchy.on_dfl() && cgroup.is_dead() {
            b" (deleted)\n"
        } else {
            b"\n"
        })?;
    }
    Ok(())
}

/// `/proc/PID/cpuset` of `task`, as the cgroup namespace of `reader` sees it.
pub fn task_cpuset(task: &Arc<Task>, reader: &Arc<Task>, out: &mut SeqBuf) -> Result<()> {
    let Some(ns) = reader.try_nsproxy().map(|nsproxy| nsproxy.cgroup_ns.clone()) else {
        return Ok(());
    };
    let _membership = reader.kernel().cgroups.lock();
    let Some(cgroup) = task.css_set().css(SubsysId::Cpuset).cgroup() else {
        return Ok(());
    };
    let mut root = cgroup.clone();
    while let Some(above) = root.parent().cloned() {
        root = above;
    }
    let from = ns.root(cgroup.hierarchy()).unwrap_or(root);
    out.bytes(&cgroup.path_from(&from))?;
    out.byte(b'\n')
}

/// `/proc/cgroups`.
pub fn controllers(kernel: &Kernel, out: &mut SeqBuf) -> Result<()> {
    out.bytes(b"#subsys_name\thierarchy\tnum_cgroups\tenabled\n")?;
    let membership = kernel.cgroups.lock();
    for id in SubsysId::ALL {
        let root = membership.hierarchies.iter().find(|root| root.hierarchy.has(id));
        let (number, cgroups) = root.map_or((0, 0), |root| {
            let count = root
                .hierarchy
                .nr_cgroups
                .load(core::sync::atomic::Ordering::Relaxed);
            (root.hierarchy.id(), count)
        });
        writeln!(out, "{}\t{number}\t{cgroups}\t1", id.subsys().name())?;
    }
    Ok(())
}

/// `/sys/kernel/cgroup/delegate`: files that a delegatee gets.
pub fn delegate(_kernel: &Arc<Kernel>, out: &mut SeqBuf) -> Result<()> {
    let tables = SubsysId::ALL.into_iter().map(|id| id.subsys().dfl_cftypes());
    let lines = core::iter::once(core_files::FILES).chain(tables).flatten();
    let delegated = |line: &&CfType| line.flags.contains(CfFlags::NS_DELEGATABLE);
    for line in lines.filter(delegated) {
        writeln!(out, "{}", line.name)?;
    }
    Ok(())
}

/// `/sys/kernel/cgroup/features`: mount options of cgroup2.
pub fn features(_kernel: &Arc<Kernel>, out: &mut SeqBuf) -> Result<()> {
    out.bytes(b"nsdelegate\nfavordynmods\nmemory_localevents\nmemory_recursiveprot\n")
}
