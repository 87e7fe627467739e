//! What every inode has, whatever its file system.

use super::notify::Marks;
use super::pipe::{FifoSlot, fifo_slot};
use crate::net::unix::{BoundSlot, bound_slot};

/// The VFS's own part of an inode, embedded in each file system's inode.
pub struct InodeCommon {
    /// The watches on it.
    pub marks: Marks,
    /// The pipe of a FIFO while it is open.
    pub fifo: FifoSlot,
    /// The socket that is bound to it.
    pub socket: BoundSlot,
}

impl Default for InodeCommon {
    fn default() -> InodeCommon {
        InodeCommon {
            marks: Marks::default(),
            fifo: fifo_slot(),
            socket: bound_slot(),
        }
    }
}
