//! System calls: `clone`, `clone3`, `fork`, `vfork`, `set_tid_address`.

use core::sync::atomic::Ordering;

use linux_object::cgroup::fork::IntoCgroup;
use linux_object::cgroup::fs::cgroup_of;
use linux_object::error::Result;
use linux_object::fs::OpenFlags;
use linux_object::hal::UserRegs;
use linux_object::ids::{Fd, PAGE_SIZE, USER_END, UserAddr};
use linux_object::sched::Scheduler;
use linux_object::task::Signal;
use linux_object::task::clone::{CloneArgs, CloneFlags, prepare};
use linux_object::task::ptrace::Event;
use linux_object::time::Ktime;
use linux_object::{bail, ensure};
use smallvec::SmallVec;

use crate::abi;
use crate::calls::pidfd::pidfd_file;
use crate::context::Cx;
use crate::ptrace;
use crate::thread::user_thread;
use crate::user_ptr::{UserInPtr, UserOutPtr};
use crate::wait_until::{WaitKind, WaitOn, wait_until};

/// Bits of `flags` in `clone(2)` that are the exit signal.
const CSIGNAL: u64 = 0xff;
/// Levels of pid namespaces that `set_tid` may name.
const MAX_SET_TID: u64 = 32;

/// Everything that the calls of this family may ask for.
struct Request {
    args: CloneArgs,
    /// Stack pointer of the child; 0: the parent's.
    stack: u64,
    pidfd: UserOutPtr<i32>,
    parent_tid: UserOutPtr<i32>,
}

/// `clone(2)`.
pub fn clone(
    cx: &mut Cx<'_>,
    flags: u64,
    stack: UserAddr,
    parent_tid: UserOutPtr<i32>,
    child_tid: UserOutPtr<i32>,
    tls: u64,
) -> Result<usize> {
    let clone_flags = CloneFlags::from_bits_truncate(flags & 0xffff_ffff & !CSIGNAL);
    ensure!(
        !clone_flags.contains(CloneFlags::PIDFD | CloneFlags::PARENT_SETTID),
        EINVAL,
        "clone: the pidfd and the tid go to the same place"
    );
    kernel_clone(
        cx,
        Request {
            args: CloneArgs {
                flags: clone_flags,
                exit_signal: (flags & CSIGNAL) as i32,
                tls,
                child_tid: child_tid.addr().0,
                set_tid: SmallVec::new(),
                into_cgroup: None,
            },
            stack: stack.0,
            pidfd: parent_tid,
            parent_tid,
        },
    )
}

fn simple(cx: &mut Cx<'_>, flags: CloneFlags) -> Result<usize> {
    kernel_clone(
        cx,
        Request {
            args: CloneArgs {
                flags,
                exit_signal: Signal::CHLD.nr().into(),
                tls: 0,
                child_tid: 0,
                set_tid: SmallVec::new(),
                into_cgroup: None,
            },
            stack: 0,
            pidfd: UserOutPtr::new(UserAddr::NULL),
            parent_tid: UserOutPtr::new(UserAddr::NULL),
        },
    )
}

/// `fork(2)`.
pub fn fork(cx: &mut Cx<'_>) -> Result<usize> {
    simple(cx, CloneFlags::empty())
}

/// `vfork(2)`.
pub fn vfork(cx: &mut Cx<'_>) -> Result<usize> {
    simple(cx, CloneFlags::VFORK | CloneFlags::VM)
}

/// `set_tid_address(2)`.
pub fn set_tid_address(cx: &mut Cx<'_>, tidptr: UserOutPtr<i32>) -> Result<usize> {
    cx.task.clear_child_tid.store(tidptr.addr().0, Ordering::Relaxed);
    Ok(cx.task.tid().0 as usize)
}

/// `clone3(2)`.
pub fn clone3(cx: &mut Cx<'_>, cl_args: UserInPtr<u8>, size: usize) -> Result<usize> {
    let args = read_clone_args(cx, cl_args, size)?;
    ensure!(
        args.set_tid_size <= MAX_SET_TID,
        EINVAL,
        "clone3: more set_tid than there are levels"
    );
    ensure!(
        (args.set_tid == 0) == (args.set_tid_size == 0),
        EINVAL,
        "clone3: set_tid without its size or the reverse"
    );
    ensure!(
        args.exit_signal <= Signal::MAX.into(),
        EINVAL,
        "clone3: no such exit signal"
    );
    let Some(flags) = CloneFlags::from_bits(args.flags) else {
        bail!(EINVAL, "clone3: unknown flags");
    };
    let into_cgroup = flags.contains(CloneFlags::INTO_CGROUP);
    ensure!(
        !into_cgroup || args.cgroup <= i32::MAX as u64 && size >= size_of::<abi::CloneArgs>(),
        EINVAL,
        "clone3: CLONE_INTO_CGROUP without a cgroup"
    );
    let tids = UserInPtr::<i32>::new(UserAddr(args.set_tid)).read_vec(cx, args.set_tid_size as usize)?;
    ensure!(
        !flags.contains(CloneFlags::DETACHED),
        EINVAL,
        "clone3: CLONE_DETACHED is not for clone3"
    );
    ensure!(
        !flags.contains(CloneFlags::SIGHAND | CloneFlags::CLEAR_SIGHAND),
        EINVAL,
        "clone3: shared and cleared handlers"
    );
    ensure!(
        !flags.intersects(CloneFlags::THREAD | CloneFlags::PARENT) || args.exit_signal == 0,
        EINVAL,
        "clone3: an exit signal for a thread or sibling"
    );
    let into_cgroup = if into_cgroup {
        let file = cx.task.files().get(Fd(args.cgroup as i32))?;
        let cgroup = cgroup_of(&file)?;
        Some(IntoCgroup { cgroup })
    } else {
        None
    };
    let stack = if args.stack == 0 {
        ensure!(
            args.stack_size == 0,
            EINVAL,
            "clone3: a stack size without a stack"
        );
        0
    } else {
        ensure!(args.stack_size != 0, EINVAL, "clone3: a stack without its size");
        match args.stack.checked_add(args.stack_size) {
            Some(top) if top <= USER_END => top,
            _ => bail!(EINVAL, "clone3: the stack is not in user space"),
        }
    };
    kernel_clone(
        cx,
        Request {
            args: CloneArgs {
                flags,
                exit_signal: args.exit_signal as i32,
                tls: args.tls,
                child_tid: args.child_tid,
                set_tid: SmallVec::from_vec(tids),
                into_cgroup,
            },
            stack,
            pidfd: UserOutPtr::new(UserAddr(args.pidfd)),
            parent_tid: UserOutPtr::new(UserAddr(args.parent_tid)),
        },
    )
}

