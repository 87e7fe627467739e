//! Inodes of overlayfs.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::any::Any;
use core::sync::atomic::{AtomicU64, Ordering};

use super::{Ovl, is_whiteout, real};
use crate::cred::Cred;
use crate::error::Result;
use crate::fs::io::{IoDst, IoSrc};
use crate::fs::permission::{Access, generic_permission};
use crate::fs::{
    CreateSpec, DirSink, FileOps, FileTime, FileType, INode, InodeCommon, Metadata, Name, OpenFlags, Owner,
    Path, SetAttr,
};
use crate::mm::PageCache;
use crate::sync::{SpinLock, class};
use crate::task::Task;
use crate::{bail, ensure, err};

/// Where a file is.
#[derive(Clone, Default)]
pub(super) struct Places {
    /// In the upper tree.
    pub upper: Option<Path>,
    /// In lower trees, uppermost first; for what is no directory, at most one.
    pub lowers: Vec<Path>,
}

impl Places {
    pub(super) fn top(&self) -> Option<&Path> {
        self.upper.as_ref().or(self.lowers.first())
    }
    pub(super) fn is_dir(&self) -> bool {
        self.top()
            .and_then(|path| path.dentry.inode())
            .is_some_and(|inode| inode.file_type() == FileType::Directory)
    }
}

/// A file of an overlay.
pub(super) struct OvlInode {
    common: InodeCommon,
    pub(super) this: Weak<OvlInode>,
    pub(super) ovl: Arc<Ovl>,
    /// Where it was found; holds until it is copied up.
    pub(super) parent: Option<Arc<OvlInode>>,
    pub(super) name: Name,
    file_type: FileType,
    pub(super) ino: AtomicU64,
    pub(super) places: SpinLock<Places, class::Inode>,
    /// Held while it is copied up.
    pub(super) copying: SpinLock<(), class::Directory>,
}

impl OvlInode {
    /// The root: upper and all lower trees.
    pub(super) fn root(ovl: &Arc<Ovl>) -> Result<Arc<OvlInode>> {
        let places = Places {
            upper: ovl.upper.as_ref().map(|upper| upper.root.clone()),
            lowers: ovl.lowers.clone(),
        };
        OvlInode::new(ovl, None, b"", places)
    }

    pub(super) fn new(
        ovl: &Arc<Ovl>,
        parent: Option<Arc<OvlInode>>,
        name: &[u8],
        places: Places,
    ) -> Result<Arc<OvlInode>> {
        let top = places.top().ok_or(err!(ENOENT))?.inode()?.clone();
        let numbered = match places.lowers.first() {
            Some(lower) => lower.inode()?,
            None => &top,
        };
        let ino = numbered.metadata().inode;
        let key = match (&places.upper, places.lowers.first()) {
            (None, Some(lower)) => Some(Arc::as_ptr(&lower.dentry).addr()),
            _ => None,
        };
        let inode = Arc::new_cyclic(|this| OvlInode {
            this: this.clone(),
            common: InodeCommon::default(),
            ovl: ovl.clone(),
            parent,
            name: Name::from_slice(name),
            file_type: top.file_type(),
            ino: AtomicU64::new(ino),
            places: SpinLock::new(places),
            copying: SpinLock::new(()),
        });
        if let Some(key) = key {
            ovl.found.lock().insert(key, Arc::downgrade(&inode));
        }
        Ok(inode)
    }

    /// Where it is.
    pub(super) fn places(&self) -> Places {
        self.places.lock().clone()
    }
    /// Where its content and attributes are.
    pub(super) fn real(&self) -> Path {
        let places = self.places.lock();
        match places.top() {
            Some(path) => path.clone(),
            None => unreachable!("a file is somewhere"),
        }
    }
    fn real_inode(&self) -> Result<Arc<dyn INode>> {
        Ok(self.real().inode()?.clone())
    }
    /// Its place in the upper tree, where it is copied first if need be.
    pub(super) fn writable(&self) -> Result<Arc<dyn INode>> {
        Ok(self.copy_up()?.inode()?.clone())
    }

