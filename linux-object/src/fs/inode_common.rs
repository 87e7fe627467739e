//! What every inode has, whatever its file system.

use core::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use super::file_lock::FileLocks;
use super::notify::Marks;
use super::pipe::{FifoSlot, fifo_slot};
use crate::ensure;
use crate::error::Result;
use crate::net::unix::{BoundSlot, bound_slot};
use crate::sync::{SpinLock, class};

bitflags::bitflags! {
    /// The VFS's flags of an inode.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct InodeFlags: u32 {
        /// Nothing about it may change (`FS_IMMUTABLE_FL`).
        const IMMUTABLE = 1 << 0;
        /// It is written at its end only (`FS_APPEND_FL`).
        const APPEND = 1 << 1;
        /// A removed directory: nothing is made in it any more.
        const DEAD = 1 << 2;
        /// Its times of access are not kept.
        const NOATIME = 1 << 3;
        /// It is known to have no file capabilities (Linux's `S_NOSEC`).
        const NOSEC = 1 << 6;
        /// Made by `O_TMPFILE | O_EXCL`: never gets a name.
        const UNLINKABLE = 1 << 5;
        /// It is not of a file system that a mount shows (pipe, socket, anonymous).
        const PRIVATE = 1 << 4;
    }
}

/// The VFS's own part of an inode, embedded in each file system's inode.
pub struct InodeCommon {
    /// Held while entries of a directory are looked up and changed (Linux's `i_rwsem`).
    pub dir: SpinLock<(), class::Directory>,
    /// `flock` and record locks.
    pub locks: FileLocks,
    flags: AtomicU32,
    /// Above 0: open for writing so many times; below: so many times executed.
    write_count: AtomicI32,
    /// Open descriptions.
    pub(super) opens: AtomicU32,
    /// The watches on it.
    pub marks: Marks,
    /// The pipe of a FIFO while it is open.
    pub fifo: FifoSlot,
    /// The socket that is bound to it.
    pub socket: BoundSlot,
}

impl Default for InodeCommon {
    fn default() -> InodeCommon {
        InodeCommon::new(InodeFlags::empty())
    }
}

impl InodeCommon {
    /// With these flags.
    pub fn new(flags: InodeFlags) -> InodeCommon {
        InodeCommon {
            dir: SpinLock::new(()),
            locks: FileLocks::default(),
            flags: AtomicU32::new(flags.bits()),
            write_count: AtomicI32::new(0),
            opens: AtomicU32::new(0),
            marks: Marks::default(),
            fifo: fifo_slot(),
            socket: bound_slot(),
        }
    }
    /// The flags.
    #[inline]
    pub fn flags(&self) -> InodeFlags {
        InodeFlags::from_bits_retain(self.flags.load(Ordering::Relaxed))
    }
    /// Sets flags.
    pub fn set_flags(&self, flags: InodeFlags) {
        self.flags.fetch_or(flags.bits(), Ordering::SeqCst);
    }
    /// Clears flags.
    pub fn clear_flags(&self, flags: InodeFlags) {
        self.flags.fetch_and(!flags.bits(), Ordering::SeqCst);
    }
    /// Opens for writing: `ETXTBSY` while it is executed.
    pub fn get_write_access(&self) -> Result<()> {
        let changed = self
            .write_count
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |count| {
                (count >= 0).then_some(count + 1)
            });
        ensure!(changed.is_ok(), ETXTBSY, "the file is being executed");
        Ok(())
    }
    /// Ends [`InodeCommon::get_write_access`].
    pub fn put_write_access(&self) {
        self.write_count.fetch_sub(1, Ordering::SeqCst);
    }
    /// Starts execution: `ETXTBSY` while it is open for writing.
    pub fn deny_write_access(&self) -> Result<()> {
        let changed = self
            .write_count
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |count| {
                (count <= 0).then_some(count - 1)
            });
        ensure!(changed.is_ok(), ETXTBSY, "the file is open for writing");
        Ok(())
    }
    /// Ends [`InodeCommon::deny_write_access`].
    pub fn allow_write_access(&self) {
        self.write_count.fetch_add(1, Ordering::SeqCst);
    }
    /// Whether it is open for writing.
    pub fn has_writers(&self) -> bool {
        self.write_count.load(Ordering::SeqCst) > 0
    }
}
