//! `mount(2)`: new mounts, bind, move, remount, propagation types.

use alloc::sync::Arc;

use super::reveal::check_revealing;
use super::topology::mnt_ns_loop;
use super::{CopyFlags, Mount, MountFlags, MountTopology};
use crate::cred::Capability;
use crate::error::Result;
use crate::fs::fs_context::FsContext;
use crate::fs::namei::{LookupFlags, path_lookup};
use crate::fs::{FileType, Path, SuperBlock};
use crate::kernel::Kernel;
use crate::namespace::MountNamespace;
use crate::task::Task;
use crate::{bail, ensure, err};

bitflags::bitflags! {
    /// Flags of `mount(2)`.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    #[allow(missing_docs)]
    pub struct MsFlags: u32 {
        const RDONLY = 1;
        const NOSUID = 2;
        const NODEV = 4;
        const NOEXEC = 8;
        const SYNCHRONOUS = 16;
        const REMOUNT = 32;
        const MANDLOCK = 64;
        const DIRSYNC = 128;
        const NOSYMFOLLOW = 256;
        const NOATIME = 1024;
        const NODIRATIME = 2048;
        const BIND = 4096;
        const MOVE = 8192;
        const REC = 16384;
        const SILENT = 32768;
        const POSIXACL = 1 << 16;
        const UNBINDABLE = 1 << 17;
        const PRIVATE = 1 << 18;
        const SLAVE = 1 << 19;
        const SHARED = 1 << 20;
        const RELATIME = 1 << 21;
        const STRICTATIME = 1 << 24;
        const LAZYTIME = 1 << 25;
        const NOUSER = 1 << 31;
    }
}

const MGC_VAL: u32 = 0xc0ed_0000;
const MGC_MSK: u32 = 0xffff_0000;

fn is_dir(dentry: &crate::fs::Dentry) -> bool {
    dentry
        .inode()
        .is_some_and(|inode| inode.file_type() == FileType::Directory)
}

/// Whether the caller may change its mount namespace (Linux's `may_mount`).
pub(super) fn may_mount(task: &Arc<Task>) -> Result<Arc<MountNamespace>> {
    let ns = current_ns(task)?;
    ensure!(
        task.cred().ns_capable(ns.user_ns(), Capability::SYS_ADMIN),
        EPERM,
        "no CAP_SYS_ADMIN in the owner of the mount namespace"
    );
    Ok(ns)
}

/// The caller's mount namespace.
pub(super) fn current_ns(task: &Arc<Task>) -> Result<Arc<MountNamespace>> {
    match &task.parts.lock().nsproxy {
        Some(nsproxy) => Ok(nsproxy.mnt_ns.clone()),
        None => bail!(EINVAL, "the task exits"),
    }
}

/// The topmost mount on a place (Linux's `lock_mount`): what is mounted there now is where more is mounted.
pub(super) fn topmost(path: &Path) -> Result<Path> {
    let mut top = path.clone();
    while let Some(mount) = top.mount.child_at(&top.dentry) {
        top = Path::root_of(&mount);
    }
    ensure!(!top.dentry.is_deleted(), ENOENT, "the mountpoint was removed");
    Ok(top)
}

fn mount_flags(flags: MsFlags) -> MountFlags {
    let mut out = MountFlags::empty();
    if !flags.contains(MsFlags::NOATIME) {
        out |= MountFlags::RELATIME;
    }
    for (ms, mnt) in [
        (MsFlags::NOSUID, MountFlags::NOSUID),
        (MsFlags::NODEV, MountFlags::NODEV),
        (MsFlags::NOEXEC, MountFlags::NOEXEC),
        (MsFlags::NOATIME, MountFlags::NOATIME),
        (MsFlags::NODIRATIME, MountFlags::NODIRATIME),
        (MsFlags::RDONLY, MountFlags::READONLY),
        (MsFlags::NOSYMFOLLOW, MountFlags::NOSYMFOLLOW),
    ] {
        if flags.contains(ms) {
            out |= mnt;
        }
    }
    if flags.contains(MsFlags::STRICTATIME) {
        out &= !(MountFlags::RELATIME | MountFlags::NOATIME);
    }
    out
}

