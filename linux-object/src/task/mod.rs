//! Tasks, thread groups, pids, signals.
//!
//! A *task* is a thread. A *thread group* is what user space calls a process. Tasks share what they
//! were cloned to share; each shared part is an `Arc` of its own.

pub mod pid;
mod signal_types;
#[allow(clippy::module_inception)]
mod task;
mod thread_group;
mod thread_info;

pub use signal_types::{SigInfo, SigInfoFields, Signal, SignalSet, si_code};
pub use task::{Task, TaskState};
pub use thread_group::ThreadGroup;
pub use thread_info::ThreadFlags;
