//! A task: one thread of execution.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::any::Any;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU32, AtomicU64, Ordering};

use spin::Once;

use super::signal::TaskSignals;
use super::{Accounting, IoContext, Usage, VforkDone};
use crate::cgroup::CssSet;
use crate::cred::Cred;
use crate::fs::{FileTable, FsStruct};
use crate::futex::PiPresence;
use crate::hal::MachineThread;
use crate::ids::{KoID, PidNr, UserAddr};
use crate::ipc::sem::SemUndoList;
use crate::kernel::Kernel;
use crate::keys::Key;
use crate::mm::memcg::KmemCharge;
use crate::mm::oom::TaskMemory;
use crate::mm::{MemPolicy, Mm};
use crate::namespace::{NsProxy, PidNamespace, UserNamespace};
use crate::sched::SchedTask;
use crate::seccomp::TaskSeccomp;
use crate::sync::{SpinLock, class};
use crate::task::pid::Pid;
use crate::task::ptrace::TaskPtrace;
use crate::task::rseq::TaskRseq;
use crate::task::user_dispatch::TaskUserDispatch;
use crate::task::{Resource, ThreadFlags, ThreadGroup};
use crate::time::Ktime;

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
    /// Its tracer has it (`t`).
    Traced = 8,
    /// It has exited and waits to be reaped (`Z`).
    Zombie = 4,
    /// It is gone (`X`).
    Dead = 5,
}

/// What a task starts with.
#[allow(missing_docs)]
pub struct TaskParts {
    pub cred: Arc<Cred>,
    pub nsproxy: Option<Arc<NsProxy>>,
    pub fs: Option<Arc<FsStruct>>,
    pub files: Option<Arc<FileTable>>,
    pub mm: Option<Arc<Mm>>,
    pub comm: [u8; 16],
}

