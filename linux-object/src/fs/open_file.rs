//! Open file descriptions (Linux's `struct file`).

use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::epoll::{self, FileWatches};
use super::notify::{self, NotifyMask};
use super::{FileOps, FileTable, FileType, INode, Path, PositionUse, dnotify};
use crate::cred::Cred;
use crate::error::Result;
use crate::ids::Kuid;
use crate::kernel::Kernel;
use crate::mm::memcg::{Item, KmemCharge};
use crate::sync::{SpinLock, class};
use crate::task::Task;
use crate::task::pid::Pid;

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

/// Whom `SIGIO` and `SIGURG` are sent to (`F_SETOWN`), with the identity of who asked.
#[derive(Clone, Default)]
pub struct FileOwner {
    /// The target; `None`: nobody.
    pub pid: Option<Arc<Pid>>,
    /// 0 a thread, 1 a process, 2 a process group (`F_OWNER_*`).
    pub kind: i32,
    /// `F_SETSIG`; 0: SIGIO.
    pub signal: i32,
    /// Real and effective user of who asked.
    pub uids: Option<(Kuid, Kuid)>,
}

/// An open file description: shared by descriptors that `dup` and `fork` made.
pub struct OpenFile {
    /// Where it was found. Files without a name (pipes, sockets) have one on an internal mount.
    pub path: Path,
    /// The inode.
    pub inode: Arc<dyn INode>,
    /// Its own behaviour; `None`: `read_at` and `write_at` of the inode.
    pub ops: Option<Arc<dyn FileOps>>,
    /// What `ops` do with the position, asked once because every read and write needs it.
    pub position_use: PositionUse,
    /// Likewise, whether reading through `ops` moves the time of access.
    pub moves_atime: bool,
    /// Credentials of the opener.
    pub cred: Arc<Cred>,
    /// The epoll instances that watch it.
    pub epoll: FileWatches,
    flags: AtomicU32,
    /// It counts among the writers of its mount and inode.
    pub(super) writer: AtomicBool,
    /// The position. Held while a read or write uses it, as in Linux (`f_pos_lock`).
    pub position: SpinLock<u64, class::OpenFile>,
    /// `F_SETOWN`.
    pub owner: SpinLock<FileOwner, class::Leaf>,
    memory: KmemCharge,
}

impl OpenFile {
    /// A description with these parts at position 0. `ENFILE`.
    pub fn new(
        path: Path,
        inode: Arc<dyn INode>,
        ops: Option<Arc<dyn FileOps>>,
        flags: OpenFlags,
        cred: Arc<Cred>,
    ) -> Result<OpenFile> {
        let total = &path.mount.sb.files;
        total.check(&cred)?;
        total.add();
        inode.common().opens.fetch_add(1, Ordering::Relaxed);
        Ok(OpenFile {
            memory: KmemCharge::none(),
            position_use: ops.as_ref().map_or(PositionUse::Locked, |ops| ops.position_use()),
            moves_atime: ops.as_ref().is_none_or(|ops| ops.moves_atime()),
            path,
            inode,
            ops,
            cred,
            epoll: FileWatches::default(),
            flags: AtomicU32::new(flags.bits()),
            writer: AtomicBool::new(false),
            position: SpinLock::new(0),
            owner: SpinLock::default(),
        })
    }
    /// Likewise, charged to the control group of the calling task with `extra` bytes that come along. `ENFILE`,
    /// `ENOMEM`.
    pub fn charged(
        kernel: &Kernel,
        extra: usize,
        path: Path,
        inode: Arc<dyn INode>,
        ops: Option<Arc<dyn FileOps>>,
        flags: OpenFlags,
        cred: Arc<Cred>,
    ) -> Result<OpenFile> {
        let bytes = size_of::<OpenFile>() + extra;
        let memory = kernel.memory.control.charge_kmem(bytes, Item::Slab)?;
        let mut file = OpenFile::new(path, inode, ops, flags, cred)?;
        file.memory = memory;
        Ok(file)
    }
    /// The flags that `F_GETFL` shows, and the access mode.
    #[inline]
    pub fn flags(&self) -> OpenFlags {
        OpenFlags::from_bits_retain(self.flags.load(Ordering::Relaxed))
    }
    /// Whether it was opened with `O_PATH`.
    #[inline]
    pub fn is_path(&self) -> bool {
        self.flags.load(Ordering::Relaxed) & OpenFlags::PATH.bits() != 0
    }
    /// Whether calls answer `EAGAIN` instead of waiting.
    #[inline]
    pub fn nonblocking(&self) -> bool {
        self.flags.load(Ordering::Relaxed) & OpenFlags::NONBLOCK.bits() != 0
    }
    /// Replaces the flags that `F_SETFL` may change.
    pub fn set_flags(&self, mask: OpenFlags, value: OpenFlags) {
        let _ = self
            .flags
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |old| {
                Some(old & !mask.bits() | value.bits() & mask.bits())
            });
    }
    /// Whether it has a position (`lseek`, `pread`); `ESPIPE` otherwise.
    #[inline]
    pub fn seekable(&self) -> bool {
        match &self.ops {
            Some(ops) => ops.seekable(),
            None => true,
        }
    }
    /// Whether it takes writes at a given position (`pwrite`); `ESPIPE` otherwise.
    #[inline]
    pub fn pwritable(&self) -> bool {
        match &self.ops {
            Some(ops) => ops.pwritable(),
            None => true,
        }
    }
    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.inode.file_type() == FileType::Directory
    }
    /// What owns the `flock` and open-file-description locks taken through it.
    pub fn lock_owner(&self) -> usize {
        core::ptr::from_ref(self).addr()
    }
    /// Tells watchers of the file and of its directory.
    #[inline]
    pub fn notify(&self, mask: NotifyMask) {
        super::attr::notify_change(&self.path, mask);
    }
    /// Its behaviour, if it is of type `T`.
    pub fn ops_as<T: FileOps>(&self) -> Option<&T> {
        self.ops.as_ref()?.as_any().downcast_ref()
    }
    /// A descriptor of it, just removed from `table`, is closed (Linux's `filp_close`): the table's
    /// record locks on the inode go, and what it asked for with `F_NOTIFY`.
    pub fn close(&self, task: &Arc<Task>, table: &FileTable) -> Result<()> {
        let result = match &self.ops {
            Some(ops) => ops.flush(self, task),
            None => Ok(()),
        };
        if !self.is_path() {
            self.inode.common().locks.remove_posix(table.lock_owner());
            dnotify::forget(self, table);
        }
        result
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        if self.epoll.any() {
            epoll::file_closed(self);
        }
        if self.flags().contains(OpenFlags::ASYNC) {
            super::fasync::file_closed(self);
        }
        let last = self.inode.common().opens.fetch_sub(1, Ordering::AcqRel) == 1;
        if *self.flags.get_mut() & OpenFlags::PATH.bits() == 0 {
            self.release();
        }
        if last {
            notify::inode_released(&*self.inode);
        }
        self.path.mount.sb.files.remove();
    }
}

impl OpenFile {
    /// What the description held goes (Linux's `__fput`).
    fn release(&mut self) {
        self.notify(if self.flags().writable() {
            NotifyMask::CLOSE_WRITE
        } else {
            NotifyMask::CLOSE_NOWRITE
        });
        let common = self.inode.common();
        common.locks.remove_file(self.lock_owner());
        if *self.writer.get_mut() {
            common.put_write_access();
            self.path.mount.drop_write();
        }
    }
}
