//! How long those who need memory wait for what is on its way.
//!
//! A process that was killed for its memory, and any other that ends, gives back what it holds in its own time;
//! killing one more meanwhile would be one too many. But it may wait for something that needs memory itself. So
//! there is an end to the wait: after a second in which no victim has gone or was seen at work, as Linux's reaper
//! gives up after a second, and sooner if it is only for processes that nobody killed for it, the next one is
//! chosen. Even those that are at work get no more than [`AT_WORK`] times as long.
//!
//! There is one [`Patience`] for the machine and one for each memory cgroup. Who chooses asks it; victims that
//! come and go restart it, at any time.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::time::Ktime;

/// For victims of the killer, in nanoseconds.
pub(super) const FOR_VICTIMS: u64 = 1_000_000_000;
/// For processes that end by themselves.
pub(super) const FOR_OTHERS: u64 = 100_000_000;
/// So many times as long while somebody of them is at work.
const AT_WORK: u64 = 10;

/// Since when, and until when at least, somebody has been waiting.
#[derive(Default)]
pub struct Patience {
    /// Time of the first question of this wait; 0: none yet.
    first: AtomicU64,
    /// Since when nobody has been seen at work.
    since: AtomicU64,
    /// Time of the last question.
    asked: AtomicU64,
}

impl Patience {
    /// Somebody was killed, or is gone.
    pub(super) fn restart(&self) {
        self.first.store(0, Ordering::SeqCst);
    }

    /// Whether a wait that may take `most` nanoseconds goes on; `at_work`: somebody that it is for runs or is about
    /// to. Questions further apart belong to different waits.
    pub(super) fn lasts(&self, now: Ktime, most: u64, at_work: bool) -> bool {
        let now = now.0;
        let asked = self.asked.swap(now, Ordering::SeqCst);
        let mut first = self.first.load(Ordering::SeqCst);
        let fresh = first == 0 || now.saturating_sub(asked) > most;
        if fresh {
            first = now;
            self.first.store(now, Ordering::SeqCst);
        }
        if fresh || at_work && now.saturating_sub(first) < most * AT_WORK {
            self.since.store(now, Ordering::SeqCst);
            return true;
        }
        now.saturating_sub(self.since.load(Ordering::SeqCst)) < most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_unless_somebody_goes() {
        let patience = Patience::default();
        let ask = |ms: u64| patience.lasts(Ktime(ms * 1_000_000), FOR_VICTIMS, false);
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
        assert!(patience.lasts(Ktime(1), FOR_VICTIMS, false));
        assert!(patience.lasts(Ktime(10 * FOR_VICTIMS), FOR_VICTIMS, false));
    }

    #[test]
    fn those_at_work_get_longer_but_not_for_ever() {
        let patience = Patience::default();
        let ask = |ms: u64, at_work| patience.lasts(Ktime(ms * 1_000_000), FOR_VICTIMS, at_work);
        for ms in (1000..6000).step_by(500) {
            assert!(ask(ms, true));
        }
        assert!(ask(6000, false));
        assert!(ask(6499, false));
        assert!(!ask(6500, false));
        for ms in (7000..11000).step_by(500) {
            assert!(ask(ms, true));
        }
        assert!(ask(11000, true), "the last one seen at work is waited for");
        assert!(!ask(11500, true));
        assert!(!ask(12000, true));
    }
}
