//! Sessions and process groups (`credentials(7)`, `setsid(2)`).
//!
//! A session is the object that its processes share; it knows the controlling terminal. A process
//! group is only a [`Pid`] with members.

use alloc::sync::Arc;
use core::any::Any;

use crate::fs::DevT;
use crate::kernel::Kernel;
use crate::sync::{SpinLock, class};
use crate::task::pid::Pid;
use crate::task::{ExitState, Task, ThreadGroup};

/// A terminal as a session sees it.
pub trait ControllingTty: Any + Send + Sync {
    /// Its device number (`tty_nr` of `/proc/PID/stat`).
    fn dev(&self) -> DevT;
    /// The foreground process group.
    fn foreground_pgrp(&self) -> Option<Arc<Pid>>;
    /// The session gives the terminal up: forget session and foreground group. With `hangup`
    /// (the leader exits, and the terminal is not a pseudo-terminal's master side) the terminal is
    /// hung up as well.
    fn release_session(&self, hangup: bool);
    /// For the implementation to find itself again.
    fn as_any(&self) -> &dyn Any;
}

/// A session.
pub struct Session {
    sid: Arc<Pid>,
    tty: SpinLock<Option<Arc<dyn ControllingTty>>, class::Leaf>,
}

impl Session {
    /// A session without a terminal, named by the pid of its leader.
    pub fn new(sid: Arc<Pid>) -> Arc<Session> {
        Arc::new(Session {
            sid,
            tty: SpinLock::new(None),
        })
    }
    /// What names it.
    pub fn sid(&self) -> &Arc<Pid> {
        &self.sid
    }
    /// The controlling terminal.
    pub fn tty(&self) -> Option<Arc<dyn ControllingTty>> {
        self.tty.lock().clone()
    }
    /// Sets or takes away the controlling terminal; returns the one before.
    pub fn set_tty(&self, tty: Option<Arc<dyn ControllingTty>>) -> Option<Arc<dyn ControllingTty>> {
        core::mem::replace(&mut *self.tty.lock(), tty)
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
