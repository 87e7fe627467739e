//! A file system instance (Linux's `super_block`).
/// A mounted file system with its device number, flags and owner.
pub struct SuperBlock {}
