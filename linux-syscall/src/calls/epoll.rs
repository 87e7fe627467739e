//! System calls: epoll (`epoll(7)`).

use core::time::Duration;

use linux_object::error::{Errno, Result};
use linux_object::fs::epoll::{Epoll, EpollFlags};
use linux_object::fs::{OpenFlags, PollEvents, anon_file};
use linux_object::ids::Fd;
use linux_object::time::Ktime;
use linux_object::{bail, ensure, err};

use super::pipe::install;
use super::poll::{set_user_sigmask, timespec};
use crate::abi;
use crate::context::Cx;
use crate::user_ptr::{UserInPtr, UserOutPtr};
use crate::wait_until::{WaitError, WaitKind, WaitOn, wait_until};

const EPOLL_CTL_ADD: i32 = 1;
const EPOLL_CTL_DEL: i32 = 2;
const EPOLL_CTL_MOD: i32 = 3;
const EP_MAX_EVENTS: i32 = i32::MAX / size_of::<abi::EpollEvent>() as i32;

/// `epoll_create(2)`.
pub fn epoll_create(cx: &mut Cx<'_>, size: i32) -> Result<usize> {
    ensure!(size > 0, EINVAL, "epoll_create: the size is not positive");
    epoll_create1(cx, 0)
}

/// `epoll_wait(2)`.
pub fn epoll_wait(
    cx: &mut Cx<'_>,
    epfd: Fd,
    events: UserOutPtr<abi::EpollEvent>,
    maxevents: i32,
    timeout: i32,
) -> Result<usize> {
    let deadline = deadline_ms(cx, timeout);
    wait(cx, epfd, events, maxevents, deadline)
}

/// When a time-out in milliseconds ends; a negative one never does, 0 has ended.
pub(super) fn deadline_ms(cx: &Cx<'_>, timeout: i32) -> Ktime {
    match timeout {
        0 => Ktime::ZERO,
        ms if ms < 0 => Ktime::MAX,
        ms => cx.kernel.time.now() + Duration::from_millis(ms as u64),
    }
}

fn wait(
    cx: &mut Cx<'_>,
    epfd: Fd,
    events: UserOutPtr<abi::EpollEvent>,
    maxevents: i32,
    deadline: Ktime,
) -> Result<usize> {
    ensure!(
        maxevents > 0 && maxevents <= EP_MAX_EVENTS,
        EINVAL,
        "maxevents is out of range"
    );
    let file = cx.file(epfd)?;
    let Some(epoll) = file.ops_as::<Epoll>() else {
        bail!(EINVAL, "the descriptor is no epoll instance");
    };
    let collect = || {
        let mut emit = |n: usize, ready: u32, data: u64| {
            events.at(n).write(cx, &abi::EpollEvent { events: ready, data })
        };
        epoll.collect(cx.task, maxevents as usize, &mut emit)
    };
    if deadline == Ktime::ZERO {
        let done = collect();
        epoll.pass_on();
        return done;
    }
    let on = [WaitOn::events(epoll.waiters(), PollEvents::READABLE).exclusive()];
    let waited = wait_until(
        cx.task,
        &on,
        deadline,
        WaitKind::Interruptible,
        || match collect() {
            Ok(0) => None,
            done => Some(done),
        },
    );
    epoll.pass_on();
    match waited {
        Ok(done) => done,
        Err(WaitError::TimedOut) => Ok(0),
        Err(WaitError::Interrupted) => Err(err!(EINTR)),
    }
}

/// `epoll_ctl(2)`.
pub fn epoll_ctl(
    cx: &mut Cx<'_>,
    epfd: Fd,
    op: i32,
    fd: Fd,
    event: UserInPtr<abi::EpollEvent>,
) -> Result<usize> {
    let event = if op == EPOLL_CTL_DEL {
        abi::EpollEvent::default()
    } else {
        event.read(cx)?
    };
    let table = cx.task.files();
    let own = table.get_rw(epfd)?;
    let file = table.get_rw(fd)?;
    let pollable = file.ops.as_deref().is_some_and(|ops| ops.wait_queue().is_some());
    ensure!(pollable, EPERM, "the file cannot be polled");
    let epoll = own.ops_as::<Epoll>();
    let (Some(epoll), false) = (epoll, core::ptr::eq(&*own, &*file)) else {
        bail!(EINVAL, "no epoll instance, or one that would watch itself");
    };
    // Waking the machine from sleep is nothing here: it never sleeps.
    let events = event.events & !EpollFlags::WAKEUP.bits();
    let data = event.data;
    match op {
        EPOLL_CTL_ADD => epoll.add(cx.task, &own, &file, fd, events, data)?,
        EPOLL_CTL_DEL => epoll.delete(&file, fd)?,
        EPOLL_CTL_MOD => epoll.modify(cx.task, &file, fd, events, data)?,
        _ => bail!(EINVAL, "epoll_ctl: unknown operation"),
    }
    Ok(0)
}

fn pwait(
    cx: &mut Cx<'_>,
    epfd: Fd,
    events: UserOutPtr<abi::EpollEvent>,
    maxevents: i32,
    deadline: Ktime,
    sigmask: (UserInPtr<u64>, usize),
) -> Result<usize> {
    set_user_sigmask(cx, sigmask.0, sigmask.1)?;
    let done = wait(cx, epfd, events, maxevents, deadline);
    let interrupted = matches!(&done, Err(error) if error.errno() == Errno::EINTR);
    cx.task.restore_saved_sigmask_unless(interrupted);
    done
}

/// `epoll_pwait(2)`.
pub fn epoll_pwait(
    cx: &mut Cx<'_>,
    epfd: Fd,
    events: UserOutPtr<abi::EpollEvent>,
    maxevents: i32,
    timeout: i32,
    sigmask: UserInPtr<u64>,
    sigsetsize: usize,
) -> Result<usize> {
    let deadline = deadline_ms(cx, timeout);
    pwait(cx, epfd, events, maxevents, deadline, (sigmask, sigsetsize))
}

/// `epoll_create1(2)`.
pub fn epoll_create1(cx: &mut Cx<'_>, flags: u32) -> Result<usize> {
    let flags = OpenFlags::from_bits_retain(flags);
    ensure!(
        OpenFlags::CLOEXEC.contains(flags),
        EINVAL,
        "epoll_create1: unknown flags"
    );
    let cred = cx.task.cred();
    let ops = Epoll::new(cx.kernel.epoll_users.clone(), cred.uid);
    let file = anon_file(cx.kernel, "[eventpoll]", ops, OpenFlags::RDWR, cred)?;
    install(cx, file, flags.contains(OpenFlags::CLOEXEC))
}

/// `epoll_pwait2(2)`.
pub fn epoll_pwait2(
    cx: &mut Cx<'_>,
    epfd: Fd,
    events: UserOutPtr<abi::EpollEvent>,
    maxevents: i32,
    timeout: UserInPtr<abi::Timespec>,
    sigmask: UserInPtr<u64>,
    sigsetsize: usize,
) -> Result<usize> {
    let deadline = match timeout.read_opt(cx)? {
        None => Ktime::MAX,
        Some(time) => match timespec(time)? {
            Duration::ZERO => Ktime::ZERO,
            span => cx.kernel.time.now() + span,
        },
    };
    pwait(cx, epfd, events, maxevents, deadline, (sigmask, sigsetsize))
}
