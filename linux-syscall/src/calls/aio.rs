//! Native asynchronous I/O: `io_setup(2)`, `io_submit(2)`, `io_getevents(2)`, `io_cancel(2)`, `io_destroy(2)`.
//!
//! Files are memory, so a request is done when it is submitted, and what it gave is an event from then on; on a
//! pipe or socket submitting waits, as on Linux. `IOCB_CMD_POLL`, which could not be done at once, is refused
//! like an unknown operation.

use alloc::sync::Arc;

use linux_object::error::{Errno, Error, Result};
use linux_object::fs::OpenFile;
use linux_object::fs::aio::{AioContext, AioEvent};
use linux_object::fs::eventfd::EventFd;
use linux_object::ids::{Fd, UserAddr};
use linux_object::task::IoPrio;
use linux_object::time::Ktime;
use linux_object::{bail, ensure, err};

use super::poll::{deadline_of_relative, set_user_sigmask};
use crate::abi;
use crate::context::Cx;
use crate::rw;
use crate::user_io::{UserIo, access_ok};
use crate::user_ptr::{UserInPtr, UserOutPtr, UserPtr};
use crate::wait_until::{WaitError, WaitKind, WaitOn, wait_until};

const CMD_PREAD: u16 = 0;
const CMD_PWRITE: u16 = 1;
const CMD_FSYNC: u16 = 2;
const CMD_FDSYNC: u16 = 3;
const CMD_PREADV: u16 = 7;
const CMD_PWRITEV: u16 = 8;

/// `aio_flags`: an eventfd is told.
const FLAG_RESFD: u32 = 1;
/// `aio_flags`: `aio_reqprio` is an I/O priority.
const FLAG_IOPRIO: u32 = 2;

/// `RWF_*` flags that are there.
const RWF_NOWAIT: u32 = 8;
const RWF_APPEND: u32 = 16;
const RWF_SUPPORTED: u32 = 31;

/// What is written into `aio_key` of a request that is accepted.
const KIOCB_KEY: u32 = 0;

/// The context that an id names. The id is the address of its ring, which must still be there.
fn context(cx: &Cx<'_>, id: u64) -> Result<Arc<AioContext>> {
    let ring = UserInPtr::<u32>::new(UserAddr(id));
    ensure!(ring.read(cx).is_ok(), EINVAL, "no such context");
    cx.task.mm().aio_context(id)
}

/// `io_setup(2)`.
pub fn io_setup(cx: &mut Cx<'_>, nr_events: u32, ctx_idp: UserPtr<u64>) -> Result<usize> {
    let given = ctx_idp.read(cx)?;
    ensure!(given == 0, EINVAL, "io_setup: the id is not 0");
    let context = AioContext::setup(cx.task, nr_events)?;
    if let Err(error) = ctx_idp.write(cx, &context.id()) {
        cx.task.mm().destroy_aio(context.id())?;
        return Err(error);
    }
    Ok(0)
}

/// `io_destroy(2)`.
pub fn io_destroy(cx: &mut Cx<'_>, ctx_id: u64) -> Result<usize> {
    context(cx, ctx_id)?;
    cx.task.mm().destroy_aio(ctx_id)?;
    Ok(0)
}

