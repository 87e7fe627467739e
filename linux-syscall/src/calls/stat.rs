//! `stat(2) statx(2) statfs(2) ustat(2) sysfs(2)`.

use alloc::vec::Vec;

use linux_object::error::Result;
use linux_object::fs::namei::LookupFlags;
use linux_object::fs::{DevT, FileTime, InodeFlags, Metadata, MountFlags, Path, SbFlags};
use linux_object::ids::{Fd, UserAddr};
use linux_object::{bail, ensure, err};

use crate::abi;
use crate::abi::AT_FDCWD;
use crate::context::Cx;
use crate::user_path::{
    self, AT_EMPTY_PATH, AT_NO_AUTOMOUNT, AT_SYMLINK_NOFOLLOW, UserPath, at_flags, lookup_bytes,
};
use crate::user_ptr::{UserCStr, UserOutPtr};

const CWD: Fd = Fd(AT_FDCWD);
const NANOS: i128 = 1_000_000_000;

fn timespec(time: FileTime) -> abi::Timespec {
    // A 128-bit division costs more than the rest of the call.
    if let Ok(time) = u64::try_from(time.0) {
        return abi::Timespec {
            sec: (time / NANOS as u64) as i64,
            nsec: (time % NANOS as u64) as i64,
        };
    }
    abi::Timespec {
        sec: time.0.div_euclid(NANOS) as i64,
        nsec: time.0.rem_euclid(NANOS) as i64,
    }
}

fn put_stat(cx: &Cx<'_>, path: &Path, statbuf: UserOutPtr<abi::Stat>) -> Result<usize> {
    put_metadata(cx, path, &path.inode()?.metadata(), statbuf)
}

fn put_metadata(
    cx: &Cx<'_>,
    path: &Path,
    metadata: &Metadata,
    statbuf: UserOutPtr<abi::Stat>,
) -> Result<usize> {
    let user_ns = cx.task.user_ns();
    let stat = abi::Stat {
        dev: path.mount.sb.dev.0,
        ino: metadata.inode,
        nlink: metadata.nlink.into(),
        mode: metadata.mode | metadata.file_type.mode_bits(),
        uid: user_ns.from_kuid_munged(metadata.uid).0,
        gid: user_ns.from_kgid_munged(metadata.gid).0,
        pad0: 0,
        rdev: metadata.rdev.0,
        size: metadata.size as i64,
        blksize: metadata.block_size.into(),
        blocks: metadata.blocks as i64,
        atime: timespec(metadata.atime),
        mtime: timespec(metadata.mtime),
        ctime: timespec(metadata.ctime),
        unused: [0; 3],
    };
    statbuf.write(cx, &stat)?;
    Ok(0)
}

/// `stat(2)`.
pub fn stat(cx: &mut Cx<'_>, path: UserCStr, statbuf: UserOutPtr<abi::Stat>) -> Result<usize> {
    let path = user_path::lookup(cx, CWD, path, LookupFlags::FOLLOW)?;
    put_stat(cx, &path, statbuf)
}

/// `fstat(2)`.
pub fn fstat(cx: &mut Cx<'_>, fd: Fd, statbuf: UserOutPtr<abi::Stat>) -> Result<usize> {
    let file = cx.files().get(fd)?;
    put_metadata(cx, &file.path, &file.inode.metadata(), statbuf)
}

/// `lstat(2)`.
pub fn lstat(cx: &mut Cx<'_>, path: UserCStr, statbuf: UserOutPtr<abi::Stat>) -> Result<usize> {
    let path = user_path::lookup(cx, CWD, path, LookupFlags::empty())?;
    put_stat(cx, &path, statbuf)
}

/// `newfstatat(2)`.
pub fn newfstatat(
    cx: &mut Cx<'_>,
    dirfd: Fd,
    path: UserCStr,
    statbuf: UserOutPtr<abi::Stat>,
    flags: u32,
) -> Result<usize> {
    ensure!(
        flags & !(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH) == 0,
        EINVAL,
        "fstatat: unknown flags"
    );
    let path = user_path::lookup(cx, dirfd, path, at_flags(flags))?;
    put_stat(cx, &path, statbuf)
}

