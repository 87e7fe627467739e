//! A place in the mount tree.

use alloc::sync::Arc;

use super::{Dentry, INode, Mount};
use crate::err;
use crate::error::Result;

/// A mount and a dentry in it.
#[derive(Clone)]
pub struct Path {
    /// The mount it is seen through.
    pub mount: Arc<Mount>,
    /// The dentry, of the mount's superblock.
    pub dentry: Arc<Dentry>,
}

impl Path {
    /// A path with these parts.
    pub fn new(mount: Arc<Mount>, dentry: Arc<Dentry>) -> Path {
        Path { mount, dentry }
    }
    /// The root of a mount.
    pub fn root_of(mount: &Arc<Mount>) -> Path {
        Path {
            mount: mount.clone(),
            dentry: mount.root.clone(),
        }
    }
    /// The inode; `ENOENT` if the name is not there.
    pub fn inode(&self) -> Result<&Arc<dyn INode>> {
        self.dentry.inode().ok_or(err!(ENOENT))
    }
    /// Whether this is the root of its mount.
    pub fn is_mount_root(&self) -> bool {
        Arc::ptr_eq(&self.dentry, &self.mount.root)
    }
}

impl PartialEq for Path {
    fn eq(&self, other: &Path) -> bool {
        Arc::ptr_eq(&self.mount, &other.mount) && Arc::ptr_eq(&self.dentry, &other.dentry)
    }
}
