//! Changes of the mount trees.
//!
//! Everything here runs with the token of `class::MountTopology`. What must be dropped (mounts, dentries)
//! is collected and dropped after the lock is released, since the last reference may free a
//! whole file system.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use hashbrown::{HashMap, HashSet};

use super::table::{MountKey, MountTable};
use super::{Mount, MountFlags, Propagation};
use crate::error::Result;
use crate::fs::{Dentry, Moves, Path, Vfs};
use crate::kernel::Kernel;
use crate::namespace::MountNamespace;
use crate::{bail, ensure};

bitflags::bitflags! {
    /// How a tree of mounts is copied (Linux's `CL_*`).
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct CopyFlags: u32 {
        /// The copies are shared, as peers of their originals.
        const MAKE_SHARED = 1 << 0;
        /// The copies are slaves of their originals.
        const SLAVE = 1 << 1;
        /// The copies are private.
        const PRIVATE = 1 << 2;
        /// Copies of shared mounts are slaves.
        const SHARED_TO_SLAVE = 1 << 3;
        /// Unbindable mounts are copied too.
        const COPY_UNBINDABLE = 1 << 4;
        /// Bind mounts of mount namespaces are copied too.
        const COPY_MNT_NS_FILE = 1 << 5;
    }
}

bitflags::bitflags! {
    /// How a tree is unmounted (Linux's `UMOUNT_*` of `fs/namespace.c`).
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct UmountHow: u32 {
        /// Nothing uses it any more.
        const SYNC = 1 << 0;
        /// It propagates.
        const PROPAGATE = 1 << 1;
        /// The mounts stay together.
        const CONNECTED = 1 << 2;
    }
}

/// What the topology lock protects; functions that change mount trees take it as a token.
pub struct MountTopology {
    pub(super) propagation: Propagation,
    /// Mounts that stand in a namespace, for propagation.
    pub(super) mounts: MountTable<Weak<Mount>>,
    moves: Arc<Moves>,
    /// Dropped after the lock is released.
    garbage: Garbage,
}

#[derive(Default)]
struct Garbage {
    mounts: Vec<Arc<Mount>>,
    dentries: Vec<Arc<Dentry>>,
    /// Namespaces whose trees changed.
    changed: Vec<Arc<MountNamespace>>,
    /// Namespaces that were looked at: their last reference must not go under the lock.
    seen: Vec<Arc<MountNamespace>>,
}

impl Vfs {
    /// Runs a change of mount trees.
    pub fn change_mounts<T>(&self, change: impl FnOnce(&mut MountTopology) -> T) -> T {
        let (result, garbage) = {
            let mut topology = self.topology();
            let result = change(&mut topology);
            (result, core::mem::take(&mut topology.garbage))
        };
        garbage.changed.iter().for_each(|ns| ns.touch());
        result
    }
}

impl MountTopology {
    /// No mounts yet; those that will move are counted in `moves`.
    pub(in crate::fs) fn new(moves: Arc<Moves>) -> MountTopology {
        MountTopology {
            propagation: Propagation::default(),
            mounts: MountTable::default(),
            moves,
            garbage: Garbage::default(),
        }
    }

    pub(super) fn shared(&self, mount: &Mount) -> bool {
        self.propagation.shared(mount.key).is_some()
    }

    pub(super) fn discard(&mut self, mount: Arc<Mount>) {
        self.garbage.mounts.push(mount);
    }

    /// The namespace of a mount.
    pub(super) fn ns_of(&mut self, mount: &Mount) -> Option<Arc<MountNamespace>> {
        let ns = mount.ns()?;
        self.garbage.seen.push(ns.clone());
        Some(ns)
    }

    /// The mounts of a namespace in the order of its list.
    pub(super) fn mounts_of(&self, ns: &MountNamespace) -> Vec<Arc<Mount>> {
        ns.mounts.lock().list.values().cloned().collect()
    }

    pub(super) fn note_change(&mut self, ns: Option<Arc<MountNamespace>>) {
        if let Some(ns) = ns
            && !self.garbage.changed.iter().any(|other| Arc::ptr_eq(other, &ns))
        {
            self.garbage.changed.push(ns);
        }
    }

