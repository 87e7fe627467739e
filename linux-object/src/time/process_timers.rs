//! The timers of a process: `setitimer(2)`, `timer_create(2)`.
//!
//! Interval timers outlive `execve`, POSIX timers do not; neither is inherited by `fork`.
//!
//! Locks: `TimerState`; one is never taken inside another.

use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use super::alarm::{Alarm, AlarmClock};
use super::cpu_timer::{CpuTimer, start_tick};
use super::posix_timer::PosixTimer;
use super::timerfd::IntervalSetting;
use super::{Ktime, TimerCallback};
use crate::bail;
use crate::error::Result;
use crate::kernel::Kernel;
use crate::sched::CpuTimes;
use crate::sync::{SpinLock, class};
use crate::task::signal::send_to_group;
use crate::task::{SigInfo, Signal, ThreadGroup};

/// Interval timers on CPU time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CpuItimer {
    /// `ITIMER_VIRTUAL`: time in user mode.
    Virtual,
    /// `ITIMER_PROF`: all CPU time.
    Prof,
}

#[derive(Default)]
struct Real {
    alarm: Alarm,
    events: Option<Arc<RealExpired>>,
}

/// An interval timer on CPU time, in nanoseconds of that time.
#[derive(Default, Clone, Copy)]
struct Cpu {
    /// 0: disarmed.
    expires: u64,
    interval: u64,
}

#[derive(Default)]
struct PosixTable {
    timers: BTreeMap<i32, Arc<PosixTimer>>,
    next: i32,
}

/// All of them.
#[derive(Default)]
pub struct ProcessTimers {
    real: SpinLock<Real, class::TimerState>,
    cpu: SpinLock<[Cpu; 2], class::TimerState>,
    posix: SpinLock<PosixTable, class::TimerState>,
    cpu_list: SpinLock<Vec<Arc<dyn CpuTimer>>, class::TimerState>,
    /// Whether any timer on CPU time is armed.
    watches: AtomicBool,
}

struct RealExpired(Weak<ThreadGroup>);

impl TimerCallback for RealExpired {
    fn fire(self: Arc<Self>, now: Ktime) {
        if let Some(group) = self.0.upgrade() {
            let Some(leader) = group.leader() else { return };
            group.timers.real_expired(&group, leader.kernel(), now);
        }
    }
}

/// An interval timer does not expire more often; SIGALRM does not queue up anyway.
const MIN_REAL_INTERVAL: u64 = 50_000;

impl ProcessTimers {
    /// Sets `ITIMER_REAL`, in nanoseconds; value 0 disarms. Returns the old setting.
    pub fn set_real(
        &self,
        group: &Arc<ThreadGroup>,
        kernel: &Kernel,
        new: IntervalSetting,
    ) -> IntervalSetting {
        let mut real = self.real.lock();
        let old = self.read_real(&real, kernel);
        if new.value == 0 {
            real.alarm.disarm(&kernel.timers);
            return old;
        }
        let events = real
            .events
            .get_or_insert_with(|| Arc::new(RealExpired(Arc::downgrade(group))))
            .clone();
        let deadline = kernel.time.now().0.saturating_add(new.value).min(i64::MAX as u64);
        real.alarm.arm(
            &kernel.timers,
            &kernel.time,
            AlarmClock::Monotonic,
            deadline as i64,
            new.interval,
            events,
        );
        old
    }
    /// The setting of `ITIMER_REAL`.
    pub fn real(&self, kernel: &Kernel) -> IntervalSetting {
        self.read_real(&self.real.lock(), kernel)
    }
    fn read_real(&self, real: &Real, kernel: &Kernel) -> IntervalSetting {
        if !real.alarm.is_running() {
            return IntervalSetting::default();
        }
        IntervalSetting {
            // Linux: about to expire is not disarmed.
            value: real.alarm.remaining(&kernel.time).max(1000),
            interval: real.alarm.interval(),
        }
    }
    fn real_expired(&self, group: &Arc<ThreadGroup>, kernel: &Kernel, now: Ktime) {
        {
            let mut real = self.real.lock();
            if !real.alarm.fired(&kernel.time, now) {
                return;
            }
            if real.alarm.interval() == 0 {
                real.alarm.finish();
            } else if let Some(events) = real.events.clone() {
                let at = if real.alarm.interval() < MIN_REAL_INTERVAL {
                    Ktime(now.0 + MIN_REAL_INTERVAL)
                } else {
                    now
                };
                real.alarm.forward(&kernel.time, at);
                real.alarm.restart(&kernel.timers, &kernel.time, events);
            }
        }
        let _ = send_to_group(group, SigInfo::kernel(Signal::ALRM));
    }

