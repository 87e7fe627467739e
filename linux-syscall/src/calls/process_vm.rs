//! Memory of other processes (`process_vm_readv(2)`, `process_mrelease(2)`).

use alloc::sync::Arc;
use alloc::vec::Vec;

use linux_object::cred::Capability;
use linux_object::error::Result;
use linux_object::fs::procfs::access::{PtraceMode, ptrace_may_access};
use linux_object::ids::{Fd, PAGE_SIZE, PidNr, USER_END, UserAddr};
use linux_object::mm::{Advice, Fault, Mm};
use linux_object::task::PidFd;
use linux_object::{bail, ensure, err};

use crate::abi;
use crate::calls::pidfd::pidfd_pid;
use crate::context::Cx;
use crate::user_ptr::UserInPtr;

/// Ranges in one call (`UIO_MAXIOV`).
const UIO_MAXIOV: usize = 1024;
/// Bytes in one call.
const MAX_RW_COUNT: u64 = 0x7fff_f000;

/// One range after the other, by bytes.
struct Cursor {
    ranges: Vec<abi::IoVec>,
    at: usize,
    done: u64,
}

impl Cursor {
    fn read(cx: &Cx<'_>, iov: UserInPtr<abi::IoVec>, count: usize, limit: u64) -> Result<Cursor> {
        ensure!(count <= UIO_MAXIOV, EINVAL, "more than 1024 ranges");
        let mut ranges = iov.read_vec(cx, count)?;
        let mut left = limit;
        for range in &mut ranges {
            ensure!(range.len <= i64::MAX as u64, EINVAL, "a negative length");
            range.len = range.len.min(left);
            left -= range.len;
        }
        Ok(Cursor {
            ranges,
            at: 0,
            done: 0,
        })
    }

    fn is_empty(&self) -> bool {
        self.ranges.iter().all(|range| range.len == 0)
    }

    /// The next address and how many bytes follow it in its range.
    fn next(&mut self) -> Option<(u64, u64)> {
        while let Some(range) = self.ranges.get(self.at) {
            if self.done < range.len {
                return Some((range.base.wrapping_add(self.done), range.len - self.done));
            }
            (self.at, self.done) = (self.at + 1, 0);
        }
        None
    }
}

fn transfer(cx: &Cx<'_>, mm: &Mm, local: &mut Cursor, remote: &mut Cursor, write: bool) -> Result<usize> {
    let mut total = 0;
    while let (Some((here, here_left)), Some((there, there_left))) = (local.next(), remote.next()) {
        let within = (there % PAGE_SIZE as u64) as usize;
        let len = here_left.min(there_left).min((PAGE_SIZE - within) as u64) as usize;
        let moved = match mm.pin(there, write, false) {
            Ok(page) if write => cx.hal().user_to_frame(UserAddr(here), page.frame, within, len),
            Ok(page) => cx.hal().frame_to_user(page.frame, within, UserAddr(here), len),
            Err(Fault::Oom) => Err(err!(ENOMEM)),
            Err(_) => Err(err!(EFAULT, "not mapped there, or not so")),
        };
        match moved {
            Ok(()) => {}
            Err(error) if total == 0 => return Err(error),
            Err(_) => break,
        }
        local.done += len as u64;
        remote.done += len as u64;
        total += len;
    }
    Ok(total)
}

#[allow(clippy::too_many_arguments)]
fn process_vm_rw(
    cx: &Cx<'_>,
    pid: i32,
    local_iov: UserInPtr<abi::IoVec>,
    liovcnt: usize,
    remote_iov: UserInPtr<abi::IoVec>,
    riovcnt: usize,
    flags: u64,
    write: bool,
) -> Result<usize> {
    ensure!(flags == 0, EINVAL, "process_vm: there are no flags");
    let mut local = Cursor::read(cx, local_iov, liovcnt, MAX_RW_COUNT)?;
    if local.is_empty() {
        return Ok(0);
    }
    let mut remote = Cursor::read(cx, remote_iov, riovcnt, u64::MAX)?;
    if remote.is_empty() {
        return Ok(0);
    }
    let found = cx.kernel.tasks.find_task(cx.task.pid_ns(), PidNr(pid));
    let Some(target) = found else {
        bail!(ESRCH, "process_vm: no such process")
    };
    ptrace_may_access(cx.task, &target, PtraceMode::ATTACH_REALCREDS)?;
    let Some(mm) = target.try_mm() else {
        bail!(ESRCH, "process_vm: the process has no memory")
    };
    transfer(cx, &mm, &mut local, &mut remote, write)
}

