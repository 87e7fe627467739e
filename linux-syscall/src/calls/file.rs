//! Reading, writing and what belongs to open files: `read(2) lseek(2) getdents64(2) …`

use alloc::sync::Arc;
use alloc::vec::Vec;

use linux_object::error::Result;
use linux_object::fs::notify::NotifyMask;
use linux_object::fs::{DentryFlags, DirSink, FileType, InodeFlags, OpenFile, OpenFlags, attr};
use linux_object::ids::{Fd, UserAddr};
use linux_object::net::socket_of;
use linux_object::seccomp::Listener;
use linux_object::task::Resource;
use linux_object::{bail, ensure, err};

use crate::abi;
use crate::context::Cx;
use crate::rw;
use crate::user_io::{UserIo, access_ok};
use crate::user_ptr::{UserInPtr, UserOutPtr, UserPtr};

#[inline]
fn file(cx: &Cx<'_>, fd: Fd) -> Result<Arc<OpenFile>> {
    cx.file(fd)
}

/// `read(2)`.
pub fn read(cx: &mut Cx<'_>, fd: Fd, buf: UserOutPtr<u8>, count: usize) -> Result<usize> {
    let file = cx.files().get(fd)?;
    // `O_PATH` has neither mode.
    ensure!(file.flags().readable(), EBADF);
    rw::read(cx, &file, &mut buffer(cx, buf.addr(), count)?, None, false)
}

/// `write(2)`.
pub fn write(cx: &mut Cx<'_>, fd: Fd, buf: UserInPtr<u8>, count: usize) -> Result<usize> {
    let file = cx.files().get(fd)?;
    ensure!(file.flags().writable(), EBADF);
    let from = buffer(cx, buf.addr(), count)?;
    rw::write(cx, &file, from, None, false, false)
}

/// A buffer of `count` bytes, all of which must be in user space, even those that one call does not move.
#[inline]
fn buffer<'a>(cx: &Cx<'a>, addr: UserAddr, count: usize) -> Result<UserIo<'a>> {
    access_ok(addr, count)?;
    UserIo::new(cx, addr, count)
}

/// A file for reading or writing at an offset.
fn file_at(cx: &Cx<'_>, fd: Fd, offset: i64) -> Result<(Arc<OpenFile>, u64)> {
    ensure!(offset >= 0, EINVAL, "a negative offset");
    let file = file(cx, fd)?;
    ensure!(file.seekable(), ESPIPE);
    Ok((file, offset as u64))
}

/// `pread64(2)`.
pub fn pread64(cx: &mut Cx<'_>, fd: Fd, buf: UserOutPtr<u8>, count: usize, offset: i64) -> Result<usize> {
    let (file, offset) = file_at(cx, fd, offset)?;
    ensure!(file.flags().readable(), EBADF);
    rw::read(
        cx,
        &file,
        &mut buffer(cx, buf.addr(), count)?,
        Some(offset),
        false,
    )
}

/// `pwrite64(2)`.
pub fn pwrite64(cx: &mut Cx<'_>, fd: Fd, buf: UserInPtr<u8>, count: usize, offset: i64) -> Result<usize> {
    let (file, offset) = file_at(cx, fd, offset)?;
    ensure!(file.pwritable(), ESPIPE);
    ensure!(file.flags().writable(), EBADF);
    let from = buffer(cx, buf.addr(), count)?;
    rw::write(cx, &file, from, Some(offset), false, false)
}

/// `readv(2)`.
pub fn readv(cx: &mut Cx<'_>, fd: Fd, iov: UserInPtr<abi::IoVec>, iovcnt: usize) -> Result<usize> {
    let file = file(cx, fd)?;
    ensure!(file.flags().readable(), EBADF);
    rw::read(cx, &file, &mut UserIo::from_iovec(cx, iov, iovcnt)?, None, false)
}

/// `writev(2)`.
pub fn writev(cx: &mut Cx<'_>, fd: Fd, iov: UserInPtr<abi::IoVec>, iovcnt: usize) -> Result<usize> {
    let file = cx.files().get(fd)?;
    ensure!(file.flags().writable(), EBADF);
    let from = UserIo::from_iovec(cx, iov, iovcnt)?;
    rw::write(cx, &file, from, None, false, false)
}

