//! Inodes of tmpfs.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::sync::atomic::{AtomicU64, Ordering};

use super::Shared;
use super::dir::Entries;
use super::xattr::Xattrs;
use crate::error::Result;
use crate::fs::io::{IoDst, IoSrc};
use crate::fs::{
    CreateSpec, DevT, DirSink, FileTime, FileType, INode, InodeCommon, Metadata, Owner, SetAttr, atime_moves,
};
use crate::ids::{Kgid, Kuid, PAGE_SIZE};
use crate::mm::memcg::{Item, KmemCharge};
use crate::mm::{MAX_FILE_SIZE, PageCache, PageHost, Seals};
use crate::sync::{SpinLock, class};
use crate::{bail, ensure, err};

/// What each entry adds to a directory's size.
const BOGO_DIRENT_SIZE: u64 = 20;
/// Longer symlinks take a page.
const SHORT_SYMLINK_LEN: usize = 128;

struct Attributes {
    mode: u32,
    nlink: u32,
    uid: Kuid,
    gid: Kgid,
    atime: FileTime,
    mtime: FileTime,
    ctime: FileTime,
    btime: FileTime,
    xattrs: Option<Box<Xattrs>>,
}

enum Content {
    Directory(SpinLock<Entries, class::Inode>),
    File(Arc<PageCache>),
    Symlink(Box<[u8]>),
    Node(DevT),
}

/// An inode of tmpfs.
pub struct TmpInode {
    common: InodeCommon,
    shared: Arc<Shared>,
    ino: AtomicU64,
    file_type: FileType,
    attributes: SpinLock<Attributes, class::Inode>,
    content: Content,
    _memory: KmemCharge,
}

impl TmpInode {
    pub(super) fn new(
        shared: &Arc<Shared>,
        spec: &CreateSpec,
        target: Option<&[u8]>,
    ) -> Result<Arc<TmpInode>> {
        shared.take_inode()?;
        let bytes = size_of::<TmpInode>() + target.map_or(size_of::<PageCache>(), <[u8]>::len);
        let parts = shared.memory.control.charge_kmem(bytes, Item::Slab);
        let parts = parts.and_then(|memory| Ok((TmpInode::content(shared, spec, target)?, memory)));
        let (content, memory) = match parts {
            Ok(parts) => parts,
            Err(error) => {
                shared.give_inode();
                return Err(error);
            }
        };
        let now = shared.now();
        Ok(Arc::new(TmpInode {
            common: InodeCommon::default(),
            shared: shared.clone(),
            ino: AtomicU64::new(shared.next_ino.fetch_add(1, Ordering::Relaxed)),
            file_type: spec.file_type,
            attributes: SpinLock::new(Attributes {
                mode: spec.mode,
                nlink: if spec.file_type == FileType::Directory {
                    2
                } else {
                    1
                },
                uid: spec.uid,
                gid: spec.gid,
                atime: now,
                mtime: now,
                ctime: now,
                btime: now,
                xattrs: None,
            }),
            content,
            _memory: memory,
        }))
    }

    /// Without a name.
    pub(super) fn unlisted(shared: &Arc<Shared>, spec: &CreateSpec) -> Result<Arc<TmpInode>> {
        let inode = TmpInode::new(shared, spec, None)?;
        inode.attributes.lock().nlink = 0;
        Ok(inode)
    }

    fn content(shared: &Arc<Shared>, spec: &CreateSpec, target: Option<&[u8]>) -> Result<Content> {
        Ok(match spec.file_type {
            FileType::Directory => Content::Directory(SpinLock::default()),
            FileType::Regular => {
                let cache = PageCache::with(&shared.memory, Some(shared.limits.clone()));
                cache.add_seals(Seals::SEAL)?;
                Content::File(cache)
            }
            FileType::Symlink => {
                let target = target.unwrap_or_default();
                ensure!(target.len() < PAGE_SIZE, ENAMETOOLONG);
                if target.len() >= SHORT_SYMLINK_LEN {
                    shared.limits.charge(1)?;
                }
                Content::Symlink(target.into())
            }
            _ => Content::Node(spec.rdev),
        })
    }

    /// With another page cache: a memfd's.
    pub(super) fn with_seals(self: Arc<TmpInode>, seals: Seals) -> Arc<TmpInode> {
        match Arc::try_unwrap(self) {
            Ok(mut inode) => {
                let cache = PageCache::with(&inode.shared.memory, Some(inode.shared.limits.clone()));
                let _ = cache.add_seals(seals);
                inode.content = Content::File(cache);
                Arc::new(inode)
            }
            Err(shared) => shared,
        }
    }

    /// Its number.
    pub(super) fn number(&self) -> u64 {
        self.ino.load(Ordering::Relaxed)
    }

