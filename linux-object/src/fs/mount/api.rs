//! The mount calls that work on descriptors: `fsopen(2)`'s siblings `fsmount fspick move_mount open_tree
//! mount_setattr` (Linux's `Documentation/filesystems/mount_api.rst`).
//!
//! A tree that was made but stands nowhere is held by a mount namespace of its own, which no process
//! enters, and by an `O_PATH` file. When that file goes and the tree was not moved to a place, it is dissolved.

use alloc::sync::Arc;
use core::any::Any;

use super::ops::{MsFlags, check_locked_flags, current_ns, do_move_mount, may_mount};
use super::reveal::check_revealing;
use super::{Mount, MountFlags, MountTopology, UmountHow};
use crate::cred::Capability;
use crate::error::Result;
use crate::fs::fs_context::{FsContext, FsContextFile};
use crate::fs::{FileOps, OpenFile, OpenFlags, Path, nsfs};
use crate::namespace::{MountNamespace, UserNamespace};
use crate::task::Task;
use crate::{bail, ensure};

bitflags::bitflags! {
    /// `MOUNT_ATTR_*`.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    #[allow(missing_docs)]
    pub struct MountAttr: u64 {
        const RDONLY = 0x01;
        const NOSUID = 0x02;
        const NODEV = 0x04;
        const NOEXEC = 0x08;
        /// Times of access are kept by one of three rules; 0 is relatime.
        const ATIME = 0x70;
        const NOATIME = 0x10;
        const STRICTATIME = 0x20;
        const NODIRATIME = 0x80;
        const IDMAP = 0x10_0000;
        const NOSYMFOLLOW = 0x20_0000;
    }
}

bitflags::bitflags! {
    /// `FSMOUNT_*`.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    #[allow(missing_docs)]
    pub struct Fsmount: u32 {
        const CLOEXEC = 1;
    }
}

bitflags::bitflags! {
    /// Flags of `open_tree(2)`.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    #[allow(missing_docs)]
    pub struct OpenTree: u32 {
        const CLONE = 1;
        const SYMLINK_NOFOLLOW = 0x100;
        const NO_AUTOMOUNT = 0x800;
        const EMPTY_PATH = 0x1000;
        const RECURSIVE = 0x8000;
        const CLOEXEC = 0o2000000;
    }
}

bitflags::bitflags! {
    /// Flags of `move_mount(2)`.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    #[allow(missing_docs)]
    pub struct MoveFlags: u32 {
        const F_SYMLINKS = 0x01;
        const F_AUTOMOUNTS = 0x02;
        const F_EMPTY_PATH = 0x04;
        const T_SYMLINKS = 0x10;
        const T_AUTOMOUNTS = 0x20;
        const T_EMPTY_PATH = 0x40;
        const SET_GROUP = 0x100;
    }
}

/// The flags of a mount that attributes but those of time stand for.
fn plain_flags(attr: MountAttr) -> MountFlags {
    let mut flags = MountFlags::empty();
    for (attribute, flag) in [
        (MountAttr::RDONLY, MountFlags::READONLY),
        (MountAttr::NOSUID, MountFlags::NOSUID),
        (MountAttr::NODEV, MountFlags::NODEV),
        (MountAttr::NOEXEC, MountFlags::NOEXEC),
        (MountAttr::NODIRATIME, MountFlags::NODIRATIME),
        (MountAttr::NOSYMFOLLOW, MountFlags::NOSYMFOLLOW),
    ] {
        flags.set(flag, attr.contains(attribute));
    }
    flags
}

impl MountAttr {
    /// `EINVAL` unless the rule for times of access is one of the three.
    pub fn check_atime(self) -> Result<()> {
        atime_flags(self).map(drop)
    }
}

fn atime_flags(attr: MountAttr) -> Result<MountFlags> {
    let atime = attr & MountAttr::ATIME;
    if atime.is_empty() {
        Ok(MountFlags::RELATIME)
    } else if atime == MountAttr::NOATIME {
        Ok(MountFlags::NOATIME)
    } else if atime == MountAttr::STRICTATIME {
        Ok(MountFlags::empty())
    } else {
        bail!(EINVAL, "no such rule for times of access")
    }
}

/// Holds a tree that stands nowhere; part of the `O_PATH` file that is its handle.
struct DetachedTree {
    root: Arc<Mount>,
    /// Holds the mounts.
    _ns: Arc<MountNamespace>,
}

