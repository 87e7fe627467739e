//! System calls: timers as files (`timerfd_create(2)`).

use alloc::sync::Arc;

use linux_object::cred::Capability;
use linux_object::error::Result;
use linux_object::fs::{OpenFile, OpenFlags, anon_file};
use linux_object::ids::Fd;
use linux_object::time::{AlarmClock, TimerFd};
use linux_object::{bail, ensure};

use super::timer::{plan, to_itimerspec};
use crate::abi;
use crate::clock::Clock;
use crate::context::Cx;
use crate::user_ptr::{UserInPtr, UserOutPtr};

const TFD_TIMER_ABSTIME: u32 = 1;
const TFD_TIMER_CANCEL_ON_SET: u32 = 2;

fn check_alarm(cx: &Cx<'_>, clock: &Clock) -> Result<()> {
    ensure!(
        !clock.is_alarm() || cx.task.cred().capable(Capability::WAKE_ALARM),
        EPERM,
        "no CAP_WAKE_ALARM"
    );
    Ok(())
}

/// `timerfd_create(2)`.
pub fn timerfd_create(cx: &mut Cx<'_>, clockid: i32, flags: u32) -> Result<usize> {
    let allowed = OpenFlags::CLOEXEC | OpenFlags::NONBLOCK;
    let flags = OpenFlags::from_bits_retain(flags);
    ensure!(allowed.contains(flags), EINVAL, "unknown flags");
    let clock = match clockid {
        0 | 1 | 7 | 8 | 9 => Clock::from_id(cx, clockid)?,
        _ => bail!(EINVAL, "no clock for a timerfd"),
    };
    check_alarm(cx, &clock)?;
    let timer = TimerFd::new(cx.kernel, clockid);
    let mode = OpenFlags::RDWR | flags.intersection(OpenFlags::NONBLOCK);
    let file = anon_file(cx.kernel, "[timerfd]", timer, mode, cx.task.cred())?;
    let limit = cx.task.nofile();
    let cloexec = flags.contains(OpenFlags::CLOEXEC);
    let fd = cx.files().install(file, cloexec, 0, limit)?;
    Ok(fd.0 as usize)
}

fn timer_of(file: &Arc<OpenFile>) -> Result<&TimerFd> {
    let ops = file.ops.as_ref();
    match ops.and_then(|ops| ops.as_any().downcast_ref::<TimerFd>()) {
        Some(timer) => Ok(timer),
        None => bail!(EINVAL, "not a timerfd"),
    }
}

/// `timerfd_settime(2)`.
pub fn timerfd_settime(
    cx: &mut Cx<'_>,
    fd: Fd,
    flags: u32,
    new_value: UserInPtr<abi::ItimerSpec>,
    old_value: UserOutPtr<abi::ItimerSpec>,
) -> Result<usize> {
    let new = new_value.read(cx)?;
    ensure!(
        flags & !(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET) == 0
            && new.value.is_valid()
            && new.interval.is_valid(),
        EINVAL,
        "unknown flags or a bad itimerspec"
    );
    let file = cx.file(fd)?;
    let timer = timer_of(&file)?;
    let clock = Clock::from_id(cx, timer.clockid())?;
    check_alarm(cx, &clock)?;
    let absolute = flags & TFD_TIMER_ABSTIME != 0;
    let (base, at, interval) = plan(cx, &clock, absolute, &new)?;
    let realtime = matches!(clock, Clock::Realtime | Clock::RealtimeAlarm);
    let cancel = realtime && absolute && flags & TFD_TIMER_CANCEL_ON_SET != 0;
    let base = if cancel { AlarmClock::Realtime } else { base };
    let (old, result) = timer.set(base, at, interval, cancel, flags);
    result?;
    old_value.write_opt(cx, &to_itimerspec(old))?;
    Ok(0)
}

/// `timerfd_gettime(2)`.
pub fn timerfd_gettime(cx: &mut Cx<'_>, fd: Fd, curr_value: UserOutPtr<abi::ItimerSpec>) -> Result<usize> {
    let file = cx.file(fd)?;
    let setting = timer_of(&file)?.get();
    curr_value.write(cx, &to_itimerspec(setting))?;
    Ok(0)
}
