//! Wait queues: who wants to be told when something may have changed.
//!
//! Model: an object owns a queue and calls [`WaitQueue::wake`] after a change, with the poll events
//! that the change may have made true. A waiter is a thread that blocks or a callback (epoll,
//! a poll on several files). Being woken means "look again", never "it is so".
//!
//! Invariants: a waiter enqueues *before* it looks at the condition, and removes itself
//! whatever the outcome. `wake` calls the waiters after it has released the queue's lock, so a
//! waiter may take any lock that ranks after those of the caller, and may be called once more right
//! after it left.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicUsize, Ordering};

use smallvec::SmallVec;

use super::{SpinLock, class};
use crate::fs::PollEvents;

/// Someone who can be told to look again.
pub trait Waiter: Send + Sync {
    /// Something in `events` may have become true. Returns whether an exclusive wake-up was used.
    fn wake(self: Arc<Self>, events: PollEvents) -> bool;
}

/// One place in a queue.
#[derive(Clone)]
pub struct WaitEntry {
    /// Who to tell.
    pub waiter: Arc<dyn Waiter>,
    /// What it wants to hear of; errors and hang-ups are told always.
    pub events: PollEvents,
    /// Of the exclusive ones only as many are told as `wake_nr` asks for.
    pub exclusive: bool,
    /// Names the entry within the queue, to remove it again.
    pub key: usize,
}

/// The queue.
#[derive(Default)]
pub struct WaitQueue {
    /// Number of entries, readable without the lock: waking an empty queue costs one load.
    len: AtomicUsize,
    entries: SpinLock<SmallVec<[WaitEntry; 2]>, class::WaitQueue>,
}

impl WaitQueue {
    /// An empty queue.
    pub fn new() -> WaitQueue {
        WaitQueue::default()
    }

    /// Adds an entry. Exclusive ones go to the end, others to the front, as in Linux.
    pub fn enqueue(&self, entry: WaitEntry) {
        let mut entries = self.entries.lock();
        if entry.exclusive {
            entries.push(entry);
        } else {
            entries.insert(0, entry);
        }
        self.len.store(entries.len(), Ordering::SeqCst);
    }

    /// Removes the entry with this key, if it is still there.
    pub fn dequeue(&self, key: usize) {
        let removed = {
            let mut entries = self.entries.lock();
            let at = entries.iter().position(|entry| entry.key == key);
            let removed = at.map(|at| entries.remove(at));
            self.len.store(entries.len(), Ordering::SeqCst);
            removed
        };
        drop(removed);
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.len.load(Ordering::SeqCst) == 0
    }

    /// Tells every waiter that is interested in `events`, of the exclusive ones only one.
    #[inline]
    pub fn wake(&self, events: PollEvents) {
        self.wake_nr(events, 1);
    }

    /// Tells everyone, the exclusive ones too.
    pub fn wake_all(&self, events: PollEvents) {
        self.wake_nr(events, usize::MAX);
    }

    /// Tells one exclusive waiter and nobody else: the one that was told before left something.
    pub fn wake_next(&self, events: PollEvents) {
        if self.is_empty() {
            return;
        }
        let told: SmallVec<[WaitEntry; 4]> = {
            let entries = self.entries.lock();
            let interested = entries
                .iter()
                .filter(|entry| entry.exclusive && entry.events.intersects(events));
            interested.cloned().collect()
        };
        for entry in told {
            if entry.waiter.wake(events) {
                break;
            }
        }
    }

    /// Tells the interested waiters, at most `nr_exclusive` of the exclusive ones.
    pub fn wake_nr(&self, events: PollEvents, mut nr_exclusive: usize) {
        core::sync::atomic::fence(Ordering::SeqCst);
        if self.is_empty() {
            return;
        }
        let told: SmallVec<[WaitEntry; 4]> = {
            let entries = self.entries.lock();
            entries
                .iter()
                .filter(|entry| entry.events.intersects(events) || events.intersects(PollEvents::ALWAYS))
                .cloned()
                .collect()
        };
        for entry in told {
            if entry.exclusive && nr_exclusive == 0 {
                continue;
            }
            if entry.waiter.wake(events) && entry.exclusive {
                nr_exclusive -= 1;
            }
        }
    }
}
