//! Making tasks (`clone(2)`): prepare, then commit.
//!
//! [`prepare`] checks the flags in the order in which Linux does, copies or shares each part of the
//! parent and takes the numbers of the new pid. Whatever it has made undoes itself when dropped.
//! [`PreparedClone::commit`] links the child into the process tree: it looks once more, under the locks, whether
//! the parent is about to die and whether the pid namespace still takes processes, and from there
//! on nothing can fail.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use smallvec::SmallVec;

use super::signal::{AltStack, TaskSignals};
use super::thread_group::GroupInit;
use super::{Resource, SignalFlags, Task, TaskInit, TaskParts, ThreadGroup, VforkDone};
use crate::cgroup::fork::{ForkCharge, IntoCgroup};
use crate::cred::{Capability, Cred, UCountRlimit};
use crate::error::Result;
use crate::fs::{FileTable, FsStruct};
use crate::hal::MachineThread;
use crate::ids::{Kuid, USER_END};
use crate::mm::memcg::{Item, KmemCharge};
use crate::namespace::{PidReservation, UserNamespace};
use crate::sched::SchedTask;
use crate::{bail, ensure};

bitflags::bitflags! {
    /// `CLONE_*`. The low byte of `clone(2)`'s flags is the exit signal and no part of this.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    #[allow(missing_docs)]
    pub struct CloneFlags: u64 {
        const NEWTIME = 0x80;
        const VM = 0x100;
        const FS = 0x200;
        const FILES = 0x400;
        const SIGHAND = 0x800;
        const PIDFD = 0x1000;
        const PTRACE = 0x2000;
        const VFORK = 0x4000;
        const PARENT = 0x8000;
        const THREAD = 0x1_0000;
        const NEWNS = 0x2_0000;
        const SYSVSEM = 0x4_0000;
        const SETTLS = 0x8_0000;
        const PARENT_SETTID = 0x10_0000;
        const CHILD_CLEARTID = 0x20_0000;
        const DETACHED = 0x40_0000;
        const UNTRACED = 0x80_0000;
        const CHILD_SETTID = 0x100_0000;
        const NEWCGROUP = 0x200_0000;
        const NEWUTS = 0x400_0000;
        const NEWIPC = 0x800_0000;
        const NEWUSER = 0x1000_0000;
        const NEWPID = 0x2000_0000;
        const NEWNET = 0x4000_0000;
        const IO = 0x8000_0000;
        const CLEAR_SIGHAND = 0x1_0000_0000;
        const INTO_CGROUP = 0x2_0000_0000;
        /// Namespaces that an `NsProxy` holds.
        const NSPROXY = Self::NEWTIME.bits() | Self::NEWNS.bits() | Self::NEWCGROUP.bits() | Self::NEWUTS.bits()
            | Self::NEWIPC.bits() | Self::NEWPID.bits() | Self::NEWNET.bits();
    }
}

/// What the child shall be (`struct clone_args`, as far as objects are concerned).
#[derive(Clone, Debug)]
pub struct CloneArgs {
    /// `CLONE_*`.
    pub flags: CloneFlags,
    /// Sent to the parent when the child ends; 0 is none.
    pub exit_signal: i32,
    /// The `fs` base with `CLONE_SETTLS`.
    pub tls: u64,
    /// Where `CLONE_CHILD_CLEARTID` clears and wakes.
    pub child_tid: u64,
    /// Numbers that the child shall have, innermost namespace first.
    pub set_tid: SmallVec<[i32; 4]>,
    /// `CLONE_INTO_CGROUP`: the cgroup of cgroup2 that the child shall be born in.
    pub into_cgroup: Option<IntoCgroup>,
}

/// What a kernel stack is charged as (Linux's `THREAD_SIZE`).
const STACK_BYTES: usize = 16 << 10;

/// What comes with it, about (Linux's `task_struct`, `signal_struct`, `sighand_struct` and `pid`).
const TASK_BYTES: usize = size_of::<Task>() + size_of::<ThreadGroup>() + (1 << 10);

/// Gives the count of a process back unless the child was born.
struct NprocCharge(Option<Arc<Cred>>);

impl NprocCharge {
    fn new(cred: &Arc<Cred>) -> NprocCharge {
        cred.ucounts.inc_rlimit(UCountRlimit::Nproc, 1);
        NprocCharge(Some(cred.clone()))
    }
}

impl Drop for NprocCharge {
    fn drop(&mut self) {
        if let Some(cred) = self.0.take() {
            cred.ucounts.dec_rlimit(UCountRlimit::Nproc, 1);
        }
    }
}