/// The parts of a task that it may replace as a whole, besides its credentials. Others take a
/// reference under the lock; the task itself is the only one that replaces them.
pub struct TaskShares {
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

/// What a task is made of, for [`Task::new`].
pub struct TaskInit {
    /// Its thread id.
    pub pid: Arc<Pid>,
    /// Its process.
    pub group: Arc<ThreadGroup>,
    /// Where it is in the cgroup hierarchies.
    pub css_set: Arc<CssSet>,
    /// Scheduling state.
    pub sched: SchedTask,
    /// The machine's side.
    pub thread: Arc<dyn MachineThread>,
    /// Replaceable parts.
    pub parts: TaskParts,
    /// Blocked signals.
    pub signals: TaskSignals,
    /// What it costs.
    pub charge: [KmemCharge; 2],
}

/// One thread.
pub struct Task {
    koid: KoID,
    kernel: Arc<Kernel>,
    pid: Arc<Pid>,
    /// The pid of the leader that it took over by `execve` as another thread.
    exec_pid: Once<Arc<Pid>>,
    group: Arc<ThreadGroup>,
    flags: AtomicU32,
    /// Scheduling state.
    pub sched: SchedTask,
    /// The machine's side: kernel stack and saved registers.
    pub thread: Arc<dyn MachineThread>,
    /// Replaceable parts.
    pub parts: SpinLock<TaskShares, class::Task>,
    /// Whom it traces, and who traces it.
    pub ptrace: TaskPtrace,
    /// Who it is. A leaf, since everything may have to ask.
    pub(crate) cred: SpinLock<Arc<Cred>, class::Leaf>,
    /// Where it is in the cgroup hierarchies. Changed under the locks of both sets' tasks.
    pub(crate) cgroups: SpinLock<Arc<CssSet>, class::Leaf>,
    /// What memory control wants of it on the way back to user mode.
    pub memory: TaskMemory,
    /// Its kernel stack and itself, as they are charged.
    _charge: [KmemCharge; 2],
    /// Its own signals: blocked, pending, alternate stack.
    pub sig: TaskSignals,
    /// What it used.
    pub acct: Accounting,
    /// When it was made.
    pub start_time: Ktime,
    /// `set_tid_address(2)`: cleared and woken as a futex when the task ends.
    pub clear_child_tid: AtomicU64,
    /// `CLONE_CHILD_SETTID`: where the child writes its tid before it runs.
    pub set_child_tid: AtomicU64,
    /// The same as `parts.mm`, for page faults, which may come with almost any lock held.
    fault_mm: SpinLock<Option<Arc<Mm>>, class::Leaf>,
    /// The last exception of its user code.
    pub last_trap: super::LastTrap,
    /// `set_robust_list(2)`: the list of futexes that it holds.
    pub robust_list: AtomicU64,
    /// Whether it owns or waits for futexes with priority inheritance.
    pub pi: PiPresence,
    /// Its area for restartable sequences.
    pub rseq: TaskRseq,
    /// Its system calls that it dispatches itself.
    pub user_dispatch: TaskUserDispatch,
    /// Wait status of this thread, once it has exited.
    pub exit_code: AtomicI32,
    /// It is in `do_exit` or behind it.
    pub(super) exiting: AtomicBool,
    /// Nothing of it is left to do: the thread ends.
    pub(super) exited: AtomicBool,
    /// Reaped: no thread of its process any more. Set under `SigHand`.
    pub(super) released: AtomicBool,
    /// It has run. Before that only `Scheduler::start` may wake it.
    pub(super) started: AtomicBool,
    /// `PR_SET_PDEATHSIG`, 0 is none.
    pub pdeath_signal: AtomicU8,
    /// `PR_SET_NO_NEW_PRIVS`.
    pub no_new_privs: AtomicBool,
    /// How its system calls are filtered.
    pub seccomp: TaskSeccomp,
    /// `personality(2)`.
    pub personality: AtomicU32,
    /// `PR_SET_TIMERSLACK`, nanoseconds.
    pub timer_slack_ns: AtomicU64,
    /// What `PR_SET_TIMERSLACK` with 0 returns to.
    pub default_timer_slack_ns: AtomicU64,
    /// Became a user with too many processes: the next `execve` fails.
    pub nproc_exceeded: AtomicBool,
    /// `vfork`: who waits for the release of the address space.
    pub(super) vfork_done: SpinLock<Option<Arc<VforkDone>>, class::Leaf>,
    /// Where the pages come from that it touches first.
    pub mempolicy: SpinLock<Option<Arc<MemPolicy>>, class::Leaf>,
    /// A session keyring that a child gave it, to be taken on the way to user mode.
    pub(crate) given_session: SpinLock<Option<Arc<Key>>, class::Leaf>,
    /// What it takes back of its semaphore operations when it ends (`SEM_UNDO`).
    pub(crate) sysvsem: SpinLock<Option<Arc<SemUndoList>>, class::Leaf>,
    /// It has made a segment of shared memory.
    pub(crate) shm_created: AtomicBool,
    /// Its I/O priority, once one was set; shared with `CLONE_IO`.
    pub(super) io_context: SpinLock<Option<Arc<IoContext>>, class::Leaf>,
    /// How an interrupted call goes on (`restart_syscall(2)`); the system-call layer knows the type.
    pub restart_block: SpinLock<Option<Box<dyn Any + Send>>, class::Leaf>,
}

impl Task {
    /// The number below which its new descriptors are: `RLIMIT_NOFILE` within `fs.nr_open`.
    pub fn nofile(&self) -> u64 {
        let limit = self.group().rlimit(Resource::NOFILE).cur;
        limit.min(self.kernel().sysctl.nr_open.get_u64())
    }
    /// A task with these parts; it belongs to nothing yet (see `clone`).
    pub fn new(kernel: &Arc<Kernel>, init: TaskInit) -> Arc<Task> {
        let fault_mm = SpinLock::new(init.parts.mm.clone());
        Arc::new(Task {
            koid: kernel.koids.allocate(),
            kernel: kernel.clone(),
            pid: init.pid,
            exec_pid: Once::new(),
            group: init.group,
            flags: AtomicU32::new(0),
            sched: init.sched,
            thread: init.thread,
            cred: SpinLock::new(init.parts.cred),
            parts: SpinLock::new(TaskShares {
                nsproxy: init.parts.nsproxy,
                fs: init.parts.fs,
                files: init.parts.files,
                mm: init.parts.mm,
                comm: init.parts.comm,
            }),
            cgroups: SpinLock::new(init.css_set),
            sig: init.signals,
            ptrace: TaskPtrace::default(),
            memory: TaskMemory::default(),
            _charge: init.charge,
            acct: Accounting::default(),
            start_time: kernel.hal.now(),
            clear_child_tid: AtomicU64::new(0),
            set_child_tid: AtomicU64::new(0),
            last_trap: super::LastTrap::default(),
            robust_list: AtomicU64::new(0),
            pi: PiPresence::default(),
            rseq: TaskRseq::default(),
            user_dispatch: TaskUserDispatch::default(),
            fault_mm,
            exit_code: AtomicI32::new(0),
            exiting: AtomicBool::new(false),
            exited: AtomicBool::new(false),
            released: AtomicBool::new(false),
            started: AtomicBool::new(true),
            pdeath_signal: AtomicU8::new(0),
            no_new_privs: AtomicBool::new(false),
            seccomp: TaskSeccomp::default(),
            personality: AtomicU32::new(0),
            timer_slack_ns: AtomicU64::new(50_000),
            default_timer_slack_ns: AtomicU64::new(50_000),
            nproc_exceeded: AtomicBool::new(false),
            vfork_done: SpinLock::new(None),
            mempolicy: SpinLock::new(None),
            given_session: SpinLock::new(None),
            sysvsem: SpinLock::new(None),
            shm_created: AtomicBool::new(false),
            io_context: SpinLock::new(None),
            restart_block: SpinLock::new(None),
        })
    }

