//! Reading and writing open files, with waiting.
//!
//! Objects answer `EAGAIN` when they have nothing; unless the description is non-blocking, the
//! caller waits here on the object's queue and tries again. A file with a position is read and written
//! with the position locked; one that makes wait has none that matters.

use alloc::sync::Arc;

use linux_object::error::{Errno, Error, Result};
use linux_object::fs::io::IoSrc;
use linux_object::fs::notify::NotifyMask;
use linux_object::fs::{FileOps, FileType, OpenFile, OpenFlags, PollEvents, PositionUse, attr, touch_atime};
use linux_object::hal::Frames;
use linux_object::ids::Frame;
use linux_object::task::signal::send_to_task;
use linux_object::task::{Resource, SigInfo, SigInfoFields, Signal, Task, si_code};
use linux_object::time::Ktime;
use linux_object::{bail, ensure, err};

use crate::context::Cx;
use crate::user_io::UserIo;
use crate::wait_until::{WaitError, WaitKind, WaitOn, wait_until};

/// The largest offset.
pub const OFFSET_MAX: u64 = i64::MAX as u64;

fn is_again(error: Error) -> bool {
    error.errno() == Errno::EAGAIN
}

/// Waits until `attempt` answers something else than `EAGAIN`. `nowait`: it is tried once.
#[inline]
pub fn retry<T>(
    cx: &Cx<'_>,
    file: &OpenFile,
    ops: &dyn FileOps,
    write: bool,
    nowait: bool,
    mut attempt: impl FnMut() -> Result<T>,
) -> Result<Result<T, WaitError>> {
    match attempt() {
        Err(error) if is_again(error) && !nowait && !file.nonblocking() && ops.waits() => {
            let Some(queue) = ops.wait_queue() else {
                return Err(error);
            };
            let events = if write {
                PollEvents::WRITABLE
            } else {
                PollEvents::READABLE
            };
            let now = cx.kernel.time.now();
            let deadline = ops.io_deadline(file, write, now);
            let waited = wait_until(
                cx.task,
                &[WaitOn::events(queue, events)],
                deadline,
                WaitKind::Interruptible,
                || match attempt() {
                    Err(error) if is_again(error) => None,
                    result => Some(result),
                },
            );
            match waited {
                Ok(result) => result.map(Ok),
                Err(error) => Ok(Err(error)),
            }
        }
        result => result.map(Ok),
    }
}

/// Runs an attempt with the file's position, locked if the file allows that.
#[inline]
fn with_position<T>(
    file: &OpenFile,
    at: Option<u64>,
    attempt: impl FnOnce(&mut u64) -> Result<T>,
) -> Result<T> {
    if let Some(mut offset) = at {
        return attempt(&mut offset);
    }
    match file.position_use {
        PositionUse::None => attempt(&mut 0),
        PositionUse::Locked => attempt(&mut file.position.lock()),
        PositionUse::Copied => {
            let mut offset = *file.position.lock();
            let result = attempt(&mut offset);
            *file.position.lock() = offset;
            result
        }
    }
}

/// `read(2)` at the position, or at `at`.
pub fn read(
    cx: &Cx<'_>,
    file: &Arc<OpenFile>,
    to: &mut UserIo<'_>,
    at: Option<u64>,
    nowait: bool,
) -> Result<usize> {
    ensure!(file.flags().readable(), EBADF, "not open for reading");
    let result = read_file(cx, file, to, at, nowait);
    cx.task.acct.count_read(*result.as_ref().unwrap_or(&0));
    result
}

