//! Job control: stopping and continuing whole processes (`signal(7)`, `wait(2)`).
//!
//! A stop signal that one thread takes asks all threads to stop; the last one to do so tells the parent.
//! SIGCONT is effective when it is *sent* (see [`send`](super::send)).

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use super::send::send_to_group;
use super::task_signals::jobctl;
use super::types::{SigInfo, SigInfoFields, Signal, si_code};
use super::{SIG_IGN, SaFlags};
use crate::fs::PollEvents;
use crate::task::ptrace::PtraceFlags;
use crate::task::{SigState, SignalFlags, Task, TaskState, ThreadFlags};

/// How a thread takes part in a stop.
#[must_use]
pub struct StopVerdict {
    /// It is the last to stop: the parent is told.
    pub notify: bool,
}

impl SigState {
    /// What a parent has to be told of (`true`: continued), once.
    pub(super) fn take_cld(&mut self) -> Option<bool> {
        if !self
            .flags
            .intersects(SignalFlags::CLD_STOPPED | SignalFlags::CLD_CONTINUED)
        {
            return None;
        }
        let continued = self.flags.contains(SignalFlags::CLD_CONTINUED);
        self.flags
            .remove(SignalFlags::CLD_STOPPED | SignalFlags::CLD_CONTINUED);
        Some(continued)
    }
}

impl Task {
    pub(in crate::task) fn has_jobctl(&self, bits: u32) -> bool {
        self.sig.jobctl.load(Ordering::SeqCst) & bits != 0
    }
    pub(in crate::task) fn set_jobctl(&self, bits: u32) {
        self.sig.jobctl.fetch_or(bits, Ordering::SeqCst);
    }
    pub(in crate::task) fn clear_jobctl(&self, bits: u32) {
        self.sig.jobctl.fetch_and(!bits, Ordering::SeqCst);
    }
    /// Whether job control has stopped this thread; it sleeps as long as this is so and no SIGKILL
    /// is pending.
    pub fn is_job_stopped(&self) -> bool {
        self.has_jobctl(jobctl::STOPPED)
    }
    /// The stopped thread goes on.
    pub fn end_stop(&self) {
        self.clear_jobctl(jobctl::STOPPED);
    }

    /// Asks `self` to stop; not if it is about to be killed or exits.
    fn ask_to_stop(&self, signal: u8) -> bool {
        if self.sig.pending().contains(Signal::KILL) || self.is_exiting() {
            return false;
        }
        self.clear_jobctl(jobctl::STOP_SIGNR);
        self.set_jobctl(signal as u32 | jobctl::STOP_PENDING | jobctl::STOP_CONSUME);
        self.set_thread_flags(ThreadFlags::JOBCTL);
        true
    }

    /// Takes part in a group stop, beginning one for `signal` if none is on (Linux's
    /// `do_signal_stop`). `None`: there is no reason to stop any more.
    pub(super) fn signal_stop(
        self: &Arc<Self>,
        state: &mut SigState,
        signal: Option<Signal>,
    ) -> Option<StopVerdict> {
        if !self.has_jobctl(jobctl::STOP_PENDING) {
            let signal = signal?;
            if !self.has_jobctl(jobctl::STOP_DEQUEUED)
                || state.flags.contains(SignalFlags::GROUP_EXIT)
                || state.exec_task.is_some()
            {
                return None;
            }
            if !state.flags.contains(SignalFlags::STOP_STOPPED) {
                state.group_exit_code = signal.nr() as i32;
            }
            state.group_stop_count = 0;
            if self.ask_to_stop(signal.nr()) {
                state.group_stop_count += 1;
            }
            for thread in &state.threads {
                if !Arc::ptr_eq(thread, self) && !thread.is_job_stopped() && thread.ask_to_stop(signal.nr()) {
                    state.group_stop_count += 1;
                    if thread.ptrace_flags().contains(PtraceFlags::SEIZED) {
                        thread.ptrace_trap_notify();
                    } else {
                        thread.wake_for_work(false);
                    }
                }
            }
            if !self.has_jobctl(jobctl::STOP_PENDING) {
                return None;
            }
        }
        if self.is_traced() {
            // It traps instead, and takes part then.
            self.ask_to_trap(jobctl::TRAP_STOP);
            return None;
        }
        let notify = self.participate_in_stop(state);
        self.set_jobctl(jobctl::STOPPED);
        // Before anyone can hear of it: who waited for the stop finds it so in `/proc/PID/stat`.
        self.sched.set_state(TaskState::Stopped);
        self.clear_thread_flags(ThreadFlags::JOBCTL);
        Some(StopVerdict { notify })
    }

