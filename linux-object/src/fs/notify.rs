//! File system notification: the hooks that the VFS calls (`inotify(7)`, `F_NOTIFY` of `fcntl(2)`).
//!
//! Model: an inode has [`Marks`]; each [`Mark`] is a watch of some [`Inotify`](super::inotify::Inotify)
//! instance, or an open directory that signals are wanted about ([`dnotify`](super::dnotify)). The VFS reports what
//! happens to an inode with [`inode_event`] and to the entries of a directory with [`dir_event`]. An inode without
//! marks costs one load.
//!
//! Locks: the list of marks is `class::Leaf`; events are queued after it is released. Hooks may be
//! called with any lock held that ranks before `class::Ready`.

use alloc::sync::Arc;
use core::any::Any;
use core::sync::atomic::{AtomicU32, Ordering};

use smallvec::SmallVec;

use super::{INode, InodeCommon};
use crate::ensure;
use crate::error::Result;
use crate::sync::{SpinLock, class};

bitflags::bitflags! {
    /// What happened, and how to watch (`linux/inotify.h`).
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    #[allow(missing_docs)]
    pub struct NotifyMask: u32 {
        const ACCESS = 0x001;
        const MODIFY = 0x002;
        const ATTRIB = 0x004;
        const CLOSE_WRITE = 0x008;
        const CLOSE_NOWRITE = 0x010;
        const OPEN = 0x020;
        const MOVED_FROM = 0x040;
        const MOVED_TO = 0x080;
        const CREATE = 0x100;
        const DELETE = 0x200;
        const DELETE_SELF = 0x400;
        const MOVE_SELF = 0x800;
        const UNMOUNT = 0x2000;
        const Q_OVERFLOW = 0x4000;
        const IGNORED = 0x8000;
        /// Both names of a rename are in this directory. No number of user space: for `F_NOTIFY` alone.
        const RENAME = 0x1_0000;
        const ONLYDIR = 0x0100_0000;
        const DONT_FOLLOW = 0x0200_0000;
        const EXCL_UNLINK = 0x0400_0000;
        const MASK_CREATE = 0x1000_0000;
        const MASK_ADD = 0x2000_0000;
        const ISDIR = 0x4000_0000;
        const ONESHOT = 0x8000_0000;
    }
}

impl NotifyMask {
    /// The events that can be asked for (`IN_ALL_EVENTS`).
    pub const ALL_EVENTS: NotifyMask = NotifyMask::from_bits_retain(0xfff);
}

/// Somebody who wants to hear what happens to an inode.
pub(super) trait Mark: Any + Send + Sync {
    /// What is asked for, with `IN_ONESHOT` and `IN_EXCL_UNLINK`.
    fn mask(&self) -> NotifyMask;
    /// It happened, to the entry `name` of the directory or to the inode itself.
    fn tell(&self, mask: NotifyMask, name: Option<&[u8]>, cookie: u32);
    /// There is nothing more to hear.
    fn end(&self);
}

/// The marks of one inode.
#[derive(Default)]
pub struct Marks {
    /// The union of what they ask for.
    mask: AtomicU32,
    list: SpinLock<SmallVec<[Arc<dyn Mark>; 1]>, class::Leaf>,
}

impl Marks {
    /// Whether some watch asks for one of these.
    #[inline]
    pub fn wants(&self, mask: NotifyMask) -> bool {
        self.mask.load(Ordering::Relaxed) & mask.bits() != 0
    }

    /// Whether there is any.
    #[inline]
    pub(super) fn any(&self) -> bool {
        self.mask.load(Ordering::Relaxed) != 0
    }

    /// Adds a mark, unless `merge` takes up what it asks for in one that is there. `ENOMEM`.
    pub(super) fn add(&self, mark: Arc<dyn Mark>, merge: impl Fn(&dyn Mark) -> bool) -> Result<()> {
        let mut list = self.list.lock();
        if !list.iter().any(|mark| merge(&**mark)) {
            ensure!(list.try_reserve(1).is_ok(), ENOMEM, "no memory for a mark");
            list.push(mark);
        }
        self.mask.store(union(&list), Ordering::Relaxed);
        Ok(())
    }

