//! Walking along a path.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

use smallvec::SmallVec;

use super::{LookupFlags, MAXSYMLINKS, NAME_MAX};
use crate::cred::Cred;
use crate::ensure;
use crate::error::{Errno, Result};
use crate::fs::permission::may_search;
use crate::fs::{Dentry, DentryFlags, INode, MountFlags, Path, hash_name, task_fs};
use crate::task::Task;

/// What a last component is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LastKind {
    /// A name.
    Norm,
    /// Nothing: the path was only slashes.
    Root,
    /// `.`
    Dot,
    /// `..`
    DotDot,
}

enum Text<'n> {
    Given(&'n [u8]),
    Link(Vec<u8>),
}

impl Text<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Text::Given(bytes) => bytes,
            Text::Link(bytes) => bytes,
        }
    }
}

/// The components still to walk: of the path, and of symlinks in it.
pub struct Names<'n> {
    text: Text<'n>,
    at: usize,
    /// Rests of the texts in which a symlink stood, innermost last. Never empty rests.
    rests: SmallVec<[(Text<'n>, usize); 1]>,
    /// Slashes followed the last component.
    pub trailing: bool,
}

impl<'n> Names<'n> {
    /// All of a path.
    pub fn new(path: &'n [u8]) -> Names<'n> {
        Names {
            text: Text::Given(path),
            at: 0,
            rests: SmallVec::new(),
            trailing: false,
        }
    }
    /// A component by the range that `link_path_walk` gave.
    pub fn get(&self, range: Range<usize>) -> &[u8] {
        &self.text.bytes()[range]
    }
    /// A symlink's target comes before what is left.
    fn push_link(&mut self, target: Vec<u8>) {
        let rest = core::mem::replace(&mut self.text, Text::Link(target));
        let at = core::mem::replace(&mut self.at, 0);
        if at < rest.bytes().len() {
            self.rests.push((rest, at));
        }
    }
}

/// A walk under way (Linux's `nameidata`).
pub struct Nameidata<'t> {
    /// Who walks.
    pub task: &'t Arc<Task>,
    /// With which rights.
    pub cred: Arc<Cred>,
    /// Where it is.
    pub path: Path,
    flags: LookupFlags,
    /// Where `/` leads, and above which `..` does not; fetched when needed.
    root: Option<Path>,
    /// When a walk that may not leave its root began.
    since: Option<u64>,
    links: u32,
}

impl<'t> Nameidata<'t> {
    /// A walk that begins where `name` does.
    pub fn new(
        task: &'t Arc<Task>,
        base: Option<&Path>,
        name: &[u8],
        flags: LookupFlags,
    ) -> Result<Nameidata<'t>> {
        let scoped = flags.intersects(LookupFlags::BENEATH | LookupFlags::IN_ROOT);
        let since = scoped.then(|| task.kernel().vfs.moves.moment());
        let absolute = name.first() == Some(&b'/');
        let (path, root) = if absolute && !scoped {
            let root = task_fs(task)?.root();
            (root.clone(), Some(root))
        } else {
            ensure!(
                !(absolute && flags.contains(LookupFlags::BENEATH)),
                EXDEV,
                "RESOLVE_BENEATH and an absolute path"
            );
            let base = match base {
                Some(base) => base.clone(),
                None => task_fs(task)?.pwd(),
            };
            let root = scoped.then(|| base.clone());
            (base, root)
        };
        ensure!(is_dir(&path.dentry), ENOTDIR);
        Ok(Nameidata {
            task,
            cred: task.cred(),
            path,
            flags,
            root,
            since,
            links: 0,
        })
    }

    fn root(&mut self) -> Result<&Path> {
        if self.root.is_none() {
            self.root = Some(task_fs(self.task)?.root());
        }
        self.root.as_ref().ok_or(crate::err!(ENOENT))
    }

    /// Walks all but the last component; returns what that is and where it stands in `names`.
    pub fn link_path_walk(&mut self, names: &mut Names<'_>) -> Result<(LastKind, Range<usize>)> {
        loop {
            let text = names.text.bytes();
            let start = names.at + slashes(&text[names.at..]);
            if start == text.len() {
                match names.rests.pop() {
                    Some((rest, at)) => {
                        (names.text, names.at) = (rest, at);
                        ensure!(is_dir(&self.path.dentry), ENOTDIR);
                        continue;
                    }
                    None => return Ok((LastKind::Root, 0..0)),
                }
            }
            let inode = self.path.inode()?;
            may_search(self.task, &self.cred, &**inode)?;
            let rest = &text[start..];
            let name = match rest.iter().position(|byte| *byte == b'/') {
                Some(len) => &rest[..len],
                None => rest,
            };
            let end = start + name.len();
            let next = end + slashes(&text[end..]);
            let kind = match name {
                [b'.'] => LastKind::Dot,
                [b'.', b'.'] => LastKind::DotDot,
                _ => LastKind::Norm,
            };
            names.at = next;
            // Slashes at the end of a link in the middle say nothing new.
            if next == text.len() && names.rests.is_empty() {
                names.trailing |= end < next;
                return Ok((kind, start..end));
            }
            match kind {
                LastKind::DotDot => self.dotdot()?,
                LastKind::Norm => {
                    let dentry = self.lookup(name)?;
                    if !self.step_into(names, dentry, true)? {
                        // A link was met: its target is walked from here.
                        continue;
                    }
                }
                _ => {}
            }
            ensure!(is_dir(&self.path.dentry), ENOTDIR);
        }
    }

    /// Walks the last component. False: it was a symlink to follow, and its target is to be walked.
    pub fn walk_last(
        &mut self,
        names: &mut Names<'_>,
        kind: LastKind,
        range: Range<usize>,
        follow: bool,
    ) -> Result<bool> {
        match kind {
            LastKind::Root | LastKind::Dot => Ok(true),
            LastKind::DotDot => self.dotdot().map(|()| true),
            LastKind::Norm => {
                let dentry = self.lookup(names.get(range))?;
                if follow
                    && dentry.is_symlink()
                    && let Some(inode) = dentry.inode()
                {
                    self.may_follow_link(&**inode)?;
                }
                self.step_into(names, dentry, follow)
            }
        }
    }

    /// What `protected_symlinks` demands of a link that ends a path: in a sticky directory where all may
    /// write, it belongs to who follows it or to the directory's owner.
    fn may_follow_link(&self, link: &dyn INode) -> Result<()> {
        const STICKY_AND_OPEN: u32 = 0o1002;
        if self.task.kernel().sysctl.protected_symlinks.get() == 0 {
            return Ok(());
        }
        let (link, dir) = (link.owner(), self.path.inode()?.owner());
        ensure!(
            self.cred.fsuid == link.uid
                || dir.mode & STICKY_AND_OPEN != STICKY_AND_OPEN
                || dir.uid == link.uid,
            EACCES,
            "protected_symlinks"
        );
        Ok(())
    }

    /// The end of the walk: checks what must hold of where it arrived.
    pub fn complete(self, directory: bool) -> Result<Path> {
        if self.flags.intersects(LookupFlags::BENEATH | LookupFlags::IN_ROOT)
            && let Some(root) = &self.root
        {
            let moves = &self.task.kernel().vfs.moves;
            loop {
                let moment = moves.moment();
                let inside = is_under(&self.path, root);
                if moves.none_since(moment) {
                    ensure!(inside, EXDEV, "the walk left its root");
                    break;
                }
            }
        }
        ensure!(!directory || is_dir(&self.path.dentry), ENOTDIR);
        Ok(self.path)
    }

    /// The dentry of a name in the directory where the walk is.
    #[inline]
    pub fn lookup(&self, name: &[u8]) -> Result<Arc<Dentry>> {
        let hash = hash_name(name);
        if let Some(dentry) = self.path.dentry.cached_child(name, hash) {
            return Ok(dentry);
        }
        lookup_slow(&self.path.dentry, name, hash)
    }

    /// Moves to `dentry`, a name in the directory where the walk is: over what is mounted there, and if
    /// it is a symlink to `follow`, to where its target is walked from. Then false.
    pub fn step_into(&mut self, names: &mut Names<'_>, dentry: Arc<Dentry>, follow: bool) -> Result<bool> {
        let mut mounted = None;
        if dentry.is_mountpoint() {
            mounted = self.cross_mounts(&dentry)?;
        }
        let at = mounted.as_ref().map_or(&dentry, |path: &Path| &path.dentry);
        ensure!(at.inode().is_some(), ENOENT);
        if follow && at.is_symlink() {
            let mount = mounted
                .as_ref()
                .map_or(&self.path.mount, |path| &path.mount)
                .clone();
            let link = Path::new(mount, at.clone());
            return self.pick_link(names, link);
        }
        match mounted {
            Some(path) => self.path = path,
            None => self.path.dentry = dentry,
        }
        Ok(true)
    }

    fn cross_mounts(&self, dentry: &Arc<Dentry>) -> Result<Option<Path>> {
        let mut found: Option<Path> = None;
        loop {
            let at = found.as_ref().map_or(dentry, |path| &path.dentry);
            let on = found.as_ref().map_or(&self.path.mount, |path| &path.mount);
            if !at.is_mountpoint() {
                break;
            }
            let Some(mount) = on.child_at(at) else { break };
            ensure!(
                !self.flags.contains(LookupFlags::NO_XDEV),
                EXDEV,
                "RESOLVE_NO_XDEV and a mountpoint"
            );
            if !self.flags.contains(LookupFlags::MOUNTPOINT) {
                mount.clear_expiry_mark();
            }
            found = Some(Path::root_of(&mount));
        }
        Ok(found)
    }

    fn pick_link(&mut self, names: &mut Names<'_>, link: Path) -> Result<bool> {
        self.links += 1;
        ensure!(self.links <= MAXSYMLINKS, ELOOP, "more than 40 symlinks");
        ensure!(
            !self.flags.contains(LookupFlags::NO_SYMLINKS)
                && !link.mount.flags().contains(MountFlags::NOSYMFOLLOW),
            ELOOP,
            "symlinks are not followed here"
        );
        let inode = link.inode()?;
        if let Some(target) = inode.magic_link(self.task) {
            let target = target?;
            ensure!(
                !self.flags.contains(LookupFlags::NO_MAGICLINKS),
                ELOOP,
                "RESOLVE_NO_MAGICLINKS and a magic link"
            );
            ensure!(
                !self.flags.contains(LookupFlags::NO_XDEV) || Arc::ptr_eq(&target.mount, &self.path.mount),
                EXDEV,
                "RESOLVE_NO_XDEV and a magic link to another mount"
            );
            ensure!(
                !self.flags.intersects(LookupFlags::BENEATH | LookupFlags::IN_ROOT),
                EXDEV,
                "a magic link leaves the root"
            );
            self.path = target;
            return Ok(true);
        }
        let target = inode.readlink()?;
        crate::fs::touch_atime(self.task.kernel(), &link);
        ensure!(!target.is_empty(), ENOENT, "the symlink is empty");
        if target[0] == b'/' {
            ensure!(
                !self.flags.contains(LookupFlags::BENEATH),
                EXDEV,
                "RESOLVE_BENEATH and an absolute symlink"
            );
            let no_xdev = self.flags.contains(LookupFlags::NO_XDEV);
            let root = self.root()?.clone();
            ensure!(
                !no_xdev || Arc::ptr_eq(&root.mount, &self.path.mount),
                EXDEV,
                "RESOLVE_NO_XDEV and a symlink to another mount"
            );
            self.path = root;
        }
        names.push_link(target);
        Ok(false)
    }

    /// `..`
    fn dotdot(&mut self) -> Result<()> {
        let root = self.root()?.clone();
        loop {
            if self.path == root {
                ensure!(
                    !self.flags.contains(LookupFlags::BENEATH),
                    EXDEV,
                    "RESOLVE_BENEATH and a step above the root"
                );
                break;
            }
            if !self.path.is_mount_root() {
                let Some(parent) = self.path.dentry.parent() else {
                    break;
                };
                // A bind mount of a directory that was then moved out of it.
                ensure!(
                    Arc::ptr_eq(&self.path.mount.root, &self.path.mount.sb.root)
                        || parent.is_subdir(&self.path.mount.root),
                    ENOENT,
                    "the directory was moved out of the mount"
                );
                self.path.dentry = parent;
                break;
            }
            let Some(mountpoint) = self.path.mount.mountpoint() else {
                break;
            };
            ensure!(
                !self.flags.contains(LookupFlags::NO_XDEV),
                EXDEV,
                "RESOLVE_NO_XDEV and a step out of a mount"
            );
            self.path = mountpoint;
        }
        self.lookup_down()?;
        ensure!(
            self.since
                .is_none_or(|since| self.task.kernel().vfs.moves.none_since(since)),
            EAGAIN,
            "something moved while a walk confined to its root met .."
        );
        Ok(())
    }

    /// Onto what is mounted where the walk is.
    pub fn lookup_down(&mut self) -> Result<()> {
        if self.path.dentry.is_mountpoint()
            && let Some(path) = self.cross_mounts(&self.path.dentry)?
        {
            self.path = path;
        }
        Ok(())
    }
}

