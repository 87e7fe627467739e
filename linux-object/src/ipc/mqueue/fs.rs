//! The file system of queues: one per IPC namespace, made at its first use, mounted by whoever wants to
//! see it (`mount -t mqueue`).
//!
//! Invariants: the namespace holds an internal mount, so the queues live as long as it does; the file system refers to
//! the namespace weakly. A mount that outlives the namespace still shows its queues, but takes no new
//! ones.

use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::any::Any;

use super::{MqFile, MqSize, Mqueue};
use crate::error::Result;
use crate::fs::{
    CreateSpec, DevT, DirSink, FileOps, FileSystem, FileTime, FileType, FsInfo, INode, InodeCommon, Metadata,
    OpenFlags, Owner, SbFlags, SetAttr, SuperBlock, current_time,
};
use crate::ids::PAGE_SIZE;
use crate::kernel::Kernel;
use crate::namespace::IpcNamespace;
use crate::sync::{SpinLock, class};
use crate::task::Task;
use crate::{bail, ensure, err};

/// `MQUEUE_MAGIC`.
pub const MQUEUE_MAGIC: u64 = 0x1980_0202;
/// What a queue's file shows as its size.
const FILE_SIZE: u64 = 80;
/// What each entry adds to the directory's size.
const DIRENT_SIZE: u64 = 20;

/// The queues of a namespace.
pub struct MqueueFs {
    root: Arc<MqInode>,
}

impl MqueueFs {
    /// A superblock for the queues of `ns`.
    pub(super) fn superblock(kernel: &Arc<Kernel>, ns: &Arc<IpcNamespace>) -> Result<Arc<SuperBlock>> {
        let spec = CreateSpec {
            file_type: FileType::Directory,
            mode: 0o1777,
            uid: crate::ids::Kuid::ROOT,
            gid: crate::ids::Kgid::ROOT,
            rdev: DevT::default(),
        };
        let root = Root {
            ns: Arc::downgrade(ns),
            kernel: Arc::downgrade(kernel),
            entries: SpinLock::default(),
        };
        let fs = Arc::new(MqueueFs {
            root: MqInode::new(kernel, &spec, Content::Root(root)),
        });
        let flags = SbFlags::I_NODEV | SbFlags::I_NOEXEC;
        SuperBlock::new(kernel, fs, ns.user_ns().clone(), flags.bits())
    }
}

impl FileSystem for MqueueFs {
    fn name(&self) -> &'static str {
        "mqueue"
    }
    fn root_inode(&self) -> Arc<dyn INode> {
        self.root.clone()
    }
    fn info(&self) -> FsInfo {
        FsInfo {
            magic: MQUEUE_MAGIC,
            block_size: PAGE_SIZE as u64,
            name_max: 255,
            ..FsInfo::default()
        }
    }
}

#[derive(Default)]
struct Entries {
    /// With their places in `readdir`, never used again.
    by_name: BTreeMap<Vec<u8>, (u64, Arc<MqInode>)>,
    by_offset: BTreeMap<u64, Vec<u8>>,
    next_offset: u64,
}

struct Root {
    ns: Weak<IpcNamespace>,
    kernel: Weak<Kernel>,
    entries: SpinLock<Entries, class::Inode>,
}

enum Content {
    Root(Root),
    Queue(Arc<Mqueue>),
}

struct Attributes {
    mode: u32,
    nlink: u32,
    uid: crate::ids::Kuid,
    gid: crate::ids::Kgid,
    atime: FileTime,
    mtime: FileTime,
    ctime: FileTime,
}

/// A queue as a file, or the directory of them.
pub struct MqInode {
    common: InodeCommon,
    ino: u64,
    attributes: SpinLock<Attributes, class::Inode>,
    content: Content,
}

impl MqInode {
    fn new(kernel: &Kernel, spec: &CreateSpec, content: Content) -> Arc<MqInode> {
        let now = current_time(kernel);
        let is_dir = spec.file_type == FileType::Directory;
        Arc::new(MqInode {
            common: InodeCommon::default(),
            ino: kernel.vfs.next_ino(),
            attributes: SpinLock::new(Attributes {
                mode: spec.mode,
                nlink: if is_dir { 2 } else { 1 },
                uid: spec.uid,
                gid: spec.gid,
                atime: now,
                mtime: now,
                ctime: now,
            }),
            content,
        })
    }

    fn dir(&self) -> Result<&Root> {
        match &self.content {
            Content::Root(root) => Ok(root),
            Content::Queue(_) => bail!(ENOTDIR),
        }
    }

    fn changed(&self, now: FileTime) {
        let mut attributes = self.attributes.lock();
        (attributes.atime, attributes.mtime, attributes.ctime) = (now, now, now);
    }

