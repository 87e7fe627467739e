//! The interfaces between the VFS and file systems.
//!
//! The vocabulary is that of rcore-fs, which zCore used: a [`FileSystem`] gives a root [`INode`];
//! inodes have [`Metadata`] with a [`FileType`]; [`FsInfo`] is `statfs`. What rcore-fs calls
//! `PollStatus` is [`PollEvents`] here. An inode that wants its own behaviour
//! once opened returns [`FileOps`] from [`INode::open`].
//!
//! Rules: nothing here blocks (an operation that must wait answers `EAGAIN`, and `wait_queue`
//! tells where to wait). Permission is checked by the caller (`namei`, the system calls); a file
//! system checks only its own invariants. `lookup`, `create` … on one directory are called under
//! that directory's lock (`class::Directory`). Where the file system is not
//! [`FileSystem::cacheable`], `lookup`, `readdir`, `revalidate`, `metadata` and `open` are called with
//! no lock held: procfs looks at tasks, whose locks rank before those of files. For the same
//! reason `read`, `write` and `readdir` of a file with [`FileOps::takes_outer_locks`] are called
//! without the position's lock, on a copy of the position.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;

use super::fs_context::{ContextInit, ContextOps};
use super::io::{IoDst, IoSrc};
use super::{OpenFile, PollEvents};
use crate::bail;
use crate::cred::Cred;
use crate::error::Result;
use crate::ids::{Frame, Kgid, Kuid, UserAddr};
use crate::sync::WaitQueue;
use crate::task::Task;
use crate::time::Ktime;

/// What kind of file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
#[repr(u8)]
pub enum FileType {
    Fifo = 1,
    CharDevice = 2,
    Directory = 4,
    BlockDevice = 6,
    Regular = 8,
    Symlink = 10,
    Socket = 12,
}

impl FileType {
    /// The `S_IFMT` bits.
    pub fn mode_bits(self) -> u32 {
        (self as u32) << 12
    }
    /// The type in the `S_IFMT` bits of a mode.
    pub fn from_mode(mode: u32) -> Option<FileType> {
        Some(match mode >> 12 & 0xf {
            1 => FileType::Fifo,
            2 => FileType::CharDevice,
            4 => FileType::Directory,
            6 => FileType::BlockDevice,
            8 => FileType::Regular,
            10 => FileType::Symlink,
            12 => FileType::Socket,
            _ => return None,
        })
    }
}

/// A device number, in Linux's `dev_t` encoding of user space (`makedev(3)`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct DevT(pub u64);

impl DevT {
    /// From major and minor numbers.
    pub const fn new(major: u32, minor: u32) -> DevT {
        let (major, minor) = (major as u64, minor as u64);
        DevT((minor & 0xff) | (major & 0xfff) << 8 | (minor & !0xff) << 12 | (major & !0xfff) << 32)
    }
    /// Major number.
    pub const fn major(self) -> u32 {
        ((self.0 >> 8 & 0xfff) | (self.0 >> 32 & !0xfff)) as u32
    }
    /// Minor number.
    pub const fn minor(self) -> u32 {
        ((self.0 & 0xff) | (self.0 >> 12 & !0xff)) as u32
    }
}

/// A time stamp of a file: nanoseconds since 1970.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct FileTime(pub i128);

/// What `stat(2)` tells, with kernel ids.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Metadata {
    pub inode: u64,
    pub file_type: FileType,
    /// Permission bits with set-uid, set-gid and sticky (07777).
    pub mode: u32,
    pub nlink: u32,
    pub uid: Kuid,
    pub gid: Kgid,
    pub rdev: DevT,
    pub size: u64,
    pub block_size: u32,
    /// In units of 512 bytes.
    pub blocks: u64,
    pub atime: FileTime,
    pub mtime: FileTime,
    pub ctime: FileTime,
    pub btime: FileTime,
}

/// Mode and owner: what permission checks look at.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Owner {
    /// Permission bits with set-uid, set-gid and sticky (07777).
    pub mode: u32,
    pub uid: Kuid,
    pub gid: Kgid,
}