    /// Stands `child` on a dentry of `parent`. What stood there comes to stand on the child's root.
    pub(super) fn place(&mut self, child: &Arc<Mount>, parent: &Arc<Mount>, dentry: &Arc<Dentry>) {
        let moves = self.moves.clone();
        let _moving = moves.begin();
        let beneath = parent.child_at(dentry);
        if let Some(above) = &beneath {
            self.unplace(above);
        }
        {
            let mut links = child.links.lock();
            links.parent = Arc::downgrade(parent);
            let old = links.mountpoint.replace(dentry.clone());
            drop(links);
            self.garbage.dentries.extend(old);
        }
        dentry.mount_added();
        let key = Arc::as_ptr(dentry).addr();
        parent.children.lock().insert(key, Arc::downgrade(child));
        if let Some(above) = beneath {
            // On top of whatever stands on the child's root already.
            let mut top = child.clone();
            while let Some(next) = top.child_at(&top.root) {
                top = next;
            }
            let root = top.root.clone();
            self.place(&above, &top, &root);
        }
    }

    /// Takes a mount off its mountpoint.
    pub(super) fn unplace(&mut self, mount: &Arc<Mount>) {
        let _moving = self.moves.begin();
        let (parent, dentry) = {
            let mut links = mount.links.lock();
            (
                core::mem::take(&mut links.parent).upgrade(),
                links.mountpoint.take(),
            )
        };
        let Some(dentry) = dentry else { return };
        if let Some(parent) = parent {
            let key = Arc::as_ptr(&dentry).addr();
            let mut children = parent.children.lock();
            if children
                .get(&key)
                .is_some_and(|child| child.as_ptr() == Arc::as_ptr(mount))
            {
                children.remove(&key);
            }
            drop(children);
            self.garbage.mounts.push(parent);
        }
        dentry.mount_removed();
        self.garbage.dentries.push(dentry);
    }

    /// Enters mounts into a namespace, which owns them from here on.
    pub(super) fn adopt(&mut self, tree: Vec<Arc<Mount>>, ns: &Arc<MountNamespace>) {
        for mount in tree {
            mount.links.lock().ns = Arc::downgrade(ns);
            self.mounts.insert(mount.key, Arc::downgrade(&mount));
            let mut mounts = ns.mounts.lock();
            let key = mounts.next;
            mounts.next += 1;
            mounts.list.insert(key, mount.clone());
            mount.ns_key.store(key, Ordering::Relaxed);
            drop(mounts);
        }
        self.note_change(Some(ns.clone()));
    }

    /// Takes a mount out of its namespace; the caller's reference may be the last.
    fn disown(&mut self, mount: &Arc<Mount>) {
        let ns = core::mem::take(&mut mount.links.lock().ns).upgrade();
        if let Some(ns) = ns {
            let removed = ns
                .mounts
                .lock()
                .list
                .remove(&mount.ns_key.load(Ordering::Relaxed));
            self.garbage.mounts.extend(removed);
            self.note_change(Some(ns));
        }
        self.mounts.remove(mount.key);
    }

    /// A copy of one mount that shows `root` of its superblock (Linux's `clone_mnt`). `ENOMEM`.
    pub(super) fn clone_mnt(
        &mut self,
        kernel: &Arc<Kernel>,
        old: &Arc<Mount>,
        root: Arc<Dentry>,
        how: CopyFlags,
    ) -> Result<Arc<Mount>> {
        let dropped =
            MountFlags::INTERNAL | MountFlags::UMOUNT | MountFlags::EXPIRY_MARK | MountFlags::WRITE_HOLD;
        let new = Mount::charged(kernel, old.sb.clone(), root, &old.source, old.flags() & !dropped)?;
        let shared = self.shared(old);
        if how.contains(CopyFlags::SLAVE) || how.contains(CopyFlags::SHARED_TO_SLAVE) && shared {
            self.propagation.copy_as_slave(old.key, new.key);
        } else if !how.contains(CopyFlags::PRIVATE) {
            self.propagation.copy(old.key, new.key);
        }
        if how.contains(CopyFlags::MAKE_SHARED) {
            self.propagation.make_shared(new.key);
        }
        Ok(new)
    }

    /// Copies a mount from `root` down, with what is mounted below (Linux's `copy_tree`). The copies
    /// belong to nobody; the first is the root.
    pub(super) fn copy_tree(
        &mut self,
        kernel: &Arc<Kernel>,
        old: &Arc<Mount>,
        root: &Arc<Dentry>,
        how: CopyFlags,
    ) -> Result<Vec<Arc<Mount>>> {
        self.copy_tree_with(kernel, old, root, how, &mut |_, _| {})
    }

