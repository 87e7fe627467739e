//! Who traces whom.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use super::{PtraceFlags, Work};
use crate::cred::{Capability, Cred};
use crate::ensure;
use crate::error::Result;
use crate::fs::PollEvents;
use crate::fs::procfs::access::{PtraceMode, ptrace_may_access};
use crate::namespace::UserNamespace;
use crate::task::exit::{Released, notify_parent, set_exit_state};
use crate::task::signal::{jobctl, send_to_task};
use crate::task::{ExitState, SigInfo, Signal, SignalFlags, Task, TaskTree, ThreadFlags};

/// A tracee's side of the link.
#[derive(Clone)]
pub struct Link {
    /// Who traces.
    pub tracer: Arc<Task>,
    /// With which rights.
    pub cred: Arc<Cred>,
}

/// How an attachment ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Attached {
    /// It is traced.
    Done,
    /// It is traced, and on its way from a stop by job control to one by tracing; the caller waits until
    /// [`Task::is_trapping`] is false.
    Trapping,
    /// Its process is in `execve`: try again when that is over.
    Busy,
}

/// Keeps tracers away from a process whose new credentials are computed (Linux's `cred_guard_mutex`).
pub struct ExecGuard<'a>(&'a Arc<Task>);

impl<'a> ExecGuard<'a> {
    /// For the calling task.
    pub fn new(task: &'a Arc<Task>) -> ExecGuard<'a> {
        let _tree = task.kernel().tasks.lock();
        task.group().in_exec.fetch_add(1, Ordering::SeqCst);
        ExecGuard(task)
    }
}

impl Drop for ExecGuard<'_> {
    fn drop(&mut self) {
        let group = self.0.group();
        group.in_exec.fetch_sub(1, Ordering::SeqCst);
        group.exec_queue.wake_all(PollEvents::IN);
    }
}

impl Task {
    /// Both ends of a new link (Linux's `__ptrace_link`).
    pub(in crate::task) fn ptrace_link(
        self: &Arc<Self>,
        _tree: &mut TaskTree,
        link: Link,
        flags: PtraceFlags,
    ) {
        let tracer = link.tracer.clone();
        *self.ptrace.link.lock() = Some(link);
        {
            let _signals = self.group().signal.lock();
            let flags = flags | PtraceFlags::PTRACED;
            self.ptrace.flags.store(flags.bits(), Ordering::SeqCst);
            self.set_thread_flags(ThreadFlags::TRACED);
        }
        let mut tracees = tracer.ptrace.tracees.lock();
        tracees.insert(self.koid(), self.clone());
    }

    /// A child of a tracee is traced as its parent is, and stops before its first instruction (Linux's
    /// `ptrace_init_task`).
    pub(in crate::task) fn inherit_tracer(self: &Arc<Self>, tree: &mut TaskTree, parent: &Arc<Task>) {
        let link = parent.ptrace.link.lock().clone();
        if let Some(link) = link {
            self.ptrace_link(tree, link, parent.ptrace_flags());
            self.ptrace_begin();
        }
    }

    /// The link ends; a stopped tracee goes on (Linux's `__ptrace_unlink`). The caller drops what is returned
    /// without locks.
    pub(in crate::task) fn ptrace_unlink(self: &Arc<Self>, _tree: &mut TaskTree) -> Option<Link> {
        let link = self.ptrace.link.lock().take()?;
        let gone = link.tracer.ptrace.tracees.lock().remove(&self.koid());
        {
            let state = self.group().signal.lock();
            self.ptrace.flags.store(0, Ordering::SeqCst);
            self.change_work(Work::SYSCALL | Work::EMU, Work::empty());
            self.clear_thread_flags(ThreadFlags::TRACED);
            let trapping = self.has_jobctl(jobctl::TRAPPING);
            self.clear_jobctl(jobctl::TRAP_STOP | jobctl::TRAP_NOTIFY | jobctl::TRAPPING);
            if trapping {
                link.tracer.group().wait_child.wake_all(PollEvents::IN);
            }
            let stops = state.flags.contains(SignalFlags::STOP_STOPPED) || state.group_stop_count > 0;
            if stops && !self.is_exiting() {
                // Job control takes over from the tracer.
                self.resume_group_stop();
            }
            if self.has_jobctl(jobctl::STOP_PENDING | jobctl::TRACED) {
                self.ptrace_wake(true);
            }
        }
        drop(gone);
        Some(link)
    }