/// Reads or writes: an error of this function refuses the request, the value is its result.
fn transfer(cx: &Cx<'_>, file: &Arc<OpenFile>, iocb: &abi::Iocb, write: bool) -> Result<Result<usize>> {
    let vector = matches!(iocb.lio_opcode, CMD_PREADV | CMD_PWRITEV);
    if iocb.flags & FLAG_IOPRIO != 0 {
        super::ioprio::check(&cx.task.cred(), IoPrio::new(iocb.reqprio.into())?)?;
    }
    ensure!(
        iocb.rw_flags & !RWF_SUPPORTED == 0,
        EOPNOTSUPP,
        "io_submit: unknown RWF_ flags"
    );
    let allowed = if write {
        file.flags().writable()
    } else {
        file.flags().readable()
    };
    ensure!(allowed, EBADF);
    ensure!(
        !file.is_dir(),
        EINVAL,
        "io_submit: a directory is not read like this"
    );
    let buf = UserAddr(iocb.buf);
    let mut io = if vector {
        UserIo::from_iovec(cx, UserInPtr::new(buf), iocb.nbytes as usize)?
    } else {
        access_ok(buf, iocb.nbytes as usize)?;
        UserIo::new(cx, buf, iocb.nbytes as usize)?
    };
    let positioned = if write { file.pwritable() } else { file.seekable() };
    ensure!(
        !positioned || iocb.offset >= 0,
        EINVAL,
        "io_submit: a negative offset"
    );
    let at = positioned.then_some(iocb.offset as u64);
    let nowait = iocb.rw_flags & RWF_NOWAIT != 0;
    let append = iocb.rw_flags & RWF_APPEND != 0;
    Ok(if write {
        rw::write(cx, file, io, at, nowait, append)
    } else {
        rw::read(cx, file, &mut io, at, nowait)
    })
}

fn run(cx: &Cx<'_>, file: &Arc<OpenFile>, iocb: &abi::Iocb) -> Result<Result<usize>> {
    match iocb.lio_opcode {
        CMD_PREAD | CMD_PREADV => transfer(cx, file, iocb, false),
        CMD_PWRITE | CMD_PWRITEV => transfer(cx, file, iocb, true),
        CMD_FSYNC | CMD_FDSYNC => {
            ensure!(
                iocb.buf == 0 && iocb.offset == 0 && iocb.nbytes == 0 && iocb.rw_flags == 0,
                EINVAL,
                "io_submit: arguments that fsync does not have"
            );
            ensure!(file.ops.is_none(), EINVAL, "io_submit: nothing to synchronise");
            Ok(Ok(0))
        }
        _ => bail!(EINVAL, "io_submit: no such operation"),
    }
}

/// The number of an event's result. A call that a signal ended is not started again.
fn result_number(result: Result<usize>) -> i64 {
    match result {
        Ok(count) => count as i64,
        Err(error) => {
            let errno = match error.errno() {
                Errno::ERESTARTSYS | Errno::ERESTARTNOINTR | Errno::ERESTARTNOHAND | Errno::ERESTARTBLOCK => {
                    Errno::EINTR
                }
                errno => errno,
            };
            -i64::from(errno as i32)
        }
    }
}

fn submit_one(cx: &Cx<'_>, context: &AioContext, at: UserPtr<abi::Iocb>) -> Result<()> {
    let iocb = at.read(cx)?;
    ensure!(iocb.reserved2 == 0, EINVAL, "io_submit: a reserved field is set");
    ensure!(iocb.nbytes as i64 >= 0, EINVAL, "io_submit: too many bytes");
    let slot = context.reserve()?;
    let file = cx.file(Fd(iocb.fildes as i32))?;
    let eventfd = if iocb.flags & FLAG_RESFD != 0 {
        let eventfd = cx.file(Fd(iocb.resfd as i32))?;
        ensure!(
            eventfd.ops_as::<EventFd>().is_some(),
            EINVAL,
            "io_submit: not an eventfd"
        );
        Some(eventfd)
    } else {
        None
    };
    let key = UserOutPtr::<u32>::new(at.addr().offset(8));
    key.write(cx, &KIOCB_KEY)?;
    let result = run(cx, &file, &iocb)?;
    slot.complete(&AioEvent {
        data: iocb.data,
        obj: at.addr().0,
        res: result_number(result),
    })?;
    if let Some(eventfd) = eventfd.as_deref().and_then(OpenFile::ops_as::<EventFd>) {
        eventfd.signal(1);
    }
    Ok(())
}

