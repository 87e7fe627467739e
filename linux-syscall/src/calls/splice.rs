//! Moving data between files: `sendfile splice tee vmsplice copy_file_range`.

use alloc::sync::Arc;
use alloc::vec::Vec;

use linux_object::error::{Errno, Result};
use linux_object::fs::io::{IoDst, IoSrc, KernelDst, KernelSrc};
use linux_object::fs::notify::NotifyMask;
use linux_object::fs::pipe::{Pipe, PipeBatch, pipe_of};
use linux_object::fs::{FileType, OpenFile, OpenFlags, PollEvents};
use linux_object::ids::Fd;
use linux_object::time::Ktime;
use linux_object::{bail, ensure, err};

use crate::abi;
use crate::context::Cx;
use crate::rw;
use crate::user_io::{MAX_RW_COUNT, UserIo};
use crate::user_ptr::{UserInPtr, UserPtr};
use crate::wait_until::{WaitKind, WaitOn, wait_until};

/// Bytes moved at a time where they pass through a buffer.
const CHUNK: usize = 64 << 10;
const SPLICE_F_NONBLOCK: u32 = 2;
const SPLICE_F_ALL: u32 = 0xf;

fn file(cx: &Cx<'_>, fd: Fd) -> Result<Arc<OpenFile>> {
    cx.file(fd)
}

fn read_offset(cx: &Cx<'_>, ptr: UserPtr<i64>, file: &OpenFile) -> Result<Option<u64>> {
    match ptr.read_opt(cx)? {
        None => Ok(None),
        Some(offset) => {
            ensure!(file.seekable(), ESPIPE);
            Ok(Some(
                u64::try_from(offset).map_err(|_| err!(EINVAL, "a negative offset"))?,
            ))
        }
    }
}

/// Reads from a file that is not a pipe into the kernel, once.
fn pull(cx: &Cx<'_>, file: &OpenFile, at: &mut u64, to: &mut dyn IoDst, nowait: bool) -> Result<usize> {
    match &file.ops {
        None => {
            ensure!(!file.is_dir(), EINVAL, "a directory");
            let read = file.inode.read_at(*at, to)?;
            *at += read as u64;
            Ok(read)
        }
        Some(ops) => {
            let result = rw::retry(cx, file, &**ops, false, nowait, || {
                ops.read(file, cx.task, at, &mut *to)
            })?;
            result.map_err(|error| error.restart_sys())
        }
    }
}

/// Writes all bytes of a kernel buffer to a file, waiting as the file does; returns how many went.
fn push(cx: &Cx<'_>, file: &Arc<OpenFile>, at: Option<u64>, mut data: &[u8], nowait: bool) -> Result<usize> {
    let mut total = 0;
    while !data.is_empty() {
        let offset = at.map(|at| at + total as u64);
        match push_some(cx, file, offset, &mut KernelSrc::new(data), data, nowait) {
            Ok(0) => break,
            Ok(written) => {
                total += written;
                data = &data[written..];
            }
            Err(_) if total > 0 => break,
            Err(error) => return Err(error),
        }
    }
    if total > 0 {
        file.notify(NotifyMask::MODIFY);
    }
    Ok(total)
}

fn push_some(
    cx: &Cx<'_>,
    file: &Arc<OpenFile>,
    at: Option<u64>,
    from: &mut dyn IoSrc,
    data: &[u8],
    nowait: bool,
) -> Result<usize> {
    match &file.ops {
        None => {
            ensure!(file.inode.file_type() == FileType::Regular, EINVAL);
            let append = file.flags().contains(OpenFlags::APPEND);
            match at {
                Some(mut offset) => {
                    let written = rw::write_inode(cx.task, file, &mut offset, from, append);
                    rw::signal_fsize(cx.task, written)
                }
                None => {
                    let mut position = file.position.lock();
                    let mut moved = *position;
                    let written = rw::write_inode(cx.task, file, &mut moved, from, append);
                    *position = moved;
                    drop(position);
                    rw::signal_fsize(cx.task, written)
                }
            }
        }
        Some(ops) => {
            let mut offset = at.unwrap_or(0);
            let result = rw::retry(cx, file, &**ops, true, nowait, || {
                ops.write(file, cx.task, &mut offset, &mut KernelSrc::new(data))
            })?;
            result.map_err(|error| error.restart_sys())
        }
    }
}

fn buffer() -> Result<Vec<u8>> {
    let mut buf = Vec::new();
    if buf.try_reserve_exact(CHUNK).is_err() {
        bail!(ENOMEM, "no memory for data on its way");
    }
    buf.resize(CHUNK, 0);
    Ok(buf)
}

