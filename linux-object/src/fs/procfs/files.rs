//! `/proc/PID/fd` and `/proc/PID/fdinfo` (`fs/proc/fd.c`).

use alloc::string::String;
use alloc::sync::Arc;

use super::base::PidCx;
use crate::err;
use crate::error::Result;
use crate::fs::seq_file::SeqBuf;
use crate::fs::{FileTable, OpenFile, OpenFlags};
use crate::ids::Fd;
use crate::task::Task;

fn table(task: &Task) -> Option<Arc<FileTable>> {
    task.parts.lock().files.clone()
}

/// The file behind a descriptor of any task; `ENOENT`.
pub(super) fn file(task: &Task, fd: Fd) -> Result<Arc<OpenFile>> {
    let table = table(task).ok_or(err!(ENOENT))?;
    table.get(fd).map_err(|_| err!(ENOENT))
}

/// The first descriptor in use from `from` on.
pub(super) fn next(task: &Task, from: u32) -> Option<(Fd, Arc<OpenFile>)> {
    table(task)?.next_fd(from)
}

/// Permission bits of a link in `fd/`: what the descriptor was opened for.
pub(super) fn link_mode(task: &Task, fd: Fd) -> u32 {
    let Ok(file) = file(task, fd) else { return 0o500 };
    let flags = file.flags();
    let mut mode = 0o100;
    if flags.readable() {
        mode |= 0o400;
    }
    if flags.writable() {
        mode |= 0o200;
    }
    mode
}

/// `fdinfo/N`.
pub(super) fn fdinfo(cx: &PidCx<'_>, fd: Fd, out: &mut SeqBuf) -> Result<()> {
    let table = table(cx.task).ok_or(err!(ENOENT))?;
    let file = table.get(fd).map_err(|_| err!(ENOENT))?;
    let mut flags = file.flags();
    flags.set(OpenFlags::CLOEXEC, table.cloexec(fd).unwrap_or(false));
    let position = *file.position.lock();
    writeln!(out, "pos:\t{position}")?;
    writeln!(out, "flags:\t0{:o}", flags.bits())?;
    writeln!(out, "mnt_id:\t{}", file.path.mount.id)?;
    writeln!(out, "ino:\t{}", file.inode.metadata().inode)?;
    if let Some(ops) = &file.ops {
        let mut extra = String::new();
        ops.fdinfo(&file, cx.reader, &mut extra);
        out.bytes(extra.as_bytes())?;
    }
    Ok(())
}
