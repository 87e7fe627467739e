//! Timers as files (`timerfd_create(2)`).
//!
//! Locks: `TimerState`; wake-ups are made without it.

use alloc::string::String;
use alloc::sync::{Arc, Weak};
use core::any::Any;
use core::fmt::Write;

use super::alarm::{Alarm, AlarmClock};
use super::{Ktime, Timekeeper, TimerCallback, Timers};
use crate::bail;
use crate::error::Result;
use crate::fs::io::IoDst;
use crate::fs::{FileOps, OpenFile, PollEvents};
use crate::hal::Hal;
use crate::ids::UserAddr;
use crate::kernel::Kernel;
use crate::sync::{SpinLock, WaitEntry, WaitQueue, Waiter, class};
use crate::task::Task;

/// What `timerfd_gettime` tells, in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct IntervalSetting {
    /// Time to the next expiration; 0: disarmed.
    pub value: u64,
    /// Time between expirations; 0: once.
    pub interval: u64,
}

#[derive(Default)]
struct State {
    alarm: Alarm,
    /// Expirations that `read` has not told yet.
    ticks: u64,
    /// `TFD_TIMER_CANCEL_ON_SET`, with the count of clock settings that is known.
    cancel_on_set: Option<u64>,
    /// `TFD_TIMER_ABSTIME` and `TFD_TIMER_CANCEL_ON_SET` of the last setting, for fdinfo.
    flags: u32,
}

/// A timer file.
pub struct TimerFd {
    events: Arc<Events>,
    clockid: i32,
    timers: Arc<Timers>,
    time: Arc<Timekeeper>,
    hal: Arc<dyn Hal>,
    state: SpinLock<State, class::TimerState>,
    queue: WaitQueue,
}

/// What timer queues and the clock hold of the file, so that they do not keep it open.
struct Events(Weak<TimerFd>);

impl TimerCallback for Events {
    fn fire(self: Arc<Self>, now: Ktime) {
        if let Some(file) = self.0.upgrade() {
            file.expire(now);
        }
    }
}

impl Waiter for Events {
    fn wake(self: Arc<Self>, _: PollEvents) -> bool {
        if let Some(file) = self.0.upgrade() {
            file.clock_was_set();
        }
        false
    }
}

impl TimerFd {
    /// A disarmed timer on this clock; the caller has checked that it is one that can be used.
    pub fn new(kernel: &Kernel, clockid: i32) -> Arc<TimerFd> {
        Arc::new_cyclic(|me| TimerFd {
            events: Arc::new(Events(me.clone())),
            clockid,
            timers: kernel.timers.clone(),
            time: kernel.time.clone(),
            hal: kernel.hal.clone(),
            state: SpinLock::default(),
            queue: WaitQueue::new(),
        })
    }
    /// The clock it was made for.
    pub fn clockid(&self) -> i32 {
        self.clockid
    }

    fn callback(&self) -> Arc<dyn TimerCallback> {
        self.events.clone()
    }
    fn key(&self) -> usize {
        core::ptr::from_ref(self) as usize
    }

    /// Arms it, or disarms it at `deadline` `None`; returns the setting before (`timerfd_settime`).
    /// `ECANCELED` if it was to be cancelled by a setting of the clock that has happened.
    pub fn set(
        &self,
        clock: AlarmClock,
        deadline: Option<i64>,
        interval: u64,
        cancel_on_set: bool,
        flags: u32,
    ) -> (IntervalSetting, Result<()>) {
        let settings = self.time.settings();
        self.time.set_queue.dequeue(self.key());
        if clock == AlarmClock::Realtime && deadline.is_some() {
            self.time.set_queue.enqueue(WaitEntry {
                waiter: self.events.clone(),
                events: PollEvents::IN,
                exclusive: false,
                key: self.key(),
            });
        }
        let mut state = self.state.lock();
        let state = &mut *state;
        let old = self.setting(state);
        let canceled = cancel_on_set && state.cancel_on_set.is_some_and(|known| known != settings);
        state.cancel_on_set = cancel_on_set.then_some(settings);
        state.ticks = 0;
        state.flags = flags;
        match deadline {
            Some(deadline) => {
                state.alarm.arm(
                    &self.timers,
                    &self.time,
                    clock,
                    deadline,
                    interval,
                    self.callback(),
                );
            }
            None => state.alarm.disarm(&self.timers),
        }
        let result = if canceled {
            Err(crate::err!(ECANCELED, "timerfd: the clock was set"))
        } else {
            Ok(())
        };
        (old, result)
    }

    /// The time that is left.
    pub fn get(&self) -> IntervalSetting {
        self.setting(&mut self.state.lock())
    }

