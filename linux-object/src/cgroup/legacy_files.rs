//! The core's files in v1 hierarchies (`cgroup-v1/cgroups.rst`).

use alloc::vec::Vec;

use super::core_files::find_task;
use super::{CfCx, CfFlags, CfType, CgroupFlags, Show, Write};
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

fn set_flag(cx: &CfCx<'_>, flag: CgroupFlags, value: u64) -> Result<()> {
    cx.cgroup.set_flags(flag, value != 0);
    Ok(())
}
