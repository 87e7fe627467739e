//! Names and directories: `open(2) mkdir(2) rename(2) …`

use alloc::sync::Arc;

use linux_object::cred::{Capability, Cred, SecureBits};
use linux_object::error::Result;
use linux_object::fs::d_path::path_name;
use linux_object::fs::namei::{self, CreateParent, LookupFlags, RenameFlags};
use linux_object::fs::permission::{Access, inode_permission};
use linux_object::fs::{DevT, FileType, OpenFlags, OpenHow, Path, attr, may_exec_on};
use linux_object::ids::{Fd, Uid};
use linux_object::{bail, ensure};

use crate::abi;
use crate::abi::AT_FDCWD;
use crate::arg::OpenArg;
use crate::calls::fd::nofile;
use crate::context::Cx;
use crate::rw;
use crate::user_path::{self, AT_EMPTY_PATH, AT_SYMLINK_FOLLOW, AT_SYMLINK_NOFOLLOW, UserPath, at_flags};
use crate::user_ptr::{PATH_MAX, UserCStr, UserInPtr, UserOutPtr};

const CWD: Fd = Fd(AT_FDCWD);

fn do_open(cx: &Cx<'_>, dirfd: Fd, path: UserCStr, how: OpenHow) -> Result<usize> {
    let path = UserPath::read(cx, path)?;
    let files = cx.task.files();
    let reserved = files.reserve(how.flags.contains(OpenFlags::CLOEXEC), 0, nofile(cx))?;
    let base = if how.resolve.contains(LookupFlags::IN_ROOT) {
        // `/` is the directory itself.
        user_path::directory(cx, dirfd)?
    } else {
        user_path::base(cx, dirfd, path.bytes())?
    };
    if path.bytes().is_empty() {
        bail!(ENOENT, "the path is empty");
    }
    let file = linux_object::fs::open(cx.task, base.as_ref(), path.bytes(), how)?;
    rw::wait_opened(cx, &file)?;
    Ok(reserved.install(file).0 as usize)
}

fn masked(cx: &Cx<'_>, mode: u32) -> u32 {
    mode & !cx.task.fs().umask()
}

fn open_how(cx: &Cx<'_>, flags: OpenArg, mode: u32) -> Result<OpenHow> {
    OpenHow::new(flags.flags(), masked(cx, mode & 0o7777), LookupFlags::empty())
}

/// `open(2)`.
pub fn open(cx: &mut Cx<'_>, path: UserCStr, flags: OpenArg, mode: u32) -> Result<usize> {
    openat(cx, CWD, path, flags, mode)
}

/// `openat(2)`.
pub fn openat(cx: &mut Cx<'_>, dirfd: Fd, path: UserCStr, flags: OpenArg, mode: u32) -> Result<usize> {
    let how = open_how(cx, flags, mode)?;
    do_open(cx, dirfd, path, how)
}

/// `creat(2)`.
pub fn creat(cx: &mut Cx<'_>, path: UserCStr, mode: u32) -> Result<usize> {
    let flags = OpenFlags::CREAT | OpenFlags::WRONLY | OpenFlags::TRUNC;
    let how = open_how(cx, OpenArg(flags.bits()), mode)?;
    do_open(cx, CWD, path, how)
}

/// Reads a structure that may be longer than the one known here (Linux's `copy_struct_from_user`):
/// `E2BIG` if the part beyond is not zero.
pub fn read_extensible(cx: &Cx<'_>, from: UserInPtr<u8>, size: usize, known: &mut [u8]) -> Result<()> {
    let len = size.min(known.len());
    known[len..].fill(0);
    cx.hal().copy_from_user(&mut known[..len], from.addr())?;
    let mut at = len;
    while at < size {
        let mut rest = [0u8; 64];
        let part = (size - at).min(rest.len());
        cx.hal()
            .copy_from_user(&mut rest[..part], from.addr().offset(at as u64))?;
        ensure!(rest[..part].iter().all(|&byte| byte == 0), E2BIG);
        at += part;
    }
    Ok(())
}

