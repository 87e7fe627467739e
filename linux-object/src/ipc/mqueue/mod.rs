//! POSIX message queues (`mq_overview(7)`).
//!
//! A queue is a file of a [`MqueueFs`]; a message-queue descriptor is a descriptor of that file. The policy is
//! [`MqState`]; [`Mqueue`] adds waiters, notification and charges.
//!
//! Locks: a queue's state is `class::Ipc`; entries and attributes of the file system are `class::Inode`, as in
//! tmpfs. Signals are sent after the unlock.

mod file;
mod fs;
mod notify;
mod queue;
mod state;

pub use file::MqFile;
pub use fs::{MQUEUE_MAGIC, MqInode, MqueueFs};
pub use notify::{COOKIE_LEN, How, Notification};
pub use queue::{Attempt, MqSize, Mqueue};
pub use state::{MqState, Sent};

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::AtomicU32;

use smallvec::SmallVec;

use crate::error::Result;
use crate::fs::fs_context::{ContextInit, ContextOps, MountRequest, Tree};
use crate::fs::namei::{self, LastKind, Parent, lookup_one, new_spec};
use crate::fs::permission::{Access, inode_permission, may_create};
use crate::fs::{
    DevT, FileSystemType, FileType, INode, Mount, OpenFile, OpenFlags, Path, hash_name, vfs_open,
};
use crate::kernel::Kernel;
use crate::namespace::{IpcNamespace, UserNamespace};
use crate::sync::{SpinLock, class};
use crate::task::Task;
use crate::{bail, ensure};

/// Priorities are below this (`MQ_PRIO_MAX`).
pub const MQ_PRIO_MAX: u32 = 32768;
/// Most messages of any queue.
pub const HARD_MSGMAX: i64 = 65536;
/// Longest message of any queue.
pub const HARD_MSGSIZEMAX: i64 = 16 << 20;

/// The queues of a namespace.
#[derive(Default)]
pub struct Mqueues {
    mount: SpinLock<Option<Arc<Mount>>, class::Leaf>,
    /// How many there are.
    count: Arc<AtomicU32>,
}

impl Mqueues {
    /// The namespace's own mount of its queues, made at its first use.
    pub fn mount(&self, kernel: &Arc<Kernel>, ns: &Arc<IpcNamespace>) -> Result<Arc<Mount>> {
        if let Some(mount) = &*self.mount.lock() {
            return Ok(mount.clone());
        }
        let new = Mount::internal(kernel, MqueueFs::superblock(kernel, ns)?);
        let mut slot = self.mount.lock();
        let mount = slot.get_or_insert_with(|| new.clone()).clone();
        drop(slot);
        Ok(mount)
    }
}

/// What `lookup_one_len` takes as a name: `EACCES` for what is none.
fn check_name(name: &[u8]) -> Result<()> {
    ensure!(
        !matches!(name, b"" | b"." | b"..") && !name.contains(&b'/'),
        EACCES,
        "mq_open: not a name of a queue"
    );
    Ok(())
}

fn directory(task: &Arc<Task>) -> Result<Path> {
    let ns = task.nsproxy().ipc_ns.clone();
    let mount = ns.content().mqueues.mount(task.kernel(), &ns)?;
    Ok(Path::root_of(&mount))
}

/// `mq_open(2)`; `mode` has the umask applied.
pub fn mq_open(
    task: &Arc<Task>,
    name: &[u8],
    flags: OpenFlags,
    mode: u32,
    size: Option<MqSize>,
) -> Result<Arc<OpenFile>> {
    check_name(name)?;
    let dir = directory(task)?;
    let cred = task.cred();
    let inode = dir.inode()?.clone();
    let write = dir.mount.write_guard();
    let dentry = {
        let _locked = inode.common().dir.lock();
        inode_permission(task, &cred, &dir.mount, &*inode, Access::EXEC)?;
        let found = lookup_one(&dir.dentry, name, hash_name(name))?;
        match found.inode() {
            Some(queue) => {
                ensure!(
                    !flags.contains(OpenFlags::CREAT | OpenFlags::EXCL),
                    EEXIST,
                    "mq_open: the name is taken"
                );
                let access = match flags.bits() & 3 {
                    0 => Access::READ,
                    1 => Access::WRITE,
                    2 => Access::READ | Access::WRITE,
                    _ => bail!(EINVAL, "mq_open: both O_RDWR and O_WRONLY"),
                };
                inode_permission(task, &cred, &dir.mount, &**queue, access)?;
                found
            }
            None => {
                ensure!(flags.contains(OpenFlags::CREAT), ENOENT, "mq_open: no such queue");
                write?;
                may_create(task, &cred, &dir.mount, &*inode)?;
                let spec = new_spec(&cred, &*inode, FileType::Regular, mode & 0o7777, DevT::default());
                let Some(root) = inode.as_any().downcast_ref::<MqInode>() else {
                    bail!(EACCES)
                };
                let new: Arc<dyn INode> = root.create_queue(task, name, &spec, size)?;
                dir.dentry.add_child(name, hash_name(name), Some(new))
            }
        }
    };
    vfs_open(task, &Path::new(dir.mount.clone(), dentry), flags)
}

/// `mq_unlink(2)`.
pub fn mq_unlink(task: &Arc<Task>, name: &[u8]) -> Result<()> {
    check_name(name)?;
    let parent = Parent {
        dir: directory(task)?,
        kind: LastKind::Norm,
        name: SmallVec::from_slice(name),
        trailing: false,
    };
    namei::unlink(task, &parent)
}

/// `mount -t mqueue`.
pub struct MqueueFsType;

impl FileSystemType for MqueueFsType {
    fn name(&self) -> &'static str {
        "mqueue"
    }
    fn userns_mount(&self) -> bool {
        true
    }
    fn init_context(&self, init: &ContextInit<'_>) -> Result<Box<dyn ContextOps>> {
        Ok(Box::new(MqueueContext(init.task.nsproxy().ipc_ns.clone())))
    }
}

/// A mount of the queues of the namespace that its maker is in; there are no options.
struct MqueueContext(Arc<IpcNamespace>);

impl ContextOps for MqueueContext {
    fn user_ns(&self) -> Option<Arc<UserNamespace>> {
        Some(self.0.user_ns().clone())
    }
    fn get_tree(&mut self, request: &mut MountRequest<'_>) -> Result<Tree> {
        let mount = self.0.content().mqueues.mount(request.kernel, &self.0)?;
        Ok(Tree::whole(mount.sb.clone()))
    }
}