/// Shares that count their users leave again unless the child was born.
struct Shares {
    parent: Arc<Task>,
    fs: Option<Arc<FsStruct>>,
    files: Option<Arc<FileTable>>,
}

impl Drop for Shares {
    fn drop(&mut self) {
        if let Some(fs) = self.fs.take() {
            fs.leave();
        }
        if let Some(files) = self.files.take() {
            files.leave(&self.parent);
        }
    }
}

/// A child that nobody can see yet. Dropped, it never was.
pub struct PreparedClone {
    task: Arc<Task>,
    flags: CloneFlags,
    pid: PidReservation,
    place: ForkCharge,
    nproc: NprocCharge,
    shares: Shares,
    /// Where the parent waits with `CLONE_VFORK`.
    pub vfork: Option<Arc<VforkDone>>,
}

/// The combinations that Linux refuses before it copies anything.
fn check_flags(parent: &Task, flags: CloneFlags) -> Result<()> {
    use CloneFlags as F;
    ensure!(
        !flags.contains(F::NEWNS | F::FS),
        EINVAL,
        "clone: CLONE_NEWNS with CLONE_FS"
    );
    ensure!(
        !flags.contains(F::NEWUSER | F::FS),
        EINVAL,
        "clone: CLONE_NEWUSER with CLONE_FS"
    );
    ensure!(
        !flags.contains(F::THREAD) || flags.contains(F::SIGHAND),
        EINVAL,
        "clone: CLONE_THREAD without CLONE_SIGHAND"
    );
    ensure!(
        !flags.contains(F::SIGHAND) || flags.contains(F::VM),
        EINVAL,
        "clone: CLONE_SIGHAND without CLONE_VM"
    );
    if flags.contains(F::PARENT) {
        let unkillable = parent
            .group()
            .signal
            .lock()
            .flags
            .contains(SignalFlags::UNKILLABLE);
        ensure!(!unkillable, EINVAL, "clone: an init cannot make siblings");
    }
    if flags.contains(F::THREAD) {
        let nsproxy = parent.nsproxy();
        ensure!(
            !flags.intersects(F::NEWUSER | F::NEWPID)
                && Arc::ptr_eq(parent.pid_ns(), &nsproxy.pid_ns_for_children),
            EINVAL,
            "clone: a thread in another user or pid namespace"
        );
        ensure!(
            Arc::ptr_eq(&nsproxy.time_ns, &nsproxy.time_ns_for_children),
            EINVAL,
            "clone: a thread in another time namespace"
        );
    }
    ensure!(
        !flags.contains(F::PIDFD) || !flags.intersects(F::DETACHED | F::THREAD),
        EINVAL,
        "clone: CLONE_PIDFD for a thread"
    );
    // A fork that is interrupted starts over, so that a signal meant for both finds one process.
    if parent.thread_flags().contains(super::ThreadFlags::SIGPENDING) && !parent.deliverable().is_empty() {
        bail!(ERESTARTNOINTR, "clone: a signal is pending");
    }
    Ok(())
}

