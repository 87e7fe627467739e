//! Copying and emptying mount namespaces.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::topology::lock_mnt_tree;
use super::{CopyFlags, Mount, MountFlags};
use crate::err;
use crate::error::Result;
use crate::fs::FsStruct;
use crate::kernel::Kernel;
use crate::namespace::MountNamespace;

/// Fills `new` with a copy of `old`'s tree; `fs` moves to the copies of the mounts it is in.
pub(crate) fn copy_namespace(
    kernel: &Arc<Kernel>,
    old: &Arc<MountNamespace>,
    new: &Arc<MountNamespace>,
    fs: Option<&FsStruct>,
) -> Result<()> {
    let less_privileged = !Arc::ptr_eq(old.user_ns(), new.user_ns());
    let mut how = CopyFlags::COPY_UNBINDABLE;
    if less_privileged {
        how |= CopyFlags::SHARED_TO_SLAVE;
    }
    let here = fs.map(FsStruct::root_and_pwd);
    let (mut root_copy, mut pwd_copy) = (None, None);
    kernel.vfs.change_mounts(|topology| -> Result<()> {
        let root = old.root().ok_or(err!(EINVAL, "the namespace is empty"))?;
        let dentry = root.root.clone();
        let tree = topology.copy_tree_with(kernel, &root, &dentry, how, &mut |mount, copy| {
            if let Some((root, pwd)) = &here {
                if Arc::ptr_eq(mount, &root.mount) {
                    root_copy = Some(copy.clone());
                }
                if Arc::ptr_eq(mount, &pwd.mount) {
                    pwd_copy = Some(copy.clone());
                }
            }
        });
        topology.discard(root);
        let tree = tree?;
        if less_privileged {
            lock_mnt_tree(&tree);
        }
        new.mounts.lock().root = Some(tree[0].clone());
        topology.adopt(tree, new);
        Ok(())
    })?;
    if let Some(fs) = fs {
        fs.change(|root, pwd| {
            if let Some(copy) = root_copy {
                root.mount = copy;
            }
            if let Some(copy) = pwd_copy {
                pwd.mount = copy;
            }
        });
    }
    Ok(())
}

/// The last user of a namespace is gone: its mounts go too, each for itself.
pub(crate) fn drop_namespace(kernel: &Arc<Kernel>, mounts: Vec<Arc<Mount>>) {
    if mounts.is_empty() {
        return;
    }
    kernel.vfs.change_mounts(|topology| {
        for mount in mounts {
            mount.set_flags(MountFlags::UMOUNT, MountFlags::UMOUNT);
            topology.unplace(&mount);
            topology.mounts.remove(mount.key);
            topology.propagation.make_private(mount.key, false);
            topology.discard(mount);
        }
    });
}
