//! A task: one thread of execution.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering};

use crate::cred::Cred;
use crate::fs::{FileTable, FsStruct};
use crate::hal::MachineThread;
use crate::ids::KoID;
use crate::kernel::Kernel;
use crate::mm::Mm;
use crate::namespace::NsProxy;
use crate::sched::SchedTask;
use crate::sync::{SpinLock, class};
use crate::task::pid::Pid;
use crate::task::{ThreadFlags, ThreadGroup};

/// Whether a task runs, and what may wake it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum TaskState {
    /// It runs or waits for a CPU (`R`).
    Running = 0,
    /// It sleeps; signals wake it (`S`).
    Interruptible = 1,
    /// It sleeps; only fatal signals wake it (`D`).
    Killable = 2,
    /// Job control stopped it (`T`).
    Stopped = 3,
    /// It has exited and waits to be reaped (`Z`).
    Zombie = 4,
    /// It is gone (`X`).
    Dead = 5,
}

/// The parts of a task that it may replace as a whole. Others take a reference under the lock; the
/// task itself is the only one that replaces them.
pub struct TaskParts {
    /// Objective credentials: what others are checked against.
    pub cred: Arc<Cred>,
    /// Namespaces; `None` once it exits.
    pub nsproxy: Option<Arc<NsProxy>>,
    /// Root, working directory, umask; `None` once it exits.
    pub fs: Option<Arc<FsStruct>>,
    /// Open files; `None` once it exits.
    pub files: Option<Arc<FileTable>>,
    /// Address space; `None` for kernel threads and once it exits.
    pub mm: Option<Arc<Mm>>,
    /// `comm`, zero-padded.
    pub comm: [u8; 16],
}

/// One thread.
pub struct Task {
    koid: KoID,
    kernel: Arc<Kernel>,
    pid: Arc<Pid>,
    group: Arc<ThreadGroup>,
    flags: AtomicU32,
    /// Scheduling state.
    pub sched: SchedTask,
    /// The machine's side: kernel stack and saved registers.
    pub thread: Arc<dyn MachineThread>,
    /// Replaceable parts.
    pub parts: SpinLock<TaskParts, class::Task>,
}

impl Task {
    /// Its identity.
    pub fn koid(&self) -> KoID {
        self.koid
    }
    /// The kernel it runs under.
    pub fn kernel(&self) -> &Arc<Kernel> {
        &self.kernel
    }
    /// Its thread id as an object.
    pub fn pid(&self) -> &Arc<Pid> {
        &self.pid
    }
    /// Its process.
    pub fn group(&self) -> &Arc<ThreadGroup> {
        &self.group
    }
    /// Its credentials.
    pub fn cred(&self) -> Arc<Cred> {
        self.parts.lock().cred.clone()
    }
    /// Its work flags.
    #[inline]
    pub fn thread_flags(&self) -> ThreadFlags {
        ThreadFlags::from_bits_retain(self.flags.load(Ordering::Relaxed))
    }
    /// Sets work flags; the caller kicks or wakes the task if it must act soon.
    pub fn set_thread_flags(&self, flags: ThreadFlags) {
        self.flags.fetch_or(flags.bits(), Ordering::SeqCst);
    }
    /// Clears work flags.
    pub fn clear_thread_flags(&self, flags: ThreadFlags) {
        self.flags.fetch_and(!flags.bits(), Ordering::SeqCst);
    }
}
