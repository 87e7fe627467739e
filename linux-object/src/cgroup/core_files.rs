//! The core's files in cgroup2 (`cgroup-v2.rst`, "Core Interface Files").

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicI32, Ordering};

use hashbrown::HashSet;

use super::{
    CfCx, CfFlags, CfType, Cgroup, CgroupFlags, CgroupMembership, CssSet, Show, SubsysMask, Write, parse_i64,
    parse_limit, show_limit, strip,
};
use crate::error::Result;
use crate::fs::permission::{Access, generic_permission};
use crate::fs::seq_file::SeqBuf;
use crate::ids::PidNr;
use crate::task::signal::send_to_group;
use crate::task::{SigInfo, Signal, Task};
use crate::{bail, ensure, err};

/// The table.
pub static FILES: &[CfType] = &[
    CfType::new("cgroup.type")
        .flags(CfFlags::NOT_ON_ROOT)
        .show(Show::Text(show_type))
        .write(Write::Text(write_type)),
    CfType::new("cgroup.procs")
        .flags(CfFlags::NS_DELEGATABLE)
        .show(Show::Text(show_procs))
        .write(Write::Text(|cx, data| write_pid(cx, data, true))),
    CfType::new("cgroup.threads")
        .flags(CfFlags::NS_DELEGATABLE)
        .show(Show::Text(show_threads))
        .write(Write::Text(|cx, data| write_pid(cx, data, false))),
    CfType::new("cgroup.controllers").show(Show::Text(|cx, out| show_mask(cx.cgroup.control(), out))),
    CfType::new("cgroup.subtree_control")
        .flags(CfFlags::NS_DELEGATABLE)
        .show(Show::Text(|cx, out| show_mask(cx.cgroup.subtree_control(), out)))
        .write(Write::Text(|cx, data| {
            let mut membership = cx.kernel.cgroups.lock();
            membership.write_subtree_control(&cx.kernel.css_env(), cx.cgroup, data)
        })),
    CfType::new("cgroup.events")
        .flags(CfFlags::NOT_ON_ROOT)
        .show(Show::Text(|cx, out| {
            writeln!(out, "populated {}", u8::from(cx.cgroup.is_populated()))?;
            let frozen = cx.cgroup.flags().contains(CgroupFlags::FROZEN);
            writeln!(out, "frozen {}", u8::from(frozen))
        })),
    CfType::new("cgroup.max.descendants")
        .show(Show::Text(|cx, out| show_max(&cx.cgroup.max_descendants, out)))
        .write(Write::Text(|cx, data| {
            write_max(cx, &cx.cgroup.max_descendants, data)
        })),
    CfType::new("cgroup.max.depth")
        .show(Show::Text(|cx, out| show_max(&cx.cgroup.max_depth, out)))
        .write(Write::Text(|cx, data| write_max(cx, &cx.cgroup.max_depth, data))),
    CfType::new("cgroup.stat").show(Show::Text(|cx, out| {
        let count = |counter: &core::sync::atomic::AtomicU32| counter.load(Ordering::Relaxed);
        writeln!(out, "nr_descendants {}", count(&cx.cgroup.nr_descendants))?;
        writeln!(
            out,
            "nr_dying_descendants {}",
            count(&cx.cgroup.nr_dying_descendants)
        )
    })),
    CfType::new("cgroup.freeze")
        .flags(CfFlags::NOT_ON_ROOT)
        .show(Show::U64(|cx| cx.cgroup.is_freezing_self().into()))
        .write(Write::Text(write_freeze)),
    CfType::new("cgroup.kill")
        .flags(CfFlags::NOT_ON_ROOT)
        .write(Write::Text(write_kill)),
];

fn alive(cgroup: &Cgroup) -> Result<()> {
    ensure!(!cgroup.is_dead(), ENODEV, "cgroup: it is gone");
    Ok(())
}

fn show_type(cx: &CfCx<'_>, out: &mut SeqBuf) -> Result<()> {
    let cgroup = cx.cgroup;
    out.bytes(if cgroup.is_threaded() {
        b"threaded\n"
    } else if !cgroup.is_valid_domain() {
        b"domain invalid\n"
    } else if cgroup.is_thread_root() {
        b"domain threaded\n"
    } else {
        b"domain\n"
    })
}

