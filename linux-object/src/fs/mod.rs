//! Files: the VFS and the file systems.

mod fd_table;
mod fs_struct;
mod inode_common;
pub mod io;
mod open_file;
mod path;
#[allow(missing_docs)]
mod poll;
pub mod seq_file;
mod super_block;
mod vfs;

pub use fd_table::FileTable;
pub use fs_struct::FsStruct;
pub use inode_common::InodeCommon;
pub use open_file::{OpenFile, OpenFlags};
pub use path::Path;
pub use poll::PollEvents;
pub use super_block::SuperBlock;
pub use vfs::{
    CreateSpec, DevT, DirSink, FileOps, FileSystem, FileSystemType, FileTime, FileType, FsInfo, INode,
    MapSource, Metadata, MountRequest, SetAttr,
};
