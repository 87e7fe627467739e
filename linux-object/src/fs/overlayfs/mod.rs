//! overlayfs: several directory trees shown as one (`Documentation/filesystems/overlayfs.rst`).
//!
//! Model: read-only *lower* trees lie under an *upper* one, which takes all changes. An [`OvlInode`] knows the
//! places ("real" paths) of its file: at most one in the upper tree, and the lower ones under it; a directory
//! shows the entries of all of them. A *whiteout* (character device 0:0) in a tree hides what lies under
//! it; so does an *opaque* directory (extended attribute `overlay.opaque`). What is to change is first copied
//! up: made in the *work* directory and renamed into the upper tree.
//!
//! Invariants: a name that leads only to lower files never changes place, nor do the directories above it (a
//! directory with something under it is not renamed: `EXDEV`); so the parent and name that an inode was found with
//! hold until it is copied up. An inode keeps the number of the lower file when it is copied up, unless
//! that file has other names.
//!
//! Work on the trees is done with the rights of who mounted; the caller's are checked against the overlay's own
//! inodes before. Beside that, layers are not to be changed by others while they are mounted.
//!
//! Locks: the VFS holds the locks of overlay directories; then `copying` of one inode and the locks of real
//! directories are taken nested (all `class::Directory`), always from an overlay to its layers.

mod copy_up;
mod dir;
mod inode;
mod layers;
mod options;
mod real;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::any::Any;
use core::fmt::Write;
use core::sync::atomic::{AtomicU64, Ordering};

use hashbrown::HashMap;

use self::inode::OvlInode;
use self::options::Options;
use super::fs_context::{ContextInit, ContextOps, Log, MountRequest, Tree};
use super::permission::{Access, inode_permission};
use super::{FileSystem, FileSystemType, FileType, FsInfo, INode, Name, Path, SbFlags, SuperBlock};
use crate::cred::{Capability, Cred};
use crate::error::Result;
use crate::kernel::Kernel;
use crate::sync::{SpinLock, class};
use crate::task::Task;
use crate::{bail, ensure, err};

const OVERLAYFS_SUPER_MAGIC: u64 = 0x794c_7630;

/// The upper tree and where things for it are made.
struct Upper {
    root: Path,
    work: Path,
}

/// What the inodes of an instance share.
struct Ovl {
    kernel: Weak<Kernel>,
    /// Of who mounted.
    cred: Arc<Cred>,
    /// Who mounted may do anything: the trees need not be asked.
    privileged: bool,
    upper: Option<Upper>,
    lowers: Vec<Path>,
    /// `user.overlay.` instead of `trusted.overlay.`.
    userxattr: bool,
    /// How deep file systems are stacked.
    depth: u32,
    next_temp: AtomicU64,
    /// What whiteouts are names of; it keeps a name in the work directory.
    whiteout: SpinLock<Option<Arc<dyn INode>>, class::Leaf>,
    /// Inodes that were found in lower trees only, by their first real dentry.
    found: SpinLock<HashMap<usize, Weak<OvlInode>>, class::Leaf>,
}

impl Ovl {
    fn upper(&self) -> Result<&Upper> {
        self.upper.as_ref().ok_or(err!(EROFS, "overlay: no upper tree"))
    }
    /// A name for the work directory that is not in use.
    fn temp_name(&self) -> Name {
        let mut name = String::new();
        let _ = write!(name, "#{:x}", self.next_temp.fetch_add(1, Ordering::Relaxed));
        Name::from_slice(name.as_bytes())
    }
    fn xattr(&self, what: &str) -> Vec<u8> {
        let mut name = self.xattr_prefix().to_vec();
        name.extend_from_slice(what.as_bytes());
        name
    }
    fn xattr_prefix(&self) -> &'static [u8] {
        if self.userxattr {
            b"user.overlay."
        } else {
            b"trusted.overlay."
        }
    }
    fn set_opaque(&self, dir: &Path) -> Result<()> {
        ensure!(
            self.userxattr || self.privileged,
            EPERM,
            "overlay: trusted attributes are not for a user namespace"
        );
        dir.inode()?.setxattr(&self.xattr("opaque"), b"y", 0)
    }
    fn is_opaque(&self, dir: &Path) -> bool {
        let value = dir
            .inode()
            .and_then(|inode| inode.getxattr(&self.xattr("opaque")));
        value.is_ok_and(|value| value == b"y")
    }
    fn task(&self) -> Result<Arc<Task>> {
        let kernel = self.kernel.upgrade().ok_or(err!(EIO))?;
        kernel.sched.try_current().ok_or(err!(EIO, "overlay: no caller"))
    }
    /// Whether who mounted may do this to a file of a tree.
    fn may(&self, real: &Path, access: Access) -> Result<()> {
        if self.privileged {
            return Ok(());
        }
        let task = self.task()?;
        inode_permission(&task, &self.cred, &real.mount, &**real.inode()?, access)
    }
}

