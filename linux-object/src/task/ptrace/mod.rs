//! Tracing (`ptrace(2)`): one thread, the *tracer*, watches and directs others, its *tracees*.
//!
//! **The link.** Tracing is per thread. A tracee has one tracer ([`Link`]): the tracer and the credentials that it
//! attached with. A tracer lists its tracees, by KoID. Both ends change together, under the `TaskSet` lock; what the
//! tracee is asked for ([`PtraceFlags`], 0: not traced) changes under its `SigHand` lock as well and is read without
//! locks. The link ends with `PTRACE_DETACH`, with the tracer's exit (each tracee goes on, or is killed with
//! `PTRACE_O_EXITKILL`), and when the tracee is reaped. A tracee's new thread or child inherits the link if an option
//! or `CLONE_PTRACE` says so.
//!
//! **The stop.** A tracee stops itself, in [`Task::begin_ptrace_stop`] .. [`Task::end_ptrace_stop`], between which the
//! system-call layer sleeps (`TaskState::Traced`) as long as `jobctl::TRACED` is set. It hands over a [`Stop`]: its
//! registers, the code that `wait` reports, the signal's record, the message. The tracer reads and changes that
//! record, never the tracee's stack; on its way out the tracee takes the record back, registers and all. Where it
//! stops:
//!
//! - *signal-delivery*: in `get_signal`, between taking a signal and acting on it. The code left in the record is the signal
//!   that is then delivered, or 0.
//! - *group stop*: a tracee takes no part in `TaskState::Stopped`. It traps instead: after `PTRACE_SEIZE` with
//!   `PTRACE_EVENT_STOP`, and again whenever the state of job control changes (`TRAP_NOTIFY`), so that a tracer can wait for
//!   SIGCONT with `PTRACE_LISTEN`; after `PTRACE_ATTACH` once, plainly.
//! - *system calls*: on entry, before filters, and on exit; behind [`ThreadFlags::TRACED`], so a task without a tracer
//!   pays nothing.
//! - *events* ([`Event`]): inside `clone`, `execve`, `exit`, and where a filter asks for it.
//!
//! **Who wakes whom.** Each stop sends SIGCHLD (`CLD_TRAPPED`, `CLD_STOPPED`) to the tracer's process and wakes its
//! `wait_child`; the completion of a group stop is told to the real parent as well, unless that is the tracer. Only the
//! tracer, the end of the link, and SIGKILL wake a stopped tracee. While the tracer works on a tracee ([`Tracee`]) it
//! is
//! *frozen*: SIGKILL is there, but wakes it only when the tracer is done, so its FPU state can be reached.
//!
//! **Waiting.** `wait` looks at a process's children and at its threads' tracees. A zombie that is traced shows itself to its
//! tracer only; when that has reaped it, or lets it go, the real parent is told. A traced thread that is no leader
//! stays as a zombie until its tracer has seen it, so `execve` of another thread waits for the tracer.
//!
//! **Freezers and namespaces.** A stopped tracee counts as frozen. It stays where it is when its cgroup freezes; resumed, it
//! freezes on the way to user mode (cgroup2), or at once (v1). The end of a pid namespace kills tracees as all
//! others, and waits until their tracers have reaped them. Pids in messages and in SIGCHLD are numbers of the
//! tracer's pid namespace; those in a signal's record are what the tracee itself would read.
//!
//! **Privileges.** Attaching needs `ptrace_may_access` (`PTRACE_MODE_ATTACH_REALCREDS`). An `execve` in between is kept out
//! ([`ExecGuard`]): either it sees the tracer, and gives a set-uid program no more than its caller had unless the
//! tracer has CAP_SYS_PTRACE, or the tracer waits, and its right is judged by the new credentials.
//!
//! Locks: `TaskSet`, then `SigHand` of the tracee; the records are leaves.
//!
//! Not there: 32-bit programs, `PTRACE_SINGLEBLOCK`, Yama.

mod debug;
mod event;
mod link;
mod regs;
mod request;
mod stop;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering};

pub use debug::DebugRegs;
pub use event::{Event, PtraceFlags, Work, check_options};
pub(super) use link::exit_ptrace;
pub use link::{Attached, ExecGuard, Link};
pub use regs::NR_REGS;
pub use request::{Resume, Tracee, check_tracer, interrupt, tracee_of};
pub use stop::{SYSCALL_ENTRY, SYSCALL_EXIT, Stop, StopRequest, Why};

use super::{Task, ThreadFlags};
use crate::ids::KoID;
use crate::sync::{SpinLock, class};

/// A task's part, as tracee and as tracer.
#[derive(Default)]
pub struct TaskPtrace {
    /// [`PtraceFlags`]; changes under `SigHand`.
    flags: AtomicU32,
    /// [`Work`]; changes while the task is in a stop, or by the task itself.
    work: AtomicU32,
    /// Its tracer; changes under `TaskSet`.
    link: SpinLock<Option<Link>, class::Leaf>,
    /// Whom it traces; changes under `TaskSet`.
    tracees: SpinLock<BTreeMap<KoID, Arc<Task>>, class::Leaf>,
    /// What the CPU watches for its tracer.
    debug: SpinLock<Option<Box<DebugRegs>>, class::Leaf>,
    /// What it shows while it is stopped; there exactly while it is in a stop.
    stop: SpinLock<Option<Box<Stop>>, class::Leaf>,
}

impl Task {
    /// How it is traced; empty if it is not.
    #[inline]
    pub fn ptrace_flags(&self) -> PtraceFlags {
        PtraceFlags::from_bits_retain(self.ptrace.flags.load(Ordering::SeqCst))
    }
    /// Whether it has a tracer.
    #[inline]
    pub fn is_traced(&self) -> bool {
        self.thread_flags().contains(ThreadFlags::TRACED)
    }
    /// Its tracer.
    pub fn tracer(&self) -> Option<Arc<Task>> {
        self.ptrace.link.lock().as_ref().map(|link| link.tracer.clone())
    }
    /// What its tracer wants of its system calls and steps.
    pub fn ptrace_work(&self) -> Work {
        Work::from_bits_retain(self.ptrace.work.load(Ordering::SeqCst))
    }
    fn change_work(&self, clear: Work, set: Work) {
        let work = self.ptrace_work().difference(clear).union(set);
        self.ptrace.work.store(work.bits(), Ordering::SeqCst);
    }
    /// Whether its tracer wants to hear of this (Linux's `ptrace_event_enabled`).
    pub fn ptrace_wants(&self, event: Event) -> bool {
        self.ptrace_flags().contains(event.option())
    }
    /// The tracee after `after`, in the order of birth.
    pub(super) fn next_tracee(&self, after: KoID) -> Option<Arc<Task>> {
        use core::ops::Bound::{Excluded, Unbounded};
        let tracees = self.ptrace.tracees.lock();
        tracees
            .range((Excluded(after), Unbounded))
            .next()
            .map(|(_, tracee)| tracee.clone())
    }
}
