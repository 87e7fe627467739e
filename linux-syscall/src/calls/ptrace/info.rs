//! What a tracee tells: the record of its stop, pending signals, the call it is at, its filters.

use alloc::sync::Arc;

use linux_object::cred::Capability;
use linux_object::error::Result;
use linux_object::ids::UserAddr;
use linux_object::seccomp::{ARCH, FilterBody, FilterFlags, Mode};
use linux_object::task::ptrace::{Event, SYSCALL_ENTRY, SYSCALL_EXIT, Tracee};
use linux_object::task::{Signal, Task};
use linux_object::{bail, ensure, err};
use zerocopy::IntoBytes;

use crate::abi;
use crate::calls::signal::user_siginfo;
use crate::context::Cx;
use crate::siginfo;
use crate::user_ptr::{UserInPtr, UserOutPtr};

/// `PTRACE_PEEKSIGINFO_SHARED`.
const PEEKSIGINFO_SHARED: u32 = 1;
/// Records that are copied under one look at the queue.
const PEEK_BATCH: usize = 16;

const PTRACE_SYSCALL_INFO_NONE: u8 = 0;
const PTRACE_SYSCALL_INFO_ENTRY: u8 = 1;
const PTRACE_SYSCALL_INFO_EXIT: u8 = 2;
const PTRACE_SYSCALL_INFO_SECCOMP: u8 = 3;
/// The largest errno.
const MAX_ERRNO: u64 = 4095;

crate::abi! {
    /// `struct ptrace_peeksiginfo_args`.
    PeekSigInfoArgs[16] { off: u64, flags: u32, nr: i32, }
    /// `struct ptrace_syscall_info`; the union as words.
    SyscallInfo[88] { op: u8, pad: [u8; 3], arch: u32, ip: u64, sp: u64, union_: [u64; 8], }
    /// `struct ptrace_rseq_configuration`.
    RseqConfiguration[24] { pointer: u64, size: u32, signature: u32, flags: u32, pad: u32, }
    /// `struct seccomp_metadata`.
    SeccompMetadata[16] { filter_off: u64, flags: u64, }
}

/// `PTRACE_GETSIGINFO`. `EINVAL` in a plain group stop.
pub fn get_siginfo(cx: &Cx<'_>, tracee: &Tracee<'_>, to: UserOutPtr<abi::SigInfo>) -> Result<()> {
    let Some(info) = tracee.info() else {
        bail!(EINVAL, "PTRACE_GETSIGINFO: a group stop")
    };
    to.write(cx, &siginfo::to_user(tracee.task(), &info))
}

/// `PTRACE_SETSIGINFO`, likewise.
pub fn set_siginfo(cx: &Cx<'_>, tracee: &Tracee<'_>, from: UserInPtr<abi::SigInfo>) -> Result<()> {
    let user = from.read(cx)?;
    let Some(old) = tracee.info() else {
        bail!(EINVAL, "PTRACE_SETSIGINFO: a group stop")
    };
    let signal = u32::try_from(user.signo).ok().and_then(Signal::new);
    tracee.set_info(user_siginfo(signal.unwrap_or(old.signal), &user));
    Ok(())
}

/// `PTRACE_PEEKSIGINFO`: returns how many were copied.
pub fn peek_siginfo(cx: &Cx<'_>, tracee: &Tracee<'_>, args: u64, to: UserAddr) -> Result<usize> {
    let args: PeekSigInfoArgs = UserInPtr::new(UserAddr(args)).read(cx)?;
    ensure!(
        args.flags & !PEEKSIGINFO_SHARED == 0 && args.nr >= 0,
        EINVAL,
        "PTRACE_PEEKSIGINFO: unknown flags, or a negative number"
    );
    let shared = args.flags & PEEKSIGINFO_SHARED != 0;
    let Ok(skip) = usize::try_from(args.off) else {
        return Ok(0);
    };
    let to = UserOutPtr::<abi::SigInfo>::new(to);
    let wanted = args.nr as usize;
    let mut done = 0;
    while done < wanted {
        let count = PEEK_BATCH.min(wanted - done);
        let records = tracee.peek_signals(shared, skip.saturating_add(done), count);
        if records.is_empty() {
            break;
        }
        for info in &records {
            let copied = to.at(done).write(cx, &siginfo::to_user(tracee.task(), info));
            if done == 0 {
                copied?;
            } else if copied.is_err() {
                return Ok(done);
            }
            done += 1;
        }
        if cx.task.signal_pending() {
            break;
        }
    }
    Ok(done)
}

