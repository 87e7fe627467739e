//! The clocks (`time(7)`, `clock_gettime(2)`).
//!
//! Model: the machine gives one clock, time since boot; all others are it plus an offset. Only
//! the offset of CLOCK_REALTIME can be set, and everyone who waits for an instant of that clock
//! is told ([`Timekeeper::clock_was_set`]). There is no suspend, so CLOCK_BOOTTIME is CLOCK_MONOTONIC;
//! there is no slewing, so CLOCK_MONOTONIC_RAW is it too.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicI32, AtomicI64, AtomicU64, Ordering};

use super::Ktime;
use crate::hal::{Hal, VdsoClock};
use crate::sync::{SpinLock, WaitQueue, class};

/// Nanoseconds in a second.
pub const NSEC_PER_SEC: u64 = 1_000_000_000;

/// Resolution of the coarse clocks: one tick at Linux's 250 Hz.
pub const COARSE_RESOLUTION: u64 = 4_000_000;

/// Told when the clock data for user space have changed: writes the vDSO's data page.
pub type VdsoUpdate = dyn Fn(&VdsoData) + Send + Sync;

/// What the vDSO needs to answer for all clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct VdsoData {
    /// The counter; `None`: user space must make the call.
    pub clock: Option<VdsoClock>,
    /// CLOCK_REALTIME minus CLOCK_MONOTONIC, in nanoseconds.
    pub realtime_offset: i64,
    /// CLOCK_TAI minus CLOCK_REALTIME, in seconds.
    pub tai_offset: i32,
}

/// The clocks of a kernel.
pub struct Timekeeper {
    hal: Arc<dyn Hal>,
    /// CLOCK_REALTIME minus CLOCK_MONOTONIC, in nanoseconds.
    realtime_offset: AtomicI64,
    /// CLOCK_TAI minus CLOCK_REALTIME, in seconds.
    tai_offset: AtomicI32,
    /// `struct timezone`: minutes west, and a number that nobody uses.
    timezone: AtomicU64,
    /// Counts settings of CLOCK_REALTIME (`TFD_TIMER_CANCEL_ON_SET`).
    settings: AtomicU64,
    /// Woken when CLOCK_REALTIME was set.
    pub set_queue: WaitQueue,
    vdso: SpinLock<Option<Arc<VdsoUpdate>>, class::Leaf>,
}

impl Timekeeper {
    /// The clocks of this machine; CLOCK_REALTIME is what its battery clock says.
    pub fn new(hal: Arc<dyn Hal>) -> Timekeeper {
        let offset = i64::try_from(hal.boot_realtime()).unwrap_or(0);
        Timekeeper {
            hal,
            realtime_offset: AtomicI64::new(offset),
            tai_offset: AtomicI32::new(0),
            timezone: AtomicU64::new(0),
            settings: AtomicU64::new(0),
            set_queue: WaitQueue::new(),
            vdso: SpinLock::new(None),
        }
    }

    /// CLOCK_MONOTONIC.
    #[inline]
    pub fn now(&self) -> Ktime {
        self.hal.now()
    }
    /// CLOCK_MONOTONIC_COARSE: as of the last tick there would have been.
    pub fn coarse(&self) -> Ktime {
        let now = self.now().0;
        Ktime(now - now % COARSE_RESOLUTION)
    }
    /// CLOCK_REALTIME in nanoseconds since 1970.
    #[inline]
    pub fn realtime(&self) -> i64 {
        self.to_realtime(self.now())
    }
    /// CLOCK_REALTIME_COARSE: what file times are taken from.
    pub fn realtime_coarse(&self) -> i64 {
        self.to_realtime(self.coarse())
    }
    /// The instant `at` on CLOCK_REALTIME.
    pub fn to_realtime(&self, at: Ktime) -> i64 {
        (at.0 as i64).saturating_add(self.realtime_offset())
    }
    /// CLOCK_REALTIME minus CLOCK_MONOTONIC.
    pub fn realtime_offset(&self) -> i64 {
        self.realtime_offset.load(Ordering::Relaxed)
    }
    /// The monotonic instant when CLOCK_REALTIME is `nanos`, if it is not set meanwhile.
    pub fn from_realtime(&self, nanos: i64) -> Ktime {
        Ktime(nanos.saturating_sub(self.realtime_offset()).max(0) as u64)
    }
    /// CLOCK_TAI minus CLOCK_REALTIME, in seconds.
    pub fn tai_offset(&self) -> i32 {
        self.tai_offset.load(Ordering::Relaxed)
    }
    /// Sets the offset of CLOCK_TAI (`ADJ_TAI`).
    pub fn set_tai_offset(&self, seconds: i32) {
        self.tai_offset.store(seconds, Ordering::Relaxed);
        self.publish();
    }
    /// Sets CLOCK_REALTIME to nanoseconds since 1970. The caller has checked `CAP_SYS_TIME`.
    pub fn set_realtime(&self, nanos: i64) {
        let offset = nanos.saturating_sub(self.now().0 as i64);
        self.realtime_offset.store(offset, Ordering::SeqCst);
        self.clock_was_set();
    }
    /// The kernel's `struct timezone`, which only `settimeofday` and `gettimeofday` use.
    pub fn timezone(&self) -> u64 {
        self.timezone.load(Ordering::Relaxed)
    }
    /// Sets it.
    pub fn set_timezone(&self, zone: u64) {
        self.timezone.store(zone, Ordering::Relaxed);
    }
    /// How often CLOCK_REALTIME was set.
    pub fn settings(&self) -> u64 {
        self.settings.load(Ordering::SeqCst)
    }

    fn clock_was_set(&self) {
        self.settings.fetch_add(1, Ordering::SeqCst);
        self.publish();
        self.set_queue.wake_all(crate::fs::PollEvents::IN);
    }

    /// What the vDSO's data page holds.
    pub fn vdso_data(&self) -> VdsoData {
        VdsoData {
            clock: self.hal.vdso_clock(),
            realtime_offset: self.realtime_offset(),
            tai_offset: self.tai_offset(),
        }
    }
    /// Registers who writes the vDSO's data page; called at once and after every change.
    pub fn on_vdso_change(&self, update: Arc<VdsoUpdate>) {
        *self.vdso.lock() = Some(update);
        self.publish();
    }
    fn publish(&self) {
        let update = self.vdso.lock().clone();
        if let Some(update) = update {
            update(&self.vdso_data());
        }
    }
}
