//! Open file descriptions (Linux's `struct file`).

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering};

use super::epoll::{self, FileWatches};
use super::{FileOps, INode, Path};
use crate::cred::Cred;
use crate::sync::{SpinLock, class};

bitflags::bitflags! {
    /// `open(2)` flags, as x86-64 numbers them. The access mode is the low two bits.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    #[allow(missing_docs)]
    pub struct OpenFlags: u32 {
        const WRONLY = 0o1;
        const RDWR = 0o2;
        const CREAT = 0o100;
        const EXCL = 0o200;
        const NOCTTY = 0o400;
        const TRUNC = 0o1000;
        const APPEND = 0o2000;
        const NONBLOCK = 0o4000;
        const DSYNC = 0o10000;
        const ASYNC = 0o20000;
        const DIRECT = 0o40000;
        const LARGEFILE = 0o100000;
        const DIRECTORY = 0o200000;
        const NOFOLLOW = 0o400000;
        const NOATIME = 0o1000000;
        const CLOEXEC = 0o2000000;
        /// With DSYNC: O_SYNC.
        const SYNC = 0o4000000;
        const PATH = 0o10000000;
        /// With DIRECTORY: O_TMPFILE.
        const TMPFILE = 0o20000000;
    }
}

impl OpenFlags {
    /// Whether the access mode allows reading (never with `O_PATH`).
    pub fn readable(self) -> bool {
        !self.contains(OpenFlags::PATH) && matches!(self.bits() & 3, 0 | 2)
    }
    /// Whether the access mode allows writing (never with `O_PATH`).
    pub fn writable(self) -> bool {
        !self.contains(OpenFlags::PATH) && matches!(self.bits() & 3, 1 | 2)
    }
}

/// An open file description: shared by descriptors that `dup` and `fork` made.
pub struct OpenFile {
    /// Where it was found. Files without a name (pipes, sockets) have one on an internal mount.
    pub path: Path,
    /// The inode.
    pub inode: Arc<dyn INode>,
    /// Its own behaviour; `None`: `read_at` and `write_at` of the inode.
    pub ops: Option<Arc<dyn FileOps>>,
    /// Credentials of the opener.
    pub cred: Arc<Cred>,
    /// The epoll instances that watch it.
    pub epoll: FileWatches,
    flags: AtomicU32,
    /// The position. Held while a read or write uses it, as in Linux (`f_pos_lock`).
    pub position: SpinLock<u64, class::OpenFile>,
}

impl OpenFile {
    /// A description with these parts at position 0.
    pub fn new(
        path: Path,
        inode: Arc<dyn INode>,
        ops: Option<Arc<dyn FileOps>>,
        flags: OpenFlags,
        cred: Arc<Cred>,
    ) -> OpenFile {
        OpenFile {
            path,
            inode,
            ops,
            cred,
            epoll: FileWatches::default(),
            flags: AtomicU32::new(flags.bits()),
            position: SpinLock::new(0),
        }
    }
    /// The flags that `F_GETFL` shows, and the access mode.
    pub fn flags(&self) -> OpenFlags {
        OpenFlags::from_bits_retain(self.flags.load(Ordering::Relaxed))
    }
    /// Whether calls answer `EAGAIN` instead of waiting.
    pub fn nonblocking(&self) -> bool {
        self.flags().contains(OpenFlags::NONBLOCK)
    }
    /// Replaces the flags that `F_SETFL` may change.
    pub fn set_flags(&self, mask: OpenFlags, value: OpenFlags) {
        let _ = self
            .flags
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |old| {
                Some(old & !mask.bits() | value.bits() & mask.bits())
            });
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        if self.epoll.any() {
            epoll::file_closed(self);
        }
    }
}
