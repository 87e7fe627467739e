//! tmpfs and ramfs (`tmpfs(5)`): files whose only store is the page cache.
//!
//! Model: a [`TmpInode`] holds its content: directory entries, a page cache, a link target. The
//! instance counts pages and inodes against its limits; a hard link counts as one inode more, as on
//! Linux. ramfs is the same without limits. memfds and segments of System V shared
//! memory are inodes of an instance that is mounted nowhere.
//!
//! Locks: the directory lock of the VFS (`class::Directory`) keeps the entries of a directory stable
//! over an operation and excludes writers of one file; `class::Inode` covers entries and attributes for
//! the moment of an access. User memory is copied under the former only.

mod dir;
mod export;
mod inode;
mod memfd;
mod options;
mod xattr;

pub use inode::TmpInode;
pub use memfd::{memfd, set_shmem_number, shmem_file};
pub use options::Options;
pub(crate) use xattr::Xattrs;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::any::Any;
use core::fmt::Write;
use core::sync::atomic::{AtomicU64, Ordering};

use self::export::Exports;
use super::export::ExportOps;
use super::fs_context::param::Param;
use super::fs_context::{ContextInit, ContextOps, Log, MountRequest, ParamCx, Tree};
use super::{CreateSpec, DevT, FileSystem, FileSystemType, FileTime, FileType, FsInfo, INode, SuperBlock};
use crate::error::Result;
use crate::ids::{Kgid, Kuid, PAGE_SIZE};
use crate::kernel::Kernel;
use crate::mm::{Memory, PageHost};
use crate::namespace::UserNamespace;
use crate::time::Timekeeper;
use crate::{bail, ensure};

const TMPFS_MAGIC: u64 = 0x0102_1994;
const RAMFS_MAGIC: u64 = 0x8584_58f6;
/// No limit.
const UNLIMITED: u64 = u64::MAX;

/// What an instance may hold, and holds.
pub struct Limits {
    max_pages: AtomicU64,
    pages: AtomicU64,
    max_inodes: AtomicU64,
    inodes: AtomicU64,
}

fn take(used: &AtomicU64, max: &AtomicU64, count: u64) -> Result<()> {
    let max = max.load(Ordering::Relaxed);
    let taken = used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
        used.checked_add(count).filter(|&sum| sum <= max)
    });
    ensure!(taken.is_ok(), ENOSPC, "the limit of the tmpfs");
    Ok(())
}

impl PageHost for Limits {
    fn charge(&self, pages: u64) -> Result<()> {
        take(&self.pages, &self.max_pages, pages)
    }
    fn uncharge(&self, pages: u64) {
        self.pages.fetch_sub(pages, Ordering::Relaxed);
    }
}

/// What the inodes of an instance share.
pub(super) struct Shared {
    time: Arc<Timekeeper>,
    memory: Arc<Memory>,
    limits: Arc<Limits>,
    next_ino: AtomicU64,
    exports: Exports,
    name: &'static str,
}

