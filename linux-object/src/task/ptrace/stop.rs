//! The stop of a tracee.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use super::event::syscall_code;
use super::{Event, PtraceFlags, TaskPtrace};
use crate::fs::PollEvents;
use crate::hal::UserRegs;
use crate::sched::StateMask;
use crate::task::signal::{SIG_IGN, SaFlags, jobctl, send_to_group, send_to_task_locked};
use crate::task::{
    SigInfo, SigInfoFields, SigState, Signal, SignalFlags, Task, TaskState, ThreadFlags, si_code,
};

/// What a stop is for, as SIGCHLD tells it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// `CLD_TRAPPED`.
    Trapped,
    /// `CLD_STOPPED`.
    Stopped,
}

/// A stop that is about to be.
pub struct StopRequest {
    /// What `wait` reports, and with which the tracee goes on if nobody resumes it.
    pub code: i32,
    /// For SIGCHLD.
    pub why: Why,
    /// `PTRACE_GETEVENTMSG`.
    pub message: u64,
    /// `PTRACE_GETSIGINFO`.
    pub info: Option<SigInfo>,
}

/// What a stopped tracee shows.
pub struct Stop {
    /// What `wait` reports; 0 once it has. When the tracee goes on: the signal that it is given.
    pub code: i32,
    /// Its registers.
    pub regs: UserRegs,
    /// The record of the signal, or of the event; none in a plain group stop.
    pub info: Option<SigInfo>,
    /// `PTRACE_GETEVENTMSG`.
    pub message: u64,
}

/// `PTRACE_EVENTMSG_SYSCALL_ENTRY`.
pub const SYSCALL_ENTRY: u64 = 1;
/// `PTRACE_EVENTMSG_SYSCALL_EXIT`.
pub const SYSCALL_EXIT: u64 = 2;

impl StopRequest {
    /// With a record as the kernel makes it: who stops, with the code in `si_code` (Linux's `ptrace_do_notify`).
    fn notify(task: &Task, signal: Signal, code: i32, why: Why, message: u64) -> StopRequest {
        let info = SigInfo {
            signal,
            errno: 0,
            code,
            fields: SigInfoFields::Sender {
                pid: Some(task.pid().clone()),
                uid: task.cred().uid,
                value: 0,
            },
        };
        StopRequest {
            code,
            why,
            message,
            info: Some(info),
        }
    }
    /// At an event.
    pub fn event(task: &Task, event: Event, message: u64) -> StopRequest {
        let code = event.code(Signal::TRAP);
        StopRequest::notify(task, Signal::TRAP, code, Why::Trapped, message)
    }
    /// At the entry or the exit of a call.
    pub fn syscall(task: &Task, message: u64) -> StopRequest {
        let code = syscall_code(task.ptrace_flags());
        StopRequest::notify(task, Signal::TRAP, code, Why::Trapped, message)
    }
    /// A step that ended in a signal's handler.
    pub fn step(task: &Task) -> StopRequest {
        let code = Signal::TRAP.nr().into();
        StopRequest::notify(task, Signal::TRAP, code, Why::Trapped, 0)
    }
    /// Before a signal is acted on.
    pub fn signal(info: SigInfo) -> StopRequest {
        StopRequest {
            code: info.signal.nr().into(),
            why: Why::Trapped,
            message: 0,
            info: Some(info),
        }
    }
    /// The trap of job control, or `PTRACE_INTERRUPT` (Linux's `do_jobctl_trap`).
    pub(in crate::task) fn trap(task: &Task, state: &SigState) -> StopRequest {
        let signal = Signal::new(task.stop_signal()).unwrap_or(Signal::STOP);
        if !task.ptrace_flags().contains(PtraceFlags::SEIZED) {
            return StopRequest {
                code: signal.nr().into(),
                why: Why::Stopped,
                message: 0,
                info: None,
            };
        }
        let stops = state.group_stop_count > 0 || state.flags.contains(SignalFlags::STOP_STOPPED);
        let signal = if stops { signal } else { Signal::TRAP };
        StopRequest::notify(task, signal, Event::Stop.code(signal), Why::Stopped, 0)
    }
    fn is_event_stop(&self) -> bool {
        matches!(&self.info, Some(info) if info.code >> 8 == Event::Stop as i32)
    }
}

