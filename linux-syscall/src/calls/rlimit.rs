//! System calls: resource limits and usage.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use linux_object::cred::{Capability, Cred};
use linux_object::error::{Error, Result};
use linux_object::ids::{PAGE_SIZE, PidNr};
use linux_object::task::{Resource, Rlimit, Task, Usage};
use linux_object::time::start_tick;
use linux_object::{bail, ensure, err};

use crate::abi;
use crate::calls::wait::to_rusage;
use crate::context::Cx;
use crate::user_ptr::{UserInPtr, UserOutPtr};

const RUSAGE_SELF: i32 = 0;
const RUSAGE_CHILDREN: i32 = -1;
const RUSAGE_THREAD: i32 = 1;
/// Nanoseconds in a clock tick of `times(2)`.
const TICK: u64 = 10_000_000;

fn resource(nr: u32) -> Result<Resource> {
    Resource::new(nr).ok_or(err!(EINVAL, "no such resource"))
}

fn to_user(limit: Rlimit) -> abi::Rlimit {
    abi::Rlimit {
        cur: limit.cur,
        max: limit.max,
    }
}

/// Changes a limit of a process, if the caller may (Linux's `do_prlimit`).
fn set(cx: &Cx<'_>, target: &Arc<Task>, resource: Resource, new: abi::Rlimit) -> Result<Rlimit> {
    ensure!(new.cur <= new.max, EINVAL, "prlimit: soft above hard");
    ensure!(
        resource != Resource::NOFILE || new.max <= cx.kernel.sysctl.nr_open.get_u64(),
        EPERM,
        "prlimit: above fs.nr_open"
    );
    let may_raise = cx.task.cred().capable(Capability::SYS_RESOURCE);
    let old = target.group().update_rlimit(resource, |old| {
        if new.max > old.max && !may_raise {
            return Err::<Rlimit, Error>(err!(EPERM, "prlimit: no CAP_SYS_RESOURCE to raise a hard limit"));
        }
        Ok(Rlimit {
            cur: new.cur,
            max: new.max,
        })
    })?;
    if matches!(resource, Resource::CPU | Resource::RTTIME) {
        start_tick(target.group());
    }
    Ok(old)
}

/// `getrlimit(2)`.
pub fn getrlimit(cx: &mut Cx<'_>, nr: u32, rlim: UserOutPtr<abi::Rlimit>) -> Result<usize> {
    let limit = cx.task.group().rlimit(resource(nr)?);
    rlim.write(cx, &to_user(limit))?;
    Ok(0)
}

/// `setrlimit(2)`.
pub fn setrlimit(cx: &mut Cx<'_>, nr: u32, rlim: UserInPtr<abi::Rlimit>) -> Result<usize> {
    let new = rlim.read(cx)?;
    set(cx, &cx.task.clone(), resource(nr)?, new)?;
    Ok(0)
}

/// Whose limits the caller may see and set (Linux's `check_prlimit_permission`).
fn check_prlimit(caller: &Cred, target: &Cred) -> Result<()> {
    let same = [target.euid, target.suid, target.uid] == [caller.uid; 3]
        && [target.egid, target.sgid, target.gid] == [caller.gid; 3];
    ensure!(
        same || caller.ns_capable(&target.user_ns, Capability::SYS_RESOURCE),
        EPERM,
        "prlimit: another user's process"
    );
    Ok(())
}

/// `prlimit64(2)`.
pub fn prlimit64(
    cx: &mut Cx<'_>,
    pid: i32,
    nr: u32,
    new_limit: UserInPtr<abi::Rlimit>,
    old_limit: UserOutPtr<abi::Rlimit>,
) -> Result<usize> {
    let new = new_limit.read_opt(cx)?;
    let target = match pid {
        0 => cx.task.clone(),
        _ => {
            let task = cx.kernel.tasks.find_task(cx.task.pid_ns(), PidNr(pid));
            task.ok_or(err!(ESRCH, "no such process"))?
        }
    };
    if !Arc::ptr_eq(&target, cx.task) {
        check_prlimit(&cx.task.cred(), &target.cred())?;
    }
    let resource = resource(nr)?;
    let old = match new {
        Some(new) => set(cx, &target, resource, new)?,
        None => target.group().rlimit(resource),
    };
    old_limit.write_opt(cx, &to_user(old))?;
    Ok(0)
}

/// KiB of the largest resident set so far.
fn peak(task: &Task) -> u64 {
    task.try_mm()
        .map_or(0, |mm| mm.rss_peak() * (PAGE_SIZE as u64 / 1024))
}

/// What the process used up to now.
fn usage_of_self(cx: &Cx<'_>) -> Usage {
    let times = cx.kernel.sched.group_cpu_times(cx.task);
    let usage = cx.task.group().usage();
    Usage {
        utime: times.user,
        stime: times.system,
        maxrss: usage.maxrss.max(peak(cx.task)),
        ..usage
    }
}

/// `getrusage(2)`.
pub fn getrusage(cx: &mut Cx<'_>, who: i32, usage: UserOutPtr<abi::Rusage>) -> Result<usize> {
    let found = match who {
        RUSAGE_SELF => usage_of_self(cx),
        RUSAGE_CHILDREN => cx.task.group().dead_children.read(),
        RUSAGE_THREAD => {
            let times = cx.kernel.sched.cpu_times(cx.task);
            Usage {
                utime: times.user,
                stime: times.system,
                maxrss: peak(cx.task),
                ..cx.task.usage()
            }
        }
        _ => bail!(EINVAL, "getrusage: unknown who"),
    };
    usage.write(cx, &to_rusage(&found))?;
    Ok(0)
}

/// `times(2)`.
pub fn times(cx: &mut Cx<'_>, buf: UserOutPtr<abi::Tms>) -> Result<usize> {
    let own = usage_of_self(cx);
    let children = &cx.task.group().dead_children;
    buf.write_opt(
        cx,
        &abi::Tms {
            utime: (own.utime / TICK) as i64,
            stime: (own.stime / TICK) as i64,
            cutime: (children.utime.load(Ordering::Relaxed) / TICK) as i64,
            cstime: (children.stime.load(Ordering::Relaxed) / TICK) as i64,
        },
    )?;
    Ok((cx.kernel.time.now().0 / TICK) as usize)
}
