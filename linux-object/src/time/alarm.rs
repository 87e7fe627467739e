//! A settable timer: what timerfds, interval timers and POSIX timers have in common.
//!
//! Model: an [`Alarm`] expires at an instant of CLOCK_MONOTONIC, or of CLOCK_REALTIME, in which case the
//! instant moves when that clock is set. After it expired, an interval says when it would have expired
//! again; nobody is interrupted for expirations that nobody collects: [`Alarm::forward`] counts
//! them when asked. The owner's lock (`class::TimerState`) protects it.

use alloc::sync::Arc;

use super::{Ktime, Timekeeper, TimerCallback, TimerId, Timers};

/// Which clock an instant is on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum AlarmClock {
    /// CLOCK_MONOTONIC, and relative times on any clock.
    #[default]
    Monotonic,
    /// CLOCK_REALTIME; follows its settings.
    Realtime,
}

/// The setting of one timer.
#[derive(Default, Debug)]
pub struct Alarm {
    clock: AlarmClock,
    /// Nanoseconds on `clock`.
    deadline: i64,
    /// Nanoseconds; 0: once.
    interval: u64,
    /// Neither disarmed nor expired for good.
    active: bool,
    timer: Option<TimerId>,
}

impl Alarm {
    /// Arms it. The callback fires once; see [`Alarm::restart`].
    pub fn arm(
        &mut self,
        timers: &Timers,
        time: &Timekeeper,
        clock: AlarmClock,
        deadline: i64,
        interval: u64,
        callback: Arc<dyn TimerCallback>,
    ) {
        self.disarm(timers);
        self.clock = clock;
        self.deadline = deadline;
        self.interval = interval;
        self.active = true;
        self.restart(timers, time, callback);
    }

    /// Disarms it.
    pub fn disarm(&mut self, timers: &Timers) {
        if let Some(id) = self.timer.take() {
            timers.cancel(id);
        }
        self.active = false;
    }

    /// Sets the timer for the deadline as it is now (after `forward`, or after the clock was set).
    pub fn restart(&mut self, timers: &Timers, time: &Timekeeper, callback: Arc<dyn TimerCallback>) {
        if let Some(id) = self.timer.take() {
            timers.cancel(id);
        }
        self.timer = Some(timers.add(self.deadline_mono(time), callback));
    }

    /// The callback of the running setting has come: whether it is due. False for one that came
    /// after a new setting, or before the deadline.
    pub fn fired(&mut self, time: &Timekeeper, now: Ktime) -> bool {
        if !self.active || self.timer.is_none() || self.deadline_mono(time) > now {
            return false;
        }
        self.timer = None;
        true
    }

    /// The deadline on CLOCK_MONOTONIC.
    pub fn deadline_mono(&self, time: &Timekeeper) -> Ktime {
        match self.clock {
            AlarmClock::Monotonic => Ktime(self.deadline.max(0) as u64),
            AlarmClock::Realtime => time.from_realtime(self.deadline),
        }
    }

    /// Moves the deadline over `now` in steps of the interval; returns how many (Linux's
    /// `hrtimer_forward`).
    pub fn forward(&mut self, time: &Timekeeper, now: Ktime) -> u64 {
        let late = match self.clock {
            AlarmClock::Monotonic => (now.0 as i64).saturating_sub(self.deadline),
            AlarmClock::Realtime => time.to_realtime(now).saturating_sub(self.deadline),
        };
        if late < 0 || self.interval == 0 {
            return 0;
        }
        let steps = late as u64 / self.interval + 1;
        let by = steps.saturating_mul(self.interval).min(i64::MAX as u64);
        self.deadline = self.deadline.saturating_add(by as i64);
        steps
    }

    /// Whether it is armed, or expired with an interval.
    pub fn is_active(&self) -> bool {
        self.active
    }
    /// Whether its callback is still to come.
    pub fn is_running(&self) -> bool {
        self.timer.is_some()
    }
    /// It expired for the last time.
    pub fn finish(&mut self) {
        self.active = false;
    }
    /// The interval in nanoseconds.
    pub fn interval(&self) -> u64 {
        self.interval
    }
    /// The clock that the deadline is on.
    pub fn clock(&self) -> AlarmClock {
        self.clock
    }
    /// Nanoseconds until the deadline, 0 if it has passed.
    pub fn remaining(&self, time: &Timekeeper) -> u64 {
        self.deadline_mono(time).0.saturating_sub(time.now().0)
    }
}
