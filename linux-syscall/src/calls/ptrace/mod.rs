//! System calls: `ptrace`.

mod info;
mod regset;

use alloc::sync::Arc;

use linux_object::cred::Capability;
use linux_object::error::Result;
use linux_object::ids::{PidNr, UserAddr};
use linux_object::task::ptrace::{
    Attached, PtraceFlags, Resume, Tracee, check_options, check_tracer, interrupt, tracee_of,
};
use linux_object::task::signal::send_to_group;
use linux_object::task::{Signal, SignalSet, Task, si_code};
use linux_object::time::Ktime;
use linux_object::{bail, ensure, err};

use crate::calls::prctl::arch_prctl_of;
use crate::calls::signal::from_kill;
use crate::context::Cx;
use crate::user_ptr::{UserInPtr, UserOutPtr};
use crate::wait_until::{WaitKind, WaitOn, wait_until};

const PTRACE_TRACEME: i64 = 0;
const PTRACE_PEEKTEXT: i64 = 1;
const PTRACE_PEEKDATA: i64 = 2;
const PTRACE_PEEKUSR: i64 = 3;
const PTRACE_POKETEXT: i64 = 4;
const PTRACE_POKEDATA: i64 = 5;
const PTRACE_POKEUSR: i64 = 6;
const PTRACE_CONT: i64 = 7;
const PTRACE_KILL: i64 = 8;
const PTRACE_SINGLESTEP: i64 = 9;
const PTRACE_GETREGS: i64 = 12;
const PTRACE_SETREGS: i64 = 13;
const PTRACE_GETFPREGS: i64 = 14;
const PTRACE_SETFPREGS: i64 = 15;
const PTRACE_ATTACH: i64 = 16;
const PTRACE_DETACH: i64 = 17;
const PTRACE_OLDSETOPTIONS: i64 = 21;
const PTRACE_SYSCALL: i64 = 24;
const PTRACE_ARCH_PRCTL: i64 = 30;
const PTRACE_SYSEMU: i64 = 31;
const PTRACE_SYSEMU_SINGLESTEP: i64 = 32;
const PTRACE_SETOPTIONS: i64 = 0x4200;
const PTRACE_GETEVENTMSG: i64 = 0x4201;
const PTRACE_GETSIGINFO: i64 = 0x4202;
const PTRACE_SETSIGINFO: i64 = 0x4203;
const PTRACE_GETREGSET: i64 = 0x4204;
const PTRACE_SETREGSET: i64 = 0x4205;
const PTRACE_SEIZE: i64 = 0x4206;
const PTRACE_INTERRUPT: i64 = 0x4207;
const PTRACE_LISTEN: i64 = 0x4208;
const PTRACE_PEEKSIGINFO: i64 = 0x4209;
const PTRACE_GETSIGMASK: i64 = 0x420a;
const PTRACE_SETSIGMASK: i64 = 0x420b;
const PTRACE_SECCOMP_GET_FILTER: i64 = 0x420c;
const PTRACE_SECCOMP_GET_METADATA: i64 = 0x420d;
const PTRACE_GET_SYSCALL_INFO: i64 = 0x420e;
const PTRACE_GET_RSEQ_CONFIGURATION: i64 = 0x420f;

/// `PTRACE_O_*` that there are.
const OPTION_MASK: u64 = PtraceFlags::OPTIONS.bits() as u64;
/// `SUID_DUMP_USER`.
const DUMPABLE: u64 = 1;

