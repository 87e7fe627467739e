//! System calls: the clocks and sleeping (`clock_gettime(2)`, `clock_nanosleep(2)`, `adjtimex(2)`).

use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, Ordering};

use linux_object::cred::Capability;
use linux_object::error::{Error, Result};
use linux_object::sched::StateMask;
use linux_object::task::Task;
use linux_object::time::{AlarmClock, CpuClock, CpuTimer, Ktime, NSEC_PER_SEC};
use linux_object::{bail, ensure, err};

use crate::abi;
use crate::abi::{Timespec, Timeval};
use crate::clock::{Clock, Until, after, wait_for};
use crate::context::Cx;
use crate::restart;
use crate::user_ptr::{UserInPtr, UserOutPtr, UserPtr};
use crate::wait_until::{WaitError, WaitKind, wait_until};

/// `TIMER_ABSTIME`.
pub const TIMER_ABSTIME: i32 = 1;

/// Largest second that CLOCK_REALTIME can be set to: 30 years before `ktime_t` ends.
const SETTOD_SEC_MAX: i64 = i64::MAX / NSEC_PER_SEC as i64 - 30 * 365 * 24 * 3600;

/// `nanosleep(2)`.
pub fn nanosleep(
    cx: &mut Cx<'_>,
    req: UserInPtr<abi::Timespec>,
    rem: UserOutPtr<abi::Timespec>,
) -> Result<usize> {
    let deadline = req.read(cx)?.deadline(cx)?;
    sleep(cx, deadline, rem)
}

/// Sleeps until a monotonic instant, which a restarted call still knows.
fn sleep(cx: &mut Cx<'_>, deadline: Ktime, rem: UserOutPtr<Timespec>) -> Result<usize> {
    match wait_until(cx.task, &[], deadline, WaitKind::Interruptible, || None::<()>) {
        Err(WaitError::Interrupted) => {
            let left = deadline.0.saturating_sub(cx.kernel.time.now().0);
            if left == 0 {
                return Ok(0);
            }
            rem.write_opt(cx, &Timespec::from_nanos(i64::try_from(left).unwrap_or(i64::MAX)))?;
            Err(restart::later(cx, move |cx| sleep(cx, deadline, rem)))
        }
        _ => Ok(0),
    }
}

/// A task that sleeps until CPU time has passed.
struct CpuSleep {
    clock: CpuClock,
    until: u64,
    task: Arc<Task>,
    over: AtomicBool,
}

impl CpuTimer for CpuSleep {
    fn check(self: Arc<Self>) -> bool {
        if self.clock.sample().is_some_and(|now| now < self.until) {
            return true;
        }
        self.over.store(true, Ordering::SeqCst);
        self.task
            .kernel()
            .sched
            .wake_up(&self.task, StateMask::INTERRUPTIBLE);
        false
    }
}

fn sleep_cpu(
    cx: &mut Cx<'_>,
    clock: CpuClock,
    until: u64,
    absolute: bool,
    rem: UserOutPtr<Timespec>,
) -> Result<usize> {
    let group = clock.group().ok_or(err!(EINVAL, "the process is gone"))?;
    let sleep = Arc::new(CpuSleep {
        clock: clock.clone(),
        until,
        task: cx.task.clone(),
        over: AtomicBool::new(false),
    });
    let timer: Arc<dyn CpuTimer> = sleep.clone();
    group.timers.add_cpu_timer(&group, timer.clone());
    let over = || {
        let now = clock.sample().unwrap_or(u64::MAX);
        (sleep.over.load(Ordering::SeqCst) || now >= until).then_some(())
    };
    let outcome = wait_until(cx.task, &[], Ktime::MAX, WaitKind::Interruptible, over);
    group.timers.remove_cpu_timer(&timer);
    if outcome.is_ok() {
        return Ok(0);
    }
    if absolute {
        bail!(ERESTARTNOHAND);
    }
    let left = until.saturating_sub(clock.sample().unwrap_or(until));
    rem.write_opt(cx, &Timespec::from_nanos(left as i64))?;
    Err(restart::later(cx, move |cx| {
        sleep_cpu(cx, clock, until, false, rem)
    }))
}