    /// Gives it another number: a segment of shared memory has its id.
    pub(super) fn set_number(&self, number: u64) {
        self.ino.store(number, Ordering::Relaxed);
    }

    fn entries(&self) -> Result<&SpinLock<Entries, class::Inode>> {
        match &self.content {
            Content::Directory(entries) => Ok(entries),
            _ => bail!(ENOTDIR),
        }
    }

    fn cache(&self) -> Result<&Arc<PageCache>> {
        match &self.content {
            Content::File(cache) => Ok(cache),
            Content::Directory(_) => bail!(EISDIR),
            _ => bail!(EINVAL),
        }
    }

    /// The directory changed.
    fn changed(&self, links: i32) {
        let now = self.shared.now();
        let mut attributes = self.attributes.lock();
        attributes.mtime = now;
        attributes.ctime = now;
        attributes.nlink = attributes.nlink.saturating_add_signed(links);
    }

    fn add(&self, name: &[u8], inode: Arc<TmpInode>) -> Result<()> {
        let is_dir = inode.file_type == FileType::Directory;
        let memory = Entries::charge(&self.shared.memory, name)?;
        self.entries()?.lock().insert(name, inode, memory)?;
        self.changed(i32::from(is_dir));
        Ok(())
    }

    /// A name of this inode went away.
    fn lost_name(&self, links: u32) {
        let now = self.shared.now();
        let nlink = {
            let mut attributes = self.attributes.lock();
            attributes.ctime = now;
            attributes.nlink = attributes.nlink.saturating_sub(links);
            attributes.nlink
        };
        if self.file_type != FileType::Directory && nlink > 0 {
            // Each further link was counted as an inode.
            self.shared.give_inode();
        }
    }

    /// Writes while other writers are kept out.
    fn write_locked(&self, offset: u64, from: &mut dyn IoSrc) -> Result<usize> {
        let cache = self.cache()?;
        let seals = cache.seals();
        if !seals.is_empty() {
            let end = offset.saturating_add(from.remaining() as u64);
            ensure!(
                !(seals.intersects(Seals::WRITE | Seals::FUTURE_WRITE)
                    || seals.contains(Seals::GROW) && end > cache.size()),
                EPERM,
                "sealed against writes"
            );
        }
        let written = cache.write_at(offset, from)?;
        let now = self.shared.now();
        let mut attributes = self.attributes.lock();
        attributes.mtime = now;
        attributes.ctime = now;
        Ok(written)
    }

    /// Inodes come back from the VFS as trait objects; only our own pass.
    fn own(inode: &Arc<dyn INode>) -> Result<Arc<TmpInode>> {
        let any: Arc<dyn Any + Send + Sync> = inode.clone();
        any.downcast()
            .map_err(|_| err!(EXDEV, "an inode of another file system"))
    }
}