/// Copies through a buffer; offsets move with what arrived.
fn copy(
    cx: &Cx<'_>,
    input: &Arc<OpenFile>,
    in_at: &mut u64,
    output: &Arc<OpenFile>,
    out_at: &mut Option<u64>,
    count: usize,
) -> Result<usize> {
    let mut buf = buffer()?;
    let mut total = 0;
    while total < count {
        let want = (count - total).min(CHUNK);
        let before = *in_at;
        let read = match pull(cx, input, in_at, &mut KernelDst::new(&mut buf[..want]), false) {
            Ok(0) => break,
            Ok(read) => read,
            Err(_) if total > 0 => break,
            Err(error) => return Err(error),
        };
        match push(cx, output, *out_at, &buf[..read], false) {
            Ok(written) => {
                total += written;
                if let Some(at) = out_at {
                    *at += written as u64;
                }
                if written < read {
                    *in_at = before + written as u64;
                    break;
                }
            }
            Err(error) => {
                *in_at = before;
                if total == 0 {
                    return Err(error);
                }
                break;
            }
        }
    }
    Ok(total)
}

/// `sendfile(2)`.
pub fn sendfile(cx: &mut Cx<'_>, out_fd: Fd, in_fd: Fd, offset: UserPtr<i64>, count: usize) -> Result<usize> {
    let given = offset.read_opt(cx)?;
    let input = file(cx, in_fd)?;
    ensure!(input.flags().readable(), EBADF);
    let start = match given {
        None => *input.position.lock(),
        Some(at) => {
            ensure!(input.seekable(), ESPIPE);
            u64::try_from(at).map_err(|_| err!(EINVAL, "sendfile: a negative offset"))?
        }
    };
    let output = file(cx, out_fd)?;
    ensure!(output.flags().writable(), EBADF);
    ensure!(
        !output.flags().contains(OpenFlags::APPEND),
        EINVAL,
        "sendfile: to a file opened with O_APPEND"
    );
    ensure!(
        input.inode.file_type() != FileType::Socket && pipe_of(&input).is_none(),
        EINVAL,
        "sendfile: from something without pages"
    );
    let count = count.min(MAX_RW_COUNT);
    let mut at = start;
    let moved = copy(cx, &input, &mut at, &output, &mut None, count)?;
    if given.is_some() {
        offset.write(cx, &(at as i64))?;
    } else {
        *input.position.lock() = at;
    }
    rw::file_accessed(&input, cx);
    Ok(moved)
}

/// Waits for a pipe, unless not to.
fn wait_pipe<T>(
    cx: &Cx<'_>,
    pipe: &Pipe,
    events: PollEvents,
    nowait: bool,
    mut attempt: impl FnMut() -> Result<T>,
) -> Result<T> {
    match attempt() {
        Err(error) if error.errno() == Errno::EAGAIN && !nowait => wait_until(
            cx.task,
            &[WaitOn::events(&pipe.queue, events)],
            Ktime::MAX,
            WaitKind::Interruptible,
            || match attempt() {
                Err(error) if error.errno() == Errno::EAGAIN => None,
                result => Some(result),
            },
        )
        .map_err(|error| error.restart_sys())?,
        result => result,
    }
}

fn pipe_room(cx: &Cx<'_>, pipe: &Pipe, max: usize, nowait: bool) -> Result<PipeBatch> {
    let batch = wait_pipe(cx, pipe, PollEvents::WRITABLE, nowait, || pipe.batch_in(max));
    if matches!(&batch, Err(error) if error.errno() == Errno::EPIPE) {
        linux_object::fs::send_sigpipe(cx.task);
    }
    batch
}

/// From a file into a pipe, at most what fits now.
fn splice_to_pipe(
    cx: &Cx<'_>,
    input: &Arc<OpenFile>,
    in_at: Option<u64>,
    pipe: &Pipe,
    len: usize,
    nowait: bool,
) -> Result<(usize, u64)> {
    let mut batch = pipe_room(cx, pipe, len, nowait)?;
    let mut at = in_at.unwrap_or_else(|| *input.position.lock());
    pull(cx, input, &mut at, &mut batch, nowait)?;
    if in_at.is_none() && input.seekable() {
        *input.position.lock() = at;
    }
    rw::file_accessed(input, cx);
    Ok((pipe.push_batch(batch), at))
}