/// `openat2(2)`.
pub fn openat2(cx: &mut Cx<'_>, dirfd: Fd, path: UserCStr, how: UserInPtr<u8>, size: usize) -> Result<usize> {
    const NO_XDEV: u64 = 1;
    const NO_MAGICLINKS: u64 = 2;
    const NO_SYMLINKS: u64 = 4;
    const BENEATH: u64 = 8;
    const IN_ROOT: u64 = 0x10;
    const CACHED: u64 = 0x20;
    ensure!(
        size >= size_of::<abi::OpenHow>(),
        EINVAL,
        "openat2: a short structure"
    );
    ensure!(
        size <= linux_object::ids::PAGE_SIZE,
        E2BIG,
        "openat2: a long structure"
    );
    let mut arg = abi::OpenHow::default();
    read_extensible(cx, how, size, zerocopy::IntoBytes::as_mut_bytes(&mut arg))?;
    let known = NO_XDEV | NO_MAGICLINKS | NO_SYMLINKS | BENEATH | IN_ROOT | CACHED;
    let flags = u32::try_from(arg.flags)
        .ok()
        .and_then(|flags| OpenFlags::from_bits(flags & !3).map(|_| OpenFlags::from_bits_retain(flags)));
    let Some(flags) = flags else {
        bail!(EINVAL, "openat2: unknown flags")
    };
    ensure!(
        arg.resolve & !known == 0,
        EINVAL,
        "openat2: unknown resolve flags"
    );
    ensure!(
        arg.resolve & (BENEATH | IN_ROOT) != BENEATH | IN_ROOT,
        EINVAL,
        "openat2: RESOLVE_BENEATH and RESOLVE_IN_ROOT"
    );
    let creates = flags.intersects(OpenFlags::CREAT | OpenFlags::TMPFILE);
    ensure!(
        if creates {
            arg.mode & !0o7777 == 0
        } else {
            arg.mode == 0
        },
        EINVAL,
        "openat2: a mode that says nothing"
    );
    if flags.contains(OpenFlags::PATH) {
        let allowed = OpenFlags::PATH | OpenFlags::DIRECTORY | OpenFlags::NOFOLLOW | OpenFlags::CLOEXEC;
        ensure!(
            allowed.contains(flags),
            EINVAL,
            "openat2: O_PATH with other flags"
        );
    }
    if arg.resolve & CACHED != 0 {
        ensure!(
            !flags.intersects(OpenFlags::TRUNC | OpenFlags::CREAT | OpenFlags::TMPFILE),
            EAGAIN,
            "RESOLVE_CACHED and a change"
        );
    }
    let mut resolve = LookupFlags::empty();
    for (bit, flag) in [
        (NO_XDEV, LookupFlags::NO_XDEV),
        (NO_MAGICLINKS, LookupFlags::NO_MAGICLINKS),
        (NO_SYMLINKS, LookupFlags::NO_SYMLINKS),
        (BENEATH, LookupFlags::BENEATH),
        (IN_ROOT, LookupFlags::IN_ROOT),
    ] {
        if arg.resolve & bit != 0 {
            resolve |= flag;
        }
    }
    let how = OpenHow::new(flags, masked(cx, arg.mode as u32), resolve)?;
    do_open(cx, dirfd, path, how)
}

/// `access(2)`.
pub fn access(cx: &mut Cx<'_>, path: UserCStr, mode: u32) -> Result<usize> {
    faccessat2(cx, CWD, path, mode, 0)
}

/// `faccessat(2)`.
pub fn faccessat(cx: &mut Cx<'_>, dirfd: Fd, path: UserCStr, mode: u32) -> Result<usize> {
    faccessat2(cx, dirfd, path, mode, 0)
}

/// The real ids as those that decide (Linux's `access_override_creds`).
fn real_cred(cx: &Cx<'_>) -> Arc<Cred> {
    let mut cred = (*cx.task.cred()).clone();
    cred.fsuid = cred.uid;
    cred.fsgid = cred.gid;
    if !cred.securebits.contains(SecureBits::NO_SETUID_FIXUP) {
        let root = cred.user_ns.make_kuid(Uid(0));
        cred.cap_effective = if root == Some(cred.uid) {
            cred.cap_permitted
        } else {
            Default::default()
        };
    }
    Arc::new(cred)
}

