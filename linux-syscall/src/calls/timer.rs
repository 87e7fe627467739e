//! System calls: interval timers and POSIX timers (`setitimer(2)`, `timer_create(2)`).

use alloc::sync::Arc;

use linux_object::cred::Capability;
use linux_object::error::Result;
use linux_object::ids::PidNr;
use linux_object::mm::memcg::Item;
use linux_object::task::Signal;
use linux_object::time::{AlarmClock, CpuItimer, IntervalSetting, PosixTimer, TimerBase, TimerNotify};
use linux_object::{bail, ensure, err};

use super::time::TIMER_ABSTIME;
use crate::abi;
use crate::abi::{ItimerSpec, ItimerVal, Timespec, Timeval};
use crate::clock::Clock;
use crate::context::Cx;
use crate::user_ptr::{UserInPtr, UserOutPtr};

const ITIMER_REAL: i32 = 0;
const ITIMER_VIRTUAL: i32 = 1;
const ITIMER_PROF: i32 = 2;

fn cpu_itimer(which: i32) -> Result<CpuItimer> {
    Ok(match which {
        ITIMER_VIRTUAL => CpuItimer::Virtual,
        ITIMER_PROF => CpuItimer::Prof,
        _ => bail!(EINVAL, "no such interval timer"),
    })
}

fn read_itimer(cx: &Cx<'_>, which: i32) -> Result<IntervalSetting> {
    let timers = &cx.task.group().timers;
    if which == ITIMER_REAL {
        return Ok(timers.real(cx.kernel));
    }
    let used = cx.kernel.sched.group_cpu_times(cx.task);
    Ok(timers.cpu_itimer(cpu_itimer(which)?, used))
}

fn set_itimer(cx: &Cx<'_>, which: i32, new: IntervalSetting) -> Result<IntervalSetting> {
    let group = cx.task.group();
    if which == ITIMER_REAL {
        return Ok(group.timers.set_real(group, cx.kernel, new));
    }
    let used = cx.kernel.sched.group_cpu_times(cx.task);
    Ok(group.timers.set_cpu(group, cpu_itimer(which)?, used, new))
}

fn to_itimerval(setting: IntervalSetting) -> ItimerVal {
    ItimerVal {
        interval: Timeval::from_nanos(setting.interval as i64),
        value: Timeval::from_nanos(setting.value as i64),
    }
}

/// `getitimer(2)`.
pub fn getitimer(cx: &mut Cx<'_>, which: i32, curr_value: UserOutPtr<abi::ItimerVal>) -> Result<usize> {
    let setting = read_itimer(cx, which)?;
    curr_value.write(cx, &to_itimerval(setting))?;
    Ok(0)
}

/// `setitimer(2)`. A null `new_value` disarms, as Linux still has it.
pub fn setitimer(
    cx: &mut Cx<'_>,
    which: i32,
    new_value: UserInPtr<abi::ItimerVal>,
    old_value: UserOutPtr<abi::ItimerVal>,
) -> Result<usize> {
    let new = match new_value.read_opt(cx)? {
        Some(new) => IntervalSetting {
            value: new.value.nanos()? as u64,
            interval: new.interval.nanos()? as u64,
        },
        None => IntervalSetting::default(),
    };
    let old = set_itimer(cx, which, new)?;
    old_value.write_opt(cx, &to_itimerval(old))?;
    Ok(0)
}

/// `alarm(2)`.
pub fn alarm(cx: &mut Cx<'_>, seconds: u32) -> Result<usize> {
    let seconds = u64::from(seconds.min(i32::MAX as u32));
    let new = IntervalSetting {
        value: seconds * 1_000_000_000,
        interval: 0,
    };
    let old = to_itimerval(set_itimer(cx, ITIMER_REAL, new)?).value;
    // Rounded, but never down to 0 while it is armed.
    let up = old.usec >= 500_000 || old.sec == 0 && old.usec != 0;
    Ok(old.sec as usize + usize::from(up))
}

const SIGEV_SIGNAL: i32 = 0;
const SIGEV_NONE: i32 = 1;
const SIGEV_THREAD: i32 = 2;
const SIGEV_THREAD_ID: i32 = 4;

fn notify(cx: &Cx<'_>, event: &abi::SigEvent) -> Result<TimerNotify> {
    let signal = || {
        let nr = u32::try_from(event.signo).ok();
        nr.and_then(Signal::new).ok_or(err!(EINVAL, "no such signal"))
    };
    let group = cx.task.group();
    Ok(match event.notify {
        SIGEV_NONE => TimerNotify::None,
        SIGEV_SIGNAL | SIGEV_THREAD => TimerNotify::Process(Arc::downgrade(group), signal()?),
        n if n == SIGEV_SIGNAL | SIGEV_THREAD_ID => {
            let task = cx
                .kernel
                .tasks
                .find_task(cx.task.pid_ns(), PidNr(event.tid))
                .filter(|task| Arc::ptr_eq(task.group(), group));
            let Some(task) = task else {
                bail!(EINVAL, "the thread is not one of this process");
            };
            TimerNotify::Thread(Arc::downgrade(&task), signal()?)
        }
        _ => bail!(EINVAL, "no such notification"),
    })
}