#[inline]
fn is_dir(dentry: &Dentry) -> bool {
    dentry.is_dir()
}

/// How many slashes a text begins with.
#[inline]
fn slashes(text: &[u8]) -> usize {
    match text {
        [] => 0,
        [b'/', rest @ ..] if rest.first() != Some(&b'/') => 1,
        _ => text.iter().take_while(|byte| **byte == b'/').count(),
    }
}

/// Whether `path` is `root` or below it, over mounts (Linux's `path_is_under`).
pub fn is_under(path: &Path, root: &Path) -> bool {
    let mut at = path.clone();
    while !Arc::ptr_eq(&at.mount, &root.mount) {
        match at.mount.mountpoint() {
            Some(mountpoint) => at = mountpoint,
            None => return false,
        }
    }
    at.dentry.is_subdir(&root.dentry)
}

#[cold]
fn lookup_slow(dir: &Arc<Dentry>, name: &[u8], hash: u64) -> Result<Arc<Dentry>> {
    ensure!(name.len() <= NAME_MAX, ENAMETOOLONG);
    let inode = dir.inode().ok_or(crate::err!(ENOENT))?;
    let cached = dir.flags().contains(DentryFlags::CACHED);
    let _locked = cached.then(|| inode.common().dir.lock());
    lookup_one(dir, name, hash)
}

/// Looks a name up in a directory that the caller has locked (if its file system is cacheable).
pub fn lookup_one(dir: &Arc<Dentry>, name: &[u8], hash: u64) -> Result<Arc<Dentry>> {
    ensure!(name.len() <= NAME_MAX, ENAMETOOLONG);
    if let Some(dentry) = dir.cached_child(name, hash) {
        return Ok(dentry);
    }
    let inode = dir.inode().ok_or(crate::err!(ENOENT))?;
    match inode.lookup(name) {
        Ok(found) => Ok(dir.add_child(name, hash, Some(found))),
        Err(error) if error.errno() == Errno::ENOENT && inode.has_negative_names() => {
            Ok(dir.add_child(name, hash, None))
        }
        Err(error) => Err(error),
    }
}