/// Whether this hides a name.
fn is_whiteout(inode: &dyn INode) -> bool {
    inode.file_type() == FileType::CharDevice && inode.metadata().rdev.0 == 0
}

/// An instance.
struct OverlayFs {
    ovl: Arc<Ovl>,
    root: Arc<OvlInode>,
    options: Options,
}

impl FileSystem for OverlayFs {
    fn name(&self) -> &'static str {
        "overlay"
    }
    fn root_inode(&self) -> Arc<dyn INode> {
        self.root.clone()
    }
    fn info(&self) -> FsInfo {
        let real = self.root.real();
        FsInfo {
            magic: OVERLAYFS_SUPER_MAGIC,
            ..real.mount.sb.fs.info()
        }
    }
    fn show_options(&self, out: &mut String) {
        self.options.show(out);
    }
    fn has_whiteouts(&self) -> bool {
        false
    }
    fn stack_depth(&self) -> u32 {
        self.ovl.depth
    }
}

/// `mount -t overlay`.
pub struct OverlayFsType;

impl FileSystemType for OverlayFsType {
    fn name(&self) -> &'static str {
        "overlay"
    }
    fn userns_mount(&self) -> bool {
        true
    }
    fn init_context(&self, _init: &ContextInit<'_>) -> Result<Box<dyn ContextOps>> {
        Ok(Box::new(OverlayContext))
    }
}

struct OverlayContext;

impl ContextOps for OverlayContext {
    fn keeps_text(&self) -> bool {
        true
    }
    fn get_tree(&mut self, request: &mut MountRequest<'_>) -> Result<Tree> {
        let options = Options::parse(request.text, request.log)?;
        let found = layers::find(request.task, &options, request.kernel, request.log)?;
        let cred = request.cred.clone();
        let privileged = cred.capable(Capability::SYS_ADMIN) && cred.capable(Capability::DAC_OVERRIDE);
        let ovl = Arc::new(Ovl {
            kernel: Arc::downgrade(request.kernel),
            privileged,
            cred,
            upper: found.upper,
            lowers: found.lowers,
            userxattr: options.userxattr,
            depth: found.depth,
            next_temp: AtomicU64::new(0),
            whiteout: SpinLock::new(None),
            found: SpinLock::default(),
        });
        if let Some(upper) = &ovl.upper {
            layers::clean_work(&ovl, &upper.work)?;
        }
        let root = OvlInode::root(&ovl)?;
        let mut sb_flags = request.sb_flags;
        if ovl.upper.is_none() {
            sb_flags |= SbFlags::RDONLY.bits();
        }
        let fs = Arc::new(OverlayFs { ovl, root, options });
        let sb = SuperBlock::new(request.kernel, fs, request.user_ns.clone(), sb_flags)?;
        Ok(Tree::whole(sb))
    }
    fn reconfigure(&mut self, sb: &Arc<SuperBlock>, _text: &[u8], _log: &mut Log) -> Result<()> {
        let fs: &dyn Any = &*sb.fs;
        match fs.downcast_ref::<OverlayFs>() {
            Some(fs) if fs.ovl.upper.is_none() && !sb.is_readonly() => {
                bail!(EROFS, "overlay: nothing can be written without an upper tree")
            }
            _ => Ok(()),
        }
    }
}
