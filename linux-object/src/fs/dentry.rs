//! The dentry cache: names that were looked up, found or not.
//!
//! Model: a [`Dentry`] is one name in one directory. Whether it leads to an inode never changes
//! during its life: a *negative* dentry (the name is not there) is replaced when the name is
//! created, a positive one is taken out of its parent when the name is removed. Its parent and name
//! change only by rename. A walk over cached names takes one lock per component and allocates nothing.
//!
//! Invariants: a child refers to its parent strongly. A parent refers to its children strongly where
//! the file system allows caching; the cycle is broken when the name is removed, and for
//! the rest by [`Dentry::shrink_tree`] when the superblock goes. Elsewhere (procfs …) a parent
//! refers to its children weakly and a dentry lives as long as it is used.
//! Negative dentries per directory are bounded.
//!
//! Locks: `class::Dentry` for the children, a leaf for parent and name. Changes of the children follow
//! changes of the directory, so they happen under the directory's lock.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};

use hashbrown::HashTable;
use smallvec::SmallVec;

use super::{FileType, INode, Moves};
use crate::sync::{SpinLock, class};

/// A file name; short ones are kept in place.
pub type Name = SmallVec<[u8; 24]>;

bitflags::bitflags! {
    /// What is known about a dentry.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct DentryFlags: u32 {
        /// Its parent holds it (only strongly if also `CACHED`).
        const HASHED = 1 << 0;
        /// The file system allows keeping dentries that nobody uses.
        const CACHED = 1 << 1;
        /// Not part of a tree: pipes, sockets, anonymous files. Its name is shown as it is.
        const PSEUDO = 1 << 2;
        /// The name was removed while in use.
        const DELETED = 1 << 3;
        /// Its inode is a directory.
        const DIRECTORY = 1 << 4;
        /// Its inode is a symbolic link.
        const SYMLINK = 1 << 5;
    }
}

/// One name in one directory.
pub struct Dentry {
    inode: Option<Arc<dyn INode>>,
    flags: AtomicU32,
    /// How many mounts stand on it, in all mount trees.
    mounted: AtomicU32,
    place: SpinLock<Place, class::Leaf>,
    children: SpinLock<Children, class::Dentry>,
}

struct Place {
    /// `None` for a root.
    parent: Option<Arc<Dentry>>,
    name: Name,
}

#[derive(Default)]
struct Children {
    table: HashTable<Child>,
    negative: usize,
}

struct Child {
    hash: u64,
    name: Name,
    dentry: ChildRef,
}

enum ChildRef {
    Kept(Arc<Dentry>),
    Used(Weak<Dentry>),
}

impl Child {
    fn get(&self) -> Option<Arc<Dentry>> {
        match &self.dentry {
            ChildRef::Kept(dentry) => Some(dentry.clone()),
            ChildRef::Used(dentry) => dentry.upgrade(),
        }
    }
    fn is(&self, dentry: *const Dentry) -> bool {
        match &self.dentry {
            ChildRef::Kept(child) => Arc::as_ptr(child) == dentry,
            ChildRef::Used(child) => child.as_ptr() == dentry,
        }
    }
}

/// More negative dentries than this in one directory, and they are all forgotten.
const MAX_NEGATIVE: usize = 128;

/// A cheap hash of a name.
pub fn hash_name(name: &[u8]) -> u64 {
    const K: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut hash = name.len() as u64;
    let (words, tail) = name.as_chunks::<8>();
    for word in words {
        hash = (hash.rotate_left(5) ^ u64::from_le_bytes(*word)).wrapping_mul(K);
    }
    let len = tail.len();
    let last = if let (Some(first), Some(last)) = (tail.first_chunk::<4>(), tail.last_chunk::<4>()) {
        u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32
    } else if len > 0 {
        u64::from(tail[0]) | u64::from(tail[len / 2]) << 8 | u64::from(tail[len - 1]) << 16
    } else {
        0
    };
    hash = (hash.rotate_left(5) ^ last).wrapping_mul(K);
    hash ^ hash >> 32
}