/// `preadv(2)`. A 64-bit kernel takes the whole offset from the low half.
pub fn preadv(
    cx: &mut Cx<'_>,
    fd: Fd,
    iov: UserInPtr<abi::IoVec>,
    iovcnt: usize,
    pos_l: u64,
    _pos_h: u64,
) -> Result<usize> {
    let (file, offset) = file_at(cx, fd, pos_l as i64)?;
    ensure!(file.flags().readable(), EBADF);
    let mut to = UserIo::from_iovec(cx, iov, iovcnt)?;
    rw::read(cx, &file, &mut to, Some(offset), false)
}

/// `pwritev(2)`.
pub fn pwritev(
    cx: &mut Cx<'_>,
    fd: Fd,
    iov: UserInPtr<abi::IoVec>,
    iovcnt: usize,
    pos_l: u64,
    _pos_h: u64,
) -> Result<usize> {
    let (file, offset) = file_at(cx, fd, pos_l as i64)?;
    ensure!(file.pwritable(), ESPIPE);
    ensure!(file.flags().writable(), EBADF);
    let from = UserIo::from_iovec(cx, iov, iovcnt)?;
    rw::write(cx, &file, from, Some(offset), false, false)
}

bitflags::bitflags! {
    /// Flags of `preadv2(2)`.
    struct RwFlags: u32 {
        const HIPRI = 1;
        const DSYNC = 2;
        const SYNC = 4;
        const NOWAIT = 8;
        const APPEND = 16;
    }
}

fn file_v2(cx: &Cx<'_>, fd: Fd, pos: u64, flags: u32) -> Result<(Arc<OpenFile>, Option<u64>, RwFlags)> {
    let (file, at) = if pos as i64 == -1 {
        (file(cx, fd)?, None)
    } else {
        let (file, at) = file_at(cx, fd, pos as i64)?;
        (file, Some(at))
    };
    let flags = RwFlags::from_bits(flags).ok_or(err!(EOPNOTSUPP, "unknown RWF_ flags"))?;
    Ok((file, at, flags))
}

/// `preadv2(2)`.
pub fn preadv2(
    cx: &mut Cx<'_>,
    fd: Fd,
    iov: UserInPtr<abi::IoVec>,
    iovcnt: usize,
    pos_l: u64,
    _pos_h: u64,
    flags: u32,
) -> Result<usize> {
    let (file, at, flags) = file_v2(cx, fd, pos_l, flags)?;
    ensure!(file.flags().readable(), EBADF);
    let mut to = UserIo::from_iovec(cx, iov, iovcnt)?;
    rw::read(cx, &file, &mut to, at, flags.contains(RwFlags::NOWAIT))
}

/// `pwritev2(2)`.
pub fn pwritev2(
    cx: &mut Cx<'_>,
    fd: Fd,
    iov: UserInPtr<abi::IoVec>,
    iovcnt: usize,
    pos_l: u64,
    _pos_h: u64,
    flags: u32,
) -> Result<usize> {
    let (file, at, flags) = file_v2(cx, fd, pos_l, flags)?;
    ensure!(at.is_none() || file.pwritable(), ESPIPE);
    ensure!(file.flags().writable(), EBADF);
    let from = UserIo::from_iovec(cx, iov, iovcnt)?;
    let (nowait, append) = (flags.contains(RwFlags::NOWAIT), flags.contains(RwFlags::APPEND));
    rw::write(cx, &file, from, at, nowait, append)
}

const SEEK_SET: u32 = 0;
const SEEK_CUR: u32 = 1;
const SEEK_END: u32 = 2;
const SEEK_DATA: u32 = 3;
const SEEK_HOLE: u32 = 4;

/// `lseek(2)`.
pub fn lseek(cx: &mut Cx<'_>, fd: Fd, offset: i64, whence: u32) -> Result<usize> {
    let file = file(cx, fd)?;
    ensure!(whence <= SEEK_HOLE, EINVAL, "lseek: an unknown origin");
    ensure!(file.seekable(), ESPIPE);
    if let Some(ops) = &file.ops
        && let Some(result) = ops.seek(&file, offset, whence)
    {
        return Ok(result? as usize);
    }
    let inode = &file.inode;
    let dir = inode.file_type() == FileType::Directory;
    ensure!(
        !dir || whence <= SEEK_CUR,
        EINVAL,
        "lseek: a directory has no end"
    );
    // Asked before the position is locked: a procfs inode looks at tasks.
    let size = if whence >= SEEK_END {
        inode.metadata().size
    } else {
        0
    };
    let mut position = file.position.lock();
    let new = match whence {
        SEEK_SET => Some(offset),
        SEEK_CUR => (*position as i64).checked_add(offset),
        SEEK_END => (size as i64).checked_add(offset),
        _ => {
            ensure!(offset >= 0 && (offset as u64) < size, ENXIO);
            if file.ops.is_some() {
                // Of a file without holes.
                Some(if whence == SEEK_DATA { offset } else { size as i64 })
            } else {
                Some(inode.seek_data_hole(offset as u64, whence == SEEK_DATA)? as i64)
            }
        }
    };
    let new = new.ok_or(err!(EOVERFLOW, "lseek: beyond the largest offset"))?;
    ensure!(new >= 0, EINVAL, "lseek: before the file");
    *position = new as u64;
    Ok(new as usize)
}

