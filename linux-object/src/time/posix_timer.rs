//! POSIX timers (`timer_create(2)`).
//!
//! Model: a timer sends at most one signal that has not been taken; expirations meanwhile count as
//! overruns, which the taking of the signal tells. So an interval timer runs on when its
//! signal is taken, not before.
//!
//! Locks: `TimerState`; signals are sent without it, and the signal queue calls back in with
//! `SigHand` held.

use alloc::sync::{Arc, Weak};

use super::alarm::{Alarm, AlarmClock};
use super::cpu_clock::CpuClock;
use super::cpu_timer::CpuTimer;
use super::timerfd::IntervalSetting;
use super::{Ktime, Timekeeper, TimerCallback, Timers};
use crate::fs::PollEvents;
use crate::kernel::Kernel;
use crate::mm::memcg::KmemCharge;
use crate::sync::{SpinLock, WaitEntry, Waiter, class};
use crate::task::signal::{Queued, TimerSignal, send_timer};
use crate::task::{SigInfo, SigInfoFields, Signal, Task, ThreadGroup, si_code};

/// Whom an expiration tells.
#[derive(Clone)]
pub enum TimerNotify {
    /// `SIGEV_NONE`.
    None,
    /// `SIGEV_SIGNAL` (and `SIGEV_THREAD`, which the C library makes of it).
    Process(Weak<ThreadGroup>, Signal),
    /// `SIGEV_THREAD_ID`.
    Thread(Weak<Task>, Signal),
}

/// What time the timer runs on.
pub enum TimerBase {
    /// A clock that runs by itself.
    Clock,
    /// CPU time.
    Cpu(CpuClock),
}

#[derive(Default)]
struct State {
    alarm: Alarm,
    /// For CPU time: when it expires on its clock; 0: disarmed.
    cpu_expires: u64,
    cpu_interval: u64,
    /// A signal was sent and not taken.
    pending: bool,
    overrun_last: i32,
    deleted: bool,
}

/// A POSIX timer.
pub struct PosixTimer {
    /// Its id in its process.
    pub id: i32,
    /// The clock as user space named it.
    pub clockid: i32,
    /// Whom it tells.
    pub notify: TimerNotify,
    /// `sigev_value`.
    pub value: u64,
    base: TimerBase,
    timers: Arc<Timers>,
    time: Arc<Timekeeper>,
    events: Arc<Events>,
    _memory: KmemCharge,
    state: SpinLock<State, class::TimerState>,
}

/// What timer queues, the clock and signal queues hold of a timer.
struct Events(Weak<PosixTimer>);

impl TimerCallback for Events {
    fn fire(self: Arc<Self>, now: Ktime) {
        if let Some(timer) = self.0.upgrade() {
            timer.expire(now);
        }
    }
}

impl Waiter for Events {
    fn wake(self: Arc<Self>, _: PollEvents) -> bool {
        if let Some(timer) = self.0.upgrade() {
            timer.clock_was_set();
        }
        false
    }
}

impl TimerSignal for Events {
    fn dequeued(&self) -> i32 {
        self.0.upgrade().map_or(0, |timer| timer.signal_taken())
    }
    fn discarded(&self) {
        if let Some(timer) = self.0.upgrade() {
            timer.signal_discarded();
        }
    }
}

/// Time between expirations whose signal is ignored, at least: one tick of Linux at 250 Hz.
const IGNORED_INTERVAL: u64 = 4_000_000;

fn overruns(expirations: u64) -> i32 {
    i32::try_from(expirations.saturating_sub(1)).unwrap_or(i32::MAX)
}

impl PosixTimer {
    /// What a timer costs, with the record of its signal.
    pub const BYTES: usize = size_of::<PosixTimer>() + size_of::<Queued>();

