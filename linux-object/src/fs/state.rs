//! The VFS's part of a kernel.

use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use spin::Once;

use super::device::Devices;
use super::file_lock::{BlockedLocks, LockedInodes};
use super::file_total::FileTotal;
use super::id_pool::IdPool;
use super::mount::MountTopology;
use super::{Dentry, FileSystemType, Mount, Moves};
use crate::ensure;
use crate::error::Result;
use crate::hal::Hal;
use crate::kernel::Kernel;
use crate::namespace::MountNamespace;
use crate::sync::{SpinGuard, SpinLock, class};

/// The registered file system types, in order of registration.
pub struct FsTypes {
    types: SpinLock<Vec<Arc<dyn FileSystemType>>, class::Leaf>,
}

impl Default for FsTypes {
    /// The types that need nothing but the kernel itself.
    fn default() -> Self {
        let types: [Arc<dyn FileSystemType>; 4] = [
            Arc::new(super::sysfs::SysFsType::default()),
            Arc::new(super::procfs::ProcFsType),
            Arc::new(crate::cgroup::fs::CgroupType),
            Arc::new(crate::cgroup::fs::Cgroup2Type),
        ];
        FsTypes {
            types: SpinLock::new(types.to_vec()),
        }
    }
}

impl FsTypes {
    /// Registers a type; `EBUSY` if the name is taken.
    pub fn register(&self, fs_type: Arc<dyn FileSystemType>) -> Result<()> {
        let mut types = self.types.lock();
        ensure!(
            types.iter().all(|other| other.name() != fs_type.name()),
            EBUSY,
            "the file system type is registered"
        );
        types.push(fs_type);
        Ok(())
    }
    /// The type with this name.
    pub fn find(&self, name: &[u8]) -> Option<Arc<dyn FileSystemType>> {
        let types = self.types.lock();
        types
            .iter()
            .find(|fs_type| fs_type.name().as_bytes() == name)
            .cloned()
    }
    /// All of them (`/proc/filesystems`).
    pub fn all(&self) -> Vec<Arc<dyn FileSystemType>> {
        self.types.lock().clone()
    }
}

/// What the VFS keeps for the whole kernel.
pub struct Vfs {
    /// Numbers of superblocks without a device.
    pub anon_devs: SpinLock<IdPool, class::Leaf>,
    /// Superblocks by the number of their device, for [`Vfs::super_of`].
    pub(super) supers: SpinLock<BTreeMap<u32, Weak<super::SuperBlock>>, class::Leaf>,
    /// Mount ids.
    pub(super) mount_ids: SpinLock<IdPool, class::Leaf>,
    /// Order of mounts by age.
    pub(super) mount_seq: AtomicU64,
    next_ino: AtomicU64,
    topology: SpinLock<MountTopology, class::MountTopology>,
    /// Registered devices.
    pub devices: Devices,
    /// The initial mount namespace, once [`super::init_mounts`] has made it.
    pub init_mnt_ns: Once<Arc<MountNamespace>>,
    /// Who waits for whose record lock.
    pub blocked_locks: BlockedLocks,
    /// Which inodes have locks.
    pub locked_inodes: LockedInodes,
    /// Internal mounts by name: `pipefs:`, `sockfs:`, `anon_inodefs`, the one of memfds.
    pub(super) internal: SpinLock<BTreeMap<&'static str, Arc<Mount>>, class::Leaf>,
    /// Directories and mounts that move.
    pub moves: Arc<Moves>,
    /// Joins the two events of a rename.
    pub(super) rename_cookie: core::sync::atomic::AtomicU32,
    /// How many files are open.
    pub files: Arc<FileTotal>,
    /// The one devtmpfs.
    pub(super) devtmpfs: Once<Arc<super::SuperBlock>>,
}

impl Vfs {
    /// The superblock with this device number (Linux's `user_get_super`).
    pub fn super_of(&self, dev: super::DevT) -> Option<Arc<super::SuperBlock>> {
        let found = self.supers.lock().get(&dev.minor()).and_then(Weak::upgrade);
        found.filter(|sb| sb.dev == dev)
    }
}

impl Vfs {
    /// Without file systems, on this machine.
    pub fn new(hal: &dyn Hal) -> Vfs {
        let moves: Arc<Moves> = Arc::default();
        Vfs {
            anon_devs: SpinLock::new(IdPool::new(1)),
            supers: SpinLock::default(),
            mount_ids: SpinLock::new(IdPool::new(1)),
            mount_seq: AtomicU64::new(1),
            next_ino: AtomicU64::new(1),
            topology: SpinLock::new(MountTopology::new(moves.clone())),
            moves,
            devices: Devices::default(),
            init_mnt_ns: Once::new(),
            blocked_locks: BlockedLocks::default(),
            locked_inodes: LockedInodes::default(),
            internal: SpinLock::default(),
            rename_cookie: core::sync::atomic::AtomicU32::new(0),
            files: Arc::new(FileTotal::new(hal)),
            devtmpfs: Once::new(),
        }
    }
}

impl Vfs {
    /// Lends the token that changes of mount trees need.
    pub fn topology(&self) -> SpinGuard<'_, MountTopology, class::MountTopology> {
        self.topology.lock()
    }
    /// Forgets what can be found again (`vm.drop_caches`). Of the file systems that there are, all in memory, that is
    /// which names are not there: the pages are the only copy.
    pub fn drop_caches(&self) {
        let supers: Vec<_> = self.supers.lock().values().filter_map(Weak::upgrade).collect();
        for sb in &supers {
            Dentry::forget_negative(&sb.root);
        }
    }
    /// A number for an inode that no file system numbers (Linux's `get_next_ino`).
    pub fn next_ino(&self) -> u64 {
        self.next_ino.fetch_add(1, Ordering::Relaxed)
    }
}

/// The time that new time stamps get.
#[inline]
pub fn current_time(kernel: &Kernel) -> super::FileTime {
    super::FileTime(kernel.time.realtime_coarse().into())
}

/// Root, working directory and umask of a task; `ESRCH` once it has given them up.
#[inline]
pub fn task_fs(task: &crate::task::Task) -> Result<Arc<super::FsStruct>> {
    task.parts
        .lock()
        .fs
        .clone()
        .ok_or(crate::err!(ESRCH, "the task exits"))
}

/// The open files of a task; `ESRCH` once it has given them up.
#[inline]
pub fn task_files(task: &crate::task::Task) -> Result<Arc<super::FileTable>> {
    task.parts
        .lock()
        .files
        .clone()
        .ok_or(crate::err!(ESRCH, "the task exits"))
}