#[inline]
fn read_file(
    cx: &Cx<'_>,
    file: &Arc<OpenFile>,
    to: &mut UserIo<'_>,
    at: Option<u64>,
    nowait: bool,
) -> Result<usize> {
    let read = match &file.ops {
        None => {
            ensure!(!file.is_dir(), EISDIR);
            match at {
                Some(offset) => {
                    check_range(offset, to.len())?;
                    file.inode.read_at(offset, to)?
                }
                None => {
                    let mut position = file.position.lock();
                    let read = file.inode.read_at(*position, to)?;
                    *position += read as u64;
                    read
                }
            }
        }
        Some(ops) => {
            let start = to.mark();
            let result = retry(cx, file, &**ops, false, nowait, || {
                to.rewind(start);
                with_position(file, at, |offset| ops.read(file, cx.task, offset, to))
            })?;
            match result {
                Ok(read) => read,
                Err(WaitError::Interrupted) => bail!(ERESTARTSYS),
                Err(WaitError::TimedOut) => ops.io_timed_out(file, false)?,
            }
        }
    };
    if read > 0 {
        file.notify(NotifyMask::ACCESS);
    }
    if file.moves_atime && (read > 0 || file.ops.is_none()) {
        file_accessed(file, cx);
    }
    Ok(read)
}

/// The time of access moves, unless the opener asked for the contrary.
pub fn file_accessed(file: &OpenFile, cx: &Cx<'_>) {
    if !file.flags().contains(OpenFlags::NOATIME) {
        touch_atime(cx.kernel, &file.path);
    }
}

fn check_range(offset: u64, len: usize) -> Result<()> {
    ensure!(
        offset <= OFFSET_MAX && len as u64 <= OFFSET_MAX - offset,
        EINVAL,
        "beyond the largest offset"
    );
    Ok(())
}

/// Gives at most so many bytes of a source.
struct Limited<'a> {
    from: &'a mut dyn IoSrc,
    left: usize,
}

impl IoSrc for Limited<'_> {
    fn remaining(&self) -> usize {
        self.from.remaining().min(self.left)
    }
    fn take(&mut self, buf: &mut [u8]) -> Result<usize> {
        let len = buf.len().min(self.left);
        let taken = self.from.take(&mut buf[..len])?;
        self.left -= taken;
        Ok(taken)
    }
    fn take_frame(&mut self, frames: &dyn Frames, frame: Frame, offset: usize, len: usize) -> Result<usize> {
        let taken = self.from.take_frame(frames, frame, offset, len.min(self.left))?;
        self.left -= taken;
        Ok(taken)
    }
}

/// The file grew beyond what the process may write.
pub fn send_sigxfsz(task: &Arc<Task>) {
    let info = SigInfo {
        signal: Signal::XFSZ,
        errno: 0,
        code: si_code::SI_USER,
        fields: SigInfoFields::Sender {
            pid: Some(task.group().tgid.clone()),
            uid: task.cred().uid,
            value: 0,
        },
    };
    let _ = send_to_task(task, info);
}

/// The error of a write beyond `RLIMIT_FSIZE`; [`signal_fsize`] turns it into the signal as well.
fn fsize_exceeded() -> Error {
    err!(EFBIG, "RLIMIT_FSIZE")
}

/// Sends SIGXFSZ for a write that `RLIMIT_FSIZE` ended, once the position is unlocked.
pub fn signal_fsize(task: &Arc<Task>, written: Result<usize>) -> Result<usize> {
    written.inspect_err(|error| {
        if core::ptr::eq(error.0, fsize_exceeded().0) {
            send_sigxfsz(task);
        }
    })
}

/// How many of `len` bytes may be written at `offset`: `RLIMIT_FSIZE`, the largest offset.
fn write_limit(task: &Arc<Task>, offset: u64, len: usize) -> Result<usize> {
    let limit = task.group().rlimit(Resource::FSIZE).cur;
    if offset >= limit {
        return Err(fsize_exceeded());
    }
    ensure!(offset < OFFSET_MAX, EFBIG, "beyond the largest offset");
    let room = limit.min(OFFSET_MAX) - offset;
    Ok(len.min(usize::try_from(room).unwrap_or(usize::MAX)))
}

