//! How long those who need memory wait for what is on its way.
//!
//! A process that was killed for its memory, and any other that ends, gives back what it holds in its own time;
//! killing one more meanwhile would be one too many. But it may be slow, or wait for something that needs memory
//! itself. So there is an end to the wait: after a second in which no victim has gone, as Linux's reaper gives up
//! after a second, and sooner if it is only for processes that nobody killed for it, the next one is chosen.
//!
//! There is one [`Patience`] for the machine and one for each memory cgroup. Who chooses asks it; victims that
//! come and go restart it, at any time.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::time::Ktime;

/// For victims of the killer, in nanoseconds.
pub(super) const FOR_VICTIMS: u64 = 1_000_000_000;
/// For processes that end by themselves.
pub(super) const FOR_OTHERS: u64 = 100_000_000;

/// Since when, and until when at least, somebody has been waiting.
#[derive(Default)]
pub struct Patience {
    /// Time of the first question of this wait; 0: none yet.
    since: AtomicU64,
    /// Time of the last question.
    asked: AtomicU64,
}

impl Patience {
    /// Somebody was killed, or is gone.
    pub(super) fn restart(&self) {
        self.since.store(0, Ordering::SeqCst);
    }

    /// Whether a wait that may take `most` nanoseconds goes on. Questions further apart belong to different
    /// waits.
    pub(super) fn lasts(&self, now: Ktime, most: u64) -> bool {
        let asked = self.asked.swap(now.0, Ordering::SeqCst);
        let mut since = self.since.load(Ordering::SeqCst);
        if since == 0 || now.0.saturating_sub(asked) > most {
            since = now.0;
            self.since.store(since, Ordering::SeqCst);
        }
        now.0.saturating_sub(since) < most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_unless_somebody_goes() {
        let patience = Patience::default();
        let ask = |ms: u64| patience.lasts(Ktime(ms * 1_000_000), FOR_VICTIMS);
        assert!(ask(5000));
        assert!(ask(5400));
        patience.restart();
        assert!(ask(5900));
        assert!(ask(6400));
        assert!(ask(6800));
        assert!(!ask(6900));
        assert!(!ask(7000));
        patience.restart();
        assert!(ask(7100));
    }

    #[test]
    fn a_wait_of_long_ago_does_not_count() {
        let patience = Patience::default();
        assert!(patience.lasts(Ktime(1), FOR_VICTIMS));
        assert!(patience.lasts(Ktime(10 * FOR_VICTIMS), FOR_VICTIMS));
    }
}