impl INode for TmpInode {
    fn metadata(&self) -> Metadata {
        let (size, blocks, rdev) = match &self.content {
            Content::Directory(entries) => ((entries.lock().len() as u64 + 2) * BOGO_DIRENT_SIZE, 0, DevT(0)),
            Content::File(cache) => (cache.size(), cache.nr_pages() * (PAGE_SIZE as u64 / 512), DevT(0)),
            Content::Symlink(target) => {
                let long = target.len() >= SHORT_SYMLINK_LEN;
                (target.len() as u64, if long { 8 } else { 0 }, DevT(0))
            }
            Content::Node(rdev) => (0, 0, *rdev),
        };
        let attributes = self.attributes.lock();
        let mut metadata = Metadata {
            inode: self.number(),
            file_type: self.file_type,
            mode: attributes.mode,
            nlink: attributes.nlink,
            uid: attributes.uid,
            gid: attributes.gid,
            rdev,
            size,
            block_size: PAGE_SIZE as u32,
            blocks,
            atime: attributes.atime,
            mtime: attributes.mtime,
            ctime: attributes.ctime,
            btime: attributes.btime,
        };
        drop(attributes);
        if let Content::File(cache) = &self.content
            && let Some(written) = cache.last_mapped_write()
        {
            metadata.mtime = metadata.mtime.max(written);
            metadata.ctime = metadata.ctime.max(written);
        }
        metadata
    }
    fn owner(&self) -> Owner {
        let attributes = self.attributes.lock();
        Owner {
            mode: attributes.mode,
            uid: attributes.uid,
            gid: attributes.gid,
        }
    }
    fn file_type(&self) -> FileType {
        self.file_type
    }
    fn common(&self) -> &InodeCommon {
        &self.common
    }
    fn touch_atime(&self, now: FileTime, relative: bool) {
        let mut attributes = self.attributes.lock();
        if atime_moves(
            relative,
            now,
            attributes.atime,
            attributes.mtime,
            attributes.ctime,
        ) {
            attributes.atime = now;
        }
    }
    fn setattr(&self, attr: &SetAttr) -> Result<()> {
        let now = self.shared.now();
        let mut resized = false;
        if let Some(size) = attr.size {
            let cache = self.cache()?;
            let _writers = self.common.dir.lock();
            let (old, seals) = (cache.size(), cache.seals());
            ensure!(
                !(size < old && seals.contains(Seals::SHRINK) || size > old && seals.contains(Seals::GROW)),
                EPERM,
                "sealed against a change of size"
            );
            cache.truncate(size)?;
            resized = true;
        }
        let mut attributes = self.attributes.lock();
        attributes.mode = attr.mode.unwrap_or(attributes.mode);
        attributes.uid = attr.uid.unwrap_or(attributes.uid);
        attributes.gid = attr.gid.unwrap_or(attributes.gid);
        attributes.atime = attr.atime.unwrap_or(attributes.atime);
        if resized {
            attributes.mtime = now;
        }
        attributes.mtime = attr.mtime.unwrap_or(attributes.mtime);
        attributes.ctime = now;
        Ok(())
    }
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn INode>> {
        match self.entries()?.lock().find(name) {
            Some(inode) => Ok(inode.clone()),
            None => bail!(ENOENT),
        }
    }
    fn create(&self, name: &[u8], spec: &CreateSpec) -> Result<Arc<dyn INode>> {
        let inode = TmpInode::new(&self.shared, spec, None)?;
        self.add(name, inode.clone())?;
        Ok(inode)
    }
    fn symlink(&self, name: &[u8], target: &[u8], spec: &CreateSpec) -> Result<Arc<dyn INode>> {
        let inode = TmpInode::new(&self.shared, spec, Some(target))?;
        self.add(name, inode.clone())?;
        Ok(inode)
    }
    fn tmpfile(&self, spec: &CreateSpec) -> Result<Arc<dyn INode>> {
        self.entries()?;
        Ok(TmpInode::unlisted(&self.shared, spec)?)
    }
    fn link(&self, name: &[u8], target: &Arc<dyn INode>) -> Result<()> {
        let target = TmpInode::own(target)?;
        // The first name of an O_TMPFILE file costs nothing more.
        let extra = target.attributes.lock().nlink > 0;
        if extra {
            self.shared.take_inode()?;
        }
        if let Err(error) = self.add(name, target.clone()) {
            if extra {
                self.shared.give_inode();
            }
            return Err(error);
        }
        let mut attributes = target.attributes.lock();
        attributes.nlink += 1;
        attributes.ctime = self.shared.now();
        Ok(())
    }
    fn unlink(&self, name: &[u8]) -> Result<()> {
        let removed = self.entries()?.lock().remove(name);
        let inode = removed.ok_or(err!(ENOENT))?;
        inode.lost_name(1);
        self.changed(0);
        Ok(())
    }
    fn rmdir(&self, name: &[u8]) -> Result<()> {
        let found = self.entries()?.lock().find(name).cloned();
        let inode = found.ok_or(err!(ENOENT))?;
        ensure!(inode.entries()?.lock().len() == 0, ENOTEMPTY);
        let removed = self.entries()?.lock().remove(name);
        drop(removed);
        inode.lost_name(2);
        self.changed(-1);
        Ok(())
    }
    fn rename(&self, name: &[u8], to_dir: &Arc<dyn INode>, to_name: &[u8], exchange: bool) -> Result<()> {
        let to = TmpInode::own(to_dir)?;
        let is_dir = |inode: &TmpInode| inode.file_type == FileType::Directory;
        let source = self.entries()?.lock().find(name).cloned().ok_or(err!(ENOENT))?;
        let target = to.entries()?.lock().find(to_name).cloned();
        let now = self.shared.now();
        match target {
            Some(target) if exchange => {
                let moved = i32::from(is_dir(&source)) - i32::from(is_dir(&target));
                let old = to.entries()?.lock().replace(to_name, source.clone());
                let other = self.entries()?.lock().replace(name, target.clone());
                drop((old, other));
                self.changed(-moved);
                to.changed(moved);
                target.attributes.lock().ctime = now;
            }
            Some(target) => {
                if is_dir(&target) {
                    ensure!(target.entries()?.lock().len() == 0, ENOTEMPTY);
                }
                let old = to.entries()?.lock().replace(to_name, source.clone());
                let moved = self.entries()?.lock().remove(name);
                drop((old, moved));
                let dir = is_dir(&target);
                target.lost_name(if dir { 2 } else { 1 });
                // The directory that went is replaced by the one that came.
                self.changed(-i32::from(dir));
                to.changed(0);
            }
            None if exchange => bail!(ENOENT),
            None => {
                let memory = Entries::charge(&self.shared.memory, to_name)?;
                to.entries()?.lock().insert(to_name, source.clone(), memory)?;
                let moved = self.entries()?.lock().remove(name);
                drop(moved);
                let dir = i32::from(is_dir(&source));
                self.changed(-dir);
                to.changed(dir);
            }
        }
        source.attributes.lock().ctime = now;
        Ok(())
    }
    fn readdir(&self, offset: u64, sink: &mut DirSink<'_>) -> Result<()> {
        self.entries()?.lock().visit(offset, sink);
        Ok(())
    }

