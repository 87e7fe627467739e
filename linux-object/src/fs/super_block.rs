//! A file system instance (Linux's `super_block`).

use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicU32, Ordering};

use super::file_total::FileTotal;
use super::inotify::WatchTotal;
use super::{Dentry, DevT, FileSystem, Moves};
use crate::error::Result;
use crate::kernel::Kernel;
use crate::namespace::UserNamespace;
use crate::sync::{SpinLock, class};

bitflags::bitflags! {
    /// Flags of a superblock: the `MS_*` bits that belong to it, and the kernel's own.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    #[allow(missing_docs)]
    pub struct SbFlags: u32 {
        const RDONLY = 1;
        const SYNCHRONOUS = 16;
        const MANDLOCK = 64;
        const DIRSYNC = 128;
        const POSIXACL = 1 << 16;
        const LAZYTIME = 1 << 25;
        /// No device of this file system is opened (`SB_I_NODEV`).
        const I_NODEV = 1 << 28;
        /// Nothing on this file system is executed (`SB_I_NOEXEC`).
        const I_NOEXEC = 1 << 29;
        /// In a user namespace no more of it may be seen than is seen already (`SB_I_USERNS_VISIBLE`).
        const I_USERNS_VISIBLE = 1 << 27;
        /// Not mountable by user space (`SB_KERNMOUNT`).
        const KERNMOUNT = 1 << 22;
    }
}

/// A file system with its device number, flags and owner.
pub struct SuperBlock {
    /// The device number that `stat` shows.
    pub dev: DevT,
    /// The content.
    pub fs: Arc<dyn FileSystem>,
    /// The root dentry.
    pub root: Arc<Dentry>,
    /// The user namespace whose root may mount and remount it.
    pub user_ns: Arc<UserNamespace>,
    /// Held by a rename between directories, so that the tree's shape is stable.
    pub rename: SpinLock<(), class::Rename>,
    flags: AtomicU32,
    /// Changes under way and files open for writing, through all mounts.
    pub(super) writers: AtomicU32,
    kernel: Weak<Kernel>,
    watches: Arc<WatchTotal>,
    pub(super) files: Arc<FileTotal>,
    /// Directories that move, of all file systems.
    pub(super) moves: Arc<Moves>,
}

impl SuperBlock {
    /// Whether someone watches a file, of this file system or of another.
    #[inline]
    pub(super) fn is_watched(&self) -> bool {
        self.watches.any()
    }
    /// A superblock on no device, with a device number of its own.
    pub fn new(
        kernel: &Arc<Kernel>,
        fs: Arc<dyn FileSystem>,
        user_ns: Arc<UserNamespace>,
        flags: u32,
    ) -> Result<Arc<SuperBlock>> {
        let root = Dentry::root(fs.root_inode(), fs.cacheable());
        let dev = DevT::new(0, kernel.vfs.anon_devs.lock().allocate());
        let mut flags = SbFlags::from_bits_truncate(flags);
        if user_ns.parent().is_some() {
            flags |= SbFlags::I_NODEV;
        }
        let sb = Arc::new(SuperBlock {
            dev,
            fs,
            root,
            user_ns,
            rename: SpinLock::new(()),
            flags: AtomicU32::new(flags.bits()),
            writers: AtomicU32::new(0),
            kernel: Arc::downgrade(kernel),
            watches: kernel.watches.clone(),
            files: kernel.vfs.files.clone(),
            moves: kernel.vfs.moves.clone(),
        });
        kernel.vfs.supers.lock().insert(dev.minor(), Arc::downgrade(&sb));
        Ok(sb)
    }
    /// Its flags.
    #[inline]
    pub fn flags(&self) -> SbFlags {
        SbFlags::from_bits_retain(self.flags.load(Ordering::Relaxed))
    }
    /// Changes the flags in `mask`.
    pub fn set_flags(&self, mask: SbFlags, value: SbFlags) {
        let _ = self
            .flags
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |old| {
                Some(old & !mask.bits() | value.bits() & mask.bits())
            });
    }
    /// Changes the flags in `mask`; `EBUSY` if it becomes read-only while it is written to.
    pub fn change_flags(&self, mask: SbFlags, new: SbFlags) -> Result<()> {
        let new = new & mask;
        if new.contains(SbFlags::RDONLY) && !self.is_readonly() {
            self.set_flags(SbFlags::RDONLY, SbFlags::RDONLY);
            if self.writers.load(Ordering::SeqCst) > 0 {
                self.set_flags(SbFlags::RDONLY, SbFlags::empty());
                crate::bail!(EBUSY, "files are open for writing");
            }
        }
        self.set_flags(mask, new);
        Ok(())
    }
    /// Whether nothing on it may be changed.
    #[inline]
    pub fn is_readonly(&self) -> bool {
        self.flags().contains(SbFlags::RDONLY)
    }
}

impl Drop for SuperBlock {
    fn drop(&mut self) {
        Dentry::shrink_tree(&self.root);
        if let Some(kernel) = self.kernel.upgrade() {
            kernel.vfs.supers.lock().remove(&self.dev.minor());
            kernel.vfs.anon_devs.lock().free(self.dev.minor());
        }
    }
}
