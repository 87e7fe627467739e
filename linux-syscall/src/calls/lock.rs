//! Advisory locks: `flock(2)` and the lock commands of `fcntl(2)`.

use alloc::sync::Arc;

use linux_object::error::{Errno, Result};
use linux_object::fs::OpenFile;
use linux_object::fs::file_lock::{Flock, OFFSET_MAX, RecordLock, Wish};
use linux_object::ids::Fd;
use linux_object::time::Ktime;
use linux_object::{bail, ensure, err};

use crate::abi;
use crate::context::Cx;
use crate::user_ptr::UserPtr;
use crate::wait_until::{WaitKind, WaitOn, wait_until};

const F_RDLCK: i16 = 0;
const F_WRLCK: i16 = 1;
const F_UNLCK: i16 = 2;

/// `flock(2)`.
pub fn flock(cx: &mut Cx<'_>, fd: Fd, operation: u32) -> Result<usize> {
    const LOCK_SH: u32 = 1;
    const LOCK_EX: u32 = 2;
    const LOCK_NB: u32 = 4;
    const LOCK_UN: u32 = 8;
    const LOCK_MAND: u32 = 32;
    ensure!(operation & LOCK_MAND == 0, EINVAL, "flock: LOCK_MAND is gone");
    let kind = operation & !LOCK_NB;
    let file = cx.file(fd)?;
    ensure!(
        matches!(kind, LOCK_SH | LOCK_EX | LOCK_UN),
        EINVAL,
        "flock: an unknown operation"
    );
    let flags = file.flags();
    ensure!(
        kind == LOCK_UN || flags.readable() || flags.writable(),
        EBADF,
        "flock: neither readable nor writable"
    );
    let locks = &file.inode.common().locks;
    let owner = file.lock_owner();
    if kind == LOCK_UN {
        locks.flock_unlock(owner);
        return Ok(0);
    }
    let wish = Flock {
        owner,
        exclusive: kind == LOCK_EX,
        pid: Some(cx.task.group().tgid.clone()),
    };
    match locks.flock(&wish) {
        Err(error) if error.errno() == Errno::EAGAIN && operation & LOCK_NB == 0 => {}
        result => {
            result?;
            cx.kernel.vfs.locked_inodes.note(&file);
            return Ok(0);
        }
    }
    let waiting = locks.wait(Wish::Flock(wish.clone()))?;
    let waited = wait_until(
        cx.task,
        &[WaitOn::any(locks.queue())],
        Ktime::MAX,
        WaitKind::Interruptible,
        || match locks.flock(&wish) {
            Err(error) if error.errno() == Errno::EAGAIN => None,
            result => Some(result),
        },
    );
    drop(waiting);
    waited.map_err(|error| error.restart_sys())??;
    cx.kernel.vfs.locked_inodes.note(&file);
    Ok(0)
}

/// The range and kind of a `struct flock` (Linux's `flock_to_posix_lock`).
fn wish(cx: &Cx<'_>, file: &OpenFile, ofd: bool, arg: &abi::Flock) -> Result<RecordLock> {
    let origin = match arg.whence {
        0 => 0,
        1 => *file.position.lock(),
        2 => file.inode.metadata().size,
        _ => bail!(EINVAL, "a lock from an unknown origin"),
    };
    let start = i64::try_from(origin)
        .ok()
        .and_then(|origin| origin.checked_add(arg.start))
        .ok_or(err!(EOVERFLOW))?;
    ensure!(start >= 0, EINVAL, "a lock before the file");
    let (start, end) = if arg.len > 0 {
        let end = start.checked_add(arg.len - 1).ok_or(err!(EOVERFLOW))?;
        (start as u64, end as u64)
    } else if arg.len < 0 {
        let first = start.checked_add(arg.len).ok_or(err!(EINVAL))?;
        ensure!(first >= 0, EINVAL, "a lock before the file");
        (first as u64, start as u64 - 1)
    } else {
        (start as u64, OFFSET_MAX)
    };
    let exclusive = match arg.kind {
        F_RDLCK | F_UNLCK => false,
        F_WRLCK => true,
        _ => bail!(EINVAL, "an unknown kind of lock"),
    };
    if ofd {
        ensure!(arg.pid == 0, EINVAL, "an OFD lock with a pid");
    }
    let owner = if ofd {
        file.lock_owner()
    } else {
        cx.files().lock_owner()
    };
    Ok(RecordLock {
        owner,
        ofd,
        start,
        end,
        exclusive,
        pid: (!ofd).then(|| cx.task.group().tgid.clone()),
    })
}

