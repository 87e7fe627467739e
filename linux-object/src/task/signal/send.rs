//! Sending signals (Linux's `__send_signal_locked`, `complete_signal`, `force_sig_info`).

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use super::action::{SIG_DFL, SIG_IGN, STOP_SIGNALS};
use super::permission::check_kill_permission;
use super::queue::{Queued, SigCharge, TimerRecord, TimerSignal};
use super::task_signals::jobctl;
use super::types::{SigInfo, SigInfoFields, Signal, SignalSet, si_code};
use super::{DefaultAction, SaFlags, SigAction, default_action};
use crate::error::Result;
use crate::fs::PollEvents;
use crate::ids::Kuid;
use crate::kernel::Kernel;
use crate::task::pid::Pid;
use crate::task::ptrace::PtraceFlags;
use crate::task::{Resource, SigState, SignalFlags, Task, ThreadGroup};
use crate::{bail, ensure};

/// Sends to one thread. `ESRCH` once it is reaped, `EAGAIN` if a real-time signal from `sigqueue`
/// finds no room. No permission is checked.
pub fn send_to_task(task: &Arc<Task>, info: SigInfo) -> Result<()> {
    let force = forced(&info, task.group());
    let mut state = task.group().signal.lock();
    ensure!(!task.is_released(), ESRCH, "the thread is gone");
    send_locked(&mut state, task, false, info, force, None)
}

/// Sends to a process: any of its threads that does not block the signal takes it. Errors as
/// [`send_to_task`].
pub fn send_to_group(group: &Arc<ThreadGroup>, info: SigInfo) -> Result<()> {
    let force = forced(&info, group);
    send_to_group_as(group, info, force, None)
}

fn send_to_group_as(
    group: &Arc<ThreadGroup>,
    info: SigInfo,
    force: bool,
    timer: Option<TimerRecord>,
) -> Result<()> {
    let mut state = group.signal.lock();
    let Some(task) = state.threads.first().cloned() else {
        bail!(ESRCH, "the process is gone");
    };
    send_locked(&mut state, &task, true, info, force, timer)
}

/// Sends to every process of a process group on behalf of the kernel. `ESRCH` if there is none.
pub fn send_to_pgrp(_kernel: &Kernel, pgrp: &Arc<Pid>, info: SigInfo) -> Result<()> {
    let members = pgrp.pgrp_members();
    ensure!(!members.is_empty(), ESRCH, "an empty process group");
    for group in members {
        let _ = send_to_group(&group, info.clone());
    }
    Ok(())
}

/// A POSIX timer's signal, for a thread or for a process. The timer sends no second one until
/// [`TimerSignal::dequeued`] or [`TimerSignal::discarded`] was called. The record is the
/// timer's own, so it is never refused for lack of room.
pub fn send_timer(
    task: &Arc<Task>,
    to_group: bool,
    info: SigInfo,
    timer: Arc<dyn TimerSignal>,
) -> Result<()> {
    let record = Some(TimerRecord(timer));
    if to_group {
        return send_to_group_as(task.group(), info, false, record);
    }
    let mut state = task.group().signal.lock();
    ensure!(!task.is_released(), ESRCH, "the thread is gone");
    send_locked(&mut state, task, false, info, false, record)
}

/// `kill(2)` and its kin on one process: checks the permission, then sends. `None` only checks.
pub fn user_kill(
    sender: &Arc<Task>,
    group: &Arc<ThreadGroup>,
    signal: Option<Signal>,
    info: impl FnOnce(Signal) -> SigInfo,
) -> Result<()> {
    check_kill_permission(sender, group, None, signal)?;
    match signal {
        Some(signal) => send_user(sender, group, None, info(signal)),
        None if group.signal.lock().threads.is_empty() => bail!(ESRCH, "the process is gone"),
        None => Ok(()),
    }
}

/// `tgkill(2)` and its kin on one thread, likewise.
pub fn user_tkill(
    sender: &Arc<Task>,
    task: &Arc<Task>,
    signal: Option<Signal>,
    info: impl FnOnce(Signal) -> SigInfo,
) -> Result<()> {
    check_kill_permission(sender, task.group(), Some(task), signal)?;
    match signal {
        Some(signal) => send_user(sender, task.group(), Some(task), info(signal)),
        None if task.is_released() => bail!(ESRCH, "the thread is gone"),
        None => Ok(()),
    }
}

