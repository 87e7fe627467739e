//! Whether a task is among those who own or wait, in one word of its own.

use core::sync::atomic::{AtomicU8, Ordering};

const MEMBER: u8 = 1;
const ENDED: u8 = 2;

/// A task's part of the graph of futexes with inheritance. `MEMBER` changes with the graph locked.
#[derive(Default)]
pub struct PiPresence(AtomicU8);

impl PiPresence {
    /// The graph is to know the task. False: it has ended, and stays out.
    pub fn enter(&self) -> bool {
        self.0.fetch_or(MEMBER, Ordering::SeqCst) & ENDED == 0
    }
    /// The graph knows the task no more.
    pub fn leave(&self) {
        self.0.fetch_and(!MEMBER, Ordering::SeqCst);
    }
    /// The task ends: nobody waits for it from now on. Whether it is in the graph, to be taken out.
    pub fn end(&self) -> bool {
        self.0.fetch_or(ENDED, Ordering::SeqCst) & MEMBER != 0
    }
    /// Whether the graph knows the task.
    pub fn is_member(&self) -> bool {
        self.0.load(Ordering::SeqCst) & MEMBER != 0
    }
    /// Whether the task can own no futex any more.
    pub fn has_ended(&self) -> bool {
        self.0.load(Ordering::SeqCst) & ENDED != 0
    }
}
