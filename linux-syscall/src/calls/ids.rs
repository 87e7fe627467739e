//! System calls: pids, process groups, sessions, user and group ids.

use alloc::sync::Arc;

use linux_object::error::Result;
use linux_object::ids::PidNr;
use linux_object::task::{ThreadGroup, session};
use linux_object::{ensure, err};

use crate::context::Cx;

/// `getpid(2)`.
pub fn getpid(cx: &mut Cx<'_>) -> Result<usize> {
    Ok(cx.task.tgid().0 as usize)
}

/// `gettid(2)`.
pub fn gettid(cx: &mut Cx<'_>) -> Result<usize> {
    Ok(cx.task.tid().0 as usize)
}

/// `getppid(2)`: 0 where the parent is not visible.
pub fn getppid(cx: &mut Cx<'_>) -> Result<usize> {
    let parent = cx.task.group().parent();
    Ok(parent.map_or(0, |parent| parent.tgid.nr_in(cx.task.pid_ns()).0 as usize))
}

/// `getuid(2)`.
pub fn getuid(cx: &mut Cx<'_>) -> Result<usize> {
    let cred = cx.task.cred();
    Ok(cred.user_ns.from_kuid_munged(cred.uid).0 as usize)
}

/// `getgid(2)`.
pub fn getgid(cx: &mut Cx<'_>) -> Result<usize> {
    let cred = cx.task.cred();
    Ok(cred.user_ns.from_kgid_munged(cred.gid).0 as usize)
}

/// `geteuid(2)`.
pub fn geteuid(cx: &mut Cx<'_>) -> Result<usize> {
    let cred = cx.task.cred();
    Ok(cred.user_ns.from_kuid_munged(cred.euid).0 as usize)
}

/// `getegid(2)`.
pub fn getegid(cx: &mut Cx<'_>) -> Result<usize> {
    let cred = cx.task.cred();
    Ok(cred.user_ns.from_kgid_munged(cred.egid).0 as usize)
}

/// The process that `pid` names, 0 the caller's; a thread's id names its process, as on Linux.
fn process(cx: &Cx<'_>, pid: i32) -> Result<Arc<ThreadGroup>> {
    if pid == 0 {
        return Ok(cx.task.group().clone());
    }
    let task = cx.kernel.tasks.find_task(cx.task.pid_ns(), PidNr(pid));
    let task = task.ok_or(err!(ESRCH, "no such process"))?;
    Ok(task.group().clone())
}

/// `setpgid(2)`.
pub fn setpgid(cx: &mut Cx<'_>, pid: i32, pgid: i32) -> Result<usize> {
    let me = cx.task.group();
    let pid = if pid == 0 {
        me.tgid.nr_in(cx.task.pid_ns()).0
    } else {
        pid
    };
    let pgid = if pgid == 0 { pid } else { pgid };
    ensure!(pgid >= 0, EINVAL, "setpgid: a negative process group");
    let ns = cx.task.pid_ns();
    let named = cx.kernel.tasks.find_pid(ns, PidNr(pid));
    let task = named
        .and_then(|pid| pid.task())
        .ok_or(err!(ESRCH, "no such process"))?;
    ensure!(task.is_leader(), EINVAL, "setpgid: not a process");
    session::set_pgid(cx.task, task.group(), PidNr(pgid))?;
    Ok(0)
}

/// `getpgrp(2)`.
pub fn getpgrp(cx: &mut Cx<'_>) -> Result<usize> {
    getpgid(cx, 0)
}

/// `getpgid(2)`.
pub fn getpgid(cx: &mut Cx<'_>, pid: i32) -> Result<usize> {
    Ok(process(cx, pid)?.pgrp().nr_in(cx.task.pid_ns()).0 as usize)
}

/// `getsid(2)`.
pub fn getsid(cx: &mut Cx<'_>, pid: i32) -> Result<usize> {
    let session = process(cx, pid)?.session();
    Ok(session.sid().nr_in(cx.task.pid_ns()).0 as usize)
}

/// `setsid(2)`.
pub fn setsid(cx: &mut Cx<'_>) -> Result<usize> {
    let sid = session::set_sid(cx.task)?;
    Ok(sid.nr_in(cx.task.pid_ns()).0 as usize)
}