/// `ioctl(2)`.
pub fn ioctl(cx: &mut Cx<'_>, fd: Fd, cmd: u32, arg: UserAddr) -> Result<usize> {
    const FIONCLEX: u32 = 0x5450;
    const FIOCLEX: u32 = 0x5451;
    const FIONBIO: u32 = 0x5421;
    const FIOASYNC: u32 = 0x5452;
    const FIONREAD: u32 = 0x541b;
    const FIOQSIZE: u32 = 0x5460;
    const FIGETBSZ: u32 = 2;
    const FIOSETOWN: u32 = 0x8901;
    const SIOCSPGRP: u32 = 0x8902;
    const FIOGETOWN: u32 = 0x8903;
    const SIOCGPGRP: u32 = 0x8904;
    let file = file(cx, fd)?;
    let value = UserPtr::<i32>::new(arg);
    match cmd {
        FIOCLEX | FIONCLEX => {
            cx.files().set_cloexec(fd, cmd == FIOCLEX)?;
            return Ok(0);
        }
        FIONBIO | FIOASYNC => {
            let flag = if cmd == FIONBIO {
                OpenFlags::NONBLOCK
            } else {
                OpenFlags::ASYNC
            };
            let on = value.read(cx)? != 0;
            let old = file.flags();
            file.set_flags(flag, if on { flag } else { OpenFlags::empty() });
            linux_object::fs::fasync::flags_changed(cx.kernel, &file, fd.0, old);
            if let Some(ops) = &file.ops {
                ops.flags_changed(&file);
            }
            return Ok(0);
        }
        FIOSETOWN | SIOCSPGRP if socket_of(&file).is_ok() => {
            return super::fd::set_signed_owner(cx, &file, value.read(cx)?);
        }
        FIOGETOWN | SIOCGPGRP if socket_of(&file).is_ok() => {
            value.write(cx, &super::fd::get_signed_owner(cx, &file))?;
            return Ok(0);
        }
        FIGETBSZ => {
            value.write(cx, &(file.inode.metadata().block_size as i32))?;
            return Ok(0);
        }
        FIOQSIZE => match file.inode.file_type() {
            FileType::Regular | FileType::Directory | FileType::Symlink => {
                let size = file.inode.metadata().size as i64;
                UserPtr::<i64>::new(arg).write(cx, &size)?;
                return Ok(0);
            }
            _ => bail!(ENOTTY),
        },
        FIONREAD if file.ops.is_none() && file.inode.file_type() == FileType::Regular => {
            let size = file.inode.metadata().size;
            let left = size.wrapping_sub(*file.position.lock());
            value.write(cx, &(left as i32))?;
            return Ok(0);
        }
        _ => {}
    }
    if let Some(listener) = file.ops_as::<Listener>() {
        return super::seccomp::listener_ioctl(cx, listener, cmd, arg);
    }
    match &file.ops {
        Some(ops) => ops.ioctl(&file, cx.task, cmd, arg),
        None => bail!(ENOTTY),
    }
}

/// `fsync(2)`. What is in the page cache is where it belongs.
pub fn fsync(cx: &mut Cx<'_>, fd: Fd) -> Result<usize> {
    let file = file(cx, fd)?;
    ensure!(file.ops.is_none(), EINVAL, "fsync: nothing to synchronise");
    Ok(0)
}

/// `fdatasync(2)`.
pub fn fdatasync(cx: &mut Cx<'_>, fd: Fd) -> Result<usize> {
    fsync(cx, fd)
}

/// `sync(2)`.
pub fn sync(_cx: &mut Cx<'_>) -> Result<usize> {
    Ok(0)
}

/// `syncfs(2)`.
pub fn syncfs(cx: &mut Cx<'_>, fd: Fd) -> Result<usize> {
    file(cx, fd)?;
    Ok(0)
}

