//! Linux semantics as a library: tasks, namespaces, control groups, scheduling and memory policy,
//! file systems, signals and time, without a machine underneath.
//!
//! Everything hangs off one value, the [`kernel::Kernel`], which is made from a machine (the ports
//! in [`hal`]) and owns all objects. Objects never block: an operation finishes or answers
//! `EAGAIN`, and a [`sync::WaitQueue`] tells when to try again.
#![no_std]
#![forbid(unsafe_code)]
// Kernel objects refer to each other in a wide circle, which `Send` is proved along.
#![recursion_limit = "256"]

extern crate alloc;
#[cfg(any(test, feature = "sim"))]
extern crate std;

pub mod bpf;
pub mod cbpf;
pub mod cgroup;
pub mod cmdline;
pub mod cred;
pub mod error;
pub mod fs;
pub mod futex;
pub mod hal;
pub mod ids;
pub mod ipc;
pub mod kernel;
pub mod keys;
pub mod kobject;
pub mod loader;
pub mod log_ring;
pub mod mm;
pub mod namespace;
pub mod net;
pub mod rng;
pub mod sched;
pub mod seccomp;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
pub mod sync;
pub mod sysctl;
pub mod task;
pub mod time;
pub mod tty;
