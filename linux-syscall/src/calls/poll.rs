//! System calls: poll and select (`poll(2)`, `select(2)`).
//!
//! Both gather the files once, wait on all their queues together and ask every file again when
//! woken.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use linux_object::error::{Errno, Result};
use linux_object::fs::{OpenFile, PollEvents};
use linux_object::ids::Fd;
use linux_object::task::{Resource, SignalSet, Task};
use linux_object::time::Ktime;
use linux_object::{bail, ensure, err};
use smallvec::SmallVec;

use super::epoll::deadline_ms;
use crate::abi;
use crate::context::Cx;
use crate::restart;
use crate::user_ptr::{UserInPtr, UserPtr};
use crate::wait_until::{WaitError, WaitKind, WaitOn, wait_until};

/// A file to ask, for what, and the answer. `poll` asks for errors and hang-ups always, `select` where a
/// set wants them.
struct Asked {
    file: Option<Arc<OpenFile>>,
    events: PollEvents,
    found: PollEvents,
}

impl Asked {
    fn look(&mut self, task: &Arc<Task>) -> bool {
        if let Some(file) = &self.file {
            let now = match file.ops.as_deref() {
                Some(ops) => ops.poll(file, task),
                None => PollEvents::READABLE | PollEvents::WRITABLE,
            };
            self.found = now & self.events;
        }
        !self.found.is_empty()
    }
}

