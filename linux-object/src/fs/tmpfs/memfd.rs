//! Files of memory without a name: of `memfd_create(2)`, and behind System V shared memory.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Options, TmpFs, TmpInode};
use crate::cred::Cred;
use crate::error::Result;
use crate::fs::anon::internal_mount;
use crate::fs::{CreateSpec, Dentry, DevT, FileType, INode, Mount, OpenFile, OpenFlags, Path, SbFlags};
use crate::kernel::Kernel;
use crate::mm::Seals;
use crate::task::Task;
use crate::{bail, err};

/// The instance that all of them are of (Linux's `shm_mnt`).
fn shm_mnt(kernel: &Arc<Kernel>) -> Result<Arc<Mount>> {
    internal_mount(kernel, "shm_mnt", || {
        let options = Options {
            unlimited: true,
            ..Options::default()
        };
        let flags = SbFlags::KERNMOUNT.bits();
        TmpFs::superblock(kernel, "tmpfs", options, &kernel.init_user_ns, flags)
    })
}

fn unlisted(mount: &Mount, cred: &Cred, mode: u32) -> Result<Arc<TmpInode>> {
    let fs: &dyn core::any::Any = &*mount.sb.fs;
    let Some(fs) = fs.downcast_ref::<TmpFs>() else {
        bail!(ENODEV)
    };
    fs.unlisted(&CreateSpec {
        file_type: FileType::Regular,
        mode,
        uid: cred.fsuid,
        gid: cred.fsgid,
        rdev: DevT::default(),
    })
}

/// A memfd; `/proc/PID/fd` shows it as `/memfd:name (deleted)`.
pub fn memfd(task: &Arc<Task>, name: &[u8], allow_sealing: bool) -> Result<Arc<OpenFile>> {
    let mount = shm_mnt(task.kernel())?;
    let cred = task.cred();
    let inode = unlisted(&mount, &cred, 0o777)?;
    let inode: Arc<dyn INode> = if allow_sealing {
        inode.with_seals(Seals::empty())
    } else {
        inode
    };
    let mut shown = Vec::new();
    shown.try_reserve(name.len() + 17).map_err(|_| err!(ENOMEM))?;
    shown.extend_from_slice(b"/memfd:");
    shown.extend_from_slice(name);
    shown.extend_from_slice(b" (deleted)");
    let path = Path::new(mount, Dentry::pseudo(inode.clone(), &shown));
    let flags = OpenFlags::RDWR | OpenFlags::LARGEFILE;
    let file = OpenFile::charged(task.kernel(), size_of::<Dentry>(), path, inode, None, flags, cred)?;
    Ok(Arc::new(file))
}

/// A file of `size` bytes that nobody can open (Linux's `shmem_kernel_file_setup`), shown as `name`.
pub fn shmem_file(task: &Arc<Task>, name: &[u8], size: u64, mode: u32) -> Result<(Path, Arc<dyn INode>)> {
    let mount = shm_mnt(task.kernel())?;
    let inode = unlisted(&mount, &task.cred(), mode)?;
    if let Some(cache) = inode.page_cache() {
        cache.truncate(size)?;
    }
    let path = Path::new(mount, Dentry::pseudo(inode.clone(), name));
    Ok((path, inode))
}

/// Gives a file of [`shmem_file`] its inode number: a segment's is its id.
pub fn set_shmem_number(inode: &dyn INode, number: u64) {
    if let Some(inode) = inode.as_any().downcast_ref::<TmpInode>() {
        inode.set_number(number);
    }
}
