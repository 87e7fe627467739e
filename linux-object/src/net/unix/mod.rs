//! AF_UNIX sockets (`unix(7)`).

use alloc::sync::Weak;

use crate::sync::{SpinLock, class};

/// A socket.
pub struct UnixSocket {}

/// Where an inode keeps the socket that is bound to it.
pub type BoundSlot = SpinLock<Weak<UnixSocket>, class::Leaf>;

/// An empty slot for an inode.
pub fn bound_slot() -> BoundSlot {
    BoundSlot::new(Weak::new())
}
