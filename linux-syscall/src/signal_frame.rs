//! Delivering signals: the frame on the user's stack, the way back, and interrupted calls
//! (`sigreturn(2)`, `signal(7)` "Interruption of system calls"; Linux's `arch/x86/kernel/signal.c`).
//!
//! Layout of the frame, from low to high addresses: return address (the restorer), `ucontext`,
//! `siginfo_t`; then, 64-byte aligned, the FPU state in `xsave`'s standard form with its two magic numbers.

use alloc::vec::Vec;

use linux_object::error::{Errno, Result};
use linux_object::hal::UserRegs;
use linux_object::ids::{USER_END, UserAddr};
use linux_object::task::ptrace::StopRequest;
use linux_object::task::signal::{
    AltStack, AltStackFlags, SaFlags, SigAction, StopVerdict, Verdict, force_fault, force_fault_exit,
};
use linux_object::task::{SigInfo, Signal, SignalSet, TaskState, ThreadFlags};
use linux_object::{ensure, err};

use crate::abi;
use crate::calls::exit::do_group_exit;
use crate::calls::rseq;
use crate::calls::signal::{set_altstack, stack_to_user};
use crate::context::Cx;
use crate::thread::{NO_SYSCALL, is_errno};
use crate::user_ptr::{UserInPtr, UserOutPtr};
use crate::{ptrace, siginfo};

/// Bytes below the stack pointer that the x86-64 ABI lets a leaf function use.
const RED_ZONE: u64 = 128;
/// Number of `restart_syscall`.
const NR_RESTART_SYSCALL: u64 = 219;
/// Length of the `syscall` instruction.
const SYSCALL_LEN: u64 = 2;
const FP_XSTATE_MAGIC1: u32 = 0x4650_5853;
const FP_XSTATE_MAGIC2: u32 = 0x4650_5845;
/// Where the `fxsave` area keeps what the kernel says about the rest.
const SW_RESERVED: usize = 464;
/// Where the `xsave` header begins.
const XSAVE_HEADER: usize = 512;
/// `UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS`.
const UC_FLAGS: u64 = 7;
const USER_CS: u64 = 0x33;
const USER_SS: u64 = 0x2b;
const FLAG_TRAP: u64 = 1 << 8;
const FLAG_DIRECTION: u64 = 1 << 10;
const FLAG_RESUME: u64 = 1 << 16;
/// Flags that `rt_sigreturn` takes from the frame: AC OF DF TF SF ZF AF PF CF RF.
const FIX_EFLAGS: u64 = 0x0005_0dd5;

crate::abi! {
    /// `struct sigcontext_64`.
    SigContext[256] {
        r8: u64, r9: u64, r10: u64, r11: u64, r12: u64, r13: u64, r14: u64, r15: u64, rdi: u64, rsi: u64,
        rbp: u64, rbx: u64, rdx: u64, rax: u64, rcx: u64, rsp: u64, rip: u64, eflags: u64, cs: u16, gs: u16,
        fs: u16, ss: u16, err: u64, trapno: u64, oldmask: u64, cr2: u64, fpstate: u64, reserved: [u64; 8],
    }
    /// `struct ucontext`.
    UContext[304] { flags: u64, link: u64, stack: abi::StackT, mcontext: SigContext, sigmask: u64, }
    /// `struct rt_sigframe`, without the FPU state.
    RtSigFrame[440] { restorer: u64, uc: UContext, info: abi::SigInfo, }
}

/// Handles signals, job control and interrupted calls before the return to user mode. One handler
/// is set up per call; the caller looks at the flags again.
pub fn do_signal(cx: &mut Cx<'_>) {
    let mut allowed = None;
    loop {
        let verdict = cx.task.get_signal(allowed.take());
        // From one sleep to another it stays frozen, but not if it was thawed in between.
        if !verdict.sleeps() {
            cx.task.leave_frozen();
        }
        match verdict {
            Verdict::Nothing => break,
            Verdict::Trap(request) => ptrace::trap(cx, request),
            Verdict::Traced(info, to_group) => {
                let stopped = ptrace::stop(cx, StopRequest::signal(info));
                if let Some(info) = stopped.info {
                    allowed = cx.task.after_signal_stop(stopped.code, info, to_group);
                }
            }
            Verdict::Stop(stop) => sleep_stopped(cx, &stop),
            Verdict::Freeze => sleep_frozen(cx),
            Verdict::Exit(code) => {
                do_group_exit(cx, code);
                return;
            }
            Verdict::Handle(info, action) => {
                restart_for_handler(cx, &action);
                handle(cx, &info, &action);
                return;
            }
        }
    }
    restart_without_handler(cx);
    cx.task.restore_saved_sigmask();
}