/// `clock_nanosleep(2)`.
pub fn clock_nanosleep(
    cx: &mut Cx<'_>,
    clockid: i32,
    flags: i32,
    req: UserInPtr<abi::Timespec>,
    rem: UserOutPtr<abi::Timespec>,
) -> Result<usize> {
    let clock = Clock::from_id(cx, clockid)?;
    // The calling thread's CPU-time clock by its constant has no sleep operation at all.
    let sleeps = !matches!(
        clock,
        Clock::MonotonicRaw | Clock::MonotonicCoarse | Clock::RealtimeCoarse
    ) && clockid != 3;
    ensure!(sleeps, EOPNOTSUPP, "this clock has no sleep");
    let nanos = req.read(cx)?.nanos()?;
    let absolute = flags & TIMER_ABSTIME != 0;
    if clock.is_alarm() {
        let cred = cx.task.cred();
        ensure!(cred.capable(Capability::WAKE_ALARM), EPERM, "no CAP_WAKE_ALARM");
    }
    if let Clock::Cpu { clock, own_thread } = clock {
        ensure!(!own_thread, EINVAL, "a thread cannot wait for its own CPU time");
        let now = clock.sample().ok_or(err!(EINVAL, "the process is gone"))?;
        let until = if absolute {
            nanos as u64
        } else {
            now.saturating_add(nanos as u64)
        };
        return sleep_cpu(cx, clock, until, absolute, rem);
    }
    if !absolute {
        let deadline = after(cx, nanos);
        return sleep(cx, deadline, rem);
    }
    let until = match clock.alarm(cx, nanos) {
        Some((AlarmClock::Realtime, at)) => Until::Realtime(at),
        Some((AlarmClock::Monotonic, at)) => Until::Monotonic(Ktime(at as u64)),
        None => bail!(EOPNOTSUPP, "this clock has no sleep"),
    };
    match wait_for(cx, until, || None::<()>) {
        Err(WaitError::Interrupted) => bail!(ERESTARTNOHAND),
        _ => Ok(0),
    }
}

/// `gettimeofday(2)`.
pub fn gettimeofday(cx: &mut Cx<'_>, tv: UserOutPtr<abi::Timeval>, tz: UserOutPtr<u64>) -> Result<usize> {
    tv.write_opt(cx, &Timeval::from_nanos(cx.kernel.time.realtime()))?;
    tz.write_opt(cx, &cx.kernel.time.timezone())?;
    Ok(0)
}

fn check_sys_time(cx: &Cx<'_>) -> Result<()> {
    let cred = cx.task.cred();
    ensure!(cred.capable(Capability::SYS_TIME), EPERM, "no CAP_SYS_TIME");
    Ok(())
}

/// Sets CLOCK_REALTIME (Linux's `do_sys_settimeofday64`).
fn set_realtime(cx: &Cx<'_>, new: Timespec) -> Result<()> {
    ensure!(
        new.is_valid() && new.sec < SETTOD_SEC_MAX,
        EINVAL,
        "not a time that the clock can show"
    );
    check_sys_time(cx)?;
    set_realtime_nanos(cx, new.nanos()?)
}

fn set_realtime_nanos(cx: &Cx<'_>, nanos: i64) -> Result<()> {
    let time = &cx.kernel.time;
    ensure!(
        nanos >= time.now().0 as i64,
        EINVAL,
        "CLOCK_REALTIME may not be before CLOCK_MONOTONIC"
    );
    time.set_realtime(nanos);
    Ok(())
}

/// `settimeofday(2)`.
pub fn settimeofday(cx: &mut Cx<'_>, tv: UserInPtr<abi::Timeval>, tz: UserInPtr<u64>) -> Result<usize> {
    let new = match tv.read_opt(cx)? {
        Some(tv) => {
            ensure!(
                (0..=1_000_000).contains(&tv.usec),
                EINVAL,
                "microseconds out of range"
            );
            Some(Timespec {
                sec: tv.sec,
                nsec: tv.usec * 1000,
            })
        }
        None => None,
    };
    let zone = tz.read_opt(cx)?;
    if let Some(new) = &new {
        ensure!(
            new.is_valid() && new.sec < SETTOD_SEC_MAX,
            EINVAL,
            "not a time that the clock can show"
        );
    }
    check_sys_time(cx)?;
    if let Some(zone) = zone {
        let west = zone as u32 as i32;
        ensure!((-15 * 60..=15 * 60).contains(&west), EINVAL, "no such time zone");
        cx.kernel.time.set_timezone(zone);
    }
    if let Some(new) = new {
        set_realtime(cx, new)?;
    }
    Ok(0)
}

/// `time(2)`.
pub fn time(cx: &mut Cx<'_>, tloc: UserOutPtr<i64>) -> Result<usize> {
    let now = cx.kernel.time.realtime().div_euclid(NSEC_PER_SEC as i64);
    tloc.write_opt(cx, &now)?;
    Ok(now as usize)
}

/// `clock_settime(2)`.
pub fn clock_settime(cx: &mut Cx<'_>, clockid: i32, tp: UserInPtr<abi::Timespec>) -> Result<usize> {
    let clock = Clock::from_id(cx, clockid)?;
    let settable = match &clock {
        Clock::Realtime => true,
        // Process and thread clocks by id have an operation that refuses.
        Clock::Cpu { .. } => clockid < 0 || clockid == 2,
        _ => false,
    };
    ensure!(settable, EINVAL, "this clock cannot be set");
    let new = tp.read(cx)?;
    if let Clock::Cpu { .. } = clock {
        bail!(EPERM, "CPU time cannot be set");
    }
    set_realtime(cx, new)?;
    Ok(0)
}