impl Dentry {
    fn make(
        inode: Option<Arc<dyn INode>>,
        flags: DentryFlags,
        parent: Option<Arc<Dentry>>,
        name: Name,
    ) -> Arc<Dentry> {
        let kind = match inode.as_ref().map(|inode| inode.file_type()) {
            Some(FileType::Directory) => DentryFlags::DIRECTORY,
            Some(FileType::Symlink) => DentryFlags::SYMLINK,
            _ => DentryFlags::empty(),
        };
        let flags = flags | kind;
        Arc::new(Dentry {
            inode,
            flags: AtomicU32::new(flags.bits()),
            mounted: AtomicU32::new(0),
            place: SpinLock::new(Place { parent, name }),
            children: SpinLock::new(Children::default()),
        })
    }

    /// The root of a file system.
    pub fn root(inode: Arc<dyn INode>, cached: bool) -> Arc<Dentry> {
        let flags = if cached {
            DentryFlags::CACHED
        } else {
            DentryFlags::empty()
        };
        Dentry::make(Some(inode), flags, None, Name::from_slice(b"/"))
    }

    /// A dentry outside of any tree, shown as `name`.
    pub fn pseudo(inode: Arc<dyn INode>, name: &[u8]) -> Arc<Dentry> {
        Dentry::make(Some(inode), DentryFlags::PSEUDO, None, Name::from_slice(name))
    }

    /// A dentry that no directory lists (`O_TMPFILE`): shown as deleted.
    pub fn unlisted(parent: &Arc<Dentry>, inode: Arc<dyn INode>, name: &[u8]) -> Arc<Dentry> {
        Dentry::make(
            Some(inode),
            DentryFlags::DELETED,
            Some(parent.clone()),
            Name::from_slice(name),
        )
    }

    /// The inode; `None` if the name is not there.
    #[inline]
    pub fn inode(&self) -> Option<&Arc<dyn INode>> {
        self.inode.as_ref()
    }
    /// Whether it leads to a directory.
    #[inline]
    pub fn is_dir(&self) -> bool {
        self.flags().contains(DentryFlags::DIRECTORY)
    }
    /// Whether it leads to a symbolic link.
    #[inline]
    pub fn is_symlink(&self) -> bool {
        self.flags().contains(DentryFlags::SYMLINK)
    }
    /// What is known about it.
    #[inline]
    pub fn flags(&self) -> DentryFlags {
        DentryFlags::from_bits_retain(self.flags.load(Ordering::Acquire))
    }
    fn set(&self, flags: DentryFlags) {
        self.flags.fetch_or(flags.bits(), Ordering::AcqRel);
    }
    fn clear(&self, flags: DentryFlags) {
        self.flags.fetch_and(!flags.bits(), Ordering::AcqRel);
    }
    /// Whether its name was removed (`d_unlinked`).
    pub fn is_deleted(&self) -> bool {
        self.flags().contains(DentryFlags::DELETED)
    }
    /// The directory it is in; `None` for a root.
    pub fn parent(&self) -> Option<Arc<Dentry>> {
        self.place.lock().parent.clone()
    }
    /// Its name.
    pub fn name(&self) -> Name {
        self.place.lock().name.clone()
    }
    /// Whether something is mounted on it, anywhere.
    #[inline]
    pub fn is_mountpoint(&self) -> bool {
        self.mounted.load(Ordering::Acquire) != 0
    }
    pub(super) fn mount_added(&self) {
        self.mounted.fetch_add(1, Ordering::AcqRel);
    }
    pub(super) fn mount_removed(&self) {
        self.mounted.fetch_sub(1, Ordering::AcqRel);
    }

    /// Whether this is `ancestor` or below it (Linux's `is_subdir`). Stable only while renames are
    /// kept out.
    pub fn is_subdir(self: &Arc<Dentry>, ancestor: &Arc<Dentry>) -> bool {
        let mut at = self.clone();
        loop {
            if Arc::ptr_eq(&at, ancestor) {
                return true;
            }
            let Some(parent) = at.parent() else {
                return false;
            };
            at = parent;
        }
    }

