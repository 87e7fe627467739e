//! The life of a user thread: enter user mode, trap, handle, and before going back do what policy
//! asks for.
//!
//! The steps on the way back are in [`exit_to_user`], in the order in which they bite: signals and
//! job control, memory over a limit, then throttling and rescheduling, which are one step: the task holds nothing
//! there, so it may be left waiting until its cgroup has CPU time again. On the fast path all of them are one load
//! and one branch.

use alloc::boxed::Box;
use alloc::sync::Arc;

use linux_object::cgroup::memory::memcg_of;
use linux_object::error::{Errno, Result};
use linux_object::hal::{Trap, UserRegs};
use linux_object::ids::UserAddr;
use linux_object::mm::memcg::{MemCgroup, high_delay};
use linux_object::mm::oom;
use linux_object::task::{SigInfo, SigInfoFields, Signal, Task, ThreadFlags, si_code, signal};
use linux_object::time::Ktime;

use crate::context::Cx;
use crate::seccomp::{self, Filtered};
use crate::wait_until::{WaitError, WaitKind, WaitOn, wait_until};
use crate::{calls, low_memory, ptrace, release_agent, signal_frame, strace, table, user_dispatch};

/// What a new thread runs that goes to user mode with these registers (for
/// `Scheduler::new_thread`).
pub fn user_thread(regs: UserRegs) -> Box<dyn FnOnce(&Arc<Task>) + Send> {
    Box::new(move |task| run_user_thread(task, regs))
}

/// Enter, trap, handle, until the task has exited.
pub fn run_user_thread(task: &Arc<Task>, mut regs: UserRegs) {
    let kernel = task.kernel();
    let mut cx = Cx::new(task, &mut regs);
    task.follow_strace();
    calls::clone::schedule_tail(&mut cx);
    loop {
        if task.thread_flags().intersects(ThreadFlags::EXIT_WORK) {
            exit_to_user(&mut cx);
            if task.has_exited() {
                if kernel.cgroups.has_released() {
                    release_agent::run(kernel);
                }
                return;
            }
        }
        match kernel.hal.run_user(cx.regs, task.sched.user_clock()) {
            Trap::Syscall => system_call(&mut cx),
            Trap::SyscallLowMemory => low_memory::system_call(&mut cx),
            Trap::PageFault {
                addr,
                access,
                present,
            } => {
                linux_object::mm::handle_user_fault(task, addr, access, present);
            }
            Trap::Exception { vector, error } => exception(&mut cx, vector, error),
            Trap::Interrupt => {}
        }
    }
}

/// Runs the call that the registers ask for and stores its result.
pub(crate) fn system_call(cx: &mut Cx<'_>) {
    // The number is an `int`, whatever is in the upper half of the register.
    let nr = u64::from(cx.regs.orig_rax as u32);
    let work = cx.task.thread_flags().intersection(ThreadFlags::SYSCALL_WORK);
    if work.is_empty() {
        let result = dispatch(cx, nr);
        store(cx, result);
    } else if work.contains(ThreadFlags::USER_DISPATCH) && user_dispatch::blocks(cx) {
        // Not made, and nobody else hears of it.
    } else if work.contains(ThreadFlags::TRACED) {
        ptraced_call(cx, work);
    } else if let Some(result) = call_with_work(cx, nr, work) {
        store(cx, result);
    }
}

#[inline(always)]
fn store(cx: &mut Cx<'_>, result: Result<usize>) {
    // rt_sigreturn has replaced the registers: it clears orig_rax.
    if cx.regs.orig_rax != NO_SYSCALL {
        cx.regs.rax = encode(result);
    }
}

/// A call of a task with a tracer, which may skip it (number -1) or make it another one, before filters see it.
#[cold]
fn ptraced_call(cx: &mut Cx<'_>, work: ThreadFlags) {
    if ptrace::syscall_enter(cx) && cx.regs.orig_rax as i32 != -1 {
        let nr = u64::from(cx.regs.orig_rax as u32);
        if let Some(result) = call_with_work(cx, nr, work) {
            store(cx, result);
        }
    }
    ptrace::syscall_exit(cx);
}