/// Waits until one of the files has something to tell. The answers are in `asked` whatever is returned.
fn wait(cx: &Cx<'_>, asked: &mut [Asked], deadline: Ktime) -> Result<(), WaitError> {
    let task = cx.task;
    // Not `any`: every answer is wanted.
    let look = |asked: &mut [Asked]| asked.iter_mut().fold(false, |any, one| one.look(task) | any);
    if look(asked) || deadline == Ktime::ZERO {
        return Ok(());
    }
    let files: SmallVec<[(Arc<OpenFile>, PollEvents); 8]> = asked
        .iter()
        .filter_map(|one| Some((one.file.clone()?, one.events)))
        .collect();
    let on: SmallVec<[WaitOn<'_>; 8]> = files
        .iter()
        .filter_map(|(file, events)| {
            let queue = file.ops.as_deref()?.wait_queue()?;
            Some(WaitOn::events(queue, *events))
        })
        .collect();
    let kind = WaitKind::Interruptible;
    match wait_until(task, &on, deadline, kind, || look(asked).then_some(())) {
        Err(WaitError::TimedOut) => Ok(()),
        done => done,
    }
}

/// A `struct timespec` as a span; `EINVAL` if it is none.
pub(super) fn timespec(time: abi::Timespec) -> Result<Duration> {
    ensure!(
        time.sec >= 0 && (0..1_000_000_000).contains(&time.nsec),
        EINVAL,
        "not a valid time"
    );
    Ok(Duration::new(time.sec as u64, time.nsec as u32))
}

/// The mask of `ppoll`, `pselect6` and `epoll_pwait`; null changes nothing.
pub(super) fn set_user_sigmask(cx: &Cx<'_>, mask: UserInPtr<u64>, size: usize) -> Result<()> {
    if mask.is_null() {
        return Ok(());
    }
    ensure!(size == 8, EINVAL, "a signal set has 8 bytes");
    let mask = SignalSet(mask.read(cx)?);
    cx.task.set_user_sigmask(mask);
    Ok(())
}

/// When a span ends; a span of 0 has ended.
fn deadline_of(cx: &Cx<'_>, span: Option<Duration>) -> Ktime {
    match span {
        None => Ktime::MAX,
        Some(Duration::ZERO) => Ktime::ZERO,
        Some(span) => cx.kernel.time.now() + span,
    }
}

/// Likewise, where any number is taken for a time and one that is not positive has ended (`io_getevents(2)`).
pub(super) fn deadline_of_relative(cx: &Cx<'_>, time: Option<abi::Timespec>) -> Ktime {
    let span = time.map(|abi::Timespec { sec, nsec }| {
        let sec = u64::try_from(sec.saturating_add(nsec.div_euclid(1_000_000_000)));
        sec.map_or(Duration::ZERO, |sec| {
            Duration::new(sec, nsec.rem_euclid(1_000_000_000) as u32)
        })
    });
    deadline_of(cx, span)
}

fn do_poll(cx: &Cx<'_>, fds: UserPtr<abi::PollFd>, nfds: u32, deadline: Ktime) -> Result<usize> {
    let limit = cx.task.group().rlimit(Resource::NOFILE).cur;
    ensure!(nfds as u64 <= limit, EINVAL, "more files than RLIMIT_NOFILE");
    let table = cx.task.files();
    let mut asked: SmallVec<[Asked; 8]> = SmallVec::new();
    if asked.try_reserve(nfds as usize).is_err() {
        bail!(ENOMEM, "no memory for the files to poll");
    }
    for n in 0..nfds as usize {
        let abi::PollFd { fd, events, .. } = fds.at(n).read(cx)?;
        let (file, found) = match fd {
            fd if fd < 0 => (None, PollEvents::empty()),
            fd => match table.get_rw(Fd(fd)) {
                Ok(file) => (Some(file), PollEvents::empty()),
                Err(_) => (None, PollEvents::NVAL),
            },
        };
        asked.push(Asked {
            file,
            events: PollEvents::from_bits_retain(events as u32) | PollEvents::ALWAYS,
            found,
        });
    }
    let waited = wait(cx, &mut asked, deadline);
    let revents = fds.addr().offset(6);
    for (n, one) in asked.iter().enumerate() {
        let bytes = (one.found.bits() as u16).to_ne_bytes();
        let at = revents.offset((n * size_of::<abi::PollFd>()) as u64);
        cx.hal().copy_to_user(at, &bytes)?;
    }
    match waited {
        Ok(()) => Ok(asked.iter().filter(|one| !one.found.is_empty()).count()),
        Err(_) => bail!(EINTR),
    }
}

fn poll_until(cx: &mut Cx<'_>, fds: UserPtr<abi::PollFd>, nfds: u32, deadline: Ktime) -> Result<usize> {
    match do_poll(cx, fds, nfds, deadline) {
        Err(error) if error.errno() == Errno::EINTR => {
            Err(restart::later(cx, move |cx| poll_until(cx, fds, nfds, deadline)))
        }
        done => done,
    }
}

/// `poll(2)`.
pub fn poll(cx: &mut Cx<'_>, fds: UserPtr<abi::PollFd>, nfds: u32, timeout: i32) -> Result<usize> {
    let deadline = deadline_ms(cx, timeout);
    poll_until(cx, fds, nfds, deadline)
}

/// Ends a call with a mask of its own and a time-out that is written back (Linux's `poll_select_finish`).
fn finish(
    cx: &Cx<'_>,
    done: Result<usize>,
    deadline: Ktime,
    write: impl FnOnce(Duration) -> Result<()>,
) -> Result<usize> {
    let interrupted = matches!(&done, Err(error) if error.errno() == Errno::ERESTARTNOHAND);
    cx.task.restore_saved_sigmask_unless(interrupted);
    if deadline == Ktime::MAX || deadline == Ktime::ZERO {
        return done;
    }
    let left = deadline.since(cx.kernel.time.now());
    // A time-out that cannot be written fails nothing, but then the call cannot start again.
    match write(left) {
        Err(_) if interrupted => Err(err!(EINTR)),
        _ => done,
    }
}

/// `select(2)`.
pub fn select(
    cx: &mut Cx<'_>,
    nfds: i32,
    readfds: UserPtr<u64>,
    writefds: UserPtr<u64>,
    exceptfds: UserPtr<u64>,
    timeout: UserPtr<abi::Timeval>,
) -> Result<usize> {
    let span = match timeout.read_opt(cx)? {
        None => None,
        Some(abi::Timeval { sec, usec }) => {
            let sec = sec.saturating_add(usec.div_euclid(1_000_000));
            let nsec = usec.rem_euclid(1_000_000) * 1000;
            ensure!(sec >= 0 && usec >= 0, EINVAL, "a negative time-out");
            Some(Duration::new(sec as u64, nsec as u32))
        }
    };
    let deadline = deadline_of(cx, span);
    let done = do_select(cx, nfds, [readfds, writefds, exceptfds], deadline);
    finish(cx, done, deadline, |left| {
        let left = abi::Timeval {
            sec: left.as_secs() as i64,
            usec: left.subsec_micros() as i64,
        };
        timeout.write_opt(cx, &left)
    })
}

/// What the three sets of `select` ask for.
const SETS: [PollEvents; 3] = [
    PollEvents::READABLE
        .union(PollEvents::RDBAND)
        .union(PollEvents::ALWAYS),
    PollEvents::WRITABLE
        .union(PollEvents::WRBAND)
        .union(PollEvents::ERR),
    PollEvents::PRI,
];

fn do_select(cx: &Cx<'_>, nfds: i32, sets: [UserPtr<u64>; 3], deadline: Ktime) -> Result<usize> {
    ensure!(nfds >= 0, EINVAL, "a negative number of files");
    let table = cx.task.files();
    let nfds = (nfds as usize).min(table.size().next_multiple_of(64));
    let words = nfds.div_ceil(64);
    let mut bits: [Vec<u64>; 3] = Default::default();
    for (set, bits) in sets.iter().zip(&mut bits) {
        if set.is_null() {
            *bits = Vec::new();
        } else {
            *bits = set.read_vec(cx, words)?;
        }
    }
    let wanted = |fd: usize| {
        let mut events = PollEvents::empty();
        for (bits, set) in bits.iter().zip(SETS) {
            if bits.get(fd / 64).is_some_and(|word| word & 1 << (fd % 64) != 0) {
                events |= set;
            }
        }
        events
    };
    let mut asked: SmallVec<[Asked; 8]> = SmallVec::new();
    let mut fds: SmallVec<[usize; 8]> = SmallVec::new();
    for fd in 0..nfds {
        let events = wanted(fd);
        if events.is_empty() {
            continue;
        }
        let file = Some(table.get_rw(Fd(fd as i32))?);
        if asked.try_reserve(1).is_err() || fds.try_reserve(1).is_err() {
            bail!(ENOMEM, "no memory for the files to poll");
        }
        asked.push(Asked {
            file,
            events,
            found: PollEvents::empty(),
        });
        fds.push(fd);
    }
    if wait(cx, &mut asked, deadline).is_err() {
        bail!(ERESTARTNOHAND);
    }
    let mut count = 0;
    for (set, (bits, kind)) in sets.iter().zip(bits.iter().zip(SETS)) {
        if set.is_null() {
            continue;
        }
        let mut out = Vec::new();
        if out.try_reserve_exact(words).is_err() {
            bail!(ENOMEM, "no memory for a set of files");
        }
        out.resize(words, 0u64);
        for (one, &fd) in asked.iter().zip(&fds) {
            let bit = 1 << (fd % 64);
            if bits[fd / 64] & bit != 0 && one.found.intersects(kind) {
                out[fd / 64] |= bit;
                count += 1;
            }
        }
        set.write_slice(cx, &out)?;
    }
    Ok(count)
}

/// `pselect6(2)`.
pub fn pselect6(
    cx: &mut Cx<'_>,
    nfds: i32,
    readfds: UserPtr<u64>,
    writefds: UserPtr<u64>,
    exceptfds: UserPtr<u64>,
    timeout: UserPtr<abi::Timespec>,
    sigmask: UserInPtr<abi::SigMaskArg>,
) -> Result<usize> {
    let mask = sigmask.read_opt(cx)?.unwrap_or_default();
    let span = timeout.read_opt(cx)?.map(timespec).transpose()?;
    let deadline = deadline_of(cx, span);
    set_user_sigmask(
        cx,
        UserInPtr::new(linux_object::ids::UserAddr(mask.mask)),
        mask.size as usize,
    )?;
    let done = do_select(cx, nfds, [readfds, writefds, exceptfds], deadline);
    finish(cx, done, deadline, |left| write_timespec(cx, timeout, left))
}

fn write_timespec(cx: &Cx<'_>, to: UserPtr<abi::Timespec>, left: Duration) -> Result<()> {
    let left = abi::Timespec {
        sec: left.as_secs() as i64,
        nsec: left.subsec_nanos() as i64,
    };
    to.write_opt(cx, &left)
}

/// `ppoll(2)`.
pub fn ppoll(
    cx: &mut Cx<'_>,
    fds: UserPtr<abi::PollFd>,
    nfds: u32,
    tmo: UserPtr<abi::Timespec>,
    sigmask: UserInPtr<u64>,
    sigsetsize: usize,
) -> Result<usize> {
    let span = tmo.read_opt(cx)?.map(timespec).transpose()?;
    let deadline = deadline_of(cx, span);
    set_user_sigmask(cx, sigmask, sigsetsize)?;
    let done = match do_poll(cx, fds, nfds, deadline) {
        Err(error) if error.errno() == Errno::EINTR => Err(err!(ERESTARTNOHAND)),
        done => done,
    };
    finish(cx, done, deadline, |left| write_timespec(cx, tmo, left))
}
