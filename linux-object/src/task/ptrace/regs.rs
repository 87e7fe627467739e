//! The registers of a stopped tracee as its tracer sees them: `struct user_regs_struct` of x86-64
//! (`sys/user.h`), 27 words by number.
//!
//! Nothing that a tracer sets can hurt the kernel: an instruction pointer that is not canonical faults when user
//! mode is entered, the bases must be user addresses, flags change as far as user mode may change them. Selectors are
//! what they are: only 64-bit code runs here.

use super::{Tracee, Work};
use crate::error::Result;
use crate::hal::{MachineThread, UserRegs};
use crate::ids::USER_END;
use crate::{bail, ensure};

/// Words of `struct user_regs_struct`.
pub const NR_REGS: usize = 27;

const CS: usize = 17;
const EFLAGS: usize = 18;
const SS: usize = 20;
const FS_BASE: usize = 21;
const GS_BASE: usize = 22;

pub(super) const TRAP_FLAG: u64 = 1 << 8;
/// Flags that a tracer may change: CF PF AF ZF SF TF DF OF NT RF AC.
const FLAG_MASK: u64 = 0x0005_4dd5;

/// The words that `struct pt_regs` has too, in its order.
fn slot(regs: &mut UserRegs, n: usize) -> Option<&mut u64> {
    Some(match n {
        0 => &mut regs.r15,
        1 => &mut regs.r14,
        2 => &mut regs.r13,
        3 => &mut regs.r12,
        4 => &mut regs.rbp,
        5 => &mut regs.rbx,
        6 => &mut regs.r11,
        7 => &mut regs.r10,
        8 => &mut regs.r9,
        9 => &mut regs.r8,
        10 => &mut regs.rax,
        11 => &mut regs.rcx,
        12 => &mut regs.rdx,
        13 => &mut regs.rsi,
        14 => &mut regs.rdi,
        15 => &mut regs.orig_rax,
        16 => &mut regs.rip,
        CS => &mut regs.cs,
        EFLAGS => &mut regs.rflags,
        19 => &mut regs.rsp,
        SS => &mut regs.ss,
        _ => return None,
    })
}

/// The flags as they are to be seen: a trap flag that is the tracer's own is not.
fn shown_flags(flags: u64, work: Work) -> u64 {
    match work.contains(Work::FORCED_TF) {
        true => flags & !TRAP_FLAG,
        false => flags,
    }
}

/// Flags that a tracer sets, and whether the trap flag is its own still.
fn merged_flags(old: u64, value: u64, work: Work) -> (u64, Work) {
    let (value, work) = if value & TRAP_FLAG != 0 {
        (value, work.difference(Work::FORCED_TF))
    } else if work.contains(Work::FORCED_TF) {
        (value | TRAP_FLAG, work)
    } else {
        (value, work)
    };
    (old & !FLAG_MASK | value & FLAG_MASK, work)
}

impl Tracee<'_> {
    /// Word `n`.
    pub fn reg(&self, n: usize) -> u64 {
        let thread = self.thread();
        match n {
            FS_BASE => thread.fs_base(),
            GS_BASE => thread.gs_base(),
            _ => {
                let value = self.with_stop(|stop| slot(&mut stop.regs, n).map(|word| *word));
                let value = value.flatten().unwrap_or(0);
                match n {
                    EFLAGS => shown_flags(value, self.task().ptrace_work()),
                    _ => value,
                }
            }
        }
    }

    /// Sets word `n`. `EIO` for what it cannot be.
    pub fn set_reg(&self, n: usize, value: u64) -> Result<()> {
        match n {
            FS_BASE | GS_BASE => {
                ensure!(value < USER_END, EIO, "ptrace: the base is no user address");
                match n {
                    FS_BASE => self.thread().set_fs_base(value),
                    _ => self.thread().set_gs_base(value),
                }
            }
            EFLAGS => {
                let task = self.task();
                self.with_stop(|stop| {
                    let (flags, work) = merged_flags(stop.regs.rflags, value, task.ptrace_work());
                    stop.regs.rflags = flags;
                    task.change_work(Work::FORCED_TF, work & Work::FORCED_TF);
                });
            }
            CS | SS | 23.. => {
                ensure!(
                    value == self.reg(n),
                    EIO,
                    "ptrace: another selector than that of 64-bit code"
                );
            }
            _ => {
                let set = self.with_stop(|stop| slot(&mut stop.regs, n).map(|word| *word = value));
                if set.flatten().is_none() {
                    bail!(EIO, "ptrace: no such register");
                }
            }
        }
        Ok(())
    }

    fn thread(&self) -> &dyn MachineThread {
        &*self.task().thread
    }

    /// Lets the tracee trap after one instruction, or not (Linux's `enable_single_step`).
    pub(super) fn set_step(&self, step: bool) {
        let task = self.task();
        let work = task.ptrace_work();
        let sets_itself = step && self.next_sets_trap_flag();
        self.with_stop(|stop| {
            let flags = &mut stop.regs.rflags;
            if !step {
                if work.contains(Work::FORCED_TF) {
                    *flags &= !TRAP_FLAG;
                }
                task.change_work(Work::STEP | Work::FORCED_TF, Work::empty());
                return;
            }
            let own = *flags & TRAP_FLAG == 0;
            *flags |= TRAP_FLAG;
            task.change_work(Work::empty(), Work::STEP);
            if sets_itself {
                task.change_work(Work::FORCED_TF, Work::empty());
            } else if own {
                task.change_work(Work::empty(), Work::FORCED_TF);
            }
        });
    }

    fn next_sets_trap_flag(&self) -> bool {
        let Some(rip) = self.with_stop(|stop| stop.regs.rip) else {
            return false;
        };
        let mut code = [0; 15];
        let mm = self.task().try_mm();
        let len = mm.and_then(|mm| mm.read_remote(crate::ids::UserAddr(rip), &mut code).ok());
        sets_trap_flag(&code[..len.unwrap_or(0)])
    }
}

