//! File handles (Linux's `exportfs`, `open_by_handle_at(2)`): names of files that need no path.
//!
//! A handle is a few words whose meaning only the file system knows. Those that can find a file again by such
//! words say so with [`FileSystem::export_ops`](super::FileSystem::export_ops).

use alloc::sync::Arc;

use super::{Dentry, Mount, Path, SuperBlock};
use crate::error::Result;
use crate::{ensure, err};

/// The most bytes of a handle (`MAX_HANDLE_SZ`).
pub const MAX_HANDLE_SIZE: usize = 128;

const MAX_WORDS: usize = MAX_HANDLE_SIZE / size_of::<u32>();

/// What the words of a handle are (Linux's `enum fid_type`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct HandleType(pub i32);

impl HandleType {
    /// A generation and an inode number (tmpfs), or its halves (kernfs).
    pub const INO32_GEN: HandleType = HandleType(1);
    /// Likewise, with the parent's.
    pub const INO32_GEN_PARENT: HandleType = HandleType(2);
    /// The 64-bit id of a node of kernfs.
    pub const KERNFS: HandleType = HandleType(0xfe);
    /// None: the handle did not fit.
    pub const INVALID: HandleType = HandleType(0xff);
}

/// A handle (`struct file_handle`).
#[derive(Clone, Copy, Debug)]
pub struct FileHandle {
    /// What its words are.
    pub handle_type: HandleType,
    len: usize,
    words: [u32; MAX_WORDS],
}

impl FileHandle {
    /// With these words, of which the first [`MAX_HANDLE_SIZE`] bytes count.
    pub fn new(handle_type: HandleType, from: &[u32]) -> FileHandle {
        let len = from.len().min(MAX_WORDS);
        let mut words = [0; MAX_WORDS];
        words[..len].copy_from_slice(&from[..len]);
        FileHandle {
            handle_type,
            len,
            words,
        }
    }
    /// Its words.
    pub fn words(&self) -> &[u32] {
        &self.words[..self.len]
    }
}

/// How a file system makes handles and finds files by them (Linux's `export_operations`).
pub trait ExportOps {
    /// The handle of a file of this file system.
    fn encode(&self, dentry: &Arc<Dentry>) -> Option<FileHandle>;
    /// The file of a handle that anybody may have made up; `None` if there is none.
    fn decode(&self, sb: &Arc<SuperBlock>, handle: &FileHandle) -> Option<Arc<Dentry>>;
}

/// The handle of what is at `path`: `EOPNOTSUPP` if its file system has none.
pub fn encode_handle(path: &Path) -> Result<FileHandle> {
    let ops = path.mount.sb.fs.export_ops();
    let ops = ops.ok_or(err!(EOPNOTSUPP, "the file system has no handles"))?;
    ensure!(path.dentry.inode().is_some(), ENOENT);
    ops.encode(&path.dentry).ok_or(err!(EOPNOTSUPP))
}

/// The file of a handle, seen through `mount`: `ESTALE` if there is none (any more).
pub fn decode_handle(mount: &Arc<Mount>, handle: &FileHandle) -> Result<Path> {
    let ops = mount.sb.fs.export_ops();
    let found = ops.and_then(|ops| ops.decode(&mount.sb, handle));
    let dentry = found.ok_or(err!(ESTALE, "no file has this handle"))?;
    Ok(Path::new(mount.clone(), dentry))
}
