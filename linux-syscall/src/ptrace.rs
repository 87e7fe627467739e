//! Where a tracee stops (`ptrace(2)`; the model is in `linux_object::task::ptrace`).

use linux_object::task::pid::Pid;
use linux_object::task::ptrace::{Event, PtraceFlags, SYSCALL_ENTRY, SYSCALL_EXIT, Stop, StopRequest, Work};
use linux_object::task::signal::send_to_task;
use linux_object::task::{SigInfo, SigInfoFields, Signal, TaskState, si_code};

use crate::calls::signal::from_kill;
use crate::context::Cx;
use crate::signal_frame::sleep_frozen;

/// What became of a stop.
pub(crate) struct Stopped {
    /// The code left in the record: the signal to go on with.
    pub code: i32,
    /// The record of the signal.
    pub info: Option<SigInfo>,
}

/// The calling task stops, unless it is not traced or about to die, until its tracer, the end of the tracer or SIGKILL
/// lets it go on. Its registers are what the tracer has made of them then.
pub(crate) fn stop(cx: &mut Cx<'_>, request: StopRequest) -> Stopped {
    sleep(cx, request, false)
}

/// A stop on the way to user mode, where a task that its cgroup freezes goes to sleep again at once: it stays frozen.
pub(crate) fn trap(cx: &mut Cx<'_>, request: StopRequest) {
    sleep(cx, request, true);
}

fn sleep(cx: &mut Cx<'_>, request: StopRequest, stays_frozen: bool) -> Stopped {
    let task = cx.task;
    if let Err(StopRequest { code, info, .. }) = task.begin_ptrace_stop(cx.regs, request) {
        return Stopped { code, info };
    }
    task.enter_frozen();
    loop {
        task.sched.set_state(TaskState::Traced);
        if !task.is_ptrace_stopped() {
            break;
        }
        cx.kernel.sched.schedule();
    }
    task.sched.set_state(TaskState::Running);
    if !stays_frozen {
        // What comes next is not sleep; if its cgroup freezes it, it does so again on its way to user mode.
        task.leave_frozen();
    }
    if task.is_frozen_hard() {
        sleep_frozen(cx);
    }
    match task.end_ptrace_stop() {
        Some(stop) => {
            let Stop { code, regs, info, .. } = *stop;
            *cx.regs = regs;
            Stopped { code, info }
        }
        None => Stopped { code: 0, info: None },
    }
}

/// An event, if the tracer wants to hear of it (Linux's `ptrace_event`).
pub(crate) fn event(cx: &mut Cx<'_>, event: Event, message: u64) {
    if cx.task.ptrace_wants(event) {
        let request = StopRequest::event(cx.task, event, message);
        stop(cx, request);
    }
}

/// The number of a pid as the tracer sees it.
pub(crate) fn nr_for_tracer(cx: &Cx<'_>, pid: &Pid) -> u64 {
    let nr = cx.task.tracer().map(|tracer| pid.nr_in(tracer.pid_ns()).0);
    nr.map_or(0, |nr| nr as u64)
}

/// After an `execve`: the event, or for a tracer that has not seized the task and does not ask for it, SIGTRAP.
pub(crate) fn exec_event(cx: &mut Cx<'_>, old_nr: u64) {
    let flags = cx.task.ptrace_flags();
    if flags.contains(PtraceFlags::TRACEEXEC) {
        event(cx, Event::Exec, old_nr);
    } else if flags.contains(PtraceFlags::PTRACED) && !flags.contains(PtraceFlags::SEIZED) {
        let _ = send_to_task(cx.task, from_kill(cx, Signal::TRAP, si_code::SI_USER));
    }
}

/// A stop at a call; a signal that the tracer leaves is sent, though no signal was to be delivered.
fn syscall_stop(cx: &mut Cx<'_>, message: u64) {
    let request = StopRequest::syscall(cx.task, message);
    let signal = stop(cx, request).code;
    if let Some(signal) = u32::try_from(signal).ok().and_then(Signal::new) {
        let _ = send_to_task(cx.task, SigInfo::kernel(signal));
    }
}

/// Before a call. Whether it is to be made, as far as the tracer is concerned; its number may be another one.
pub(crate) fn syscall_enter(cx: &mut Cx<'_>) -> bool {
    let work = cx.task.ptrace_work();
    if !work.intersects(Work::SYSCALL | Work::EMU) {
        return true;
    }
    if !cx.task.ptrace_flags().is_empty() {
        syscall_stop(cx, SYSCALL_ENTRY);
    }
    !cx.task.fatal_signal_pending() && !work.contains(Work::EMU)
}

/// After a call.
pub(crate) fn syscall_exit(cx: &mut Cx<'_>) {
    let work = cx.task.ptrace_work();
    if cx.task.is_exiting() || !work.intersects(Work::SYSCALL | Work::STEP) {
        return;
    }
    if work.contains(Work::STEP) && !work.contains(Work::EMU) {
        step_report(cx);
    } else if work.contains(Work::SYSCALL) && !cx.task.ptrace_flags().is_empty() {
        syscall_stop(cx, SYSCALL_EXIT);
    }
}

/// The call was the one instruction of a step.
fn step_report(cx: &Cx<'_>) {
    const DEBUG: u8 = 1;
    cx.task.last_trap.set(DEBUG, 0);
    let info = SigInfo {
        signal: Signal::TRAP,
        errno: 0,
        code: si_code::TRAP_BRKPT,
        fields: SigInfoFields::Fault {
            addr: linux_object::ids::UserAddr(cx.regs.rip),
            trapno: DEBUG.into(),
        },
    };
    linux_object::task::signal::force_fault(cx.task, info);
}
