//! User mode: registers, traps, memory.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::error::Result;
use crate::ids::{Frame, UserAddr};

/// The user's general registers, in the order of Linux's `struct pt_regs` for x86-64.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
#[repr(C)]
pub struct UserRegs {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub rbp: u64,
    pub rbx: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rax: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    /// The system call's number, or `u64::MAX` when the trap was none.
    pub orig_rax: u64,
    pub rip: u64,
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u64,
}

impl UserRegs {
    /// The arguments of a system call.
    #[inline(always)]
    pub fn args(&self) -> [u64; 6] {
        [self.rdi, self.rsi, self.rdx, self.r10, self.r8, self.r9]
    }
}

/// How memory was touched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Access {
    Read,
    Write,
    Exec,
}

/// Why user mode was left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trap {
    /// A system call; number in `orig_rax`, arguments in rdi rsi rdx r10 r8 r9.
    Syscall,
    /// Likewise, while [`Frames::reserve_is_low`](super::Frames::reserve_is_low).
    SyscallLowMemory,
    /// A page fault. `present` tells that the page was there but the access not allowed.
    PageFault {
        /// The address touched.
        addr: UserAddr,
        /// How.
        access: Access,
        /// Whether an entry was present.
        present: bool,
    },
    /// Another exception, by vector, with its error code.
    Exception {
        /// Number in the interrupt descriptor table.
        vector: u8,
        /// Error code or 0; of a debug exception (1) what debug register 6 says, reserved bits as 0.
        error: u64,
    },
    /// An interrupt; it has been handled already, policy may have changed.
    Interrupt,
}

/// The time that one thread has spent in user mode, in cycles of [`Clock::cycles`](super::Clock::cycles).
///
/// Entering user mode subtracts the clock, leaving it adds the clock: in the kernel the word is the
/// sum, in user mode it is the sum less the cycle of entry, which is negative, so that any CPU
/// can tell the two apart and read the exact time. One clock reading and one addition at each border.
///
/// Only the thread's CPU changes it.
#[derive(Debug, Default)]
pub struct UserClock(AtomicU64);

impl UserClock {
    /// The thread enters user mode.
    #[inline(always)]
    pub fn enter(&self, cycles: u64) {
        let word = self.0.load(Ordering::Relaxed);
        self.0.store(word.wrapping_sub(cycles), Ordering::Relaxed);
    }
    /// The thread has left user mode.
    #[inline(always)]
    pub fn leave(&self, cycles: u64) {
        let word = self.0.load(Ordering::Relaxed);
        self.0.store(word.wrapping_add(cycles), Ordering::Relaxed);
    }
    /// Cycles in user mode up to now.
    #[inline]
    pub fn read(&self, now: impl FnOnce() -> u64) -> u64 {
        let word = self.0.load(Ordering::Relaxed);
        if (word as i64) < 0 {
            word.wrapping_add(now())
        } else {
            word
        }
    }
}

/// The memory of the current address space, and user mode itself.
///
/// Copies check that the whole range lies in user space, take page faults like user code does (the
/// fault handler of the current task runs underneath, so only locks that rank before `Mm` may
/// be held), and fail with `EFAULT`. Nothing is said about how much was copied before a failure.
pub trait UserMemory {
    /// Runs user code until it traps; `clock` counts the cycles between.
    fn run_user(&self, regs: &mut UserRegs, clock: &UserClock) -> Trap;
    /// Copies in.
    fn copy_from_user(&self, to: &mut [u8], from: UserAddr) -> Result<()>;
    /// Copies out.
    fn copy_to_user(&self, to: UserAddr, from: &[u8]) -> Result<()>;
    /// Copies in until and without a zero byte or until `to` is full; returns the length and
    /// whether the zero byte was found.
    fn strncpy_from_user(&self, to: &mut [u8], from: UserAddr) -> Result<(usize, bool)>;
    /// Fills with zeros.
    fn clear_user(&self, to: UserAddr, len: usize) -> Result<()>;
    /// Copies a part of a frame out.
    fn frame_to_user(&self, frame: Frame, offset: usize, to: UserAddr, len: usize) -> Result<()>;
    /// Copies into a part of a frame.
    fn user_to_frame(&self, from: UserAddr, frame: Frame, offset: usize, len: usize) -> Result<()>;
    /// Loads an aligned word atomically.
    fn load_user_u32(&self, at: UserAddr) -> Result<u32>;
    /// If the aligned word is `old`, stores `new`; returns what was there. Atomic.
    fn cmpxchg_user_u32(&self, at: UserAddr, old: u32, new: u32) -> Result<u32>;
}

#[cfg(test)]
mod tests {
    use super::UserClock;

    #[test]
    fn user_clock_tells_inside_from_outside() {
        let clock = UserClock::default();
        clock.enter(1000);
        assert_eq!(clock.read(|| 1010), 10);
        clock.leave(1030);
        assert_eq!(clock.read(|| unreachable!()), 30);
        clock.enter(2000);
        assert_eq!(clock.read(|| 2005), 35);
        clock.leave(2007);
        assert_eq!(clock.read(|| unreachable!()), 37);
    }
}