impl Shared {
    fn now(&self) -> FileTime {
        FileTime(self.time.realtime_coarse().into())
    }
    fn take_inode(&self) -> Result<()> {
        take(&self.limits.inodes, &self.limits.max_inodes, 1)
    }
    fn give_inode(&self) {
        self.limits.inodes.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An instance.
pub struct TmpFs {
    shared: Arc<Shared>,
    root: Arc<TmpInode>,
    options: Options,
    default_pages: u64,
    default_inodes: u64,
}

impl TmpFs {
    /// An instance with these options; ramfs has no limits.
    pub fn new(kernel: &Kernel, name: &'static str, options: Options) -> Result<Arc<TmpFs>> {
        let half = kernel.hal.frame_stats().total as u64 / 2;
        let unlimited = name == "ramfs" || options.unlimited;
        let pick = |given: Option<u64>, default| match given {
            _ if unlimited => UNLIMITED,
            Some(0) => UNLIMITED,
            Some(given) => given,
            None => default,
        };
        let shared = Arc::new(Shared {
            time: kernel.time.clone(),
            memory: kernel.memory.clone(),
            limits: Arc::new(Limits {
                max_pages: AtomicU64::new(pick(options.pages(half * 2), half)),
                pages: AtomicU64::new(0),
                max_inodes: AtomicU64::new(pick(options.nr_inodes, half)),
                inodes: AtomicU64::new(0),
            }),
            next_ino: AtomicU64::new(1),
            exports: Exports::new(kernel.rng.next_u64()),
            name,
        });
        let default_mode = if name == "tmpfs" { 0o1777 } else { 0o755 };
        let spec = CreateSpec {
            file_type: FileType::Directory,
            mode: options.mode.unwrap_or(default_mode),
            uid: options.uid.unwrap_or(Kuid::ROOT),
            gid: options.gid.unwrap_or(Kgid::ROOT),
            rdev: DevT::default(),
        };
        let root = TmpInode::new(&shared, &spec, None)?;
        Ok(Arc::new(TmpFs {
            shared,
            root,
            options,
            default_pages: half,
            default_inodes: half,
        }))
    }

    /// A superblock around a new instance.
    pub fn superblock(
        kernel: &Arc<Kernel>,
        name: &'static str,
        options: Options,
        user_ns: &Arc<UserNamespace>,
        sb_flags: u32,
    ) -> Result<Arc<SuperBlock>> {
        let fs = TmpFs::new(kernel, name, options)?;
        SuperBlock::new(kernel, fs, user_ns.clone(), sb_flags)
    }

    /// An inode that no directory lists yet.
    pub(super) fn unlisted(&self, spec: &CreateSpec) -> Result<Arc<TmpInode>> {
        TmpInode::unlisted(&self.shared, spec)
    }
}

impl FileSystem for TmpFs {
    fn name(&self) -> &'static str {
        self.shared.name
    }
    fn root_inode(&self) -> Arc<dyn INode> {
        self.root.clone()
    }
    fn info(&self) -> FsInfo {
        let limits = &self.shared.limits;
        let (pages, inodes) = (
            limits.max_pages.load(Ordering::Relaxed),
            limits.max_inodes.load(Ordering::Relaxed),
        );
        let mut info = FsInfo {
            magic: if self.shared.name == "ramfs" {
                RAMFS_MAGIC
            } else {
                TMPFS_MAGIC
            },
            block_size: PAGE_SIZE as u64,
            name_max: 255,
            ..FsInfo::default()
        };
        if pages != UNLIMITED {
            info.blocks = pages;
            info.blocks_free = pages.saturating_sub(limits.pages.load(Ordering::Relaxed));
            info.blocks_available = info.blocks_free;
        }
        if inodes != UNLIMITED {
            info.files = inodes;
            info.files_free = inodes.saturating_sub(limits.inodes.load(Ordering::Relaxed));
        }
        info
    }
    fn show_options(&self, out: &mut String) {
        if self.shared.name == "ramfs" {
            if let Some(mode) = self.options.mode {
                let _ = write!(out, ",mode={mode:o}");
            }
            return;
        }
        let limits = &self.shared.limits;
        let shown = |max: &AtomicU64| match max.load(Ordering::Relaxed) {
            UNLIMITED => 0,
            max => max,
        };
        let (pages, inodes) = (shown(&limits.max_pages), shown(&limits.max_inodes));
        if pages != self.default_pages {
            let _ = write!(out, ",size={}k", pages * (PAGE_SIZE as u64 / 1024));
        }
        if inodes != self.default_inodes {
            let _ = write!(out, ",nr_inodes={inodes}");
        }
        if let Some(mode) = self.options.mode.filter(|&mode| mode != 0o1777) {
            let _ = write!(out, ",mode={mode:03o}");
        }
        if let Some(uid) = self.options.uid.filter(|&uid| uid != Kuid::ROOT) {
            let _ = write!(out, ",uid={uid}");
        }
        if let Some(gid) = self.options.gid.filter(|&gid| gid != Kgid::ROOT) {
            let _ = write!(out, ",gid={gid}");
        }
        out.push_str(",inode64");
    }
    fn export_ops(&self) -> Option<&dyn ExportOps> {
        (self.shared.name != "ramfs").then_some(self)
    }
}

impl TmpFs {
    /// Takes new limits (`MS_REMOUNT`).
    pub(super) fn reconfigure(&self, new: &Options, log: &mut Log) -> Result<()> {
        let limits = &self.shared.limits;
        let mut check = |max: &AtomicU64, used: &AtomicU64, new: Option<u64>, what: [&str; 2]| {
            let Some(new) = new else { return Ok(None) };
            if new == 0 {
                return Ok(Some(UNLIMITED));
            }
            if max.load(Ordering::Relaxed) == UNLIMITED {
                log.prefixed('e', format_args!("Cannot retroactively limit {}", what[0]));
                bail!(EINVAL, "an unlimited tmpfs does not get a limit");
            }
            if new < used.load(Ordering::Relaxed) {
                log.prefixed('e', format_args!("{} for current use", what[1]));
                bail!(EINVAL, "the new limit is below what is used");
            }
            Ok(Some(new))
        };
        let pages = new.pages(self.default_pages * 2);
        let pages = check(
            &limits.max_pages,
            &limits.pages,
            pages,
            ["size", "Too small a size"],
        )?;
        let inodes = check(
            &limits.max_inodes,
            &limits.inodes,
            new.nr_inodes,
            ["inodes", "Too few inodes"],
        )?;
        if let Some(pages) = pages {
            limits.max_pages.store(pages, Ordering::Relaxed);
        }
        if let Some(inodes) = inodes {
            limits.max_inodes.store(inodes, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// The types `tmpfs` and `ramfs`.
pub struct TmpFsType(pub &'static str);

impl FileSystemType for TmpFsType {
    fn name(&self) -> &'static str {
        self.0
    }
    fn userns_mount(&self) -> bool {
        true
    }
    fn init_context(&self, init: &ContextInit<'_>) -> Result<Box<dyn ContextOps>> {
        Ok(Box::new(TmpFsContext {
            name: self.0,
            // The root belongs to whoever mounts, who may be root only in a user namespace.
            options: Options {
                uid: Some(init.cred.fsuid),
                gid: Some(init.cred.fsgid),
                ..Options::default()
            },
        }))
    }
}

struct TmpFsContext {
    name: &'static str,
    options: Options,
}

impl ContextOps for TmpFsContext {
    fn parse_param(&mut self, cx: &mut ParamCx<'_>, param: &Param) -> Result<bool> {
        if self.name == "ramfs" {
            // It knows `mode` and takes anything else without a word, as Linux does.
            self.options.parse_ramfs(cx, param)?;
            return Ok(param.key != b"source");
        }
        self.options.parse_param(cx, param)
    }
    fn strict_list(&self) -> bool {
        self.name == "tmpfs"
    }
    fn get_tree(&mut self, request: &mut MountRequest<'_>) -> Result<Tree> {
        let options = self.options.clone();
        let sb = TmpFs::superblock(
            request.kernel,
            self.name,
            options,
            request.user_ns,
            request.sb_flags,
        )?;
        Ok(Tree::whole(sb))
    }
    fn reconfigure(&mut self, sb: &Arc<SuperBlock>, _text: &[u8], log: &mut Log) -> Result<()> {
        let fs: &dyn Any = &*sb.fs;
        match fs.downcast_ref::<TmpFs>() {
            Some(fs) if self.name == "tmpfs" => fs.reconfigure(&self.options, log),
            _ => Ok(()),
        }
    }
}