    /// `PTRACE_TRACEME`. `EPERM` if the task is traced already.
    pub fn ptrace_traceme(self: &Arc<Self>) -> Result<()> {
        let mut tree = self.kernel().tasks.lock();
        ensure!(!self.is_traced(), EPERM, "PTRACE_TRACEME: traced already");
        let (parent, thread) = {
            let family = self.group().family.lock();
            (family.parent.clone(), family.parent_thread)
        };
        let tracer = parent.and_then(|parent| {
            let state = parent.signal.lock();
            state.threads.iter().find(|task| task.koid() == thread).cloned()
        });
        // As on Linux, a parent that exits takes nobody on, which is no error.
        if let Some(tracer) = tracer.filter(|tracer| !tracer.is_exiting()) {
            let cred = tracer.cred();
            self.ptrace_link(&mut tree, Link { tracer, cred }, PtraceFlags::empty());
        }
        Ok(())
    }

    /// `PTRACE_ATTACH`, or `PTRACE_SEIZE` with `SEIZED` in `flags`. `EPERM` for oneself, a traced or dead task, or
    /// without the right.
    pub fn ptrace_attach(self: &Arc<Self>, tracee: &Arc<Task>, flags: PtraceFlags) -> Result<Attached> {
        ensure!(
            !Arc::ptr_eq(self.group(), tracee.group()),
            EPERM,
            "ptrace: a thread of the own process"
        );
        let mut tree = self.kernel().tasks.lock();
        if tracee.group().in_exec.load(Ordering::SeqCst) > 0 {
            return Ok(Attached::Busy);
        }
        ptrace_may_access(self, tracee, PtraceMode::ATTACH_REALCREDS)?;
        ensure!(
            !tracee.has_exited() && !tracee.is_released(),
            EPERM,
            "ptrace: the task has exited"
        );
        ensure!(!tracee.is_traced(), EPERM, "ptrace: traced already");
        let link = Link {
            tracer: self.clone(),
            cred: self.cred(),
        };
        tracee.ptrace_link(&mut tree, link, flags);
        if !flags.contains(PtraceFlags::SEIZED) {
            let _ = send_to_task(tracee, SigInfo::kernel(Signal::STOP));
        }
        let _signals = tracee.group().signal.lock();
        if tracee.is_job_stopped() && tracee.ask_to_trap(jobctl::TRAP_STOP | jobctl::TRAPPING) {
            tracee.wake_stopped();
            return Ok(Attached::Trapping);
        }
        Ok(Attached::Done)
    }

    /// Whether it changes from a stop by job control to one by tracing.
    pub fn is_trapping(&self) -> bool {
        self.has_jobctl(jobctl::TRAPPING)
    }

    /// Whether a tracer is there that may not see what the task gains in `ns` (Linux's `ptracer_capable`).
    pub fn has_weak_tracer(&self, ns: &Arc<UserNamespace>) -> bool {
        let cred = self.ptrace.link.lock().as_ref().map(|link| link.cred.clone());
        cred.is_some_and(|cred| !cred.ns_capable(ns, Capability::SYS_PTRACE))
    }

    /// Whether another process than its real parent traces it (Linux's `ptrace_reparented`).
    pub(in crate::task) fn is_reparented(&self) -> bool {
        let Some(tracer) = self.tracer() else { return false };
        let parent = self.group().parent();
        !parent.is_some_and(|parent| Arc::ptr_eq(&parent, tracer.group()))
    }
}

/// The link of `tracee` ends (Linux's `__ptrace_detach`). True: it is a zombie that nobody waits for, to be
/// released.
pub(in crate::task) fn detach(tree: &mut TaskTree, tracer: &Arc<Task>, tracee: &Arc<Task>) -> bool {
    let link = tracee.ptrace_unlink(tree);
    drop(link);
    if !tracee.has_exited() {
        return false;
    }
    if !tracee.is_leader() {
        return true;
    }
    let group = tracee.group();
    if group.exit_state() != ExitState::Zombie {
        return false;
    }
    let own_child = group
        .parent()
        .is_some_and(|parent| Arc::ptr_eq(&parent, tracer.group()));
    let dead = if own_child {
        let ignores = tracer.group().ignores_children();
        if ignores {
            tracer.group().wait_child.wake_all(PollEvents::IN);
        }
        ignores
    } else {
        notify_parent(tree, group)
    };
    if dead {
        set_exit_state(tree, group, ExitState::Dead);
    }
    dead
}

/// A tracer exits: its tracees are free, or killed (Linux's `exit_ptrace`).
pub(in crate::task) fn exit_ptrace(tree: &mut TaskTree, tracer: &Arc<Task>, dead: &mut Released) {
    while let Some(tracee) = tracer.next_tracee(crate::ids::KoID(0)) {
        if tracee.ptrace_flags().contains(PtraceFlags::EXITKILL) {
            let _ = send_to_task(&tracee, SigInfo::kernel(Signal::KILL));
        }
        if detach(tree, tracer, &tracee) {
            dead.push(tracee);
        }
    }
}