/// Sleeps until SIGCONT or SIGKILL comes.
fn sleep_stopped(cx: &Cx<'_>, stop: &StopVerdict) {
    let task = cx.task;
    if stop.notify {
        task.notify_parent_cldstop(false);
    }
    task.enter_frozen();
    loop {
        task.sched.set_state(TaskState::Stopped);
        if !task.is_job_stopped() || task.fatal_signal_pending() {
            break;
        }
        cx.kernel.sched.schedule();
    }
    task.sched.set_state(TaskState::Running);
    task.end_stop();
    if !task.shall_freeze() {
        task.leave_frozen();
    }
}

/// Sleeps until the cgroup is thawed, SIGKILL comes where that counts, or a tracer asks for a trap, which a task of a
/// frozen cgroup2 goes to as if from one sleep to another.
pub(crate) fn sleep_frozen(cx: &Cx<'_>) {
    let task = cx.task;
    task.enter_frozen();
    let sleeps = || task.is_frozen_hard() || task.shall_freeze() && !task.shall_trap();
    while sleeps() {
        task.sched.set_state(if task.is_frozen_hard() {
            TaskState::Killable
        } else {
            TaskState::Interruptible
        });
        // Signals that come meanwhile wake it, and find it asleep again.
        task.clear_thread_flags(ThreadFlags::SIGPENDING);
        if !sleeps() {
            break;
        }
        cx.kernel.sched.schedule();
    }
    task.sched.set_state(TaskState::Running);
    if !task.shall_freeze() {
        task.leave_frozen();
    }
    task.recalc_sigpending();
}

fn restart_call(regs: &mut UserRegs, nr: u64) {
    regs.rax = nr;
    regs.rip -= SYSCALL_LEN;
}

/// An interrupted call, when a handler will run.
fn restart_for_handler(cx: &mut Cx<'_>, action: &SigAction) {
    let regs = &mut *cx.regs;
    if regs.orig_rax == NO_SYSCALL {
        return;
    }
    let nr = regs.orig_rax;
    let restarts = is_errno(regs.rax, Errno::ERESTARTNOINTR)
        || is_errno(regs.rax, Errno::ERESTARTSYS) && action.flags.contains(SaFlags::RESTART);
    if restarts {
        restart_call(regs, nr);
    } else if is_errno(regs.rax, Errno::ERESTARTSYS)
        || is_errno(regs.rax, Errno::ERESTARTNOHAND)
        || is_errno(regs.rax, Errno::ERESTARTBLOCK)
    {
        regs.rax = (-(Errno::EINTR as i64)) as u64;
    }
    regs.orig_rax = NO_SYSCALL;
}

/// An interrupted call, when no handler runs: it goes on as if nothing had been.
fn restart_without_handler(cx: &mut Cx<'_>) {
    let regs = &mut *cx.regs;
    if regs.orig_rax == NO_SYSCALL {
        return;
    }
    let nr = regs.orig_rax;
    if is_errno(regs.rax, Errno::ERESTARTBLOCK) {
        restart_call(regs, NR_RESTART_SYSCALL);
        regs.orig_rax = NO_SYSCALL;
    } else if [Errno::ERESTARTSYS, Errno::ERESTARTNOINTR, Errno::ERESTARTNOHAND]
        .iter()
        .any(|errno| is_errno(regs.rax, *errno))
    {
        restart_call(regs, nr);
        regs.orig_rax = NO_SYSCALL;
    }
}

/// Sends SIGSEGV to the task itself; after a failed SIGSEGV the default action follows.
fn force_segv(cx: &Cx<'_>, failed: Signal) {
    let info = SigInfo::kernel(Signal::SEGV);
    if failed == Signal::SEGV {
        force_fault_exit(cx.task, info);
    } else {
        force_fault(cx.task, info);
    }
}

/// Lets the task run a handler.
fn handle(cx: &mut Cx<'_>, info: &SigInfo, action: &SigAction) {
    let task = cx.task;
    rseq::signal_deliver(cx, info.signal);
    // What the frame saves are the program's own flags.
    let stepped = task.end_ptrace_step(cx.regs);
    let old_mask = task.take_saved_sigmask();
    let mask_after = old_mask.unwrap_or(task.sig.blocked());
    if setup_frame(cx, info, action, mask_after).is_err() {
        // The mask of before is what SIGSEGV's handler shall go back to.
        if old_mask.is_some() {
            task.set_blocked(mask_after);
        }
        force_segv(cx, info.signal);
        return;
    }
    let mut blocked = task.sig.blocked().union(action.mask);
    if !action.flags.contains(SaFlags::NODEFER) {
        blocked = blocked.union(info.signal.set());
    }
    task.set_blocked(blocked);
    if task.sig.altstack().flags.contains(AltStackFlags::AUTODISARM) {
        task.sig.set_altstack(AltStack::NONE);
    }
    if stepped {
        let request = StopRequest::step(task);
        ptrace::stop(cx, request);
    }
}

