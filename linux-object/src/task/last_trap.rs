//! The last exception of a task's user code, as signal frames tell it (`trapno`, `err` and `cr2` of
//! `struct sigcontext`): of whatever signal they are, they show the latest exception, as in Linux.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Vector, error code and address; the task alone reads and writes it.
#[derive(Default, Debug)]
pub struct LastTrap {
    vector: AtomicU64,
    error: AtomicU64,
    /// Of the last page fault.
    addr: AtomicU64,
}

impl LastTrap {
    /// Notes an exception.
    pub fn set(&self, vector: u8, error: u64) {
        self.vector.store(vector.into(), Relaxed);
        self.error.store(error, Relaxed);
    }
    /// Notes a page fault.
    pub fn set_page_fault(&self, addr: u64, error: u64) {
        const PAGE_FAULT: u8 = 14;
        self.set(PAGE_FAULT, error);
        self.addr.store(addr, Relaxed);
    }
    /// Vector, error code, address of the last page fault.
    pub fn get(&self) -> (u64, u64, u64) {
        (
            self.vector.load(Relaxed),
            self.error.load(Relaxed),
            self.addr.load(Relaxed),
        )
    }
}
