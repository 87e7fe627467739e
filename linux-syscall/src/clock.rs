//! Clock ids (`clock_gettime(2)`): from a number to a clock, and readings as the caller's time
//! namespace shows them.

use alloc::sync::Arc;

use linux_object::error::Result;
use linux_object::ids::PidNr;
use linux_object::time::{
    AlarmClock, COARSE_RESOLUTION, CpuClock, CpuTarget, CpuTimeKind, Ktime, NSEC_PER_SEC,
};
use linux_object::{bail, ensure};

use crate::abi::{Timespec, Timeval};
use crate::context::Cx;
use crate::wait_until::{WaitError, WaitKind, WaitOn, wait_until};

/// A clock.
#[allow(missing_docs)]
pub enum Clock {
    Realtime,
    Monotonic,
    MonotonicRaw,
    RealtimeCoarse,
    MonotonicCoarse,
    Boottime,
    RealtimeAlarm,
    BoottimeAlarm,
    Tai,
    /// CPU time; `own_thread` tells that it is the calling thread's.
    Cpu {
        clock: CpuClock,
        own_thread: bool,
    },
}

impl Clock {
    /// The clock that `id` names; `EINVAL` if there is none.
    pub fn from_id(cx: &Cx<'_>, id: i32) -> Result<Clock> {
        Ok(match id {
            0 => Clock::Realtime,
            1 => Clock::Monotonic,
            2 => Clock::cpu(cx, !0 << 3 | 2)?,
            3 => Clock::cpu(cx, !0 << 3 | 4 | 2)?,
            4 => Clock::MonotonicRaw,
            5 => Clock::RealtimeCoarse,
            6 => Clock::MonotonicCoarse,
            7 => Clock::Boottime,
            8 => Clock::RealtimeAlarm,
            9 => Clock::BoottimeAlarm,
            11 => Clock::Tai,
            id if id < 0 => Clock::cpu(cx, id)?,
            _ => bail!(EINVAL, "no such clock"),
        })
    }

    /// A CPU-time clock: `~pid << 3`, 4 for a thread's, and which time.
    fn cpu(cx: &Cx<'_>, id: i32) -> Result<Clock> {
        let kind = match id & 3 {
            0 | 2 => CpuTimeKind::Total,
            1 => CpuTimeKind::User,
            _ => bail!(EINVAL, "no clock device"),
        };
        let pid = PidNr(!(id >> 3));
        let tasks = &cx.kernel.tasks;
        let own_thread;
        let target = if id & 4 != 0 {
            let task = match pid.0 {
                0 => Some(cx.task.clone()),
                _ => tasks.find_task(cx.task.pid_ns(), pid),
            };
            let Some(task) = task.filter(|task| Arc::ptr_eq(task.group(), cx.task.group())) else {
                bail!(EINVAL, "a thread's clock is for its process only");
            };
            own_thread = Arc::ptr_eq(&task, cx.task);
            CpuTarget::Thread(Arc::downgrade(&task))
        } else {
            let group = match pid.0 {
                0 => Some(cx.task.group().clone()),
                _ => tasks.find_group(cx.task.pid_ns(), pid),
            };
            let Some(group) = group else {
                bail!(EINVAL, "no such process");
            };
            own_thread = false;
            CpuTarget::Process(Arc::downgrade(&group))
        };
        Ok(Clock::Cpu {
            clock: CpuClock { target, kind },
            own_thread,
        })
    }

    /// What the caller's time namespace adds to it.
    pub fn offset(&self, cx: &Cx<'_>) -> i64 {
        match self {
            Clock::Monotonic | Clock::MonotonicRaw | Clock::MonotonicCoarse => {
                cx.task.nsproxy().time_ns.offsets().monotonic
            }
            Clock::Boottime | Clock::BoottimeAlarm => cx.task.nsproxy().time_ns.offsets().boottime,
            _ => 0,
        }
    }

    /// Nanoseconds that it shows now.
    pub fn read(&self, cx: &Cx<'_>) -> Result<i64> {
        let time = &cx.kernel.time;
        Ok(match self {
            Clock::Realtime | Clock::RealtimeAlarm => time.realtime(),
            Clock::RealtimeCoarse => time.realtime_coarse(),
            Clock::Tai => time.realtime() + i64::from(time.tai_offset()) * NSEC_PER_SEC as i64,
            Clock::MonotonicCoarse => time.coarse().0 as i64 + self.offset(cx),
            Clock::Monotonic | Clock::MonotonicRaw | Clock::Boottime | Clock::BoottimeAlarm => {
                time.now().0 as i64 + self.offset(cx)
            }
            Clock::Cpu { clock, .. } => match clock.sample() {
                Some(nanos) => nanos as i64,
                None => bail!(EINVAL, "the process is gone"),
            },
        })
    }

