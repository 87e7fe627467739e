//! Changes of the tree that a walk confined to a directory must not overlook.
//!
//! Model: a walk with `RESOLVE_BENEATH` or `RESOLVE_IN_ROOT` compares where it is with its root at each `..`. That
//! says nothing if a directory or a mount between the two has moved since: the walk may be outside
//! already. So each such move is counted when it begins and when it is done (what Linux reads off `rename_lock` and
//! `mount_lock`); a walk begins while none is under way, and one that meets `..` after a move fails with `EAGAIN`.
//!
//! Invariant: what a move changes is not seen before the move is counted in `begun`. No locks.

use core::sync::atomic::{AtomicU64, Ordering::SeqCst};

use crate::sync::hooks;

/// The moves of directories and mounts, of all file systems.
#[derive(Default, Debug)]
pub struct Moves {
    begun: AtomicU64,
    done: AtomicU64,
}

/// A move under way; dropped, it is done. It is a few instructions long and waits for nothing.
#[must_use]
pub struct Moving<'a>(&'a Moves);

impl Moves {
    /// Announces a move.
    pub fn begin(&self) -> Moving<'_> {
        self.begun.fetch_add(1, SeqCst);
        Moving(self)
    }
    /// A moment at which no move is under way.
    pub fn moment(&self) -> u64 {
        loop {
            let done = self.done.load(SeqCst);
            if self.begun.load(SeqCst) == done {
                return done;
            }
            hooks::relax();
        }
    }
    /// Whether no move has begun since that moment.
    pub fn none_since(&self, moment: u64) -> bool {
        self.begun.load(SeqCst) == moment
    }
}

impl Drop for Moving<'_> {
    fn drop(&mut self) {
        self.0.done.fetch_add(1, SeqCst);
    }
}
