//! Waiting for children (`wait(2)`): one look at them. The system-call layer repeats it.

use alloc::sync::Arc;
use core::ops::Bound::{Excluded, Unbounded};
use core::sync::atomic::Ordering;

use super::exit::{release_task, wait_code};
use super::pid::Pid;
use super::{ExitState, Signal, SignalFlags, Task, ThreadGroup, Usage, si_code};
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
    /// This process.
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

fn report(child: &Arc<ThreadGroup>, code: i32, value: i32, status: i32) -> WaitReport {
    let mut usage = child.usage();
    usage.add(&child.dead_children.read());
    WaitReport {
        pid: child.tgid.clone(),
        uid: child.leader().map_or(Kuid::ROOT, |leader| leader.cred().uid),
        code,
        value,
        status,
        usage,
    }
}

fn is_eligible(task: &Task, child: &ThreadGroup, target: &WaitTarget, options: WaitOptions) -> bool {
    let family = child.family.lock();
    let wanted = match target {
        WaitTarget::Any => true,
        WaitTarget::Pid(pid) => Arc::ptr_eq(pid, &child.tgid),
        WaitTarget::Pgrp(pgrp) => Arc::ptr_eq(pgrp, &family.pgrp),
    };
    if !wanted || options.contains(WaitOptions::NOTHREAD) && family.parent_thread != task.koid() {
        return false;
    }
    let is_clone = child.exit_signal.load(Ordering::Relaxed) != Signal::CHLD.nr() as i32;
    options.contains(WaitOptions::ALL) || is_clone == options.contains(WaitOptions::CLONE)
}

/// What `child` has to report; with `NOWAIT` it stays to be reported again.
fn stopped_or_continued(child: &Arc<ThreadGroup>, options: WaitOptions) -> Option<WaitReport> {
    let keep = options.contains(WaitOptions::NOWAIT);
    let mut state = child.signal.lock();
    if options.contains(WaitOptions::STOPPED)
        && state.flags.contains(SignalFlags::STOP_STOPPED)
        && state.group_exit_code != 0
    {
        let signal = state.group_exit_code;
        if !keep {
            state.group_exit_code = 0;
        }
        drop(state);
        return Some(report(child, si_code::CLD_STOPPED, signal, signal << 8 | 0x7f));
    }
    if options.contains(WaitOptions::CONTINUED) && state.flags.contains(SignalFlags::STOP_CONTINUED) {
        if !keep {
            state.flags.remove(SignalFlags::STOP_CONTINUED);
        }
        drop(state);
        let signal = Signal::CONT.nr() as i32;
        return Some(report(child, si_code::CLD_CONTINUED, signal, 0xffff));
    }
    None
}

/// One look at the children of the calling task. `ECHILD`: none of them will ever fit.
pub fn wait_once(task: &Arc<Task>, target: &WaitTarget, options: WaitOptions) -> Result<Option<WaitReport>> {
    let me = task.group();
    let tree = task.kernel().tasks.lock();
    let mut after = KoID(0);
    let mut any = false;
    let mut reap = None;
    let mut found = None;
    loop {
        let child = match target {
            // A certain child needs no search.
            WaitTarget::Pid(pid) if after == KoID(0) => pid
                .group()
                .filter(|child| child.parent().is_some_and(|parent| Arc::ptr_eq(&parent, me))),
            WaitTarget::Pid(_) => None,
            _ => {
                let family = me.family.lock();
                let next = family.children.range((Excluded(after), Unbounded)).next();
                next.map(|(_, child)| child.clone())
            }
        };
        let Some(child) = child else { break };
        after = child.koid();
        if !is_eligible(task, &child, target, options) {
            continue;
        }
        match child.exit_state() {
            ExitState::Dead => continue,
            ExitState::Zombie => {
                if !options.contains(WaitOptions::EXITED) {
                    // Nothing but its end is left to report.
                    continue;
                }
                let status = child.exit_code();
                let (code, value) = wait_code(status);
                found = Some(report(&child, code, value, status));
                if !options.contains(WaitOptions::NOWAIT) {
                    child.family.lock().exit_state = ExitState::Dead;
                    reap = Some(child);
                }
                break;
            }
            ExitState::Alive | ExitState::LeaderExited => {
                any = true;
                found = stopped_or_continued(&child, options);
                if found.is_some() {
                    break;
                }
            }
        }
    }
    drop(tree);
    if let Some(child) = reap {
        if let Some(report) = &found {
            // Two threads may reap at once.
            let _one_writer = me.signal.lock();
            me.dead_children.add(&report.usage);
        }
        if let Some(leader) = child.leader() {
            release_task(&leader);
        }
    }
    if found.is_none() && !any {
        bail!(ECHILD, "no child to wait for");
    }
    Ok(found)
}