    /// A disarmed timer, with the charge of [`PosixTimer::BYTES`].
    pub fn new(
        kernel: &Kernel,
        memory: KmemCharge,
        id: i32,
        clockid: i32,
        base: TimerBase,
        notify: TimerNotify,
        value: u64,
    ) -> Arc<PosixTimer> {
        Arc::new_cyclic(|me| PosixTimer {
            id,
            clockid,
            notify,
            value,
            base,
            timers: kernel.timers.clone(),
            time: kernel.time.clone(),
            events: Arc::new(Events(me.clone())),
            _memory: memory,
            state: SpinLock::default(),
        })
    }
    /// The CPU-time clock it runs on, if it does.
    pub fn cpu_clock(&self) -> Option<&CpuClock> {
        match &self.base {
            TimerBase::Cpu(clock) => Some(clock),
            TimerBase::Clock => None,
        }
    }
    fn is_silent(&self) -> bool {
        matches!(self.notify, TimerNotify::None)
    }
    fn key(&self) -> usize {
        core::ptr::from_ref(self) as usize
    }

    /// Arms a timer on a clock that runs by itself (`deadline` on `clock`; `None`: disarms).
    /// Returns the old setting.
    pub fn set(&self, clock: AlarmClock, deadline: Option<i64>, interval: u64) -> IntervalSetting {
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
        let old = self.read(&mut state);
        state.pending = false;
        state.overrun_last = 0;
        match deadline {
            Some(deadline) if !state.deleted => {
                state.alarm.arm(
                    &self.timers,
                    &self.time,
                    clock,
                    deadline,
                    interval,
                    self.events.clone(),
                );
            }
            _ => state.alarm.disarm(&self.timers),
        }
        old
    }

    /// Arms a timer on CPU time: expires when its clock shows `expires` (0: disarms).
    pub fn set_cpu(self: &Arc<Self>, expires: u64, interval: u64) -> IntervalSetting {
        let old = {
            let mut state = self.state.lock();
            let old = self.read(&mut state);
            state.pending = false;
            state.overrun_last = 0;
            state.cpu_expires = expires;
            state.cpu_interval = interval;
            old
        };
        self.watch(expires != 0);
        old
    }

    /// Has the threads of the clock's process look at this timer, or no more.
    fn watch(self: &Arc<Self>, on: bool) {
        let Some(group) = self.cpu_clock().and_then(CpuClock::group) else {
            return;
        };
        let me: Arc<dyn CpuTimer> = self.clone();
        group.timers.remove_cpu_timer(&me);
        if on {
            group.timers.add_cpu_timer(&group, me);
        }
    }

    /// The time that is left, and the interval (`timer_gettime(2)`).
    pub fn get(&self) -> IntervalSetting {
        self.read(&mut self.state.lock())
    }

    fn read(&self, state: &mut State) -> IntervalSetting {
        if let TimerBase::Cpu(clock) = &self.base {
            let now = clock.sample_charged();
            let mut expires = state.cpu_expires;
            if expires != 0 && now >= expires && state.cpu_interval != 0 {
                expires += ((now - expires) / state.cpu_interval + 1) * state.cpu_interval;
            }
            return IntervalSetting {
                value: if expires == 0 {
                    0
                } else {
                    expires.saturating_sub(now).max(1)
                },
                interval: state.cpu_interval,
            };
        }
        let interval = state.alarm.interval();
        if !state.alarm.is_active() {
            return IntervalSetting { value: 0, interval };
        }
        // A timer that waits for its signal to be taken, or that tells nobody, is not running.
        if interval != 0 && (state.pending || self.is_silent()) {
            state.alarm.forward(&self.time, self.time.now());
        }
        let remaining = state.alarm.remaining(&self.time);
        let value = if remaining == 0 && self.is_silent() && interval == 0 {
            0
        } else {
            remaining.max(1)
        };
        IntervalSetting { value, interval }
    }

    /// Overruns of the signal that was taken last (`timer_getoverrun(2)`).
    pub fn overrun(&self) -> i32 {
        self.state.lock().overrun_last
    }