impl TaskPtrace {
    /// Works on the record of a stop, if there is one.
    pub(super) fn with_stop<R>(&self, f: impl FnOnce(&mut Stop) -> R) -> Option<R> {
        self.stop.lock().as_deref_mut().map(f)
    }
}

impl Task {
    /// The calling task stops with these registers, unless nobody traces it or it is about to die, which gives the
    /// request back. It sleeps then as long as [`Task::is_ptrace_stopped`] (Linux's `ptrace_stop`).
    pub fn begin_ptrace_stop(
        self: &Arc<Self>,
        regs: &UserRegs,
        request: StopRequest,
    ) -> Result<(), StopRequest> {
        let group = self.group();
        let why = request.why;
        let status = request.code & 0x7f;
        let event_stop = request.is_event_stop();
        let mut stop = Box::new(Stop {
            code: request.code,
            regs: *regs,
            info: request.info,
            message: request.message,
        });
        let group_done = {
            let mut state = group.signal.lock();
            if self.ptrace_flags().is_empty() || self.sig.pending().contains(Signal::KILL) {
                return Err(StopRequest {
                    code: stop.code,
                    why,
                    message: stop.message,
                    info: stop.info.take(),
                });
            }
            self.set_jobctl(jobctl::TRACED);
            // Before anyone can hear of it: who waited for the stop finds it so in `/proc/PID/stat`.
            self.sched.set_state(TaskState::Traced);
            *self.ptrace.stop.lock() = Some(stop);
            let group_done =
                why == Why::Stopped && self.stop_is_pending() && self.participate_in_stop(&mut state);
            let notify = if event_stop { jobctl::TRAP_NOTIFY } else { 0 };
            self.clear_jobctl(jobctl::TRAP_STOP | notify | jobctl::TRAPPING);
            group_done
        };
        self.notify_tracer(why, status);
        if group_done && (!self.is_traced() || self.is_reparented()) {
            self.notify_parent_cldstop(false);
        }
        Ok(())
    }

    /// Its registers, if it is stopped: its tracer may have changed them.
    pub fn ptrace_regs(&self) -> Option<UserRegs> {
        self.ptrace.with_stop(|stop| stop.regs)
    }
    /// Whether a stop by its tracer is on.
    pub fn is_ptrace_stopped(&self) -> bool {
        self.has_jobctl(jobctl::TRACED)
    }
    /// The code that `wait` reports of its stop, once unless it is to `keep` it.
    pub(in crate::task) fn take_ptrace_code(&self, keep: bool) -> Option<i32> {
        let _signals = self.group().signal.lock();
        if !self.has_jobctl(jobctl::TRACED) || self.has_jobctl(jobctl::LISTENING) {
            return None;
        }
        let code = self.ptrace.with_stop(|stop| {
            let code = stop.code;
            if !keep {
                stop.code = 0;
            }
            code
        });
        code.filter(|code| *code != 0)
    }
    /// Whether it is asked to trap.
    pub fn shall_trap(&self) -> bool {
        self.has_jobctl(jobctl::TRAP_STOP | jobctl::TRAP_NOTIFY)
    }

    /// The calling task goes on: its registers are those of the record, its code the signal it is given.
    pub fn end_ptrace_stop(self: &Arc<Self>) -> Option<Box<Stop>> {
        let stop = {
            let _signals = self.group().signal.lock();
            self.clear_jobctl(jobctl::LISTENING | jobctl::FROZEN | jobctl::TRACED);
            self.ptrace.stop.lock().take()
        };
        // Signals that came meanwhile did not wake it.
        self.recalc_sigpending();
        stop
    }

    /// Tells the tracer of a stop (Linux's `do_notify_parent_cldstop`).
    fn notify_tracer(&self, why: Why, status: i32) {
        let Some(tracer) = self.tracer() else { return };
        let (code, status) = match why {
            Why::Trapped => (si_code::CLD_TRAPPED, status),
            Why::Stopped => {
                let state = self.group().signal.lock();
                (si_code::CLD_STOPPED, state.group_exit_code & 0x7f)
            }
        };
        self.tell_tracer(&tracer, code, status);
    }

