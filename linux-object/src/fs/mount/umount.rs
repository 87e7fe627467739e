//! `umount2(2)` and `pivot_root(2)`.

use alloc::sync::{Arc, Weak};

use super::ops::{current_ns, may_mount, topmost};
use super::{Mount, MountFlags, MountTopology, UmountHow};
use crate::cred::Capability;
use crate::error::Result;
use crate::fs::namei::is_under;
use crate::fs::{Dentry, Path, SbFlags, task_fs};
use crate::kernel::Kernel;
use crate::task::Task;
use crate::{bail, ensure};

bitflags::bitflags! {
    /// Flags of `umount2(2)`.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    #[allow(missing_docs)]
    pub struct UmountFlags: u32 {
        const FORCE = 1;
        const DETACH = 2;
        const EXPIRE = 4;
        const NOFOLLOW = 8;
    }
}

/// `umount2(2)` of a target that was looked up. The caller holds no other reference to its mount.
pub fn umount(task: &Arc<Task>, target: Path, flags: UmountFlags) -> Result<()> {
    let ns = may_mount(task)?;
    let mount = &target.mount;
    ensure!(target.is_mount_root(), EINVAL, "not a mountpoint");
    ensure!(mount.is_in(&ns), EINVAL, "the mount is of another namespace");
    ensure!(
        !mount.flags().contains(MountFlags::LOCKED),
        EINVAL,
        "a locked mount"
    );
    let cred = task.cred();
    ensure!(
        !flags.contains(UmountFlags::FORCE) || cred.capable(Capability::SYS_ADMIN),
        EPERM,
        "MNT_FORCE: no CAP_SYS_ADMIN"
    );
    let is_root = Arc::ptr_eq(mount, &task_fs(task)?.root().mount);
    if flags.contains(UmountFlags::EXPIRE) {
        ensure!(
            !is_root && !flags.intersects(UmountFlags::FORCE | UmountFlags::DETACH),
            EINVAL,
            "MNT_EXPIRE of the root, or with other flags"
        );
        ensure!(Arc::strong_count(mount) <= 2, EBUSY);
        if !mount.flags().contains(MountFlags::EXPIRY_MARK) {
            mount.set_flags(MountFlags::EXPIRY_MARK, MountFlags::EXPIRY_MARK);
            bail!(EAGAIN, "marked for the next MNT_EXPIRE");
        }
    }
    if is_root && !flags.contains(UmountFlags::DETACH) {
        // The root stays; its file system becomes read-only.
        ensure!(
            cred.ns_capable(&mount.sb.user_ns, Capability::SYS_ADMIN),
            EPERM,
            "no CAP_SYS_ADMIN in the owner of the file system"
        );
        if !mount.sb.is_readonly() {
            mount.sb.change_flags(SbFlags::RDONLY, SbFlags::RDONLY)?;
        }
        return Ok(());
    }
    task.kernel().vfs.change_mounts(|topology| {
        ensure!(
            !mount.flags().contains(MountFlags::LOCKED),
            EINVAL,
            "a locked mount"
        );
        ensure!(mount.is_in(&ns), EINVAL, "the mount is gone");
        if flags.contains(UmountFlags::DETACH) {
            topology.umount_tree(mount, UmountHow::PROPAGATE);
        } else {
            ensure!(!topology.is_busy(mount), EBUSY);
            topology.umount_tree(mount, UmountHow::PROPAGATE | UmountHow::SYNC);
        }
        Ok(())
    })
}

impl MountTopology {
    /// Whether a mount, or one that propagation would take along, is in use (Linux's
    /// `propagate_mount_busy`). Besides its namespace the caller holds one reference.
    fn is_busy(&mut self, mount: &Arc<Mount>) -> bool {
        if !mount.children().is_empty() || Arc::strong_count(mount) > 2 {
            return true;
        }
        let Some(at) = mount.mountpoint() else {
            return false;
        };
        let mut busy = false;
        for receiver in self.propagation.receivers(at.mount.key) {
            let Some(parent) = self.mounts.get(receiver.mount).and_then(Weak::upgrade) else {
                continue;
            };
            if let Some(child) = parent.child_at(&at.dentry) {
                let topper = child.child_at(&child.root);
                let allowed = usize::from(topper.is_some());
                let free = child.children().len() == allowed;
                busy |= free && Arc::strong_count(&child) > 2;
                self.discard(child);
                topper.into_iter().for_each(|topper| self.discard(topper));
            }
            self.discard(parent);
        }
        self.discard(at.mount);
        busy
    }
}