/// `mount(2)` on a target that was looked up (Linux's `path_mount`).
pub fn do_mount(
    task: &Arc<Task>,
    source: Option<&[u8]>,
    target: &Path,
    fs_type: Option<&[u8]>,
    flags: u32,
    data: &[u8],
) -> Result<()> {
    let flags = if flags & MGC_MSK == MGC_VAL {
        flags & !MGC_MSK
    } else {
        flags
    };
    let flags = MsFlags::from_bits_retain(flags);
    ensure!(!flags.contains(MsFlags::NOUSER), EINVAL);
    may_mount(task)?;
    let mut mnt_flags = mount_flags(flags);
    let atime = MsFlags::NOATIME | MsFlags::NODIRATIME | MsFlags::RELATIME | MsFlags::STRICTATIME;
    if flags.contains(MsFlags::REMOUNT) && !flags.intersects(atime) {
        mnt_flags &= !MountFlags::ATIME_MASK;
        mnt_flags |= target.mount.flags() & MountFlags::ATIME_MASK;
    }
    let for_sb = MsFlags::RDONLY
        | MsFlags::SYNCHRONOUS
        | MsFlags::MANDLOCK
        | MsFlags::DIRSYNC
        | MsFlags::SILENT
        | MsFlags::POSIXACL
        | MsFlags::LAZYTIME;
    let sb_flags = (flags & for_sb).bits();
    let types = MsFlags::SHARED | MsFlags::PRIVATE | MsFlags::SLAVE | MsFlags::UNBINDABLE;
    if flags.contains(MsFlags::REMOUNT | MsFlags::BIND) {
        reconfigure_mount(task, target, mnt_flags)
    } else if flags.contains(MsFlags::REMOUNT) {
        remount(task, target, sb_flags, mnt_flags, data)
    } else if flags.contains(MsFlags::BIND) {
        bind(task, target, source, flags.contains(MsFlags::REC))
    } else if flags.intersects(types) {
        change_type(task, target, flags)
    } else if flags.contains(MsFlags::MOVE) {
        move_old(task, target, source)
    } else {
        new_mount(task, target, source, fs_type, sb_flags, mnt_flags, data)
    }
}

pub(super) fn check_locked_flags(mount: &Mount, new: MountFlags) -> Result<()> {
    let old = mount.flags();
    for (locked, flag) in [
        (MountFlags::LOCK_READONLY, MountFlags::READONLY),
        (MountFlags::LOCK_NODEV, MountFlags::NODEV),
        (MountFlags::LOCK_NOSUID, MountFlags::NOSUID),
        (MountFlags::LOCK_NOEXEC, MountFlags::NOEXEC),
    ] {
        ensure!(
            !old.contains(locked) || new.contains(flag),
            EPERM,
            "a locked mount flag"
        );
    }
    let same_atime = old & MountFlags::ATIME_MASK == new & MountFlags::ATIME_MASK;
    ensure!(
        !old.contains(MountFlags::LOCK_ATIME) || same_atime,
        EPERM,
        "a locked atime flag"
    );
    Ok(())
}

/// Whether locked mounts cover something at or below `dentry` of a mount.
pub(super) fn has_locked_children(mount: &Mount, dentry: &Arc<crate::fs::Dentry>) -> bool {
    mount.children().iter().any(|child| {
        child.flags().contains(MountFlags::LOCKED)
            && child.mountpoint().is_some_and(|at| at.dentry.is_subdir(dentry))
    })
}

fn check_mount_root(task: &Arc<Task>, target: &Path) -> Result<Arc<MountNamespace>> {
    let ns = current_ns(task)?;
    ensure!(
        target.mount.is_in(&ns),
        EINVAL,
        "the mount is of another namespace"
    );
    ensure!(target.is_mount_root(), EINVAL, "not a mountpoint");
    Ok(ns)
}

/// `MS_REMOUNT | MS_BIND`: the flags of one mount.
fn reconfigure_mount(task: &Arc<Task>, target: &Path, new: MountFlags) -> Result<()> {
    let ns = check_mount_root(task, target)?;
    let mount = &target.mount;
    task.kernel().vfs.change_mounts(|topology| {
        check_locked_flags(mount, new)?;
        mount.change_readonly(new.contains(MountFlags::READONLY))?;
        mount.set_flags(MountFlags::USER_SETTABLE, new);
        topology.note_change(Some(ns));
        Ok(())
    })
}

/// `MS_REMOUNT`: the superblock's options and flags, and the flags of this mount.
fn remount(task: &Arc<Task>, target: &Path, sb_flags: u32, new: MountFlags, data: &[u8]) -> Result<()> {
    let ns = check_mount_root(task, target)?;
    let mount = &target.mount;
    check_locked_flags(mount, new)?;
    let mut context = FsContext::for_reconfigure(task, &mount.sb, Some(sb_flags))?;
    context.parse_monolithic(task, data)?;
    ensure!(
        task.cred().ns_capable(&mount.sb.user_ns, Capability::SYS_ADMIN),
        EPERM,
        "remount: no CAP_SYS_ADMIN in the owner of the file system"
    );
    context.reconfigure()?;
    task.kernel().vfs.change_mounts(|topology| {
        // The superblock decides about writing; the mount follows, as in Linux.
        mount.set_flags(MountFlags::USER_SETTABLE, new);
        topology.note_change(Some(ns));
    });
    Ok(())
}

