//! What real-time tasks leave to the others (`sched(7)`, "Limiting the CPU usage of real-time and
//! deadline processes").
//!
//! Model: in each period of a CPU's time (`sched_rt_period_us`) its real-time tasks may keep fair tasks waiting for
//! `sched_rt_runtime_us`. Once they have, fair tasks go first until the period is over. Only time that
//! somebody waited for counts: where Linux leaves the CPU idle for the rest of the period, here the
//! real-time tasks go on. `RunQueue` guards all of it.

use core::sync::atomic::{AtomicI64, Ordering::Relaxed};

use super::run_queue::{RunQueue, RunTask};
use crate::ensure;
use crate::error::Result;

/// Linux's default of `sched_rr_timeslice_ms`.
const RR_TIMESLICE_MS: i64 = 100;

/// The settings of real-time tasks on all CPUs: the limit, in microseconds, and the slice of `SCHED_RR`.
pub struct RtBandwidth {
    /// In milliseconds, above 0.
    timeslice: AtomicI64,
    /// Below 0: real-time tasks may keep the CPU.
    runtime: AtomicI64,
    period: AtomicI64,
}

impl Default for RtBandwidth {
    fn default() -> RtBandwidth {
        RtBandwidth {
            timeslice: AtomicI64::new(RR_TIMESLICE_MS),
            runtime: AtomicI64::new(950_000),
            period: AtomicI64::new(1_000_000),
        }
    }
}

impl RtBandwidth {
    /// `sched_rr_timeslice_ms`.
    pub fn timeslice_ms(&self) -> i64 {
        self.timeslice.load(Relaxed)
    }
    /// How long a task of `SCHED_RR` runs before the next of its priority, in nanoseconds.
    #[inline]
    pub fn timeslice(&self) -> u64 {
        self.timeslice_ms() as u64 * 1_000_000
    }
    /// Sets `sched_rr_timeslice_ms`; 0 and below is the default.
    pub fn set_timeslice_ms(&self, ms: i64) {
        self.timeslice
            .store(if ms > 0 { ms } else { RR_TIMESLICE_MS }, Relaxed);
    }
    /// `sched_rt_runtime_us`.
    pub fn runtime(&self) -> i64 {
        self.runtime.load(Relaxed)
    }
    /// `sched_rt_period_us`.
    pub fn period(&self) -> i64 {
        self.period.load(Relaxed)
    }
    /// Sets `sched_rt_runtime_us`; `EINVAL` if that is more than a period.
    pub fn set_runtime(&self, us: i64) -> Result<()> {
        ensure!(
            us <= self.period(),
            EINVAL,
            "sched_rt_runtime_us: more than the period"
        );
        self.runtime.store(us, Relaxed);
        Ok(())
    }
    /// Sets `sched_rt_period_us`; `EINVAL` if that is less than the runtime, or nothing.
    pub fn set_period(&self, us: i64) -> Result<()> {
        ensure!(us > 0, EINVAL, "sched_rt_period_us: no period at all");
        ensure!(
            self.runtime() <= us,
            EINVAL,
            "sched_rt_period_us: less than the runtime"
        );
        self.period.store(us, Relaxed);
        Ok(())
    }
    /// Nanoseconds in a period, `None` without a limit.
    fn limit(&self) -> Option<u64> {
        u64::try_from(self.runtime()).ok().map(|us| us * 1000)
    }
    fn period_ns(&self) -> u64 {
        self.period() as u64 * 1000
    }
}

/// The state of a CPU.
#[derive(Default)]
pub(super) struct RtThrottle {
    /// Nanoseconds of this period in which fair tasks waited for real-time ones.
    used: u64,
    period_start: u64,
}

impl<T: RunTask> RunQueue<T> {
    /// Charges what a real-time task used up to now, and begins a new period when one is over.
    pub(super) fn charge_rt(&mut self, delta: u64) {
        let (now, period) = (self.charged_until, self.rt_bandwidth.period_ns());
        let throttle = &mut self.rt_throttle;
        if now.saturating_sub(throttle.period_start) >= period {
            *throttle = RtThrottle {
                used: 0,
                period_start: now - now % period,
            };
        }
        if self.curr_is_rt && self.nr_fair > 0 {
            // What was used before the period began is not of this one.
            self.rt_throttle.used += delta.min(now - self.rt_throttle.period_start);
        }
    }
    /// Whether fair tasks go first.
    #[inline]
    pub(super) fn rt_is_throttled(&self) -> bool {
        self.nr_fair > 0
            && self.rt.len() > 0
            && self
                .rt_bandwidth
                .limit()
                .is_some_and(|limit| self.rt_throttle.used >= limit)
    }
    /// Nanoseconds until that changes, if nothing else does.
    pub(super) fn rt_change(&self) -> u64 {
        if self.nr_fair == 0 || self.rt.len() == 0 {
            return u64::MAX;
        }
        match self.rt_bandwidth.limit() {
            None => u64::MAX,
            Some(limit) if self.rt_throttle.used < limit => limit - self.rt_throttle.used,
            Some(_) => (self.rt_throttle.period_start + self.rt_bandwidth.period_ns())
                .saturating_sub(self.charged_until),
        }
    }
    /// Whether a fair task that has just come is the first that real-time tasks keep waiting: their
    /// time counts from now on.
    pub(super) fn is_first_kept_waiting(&self) -> bool {
        self.curr_is_rt && self.nr_fair == 1
    }
}
