//! System calls: signals.

use linux_object::error::Result;
use linux_object::ids::PidNr;
use linux_object::task::signal::{
    AltStack, AltStackFlags, SaFlags, SigAction, kill_everyone, user_kill, user_kill_pgrp, user_tkill,
};
use linux_object::task::{SigInfo, SigInfoFields, Signal, SignalSet, si_code};
use linux_object::time::Ktime;
use linux_object::{bail, ensure, err};

use crate::abi;
use crate::context::Cx;
use crate::user_ptr::{UserInPtr, UserOutPtr};
use crate::wait_until::{WaitKind, wait_until};
use crate::{restart, siginfo, signal_frame};

/// Bytes in the kernel's `sigset_t`.
const SIGSET_SIZE: usize = 8;
/// Smallest alternate stack.
const MINSIGSTKSZ: u64 = 2048;

const SIG_BLOCK: i32 = 0;
const SIG_UNBLOCK: i32 = 1;
const SIG_SETMASK: i32 = 2;

/// A signal argument; 0 only checks whether one could be sent.
pub fn signal_arg(sig: i32) -> Result<Option<Signal>> {
    match sig {
        0 => Ok(None),
        _ => match u32::try_from(sig).ok().and_then(Signal::new) {
            Some(signal) => Ok(Some(signal)),
            None => bail!(EINVAL, "no such signal"),
        },
    }
}

/// What the caller sends with `kill` (`SI_USER`) or `tkill` (`SI_TKILL`).
pub fn from_kill(cx: &Cx<'_>, signal: Signal, code: i32) -> SigInfo {
    SigInfo {
        signal,
        errno: 0,
        code,
        fields: SigInfoFields::Sender {
            pid: Some(cx.task.group().tgid.clone()),
            uid: cx.task.cred().uid,
            value: 0,
        },
    }
}

/// A record that user space made.
pub fn user_siginfo(signal: Signal, info: &abi::SigInfo) -> SigInfo {
    let mut raw = [0; 32];
    for (bytes, word) in raw.chunks_exact_mut(8).zip(info.fields) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    SigInfo {
        signal,
        errno: info.errno,
        code: info.code,
        fields: SigInfoFields::Raw(raw),
    }
}

/// `rt_sigaction(2)`.
pub fn rt_sigaction(
    cx: &mut Cx<'_>,
    signum: i32,
    act: UserInPtr<abi::SigAction>,
    oldact: UserOutPtr<abi::SigAction>,
    sigsetsize: usize,
) -> Result<usize> {
    ensure!(
        sigsetsize == SIGSET_SIZE,
        EINVAL,
        "rt_sigaction: not the size of a sigset_t"
    );
    let act = act.read_opt(cx)?;
    let Some(signal) = signal_arg(signum)? else {
        bail!(EINVAL, "no such signal");
    };
    ensure!(
        act.is_none() || !SignalSet::UNBLOCKABLE.contains(signal),
        EINVAL,
        "rt_sigaction: SIGKILL and SIGSTOP cannot be caught"
    );
    let sighand = cx.task.group().sighand();
    let old = match act {
        None => sighand.get(signal),
        Some(act) => {
            ensure!(
                !sighand.get(signal).flags.contains(SaFlags::IMMUTABLE),
                EINVAL,
                "rt_sigaction: the signal is about to end the process"
            );
            let action = SigAction {
                handler: act.handler,
                flags: SaFlags::from_bits_truncate(act.flags) & SaFlags::USER,
                restorer: act.restorer,
                mask: SignalSet(act.mask).without(SignalSet::UNBLOCKABLE),
            };
            let old = sighand.set(signal, action);
            // What is pending and ignored now is thrown away, even if it is blocked (POSIX).
            if action.ignores(signal) {
                cx.task.group().discard_pending(signal);
                cx.task.recalc_sigpending();
            }
            old
        }
    };
    oldact.write_opt(
        cx,
        &abi::SigAction {
            handler: old.handler,
            flags: (old.flags & SaFlags::USER).bits(),
            restorer: old.restorer,
            mask: old.mask.0,
        },
    )?;
    Ok(0)
}

/// `rt_sigprocmask(2)`.
pub fn rt_sigprocmask(
    cx: &mut Cx<'_>,
    how: i32,
    set: UserInPtr<u64>,
    oldset: UserOutPtr<u64>,
    sigsetsize: usize,
) -> Result<usize> {
    ensure!(
        sigsetsize == SIGSET_SIZE,
        EINVAL,
        "rt_sigprocmask: not the size of a sigset_t"
    );
    let old = cx.task.sig.blocked();
    if let Some(set) = set.read_opt(cx)? {
        let set = SignalSet(set);
        cx.task.set_blocked(match how {
            SIG_BLOCK => old.union(set),
            SIG_UNBLOCK => old.without(set),
            SIG_SETMASK => set,
            _ => bail!(EINVAL, "rt_sigprocmask: unknown how"),
        });
    }
    oldset.write_opt(cx, &old.0)?;
    Ok(0)
}

