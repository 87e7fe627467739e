//! System calls: `wait4`, `waitid`.

use alloc::sync::Arc;

use linux_object::error::Result;
use linux_object::ids::{Fd, PidNr};
use linux_object::task::Usage;
use linux_object::task::pid::Pid;
use linux_object::task::wait::{WaitOptions, WaitReport, WaitTarget, wait_once};
use linux_object::time::Ktime;
use linux_object::{bail, ensure, err};

use crate::abi;
use crate::calls::pidfd::pidfd_pid;
use crate::context::Cx;
use crate::user_ptr::UserOutPtr;
use crate::wait_until::{WaitKind, WaitOn, wait_until};

const P_ALL: i32 = 0;
const P_PID: i32 = 1;
const P_PGID: i32 = 2;
const P_PIDFD: i32 = 3;

/// Waits for a report; `None` with `WNOHANG`.
fn do_wait(cx: &Cx<'_>, target: &WaitTarget, options: WaitOptions) -> Result<Option<WaitReport>> {
    let first = wait_once(cx.task, target, options)?;
    if first.is_some() || options.contains(WaitOptions::NOHANG) {
        return Ok(first);
    }
    let group = cx.task.group().clone();
    let on = [WaitOn::any(&group.wait_child)];
    wait_until(cx.task, &on, Ktime::MAX, WaitKind::Interruptible, || {
        wait_once(cx.task, target, options).transpose()
    })
    .map_err(|_| err!(ERESTARTSYS))?
    .map(Some)
}

fn find(cx: &Cx<'_>, nr: i32) -> Option<Arc<Pid>> {
    cx.kernel.tasks.find_pid(cx.task.pid_ns(), PidNr(nr))
}

/// `wait4(2)`.
pub fn wait4(
    cx: &mut Cx<'_>,
    pid: i32,
    wstatus: UserOutPtr<i32>,
    options: u32,
    rusage: UserOutPtr<abi::Rusage>,
) -> Result<usize> {
    let allowed = WaitOptions::NOHANG
        | WaitOptions::STOPPED
        | WaitOptions::CONTINUED
        | WaitOptions::NOTHREAD
        | WaitOptions::CLONE
        | WaitOptions::ALL;
    ensure!(options & !allowed.bits() == 0, EINVAL, "wait4: unknown options");
    ensure!(pid != i32::MIN, ESRCH, "wait4: not a pid");
    let target = match pid {
        -1 => WaitTarget::Any,
        0 => WaitTarget::Pgrp(cx.task.group().pgrp()),
        ..0 => WaitTarget::Pgrp(find(cx, -pid).ok_or(err!(ECHILD, "no such process group"))?),
        _ => WaitTarget::Pid(find(cx, pid).ok_or(err!(ECHILD, "no such process"))?),
    };
    let options = WaitOptions::from_bits_retain(options) | WaitOptions::EXITED;
    let Some(report) = do_wait(cx, &target, options)? else {
        return Ok(0);
    };
    wstatus.write_opt(cx, &report.status)?;
    if !rusage.is_null() {
        rusage.write(cx, &to_rusage(&report.usage))?;
    }
    Ok(report.pid.nr_in(cx.task.pid_ns()).0 as usize)
}

/// `waitid(2)`.
pub fn waitid(
    cx: &mut Cx<'_>,
    idtype: i32,
    id: i32,
    infop: UserOutPtr<abi::SigInfo>,
    options: u32,
    rusage: UserOutPtr<abi::Rusage>,
) -> Result<usize> {
    let result = waitid_report(cx, idtype, id, options);
    let mut info = abi::SigInfo::default();
    if let Ok(Some(report)) = &result {
        if !rusage.is_null() {
            rusage.write(cx, &to_rusage(&report.usage))?;
        }
        let pid = report.pid.nr_in(cx.task.pid_ns()).0 as u32;
        let uid = cx.task.cred().user_ns.from_kuid_munged(report.uid).0;
        info.signo = linux_object::task::Signal::CHLD.nr().into();
        info.code = report.code;
        info.fields[0] = u64::from(pid) | u64::from(uid) << 32;
        info.fields[1] = u64::from(report.value as u32);
    }
    if !infop.is_null() {
        // Only the six fields that waitid(2) names are written; zeros even if the call fails.
        use zerocopy::IntoBytes;
        cx.hal().copy_to_user(infop.addr(), &info.as_bytes()[..28])?;
    }
    result.map(|_| 0)
}

fn waitid_report(cx: &Cx<'_>, idtype: i32, id: i32, options: u32) -> Result<Option<WaitReport>> {
    let allowed = WaitOptions::NOHANG
        | WaitOptions::NOWAIT
        | WaitOptions::EXITED
        | WaitOptions::STOPPED
        | WaitOptions::CONTINUED
        | WaitOptions::NOTHREAD
        | WaitOptions::CLONE
        | WaitOptions::ALL;
    let what = WaitOptions::EXITED | WaitOptions::STOPPED | WaitOptions::CONTINUED;
    ensure!(
        options & !allowed.bits() == 0 && options & what.bits() != 0,
        EINVAL,
        "waitid: unknown options, or nothing to wait for"
    );
    let mut options = WaitOptions::from_bits_retain(options);
    let mut nonblocking = false;
    let target = match idtype {
        P_ALL => WaitTarget::Any,
        P_PID => {
            ensure!(id > 0, EINVAL, "waitid: not a pid");
            WaitTarget::Pid(find(cx, id).ok_or(err!(ECHILD, "no such process"))?)
        }
        P_PGID => {
            ensure!(id >= 0, EINVAL, "waitid: not a process group");
            WaitTarget::Pgrp(match id {
                0 => cx.task.group().pgrp(),
                _ => find(cx, id).ok_or(err!(ECHILD, "no such process group"))?,
            })
        }
        P_PIDFD => {
            ensure!(id >= 0, EINVAL, "waitid: not a descriptor");
            let (pid, flags) = pidfd_pid(cx, Fd(id))?;
            nonblocking = flags.contains(linux_object::fs::OpenFlags::NONBLOCK);
            WaitTarget::Pid(pid)
        }
        _ => bail!(EINVAL, "waitid: unknown idtype"),
    };
    let would_wait = nonblocking && !options.contains(WaitOptions::NOHANG);
    if nonblocking {
        options |= WaitOptions::NOHANG;
    }
    let report = do_wait(cx, &target, options)?;
    if report.is_none() && would_wait {
        bail!(EAGAIN, "waitid: the pidfd is non-blocking");
    }
    Ok(report)
}

/// What `getrusage(2)` and `wait4(2)` show.
pub fn to_rusage(usage: &Usage) -> abi::Rusage {
    let time = |ns: u64| abi::Timeval {
        sec: (ns / 1_000_000_000) as i64,
        usec: (ns % 1_000_000_000 / 1000) as i64,
    };
    abi::Rusage {
        utime: time(usage.utime),
        stime: time(usage.stime),
        maxrss: usage.maxrss as i64,
        minflt: usage.min_flt as i64,
        majflt: usage.maj_flt as i64,
        inblock: usage.inblock as i64,
        oublock: usage.oublock as i64,
        nvcsw: usage.nvcsw as i64,
        nivcsw: usage.nivcsw as i64,
        ..Default::default()
    }
}
