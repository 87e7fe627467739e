//! CPU bandwidth of a group: at most `quota` nanoseconds of CPU time in each `period`.
//!
//! Model: one pool per group. A CPU that runs tasks of the group takes slices out of it and runs on
//! its slice; what it has not used it gives back when its last task of the group leaves. A CPU
//! whose slice is used up while the pool is empty is *throttled* until the next period begins. It
//! may then be some microseconds over, because kernel code is not interrupted: this debt stays with the
//! CPU and is paid first, so that over several periods nothing is gained by it.
//!
//! When a period begins, the CPUs that wait for it have equal parts of the pool, debt included. So
//! none waits for ever, whoever asks first.
//!
//! There is no timer: periods end when somebody asks for time after their end, and each throttled
//! CPU looks again then by its own tick. A period in which nobody ran ends the counting, and the
//! next begins when somebody runs (Linux stops its timer).
//!
//! Invariants: `runtime <= quota + burst`; what was handed out and not given back never exceeds the
//! quotas of the periods that have begun.
//!
//! Locks: the pool is a `Counter`, taken with a run queue locked.
//!
//! `Documentation/scheduler/sched-bwc.rst`.

use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::CpuMask;
use crate::ids::CpuId;
use crate::sync::{SpinLock, class};

/// What a CPU takes out of the pool at once, at most (Linux's `sched_cfs_bandwidth_slice_us`).
const SLICE: u64 = 5_000_000;
/// The period of a group that never had one set.
pub const DEFAULT_PERIOD: u64 = 100_000_000;
/// Given back time that is worth waking throttled CPUs for.
const WORTH_A_KICK: u64 = 1_000_000;

/// A group's limit, in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limit {
    /// CPU time in each period; `None`: no limit.
    pub quota: Option<u64>,
    /// Length of a period.
    pub period: u64,
    /// How much of what was not used before may be used on top of a period's quota.
    pub burst: u64,
}

impl Default for Limit {
    fn default() -> Self {
        Limit {
            quota: None,
            period: DEFAULT_PERIOD,
            burst: 0,
        }
    }
}

/// What the files `cpu.stat` show; times in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BandwidthStat {
    /// Periods in which the group ran.
    pub nr_periods: u64,
    /// Periods at whose end a CPU was throttled.
    pub nr_throttled: u64,
    /// Time that CPUs were throttled, summed over them.
    pub throttled_time: u64,
    /// Periods in which more than the quota was used.
    pub nr_bursts: u64,
    /// What was used on top of quotas.
    pub burst_time: u64,
}

#[derive(Debug, Default)]
struct Pool {
    limit: Limit,
    /// What can still be handed out.
    runtime: u64,
    /// `runtime` when the period began.
    snap: u64,
    /// When the period ends; `None`: nobody runs.
    period_end: Option<u64>,
    /// Somebody asked in this period.
    used: bool,
    throttled: CpuMask,
    /// Those of them that were so when the period began and have not asked yet.
    waiting: CpuMask,
    stat: BandwidthStat,
}

/// The bandwidth of a group.
#[derive(Debug, Default)]
pub struct Bandwidth {
    limited: AtomicBool,
    pool: SpinLock<Pool, class::Counter>,
}

impl Pool {
    fn refill(&mut self, now: u64) {
        let (Some(quota), Some(end)) = (self.limit.quota, self.period_end) else {
            return;
        };
        if now < end {
            return;
        }
        let elapsed = (now - end) / self.limit.period + 1;
        let throttled = !self.throttled.is_empty();
        // One period without use is counted before the counting stops.
        let busy = u64::from(self.used);
        self.stat.nr_periods += if throttled { elapsed } else { elapsed.min(busy + 1) };
        if throttled {
            self.stat.nr_throttled += elapsed;
        }
        let consumed = self.snap.saturating_sub(self.runtime);
        if consumed > quota {
            self.stat.nr_bursts += 1;
            self.stat.burst_time += consumed - quota;
        }
        self.runtime = self
            .runtime
            .saturating_add(quota.saturating_mul(elapsed))
            .min(quota.saturating_add(self.limit.burst));
        self.snap = self.runtime;
        self.waiting = self.throttled;
        self.used = false;
        self.period_end = (throttled || elapsed <= busy).then(|| end + elapsed * self.limit.period);
    }
}

impl Bandwidth {
    /// Whether there is a limit.
    #[inline]
    pub fn is_limited(&self) -> bool {
        self.limited.load(Relaxed)
    }
    /// The limit.
    pub fn limit(&self) -> Limit {
        self.pool.lock().limit
    }
    /// Sets the limit; a period begins with a full pool when somebody runs. The caller makes every
    /// CPU forget its slice.
    pub(super) fn set_limit(&self, limit: Limit, now: u64) {
        let mut pool = self.pool.lock();
        pool.refill(now);
        pool.limit = limit;
        pool.runtime = limit.quota.unwrap_or(0);
        pool.snap = pool.runtime;
        pool.period_end = pool.period_end.map(|_| now + limit.period);
        self.limited.store(limit.quota.is_some(), Relaxed);
    }
    /// Figures up to now.
    pub fn stat(&self, now: u64) -> BandwidthStat {
        let mut pool = self.pool.lock();
        pool.refill(now);
        pool.stat
    }

