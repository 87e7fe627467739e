//! Tasks, thread groups, pids, signals.
//!
//! A *task* is a thread. A *thread group* is what user space calls a process. Tasks share what they
//! were cloned to share; each shared part is an `Arc` of its own.

mod accounting;
pub mod clone;
pub mod exec;
pub mod exit;
mod io_context;
mod kcmp;
mod last_trap;
pub mod pid;
pub mod pid_map;
mod pidfd;
pub mod ptrace;
mod rlimit;
pub mod rseq;
pub mod session;
pub mod signal;
#[allow(clippy::module_inception)]
mod task;
mod task_set;
mod thread_group;
mod thread_info;
mod trace;
pub mod user_dispatch;
mod vfork;
pub mod wait;
mod wake;

pub use accounting::{Accounting, Usage};
pub use io_context::{IoClass, IoContext, IoPrio};
pub use kcmp::{KcmpOrder, KcmpType};
pub use last_trap::LastTrap;
pub use pidfd::PidFd;
pub use rlimit::{RLIM_INFINITY, Resource, Rlimit, Rlimits};
pub use session::{ControllingTty, Session, is_orphaned_pgrp};
pub use signal::{SigInfo, SigInfoFields, Signal, SignalSet, si_code};
pub use task::{Task, TaskInit, TaskParts, TaskShares, TaskState};
pub use task_set::{TaskSet, TaskTree};
pub use thread_group::{ExitState, Family, SigState, SignalFlags, ThreadGroup};
pub use thread_info::ThreadFlags;
pub use user_dispatch::UserDispatch;
pub use vfork::VforkDone;
