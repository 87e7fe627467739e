//! The end of threads and processes (`exit(2)`, `exit_group(2)`, `wait(2)`).
//!
//! The system-call layer runs the steps in Linux's order, since some copy to user memory or wait;
//! here is what changes objects. After [`exit_notify`] the task may be reaped at any moment.
//!
//! A process with several threads ends when the last one does; a leader that exits early stays as a zombie
//! that cannot be waited for until then.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use smallvec::SmallVec;

use super::pid::Pid;
use super::ptrace::exit_ptrace;
use super::session::will_become_orphaned;
use super::signal::{SIG_IGN, SaFlags, SigAction, send_to_group, send_to_pgrp};
use super::{
    ExitState, SigInfo, SigInfoFields, SigState, Signal, SignalFlags, SignalSet, Task, TaskTree, ThreadFlags,
    ThreadGroup, Usage, si_code,
};
use crate::cred::UCountRlimit;
use crate::fs::PollEvents;
use crate::kernel::Kernel;

/// Processes to release once the tree is consistent again.
pub(super) type Released = SmallVec<[Arc<Task>; 4]>;

impl SigState {
    /// Gives every other thread SIGKILL; returns how many there are (Linux's `zap_other_threads`).
    pub fn zap_other_threads(&mut self, but: &Arc<Task>) -> usize {
        self.group_stop_count = 0;
        let mut count = 0;
        for thread in &self.threads {
            if !Arc::ptr_eq(thread, but) {
                count += 1;
                if !thread.has_exited() {
                    thread.mark_killed();
                }
            }
        }
        count
    }
}

impl Task {
    /// The calling thread ends its whole process with this wait status; whoever was first to do so
    /// decides. Returns the status to exit with (Linux's `do_group_exit`).
    pub fn begin_group_exit(self: &Arc<Self>, code: i32) -> i32 {
        let mut state = self.group().signal.lock();
        if state.flags.contains(SignalFlags::GROUP_EXIT) {
            state.group_exit_code
        } else if state.exec_task.is_some() {
            0
        } else {
            state.group_exit_code = code;
            state.flags = state.flags & SignalFlags::UNKILLABLE | SignalFlags::GROUP_EXIT;
            state.zap_other_threads(self);
            code
        }
    }

    /// First step of an exit: no more signals for this thread (Linux's `exit_signals`). Returns
    /// false if the thread is in its exit already.
    pub fn exit_signals(self: &Arc<Self>) -> bool {
        if self.exiting.swap(true, Ordering::AcqRel) {
            return false;
        }
        let notify = {
            let mut state = self.group().signal.lock();
            if state.threads.len() == 1 || state.flags.contains(SignalFlags::GROUP_EXIT) {
                return true;
            }
            self.stop_is_pending() && self.participate_in_stop(&mut state)
        };
        let open = SignalSet(!self.sig.blocked().0);
        if !open.intersection(self.group().shared_pending()).is_empty() {
            self.retarget_shared_pending(open);
        }
        if notify {
            self.notify_parent_cldstop(false);
        }
        true
    }

    /// Notes the thread's wait status. Returns whether it was the last thread to live; its status
    /// is the process's then, unless the process was ended as a whole (Linux's
    /// `synchronize_group_exit`).
    pub fn leave_group(&self, code: i32) -> bool {
        self.exit_code.store(code, Ordering::Relaxed);
        let mut state = self.group().signal.lock();
        state.nr_live -= 1;
        let last = state.nr_live == 0;
        if last && !state.flags.contains(SignalFlags::GROUP_EXIT) {
            state.flags |= SignalFlags::GROUP_EXIT;
            state.group_exit_code = code;
        }
        last
    }

    /// Gives up the calling thread's files, root and namespaces (Linux's `exit_files`, `exit_fs`,
    /// `exit_task_namespaces`).
    pub fn exit_files_and_fs(self: &Arc<Self>) {
        let (files, fs) = {
            let mut parts = self.parts.lock();
            (parts.files.take(), parts.fs.take())
        };
        if let Some(files) = files {
            files.leave(self);
        }
        if let Some(fs) = fs {
            fs.leave();
        }
    }

    /// The wait status of the thread as its parent sees it.
    pub(super) fn wait_status(&self) -> i32 {
        let state = self.group().signal.lock();
        if state.flags.contains(SignalFlags::GROUP_EXIT) {
            state.group_exit_code
        } else {
            self.exit_code.load(Ordering::Relaxed)
        }
    }
}

