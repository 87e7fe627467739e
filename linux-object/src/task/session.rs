//! Sessions and process groups (`credentials(7)`, `setsid(2)`).
//!
//! A session is the object that its processes share; it knows the controlling terminal. A process
//! group is only a [`Pid`] with members.

use alloc::sync::Arc;
use core::any::Any;
use core::sync::atomic::Ordering;

use crate::error::Result;
use crate::fs::DevT;
use crate::ids::PidNr;
use crate::kernel::Kernel;
use crate::sync::{SpinLock, class};
use crate::task::pid::Pid;
use crate::task::{ExitState, Task, ThreadGroup};
use crate::{bail, ensure};

/// A terminal as a session sees it.
pub trait ControllingTty: Any + Send + Sync {
    /// Its device number (`tty_nr` of `/proc/PID/stat`).
    fn dev(&self) -> DevT;
    /// The foreground process group.
    fn foreground_pgrp(&self) -> Option<Arc<Pid>>;
    /// The session gives the terminal up, because its leader exits (`on_exit`) or says so: session and
    /// foreground group are forgotten, the group is sent its signals.
    fn release_session(&self, on_exit: bool);
    /// For the implementation to find itself again.
    fn as_any(&self) -> &dyn Any;
}

/// A session.
pub struct Session {
    sid: Arc<Pid>,
    terminal: SpinLock<Terminal, class::Leaf>,
}

/// What a session knows of terminals.
#[derive(Default)]
struct Terminal {
    controlling: Option<Arc<dyn ControllingTty>>,
    /// The foreground group of a terminal that was hung up under the session (Linux's
    /// `tty_old_pgrp`); none while there is a controlling terminal.
    old_pgrp: Option<Arc<Pid>>,
}

impl Session {
    /// A session without a terminal, named by the pid of its leader.
    pub fn new(sid: Arc<Pid>) -> Arc<Session> {
        Arc::new(Session {
            sid,
            terminal: SpinLock::new(Terminal::default()),
        })
    }
    /// What names it.
    pub fn sid(&self) -> &Arc<Pid> {
        &self.sid
    }
    /// The controlling terminal.
    pub fn tty(&self) -> Option<Arc<dyn ControllingTty>> {
        self.terminal.lock().controlling.clone()
    }
    /// Sets or takes away the controlling terminal; returns the one before.
    pub fn set_tty(&self, tty: Option<Arc<dyn ControllingTty>>) -> Option<Arc<dyn ControllingTty>> {
        let (before, _old) = {
            let mut terminal = self.terminal.lock();
            let gone = match tty.is_some() {
                true => terminal.old_pgrp.take(),
                false => None,
            };
            (core::mem::replace(&mut terminal.controlling, tty), gone)
        };
        before
    }
    /// The controlling terminal was hung up while `pgrp` was in its foreground.
    pub fn hung_up(&self, pgrp: Option<Arc<Pid>>) {
        let _before = {
            let mut terminal = self.terminal.lock();
            let old = core::mem::replace(&mut terminal.old_pgrp, pgrp);
            (terminal.controlling.take(), old)
        };
    }
    /// The group of [`hung_up`](Self::hung_up), once.
    pub fn take_old_pgrp(&self) -> Option<Arc<Pid>> {
        self.terminal.lock().old_pgrp.take()
    }
}

/// The caller's process group.
pub fn current_pgrp(task: &Task) -> Arc<Pid> {
    task.group().pgrp()
}

/// Whether no member of the process group has a parent in the same session but another process group: nobody who
/// could continue it if it stopped (`credentials(7)`).
pub fn is_orphaned_pgrp(kernel: &Kernel, pgrp: &Arc<Pid>) -> bool {
    let mut tree = kernel.tasks.lock();
    will_become_orphaned(&mut tree, pgrp, None)
}