fn write_type(cx: &CfCx<'_>, data: &[u8]) -> Result<()> {
    ensure!(
        strip(data) == b"threaded",
        EINVAL,
        "cgroup.type: only threaded can be written"
    );
    let mut membership = cx.kernel.cgroups.lock();
    membership.make_threaded(&cx.kernel.css_env(), cx.cgroup)
}

/// The tasks of these sets: leaders of processes whose threads are not all gone, or all threads.
fn collect(sets: &[Arc<CssSet>], leaders: bool) -> Vec<Arc<Task>> {
    let mut found = Vec::new();
    for set in sets {
        let tasks = set.tasks.lock();
        if leaders {
            found.extend(tasks.live.values().filter(|task| task.is_leader()).cloned());
            found.extend(tasks.dying.values().cloned());
        } else {
            found.extend(tasks.live.values().cloned());
        }
    }
    found
}

impl Cgroup {
    /// The processes that count as being here; for a domain with a threaded subtree, those below too.
    pub(super) fn processes(self: &Arc<Cgroup>) -> Vec<Arc<Task>> {
        let mut found = collect(&self.sets(), true);
        if self.nr_threaded_children.load(Ordering::Relaxed) != 0 {
            let below = self.subtree().skip(1);
            for cgroup in below.filter(|cgroup| cgroup.is_threaded() && Arc::ptr_eq(cgroup.domain(), self)) {
                found.extend(collect(&cgroup.sets(), true));
            }
        }
        found
    }
    /// The threads in it.
    pub(super) fn threads(self: &Arc<Cgroup>) -> Vec<Arc<Task>> {
        collect(&self.sets(), false)
    }
}

fn show_procs(cx: &CfCx<'_>, out: &mut SeqBuf) -> Result<()> {
    ensure!(
        !cx.cgroup.is_threaded(),
        EOPNOTSUPP,
        "cgroup.procs: the processes of a threaded cgroup are those of its domain"
    );
    let ns = cx.task.pid_ns();
    for task in cx.cgroup.processes() {
        writeln!(out, "{}", task.group().tgid.nr_in(ns))?;
    }
    Ok(())
}

fn show_threads(cx: &CfCx<'_>, out: &mut SeqBuf) -> Result<()> {
    let ns = cx.task.pid_ns();
    for task in cx.cgroup.threads() {
        writeln!(out, "{}", task.pid().nr_in(ns))?;
    }
    Ok(())
}

/// The task that a write of a pid means, as the writer's pid namespace numbers it; 0 is the writer itself.
pub(super) fn find_task(cx: &CfCx<'_>, data: &[u8]) -> Result<Arc<Task>> {
    let nr = parse_i64(strip(data)).ok().and_then(|nr| i32::try_from(nr).ok());
    let Some(nr @ 0..) = nr else {
        bail!(EINVAL, "cgroup.procs: not a pid")
    };
    if nr == 0 {
        return Ok(cx.task.clone());
    }
    let found = cx.kernel.tasks.find_task(cx.task.pid_ns(), PidNr(nr));
    found.ok_or(err!(ESRCH, "cgroup.procs: no such task"))
}

fn write_pid(cx: &CfCx<'_>, data: &[u8], whole: bool) -> Result<()> {
    let mut membership = cx.kernel.cgroups.lock();
    alive(cx.cgroup)?;
    let task = find_task(cx, data)?;
    // A process is where its leader is.
    let task = if whole {
        task.group().leader().unwrap_or(task)
    } else {
        task
    };
    let from = task.css_set().dfl_cgroup().clone();
    may_attach(&from, cx.cgroup, cx, whole)?;
    membership.attach(cx.cgroup, &task, whole)
}

/// Whether the owner of `cred` may write `cgroup.procs` of a cgroup.
pub(super) fn may_write_procs(cgroup: &Cgroup, cred: &crate::cred::Cred) -> Result<()> {
    let owner = cgroup.file_owner("cgroup.procs");
    generic_permission(cred, owner, false, Access::WRITE)
}

fn may_attach(from: &Arc<Cgroup>, to: &Arc<Cgroup>, cx: &CfCx<'_>, whole: bool) -> Result<()> {
    let ns_root = cx.ns.root(to.hierarchy());
    may_migrate(from, to, cx.cred, ns_root.as_ref(), whole)
}

