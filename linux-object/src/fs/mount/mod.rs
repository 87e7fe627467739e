//! Mounts (`mount(2)`, `mount_namespaces(7)`, Linux's `Documentation/filesystems/sharedsubtree.rst`).
//!
//! Model: a [`Mount`] shows a superblock, from one of its dentries down, at a mountpoint of another
//! mount. The mounts of a mount namespace form one tree; a detached tree has none. All trees and their
//! peer groups change under one lock, [`MountTopology`]: functions that change them take the
//! token that the lock lends. A path walk takes only a leaf lock of the mount it crosses from.
//!
//! Ownership: the namespace holds its mounts strongly and nobody else in the tree does, so a mount
//! is in use exactly when its `Arc` has more references than the namespace's (Linux's `mnt_count`).

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::{Dentry, Path, SuperBlock};
use crate::ensure;
use crate::error::Result;
use crate::kernel::Kernel;
use crate::mm::memcg::{Item, KmemCharge};
use crate::namespace::MountNamespace;
use crate::sync::{SpinLock, class};

mod api;
mod namespace;
mod ops;
mod propagation;
mod reveal;
mod ring;
mod show;
mod table;
#[cfg(test)]
mod tests;
mod topology;
mod umount;

pub use api::{
    Fsmount, MountAttr, MoveFlags, OpenTree, SetAttr, check_may_mount, fsmount, fspick, move_mount,
    open_tree, set_attr,
};
pub(crate) use namespace::{copy_namespace, drop_namespace};
pub use ops::{do_mount, init_tree};
pub use propagation::{GroupId, Propagation};
pub use show::{show_mountinfo, show_mounts, show_mountstats};
pub use table::MountKey;
pub use topology::{CopyFlags, MountTopology, UmountHow};
pub use umount::{UmountFlags, detach_mounts, is_local_mountpoint, pivot_root, umount};

bitflags::bitflags! {
    /// Flags of a mount, as Linux's `MNT_*` numbers them.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    #[allow(missing_docs)]
    pub struct MountFlags: u32 {
        const NOSUID = 0x01;
        const NODEV = 0x02;
        const NOEXEC = 0x04;
        const NOATIME = 0x08;
        const NODIRATIME = 0x10;
        const RELATIME = 0x20;
        const READONLY = 0x40;
        const NOSYMFOLLOW = 0x80;
        /// A change of the flags is under way that keeps writers away.
        const WRITE_HOLD = 0x200;
        /// Of the kernel's own (pipes, sockets …).
        const INTERNAL = 0x4000;
        const LOCK_ATIME = 0x04_0000;
        const LOCK_NOEXEC = 0x08_0000;
        const LOCK_NOSUID = 0x10_0000;
        const LOCK_NODEV = 0x20_0000;
        const LOCK_READONLY = 0x40_0000;
        /// It may not be unmounted alone.
        const LOCKED = 0x80_0000;
        /// `MNT_EXPIRE` asked once already.
        const EXPIRY_MARK = 0x0100_0000;
        /// It is out of its tree.
        const UMOUNT = 0x0800_0000;
        /// What a remount may change.
        const USER_SETTABLE = 0xff;
        /// How times of access are kept.
        const ATIME_MASK = 0x38;
    }
}

/// A superblock shown at a place.
pub struct Mount {
    /// Its number in `mountinfo`, and its age.
    pub key: MountKey,
    /// What it shows.
    pub sb: Arc<SuperBlock>,
    /// From where down.
    pub root: Arc<Dentry>,
    /// The source, for `mountinfo`.
    pub source: Box<[u8]>,
    /// Its key in the namespace's list.
    ns_key: AtomicU64,
    flags: AtomicU32,
    writers: AtomicU32,
    links: SpinLock<Links, class::Leaf>,
    /// Mounts on dentries of this one, by the dentry's address.
    children: SpinLock<BTreeMap<usize, Weak<Mount>>, class::Leaf>,
    kernel: Weak<Kernel>,
    _memory: KmemCharge,
}

