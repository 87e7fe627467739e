//! Copying a file to the upper tree before it changes (Linux's `copy_up.c`).

use alloc::sync::Arc;
use alloc::vec;
use core::sync::atomic::Ordering;

use super::inode::OvlInode;
use super::{layers, real};
use crate::error::Result;
use crate::fs::io::{KernelDst, KernelSrc};
use crate::fs::permission::Access;
use crate::fs::{CreateSpec, FileType, INode, Path, SetAttr};
use crate::ids::PAGE_SIZE;
use crate::{bail, err};

impl OvlInode {
    /// Its place in the upper tree, where it is copied first if it is not there. The directories above it come
    /// first.
    pub(super) fn copy_up(&self) -> Result<Path> {
        let upper = self.places.lock().upper.clone();
        if let Some(upper) = upper {
            return Ok(upper);
        }
        self.ovl.upper()?;
        let parent = self
            .parent
            .as_ref()
            .ok_or(err!(ESTALE, "overlay: a file without a place"))?;
        let dir = parent.copy_up()?;
        let _copying = self.copying.lock_nested();
        let places = self.places();
        if let Some(upper) = places.upper {
            return Ok(upper);
        }
        let lower = places.lowers.first().ok_or(err!(ENOENT))?;
        let upper = self.copy_to(lower, &dir)?;
        let (from, to) = (lower.inode()?.metadata(), upper.inode()?.metadata());
        if self.file_type() != FileType::Directory && from.nlink > 1 {
            // The other names of the lower file are other files from here on.
            self.ino.store(to.inode, Ordering::Relaxed);
        }
        self.places.lock().upper = Some(upper.clone());
        Ok(upper)
    }

    /// Makes the copy in the work directory and moves it to its name.
    fn copy_to(&self, lower: &Path, dir: &Path) -> Result<Path> {
        let source = lower.inode()?;
        self.ovl.may(lower, Access::READ).or_else(|error| {
            // Only content is read.
            if matches!(source.file_type(), FileType::Regular | FileType::Directory) {
                Err(error)
            } else {
                Ok(())
            }
        })?;
        let metadata = source.metadata();
        let spec = CreateSpec {
            file_type: metadata.file_type,
            mode: metadata.mode,
            uid: metadata.uid,
            gid: metadata.gid,
            rdev: metadata.rdev,
        };
        let target = match metadata.file_type {
            FileType::Symlink => Some(source.readlink()?),
            _ => None,
        };
        let work = layers::work_dir(self.ovl.upper()?)?;
        let temp = self.ovl.temp_name();
        let copy = real::create(&self.ovl, &work, &temp, &spec, target.as_deref())?;
        let is_dir = metadata.file_type == FileType::Directory;
        let filled = fill(source, copy.inode()?, self.ovl.xattr_prefix()).and_then(|()| {
            copy.inode()?.setattr(&SetAttr {
                atime: Some(metadata.atime),
                mtime: Some(metadata.mtime),
                ..SetAttr::default()
            })
        });
        // The directory's own times do not tell of the copy.
        let times = dir.inode()?.metadata();
        let moved = filled.and_then(|()| real::rename(&work, &temp, dir, &self.name, false));
        if let Err(error) = moved {
            let _ = real::remove(&work, &temp, is_dir);
            return Err(error);
        }
        dir.inode()?.setattr(&SetAttr {
            atime: Some(times.atime),
            mtime: Some(times.mtime),
            ..SetAttr::default()
        })?;
        Ok(copy)
    }
}

/// Content and extended attributes.
fn fill(from: &Arc<dyn INode>, to: &Arc<dyn INode>, own: &[u8]) -> Result<()> {
    for name in from.listxattr()?.split(|&byte| byte == 0) {
        if !name.is_empty() && !name.starts_with(own) {
            to.setxattr(name, &from.getxattr(name)?, 0)?;
        }
    }
    if from.file_type() != FileType::Regular {
        return Ok(());
    }
    // Nobody else knows the copy: its pages are filled without the lock of writers.
    let Some(cache) = to.page_cache() else {
        bail!(EOPNOTSUPP, "overlay: the upper tree's files have no pages")
    };
    let size = from.metadata().size;
    let mut page = vec![0; PAGE_SIZE];
    let mut at = 0;
    while at < size {
        // Holes stay holes.
        at = match from.seek_data_hole(at, true) {
            Ok(data) => data - data % PAGE_SIZE as u64,
            Err(_) => break,
        };
        let read = from.read_at(at, &mut KernelDst::new(&mut page))?;
        if read == 0 {
            break;
        }
        cache.write_at(at, &mut KernelSrc::new(&page[..read]))?;
        at += read as u64;
    }
    if cache.size() < size {
        cache.truncate(size)?;
    }
    Ok(())
}