/// What `setattr` shall change; `None` is left alone. `ctime` always moves.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)]
pub struct SetAttr {
    pub mode: Option<u32>,
    pub uid: Option<Kuid>,
    pub gid: Option<Kgid>,
    pub size: Option<u64>,
    pub atime: Option<FileTime>,
    pub mtime: Option<FileTime>,
}

/// What `statfs(2)` tells.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)]
pub struct FsInfo {
    /// `f_type`, as in `linux/magic.h`.
    pub magic: u64,
    pub block_size: u64,
    pub blocks: u64,
    pub blocks_free: u64,
    pub blocks_available: u64,
    pub files: u64,
    pub files_free: u64,
    pub name_max: u64,
}

/// A mounted file system's content.
pub trait FileSystem: Any + Send + Sync {
    /// The type's name in `/proc/mounts`.
    fn name(&self) -> &'static str;
    /// The root directory (or file).
    fn root_inode(&self) -> Arc<dyn INode>;
    /// `statfs(2)`.
    fn info(&self) -> FsInfo;
    /// The options of `/proc/mounts` after `ro`/`rw`, each with a leading comma.
    fn show_options(&self, _out: &mut String) {}
    /// The root of a mount of it in `/proc/PID/mountinfo`, where that is not the path from the file system's
    /// root (cgroupfs: from the root of the reader's cgroup namespace).
    fn mount_root_name(&self, _root: &Arc<dyn INode>) -> Option<Vec<u8>> {
        None
    }
    /// How many file systems lie under this one.
    fn stack_depth(&self) -> u32 {
        0
    }
    /// Whether `RENAME_WHITEOUT` leaves a whiteout.
    fn has_whiteouts(&self) -> bool {
        true
    }
    /// Whether dentries may be kept after their last use. False where names appear and vanish
    /// on their own (procfs, cgroupfs): each use asks [`INode::revalidate`].
    fn cacheable(&self) -> bool {
        true
    }
    /// How its files are found by handles (`open_by_handle_at(2)`), if they are.
    fn export_ops(&self) -> Option<&dyn super::export::ExportOps> {
        None
    }
}

/// Visits directory entries: name, inode number, type, and the offset of the *next* entry.
/// False stops.
pub type DirSink<'a> = dyn FnMut(&[u8], u64, FileType, u64) -> bool + 'a;

/// What `mknod`-like creation makes.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct CreateSpec {
    pub file_type: FileType,
    /// Permission bits, umask already applied.
    pub mode: u32,
    pub uid: Kuid,
    pub gid: Kgid,
    /// For devices.
    pub rdev: DevT,
}

/// A file as the file system keeps it.
#[allow(unused_variables)]
pub trait INode: Any + Send + Sync {
    /// Its attributes.
    fn metadata(&self) -> Metadata;
    /// Its type; must agree with `metadata` and never changes.
    fn file_type(&self) -> FileType;
    /// The part that every inode has and the VFS keeps: locks, marks, the pipe of a FIFO.
    fn common(&self) -> &super::InodeCommon;
    /// Decides access where the mode bits alone do not (`/proc/PID/fd`, hidepid). `mask` is what
    /// `access(2)` takes: 4 read, 2 write, 1 execute or search. `None`: the mode bits decide. No lock is
    /// held.
    fn permission(&self, task: &Arc<Task>, cred: &Cred, mask: u32) -> Option<Result<()>> {
        None
    }
    /// Whether it is a directory that is there for mounts only and never has entries.
    fn is_empty_dir(&self) -> bool {
        false
    }
    /// The mount namespace behind an nsfs inode, if it is one: binding it may not make a cycle.
    fn mnt_ns(&self) -> Option<Arc<crate::namespace::MountNamespace>> {
        None
    }
    /// Mode and owner alone, where that is cheaper than all attributes.
    fn owner(&self) -> Owner {
        let Metadata { mode, uid, gid, .. } = self.metadata();
        Owner { mode, uid, gid }
    }
    /// The file was read: moves the time of access (`relative`: if `atime_moves` says so), without touching
    /// `ctime`.
    fn touch_atime(&self, now: FileTime, relative: bool) {}
    /// Changes attributes.
    fn setattr(&self, attr: &SetAttr) -> Result<()> {
        bail!(EPERM, "the file system keeps no such attribute")
    }
    /// For file systems to find their own inodes again.
    fn as_any(&self) -> &dyn Any;