/// `MS_BIND`.
fn bind(task: &Arc<Task>, target: &Path, source: Option<&[u8]>, recurse: bool) -> Result<()> {
    let Some(name) = source.filter(|name| !name.is_empty()) else {
        bail!(EINVAL, "bind: no source");
    };
    let old = path_lookup(task, None, name, LookupFlags::FOLLOW)?;
    let ns = current_ns(task)?;
    let kernel = task.kernel();
    kernel.vfs.change_mounts(|topology| {
        ensure!(
            !mnt_ns_loop(&old.dentry, &ns),
            EINVAL,
            "a mount namespace would hold itself"
        );
        let at = topmost(target)?;
        ensure!(at.mount.is_in(&ns), EINVAL, "the target is of another namespace");
        let tree = topology.loopback(kernel, &ns, &old, recurse)?;
        topology.graft(kernel, tree, &at)
    })
}

impl MountTopology {
    /// Gives a mount one propagation type.
    pub(super) fn change_type(&mut self, mount: &Mount, kind: MsFlags) {
        if kind == MsFlags::SHARED {
            self.propagation.make_shared(mount.key);
        } else if kind == MsFlags::SLAVE {
            self.propagation.make_slave(mount.key);
        } else {
            self.propagation
                .make_private(mount.key, kind == MsFlags::UNBINDABLE);
        }
    }
    /// A copy of what stands at `old`, alone or with what is mounted below (Linux's `__do_loopback`).
    pub(super) fn loopback(
        &mut self,
        kernel: &Arc<Kernel>,
        ns: &Arc<MountNamespace>,
        old: &Path,
        recurse: bool,
    ) -> Result<alloc::vec::Vec<Arc<Mount>>> {
        ensure!(
            !self.propagation.is_unbindable(old.mount.key),
            EINVAL,
            "the source is unbindable"
        );
        let nsfs = old.mount.sb.fs.name() == "nsfs";
        ensure!(
            old.mount.is_in(ns) || nsfs,
            EINVAL,
            "the source is of another namespace"
        );
        let tree = if recurse {
            self.copy_tree(kernel, &old.mount, &old.dentry, CopyFlags::COPY_MNT_NS_FILE)?
        } else {
            ensure!(
                !has_locked_children(&old.mount, &old.dentry),
                EINVAL,
                "locked mounts would be uncovered"
            );
            alloc::vec![self.clone_mnt(kernel, &old.mount, old.dentry.clone(), CopyFlags::empty())?]
        };
        tree[0].set_flags(MountFlags::LOCKED, MountFlags::empty());
        Ok(tree)
    }

    /// Attaches a new tree where its root fits (Linux's `graft_tree`).
    pub(super) fn graft(
        &mut self,
        kernel: &Arc<Kernel>,
        tree: alloc::vec::Vec<Arc<Mount>>,
        at: &Path,
    ) -> Result<()> {
        let root = tree[0].clone();
        if is_dir(&at.dentry) != is_dir(&root.root) {
            self.discard_tree(tree);
            bail!(ENOTDIR, "a directory on a file, or the reverse");
        }
        self.attach(kernel, &root, Some(tree), at)
    }
}

/// `MS_SHARED MS_PRIVATE MS_SLAVE MS_UNBINDABLE`.
fn change_type(task: &Arc<Task>, target: &Path, flags: MsFlags) -> Result<()> {
    ensure!(target.is_mount_root(), EINVAL, "not a mountpoint");
    let recurse = flags.contains(MsFlags::REC);
    let kind = flags & !(MsFlags::REC | MsFlags::SILENT);
    let types = [
        MsFlags::SHARED,
        MsFlags::PRIVATE,
        MsFlags::SLAVE,
        MsFlags::UNBINDABLE,
    ];
    ensure!(
        types.contains(&kind),
        EINVAL,
        "not exactly one propagation type, or other flags with it"
    );
    let ns = current_ns(task)?;
    ensure!(
        target.mount.is_in(&ns),
        EINVAL,
        "the mount is of another namespace"
    );
    task.kernel().vfs.change_mounts(|topology| {
        let tree = if recurse {
            MountTopology::tree(&target.mount)
        } else {
            alloc::vec![target.mount.clone()]
        };
        for mount in tree {
            topology.change_type(&mount, kind);
            topology.discard(mount);
        }
        Ok(())
    })
}

/// `MS_MOVE`.
fn move_old(task: &Arc<Task>, target: &Path, source: Option<&[u8]>) -> Result<()> {
    let Some(name) = source.filter(|name| !name.is_empty()) else {
        bail!(EINVAL, "move: no source");
    };
    let old = path_lookup(task, None, name, LookupFlags::FOLLOW)?;
    do_move_mount(task, &old, target)
}

