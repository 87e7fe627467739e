//! Opening files (Linux's `path_openat`, `may_open` and `do_dentry_open`).

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use super::io::KernelDst;
use super::namei::{self, LastKind, LookupFlags, Nameidata, Names, lookup_one};
use super::notify::{self, NotifyMask};
use super::permission::{Access, S_ISVTX, inode_permission, may_create, owner_or_capable};
use super::{
    Dentry, DentryFlags, FileOps, FileType, INode, InodeFlags, MountFlags, OpenFile, OpenFlags, Path,
    SbFlags, SetAttr, device, hash_name,
};
use crate::cred::Cred;
use crate::error::Result;
use crate::ids::PAGE_SIZE;
use crate::task::signal::send_to_task;
use crate::task::{Resource, SigInfo, Signal, Task};
use crate::{bail, ensure};

/// How to open, checked by [`OpenHow::new`].
#[derive(Clone, Copy, Debug)]
pub struct OpenHow {
    /// `O_*`.
    pub flags: OpenFlags,
    /// Mode of a new file, umask applied.
    pub mode: u32,
    /// `RESOLVE_*`.
    pub resolve: LookupFlags,
}

impl OpenHow {
    /// Makes sense of the flags (Linux's `build_open_flags`).
    pub fn new(mut flags: OpenFlags, mode: u32, resolve: LookupFlags) -> Result<OpenHow> {
        if flags.contains(OpenFlags::SYNC) {
            flags |= OpenFlags::DSYNC;
        }
        if flags.contains(OpenFlags::TMPFILE) {
            ensure!(
                flags.contains(OpenFlags::DIRECTORY) && !flags.contains(OpenFlags::CREAT),
                EINVAL,
                "O_TMPFILE without O_DIRECTORY, or with O_CREAT"
            );
            ensure!(flags.bits() & 3 != 0, EINVAL, "O_TMPFILE without write access");
        }
        if flags.contains(OpenFlags::PATH) {
            flags &= OpenFlags::PATH | OpenFlags::DIRECTORY | OpenFlags::NOFOLLOW | OpenFlags::CLOEXEC;
        } else {
            flags |= OpenFlags::LARGEFILE;
        }
        Ok(OpenHow { flags, mode, resolve })
    }

    fn access(self) -> Access {
        let mut access = match self.flags.bits() & 3 {
            0 => Access::READ,
            1 => Access::WRITE,
            _ => Access::READ | Access::WRITE,
        };
        if self.flags.contains(OpenFlags::TRUNC) {
            access |= Access::WRITE;
        }
        if self.flags.contains(OpenFlags::APPEND) {
            access |= Access::APPEND;
        }
        access
    }
}

/// `open(2)`: finds or makes the file and opens it. `ENXIO` and the like come from its driver.
pub fn open(task: &Arc<Task>, base: Option<&Path>, name: &[u8], how: OpenHow) -> Result<Arc<OpenFile>> {
    let flags = how.flags;
    // Before anything is made.
    task.kernel().vfs.files.check(&task.cred())?;
    let mut lookup = how.resolve;
    if flags.contains(OpenFlags::DIRECTORY) {
        lookup |= LookupFlags::DIRECTORY;
    }
    let create = flags.contains(OpenFlags::CREAT);
    let no_follow = flags.contains(OpenFlags::NOFOLLOW) || create && flags.contains(OpenFlags::EXCL);
    if !no_follow {
        lookup |= LookupFlags::FOLLOW;
    }
    if flags.contains(OpenFlags::TMPFILE) {
        let dir = namei::path_lookup(task, base, name, lookup)?;
        return open_tmpfile(task, &dir, how);
    }
    if !create {
        let path = namei::path_lookup(task, base, name, lookup)?;
        return open_found(task, task.cred(), path, how, false);
    }
    ensure!(!name.is_empty(), ENOENT, "the path is empty");
    let mut nd = Nameidata::new(task, base, name, lookup)?;
    let mut names = Names::new(name);
    let mut created = false;
    loop {
        let (kind, range) = nd.link_path_walk(&mut names)?;
        if kind != LastKind::Norm {
            nd.walk_last(&mut names, kind, range, !no_follow)?;
            break;
        }
        ensure!(!names.trailing, EISDIR, "O_CREAT and a slash at the end");
        let dentry = find_or_make(&nd, names.get(range), how, &mut created)?;
        if nd.step_into(&mut names, dentry, !no_follow)? {
            break;
        }
    }
    let cred = nd.cred.clone();
    let path = nd.complete(false)?;
    if !created {
        let inode = path.inode()?;
        ensure!(!flags.contains(OpenFlags::EXCL), EEXIST);
        ensure!(inode.file_type() != FileType::Directory, EISDIR);
        ensure!(!flags.contains(OpenFlags::DIRECTORY), ENOTDIR);
    }
    open_found(task, cred, path, how, created)
}

