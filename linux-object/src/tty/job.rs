//! Controlling terminals, job control and hang-ups (`tty_jobctrl.c`).

use alloc::sync::{Arc, Weak};

use super::Tty;
use crate::cred::Capability;
use crate::error::Result;
use crate::fs::PollEvents;
use crate::task::pid::Pid;
use crate::task::signal::{SIG_IGN, send_to_group};
use crate::task::{Session, SigInfo, Signal, Task, is_orphaned_pgrp};
use crate::{bail, ensure};

/// Sends a signal of the kernel to a process group. No lock is held.
pub(super) fn signal_pgrp(pgrp: &Arc<Pid>, signal: Signal) {
    for group in pgrp.pgrp_members() {
        let _ = send_to_group(&group, SigInfo::kernel(signal));
    }
}

/// The controlling terminal of the caller.
pub(super) fn current_tty(task: &Arc<Task>) -> Option<Arc<Tty>> {
    let tty = task.group().session().tty()?;
    tty.as_any().downcast_ref::<Tty>()?.this.upgrade()
}

fn is_ignored(task: &Arc<Task>, signal: Signal) -> bool {
    task.sig.blocked().contains(signal) || task.group().sighand().get(signal).handler == SIG_IGN
}

impl Tty {
    /// Whether this is the caller's controlling terminal.
    pub(super) fn is_current(&self, task: &Arc<Task>) -> bool {
        current_tty(task).is_some_and(|tty| core::ptr::eq(&*tty, self))
    }

    /// Lets a background process group stop before it touches its terminal (Linux's
    /// `tty_check_change`): `signal` is SIGTTIN or SIGTTOU. `EIO`: nobody could continue it.
    pub(super) fn check_change(&self, task: &Arc<Task>, signal: Signal) -> Result<()> {
        if !self.is_current(task) {
            return Ok(());
        }
        let pgrp = task.group().pgrp();
        match &self.state.lock().pgrp {
            Some(foreground) if !Arc::ptr_eq(foreground, &pgrp) => {}
            _ => return Ok(()),
        }
        if is_ignored(task, signal) {
            ensure!(
                signal != Signal::TTIN,
                EIO,
                "a background process that ignores SIGTTIN reads"
            );
            return Ok(());
        }
        if is_orphaned_pgrp(task.kernel(), &pgrp) {
            bail!(EIO, "an orphaned process group touches its terminal");
        }
        signal_pgrp(&pgrp, signal);
        bail!(ERESTARTSYS, "the process group is in the background");
    }

    /// Makes it the controlling terminal of the caller's session.
    fn set_controlling(&self, task: &Arc<Task>) {
        let session = task.group().session();
        {
            let mut state = self.state.lock();
            state.session = Arc::downgrade(&session);
            state.pgrp = Some(task.group().pgrp());
        }
        if let Some(this) = self.this.upgrade() {
            session.set_tty(Some(this));
        }
    }

    /// What `open(2)` without `O_NOCTTY` does.
    pub(super) fn acquire_on_open(&self, task: &Arc<Task>, readable: bool) {
        let group = task.group();
        let free = self.state.lock().session.upgrade().is_none();
        if readable && free && group.is_session_leader() && group.session().tty().is_none() {
            self.set_controlling(task);
        }
    }

    /// `TIOCSCTTY`.
    pub(super) fn set_ctty(&self, task: &Arc<Task>, readable: bool, steal: bool) -> Result<()> {
        let group = task.group();
        let session = group.session();
        let theirs = self.state.lock().session.upgrade();
        if group.is_session_leader() && theirs.as_ref().is_some_and(|s| Arc::ptr_eq(s, &session)) {
            return Ok(());
        }
        ensure!(
            group.is_session_leader() && session.tty().is_none(),
            EPERM,
            "not a session leader without a terminal"
        );
        let admin = || task.cred().capable(Capability::SYS_ADMIN);
        if let Some(theirs) = theirs {
            ensure!(steal && admin(), EPERM, "it is the terminal of another session");
            theirs.set_tty(None);
        }
        ensure!(readable || admin(), EPERM, "the terminal is not open for reading");
        self.set_controlling(task);
        Ok(())
    }