/// What a mount's places in the tables of its namespace, its parent and its peers take, about.
const TABLES_BYTES: usize = 128;

#[derive(Default)]
struct Links {
    parent: Weak<Mount>,
    mountpoint: Option<Arc<Dentry>>,
    ns: Weak<MountNamespace>,
    /// Locked children of a mount that was detached: they stay where they are as long as it lives.
    kept: Vec<Arc<Mount>>,
}

impl Mount {
    /// A mount that stands nowhere yet.
    pub fn new(
        kernel: &Arc<Kernel>,
        sb: Arc<SuperBlock>,
        root: Arc<Dentry>,
        source: &[u8],
        flags: MountFlags,
    ) -> Arc<Mount> {
        Mount::make(kernel, sb, root, source, flags, KmemCharge::none())
    }
    /// Likewise, charged to the control group of the calling task. `ENOMEM`.
    pub fn charged(
        kernel: &Arc<Kernel>,
        sb: Arc<SuperBlock>,
        root: Arc<Dentry>,
        source: &[u8],
        flags: MountFlags,
    ) -> Result<Arc<Mount>> {
        let bytes = size_of::<Mount>() + TABLES_BYTES + source.len();
        let memory = kernel.memory.control.charge_kmem(bytes, Item::Slab)?;
        Ok(Mount::make(kernel, sb, root, source, flags, memory))
    }
    fn make(
        kernel: &Arc<Kernel>,
        sb: Arc<SuperBlock>,
        root: Arc<Dentry>,
        source: &[u8],
        flags: MountFlags,
        memory: KmemCharge,
    ) -> Arc<Mount> {
        Arc::new(Mount {
            key: MountKey {
                id: kernel.vfs.mount_ids.lock().allocate(),
                seq: kernel.vfs.mount_seq.fetch_add(1, Ordering::Relaxed),
            },
            sb,
            root,
            source: source.into(),
            ns_key: AtomicU64::new(0),
            flags: AtomicU32::new(flags.bits()),
            writers: AtomicU32::new(0),
            links: SpinLock::default(),
            children: SpinLock::default(),
            kernel: Arc::downgrade(kernel),
            _memory: memory,
        })
    }
    /// A mount of the whole superblock for the kernel's own use.
    pub fn internal(kernel: &Arc<Kernel>, sb: Arc<SuperBlock>) -> Arc<Mount> {
        let root = sb.root.clone();
        let name = sb.fs.name();
        Mount::new(kernel, sb, root, name.as_bytes(), MountFlags::INTERNAL)
    }
    /// Its flags.
    #[inline]
    pub fn flags(&self) -> MountFlags {
        MountFlags::from_bits_retain(self.flags.load(Ordering::Relaxed))
    }
    fn set_flags(&self, mask: MountFlags, value: MountFlags) {
        let _ = self
            .flags
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |old| {
                Some(old & !mask.bits() | value.bits() & mask.bits())
            });
    }
    /// It was used: the next `MNT_EXPIRE` marks it anew.
    #[inline]
    pub fn clear_expiry_mark(&self) {
        if self.flags().contains(MountFlags::EXPIRY_MARK) {
            self.set_flags(MountFlags::EXPIRY_MARK, MountFlags::empty());
        }
    }
    /// The mount it stands on; `None` for a root.
    pub fn parent(&self) -> Option<Arc<Mount>> {
        self.links.lock().parent.upgrade()
    }
    /// Where it stands: a dentry of its parent.
    pub fn mountpoint(&self) -> Option<Path> {
        let links = self.links.lock();
        Some(Path {
            mount: links.parent.upgrade()?,
            dentry: links.mountpoint.clone()?,
        })
    }
    /// The namespace it belongs to; `None` if it is detached or internal.
    pub fn ns(&self) -> Option<Arc<MountNamespace>> {
        self.links.lock().ns.upgrade()
    }
    /// Whether it belongs to this namespace (Linux's `check_mnt`).
    pub fn is_in(&self, ns: &Arc<MountNamespace>) -> bool {
        core::ptr::eq(self.links.lock().ns.as_ptr(), Arc::as_ptr(ns))
    }
    /// The mount on a dentry of this one.
    #[inline]
    pub fn child_at(&self, dentry: &Arc<Dentry>) -> Option<Arc<Mount>> {
        self.children.lock().get(&Arc::as_ptr(dentry).addr())?.upgrade()
    }
    /// The mounts that stand on this one, oldest first.
    pub fn children(&self) -> Vec<Arc<Mount>> {
        let mut children: Vec<Arc<Mount>> = self.children.lock().values().filter_map(Weak::upgrade).collect();
        children.sort_by_key(|child| child.key);
        children
    }
    /// Whether nothing on it may be changed through it.
    #[inline]
    pub fn is_readonly(&self) -> bool {
        self.flags().contains(MountFlags::READONLY) || self.sb.is_readonly()
    }
    /// Announces a change of the file system (Linux's `mnt_want_write`); `EROFS`. Ended by
    /// [`Mount::drop_write`].
    pub fn want_write(&self) -> Result<()> {
        self.writers.fetch_add(1, Ordering::SeqCst);
        self.sb.writers.fetch_add(1, Ordering::SeqCst);
        // A change of the flags is a few instructions long and keeps writers waiting for its outcome.
        while self.flags.load(Ordering::SeqCst) & MountFlags::WRITE_HOLD.bits() != 0 {
            crate::sync::hooks::relax();
        }
        if self.is_readonly() {
            self.drop_write();
            ensure!(false, EROFS);
        }
        Ok(())
    }
    /// Ends [`Mount::want_write`].
    pub fn drop_write(&self) {
        self.writers.fetch_sub(1, Ordering::SeqCst);
        self.sb.writers.fetch_sub(1, Ordering::SeqCst);
    }
    /// Lets no new writer begin (Linux's `mnt_hold_writers`); `EBUSY` while there is one. Undone by
    /// [`Mount::unhold_writers`], or by making the mount read-only.
    fn hold_writers(&self) -> Result<()> {
        self.set_flags(MountFlags::WRITE_HOLD, MountFlags::WRITE_HOLD);
        if self.writers.load(Ordering::SeqCst) > 0 && !self.flags().contains(MountFlags::READONLY) {
            self.unhold_writers();
            ensure!(false, EBUSY, "files are open for writing");
        }
        Ok(())
    }
    fn unhold_writers(&self) {
        self.set_flags(MountFlags::WRITE_HOLD, MountFlags::empty());
    }
    /// Makes the mount read-only (`EBUSY` while it is written to) or writable.
    fn change_readonly(&self, readonly: bool) -> Result<()> {
        if readonly && !self.flags().contains(MountFlags::READONLY) {
            self.hold_writers()?;
            self.set_flags(MountFlags::READONLY, MountFlags::READONLY);
            self.unhold_writers();
        }
        Ok(())
    }
    /// [`Mount::want_write`] for the life of a value.
    pub fn write_guard(&self) -> Result<WriteGuard<'_>> {
        self.want_write()?;
        Ok(WriteGuard(self))
    }
}

/// Ends a [`Mount::want_write`] when dropped.
pub struct WriteGuard<'a>(&'a Mount);

impl Drop for WriteGuard<'_> {
    fn drop(&mut self) {
        self.0.drop_write();
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if let Some(dentry) = self.links.get_mut().mountpoint.take() {
            dentry.mount_removed();
        }
        if let Some(kernel) = self.kernel.upgrade() {
            kernel.vfs.mount_ids.lock().free(self.key.id);
        }
    }
}