    /// Where a name in this directory leads.
    pub(super) fn find(&self, name: &[u8]) -> Result<Places> {
        let places = self.places();
        let mut found = Places::default();
        if let Some(upper) = &places.upper
            && let Some(path) = real::lookup(upper, name)?
        {
            let inode = path.inode()?.clone();
            if is_whiteout(&*inode) {
                return Ok(found);
            }
            let last = inode.file_type() != FileType::Directory || self.ovl.is_opaque(&path);
            found.upper = Some(path);
            if last {
                return Ok(found);
            }
        }
        for lower in &places.lowers {
            let Some(path) = real::lookup(lower, name)? else {
                continue;
            };
            let inode = path.inode()?.clone();
            if is_whiteout(&*inode) {
                break;
            }
            let is_dir = inode.file_type() == FileType::Directory;
            if !is_dir && found.top().is_some() {
                break;
            }
            let last = !is_dir || self.ovl.is_opaque(&path);
            found.lowers.push(path);
            if last {
                break;
            }
        }
        Ok(found)
    }

    /// Whether a lower tree shows something under this name of this directory.
    pub(super) fn lower_has(&self, name: &[u8]) -> Result<bool> {
        for lower in &self.places().lowers {
            if let Some(path) = real::lookup(lower, name)? {
                return Ok(!is_whiteout(&**path.inode()?));
            }
        }
        Ok(false)
    }

    /// The inode of a name that lower trees alone have, if it is in use.
    pub(super) fn in_use(&self, places: &Places) -> Option<Arc<OvlInode>> {
        let key = Arc::as_ptr(&places.lowers.first()?.dentry).addr();
        self.ovl.found.lock().get(&key)?.upgrade()
    }

    pub(super) fn own(inode: &Arc<dyn INode>) -> Result<Arc<OvlInode>> {
        let any: Arc<dyn Any + Send + Sync> = inode.clone();
        any.downcast()
            .map_err(|_| err!(EXDEV, "an inode of another file system"))
    }
    fn is_own_xattr(&self, name: &[u8]) -> bool {
        name.starts_with(self.ovl.xattr_prefix())
    }
}

impl Drop for OvlInode {
    fn drop(&mut self) {
        if let Some(lower) = self.places.get_mut().lowers.first() {
            let key = Arc::as_ptr(&lower.dentry).addr();
            let mut found = self.ovl.found.lock();
            if found.get(&key).is_some_and(|inode| inode.strong_count() == 0) {
                found.remove(&key);
            }
        }
    }
}

impl INode for OvlInode {
    fn metadata(&self) -> Metadata {
        let places = self.places();
        let real = match places.top().and_then(|path| path.dentry.inode()) {
            Some(inode) => inode.metadata(),
            None => unreachable!("a file is somewhere"),
        };
        let merged = places.lowers.len() + usize::from(places.upper.is_some()) > 1;
        Metadata {
            inode: self.ino.load(Ordering::Relaxed),
            nlink: if merged && self.file_type == FileType::Directory {
                1
            } else {
                real.nlink
            },
            ..real
        }
    }
    fn file_type(&self) -> FileType {
        self.file_type
    }
    fn common(&self) -> &InodeCommon {
        &self.common
    }
    fn permission(&self, task: &Arc<Task>, cred: &Cred, mask: u32) -> Option<Result<()>> {
        if self.ovl.privileged {
            return None;
        }
        let _ = task;
        let mut access = Access::from_bits_truncate(mask);
        let mut both = || {
            generic_permission(cred, self.owner(), self.file_type == FileType::Directory, access)?;
            let places = self.places();
            if places.upper.is_none() && access.contains(Access::WRITE) {
                // It will be copied up: that takes reading.
                access = access.difference(Access::WRITE) | Access::READ;
            }
            self.ovl.may(places.top().ok_or(err!(ENOENT))?, access)
        };
        Some(both())
    }
    fn owner(&self) -> Owner {
        match self.real().dentry.inode() {
            Some(inode) => inode.owner(),
            None => unreachable!("a file is somewhere"),
        }
    }
    fn touch_atime(&self, now: FileTime, relative: bool) {
        let upper = self.places.lock().upper.clone();
        if let Some(inode) = upper.as_ref().and_then(|path| path.dentry.inode()) {
            inode.touch_atime(now, relative);
        }
    }
    fn setattr(&self, attr: &SetAttr) -> Result<()> {
        self.writable()?.setattr(attr)
    }
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn INode>> {
        ensure!(self.file_type == FileType::Directory, ENOTDIR);
        let places = self.find(name)?;
        ensure!(places.top().is_some(), ENOENT);
        Ok(OvlInode::new(&self.ovl, Some(self.this()?), name, places)?)
    }
    fn create(&self, name: &[u8], spec: &CreateSpec) -> Result<Arc<dyn INode>> {
        let whiteout = spec.file_type == FileType::CharDevice && spec.rdev.0 == 0;
        ensure!(!whiteout, EPERM, "overlay: a whiteout is not made by hand");
        self.make(name, spec, None)
    }
    fn symlink(&self, name: &[u8], target: &[u8], spec: &CreateSpec) -> Result<Arc<dyn INode>> {
        self.make(name, spec, Some(target))
    }
    fn link(&self, name: &[u8], target: &Arc<dyn INode>) -> Result<()> {
        let target = OvlInode::own(target)?.writable()?;
        self.make_link(name, &target)
    }
    fn unlink(&self, name: &[u8]) -> Result<()> {
        self.remove(name, false)
    }
    fn rmdir(&self, name: &[u8]) -> Result<()> {
        self.remove(name, true)
    }
    fn tmpfile(&self, spec: &CreateSpec) -> Result<Arc<dyn INode>> {
        let dir = self.copy_up()?;
        let new = dir.inode()?.tmpfile(spec)?;
        let dentry = crate::fs::Dentry::unlisted(&dir.dentry, new, b"#");
        let places = Places {
            upper: Some(Path::new(dir.mount.clone(), dentry)),
            lowers: Vec::new(),
        };
        Ok(OvlInode::new(&self.ovl, None, b"", places)?)
    }
    fn rename(&self, name: &[u8], to_dir: &Arc<dyn INode>, to_name: &[u8], exchange: bool) -> Result<()> {
        self.move_name(name, &*OvlInode::own(to_dir)?, to_name, exchange)
    }
    fn readdir(&self, offset: u64, sink: &mut DirSink<'_>) -> Result<()> {
        ensure!(self.file_type == FileType::Directory, ENOTDIR);
        let first = offset.saturating_sub(2);
        for (n, entry) in self.merged()?.iter().enumerate().skip(first as usize) {
            if !sink(&entry.name, entry.ino, entry.file_type, n as u64 + 3) {
                break;
            }
        }
        Ok(())
    }
    fn readlink(&self) -> Result<Vec<u8>> {
        self.real_inode()?.readlink()
    }

