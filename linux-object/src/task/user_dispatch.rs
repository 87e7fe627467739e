//! System calls that user code dispatches itself (`prctl(2)`, `PR_SET_SYSCALL_USER_DISPATCH`): for emulators, which
//! run foreign code whose calls mean something else.
//!
//! Model: a thread names a range of code whose calls are always made, and a byte in its memory, the selector, that
//! says for all others whether they are made or become SIGSYS. Neither children nor a new program have it.
//!
//! Locks: `Leaf`, by the thread itself only.
//!
//! `Documentation/admin-guide/syscall-user-dispatch.rst`.

use core::ops::Range;

use super::{Task, ThreadFlags};
use crate::ids::UserAddr;
use crate::sync::{SpinLock, class};

/// What a thread asked for.
#[derive(Clone, Debug)]
pub struct UserDispatch {
    /// Code whose calls are made.
    pub allowed: Range<u64>,
    /// The selector's place; without one all other calls are blocked.
    pub selector: Option<UserAddr>,
}

impl UserDispatch {
    /// Whether a call from here is made whatever the selector says; `rip` is behind the instruction.
    pub fn allows(&self, rip: u64) -> bool {
        self.allowed.contains(&rip)
    }
}

/// A thread's own setting.
#[derive(Default)]
pub struct TaskUserDispatch(SpinLock<Option<UserDispatch>, class::Leaf>);

impl Task {
    /// Sets it, or ends it.
    pub fn set_user_dispatch(&self, dispatch: Option<UserDispatch>) {
        let on = dispatch.is_some();
        *self.user_dispatch.0.lock() = dispatch;
        if on {
            self.set_thread_flags(ThreadFlags::USER_DISPATCH);
        } else {
            self.clear_thread_flags(ThreadFlags::USER_DISPATCH);
        }
    }
    /// The setting.
    pub fn user_dispatch(&self) -> Option<UserDispatch> {
        self.user_dispatch.0.lock().clone()
    }
}