/// What user space sends: who is not visible to the receiver forces even what its init ignores, and
/// ids that user space put into the record are translated.
fn send_user(
    sender: &Arc<Task>,
    group: &Arc<ThreadGroup>,
    task: Option<&Arc<Task>>,
    mut info: SigInfo,
) -> Result<()> {
    let invisible = sender.group().tgid.nr_in(group.pid_ns()).0 == 0;
    if let SigInfoFields::Raw(bytes) = &mut info.fields {
        translate_raw(sender, group, invisible, bytes);
    }
    match task {
        None => send_to_group_as(group, info, invisible, None),
        Some(task) => {
            let mut state = group.signal.lock();
            ensure!(!task.is_released(), ESRCH, "the thread is gone");
            send_locked(&mut state, task, false, info, invisible, None)
        }
    }
}

/// Sends to every process of a process group for `kill(2)`: success if one could be reached,
/// else the last error.
pub fn user_kill_pgrp(
    sender: &Arc<Task>,
    pgrp: &Arc<Pid>,
    signal: Option<Signal>,
    info: impl Fn(Signal) -> SigInfo,
) -> Result<()> {
    let mut result = None;
    for group in pgrp.pgrp_members() {
        let one = user_kill(sender, &group, signal, &info);
        if !matches!(result, Some(Ok(()))) {
            result = Some(one);
        }
    }
    match result {
        Some(result) => result,
        None => bail!(ESRCH, "no such process group"),
    }
}

/// `kill(-1)`: every process that the sender sees, but for number 1 and its own.
pub fn kill_everyone(
    sender: &Arc<Task>,
    signal: Option<Signal>,
    info: impl Fn(Signal) -> SigInfo,
) -> Result<()> {
    let mut count = 0;
    let mut result = Ok(());
    sender
        .kernel()
        .tasks
        .for_each_group(&sender.pid_ns().clone(), |nr, group| {
            if nr.0 > 1 && !Arc::ptr_eq(group, sender.group()) {
                count += 1;
                match user_kill(sender, group, signal, &info) {
                    Err(error) if error.errno() == crate::error::Errno::EPERM => {}
                    other => result = other,
                }
            }
        });
    ensure!(count > 0, ESRCH, "no process to send to");
    result
}

/// `si_pid` and `si_uid` of a record that user space made are as it gave them: a pid from
/// an ancestor namespace reads 0, a uid is translated to the receiver's user namespace.
fn translate_raw(sender: &Arc<Task>, group: &ThreadGroup, invisible: bool, bytes: &mut [u8; 32]) {
    if invisible {
        bytes[..4].fill(0);
    }
    let Some(target) = group.leader() else { return };
    let (from, to) = (sender.user_ns(), target.user_ns());
    if !Arc::ptr_eq(&from, &to) {
        let mut uid = [0; 4];
        uid.copy_from_slice(&bytes[4..8]);
        let kuid = from.make_kuid(crate::ids::Uid(u32::from_le_bytes(uid)));
        let shown = to.from_kuid_munged(kuid.unwrap_or(Kuid(u32::MAX)));
        bytes[4..8].copy_from_slice(&shown.0.to_le_bytes());
    }
}

/// Whether an init's lack of a handler does not protect it: the kernel's own signals, and those from
/// outside of its namespace.
fn forced(info: &SigInfo, group: &ThreadGroup) -> bool {
    match &info.fields {
        SigInfoFields::Kernel => true,
        SigInfoFields::Sender { pid: Some(pid), .. } => {
            info.code == si_code::SI_KERNEL || pid.nr_in(group.pid_ns()).0 == 0
        }
        _ => info.code == si_code::SI_KERNEL,
    }
}

/// Whether the action of `task` throws the signal away (Linux's `sig_ignored`).
fn is_ignored(state: &SigState, task: &Task, signal: Signal, action: &SigAction, force: bool) -> bool {
    let blocked = task.sig.blocked().0 | task.sig.real_blocked.load(Ordering::Relaxed);
    if SignalSet(blocked).contains(signal) {
        return false;
    }
    // A tracer may want to know of it.
    if task.is_traced() && signal != Signal::KILL {
        return false;
    }
    let kernel_only = SignalSet::UNBLOCKABLE.contains(signal);
    let pid = &task.group().tgid;
    if kernel_only && pid.is_child_reaper() && pid.ns().level() == 0 {
        return true;
    }
    if state.flags.contains(SignalFlags::UNKILLABLE) && action.handler == SIG_DFL && !(force && kernel_only) {
        return true;
    }
    action.ignores(signal)
}