/// `statx(2)`.
pub fn statx(
    cx: &mut Cx<'_>,
    dirfd: Fd,
    path: UserCStr,
    flags: u32,
    mask: u32,
    statxbuf: UserOutPtr<abi::Statx>,
) -> Result<usize> {
    const AT_STATX_SYNC_TYPE: u32 = 0x6000;
    const STATX_RESERVED: u32 = 1 << 31;
    const STATX_BASIC_STATS: u32 = 0x7ff;
    const STATX_BTIME: u32 = 0x800;
    const STATX_MNT_ID: u32 = 0x1000;
    const ATTR_IMMUTABLE: u64 = 0x10;
    const ATTR_APPEND: u64 = 0x20;
    const ATTR_MOUNT_ROOT: u64 = 0x2000;
    ensure!(mask & STATX_RESERVED == 0, EINVAL, "statx: a reserved bit");
    ensure!(
        flags & AT_STATX_SYNC_TYPE != AT_STATX_SYNC_TYPE,
        EINVAL,
        "statx: both kinds of synchronisation"
    );
    ensure!(
        flags & !(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE) == 0,
        EINVAL,
        "statx: unknown flags"
    );
    let name = UserPath::read(cx, path)?;
    let path = lookup_bytes(cx, dirfd, name.bytes(), at_flags(flags))?;
    let inode = path.inode()?;
    let metadata = inode.metadata();
    let user_ns = cx.task.user_ns();
    let stamp = |time: FileTime| abi::StatxTimestamp {
        sec: time.0.div_euclid(NANOS) as i64,
        nsec: time.0.rem_euclid(NANOS) as u32,
        pad: 0,
    };
    let inode_flags = inode.common().flags();
    let mut attributes = 0;
    if inode_flags.contains(InodeFlags::IMMUTABLE) {
        attributes |= ATTR_IMMUTABLE;
    }
    if inode_flags.contains(InodeFlags::APPEND) {
        attributes |= ATTR_APPEND;
    }
    if path.is_mount_root() {
        attributes |= ATTR_MOUNT_ROOT;
    }
    let mut result_mask = STATX_BASIC_STATS | STATX_MNT_ID;
    if metadata.btime != FileTime::default() {
        result_mask |= STATX_BTIME;
    }
    let dev = path.mount.sb.dev;
    let statx = abi::Statx {
        mask: result_mask,
        blksize: metadata.block_size,
        attributes,
        nlink: metadata.nlink,
        uid: user_ns.from_kuid_munged(metadata.uid).0,
        gid: user_ns.from_kgid_munged(metadata.gid).0,
        mode: (metadata.mode | metadata.file_type.mode_bits()) as u16,
        ino: metadata.inode,
        size: metadata.size,
        blocks: metadata.blocks,
        attributes_mask: ATTR_IMMUTABLE | ATTR_APPEND | ATTR_MOUNT_ROOT,
        atime: stamp(metadata.atime),
        btime: stamp(metadata.btime),
        ctime: stamp(metadata.ctime),
        mtime: stamp(metadata.mtime),
        rdev_major: metadata.rdev.major(),
        rdev_minor: metadata.rdev.minor(),
        dev_major: dev.major(),
        dev_minor: dev.minor(),
        mnt_id: path.mount.key.id.into(),
        ..abi::Statx::default()
    };
    statxbuf.write(cx, &statx)?;
    Ok(0)
}

fn put_statfs(cx: &Cx<'_>, path: &Path, buf: UserOutPtr<abi::Statfs>) -> Result<usize> {
    const ST_VALID: i64 = 0x20;
    let info = path.mount.sb.fs.info();
    let mount = path.mount.flags();
    let sb = path.mount.sb.flags();
    let mut flags = ST_VALID;
    for (set, bit) in [
        (path.mount.is_readonly(), 1),
        (mount.contains(MountFlags::NOSUID), 2),
        (mount.contains(MountFlags::NODEV), 4),
        (mount.contains(MountFlags::NOEXEC), 8),
        (sb.contains(SbFlags::SYNCHRONOUS), 16),
        (sb.contains(SbFlags::MANDLOCK), 64),
        (mount.contains(MountFlags::NOATIME), 1024),
        (mount.contains(MountFlags::NODIRATIME), 2048),
        (mount.contains(MountFlags::RELATIME), 4096),
        (mount.contains(MountFlags::NOSYMFOLLOW), 8192),
    ] {
        if set {
            flags |= bit;
        }
    }
    let dev = path.mount.sb.dev.0;
    let statfs = abi::Statfs {
        kind: info.magic as i64,
        bsize: info.block_size as i64,
        blocks: info.blocks,
        bfree: info.blocks_free,
        bavail: info.blocks_available,
        files: info.files,
        ffree: info.files_free,
        fsid: [dev as i32, (dev >> 32) as i32],
        namelen: info.name_max as i64,
        frsize: info.block_size as i64,
        flags,
        spare: [0; 4],
    };
    buf.write(cx, &statfs)?;
    Ok(0)
}

/// `statfs(2)`.
pub fn statfs(cx: &mut Cx<'_>, path: UserCStr, buf: UserOutPtr<abi::Statfs>) -> Result<usize> {
    let path = user_path::lookup(cx, CWD, path, LookupFlags::FOLLOW)?;
    put_statfs(cx, &path, buf)
}

/// `fstatfs(2)`.
pub fn fstatfs(cx: &mut Cx<'_>, fd: Fd, buf: UserOutPtr<abi::Statfs>) -> Result<usize> {
    let file = cx.files().get(fd)?;
    put_statfs(cx, &file.path, buf)
}

/// `ustat(2)`: the file system on a device.
pub fn ustat(cx: &mut Cx<'_>, dev: u32, ubuf: UserOutPtr<abi::Ustat>) -> Result<usize> {
    let sb = cx.kernel.vfs.super_of(DevT(dev.into()));
    let info = sb.ok_or(err!(EINVAL, "ustat: no file system"))?.fs.info();
    let ustat = abi::Ustat {
        tfree: info.blocks_free as i32,
        tinode: info.files_free,
        ..abi::Ustat::default()
    };
    ubuf.write(cx, &ustat)?;
    Ok(0)
}

/// `sysfs(2)`: the types of file systems, numbered.
pub fn sysfs(cx: &mut Cx<'_>, option: i32, arg1: u64, arg2: u64) -> Result<usize> {
    let types = cx.kernel.fs_types.all();
    match option {
        1 => {
            let name = UserPath::read(cx, UserCStr(UserAddr(arg1)))?;
            ensure!(!name.bytes().is_empty(), ENOENT, "sysfs: an empty name");
            let index = types
                .iter()
                .position(|fs_type| fs_type.name().as_bytes() == name.bytes());
            index.ok_or(err!(EINVAL, "sysfs: no such type"))
        }
        2 => {
            let fs_type = types.get(arg1 as u32 as usize);
            let name = fs_type.ok_or(err!(EINVAL, "sysfs: no such type"))?.name();
            let mut text = Vec::from(name.as_bytes());
            text.push(0);
            UserOutPtr::<u8>::new(UserAddr(arg2)).write_slice(cx, &text)?;
            Ok(0)
        }
        3 => Ok(types.len()),
        _ => bail!(EINVAL, "sysfs: no such option"),
    }
}
