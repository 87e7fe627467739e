//! Taking signals: for delivery, for `sigtimedwait` and signalfd.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use super::action::STOP_SIGNALS;
use super::queue::{Queued, SigQueue};
use super::stop::StopVerdict;
use super::task_signals::jobctl;
use super::types::{SigInfo, SigInfoFields, Signal, SignalSet};
use super::{DefaultAction, SIG_DFL, SIG_IGN, SaFlags, SigAction, default_action};
use crate::task::session::is_orphaned_pgrp;
use crate::task::{Resource, SigState, SignalFlags, Task, ThreadFlags};

/// What a task has to do about its signals before it goes back to user mode.
pub enum Verdict {
    /// Nothing (more).
    Nothing,
    /// Run this handler.
    Handle(SigInfo, SigAction),
    /// Stop: sleep as [`Task::wait_while_stopped`](crate::task::Task::is_job_stopped) says, then ask again.
    Stop(StopVerdict),
    /// The cgroup freezes: sleep as [`Task::shall_freeze`] says, then ask again.
    Freeze,
    /// The whole process ends with this wait status.
    Exit(i32),
}

impl Task {
    fn take(queue: &mut SigQueue, blocked: SignalSet) -> Option<Queued> {
        let signal = queue.next(blocked)?;
        Some(queue.take(signal))
    }

    /// Takes the next signal that `blocked` leaves open: the task's own first, then the process's.
    fn dequeue_locked(self: &Arc<Self>, state: &mut SigState, blocked: SignalSet) -> Option<Queued> {
        let own = {
            let mut queue = self.sig.private.lock();
            let own = Task::take(&mut queue, blocked);
            self.sig.pending.store(queue.set().0, Ordering::SeqCst);
            own
        };
        let taken = own.or_else(|| {
            let shared = Task::take(&mut state.shared, blocked);
            let set = state.shared.set().0;
            self.group().shared_set.store(set, Ordering::SeqCst);
            shared
        })?;
        if STOP_SIGNALS.contains(taken.info.signal) {
            self.set_jobctl(jobctl::STOP_DEQUEUED);
        }
        Some(taken)
    }

    fn finish(queued: Queued) -> SigInfo {
        let Queued {
            mut info,
            charge,
            timer,
        } = queued;
        if let (Some(timer), SigInfoFields::Timer { overrun, .. }) = (&timer, &mut info.fields) {
            *overrun = timer.0.dequeued();
        }
        drop(timer);
        drop(charge);
        info
    }

    /// Takes a pending signal of `set`, blocked or not (`sigtimedwait(2)`, signalfd). Any task of
    /// the process may; the calling one is meant.
    pub fn dequeue_signal(self: &Arc<Self>, set: SignalSet) -> Option<SigInfo> {
        let wanted = set.without(SignalSet::UNBLOCKABLE);
        if self.pending_signals().intersection(wanted).is_empty() {
            return None;
        }
        let taken = {
            let mut state = self.group().signal.lock();
            self.dequeue_locked(&mut state, SignalSet(!wanted.0))
        };
        self.recalc_sigpending();
        taken.map(Task::finish)
    }

    /// Opens a window for `sigtimedwait`: the signals of `set` wake the task though it blocks them.
    /// Returns false, with the mask as it was, if one is pending already.
    pub fn begin_sigwait(&self, set: SignalSet) {
        let blocked = self.sig.blocked();
        self.sig.real_blocked.store(blocked.0, Ordering::SeqCst);
        self.sig.blocked.store(blocked.without(set).0, Ordering::SeqCst);
        self.recalc_sigpending();
    }
    /// Closes the window.
    pub fn end_sigwait(&self) {
        let blocked = self.sig.real_blocked.swap(0, Ordering::SeqCst);
        self.set_blocked(SignalSet(blocked));
    }

    /// Decides what the calling task does next about signals (Linux's `get_signal`).
    pub fn get_signal(self: &Arc<Self>) -> Verdict {
        let group = self.group();
        loop {
            let mut state = group.signal.lock();
            if let Some(continued) = state.take_cld() {
                drop(state);
                self.notify_parent_cldstop(continued);
                continue;
            }
            if self.is_frozen_hard() {
                return Verdict::Freeze;
            }
            if state.flags.contains(SignalFlags::GROUP_EXIT) || state.exec_task.is_some() {
                let code = state.group_exit_code;
                drop(state);
                return Verdict::Exit(code);
            }
            if self.has_jobctl(jobctl::STOP_PENDING)
                && let Some(stop) = self.signal_stop(&mut state, None)
            {
                return Verdict::Stop(stop);
            }
            if self.shall_freeze() {
                return Verdict::Freeze;
            }
            let Some(taken) = self.dequeue_locked(&mut state, self.sig.blocked()) else {
                drop(state);
                if !self.has_jobctl(jobctl::STOP_PENDING) {
                    self.clear_thread_flags(ThreadFlags::JOBCTL);
                }
                self.recalc_sigpending();
                return Verdict::Nothing;
            };
            let signal = taken.info.signal;
            let sighand = group.sighand();
            let action = sighand.get(signal);
            if action.handler == SIG_IGN {
                drop(state);
                drop(Task::finish(taken));
                continue;
            }
            if action.handler != SIG_DFL {
                if action.flags.contains(SaFlags::RESETHAND) {
                    sighand.set(
                        signal,
                        SigAction {
                            handler: SIG_DFL,
                            ..action
                        },
                    );
                }
                drop(state);
                self.recalc_sigpending();
                return Verdict::Handle(Task::finish(taken), action);
            }
            let unkillable = state.flags.contains(SignalFlags::UNKILLABLE);
            match default_action(signal) {
                DefaultAction::Ignore | DefaultAction::Continue => {}
                _ if unkillable && !SignalSet::UNBLOCKABLE.contains(signal) => {}
                DefaultAction::Stop => {
                    if signal != Signal::STOP {
                        drop(state);
                        // SIGTSTP and the like do not stop those whom nobody could continue.
                        if is_orphaned_pgrp(self.kernel(), &group.pgrp()) {
                            drop(Task::finish(taken));
                            continue;
                        }
                        state = group.signal.lock();
                    }
                    if let Some(stop) = self.signal_stop(&mut state, Some(signal)) {
                        return Verdict::Stop(stop);
                    }
                }
                kind => {
                    drop(state);
                    let core = kind == DefaultAction::CoreDump && self.dumps_core();
                    return Verdict::Exit(signal.nr() as i32 | if core { 0x80 } else { 0 });
                }
            }
            drop(state);
            drop(Task::finish(taken));
        }
    }

    /// Whether a core file would be written: the wait status says so, though there is no file.
    fn dumps_core(&self) -> bool {
        self.group().rlimit(Resource::CORE).cur >= crate::ids::PAGE_SIZE as u64
    }

    /// Another thread must take the shared signals that this one now blocks (Linux's
    /// `retarget_shared_pending`).
    pub(in crate::task) fn retarget_shared_pending(&self, which: SignalSet) {
        let group = self.group();
        let state = group.signal.lock();
        let mut left = state.shared.set().intersection(which);
        for thread in &state.threads {
            if left.is_empty() {
                break;
            }
            if core::ptr::eq(&**thread, self) || thread.is_exiting() {
                continue;
            }
            let takes = left.without(thread.sig.blocked());
            if takes.is_empty() {
                continue;
            }
            left = left.intersection(thread.sig.blocked());
            if !thread.signal_pending() {
                thread.signal_wake_up(false);
            }
        }
    }
}
