//! Waiting for children and tracees (`wait(2)`): one look at them. The system-call layer repeats it.

use alloc::sync::Arc;
use core::ops::Bound::{Excluded, Unbounded};
use core::sync::atomic::Ordering;

use super::exit::{notify_parent, release_task, set_exit_state, wait_code};
use super::pid::Pid;
use super::{ExitState, Signal, SignalFlags, Task, TaskTree, ThreadGroup, Usage, si_code};
use crate::bail;
use crate::error::Result;
use crate::ids::{KoID, Kuid};

bitflags::bitflags! {
    /// Options of `wait4` and `waitid`.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    #[allow(missing_docs)]
    pub struct WaitOptions: u32 {
        const NOHANG = 1;
        /// `WUNTRACED` of `wait4`.
        const STOPPED = 2;
        const EXITED = 4;
        const CONTINUED = 8;
        const NOWAIT = 0x0100_0000;
        const NOTHREAD = 0x2000_0000;
        const ALL = 0x4000_0000;
        const CLONE = 0x8000_0000;
    }
}

/// For whom.
pub enum WaitTarget {
    /// Any child.
    Any,
    /// This process, or this thread if it is traced.
    Pid(Arc<Pid>),
    /// Any child in this process group.
    Pgrp(Arc<Pid>),
}

/// What was found.
pub struct WaitReport {
    /// The child.
    pub pid: Arc<Pid>,
    /// Its real user.
    pub uid: Kuid,
    /// `si_code`.
    pub code: i32,
    /// `si_status`.
    pub value: i32,
    /// The status word of `wait4`.
    pub status: i32,
    /// What it and its reaped children used.
    pub usage: Usage,
}

fn report(task: &Arc<Task>, code: i32, value: i32, status: i32) -> WaitReport {
    let mut usage = task.group().usage();
    usage.add(&task.group().dead_children.read());
    WaitReport {
        pid: task.pid().clone(),
        uid: task.cred().uid,
        code,
        value,
        status,
        usage,
    }
}

fn is_wanted(task: &Task, target: &WaitTarget) -> bool {
    match target {
        WaitTarget::Any => true,
        WaitTarget::Pid(pid) => Arc::ptr_eq(pid, task.pid()),
        WaitTarget::Pgrp(pgrp) => Arc::ptr_eq(pgrp, &task.group().pgrp()),
    }
}

/// Whether the options, too, mean this child.
fn is_eligible(task: &Task, child: &ThreadGroup, options: WaitOptions) -> bool {
    if options.contains(WaitOptions::NOTHREAD) && child.parent_thread() != task.koid() {
        return false;
    }
    let is_clone = child.exit_signal.load(Ordering::Relaxed) != Signal::CHLD.nr() as i32;
    options.contains(WaitOptions::ALL) || is_clone == options.contains(WaitOptions::CLONE)
}

/// What a process has to report; with `NOWAIT` it stays to be reported again.
fn stopped_or_continued(task: &Arc<Task>, options: WaitOptions) -> Option<WaitReport> {
    if options.contains(WaitOptions::STOPPED) {
        let mut state = task.group().signal.lock();
        if state.flags.contains(SignalFlags::STOP_STOPPED) && state.group_exit_code != 0 {
            let signal = state.group_exit_code;
            if !options.contains(WaitOptions::NOWAIT) {
                state.group_exit_code = 0;
            }
            drop(state);
            return Some(report(task, si_code::CLD_STOPPED, signal, signal << 8 | 0x7f));
        }
    }
    continued(task, options)
}

fn continued(task: &Arc<Task>, options: WaitOptions) -> Option<WaitReport> {
    let mut state = task.group().signal.lock();
    if !options.contains(WaitOptions::CONTINUED) || !state.flags.contains(SignalFlags::STOP_CONTINUED) {
        return None;
    }
    if !options.contains(WaitOptions::NOWAIT) {
        state.flags.remove(SignalFlags::STOP_CONTINUED);
    }
    drop(state);
    let signal = Signal::CONT.nr() as i32;
    Some(report(task, si_code::CLD_CONTINUED, signal, 0xffff))
}

/// One look at everything that the calling task may wait for.
struct Look<'a> {
    tree: &'a mut TaskTree,
    task: &'a Arc<Task>,
    target: &'a WaitTarget,
    options: WaitOptions,
    /// Something may still come.
    any: bool,
    /// To be released once the tree is free.
    reap: Option<Arc<Task>>,
}