    fn open(&self, _task: &Arc<Task>, flags: OpenFlags) -> Result<Option<Arc<dyn FileOps>>> {
        if self.file_type == FileType::Regular {
            let writes = flags.writable() || flags.contains(OpenFlags::TRUNC);
            let real = if writes { self.copy_up()? } else { self.real() };
            let mut access = Access::empty();
            access.set(Access::READ, flags.readable());
            access.set(Access::WRITE, flags.writable());
            self.ovl.may(&real, access)?;
        }
        Ok(None)
    }
    fn read_at(&self, offset: u64, to: &mut dyn IoDst) -> Result<usize> {
        self.real_inode()?.read_at(offset, to)
    }
    fn write_at(&self, offset: u64, from: &mut dyn IoSrc) -> Result<usize> {
        self.writable()?.write_at(offset, from)
    }
    fn append(&self, from: &mut dyn IoSrc) -> Result<(u64, usize)> {
        self.writable()?.append(from)
    }
    fn page_cache(&self) -> Option<Arc<PageCache>> {
        self.real_inode().ok()?.page_cache()
    }
    fn fallocate(&self, mode: u32, offset: u64, len: u64) -> Result<()> {
        self.writable()?.fallocate(mode, offset, len)
    }
    fn seek_data_hole(&self, offset: u64, data: bool) -> Result<u64> {
        self.real_inode()?.seek_data_hole(offset, data)
    }

    fn getxattr(&self, name: &[u8]) -> Result<Vec<u8>> {
        if self.is_own_xattr(name) {
            bail!(EOPNOTSUPP, "overlay: an attribute of its own")
        }
        self.real_inode()?.getxattr(name)
    }
    fn setxattr(&self, name: &[u8], value: &[u8], flags: u32) -> Result<()> {
        if self.is_own_xattr(name) {
            bail!(EOPNOTSUPP, "overlay: an attribute of its own")
        }
        self.writable()?.setxattr(name, value, flags)
    }
    fn removexattr(&self, name: &[u8]) -> Result<()> {
        if self.is_own_xattr(name) {
            bail!(EOPNOTSUPP, "overlay: an attribute of its own")
        }
        self.real_inode()?.getxattr(name)?;
        self.writable()?.removexattr(name)
    }
    fn listxattr(&self) -> Result<Vec<u8>> {
        let all = self.real_inode()?.listxattr()?;
        let mut list = Vec::new();
        for name in all.split_inclusive(|&byte| byte == 0) {
            if !self.is_own_xattr(name) {
                list.extend_from_slice(name);
            }
        }
        Ok(list)
    }
}
