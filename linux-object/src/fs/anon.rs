//! Files without a name: pipes, sockets, and what `eventfd`, `epoll_create` … make.
//!
//! They live on internal mounts that no namespace shows. `/proc/PID/fd` shows them as
//! `pipe:[N]`, `socket:[N]` and `anon_inode:[name]`.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;

use super::{
    Dentry, DevT, FileOps, FileSystem, FileTime, FileType, FsInfo, INode, InodeCommon, InodeFlags, Metadata,
    Mount, OpenFile, OpenFlags, Path, SbFlags, SetAttr, SuperBlock, current_time,
};
use crate::cred::Cred;
use crate::error::Result;
use crate::ids::{Kgid, Kuid};
use crate::kernel::Kernel;
use crate::sync::{SpinLock, class};

struct Attributes {
    mode: u32,
    uid: Kuid,
    gid: Kgid,
    atime: FileTime,
    mtime: FileTime,
    ctime: FileTime,
}

/// An inode that no directory lists.
pub struct PseudoInode {
    common: InodeCommon,
    ino: u64,
    file_type: FileType,
    attributes: SpinLock<Attributes, class::Inode>,
}

impl PseudoInode {
    /// An inode of this type and mode, owned by the caller.
    pub fn new(kernel: &Kernel, file_type: FileType, mode: u32, cred: &Cred) -> Arc<PseudoInode> {
        let now = current_time(kernel);
        Arc::new(PseudoInode {
            common: InodeCommon::new(InodeFlags::PRIVATE),
            ino: kernel.vfs.next_ino(),
            file_type,
            attributes: SpinLock::new(Attributes {
                mode,
                uid: cred.fsuid,
                gid: cred.fsgid,
                atime: now,
                mtime: now,
                ctime: now,
            }),
        })
    }
}

impl INode for PseudoInode {
    fn metadata(&self) -> Metadata {
        let attributes = self.attributes.lock();
        Metadata {
            inode: self.ino,
            file_type: self.file_type,
            mode: attributes.mode,
            nlink: 1,
            uid: attributes.uid,
            gid: attributes.gid,
            rdev: DevT::default(),
            size: 0,
            block_size: 4096,
            blocks: 0,
            atime: attributes.atime,
            mtime: attributes.mtime,
            ctime: attributes.ctime,
            btime: FileTime::default(),
        }
    }
    fn file_type(&self) -> FileType {
        self.file_type
    }
    fn common(&self) -> &InodeCommon {
        &self.common
    }
    fn setattr(&self, attr: &SetAttr) -> Result<()> {
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
}

/// A file system that only ever has pseudo inodes.
struct PseudoFs {
    name: &'static str,
    magic: u64,
    root: Arc<PseudoInode>,
}

impl FileSystem for PseudoFs {
    fn name(&self) -> &'static str {
        self.name
    }
    fn root_inode(&self) -> Arc<dyn INode> {
        self.root.clone()
    }
    fn info(&self) -> FsInfo {
        FsInfo {
            magic: self.magic,
            block_size: 4096,
            name_max: 255,
            ..FsInfo::default()
        }
    }
}

/// The internal mount of this name; made at its first use.
pub(super) fn internal_mount(
    kernel: &Arc<Kernel>,
    name: &'static str,
    make: impl FnOnce() -> Result<Arc<SuperBlock>>,
) -> Result<Arc<Mount>> {
    if let Some(mount) = kernel.vfs.internal.lock().get(name) {
        return Ok(mount.clone());
    }
    let mount = Mount::internal(kernel, make()?);
    let mut spare = None;
    let mount = match kernel.vfs.internal.lock().entry(name) {
        alloc::collections::btree_map::Entry::Occupied(entry) => {
            spare = Some(mount);
            entry.get().clone()
        }
        alloc::collections::btree_map::Entry::Vacant(entry) => entry.insert(mount).clone(),
    };
    drop(spare);
    Ok(mount)
}

