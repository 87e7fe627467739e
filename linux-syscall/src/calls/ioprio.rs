//! I/O priorities: `ioprio_set(2)`, `ioprio_get(2)`.

use alloc::sync::Arc;
use alloc::vec::Vec;

use linux_object::cred::{Capability, Cred};
use linux_object::error::Result;
use linux_object::ids::{Kuid, PidNr, Uid};
use linux_object::task::{IoClass, IoPrio, Task};
use linux_object::{bail, ensure, err};

use crate::context::Cx;

const WHO_PROCESS: i32 = 1;
const WHO_PGRP: i32 = 2;
const WHO_USER: i32 = 3;

fn process(cx: &Cx<'_>, who: i32) -> Result<Arc<Task>> {
    if who == 0 {
        return Ok(cx.task.clone());
    }
    let task = cx.kernel.tasks.find_task(cx.task.pid_ns(), PidNr(who));
    task.ok_or(err!(ESRCH, "ioprio: no such thread"))
}

fn pgrp(cx: &Cx<'_>, who: i32) -> Vec<Arc<Task>> {
    let pgrp = match who {
        0 => Some(cx.task.group().pgrp()),
        _ => cx.kernel.tasks.find_pid(cx.task.pid_ns(), PidNr(who)),
    };
    let members = pgrp.map(|pgrp| pgrp.pgrp_members()).unwrap_or_default();
    members.iter().flat_map(|group| group.threads()).collect()
}

/// The user's threads that the caller's pid namespace shows.
fn user(cx: &Cx<'_>, uid: Kuid) -> Vec<Arc<Task>> {
    let mut found = Vec::new();
    cx.kernel.tasks.for_each_group(cx.task.pid_ns(), |_, group| {
        found.extend(group.threads().into_iter().filter(|task| task.cred().uid == uid));
    });
    found
}

/// Whether one may have this priority: `EPERM`.
pub(super) fn check(cred: &Cred, prio: IoPrio) -> Result<()> {
    ensure!(
        prio.class() != IoClass::RealTime
            || cred.capable(Capability::SYS_ADMIN)
            || cred.capable(Capability::SYS_NICE),
        EPERM,
        "ioprio: neither CAP_SYS_ADMIN nor CAP_SYS_NICE"
    );
    Ok(())
}

fn set_one(cred: &Cred, task: &Task, prio: IoPrio) -> Result<()> {
    let target = task.cred().uid;
    ensure!(
        target == cred.euid || target == cred.uid || cred.capable(Capability::SYS_NICE),
        EPERM,
        "ioprio_set: another user's thread"
    );
    task.set_io_prio(prio)
}

/// `ioprio_set(2)`. As on Linux, the user 0 is not the caller but that user.
pub fn ioprio_set(cx: &mut Cx<'_>, which: i32, who: i32, ioprio: i32) -> Result<usize> {
    let prio = IoPrio::new(ioprio)?;
    let cred = cx.task.cred();
    check(&cred, prio)?;
    let targets = match which {
        WHO_PROCESS => Vec::from([process(cx, who)?]),
        WHO_PGRP => pgrp(cx, who),
        WHO_USER => {
            let uid = cred.user_ns.make_kuid(Uid(who as u32));
            uid.map(|uid| user(cx, uid)).unwrap_or_default()
        }
        _ => bail!(EINVAL, "ioprio_set: no such kind of target"),
    };
    ensure!(!targets.is_empty(), ESRCH, "ioprio_set: no such target");
    targets.iter().try_for_each(|task| set_one(&cred, task, prio))?;
    Ok(0)
}

/// `ioprio_get(2)`: of several threads, the best.
pub fn ioprio_get(cx: &mut Cx<'_>, which: i32, who: i32) -> Result<usize> {
    let targets = match which {
        WHO_PROCESS => return Ok(process(cx, who)?.io_prio().number().into()),
        WHO_PGRP => pgrp(cx, who),
        WHO_USER => {
            let cred = cx.task.cred();
            let uid = match who {
                0 => Some(cred.uid),
                _ => cred.user_ns.make_kuid(Uid(who as u32)),
            };
            uid.map(|uid| user(cx, uid)).unwrap_or_default()
        }
        _ => bail!(EINVAL, "ioprio_get: no such kind of target"),
    };
    let best = targets.iter().map(|task| task.effective_io_prio()).min();
    Ok(best
        .ok_or(err!(ESRCH, "ioprio_get: no such target"))?
        .number()
        .into())
}
