//! The system-call layer of zcell: numbers, arguments, user pointers, waiting.
//!
//! [`table`] has one line per call; each leads to a handler in [`calls`]. Handlers take a
//! [`context::Cx`], copy arguments in through [`user_ptr`], ask objects of `linux-object`, and
//! wait, where they must, in one place.
#![no_std]
#![forbid(unsafe_code)]
// Kernel objects refer to each other in a wide circle, which `Send` is proved along.
#![recursion_limit = "256"]

extern crate alloc;
#[cfg(any(test, feature = "sim"))]
extern crate std;

pub mod abi;
pub mod arg;
pub mod calls;
pub mod clock;
pub mod context;
pub mod dispatch;
mod low_memory;
mod ptrace;
pub mod release_agent;
mod restart;
pub mod rw;
mod seccomp;
pub mod siginfo;
pub mod signal_frame;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
pub mod start;
pub mod strace;
pub mod table;
pub mod thread;
mod user_dispatch;
pub mod user_io;
pub mod user_path;
pub mod user_ptr;
pub mod wait_until;
