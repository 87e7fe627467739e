//! The pages of one file.
/// The pages of one file (Linux's `address_space`).
pub struct PageCache {}