impl crate::task::Task {
    /// Takes the tracer's trap flag out of a copy of the calling task's registers.
    pub fn hide_ptrace_step(&self, regs: &mut UserRegs) {
        regs.rflags = shown_flags(regs.rflags, self.ptrace_work());
    }
    /// The calling task, with these registers, steps no more: a signal's handler begins. Whether it did.
    pub fn end_ptrace_step(&self, regs: &mut UserRegs) -> bool {
        let work = self.ptrace_work();
        if !work.contains(Work::STEP) {
            return false;
        }
        if work.contains(Work::FORCED_TF) {
            regs.rflags &= !TRAP_FLAG;
        }
        self.change_work(Work::STEP | Work::FORCED_TF, Work::empty());
        true
    }
}

/// Whether the instruction loads the flags, `popf` or `iret`, so that a trap flag after it is its own.
fn sets_trap_flag(code: &[u8]) -> bool {
    for byte in code {
        match byte {
            0x9d | 0xcf => return true,
            // Operand size, address size, segments, lock, repetition; the 64-bit prefixes.
            0x66 | 0x67 | 0x26 | 0x2e | 0x36 | 0x3e | 0x64 | 0x65 | 0xf0 | 0xf2 | 0xf3 | 0x40..=0x4f => {}
            _ => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_words_are_those_of_pt_regs() {
        let mut regs = UserRegs::default();
        for n in 0..21 {
            *slot(&mut regs, n).unwrap() = n as u64 + 1;
        }
        assert!(slot(&mut regs, 21).is_none());
        assert_eq!((regs.r15, regs.rax, regs.rdi, regs.orig_rax), (1, 11, 15, 16));
        assert_eq!(
            (regs.rip, regs.cs, regs.rflags, regs.rsp, regs.ss),
            (17, 18, 19, 20, 21)
        );
    }

    #[test]
    fn a_trap_flag_of_the_tracer_is_not_shown_and_not_lost() {
        let own = Work::STEP | Work::FORCED_TF;
        assert_eq!(shown_flags(0x346, own), 0x246);
        assert_eq!(shown_flags(0x346, Work::STEP), 0x346);
        assert_eq!(merged_flags(0x346, 0x2, own), (0x302, own));
        assert_eq!(merged_flags(0x346, 0x102, own), (0x302, Work::STEP));
        assert_eq!(merged_flags(0x346, 0x2, Work::empty()), (0x202, Work::empty()));
    }

    #[test]
    fn what_user_mode_may_not_change_stays() {
        // IOPL, IF, VM and the bits above.
        assert_eq!(merged_flags(0x202, u64::MAX, Work::empty()).0, 0x202 | FLAG_MASK);
        assert_eq!(merged_flags(0x202, 0, Work::empty()).0, 0x202);
    }

    #[test]
    fn instructions_that_load_flags() {
        assert!(sets_trap_flag(&[0x9d]));
        assert!(sets_trap_flag(&[0x66, 0x48, 0x9d]));
        assert!(sets_trap_flag(&[0x48, 0xcf]));
        assert!(!sets_trap_flag(&[0x90, 0x9d]));
        assert!(!sets_trap_flag(&[]));
    }
}
