//! Priority-inheritance futexes: who owns what, who waits for what, and with which priority.
//!
//! Model: user space takes a free word by itself (0 → its thread's id); the kernel knows a futex only
//! while somebody waits for it. Then it has an owner and waiters, the most urgent first, first come first
//! served among equals. Unlocking hands the futex to the first waiter; nobody steals. Tasks and futexes
//! make a forest (an owner may wait for another futex): each owner runs with the highest real-time
//! priority of those who wait for it, directly or through others. Waiters of the fair class count as
//! equals and lend nothing: their weights are not priorities, in Linux neither.
//!
//! A waiter of `FUTEX_WAIT_REQUEUE_PI` is *parked* at its first word, without any owner, until it is
//! moved to the second one, where it becomes owner or waiter.
//!
//! Who waits where: the caller sleeps until [`PiGraph::is_blocked`] is false, which is asked with the
//! graph locked; whoever changes that wakes it. A waiter that ends its wait by itself calls
//! [`PiGraph::give_up`], which tells whether it was given the futex first.
//!
//! Lifetimes: a task is in the graph while it waits, is parked, or owns a futex that others wait for;
//! [`PiGraph::exit`] takes it out. Its own [`PiPresence`] says so too, and that it has ended, in one
//! word: the end of a task that is not in the graph touches nothing else, and nobody waits for one
//! that has ended. A futex of a dead owner has a new one at once, but its word lies in memory that
//! the dead may not have had: the new owner writes it, and up to then the futex is *stale*.
//!
//! Locks: one for the whole graph, `FutexPi`. Only contended futexes with inheritance come here; in
//! exchange a walk along a chain sees one state of it, where a lock for each futex would have to let go and look
//! again at each step. Under it everything takes the logarithm of the number of tasks, or one step
//! for each link of a chain, at most [`MAX_LOCK_DEPTH`]. Operations without inheritance find words that are waited for
//! here in their own hash bucket ([`FutexTable::mark`](super::FutexTable::mark)). It ranks before `Mm`: the
//! word is changed with the graph locked, so both always agree.
//!
//! Documents: `futex(2)`; `Documentation/locking/pi-futex.rst`, `rt-mutex-design.rst`.

mod graph;
mod presence;

pub use graph::{MAX_LOCK_DEPTH, Owner, PiGraph, Refusal};
pub use presence::PiPresence;

use alloc::sync::Arc;

use super::FutexKey;
use crate::task::Task;

/// What the graph needs of a task.
pub trait PiTask: Clone {
    /// A number that no other task has.
    fn id(&self) -> u64;
    /// Its own priority as Linux counts (`normal_prio`): 0 is the most urgent, the fair class starts
    /// at 100.
    fn normal_prio(&self) -> u8;
    /// Runs it with at least this real-time priority; 0: with its own.
    fn set_boost(&self, priority: u8);
    /// It gets into the graph. False: it cannot, it has ended.
    fn enter(&self) -> bool;
    /// It is out of the graph.
    fn leave(&self);
    /// Tells the hash bucket of a word that somebody waits here for it, or does not any more.
    fn mark(&self, key: FutexKey, waited_for: bool);

    /// Its own real-time priority, 0 in the fair class.
    fn rt_priority(&self) -> u8 {
        99u8.saturating_sub(self.normal_prio())
    }
}

impl PiTask for Arc<Task> {
    fn id(&self) -> u64 {
        self.koid().0
    }
    fn normal_prio(&self) -> u8 {
        self.sched.params().normal_prio()
    }
    fn set_boost(&self, priority: u8) {
        self.kernel().sched.set_boost(self, priority);
    }
    fn enter(&self) -> bool {
        self.pi.enter()
    }
    fn leave(&self) {
        self.pi.leave();
    }
    fn mark(&self, key: FutexKey, waited_for: bool) {
        self.kernel().futexes.mark(key, waited_for);
    }
}

#[cfg(test)]
mod tests;