/// Stop signals and SIGCONT cancel each other when they are sent, whatever their actions. Returns
/// whether the signal is to be queued (Linux's `prepare_signal`).
fn prepare(state: &mut SigState, task: &Arc<Task>, signal: Signal, action: &SigAction, force: bool) -> bool {
    let group = task.group();
    if state.flags.contains(SignalFlags::GROUP_EXIT) {
        return false;
    }
    if STOP_SIGNALS.contains(signal) {
        flush_group(state, group, Signal::CONT.set());
    } else if signal == Signal::CONT {
        flush_group(state, group, STOP_SIGNALS);
        for thread in &state.threads {
            thread.clear_jobctl(jobctl::STOP_PENDING | jobctl::STOP_CONSUME | jobctl::STOP_DEQUEUED);
            if thread.ptrace_flags().contains(PtraceFlags::SEIZED) {
                thread.ptrace_trap_notify();
            } else {
                thread.wake_stopped();
            }
        }
        let why = if state.flags.contains(SignalFlags::STOP_STOPPED) {
            SignalFlags::CLD_CONTINUED
        } else if state.group_stop_count > 0 {
            SignalFlags::CLD_STOPPED
        } else {
            SignalFlags::empty()
        };
        if !why.is_empty() {
            // The first thread that runs again tells the parent.
            state.set_stop_flags(why | SignalFlags::STOP_CONTINUED);
            state.group_stop_count = 0;
            state.group_exit_code = 0;
            if let Some(thread) = state.threads.iter().find(|thread| !thread.is_exiting()) {
                thread.signal_wake_up(false);
            }
        }
    }
    !is_ignored(state, task, signal, action, force)
}

/// Takes pending signals away from the process and all its threads.
pub(super) fn flush_group(state: &mut SigState, group: &ThreadGroup, set: SignalSet) {
    let gone = state.shared.flush(set);
    group.shared_set.store(state.shared.set().0, Ordering::SeqCst);
    drop(gone);
    for thread in &state.threads {
        let gone = {
            let mut queue = thread.sig.private.lock();
            let gone = queue.flush(set);
            thread.sig.pending.store(queue.set().0, Ordering::SeqCst);
            gone
        };
        drop(gone);
    }
}

/// Sends to one thread again what it had taken already, for itself or (`to_group`) its process. With the
/// `SigHand` lock held.
pub(in crate::task) fn send_to_task_locked(
    state: &mut SigState,
    task: &Arc<Task>,
    to_group: bool,
    info: SigInfo,
) {
    let _ = send_locked(state, task, to_group, info, false, None);
}

fn send_locked(
    state: &mut SigState,
    task: &Arc<Task>,
    to_group: bool,
    info: SigInfo,
    force: bool,
    timer: Option<TimerRecord>,
) -> Result<()> {
    let signal = info.signal;
    let group = task.group();
    let action = group.sighand().get(signal);
    if !prepare(state, task, signal, &action, force) {
        return Ok(());
    }
    let pending = if to_group {
        state.shared.set()
    } else {
        task.sig.pending()
    };
    if !signal.is_realtime() && pending.contains(signal) {
        return Ok(());
    }
    let queued = if signal == Signal::KILL {
        None
    } else if timer.is_some() {
        Some(Queued {
            info,
            charge: None,
            timer,
        })
    } else {
        let kernel = matches!(info.fields, SigInfoFields::Kernel);
        let unlimited = !signal.is_realtime() && (kernel || info.code >= 0);
        let limit = group.rlimit(Resource::SIGPENDING).cur;
        // Others come from anywhere, interrupts too.
        let has_sender = !kernel && info.code <= si_code::SI_USER;
        let sender = has_sender.then(|| &task.kernel().memory.control);
        match SigCharge::new(task.cred().ucounts.clone(), limit, unlimited, sender) {
            Some(charge) => Some(Queued {
                info,
                charge: Some(charge),
                timer: None,
            }),
            None if !kernel && signal.is_realtime() && info.code != si_code::SI_USER => {
                bail!(EAGAIN, "RLIMIT_SIGPENDING")
            }
            // The signal arrives, what it carried is lost.
            None => None,
        }
    };
    if to_group {
        match queued {
            Some(queued) => state.shared.push(queued),
            None => state.shared.push_bare(signal),
        }
        group.shared_set.store(state.shared.set().0, Ordering::SeqCst);
    } else {
        let mut queue = task.sig.private.lock();
        match queued {
            Some(queued) => queue.push(queued),
            None => queue.push_bare(signal),
        }
        task.sig.pending.store(queue.set().0, Ordering::SeqCst);
    }
    group.signal_queue.wake_all(PollEvents::IN);
    complete(state, task, to_group, signal, &action);
    Ok(())
}

