//! nsfs: namespaces as files (`namespaces(7)`, `ioctl_ns(2)`).
//!
//! Model: an inode of nsfs *is* a namespace; device and inode number together are its identity for user
//! space. An open description, a bind mount or a magic link on the way to it holds the inode
//! and so the namespace. The file system is the kernel's own; it is mounted by bind only.

use alloc::format;
use alloc::sync::Arc;
use core::any::Any;

use super::pseudo::PseudoAttr;
use super::{
    Dentry, FileOps, FileSystem, FileTime, FileType, FsInfo, INode, InodeCommon, Metadata, OpenFile,
    OpenFlags, Path, SbFlags, SuperBlock,
};
use crate::error::Result;
use crate::ids::{Uid, UserAddr};
use crate::kernel::Kernel;
use crate::namespace::{MountNamespace, Namespace, NsKind, PidNamespace, UserNamespace};
use crate::task::Task;
use crate::{bail, ensure, err};

/// `NSFS_MAGIC`.
pub const NSFS_MAGIC: u64 = 0x6e73_6673;

struct NsFs {
    root: Arc<RootInode>,
}

impl FileSystem for NsFs {
    fn name(&self) -> &'static str {
        "nsfs"
    }
    fn root_inode(&self) -> Arc<dyn INode> {
        self.root.clone()
    }
    fn info(&self) -> FsInfo {
        FsInfo {
            magic: NSFS_MAGIC,
            block_size: 4096,
            name_max: 255,
            ..FsInfo::default()
        }
    }
}

/// A root that nobody ever walks.
struct RootInode {
    common: InodeCommon,
}

impl INode for RootInode {
    fn metadata(&self) -> Metadata {
        PseudoAttr::new(1, FileType::Directory, 0o555, FileTime::default()).metadata()
    }
    fn file_type(&self) -> FileType {
        FileType::Directory
    }
    fn common(&self) -> &InodeCommon {
        &self.common
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The inode of a namespace.
struct NsInode {
    ns: Arc<dyn Namespace>,
    common: InodeCommon,
    time: FileTime,
}

impl INode for NsInode {
    fn metadata(&self) -> Metadata {
        let number = self.ns.common().number();
        let mut attr = PseudoAttr::new(number, FileType::Regular, 0o444, self.time);
        attr.block_size = 4096;
        attr.metadata()
    }
    fn file_type(&self) -> FileType {
        FileType::Regular
    }
    fn common(&self) -> &InodeCommon {
        &self.common
    }
    fn mnt_ns(&self) -> Option<Arc<MountNamespace>> {
        self.ns.clone().into_any().downcast().ok()
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn open(&self, _task: &Arc<Task>, flags: OpenFlags) -> Result<Option<Arc<dyn FileOps>>> {
        ensure!(!flags.writable(), EPERM, "nsfs: an immutable file");
        Ok(Some(Arc::new(NsFile { ns: self.ns.clone() })))
    }
}

/// A path to the namespace.
pub fn path(kernel: &Arc<Kernel>, ns: Arc<dyn Namespace>) -> Result<Path> {
    let mount = super::anon::internal_mount(kernel, "nsfs", || {
        let root = Arc::new(RootInode {
            common: InodeCommon::default(),
        });
        let flags = SbFlags::KERNMOUNT | SbFlags::I_NODEV | SbFlags::I_NOEXEC;
        SuperBlock::new(
            kernel,
            Arc::new(NsFs { root }),
            kernel.init_user_ns.clone(),
            flags.bits(),
        )
    })?;
    let name = format!("{}:[{}]", ns.kind().name(), ns.common().number());
    let inode = Arc::new(NsInode {
        ns,
        common: InodeCommon::default(),
        time: super::current_time(kernel),
    });
    Ok(Path::new(mount, Dentry::pseudo(inode, name.as_bytes())))
}

/// The namespace that a file or directory entry stands for.
pub fn namespace_of(inode: &dyn INode) -> Option<Arc<dyn Namespace>> {
    let inode = inode.as_any().downcast_ref::<NsInode>()?;
    Some(inode.ns.clone())
}

/// An open description of a namespace, with a descriptor of its own at the caller (`ioctl_ns(2)`,
/// pidfd namespace ioctls).
pub fn open_fd(task: &Arc<Task>, ns: Arc<dyn Namespace>) -> Result<usize> {
    let path = path(task.kernel(), ns.clone())?;
    let inode = path.inode()?.clone();
    let ops: Arc<dyn FileOps> = Arc::new(NsFile { ns });
    let flags = OpenFlags::from_bits_retain(0);
    let file = Arc::new(OpenFile::new(path, inode, Some(ops), flags, task.cred())?);
    Ok(task.files().install(file, true, 0, task.nofile())?.0 as usize)
}

struct NsFile {
    ns: Arc<dyn Namespace>,
}

const NS_GET_USERNS: u32 = 0xb701;
const NS_GET_PARENT: u32 = 0xb702;
const NS_GET_NSTYPE: u32 = 0xb703;
const NS_GET_OWNER_UID: u32 = 0xb704;

impl FileOps for NsFile {
    fn ioctl(&self, _file: &OpenFile, task: &Arc<Task>, cmd: u32, arg: UserAddr) -> Result<usize> {
        match cmd {
            NS_GET_USERNS => open_fd(task, owner(task, &*self.ns)?),
            NS_GET_PARENT => open_fd(task, parent(task, &*self.ns)?),
            NS_GET_NSTYPE => Ok(self.ns.kind().clone_flag() as usize),
            NS_GET_OWNER_UID => {
                let ns = self.ns.clone().into_any().downcast::<UserNamespace>();
                let Ok(ns) = ns else {
                    bail!(EINVAL, "ioctl_ns: only a user namespace has an owner uid");
                };
                let Uid(uid) = task.user_ns().from_kuid_munged(ns.owner());
                task.kernel().hal.copy_to_user(arg, &uid.to_ne_bytes())?;
                Ok(0)
            }
            _ => bail!(ENOTTY),
        }
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The owner, if the caller's user namespace is it or contains it (Linux's `ns_get_owner`).
fn owner(task: &Task, ns: &dyn Namespace) -> Result<Arc<UserNamespace>> {
    let owner = ns
        .owner_ns()
        .ok_or(err!(EPERM, "ioctl_ns: the initial user namespace has no owner"))?;
    ensure!(
        task.user_ns().contains(&owner),
        EPERM,
        "ioctl_ns: the owner is outside of the caller's user namespace"
    );
    Ok(owner)
}

/// The parent of a pid or user namespace, if the caller can see it.
fn parent(task: &Task, ns: &dyn Namespace) -> Result<Arc<dyn Namespace>> {
    match ns.kind() {
        NsKind::User => Ok(owner(task, ns)?),
        NsKind::Pid => {
            let parent = ns
                .parent_ns()
                .and_then(|parent| parent.into_any().downcast::<PidNamespace>().ok());
            let parent = parent.ok_or(err!(EPERM, "ioctl_ns: the initial pid namespace has no parent"))?;
            let own = task.pid_ns();
            ensure!(
                Arc::ptr_eq(own, &parent) || own.is_ancestor_of(&parent),
                EPERM,
                "ioctl_ns: the parent is outside of the caller's pid namespace"
            );
            Ok(parent)
        }
        _ => bail!(EINVAL, "ioctl_ns: such a namespace has no parent"),
    }
}
