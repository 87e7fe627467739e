//! Attributes: `chmod(2) chown(2) utimensat(2)`.

use linux_object::error::Result;
use linux_object::fs::attr::{self, NewTime};
use linux_object::fs::namei::LookupFlags;
use linux_object::fs::{FileTime, Path};
use linux_object::ids::{Fd, Gid, Uid};
use linux_object::{ensure, err};

use crate::abi;
use crate::abi::AT_FDCWD;
use crate::context::Cx;
use crate::user_path::{self, AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW, at_flags};
use crate::user_ptr::{UserCStr, UserInPtr};

const CWD: Fd = Fd(AT_FDCWD);
const NANOS: i128 = 1_000_000_000;

/// `chmod(2)`.
pub fn chmod(cx: &mut Cx<'_>, path: UserCStr, mode: u32) -> Result<usize> {
    fchmodat(cx, CWD, path, mode)
}

/// `fchmodat(2)`.
pub fn fchmodat(cx: &mut Cx<'_>, dirfd: Fd, path: UserCStr, mode: u32) -> Result<usize> {
    let path = user_path::lookup(cx, dirfd, path, LookupFlags::FOLLOW)?;
    attr::chmod(cx.task, &path, mode)?;
    Ok(0)
}

/// `fchmod(2)`.
pub fn fchmod(cx: &mut Cx<'_>, fd: Fd, mode: u32) -> Result<usize> {
    let file = cx.file(fd)?;
    attr::chmod(cx.task, &file.path, mode)?;
    Ok(0)
}

fn do_chown(cx: &Cx<'_>, path: &Path, owner: u32, group: u32) -> Result<usize> {
    let user_ns = cx.task.user_ns();
    let uid = (owner != u32::MAX)
        .then(|| {
            user_ns
                .make_kuid(Uid(owner))
                .ok_or(err!(EINVAL, "chown: an unmapped id"))
        })
        .transpose()?;
    let gid = (group != u32::MAX)
        .then(|| {
            user_ns
                .make_kgid(Gid(group))
                .ok_or(err!(EINVAL, "chown: an unmapped id"))
        })
        .transpose()?;
    attr::chown(cx.task, path, uid, gid)?;
    Ok(0)
}

/// `chown(2)`.
pub fn chown(cx: &mut Cx<'_>, path: UserCStr, owner: u32, group: u32) -> Result<usize> {
    fchownat(cx, CWD, path, owner, group, 0)
}

/// `lchown(2)`.
pub fn lchown(cx: &mut Cx<'_>, path: UserCStr, owner: u32, group: u32) -> Result<usize> {
    fchownat(cx, CWD, path, owner, group, AT_SYMLINK_NOFOLLOW)
}

/// `fchown(2)`.
pub fn fchown(cx: &mut Cx<'_>, fd: Fd, owner: u32, group: u32) -> Result<usize> {
    let file = cx.file(fd)?;
    do_chown(cx, &file.path, owner, group)
}

/// `fchownat(2)`.
pub fn fchownat(
    cx: &mut Cx<'_>,
    dirfd: Fd,
    path: UserCStr,
    owner: u32,
    group: u32,
    flags: u32,
) -> Result<usize> {
    ensure!(
        flags & !(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) == 0,
        EINVAL,
        "fchownat: unknown flags"
    );
    let path = user_path::lookup(cx, dirfd, path, at_flags(flags))?;
    do_chown(cx, &path, owner, group)
}

fn set_times(
    cx: &Cx<'_>,
    dirfd: Fd,
    path: UserCStr,
    times: Option<(NewTime, NewTime)>,
    flags: u32,
) -> Result<usize> {
    if times == Some((NewTime::Keep, NewTime::Keep)) {
        return Ok(0);
    }
    ensure!(
        flags & !(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) == 0,
        EINVAL,
        "utimensat: unknown flags"
    );
    if path.is_null() && dirfd.0 != AT_FDCWD {
        ensure!(flags == 0, EINVAL, "utimensat: flags without a path");
        let file = cx.file(dirfd)?;
        attr::utimes(cx.task, &file.path, times)?;
        return Ok(0);
    }
    let path = user_path::lookup(cx, dirfd, path, at_flags(flags))?;
    attr::utimes(cx.task, &path, times)?;
    Ok(0)
}

fn at_micros(time: abi::Timeval) -> Result<NewTime> {
    ensure!(
        (0..1_000_000).contains(&time.usec),
        EINVAL,
        "utimes: bad microseconds"
    );
    Ok(NewTime::Set(FileTime(
        i128::from(time.sec) * NANOS + i128::from(time.usec) * 1000,
    )))
}

fn micros(cx: &Cx<'_>, times: UserInPtr<abi::Timeval>) -> Result<Option<(NewTime, NewTime)>> {
    if times.is_null() {
        return Ok(None);
    }
    let (atime, mtime) = (times.read(cx)?, times.at(1).read(cx)?);
    Ok(Some((at_micros(atime)?, at_micros(mtime)?)))
}

/// `utime(2)`.
pub fn utime(cx: &mut Cx<'_>, path: UserCStr, times: UserInPtr<abi::UtimBuf>) -> Result<usize> {
    let seconds = |time: i64| NewTime::Set(FileTime(i128::from(time) * NANOS));
    let times = times
        .read_opt(cx)?
        .map(|times| (seconds(times.actime), seconds(times.modtime)));
    set_times(cx, CWD, path, times, 0)
}

/// `utimes(2)`.
pub fn utimes(cx: &mut Cx<'_>, path: UserCStr, times: UserInPtr<abi::Timeval>) -> Result<usize> {
    futimesat(cx, CWD, path, times)
}

/// `futimesat(2)`.
pub fn futimesat(
    cx: &mut Cx<'_>,
    dirfd: Fd,
    path: UserCStr,
    times: UserInPtr<abi::Timeval>,
) -> Result<usize> {
    let times = micros(cx, times)?;
    set_times(cx, dirfd, path, times, 0)
}

fn nanos(time: abi::Timespec) -> Result<NewTime> {
    const UTIME_NOW: i64 = (1 << 30) - 1;
    const UTIME_OMIT: i64 = (1 << 30) - 2;
    Ok(match time.nsec {
        UTIME_NOW => NewTime::Now,
        UTIME_OMIT => NewTime::Keep,
        nsec => {
            ensure!(
                (0..NANOS as i64).contains(&nsec),
                EINVAL,
                "utimensat: bad nanoseconds"
            );
            NewTime::Set(FileTime(i128::from(time.sec) * NANOS + i128::from(nsec)))
        }
    })
}

/// `utimensat(2)`.
pub fn utimensat(
    cx: &mut Cx<'_>,
    dirfd: Fd,
    path: UserCStr,
    times: UserInPtr<abi::Timespec>,
    flags: u32,
) -> Result<usize> {
    let times = if times.is_null() {
        None
    } else {
        let (atime, mtime) = (times.read(cx)?, times.at(1).read(cx)?);
        Some((nanos(atime)?, nanos(mtime)?))
    };
    set_times(cx, dirfd, path, times, flags)
}