    /// `TIOCSPGRP`.
    pub(super) fn set_pgrp(&self, task: &Arc<Task>, pgrp: &Arc<Pid>) -> Result<()> {
        let session = task.group().session();
        let same = |of: &Arc<Session>| Arc::ptr_eq(of, &session);
        ensure!(
            self.is_current(task) && self.state.lock().session.upgrade().as_ref().is_some_and(same),
            ENOTTY,
            "not the caller's controlling terminal"
        );
        let member = pgrp.pgrp_members().into_iter().next().or_else(|| pgrp.group());
        ensure!(
            member.is_some_and(|member| same(&member.session())),
            EPERM,
            "the process group is in another session"
        );
        self.state.lock().pgrp = Some(pgrp.clone());
        Ok(())
    }

    /// Hangs up: open files see the end, the session loses its terminal, its leader gets SIGHUP and
    /// SIGCONT. When the session ends (`exiting`), the foreground group gets SIGHUP.
    pub(super) fn hangup(&self, exiting: bool) {
        let (session, pgrp) = {
            let mut state = self.state.lock();
            state.hangups = state.hangups.wrapping_add(1);
            state.input.clear();
            state.ldisc.flush_input();
            state.ldisc.flush_echo();
            state.ldisc.stopped = false;
            state.ldisc.tco_stopped = false;
            state.pty.status = 0;
            (core::mem::take(&mut state.session).upgrade(), state.pgrp.take())
        };
        if let Some(session) = session {
            if self.is_tty_of(&session) {
                session.hung_up(pgrp.clone());
            }
            if let Some(leader) = session.sid().group() {
                let _ = send_to_group(&leader, SigInfo::kernel(Signal::HUP));
                let _ = send_to_group(&leader, SigInfo::kernel(Signal::CONT));
            }
        }
        if let Some(pgrp) = pgrp
            && exiting
        {
            signal_pgrp(&pgrp, Signal::HUP);
        }
        self.queue.wake_all(PollEvents::all());
        self.master_queue.wake_all(PollEvents::all());
    }

    /// Whether the session's controlling terminal is this one.
    fn is_tty_of(&self, session: &Session) -> bool {
        session.tty().is_some_and(|tty| {
            tty.as_any()
                .downcast_ref()
                .is_some_and(|tty| core::ptr::eq(self, tty))
        })
    }
}

/// The leader of the terminal's session exits (`on_exit`) or gives the terminal up (Linux's
/// `disassociate_ctty`).
pub(super) fn release_session(tty: &Tty, on_exit: bool) {
    if on_exit && !tty.is_pty() {
        tty.hangup(true);
        return;
    }
    let pgrp = {
        let mut state = tty.state.lock();
        state.session = Weak::new();
        state.pgrp.take()
    };
    if let Some(pgrp) = pgrp {
        signal_pgrp(&pgrp, Signal::HUP);
        if !on_exit {
            signal_pgrp(&pgrp, Signal::CONT);
        }
    }
}

/// `TIOCNOTTY`: the leader's session gives its terminal up. `ENOTTY` for others: they share the
/// session's terminal here.
pub fn no_tty(task: &Arc<Task>) -> Result<()> {
    let group = task.group();
    ensure!(
        group.is_session_leader(),
        ENOTTY,
        "only the session leader gives the terminal up"
    );
    if let Some(tty) = group.session().set_tty(None) {
        tty.release_session(false);
    }
    Ok(())
}

/// `vhangup(2)`: hangs up the caller's terminal.
pub fn vhangup_self(task: &Arc<Task>) {
    if let Some(tty) = current_tty(task) {
        tty.hangup(false);
    }
}

/// The number of a session or group in the caller's pid namespace; 0 where it is not visible.
pub(super) fn shown(task: &Arc<Task>, pid: Option<&Arc<Pid>>) -> i32 {
    pid.map_or(0, |pid| pid.nr_in(task.pid().ns()).0)
}