/// Whether this thread should be the one to take a signal.
fn wants(task: &Task, signal: Signal) -> bool {
    if task.sig.blocked().contains(signal) || task.is_exiting() {
        return false;
    }
    signal == Signal::KILL || !task.is_job_stopped() && !task.is_ptrace_stopped()
}

/// Finds a thread to take the signal and wakes it; a fatal one ends the whole process here already.
fn complete(state: &mut SigState, task: &Arc<Task>, to_group: bool, signal: Signal, action: &SigAction) {
    let chosen = if wants(task, signal) {
        task.clone()
    } else if !to_group {
        return;
    } else {
        let mut willing = state.threads.iter().filter(|thread| wants(thread, signal));
        let Some(first) = willing.next() else { return };
        // One that has nothing to do yet, if there is one.
        core::iter::once(first)
            .chain(willing)
            .find(|thread| !thread.signal_pending())
            .unwrap_or(first)
            .clone()
    };
    let fatal = action.handler == SIG_DFL
        && matches!(
            default_action(signal),
            DefaultAction::Terminate | DefaultAction::CoreDump
        );
    let real_blocked = SignalSet(chosen.sig.real_blocked.load(Ordering::Relaxed));
    if fatal
        && default_action(signal) == DefaultAction::Terminate
        && !state.flags.contains(SignalFlags::GROUP_EXIT)
        && !real_blocked.contains(signal)
        && (signal == Signal::KILL || !task.is_traced())
    {
        state.flags = state.flags & SignalFlags::UNKILLABLE | SignalFlags::GROUP_EXIT;
        state.group_exit_code = signal.nr() as i32;
        state.group_stop_count = 0;
        for thread in &state.threads {
            thread.mark_killed();
        }
        return;
    }
    chosen.signal_wake_up(signal == Signal::KILL);
}

impl ThreadGroup {
    /// Throws away what is pending of a signal, for the process and all its threads.
    pub fn discard_pending(&self, signal: Signal) {
        let mut state = self.signal.lock();
        flush_group(&mut state, self, signal.set());
    }
    /// Throws the shared pending signals away; the caller drops them without locks.
    #[must_use]
    pub(in crate::task) fn flush_shared(&self, state: &mut SigState) -> VecDeque<Queued> {
        self.shared_set.store(0, Ordering::SeqCst);
        state.shared.flush_all()
    }
}

impl SigState {
    /// Replaces the stop state (Linux's `signal_set_stop_flags`).
    pub(super) fn set_stop_flags(&mut self, flags: SignalFlags) {
        self.flags = self.flags.difference(SignalFlags::STOP_MASK) | flags;
    }
}

impl Task {
    /// Gives the thread its own SIGKILL. With the group's `SigHand` lock held.
    pub(in crate::task) fn mark_killed(self: &Arc<Self>) {
        self.clear_jobctl(jobctl::PENDING | jobctl::TRAP_FREEZE | jobctl::STOP_SIGNR);
        {
            let mut queue = self.sig.private.lock();
            queue.push_bare(Signal::KILL);
            self.sig.pending.store(queue.set().0, Ordering::SeqCst);
        }
        self.signal_wake_up(true);
    }
}

/// A fault of the calling task itself: a blocked or ignored signal gets its default action back,
/// and not even init is spared (Linux's `force_sig_info`).
pub fn force_fault(task: &Arc<Task>, info: SigInfo) {
    force(task, info, false);
}

/// Likewise, but always with the default action (a signal frame that cannot be written; Linux's
/// `force_fatal_sig`).
pub fn force_fault_exit(task: &Arc<Task>, info: SigInfo) {
    force(task, info, true);
}

fn force(task: &Arc<Task>, info: SigInfo, always_default: bool) {
    let signal = info.signal;
    let sighand = task.group().sighand();
    let mut state = task.group().signal.lock();
    let action = sighand.get(signal);
    let blocked = task.sig.blocked().contains(signal);
    let mut default = action.handler == SIG_DFL;
    if blocked || action.handler == SIG_IGN || always_default {
        sighand.set(
            signal,
            SigAction {
                handler: SIG_DFL,
                flags: match always_default {
                    true => action.flags | SaFlags::IMMUTABLE,
                    false => action.flags,
                },
                ..action
            },
        );
        default = true;
        if blocked {
            let open = task.sig.blocked().without(signal.set());
            task.sig.blocked.store(open.0, Ordering::SeqCst);
        }
    }
    // Who debugs an init does not want it to become killable.
    if default && (always_default || !task.is_traced()) {
        state.flags.remove(SignalFlags::UNKILLABLE);
    }
    let _ = send_locked(&mut state, task, false, info, false, None);
    if !task.signal_pending() {
        task.signal_wake_up(false);
    }
}