    /// The cached dentry of a name. For file systems whose names come and go on their own, only if
    /// it still leads to its inode.
    #[inline]
    pub fn cached_child(&self, name: &[u8], hash: u64) -> Option<Arc<Dentry>> {
        let found = {
            let children = self.children.lock();
            children
                .table
                .find(hash, |child| child.hash == hash && child.name[..] == *name)?
                .get()?
        };
        if self.flags.load(Ordering::Relaxed) & DentryFlags::CACHED.bits() == 0
            && let Some(inode) = found.inode()
            && !inode.revalidate()
        {
            found.unhash();
            return None;
        }
        Some(found)
    }

    /// Notes what a lookup or a creation found. The directory is locked. An older dentry of the
    /// name is forgotten.
    pub fn add_child(
        self: &Arc<Dentry>,
        name: &[u8],
        hash: u64,
        inode: Option<Arc<dyn INode>>,
    ) -> Arc<Dentry> {
        let keep = self.flags().contains(DentryFlags::CACHED);
        let negative = inode.is_none();
        let flags = self.flags() & DentryFlags::CACHED;
        if negative && !keep || self.is_deleted() {
            return Dentry::make(inode, flags, Some(self.clone()), Name::from_slice(name));
        }
        let dentry = Dentry::make(
            inode,
            flags | DentryFlags::HASHED,
            Some(self.clone()),
            Name::from_slice(name),
        );
        let forgotten = self.insert(&dentry, name, hash);
        drop(forgotten);
        dentry
    }

    fn insert(&self, dentry: &Arc<Dentry>, name: &[u8], hash: u64) -> Vec<Child> {
        let mut forgotten = Vec::new();
        let keep = self.flags().contains(DentryFlags::CACHED);
        let mut children = self.children.lock();
        let Children { table, negative } = &mut *children;
        if let Ok(old) = table.find_entry(hash, |child| child.hash == hash && child.name[..] == *name) {
            let (old, _) = old.remove();
            if let ChildRef::Kept(old) = &old.dentry {
                old.clear(DentryFlags::HASHED);
                *negative -= usize::from(old.inode.is_none());
            }
            forgotten.push(old);
        }
        if dentry.inode.is_none() {
            if *negative >= MAX_NEGATIVE {
                forgotten.extend(table.extract_if(
                    |child| matches!(&child.dentry, ChildRef::Kept(dentry) if dentry.inode.is_none()),
                ));
                *negative = 0;
            }
            *negative += 1;
        }
        if table.try_reserve(1, |child| child.hash).is_ok() {
            let dentry = if keep {
                ChildRef::Kept(dentry.clone())
            } else {
                ChildRef::Used(Arc::downgrade(dentry))
            };
            table.insert_unique(
                hash,
                Child {
                    hash,
                    name: Name::from_slice(name),
                    dentry,
                },
                |child| child.hash,
            );
        } else {
            dentry.clear(DentryFlags::HASHED);
            if dentry.inode.is_none() {
                *negative -= 1;
            }
        }
        forgotten
    }

    fn remove_child(&self, name: &[u8], dentry: *const Dentry) -> Option<Child> {
        let hash = hash_name(name);
        let mut children = self.children.lock();
        let Ok(entry) = children.table.find_entry(hash, |child| child.is(dentry)) else {
            return None;
        };
        let (child, _) = entry.remove();
        if let ChildRef::Kept(dentry) = &child.dentry
            && dentry.inode.is_none()
        {
            children.negative -= 1;
        }
        Some(child)
    }

    /// Takes the dentry out of its parent (Linux's `d_drop`): the next walk looks the name up again.
    pub fn unhash(&self) {
        let (parent, name) = {
            let place = self.place.lock();
            (place.parent.clone(), place.name.clone())
        };
        self.clear(DentryFlags::HASHED);
        if let Some(parent) = parent {
            let child = parent.remove_child(&name, self);
            drop(child);
        }
    }