/// Where the frame goes: address of the frame and of the FPU state (Linux's `get_sigframe`).
fn place_frame(cx: &Cx<'_>, action: &SigAction, fpu_size: u64) -> Result<(u64, u64)> {
    let stack = cx.task.sig.altstack();
    let mut sp = cx.regs.rsp.wrapping_sub(RED_ZONE);
    let nested = stack.size != 0 && stack.contains(sp);
    let mut on_stack = nested;
    if action.flags.contains(SaFlags::ONSTACK) && stack.size != 0 && !nested {
        sp = stack.sp.wrapping_add(stack.size);
        on_stack = true;
    }
    let fpu = sp.wrapping_sub(fpu_size) & !63;
    let frame = (fpu.wrapping_sub(size_of::<RtSigFrame>() as u64) & !15).wrapping_sub(8);
    let inside = frame > stack.sp && frame - stack.sp <= stack.size;
    ensure!(
        !on_stack || inside,
        EFAULT,
        "signal frame: the alternate stack overflows"
    );
    Ok((frame, fpu))
}

/// The components of an FPU state: x87 and SSE always, AVX when there is room for it, and what is in use.
pub(crate) fn fpu_features(state: &[u8]) -> u64 {
    let mut used = [0; 8];
    if let Some(header) = state.get(XSAVE_HEADER..XSAVE_HEADER + 8) {
        used.copy_from_slice(header);
    }
    let avx = if state.len() >= 832 { 4 } else { 0 };
    u64::from_le_bytes(used) | 3 | avx
}

/// The FPU state as a frame shows it.
fn save_fpu(cx: &Cx<'_>) -> Result<Vec<u8>> {
    let thread = &cx.task.thread;
    let size = thread.fpu_size();
    let mut state = Vec::new();
    if state.try_reserve_exact(size + 4).is_err() {
        return Err(err!(ENOMEM, "signal frame: no memory"));
    }
    state.resize(size + 4, 0);
    thread.fpu_save(&mut state[..size]);
    if size >= XSAVE_HEADER + 64 {
        let features = fpu_features(&state[..size]);
        let sw = &mut state[SW_RESERVED..XSAVE_HEADER];
        sw.fill(0);
        sw[..4].copy_from_slice(&FP_XSTATE_MAGIC1.to_le_bytes());
        sw[4..8].copy_from_slice(&(size as u32 + 4).to_le_bytes());
        sw[8..16].copy_from_slice(&features.to_le_bytes());
        sw[16..20].copy_from_slice(&(size as u32).to_le_bytes());
        state[size..].copy_from_slice(&FP_XSTATE_MAGIC2.to_le_bytes());
    }
    Ok(state)
}

fn setup_frame(cx: &mut Cx<'_>, info: &SigInfo, action: &SigAction, mask: SignalSet) -> Result<()> {
    ensure!(
        action.flags.contains(SaFlags::RESTORER),
        EFAULT,
        "signal frame: no restorer"
    );
    let fpu_state = save_fpu(cx)?;
    let (frame_at, fpu_at) = place_frame(cx, action, fpu_state.len() as u64)?;
    let regs = &*cx.regs;
    let (trapno, err, cr2) = cx.task.last_trap.get();
    let frame = RtSigFrame {
        restorer: action.restorer,
        uc: UContext {
            flags: UC_FLAGS,
            link: 0,
            stack: stack_to_user(cx),
            mcontext: SigContext {
                r8: regs.r8,
                r9: regs.r9,
                r10: regs.r10,
                r11: regs.r11,
                r12: regs.r12,
                r13: regs.r13,
                r14: regs.r14,
                r15: regs.r15,
                rdi: regs.rdi,
                rsi: regs.rsi,
                rbp: regs.rbp,
                rbx: regs.rbx,
                rdx: regs.rdx,
                rax: regs.rax,
                rcx: regs.rcx,
                rsp: regs.rsp,
                rip: regs.rip,
                eflags: regs.rflags,
                cs: USER_CS as u16,
                gs: 0,
                fs: 0,
                ss: USER_SS as u16,
                err,
                trapno,
                oldmask: mask.0,
                cr2,
                fpstate: fpu_at,
                reserved: [0; 8],
            },
            sigmask: mask.0,
        },
        info: siginfo::to_user(cx.task, info),
    };
    cx.hal().copy_to_user(UserAddr(fpu_at), &fpu_state)?;
    UserOutPtr::new(UserAddr(frame_at)).write(cx, &frame)?;
    let regs = &mut *cx.regs;
    regs.rdi = info.signal.nr().into();
    regs.rax = 0;
    regs.rsi = frame_at + core::mem::offset_of!(RtSigFrame, info) as u64;
    regs.rdx = frame_at + core::mem::offset_of!(RtSigFrame, uc) as u64;
    regs.rip = action.handler;
    regs.rsp = frame_at;
    regs.rflags &= !(FLAG_DIRECTION | FLAG_RESUME | FLAG_TRAP);
    Ok(())
}

