//! Files: the VFS and the file systems.

pub mod aio;
pub mod anon;
mod atime;
pub mod attr;
pub mod d_path;
mod dentry;
pub mod device;
pub mod devtmpfs;
pub mod dnotify;
pub mod epoll;
pub mod eventfd;
pub mod export;
pub mod fasync;
mod fd_table;
pub mod file_lock;
mod file_total;
pub mod fs_context;
mod fs_struct;
mod id_pool;
mod init;
pub mod initramfs;
mod inode_common;
pub mod inotify;
pub mod io;
mod kmsg;
mod mem_dev;
pub mod mount;
mod moves;
pub mod namei;
pub mod notify;
pub mod nsfs;
mod open;
mod open_file;
pub mod overlayfs;
mod path;
pub mod permission;
pub mod pipe;
#[allow(missing_docs)]
mod poll;
pub mod procfs;
pub mod pseudo;
pub mod seq_file;
pub mod signalfd;
mod sigpipe;
mod state;
mod super_block;
pub mod sysfs;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
pub mod tmpfs;
mod vfs;
pub mod xattr;

pub use anon::{anon_file, pseudo_file, pseudo_pair};
pub use atime::{atime_moves, touch_atime};
pub use dentry::{Dentry, DentryFlags, Name, hash_name};
pub use fd_table::{FileTable, ReservedFd};
pub use fs_struct::FsStruct;
pub use init::init_mounts;
pub use inode_common::{InodeCommon, InodeFlags};
pub use mount::{Mount, MountFlags};
pub use moves::Moves;
pub use open::{OpenHow, may_exec_on, open, open_root, read_file_all, vfs_open};
pub use open_file::{FileOwner, OpenFile, OpenFlags};
pub use path::Path;
pub use poll::PollEvents;
pub use sigpipe::send_sigpipe;
pub use state::{FsTypes, Vfs, current_time, task_files, task_fs};
pub use super_block::{SbFlags, SuperBlock};
pub use vfs::{
    CreateSpec, DevT, DirSink, FileOps, FileSystem, FileSystemType, FileTime, FileType, FsInfo, INode,
    MapSource, Metadata, Owner, PositionUse, SetAttr,
};