    fn readlink(&self) -> Result<Vec<u8>> {
        match &self.content {
            Content::Symlink(target) => Ok(target.to_vec()),
            _ => bail!(EINVAL, "not a symlink"),
        }
    }

    fn read_at(&self, offset: u64, to: &mut dyn IoDst) -> Result<usize> {
        self.cache()?.read_at(offset, to)
    }
    fn write_at(&self, offset: u64, from: &mut dyn IoSrc) -> Result<usize> {
        let _writers = self.common.dir.lock();
        self.write_locked(offset, from)
    }
    fn append(&self, from: &mut dyn IoSrc) -> Result<(u64, usize)> {
        let _writers = self.common.dir.lock();
        let end = self.cache()?.size();
        Ok((end, self.write_locked(end, from)?))
    }
    fn page_cache(&self) -> Option<Arc<PageCache>> {
        self.cache().ok().cloned()
    }
    fn fallocate(&self, mode: u32, offset: u64, len: u64) -> Result<()> {
        const KEEP_SIZE: u32 = 1;
        const PUNCH_HOLE: u32 = 2;
        ensure!(mode & !(KEEP_SIZE | PUNCH_HOLE) == 0, EOPNOTSUPP);
        let cache = self.cache()?;
        let _writers = self.common.dir.lock();
        let seals = cache.seals();
        let end = offset
            .checked_add(len)
            .filter(|&end| end <= MAX_FILE_SIZE)
            .ok_or(err!(EFBIG))?;
        if mode & PUNCH_HOLE != 0 {
            ensure!(
                !seals.intersects(Seals::WRITE | Seals::FUTURE_WRITE),
                EPERM,
                "sealed against writes"
            );
            cache.punch_hole(offset..end);
        } else {
            ensure!(
                !(seals.contains(Seals::GROW) && end > cache.size()),
                EPERM,
                "sealed against growth"
            );
            cache.allocate(offset..end, mode & KEEP_SIZE != 0)?;
        }
        let now = self.shared.now();
        let mut attributes = self.attributes.lock();
        attributes.mtime = now;
        attributes.ctime = now;
        Ok(())
    }
    fn seek_data_hole(&self, offset: u64, data: bool) -> Result<u64> {
        let cache = self.cache()?;
        if data {
            cache.next_data(offset)
        } else {
            cache.next_hole(offset)
        }
    }

    fn getxattr(&self, name: &[u8]) -> Result<Vec<u8>> {
        match &self.attributes.lock().xattrs {
            Some(xattrs) => xattrs.get(name),
            None => Xattrs::default().get(name),
        }
    }
    fn setxattr(&self, name: &[u8], value: &[u8], flags: u32) -> Result<()> {
        let now = self.shared.now();
        let bytes = Xattrs::bytes(name, value);
        let memory = self.shared.memory.control.charge_kmem(bytes, Item::Slab)?;
        let mut attributes = self.attributes.lock();
        attributes
            .xattrs
            .get_or_insert_default()
            .set_charged(name, value, flags, memory)?;
        attributes.ctime = now;
        Ok(())
    }
    fn removexattr(&self, name: &[u8]) -> Result<()> {
        let now = self.shared.now();
        let mut attributes = self.attributes.lock();
        match &mut attributes.xattrs {
            Some(xattrs) => xattrs.remove(name)?,
            None => Xattrs::default().remove(name)?,
        }
        attributes.ctime = now;
        Ok(())
    }
    fn listxattr(&self) -> Result<Vec<u8>> {
        Ok(self
            .attributes
            .lock()
            .xattrs
            .as_ref()
            .map(|xattrs| xattrs.list())
            .unwrap_or_default())
    }
}

impl Drop for TmpInode {
    /// Trees go level by level, not nested: they may be deeper than the kernel's stack.
    fn drop(&mut self) {
        self.shared.give_inode();
        if let Content::Symlink(target) = &self.content
            && target.len() >= SHORT_SYMLINK_LEN
        {
            self.shared.limits.uncharge(1);
        }
        let Content::Directory(entries) = &mut self.content else {
            return;
        };
        let mut todo = entries.get_mut().drain();
        while let Some(inode) = todo.pop() {
            if let Some(mut inode) = Arc::into_inner(inode)
                && let Content::Directory(entries) = &mut inode.content
            {
                todo.append(&mut entries.get_mut().drain());
            }
        }
    }
}
