//! Short texts about a task.

use alloc::sync::Arc;
use alloc::vec;

use super::access::{PtraceMode, ptrace_may_access};
use super::array;
use super::base::PidCx;
use crate::cred::Capability;
use crate::ensure;
use crate::error::Result;
use crate::fs::seq_file::SeqBuf;
use crate::ids::{PAGE_SIZE, PidNr, UserAddr};
use crate::mm::Mm;
use crate::task::{Resource, TaskState};
use crate::time::TimerNotify;

/// `comm`.
pub(super) fn comm(cx: &PidCx<'_>, out: &mut SeqBuf) -> Result<()> {
    let (name, len) = array::comm(cx.task);
    out.escaped(&name[..len], b"\n\\")?;
    out.byte(b'\n')
}

/// Appends user memory of another address space; stops where it cannot be read.
fn remote(mm: &Arc<Mm>, from: u64, to: u64, out: &mut SeqBuf) -> Result<()> {
    let mut at = from;
    let mut buf = vec![0u8; 4096];
    while at < to {
        let len = ((to - at) as usize).min(buf.len());
        let read = mm.read_remote(UserAddr(at), &mut buf[..len]).unwrap_or(0);
        out.bytes(&buf[..read])?;
        if read < len {
            break;
        }
        at += len as u64;
    }
    Ok(())
}

/// The longest argument list that is shown; `execve` allows a quarter of the stack limit.
const MAX_STRINGS: u64 = 8 << 20;

/// `cmdline`: the arguments, each ended by a zero byte. A program that has overwritten the last of them
/// (`setproctitle`) is shown up to the first zero byte.
pub(super) fn cmdline(cx: &PidCx<'_>, out: &mut SeqBuf) -> Result<()> {
    let Some(mm) = cx.task.try_mm() else { return Ok(()) };
    let layout = mm.layout();
    let (start, end) = (layout.arg_start, layout.arg_end);
    if start == 0 || end <= start || end - start > MAX_STRINGS {
        return Ok(());
    }
    let mut last = [0];
    let overwritten = matches!(mm.read_remote(UserAddr(end - 1), &mut last), Ok(1)) && last[0] != 0;
    if !overwritten {
        return remote(&mm, start, end, out);
    }
    let mut title = SeqBuf::new();
    remote(&mm, start, start + PAGE_SIZE as u64, &mut title)?;
    let title = title.as_bytes();
    let len = title
        .iter()
        .position(|&byte| byte == 0)
        .map_or(title.len(), |zero| zero + 1);
    out.bytes(&title[..len])
}

/// `environ`.
pub(super) fn environ(_cx: &PidCx<'_>, mm: &Arc<Mm>, out: &mut SeqBuf) -> Result<()> {
    let layout = mm.layout();
    if layout.env_start == 0 || layout.env_end.saturating_sub(layout.env_start) > MAX_STRINGS {
        return Ok(());
    }
    remote(mm, layout.env_start, layout.env_end, out)
}

/// `auxv`, as the program found it on its stack.
pub(super) fn auxv(_cx: &PidCx<'_>, mm: &Arc<Mm>, out: &mut SeqBuf) -> Result<()> {
    for (kind, value) in mm.layout().auxv {
        out.bytes(&kind.to_ne_bytes())?;
        out.bytes(&value.to_ne_bytes())?;
        if kind == 0 {
            break;
        }
    }
    Ok(())
}

/// `EPERM` for files that tell what a task does in the kernel.
fn may_attach(cx: &PidCx<'_>) -> Result<()> {
    ptrace_may_access(cx.reader, cx.task, PtraceMode::ATTACH_FSCREDS)
}

/// `personality`.
pub(super) fn personality(cx: &PidCx<'_>, out: &mut SeqBuf) -> Result<()> {
    may_attach(cx)?;
    let personality = cx.task.personality.load(core::sync::atomic::Ordering::Relaxed);
    writeln!(out, "{personality:08x}")
}

/// Names and units of `limits`.
const LIMITS: [(Resource, &str, &str); Resource::COUNT] = [
    (Resource::CPU, "Max cpu time", "seconds"),
    (Resource::FSIZE, "Max file size", "bytes"),
    (Resource::DATA, "Max data size", "bytes"),
    (Resource::STACK, "Max stack size", "bytes"),
    (Resource::CORE, "Max core file size", "bytes"),
    (Resource::RSS, "Max resident set", "bytes"),
    (Resource::NPROC, "Max processes", "processes"),
    (Resource::NOFILE, "Max open files", "files"),
    (Resource::MEMLOCK, "Max locked memory", "bytes"),
    (Resource::AS, "Max address space", "bytes"),
    (Resource::LOCKS, "Max file locks", "locks"),
    (Resource::SIGPENDING, "Max pending signals", "signals"),
    (Resource::MSGQUEUE, "Max msgqueue size", "bytes"),
    (Resource::NICE, "Max nice priority", ""),
    (Resource::RTPRIO, "Max realtime priority", ""),
    (Resource::RTTIME, "Max realtime timeout", "us"),
];