    // Directories.

    /// Finds an entry other than `.` and `..`.
    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn INode>> {
        bail!(ENOTDIR)
    }
    /// Whether a name found earlier still leads to this inode (only asked when the file system is
    /// not [`FileSystem::cacheable`]).
    fn revalidate(&self) -> bool {
        true
    }
    /// Whether names that are not there are places for new ones. Otherwise looking one up fails, before
    /// anybody asks whether it could be made.
    fn has_negative_names(&self) -> bool {
        true
    }
    /// Makes an entry that is not a symlink.
    fn create(&self, name: &[u8], spec: &CreateSpec) -> Result<Arc<dyn INode>> {
        bail!(EPERM, "the file system does not create files")
    }
    /// Makes a symlink.
    fn symlink(&self, name: &[u8], target: &[u8], spec: &CreateSpec) -> Result<Arc<dyn INode>> {
        bail!(EPERM, "the file system does not create links")
    }
    /// Makes a hard link to an inode of the same file system.
    fn link(&self, name: &[u8], target: &Arc<dyn INode>) -> Result<()> {
        bail!(EPERM, "the file system does not create links")
    }
    /// Removes an entry that is not a directory.
    fn unlink(&self, name: &[u8]) -> Result<()> {
        bail!(EPERM, "the file system does not remove files")
    }
    /// Removes an empty directory.
    fn rmdir(&self, name: &[u8]) -> Result<()> {
        bail!(EPERM, "the file system does not remove directories")
    }
    /// Makes a file that no directory lists (`O_TMPFILE`); `link` may list it later.
    fn tmpfile(&self, spec: &CreateSpec) -> Result<Arc<dyn INode>> {
        bail!(EOPNOTSUPP, "the file system has no O_TMPFILE")
    }
    /// Moves an entry, replacing a target that the caller found replaceable, or exchanging the
    /// two. Both directories are locked.
    fn rename(&self, name: &[u8], to_dir: &Arc<dyn INode>, to_name: &[u8], exchange: bool) -> Result<()> {
        bail!(EPERM, "the file system does not rename")
    }
    /// Visits the entries from `offset` on (0 and 1 are `.` and `..`, which the caller makes).
    fn readdir(&self, offset: u64, sink: &mut DirSink<'_>) -> Result<()> {
        bail!(ENOTDIR)
    }

    // Symlinks.

    /// The target of a symlink.
    fn readlink(&self) -> Result<Vec<u8>> {
        bail!(EINVAL, "not a symlink")
    }
    /// A magic link (`/proc/PID/{cwd,root,exe,fd/N,ns/*}`) leads to an object, not to a name.
    fn magic_link(&self, task: &Arc<Task>) -> Option<Result<super::Path>> {
        None
    }

    // Files.