    /// Likewise; tells of each copy with its original.
    pub(super) fn copy_tree_with(
        &mut self,
        kernel: &Arc<Kernel>,
        old: &Arc<Mount>,
        root: &Arc<Dentry>,
        how: CopyFlags,
        each: &mut dyn FnMut(&Arc<Mount>, &Arc<Mount>),
    ) -> Result<Vec<Arc<Mount>>> {
        let keep_unbindable = how.contains(CopyFlags::COPY_UNBINDABLE);
        ensure!(
            keep_unbindable || !self.propagation.is_unbindable(old.key),
            EINVAL,
            "the mount is unbindable"
        );
        let top = self.clone_mnt(kernel, old, root.clone(), how)?;
        top.set_flags(MountFlags::LOCKED, MountFlags::empty());
        each(old, &top);
        let mut copies = alloc::vec![top.clone()];
        let mut todo: Vec<(Arc<Mount>, Arc<Mount>)> = Vec::new();
        let push_children = |todo: &mut Vec<_>, mount: &Arc<Mount>, copy: &Arc<Mount>| {
            for child in mount.children().into_iter().rev() {
                todo.push((child, copy.clone()));
            }
        };
        push_children(&mut todo, old, &top);
        while let Some((mount, parent)) = todo.pop() {
            let Some(at) = mount.mountpoint() else { continue };
            if Arc::ptr_eq(&at.mount, old) && !at.dentry.is_subdir(root) {
                continue;
            }
            if !keep_unbindable && self.propagation.is_unbindable(mount.key) {
                if mount.flags().contains(MountFlags::LOCKED) {
                    self.discard_tree(copies);
                    bail!(EPERM, "an unbindable mount may not be uncovered");
                }
                continue;
            }
            if !how.contains(CopyFlags::COPY_MNT_NS_FILE) && is_mnt_ns_file(&mount.root) {
                continue;
            }
            let room = kernel.hal.check_reserve();
            let copy = match room.and_then(|()| self.clone_mnt(kernel, &mount, mount.root.clone(), how)) {
                Ok(copy) => copy,
                Err(error) => {
                    self.discard_tree(copies);
                    return Err(error);
                }
            };
            self.place(&copy, &parent, &at.dentry);
            each(&mount, &copy);
            copies.push(copy.clone());
            push_children(&mut todo, &mount, &copy);
        }
        Ok(copies)
    }

    /// Takes back copies that were not attached.
    pub(super) fn discard_tree(&mut self, tree: Vec<Arc<Mount>>) {
        for mount in tree {
            self.unplace(&mount);
            self.propagation.make_private(mount.key, false);
            self.garbage.mounts.push(mount);
        }
    }

    /// A mount and all below it, parents first.
    pub(super) fn tree(root: &Arc<Mount>) -> Vec<Arc<Mount>> {
        let mut out = Vec::new();
        let mut todo = alloc::vec![root.clone()];
        while let Some(mount) = todo.pop() {
            todo.extend(mount.children().into_iter().rev());
            out.push(mount);
        }
        out
    }

    /// Attaches a tree at `at`, and copies of it wherever that propagates (Linux's
    /// `attach_recursive_mnt`). `new` are mounts that belong to nobody yet; `None`: the tree under
    /// `source` moves. On failure nothing has changed, and `new` is taken back.
    pub(super) fn attach(
        &mut self,
        kernel: &Arc<Kernel>,
        source: &Arc<Mount>,
        new: Option<Vec<Arc<Mount>>>,
        at: &Path,
    ) -> Result<()> {
        let Some(ns) = self.ns_of(&at.mount) else {
            if let Some(new) = new {
                self.discard_tree(new);
            }
            bail!(EINVAL, "the mountpoint is in no namespace");
        };
        let tree = MountTopology::tree(source);
        let prepared = self.propagate_mnt(kernel, source, &tree, at, new.is_some().then_some(&ns));
        let copies = match prepared {
            Ok(copies) => copies,
            Err(error) => {
                if let Some(new) = new {
                    self.discard_tree(new);
                }
                return Err(error);
            }
        };
        // From here on nothing fails.
        match new {
            Some(new) => {
                self.place(source, &at.mount, &at.dentry);
                self.adopt(new, &ns);
            }
            None => {
                let from = self.ns_of(source);
                self.note_change(from);
                self.unplace(source);
                self.place(source, &at.mount, &at.dentry);
                if !source.is_in(&ns) {
                    // Out of a detached tree.
                    for mount in &tree {
                        self.disown(mount);
                    }
                    self.adopt(tree, &ns);
                }
                self.note_change(Some(ns.clone()));
            }
        }
        for (copy, parent) in copies {
            let Some(parent_ns) = self.ns_of(&parent) else {
                self.discard_tree(copy);
                continue;
            };
            if !Arc::ptr_eq(parent_ns.user_ns(), ns.user_ns()) {
                lock_mnt_tree(&copy);
            }
            copy[0].set_flags(MountFlags::LOCKED, MountFlags::empty());
            let root = copy[0].clone();
            self.place(&root, &parent, &at.dentry);
            self.adopt(copy, &parent_ns);
        }
        Ok(())
    }

