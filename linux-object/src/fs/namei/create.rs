//! Making names: `mknod mkdir symlink link`, and files for `open`.

use alloc::sync::Arc;

use super::walk::lookup_one;
use super::{LastKind, NAME_MAX, Parent};
use crate::cred::{Capability, Cred};
use crate::error::Result;
use crate::fs::mount::WriteGuard;
use crate::fs::notify::{self, NotifyMask};
use crate::fs::permission::{Access, gid_is_mapped, uid_is_mapped};
use crate::fs::permission::{S_ISGID, capable_wrt_owner, inode_permission, may_create, owner_or_capable};
use crate::fs::{
    CreateSpec, Dentry, DentryFlags, DevT, FileType, INode, InodeFlags, MountFlags, Name, Path, SbFlags,
    hash_name,
};
use crate::sync::{SpinGuard, class};
use crate::task::Task;
use crate::{bail, ensure};

/// The lock of a directory, unless its file system does its own locking.
pub(super) fn lock_dir<'a>(
    dir: &Dentry,
    inode: &'a dyn INode,
) -> Option<SpinGuard<'a, (), class::Directory>> {
    let cached = dir.flags().contains(DentryFlags::CACHED);
    cached.then(|| inode.common().dir.lock())
}

/// A directory in which a name is to be made (Linux's `filename_create`): the name is not there, and the
/// mount may be written to.
pub struct CreateParent<'p> {
    parent: &'p Parent,
    hash: u64,
    _write: WriteGuard<'p>,
}

