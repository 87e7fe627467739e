//! Files of memory without a name (`memfd_create(2)`).

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Options, TmpFs};
use crate::error::Result;
use crate::fs::anon::internal_mount;
use crate::fs::{CreateSpec, Dentry, DevT, FileType, INode, OpenFile, OpenFlags, Path, SbFlags};
use crate::mm::Seals;
use crate::task::Task;
use crate::{bail, err};

/// A memfd; `/proc/PID/fd` shows it as `/memfd:name (deleted)`.
pub fn memfd(task: &Arc<Task>, name: &[u8], allow_sealing: bool) -> Result<Arc<OpenFile>> {
    let kernel = task.kernel();
    let mount = internal_mount(kernel, "memfd", || {
        let options = Options {
            unlimited: true,
            ..Options::default()
        };
        let flags = SbFlags::KERNMOUNT.bits();
        TmpFs::superblock(kernel, "tmpfs", options, &kernel.init_user_ns, flags)
    })?;
    let fs: &dyn core::any::Any = &*mount.sb.fs;
    let Some(fs) = fs.downcast_ref::<TmpFs>() else {
        bail!(ENODEV)
    };
    let cred = task.cred();
    let inode = fs.unlisted(&CreateSpec {
        file_type: FileType::Regular,
        mode: 0o777,
        uid: cred.fsuid,
        gid: cred.fsgid,
        rdev: DevT::default(),
    })?;
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
    Ok(Arc::new(OpenFile::new(path, inode, None, flags, cred)))
}
