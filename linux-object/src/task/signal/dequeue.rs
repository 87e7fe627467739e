//! Taking signals: for delivery, for `sigtimedwait` and signalfd.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use super::action::STOP_SIGNALS;
use super::queue::{Queued, SigQueue};
use super::stop::StopVerdict;
use super::task_signals::jobctl;
use super::types::{SigInfo, SigInfoFields, Signal, SignalSet};
use super::{DefaultAction, SIG_DFL, SIG_IGN, SaFlags, SigAction, default_action};
use crate::sync::{SpinGuard, class};
use crate::task::ptrace::StopRequest;
use crate::task::session::is_orphaned_pgrp;
use crate::task::{Resource, SigState, SignalFlags, Task, ThreadFlags};

/// What a task has to do about its signals before it goes back to user mode.
pub enum Verdict {
    /// Nothing (more).
    Nothing,
    /// Run this handler.
    Handle(SigInfo, SigAction),
    /// A tracee traps (job control, `PTRACE_INTERRUPT`): stop, then ask again.
    Trap(StopRequest),
    /// A tracee has taken this signal, sent to it or (`true`) to its process: stop, then ask
    /// [`Task::after_signal_stop`] and go on with [`Task::get_signal`].
    Traced(SigInfo, bool),
    /// Stop: sleep as [`Task::wait_while_stopped`](crate::task::Task::is_job_stopped) says, then ask again.
    Stop(StopVerdict),
    /// The cgroup freezes: sleep as [`Task::shall_freeze`] says, then ask again.
    Freeze,
    /// The whole process ends with this wait status.
    Exit(i32),
}

impl Verdict {
    /// Whether the task goes to sleep, where it counts as frozen, and asks again.
    pub fn sleeps(&self) -> bool {
        matches!(self, Verdict::Trap(_) | Verdict::Stop(_) | Verdict::Freeze)
    }
}

impl Task {
    fn take(queue: &mut SigQueue, blocked: SignalSet) -> Option<Queued> {
        let signal = queue.next(blocked)?;
        Some(queue.take(signal))
    }

    /// Takes the next signal that `blocked` leaves open: the task's own first, then the process's (`true`).
    fn dequeue_locked(self: &Arc<Self>, state: &mut SigState, blocked: SignalSet) -> Option<(Queued, bool)> {
        let own = {
            let mut queue = self.sig.private.lock();
            let own = Task::take(&mut queue, blocked);
            self.sig.pending.store(queue.set().0, Ordering::SeqCst);
            own.map(|own| (own, false))
        };
        let taken = own.or_else(|| {
            let shared = Task::take(&mut state.shared, blocked);
            let set = state.shared.set().0;
            self.group().shared_set.store(set, Ordering::SeqCst);
            shared.map(|shared| (shared, true))
        })?;
        if STOP_SIGNALS.contains(taken.0.info.signal) {
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
        taken.map(|(taken, _)| Task::finish(taken))
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

    /// Decides what the calling task does next about signals (Linux's `get_signal`). `allowed`: a signal
    /// that its tracer has let through.
    pub fn get_signal(self: &Arc<Self>, mut allowed: Option<SigInfo>) -> Verdict {
        let group = self.group();
        loop {
            let mut state = group.signal.lock();
            let info = match allowed.take() {
                Some(info) => info,
                None => {
                    if let Some(continued) = state.take_cld() {
                        drop(state);
                        self.notify_continued(continued);
                        continue;
                    }
                    if let Some(verdict) = self.before_signals(&mut state) {
                        return verdict;
                    }
                    let Some((taken, to_group)) = self.dequeue_locked(&mut state, self.sig.blocked()) else {
                        if !self.has_jobctl(jobctl::STOP_PENDING) && !self.shall_trap() {
                            self.clear_thread_flags(ThreadFlags::JOBCTL);
                        }
                        drop(state);
                        self.recalc_sigpending();
                        return Verdict::Nothing;
                    };
                    drop(state);
                    let info = Task::finish(taken);
                    let signal = info.signal;
                    let flags = group.sighand().get(signal).flags;
                    if self.is_traced() && signal != Signal::KILL && !flags.contains(SaFlags::IMMUTABLE) {
                        // Whatever comes out of it may be a stop signal.
                        self.set_jobctl(jobctl::STOP_DEQUEUED);
                        return Verdict::Traced(info, to_group);
                    }
                    state = group.signal.lock();
                    info
                }
            };
            if let Some(verdict) = self.act_on(state, info) {
                return verdict;
            }
        }
    }

    /// The parent is told of a stop or a continuation; so is a tracer that is somebody else.
    fn notify_continued(self: &Arc<Self>, continued: bool) {
        self.notify_parent_cldstop(continued);
        if let Some(leader) = self.group().leader()
            && leader.is_reparented()
        {
            leader.notify_tracer_cldstop(continued);
        }
    }

    /// What comes before any signal.
    fn before_signals(self: &Arc<Self>, state: &mut SigState) -> Option<Verdict> {
        if self.is_frozen_hard() {
            return Some(Verdict::Freeze);
        }
        if state.flags.contains(SignalFlags::GROUP_EXIT) || state.exec_task.is_some() {
            if self.is_traced() {
                // It may stop once more, in its exit.
                let mut queue = self.sig.private.lock();
                let gone = queue.flush(Signal::KILL.set());
                self.sig.pending.store(queue.set().0, Ordering::SeqCst);
                drop(queue);
                drop(gone);
            }
            return Some(Verdict::Exit(state.group_exit_code));
        }
        if self.has_jobctl(jobctl::STOP_PENDING)
            && let Some(stop) = self.signal_stop(state, None)
        {
            return Some(Verdict::Stop(stop));
        }
        if self.shall_trap() {
            return Some(Verdict::Trap(StopRequest::trap(self, state)));
        }
        self.shall_freeze().then_some(Verdict::Freeze)
    }

    /// The action of a signal; `None`: it is over.
    fn act_on<'a>(
        self: &'a Arc<Self>,
        mut state: SpinGuard<'a, SigState, class::SigHand>,
        info: SigInfo,
    ) -> Option<Verdict> {
        let group = self.group();
        let signal = info.signal;
        let sighand = group.sighand();
        let action = sighand.get(signal);
        if action.handler == SIG_IGN {
            return None;
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
            return Some(Verdict::Handle(info, action));
        }
        let unkillable = state.flags.contains(SignalFlags::UNKILLABLE);
        match default_action(signal) {
            DefaultAction::Ignore | DefaultAction::Continue => None,
            _ if unkillable && !SignalSet::UNBLOCKABLE.contains(signal) => None,
            DefaultAction::Stop => {
                if signal != Signal::STOP {
                    drop(state);
                    // SIGTSTP and the like do not stop those whom nobody could continue.
                    if is_orphaned_pgrp(self.kernel(), &group.pgrp()) {
                        return None;
                    }
                    state = group.signal.lock();
                }
                self.signal_stop(&mut state, Some(signal)).map(Verdict::Stop)
            }
            kind => {
                drop(state);
                let core = kind == DefaultAction::CoreDump && self.dumps_core();
                Some(Verdict::Exit(signal.nr() as i32 | if core { 0x80 } else { 0 }))
            }
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