/// `faccessat2(2)`.
pub fn faccessat2(cx: &mut Cx<'_>, dirfd: Fd, path: UserCStr, mode: u32, flags: u32) -> Result<usize> {
    const AT_EACCESS: u32 = 0x200;
    ensure!(mode & !7 == 0, EINVAL, "access: an unknown mode");
    ensure!(
        flags & !(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) == 0,
        EINVAL,
        "faccessat2: unknown flags"
    );
    let cred = if flags & AT_EACCESS != 0 {
        cx.task.cred()
    } else {
        real_cred(cx)
    };
    let name = UserPath::read(cx, path)?;
    let lookup = at_flags(flags);
    ensure!(
        !name.bytes().is_empty() || lookup.contains(LookupFlags::EMPTY),
        ENOENT,
        "the path is empty"
    );
    let base = user_path::base(cx, dirfd, name.bytes())?;
    let path = namei::path_lookup_as(cx.task, &cred, base.as_ref(), name.bytes(), lookup)?;
    let inode = path.inode()?;
    let access = Access::from_bits_truncate(mode);
    if access.contains(Access::EXEC) && inode.file_type() == FileType::Regular {
        ensure!(may_exec_on(&path), EACCES, "a noexec mount");
    }
    inode_permission(cx.task, &cred, &path.mount, &**inode, access)?;
    let special = !matches!(
        inode.file_type(),
        FileType::Regular | FileType::Directory | FileType::Symlink
    );
    ensure!(
        !access.contains(Access::WRITE) || special || !path.mount.is_readonly(),
        EROFS
    );
    Ok(0)
}

/// `truncate(2)`.
pub fn truncate(cx: &mut Cx<'_>, path: UserCStr, length: i64) -> Result<usize> {
    ensure!(length >= 0, EINVAL, "truncate: a negative length");
    let path = user_path::lookup(cx, CWD, path, LookupFlags::FOLLOW)?;
    attr::truncate(cx.task, &path, length as u64)?;
    Ok(0)
}

/// `getcwd(2)`: the length with the zero byte.
pub fn getcwd(cx: &mut Cx<'_>, buf: UserOutPtr<u8>, size: usize) -> Result<usize> {
    let (root, pwd) = cx.task.fs().root_and_pwd();
    ensure!(
        !pwd.dentry.is_deleted(),
        ENOENT,
        "the working directory was removed"
    );
    let (mut name, reachable) = path_name(&pwd, &root);
    if !reachable {
        name.splice(0..0, *b"(unreachable)");
    }
    name.push(0);
    ensure!(name.len() <= PATH_MAX, ENAMETOOLONG);
    ensure!(name.len() <= size, ERANGE);
    buf.write_slice(cx, &name)?;
    Ok(name.len())
}

fn may_enter(cx: &Cx<'_>, path: &Path) -> Result<()> {
    let inode = path.inode()?;
    inode_permission(cx.task, &cx.task.cred(), &path.mount, &**inode, Access::EXEC)
}

/// `chdir(2)`.
pub fn chdir(cx: &mut Cx<'_>, path: UserCStr) -> Result<usize> {
    let path = user_path::lookup(cx, CWD, path, LookupFlags::FOLLOW | LookupFlags::DIRECTORY)?;
    may_enter(cx, &path)?;
    cx.task.fs().set_pwd(path);
    Ok(0)
}

/// `fchdir(2)`.
pub fn fchdir(cx: &mut Cx<'_>, fd: Fd) -> Result<usize> {
    let file = cx.files().get(fd)?;
    ensure!(file.is_dir(), ENOTDIR);
    may_enter(cx, &file.path)?;
    cx.task.fs().set_pwd(file.path.clone());
    Ok(0)
}

/// `chroot(2)`.
pub fn chroot(cx: &mut Cx<'_>, path: UserCStr) -> Result<usize> {
    let path = user_path::lookup(cx, CWD, path, LookupFlags::FOLLOW | LookupFlags::DIRECTORY)?;
    may_enter(cx, &path)?;
    let cred = cx.task.cred();
    ensure!(
        cred.ns_capable(&cred.user_ns, Capability::SYS_CHROOT),
        EPERM,
        "chroot: no CAP_SYS_CHROOT"
    );
    cx.task.fs().set_root(path);
    Ok(0)
}