/// Everything that may fail. `thread` makes the machine's side of the child, its entry included.
pub fn prepare(
    parent: &Arc<Task>,
    args: &CloneArgs,
    thread: impl FnOnce() -> Result<Arc<dyn MachineThread>>,
) -> Result<PreparedClone> {
    let kernel = parent.kernel();
    let flags = args.flags;
    let is_thread = flags.contains(CloneFlags::THREAD);
    check_flags(parent, flags)?;

    let cred = child_cred(parent, flags)?;
    let nproc = NprocCharge::new(&cred);
    let limit = parent.group().rlimit(Resource::NPROC).cur;
    if cred.ucounts.is_over(UCountRlimit::Nproc, limit) {
        let is_root = cred.uid == Kuid::ROOT && cred.user_ns.parent().is_none();
        let current = parent.cred();
        ensure!(
            is_root || current.capable(Capability::SYS_RESOURCE) || current.capable(Capability::SYS_ADMIN),
            EAGAIN,
            "clone: RLIMIT_NPROC"
        );
    }
    ensure!(
        kernel.tasks.nr_threads() < kernel.tasks.threads_max(),
        EAGAIN,
        "clone: threads-max"
    );
    let charge = kernel
        .memory
        .control
        .charge_kmem(STACK_BYTES, Item::KernelStack)?;
    let objects = kernel.memory.control.charge_kmem(TASK_BYTES, Item::Slab)?;
    let mut shares = Shares {
        parent: parent.clone(),
        fs: None,
        files: None,
    };
    let (old_fs, old_files, old_mm, comm) = {
        let parts = parent.parts.lock();
        (
            parts.fs.clone(),
            parts.files.clone(),
            parts.mm.clone(),
            parts.comm,
        )
    };
    shares.files = match old_files {
        Some(files) if flags.contains(CloneFlags::FILES) => Some(files.share()),
        Some(files) => Some(files.fork()?),
        None => None,
    };
    shares.fs = old_fs.map(|fs| {
        if flags.contains(CloneFlags::FS) {
            fs.share()
        } else {
            fs.fork()
        }
    });
    let sighand = parent.group().sighand();
    let sighand = if flags.contains(CloneFlags::SIGHAND) {
        sighand
    } else {
        let copy = sighand.fork();
        if flags.contains(CloneFlags::CLEAR_SIGHAND) {
            copy.flush_handlers(false);
        }
        copy
    };
    let mm = match old_mm {
        Some(mm) if flags.contains(CloneFlags::VM) => Some(mm),
        Some(mm) => Some(mm.fork()?),
        None => None,
    };
    let nsproxy = parent
        .nsproxy()
        .copy_namespaces(parent, flags, &cred, shares.fs.as_deref())?;
    if let Some(mm) = &mm
        && !flags.contains(CloneFlags::VM)
        && !Arc::ptr_eq(&parent.nsproxy().time_ns, &nsproxy.time_ns)
    {
        crate::loader::vdso::join_time_ns(kernel, mm, &nsproxy.time_ns)?;
    }
    ensure!(
        !flags.contains(CloneFlags::SETTLS) || args.tls < USER_END,
        EPERM,
        "clone: the tls pointer is no user address"
    );
    let thread = thread()?;
    thread.copy_user_state(&*parent.thread);
    if flags.contains(CloneFlags::SETTLS) {
        thread.set_fs_base(args.tls);
    }
    let current = parent.cred();
    let pid = nsproxy.pid_ns_for_children.reserve(
        &kernel.koids,
        &args.set_tid,
        kernel.tasks.pid_max(),
        &current,
    )?;
    let place = match &args.into_cgroup {
        Some(cgroup) => ForkCharge::into_cgroup(parent, cgroup, is_thread)?,
        None => ForkCharge::new(parent)?,
    };

    let group = if is_thread {
        parent.group().clone()
    } else {
        let from = parent.group();
        let exit_signal = if flags.contains(CloneFlags::PARENT) {
            from.exit_signal.load(Ordering::Relaxed)
        } else {
            args.exit_signal
        };
        ThreadGroup::new(
            kernel.koids.allocate(),
            GroupInit {
                tgid: pid.pid().clone(),
                sighand,
                rlimits: from.rlimits(),
                pgrp: from.pgrp(),
                session: from.session(),
                exit_signal,
                start_time: kernel.hal.now(),
                oom_score_adj: (
                    from.oom_score_adj.load(Ordering::Relaxed),
                    from.oom_score_adj_min.load(Ordering::Relaxed),
                ),
                thp_disabled: from.thp_disabled.load(Ordering::Relaxed),
            },
        )
    };
    let altstack = if flags.contains(CloneFlags::VM) && !flags.contains(CloneFlags::VFORK) {
        AltStack::NONE
    } else {
        parent.sig.altstack()
    };
    let task = Task::new(
        kernel,
        TaskInit {
            pid: pid.pid().clone(),
            group,
            css_set: place.css_set().clone(),
            sched: SchedTask::fork(&parent.sched),
            thread,
            parts: TaskParts {
                cred,
                nsproxy: Some(nsproxy),
                fs: shares.fs.clone(),
                files: shares.files.clone(),
                mm,
                comm,
            },
            signals: TaskSignals::new(parent.sig.blocked(), altstack),
            charge: [charge, objects],
        },
    );
    task.inherit(parent);
    task.copy_io_context(parent, flags.contains(CloneFlags::IO));
    if flags.contains(CloneFlags::SYSVSEM) {
        *task.sysvsem.lock() = Some(parent.sem_undo());
    }
    if !flags.contains(CloneFlags::VM) {
        task.copy_rseq(parent);
    }
    task.started.store(false, Ordering::Relaxed);
    if flags.contains(CloneFlags::CHILD_CLEARTID) {
        task.clear_child_tid.store(args.child_tid, Ordering::Relaxed);
    }
    let vfork = flags.contains(CloneFlags::VFORK).then(Arc::<VforkDone>::default);
    *task.vfork_done.lock() = vfork.clone();
    Ok(PreparedClone {
        task,
        flags,
        pid,
        place,
        nproc,
        shares,
        vfork,
    })
}

