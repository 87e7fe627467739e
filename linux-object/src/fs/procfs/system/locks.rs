//! `/proc/locks` (proc(5)).

use crate::error::Result;
use crate::fs::DevT;
use crate::fs::file_lock::{ListedLock, OFFSET_MAX, Wish};
use crate::fs::procfs::ProcCx;
use crate::fs::seq_file::SeqBuf;

/// One line per lock, and behind it those that wait for it. Locks of processes that the mount's pid namespace does not
/// see are left out.
pub(super) fn show(cx: &ProcCx<'_>, out: &mut SeqBuf) -> Result<()> {
    let mut number = 0;
    cx.kernel.vfs.locked_inodes.for_each(|dev, inode, listed| {
        number += u64::from(!listed.waits);
        line(cx, out, number, dev, inode, listed)
    })
}

fn line(
    cx: &ProcCx<'_>,
    out: &mut SeqBuf,
    number: u64,
    dev: DevT,
    inode: u64,
    listed: &ListedLock,
) -> Result<()> {
    let (kind, exclusive, pid, start, end) = match &listed.lock {
        Wish::Flock(lock) => ("FLOCK ", lock.exclusive, &lock.pid, 0, OFFSET_MAX),
        Wish::Record(lock) => {
            let kind = if lock.ofd { "OFDLCK" } else { "POSIX " };
            (kind, lock.exclusive, &lock.pid, lock.start, lock.end)
        }
    };
    // Those of open file descriptions are nobody's.
    let pid = pid.as_ref().map_or(-1, |pid| pid.nr_in(cx.pid_ns).0);
    if pid == 0 {
        return Ok(());
    }
    let arrow = if listed.waits { " -> " } else { " " };
    let mode = if exclusive { "WRITE" } else { "READ" };
    write!(out, "{number}:{arrow}{kind} ADVISORY  {mode} {pid} ")?;
    write!(out, "{:02x}:{:02x}:{inode} {start} ", dev.major(), dev.minor())?;
    match end {
        OFFSET_MAX => writeln!(out, "EOF"),
        end => writeln!(out, "{end}"),
    }
}
