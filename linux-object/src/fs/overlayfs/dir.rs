//! Entries of overlay directories: making, removing, moving, listing (Linux's `dir.c` and `readdir.c`).
//!
//! The VFS holds the locks of the overlay directories, so names do not change meanwhile.

use alloc::sync::Arc;
use alloc::vec::Vec;

use hashbrown::HashMap;

use super::inode::{OvlInode, Places};
use super::real::{self, Entry};
use super::{Ovl, is_whiteout, layers};
use crate::error::Result;
use crate::fs::{CreateSpec, DevT, FileType, INode, Name, Path};
use crate::{ensure, err};

fn whiteout_spec(ovl: &Ovl) -> CreateSpec {
    CreateSpec {
        file_type: FileType::CharDevice,
        mode: 0,
        uid: ovl.cred.fsuid,
        gid: ovl.cred.fsgid,
        rdev: DevT::default(),
    }
}

/// A whiteout in the work directory, ready to be moved to its place: one more name of the inode that all share, of a
/// new one where that is not possible (Linux's `ovl_whiteout`).
fn whiteout(ovl: &Ovl, work: &Path) -> Result<Name> {
    let name = ovl.temp_name();
    let shared = ovl.whiteout.lock().clone();
    if let Some(shared) = shared
        && real::link(ovl, work, &name, &shared).is_ok()
    {
        return Ok(name);
    }
    let kept = ovl.temp_name();
    let made = real::create(ovl, work, &kept, &whiteout_spec(ovl), None)?
        .inode()?
        .clone();
    if real::link(ovl, work, &name, &made).is_err() {
        return Ok(kept);
    }
    let old = ovl.whiteout.lock().replace(made);
    drop(old);
    Ok(name)
}

impl OvlInode {
    /// Itself as the VFS knows it, for its children.
    pub(super) fn this(&self) -> Result<Arc<OvlInode>> {
        self.this.upgrade().ok_or(err!(ESTALE))
    }

    /// Makes a file that the overlay does not show yet.
    pub(super) fn make(
        &self,
        name: &[u8],
        spec: &CreateSpec,
        target: Option<&[u8]>,
    ) -> Result<Arc<dyn INode>> {
        let dir = self.copy_up()?;
        let is_dir = spec.file_type == FileType::Directory;
        let hidden = real::lookup(&dir, name)?.is_some();
        let new = if hidden {
            self.over_whiteout(&dir, name, is_dir, |work, temp| {
                real::create(&self.ovl, work, temp, spec, target)
            })?
        } else {
            real::create(&self.ovl, &dir, name, spec, target)?
        };
        let places = Places {
            upper: Some(new),
            lowers: Vec::new(),
        };
        Ok(OvlInode::new(&self.ovl, Some(self.this()?), name, places)?)
    }

    /// Makes something in the work directory and puts it where a whiteout is.
    fn over_whiteout(
        &self,
        dir: &Path,
        name: &[u8],
        is_dir: bool,
        make: impl FnOnce(&Path, &[u8]) -> Result<Path>,
    ) -> Result<Path> {
        let work = layers::work_dir(self.ovl.upper()?)?;
        let temp = self.ovl.temp_name();
        let new = make(&work, &temp)?;
        let mut done = Ok(());
        if is_dir {
            // What the whiteout hid stays hidden.
            done = self
                .ovl
                .set_opaque(&new)
                .map_err(|_| err!(EIO, "overlay: the upper tree keeps no attributes"));
        }
        let done = done.and_then(|()| real::rename(&work, &temp, dir, name, is_dir));
        if let Err(error) = done {
            let _ = real::remove(&work, &temp, is_dir);
            return Err(error);
        }
        if is_dir {
            real::remove(&work, &temp, false)?;
        }
        Ok(new)
    }

    /// Gives a file of the upper tree another name.
    pub(super) fn make_link(&self, name: &[u8], file: &Arc<dyn INode>) -> Result<()> {
        let dir = self.copy_up()?;
        if real::lookup(&dir, name)?.is_some() {
            self.over_whiteout(&dir, name, false, |work, temp| {
                real::link(&self.ovl, work, temp, file)
            })?;
        } else {
            real::link(&self.ovl, &dir, name, file)?;
        }
        Ok(())
    }

    /// Whether a directory shows no entry; whiteouts in the upper tree are then removed from it.
    fn empty(&self, places: &Places, name: &[u8]) -> Result<()> {
        let dir = OvlInode::new(&self.ovl, None, name, places.clone())?;
        ensure!(dir.merged()?.is_empty(), ENOTEMPTY);
        if let Some(upper) = &places.upper {
            for name in real::names(upper)? {
                real::remove(upper, &name, false)?;
            }
        }
        Ok(())
    }