/// `timer_create(2)`.
pub fn timer_create(
    cx: &mut Cx<'_>,
    clockid: i32,
    sevp: UserInPtr<abi::SigEvent>,
    timerid: UserOutPtr<i32>,
) -> Result<usize> {
    let event = sevp.read_opt(cx)?;
    let clock = Clock::from_id(cx, clockid)?;
    if matches!(
        clock,
        Clock::MonotonicRaw | Clock::MonotonicCoarse | Clock::RealtimeCoarse
    ) {
        bail!(EOPNOTSUPP, "this clock has no timers");
    }
    let notify_of = match &event {
        Some(event) => Some(notify(cx, event)?),
        None => None,
    };
    if clock.is_alarm() {
        let cred = cx.task.cred();
        ensure!(cred.capable(Capability::WAKE_ALARM), EPERM, "no CAP_WAKE_ALARM");
    }
    let group = cx.task.group();
    let base = match clock {
        Clock::Cpu { clock, .. } => TimerBase::Cpu(clock),
        _ => TimerBase::Clock,
    };
    let charge = cx
        .kernel
        .memory
        .control
        .charge_kmem(PosixTimer::BYTES, Item::Slab);
    let Ok(memory) = charge else {
        bail!(EAGAIN, "no memory for a timer");
    };
    let timer = group.timers.add_posix(|id| {
        let value = event.map_or(id as u64, |event| event.value);
        let notify = notify_of.unwrap_or_else(|| TimerNotify::Process(Arc::downgrade(group), Signal::ALRM));
        PosixTimer::new(cx.kernel, memory, id, clockid, base, notify, value)
    })?;
    if let Err(error) = timerid.write(cx, &timer.id) {
        group.timers.delete_posix(timer.id)?;
        return Err(error);
    }
    Ok(0)
}

/// An `itimerspec` from an [`IntervalSetting`].
pub(super) fn to_itimerspec(setting: IntervalSetting) -> ItimerSpec {
    let span = |nanos: u64| Timespec::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX));
    ItimerSpec {
        interval: span(setting.interval),
        value: span(setting.value),
    }
}

/// What a setting asks for: the clock to wait on, the instant (`None`: disarm), the interval.
pub(super) fn plan(
    cx: &Cx<'_>,
    clock: &Clock,
    absolute: bool,
    new: &ItimerSpec,
) -> Result<(AlarmClock, Option<i64>, u64)> {
    let value = new.value.nanos()?;
    let interval = new.interval.nanos()? as u64;
    if value == 0 {
        return Ok((AlarmClock::Monotonic, None, interval));
    }
    let (base, at) = if absolute {
        clock
            .alarm(cx, value)
            .ok_or(err!(EOPNOTSUPP, "this clock has no timers"))?
    } else {
        let now = cx.kernel.time.now().0 as i64;
        (AlarmClock::Monotonic, now.saturating_add(value))
    };
    Ok((base, Some(at), interval))
}

/// `timer_settime(2)`.
pub fn timer_settime(
    cx: &mut Cx<'_>,
    timerid: i32,
    flags: i32,
    new_value: UserInPtr<abi::ItimerSpec>,
    old_value: UserOutPtr<abi::ItimerSpec>,
) -> Result<usize> {
    ensure!(!new_value.is_null(), EINVAL, "no new value");
    let new = new_value.read(cx)?;
    ensure!(
        new.value.is_valid() && new.interval.is_valid(),
        EINVAL,
        "not a valid itimerspec"
    );
    let timer = cx.task.group().timers.posix(timerid)?;
    let absolute = flags & TIMER_ABSTIME != 0;
    let old = match timer.cpu_clock() {
        Some(clock) => {
            let now = clock.sample().ok_or(err!(ESRCH, "the process is gone"))?;
            let value = new.value.nanos()? as u64;
            let expires = match (value, absolute) {
                (0, _) => 0,
                (value, true) => value,
                (value, false) => now.saturating_add(value),
            };
            timer.set_cpu(expires, new.interval.nanos()? as u64)
        }
        None => {
            let clock = Clock::from_id(cx, timer.clockid)?;
            let (base, at, interval) = plan(cx, &clock, absolute, &new)?;
            timer.set(base, at, interval)
        }
    };
    old_value.write_opt(cx, &to_itimerspec(old))?;
    Ok(0)
}

/// `timer_gettime(2)`.
pub fn timer_gettime(
    cx: &mut Cx<'_>,
    timerid: i32,
    curr_value: UserOutPtr<abi::ItimerSpec>,
) -> Result<usize> {
    let timer = cx.task.group().timers.posix(timerid)?;
    if let Some(clock) = timer.cpu_clock() {
        // Brings what the clock shows up to date.
        clock.sample();
    }
    curr_value.write(cx, &to_itimerspec(timer.get()))?;
    Ok(0)
}

/// `timer_getoverrun(2)`.
pub fn timer_getoverrun(cx: &mut Cx<'_>, timerid: i32) -> Result<usize> {
    Ok(cx.task.group().timers.posix(timerid)?.overrun() as usize)
}

/// `timer_delete(2)`.
pub fn timer_delete(cx: &mut Cx<'_>, timerid: i32) -> Result<usize> {
    cx.task.group().timers.delete_posix(timerid)?;
    Ok(0)
}