/// Opens what is at `path` (Linux's `file_open_root` without a name).
pub fn open_root(task: &Arc<Task>, path: Path, how: OpenHow) -> Result<Arc<OpenFile>> {
    let flags = how.flags;
    let is_dir = path.inode()?.file_type() == FileType::Directory;
    if flags.contains(OpenFlags::TMPFILE) {
        ensure!(is_dir, ENOTDIR);
        return open_tmpfile(task, &path, how);
    }
    if flags.contains(OpenFlags::CREAT) {
        ensure!(!flags.contains(OpenFlags::EXCL), EEXIST);
        ensure!(!is_dir, EISDIR);
    }
    ensure!(is_dir || !flags.contains(OpenFlags::DIRECTORY), ENOTDIR);
    open_found(task, task.cred(), path, how, false)
}

fn find_or_make(nd: &Nameidata<'_>, name: &[u8], how: OpenHow, created: &mut bool) -> Result<Arc<Dentry>> {
    let dir = &nd.path;
    let hash = hash_name(name);
    if let Some(dentry) = dir.dentry.cached_child(name, hash)
        && dentry.inode().is_some()
    {
        if let Some(inode) = dentry.inode() {
            may_create_in_sticky(nd, &**inode, how)?;
        }
        return Ok(dentry);
    }
    let inode = dir.inode()?;
    let write = dir.mount.write_guard();
    let cached = dir.dentry.flags().contains(DentryFlags::CACHED);
    let dentry = {
        let _locked = cached.then(|| inode.common().dir.lock());
        let dentry = lookup_one(&dir.dentry, name, hash)?;
        if let Some(inode) = dentry.inode() {
            may_create_in_sticky(nd, &**inode, how)?;
            return Ok(dentry);
        }
        write?;
        may_create(nd.task, &nd.cred, &dir.mount, &**inode)?;
        namei::make(dir, name, &nd.cred, how.mode)?
    };
    *created = true;
    notify::dir_event(&**inode, NotifyMask::CREATE, name, 0, false);
    Ok(dentry)
}

/// `protected_fifos` and `protected_regular`: in a sticky directory, `O_CREAT` does not open what others
/// may have put there.
fn may_create_in_sticky(nd: &Nameidata<'_>, inode: &dyn INode, _how: OpenHow) -> Result<()> {
    let sysctl = &nd.task.kernel().sysctl;
    let level = match inode.file_type() {
        FileType::Fifo => sysctl.protected_fifos.get(),
        FileType::Regular => sysctl.protected_regular.get(),
        _ => 0,
    };
    if level == 0 {
        return Ok(());
    }
    let dir = nd.path.inode()?.owner();
    let owner = inode.owner();
    if dir.mode & S_ISVTX == 0 || owner.uid == dir.uid || owner.uid == nd.cred.fsuid {
        return Ok(());
    }
    ensure!(
        dir.mode & 0o002 == 0 && !(dir.mode & 0o020 != 0 && level >= 2),
        EACCES,
        "protected_fifos or protected_regular"
    );
    Ok(())
}