    /// Removes a name.
    pub(super) fn remove(&self, name: &[u8], is_dir: bool) -> Result<()> {
        let places = self.find(name)?;
        ensure!(places.top().is_some(), ENOENT);
        let dir = self.copy_up()?;
        if is_dir {
            self.empty(&places, name)?;
        }
        let covers = self.lower_has(name)?;
        let is_up = places.upper.is_some();
        if is_up && !covers {
            return real::remove(&dir, name, is_dir);
        }
        // The whiteout takes the place in one step.
        let work = layers::work_dir(self.ovl.upper()?)?;
        let temp = whiteout(&self.ovl, &work)?;
        let exchange = is_up && is_dir;
        if let Err(error) = real::rename(&work, &temp, &dir, name, exchange) {
            let _ = real::remove(&work, &temp, false);
            return Err(error);
        }
        if exchange {
            real::remove(&work, &temp, true)?;
        }
        Ok(())
    }

    /// The place of a name in the upper tree, where it is copied first if need be.
    fn name_up(&self, name: &[u8], places: &Places) -> Result<()> {
        if places.upper.is_some() {
            return Ok(());
        }
        match self.in_use(places) {
            Some(inode) => inode.copy_up().map(drop),
            None => OvlInode::new(&self.ovl, Some(self.this()?), name, places.clone())?
                .copy_up()
                .map(drop),
        }
    }

    /// Moves a name to where the VFS found that it may go, or exchanges two.
    pub(super) fn move_name(&self, name: &[u8], to: &OvlInode, to_name: &[u8], exchange: bool) -> Result<()> {
        let (source, target) = (self.find(name)?, to.find(to_name)?);
        ensure!(source.top().is_some(), ENOENT);
        let stays = |places: &Places| places.is_dir() && !places.lowers.is_empty();
        ensure!(
            !stays(&source) && (!exchange || !stays(&target)),
            EXDEV,
            "overlay: a directory with something under it stays where it is"
        );
        let (old_dir, new_dir) = (self.copy_up()?, to.copy_up()?);
        self.name_up(name, &source)?;
        let (old_covers, new_covers) = (self.lower_has(name)?, to.lower_has(to_name)?);
        if exchange {
            to.name_up(to_name, &target)?;
            if source.is_dir() && new_covers {
                self.hide_under(&old_dir, name)?;
            }
            if target.is_dir() && old_covers {
                self.hide_under(&new_dir, to_name)?;
            }
            return real::rename(&old_dir, name, &new_dir, to_name, true);
        }
        if target.is_dir() {
            to.empty(&target, to_name)?;
        }
        if source.is_dir() {
            if new_covers {
                self.hide_under(&old_dir, name)?;
            }
            // A whiteout or an empty directory makes room.
            if let Some(there) = real::lookup(&new_dir, to_name)? {
                let is_dir = there.inode()?.file_type() == FileType::Directory;
                real::remove(&new_dir, to_name, is_dir)?;
            }
        }
        real::rename(&old_dir, name, &new_dir, to_name, false)?;
        if old_covers {
            real::create(&self.ovl, &old_dir, name, &whiteout_spec(&self.ovl), None)?;
        }
        Ok(())
    }

    /// What lies under the new place of a directory of the upper tree shall not be seen in it.
    fn hide_under(&self, dir: &Path, name: &[u8]) -> Result<()> {
        let path = real::lookup(dir, name)?.ok_or(err!(ENOENT))?;
        if self.ovl.is_opaque(&path) {
            return Ok(());
        }
        self.ovl
            .set_opaque(&path)
            .map_err(|_| err!(EXDEV, "overlay: the upper tree keeps no attributes"))
    }

    /// The entries of all trees.
    pub(super) fn merged(&self) -> Result<Vec<Entry>> {
        let places = self.places();
        let mut list: Vec<Entry> = Vec::new();
        // Where in the list a name of the upper tree is; `None`: it is settled.
        let mut seen: HashMap<crate::fs::Name, Option<usize>> = HashMap::new();
        let upper = places.upper.iter().map(|path| (path, true));
        let lowers = places.lowers.iter().map(|path| (path, false));
        for (dir, is_upper) in upper.chain(lowers) {
            for entry in real::entries(dir)? {
                if let Some(known) = seen.get(&entry.name) {
                    // A file that was copied up keeps its number.
                    if let Some(n) = *known
                        && !is_upper
                        && list[n].file_type == entry.file_type
                    {
                        list[n].ino = entry.ino;
                        seen.insert(entry.name, None);
                    }
                    continue;
                }
                let hides = entry.file_type == FileType::CharDevice
                    && real::lookup(dir, &entry.name)?
                        .is_some_and(|path| path.dentry.inode().is_some_and(|inode| is_whiteout(&**inode)));
                if hides {
                    seen.insert(entry.name, None);
                } else {
                    seen.insert(entry.name.clone(), is_upper.then_some(list.len()));
                    list.push(entry);
                }
            }
        }
        Ok(list)
    }
}