fn pseudo_mount(kernel: &Arc<Kernel>, name: &'static str, magic: u64) -> Result<Arc<Mount>> {
    internal_mount(kernel, name, || {
        let cred = Cred::root(kernel.init_user_ns.clone());
        let root = PseudoInode::new(kernel, FileType::Directory, 0o555, &cred);
        let fs = Arc::new(PseudoFs { name, magic, root });
        let flags = SbFlags::KERNMOUNT.bits();
        SuperBlock::new(kernel, fs, kernel.init_user_ns.clone(), flags)
    })
}

const PIPEFS_MAGIC: u64 = 0x5049_5045;
const SOCKFS_MAGIC: u64 = 0x534f_434b;
const ANON_INODE_FS_MAGIC: u64 = 0x0904_1934;

/// An open description of an anonymous file: `eventfd`, `epoll`, `pidfd` … `name` is what
/// `/proc/PID/fd` shows after `anon_inode:`, e.g. `[eventfd]`.
pub fn anon_file(
    kernel: &Arc<Kernel>,
    name: &'static str,
    ops: Arc<dyn FileOps>,
    flags: OpenFlags,
    cred: Arc<Cred>,
) -> Result<Arc<OpenFile>> {
    let mount = pseudo_mount(kernel, "anon_inodefs", ANON_INODE_FS_MAGIC)?;
    let inode: Arc<dyn INode> = mount
        .root
        .inode()
        .cloned()
        .ok_or(crate::err!(ENOENT))
        .map(|_| PseudoInode::new(kernel, FileType::Regular, 0o600, &cred) as Arc<dyn INode>)?;
    let mut shown = Vec::with_capacity(11 + name.len());
    shown.extend_from_slice(b"anon_inode:");
    shown.extend_from_slice(name.as_bytes());
    let path = Path::new(mount, Dentry::pseudo(inode.clone(), &shown));
    let file = OpenFile::charged(kernel, OBJECT_BYTES, path, inode, Some(ops), flags, cred)?;
    Ok(Arc::new(file))
}

/// What comes with the description: inode, name, and the object behind it, most of which are about this large.
const OBJECT_BYTES: usize = size_of::<PseudoInode>() + size_of::<Dentry>() + 512;

fn pseudo_path(kernel: &Arc<Kernel>, kind: FileType, cred: &Cred) -> Result<(Path, Arc<dyn INode>)> {
    let (mount, mode) = if kind == FileType::Socket {
        (pseudo_mount(kernel, "sockfs", SOCKFS_MAGIC)?, 0o777)
    } else {
        (pseudo_mount(kernel, "pipefs", PIPEFS_MAGIC)?, 0o600)
    };
    let inode: Arc<dyn INode> = PseudoInode::new(kernel, kind, mode, cred);
    Ok((Path::new(mount, Dentry::pseudo(inode.clone(), b"")), inode))
}

/// An open description of a pipe or socket.
pub fn pseudo_file(
    kernel: &Arc<Kernel>,
    kind: FileType,
    ops: Arc<dyn FileOps>,
    flags: OpenFlags,
    cred: Arc<Cred>,
) -> Result<Arc<OpenFile>> {
    let (path, inode) = pseudo_path(kernel, kind, &cred)?;
    let file = OpenFile::charged(kernel, OBJECT_BYTES, path, inode, Some(ops), flags, cred)?;
    Ok(Arc::new(file))
}

/// Two descriptions of one inode: the ends of a pipe.
pub fn pseudo_pair(
    kernel: &Arc<Kernel>,
    kind: FileType,
    ops: [Arc<dyn FileOps>; 2],
    flags: [OpenFlags; 2],
    cred: &Arc<Cred>,
) -> Result<[Arc<OpenFile>; 2]> {
    let (path, inode) = pseudo_path(kernel, kind, cred)?;
    let [first, second] = ops;
    let open = |ops, flags| {
        let (path, inode, cred) = (path.clone(), inode.clone(), cred.clone());
        OpenFile::charged(kernel, OBJECT_BYTES / 2, path, inode, Some(ops), flags, cred).map(Arc::new)
    };
    Ok([open(first, flags[0])?, open(second, flags[1])?])
}
