//! The lock of the machine layer.
//!
//! Model: kernel code takes no interrupts, so a plain spin lock is safe everywhere. While it
//! spins it serves TLB shootdowns, like every spinning loop of the kernel (see
//! [`crate::arch::tlb`]). They rank below all of the libraries' locks, and no library code is called
//! while one is held. Among themselves there is one nesting: a slab's lock, then the buddy system's.

use spin::RelaxStrategy;

/// Serves shootdowns, then pauses.
pub struct Relax;

impl RelaxStrategy for Relax {
    #[inline]
    fn relax() {
        crate::arch::relax();
    }
}

/// A leaf spin lock.
pub type Lock<T> = spin::mutex::SpinMutex<T, Relax>;

/// A cell for what is written once while one CPU runs, and only read afterwards. Reading costs
/// one load.
pub struct BootCell<T>(core::cell::UnsafeCell<T>);

// SAFETY: written only by `set`, whose caller guarantees that nobody else is looking; shared
// reads of a `Sync` value are fine.
unsafe impl<T: Sync> Sync for BootCell<T> {}

impl<T> BootCell<T> {
    /// A cell with a first value.
    pub const fn new(value: T) -> Self {
        BootCell(core::cell::UnsafeCell::new(value))
    }

    /// The value.
    #[inline(always)]
    pub fn get(&self) -> &T {
        // SAFETY: `set` runs only before anything keeps a reference (its contract).
        unsafe { &*self.0.get() }
    }

    /// Replaces the value.
    ///
    /// # Safety
    /// Only during start-up, while no other CPU runs and no reference from `get` is alive.
    pub unsafe fn set(&self, value: T) {
        // SAFETY: exclusive by the contract above.
        unsafe { *self.0.get() = value }
    }
}