/// `io`: who may look into the process learns what it reads and writes. There are no block devices.
pub(super) fn io(cx: &PidCx<'_>, out: &mut SeqBuf) -> Result<()> {
    ensure!(cx.may_look(), EACCES, "io: needs ptrace access");
    let usage = if cx.thread {
        cx.task.acct.read()
    } else {
        cx.task.group().usage()
    };
    writeln!(out, "rchar: {}\nwchar: {}", usage.rchar, usage.wchar)?;
    writeln!(out, "syscr: {}\nsyscw: {}", usage.syscr, usage.syscw)?;
    writeln!(
        out,
        "read_bytes: {}\nwrite_bytes: {}",
        usage.inblock * 512,
        usage.oublock * 512
    )?;
    writeln!(out, "cancelled_write_bytes: 0")
}

/// `timers`: the POSIX timers of the process.
pub(super) fn timers(cx: &PidCx<'_>, out: &mut SeqBuf) -> Result<()> {
    for timer in cx.task.group().timers.posix_timers() {
        let (signal, how, nr) = match &timer.notify {
            TimerNotify::None => (0, "none/pid", cx.task.group().tgid.nr_in(cx.pid_ns)),
            TimerNotify::Process(_, signal) => {
                (signal.nr(), "signal/pid", cx.task.group().tgid.nr_in(cx.pid_ns))
            }
            TimerNotify::Thread(thread, signal) => {
                let nr = thread.upgrade().map(|thread| thread.pid().nr_in(cx.pid_ns));
                (signal.nr(), "signal/tid", nr.unwrap_or(PidNr(0)))
            }
        };
        writeln!(out, "ID: {}\nsignal: {signal}/{:016x}", timer.id, timer.value)?;
        writeln!(out, "notify: {how}.{nr}\nClockID: {}", timer.clockid)?;
    }
    Ok(())
}

/// `limits`.
pub(super) fn limits(cx: &PidCx<'_>, out: &mut SeqBuf) -> Result<()> {
    let group = cx.task.group();
    writeln!(
        out,
        "{:25} {:20} {:20} {:10}",
        "Limit", "Soft Limit", "Hard Limit", "Units"
    )?;
    for (resource, name, unit) in LIMITS {
        let limit = group.rlimit(resource);
        write!(out, "{name:25} ")?;
        for value in [limit.cur, limit.max] {
            match value {
                u64::MAX => write!(out, "{:20} ", "unlimited")?,
                value => write!(out, "{value:<20} ")?,
            }
        }
        match unit {
            "" => out.byte(b'\n')?,
            unit => writeln!(out, "{unit:10}")?,
        }
    }
    Ok(())
}

/// Return addresses on the kernel stack of a task that does not run, innermost first.
fn frames(cx: &PidCx<'_>, frames: &mut [u64; 64]) -> usize {
    if cx.task.sched.on_cpu() {
        return 0;
    }
    cx.task.thread.backtrace(frames).min(frames.len())
}

/// A path of the compiler without blanks, its last two parts: `pipe::read`.
fn short(symbol: &str) -> &str {
    let end = symbol.find(['<', ' ']).unwrap_or(symbol.len());
    let symbol = &symbol[..end];
    let start = symbol.rmatch_indices("::").nth(1).map_or(0, |(at, _)| at + 2);
    &symbol[start..]
}

/// Parts of the kernel in which every waiting task is.
const WAITING: [&str; 4] = ["sched", "switch", "wait_until", "wait_queue"];

/// `wchan`: the function that waits, 0 for a task that runs, or for a reader who may not know.
pub(super) fn wchan(cx: &PidCx<'_>, out: &mut SeqBuf) -> Result<()> {
    let mut addresses = [0; 64];
    if cx.may_look() && cx.task.sched.state() != TaskState::Running {
        let count = frames(cx, &mut addresses);
        let names = addresses[..count]
            .iter()
            .filter_map(|&address| cx.kernel.hal.symbol(address));
        let waits = names
            .map(|(name, _)| name)
            .find(|name| !WAITING.iter().any(|part| name.contains(part)));
        if let Some(name) = waits {
            return write!(out, "{}", short(name));
        }
    }
    out.byte(b'0')
}