impl Look<'_> {
    /// The end of a task that has ended, which is reaped unless `NOWAIT` asks for a look only. `traced`: the caller
    /// is its tracer; another process's leader stays then, for its real parent.
    fn zombie(&mut self, child: &Arc<Task>, traced: bool) -> WaitReport {
        let group = child.group();
        let status = child.wait_status();
        let (code, value) = wait_code(status);
        let found = report(child, code, value, status);
        if self.options.contains(WaitOptions::NOWAIT) {
            return found;
        }
        let reparented = traced && child.is_leader() && child.is_reparented();
        let link = child.ptrace_unlink(self.tree);
        drop(link);
        if !child.is_leader() {
            self.reap = Some(child.clone());
        } else if !reparented || notify_parent(self.tree, group) {
            set_exit_state(self.tree, group, ExitState::Dead);
            self.reap = Some(child.clone());
        }
        found
    }

    /// A tracee of one of the caller's threads, or a child that one of them traces.
    fn tracee(&mut self, child: &Arc<Task>) -> Option<WaitReport> {
        let ended = match child.is_leader() {
            true => child.group().exit_state() == ExitState::Zombie,
            false => child.has_exited(),
        };
        if ended {
            if self.options.contains(WaitOptions::EXITED) {
                return Some(self.zombie(child, true));
            }
            self.any |= self.options.contains(WaitOptions::CONTINUED);
        } else {
            self.any = true;
        }
        if let Some(code) = child.take_ptrace_code(self.options.contains(WaitOptions::NOWAIT)) {
            return Some(report(child, si_code::CLD_TRAPPED, code, code << 8 | 0x7f));
        }
        continued(child, self.options)
    }

    /// A process whose parent is the caller's.
    fn child(&mut self, child: &Arc<ThreadGroup>) -> Option<WaitReport> {
        let state = child.exit_state();
        let leader = child.leader()?;
        if state == ExitState::Dead || !is_wanted(&leader, self.target) {
            return None;
        }
        if !is_eligible(self.task, child, self.options) {
            return None;
        }
        if leader.is_traced() && !leader.is_reparented() {
            return self.tracee(&leader);
        }
        match state {
            ExitState::Zombie if leader.is_traced() => {
                // Its tracer comes first.
                self.any = true;
                None
            }
            ExitState::Zombie if self.options.contains(WaitOptions::EXITED) => {
                Some(self.zombie(&leader, false))
            }
            // Nothing but its end is left to report.
            ExitState::Zombie => None,
            _ => {
                self.any = true;
                stopped_or_continued(&leader, self.options)
            }
        }
    }

    fn children(&mut self) -> Option<WaitReport> {
        let me = self.task.group();
        if let WaitTarget::Pid(pid) = self.target {
            // A certain child needs no search.
            let child = pid.group()?;
            let mine = child.parent().is_some_and(|parent| Arc::ptr_eq(&parent, me));
            return if mine { self.child(&child) } else { None };
        }
        let mut after = KoID(0);
        loop {
            let next = {
                let family = me.family.lock();
                let next = family.children.range((Excluded(after), Unbounded)).next();
                next.map(|(_, child)| child.clone())
            };
            let child = next?;
            after = child.koid();
            let found = self.child(&child);
            if found.is_some() {
                return found;
            }
        }
    }

    /// The tracees of one thread.
    fn tracees(&mut self, tracer: &Arc<Task>) -> Option<WaitReport> {
        let mut after = KoID(0);
        loop {
            let tracee = tracer.next_tracee(after)?;
            after = tracee.koid();
            if is_wanted(&tracee, self.target) {
                let found = self.tracee(&tracee);
                if found.is_some() {
                    return found;
                }
            }
        }
    }

    fn all(&mut self) -> Option<WaitReport> {
        if let Some(found) = self.children() {
            return Some(found);
        }
        if self.options.contains(WaitOptions::NOTHREAD) {
            return self.tracees(self.task);
        }
        let threads = self.task.group().threads();
        threads.iter().find_map(|thread| self.tracees(thread))
    }
}

/// One look at the children and tracees of the calling task. `ECHILD`: none of them will ever fit.
pub fn wait_once(task: &Arc<Task>, target: &WaitTarget, options: WaitOptions) -> Result<Option<WaitReport>> {
    let me = task.group();
    let mut tree = task.kernel().tasks.lock();
    let mut look = Look {
        tree: &mut tree,
        task,
        target,
        options,
        any: false,
        reap: None,
    };
    let found = look.all();
    let (any, reap) = (look.any, look.reap);
    drop(tree);
    if let Some(child) = reap {
        if let Some(report) = &found
            && child.is_leader()
        {
            // Two threads may reap at once.
            let _one_writer = me.signal.lock();
            me.dead_children.add(&report.usage);
        }
        release_task(&child);
    }
    if found.is_none() && !any {
        bail!(ECHILD, "no child to wait for");
    }
    Ok(found)
}