    /// What an open description of this inode does, if not read and write through `read_at` and
    /// `write_at`. Called at each open, with the opener and the `O_*` flags.
    fn open(&self, task: &Arc<Task>, flags: super::OpenFlags) -> Result<Option<Arc<dyn FileOps>>> {
        Ok(None)
    }
    /// Reads at an offset; 0 at the end.
    fn read_at(&self, offset: u64, to: &mut dyn IoDst) -> Result<usize> {
        bail!(EINVAL)
    }
    /// Writes at an offset, growing the file.
    fn write_at(&self, offset: u64, from: &mut dyn IoSrc) -> Result<usize> {
        bail!(EINVAL)
    }
    /// Writes at the end; tells where that was.
    fn append(&self, from: &mut dyn IoSrc) -> Result<(u64, usize)> {
        let end = self.metadata().size;
        Ok((end, self.write_at(end, from)?))
    }
    /// The page cache behind `mmap`; `None` if the file cannot be mapped.
    fn page_cache(&self) -> Option<Arc<crate::mm::PageCache>> {
        None
    }
    /// `fallocate(2)`, with its mode bits.
    fn fallocate(&self, mode: u32, offset: u64, len: u64) -> Result<()> {
        bail!(EOPNOTSUPP)
    }
    /// `SEEK_DATA` (`data`) and `SEEK_HOLE`.
    fn seek_data_hole(&self, offset: u64, data: bool) -> Result<u64> {
        let size = self.metadata().size;
        if offset >= size {
            bail!(ENXIO);
        }
        Ok(if data { offset } else { size })
    }

    // Extended attributes.

    /// The value of an attribute; `ENODATA` if there is none.
    fn getxattr(&self, name: &[u8]) -> Result<Vec<u8>> {
        bail!(EOPNOTSUPP)
    }
    /// Sets an attribute with `XATTR_CREATE`/`XATTR_REPLACE` in `flags`.
    fn setxattr(&self, name: &[u8], value: &[u8], flags: u32) -> Result<()> {
        bail!(EOPNOTSUPP)
    }
    /// Removes one.
    fn removexattr(&self, name: &[u8]) -> Result<()> {
        bail!(EOPNOTSUPP)
    }
    /// The names, each ended by a zero byte.
    fn listxattr(&self) -> Result<Vec<u8>> {
        Ok(Vec::new())
    }
}

/// What a `mmap` of a file maps.
pub enum MapSource {
    /// The pages of a file.
    Cache(Arc<crate::mm::PageCache>),
    /// Likewise, and someone counts the areas.
    Counted(Arc<crate::mm::PageCache>, Arc<dyn crate::mm::VmOps>),
    /// Zeros, as if anonymous (`/dev/zero`).
    Anonymous,
    /// These very frames, not counted (vDSO-like).
    Frames(Vec<Frame>),
}

/// What reading and writing do with the position of the description.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PositionUse {
    /// They have none, or do not care.
    None,
    /// It stays locked meanwhile.
    Locked,
    /// They get a copy, which is stored afterwards: see [`FileOps::takes_outer_locks`].
    Copied,
}