    /// Removes a mark. Returns it for the caller to drop.
    pub(super) fn remove(&self, is: impl Fn(&dyn Mark) -> bool) -> Option<Arc<dyn Mark>> {
        let mut list = self.list.lock();
        let at = list.iter().position(|mark| is(&**mark))?;
        let removed = list.remove(at);
        self.mask.store(union(&list), Ordering::Relaxed);
        Some(removed)
    }

    /// Recomputes the union after a mark changed what it asks for.
    pub(super) fn changed(&self) {
        let list = self.list.lock();
        self.mask.store(union(&list), Ordering::Relaxed);
    }

    /// The marks, newest last.
    pub(super) fn all(&self) -> SmallVec<[Arc<dyn Mark>; 4]> {
        self.list.lock().iter().cloned().collect()
    }
}

fn union(list: &[Arc<dyn Mark>]) -> u32 {
    list.iter().fold(0, |mask, watch| {
        mask | watch.mask().bits() | NotifyMask::UNMOUNT.bits()
    })
}

/// Something happened to an inode.
#[inline]
pub fn inode_event(inode: &dyn INode, mask: NotifyMask) {
    if inode.common().marks.wants(mask) {
        tell(inode.common(), mask, None, 0, false);
    }
}

/// Something happened to the entry `name` of a directory. `cookie` joins the two halves of a
/// rename (see [`cookie`]); `isdir` tells about the entry.
#[inline]
pub fn dir_event(dir: &dyn INode, mask: NotifyMask, name: &[u8], cookie: u32, isdir: bool) {
    dir_event_of(dir, mask, name, cookie, isdir, false);
}

/// [`dir_event`] about a file that may have lost its name: watches with `IN_EXCL_UNLINK` do not hear it.
#[inline]
pub fn dir_event_of(
    dir: &dyn INode,
    mask: NotifyMask,
    name: &[u8],
    cookie: u32,
    isdir: bool,
    unlinked: bool,
) {
    if dir.common().marks.wants(mask) {
        let mask = if isdir { mask | NotifyMask::ISDIR } else { mask };
        tell(dir.common(), mask, Some(name), cookie, unlinked);
    }
}

/// The inode lost its last name and its last user: `IN_DELETE_SELF`, and all its watches end.
pub fn inode_removed(inode: &dyn INode) {
    end_watches(inode, NotifyMask::DELETE_SELF);
}

/// A removed name of the inode has lost its last user. If it was the last name, that is the end.
#[inline]
pub fn name_gone(inode: &dyn INode) {
    if inode.common().marks.any() && inode.metadata().nlink == 0 {
        inode_removed(inode);
    }
}

/// The inode lost a name or a user: if that was the last of both, [`inode_removed`].
#[inline]
pub fn inode_released(inode: &dyn INode) {
    let common = inode.common();
    if common.marks.any() && common.opens.load(Ordering::Acquire) == 0 && inode.metadata().nlink == 0 {
        inode_removed(inode);
    }
}

/// The file system of the inode was unmounted: `IN_UNMOUNT`, and all its watches end.
pub fn inode_unmounted(inode: &dyn INode) {
    end_watches(inode, NotifyMask::UNMOUNT);
}

fn end_watches(inode: &dyn INode, mask: NotifyMask) {
    let marks = &inode.common().marks;
    if !marks.any() {
        return;
    }
    for mark in marks.all() {
        mark.tell(mask, None, 0);
        mark.end();
    }
}

/// A number for the two events of one rename. `counter` is the kernel's.
pub fn cookie(counter: &AtomicU32) -> u32 {
    loop {
        let cookie = counter.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        if cookie != 0 {
            return cookie;
        }
    }
}

#[cold]
fn tell(common: &InodeCommon, happened: NotifyMask, name: Option<&[u8]>, cookie: u32, unlinked: bool) {
    for mark in common.marks.all() {
        let asked = mark.mask();
        if !asked.intersects(happened & (NotifyMask::ALL_EVENTS | NotifyMask::RENAME)) {
            continue;
        }
        if unlinked && asked.contains(NotifyMask::EXCL_UNLINK) {
            continue;
        }
        mark.tell(happened, name, cookie);
        if asked.contains(NotifyMask::ONESHOT) {
            mark.end();
        }
    }
}