impl<'p> CreateParent<'p> {
    /// Checks what does not need the directory's lock, in Linux's order: `EEXIST` if the name is there,
    /// `ENOENT` for a trailing slash unless a directory is made, then `EROFS`.
    pub fn new(parent: &'p Parent, directory: bool) -> Result<CreateParent<'p>> {
        ensure!(parent.kind == LastKind::Norm, EEXIST, "the path ends in . or ..");
        let write = parent.dir.mount.write_guard();
        let inode = parent.dir.inode()?;
        let hash = hash_name(&parent.name);
        let dentry = {
            let _locked = lock_dir(&parent.dir.dentry, &**inode);
            lookup_one(&parent.dir.dentry, &parent.name, hash)?
        };
        ensure!(dentry.inode().is_none(), EEXIST);
        ensure!(
            directory || !parent.trailing,
            ENOENT,
            "a slash follows the name of something that is no directory"
        );
        Ok(CreateParent {
            parent,
            hash,
            _write: write?,
        })
    }

    /// Runs `make` in the locked directory and notes the new name.
    fn make(
        &self,
        task: &Arc<Task>,
        cred: &Cred,
        make: impl FnOnce(&dyn INode, &[u8]) -> Result<Arc<dyn INode>>,
    ) -> Result<Path> {
        let Parent { dir, name, .. } = self.parent;
        let inode = dir.inode()?;
        let new = {
            let _locked = lock_dir(&dir.dentry, &**inode);
            let old = lookup_one(&dir.dentry, name, self.hash)?;
            ensure!(old.inode().is_none(), EEXIST);
            may_create(task, cred, &dir.mount, &**inode)?;
            let new = make(&**inode, name)?;
            dir.dentry.add_child(name, self.hash, Some(new))
        };
        let is_dir = new
            .inode()
            .is_some_and(|inode| inode.file_type() == FileType::Directory);
        notify::dir_event(&**inode, NotifyMask::CREATE, name, 0, is_dir);
        Ok(Path::new(dir.mount.clone(), new))
    }
}

/// Owner and mode of a new file (Linux's `inode_init_owner` and `mode_strip_sgid`): a directory with
/// set-group-ID hands its group down.
pub fn new_spec(cred: &Cred, dir: &dyn INode, file_type: FileType, mode: u32, rdev: DevT) -> CreateSpec {
    let owner = dir.owner();
    let mut mode = mode;
    let mut gid = cred.fsgid;
    if owner.mode & S_ISGID != 0 {
        gid = owner.gid;
        if file_type == FileType::Directory {
            mode |= S_ISGID;
        } else if mode & (S_ISGID | 0o010) == S_ISGID | 0o010
            && !cred.in_group(gid)
            && !capable_wrt_owner(cred, owner, Capability::FSETID)
        {
            mode &= !S_ISGID;
        }
    }
    CreateSpec {
        file_type,
        mode,
        uid: cred.fsuid,
        gid,
        rdev,
    }
}

/// Makes a file that is neither directory nor symlink in a directory that the caller has locked, checked
/// and found without the name (for `open`).
pub fn make(dir: &Path, name: &[u8], cred: &Cred, mode: u32) -> Result<Arc<Dentry>> {
    let inode = dir.inode()?;
    let spec = new_spec(cred, &**inode, FileType::Regular, mode & 0o7777, DevT::default());
    let new = inode.create(name, &spec)?;
    Ok(dir.dentry.add_child(name, hash_name(name), Some(new)))
}

/// `mknod(2)`: a file, device, FIFO or socket. `mode` has the umask applied.
pub fn mknod(
    task: &Arc<Task>,
    at: &CreateParent<'_>,
    file_type: FileType,
    mode: u32,
    dev: DevT,
) -> Result<Path> {
    let cred = task.cred();
    at.make(task, &cred, |dir, name| {
        let device = matches!(file_type, FileType::CharDevice | FileType::BlockDevice);
        // The whiteout of overlayfs is no real device.
        let whiteout = file_type == FileType::CharDevice && dev == DevT::default();
        ensure!(
            !device || whiteout || cred.capable(Capability::MKNOD),
            EPERM,
            "mknod: no CAP_MKNOD"
        );
        if device && !whiteout {
            crate::cgroup::devices::check_mknod(task, file_type, dev)?;
        }
        dir.create(name, &new_spec(&cred, dir, file_type, mode & 0o7777, dev))
    })
}

/// `mkdir(2)`. `mode` has the umask applied.
pub fn mkdir(task: &Arc<Task>, at: &CreateParent<'_>, mode: u32) -> Result<Path> {
    let cred = task.cred();
    at.make(task, &cred, |dir, name| {
        let spec = new_spec(&cred, dir, FileType::Directory, mode & 0o1777, DevT::default());
        dir.create(name, &spec)
    })
}

/// `symlink(2)`.
pub fn symlink(task: &Arc<Task>, at: &CreateParent<'_>, target: &[u8]) -> Result<Path> {
    let cred = task.cred();
    at.make(task, &cred, |dir, name| {
        dir.symlink(
            name,
            target,
            &new_spec(&cred, dir, FileType::Symlink, 0o777, DevT::default()),
        )
    })
}

/// `link(2)`.
pub fn link(task: &Arc<Task>, old: &Path, at: &CreateParent<'_>) -> Result<()> {
    let cred = task.cred();
    let target = old.inode()?.clone();
    ensure!(
        Arc::ptr_eq(&old.mount, &at.parent.dir.mount),
        EXDEV,
        "a hard link to another mount"
    );
    may_linkat(task, &cred, old)?;
    let dir = at.parent.dir.inode()?;
    may_create(task, &cred, &old.mount, &**dir)?;
    ensure!(
        !target
            .common()
            .flags()
            .intersects(InodeFlags::APPEND | InodeFlags::IMMUTABLE),
        EPERM,
        "the file may not change"
    );
    let owner = target.owner();
    ensure!(
        uid_is_mapped(&old.mount.sb.user_ns, owner.uid) && gid_is_mapped(&old.mount.sb.user_ns, owner.gid),
        EPERM,
        "the file system's user namespace has no name for the owner"
    );
    ensure!(
        target.file_type() != FileType::Directory,
        EPERM,
        "a hard link to a directory"
    );
    at.make(task, &cred, |dir, name| {
        let unlinkable = target.common().flags().contains(InodeFlags::UNLINKABLE);
        ensure!(!unlinkable, ENOENT, "O_TMPFILE with O_EXCL");
        dir.link(name, &target)?;
        Ok(target.clone())
    })?;
    notify::inode_event(&*target, NotifyMask::ATTRIB);
    Ok(())
}

/// What `protected_hardlinks` demands when it is set.
fn may_linkat(task: &Arc<Task>, cred: &Cred, old: &Path) -> Result<()> {
    if task.kernel().sysctl.protected_hardlinks.get() == 0 {
        return Ok(());
    }
    let inode = old.inode()?;
    let owner = inode.owner();
    let plain = inode.file_type() == FileType::Regular
        && owner.mode & 0o4000 == 0
        && owner.mode & 0o2010 != 0o2010
        && inode_permission(task, cred, &old.mount, &**inode, Access::READ | Access::WRITE).is_ok();
    ensure!(
        plain || owner_or_capable(cred, owner),
        EPERM,
        "protected_hardlinks"
    );
    Ok(())
}

/// Makes a file without a name in a directory (`O_TMPFILE`).
pub fn make_tmpfile(task: &Arc<Task>, cred: &Cred, dir: &Path, mode: u32) -> Result<Path> {
    let _write = dir.mount.write_guard()?;
    let inode = dir.inode()?;
    inode_permission(task, cred, &dir.mount, &**inode, Access::WRITE | Access::EXEC)?;
    let spec = new_spec(cred, &**inode, FileType::Regular, mode & 0o7777, DevT::default());
    let new = inode.tmpfile(&spec)?;
    let number = new.metadata().inode;
    let mut name = Name::from_slice(b"#");
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    name.extend_from_slice(&digits[at..]);
    Ok(Path::new(
        dir.mount.clone(),
        Dentry::unlisted(&dir.dentry, new, &name),
    ))
}

/// Whether a device node seen through this mount may be opened (Linux's `may_open_dev`).
pub fn may_open_dev(path: &Path) -> bool {
    !path.mount.flags().contains(MountFlags::NODEV) && !path.mount.sb.flags().contains(SbFlags::I_NODEV)
}

/// `ENAMETOOLONG` for a name that no directory takes.
pub(super) fn check_len(name: &[u8]) -> Result<()> {
    if name.len() > NAME_MAX {
        bail!(ENAMETOOLONG);
    }
    Ok(())
}