/// `io_submit(2)`: how many were submitted, or why the first was not.
pub fn io_submit(cx: &mut Cx<'_>, ctx_id: u64, nr: i64, iocbpp: UserInPtr<u64>) -> Result<usize> {
    ensure!(nr >= 0, EINVAL, "io_submit: a negative number");
    let context = context(cx, ctx_id)?;
    let nr = (nr as usize).min(context.nr_events() as usize);
    for n in 0..nr {
        let one = iocbpp
            .at(n)
            .read(cx)
            .and_then(|at| submit_one(cx, &context, UserPtr::new(UserAddr(at))));
        if let Err(error) = one {
            return if n == 0 { Err(error) } else { Ok(n) };
        }
    }
    Ok(nr)
}

/// `io_cancel(2)`: no request is ever in flight, so there is none to cancel.
pub fn io_cancel(
    cx: &mut Cx<'_>,
    ctx_id: u64,
    iocb: UserInPtr<abi::Iocb>,
    _result: UserAddr,
) -> Result<usize> {
    let key = UserInPtr::<u32>::new(iocb.addr().offset(8)).read(cx)?;
    ensure!(key == KIOCB_KEY, EINVAL, "io_cancel: no request");
    context(cx, ctx_id)?;
    bail!(EINVAL, "io_cancel: the request is done, or was never submitted")
}

/// Waits for events: how many there were, and whether a signal ended the wait before any.
fn read_events(
    cx: &Cx<'_>,
    ctx_id: u64,
    min: i64,
    max: i64,
    events: UserOutPtr<abi::IoEvent>,
    deadline: Ktime,
) -> Result<Result<usize, Error>> {
    let context = context(cx, ctx_id)?;
    ensure!(
        (0..=max).contains(&min),
        EINVAL,
        "io_getevents: the least is negative or above the most"
    );
    let (min, max) = (min as usize, max as usize);
    let mut got = 0;
    let mut look = || {
        let mut at = events.at(got).addr();
        let taken = context.take(max - got, &mut |part| {
            cx.hal().copy_to_user(at, part)?;
            at = at.offset(part.len() as u64);
            Ok(())
        });
        match taken {
            Ok(taken) => {
                got += taken;
                (got >= min).then_some(Ok(()))
            }
            Err(error) => Some(Err(error)),
        }
    };
    let done = match look() {
        None if deadline != Ktime::ZERO => wait_until(
            cx.task,
            &[WaitOn::any(&context.queue)],
            deadline,
            WaitKind::Interruptible,
            look,
        ),
        None => Ok(Ok(())),
        Some(done) => Ok(done),
    };
    Ok(match done {
        _ if got > 0 => Ok(got),
        Ok(result) => return result.map(|()| Ok(0)),
        Err(WaitError::TimedOut) => Ok(0),
        Err(WaitError::Interrupted) => Err(err!(EINTR)),
    })
}

/// `io_getevents(2)`.
pub fn io_getevents(
    cx: &mut Cx<'_>,
    ctx_id: u64,
    min_nr: i64,
    nr: i64,
    events: UserOutPtr<abi::IoEvent>,
    timeout: UserInPtr<abi::Timespec>,
) -> Result<usize> {
    let deadline = deadline_of_relative(cx, timeout.read_opt(cx)?);
    read_events(cx, ctx_id, min_nr, nr, events, deadline)?
}

/// `io_pgetevents(2)`: with a signal mask while it waits.
pub fn io_pgetevents(
    cx: &mut Cx<'_>,
    ctx_id: u64,
    min_nr: i64,
    nr: i64,
    events: UserOutPtr<abi::IoEvent>,
    timeout: UserInPtr<abi::Timespec>,
    sigmask: UserInPtr<abi::SigMaskArg>,
) -> Result<usize> {
    let deadline = deadline_of_relative(cx, timeout.read_opt(cx)?);
    if let Some(arg) = sigmask.read_opt(cx)? {
        set_user_sigmask(cx, UserInPtr::new(UserAddr(arg.mask)), arg.size as usize)?;
    }
    let done = read_events(cx, ctx_id, min_nr, nr, events, deadline);
    let interrupted = matches!(done, Ok(Err(_)));
    cx.task.restore_saved_sigmask_unless(interrupted);
    match done? {
        Err(_) => Err(err!(ERESTARTNOHAND)),
        done => done,
    }
}