impl FileOps for DetachedTree {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Drop for DetachedTree {
    fn drop(&mut self) {
        let Some(kernel) = self.root.kernel.upgrade() else {
            return;
        };
        kernel.vfs.change_mounts(|topology| {
            let ns = topology.ns_of(&self.root);
            if ns.is_some_and(|ns| ns.is_anonymous()) {
                topology.umount_tree(&self.root, UmountHow::CONNECTED);
            }
        });
    }
}

fn path_file(task: &Arc<Task>, path: Path, ops: Option<Arc<dyn FileOps>>) -> Result<Arc<OpenFile>> {
    let inode = path.inode()?.clone();
    let file = OpenFile::new(path, inode, ops, OpenFlags::PATH, task.cred())?;
    Ok(Arc::new(file))
}

fn detached_file(
    task: &Arc<Task>,
    tree: alloc::vec::Vec<Arc<Mount>>,
    topology: &mut MountTopology,
) -> Result<Arc<OpenFile>> {
    let kernel = task.kernel();
    let ns = MountNamespace::detached(kernel, current_ns(task)?.user_ns().clone());
    let root = tree[0].clone();
    ns.mounts.lock().root = Some(root.clone());
    topology.adopt(tree, &ns);
    let path = Path::root_of(&root);
    path_file(task, path, Some(Arc::new(DetachedTree { root, _ns: ns })))
}

/// `fsmount(2)`: a mount of what the context made, standing nowhere.
pub fn fsmount(task: &Arc<Task>, context: &FsContextFile, attr: MountAttr) -> Result<Arc<OpenFile>> {
    let flags = plain_flags(attr) | atime_flags(attr)?;
    context.take(
        |tree| check_revealing(task, &tree.sb, flags),
        |tree, source, flags| {
            let kernel = task.kernel();
            let mount = Mount::charged(kernel, tree.sb.clone(), tree.root.clone(), source, flags)?;
            kernel
                .vfs
                .change_mounts(|topology| detached_file(task, alloc::vec![mount], topology))
        },
    )
}

/// `fspick(2)`: a context for the options of the superblock at `target`.
pub fn fspick(task: &Arc<Task>, target: &Path) -> Result<FsContext> {
    ensure!(target.is_mount_root(), EINVAL, "fspick: not a mountpoint");
    FsContext::for_reconfigure(task, &target.mount.sb, None)
}

/// `open_tree(2)` of a place that was looked up.
pub fn open_tree(task: &Arc<Task>, path: &Path, flags: OpenTree) -> Result<Arc<OpenFile>> {
    if !flags.contains(OpenTree::CLONE) {
        return path_file(task, path.clone(), None);
    }
    let ns = current_ns(task)?;
    let kernel = task.kernel();
    kernel.vfs.change_mounts(|topology| {
        let tree = topology.loopback(kernel, &ns, path, flags.contains(OpenTree::RECURSIVE))?;
        detached_file(task, tree, topology)
    })
}

/// `move_mount(2)` of places that were looked up.
pub fn move_mount(task: &Arc<Task>, from: &Path, to: &Path, flags: MoveFlags) -> Result<()> {
    if flags.contains(MoveFlags::SET_GROUP) {
        set_group(task, from, to)
    } else {
        do_move_mount(task, from, to)
    }
}

/// `MOVE_MOUNT_SET_GROUP`: a private mount joins the peer group of another one of its file system, and
/// becomes a slave of the same master.
fn set_group(task: &Arc<Task>, from: &Path, to: &Path) -> Result<()> {
    let (source, target) = (&from.mount, &to.mount);
    let cred = task.cred();
    task.kernel().vfs.change_mounts(|topology| {
        let (Some(from_ns), Some(to_ns)) = (topology.ns_of(source), topology.ns_of(target)) else {
            bail!(EINVAL, "set_group: a mount that stands nowhere")
        };
        ensure!(
            cred.ns_capable(from_ns.user_ns(), Capability::SYS_ADMIN)
                && cred.ns_capable(to_ns.user_ns(), Capability::SYS_ADMIN),
            EPERM,
            "set_group: no CAP_SYS_ADMIN in the owners of the namespaces"
        );
        ensure!(
            from.is_mount_root() && to.is_mount_root(),
            EINVAL,
            "set_group: not a mountpoint"
        );
        ensure!(
            Arc::ptr_eq(&source.sb, &target.sb) && target.root.is_subdir(&source.root),
            EINVAL,
            "set_group: the target shows what the source does not"
        );
        ensure!(
            !super::ops::has_locked_children(source, &target.root),
            EINVAL,
            "set_group: locked mounts would be uncovered"
        );
        let groups = &mut topology.propagation;
        ensure!(
            groups.shared(target.key).is_none() && groups.master(target.key).is_none(),
            EINVAL,
            "set_group: the target is in a group"
        );
        ensure!(
            groups.shared(source.key).is_some() || groups.master(source.key).is_some(),
            EINVAL,
            "set_group: the source is private"
        );
        let unbindable = groups.is_unbindable(target.key);
        groups.join(source.key, target.key, unbindable);
        Ok(())
    })
}

/// What `mount_setattr(2)` shall do, checked.
pub struct SetAttr {
    set: MountFlags,
    clear: MountFlags,
    propagation: Option<MsFlags>,
    recurse: bool,
    idmap: Option<Arc<UserNamespace>>,
}

impl SetAttr {
    /// Makes sense of the arguments (Linux's `build_mount_kattr`). `userns_file` opens the descriptor of
    /// a user namespace.
    pub fn new(
        task: &Arc<Task>,
        set: u64,
        clear: u64,
        propagation: u64,
        recurse: bool,
        userns_file: impl FnOnce() -> Result<Arc<OpenFile>>,
    ) -> Result<SetAttr> {
        let types = MsFlags::SHARED | MsFlags::PRIVATE | MsFlags::SLAVE | MsFlags::UNBINDABLE;
        ensure!(
            propagation & !u64::from(types.bits()) == 0 && propagation.count_ones() <= 1,
            EINVAL,
            "mount_setattr: not one propagation type"
        );
        let propagation = (propagation != 0).then(|| MsFlags::from_bits_retain(propagation as u32));
        let (Some(set), Some(clear)) = (MountAttr::from_bits(set), MountAttr::from_bits(clear)) else {
            bail!(EINVAL, "mount_setattr: unknown attributes")
        };
        let mut flags = SetAttr {
            set: plain_flags(set),
            clear: plain_flags(clear),
            propagation,
            recurse,
            idmap: None,
        };
        if clear.intersects(MountAttr::ATIME) {
            ensure!(
                clear.contains(MountAttr::ATIME),
                EINVAL,
                "mount_setattr: a part of the rule for times of access"
            );
            flags.clear |= MountFlags::RELATIME | MountFlags::NOATIME;
            flags.set |= atime_flags(set)?;
        } else {
            ensure!(
                !set.intersects(MountAttr::ATIME),
                EINVAL,
                "mount_setattr: the old rule for times of access is not cleared"
            );
        }
        ensure!(
            !clear.contains(MountAttr::IDMAP),
            EINVAL,
            "mount_setattr: an id mapping is not taken away"
        );
        if set.contains(MountAttr::IDMAP) {
            flags.idmap = Some(mapping(task, &*userns_file()?)?);
        }
        Ok(flags)
    }