/// Likewise, as if `ignored` were gone already (Linux's `will_become_orphaned_pgrp`).
pub(super) fn will_become_orphaned(
    _tree: &mut super::TaskTree,
    pgrp: &Arc<Pid>,
    ignored: Option<&Arc<ThreadGroup>>,
) -> bool {
    !pgrp.pgrp_members().iter().any(|member| {
        if ignored.is_some_and(|ignored| Arc::ptr_eq(ignored, member))
            || member.exit_state() != ExitState::Alive && member.signal.lock().nr_live == 0
        {
            return false;
        }
        let Some(parent) = member.parent() else {
            return false;
        };
        // A child of the initial namespace's init has no parent who controls jobs.
        if parent.tgid.is_child_reaper() && parent.tgid.ns().level() == 0 {
            return false;
        }
        !Arc::ptr_eq(&parent.pgrp(), pgrp) && Arc::ptr_eq(&parent.session(), &member.session())
    })
}

/// `setsid(2)`: the caller leads a new session and process group without a terminal.
pub fn set_sid(task: &Arc<Task>) -> Result<Arc<Pid>> {
    let group = task.group();
    let sid = group.tgid.clone();
    let session = Session::new(sid.clone());
    let mut tree = task.kernel().tasks.lock();
    ensure!(
        !group.is_session_leader(),
        EPERM,
        "setsid: leads a session already"
    );
    // A process group of this number may be left from a child that led it.
    ensure!(!sid.has_pgrp(), EPERM, "setsid: a process group has this number");
    let (old_pgrp, old_session) = {
        let mut family = group.family(&mut tree);
        (
            core::mem::replace(&mut family.pgrp, sid.clone()),
            core::mem::replace(&mut family.session, session),
        )
    };
    sid.attach_pgrp(&mut tree, group.clone());
    sid.attach_session(&mut tree, group.clone());
    old_pgrp.detach_pgrp(&mut tree, group);
    old_session.sid().detach_session(&mut tree, group);
    drop(tree);
    Ok(sid)
}

/// `setpgid(2)`: moves `target`, the caller or a child of it in the same session that has not called
/// `execve`, to the process group `pgid` of that session, or to a new one of its own number.
pub fn set_pgid(task: &Arc<Task>, target: &Arc<ThreadGroup>, pgid: PidNr) -> Result<()> {
    let me = task.group();
    let mut tree = task.kernel().tasks.lock();
    let is_child = target.parent().is_some_and(|parent| Arc::ptr_eq(&parent, me));
    if is_child {
        ensure!(
            Arc::ptr_eq(&target.session(), &me.session()),
            EPERM,
            "setpgid: the child is in another session"
        );
        ensure!(
            !target.did_exec.load(Ordering::Relaxed),
            EACCES,
            "setpgid: the child has called execve"
        );
    } else {
        ensure!(
            Arc::ptr_eq(target, me),
            ESRCH,
            "setpgid: neither the caller nor a child of it"
        );
    }
    ensure!(!target.is_session_leader(), EPERM, "setpgid: a session leader");
    let ns = task.pid_ns();
    let pgrp = if pgid == target.tgid.nr_in(ns) {
        target.tgid.clone()
    } else {
        let members = ns.find(pgid).map(|pid| (pid.pgrp_members(), pid));
        let Some((member, pgrp)) = members.and_then(|(members, pid)| Some((members.first()?.clone(), pid)))
        else {
            bail!(EPERM, "setpgid: no such process group");
        };
        ensure!(
            Arc::ptr_eq(&member.session(), &me.session()),
            EPERM,
            "setpgid: a process group of another session"
        );
        pgrp
    };
    let old = core::mem::replace(&mut target.family(&mut tree).pgrp, pgrp.clone());
    if !Arc::ptr_eq(&old, &pgrp) {
        pgrp.attach_pgrp(&mut tree, target.clone());
        old.detach_pgrp(&mut tree, target);
    }
    Ok(())
}
