//! System calls: `pidfd_open`, `pidfd_send_signal`, `pidfd_getfd`.

use alloc::sync::Arc;

use linux_object::error::Result;
use linux_object::fs::procfs::access::{PtraceMode, ptrace_may_access};
use linux_object::fs::{OpenFile, OpenFlags, procfs};
use linux_object::ids::{Fd, PidNr};
use linux_object::task::pid::Pid;
use linux_object::task::signal::user_kill;
use linux_object::task::{PidFd, si_code};
use linux_object::{bail, ensure, err};

use crate::abi;
use crate::calls::signal::{from_kill, signal_arg, user_siginfo};
use crate::context::Cx;
use crate::user_ptr::UserInPtr;

/// `PIDFD_NONBLOCK`.
const PIDFD_NONBLOCK: u32 = OpenFlags::NONBLOCK.bits();

/// An open file for a process.
pub fn pidfd_file(cx: &Cx<'_>, pid: Arc<Pid>, flags: OpenFlags) -> Result<Arc<OpenFile>> {
    PidFd::open(cx.kernel, cx.task, pid, flags)
}

/// The process behind a descriptor, and the flags of its open file; `EBADF` if it is no pidfd.
pub fn pidfd_pid(cx: &Cx<'_>, fd: Fd) -> Result<(Arc<Pid>, OpenFlags)> {
    let file = cx.files().get(fd)?;
    match PidFd::of(&file) {
        Some(pid) => Ok((pid, file.flags())),
        None => bail!(EBADF, "not a pidfd"),
    }
}

/// `pidfd_open(2)`.
pub fn pidfd_open(cx: &mut Cx<'_>, pid: i32, flags: u32) -> Result<usize> {
    ensure!(flags & !PIDFD_NONBLOCK == 0, EINVAL, "pidfd_open: unknown flags");
    ensure!(pid > 0, EINVAL, "pidfd_open: not a pid");
    let pid = cx.kernel.tasks.find_pid(cx.task.pid_ns(), PidNr(pid));
    let pid = pid.ok_or(err!(ESRCH, "no such process"))?;
    ensure!(
        pid.group().is_some(),
        EINVAL,
        "pidfd_open: a thread, not a process"
    );
    let file = pidfd_file(cx, pid, OpenFlags::from_bits_retain(flags))?;
    let limit = cx.task.nofile();
    Ok(cx.files().install(file, true, 0, limit)?.0 as usize)
}

/// Whom a signal is for: a pidfd names a process, and so does a directory `/proc/PID`.
fn signalled_pid(cx: &Cx<'_>, fd: Fd) -> Result<Arc<Pid>> {
    let file = cx.files().get_rw(fd)?;
    let pid = PidFd::of(&file).or_else(|| procfs::process_of(&file));
    pid.ok_or(err!(EBADF, "neither a pidfd nor a directory /proc/PID"))
}

/// `pidfd_send_signal(2)`.
pub fn pidfd_send_signal(
    cx: &mut Cx<'_>,
    pidfd: Fd,
    sig: i32,
    info: UserInPtr<abi::SigInfo>,
    flags: u32,
) -> Result<usize> {
    ensure!(flags == 0, EINVAL, "pidfd_send_signal: unknown flags");
    let pid = signalled_pid(cx, pidfd)?;
    ensure!(
        cx.task.pid_ns().is_ancestor_of(pid.ns()),
        EINVAL,
        "pidfd_send_signal: the process is not visible here"
    );
    let given = match info.read_opt(cx)? {
        None => None,
        Some(info) => {
            ensure!(
                info.signo == sig,
                EINVAL,
                "pidfd_send_signal: another signal in the record"
            );
            ensure!(
                Arc::ptr_eq(&pid, &cx.task.group().tgid) || info.code < 0 && info.code != si_code::SI_TKILL,
                EPERM,
                "pidfd_send_signal: a record that only the kernel may send"
            );
            Some(info)
        }
    };
    let task = pid.task().ok_or(err!(ESRCH, "the process is gone"))?;
    let signal = signal_arg(sig)?;
    user_kill(cx.task, task.group(), signal, |signal| match &given {
        Some(info) => user_siginfo(signal, info),
        None => from_kill(cx, signal, si_code::SI_USER),
    })?;
    Ok(0)
}

/// `pidfd_getfd(2)`.
pub fn pidfd_getfd(cx: &mut Cx<'_>, pidfd: Fd, targetfd: Fd, flags: u32) -> Result<usize> {
    ensure!(flags == 0, EINVAL, "pidfd_getfd: unknown flags");
    let (pid, _) = pidfd_pid(cx, pidfd)?;
    let task = pid.task().ok_or(err!(ESRCH, "the process is gone"))?;
    ptrace_may_access(cx.task, &task, PtraceMode::ATTACH_REALCREDS)?;
    let files = task.parts.lock().files.clone();
    let files = files.ok_or(err!(ESRCH, "the process has ended"))?;
    let file = files.get(targetfd)?;
    let limit = cx.task.nofile();
    Ok(cx.files().install(file, true, 0, limit)?.0 as usize)
}