    /// Hands out a slice and what is needed on top to pay `debt`: less if there is not as much, or if
    /// other CPUs wait for their parts.
    pub(super) fn take(&self, cpu: CpuId, debt: u64, now: u64) -> u64 {
        let mut pool = self.pool.lock();
        pool.refill(now);
        let period = pool.limit.period;
        pool.period_end.get_or_insert(now + period);
        pool.used = true;
        pool.waiting = pool.waiting.without(cpu);
        let part = pool.runtime.div_ceil(pool.waiting.count() as u64 + 1);
        let taken = debt.saturating_add(SLICE.min(period)).min(part);
        pool.runtime -= taken;
        taken
    }

    /// Takes back what was not used. Returns the throttled CPUs that should look again.
    pub(super) fn give_back(&self, time: u64) -> CpuMask {
        let mut pool = self.pool.lock();
        let Some(quota) = pool.limit.quota else {
            return CpuMask::EMPTY;
        };
        let most = quota.saturating_add(pool.limit.burst);
        pool.runtime = pool.runtime.saturating_add(time).min(most);
        if pool.runtime < WORTH_A_KICK.min(quota) {
            return CpuMask::EMPTY;
        }
        pool.throttled
    }

    /// Notes that a CPU is throttled. Returns when it looks again.
    pub(super) fn throttle(&self, cpu: CpuId, now: u64) -> u64 {
        let mut pool = self.pool.lock();
        pool.throttled = CpuMask(pool.throttled.0 | CpuMask::of(cpu).0);
        let period = pool.limit.period;
        *pool.period_end.get_or_insert(now + period)
    }

    /// Notes that a CPU has not been throttled since `since` any more.
    pub(super) fn unthrottle(&self, cpu: CpuId, since: u64, now: u64) {
        let mut pool = self.pool.lock();
        pool.throttled = pool.throttled.without(cpu);
        pool.waiting = pool.waiting.without(cpu);
        pool.stat.throttled_time += now.saturating_sub(since);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn limited(quota: u64, burst: u64) -> Bandwidth {
        let bandwidth = Bandwidth::default();
        let limit = Limit {
            quota: Some(quota),
            period: 100 * MS,
            burst,
        };
        bandwidth.set_limit(limit, 0);
        bandwidth
    }

    #[test]
    fn a_period_hands_out_its_quota() {
        let pool = limited(12 * MS, 0);
        assert_eq!(pool.take(CpuId(0), 0, 0), 5 * MS);
        assert_eq!(pool.take(CpuId(0), 0, 0), 5 * MS);
        assert_eq!(pool.take(CpuId(0), 0, 50 * MS), 2 * MS);
        assert_eq!(pool.take(CpuId(0), 0, 99 * MS), 0);
        pool.throttle(CpuId(0), 99 * MS);
        assert_eq!(pool.take(CpuId(0), MS, 100 * MS), 6 * MS);
        let stat = pool.stat(100 * MS);
        assert_eq!((stat.nr_periods, stat.nr_throttled), (1, 1));
        pool.unthrottle(CpuId(0), 99 * MS, 100 * MS);
        assert_eq!(pool.stat(100 * MS).throttled_time, MS);
    }

    #[test]
    fn idle_periods_are_not_counted_and_a_new_one_starts_with_use() {
        let pool = limited(10 * MS, 0);
        pool.take(CpuId(0), 0, 0);
        assert_eq!(pool.stat(10_000 * MS).nr_periods, 2);
        assert_eq!(pool.stat(20_000 * MS).nr_periods, 2);
        // The period begins in the middle of the old grid.
        assert_eq!(pool.take(CpuId(0), 5 * MS, 20_050 * MS), 10 * MS);
        assert_eq!(pool.take(CpuId(0), 0, 20_149 * MS), 0);
        assert_eq!(pool.take(CpuId(0), 0, 20_150 * MS), 5 * MS);
    }

    #[test]
    fn burst_accumulates_and_is_counted() {
        let pool = limited(10 * MS, 5 * MS);
        assert_eq!(pool.take(CpuId(0), 0, 0), 5 * MS);
        // 5 of 10 are left, 15 at most.
        assert_eq!(pool.take(CpuId(0), 100 * MS, 100 * MS), 15 * MS);
        let stat = pool.stat(200 * MS);
        assert_eq!((stat.nr_bursts, stat.burst_time), (1, 5 * MS));
    }

    #[test]
    fn cpus_that_wait_have_equal_parts_whoever_asks_first() {
        let pool = limited(5 * MS, 0);
        assert_eq!(pool.take(CpuId(0), 0, 0), 5 * MS);
        for cpu in 0..4 {
            pool.throttle(CpuId(cpu), MS);
        }
        // The first would have used all of it for its debt.
        for (cpu, debt) in [(0, 20 * MS), (1, 0), (2, MS), (3, 0)] {
            assert_eq!(pool.take(CpuId(cpu), debt, 100 * MS), 5 * MS / 4);
        }
        assert_eq!(pool.take(CpuId(0), 0, 100 * MS), 0);
    }

    #[test]
    fn what_is_given_back_wakes_throttled_cpus() {
        let pool = limited(10 * MS, 0);
        assert_eq!(pool.take(CpuId(0), 5 * MS, 0), 10 * MS);
        pool.throttle(CpuId(3), 1);
        assert_eq!(pool.give_back(MS / 2), CpuMask::EMPTY);
        assert_eq!(pool.give_back(MS), CpuMask::of(CpuId(3)));
        assert_eq!(pool.give_back(100 * MS).count(), 1);
        assert_eq!(pool.take(CpuId(0), 100 * MS, 2), 10 * MS, "never above the quota");
    }
}
