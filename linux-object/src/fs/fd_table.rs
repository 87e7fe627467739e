//! File descriptor tables (Linux's `files_struct`).
/// The descriptors of a process.
pub struct FileTable {}
