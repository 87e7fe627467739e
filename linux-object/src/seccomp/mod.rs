//! Filtering of system calls (`seccomp(2)`, Linux's `Documentation/userspace-api/seccomp_filter.rst`).
//!
//! Model: a task has a [`Mode`] and, in filter mode, the newest of its [`Filter`](filter::Filter)s; each filter keeps
//! the one before it alive, so a chain is shared by all who inherited it and never changes. A filter is
//! a [`Program`] in classic BPF that was checked when it was loaded. Before a call the system-call layer
//! asks [`TaskSeccomp::decide`], which answers with the strictest [`Action`] of the chain.
//!
//! Cost: a task without filters has `ThreadFlags::SECCOMP` clear and pays nothing, since the flag is
//! tested with the others. A filter that looks at nothing but the number and the architecture gives
//! the same answer each time: those that allow are a bitmap ([`filter::Filter::allows_always`]), so such a call is a
//! bit test however long the chain.
//!
//! Invariants: a mode never goes back; a chain only grows; a task with a filter has the flag set.
//!
//! Locks: a task's newest filter is `class::Leaf`, replaced under the `SigHand` lock of its process, so that
//! a birth and a synchronisation of all threads see each other. A listener's requests are `class::Inode`.

mod bpf;
mod filter;
mod log;
mod notify;
mod task;

pub use bpf::{Program, SockFilter};
pub use filter::{FilterBody, FilterFlags};
pub use log::{SeccompLog, log};
pub use notify::{AddFd, Listener, Notification, Outcome, Received, RequestId, Step};
pub use task::{Decision, Mode, Synced, TaskSeccomp};

/// `AUDIT_ARCH_X86_64`.
pub const ARCH: u32 = 0xc000_003e;

/// What a filter looks at (`struct seccomp_data`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Data {
    /// Number of the call.
    pub nr: i32,
    /// `AUDIT_ARCH_*`.
    pub arch: u32,
    /// Where the call was made.
    pub instruction_pointer: u64,
    /// Its arguments.
    pub args: [u64; 6],
}

impl Data {
    /// Bytes of the structure.
    pub const SIZE: u32 = 64;

    /// The structure as 32-bit words, little end first.
    pub fn words(&self) -> [u32; 16] {
        let mut words = [0; 16];
        words[0] = self.nr as u32;
        words[1] = self.arch;
        let rest = [self.instruction_pointer].into_iter().chain(self.args);
        for (pair, value) in words[2..].chunks_exact_mut(2).zip(rest) {
            pair[0] = value as u32;
            pair[1] = (value >> 32) as u32;
        }
        words
    }
}

/// What is to happen with a call, strictest first (`SECCOMP_RET_*`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Action {
    /// The process is killed; also what an unknown action means.
    KillProcess,
    /// The thread is killed.
    KillThread,
    /// SIGSYS.
    Trap,
    /// The call fails with the errno in the data.
    Errno,
    /// A supervisor decides.
    UserNotif,
    /// A tracer decides.
    Trace,
    /// It is made, and logged.
    Log,
    /// It is made.
    Allow,
}

impl Action {
    /// All of them, strictest first, with the names of `/proc/sys/kernel/seccomp`.
    pub const ALL: [(Action, &'static str); 8] = [
        (Action::KillProcess, "kill_process"),
        (Action::KillThread, "kill_thread"),
        (Action::Trap, "trap"),
        (Action::Errno, "errno"),
        (Action::UserNotif, "user_notif"),
        (Action::Trace, "trace"),
        (Action::Log, "log"),
        (Action::Allow, "allow"),
    ];

    /// The number in the upper half of a filter's answer.
    pub const fn code(self) -> u32 {
        match self {
            Action::KillProcess => 0x8000_0000,
            Action::KillThread => 0,
            Action::Trap => 0x0003_0000,
            Action::Errno => 0x0005_0000,
            Action::UserNotif => 0x7fc0_0000,
            Action::Trace => 0x7ff0_0000,
            Action::Log => 0x7ffc_0000,
            Action::Allow => 0x7fff_0000,
        }
    }
    /// The action with exactly this number.
    pub fn from_code(code: u32) -> Option<Action> {
        Action::ALL
            .iter()
            .map(|(action, _)| *action)
            .find(|action| action.code() == code)
    }
    /// The bit of this action in `actions_logged`.
    pub const fn log_bit(self) -> i64 {
        1 << self as u32
    }
    /// What `actions_logged` begins with: everything but `allow`.
    pub const LOGGED_AT_FIRST: i64 = (1 << Action::Allow as u32) - 1;
}

/// A filter's answer: an action and 16 bits of data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer(pub u32);

impl Answer {
    /// `SECCOMP_RET_ALLOW`.
    pub const ALLOW: Answer = Answer(Action::Allow.code());
    /// The action; unknown ones kill the process.
    pub fn action(self) -> Action {
        Action::from_code(self.0 & 0xffff_0000).unwrap_or(Action::KillProcess)
    }
    /// The data.
    pub fn data(self) -> u16 {
        self.0 as u16
    }
    /// Orders answers: the smaller one is stricter. Linux compares the upper halves with a sign.
    pub(self) fn severity(self) -> i32 {
        (self.0 & 0xffff_0000) as i32
    }
}