/// Reads a structure that may be shorter than ours (an old program) or longer (a new one, which
/// must not use what we do not know).
fn read_clone_args(cx: &Cx<'_>, cl_args: UserInPtr<u8>, size: usize) -> Result<abi::CloneArgs> {
    use zerocopy::IntoBytes;
    const VER0: usize = 64;
    ensure!(
        size <= PAGE_SIZE,
        E2BIG,
        "clone3: the structure is larger than a page"
    );
    ensure!(size >= VER0, EINVAL, "clone3: the structure is too small");
    let known = size_of::<abi::CloneArgs>();
    let bytes = cl_args.read_bytes(cx, size)?;
    ensure!(
        bytes.iter().skip(known).all(|byte| *byte == 0),
        E2BIG,
        "clone3: fields that this kernel does not know"
    );
    let mut args = abi::CloneArgs::default();
    let len = size.min(known);
    args.as_mut_bytes()[..len].copy_from_slice(&bytes[..len]);
    Ok(args)
}

fn kernel_clone(cx: &mut Cx<'_>, request: Request) -> Result<usize> {
    let Request {
        args,
        stack,
        pidfd,
        parent_tid,
    } = request;
    let flags = args.flags;
    ensure!(
        !flags.contains(CloneFlags::PIDFD | CloneFlags::PARENT_SETTID) || pidfd.addr() != parent_tid.addr(),
        EINVAL,
        "clone: the pidfd and the tid go to the same place"
    );
    let mut regs: UserRegs = *cx.regs;
    regs.rax = 0;
    if stack != 0 {
        regs.rsp = stack;
    }
    // The child does not step because its parent does.
    cx.task.hide_ptrace_step(&mut regs);
    let event = traced_event(cx, &args);
    let prepared = prepare(cx.task, &args, || {
        Scheduler::new_thread(cx.kernel, user_thread(regs))
    })?;

    // The descriptor is made, but nobody can use it before the child is there.
    let files = cx.task.files();
    let pidfd_slot = if flags.contains(CloneFlags::PIDFD) {
        let file = pidfd_file(cx, prepared.task().pid().clone(), OpenFlags::empty())?;
        let limit = cx.task.nofile();
        let slot = files.reserve(true, 0, limit)?;
        pidfd.write(cx, &slot.fd().0)?;
        Some((slot, file))
    } else {
        None
    };
    let vfork = prepared.vfork.clone();
    let child = prepared.commit(cx.task, event.is_some())?;
    if let Some((slot, file)) = pidfd_slot {
        slot.install(file);
    }
    let nr = child.pid().nr_in(cx.task.pid_ns());
    if flags.contains(CloneFlags::PARENT_SETTID) {
        // As on Linux, the child is born even if this fails.
        let _ = parent_tid.write(cx, &nr.0);
    }
    if flags.contains(CloneFlags::CHILD_SETTID) {
        child.set_child_tid.store(args.child_tid, Ordering::Relaxed);
    }
    cx.kernel.sched.start(&child);
    let pid = child.pid().clone();
    drop(child);
    if let Some(event) = event {
        let message = ptrace::nr_for_tracer(cx, &pid);
        ptrace::event(cx, event, message);
    }
    if let Some(vfork) = vfork {
        // As on Linux a parent that waits for its vfork child counts as frozen.
        cx.task.enter_frozen();
        let on = [WaitOn::any(&vfork.queue)];
        let done = wait_until(cx.task, &on, Ktime::MAX, WaitKind::Killable, || {
            vfork.is_done().then_some(())
        });
        if !cx.task.shall_freeze() {
            cx.task.leave_frozen();
        }
        if done.is_ok() {
            let message = ptrace::nr_for_tracer(cx, &pid);
            ptrace::event(cx, Event::VforkDone, message);
        }
    }
    Ok(nr.0 as usize)
}

/// The event of this birth, if a tracer wants to hear of it.
fn traced_event(cx: &Cx<'_>, args: &CloneArgs) -> Option<Event> {
    if args.flags.contains(CloneFlags::UNTRACED) {
        return None;
    }
    let event = if args.flags.contains(CloneFlags::VFORK) {
        Event::Vfork
    } else if args.exit_signal != i32::from(Signal::CHLD.nr()) {
        Event::Clone
    } else {
        Event::Fork
    };
    cx.task.ptrace_wants(event).then_some(event)
}

/// What a new thread does first, on its own (Linux's `schedule_tail`).
pub fn schedule_tail(cx: &mut Cx<'_>) {
    cx.task.mark_started();
    let at = cx.task.set_child_tid.swap(0, Ordering::Relaxed);
    if at != 0 {
        let tid = cx.task.tid().0;
        let _ = UserOutPtr::<i32>::new(UserAddr(at)).write(cx, &tid);
    }
}