    /// Stops it for good.
    pub fn delete(self: &Arc<Self>) {
        self.time.set_queue.dequeue(self.key());
        {
            let mut state = self.state.lock();
            state.deleted = true;
            state.pending = false;
            state.alarm.disarm(&self.timers);
            state.cpu_expires = 0;
        }
        self.watch(false);
    }

    fn expire(self: &Arc<Self>, now: Ktime) {
        {
            let mut state = self.state.lock();
            if !state.alarm.fired(&self.time, now) || self.is_silent() {
                return;
            }
            state.pending = true;
            if state.alarm.interval() == 0 {
                state.alarm.finish();
            }
        }
        self.send();
    }

    fn send(self: &Arc<Self>) {
        let (task, to_group, signal) = match &self.notify {
            TimerNotify::None => return,
            TimerNotify::Process(group, signal) => {
                let leader = group.upgrade().and_then(|group| group.leader());
                (leader, true, *signal)
            }
            TimerNotify::Thread(task, signal) => (task.upgrade(), false, *signal),
        };
        let info = SigInfo {
            signal,
            errno: 0,
            code: si_code::SI_TIMER,
            fields: SigInfoFields::Timer {
                id: self.id,
                overrun: 0,
                value: self.value,
            },
        };
        if let Some(task) = task {
            let _ = send_timer(&task, to_group, info, self.events.clone());
        }
    }

    fn signal_taken(&self) -> i32 {
        let mut state = self.state.lock();
        if !core::mem::take(&mut state.pending) {
            return 0;
        }
        self.run_on(&mut state, 0)
    }

    fn signal_discarded(&self) {
        let mut state = self.state.lock();
        if core::mem::take(&mut state.pending) {
            self.run_on(&mut state, IGNORED_INTERVAL);
        }
    }

    /// Sets an interval timer for its next expiration, at least `pause` away; returns overruns.
    fn run_on(&self, state: &mut State, pause: u64) -> i32 {
        let mut missed = 0;
        if let TimerBase::Cpu(clock) = &self.base {
            let now = clock.sample_charged();
            if state.cpu_interval != 0 && state.cpu_expires != 0 && now >= state.cpu_expires {
                let steps = (now - state.cpu_expires) / state.cpu_interval + 1;
                state.cpu_expires += steps * state.cpu_interval;
                missed = overruns(steps);
            }
        } else if state.alarm.is_active() && state.alarm.interval() != 0 {
            let now = self.time.now();
            let at = if state.alarm.interval() < pause {
                Ktime(now.0 + pause)
            } else {
                now
            };
            missed = overruns(state.alarm.forward(&self.time, at));
            state.alarm.restart(&self.timers, &self.time, self.events.clone());
        }
        state.overrun_last = missed;
        missed
    }

    fn clock_was_set(&self) {
        let mut state = self.state.lock();
        if state.alarm.is_running() && state.alarm.clock() == AlarmClock::Realtime {
            state.alarm.restart(&self.timers, &self.time, self.events.clone());
        }
    }
}

impl CpuTimer for PosixTimer {
    fn check(self: Arc<Self>) -> bool {
        let Some(now) = self.cpu_clock().and_then(CpuClock::sample) else {
            return false;
        };
        let keep = {
            let mut state = self.state.lock();
            if state.deleted || state.cpu_expires == 0 {
                return false;
            }
            if state.pending || now < state.cpu_expires {
                return true;
            }
            if self.is_silent() {
                return state.cpu_interval != 0;
            }
            state.pending = true;
            if state.cpu_interval == 0 {
                state.cpu_expires = 0;
            }
            state.cpu_interval != 0
        };
        self.send();
        keep
    }
}

impl Drop for PosixTimer {
    fn drop(&mut self) {
        self.time.set_queue.dequeue(self.key());
        self.state.get_mut().alarm.disarm(&self.timers);
    }
}