/// `clock_gettime(2)`.
pub fn clock_gettime(cx: &mut Cx<'_>, clockid: i32, tp: UserOutPtr<abi::Timespec>) -> Result<usize> {
    let now = Clock::from_id(cx, clockid)?.read(cx)?;
    tp.write(cx, &Timespec::from_nanos(now))?;
    Ok(0)
}

/// `clock_getres(2)`.
pub fn clock_getres(cx: &mut Cx<'_>, clockid: i32, res: UserOutPtr<abi::Timespec>) -> Result<usize> {
    let resolution = Clock::from_id(cx, clockid)?.resolution();
    res.write_opt(cx, &Timespec::from_nanos(resolution))?;
    Ok(0)
}

// Bits of `timex.modes` and `timex.status`.
const ADJ_OFFSET: u32 = 0x1;
const ADJ_FREQUENCY: u32 = 0x2;
const ADJ_TICK: u32 = 0x4000;
const ADJ_SETOFFSET: u32 = 0x100;
const ADJ_TAI: u32 = 0x80;
const ADJ_NANO: u32 = 0x2000;
const ADJ_OFFSET_SINGLESHOT: u32 = 0x8001;
const ADJ_OFFSET_SS_READ: u32 = 0xa001;
const STA_UNSYNC: i32 = 0x40;
/// `TIME_ERROR`: the clock is not synchronised.
const TIME_ERROR: usize = 5;
/// `NTP_PHASE_LIMIT`: what Linux reports until someone disciplines the clock.
const MAX_ERROR: i64 = 16_000_000;
/// Microseconds between ticks at `USER_HZ`.
const TICK: i64 = 10_000;

/// The clock as `adjtimex` shows it: it runs freely, and nobody disciplines it.
fn read_timex(cx: &Cx<'_>) -> abi::Timex {
    let time = &cx.kernel.time;
    abi::Timex {
        status: STA_UNSYNC,
        maxerror: MAX_ERROR,
        esterror: MAX_ERROR,
        constant: 2,
        precision: 1,
        tolerance: 500 << 16,
        tick: TICK,
        time: Timeval::from_nanos(time.realtime()),
        tai: time.tai_offset(),
        ..abi::Timex::default()
    }
}

fn adjust(cx: &mut Cx<'_>, buf: UserPtr<abi::Timex>) -> Result<usize> {
    let request = buf.read(cx)?;
    let modes = request.modes;
    if modes != 0 && modes != ADJ_OFFSET_SS_READ {
        check_sys_time(cx)?;
        if modes & ADJ_TICK != 0 {
            ensure!(
                (9000..=11_000).contains(&request.tick),
                EINVAL,
                "tick out of range"
            );
        }
        let slews = modes & 0x8000 == 0 && modes & ADJ_OFFSET != 0 && request.offset != 0
            || modes == ADJ_OFFSET_SINGLESHOT && request.offset != 0
            || modes & ADJ_FREQUENCY != 0 && request.freq != 0
            || modes & ADJ_TICK != 0 && request.tick != TICK;
        ensure!(!slews, EINVAL, "the clock cannot be slewed");
        if modes & ADJ_SETOFFSET != 0 && modes & 0x8000 == 0 {
            let unit = if modes & ADJ_NANO != 0 { 1 } else { 1000 };
            let part = request.time.usec;
            ensure!(
                (0..NSEC_PER_SEC as i64 / unit).contains(&part),
                EINVAL,
                "the fraction of a second is negative or too large"
            );
            let by = request
                .time
                .sec
                .saturating_mul(NSEC_PER_SEC as i64)
                .saturating_add(part * unit);
            set_realtime_nanos(cx, cx.kernel.time.realtime().saturating_add(by))?;
        }
        if modes & ADJ_TAI != 0
            && modes & 0x8000 == 0
            && (0..=i64::from(i32::MAX)).contains(&request.constant)
        {
            cx.kernel.time.set_tai_offset(request.constant as i32);
        }
    }
    let mut answer = read_timex(cx);
    answer.modes = modes;
    if modes & ADJ_NANO != 0 && modes & 0x8000 == 0 {
        // The answer's unit follows the request, as STA_NANO then says.
        answer.status |= 0x2000;
        answer.time.usec = Timespec::from_nanos(cx.kernel.time.realtime()).nsec;
    }
    buf.write(cx, &answer)?;
    Ok(TIME_ERROR)
}

/// `adjtimex(2)`.
pub fn adjtimex(cx: &mut Cx<'_>, buf: UserPtr<abi::Timex>) -> Result<usize> {
    adjust(cx, buf)
}

/// `clock_adjtime(2)`.
pub fn clock_adjtime(cx: &mut Cx<'_>, clockid: i32, buf: UserPtr<abi::Timex>) -> Result<usize> {
    buf.read(cx)?;
    match Clock::from_id(cx, clockid)? {
        Clock::Realtime => adjust(cx, buf),
        _ => Err::<usize, Error>(err!(EOPNOTSUPP, "this clock cannot be adjusted")),
    }
}
