//! Time: clocks, timers and their queues.

mod ktime;

pub use ktime::Ktime;