/// `process_vm_readv(2)`.
pub fn process_vm_readv(
    cx: &mut Cx<'_>,
    pid: i32,
    local_iov: UserInPtr<abi::IoVec>,
    liovcnt: usize,
    remote_iov: UserInPtr<abi::IoVec>,
    riovcnt: usize,
    flags: u64,
) -> Result<usize> {
    process_vm_rw(cx, pid, local_iov, liovcnt, remote_iov, riovcnt, flags, false)
}

/// `process_vm_writev(2)`.
pub fn process_vm_writev(
    cx: &mut Cx<'_>,
    pid: i32,
    local_iov: UserInPtr<abi::IoVec>,
    liovcnt: usize,
    remote_iov: UserInPtr<abi::IoVec>,
    riovcnt: usize,
    flags: u64,
) -> Result<usize> {
    process_vm_rw(cx, pid, local_iov, liovcnt, remote_iov, riovcnt, flags, true)
}

/// `process_madvise(2)`.
pub fn process_madvise(
    cx: &mut Cx<'_>,
    pidfd: Fd,
    vec: UserInPtr<abi::IoVec>,
    vlen: usize,
    advice: i32,
    flags: u32,
) -> Result<usize> {
    ensure!(flags == 0, EINVAL, "process_madvise: there are no flags");
    let ranges = Cursor::read(cx, vec, vlen, MAX_RW_COUNT)?.ranges;
    ensure!(
        ranges
            .iter()
            .all(|range| range.len == 0 || range.base < USER_END && range.len <= USER_END - range.base),
        EFAULT,
        "process_madvise: not user addresses"
    );
    let (pid, _) = pidfd_pid(cx, pidfd)?;
    let task = pid
        .task()
        .ok_or(err!(ESRCH, "process_madvise: the process is gone"))?;
    let advice = Advice::from_number(advice).filter(|advice| {
        // Nothing that changes what the other process reads.
        matches!(advice, Advice::Cold | Advice::PageOut | Advice::WillNeed)
    });
    let Some(advice) = advice else {
        bail!(EINVAL, "process_madvise: not an advice for others")
    };
    let Some(mm) = task.try_mm() else {
        bail!(ESRCH, "process_madvise: the process has no memory")
    };
    if !cx.task.try_mm().is_some_and(|own| Arc::ptr_eq(&own, &mm)) {
        ptrace_may_access(cx.task, &task, PtraceMode::READ_FSCREDS)
            .map_err(|_| err!(EACCES, "process_madvise: no access to the process"))?;
    }
    ensure!(
        cx.task.cred().capable(Capability::SYS_NICE),
        EPERM,
        "process_madvise: CAP_SYS_NICE"
    );
    let mut done = 0;
    for range in ranges.iter().filter(|range| range.len != 0) {
        // None of these brings pages in at once.
        if let Err(error) = mm.madvise(range.base, range.len, advice as i32).map(drop) {
            if done == 0 {
                return Err(error);
            }
            break;
        }
        done += range.len as usize;
    }
    Ok(done)
}

/// `process_mrelease(2)`.
pub fn process_mrelease(cx: &mut Cx<'_>, pidfd: Fd, flags: u32) -> Result<usize> {
    ensure!(flags == 0, EINVAL, "process_mrelease: there are no flags");
    let file = cx.file(pidfd)?;
    let pid = PidFd::of(&file).ok_or(err!(EBADF, "process_mrelease: not a pidfd"))?;
    let Some(group) = pid.group() else {
        bail!(ESRCH, "process_mrelease: the process is gone")
    };
    let Some(mm) = group.threads().iter().find_map(|task| task.try_mm()) else {
        bail!(ESRCH, "process_mrelease: the process has no memory any more")
    };
    // Those who share the memory and live on must keep it.
    let threads = group
        .threads()
        .iter()
        .filter(|task| task.try_mm().is_some())
        .count();
    let dying = group.is_exiting();
    ensure!(dying, EINVAL, "process_mrelease: the process is not dying");
    ensure!(
        Arc::strong_count(&mm) <= threads + 1 || mm.is_reaped(),
        EINVAL,
        "process_mrelease: others use the memory"
    );
    mm.reap();
    Ok(0)
}