    /// Collects expirations and tells the setting.
    fn setting(&self, state: &mut State) -> IntervalSetting {
        self.collect(state);
        let interval = state.alarm.interval();
        if !state.alarm.is_active() {
            return IntervalSetting { value: 0, interval };
        }
        IntervalSetting {
            value: state.alarm.remaining(&self.time).max(1),
            interval,
        }
    }

    /// An expired interval timer runs on from here: counts what it missed.
    fn collect(&self, state: &mut State) {
        if state.alarm.is_active() && !state.alarm.is_running() {
            let missed = state.alarm.forward(&self.time, self.time.now());
            state.ticks = state.ticks.saturating_add(missed.saturating_sub(1));
            state.alarm.restart(&self.timers, &self.time, self.callback());
        }
    }

    fn canceled(&self, state: &mut State) -> bool {
        let settings = self.time.settings();
        match &mut state.cancel_on_set {
            Some(known) if *known != settings => {
                *known = settings;
                true
            }
            _ => false,
        }
    }

    fn clock_was_set(&self) {
        let mut state = self.state.lock();
        let cancel = state.cancel_on_set.is_some();
        if cancel {
            state.ticks = state.ticks.saturating_add(1);
        }
        if state.alarm.is_running() {
            state.alarm.restart(&self.timers, &self.time, self.callback());
        }
        drop(state);
        if cancel {
            self.queue.wake_all(PollEvents::READABLE);
        }
    }

    fn take(&self) -> Result<u64> {
        let mut state = self.state.lock();
        if self.canceled(&mut state) {
            state.ticks = 0;
            bail!(ECANCELED, "timerfd: the clock was set");
        }
        if state.ticks == 0 {
            bail!(EAGAIN, "timerfd: not expired");
        }
        self.collect(&mut state);
        Ok(core::mem::take(&mut state.ticks))
    }

    fn expire(&self, now: Ktime) {
        let mut state = self.state.lock();
        if !state.alarm.fired(&self.time, now) {
            return;
        }
        state.ticks = state.ticks.saturating_add(1);
        if state.alarm.interval() == 0 {
            state.alarm.finish();
        }
        drop(state);
        self.queue.wake(PollEvents::READABLE);
    }
}

impl Drop for TimerFd {
    fn drop(&mut self) {
        self.time.set_queue.dequeue(self.key());
        self.state.get_mut().alarm.disarm(&self.timers);
    }
}

/// `TFD_IOC_SET_TICKS`.
const TFD_IOC_SET_TICKS: u32 = 0x4008_5400;

impl FileOps for TimerFd {
    fn read(&self, _: &OpenFile, _: &Arc<Task>, _: &mut u64, to: &mut dyn IoDst) -> Result<usize> {
        if to.remaining() < 8 {
            bail!(EINVAL, "a timerfd is read in 8 bytes");
        }
        let ticks = self.take()?;
        to.put_all(&ticks.to_ne_bytes())?;
        Ok(8)
    }
    fn poll(&self, _: &OpenFile, _: &Arc<Task>) -> PollEvents {
        if self.state.lock().ticks > 0 {
            PollEvents::IN
        } else {
            PollEvents::empty()
        }
    }
    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.queue)
    }
    fn ioctl(&self, _: &OpenFile, _: &Arc<Task>, cmd: u32, arg: UserAddr) -> Result<usize> {
        if cmd != TFD_IOC_SET_TICKS {
            bail!(ENOTTY);
        }
        let mut ticks = [0; 8];
        self.hal.copy_from_user(&mut ticks, arg)?;
        let ticks = u64::from_ne_bytes(ticks);
        if ticks == 0 {
            bail!(EINVAL, "timerfd: 0 ticks");
        }
        let mut state = self.state.lock();
        if self.canceled(&mut state) {
            bail!(ECANCELED, "timerfd: the clock was set");
        }
        state.ticks = ticks;
        drop(state);
        self.queue.wake(PollEvents::READABLE);
        Ok(0)
    }
    fn fdinfo(&self, _: &OpenFile, _: &Arc<Task>, out: &mut String) {
        let state = self.state.lock();
        let ticks = state.ticks;
        let flags = state.flags;
        let value = if state.alarm.is_active() {
            state.alarm.remaining(&self.time)
        } else {
            0
        };
        let interval = state.alarm.interval();
        drop(state);
        let _ = writeln!(out, "clockid: {}", self.clockid);
        let _ = writeln!(out, "ticks: {ticks}");
        let _ = writeln!(out, "settime flags: 0{flags:o}");
        let split = |ns: u64| (ns / 1_000_000_000, ns % 1_000_000_000);
        let _ = writeln!(out, "it_value: {:?}", split(value));
        let _ = writeln!(out, "it_interval: {:?}", split(interval));
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}
