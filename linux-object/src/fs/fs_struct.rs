//! Root, working directory and umask (Linux's `fs_struct`).
/// What `CLONE_FS` shares.
pub struct FsStruct {}