/// `umask(2)`.
pub fn umask(cx: &mut Cx<'_>, mask: u32) -> Result<usize> {
    Ok(cx.task.fs().set_umask(mask) as usize)
}

/// `rename(2)`.
pub fn rename(cx: &mut Cx<'_>, oldpath: UserCStr, newpath: UserCStr) -> Result<usize> {
    renameat2(cx, CWD, oldpath, CWD, newpath, 0)
}

/// `renameat(2)`.
pub fn renameat(
    cx: &mut Cx<'_>,
    olddirfd: Fd,
    oldpath: UserCStr,
    newdirfd: Fd,
    newpath: UserCStr,
) -> Result<usize> {
    renameat2(cx, olddirfd, oldpath, newdirfd, newpath, 0)
}

/// `renameat2(2)`.
pub fn renameat2(
    cx: &mut Cx<'_>,
    olddirfd: Fd,
    oldpath: UserCStr,
    newdirfd: Fd,
    newpath: UserCStr,
    flags: u32,
) -> Result<usize> {
    let Some(flags) = RenameFlags::from_bits(flags) else {
        bail!(EINVAL, "renameat2: unknown flags")
    };
    ensure!(
        !(flags.contains(RenameFlags::EXCHANGE)
            && flags.intersects(RenameFlags::NOREPLACE | RenameFlags::WHITEOUT)),
        EINVAL,
        "renameat2: RENAME_EXCHANGE with another flag"
    );
    let old = user_path::parent(cx, olddirfd, oldpath)?;
    let new = user_path::parent(cx, newdirfd, newpath)?;
    namei::rename(cx.task, &old, &new, flags)?;
    Ok(0)
}

/// `mkdir(2)`.
pub fn mkdir(cx: &mut Cx<'_>, path: UserCStr, mode: u32) -> Result<usize> {
    mkdirat(cx, CWD, path, mode)
}

/// `mkdirat(2)`.
pub fn mkdirat(cx: &mut Cx<'_>, dirfd: Fd, path: UserCStr, mode: u32) -> Result<usize> {
    let parent = user_path::parent(cx, dirfd, path)?;
    let at = CreateParent::new(&parent, true)?;
    namei::mkdir(cx.task, &at, masked(cx, mode))?;
    Ok(0)
}

/// `mknod(2)`.
pub fn mknod(cx: &mut Cx<'_>, path: UserCStr, mode: u32, dev: u64) -> Result<usize> {
    mknodat(cx, CWD, path, mode, dev)
}

/// `mknodat(2)`. `dev` has 32 bits.
pub fn mknodat(cx: &mut Cx<'_>, dirfd: Fd, path: UserCStr, mode: u32, dev: u64) -> Result<usize> {
    let file_type = match mode & 0o170000 {
        0 => FileType::Regular,
        _ => match FileType::from_mode(mode) {
            Some(FileType::Directory) => bail!(EPERM, "mknod makes no directories"),
            Some(FileType::Symlink) | None => bail!(EINVAL, "mknod: an unknown type"),
            Some(file_type) => file_type,
        },
    };
    let dev = match file_type {
        FileType::CharDevice | FileType::BlockDevice => DevT(dev & 0xffff_ffff),
        _ => DevT::default(),
    };
    let parent = user_path::parent(cx, dirfd, path)?;
    let at = CreateParent::new(&parent, false)?;
    namei::mknod(cx.task, &at, file_type, masked(cx, mode & 0o7777), dev)?;
    Ok(0)
}

/// `rmdir(2)`.
pub fn rmdir(cx: &mut Cx<'_>, path: UserCStr) -> Result<usize> {
    let parent = user_path::parent(cx, CWD, path)?;
    namei::rmdir(cx.task, &parent)?;
    Ok(0)
}

/// `unlink(2)`.
pub fn unlink(cx: &mut Cx<'_>, path: UserCStr) -> Result<usize> {
    let parent = user_path::parent(cx, CWD, path)?;
    namei::unlink(cx.task, &parent)?;
    Ok(0)
}