/// `rt_sigreturn(2)`.
pub fn rt_sigreturn(cx: &mut Cx<'_>) -> Result<usize> {
    signal_frame::sigreturn(cx)
}

/// Sleeps until a signal is to be handled.
fn wait_for_signal(cx: &Cx<'_>) {
    let _ = wait_until(cx.task, &[], Ktime::MAX, WaitKind::Interruptible, || None::<()>);
}

/// `pause(2)`.
pub fn pause(cx: &mut Cx<'_>) -> Result<usize> {
    wait_for_signal(cx);
    bail!(ERESTARTNOHAND)
}

/// `rt_sigsuspend(2)`.
pub fn rt_sigsuspend(cx: &mut Cx<'_>, mask: UserInPtr<u64>, sigsetsize: usize) -> Result<usize> {
    ensure!(
        sigsetsize == SIGSET_SIZE,
        EINVAL,
        "rt_sigsuspend: not the size of a sigset_t"
    );
    cx.task.set_user_sigmask(SignalSet(mask.read(cx)?));
    wait_for_signal(cx);
    bail!(ERESTARTNOHAND)
}

/// `kill(2)`.
pub fn kill(cx: &mut Cx<'_>, pid: i32, sig: i32) -> Result<usize> {
    let info = |signal| from_kill(cx, signal, si_code::SI_USER);
    let tasks = &cx.kernel.tasks;
    let ns = cx.task.pid_ns();
    match pid {
        1.. => {
            let task = tasks
                .find_task(ns, PidNr(pid))
                .ok_or(err!(ESRCH, "no such process"))?;
            user_kill(cx.task, task.group(), signal_arg(sig)?, info)?;
        }
        i32::MIN => bail!(ESRCH, "kill: not a process group"),
        -1 => kill_everyone(cx.task, signal_arg(sig)?, info)?,
        _ => {
            let pgrp = match pid {
                0 => cx.task.group().pgrp(),
                _ => tasks
                    .find_pid(ns, PidNr(-pid))
                    .filter(|pid| pid.has_pgrp())
                    .ok_or(err!(ESRCH, "no such process group"))?,
            };
            user_kill_pgrp(cx.task, &pgrp, signal_arg(sig)?, info)?;
        }
    }
    Ok(0)
}

/// `tkill(2)`.
pub fn tkill(cx: &mut Cx<'_>, tid: i32, sig: i32) -> Result<usize> {
    ensure!(tid > 0, EINVAL, "tkill: not a thread");
    send_specific(cx, None, tid, sig, |signal| {
        from_kill(cx, signal, si_code::SI_TKILL)
    })
}

/// `tgkill(2)`.
pub fn tgkill(cx: &mut Cx<'_>, tgid: i32, tid: i32, sig: i32) -> Result<usize> {
    ensure!(tid > 0 && tgid > 0, EINVAL, "tgkill: not a thread");
    send_specific(cx, Some(tgid), tid, sig, |signal| {
        from_kill(cx, signal, si_code::SI_TKILL)
    })
}

fn send_specific(
    cx: &Cx<'_>,
    tgid: Option<i32>,
    tid: i32,
    sig: i32,
    info: impl FnOnce(Signal) -> SigInfo,
) -> Result<usize> {
    let ns = cx.task.pid_ns();
    let task = cx
        .kernel
        .tasks
        .find_task(ns, PidNr(tid))
        .ok_or(err!(ESRCH, "no such thread"))?;
    if let Some(tgid) = tgid {
        ensure!(
            task.group().tgid.nr_in(ns) == PidNr(tgid),
            ESRCH,
            "tgkill: a thread of another process"
        );
    }
    user_tkill(cx.task, &task, signal_arg(sig)?, info)?;
    Ok(0)
}

/// A record that looks as if the kernel or `kill` had sent it goes only to oneself.
fn check_queue_info(info: abi::SigInfo, to: i32, own: PidNr) -> Result<abi::SigInfo> {
    ensure!(
        info.code < 0 && info.code != si_code::SI_TKILL || own == PidNr(to),
        EPERM,
        "sigqueueinfo: a record that only the kernel may send"
    );
    Ok(info)
}

/// `rt_sigqueueinfo(2)`.
pub fn rt_sigqueueinfo(cx: &mut Cx<'_>, tgid: i32, sig: i32, info: UserInPtr<abi::SigInfo>) -> Result<usize> {
    let info = check_queue_info(info.read(cx)?, tgid, cx.task.tid())?;
    let task = cx.kernel.tasks.find_task(cx.task.pid_ns(), PidNr(tgid));
    let task = task.ok_or(err!(ESRCH, "no such process"))?;
    user_kill(cx.task, task.group(), signal_arg(sig)?, |signal| {
        user_siginfo(signal, &info)
    })?;
    Ok(0)
}

/// `rt_tgsigqueueinfo(2)`.
pub fn rt_tgsigqueueinfo(
    cx: &mut Cx<'_>,
    tgid: i32,
    tid: i32,
    sig: i32,
    info: UserInPtr<abi::SigInfo>,
) -> Result<usize> {
    let given = info.read(cx)?;
    ensure!(tid > 0 && tgid > 0, EINVAL, "rt_tgsigqueueinfo: not a thread");
    let info = check_queue_info(given, tid, cx.task.tid())?;
    send_specific(cx, Some(tgid), tid, sig, |signal| user_siginfo(signal, &info))
}

