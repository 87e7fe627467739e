//! Files: the VFS and the file systems.

pub mod epoll;
pub mod eventfd;
mod fd_table;
mod fs_struct;
mod inode_common;
pub mod inotify;
pub mod io;
pub mod notify;
mod open_file;
mod path;
pub mod pipe;
#[allow(missing_docs)]
mod poll;
pub mod seq_file;
mod sigpipe;
mod super_block;
mod vfs;

pub use fd_table::FileTable;
pub use fs_struct::FsStruct;
pub use inode_common::InodeCommon;
pub use open_file::{OpenFile, OpenFlags};
pub use path::Path;
pub use poll::PollEvents;
pub use sigpipe::send_sigpipe;
pub use super_block::SuperBlock;
pub use vfs::{
    CreateSpec, DevT, DirSink, FileOps, FileSystem, FileSystemType, FileTime, FileType, FsInfo, INode,
    MapSource, Metadata, MountRequest, SetAttr,
};
