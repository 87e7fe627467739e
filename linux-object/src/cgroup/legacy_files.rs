//! The core's files in v1 hierarchies (`cgroup-v1/cgroups.rst`).

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::core_files::find_task;
use super::{CfCx, CfFlags, CfType, CgroupFlags, Show, Write};
use crate::cred::Capability;
use crate::ensure;
use crate::error::Result;
use crate::fs::seq_file::SeqBuf;
use crate::ids::Kuid;

/// The table.
pub static FILES: &[CfType] = &[
    CfType::new("cgroup.procs")
        .show(Show::Text(|cx, out| show_pids(cx, out, true)))
        .write(Write::Text(|cx, data| write_pid(cx, data, true))),
    CfType::new("cgroup.clone_children")
        .show(Show::U64(|cx| {
            cx.cgroup.flags().contains(CgroupFlags::CLONE_CHILDREN).into()
        }))
        .write(Write::U64(|cx, value| {
            set_flag(cx, CgroupFlags::CLONE_CHILDREN, value)
        })),
    CfType::new("cgroup.sane_behavior")
        .flags(CfFlags::ONLY_ON_ROOT)
        .show(Show::U64(|_| 0)),
    CfType::new("notify_on_release")
        .show(Show::U64(|cx| {
            cx.cgroup.flags().contains(CgroupFlags::NOTIFY_ON_RELEASE).into()
        }))
        .write(Write::U64(|cx, value| {
            set_flag(cx, CgroupFlags::NOTIFY_ON_RELEASE, value)
        })),
    CfType::new("release_agent")
        .flags(CfFlags::ONLY_ON_ROOT)
        .max_write(4095)
        .show(Show::Text(|cx, out| {
            out.bytes(&cx.cgroup.hierarchy().release_agent.lock())?;
            out.byte(b'\n')
        }))
        .write(Write::Text(write_release_agent)),
    CfType::new("tasks")
        .show(Show::Text(|cx, out| show_pids(cx, out, false)))
        .write(Write::Text(|cx, data| write_pid(cx, data, false))),
];

/// Sorted, each once; what the reader's pid namespace does not know is left out.
fn show_pids(cx: &CfCx<'_>, out: &mut SeqBuf, processes: bool) -> Result<()> {
    let ns = cx.task.pid_ns();
    let tasks = cx.cgroup.threads();
    let numbers = tasks.iter().map(|task| {
        if processes {
            task.group().tgid.nr_in(ns)
        } else {
            task.pid().nr_in(ns)
        }
    });
    let mut numbers: Vec<_> = numbers.filter(|nr| nr.0 > 0).collect();
    numbers.sort_unstable();
    numbers.dedup();
    for nr in numbers {
        writeln!(out, "{nr}")?;
    }
    Ok(())
}

fn write_pid(cx: &CfCx<'_>, data: &[u8], whole: bool) -> Result<()> {
    let mut membership = cx.kernel.cgroups.lock();
    ensure!(!cx.cgroup.is_dead(), ENODEV, "cgroup: it is gone");
    let task = find_task(cx, data)?;
    let whose = task.cred();
    ensure!(
        cx.cred.euid == Kuid::ROOT || cx.cred.euid == whose.uid || cx.cred.euid == whose.suid,
        EACCES,
        "tasks: the task is another user's"
    );
    membership.attach(cx.cgroup, &task, whole)
}

/// The agent runs with all capabilities, so it is named only by whoever opened the file with them, in the initial
/// namespaces.
fn write_release_agent(cx: &CfCx<'_>, data: &[u8]) -> Result<()> {
    ensure!(
        cx.cred.capable(Capability::SYS_ADMIN) && Arc::ptr_eq(cx.ns.user_ns(), &cx.kernel.init_user_ns),
        EPERM,
        "release_agent: no CAP_SYS_ADMIN"
    );
    let mut path = Vec::new();
    let text = super::strip(data);
    ensure!(
        path.try_reserve_exact(text.len()).is_ok(),
        ENOMEM,
        "release_agent: no memory for the path"
    );
    path.extend_from_slice(text);
    let old = core::mem::replace(&mut *cx.cgroup.hierarchy().release_agent.lock(), path);
    drop(old);
    Ok(())
}

fn set_flag(cx: &CfCx<'_>, flag: CgroupFlags, value: u64) -> Result<()> {
    cx.cgroup.set_flags(flag, value != 0);
    Ok(())
}
