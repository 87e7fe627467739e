//! Hardware breakpoints of a tracee: four addresses that the CPU watches (Intel SDM vol. 3, 17.2), as its tracer sets
//! them in the debug registers of `struct user`.
//!
//! They belong to one thread: a child begins without, and so does a new program. Only accesses of user code count.

use alloc::boxed::Box;

use super::Tracee;
use crate::error::Result;
use crate::hal::UserRegs;
use crate::ids::USER_END;
use crate::task::{Task, si_code};
use crate::{bail, ensure};

/// What register 6 reads while nothing was caught.
const STATUS_RESERVED: u64 = 0xffff_0ff0;
/// Bits of register 7 that mean something.
const CONTROL_MASK: u64 = 0xffff_03ff;
/// Its bits that say which addresses are watched.
const ENABLES: u64 = 0xff;
/// Register 7 has this bit set always.
const CONTROL_ONE: u64 = 1 << 10;
/// In register 6: a single step; one of the addresses.
const STATUS_STEP: u64 = 1 << 14;
const STATUS_HITS: u64 = 0xf;
const RESUME_FLAG: u64 = 1 << 16;

/// Registers 0 to 3, 6 and 7.
#[derive(Clone, Copy, Default, Debug)]
pub struct DebugRegs {
    addr: [u64; 4],
    status: u64,
    control: u64,
}

/// The condition of address `n`: 0 execution, 1 writing, 2 a port, 3 reading or writing; and the length less one.
fn condition(control: u64, n: usize) -> (u64, u64) {
    let bits = control >> (16 + 4 * n);
    let len = match bits >> 2 & 3 {
        0 => 0,
        1 => 1,
        2 => 7,
        _ => 3,
    };
    (bits & 3, len)
}

fn is_enabled(control: u64, n: usize) -> bool {
    control >> (2 * n) & 3 != 0
}

impl DebugRegs {
    fn get(&self, n: usize) -> u64 {
        match n {
            0..4 => self.addr[n],
            6 => self.status ^ STATUS_RESERVED,
            7 => self.control,
            _ => 0,
        }
    }
    /// Sets register `n`. `EINVAL` for what cannot be watched, `EIO` for a register that is none.
    fn set(&mut self, n: usize, value: u64) -> Result<()> {
        let mut new = *self;
        match n {
            0..4 => new.addr[n] = value,
            6 => new.status = value ^ STATUS_RESERVED,
            7 => new.control = value & CONTROL_MASK,
            _ => bail!(EIO, "ptrace: no such debug register"),
        }
        for (n, addr) in new.addr.iter().enumerate() {
            ensure!(
                *addr < USER_END,
                EINVAL,
                "ptrace: only user addresses are watched"
            );
            if is_enabled(new.control, n) {
                let (kind, len) = condition(new.control, n);
                ensure!(
                    kind != 2 && (kind != 0 || len == 0) && addr & len == 0,
                    EINVAL,
                    "ptrace: the CPU cannot watch this"
                );
            }
        }
        *self = new;
        Ok(())
    }
    /// What the machine is to watch: four addresses and register 7.
    fn machine(&self) -> Option<[u64; 5]> {
        let [a, b, c, d] = self.addr;
        let control = self.control | CONTROL_ONE;
        (self.control & ENABLES != 0).then_some([a, b, c, d, control])
    }
    /// The addresses of `status` that are watched, and whether one of them is for execution: the instruction has not
    /// run then.
    fn hits(&self, status: u64) -> (u64, bool) {
        let mut hits = (0, false);
        for n in 0..4 {
            if status >> n & 1 != 0 && is_enabled(self.control, n) {
                hits.0 |= 1 << n;
                hits.1 |= condition(self.control, n).0 == 0;
            }
        }
        hits
    }
}

impl Tracee<'_> {
    /// Debug register `n`.
    pub fn debug_reg(&self, n: usize) -> u64 {
        let regs = self.task().ptrace.debug.lock();
        regs.as_deref().copied().unwrap_or_default().get(n)
    }
    /// Sets it.
    pub fn set_debug_reg(&self, n: usize, value: u64) -> Result<()> {
        let task = self.task();
        let mut regs = task.ptrace.debug.lock().as_deref().copied().unwrap_or_default();
        regs.set(n, value)?;
        let new = Box::new(regs);
        let old = task.ptrace.debug.lock().replace(new);
        drop(old);
        task.thread.set_debug(regs.machine());
        Ok(())
    }
}

impl Task {
    /// The calling task runs a new program: nothing is watched.
    pub fn clear_debug_regs(&self) {
        let old = self.ptrace.debug.lock().take();
        if old.is_some() {
            self.thread.set_debug(None);
        }
    }

    /// The calling task's user code, with these registers, met a debug exception; `status` is register 6. The code of
    /// the signal that follows; `None`: what was caught is not watched.
    pub fn debug_exception(&self, regs: &mut UserRegs, status: u64) -> Option<i32> {
        let mut hits = 0;
        if let Some(debug) = self.ptrace.debug.lock().as_deref_mut() {
            let (watched, before) = debug.hits(status);
            hits = watched;
            if before {
                // It runs now, and is not caught again.
                regs.rflags |= RESUME_FLAG;
            }
            debug.status = watched | status & STATUS_STEP;
        }
        if status & STATUS_STEP != 0 {
            Some(si_code::TRAP_TRACE)
        } else if hits != 0 {
            Some(si_code::TRAP_HWBKPT)
        } else {
            // By an instruction (`int1`), if there is no other reason.
            (status & STATUS_HITS == 0).then_some(si_code::TRAP_BRKPT)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Enables address `n` with a condition and a length code.
    fn control(n: u64, kind: u64, len: u64) -> u64 {
        1 << (2 * n) | (kind | len << 2) << (16 + 4 * n)
    }

    #[test]
    fn what_the_cpu_can_watch() {
        let mut regs = DebugRegs::default();
        regs.set(1, 0x1004).unwrap();
        assert!(regs.machine().is_none());
        regs.set(7, control(1, 1, 3)).unwrap();
        assert_eq!(
            regs.machine().unwrap(),
            [0, 0x1004, 0, 0, control(1, 1, 3) | 0x400]
        );
        // Not aligned to its length of eight.
        assert!(regs.set(7, control(1, 3, 2)).is_err());
        assert!(regs.set(1, 0x1002).is_err());
        assert_eq!(regs.get(1), 0x1004);
        // Ports, long instructions, the kernel.
        assert!(regs.set(7, control(0, 2, 0)).is_err());
        assert!(regs.set(7, control(0, 0, 1)).is_err());
        assert!(regs.set(0, 1 << 63).is_err());
        assert!(regs.set(4, 0).is_err());
        // General detection is not for user space.
        regs.set(7, 1 << 13 | control(0, 0, 0)).unwrap();
        assert_eq!(regs.get(7), control(0, 0, 0));
    }

    #[test]
    fn only_what_is_watched_counts() {
        let mut regs = DebugRegs::default();
        regs.set(7, control(0, 0, 0) | control(2, 1, 0)).unwrap();
        assert_eq!(regs.hits(0b0001), (1, true));
        assert_eq!(regs.hits(0b1110), (4, false));
        assert_eq!(regs.get(6), 0xffff_0ff0);
    }
}
