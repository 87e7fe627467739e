//! What every inode has, whatever its file system.

/// The VFS's own part of an inode, embedded in each file system's inode.
#[derive(Default)]
pub struct InodeCommon {}
