//! Futexes (`futex(2)`): user words to wait on.
//!
//! Model: a word is named by a [`FutexKey`]: the address space and address for private ones, the page's
//! origin and offset for shared ones. Waiters of a word stand in a queue in one of many hash
//! buckets: the most urgent first, in the order they came among equals.
//!
//! A waiter enqueues *before* it loads the word: [`FutexTable::enqueue`], then the load, then either
//! [`FutexTable::cancel`] or sleep until [`FutexWaiter::is_woken`]. A waker changes the word first and
//! looks at the bucket afterwards, so one of the two sees the other; user memory is never
//! touched with a bucket locked.
//!
//! Futexes with priority inheritance ([`pi`]) have an owner and are kept apart; a bucket only knows which
//! of its words are among them, so that operations without inheritance refuse them.
//!
//! Locks: `Futex`, two buckets in the order of their index.

pub mod pi;
mod table;

pub use pi::{PiGraph, PiPresence};
pub use table::{FutexKey, FutexTable, FutexWaiter};
