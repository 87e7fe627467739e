//! Scheduling policy.
mod sched_task;
pub use sched_task::SchedTask;
