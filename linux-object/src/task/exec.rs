//! What `execve(2)` does to a process, apart from its memory: one thread is left, which has the
//! process's pid; handlers are gone.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use super::signal::AltStack;
use super::{ExitState, Signal, SignalFlags, Task};
use crate::cred::UCountRlimit;
use crate::ensure;
use crate::error::Result;
use crate::fs::PollEvents;

/// First half of Linux's `de_thread`: all other threads are to end. `EAGAIN` if the process ends
/// or another thread is in `execve` already. The caller then waits, killably, on the group's
/// `wait_child` until [`others_are_gone`].
pub fn begin_de_thread(task: &Arc<Task>) -> Result<()> {
    let mut state = task.group().signal.lock();
    if state.threads.len() == 1 {
        return Ok(());
    }
    ensure!(
        !state.flags.contains(SignalFlags::GROUP_EXIT) && state.exec_task.is_none(),
        EAGAIN,
        "execve: the process ends, or another thread is faster"
    );
    state.exec_task = Some(task.clone());
    state.zap_other_threads(task);
    Ok(())
}

/// The thread in `execve` was killed while it waited.
pub fn abort_de_thread(task: &Arc<Task>) {
    let gone = task.group().signal.lock().exec_task.take();
    drop(gone);
}

/// Whether only the calling thread is left, and perhaps a leader that has exited.
pub fn others_are_gone(task: &Arc<Task>) -> bool {
    let state = task.group().signal.lock();
    state
        .threads
        .iter()
        .all(|thread| Arc::ptr_eq(thread, task) || thread.is_leader() && thread.has_exited())
}

/// Second half: the calling thread becomes the leader and takes over its pid; nobody outside
/// sees a difference.
pub fn finish_de_thread(task: &Arc<Task>) {
    let group = task.group();
    let kernel = task.kernel();
    if !task.is_leader() {
        let old_leader;
        let pending;
        let link;
        {
            let mut tree = kernel.tasks.lock();
            old_leader = {
                let mut family = group.family(&mut tree);
                family.exit_state = ExitState::Alive;
                family.leader.replace(task.clone())
            };
            let own = task.pid().clone();
            task.take_pid(group.tgid.clone());
            own.detach_task(&mut tree, task);
            link = old_leader
                .as_ref()
                .and_then(|leader| leader.ptrace_unlink(&mut tree));
            group.tgid.attach_task(&mut tree, task.clone());
            let mut state = group.signal.lock();
            if let Some(old) = &old_leader {
                group.dead_threads.add(&old.usage());
                old.released.store(true, Ordering::Release);
            }
            pending = old_leader.as_ref().map(|old| old.sig.flush());
            state.threads.clear();
            state.threads.push(task.clone());
            kernel.tasks.uncount_task();
        }
        drop(pending);
        if let Some(link) = link {
            // It must not wait for the old leader any more.
            link.tracer.group().wait_child.wake_all(PollEvents::IN);
        }
        if let Some(old) = old_leader {
            old.seccomp.release();
            old.cred().ucounts.dec_rlimit(UCountRlimit::Nproc, 1);
        }
    }
    let gone = group.signal.lock().exec_task.take();
    drop(gone);
    group
        .exit_signal
        .store(Signal::CHLD.nr().into(), Ordering::Relaxed);
}

impl Task {
    /// The new program starts with default handlers (ignored signals stay ignored), without an
    /// alternate stack, and is not the one that its children's and its own `exit_signal` were meant for.
    pub fn exec_signals(&self) {
        let group = self.group();
        // Shared with another process by CLONE_SIGHAND: that one keeps its handlers.
        let sighand = group.sighand();
        if Arc::strong_count(&sighand) > 2 {
            let old = core::mem::replace(&mut *group.sighand.lock(), sighand.fork());
            drop(old);
        }
        group.sighand().flush_handlers(false);
        self.sig.set_altstack(AltStack::NONE);
        group.exec_id.fetch_add(1, Ordering::Relaxed);
        group.did_exec.store(true, Ordering::Relaxed);
    }

    /// `EAGAIN` if the task became a user with too many processes and still has them.
    pub fn check_nproc_exceeded(&self) -> Result<()> {
        if !self.nproc_exceeded.load(Ordering::Relaxed) {
            return Ok(());
        }
        let limit = self.group().rlimit(super::Resource::NPROC).cur;
        ensure!(
            !self.cred().ucounts.is_over(UCountRlimit::Nproc, limit),
            EAGAIN,
            "execve: RLIMIT_NPROC of the user set with setuid"
        );
        self.nproc_exceeded.store(false, Ordering::Relaxed);
        Ok(())
    }
}