/// `unlinkat(2)`.
pub fn unlinkat(cx: &mut Cx<'_>, dirfd: Fd, path: UserCStr, flags: u32) -> Result<usize> {
    const AT_REMOVEDIR: u32 = 0x200;
    ensure!(flags & !AT_REMOVEDIR == 0, EINVAL, "unlinkat: unknown flags");
    let parent = user_path::parent(cx, dirfd, path)?;
    if flags & AT_REMOVEDIR != 0 {
        namei::rmdir(cx.task, &parent)?;
    } else {
        namei::unlink(cx.task, &parent)?;
    }
    Ok(0)
}

/// `link(2)`.
pub fn link(cx: &mut Cx<'_>, oldpath: UserCStr, newpath: UserCStr) -> Result<usize> {
    linkat(cx, CWD, oldpath, CWD, newpath, 0)
}

/// `linkat(2)`.
pub fn linkat(
    cx: &mut Cx<'_>,
    olddirfd: Fd,
    oldpath: UserCStr,
    newdirfd: Fd,
    newpath: UserCStr,
    flags: u32,
) -> Result<usize> {
    ensure!(
        flags & !(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH) == 0,
        EINVAL,
        "linkat: unknown flags"
    );
    let mut lookup = LookupFlags::empty();
    if flags & AT_EMPTY_PATH != 0 {
        ensure!(
            cx.task.cred().capable(Capability::DAC_READ_SEARCH),
            ENOENT,
            "AT_EMPTY_PATH without CAP_DAC_READ_SEARCH"
        );
        lookup |= LookupFlags::EMPTY;
    }
    if flags & AT_SYMLINK_FOLLOW != 0 {
        lookup |= LookupFlags::FOLLOW;
    }
    let old = user_path::lookup(cx, olddirfd, oldpath, lookup)?;
    let parent = user_path::parent(cx, newdirfd, newpath)?;
    let at = CreateParent::new(&parent, false)?;
    namei::link(cx.task, &old, &at)?;
    Ok(0)
}

/// `symlink(2)`.
pub fn symlink(cx: &mut Cx<'_>, target: UserCStr, linkpath: UserCStr) -> Result<usize> {
    symlinkat(cx, target, CWD, linkpath)
}

/// `symlinkat(2)`.
pub fn symlinkat(cx: &mut Cx<'_>, target: UserCStr, newdirfd: Fd, linkpath: UserCStr) -> Result<usize> {
    let target = target.read_path(cx)?;
    ensure!(!target.is_empty(), ENOENT, "symlink: an empty target");
    let parent = user_path::parent(cx, newdirfd, linkpath)?;
    let at = CreateParent::new(&parent, false)?;
    namei::symlink(cx.task, &at, &target)?;
    Ok(0)
}

/// `readlink(2)`.
pub fn readlink(cx: &mut Cx<'_>, path: UserCStr, buf: UserOutPtr<u8>, bufsiz: i32) -> Result<usize> {
    readlinkat(cx, CWD, path, buf, bufsiz)
}

/// `readlinkat(2)`.
pub fn readlinkat(
    cx: &mut Cx<'_>,
    dirfd: Fd,
    path: UserCStr,
    buf: UserOutPtr<u8>,
    bufsiz: i32,
) -> Result<usize> {
    ensure!(bufsiz > 0, EINVAL, "readlink: no room");
    let name = UserPath::read(cx, path)?;
    let empty = name.bytes().is_empty();
    ensure!(!empty || dirfd.0 != AT_FDCWD, ENOENT, "the path is empty");
    let path = user_path::lookup_bytes(cx, dirfd, name.bytes(), LookupFlags::EMPTY)?;
    let inode = path.inode()?;
    if inode.file_type() != FileType::Symlink {
        if empty {
            bail!(ENOENT, "the path is empty");
        }
        bail!(EINVAL, "not a symlink");
    }
    let target = inode.readlink()?;
    linux_object::fs::touch_atime(cx.kernel, &path);
    let len = target.len().min(bufsiz as usize);
    buf.write_slice(cx, &target[..len])?;
    Ok(len)
}