/// `stack`: where the task is in the kernel, for the administrator.
pub(super) fn stack(cx: &PidCx<'_>, out: &mut SeqBuf) -> Result<()> {
    ensure!(
        cx.cred.capable(Capability::SYS_ADMIN),
        EACCES,
        "proc: stack needs CAP_SYS_ADMIN"
    );
    let mut addresses = [0; 64];
    let count = frames(cx, &mut addresses);
    for &address in &addresses[..count] {
        match cx.kernel.hal.symbol(address) {
            Some((name, offset)) => writeln!(out, "[<0>] {name}+{offset:#x}")?,
            None => writeln!(out, "[<0>] {address:#x}")?,
        }
    }
    Ok(())
}

/// `syscall`: number, arguments, stack and instruction pointer of the call that the task waits in; of the reader
/// itself, of the call that reads.
pub(super) fn syscall(cx: &PidCx<'_>, out: &mut SeqBuf) -> Result<()> {
    may_attach(cx)?;
    let runs = cx.task.sched.state() == TaskState::Running || cx.task.sched.on_cpu();
    if runs && !Arc::ptr_eq(cx.task, cx.reader) {
        return writeln!(out, "running");
    }
    match cx.task.ptrace_regs().or_else(|| cx.task.thread.user_regs()) {
        Some(regs) if regs.orig_rax != u64::MAX => writeln!(
            out,
            "{} {:#x} {:#x} {:#x} {:#x} {:#x} {:#x} {:#x} {:#x}",
            regs.orig_rax, regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9, regs.rsp, regs.rip
        ),
        Some(regs) => writeln!(out, "-1 {:#x} {:#x}", regs.rsp, regs.rip),
        None => writeln!(out, "-1 0x0 0x0"),
    }
}

/// `schedstat`: time on a CPU, time waiting for one (not kept), times run.
pub(super) fn schedstat(cx: &PidCx<'_>, out: &mut SeqBuf) -> Result<()> {
    let times = cx.kernel.sched.cpu_times(cx.task);
    let usage = cx.task.acct.read();
    writeln!(out, "{} 0 {}", times.total(), usage.nvcsw + usage.nivcsw)
}

/// `sched`: of what Linux shows, what is known here.
pub(super) fn sched(cx: &PidCx<'_>, out: &mut SeqBuf) -> Result<()> {
    let (name, len) = array::comm(cx.task);
    out.bytes(&name[..len])?;
    let threads = cx.task.group().nr_threads();
    writeln!(out, " ({}, #threads: {threads})", cx.task.pid().nr_in(cx.pid_ns))?;
    writeln!(out, "{:-<67}", "")?;
    let params = cx.task.sched.params();
    let usage = cx.task.acct.read();
    let ran = cx.kernel.sched.cpu_times(cx.task).total();
    let prio = i64::from(array::shown_prio(cx));
    writeln!(
        out,
        "{:<45}:{:14}.{:06}",
        "se.sum_exec_runtime",
        ran / 1_000_000,
        ran % 1_000_000
    )?;
    for (name, value) in [
        ("nr_switches", (usage.nvcsw + usage.nivcsw) as i64),
        ("nr_voluntary_switches", usage.nvcsw as i64),
        ("nr_involuntary_switches", usage.nivcsw as i64),
        ("se.load.weight", params.weight() as i64),
        ("policy", params.policy as i64),
        ("prio", prio),
    ] {
        writeln!(out, "{name:<45}:{value:21}")?;
    }
    Ok(())
}

/// `cgroup`.
pub(super) fn cgroup(cx: &PidCx<'_>, out: &mut SeqBuf) -> Result<()> {
    crate::cgroup::proc::task_cgroups(cx.task, cx.reader, out)
}

/// `cpuset`.
pub(super) fn cpuset(cx: &PidCx<'_>, out: &mut SeqBuf) -> Result<()> {
    crate::cgroup::proc::task_cpuset(cx.task, cx.reader, out)
}

/// `children` of a thread.
pub(super) fn children(cx: &PidCx<'_>, out: &mut SeqBuf) -> Result<()> {
    for child in cx.task.group().children() {
        if child.parent_thread() == cx.task.koid() {
            write!(out, "{} ", child.tgid.nr_in(cx.pid_ns))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn functions_have_short_names() {
        assert_eq!(short("linux_syscall::calls::pipe::read"), "pipe::read");
        assert_eq!(short("main"), "main");
        assert_eq!(short("a::b::read<u8>"), "b::read");
    }
}