fn open_tmpfile(task: &Arc<Task>, dir: &Path, how: OpenHow) -> Result<Arc<OpenFile>> {
    let cred = task.cred();
    let path = namei::make_tmpfile(task, &cred, dir, how.mode)?;
    if how.flags.contains(OpenFlags::EXCL) {
        path.inode()?.common().set_flags(InodeFlags::UNLINKABLE);
    }
    open_found(task, cred, path, how, true)
}

/// Opens what a walk found or made (Linux's `do_open`).
fn open_found(
    task: &Arc<Task>,
    cred: Arc<Cred>,
    path: Path,
    how: OpenHow,
    created: bool,
) -> Result<Arc<OpenFile>> {
    let flags = how.flags;
    if flags.contains(OpenFlags::PATH) {
        return vfs_open_with(task, &path, flags, cred);
    }
    let inode = path.inode()?.clone();
    let file_type = inode.file_type();
    let truncate = flags.contains(OpenFlags::TRUNC) && !created && file_type == FileType::Regular;
    let write = truncate.then(|| path.mount.write_guard()).transpose()?;
    if !created {
        may_open(task, &cred, &path, how)?;
    }
    let file = vfs_open_with(task, &path, flags, cred)?;
    if truncate {
        // Without write access of its own (`O_RDONLY | O_TRUNC`) it still must not be executed.
        inode.common().get_write_access()?;
        let result = truncate_inode(task, &path, 0);
        inode.common().put_write_access();
        result?;
    }
    drop(write);
    Ok(file)
}

/// Linux's `may_open`.
fn may_open(task: &Arc<Task>, cred: &Cred, path: &Path, how: OpenHow) -> Result<()> {
    let inode = path.inode()?;
    let access = how.access();
    match inode.file_type() {
        FileType::Symlink => bail!(ELOOP, "a symlink, and O_NOFOLLOW"),
        FileType::Directory => ensure!(!access.contains(Access::WRITE), EISDIR),
        FileType::CharDevice | FileType::BlockDevice => {
            ensure!(namei::may_open_dev(path), EACCES, "a device on a nodev mount");
        }
        _ => {}
    }
    inode_permission(task, cred, &path.mount, &**inode, access)?;
    let flags = how.flags;
    if inode.common().flags().contains(InodeFlags::APPEND) {
        ensure!(
            (flags.bits() & 3 == 0 || flags.contains(OpenFlags::APPEND)) && !flags.contains(OpenFlags::TRUNC),
            EPERM,
            "the file is append-only"
        );
    }
    ensure!(
        !flags.contains(OpenFlags::NOATIME) || owner_or_capable(cred, inode.owner()),
        EPERM,
        "O_NOATIME on a file of someone else"
    );
    Ok(())
}

/// Opens what stands at `path`, without looking at permissions (Linux's `dentry_open`).
pub fn vfs_open(task: &Arc<Task>, path: &Path, flags: OpenFlags) -> Result<Arc<OpenFile>> {
    vfs_open_with(task, path, flags, task.cred())
}