/// Whether something is mounted on `dentry` in the caller's mount namespace, through whatever mount.
pub fn is_local_mountpoint(task: &Arc<Task>, dir: &Path, dentry: &Arc<Dentry>) -> bool {
    if dir.mount.child_at(dentry).is_some() {
        return true;
    }
    let Ok(ns) = current_ns(task) else { return false };
    let mounts = ns.mounts.lock();
    let key = Arc::as_ptr(dentry);
    mounts.list.values().any(|mount| {
        mount
            .links
            .lock_nested()
            .mountpoint
            .as_ref()
            .is_some_and(|at| Arc::as_ptr(at) == key)
    })
}

/// The name of `dentry` was removed: what is mounted on it in any namespace goes (Linux's
/// `__detach_mounts`).
pub fn detach_mounts(kernel: &Arc<Kernel>, dentry: &Arc<Dentry>) {
    if !dentry.is_mountpoint() {
        return;
    }
    kernel.vfs.change_mounts(|topology| {
        let all: alloc::vec::Vec<Arc<Mount>> = topology.mounts.values().filter_map(Weak::upgrade).collect();
        for mount in all {
            let here = mount
                .mountpoint()
                .is_some_and(|at| Arc::ptr_eq(&at.dentry, dentry));
            if here {
                topology.umount_tree(&mount, UmountHow::CONNECTED);
            }
            topology.discard(mount);
        }
    });
}

/// `pivot_root(2)`.
pub fn pivot_root(task: &Arc<Task>, new: &Path, put_old: &Path) -> Result<()> {
    let ns = current_ns(task)?;
    let root = task_fs(task)?.root();
    let kernel = task.kernel();
    kernel.vfs.change_mounts(|topology| {
        let old = topmost(put_old)?;
        let (new_mnt, root_mnt, old_mnt) = (&new.mount, &root.mount, &old.mount);
        let (ex_parent, root_parent) = (new_mnt.mountpoint(), root_mnt.mountpoint());
        let shared_parent = |at: &Option<Path>| at.as_ref().is_some_and(|at| topology.shared(&at.mount));
        ensure!(
            !topology.shared(old_mnt) && !shared_parent(&ex_parent) && !shared_parent(&root_parent),
            EINVAL,
            "a shared mount would change"
        );
        ensure!(
            root_mnt.is_in(&ns) && new_mnt.is_in(&ns),
            EINVAL,
            "a mount of another namespace"
        );
        ensure!(
            !new_mnt.flags().contains(MountFlags::LOCKED),
            EINVAL,
            "a locked mount"
        );
        ensure!(!new.dentry.is_deleted(), ENOENT);
        ensure!(
            !Arc::ptr_eq(new_mnt, root_mnt) && !Arc::ptr_eq(old_mnt, root_mnt),
            EBUSY,
            "on the root's own mount"
        );
        ensure!(root.is_mount_root(), EINVAL, "the root is no mountpoint");
        let Some(root_at) = root_parent else {
            bail!(EINVAL, "the root is not attached")
        };
        ensure!(new.is_mount_root(), EINVAL, "the new root is no mountpoint");
        ensure!(ex_parent.is_some(), EINVAL, "the new root is not attached");
        ensure!(is_under(&old, new), EINVAL, "put_old is not below the new root");
        ensure!(is_under(new, &root), EINVAL, "the new root is not below the root");
        topology.unplace(new_mnt);
        topology.unplace(root_mnt);
        if root_mnt.flags().contains(MountFlags::LOCKED) {
            new_mnt.set_flags(MountFlags::LOCKED, MountFlags::LOCKED);
            root_mnt.set_flags(MountFlags::LOCKED, MountFlags::empty());
        }
        topology.place(root_mnt, old_mnt, &old.dentry);
        topology.place(new_mnt, &root_at.mount, &root_at.dentry);
        topology.note_change(Some(ns.clone()));
        Ok(())
    })?;
    chroot_fs_refs(kernel, &root, new);
    Ok(())
}

/// Tasks whose root or working directory is the old root go to the new one.
fn chroot_fs_refs(kernel: &Arc<Kernel>, old: &Path, new: &Path) {
    let all = kernel.init_ns.pid_ns.clone();
    kernel.tasks.for_each_group(&all, |_, group| {
        for task in group.threads() {
            let Ok(fs) = task_fs(&task) else { continue };
            fs.change(|root, pwd| {
                if root == old {
                    *root = new.clone();
                }
                if pwd == old {
                    *pwd = new.clone();
                }
            });
        }
    });
}
