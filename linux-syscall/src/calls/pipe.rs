//! System calls: pipe (`pipe(2)`).

use alloc::sync::Arc;

use linux_object::ensure;
use linux_object::error::Result;
use linux_object::fs::pipe::make_pipe;
use linux_object::fs::{FileType, OpenFile, OpenFlags, pseudo_pair};
use linux_object::ids::Fd;

use crate::context::Cx;
use crate::user_ptr::UserOutPtr;

/// Gives `file` a descriptor below `RLIMIT_NOFILE`.
pub(super) fn install(cx: &Cx<'_>, file: Arc<OpenFile>, cloexec: bool) -> Result<usize> {
    let limit = cx.task.nofile();
    let fd = cx.files().install(file, cloexec, 0, limit)?;
    Ok(fd.0 as usize)
}

/// Gives two files descriptors and writes the numbers to user space; on failure none stays.
pub(super) fn install_pair(
    cx: &Cx<'_>,
    files: [Arc<OpenFile>; 2],
    cloexec: bool,
    out: UserOutPtr<i32>,
) -> Result<usize> {
    let limit = cx.task.nofile();
    let table = cx.task.files();
    let first = table.reserve(cloexec, 0, limit)?;
    let second = table.reserve(cloexec, 0, limit)?;
    let (Fd(a), Fd(b)) = (first.fd(), second.fd());
    out.write_slice(cx, &[a, b])?;
    let [one, two] = files;
    first.install(one);
    second.install(two);
    Ok(0)
}

/// `pipe(2)`.
pub fn pipe(cx: &mut Cx<'_>, pipefd: UserOutPtr<i32>) -> Result<usize> {
    pipe2(cx, pipefd, 0)
}

/// `pipe2(2)`.
pub fn pipe2(cx: &mut Cx<'_>, pipefd: UserOutPtr<i32>, flags: u32) -> Result<usize> {
    let flags = OpenFlags::from_bits_retain(flags);
    let allowed = OpenFlags::CLOEXEC | OpenFlags::NONBLOCK | OpenFlags::DIRECT;
    ensure!(allowed.contains(flags), EINVAL, "pipe2: unknown flags");
    let (reader, writer) = make_pipe(cx.task)?;
    let pipe = Arc::downgrade(reader.pipe());
    let cred = cx.task.cred();
    let kept = [
        flags & OpenFlags::NONBLOCK,
        OpenFlags::WRONLY | flags & (OpenFlags::NONBLOCK | OpenFlags::DIRECT),
    ];
    let files = pseudo_pair(cx.kernel, FileType::Fifo, [reader, writer], kept, &cred)?;
    // `/proc/PID/fd/N` opens it again, like a FIFO.
    *files[0].inode.common().fifo.lock() = pipe;
    install_pair(cx, files, flags.contains(OpenFlags::CLOEXEC), pipefd)
}