    /// The name was removed from its directory (Linux's `d_delete`).
    pub fn delete(&self) {
        self.set(DentryFlags::DELETED);
        self.unhash();
        self.forget_children();
    }

    /// Forgets what is cached below it.
    pub fn forget_children(&self) {
        let children = core::mem::take(&mut *self.children.lock());
        drop(children);
    }

    /// The dentry got a new place (Linux's `d_move`). Both directories are locked. What was
    /// at the new place is forgotten.
    pub fn move_to(self: &Arc<Dentry>, moves: &Moves, parent: &Arc<Dentry>, name: &[u8]) {
        let _moving = self.is_dir().then(|| moves.begin());
        self.unhash();
        let old = {
            let mut place = self.place.lock();
            place.name = Name::from_slice(name);
            place.parent.replace(parent.clone())
        };
        self.set(DentryFlags::HASHED);
        self.clear(DentryFlags::DELETED);
        let forgotten = parent.insert(self, name, hash_name(name));
        drop((old, forgotten));
    }

    /// Two dentries change places (`RENAME_EXCHANGE`).
    pub fn exchange(self: &Arc<Dentry>, moves: &Moves, other: &Arc<Dentry>) {
        let (Some(self_dir), Some(other_dir)) = (self.parent(), other.parent()) else {
            return;
        };
        let (self_name, other_name) = (self.name(), other.name());
        other.unhash();
        self.move_to(moves, &other_dir, &other_name);
        other.move_to(moves, &self_dir, &self_name);
    }

    /// The cached children that are not negative.
    pub fn cached_children(&self) -> Vec<Arc<Dentry>> {
        let children = self.children.lock();
        children
            .table
            .iter()
            .filter_map(Child::get)
            .filter(|child| child.inode.is_some())
            .collect()
    }

    /// Forgets which names are known not to be there, in the whole tree (`vm.drop_caches`).
    pub fn forget_negative(root: &Arc<Dentry>) {
        let mut todo = alloc::vec![root.clone()];
        while let Some(dir) = todo.pop() {
            let forgotten: Vec<Child> = {
                let mut children = dir.children.lock();
                children.negative = 0;
                let negative = |child: &mut Child| matches!(&child.dentry, ChildRef::Kept(dentry) if dentry.inode.is_none());
                children.table.extract_if(negative).collect()
            };
            drop(forgotten);
            todo.extend(dir.cached_children().into_iter().filter(|child| child.is_dir()));
        }
    }

    /// Breaks the cycles between parents and children when the superblock goes.
    pub fn shrink_tree(root: &Arc<Dentry>) {
        let mut todo = alloc::vec![root.clone()];
        while let Some(dentry) = todo.pop() {
            let children = core::mem::take(&mut *dentry.children.lock());
            for child in children.table {
                if let ChildRef::Kept(child) = child.dentry {
                    child.clear(DentryFlags::HASHED);
                    todo.push(child);
                }
            }
        }
    }
}

impl Drop for Dentry {
    /// Leaves the parent's table. Parents that go with it go one after the other, not nested: a
    /// tree may be deeper than the kernel's stack.
    fn drop(&mut self) {
        if *self.flags.get_mut() & DentryFlags::DELETED.bits() != 0
            && let Some(inode) = &self.inode
        {
            super::notify::name_gone(&**inode);
        }
        let mut above = leave(self);
        while let Some(parent) = above {
            above = match Arc::into_inner(parent) {
                Some(mut parent) => leave(&mut parent),
                None => None,
            };
        }
    }
}

fn leave(dentry: &mut Dentry) -> Option<Arc<Dentry>> {
    let place = dentry.place.get_mut();
    let parent = place.parent.take()?;
    if *dentry.flags.get_mut() & DentryFlags::HASHED.bits() != 0 {
        let name = core::mem::take(&mut place.name);
        let child = parent.remove_child(&name, dentry);
        drop(child);
    }
    Some(parent)
}