    /// The copies that propagation asks for, each with the mount it goes to (Linux's `propagate_mnt`).
    #[allow(clippy::type_complexity)]
    fn propagate_mnt(
        &mut self,
        kernel: &Arc<Kernel>,
        source: &Arc<Mount>,
        tree: &[Arc<Mount>],
        at: &Path,
        new_in: Option<&Arc<MountNamespace>>,
    ) -> Result<Vec<(Vec<Arc<Mount>>, Arc<Mount>)>> {
        let max = kernel.sysctl.mount_max.get_u64();
        let mut pending: HashMap<u64, u64> = HashMap::new();
        let mut count = |ns: &Arc<MountNamespace>, more: usize| -> Result<()> {
            let pending = pending.entry(ns.koid().0).or_default();
            *pending += more as u64;
            let have = ns.mounts.lock().list.len() as u64;
            ensure!(have + *pending <= max, ENOSPC, "mount-max");
            Ok(())
        };
        if let Some(ns) = new_in {
            count(ns, tree.len())?;
        }
        let Some(group) = self.propagation.shared(at.mount.key) else {
            return Ok(Vec::new());
        };
        let mut made_shared = Vec::new();
        for mount in tree {
            if !self.shared(mount) {
                self.propagation.make_shared(mount.key);
                made_shared.push(mount.key);
            }
        }
        let mut sources = HashMap::new();
        sources.insert(group, source.clone());
        let mut copies: Vec<(Vec<Arc<Mount>>, Arc<Mount>)> = Vec::new();
        let mut failed = None;
        for receiver in self.propagation.receivers(at.mount.key) {
            let Some(parent) = self.mounts.get(receiver.mount).and_then(Weak::upgrade) else {
                continue;
            };
            if !at.dentry.is_subdir(&parent.root) {
                self.garbage.mounts.push(parent);
                continue;
            }
            let own = receiver.group.and_then(|group| sources.get(&group));
            let (original, how) = match own {
                Some(original) => (original.clone(), CopyFlags::MAKE_SHARED),
                None => {
                    // The nearest group above that got a copy.
                    let mut from = Some(receiver.from);
                    while let Some(group) = from.filter(|group| !sources.contains_key(group)) {
                        from = self.propagation.master_of_group(group);
                    }
                    let original = from.and_then(|group| sources.get(&group)).unwrap_or(source);
                    let mut how = CopyFlags::SLAVE;
                    if receiver.group.is_some() {
                        how |= CopyFlags::MAKE_SHARED;
                    }
                    (original.clone(), how)
                }
            };
            let root = original.root.clone();
            let copy = match self.copy_tree(kernel, &original, &root, how) {
                Ok(copy) => copy,
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            };
            if let Some(group) = receiver.group {
                sources.entry(group).or_insert_with(|| copy[0].clone());
            }
            let counted = match self.ns_of(&parent) {
                Some(ns) => count(&ns, copy.len()),
                None => Ok(()),
            };
            copies.push((copy, parent));
            if let Err(error) = counted {
                failed = Some(error);
                break;
            }
        }
        if let Some(error) = failed {
            for (copy, parent) in copies {
                self.discard_tree(copy);
                self.garbage.mounts.push(parent);
            }
            for mount in made_shared {
                self.propagation.make_private(mount, false);
            }
            return Err(error);
        }
        Ok(copies)
    }

    /// Unmounts a tree (Linux's `umount_tree`).
    pub(super) fn umount_tree(&mut self, root: &Arc<Mount>, how: UmountHow) {
        let mut list = MountTopology::tree(root);
        if how.contains(UmountHow::PROPAGATE) {
            self.propagate_umount(&mut list);
        }
        for mount in &list {
            mount.set_flags(MountFlags::UMOUNT, MountFlags::UMOUNT);
        }
        for mount in list {
            self.disown(&mount);
            let parent = mount.parent();
            let connected = parent.is_some_and(|parent| {
                let stays = !how.contains(UmountHow::SYNC)
                    && parent.flags().contains(MountFlags::UMOUNT)
                    && (how.contains(UmountHow::CONNECTED) || mount.flags().contains(MountFlags::LOCKED));
                if stays {
                    parent.links.lock().kept.push(mount.clone());
                }
                self.garbage.mounts.push(parent);
                stays
            });
            if !connected {
                self.unplace(&mount);
            }
            self.propagation.make_private(mount.key, false);
            self.garbage.mounts.push(mount);
        }
    }