/// From a pipe into a file.
fn splice_from_pipe(
    cx: &Cx<'_>,
    pipe: &Pipe,
    output: &Arc<OpenFile>,
    mut out_at: Option<u64>,
    len: usize,
    nowait: bool,
) -> Result<(usize, Option<u64>)> {
    let mut total = 0;
    let mut buf = buffer()?;
    while total < len {
        // Only the first bytes are waited for.
        let nowait_pipe = nowait || total > 0;
        let want = (len - total).min(CHUNK);
        let batch = wait_pipe(cx, pipe, PollEvents::READABLE, nowait_pipe, || {
            pipe.batch_out(want)
        });
        let mut batch = match batch {
            Ok(batch) if batch.is_empty() => break,
            Ok(batch) => batch,
            Err(_) if total > 0 => break,
            Err(error) => return Err(error),
        };
        let size = batch.len();
        // A second reference to the bytes, to put back what the file does not take.
        let read = batch.peek(&mut buf[..size]);
        let written = push(cx, output, out_at, &buf[..read], nowait);
        let done = *written.as_ref().unwrap_or(&0);
        batch.skip(done);
        pipe.unpop_batch(batch);
        total += done;
        if let Some(at) = &mut out_at {
            *at += done as u64;
        }
        match written {
            Ok(written) if written == read => {}
            Err(error) if total == 0 => return Err(error),
            _ => break,
        }
    }
    Ok((total, out_at))
}

/// From one pipe to another.
fn splice_pipes(cx: &Cx<'_>, from: &Pipe, to: &Pipe, len: usize, nowait: bool) -> Result<usize> {
    ensure!(!core::ptr::eq(from, to), EINVAL, "splice: a pipe to itself");
    loop {
        // Wait for data first, then for room, as Linux does.
        let batch = wait_pipe(cx, from, PollEvents::READABLE, nowait, || from.batch_out(len))?;
        if batch.is_empty() {
            return Ok(0);
        }
        match to.room() {
            Ok(_) => {
                let mut batch = batch;
                let mut room = to.batch_in(len)?;
                let moved = batch.move_to(&mut room)?;
                from.unpop_batch(batch);
                to.push_batch(room);
                return Ok(moved);
            }
            Err(error) => {
                from.unpop_batch(batch);
                if error.errno() != Errno::EAGAIN || nowait {
                    if error.errno() == Errno::EPIPE {
                        linux_object::fs::send_sigpipe(cx.task);
                    }
                    return Err(error);
                }
                pipe_room(cx, to, len, nowait)?;
            }
        }
    }
}

/// `splice(2)`.
pub fn splice(
    cx: &mut Cx<'_>,
    fd_in: Fd,
    off_in: UserPtr<i64>,
    fd_out: Fd,
    off_out: UserPtr<i64>,
    len: usize,
    flags: u32,
) -> Result<usize> {
    if len == 0 {
        return Ok(0);
    }
    ensure!(flags & !SPLICE_F_ALL == 0, EINVAL, "splice: unknown flags");
    let (input, output) = (file(cx, fd_in)?, file(cx, fd_out)?);
    let len = len.min(MAX_RW_COUNT);
    let nowait = flags & SPLICE_F_NONBLOCK != 0;
    let readable = input.flags().readable() && output.flags().writable();
    match (pipe_of(&input), pipe_of(&output)) {
        (Some(from), Some(to)) => {
            ensure!(off_in.is_null() && off_out.is_null(), ESPIPE);
            ensure!(readable, EBADF);
            let nowait = nowait || input.nonblocking() || output.nonblocking();
            splice_pipes(cx, from, to, len, nowait)
        }
        (Some(from), None) => {
            ensure!(off_in.is_null(), ESPIPE);
            let at = read_offset(cx, off_out, &output)?;
            ensure!(readable, EBADF);
            ensure!(
                !output.flags().contains(OpenFlags::APPEND),
                EINVAL,
                "splice: to a file opened with O_APPEND"
            );
            let nowait = nowait || input.nonblocking();
            let (moved, at) = splice_from_pipe(cx, from, &output, at, len, nowait)?;
            if let Some(at) = at {
                off_out.write(cx, &(at as i64))?;
            }
            Ok(moved)
        }
        (None, Some(to)) => {
            ensure!(off_out.is_null(), ESPIPE);
            let at = read_offset(cx, off_in, &input)?;
            ensure!(readable, EBADF);
            let nowait = nowait || output.nonblocking();
            let (moved, end) = splice_to_pipe(cx, &input, at, to, len, nowait)?;
            if at.is_some() {
                off_in.write(cx, &(end as i64))?;
            }
            Ok(moved)
        }
        (None, None) => bail!(EINVAL, "splice: neither is a pipe"),
    }
}