/// The exit of a session leader gives its terminal up. Where the terminal was hung up before, the
/// foreground group of that moment hears of it now (Linux's `disassociate_ctty`).
pub fn disassociate_ctty(task: &Arc<Task>) {
    let group = task.group();
    if !group.is_session_leader() {
        return;
    }
    let session = group.session();
    if let Some(tty) = session.set_tty(None) {
        tty.release_session(true);
    } else if let Some(pgrp) = session.take_old_pgrp() {
        let kernel = task.kernel();
        let _ = send_to_pgrp(kernel, &pgrp, SigInfo::kernel(Signal::HUP));
        let _ = send_to_pgrp(kernel, &pgrp, SigInfo::kernel(Signal::CONT));
    }
}

/// Last step of an exit: children get a new parent, the old one is told (Linux's `exit_notify`).
/// `last`: no thread of the process lives any more.
pub fn exit_notify(task: &Arc<Task>, last: bool) {
    let kernel = task.kernel();
    let group = task.group();
    let mut dead = Released::new();
    {
        let mut tree = kernel.tasks.lock();
        exit_ptrace(&mut tree, task, &mut dead);
        forget_original_parent(&mut tree, task, last, &mut dead);
        if last {
            kill_orphaned_pgrp(&mut tree, kernel, group, None);
        }
        task.exited.store(true, Ordering::Release);
        task.set_thread_flags(ThreadFlags::EXITED);
        let reap = if task.is_leader() {
            let alone = group.signal.lock().threads.len() == 1;
            set_exit_state(
                &mut tree,
                group,
                if alone {
                    ExitState::Zombie
                } else {
                    ExitState::LeaderExited
                },
            );
            if !alone && task.is_traced() {
                // Only its tracer hears of it before the last thread ends.
                notify_tracer_of_exit(task);
            }
            alone && notify_parent(&mut tree, group)
        } else if task.is_traced() {
            notify_tracer_of_exit(task);
            false
        } else {
            true
        };
        if reap {
            if task.is_leader() {
                set_exit_state(&mut tree, group, ExitState::Dead);
            }
            dead.push(task.clone());
        }
        // A thread in execve may wait for this one.
        wake_exec_task(group);
    }
    for task in dead {
        release_task(&task);
    }
}

fn wake_exec_task(group: &ThreadGroup) {
    let waiting = group.signal.lock().exec_task.is_some();
    if waiting {
        group.wait_child.wake_all(PollEvents::IN);
    }
}

pub(super) fn set_exit_state(tree: &mut TaskTree, group: &ThreadGroup, state: ExitState) {
    group.family(tree).exit_state = state;
}

/// A thread of `group` that has not begun to exit.
fn find_alive_thread(group: &ThreadGroup) -> Option<Arc<Task>> {
    let state = group.signal.lock();
    state.threads.iter().find(|thread| !thread.is_exiting()).cloned()
}

/// Who takes the children of a process that ends: the nearest subreaper above it in the same pid
/// namespace, else the namespace's init.
fn find_new_reaper(group: &Arc<ThreadGroup>) -> Option<(Arc<ThreadGroup>, Arc<Task>)> {
    let level = group.pid_ns().level();
    let mut above = group.parent();
    while let Some(reaper) = above {
        if reaper.pid_ns().level() != level {
            break;
        }
        if reaper.is_subreaper.load(Ordering::Relaxed)
            && let Some(thread) = find_alive_thread(&reaper)
        {
            return Some((reaper, thread));
        }
        above = reaper.parent();
    }
    let reaper = group.pid_ns().child_reaper()?;
    let thread = find_alive_thread(&reaper).or_else(|| reaper.leader())?;
    Some((reaper, thread))
}

fn next_child(parent: &ThreadGroup, after: crate::ids::KoID) -> Option<Arc<ThreadGroup>> {
    use core::ops::Bound::{Excluded, Unbounded};
    let family = parent.family.lock();
    let (_, child) = family.children.range((Excluded(after), Unbounded)).next()?;
    Some(child.clone())
}

/// The children of an exiting thread go to another thread of its process, and those of an exiting
/// process to its reaper.
fn forget_original_parent(tree: &mut TaskTree, task: &Arc<Task>, last: bool, dead: &mut Released) {
    let father = task.group();
    if father.family.lock().children.is_empty() {
        return;
    }
    let heir = if last {
        find_new_reaper(father)
    } else {
        find_alive_thread(father).map(|thread| (father.clone(), thread))
    };
    let mut after = crate::ids::KoID(0);
    while let Some(child) = next_child(father, after) {
        after = child.koid();
        // Other threads that ended before this one left their children to a living one.
        if !last && child.family.lock().parent_thread != task.koid() {
            continue;
        }
        let Some((reaper, thread)) = &heir else { continue };
        {
            let mut family = child.family(tree);
            family.parent_thread = thread.koid();
            if last {
                family.parent = Some(reaper.clone());
            }
        }
        send_pdeath_signals(&child);
        if !last || Arc::ptr_eq(reaper, father) {
            continue;
        }
        father.family(tree).children.remove(&child.koid());
        reaper.family(tree).children.insert(child.koid(), child.clone());
        reparent(tree, task.kernel(), father, &child, dead);
    }
}