/// `ptrace(2)`, as the bare call: what is read goes to `data`.
pub fn ptrace(cx: &mut Cx<'_>, request: i64, pid: i32, addr: u64, data: u64) -> Result<usize> {
    if request == PTRACE_TRACEME {
        cx.task.ptrace_traceme()?;
        return Ok(0);
    }
    let found = cx.kernel.tasks.find_task(cx.task.pid_ns(), PidNr(pid));
    let task = found.ok_or(err!(ESRCH, "ptrace: no such thread"))?;
    match request {
        PTRACE_ATTACH => attach(cx, &task, PtraceFlags::empty()),
        PTRACE_SEIZE => {
            ensure!(
                addr == 0 && data & !OPTION_MASK == 0,
                EIO,
                "PTRACE_SEIZE: an address, or unknown options"
            );
            let options = check_options(cx.task, data)?;
            attach(cx, &task, options | PtraceFlags::SEIZED)
        }
        PTRACE_KILL => {
            check_tracer(cx.task, &task)?;
            let _ = send_to_group(task.group(), from_kill(cx, Signal::KILL, si_code::SI_USER));
            Ok(0)
        }
        PTRACE_INTERRUPT => interrupt(cx.task, &task).map(|()| 0),
        _ => {
            let tracee = tracee_of(cx.task, &task)?;
            direct(cx, tracee, request, addr, data)
        }
    }
}

fn attach(cx: &Cx<'_>, task: &Arc<Task>, flags: PtraceFlags) -> Result<usize> {
    let free = [WaitOn::any(&task.group().exec_queue)];
    let attached = wait_until(cx.task, &free, Ktime::MAX, WaitKind::Interruptible, || {
        match cx.task.ptrace_attach(task, flags) {
            Ok(Attached::Busy) => None,
            done => Some(done),
        }
    })
    .map_err(|_| err!(ERESTARTNOINTR))??;
    if attached == Attached::Trapping {
        let on = [WaitOn::any(&cx.task.group().wait_child)];
        let _ = wait_until(cx.task, &on, Ktime::MAX, WaitKind::Killable, || {
            (!task.is_trapping()).then_some(())
        });
    }
    Ok(0)
}

/// Requests for a stopped tracee.
fn direct(cx: &mut Cx<'_>, tracee: Tracee<'_>, request: i64, addr: u64, data: u64) -> Result<usize> {
    let task = tracee.task().clone();
    match request {
        PTRACE_PEEKTEXT | PTRACE_PEEKDATA => {
            let word = peek(cx, &task, addr)?;
            put(cx, data, word)?;
        }
        PTRACE_POKETEXT | PTRACE_POKEDATA => poke(cx, &task, addr, data)?,
        PTRACE_PEEKUSR => put(cx, data, regset::peek_user(&tracee, addr)?)?,
        PTRACE_POKEUSR => regset::poke_user(&tracee, addr, data)?,
        PTRACE_GETREGS => regset::get_regs(cx, &tracee, UserAddr(data), regset::GENERAL_SIZE)?,
        PTRACE_SETREGS => regset::set_regs(cx, &tracee, UserAddr(data), regset::GENERAL_SIZE)?,
        PTRACE_GETFPREGS => regset::get_fpregs(cx, &task, UserAddr(data), regset::FP_SIZE)?,
        PTRACE_SETFPREGS => regset::set_fpregs(cx, &task, UserAddr(data), regset::FP_SIZE)?,
        PTRACE_GETREGSET => regset::regset(cx, &tracee, addr, UserAddr(data), regset::Direction::Get)?,
        PTRACE_SETREGSET => regset::regset(cx, &tracee, addr, UserAddr(data), regset::Direction::Set)?,
        PTRACE_ARCH_PRCTL => return arch_prctl_of(cx, &task, data as i32, UserAddr(addr)),
        PTRACE_CONT | PTRACE_SYSCALL | PTRACE_SINGLESTEP | PTRACE_SYSEMU | PTRACE_SYSEMU_SINGLESTEP => {
            let signal = signal_arg(data)?;
            let how = Resume {
                syscall: request == PTRACE_SYSCALL,
                emu: matches!(request, PTRACE_SYSEMU | PTRACE_SYSEMU_SINGLESTEP),
                step: matches!(request, PTRACE_SINGLESTEP | PTRACE_SYSEMU_SINGLESTEP),
            };
            tracee.resume(how, signal);
        }
        PTRACE_DETACH => {
            let signal = signal_arg(data)?;
            tracee.detach(cx.task, signal);
        }
        PTRACE_LISTEN => ensure!(tracee.listen(), EIO, "PTRACE_LISTEN: not in PTRACE_EVENT_STOP"),
        PTRACE_SETOPTIONS | PTRACE_OLDSETOPTIONS => tracee.set_options(check_options(cx.task, data)?),
        PTRACE_GETEVENTMSG => put(cx, data, tracee.message())?,
        PTRACE_GETSIGINFO => info::get_siginfo(cx, &tracee, UserOutPtr::new(UserAddr(data)))?,
        PTRACE_SETSIGINFO => info::set_siginfo(cx, &tracee, UserInPtr::new(UserAddr(data)))?,
        PTRACE_PEEKSIGINFO => return info::peek_siginfo(cx, &tracee, addr, UserAddr(data)),
        PTRACE_GETSIGMASK => {
            ensure!(addr == 8, EINVAL, "PTRACE_GETSIGMASK: not the size of a sigset_t");
            put(cx, data, tracee.sigmask().0)?;
        }
        PTRACE_SETSIGMASK => {
            ensure!(addr == 8, EINVAL, "PTRACE_SETSIGMASK: not the size of a sigset_t");
            let mask = UserInPtr::<u64>::new(UserAddr(data)).read(cx)?;
            tracee.set_sigmask(SignalSet(mask));
        }
        PTRACE_SECCOMP_GET_FILTER => return info::get_filter(cx, &task, addr, UserAddr(data)),
        PTRACE_SECCOMP_GET_METADATA => return info::get_metadata(cx, &task, addr, UserAddr(data)),
        PTRACE_GET_SYSCALL_INFO => return info::syscall_info(cx, &tracee, addr, UserAddr(data)),
        PTRACE_GET_RSEQ_CONFIGURATION => return info::rseq_configuration(cx, &task, addr, UserAddr(data)),
        _ => bail!(EIO, "ptrace: unknown request"),
    }
    Ok(0)
}

