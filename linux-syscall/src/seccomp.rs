//! What filters do to a system call before it is made (`seccomp(2)`; Linux's `__secure_computing`).

use linux_object::error::Errno;
use linux_object::ids::{Fd, UserAddr};
use linux_object::seccomp::{ARCH, Action, AddFd, Answer, Data, Mode, Notification, Outcome, Step, log};
use linux_object::task::ptrace::{Event, PtraceFlags};
use linux_object::task::signal::{force_fault, force_fault_exit};
use linux_object::task::{SigInfo, SigInfoFields, Signal, si_code};
use linux_object::time::Ktime;

use crate::calls::exit::do_exit;
use crate::context::Cx;
use crate::ptrace;
use crate::wait_until::{WaitKind, WaitOn, wait_until};

/// Calls of strict mode: read, write, exit, rt_sigreturn.
const STRICT_CALLS: [i32; 4] = [0, 1, 60, 15];
/// The largest errno.
const MAX_ERRNO: u16 = 4095;

/// What is to be done with a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Filtered {
    /// It is made.
    Proceed,
    /// It is not; the registers are as user space shall see them.
    Skip,
}

/// Asks the calling task's filters about the call in its registers.
pub(crate) fn filter_call(cx: &mut Cx<'_>) -> Filtered {
    if cx.task.ptrace_flags().contains(PtraceFlags::SUSPEND_SECCOMP) {
        return Filtered::Proceed;
    }
    filter_registers(cx, false)
}

/// `traced`: a tracer has been asked about this call already.
fn filter_registers(cx: &mut Cx<'_>, traced: bool) -> Filtered {
    let nr = cx.regs.orig_rax as i32;
    if cx.task.seccomp.allows_always(nr as u32) {
        return Filtered::Proceed;
    }
    let data = Data {
        nr,
        arch: ARCH,
        instruction_pointer: cx.regs.rip,
        args: cx.regs.args(),
    };
    if cx.task.seccomp.mode() == Mode::Strict {
        return strict(cx, &data);
    }
    let logged = cx.kernel.sysctl.seccomp_actions_logged.get();
    let decision = cx.task.seccomp.decide(&data, logged);
    let answer = decision.answer;
    if decision.log {
        log(cx.task, &data, answer, logged_signal(answer));
    }
    match answer.action() {
        Action::Allow | Action::Log => Filtered::Proceed,
        Action::Errno => skip(cx, -i64::from(answer.data().min(MAX_ERRNO))),
        Action::Trace if traced => Filtered::Proceed,
        Action::Trace => ask_tracer(cx, answer.data()),
        Action::UserNotif => match decision.notification {
            Some(notification) => ask(cx, &notification, data),
            None => skip(cx, -(Errno::ENOSYS as i64)),
        },
        Action::Trap => {
            cx.regs.rax = cx.regs.orig_rax;
            force_fault(cx.task, sigsys(cx, answer));
            Filtered::Skip
        }
        Action::KillThread if cx.task.group().signal.lock().nr_live > 1 => {
            do_exit(cx, Signal::SYS.nr().into());
            Filtered::Skip
        }
        Action::KillThread | Action::KillProcess => {
            cx.regs.rax = cx.regs.orig_rax;
            force_fault_exit(cx.task, sigsys(cx, answer));
            Filtered::Skip
        }
    }
}

/// Lets the tracer look at the call. It may change it, which the filters then see, or skip it with number -1.
fn ask_tracer(cx: &mut Cx<'_>, data: u16) -> Filtered {
    if !cx.task.ptrace_wants(Event::Seccomp) {
        return skip(cx, -(Errno::ENOSYS as i64));
    }
    ptrace::event(cx, Event::Seccomp, data.into());
    // A call that the tracer did not see to the end is not made.
    if cx.task.fatal_signal_pending() || (cx.regs.orig_rax as i32) < 0 {
        return Filtered::Skip;
    }
    filter_registers(cx, true)
}

fn skip(cx: &mut Cx<'_>, result: i64) -> Filtered {
    cx.regs.rax = result as u64;
    Filtered::Skip
}

fn logged_signal(answer: Answer) -> Option<Signal> {
    matches!(
        answer.action(),
        Action::Trap | Action::KillThread | Action::KillProcess
    )
    .then_some(Signal::SYS)
}

fn strict(cx: &mut Cx<'_>, data: &Data) -> Filtered {
    if STRICT_CALLS.contains(&data.nr) {
        return Filtered::Proceed;
    }
    let logged = cx.kernel.sysctl.seccomp_actions_logged.get();
    if logged & Action::KillThread.log_bit() != 0 {
        log(
            cx.task,
            data,
            Answer(Action::KillThread.code()),
            Some(Signal::KILL),
        );
    }
    do_exit(cx, Signal::KILL.nr().into());
    Filtered::Skip
}

fn sigsys(cx: &Cx<'_>, answer: Answer) -> SigInfo {
    SigInfo {
        signal: Signal::SYS,
        errno: answer.data().into(),
        code: si_code::SYS_SECCOMP,
        fields: SigInfoFields::Sys {
            call_addr: UserAddr(cx.regs.rip),
            syscall: cx.regs.orig_rax as i32,
            arch: ARCH,
        },
    }
}

/// Asks the supervisor and waits (Linux's `seccomp_do_user_notification`).
fn ask(cx: &mut Cx<'_>, notification: &Notification, data: Data) -> Filtered {
    let Some((id, queue)) = notification.ask(cx.task, data) else {
        return skip(cx, -(Errno::ENOSYS as i64));
    };
    let on = [WaitOn::any(&queue)];
    // The first wait is always interruptible, also if the supervisor was faster than it: only what
    // ends a wait decides the kind of the next.
    let mut killable = false;
    let outcome = loop {
        let kind = if killable {
            WaitKind::Killable
        } else {
            WaitKind::Interruptible
        };
        match wait_until(cx.task, &on, Ktime::MAX, kind, || notification.step(id)) {
            Ok(Step::Done(outcome)) => break outcome,
            Ok(Step::Add(added)) => {
                let result = add(cx, &added);
                notification.added(id, &added, result);
            }
            // It may have been received meanwhile.
            Err(_) if !killable && notification.waits_killable(id) => {}
            Err(_) => break Outcome::Return(-(Errno::ERESTARTSYS as i64)),
        }
        killable = notification.waits_killable(id);
    };
    notification.take_back(id);
    match outcome {
        Outcome::Continue => Filtered::Proceed,
        Outcome::Return(value) => skip(cx, value),
    }
}

/// Installs a descriptor that the supervisor sent.
fn add(cx: &Cx<'_>, added: &AddFd) -> linux_object::error::Result<usize> {
    let limit = cx.task.nofile();
    let files = cx.files();
    let fd = match added.at {
        None => files.install(added.file.clone(), added.cloexec, 0, limit)?,
        Some(at) => {
            let fd = Fd(at as i32);
            let old = files.replace(fd, added.file.clone(), added.cloexec, limit)?;
            if let Some(old) = old {
                let _ = old.close(cx.task, files);
            }
            fd
        }
    };
    Ok(fd.0 as usize)
}