    /// Adds what goes along (Linux's `propagate_umount`): at each mount that a parent propagates to, the
    /// mount at the same place, unless something else is mounted on it. Mounts on top of it fall
    /// down to where it stood.
    fn propagate_umount(&mut self, list: &mut Vec<Arc<Mount>>) {
        let mut going: HashSet<MountKey> = list.iter().map(|mount| mount.key).collect();
        let mut candidates: Vec<Arc<Mount>> = Vec::new();
        let mut seen: HashSet<MountKey> = HashSet::new();
        for mount in list.iter() {
            let Some(at) = mount.mountpoint() else { continue };
            for receiver in self.propagation.receivers(at.mount.key) {
                let Some(parent) = self.mounts.get(receiver.mount).and_then(Weak::upgrade) else {
                    continue;
                };
                if let Some(child) = parent.child_at(&at.dentry)
                    && !going.contains(&child.key)
                    && seen.insert(child.key)
                {
                    candidates.push(child);
                }
                self.garbage.mounts.push(parent);
            }
        }
        // Which of them have nothing on them that stays, but for mounts on their roots.
        loop {
            let before = going.len();
            for mount in &candidates {
                if going.contains(&mount.key) {
                    continue;
                }
                let locked = mount.flags().contains(MountFlags::LOCKED)
                    && !mount.parent().is_some_and(|parent| going.contains(&parent.key));
                let free = mount.children().iter().all(|child| {
                    going.contains(&child.key)
                        || child
                            .mountpoint()
                            .is_some_and(|at| Arc::ptr_eq(&at.dentry, &mount.root))
                });
                if free && !locked {
                    going.insert(mount.key);
                }
            }
            if going.len() == before {
                break;
            }
        }
        for mount in candidates {
            if !going.contains(&mount.key) {
                self.garbage.mounts.push(mount);
                continue;
            }
            // A mount on its root that stays takes its place.
            if let Some(topper) = mount.child_at(&mount.root)
                && !going.contains(&topper.key)
                && let Some(at) = self.surviving_place(&mount, &going)
            {
                self.unplace(&mount);
                self.unplace(&topper);
                self.place(&topper, &at.mount, &at.dentry);
            }
            list.push(mount);
        }
    }

    fn surviving_place(&self, mount: &Arc<Mount>, going: &HashSet<MountKey>) -> Option<Path> {
        let mut at = mount.mountpoint()?;
        while going.contains(&at.mount.key) {
            at = at.mount.mountpoint()?;
        }
        Some(at)
    }
}

/// Mounts that came from a more privileged namespace: their flags and places are locked.
pub(super) fn lock_mnt_tree(tree: &[Arc<Mount>]) {
    for (n, mount) in tree.iter().enumerate() {
        let flags = mount.flags();
        let mut lock = MountFlags::LOCK_ATIME;
        for (flag, locked) in [
            (MountFlags::READONLY, MountFlags::LOCK_READONLY),
            (MountFlags::NODEV, MountFlags::LOCK_NODEV),
            (MountFlags::NOSUID, MountFlags::LOCK_NOSUID),
            (MountFlags::NOEXEC, MountFlags::LOCK_NOEXEC),
        ] {
            if flags.contains(flag) {
                lock |= locked;
            }
        }
        if n > 0 {
            lock |= MountFlags::LOCKED;
        }
        mount.set_flags(lock, lock);
    }
}

/// Whether a mount of this file in `ns` would make a mount namespace hold itself: it is that of a
/// namespace which is not younger (Linux's `mnt_ns_loop`).
pub(super) fn mnt_ns_loop(file: &Arc<Dentry>, ns: &Arc<MountNamespace>) -> bool {
    let other = file.inode().and_then(|inode| inode.mnt_ns());
    other.is_some_and(|other| ns.koid() >= other.koid())
}

/// Whether a mount shows the file of a mount namespace: a copy in another namespace could make a cycle.
pub(super) fn is_mnt_ns_file(root: &Arc<Dentry>) -> bool {
    root.inode().is_some_and(|inode| inode.mnt_ns().is_some())
}