    fn flags_for(&self, mount: &Mount) -> MountFlags {
        mount.flags() & !self.clear | self.set
    }
}

fn mapping(task: &Arc<Task>, file: &OpenFile) -> Result<Arc<UserNamespace>> {
    let ns = nsfs::namespace_of(&*file.inode).and_then(|ns| ns.into_any().downcast().ok());
    let Some(ns): Option<Arc<UserNamespace>> = ns else {
        bail!(EINVAL, "mount_setattr: not the file of a user namespace")
    };
    ensure!(
        ns.parent().is_some(),
        EPERM,
        "mount_setattr: the initial user namespace maps nothing"
    );
    ensure!(
        task.cred().ns_capable(&ns, Capability::SYS_ADMIN),
        EPERM,
        "mount_setattr: no CAP_SYS_ADMIN in the user namespace"
    );
    Ok(ns)
}

/// `mount_setattr(2)` of a place that was looked up: all mounts or none.
pub fn set_attr(task: &Arc<Task>, target: &Path, attr: &SetAttr) -> Result<()> {
    let ns = current_ns(task)?;
    ensure!(target.is_mount_root(), EINVAL, "mount_setattr: not a mountpoint");
    task.kernel().vfs.change_mounts(|topology| {
        let mount = &target.mount;
        let detached = topology.ns_of(mount).is_some_and(|ns| ns.is_anonymous());
        ensure!(
            mount.is_in(&ns) || detached && mount.parent().is_none(),
            EINVAL,
            "mount_setattr: the mount is of another namespace"
        );
        let tree = if attr.recurse {
            MountTopology::tree(mount)
        } else {
            alloc::vec![mount.clone()]
        };
        let mut held = 0;
        let mut prepared = Ok(());
        for mount in &tree {
            prepared = prepare(mount, attr);
            if prepared.is_err() {
                break;
            }
            held += 1;
        }
        if prepared.is_err() {
            tree[..held].iter().for_each(|mount| mount.unhold_writers());
        } else {
            for mount in &tree {
                mount.set_flags(MountFlags::USER_SETTABLE, attr.flags_for(mount));
                mount.unhold_writers();
                if let Some(kind) = attr.propagation {
                    topology.change_type(mount, kind);
                }
            }
            let ns = topology.ns_of(mount);
            topology.note_change(ns);
        }
        tree.into_iter().for_each(|mount| topology.discard(mount));
        prepared
    })
}

/// Whether a mount may get its new flags; keeps writers away from one that becomes read-only.
fn prepare(mount: &Arc<Mount>, attr: &SetAttr) -> Result<()> {
    let new = attr.flags_for(mount);
    check_locked_flags(mount, new)?;
    if let Some(mapping) = &attr.idmap {
        ensure!(
            !Arc::ptr_eq(mapping, &mount.sb.user_ns),
            EINVAL,
            "mount_setattr: the file system has this mapping"
        );
        bail!(EINVAL, "mount_setattr: the file system has no id-mapped mounts");
    }
    if new.contains(MountFlags::READONLY) {
        mount.hold_writers()?;
    }
    Ok(())
}

/// `EPERM` unless the caller may change its mount namespace.
pub fn check_may_mount(task: &Arc<Task>) -> Result<()> {
    may_mount(task).map(drop)
}