/// A call that is filtered or traced. `None`: it is not made, the registers are as user space shall see them.
fn call_with_work(cx: &mut Cx<'_>, nr: u64, work: ThreadFlags) -> Option<Result<usize>> {
    let filtered = work.contains(ThreadFlags::SECCOMP);
    if work.contains(ThreadFlags::STRACE) {
        return traced_call(cx, nr, filtered);
    }
    if filtered && seccomp::filter_call(cx) == Filtered::Skip {
        return None;
    }
    // A tracer that the filter has asked may have changed it.
    let nr = u64::from(cx.regs.orig_rax as u32);
    Some(dispatch(cx, nr))
}

#[cold]
fn traced_call(cx: &mut Cx<'_>, nr: u64, filtered: bool) -> Option<Result<usize>> {
    let trace = strace::enter(cx, nr, cx.regs.args());
    if filtered && seccomp::filter_call(cx) == Filtered::Skip {
        trace.exit(cx, &Ok(cx.regs.rax as usize));
        return None;
    }
    let result = dispatch(cx, nr);
    trace.exit(cx, &result);
    Some(result)
}

/// Makes the call. If it failed for want of memory, room is made, somebody may have been killed for
/// it, and it is made again, as Linux tries a charge again.
#[inline(always)]
fn dispatch(cx: &mut Cx<'_>, nr: u64) -> Result<usize> {
    loop {
        let result = table::dispatch(cx, nr);
        if !cx.task.thread_flags().contains(ThreadFlags::MEMORY_OOM) || !try_again(cx, &result) {
            return result;
        }
    }
}

/// The call met a limit of memory, or lowered one: makes room. Whether it should be made again.
#[cold]
fn try_again(cx: &mut Cx<'_>, result: &Result<usize>) -> bool {
    while oom::enforce_lowered(cx.task) {
        nap(cx, MOMENT);
    }
    let room = oom::settle(cx.task);
    let failed = matches!(result, Err(error) if matches!(error.errno(), Errno::ENOMEM | Errno::EFAULT));
    if !failed || !room || cx.task.fatal_signal_pending() || cx.regs.orig_rax == NO_SYSCALL {
        return false;
    }
    breathe(cx);
    !cx.task.fatal_signal_pending()
}

/// In the middle of a long call, with nothing locked: pays for what was charged over `memory.high`, and lets others
/// run.
pub(crate) fn breathe(cx: &mut Cx<'_>) {
    let flags = cx.task.thread_flags();
    if flags.contains(ThreadFlags::MEMORY_HIGH) {
        pay_for_memory(cx);
    }
    if flags.contains(ThreadFlags::NEED_RESCHED) {
        cx.kernel.sched.schedule();
    }
}

/// The task waits until its full cgroup has room, or until it is killed.
fn wait_for_room(cx: &mut Cx<'_>, over: &Arc<MemCgroup>) {
    // Those who give memory back tell of it; but for an idle CPU that drops a packet, perhaps.
    const LOOK: u64 = 1_000_000_000;
    let on = [WaitOn::any(&over.oom_queue)];
    loop {
        let until = Ktime(cx.kernel.hal.now().0 + LOOK);
        let room = || oom::has_room(cx.task, over).then_some(());
        let waited = wait_until(cx.task, &on, until, WaitKind::Killable, room);
        if !matches!(waited, Err(WaitError::TimedOut)) {
            break;
        }
    }
    cx.task.memory.stop_waiting();
}

/// How long a task sleeps, in nanoseconds, before it tries again to get memory for which somebody has to go.
pub(crate) const MOMENT: u64 = 2_000_000;

/// Over `memory.high`, or full and without a killer, the task sleeps for what it charged.
#[cold]
fn pay_for_memory(cx: &mut Cx<'_>) {
    cx.task.clear_thread_flags(ThreadFlags::MEMORY_HIGH);
    if let Some(over) = oom::waits_for_room(cx.task) {
        wait_for_room(cx, &over);
    }
    if cx.task.memory.take_waits_for_end() {
        nap(cx, MOMENT);
    }
    let pages = cx.task.memory.take_over_high();
    if let Some(delay) = high_delay(&memcg_of(cx.task), pages) {
        nap(cx, delay);
    }
}