    /// Its identity.
    pub fn koid(&self) -> KoID {
        self.koid
    }
    /// The kernel it runs under.
    pub fn kernel(&self) -> &Arc<Kernel> {
        &self.kernel
    }
    /// Its thread id as an object.
    #[inline]
    pub fn pid(&self) -> &Arc<Pid> {
        self.exec_pid.get().unwrap_or(&self.pid)
    }
    /// Takes over the leader's pid in `execve`; a leader stays one for ever, so this happens once.
    pub(super) fn take_pid(&self, pid: Arc<Pid>) {
        self.exec_pid.call_once(|| pid);
    }
    /// Its process.
    #[inline]
    pub fn group(&self) -> &Arc<ThreadGroup> {
        &self.group
    }
    /// The pid namespace it lives in (Linux's `task_active_pid_ns`).
    #[inline]
    pub fn pid_ns(&self) -> &Arc<PidNamespace> {
        self.group.tgid.ns()
    }
    /// Its thread id as it sees it itself.
    #[inline]
    pub fn tid(&self) -> PidNr {
        self.pid().own_nr()
    }
    /// Its thread id in this namespace; 0: it is not seen there.
    pub fn tid_in(&self, ns: &PidNamespace) -> PidNr {
        self.pid().nr_in(ns)
    }
    /// Its process id as it sees it itself.
    #[inline]
    pub fn tgid(&self) -> PidNr {
        self.group.tgid.own_nr()
    }
    /// Whether its tid is the process's pid.
    pub fn is_leader(&self) -> bool {
        Arc::ptr_eq(self.pid(), &self.group.tgid)
    }

    /// Its credentials.
    pub fn cred(&self) -> Arc<Cred> {
        self.cred.lock().clone()
    }
    /// The user namespace that its credentials are of.
    pub fn user_ns(&self) -> Arc<UserNamespace> {
        self.cred.lock().user_ns.clone()
    }
    /// Root, working directory and umask. The calling task always has them; of another task, ask
    /// `parts`, since it may have exited.
    pub fn fs(&self) -> Arc<FsStruct> {
        self.parts.lock().fs.clone().expect("the calling task has an fs")
    }
    /// Its open files; see [`Task::fs`].
    pub fn files(&self) -> Arc<FileTable> {
        self.parts
            .lock()
            .files
            .clone()
            .expect("the calling task has files")
    }
    /// Its address space; see [`Task::fs`].
    pub fn mm(&self) -> Arc<Mm> {
        self.parts.lock().mm.clone().expect("the calling task has an mm")
    }
    /// Replaces its address space; returns the old one, which the caller drops without locks.
    pub fn set_mm(&self, mm: Option<Arc<Mm>>) -> Option<Arc<Mm>> {
        let shown = core::mem::replace(&mut *self.fault_mm.lock(), mm.clone());
        let old = core::mem::replace(&mut self.parts.lock().mm, mm);
        drop(shown);
        old
    }
    /// Its address space, if it has one, for the running task itself with any lock held.
    pub(crate) fn fault_mm(&self) -> Option<Arc<Mm>> {
        self.fault_mm.lock().clone()
    }
    /// Its address space, if it has one.
    pub fn try_mm(&self) -> Option<Arc<Mm>> {
        self.parts.lock().mm.clone()
    }
    /// Its namespaces; see [`Task::fs`].
    pub fn nsproxy(&self) -> Arc<NsProxy> {
        self.parts
            .lock()
            .nsproxy
            .clone()
            .expect("the calling task has an nsproxy")
    }
    /// Its namespaces; `None` once it exits.
    pub fn try_nsproxy(&self) -> Option<Arc<NsProxy>> {
        self.parts.lock().nsproxy.clone()
    }
    /// Its name, zero-padded.
    pub fn comm(&self) -> [u8; 16] {
        self.parts.lock().comm
    }
    /// Sets its name: at most 15 bytes, up to the first zero.
    pub fn set_comm(&self, name: &[u8]) {
        let mut comm = [0; 16];
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        let len = name.len().min(15);
        comm[..len].copy_from_slice(&name[..len]);
        self.parts.lock().comm = comm;
        self.follow_strace();
    }
    /// What it used so far.
    pub fn usage(&self) -> Usage {
        let times = self.sched.charged();
        Usage {
            utime: times.user,
            stime: times.system,
            ..self.acct.read()
        }
    }
    /// `set_tid_address(2)`.
    pub fn clear_child_tid(&self) -> UserAddr {
        UserAddr(self.clear_child_tid.load(Ordering::Relaxed))
    }

    /// Whether it is in its exit, or behind it (`PF_EXITING`).
    pub fn is_exiting(&self) -> bool {
        self.exiting.load(Ordering::Acquire)
    }
    /// The first thing that a cloned task does: signals may wake it from here on. Those that came
    /// before are found by its first look at its work flags.
    pub fn mark_started(&self) {
        self.started.store(true, Ordering::SeqCst);
    }
    /// Whether it has been reaped.
    pub fn is_released(&self) -> bool {
        self.released.load(Ordering::Acquire)
    }
    /// Whether its exit is complete: its thread has to end now.
    pub fn has_exited(&self) -> bool {
        self.exited.load(Ordering::Acquire)
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