/// Whether a task may move between cgroups of cgroup2: permission at the common ancestor, the boundary
/// of the cgroup namespace, then the rules of the tree (Linux's `cgroup_attach_permissions`).
pub(super) fn may_migrate(
    from: &Arc<Cgroup>,
    to: &Arc<Cgroup>,
    cred: &crate::cred::Cred,
    ns_root: Option<&Arc<Cgroup>>,
    whole: bool,
) -> Result<()> {
    let common = from.self_and_ancestors().find(|&above| to.is_descendant(above));
    if let Some(common) = common {
        may_write_procs(common, cred)?;
    }
    if to.hierarchy().flags().contains(super::RootFlags::NS_DELEGATE)
        && let Some(root) = ns_root
    {
        ensure!(
            from.is_descendant(root) && to.is_descendant(root),
            ENOENT,
            "cgroup.procs: outside of the cgroup namespace"
        );
    }
    to.may_take_tasks()?;
    ensure!(
        whole || Arc::ptr_eq(from.domain(), to.domain()),
        EOPNOTSUPP,
        "cgroup.threads: the cgroups are of different domains"
    );
    Ok(())
}

/// Names of controllers in a line.
fn show_mask(mask: SubsysMask, out: &mut SeqBuf) -> Result<()> {
    for (n, id) in mask.iter().enumerate() {
        if n > 0 {
            out.byte(b' ')?;
        }
        out.bytes(id.subsys().name().as_bytes())?;
    }
    if mask.is_empty() { Ok(()) } else { out.byte(b'\n') }
}

fn show_max(max: &AtomicI32, out: &mut SeqBuf) -> Result<()> {
    let max = max.load(Ordering::Relaxed);
    show_limit((max != i32::MAX).then_some(max as u64), out)
}

fn write_max(cx: &CfCx<'_>, max: &AtomicI32, data: &[u8]) -> Result<()> {
    let value = match parse_limit(data)? {
        None => i32::MAX,
        Some(value) => match i32::try_from(value) {
            Ok(value @ 0..) => value,
            _ => bail!(ERANGE, "cgroup: a limit on cgroups is from 0 to 2147483647"),
        },
    };
    let _membership = cx.kernel.cgroups.lock();
    alive(cx.cgroup)?;
    max.store(value, Ordering::Relaxed);
    Ok(())
}

/// A small number as `kstrtoint` reads it.
fn parse_int(data: &[u8]) -> Result<i32> {
    let value = parse_i64(strip(data))?;
    i32::try_from(value).map_err(|_| err!(ERANGE, "cgroup: the number is too large"))
}

fn write_freeze(cx: &CfCx<'_>, data: &[u8]) -> Result<()> {
    let value = parse_int(data)?;
    ensure!(matches!(value, 0 | 1), ERANGE, "cgroup.freeze: 0 or 1");
    let mut membership = cx.kernel.cgroups.lock();
    alive(cx.cgroup)?;
    membership.freeze(cx.cgroup, value == 1);
    Ok(())
}

fn write_kill(cx: &CfCx<'_>, data: &[u8]) -> Result<()> {
    let value = parse_int(data)?;
    ensure!(value == 1, ERANGE, "cgroup.kill: only 1 can be written");
    let mut membership = cx.kernel.cgroups.lock();
    alive(cx.cgroup)?;
    ensure!(
        !cx.cgroup.is_threaded(),
        EOPNOTSUPP,
        "cgroup.kill: it kills whole processes"
    );
    membership.kill(cx.cgroup);
    Ok(())
}

impl CgroupMembership {
    /// Kills every process of the subtree. A child is born under the signal lock of its parent, after a look at
    /// whether that is being killed: so once a round finds nobody who was not killed before, there is nobody.
    pub fn kill(&mut self, cgroup: &Arc<Cgroup>) {
        let mut killed = HashSet::new();
        loop {
            let mut news = false;
            for below in cgroup.subtree() {
                for task in below.threads() {
                    if killed.insert(task.koid()) {
                        news = true;
                        let _ = send_to_group(task.group(), SigInfo::kernel(Signal::KILL));
                    }
                }
            }
            if !news {
                return;
            }
        }
    }
}
