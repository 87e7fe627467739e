//! The handlers, one file per family of man pages.
//!
//! A handler reads like its man page: arguments are checked in the order in which Linux reports
//! their errors, then the objects do the work. Handlers are the only place that waits.

pub mod aio;
pub mod attr;
pub mod bpf;
pub mod clone;
pub mod cred;
pub mod epoll;
pub mod eventfd;
pub mod exec;
pub mod exit;
pub mod fd;
pub mod file;
pub mod futex;
mod futex_pi;
pub mod handle;
pub mod ids;
pub mod inotify;
pub mod ioprio;
pub mod ipc;
pub mod kcmp;
pub mod keys;
pub mod lock;
pub mod mempolicy;
pub mod mm;
pub mod mount;
pub mod mount_api;
pub mod namespace;
pub mod path;
pub mod pidfd;
pub mod pipe;
pub mod poll;
pub mod prctl;
pub mod process_vm;
pub mod ptrace;
pub mod rlimit;
pub mod rseq;
pub mod sched;
pub mod seccomp;
pub mod signal;
pub mod socket;
pub mod splice;
pub mod stat;
pub mod system;
pub mod time;
pub mod timer;
pub mod timerfd;
pub mod wait;
pub mod xattr;