/// `PR_SET_PDEATHSIG` of each thread of the child.
fn send_pdeath_signals(child: &Arc<ThreadGroup>) {
    let threads = child.signal.lock().threads.clone();
    for thread in threads {
        if let Some(signal) = Signal::new(thread.pdeath_signal.load(Ordering::Relaxed).into()) {
            let info = SigInfo {
                signal,
                errno: 0,
                code: si_code::SI_USER,
                fields: SigInfoFields::Sender {
                    pid: None,
                    uid: crate::ids::Kuid::ROOT,
                    value: 0,
                },
            };
            let _ = send_to_group(child, info);
        }
    }
}

/// A child has a parent in another process now (Linux's `reparent_leader`).
fn reparent(
    tree: &mut TaskTree,
    kernel: &Kernel,
    father: &Arc<ThreadGroup>,
    child: &Arc<ThreadGroup>,
    dead: &mut Released,
) {
    let state = child.exit_state();
    if state == ExitState::Dead {
        return;
    }
    child
        .exit_signal
        .store(Signal::CHLD.nr().into(), Ordering::Relaxed);
    let traced = child.leader().is_some_and(|leader| leader.is_traced());
    if state == ExitState::Zombie && !traced && notify_parent(tree, child) {
        set_exit_state(tree, child, ExitState::Dead);
        dead.extend(child.leader());
    }
    kill_orphaned_pgrp(tree, kernel, child, Some(father));
}

/// A process group that loses its last link to the rest of its session while it has stopped members
/// gets SIGHUP and SIGCONT. With `parent`: `group` lost this parent; without: `group` itself ends.
fn kill_orphaned_pgrp(
    tree: &mut TaskTree,
    kernel: &Kernel,
    group: &Arc<ThreadGroup>,
    parent: Option<&Arc<ThreadGroup>>,
) {
    let pgrp: Arc<Pid> = group.pgrp();
    let (parent, ignored) = match parent {
        Some(parent) => (parent.clone(), None),
        None => match group.parent() {
            Some(parent) => (parent, Some(group)),
            None => return,
        },
    };
    if Arc::ptr_eq(&parent.pgrp(), &pgrp) || !Arc::ptr_eq(&parent.session(), &group.session()) {
        return;
    }
    let has_stopped = || {
        pgrp.pgrp_members().iter().any(|member| {
            let state = member.signal.lock();
            state.flags.contains(SignalFlags::STOP_STOPPED)
        })
    };
    if will_become_orphaned(tree, &pgrp, ignored) && has_stopped() {
        let _ = send_to_pgrp(kernel, &pgrp, SigInfo::kernel(Signal::HUP));
        let _ = send_to_pgrp(kernel, &pgrp, SigInfo::kernel(Signal::CONT));
    }
}

/// A traced thread has exited; it waits for its tracer.
fn notify_tracer_of_exit(task: &Arc<Task>) {
    if let Some(tracer) = task.tracer() {
        let usage = task.usage();
        send_exit_signal(tracer.group(), Signal::CHLD, task, task.wait_status(), &usage);
    }
}

/// Sends what tells a parent or a tracer of an end, and wakes it.
fn send_exit_signal(to: &Arc<ThreadGroup>, signal: Signal, task: &Arc<Task>, status: i32, usage: &Usage) {
    let (code, value) = wait_code(status);
    let info = SigInfo {
        signal,
        errno: 0,
        code,
        fields: SigInfoFields::Child {
            pid: task.pid().clone(),
            uid: task.cred().uid,
            status: value,
            utime: usage.utime,
            stime: usage.stime,
        },
    };
    let _ = send_to_group(to, info);
    to.wait_child.wake_all(PollEvents::IN);
}

/// Tells the tracer of the leader, or else the parent, of a process that has ended completely. Returns whether the
/// parent does not want to wait for it, so that it is to be released at once (Linux's `do_notify_parent`).
pub(super) fn notify_parent(_tree: &mut TaskTree, group: &Arc<ThreadGroup>) -> bool {
    group
        .tgid
        .exit_queue
        .wake_all(PollEvents::IN | PollEvents::RDNORM);
    let Some(leader) = group.leader() else { return true };
    let status = leader.wait_status();
    group.exit_code.store(status, Ordering::Relaxed);
    let usage = group.usage();
    if leader.is_reparented()
        && let Some(tracer) = leader.tracer()
    {
        send_exit_signal(tracer.group(), Signal::CHLD, &leader, status, &usage);
        return false;
    }
    let Some(parent) = group.parent() else { return true };
    let mut signal = group.exit_signal.load(Ordering::Relaxed);
    let chld = Signal::CHLD.nr() as i32;
    // A parent that has become another program since then did not ask for that signal.
    if signal != chld
        && group.parent_exec_id.load(Ordering::Relaxed) != parent.exec_id.load(Ordering::Relaxed)
    {
        signal = chld;
    }
    let mut autoreap = false;
    if signal == chld && !leader.is_traced() {
        let action: SigAction = parent.sighand().get(Signal::CHLD);
        if action.handler == SIG_IGN {
            autoreap = true;
            signal = 0;
        } else if action.flags.contains(SaFlags::NOCLDWAIT) {
            autoreap = true;
        }
    }
    match Signal::new(signal as u32) {
        Some(signal) => send_exit_signal(&parent, signal, &leader, status, &usage),
        None => parent.wait_child.wake_all(PollEvents::IN),
    }
    autoreap
}