/// `rt_sigpending(2)`.
pub fn rt_sigpending(cx: &mut Cx<'_>, set: UserOutPtr<u64>, sigsetsize: usize) -> Result<usize> {
    ensure!(
        sigsetsize <= SIGSET_SIZE,
        EINVAL,
        "rt_sigpending: more than a sigset_t"
    );
    let pending = cx.task.pending_signals().intersection(cx.task.sig.blocked());
    cx.hal()
        .copy_to_user(set.addr(), &pending.0.to_le_bytes()[..sigsetsize])?;
    Ok(0)
}

/// `rt_sigtimedwait(2)`.
pub fn rt_sigtimedwait(
    cx: &mut Cx<'_>,
    set: UserInPtr<u64>,
    info: UserOutPtr<abi::SigInfo>,
    timeout: UserInPtr<abi::Timespec>,
    sigsetsize: usize,
) -> Result<usize> {
    ensure!(
        sigsetsize == SIGSET_SIZE,
        EINVAL,
        "rt_sigtimedwait: not the size of a sigset_t"
    );
    let set = SignalSet(set.read(cx)?).without(SignalSet::UNBLOCKABLE);
    let deadline = match timeout.read_opt(cx)? {
        None => Ktime::MAX,
        Some(time) => {
            ensure!(
                time.sec >= 0 && (0..1_000_000_000).contains(&time.nsec),
                EINVAL,
                "rt_sigtimedwait: not a time"
            );
            let span = core::time::Duration::new(time.sec as u64, time.nsec as u32);
            cx.kernel.time.now() + span
        }
    };
    let taken = match cx.task.dequeue_signal(set) {
        Some(taken) => taken,
        None => {
            cx.task.begin_sigwait(set);
            let waited = wait_until(cx.task, &[], deadline, WaitKind::Interruptible, || None::<()>);
            cx.task.end_sigwait();
            match (cx.task.dequeue_signal(set), waited) {
                (Some(taken), _) => taken,
                (None, Err(crate::wait_until::WaitError::TimedOut)) => {
                    bail!(EAGAIN, "no signal came in time")
                }
                (None, _) => bail!(EINTR, "another signal came"),
            }
        }
    };
    info.write_opt(cx, &siginfo::to_user(cx.task, &taken))?;
    Ok(taken.signal.nr().into())
}

/// `sigaltstack(2)`.
pub fn sigaltstack(
    cx: &mut Cx<'_>,
    ss: UserInPtr<abi::StackT>,
    old_ss: UserOutPtr<abi::StackT>,
) -> Result<usize> {
    let new = ss.read_opt(cx)?;
    let old = stack_to_user(cx);
    if let Some(new) = new {
        set_altstack(cx, &new)?;
    }
    old_ss.write_opt(cx, &old)?;
    Ok(0)
}

/// The alternate stack as user space sees it, with whether it is in use.
pub fn stack_to_user(cx: &Cx<'_>) -> abi::StackT {
    let stack = cx.task.sig.altstack();
    let mode = if stack.size == 0 {
        AltStackFlags::DISABLE
    } else if stack.contains(cx.regs.rsp) {
        AltStackFlags::ONSTACK
    } else {
        AltStackFlags::empty()
    };
    abi::StackT {
        sp: stack.sp,
        flags: (mode | stack.flags & AltStackFlags::AUTODISARM).bits() as i32,
        pad0: 0,
        size: stack.size,
    }
}

/// Sets the alternate stack, unless the caller runs on it.
pub fn set_altstack(cx: &Cx<'_>, new: &abi::StackT) -> Result<()> {
    let current = cx.task.sig.altstack();
    ensure!(
        current.size == 0 || !current.contains(cx.regs.rsp),
        EPERM,
        "sigaltstack: the stack is in use"
    );
    let flags = AltStackFlags::from_bits_retain(new.flags as u32);
    let autodisarm = flags & AltStackFlags::AUTODISARM;
    let mode = flags.difference(AltStackFlags::AUTODISARM);
    let stack = if mode == AltStackFlags::DISABLE {
        AltStack {
            sp: 0,
            size: 0,
            flags,
        }
    } else {
        ensure!(
            mode.is_empty() || mode == AltStackFlags::ONSTACK,
            EINVAL,
            "sigaltstack: unknown flags"
        );
        let same = AltStack {
            sp: new.sp,
            size: new.size,
            flags: autodisarm,
        };
        ensure!(
            new.size >= MINSIGSTKSZ || same == current,
            ENOMEM,
            "sigaltstack: smaller than MINSIGSTKSZ"
        );
        same
    };
    cx.task.sig.set_altstack(stack);
    Ok(())
}

/// `restart_syscall(2)`.
pub fn restart_syscall(cx: &mut Cx<'_>) -> Result<usize> {
    restart::run(cx)
}