/// `sync_file_range(2)`.
pub fn sync_file_range(cx: &mut Cx<'_>, fd: Fd, offset: i64, nbytes: i64, flags: u32) -> Result<usize> {
    let file = file(cx, fd)?;
    ensure!(flags & !7 == 0, EINVAL, "sync_file_range: unknown flags");
    ensure!(
        offset >= 0 && nbytes >= 0 && offset.checked_add(nbytes).is_some(),
        EINVAL,
        "sync_file_range: a bad range"
    );
    ensure!(
        matches!(
            file.inode.file_type(),
            FileType::Regular | FileType::BlockDevice | FileType::Directory | FileType::Symlink
        ),
        ESPIPE
    );
    Ok(0)
}

/// `readahead(2)`. Everything is in memory.
pub fn readahead(cx: &mut Cx<'_>, fd: Fd, _offset: u64, _count: usize) -> Result<usize> {
    let file = file(cx, fd)?;
    ensure!(file.flags().readable(), EBADF);
    ensure!(
        file.inode.file_type() == FileType::Regular && file.inode.page_cache().is_some(),
        EINVAL,
        "readahead: not a file with pages"
    );
    Ok(0)
}

/// `fadvise64(2)`. Advice about what is in memory anyway changes nothing.
pub fn fadvise64(cx: &mut Cx<'_>, fd: Fd, _offset: i64, len: i64, advice: i32) -> Result<usize> {
    let file = file(cx, fd)?;
    ensure!(file.inode.file_type() != FileType::Fifo, ESPIPE);
    ensure!(len >= 0, EINVAL, "fadvise64: a negative length");
    ensure!((0..=5).contains(&advice), EINVAL, "fadvise64: unknown advice");
    Ok(0)
}

/// `ftruncate(2)`.
pub fn ftruncate(cx: &mut Cx<'_>, fd: Fd, length: i64) -> Result<usize> {
    ensure!(length >= 0, EINVAL, "ftruncate: a negative length");
    let file = file(cx, fd)?;
    attr::ftruncate(cx.task, &file, length as u64)?;
    Ok(0)
}

/// `fallocate(2)`.
pub fn fallocate(cx: &mut Cx<'_>, fd: Fd, mode: u32, offset: i64, len: i64) -> Result<usize> {
    const KEEP_SIZE: u32 = 0x01;
    const PUNCH_HOLE: u32 = 0x02;
    const COLLAPSE_RANGE: u32 = 0x08;
    const ZERO_RANGE: u32 = 0x10;
    const INSERT_RANGE: u32 = 0x20;
    const UNSHARE_RANGE: u32 = 0x40;
    let file = file(cx, fd)?;
    ensure!(offset >= 0 && len > 0, EINVAL, "fallocate: a bad range");
    let known = KEEP_SIZE | PUNCH_HOLE | COLLAPSE_RANGE | ZERO_RANGE | INSERT_RANGE | UNSHARE_RANGE;
    ensure!(mode & !known == 0, EOPNOTSUPP, "fallocate: an unknown mode");
    let both = PUNCH_HOLE | ZERO_RANGE;
    ensure!(mode & both != both, EOPNOTSUPP);
    ensure!(
        mode & PUNCH_HOLE == 0 || mode & KEEP_SIZE != 0,
        EOPNOTSUPP,
        "fallocate: a hole that changes the size"
    );
    for alone in [COLLAPSE_RANGE, INSERT_RANGE] {
        ensure!(mode & alone == 0 || mode == alone, EINVAL, "fallocate: not alone");
    }
    ensure!(
        mode & UNSHARE_RANGE == 0 || mode & !(UNSHARE_RANGE | KEEP_SIZE) == 0,
        EINVAL,
        "fallocate: not alone"
    );
    ensure!(file.flags().writable(), EBADF);
    let flags = file.inode.common().flags();
    ensure!(
        mode & !KEEP_SIZE == 0 || !flags.contains(InodeFlags::APPEND),
        EPERM,
        "the file is append-only"
    );
    ensure!(
        !flags.contains(InodeFlags::IMMUTABLE),
        EPERM,
        "the file is immutable"
    );
    match file.inode.file_type() {
        FileType::Fifo => bail!(ESPIPE),
        FileType::Directory => bail!(EISDIR),
        FileType::Regular => {}
        _ => bail!(ENODEV),
    }
    let end = offset.checked_add(len).ok_or(err!(EFBIG))?;
    ensure!(file.ops.is_none(), EOPNOTSUPP);
    if mode & (KEEP_SIZE | PUNCH_HOLE) == 0
        && end as u64 > file.inode.metadata().size
        && end as u64 > cx.task.group().rlimit(Resource::FSIZE).cur
    {
        rw::send_sigxfsz(cx.task);
        bail!(EFBIG, "RLIMIT_FSIZE");
    }
    file.inode.fallocate(mode, offset as u64, len as u64)?;
    attr::file_remove_privs(cx.task, &file)?;
    file.notify(NotifyMask::MODIFY);
    Ok(0)
}