    /// Counts this thread as stopped; whether it was the last one.
    pub(in crate::task) fn participate_in_stop(&self, state: &mut SigState) -> bool {
        let consume = self.has_jobctl(jobctl::STOP_CONSUME);
        self.clear_jobctl(jobctl::STOP_PENDING | jobctl::STOP_CONSUME | jobctl::STOP_DEQUEUED);
        if !consume {
            return false;
        }
        state.group_stop_count = state.group_stop_count.saturating_sub(1);
        if state.group_stop_count == 0 && !state.flags.contains(SignalFlags::STOP_STOPPED) {
            state.set_stop_flags(SignalFlags::STOP_STOPPED);
            return true;
        }
        false
    }
    /// Whether a stop still waits for this thread.
    pub(in crate::task) fn stop_is_pending(&self) -> bool {
        self.has_jobctl(jobctl::STOP_PENDING)
    }

    /// The signal of the last stop that it was asked to take part in, 0 for none.
    pub(in crate::task) fn stop_signal(&self) -> u32 {
        self.sig.jobctl.load(Ordering::SeqCst) & jobctl::STOP_SIGNR
    }
    /// A group stop is on that a tracer has kept it out of. With the `SigHand` lock held.
    pub(in crate::task) fn resume_group_stop(&self) {
        self.set_jobctl(jobctl::STOP_PENDING);
        if self.stop_signal() == 0 {
            self.set_jobctl(Signal::STOP.nr().into());
        }
        self.set_thread_flags(ThreadFlags::JOBCTL);
    }

    /// A new thread takes part in a stop that is on (Linux's `task_join_group_stop`).
    pub(in crate::task) fn join_group_stop(&self, parent: &Task, state: &mut SigState) {
        let signal = parent.sig.jobctl.load(Ordering::SeqCst) & jobctl::STOP_SIGNR;
        let mut bits = signal | jobctl::STOP_PENDING;
        if state.group_stop_count > 0 {
            state.group_stop_count += 1;
            bits |= jobctl::STOP_CONSUME;
        } else if !state.flags.contains(SignalFlags::STOP_STOPPED) {
            return;
        }
        self.set_jobctl(bits);
        self.set_thread_flags(ThreadFlags::JOBCTL);
    }

    /// Tells the parent that the process stopped or was continued: SIGCHLD unless it asked for
    /// none, and its `wait4` in any case (Linux's `do_notify_parent_cldstop`).
    pub fn notify_parent_cldstop(self: &Arc<Self>, continued: bool) {
        let group = self.group();
        let Some(parent) = group.parent() else { return };
        let usage = group.usage();
        let status = if continued {
            Signal::CONT.nr() as i32
        } else {
            group.signal.lock().group_exit_code & 0x7f
        };
        let info = SigInfo {
            signal: Signal::CHLD,
            errno: 0,
            code: if continued {
                si_code::CLD_CONTINUED
            } else {
                si_code::CLD_STOPPED
            },
            fields: SigInfoFields::Child {
                pid: group.tgid.clone(),
                uid: self.cred().uid,
                status,
                utime: usage.utime,
                stime: usage.stime,
            },
        };
        let action = parent.sighand().get(Signal::CHLD);
        if action.handler != SIG_IGN && !action.flags.contains(SaFlags::NOCLDSTOP) {
            let _ = send_to_group(&parent, info);
        }
        parent.wait_child.wake_all(PollEvents::IN);
    }
}