/// The behaviour of an open file description (Linux's `struct file_operations`), where it is
/// not just an inode with a position. `file` is the description, `task` the caller.
///
/// Closing for the last time drops the value.
#[allow(unused_variables)]
pub trait FileOps: Any + Send + Sync {
    /// Reads; `offset` is the position for seekable files and moved by the callee. `EAGAIN`: would
    /// have to wait.
    fn read(&self, file: &OpenFile, task: &Arc<Task>, offset: &mut u64, to: &mut dyn IoDst) -> Result<usize> {
        bail!(EINVAL, "not readable")
    }
    /// Writes, likewise. A count that leaves bytes in `from` means that the rest has to wait: a blocking
    /// `write(2)` waits and calls again, and answers the sum at an error. An error means
    /// that nothing was written, whatever was taken from `from`: who tries again gives a fresh source.
    fn write(
        &self,
        file: &OpenFile,
        task: &Arc<Task>,
        offset: &mut u64,
        from: &mut dyn IoSrc,
    ) -> Result<usize> {
        bail!(EINVAL, "not writable")
    }
    /// Whether who is answered `EAGAIN` waits on the queue and asks again; otherwise it is an answer like any
    /// other.
    fn waits(&self) -> bool {
        true
    }
    /// Whether `read`, `write` and `readdir` take locks that rank before `class::OpenFile` (procfs,
    /// terminals): the caller then uses a copy of the position and stores it afterwards.
    fn takes_outer_locks(&self) -> bool {
        false
    }
    /// Whether reading moves the inode's time of access: so do FIFOs and terminals; for the rest of what
    /// is not a plain file Linux leaves it alone.
    fn moves_atime(&self) -> bool {
        false
    }
    /// Whether there is a position (`lseek`, `pread`); `ESPIPE` otherwise.
    fn seekable(&self) -> bool {
        false
    }
    /// What `read` and `write` do with the position of the description.
    fn position_use(&self) -> PositionUse {
        if !self.seekable() {
            PositionUse::None
        } else if self.takes_outer_locks() {
            PositionUse::Copied
        } else {
            PositionUse::Locked
        }
    }
    /// Whether `pwrite` may be used. Linux's `seq_file` takes it away from most files of procfs.
    fn pwritable(&self) -> bool {
        self.seekable()
    }
    /// `lseek` where it differs from a regular file's; `None`: the common code does it.
    fn seek(&self, file: &OpenFile, offset: i64, whence: u32) -> Option<Result<u64>> {
        None
    }
    /// What is true now.
    fn poll(&self, file: &OpenFile, task: &Arc<Task>) -> PollEvents {
        PollEvents::READABLE | PollEvents::WRITABLE
    }
    /// Where to wait for a change of `poll` or of `EAGAIN`; `None` if the file never makes wait.
    fn wait_queue(&self) -> Option<&WaitQueue> {
        None
    }
    /// Whether `open(2)` may return. `EAGAIN`: it still has to wait on `wait_queue` (a FIFO without
    /// the other end); not asked with `O_NONBLOCK`.
    fn opened(&self, file: &OpenFile) -> Result<()> {
        Ok(())
    }
    /// When a blocking read (or write) that began at `since` stops waiting (`SO_RCVTIMEO`, `VTIME`).
    fn io_deadline(&self, file: &OpenFile, write: bool, since: Ktime) -> Ktime {
        Ktime::MAX
    }
    /// What it then answers, if it moved no byte.
    fn io_timed_out(&self, file: &OpenFile, write: bool) -> Result<usize> {
        bail!(EAGAIN, "the time-out of the file has passed")
    }
    /// `ioctl(2)`; `ENOTTY` for what is unknown.
    fn ioctl(&self, file: &OpenFile, task: &Arc<Task>, cmd: u32, arg: UserAddr) -> Result<usize> {
        bail!(ENOTTY)
    }
    /// What `mmap` maps; `ENODEV` if nothing.
    fn mmap(&self, file: &OpenFile) -> Result<MapSource> {
        bail!(ENODEV)
    }
    /// Directory entries, where the inode's own `readdir` does not serve.
    fn readdir(
        &self,
        file: &OpenFile,
        task: &Arc<Task>,
        offset: u64,
        sink: &mut DirSink<'_>,
    ) -> Option<Result<()>> {
        None
    }
    /// `F_SETFL` changed the flags (`O_ASYNC`, `O_NONBLOCK` …).
    fn flags_changed(&self, file: &OpenFile) {}
    /// A descriptor of this description was closed (`close(2)`, exit).
    fn flush(&self, file: &OpenFile, task: &Arc<Task>) -> Result<()> {
        Ok(())
    }
    /// Extra lines of `/proc/PID/fdinfo/N`.
    fn fdinfo(&self, file: &OpenFile, task: &Arc<Task>, out: &mut String) {}
    /// For implementations to find themselves again.
    fn as_any(&self) -> &dyn Any;
}

/// A file system type: makes file systems for `mount(2)`.
pub trait FileSystemType: Send + Sync {
    /// The name in `/proc/filesystems`.
    fn name(&self) -> &'static str;
    /// Whether it stands on a block device (no `nodev` in `/proc/filesystems`).
    fn requires_dev(&self) -> bool {
        false
    }
    /// Whether the root of a user namespace that is not the initial one may mount it (`FS_USERNS_MOUNT`).
    fn userns_mount(&self) -> bool {
        false
    }
    /// Begins a mount, or a change of options.
    fn init_context(&self, init: &ContextInit<'_>) -> Result<Box<dyn ContextOps>>;
}
