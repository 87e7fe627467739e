//! Locks with a declared order, and wait queues.
//!
//! Model: the kernel is not preempted and takes no interrupt while it runs kernel code, so one
//! kind of lock is enough: [`SpinLock`]. Nothing sleeps while it holds one (debug builds and tests
//! panic). Every lock has a *class* ([`class`]); a thread may only take locks of a higher rank
//! than those it holds. The order is declared once, in `class.rs`.
//!
//! Whoever must wait for something longer does so on a [`WaitQueue`], through the one function
//! that blocks (`wait_until` in `linux-syscall`).
//!
//! The only state here outside of a `Kernel` value is [`hooks`]: set once by whoever runs the
//! libraries, so that a spinning CPU can serve TLB shootdowns and the simulator can choose who runs
//! at every lock.

pub mod class;
pub mod hooks;
mod spin_lock;
mod wait_queue;

pub use class::LockClass;
pub use spin_lock::{SpinGuard, SpinLock};
pub use wait_queue::{WaitEntry, WaitQueue, Waiter};
