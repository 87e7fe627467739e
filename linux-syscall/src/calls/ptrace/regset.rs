//! Registers of a tracee: `struct user`, `struct user_regs_struct`, register sets by the names of core files
//! (`elf.h`).

use alloc::sync::Arc;
use alloc::vec::Vec;

use linux_object::error::Result;
use linux_object::ids::UserAddr;
use linux_object::task::Task;
use linux_object::task::ptrace::{NR_REGS, Tracee};
use linux_object::{bail, ensure, err};

use crate::abi;
use crate::context::Cx;
use crate::user_ptr::{UserInPtr, UserOutPtr};

/// Bytes of `struct user_regs_struct`.
pub const GENERAL_SIZE: usize = NR_REGS * 8;
/// Bytes of `struct user_fpregs_struct`.
pub const FP_SIZE: usize = 512;
/// Bytes of `struct user`.
const USER_SIZE: u64 = 928;
/// Where it has the debug registers.
const USER_DEBUGREG: u64 = 848;

const NT_PRSTATUS: u64 = 1;
const NT_PRFPREG: u64 = 2;
const NT_X86_XSTATE: u64 = 0x202;

/// Where the `xsave` header begins, with the set of components in use.
const XSAVE_HEADER: usize = 512;
/// Where the legacy part keeps what the kernel says about the rest.
const SW_RESERVED: usize = 464;
/// x87 and SSE.
const LEGACY_FEATURES: u64 = 3;

/// Which way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// To the tracer.
    Get,
    /// To the tracee.
    Set,
}

/// `PTRACE_PEEKUSR`. `EIO` outside of `struct user`, or between words.
pub fn peek_user(tracee: &Tracee<'_>, addr: u64) -> Result<u64> {
    ensure!(
        addr.is_multiple_of(8) && addr < USER_SIZE,
        EIO,
        "PTRACE_PEEKUSER: not a word of struct user"
    );
    let n = (addr / 8) as usize;
    Ok(match addr {
        _ if n < NR_REGS => tracee.reg(n),
        _ => debug_reg(addr).map_or(0, |n| tracee.debug_reg(n)),
    })
}

/// Which debug register is there.
fn debug_reg(addr: u64) -> Option<usize> {
    (USER_DEBUGREG..USER_DEBUGREG + 8 * 8)
        .contains(&addr)
        .then(|| ((addr - USER_DEBUGREG) / 8) as usize)
}

/// `PTRACE_POKEUSR`, likewise; `EINVAL` for what cannot be watched.
pub fn poke_user(tracee: &Tracee<'_>, addr: u64, data: u64) -> Result<()> {
    if let Some(n) = debug_reg(addr).filter(|_| addr.is_multiple_of(8)) {
        return tracee.set_debug_reg(n, data);
    }
    let n = (addr / 8) as usize;
    ensure!(
        addr.is_multiple_of(8) && n < NR_REGS,
        EIO,
        "PTRACE_POKEUSER: not a word that can be written"
    );
    tracee.set_reg(n, data)
}

/// The first `len` bytes of the general registers.
pub fn get_regs(cx: &Cx<'_>, tracee: &Tracee<'_>, to: UserAddr, len: usize) -> Result<()> {
    let mut bytes = [0; GENERAL_SIZE];
    for (n, word) in bytes.chunks_exact_mut(8).enumerate() {
        word.copy_from_slice(&tracee.reg(n).to_le_bytes());
    }
    cx.hal().copy_to_user(to, &bytes[..len])
}

/// Sets them; those before one that cannot be set are set.
pub fn set_regs(cx: &Cx<'_>, tracee: &Tracee<'_>, from: UserAddr, len: usize) -> Result<()> {
    for n in 0..len / 8 {
        let word = UserInPtr::<u64>::new(from).at(n).read(cx)?;
        tracee.set_reg(n, word)?;
    }
    Ok(())
}

fn buffer(size: usize) -> Result<Vec<u8>> {
    let mut state = Vec::new();
    if state.try_reserve_exact(size).is_err() {
        return Err(err!(ENOMEM, "ptrace: no memory for a register set"));
    }
    state.resize(size, 0);
    Ok(state)
}