fn put(cx: &Cx<'_>, at: u64, word: u64) -> Result<()> {
    UserOutPtr::<u64>::new(UserAddr(at)).write(cx, &word)
}

/// A signal to go on with; 0 for none. `EIO`.
fn signal_arg(data: u64) -> Result<i32> {
    ensure!(data <= u64::from(Signal::MAX), EIO, "ptrace: no such signal");
    Ok(data as i32)
}

/// The memory of a tracee. A program that nobody may dump shows it to a tracer with CAP_SYS_PTRACE only.
fn memory(cx: &Cx<'_>, task: &Arc<Task>) -> Result<Arc<linux_object::mm::Mm>> {
    let Some(mm) = task.try_mm() else {
        bail!(EIO, "ptrace: the tracee has no memory")
    };
    if mm.dumpable() != DUMPABLE {
        let user_ns = mm.user_ns().cloned().unwrap_or_else(|| task.user_ns());
        ensure!(
            cx.task.cred().ns_capable(&user_ns, Capability::SYS_PTRACE),
            EIO,
            "ptrace: the tracee must not be dumped"
        );
    }
    Ok(mm)
}

fn peek(cx: &Cx<'_>, task: &Arc<Task>, addr: u64) -> Result<u64> {
    let mut word = [0; 8];
    let read = memory(cx, task)?.read_remote(UserAddr(addr), &mut word);
    ensure!(matches!(read, Ok(8)), EIO, "ptrace: nothing is mapped there");
    Ok(u64::from_ne_bytes(word))
}

fn poke(cx: &Cx<'_>, task: &Arc<Task>, addr: u64, word: u64) -> Result<()> {
    let written = memory(cx, task)?.write_remote(UserAddr(addr), &word.to_ne_bytes());
    ensure!(
        matches!(written, Ok(8)),
        EIO,
        "ptrace: it cannot be written there"
    );
    Ok(())
}