    /// Its resolution in nanoseconds.
    pub fn resolution(&self) -> i64 {
        match self {
            Clock::RealtimeCoarse | Clock::MonotonicCoarse => COARSE_RESOLUTION as i64,
            _ => 1,
        }
    }

    /// Whether it would wake a suspended machine, for which `CAP_WAKE_ALARM` is needed.
    pub fn is_alarm(&self) -> bool {
        matches!(self, Clock::RealtimeAlarm | Clock::BoottimeAlarm)
    }

    /// How to wait for the instant `at` of this clock: on which clock of the kernel, and when. `None`
    /// if it cannot be waited for like this.
    pub fn alarm(&self, cx: &Cx<'_>, at: i64) -> Option<(AlarmClock, i64)> {
        Some(match self {
            Clock::Realtime | Clock::RealtimeAlarm => (AlarmClock::Realtime, at),
            Clock::Tai => {
                let tai = i64::from(cx.kernel.time.tai_offset()) * NSEC_PER_SEC as i64;
                (AlarmClock::Realtime, at.saturating_sub(tai))
            }
            Clock::Monotonic | Clock::Boottime | Clock::BoottimeAlarm => {
                (AlarmClock::Monotonic, at.saturating_sub(self.offset(cx)).max(0))
            }
            _ => return None,
        })
    }
}

impl Timespec {
    /// From nanoseconds.
    pub fn from_nanos(nanos: i64) -> Timespec {
        let per_sec = NSEC_PER_SEC as i64;
        Timespec {
            sec: nanos.div_euclid(per_sec),
            nsec: nanos.rem_euclid(per_sec),
        }
    }
    /// Whether it is a valid time or span (Linux's `timespec64_valid`).
    pub fn is_valid(&self) -> bool {
        self.sec >= 0 && (0..NSEC_PER_SEC as i64).contains(&self.nsec)
    }
    /// Nanoseconds, at most what a `ktime_t` holds; `EINVAL` if it is not valid.
    pub fn nanos(&self) -> Result<i64> {
        ensure!(self.is_valid(), EINVAL, "not a valid timespec");
        Ok(self
            .sec
            .saturating_mul(NSEC_PER_SEC as i64)
            .saturating_add(self.nsec))
    }
    /// The instant this long after now.
    pub fn deadline(&self, cx: &Cx<'_>) -> Result<Ktime> {
        Ok(after(cx, self.nanos()?))
    }
}

impl Timeval {
    /// From nanoseconds, rounded down.
    pub fn from_nanos(nanos: i64) -> Timeval {
        let time = Timespec::from_nanos(nanos);
        Timeval {
            sec: time.sec,
            usec: time.nsec / 1000,
        }
    }
    /// Nanoseconds of a span; `EINVAL` if it is not valid.
    pub fn nanos(&self) -> Result<i64> {
        ensure!(
            self.sec >= 0 && (0..1_000_000).contains(&self.usec),
            EINVAL,
            "not a valid timeval"
        );
        Ok(self
            .sec
            .saturating_mul(NSEC_PER_SEC as i64)
            .saturating_add(self.usec * 1000))
    }
}

/// The instant `nanos` after now; never for spans beyond what the clock counts.
pub fn after(cx: &Cx<'_>, nanos: i64) -> Ktime {
    if nanos == i64::MAX {
        return Ktime::MAX;
    }
    Ktime(cx.kernel.time.now().0.saturating_add(nanos as u64))
}

/// An instant to wait for.
#[derive(Clone, Copy)]
pub enum Until {
    /// On CLOCK_MONOTONIC.
    Monotonic(Ktime),
    /// On CLOCK_REALTIME, whatever that is set to meanwhile.
    Realtime(i64),
}

/// [`wait_until`] with an instant of either clock, interruptible.
pub fn wait_for<T>(cx: &Cx<'_>, until: Until, mut cond: impl FnMut() -> Option<T>) -> Result<T, WaitError> {
    let at = match until {
        Until::Monotonic(deadline) => {
            return wait_until(cx.task, &[], deadline, WaitKind::Interruptible, cond);
        }
        Until::Realtime(at) => at,
    };
    let time = &cx.kernel.time;
    loop {
        let settings = time.settings();
        let set_or = || match cond() {
            Some(value) => Some(Some(value)),
            None => (time.settings() != settings).then_some(None),
        };
        let on = [WaitOn::any(&time.set_queue)];
        let deadline = time.from_realtime(at);
        if let Some(value) = wait_until(cx.task, &on, deadline, WaitKind::Interruptible, set_or)? {
            return Ok(value);
        }
    }
}