/// Bytes that one `getdents` call makes at most.
const DIRENT_CHUNK: usize = 64 << 10;

/// Collects entries in the layout of `struct linux_dirent64` or `struct linux_dirent`.
struct Dirents {
    out: Vec<u8>,
    room: usize,
    old: bool,
    /// Where to go on.
    next: u64,
    /// The first entry did not fit.
    too_small: bool,
}

impl Dirents {
    fn add(&mut self, name: &[u8], ino: u64, file_type: FileType, next: u64) -> bool {
        // `linux_dirent` has the type in its last byte.
        let head = if self.old { 18 } else { 19 };
        let len = (head + name.len() + if self.old { 2 } else { 1 }).next_multiple_of(8);
        if len > self.room - self.out.len() || self.out.try_reserve(len).is_err() {
            self.too_small = self.out.is_empty();
            return false;
        }
        let start = self.out.len();
        self.out.extend_from_slice(&ino.to_ne_bytes());
        self.out.extend_from_slice(&next.to_ne_bytes());
        self.out.extend_from_slice(&(len as u16).to_ne_bytes());
        if !self.old {
            self.out.push(file_type as u8);
        }
        self.out.extend_from_slice(name);
        self.out.resize(start + len, 0);
        if self.old {
            self.out[start + len - 1] = file_type as u8;
        }
        self.next = next;
        true
    }
}

fn do_getdents(cx: &Cx<'_>, fd: Fd, dirp: UserOutPtr<u8>, count: u32, old: bool) -> Result<usize> {
    let file = file(cx, fd)?;
    ensure!(file.is_dir(), ENOTDIR);
    ensure!(file.flags().readable(), EBADF);
    ensure!(
        !file.inode.common().flags().contains(InodeFlags::DEAD),
        ENOENT,
        "the directory was removed"
    );
    let cached = file.path.dentry.flags().contains(DentryFlags::CACHED);
    let outer = file.ops.as_ref().is_some_and(|ops| ops.takes_outer_locks());
    let mut dirents = Dirents {
        out: Vec::new(),
        room: (count as usize).min(DIRENT_CHUNK),
        old,
        next: 0,
        too_small: false,
    };
    let fill = |position: &mut u64, dirents: &mut Dirents| -> Result<()> {
        dirents.next = *position;
        let mut go_on = true;
        let inode = &file.inode;
        if *position == 0 {
            go_on = dirents.add(b".", inode.metadata().inode, FileType::Directory, 1);
        }
        if go_on && *position <= 1 {
            let parent = file.path.dentry.parent();
            let above = parent.as_ref().and_then(|parent| parent.inode());
            let ino = above.unwrap_or(inode).metadata().inode;
            go_on = dirents.add(b"..", ino, FileType::Directory, 2);
        }
        if go_on {
            let from = dirents.next.max(2);
            let sink: &mut DirSink<'_> =
                &mut |name, ino, file_type, next| dirents.add(name, ino, file_type, next);
            let special = match &file.ops {
                Some(ops) => ops.readdir(&file, cx.task, from, sink),
                None => None,
            };
            match special {
                Some(result) => result?,
                None if cached => {
                    let _locked = inode.common().dir.lock();
                    inode.readdir(from, sink)?;
                }
                None => inode.readdir(from, sink)?,
            }
        }
        *position = dirents.next;
        Ok(())
    };
    if cached && !outer {
        fill(&mut file.position.lock(), &mut dirents)?;
    } else {
        let mut position = *file.position.lock();
        fill(&mut position, &mut dirents)?;
        *file.position.lock() = position;
    }
    file.notify(NotifyMask::ACCESS);
    rw::file_accessed(&file, cx);
    ensure!(!dirents.too_small, EINVAL, "getdents: no room for one entry");
    dirp.write_slice(cx, &dirents.out)?;
    Ok(dirents.out.len())
}

/// `getdents(2)`.
pub fn getdents(cx: &mut Cx<'_>, fd: Fd, dirp: UserOutPtr<u8>, count: u32) -> Result<usize> {
    do_getdents(cx, fd, dirp, count, true)
}

/// `getdents64(2)`.
pub fn getdents64(cx: &mut Cx<'_>, fd: Fd, dirp: UserOutPtr<u8>, count: u32) -> Result<usize> {
    do_getdents(cx, fd, dirp, count, false)
}
