//! Timers on CPU time: `ITIMER_VIRTUAL`, `ITIMER_PROF`, `RLIMIT_CPU`, `RLIMIT_RTTIME`, POSIX timers and sleeps
//! on CPU-time clocks.
//!
//! Model: CPU time passes only while threads run, so nothing has to be set when they do not. While a
//! process has any of these, its running threads have a tick, and each tick compares.
//!
//! Locks: `TimerState` for the lists; signals are sent without it.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::NSEC_PER_SEC;
use super::process_timers::{CpuItimer, ProcessTimers};
use crate::task::signal::send_to_group;
use crate::task::{RLIM_INFINITY, Resource, SigInfo, Signal, Task, ThreadGroup};

/// How often running threads look, in nanoseconds: for timers and `RLIMIT_RTTIME`, and for `RLIMIT_CPU` alone.
const TIMER_TICK: u64 = 1_000_000;
const RLIMIT_TICK: u64 = 10_000_000;

const NSEC_PER_USEC: u64 = 1_000;
const USEC_PER_SEC: u64 = 1_000_000;

/// Something that waits for CPU time to pass.
pub trait CpuTimer: Send + Sync {
    /// Compares with the time used now. False: it is to be forgotten.
    fn check(self: Arc<Self>) -> bool;
}

/// Sets or stops the tick of a process's threads.
pub fn update_tick(group: &ThreadGroup) {
    let timers = &group.timers;
    let has_limit = |resource| group.rlimit(resource).cur != RLIM_INFINITY;
    let tick = if timers.watches_cpu() || has_limit(Resource::RTTIME) {
        TIMER_TICK
    } else if has_limit(Resource::CPU) {
        RLIMIT_TICK
    } else {
        0
    };
    group.sched.set_tick(tick);
}

/// Sets the tick after a limit or a timer was set: threads that run already without one get it now.
pub fn start_tick(group: &ThreadGroup) {
    update_tick(group);
    if group.sched.tick_needed().is_none() {
        return;
    }
    for task in group.threads() {
        task.kernel().sched.look_again(&task);
    }
}

/// Looks at the CPU-time limits of the running task's process, at a tick.
pub fn check_cpu_timers(task: &Arc<Task>) {
    let group = task.group();
    if group.sched.tick_needed().is_none() {
        return;
    }
    let used = group.sched.charged();
    let timers = &group.timers;
    for (which, signal) in [
        (CpuItimer::Virtual, Signal::VTALRM),
        (CpuItimer::Prof, Signal::PROF),
    ] {
        if timers.cpu_itimer_expires(which, used) {
            let _ = send_to_group(group, SigInfo::kernel(signal));
        }
    }
    check_timers(timers);
    check_rlimit(group, Resource::CPU, used.total() / NSEC_PER_SEC, 1);
    if task.sched.is_real_time() {
        check_rlimit(
            group,
            Resource::RTTIME,
            task.sched.rt_time() / NSEC_PER_USEC,
            USEC_PER_SEC,
        );
    }
    update_tick(group);
}

fn check_timers(timers: &ProcessTimers) {
    let list: Vec<Arc<dyn CpuTimer>> = timers.cpu_timers();
    for timer in list {
        if !timer.clone().check() {
            timers.remove_cpu_timer(&timer);
        }
    }
}

/// A limit of CPU time, of which so much is used: SIGXCPU at the soft limit, which goes up by `second`, and
/// SIGKILL at the hard one.
fn check_rlimit(group: &Arc<ThreadGroup>, resource: Resource, used: u64, second: u64) {
    let limit = group.rlimit(resource);
    // Linux does not look at a hard limit alone.
    if limit.cur == RLIM_INFINITY {
        return;
    }
    if limit.max != RLIM_INFINITY && used >= limit.max {
        let _ = send_to_group(group, SigInfo::kernel(Signal::KILL));
    } else if used >= limit.cur {
        let _ = send_to_group(group, SigInfo::kernel(Signal::XCPU));
        let raised = group.update_rlimit(resource, |mut limit| {
            limit.cur = limit.cur.saturating_add(second);
            Ok::<_, core::convert::Infallible>(limit)
        });
        let _ = raised;
    }
}