/// The child's credentials: the parent's own, or those of the super-user of a new user namespace
/// (Linux's `copy_creds`).
fn child_cred(parent: &Arc<Task>, flags: CloneFlags) -> Result<Arc<Cred>> {
    let current = parent.cred();
    let is_thread = flags.contains(CloneFlags::THREAD);
    let new_user = flags.contains(CloneFlags::NEWUSER);
    let new_keys = current.keys.differ_for_child(is_thread);
    if !new_user && !new_keys {
        return Ok(current);
    }
    let mut cred = (*current).clone();
    if new_user {
        UserNamespace::check_unprivileged(parent)?;
        let ns = UserNamespace::create(parent, &current)?;
        cred.enter_user_ns(ns);
    }
    if new_keys && is_thread {
        cred.keys.thread = Some(parent.kernel().keys.thread_keyring(&cred)?);
    } else if new_keys {
        cred.keys.leave_process();
    }
    Ok(Arc::new(cred))
}

impl Task {
    /// Takes over what every child has from its parent thread.
    fn inherit(&self, parent: &Task) {
        let relaxed = Ordering::Relaxed;
        self.no_new_privs
            .store(parent.no_new_privs.load(relaxed), relaxed);
        self.personality.store(parent.personality.load(relaxed), relaxed);
        let policy = parent.mempolicy.lock().clone();
        *self.mempolicy.lock() = policy;
        let slack = parent.timer_slack_ns.load(relaxed);
        self.timer_slack_ns.store(slack, relaxed);
        self.default_timer_slack_ns.store(slack, relaxed);
    }
}

impl PreparedClone {
    /// The child, not yet visible.
    pub fn task(&self) -> &Arc<Task> {
        &self.task
    }

    /// The birth. The child does not run yet: `Scheduler::start` is the caller's next step. Fails
    /// only, and without an effect, if the parent is being killed (`EINTR`) or the pid namespace has lost
    /// its init (`ENOMEM`).
    /// `traced`: the parent's tracer wants the child too.
    pub fn commit(mut self, parent: &Arc<Task>, traced: bool) -> Result<Arc<Task>> {
        let kernel = parent.kernel();
        let task = self.task.clone();
        let mut membership = self.place.reenter(parent)?;
        let group = task.group().clone();
        let is_thread = self.flags.contains(CloneFlags::THREAD);
        let mut tree = kernel.tasks.lock();
        let pid = self.pid.pid().clone();
        ensure!(
            pid.ns().is_adding(),
            ENOMEM,
            "clone: the init of the pid namespace is gone"
        );
        if is_thread {
            let mut state = group.signal.lock();
            ensure!(
                !parent.fatal_signal_pending(),
                EINTR,
                "clone: the parent is being killed"
            );
            self.place.link(&task)?;
            task.copy_seccomp(parent);
            pid.attach_task(&mut tree, task.clone());
            state.threads.push(task.clone());
            state.nr_live += 1;
            task.join_group_stop(parent, &mut state);
        } else {
            // A signal that goes to the members of a cgroup has to find the thread as soon as it is one.
            {
                let mut state = group.signal.lock();
                state.threads.push(task.clone());
                state.nr_live = 1;
                if pid.is_child_reaper() {
                    state.flags |= SignalFlags::UNKILLABLE;
                }
            }
            if let Err(error) = self.join_cgroup(parent, &task) {
                let mut state = group.signal.lock();
                state.nr_live = 0;
                let unborn = core::mem::take(&mut state.threads);
                drop(state);
                drop(unborn);
                return Err(error);
            }
            let (real_parent, parent_thread, exec_id) = if self.flags.contains(CloneFlags::PARENT) {
                let family = parent.group().family(&mut tree);
                (
                    family.parent.clone(),
                    family.parent_thread,
                    parent.group().parent_exec_id.load(Ordering::Relaxed),
                )
            } else {
                let exec_id = parent.group().exec_id.load(Ordering::Relaxed);
                (Some(parent.group().clone()), parent.koid(), exec_id)
            };
            group.parent_exec_id.store(exec_id, Ordering::Relaxed);
            let (pgrp, session) = {
                let family = parent.group().family(&mut tree);
                (family.pgrp.clone(), family.session.clone())
            };
            {
                let mut family = group.family(&mut tree);
                family.parent = real_parent.clone();
                family.parent_thread = parent_thread;
                family.pgrp = pgrp.clone();
                family.session = session.clone();
                family.leader = Some(task.clone());
            }
            if let Some(real_parent) = &real_parent {
                let mut family = real_parent.family(&mut tree);
                family.children.insert(group.koid(), group.clone());
            }
            if pid.is_child_reaper() {
                pid.ns().set_child_reaper(&mut tree, &group);
            }
            pid.attach_task(&mut tree, task.clone());
            pid.attach_group(&mut tree, group.clone());
            pgrp.attach_pgrp(&mut tree, group.clone());
            session.sid().attach_session(&mut tree, group.clone());
        }
        if traced || self.flags.contains(CloneFlags::PTRACE) {
            task.inherit_tracer(&mut tree, parent);
        }
        self.pid.publish(&mut tree);
        kernel.tasks.count_task();
        drop(tree);
        drop(membership.take());
        crate::cgroup::fork::post_fork(&task);
        self.nproc.0 = None;
        self.shares.fs = None;
        self.shares.files = None;
        Ok(task)
    }

