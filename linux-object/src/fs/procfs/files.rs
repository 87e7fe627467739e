//! `/proc/PID/fd` and `/proc/PID/fdinfo` (`fs/proc/fd.c`).

use alloc::string::String;
use alloc::sync::Arc;

use super::base::PidCx;
use crate::cred::Capability;
use crate::err;
use crate::error::Result;
use crate::fs::seq_file::SeqBuf;
use crate::fs::{FileTable, OpenFile, OpenFlags};
use crate::ids::Fd;
use crate::mm::VmFlags;
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

/// The two addresses of a name in `map_files/`: hexadecimal, as short as can be.
pub(super) fn parse_range(name: &[u8]) -> Option<(u64, u64)> {
    let (start, end) = core::str::from_utf8(name).ok()?.split_once('-')?;
    let number = |text: &str| {
        let canonical = text == "0" || !text.starts_with(['0', '+']);
        u64::from_str_radix(text, 16).ok().filter(|_| canonical)
    };
    Some((number(start)?, number(end)?))
}

/// The file of an area of any task, and the permission bits of its link; `ENOENT`.
pub(super) fn mapped(task: &Task, start: u64, end: u64) -> Result<(Arc<OpenFile>, u32)> {
    let found = task.try_mm().and_then(|mm| mm.mapped_file(start, end));
    let (file, flags) = found.ok_or(err!(ENOENT))?;
    let mut mode = 0;
    if flags.contains(VmFlags::READ) {
        mode |= 0o400;
    }
    if flags.contains(VmFlags::WRITE) {
        mode |= 0o200;
    }
    Ok((file, mode))
}

/// Whether a task may open what somebody maps, which no path need lead to.
pub(super) fn may_open_mapped(viewer: &Task) -> bool {
    let cred = viewer.cred();
    cred.capable(Capability::CHECKPOINT_RESTORE) || cred.capable(Capability::SYS_ADMIN)
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
    writeln!(out, "mnt_id:\t{}", file.path.mount.key.id)?;
    writeln!(out, "ino:\t{}", file.inode.metadata().inode)?;
    if let Some(ops) = &file.ops {
        let mut extra = String::new();
        ops.fdinfo(&file, cx.reader, &mut extra);
        out.bytes(extra.as_bytes())?;
    }
    Ok(())
}
