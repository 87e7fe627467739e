//! CPU-time clocks (`clock_getcpuclockid(3)`, `pthread_getcpuclockid(3)`).

use alloc::sync::{Arc, Weak};

use crate::task::{Task, ThreadGroup};

/// Whose time a CPU-time clock counts.
#[derive(Clone)]
pub enum CpuTarget {
    /// One thread's.
    Thread(Weak<Task>),
    /// All threads', living and gone.
    Process(Weak<ThreadGroup>),
}

/// Which time it counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CpuTimeKind {
    /// User and system (`CPUCLOCK_PROF`, `CPUCLOCK_SCHED`).
    Total,
    /// User mode only (`CPUCLOCK_VIRT`).
    User,
}

/// A CPU-time clock.
#[derive(Clone)]
pub struct CpuClock {
    /// Whose time.
    pub target: CpuTarget,
    /// Which time.
    pub kind: CpuTimeKind,
}

impl CpuClock {
    /// Nanoseconds used; `None` once the target is gone.
    pub fn sample(&self) -> Option<u64> {
        let times = match &self.target {
            CpuTarget::Thread(task) => {
                let task = task.upgrade()?;
                task.kernel().sched.cpu_times(&task)
            }
            CpuTarget::Process(group) => {
                let group = group.upgrade()?;
                for task in group.threads() {
                    if task.sched.on_cpu() {
                        task.kernel().sched.cpu_times(&task);
                    }
                }
                group.sched.charged()
            }
        };
        Some(match self.kind {
            CpuTimeKind::Total => times.total(),
            CpuTimeKind::User => times.user,
        })
    }
    /// Nanoseconds charged so far, without a look at who runs now: takes no lock but the process's.
    pub(super) fn sample_charged(&self) -> u64 {
        let times = match &self.target {
            CpuTarget::Thread(task) => task.upgrade().map(|task| task.sched.charged()),
            CpuTarget::Process(group) => group.upgrade().map(|group| group.sched.charged()),
        };
        let times = times.unwrap_or_default();
        match self.kind {
            CpuTimeKind::Total => times.total(),
            CpuTimeKind::User => times.user,
        }
    }
    /// The process whose threads have to watch for it.
    pub fn group(&self) -> Option<Arc<ThreadGroup>> {
        match &self.target {
            CpuTarget::Thread(task) => task.upgrade().map(|task| task.group().clone()),
            CpuTarget::Process(group) => group.upgrade(),
        }
    }
}