/// `rt_sigreturn(2)`: back to where the signal came in. A frame that cannot be read is SIGSEGV.
pub fn sigreturn(cx: &mut Cx<'_>) -> Result<usize> {
    let at = cx.regs.rsp.wrapping_sub(8);
    cx.regs.orig_rax = NO_SYSCALL;
    if restore_frame(cx, at).is_err() {
        force_fault(cx.task, SigInfo::kernel(Signal::SEGV));
        cx.regs.rax = 0;
    }
    Ok(cx.regs.rax as usize)
}

fn restore_frame(cx: &mut Cx<'_>, at: u64) -> Result<()> {
    ensure!(
        at < USER_END,
        EFAULT,
        "rt_sigreturn: the frame is not in user space"
    );
    let frame: RtSigFrame = UserInPtr::new(UserAddr(at)).read(cx)?;
    cx.task.set_blocked(SignalSet(frame.uc.sigmask));
    let saved = &frame.uc.mcontext;
    let regs = &mut *cx.regs;
    *regs = UserRegs {
        r15: saved.r15,
        r14: saved.r14,
        r13: saved.r13,
        r12: saved.r12,
        rbp: saved.rbp,
        rbx: saved.rbx,
        r11: saved.r11,
        r10: saved.r10,
        r9: saved.r9,
        r8: saved.r8,
        rax: saved.rax,
        rcx: saved.rcx,
        rdx: saved.rdx,
        rsi: saved.rsi,
        rdi: saved.rdi,
        orig_rax: NO_SYSCALL,
        rip: saved.rip,
        cs: regs.cs,
        rflags: regs.rflags & !FIX_EFLAGS | saved.eflags & FIX_EFLAGS,
        rsp: saved.rsp,
        ss: regs.ss,
    };
    restore_fpu(cx, UserAddr(saved.fpstate))?;
    // Errors of the stack itself are ignored, as on Linux.
    let _ = set_altstack(cx, &frame.uc.stack);
    Ok(())
}

fn restore_fpu(cx: &Cx<'_>, at: UserAddr) -> Result<()> {
    let thread = &cx.task.thread;
    if at.is_null() {
        // No state: that of a fresh program. The bases are none of the FPU's.
        let (fs, gs) = (thread.fs_base(), thread.gs_base());
        thread.reset_user_state();
        thread.set_fs_base(fs);
        thread.set_gs_base(gs);
        return Ok(());
    }
    let size = thread.fpu_size();
    let mut state = Vec::new();
    if state.try_reserve_exact(size).is_err() {
        return Err(err!(ENOMEM, "rt_sigreturn: no memory"));
    }
    state.resize(size, 0);
    let legacy = size.min(XSAVE_HEADER);
    cx.hal().copy_from_user(&mut state[..legacy], at)?;
    let magic = |bytes: &[u8]| bytes.len() == 4 && bytes == FP_XSTATE_MAGIC1.to_le_bytes();
    let mut extended = size > XSAVE_HEADER && magic(&state[SW_RESERVED..SW_RESERVED + 4]);
    if extended {
        let mut end = [0; 4];
        cx.hal().copy_from_user(&mut end, at.offset(size as u64))?;
        extended = end == FP_XSTATE_MAGIC2.to_le_bytes();
    }
    if extended {
        cx.hal()
            .copy_from_user(&mut state[XSAVE_HEADER..], at.offset(XSAVE_HEADER as u64))?;
    } else if size >= XSAVE_HEADER + 64 {
        // A frame with the old format: x87 and SSE only.
        state[XSAVE_HEADER..XSAVE_HEADER + 8].copy_from_slice(&3u64.to_le_bytes());
    }
    state[SW_RESERVED..legacy].fill(0);
    thread.fpu_restore(&state)
}