/// `F_GETLK` and `F_OFD_GETLK`.
pub fn get(cx: &Cx<'_>, file: &OpenFile, ofd: bool, ptr: UserPtr<abi::Flock>) -> Result<usize> {
    let mut arg = ptr.read(cx)?;
    ensure!(
        matches!(arg.kind, F_RDLCK | F_WRLCK),
        EINVAL,
        "F_GETLK: neither a read nor a write lock"
    );
    let wish = wish(cx, file, ofd, &arg)?;
    match file.inode.common().locks.test(&wish) {
        None => arg.kind = F_UNLCK,
        Some(lock) => {
            arg.kind = if lock.exclusive { F_WRLCK } else { F_RDLCK };
            arg.whence = 0;
            arg.start = lock.start as i64;
            arg.len = if lock.end == OFFSET_MAX {
                0
            } else {
                (lock.end - lock.start + 1) as i64
            };
            arg.pid = lock.pid.map_or(-1, |pid| pid.nr_in(cx.task.pid_ns()).0);
        }
    }
    ptr.write(cx, &arg)?;
    Ok(0)
}

/// `F_SETLK`, `F_SETLKW` and their OFD forms.
pub fn set(
    cx: &Cx<'_>,
    fd: Fd,
    file: &Arc<OpenFile>,
    ofd: bool,
    wait: bool,
    ptr: UserPtr<abi::Flock>,
) -> Result<usize> {
    let arg = ptr.read(cx)?;
    let wish = wish(cx, file, ofd, &arg)?;
    let flags = file.flags();
    match arg.kind {
        F_RDLCK => ensure!(flags.readable(), EBADF, "a read lock without read access"),
        F_WRLCK => ensure!(flags.writable(), EBADF, "a write lock without write access"),
        _ => {}
    }
    let locks = &file.inode.common().locks;
    let blocked = &cx.kernel.vfs.blocked_locks;
    if arg.kind == F_UNLCK {
        locks.unset(blocked, &wish)?;
        return Ok(0);
    }
    if !wait {
        return match locks.set(blocked, &wish)? {
            Ok(()) => taken(cx, fd, file, &wish),
            Err(_) => bail!(EAGAIN, "another holds a lock in the range"),
        };
    }
    let attempt = || match locks.set(blocked, &wish) {
        Ok(Ok(())) => Some(Ok(())),
        Ok(Err(other)) if ofd || other.ofd => None,
        Ok(Err(other)) => blocked.block(wish.owner, other.owner, locks).err().map(Err),
        Err(error) => Some(Err(error)),
    };
    if let Some(result) = attempt() {
        result?;
        return taken(cx, fd, file, &wish);
    }
    let waiting = locks
        .wait(Wish::Record(wish.clone()))
        .inspect_err(|_| blocked.unblock(wish.owner, locks))?;
    let waited = wait_until(
        cx.task,
        &[WaitOn::any(locks.queue())],
        Ktime::MAX,
        WaitKind::Interruptible,
        attempt,
    );
    drop(waiting);
    blocked.unblock(wish.owner, locks);
    waited.map_err(|error| error.restart_sys())??;
    taken(cx, fd, file, &wish)
}

/// Another thread may have closed the descriptor while the lock was taken: then nobody would ever give
/// it up, so it is given up here, as Linux does.
fn taken(cx: &Cx<'_>, fd: Fd, file: &Arc<OpenFile>, lock: &RecordLock) -> Result<usize> {
    cx.kernel.vfs.locked_inodes.note(file);
    if lock.ofd {
        return Ok(0);
    }
    match cx.files().get(fd) {
        Ok(now) if Arc::ptr_eq(&now, file) => Ok(0),
        _ => {
            let locks = &file.inode.common().locks;
            locks.unset(&cx.kernel.vfs.blocked_locks, lock)?;
            bail!(EBADF, "the descriptor was closed meanwhile")
        }
    }
}