fn fpu_state(task: &Task) -> Result<Vec<u8>> {
    let mut state = buffer(task.thread.fpu_size())?;
    task.thread.fpu_save(&mut state);
    Ok(state)
}

/// The first `len` bytes of the x87 and SSE registers, as `fxsave` lays them out.
pub fn get_fpregs(cx: &Cx<'_>, task: &Arc<Task>, to: UserAddr, len: usize) -> Result<()> {
    cx.hal().copy_to_user(to, &fpu_state(task)?[..len.min(FP_SIZE)])
}

/// Sets them, all of them; the rest of the state stays.
pub fn set_fpregs(cx: &Cx<'_>, task: &Arc<Task>, from: UserAddr, len: usize) -> Result<()> {
    ensure!(len == FP_SIZE, EINVAL, "ptrace: a part of the FPU registers");
    let mut state = fpu_state(task)?;
    cx.hal().copy_from_user(&mut state[..FP_SIZE], from)?;
    state[SW_RESERVED..FP_SIZE].fill(0);
    if state.len() > XSAVE_HEADER {
        let header = &mut state[XSAVE_HEADER..XSAVE_HEADER + 8];
        let mut used = [0; 8];
        used.copy_from_slice(header);
        header.copy_from_slice(&(u64::from_le_bytes(used) | LEGACY_FEATURES).to_le_bytes());
    }
    task.thread.fpu_restore(&state)
}

/// The first `len` bytes of the whole extended state, with the components that there are where debuggers look for them.
fn get_xstate(cx: &Cx<'_>, task: &Arc<Task>, to: UserAddr, len: usize) -> Result<()> {
    let mut state = fpu_state(task)?;
    let features = crate::signal_frame::fpu_features(&state);
    state[SW_RESERVED..FP_SIZE].fill(0);
    state[SW_RESERVED..SW_RESERVED + 8].copy_from_slice(&features.to_le_bytes());
    cx.hal().copy_to_user(to, &state[..len])
}

fn set_xstate(cx: &Cx<'_>, task: &Arc<Task>, from: UserAddr, len: usize) -> Result<()> {
    let size = task.thread.fpu_size();
    ensure!(len == size, EFAULT, "ptrace: a part of the extended state");
    let mut state = buffer(size)?;
    cx.hal().copy_from_user(&mut state, from)?;
    state[SW_RESERVED..FP_SIZE].fill(0);
    task.thread.fpu_restore(&state)
}

/// `PTRACE_GETREGSET`, `PTRACE_SETREGSET`: `at` is a `struct iovec`, whose length becomes that of what was
/// copied. `EINVAL` for a set that is not there, or a length between words.
pub fn regset(cx: &Cx<'_>, tracee: &Tracee<'_>, name: u64, at: UserAddr, direction: Direction) -> Result<()> {
    let mut iov = UserInPtr::<abi::IoVec>::new(at).read(cx)?;
    let task = tracee.task();
    let fpu_size = task.thread.fpu_size();
    let size = match name {
        NT_PRSTATUS => GENERAL_SIZE,
        NT_PRFPREG => FP_SIZE,
        NT_X86_XSTATE if fpu_size > FP_SIZE => fpu_size,
        NT_X86_XSTATE => bail!(ENODEV, "ptrace: the CPU has no extended state"),
        _ => bail!(EINVAL, "ptrace: no such register set"),
    };
    ensure!(
        iov.len.is_multiple_of(8),
        EINVAL,
        "ptrace: a length between words"
    );
    let len = iov.len.min(size as u64) as usize;
    let buf = UserAddr(iov.base);
    match (name, direction) {
        (NT_PRSTATUS, Direction::Get) => get_regs(cx, tracee, buf, len)?,
        (NT_PRSTATUS, Direction::Set) => set_regs(cx, tracee, buf, len)?,
        (NT_PRFPREG, Direction::Get) => get_fpregs(cx, task, buf, len)?,
        (NT_PRFPREG, Direction::Set) => set_fpregs(cx, task, buf, len)?,
        (_, Direction::Get) => get_xstate(cx, task, buf, len)?,
        (_, Direction::Set) => set_xstate(cx, task, buf, len)?,
    }
    iov.len = len as u64;
    UserOutPtr::new(at).write(cx, &iov)
}
