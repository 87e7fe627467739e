//! The load average (`proc_loadavg(5)`): runnable tasks, averaged over 1, 5 and 15 minutes.
//!
//! Linux samples every five seconds. Here whoever changes the number of runnable tasks first makes
//! up for the samples that were due while it was what it is, so an idle machine needs no timer.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::Scheduler;
use crate::sync::{SpinLock, class};
use crate::time::Ktime;

/// Nanoseconds between samples: five seconds, and one jiffy as Linux adds it.
pub const LOAD_PERIOD: u64 = 5_004_000_000;
/// Binary places of a load.
const FSHIFT: u32 = 11;
const FIXED_1: u64 = 1 << FSHIFT;
/// `FIXED_1 / exp(5s / period)`.
const EXP: [u64; 3] = [1884, 2014, 2037];

/// The averages.
pub struct LoadAverage {
    next: AtomicU64,
    loads: SpinLock<[u64; 3], class::Leaf>,
}

impl LoadAverage {
    /// Of nobody until now.
    pub fn new(now: Ktime) -> LoadAverage {
        LoadAverage {
            next: AtomicU64::new(now.0 + LOAD_PERIOD),
            loads: SpinLock::new([0; 3]),
        }
    }

    /// Makes up for samples that are due; so many have been `active` since the last.
    #[inline]
    pub fn catch_up(&self, now: Ktime, active: impl Fn() -> u64) {
        if now.0 >= self.next.load(Relaxed) {
            self.sample(now, active());
        }
    }

    /// The averages with 11 binary places.
    pub fn loads(&self) -> [u64; 3] {
        *self.loads.lock()
    }

    fn sample(&self, now: Ktime, active: u64) {
        let mut loads = self.loads.lock();
        let next = self.next.load(Relaxed);
        if now.0 < next {
            return;
        }
        let missed = (now.0 - next) / LOAD_PERIOD + 1;
        self.next.store(next + missed * LOAD_PERIOD, Relaxed);
        for (load, exp) in loads.iter_mut().zip(EXP) {
            // After so many samples nothing of the past is left.
            for _ in 0..missed.min(20_000) {
                let old = *load;
                *load = calc_load(old, exp, active * FIXED_1);
                if *load == old {
                    break;
                }
            }
        }
    }
}

/// Linux's `calc_load`: rounds up while the load rises.
fn calc_load(load: u64, exp: u64, active: u64) -> u64 {
    let new = load * exp + active * (FIXED_1 - exp);
    let round = if active >= load { FIXED_1 - 1 } else { 0 };
    (new + round) / FIXED_1
}

impl Scheduler {
    pub(super) fn nr_active(&self) -> u64 {
        let running = |cpu: &super::CpuState| u64::from(cpu.nr_running.load(Relaxed));
        self.cpus.iter().map(running).sum()
    }

    /// The load averages with 11 binary places (`sysinfo(2)` shows 16).
    pub fn loadavg(&self) -> [u64; 3] {
        self.load.catch_up(self.hal.now(), || self.nr_active());
        self.load.loads()
    }

    /// Tasks that run or wait for a CPU (`/proc/loadavg`, `/proc/stat`).
    pub fn nr_running(&self) -> u64 {
        self.nr_active()
    }

    /// Context switches since boot (`/proc/stat`).
    pub fn nr_switches(&self) -> u64 {
        self.cpus.iter().map(|cpu| cpu.switches.load(Relaxed)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_follows_linux() {
        // One busy task: after a minute the first average is about 1 - 1/e.
        let average = LoadAverage::new(Ktime(0));
        average.catch_up(Ktime(LOAD_PERIOD * 12), || 1);
        let loads = *average.loads.lock();
        assert!((1250..1320).contains(&loads[0]), "{loads:?}");
        assert!(loads[0] > loads[1] && loads[1] > loads[2]);
        average.catch_up(Ktime(LOAD_PERIOD * 12_000), || 0);
        assert_eq!(*average.loads.lock(), [0; 3]);
    }
}
