//! System calls: `exit`, `exit_group`; the end of a thread.

use core::sync::atomic::Ordering;

use linux_object::error::Result;
use linux_object::hal::Console;
use linux_object::ids::{PAGE_SIZE, UserAddr};
use linux_object::task::ThreadFlags;
use linux_object::task::exit::{disassociate_ctty, exit_notify, pid_ns_is_drained, zap_pid_ns};
use linux_object::task::ptrace::Event;
use linux_object::task::wait::{WaitOptions, WaitTarget, wait_once};
use linux_object::time::Ktime;

use crate::calls::futex;
use crate::context::Cx;
use crate::ptrace;
use crate::user_ptr::UserOutPtr;
use crate::wait_until::{WaitKind, WaitOn, wait_until};

/// `exit(2)`.
pub fn exit(cx: &mut Cx<'_>, status: i32) -> Result<usize> {
    do_exit(cx, (status & 0xff) << 8);
    Ok(0)
}

/// `exit_group(2)`.
pub fn exit_group(cx: &mut Cx<'_>, status: i32) -> Result<usize> {
    do_group_exit(cx, (status & 0xff) << 8);
    Ok(0)
}

/// The whole process ends with this wait status, unless another thread was first to say so.
pub fn do_group_exit(cx: &mut Cx<'_>, code: i32) {
    let code = cx.task.begin_group_exit(code);
    do_exit(cx, code);
}

/// The calling thread ends: everything it has is given back in Linux's order. It returns, and so must
/// every frame above it, up to the thread's loop, which finds `has_exited`.
pub fn do_exit(cx: &mut Cx<'_>, code: i32) {
    let task = cx.task;
    if !task.is_exiting() {
        ptrace::event(cx, Event::Exit, code as u64);
    }
    if !task.exit_signals() {
        return;
    }
    let last = task.leave_group(code);
    let is_reaper = task.group().tgid.is_child_reaper();
    if last && is_reaper && task.pid_ns().level() == 0 {
        init_died(cx, code);
    }
    let victim = task.try_mm().and_then(|mm| mm.oom_victim());
    exit_mm(cx);
    task.exit_sem();
    task.exit_shm();
    task.exit_files_and_fs();
    if last {
        disassociate_ctty(task);
    }
    task.switch_task_namespaces(None);
    drop(victim);
    linux_object::cgroup::fork::exit(task, last);
    if last && is_reaper {
        empty_pid_ns(cx);
    }
    exit_notify(task, last);
}

/// The address space goes: waiters on robust futexes and on the thread's end are told first, the
/// parent of a vfork last.
fn exit_mm(cx: &mut Cx<'_>) {
    futex::exit_robust_list(cx, true);
    release_user_tid(cx);
    let mm = cx.task.set_mm(None);
    cx.kernel.hal.activate(None);
    if let Some(mm) = mm {
        let peak = mm.rss_peak() * (PAGE_SIZE as u64 / 1024);
        cx.task.acct.maxrss.fetch_max(peak, Ordering::Relaxed);
    }
    cx.task.complete_vfork();
}

/// `set_tid_address(2)`: the word is cleared and one waiter is woken, if anyone is left to see it.
pub fn release_user_tid(cx: &mut Cx<'_>) {
    let at = UserAddr(cx.task.clear_child_tid.swap(0, Ordering::Relaxed));
    if at.is_null() {
        return;
    }
    let shared = cx
        .task
        .parts
        .lock()
        .mm
        .as_ref()
        // The task itself holds two references.
        .is_some_and(|mm| alloc::sync::Arc::strong_count(mm) > 2);
    if shared && UserOutPtr::<i32>::new(at).write(cx, &0).is_ok() {
        futex::wake_user(cx, at, 1);
    }
}

/// The init of a pid namespace ends: everything in the namespace is killed and reaped first
/// (Linux's `zap_pid_ns_processes`).
fn empty_pid_ns(cx: &mut Cx<'_>) {
    let task = cx.task;
    zap_pid_ns(task);
    let ns = task.pid_ns().clone();
    let group = task.group().clone();
    let drained = [WaitOn::any(&ns.drained), WaitOn::any(&group.wait_child)];
    loop {
        // The signal that kills this init has been taken; more of them change nothing.
        task.clear_thread_flags(ThreadFlags::SIGPENDING | ThreadFlags::JOBCTL);
        let done = wait_until(task, &drained, Ktime::MAX, WaitKind::Killable, || {
            let options = WaitOptions::EXITED | WaitOptions::ALL | WaitOptions::NOHANG;
            while let Ok(Some(_)) = wait_once(task, &WaitTarget::Any, options) {}
            pid_ns_is_drained(task).then_some(())
        });
        if done.is_ok() {
            break;
        }
    }
    if let Some(signal) = ns.take_reboot_signal() {
        group.signal.lock().group_exit_code = signal;
    }
}

/// The first process must not end.
fn init_died(cx: &Cx<'_>, code: i32) -> ! {
    let text = alloc::format!("Kernel panic - not syncing: Attempted to kill init! exitcode=0x{code:08x}\n");
    let console: &dyn Console = &*cx.kernel.hal;
    console.console_write(text.as_bytes());
    match cx
        .kernel
        .cmdline
        .value("panic")
        .and_then(|value| value.parse::<i64>().ok())
    {
        Some(0) | None => cx.kernel.hal.halt(),
        Some(_) => cx.kernel.hal.restart(),
    }
}