    /// Sets an interval timer on CPU time. `used` is the process's time now.
    pub fn set_cpu(
        &self,
        group: &ThreadGroup,
        which: CpuItimer,
        used: CpuTimes,
        new: IntervalSetting,
    ) -> IntervalSetting {
        let old = self.cpu_itimer(which, used);
        self.cpu.lock()[which as usize] = Cpu {
            expires: if new.value == 0 {
                0
            } else {
                time_of(which, used).saturating_add(new.value).max(1)
            },
            interval: new.interval,
        };
        self.update_watch();
        start_tick(group);
        old
    }
    /// The setting of one.
    pub fn cpu_itimer(&self, which: CpuItimer, used: CpuTimes) -> IntervalSetting {
        let timer = self.cpu.lock()[which as usize];
        IntervalSetting {
            value: if timer.expires == 0 {
                0
            } else {
                timer.expires.saturating_sub(time_of(which, used)).max(1000)
            },
            interval: timer.interval,
        }
    }
    /// Whether it expires now; sets it for the next time.
    pub(super) fn cpu_itimer_expires(&self, which: CpuItimer, used: CpuTimes) -> bool {
        let mut timers = self.cpu.lock();
        let timer = &mut timers[which as usize];
        let now = time_of(which, used);
        if timer.expires == 0 || now < timer.expires {
            return false;
        }
        timer.expires = match (now - timer.expires).checked_div(timer.interval) {
            None => 0,
            Some(missed) => timer
                .expires
                .saturating_add((missed + 1).saturating_mul(timer.interval)),
        };
        drop(timers);
        self.update_watch();
        true
    }

    pub(super) fn watches_cpu(&self) -> bool {
        self.watches.load(Ordering::Relaxed)
    }
    fn update_watch(&self) {
        let itimers = self.cpu.lock().iter().any(|timer| timer.expires != 0);
        let watches = itimers || !self.cpu_list.lock().is_empty();
        self.watches.store(watches, Ordering::Relaxed);
    }
    /// Adds what waits for CPU time of this process.
    pub fn add_cpu_timer(&self, group: &ThreadGroup, timer: Arc<dyn CpuTimer>) {
        self.cpu_list.lock().push(timer);
        self.update_watch();
        start_tick(group);
    }
    pub(super) fn cpu_timers(&self) -> Vec<Arc<dyn CpuTimer>> {
        self.cpu_list.lock().clone()
    }
    /// Forgets one.
    pub fn remove_cpu_timer(&self, timer: &Arc<dyn CpuTimer>) {
        let same = |other: &Arc<dyn CpuTimer>| core::ptr::addr_eq(Arc::as_ptr(other), Arc::as_ptr(timer));
        let removed = {
            let mut list = self.cpu_list.lock();
            let at = list.iter().position(same);
            at.map(|at| list.swap_remove(at))
        };
        drop(removed);
        self.update_watch();
    }

    /// Gives a POSIX timer an id; `EAGAIN` when there is none left.
    pub fn add_posix(&self, make: impl FnOnce(i32) -> Arc<PosixTimer>) -> Result<Arc<PosixTimer>> {
        let mut table = self.posix.lock();
        if table.timers.len() >= i32::MAX as usize - 1 {
            bail!(EAGAIN, "timer_create: no id is free");
        }
        while table.timers.contains_key(&table.next) {
            table.next = table.next.checked_add(1).unwrap_or(0);
        }
        let id = table.next;
        table.next = table.next.checked_add(1).unwrap_or(0);
        let timer = make(id);
        table.timers.insert(id, timer.clone());
        Ok(timer)
    }
    /// The POSIX timer with this id.
    pub fn posix(&self, id: i32) -> Result<Arc<PosixTimer>> {
        match self.posix.lock().timers.get(&id) {
            Some(timer) => Ok(timer.clone()),
            None => bail!(EINVAL, "no such timer"),
        }
    }
    /// All POSIX timers by id (`/proc/PID/timers`).
    pub fn posix_timers(&self) -> Vec<Arc<PosixTimer>> {
        self.posix.lock().timers.values().cloned().collect()
    }
    /// Deletes a POSIX timer.
    pub fn delete_posix(&self, id: i32) -> Result<()> {
        let removed = self.posix.lock().timers.remove(&id);
        match removed {
            Some(timer) => {
                timer.delete();
                Ok(())
            }
            None => bail!(EINVAL, "no such timer"),
        }
    }
    /// Deletes all POSIX timers (`execve`, and the end of the process).
    pub fn delete_all_posix(&self) {
        let table = core::mem::take(&mut *self.posix.lock());
        table.timers.values().for_each(|timer| timer.delete());
    }
    /// The process ends (Linux's `exit_itimers`): nothing fires any more.
    pub fn exit(&self, kernel: &Kernel) {
        self.delete_all_posix();
        self.real.lock().alarm.disarm(&kernel.timers);
        *self.cpu.lock() = [Cpu::default(); 2];
        let list = core::mem::take(&mut *self.cpu_list.lock());
        drop(list);
        self.update_watch();
    }
}

fn time_of(which: CpuItimer, used: CpuTimes) -> u64 {
    match which {
        CpuItimer::Virtual => used.user,
        CpuItimer::Prof => used.total(),
    }
}