/// `tee(2)`.
pub fn tee(cx: &mut Cx<'_>, fd_in: Fd, fd_out: Fd, len: usize, flags: u32) -> Result<usize> {
    ensure!(flags & !SPLICE_F_ALL == 0, EINVAL, "tee: unknown flags");
    if len == 0 {
        return Ok(0);
    }
    let (input, output) = (file(cx, fd_in)?, file(cx, fd_out)?);
    ensure!(input.flags().readable() && output.flags().writable(), EBADF);
    let (Some(from), Some(to)) = (pipe_of(&input), pipe_of(&output)) else {
        bail!(EINVAL, "tee: not between pipes")
    };
    ensure!(!Arc::ptr_eq(from, to), EINVAL, "tee: a pipe to itself");
    let nowait = flags & SPLICE_F_NONBLOCK != 0 || input.nonblocking() || output.nonblocking();
    let queues = [WaitOn::any(&from.queue), WaitOn::any(&to.queue)];
    let attempt = || match from.tee(to, len.min(MAX_RW_COUNT)) {
        Err(error) if error.errno() == Errno::EAGAIN && !nowait => None,
        result => Some(result),
    };
    let result = wait_until(cx.task, &queues, Ktime::MAX, WaitKind::Interruptible, attempt)
        .map_err(|error| error.restart_sys())?;
    if matches!(&result, Err(error) if error.errno() == Errno::EPIPE) {
        linux_object::fs::send_sigpipe(cx.task);
    }
    result
}

/// `vmsplice(2)`: into a pipe the bytes are copied, which nobody can tell from shared pages that are
/// not written to afterwards; out of it they are read.
pub fn vmsplice(
    cx: &mut Cx<'_>,
    fd: Fd,
    iov: UserInPtr<abi::IoVec>,
    nr_segs: usize,
    flags: u32,
) -> Result<usize> {
    ensure!(flags & !SPLICE_F_ALL == 0, EINVAL, "vmsplice: unknown flags");
    let file = file(cx, fd)?;
    let mut io = UserIo::from_iovec(cx, iov, nr_segs)?;
    ensure!(pipe_of(&file).is_some(), EBADF, "vmsplice: not a pipe");
    if io.is_empty() {
        return Ok(0);
    }
    let nowait = flags & SPLICE_F_NONBLOCK != 0;
    if file.flags().writable() {
        rw::write(cx, &file, io, None, nowait, false)
    } else {
        rw::read(cx, &file, &mut io, None, nowait)
    }
}

/// `copy_file_range(2)`.
pub fn copy_file_range(
    cx: &mut Cx<'_>,
    fd_in: Fd,
    off_in: UserPtr<i64>,
    fd_out: Fd,
    off_out: UserPtr<i64>,
    len: usize,
    flags: u32,
) -> Result<usize> {
    let (input, output) = (file(cx, fd_in)?, file(cx, fd_out)?);
    let offset = |ptr: UserPtr<i64>, file: &OpenFile| -> Result<(u64, bool)> {
        match ptr.read_opt(cx)? {
            Some(at) => Ok((
                u64::try_from(at).map_err(|_| err!(EINVAL, "a negative offset"))?,
                true,
            )),
            None => Ok((*file.position.lock(), false)),
        }
    };
    let (mut from, from_given) = offset(off_in, &input)?;
    let (to, to_given) = offset(off_out, &output)?;
    ensure!(flags == 0, EINVAL, "copy_file_range: unknown flags");
    for file in [&input, &output] {
        ensure!(!file.is_dir(), EISDIR);
        ensure!(
            file.inode.file_type() == FileType::Regular,
            EINVAL,
            "copy_file_range: not a regular file"
        );
    }
    ensure!(input.flags().readable() && output.flags().writable(), EBADF);
    ensure!(
        !output.flags().contains(OpenFlags::APPEND),
        EBADF,
        "copy_file_range: to a file opened with O_APPEND"
    );
    ensure!(
        Arc::ptr_eq(&input.path.mount.sb, &output.path.mount.sb),
        EXDEV,
        "copy_file_range: between file systems"
    );
    ensure!(
        from.checked_add(len as u64).is_some() && to.checked_add(len as u64).is_some(),
        EOVERFLOW
    );
    let size = input.inode.metadata().size;
    let len = (len as u64)
        .min(size.saturating_sub(from))
        .min(MAX_RW_COUNT as u64) as usize;
    if Arc::ptr_eq(&input.inode, &output.inode) {
        let (a, b) = (from.min(to), from.max(to));
        ensure!(a + len as u64 <= b, EINVAL, "copy_file_range: the ranges overlap");
    }
    if len == 0 {
        return Ok(0);
    }
    let mut out_at = Some(to);
    let moved = copy(cx, &input, &mut from, &output, &mut out_at, len)?;
    if from_given {
        off_in.write(cx, &(from as i64))?;
    } else {
        *input.position.lock() = from;
    }
    let to = to + moved as u64;
    if to_given {
        off_out.write(cx, &(to as i64))?;
    } else {
        *output.position.lock() = to;
    }
    rw::file_accessed(&input, cx);
    Ok(moved)
}
