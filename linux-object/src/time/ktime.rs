//! Instants and spans in nanoseconds.

use core::ops::{Add, Sub};
use core::time::Duration;

/// Nanoseconds since boot on the monotonic clock (Linux's `ktime_t`). As a deadline,
/// [`Ktime::MAX`] never comes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Ktime(pub u64);

impl Ktime {
    /// Boot.
    pub const ZERO: Ktime = Ktime(0);
    /// Never.
    pub const MAX: Ktime = Ktime(u64::MAX);
    /// Nanoseconds.
    pub fn as_nanos(self) -> u64 {
        self.0
    }
    /// Time from `earlier` to here, 0 if it is later.
    pub fn since(self, earlier: Ktime) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Ktime {
    type Output = Ktime;
    fn add(self, span: Duration) -> Ktime {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        Ktime(self.0.saturating_add(nanos))
    }
}

impl Sub<Duration> for Ktime {
    type Output = Ktime;
    fn sub(self, span: Duration) -> Ktime {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        Ktime(self.0.saturating_sub(nanos))
    }
}