/// `PTRACE_GET_SYSCALL_INFO`: copies at most `size` bytes, returns how many there are.
pub fn syscall_info(cx: &Cx<'_>, tracee: &Tracee<'_>, size: u64, to: UserAddr) -> Result<usize> {
    const TRAP: i32 = Signal::TRAP.nr() as i32;
    let found = tracee.with_stop(|stop| {
        let code = stop.info.as_ref().map_or(0, |info| info.code);
        (stop.regs, code, stop.message)
    });
    let Some((regs, code, message)) = found else {
        bail!(ESRCH, "ptrace: the tracee is not stopped")
    };
    let mut info = SyscallInfo {
        arch: ARCH,
        ip: regs.rip,
        sp: regs.rsp,
        ..Default::default()
    };
    let at = core::mem::offset_of!(SyscallInfo, union_);
    let len = if code == TRAP | 0x80 && message == SYSCALL_EXIT {
        info.op = PTRACE_SYSCALL_INFO_EXIT;
        info.union_[0] = regs.rax;
        info.union_[1] = u64::from(regs.rax.wrapping_neg().wrapping_sub(1) < MAX_ERRNO);
        at + 9
    } else if code == TRAP | 0x80 && message == SYSCALL_ENTRY || code == Event::Seccomp.code(Signal::TRAP) {
        info.union_[0] = regs.orig_rax;
        info.union_[1..7].copy_from_slice(&regs.args());
        if code == TRAP | 0x80 {
            info.op = PTRACE_SYSCALL_INFO_ENTRY;
            at + 56
        } else {
            info.op = PTRACE_SYSCALL_INFO_SECCOMP;
            info.union_[7] = message & 0xffff_ffff;
            at + 60
        }
    } else {
        info.op = PTRACE_SYSCALL_INFO_NONE;
        at
    };
    let copied = len.min(usize::try_from(size).unwrap_or(usize::MAX));
    cx.hal().copy_to_user(to, &info.as_bytes()[..copied])?;
    Ok(len)
}

/// `PTRACE_GET_RSEQ_CONFIGURATION`, likewise.
pub fn rseq_configuration(cx: &Cx<'_>, task: &Arc<Task>, size: u64, to: UserAddr) -> Result<usize> {
    const RSEQ_SIZE: u32 = 32;
    let conf = RseqConfiguration {
        pointer: task.rseq.area().map_or(0, |area| area.0),
        size: RSEQ_SIZE,
        signature: task.rseq.signature(),
        ..Default::default()
    };
    let len = size_of::<RseqConfiguration>();
    let copied = len.min(usize::try_from(size).unwrap_or(usize::MAX));
    cx.hal().copy_to_user(to, &conf.as_bytes()[..copied])?;
    Ok(len)
}

/// Whether the caller may look at filters: `EACCES` without CAP_SYS_ADMIN, or if it is filtered itself.
fn may_see_filters(cx: &Cx<'_>) -> Result<()> {
    ensure!(
        cx.task.cred().capable(Capability::SYS_ADMIN) && cx.task.seccomp.mode() == Mode::Disabled,
        EACCES,
        "ptrace: filters are for CAP_SYS_ADMIN without filters"
    );
    Ok(())
}

/// The `n`-th filter of a task, counted from the oldest.
fn nth_filter(task: &Task, n: u64) -> Result<Arc<FilterBody>> {
    ensure!(
        task.seccomp.mode() == Mode::Filter,
        EINVAL,
        "ptrace: the tracee has no filters"
    );
    task.seccomp.nth_filter(n).ok_or(err!(ENOENT, "no such filter"))
}

/// `PTRACE_SECCOMP_GET_FILTER`: returns the number of instructions.
pub fn get_filter(cx: &Cx<'_>, task: &Arc<Task>, n: u64, to: UserAddr) -> Result<usize> {
    may_see_filters(cx)?;
    let body = nth_filter(task, n)?;
    let code = body.program.code();
    if !to.is_null() {
        let mut at = to;
        for insn in code {
            let bytes = insn.to_bytes();
            cx.hal().copy_to_user(at, &bytes)?;
            at = at.offset(bytes.len() as u64);
        }
    }
    Ok(code.len())
}

/// `PTRACE_SECCOMP_GET_METADATA`: which filter is in the structure; returns how many bytes of it were written.
pub fn get_metadata(cx: &Cx<'_>, task: &Arc<Task>, size: u64, at: UserAddr) -> Result<usize> {
    may_see_filters(cx)?;
    let size = size.min(size_of::<SeccompMetadata>() as u64) as usize;
    ensure!(size >= 8, EINVAL, "PTRACE_SECCOMP_GET_METADATA: too small");
    let n = UserInPtr::<u64>::new(at).read(cx)?;
    let body = nth_filter(task, n)?;
    let metadata = SeccompMetadata {
        filter_off: n,
        flags: (body.flags & FilterFlags::LOG).bits().into(),
    };
    cx.hal().copy_to_user(at, &metadata.as_bytes()[..size])?;
    Ok(size)
}