/// Moves a mount (Linux's `do_move_mount`).
pub(super) fn do_move_mount(task: &Arc<Task>, from: &Path, to: &Path) -> Result<()> {
    let ns = current_ns(task)?;
    let kernel = task.kernel();
    kernel.vfs.change_mounts(|topology| {
        let at = topmost(to)?;
        let old = &from.mount;
        ensure!(at.mount.is_in(&ns), EINVAL, "the target is of another namespace");
        let parent = old.parent();
        if parent.is_some() {
            ensure!(old.is_in(&ns), EINVAL, "the source is of another namespace");
        } else {
            let detached = topology.ns_of(old).is_some_and(|other| other.is_anonymous());
            ensure!(detached, EINVAL, "the source is not attached");
        }
        ensure!(
            !old.flags().contains(MountFlags::LOCKED),
            EINVAL,
            "a locked mount"
        );
        ensure!(from.is_mount_root(), EINVAL, "not a mountpoint");
        ensure!(
            is_dir(&at.dentry) == is_dir(&from.dentry),
            EINVAL,
            "a directory on a file, or the reverse"
        );
        ensure!(
            !parent.as_ref().is_some_and(|parent| topology.shared(parent)),
            EINVAL,
            "the source's parent is shared"
        );
        let tree = MountTopology::tree(old);
        let unbindable = tree
            .iter()
            .any(|mount| topology.propagation.is_unbindable(mount.key));
        ensure!(
            !(topology.shared(&at.mount) && unbindable),
            EINVAL,
            "an unbindable mount to a shared place"
        );
        ensure!(
            !tree.iter().any(|mount| mnt_ns_loop(&mount.root, &ns)),
            ELOOP,
            "a mount namespace would hold itself"
        );
        let mut above = Some(at.mount.clone());
        while let Some(mount) = above {
            ensure!(!Arc::ptr_eq(&mount, old), ELOOP, "a mount into itself");
            above = mount.parent();
        }
        for mount in tree {
            topology.discard(mount);
        }
        topology.attach(kernel, old, None, &at)
    })
}

/// A file system type and what `mount -t` says after a dot.
fn new_mount(
    task: &Arc<Task>,
    target: &Path,
    source: Option<&[u8]>,
    fs_type: Option<&[u8]>,
    sb_flags: u32,
    flags: MountFlags,
    data: &[u8],
) -> Result<()> {
    let name = fs_type.ok_or(err!(EINVAL, "no file system type"))?;
    let kernel = task.kernel();
    let fs_type = kernel
        .fs_types
        .find(name)
        .ok_or(err!(ENODEV, "no such file system type"))?;
    let mut context = FsContext::for_mount(task, fs_type, sb_flags)?;
    if let Some(source) = source {
        context.set_source(task, source)?;
    }
    context.parse_monolithic(task, data)?;
    context.check_capable(task)?;
    let tree = context.get_tree(task)?;
    let flags = check_revealing(task, &tree.sb, flags)?;
    add_mount(task, tree.sb, tree.root, context.source(), flags, target)
}

/// Shows a superblock at a place (Linux's `do_add_mount`).
pub(super) fn add_mount(
    task: &Arc<Task>,
    sb: Arc<SuperBlock>,
    root: Arc<crate::fs::Dentry>,
    source: &[u8],
    flags: MountFlags,
    target: &Path,
) -> Result<()> {
    let ns = current_ns(task)?;
    let kernel = task.kernel();
    let mount = Mount::charged(kernel, sb, root, source, flags)?;
    kernel.vfs.change_mounts(|topology| {
        let at = topmost(target)?;
        ensure!(at.mount.is_in(&ns), EINVAL, "the target is of another namespace");
        ensure!(
            !(Arc::ptr_eq(&at.mount.sb, &mount.sb)
                && at.is_mount_root()
                && Arc::ptr_eq(&at.dentry, &mount.root)),
            EBUSY,
            "the file system is mounted there"
        );
        topology.graft(kernel, alloc::vec![mount], &at)
    })
}

/// A namespace whose tree is `root` with `over` on its root directory: the first one.
pub fn init_tree(kernel: &Arc<Kernel>, ns: &Arc<MountNamespace>, root: Arc<Mount>, over: Arc<Mount>) {
    kernel.vfs.change_mounts(|topology| {
        ns.mounts.lock().root = Some(root.clone());
        topology.adopt(alloc::vec![root.clone()], ns);
        let dentry = root.root.clone();
        topology.place(&over, &root, &dentry);
        topology.adopt(alloc::vec![over], ns);
    });
}
