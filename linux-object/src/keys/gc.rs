//! The end of links to what is of no use any more (Linux's `security/keys/gc.c`).
//!
//! A timer runs the collector when the next key is due. Keys that nothing links to need none.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use super::key::NEVER;
use super::{Key, Keys};
use crate::time::{Ktime, NSEC_PER_SEC, TimerCallback, TimerId};

/// When the collector runs next.
pub(super) struct Gc {
    /// In seconds of the wall clock.
    at: i64,
    timer: Option<TimerId>,
}

impl Default for Gc {
    fn default() -> Gc {
        Gc {
            at: NEVER,
            timer: None,
        }
    }
}

/// Keys that are invalidated in one go are collected in one go.
const SOON: u64 = NSEC_PER_SEC / 100;

impl Keys {
    fn delay(&self) -> i64 {
        self.sysctl.key_gc_delay.get()
    }

    /// A key ends at `ends`: the collector is told.
    pub(super) fn ends_at(self: &Arc<Self>, key: &Key, ends: i64) {
        key.ends.store(ends, Ordering::Relaxed);
        if ends != NEVER {
            self.schedule(ends.saturating_add(self.delay()));
        }
    }

    fn schedule(self: &Arc<Self>, at: i64) {
        let mut gc = self.gc.lock();
        if at >= gc.at {
            return;
        }
        if let Some(timer) = gc.timer.take() {
            self.timers.cancel(timer);
        }
        let left = at.saturating_sub(self.now()).max(0) as u64;
        let left = left.saturating_mul(NSEC_PER_SEC).saturating_add(SOON);
        let deadline = Ktime(self.time.now().0.saturating_add(left));
        gc.at = at;
        gc.timer = Some(self.timers.add(deadline, self.clone()));
    }

    /// Removes the links to dead keys; gives the second in which the next one dies.
    pub(super) fn collect(&self, now: i64) -> i64 {
        let delay = self.delay();
        let mut next = NEVER;
        let all = self.all();
        let mut gone = Vec::new();
        for key in &all {
            let ends = key.ends.load(Ordering::Relaxed);
            if ends != NEVER && !key.is_dead(now, delay) {
                next = next.min(ends.saturating_add(delay));
            }
            if key.is_keyring() {
                let _topology = self.topology.lock();
                let links = self.retain_links(key, |link| !link.is_dead(now, delay));
                if !links.is_empty() {
                    gone.push(links);
                }
            }
        }
        next
    }
}

impl TimerCallback for Keys {
    fn fire(self: Arc<Self>, _now: Ktime) {
        let now = self.now();
        {
            let mut gc = self.gc.lock();
            gc.timer = None;
            // Whatever is due by then, were the clock set back, is due a little later.
            gc.at = NEVER;
        }
        let next = self.collect(now);
        if next != NEVER {
            self.schedule(next);
        }
    }
}