    /// A new process gets its place in the cgroups. The parent's signals stay out meanwhile: either the
    /// parent has its death before it, or the child is there for whoever kills the cgroup.
    fn join_cgroup(&mut self, parent: &Arc<Task>, task: &Arc<Task>) -> Result<()> {
        let _signals = parent.group().signal.lock();
        ensure!(
            !parent.fatal_signal_pending(),
            EINTR,
            "clone: the parent is being killed"
        );
        self.place.link(task)?;
        task.copy_seccomp(parent);
        Ok(())
    }
}

/// A process that nobody forked, in the initial namespaces and at the roots of all cgroups. It is linked, but does not
/// run yet. The first one is pid 1, in a session and process group of its own (like a child of Linux's pid 0). Later
/// ones are helpers of the kernel: they are in the session of pid 1, and have no parent, so nobody waits for them.
pub fn spawn_process(
    kernel: &Arc<crate::kernel::Kernel>,
    thread: Arc<dyn MachineThread>,
    parts: TaskParts,
) -> Result<Arc<Task>> {
    let ns = kernel.init_ns.pid_ns.clone();
    let pid = ns.reserve(&kernel.koids, &[], kernel.tasks.pid_max(), &parts.cred)?;
    let tgid = pid.pid().clone();
    let is_init = tgid.is_child_reaper();
    let first = if is_init { None } else { ns.child_reaper() };
    let (pgrp, session) = match &first {
        Some(first) => (first.pgrp(), first.session()),
        None => (tgid.clone(), super::Session::new(tgid.clone())),
    };
    let group = ThreadGroup::new(
        kernel.koids.allocate(),
        GroupInit {
            tgid: tgid.clone(),
            sighand: super::signal::SigHand::new(),
            rlimits: super::Rlimits::initial(kernel.tasks.threads_max() as u64 / 2),
            pgrp: pgrp.clone(),
            session: session.clone(),
            exit_signal: super::Signal::CHLD.nr() as i32,
            start_time: kernel.hal.now(),
            oom_score_adj: (0, 0),
            thp_disabled: false,
        },
    );
    parts.cred.ucounts.inc_rlimit(UCountRlimit::Nproc, 1);
    let task = Task::new(
        kernel,
        TaskInit {
            pid: tgid.clone(),
            group: group.clone(),
            css_set: kernel.cgroups.init_set().clone(),
            sched: SchedTask::new(kernel.sched.root_group().clone()),
            thread,
            parts,
            signals: TaskSignals::new(super::SignalSet::EMPTY, AltStack::NONE),
            charge: [KmemCharge::none(), KmemCharge::none()],
        },
    );
    let mut tree = kernel.tasks.lock();
    group.family(&mut tree).leader = Some(task.clone());
    {
        let mut state = group.signal.lock();
        state.threads.push(task.clone());
        state.nr_live = 1;
        if is_init {
            state.flags |= SignalFlags::UNKILLABLE;
        }
    }
    if is_init {
        ns.set_child_reaper(&mut tree, &group);
    }
    tgid.attach_task(&mut tree, task.clone());
    tgid.attach_group(&mut tree, group.clone());
    pgrp.attach_pgrp(&mut tree, group.clone());
    session.sid().attach_session(&mut tree, group);
    pid.publish(&mut tree);
    kernel.tasks.count_task();
    drop(tree);
    crate::cgroup::fork::link_init(&task);
    Ok(task)
}
