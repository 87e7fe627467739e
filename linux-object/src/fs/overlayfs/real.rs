//! Operations on the trees: what the VFS does for a caller, done for the overlay.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Ovl;
use crate::error::Result;
use crate::fs::namei::lookup_one;
use crate::fs::permission::Access;
use crate::fs::{CreateSpec, Dentry, FileType, INode, InodeFlags, Name, Path, hash_name};
use crate::{ensure, err};

/// An entry of a directory.
pub(super) struct Entry {
    pub name: Name,
    pub ino: u64,
    pub file_type: FileType,
}

/// The place of a name, if it is there.
pub(super) fn lookup(dir: &Path, name: &[u8]) -> Result<Option<Path>> {
    let _locked = dir.inode()?.common().dir.lock_nested();
    let dentry = lookup_one(&dir.dentry, name, hash_name(name))?;
    Ok(dentry
        .inode()
        .is_some()
        .then(|| Path::new(dir.mount.clone(), dentry.clone())))
}

/// The entries of a directory.
pub(super) fn entries(dir: &Path) -> Result<Vec<Entry>> {
    let mut list = Vec::new();
    let inode = dir.inode()?;
    let _locked = inode.common().dir.lock_nested();
    inode.readdir(2, &mut |name, ino, file_type, _| {
        list.push(Entry {
            name: Name::from_slice(name),
            ino,
            file_type,
        });
        true
    })?;
    Ok(list)
}

/// Their names.
pub(super) fn names(dir: &Path) -> Result<Vec<Name>> {
    Ok(entries(dir)?.into_iter().map(|entry| entry.name).collect())
}

fn add(
    ovl: &Ovl,
    dir: &Path,
    name: &[u8],
    make: impl FnOnce(&dyn INode) -> Result<Arc<dyn INode>>,
) -> Result<Path> {
    ovl.may(dir, Access::WRITE | Access::EXEC)?;
    let _write = dir.mount.write_guard()?;
    let inode = dir.inode()?;
    let _locked = inode.common().dir.lock_nested();
    ensure!(
        !inode.common().flags().contains(InodeFlags::DEAD),
        ENOENT,
        "overlay: the directory was removed"
    );
    let hash = hash_name(name);
    ensure!(
        lookup_one(&dir.dentry, name, hash)?.inode().is_none(),
        EEXIST,
        "overlay: the name is there"
    );
    let new = make(&**inode)?;
    Ok(Path::new(
        dir.mount.clone(),
        dir.dentry.add_child(name, hash, Some(new)),
    ))
}

/// Makes a file of any type; `target` is a symlink's.
pub(super) fn create(
    ovl: &Ovl,
    dir: &Path,
    name: &[u8],
    spec: &CreateSpec,
    target: Option<&[u8]>,
) -> Result<Path> {
    add(ovl, dir, name, |inode| match target {
        Some(target) => inode.symlink(name, target, spec),
        None => inode.create(name, spec),
    })
}

/// Gives a file another name.
pub(super) fn link(ovl: &Ovl, dir: &Path, name: &[u8], file: &Arc<dyn INode>) -> Result<Path> {
    add(ovl, dir, name, |inode| {
        inode.link(name, file)?;
        Ok(file.clone())
    })
}

/// Removes a name.
pub(super) fn remove(dir: &Path, name: &[u8], is_dir: bool) -> Result<()> {
    let _write = dir.mount.write_guard()?;
    let inode = dir.inode()?;
    let _locked = inode.common().dir.lock_nested();
    let victim = lookup_one(&dir.dentry, name, hash_name(name))?;
    let target = victim.inode().ok_or(err!(ENOENT))?;
    if is_dir {
        let _victim = target.common().dir.lock_nested();
        inode.rmdir(name)?;
        target.common().set_flags(InodeFlags::DEAD);
    } else {
        inode.unlink(name)?;
    }
    victim.delete();
    Ok(())
}

/// Moves a name, or exchanges two. Directories only replace nothing.
pub(super) fn rename(from: &Path, name: &[u8], to: &Path, to_name: &[u8], exchange: bool) -> Result<()> {
    let _write = from.mount.write_guard()?;
    let (old_dir, new_dir) = (from.inode()?, to.inode()?);
    let same = Arc::ptr_eq(&from.dentry, &to.dentry);
    let old_first = if to.dentry.is_subdir(&from.dentry) {
        true
    } else if from.dentry.is_subdir(&to.dentry) {
        false
    } else {
        Arc::as_ptr(&from.dentry) < Arc::as_ptr(&to.dentry)
    };
    let (first, second) = if old_first {
        (old_dir, new_dir)
    } else {
        (new_dir, old_dir)
    };
    let _first = first.common().dir.lock_nested();
    let _second = (!same).then(|| second.common().dir.lock_nested());
    let source = lookup_one(&from.dentry, name, hash_name(name))?;
    let target: Arc<Dentry> = lookup_one(&to.dentry, to_name, hash_name(to_name))?;
    ensure!(source.inode().is_some(), ENOENT);
    old_dir.rename(name, new_dir, to_name, exchange)?;
    if exchange {
        source.exchange(&from.mount.sb.moves, &target);
    } else {
        if target.inode().is_some() {
            target.delete();
        }
        source.move_to(&from.mount.sb.moves, &to.dentry, to_name);
    }
    Ok(())
}