    /// The process of a traced leader stopped or was continued, which its tracer is told as well.
    pub(in crate::task) fn notify_tracer_cldstop(&self, continued: bool) {
        let Some(tracer) = self.tracer() else { return };
        if continued {
            self.tell_tracer(&tracer, si_code::CLD_CONTINUED, Signal::CONT.nr().into());
        } else {
            self.notify_tracer(Why::Stopped, 0);
        }
    }

    fn tell_tracer(&self, tracer: &Arc<Task>, code: i32, status: i32) {
        let usage = self.usage();
        let info = SigInfo {
            signal: Signal::CHLD,
            errno: 0,
            code,
            fields: SigInfoFields::Child {
                pid: self.pid().clone(),
                uid: self.cred().uid,
                status,
                utime: usage.utime,
                stime: usage.stime,
            },
        };
        let action = tracer.group().sighand().get(Signal::CHLD);
        if action.handler != SIG_IGN && !action.flags.contains(SaFlags::NOCLDSTOP) {
            let _ = send_to_group(tracer.group(), info);
        }
        tracer.group().wait_child.wake_all(PollEvents::IN);
    }

    /// What the tracer made of a signal: the record to act on, if there is one (second half of Linux's
    /// `ptrace_signal`).
    pub fn after_signal_stop(
        self: &Arc<Self>,
        signal: i32,
        info: SigInfo,
        to_group: bool,
    ) -> Option<SigInfo> {
        let signal = u32::try_from(signal).ok().and_then(Signal::new)?;
        let info = if info.signal == signal {
            info
        } else {
            let tracer = self.tracer();
            SigInfo {
                signal,
                errno: 0,
                code: si_code::SI_USER,
                fields: SigInfoFields::Sender {
                    pid: tracer.as_ref().map(|tracer| tracer.pid().clone()),
                    uid: tracer.map_or(crate::ids::Kuid::ROOT, |tracer| tracer.cred().uid),
                    value: 0,
                },
            }
        };
        let mut state = self.group().signal.lock();
        if self.sig.blocked().contains(signal) || self.sig.pending().contains(Signal::KILL) {
            send_to_task_locked(&mut state, self, to_group, info);
            return None;
        }
        Some(info)
    }

    /// Asks it to trap; not if it is about to die (Linux's `task_set_jobctl_pending`). With the `SigHand` lock held.
    pub(in crate::task) fn ask_to_trap(&self, bits: u32) -> bool {
        if self.sig.pending().contains(Signal::KILL) || self.is_exiting() {
            return false;
        }
        self.set_jobctl(bits);
        self.set_thread_flags(ThreadFlags::JOBCTL);
        true
    }

    /// Wakes it for a trap; with `resume` out of a stop (Linux's `ptrace_signal_wake_up`). With the `SigHand` lock
    /// held.
    pub(in crate::task) fn ptrace_wake(self: &Arc<Self>, resume: bool) {
        if resume {
            self.clear_jobctl(jobctl::TRACED);
            self.kernel().sched.wake_up(self, StateMask::TRACED);
        }
        self.wake_for_work(false);
    }

    /// The state of job control has changed: a seized tracee traps again (Linux's `ptrace_trap_notify`). With the
    /// `SigHand` lock held.
    pub(in crate::task) fn ptrace_trap_notify(self: &Arc<Self>) {
        let asked = self.ask_to_trap(jobctl::TRAP_NOTIFY);
        if asked || self.has_jobctl(jobctl::LISTENING) {
            self.ptrace_wake(self.has_jobctl(jobctl::LISTENING));
        }
    }

    /// The flags of a thread that begins traced (Linux's `ptrace_init_task`): it stops before its first
    /// instruction.
    pub(in crate::task) fn ptrace_begin(self: &Arc<Self>) {
        let _signals = self.group().signal.lock();
        if self.ptrace_flags().contains(PtraceFlags::SEIZED) {
            self.ask_to_trap(jobctl::TRAP_STOP);
            return;
        }
        let mut queue = self.sig.private.lock();
        queue.push_bare(Signal::STOP);
        self.sig.pending.store(queue.set().0, Ordering::SeqCst);
        self.set_thread_flags(ThreadFlags::SIGPENDING);
    }
}
