//! Restartable sequences (`rseq(2)`, Linux's `include/uapi/linux/rseq.h`): user code that must run on one
//! CPU without being disturbed, or not to its end.
//!
//! Model: a thread registers an area; the kernel keeps its CPU's number there. When the thread was switched
//! away from, or gets a signal, inside of the critical section that the area names, it goes on at the section's
//! abort address. What the kernel does, it does on the way to user mode: leaving a CPU only sets
//! `ThreadFlags::RSEQ`, and only for who has an area.
//!
//! Deviation: what the area has already is not written again.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::{Task, ThreadFlags};
use crate::ensure;
use crate::error::Result;
use crate::ids::{USER_END, UserAddr};

/// A thread's registration. Only the thread itself changes it.
#[derive(Default)]
pub struct TaskRseq {
    area: AtomicU64,
    signature: AtomicU32,
}

impl TaskRseq {
    /// Where the area is, if there is one.
    #[inline]
    pub fn area(&self) -> Option<UserAddr> {
        let area = self.area.load(Ordering::Relaxed);
        (area != 0).then_some(UserAddr(area))
    }
    /// What stands before each abort address.
    pub fn signature(&self) -> u32 {
        self.signature.load(Ordering::Relaxed)
    }
    /// There is no area any more (`execve`, or its registration ends).
    pub fn clear(&self) {
        self.area.store(0, Ordering::Relaxed);
        self.signature.store(0, Ordering::Relaxed);
    }
}

impl Task {
    /// Begins with this area: it is filled on the way to user mode.
    pub fn register_rseq(&self, area: UserAddr, signature: u32) {
        self.rseq.signature.store(signature, Ordering::Relaxed);
        self.rseq.area.store(area.0, Ordering::Relaxed);
        self.set_thread_flags(ThreadFlags::RSEQ);
    }
    /// A child with an address space of its own has what its parent has.
    pub(super) fn copy_rseq(&self, parent: &Task) {
        if let Some(area) = parent.rseq.area() {
            self.register_rseq(area, parent.rseq.signature());
        }
    }
    /// The task leaves its CPU.
    #[inline]
    pub(crate) fn rseq_preempt(&self) {
        if self.rseq.area().is_some() {
            self.set_thread_flags(ThreadFlags::RSEQ);
        }
    }
}

/// A critical section (`struct rseq_cs`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CriticalSection {
    /// First instruction.
    pub start: u64,
    /// Bytes up to the one that follows the last.
    pub len: u64,
    /// Where an interrupted one goes on.
    pub abort: u64,
}

impl CriticalSection {
    /// `EINVAL` if it is not inside of user space, or aborts into itself.
    pub fn check(&self) -> Result<()> {
        let end = self.start.checked_add(self.len);
        ensure!(
            self.start < USER_END && self.abort < USER_END && end.is_some_and(|end| end < USER_END),
            EINVAL,
            "rseq: a section outside of user space"
        );
        ensure!(
            !self.contains(self.abort),
            EINVAL,
            "rseq: a section that aborts into itself"
        );
        Ok(())
    }
    /// Whether the instruction at `ip` is one of it.
    pub fn contains(&self, ip: u64) -> bool {
        ip.wrapping_sub(self.start) < self.len
    }
}

#[cfg(test)]
mod tests {
    use super::CriticalSection;
    use crate::ids::USER_END;

    fn section(start: u64, len: u64, abort: u64) -> CriticalSection {
        CriticalSection { start, len, abort }
    }

    #[test]
    fn a_section_is_half_open() {
        let cs = section(100, 10, 200);
        assert!(cs.check().is_ok());
        assert!(!cs.contains(99) && cs.contains(100) && cs.contains(109) && !cs.contains(110));
    }

    #[test]
    fn bad_sections_are_refused() {
        assert!(section(100, 10, 109).check().is_err());
        assert!(section(100, 10, 110).check().is_ok());
        assert!(section(USER_END, 0, 0).check().is_err());
        assert!(section(USER_END - 10, 10, 0).check().is_err());
        assert!(section(100, u64::MAX, 0).check().is_err());
        assert!(section(100, 10, USER_END).check().is_err());
    }
}