fn vfs_open_with(task: &Arc<Task>, path: &Path, flags: OpenFlags, cred: Arc<Cred>) -> Result<Arc<OpenFile>> {
    let inode = path.inode()?.clone();
    let kept =
        !(OpenFlags::CREAT | OpenFlags::EXCL | OpenFlags::NOCTTY | OpenFlags::TRUNC | OpenFlags::CLOEXEC);
    if flags.contains(OpenFlags::PATH) {
        let file = OpenFile::charged(task.kernel(), 0, path.clone(), inode, None, flags & kept, cred)?;
        return Ok(Arc::new(file));
    }
    let file_type = inode.file_type();
    let stored = matches!(file_type, FileType::Regular | FileType::Directory);
    let writer = stored && flags.writable();
    if writer {
        inode.common().get_write_access()?;
        if let Err(error) = path.mount.want_write() {
            inode.common().put_write_access();
            return Err(error);
        }
    }
    let ops = open_ops(task, &inode, flags);
    let plain = matches!(ops, Ok(None)) && file_type == FileType::Regular;
    let file = ops.and_then(|ops| {
        let inode = inode.clone();
        OpenFile::charged(task.kernel(), 0, path.clone(), inode, ops, flags & kept, cred)
    });
    let file = match file {
        Ok(file) => file,
        Err(error) => {
            if writer {
                inode.common().put_write_access();
                path.mount.drop_write();
            }
            return Err(error);
        }
    };
    file.writer.store(writer, Ordering::Relaxed);
    ensure!(
        !(flags.contains(OpenFlags::DIRECT) && plain),
        EINVAL,
        "no direct I/O on pages that are memory"
    );
    file.notify(NotifyMask::OPEN);
    Ok(Arc::new(file))
}

fn open_ops(task: &Arc<Task>, inode: &Arc<dyn INode>, flags: OpenFlags) -> Result<Option<Arc<dyn FileOps>>> {
    if let Some(ops) = inode.open(task, flags)? {
        return Ok(Some(ops));
    }
    Ok(match inode.file_type() {
        FileType::CharDevice => Some(device::open_chrdev(task, inode.metadata().rdev, flags)?),
        FileType::BlockDevice => bail!(ENXIO, "no such block device"),
        FileType::Fifo => Some(super::pipe::fifo_open(task, &inode.common().fifo, flags)?),
        FileType::Socket => bail!(ENXIO, "a socket is not opened"),
        FileType::Symlink => bail!(ELOOP, "a symlink is not opened"),
        FileType::Regular | FileType::Directory => None,
    })
}

/// Sets the size of a file whose permissions were checked (Linux's `do_truncate`).
pub fn truncate_inode(task: &Arc<Task>, path: &Path, size: u64) -> Result<()> {
    let inode = path.inode()?;
    let owner = inode.owner();
    if size > inode.metadata().size && size > task.group().rlimit(Resource::FSIZE).cur {
        let _ = send_to_task(task, SigInfo::kernel(Signal::XFSZ));
        bail!(EFBIG, "RLIMIT_FSIZE");
    }
    let attr = SetAttr {
        size: Some(size),
        mode: super::permission::mode_without_privs(&task.cred(), owner),
        ..SetAttr::default()
    };
    inode.setattr(&attr)?;
    if !inode.common().flags().contains(InodeFlags::NOSEC) {
        super::attr::remove_file_caps(&**inode);
    }
    super::attr::notify_change(path, NotifyMask::MODIFY);
    Ok(())
}

/// Whether a program on this mount may be executed (Linux's `!path_noexec`).
pub fn may_exec_on(path: &Path) -> bool {
    !path.mount.flags().contains(MountFlags::NOEXEC) && !path.mount.sb.flags().contains(SbFlags::I_NOEXEC)
}

/// The whole content of the file at `path`, at most `max` bytes (`EFBIG`).
pub fn read_file_all(task: &Arc<Task>, path: &Path, max: usize) -> Result<Vec<u8>> {
    let _ = task;
    let inode = path.inode()?;
    let mut data = Vec::new();
    loop {
        ensure!(data.len() <= max, EFBIG, "the file is too large");
        if data.try_reserve(PAGE_SIZE).is_err() {
            bail!(ENOMEM, "no memory for a file's content");
        }
        let at = data.len();
        data.resize(at + PAGE_SIZE, 0);
        let read = inode.read_at(at as u64, &mut KernelDst::new(&mut data[at..]))?;
        data.truncate(at + read);
        if read == 0 {
            return Ok(data);
        }
    }
}
