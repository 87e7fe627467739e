//! Where a simulated thread waits for its turn.

use std::sync::{Condvar, Mutex};

/// A gate that lets one passage through for each opening.
#[derive(Default)]
pub struct Gate {
    open: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    /// Lets the waiter through.
    pub fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.changed.notify_one();
    }
    /// Waits until the gate is open, and closes it.
    pub fn pass(&self) {
        let mut open = self.open.lock().unwrap();
        while !*open {
            open = self.changed.wait(open).unwrap();
        }
        *open = false;
    }
}
