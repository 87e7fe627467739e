//! Timers on CPU time: `ITIMER_VIRTUAL`, `ITIMER_PROF`, `RLIMIT_CPU` and POSIX timers on
//! CPU-time clocks.

use alloc::sync::Arc;

use crate::task::Task;

/// Looks at the CPU-time limits of the running task, at a tick.
pub fn check_cpu_timers(task: &Arc<Task>) {
    let _ = task;
}