/// Writes to a regular file; moves `position` behind what was written.
pub fn write_inode(
    task: &Arc<Task>,
    file: &OpenFile,
    position: &mut u64,
    from: &mut dyn IoSrc,
    append: bool,
) -> Result<usize> {
    if from.remaining() == 0 {
        return Ok(0);
    }
    attr::file_remove_privs(task, file)?;
    if append {
        let size = file.inode.metadata().size;
        let left = write_limit(task, size, from.remaining())?;
        let (offset, written) = file.inode.append(&mut Limited { from, left })?;
        *position = offset + written as u64;
        return Ok(written);
    }
    let left = write_limit(task, *position, from.remaining())?;
    let written = if left == from.remaining() {
        file.inode.write_at(*position, from)?
    } else {
        file.inode.write_at(*position, &mut Limited { from, left })?
    };
    *position += written as u64;
    Ok(written)
}

/// `write(2)` at the position, or at `at`.
pub fn write(
    cx: &Cx<'_>,
    file: &Arc<OpenFile>,
    from: UserIo<'_>,
    at: Option<u64>,
    nowait: bool,
    append: bool,
) -> Result<usize> {
    ensure!(file.flags().writable(), EBADF, "not open for writing");
    let result = write_file(cx, file, from, at, nowait, append);
    cx.task.acct.count_write(*result.as_ref().unwrap_or(&0));
    result
}

#[inline]
fn write_file(
    cx: &Cx<'_>,
    file: &Arc<OpenFile>,
    mut from: UserIo<'_>,
    at: Option<u64>,
    nowait: bool,
    append: bool,
) -> Result<usize> {
    let written = match &file.ops {
        None => {
            ensure!(file.inode.file_type() == FileType::Regular, EINVAL);
            let append = append || file.flags().contains(OpenFlags::APPEND);
            match at {
                Some(mut offset) => {
                    check_range(offset, from.len())?;
                    let written = write_inode(cx.task, file, &mut offset, &mut from, append);
                    signal_fsize(cx.task, written)?
                }
                None => {
                    let mut position = file.position.lock();
                    let mut moved = *position;
                    let written = write_inode(cx.task, file, &mut moved, &mut from, append);
                    *position = moved;
                    drop(position);
                    signal_fsize(cx.task, written)?
                }
            }
        }
        Some(ops) => write_ops(cx, file, &**ops, from, at, nowait)?,
    };
    if written > 0 {
        file.notify(NotifyMask::MODIFY);
    }
    Ok(written)
}

fn write_ops(
    cx: &Cx<'_>,
    file: &OpenFile,
    ops: &dyn FileOps,
    mut from: UserIo<'_>,
    at: Option<u64>,
    nowait: bool,
) -> Result<usize> {
    let mut total = 0;
    loop {
        let start = from.mark();
        let result = retry(cx, file, ops, true, nowait, || {
            from.rewind(start);
            let at = at.map(|at| at + total as u64);
            with_position(file, at, |offset| ops.write(file, cx.task, offset, &mut from))
        });
        match result {
            Ok(Ok(written)) => {
                total += written;
                if from.is_empty() || written == 0 || nowait || file.nonblocking() {
                    return Ok(total);
                }
            }
            Ok(Err(WaitError::Interrupted)) if total == 0 => bail!(ERESTARTSYS),
            Ok(Err(WaitError::TimedOut)) if total == 0 => return ops.io_timed_out(file, true),
            Err(error) if total == 0 => return Err(error),
            _ => return Ok(total),
        }
    }
}

/// Waits until an `open` may return (a FIFO without its other end).
pub fn wait_opened(cx: &Cx<'_>, file: &Arc<OpenFile>) -> Result<()> {
    let Some(ops) = &file.ops else { return Ok(()) };
    if file.nonblocking() {
        return Ok(());
    }
    match ops.opened(file) {
        Err(error) if is_again(error) => {
            let Some(queue) = ops.wait_queue() else {
                return Err(error);
            };
            let waited = wait_until(
                cx.task,
                &[WaitOn::any(queue)],
                Ktime::MAX,
                WaitKind::Interruptible,
                || match ops.opened(file) {
                    Err(error) if is_again(error) => None,
                    result => Some(result),
                },
            );
            match waited {
                Ok(result) => result,
                Err(error) => Err(error.restart_sys()),
            }
        }
        result => result,
    }
}