/// Sleeps so many nanoseconds, or until it is killed.
pub(crate) fn nap(cx: &Cx<'_>, nanos: u64) {
    let until = Ktime(cx.kernel.hal.now().0 + nanos);
    let _ = wait_until(cx.task, &[], until, WaitKind::Killable, || None::<()>);
}

/// `orig_rax` of a frame that no system call made.
pub const NO_SYSCALL: u64 = u64::MAX;

/// A result as the register that user space sees: `-errno` on errors.
pub fn encode(result: Result<usize>) -> u64 {
    match result {
        Ok(value) => value as u64,
        Err(error) => (-(error.errno() as i64)) as u64,
    }
}

/// Whether a returned register holds this error.
pub fn is_errno(rax: u64, errno: Errno) -> bool {
    rax as i64 == -(errno as i64)
}

/// All that has to happen before user code runs again.
pub fn exit_to_user(cx: &mut Cx<'_>) {
    loop {
        let flags = cx.task.thread_flags();
        if !flags.intersects(ThreadFlags::EXIT_WORK) || cx.task.has_exited() {
            return;
        }
        if flags.intersects(ThreadFlags::SIGPENDING | ThreadFlags::JOBCTL | ThreadFlags::RESTORE_SIGMASK) {
            signal_frame::do_signal(cx);
            // Who died there goes on to its end, and is neither delayed nor throttled any more.
            if cx.task.has_exited() {
                return;
            }
        }
        if flags.contains(ThreadFlags::MEMORY_OOM) {
            oom::settle(cx.task);
        }
        if flags.contains(ThreadFlags::MEMORY_EVENTS) {
            cx.task.clear_thread_flags(ThreadFlags::MEMORY_EVENTS);
            cx.kernel.memory.control.tell_thresholds();
        }
        if flags.contains(ThreadFlags::TASK_WORK) {
            cx.task.clear_thread_flags(ThreadFlags::TASK_WORK);
            release_agent::run(cx.kernel);
            cx.kernel.keys.take_given_session(cx.task);
        }
        if flags.contains(ThreadFlags::MEMORY_HIGH) {
            pay_for_memory(cx);
        }
        if flags.intersects(ThreadFlags::NEED_RESCHED | ThreadFlags::THROTTLED) {
            cx.kernel.sched.schedule_to_user(cx.task);
        }
        // Behind the switch that may have asked for it.
        if cx.task.thread_flags().contains(ThreadFlags::RSEQ) && !cx.task.has_exited() {
            cx.task.clear_thread_flags(ThreadFlags::RSEQ);
            calls::rseq::notify_resume(cx);
        }
    }
}

/// Turns a CPU exception of user code into the signal that Linux sends (Intel SDM volume 3, table 6-1).
fn exception(cx: &mut Cx<'_>, vector: u8, error: u64) {
    const DEBUG: u8 = 1;
    let mut debug_code = si_code::TRAP_TRACE;
    if vector == DEBUG {
        match cx.task.debug_exception(cx.regs, error) {
            Some(code) => debug_code = code,
            None => return,
        }
    }
    let (signal, code) = match vector {
        0 => (Signal::FPE, si_code::FPE_INTDIV),
        DEBUG => (Signal::TRAP, debug_code),
        3 => (Signal::TRAP, si_code::SI_KERNEL),
        4 | 5 => (Signal::SEGV, si_code::SI_KERNEL),
        6 => (Signal::ILL, si_code::ILL_ILLOPN),
        16 | 19 => (Signal::FPE, si_code::FPE_FLTINV),
        17 => (Signal::BUS, si_code::BUS_ADRALN),
        _ => (Signal::SEGV, si_code::SI_KERNEL),
    };
    cx.task
        .last_trap
        .set(vector, if vector == DEBUG { 0 } else { error });
    let addr = match vector {
        0 | 1 | 6 | 16 | 19 => UserAddr(cx.regs.rip),
        _ => UserAddr::NULL,
    };
    let fields = if code == si_code::SI_KERNEL {
        SigInfoFields::Kernel
    } else {
        SigInfoFields::Fault {
            addr,
            trapno: i32::from(vector),
        }
    };
    signal::force_fault(
        cx.task,
        SigInfo {
            signal,
            errno: 0,
            code,
            fields,
        },
    );
}