/// `si_code` and `si_status` of a wait status.
pub fn wait_code(status: i32) -> (i32, i32) {
    match status & 0x7f {
        0 => (si_code::CLD_EXITED, status >> 8 & 0xff),
        signal if status & 0x80 != 0 => (si_code::CLD_DUMPED, signal),
        signal => (si_code::CLD_KILLED, signal),
    }
}

/// Takes a task that nobody waits for out of its process and out of the tree (Linux's
/// `release_task`). When it was the last thread besides a zombie leader, the leader's parent is told now.
pub(super) fn release_task(task: &Arc<Task>) {
    let group = task.group();
    let kernel = task.kernel();
    crate::cgroup::fork::release(task);
    task.cred().ucounts.dec_rlimit(UCountRlimit::Nproc, 1);
    let mut leader_too = None;
    let link;
    {
        let mut tree = kernel.tasks.lock();
        link = task.ptrace_unlink(&mut tree);
        let is_leader = task.is_leader();
        let (own, shared) = {
            let mut state = group.signal.lock();
            if let Some(at) = state.threads.iter().position(|thread| Arc::ptr_eq(thread, task)) {
                let gone = state.threads.remove(at);
                group.dead_threads.add(&task.usage());
                drop(gone);
            }
            task.released.store(true, Ordering::Release);
            let own = task.sig.flush();
            let shared = is_leader.then(|| group.flush_shared(&mut state));
            (own, shared)
        };
        task.pid().detach_task(&mut tree, task);
        if is_leader {
            unlink_group(&mut tree, group);
        } else if group.exit_state() == ExitState::LeaderExited && group.signal.lock().threads.len() == 1 {
            set_exit_state(&mut tree, group, ExitState::Zombie);
            if notify_parent(&mut tree, group) {
                set_exit_state(&mut tree, group, ExitState::Dead);
                leader_too = group.leader();
            }
        }
        wake_exec_task(group);
        kernel.tasks.uncount_task();
        drop(tree);
        drop((own, shared));
    }
    drop(link);
    task.seccomp.release();
    if let Some(leader) = leader_too {
        release_task(&leader);
    }
}

/// A process leaves its parent, process group and session, and gives its pid back.
fn unlink_group(tree: &mut TaskTree, group: &Arc<ThreadGroup>) {
    let (parent, pgrp, session, leader) = {
        let mut family = group.family(tree);
        family.exit_state = ExitState::Dead;
        (
            family.parent.take(),
            family.pgrp.clone(),
            family.session.clone(),
            family.leader.take(),
        )
    };
    if let Some(parent) = parent {
        let gone = parent.family(tree).children.remove(&group.koid());
        drop(gone);
    }
    group.tgid.detach_group(tree);
    pgrp.detach_pgrp(tree, group);
    session.sid().detach_session(tree, group);
    drop(leader);
}

/// Ends every process of the calling init's pid namespace but its own (first half of Linux's
/// `zap_pid_ns_processes`): no new ones, SIGKILL for all, and none becomes a zombie of init. The caller
/// then waits until [`pid_ns_is_drained`].
pub fn zap_pid_ns(task: &Arc<Task>) {
    let ns = task.pid_ns().clone();
    ns.disable_adding();
    task.group().sighand().set(
        Signal::CHLD,
        SigAction {
            handler: SIG_IGN,
            ..SigAction::default()
        },
    );
    let tree = task.kernel().tasks.lock();
    let mut from = crate::ids::PidNr(2);
    while let Some((nr, pid)) = ns.next_from(from) {
        from = crate::ids::PidNr(nr.0 + 1);
        if let Some(victim) = pid.task()
            && !Arc::ptr_eq(victim.group(), task.group())
        {
            let _ = send_to_group(victim.group(), SigInfo::kernel(Signal::KILL));
        }
    }
    drop(tree);
}

/// Whether only the calling init itself is left in its pid namespace.
pub fn pid_ns_is_drained(task: &Arc<Task>) -> bool {
    let own = if task.is_leader() { 1 } else { 2 };
    task.pid_ns().nr_pids() <= own
}