    /// Makes a queue in this directory, which the caller has locked and found without the name.
    pub(super) fn create_queue(
        &self,
        task: &Task,
        name: &[u8],
        spec: &CreateSpec,
        size: Option<MqSize>,
    ) -> Result<Arc<MqInode>> {
        let root = self.dir()?;
        let kernel = task.kernel();
        let ns = root.ns.upgrade();
        let ns = ns.ok_or(err!(EACCES, "the namespace of the queues is gone"))?;
        let queue = Mqueue::new(ns.content(), task, size)?;
        let inode = MqInode::new(kernel, spec, Content::Queue(queue));
        {
            let mut entries = root.entries.lock();
            let offset = 2 + entries.next_offset;
            entries.next_offset += 1;
            entries.by_offset.insert(offset, name.to_vec());
            entries.by_name.insert(name.to_vec(), (offset, inode.clone()));
        }
        self.changed(current_time(kernel));
        Ok(inode)
    }
}

impl INode for MqInode {
    fn metadata(&self) -> Metadata {
        let size = match &self.content {
            Content::Root(root) => (2 + root.entries.lock().by_name.len() as u64) * DIRENT_SIZE,
            Content::Queue(_) => FILE_SIZE,
        };
        let attributes = self.attributes.lock();
        Metadata {
            inode: self.ino,
            file_type: self.file_type(),
            mode: attributes.mode,
            nlink: attributes.nlink,
            uid: attributes.uid,
            gid: attributes.gid,
            rdev: DevT::default(),
            size,
            block_size: PAGE_SIZE as u32,
            blocks: 0,
            atime: attributes.atime,
            mtime: attributes.mtime,
            ctime: attributes.ctime,
            btime: FileTime::default(),
        }
    }
    fn owner(&self) -> Owner {
        let attributes = self.attributes.lock();
        Owner {
            mode: attributes.mode,
            uid: attributes.uid,
            gid: attributes.gid,
        }
    }
    fn file_type(&self) -> FileType {
        match &self.content {
            Content::Root(_) => FileType::Directory,
            Content::Queue(_) => FileType::Regular,
        }
    }
    fn common(&self) -> &InodeCommon {
        &self.common
    }
    fn setattr(&self, attr: &SetAttr) -> Result<()> {
        // A truncation, `O_TRUNC` among them, is without effect.
        let mut attributes = self.attributes.lock();
        attributes.mode = attr.mode.unwrap_or(attributes.mode);
        attributes.uid = attr.uid.unwrap_or(attributes.uid);
        attributes.gid = attr.gid.unwrap_or(attributes.gid);
        attributes.atime = attr.atime.unwrap_or(attributes.atime);
        attributes.mtime = attr.mtime.unwrap_or(attributes.mtime);
        Ok(())
    }
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn INode>> {
        match self.dir()?.entries.lock().by_name.get(name) {
            Some((_, inode)) => Ok(inode.clone()),
            None => bail!(ENOENT),
        }
    }
    /// A file that `open(2)` makes is a queue of the default size.
    fn create(&self, name: &[u8], spec: &CreateSpec) -> Result<Arc<dyn INode>> {
        ensure!(
            spec.file_type == FileType::Regular,
            EPERM,
            "mqueue: queues are regular files"
        );
        let kernel = self.dir()?.kernel.upgrade();
        let task = kernel.and_then(|kernel| kernel.sched.try_current());
        let task = task.ok_or(err!(EACCES, "mqueue: nobody makes the queue"))?;
        Ok(self.create_queue(&task, name, spec, None)?)
    }
    fn unlink(&self, name: &[u8]) -> Result<()> {
        let root = self.dir()?;
        let (_, removed) = {
            let mut entries = root.entries.lock();
            let removed = entries.by_name.remove(name).ok_or(err!(ENOENT))?;
            entries.by_offset.remove(&removed.0);
            removed
        };
        removed.attributes.lock().nlink = 0;
        if let Some(kernel) = root.kernel.upgrade() {
            self.changed(current_time(&kernel));
        }
        Ok(())
    }
    fn readdir(&self, offset: u64, sink: &mut DirSink<'_>) -> Result<()> {
        let entries = self.dir()?.entries.lock();
        for (&at, name) in entries.by_offset.range(offset..) {
            let Some((_, inode)) = entries.by_name.get(name) else {
                continue;
            };
            if !sink(name, inode.ino, FileType::Regular, at + 1) {
                break;
            }
        }
        Ok(())
    }
    fn open(&self, _task: &Arc<Task>, _flags: OpenFlags) -> Result<Option<Arc<dyn FileOps>>> {
        Ok(match &self.content {
            Content::Root(_) => None,
            Content::Queue(queue) => Some(Arc::new(MqFile::new(queue.clone()))),
        })
    }
}
