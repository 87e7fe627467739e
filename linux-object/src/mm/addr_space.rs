//! An address space.
/// An address space (Linux's `mm_struct`).
pub struct Mm {}
