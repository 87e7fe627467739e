//! Advisory locks: `flock(2)`, POSIX record locks and open-file-description locks (`fcntl(2)`).
//!
//! Model: an inode has a list of whole-file locks, owned by open file descriptions, and a list of
//! record locks, owned by descriptor tables (POSIX) or descriptions (OFD). Two locks conflict if they
//! overlap, have different owners and one is exclusive. The records of one owner never overlap, and
//! adjacent ones of one kind are joined.
//!
//! Who must wait does so on [`FileLocks::queue`] and tries again; [`BlockedLocks`] keeps who waits for
//! whom, to refuse a wait that would close a circle (`EDEADLK`, POSIX locks only). [`LockedInodes`] knows which inodes
//! have locks, for `/proc/locks`.

use alloc::boxed::Box;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use spin::Once;

use super::{DevT, INode, OpenFile, PollEvents};
use crate::error::Result;
use crate::sync::{SpinLock, WaitQueue, class};
use crate::task::pid::Pid;
use crate::{bail, ensure};

/// Last byte a lock may cover (`OFFSET_MAX`).
pub const OFFSET_MAX: u64 = i64::MAX as u64;

/// A record lock, or the wish for one.
#[derive(Clone)]
pub struct RecordLock {
    /// The descriptor table or description.
    pub owner: usize,
    /// An open-file-description lock.
    pub ofd: bool,
    /// First byte.
    pub start: u64,
    /// Last byte.
    pub end: u64,
    /// Write lock.
    pub exclusive: bool,
    /// The process that took it, for `F_GETLK`; `None` for OFD locks.
    pub pid: Option<Arc<Pid>>,
}

impl RecordLock {
    fn overlaps(&self, other: &RecordLock) -> bool {
        self.start <= other.end && other.start <= self.end
    }
    fn same_owner(&self, other: &RecordLock) -> bool {
        self.owner == other.owner && self.ofd == other.ofd
    }
    fn conflicts(&self, other: &RecordLock) -> bool {
        !self.same_owner(other) && (self.exclusive || other.exclusive) && self.overlaps(other)
    }
}

/// A whole-file lock, or the wish for one.
#[derive(Clone)]
pub struct Flock {
    /// The description.
    pub owner: usize,
    /// `LOCK_EX`.
    pub exclusive: bool,
    /// The process that took it, for `/proc/locks`.
    pub pid: Option<Arc<Pid>>,
}

#[derive(Default)]
struct Lists {
    flocks: Vec<Flock>,
    /// Sorted by start within one owner.
    records: Vec<RecordLock>,
    /// Those that wait, each with a number of its own.
    waiting: Vec<(u64, Wish)>,
    next_waiter: u64,
}

/// What somebody waits for.
#[derive(Clone)]
pub enum Wish {
    /// `flock(2)`.
    Flock(Flock),
    /// `F_SETLKW`, `F_OFD_SETLKW`.
    Record(RecordLock),
}

/// A lock as `/proc/locks` shows it.
pub struct ListedLock {
    /// The lock, or the wish.
    pub lock: Wish,
    /// It waits for the one before it that does not.
    pub waits: bool,
}

#[derive(Default)]
struct Context {
    lists: SpinLock<Lists, class::FileLocks>,
    queue: WaitQueue,
    /// [`LockedInodes`] has the inode.
    listed: AtomicBool,
}

/// Somebody waits; ends with it.
pub struct Waiting<'a> {
    context: &'a Context,
    number: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut lists = self.context.lists.lock();
        let at = lists
            .waiting
            .iter()
            .position(|(number, _)| *number == self.number);
        let gone = at.map(|at| lists.waiting.remove(at));
        drop(lists);
        drop(gone);
    }
}

/// The locks of an inode; costs one word until the first lock.
#[derive(Default)]
pub struct FileLocks {
    context: Once<Box<Context>>,
}

impl FileLocks {
    fn context(&self) -> &Context {
        self.context.call_once(Box::default)
    }

    /// Where to wait after a conflict.
    pub fn queue(&self) -> &WaitQueue {
        &self.context().queue
    }

    fn wake(&self) {
        if let Some(context) = self.context.get() {
            context.queue.wake_all(PollEvents::all());
        }
    }

    /// Takes or converts a whole-file lock; `EAGAIN` on conflict. A lock that is to be converted is
    /// given up first, as in Linux.
    pub fn flock(&self, wish: &Flock) -> Result<()> {
        let Flock { owner, exclusive, .. } = *wish;
        let context = self.context();
        let mut gave_up = false;
        let result = {
            let mut lists = context.lists.lock();
            if let Some(at) = lists.flocks.iter().position(|lock| lock.owner == owner) {
                if lists.flocks[at].exclusive == exclusive {
                    return Ok(());
                }
                lists.flocks.remove(at);
                gave_up = true;
            }
            if lists.flocks.iter().any(|lock| lock.exclusive || exclusive) {
                Err(crate::err!(EAGAIN, "another description holds the lock"))
            } else if lists.flocks.try_reserve(1).is_err() {
                Err(crate::err!(ENOLCK))
            } else {
                lists.flocks.push(wish.clone());
                Ok(())
            }
        };
        if gave_up {
            self.wake();
        }
        result
    }

    /// Gives a whole-file lock up.
    pub fn flock_unlock(&self, owner: usize) {
        let Some(context) = self.context.get() else { return };
        let removed = {
            let mut lists = context.lists.lock();
            let before = lists.flocks.len();
            lists.flocks.retain(|lock| lock.owner != owner);
            lists.flocks.len() != before
        };
        if removed {
            self.wake();
        }
    }

    /// The first lock that stands against `wish` (`F_GETLK`).
    pub fn test(&self, wish: &RecordLock) -> Option<RecordLock> {
        let context = self.context.get()?;
        let lists = context.lists.lock();
        lists.records.iter().find(|lock| lock.conflicts(wish)).cloned()
    }

    /// Takes a record lock, replacing what the owner held in the range. On conflict nothing
    /// changes and the lock in the way is returned.
    pub fn set(&self, blocked: &BlockedLocks, wish: &RecordLock) -> Result<Result<(), RecordLock>> {
        let context = self.context();
        {
            let mut lists = context.lists.lock();
            if let Some(lock) = lists.records.iter().find(|lock| lock.conflicts(wish)) {
                return Ok(Err(lock.clone()));
            }
            replace(&mut lists.records, wish, true)?;
        }
        // Giving up a write lock for a read lock may let others in.
        blocked.forget_blocker(wish.owner, self);
        self.wake();
        Ok(Ok(()))
    }

    /// Gives up what the owner of `range` holds in it.
    pub fn unset(&self, blocked: &BlockedLocks, range: &RecordLock) -> Result<()> {
        let Some(context) = self.context.get() else {
            return Ok(());
        };
        replace(&mut context.lists.lock().records, range, false)?;
        blocked.forget_blocker(range.owner, self);
        self.wake();
        Ok(())
    }

    /// A descriptor of the table was closed: all its POSIX locks go.
    pub fn remove_posix(&self, owner: usize) {
        self.remove_records(owner, false);
    }

    /// A description is gone: its `flock` and its OFD locks go.
    pub fn remove_file(&self, owner: usize) {
        if self.context.get().is_some() {
            self.flock_unlock(owner);
            self.remove_records(owner, true);
        }
    }

    fn remove_records(&self, owner: usize, ofd: bool) {
        let Some(context) = self.context.get() else { return };
        let removed: Vec<RecordLock> = context
            .lists
            .lock()
            .records
            .extract_if(.., |lock| lock.owner == owner && lock.ofd == ofd)
            .collect();
        if !removed.is_empty() {
            self.wake();
        }
    }

    /// Shows a wish in `/proc/locks` as long as what it returns lives.
    pub fn wait(&self, wish: Wish) -> Result<Waiting<'_>> {
        let context = self.context();
        let mut lists = context.lists.lock();
        if lists.waiting.try_reserve(1).is_err() {
            bail!(ENOLCK);
        }
        let number = lists.next_waiter;
        lists.next_waiter += 1;
        lists.waiting.push((number, wish));
        Ok(Waiting { context, number })
    }

    /// All locks, each with those behind it that wait for it first.
    fn list(&self) -> Vec<ListedLock> {
        let Some(context) = self.context.get() else {
            return Vec::new();
        };
        let lists = context.lists.lock();
        let mut left: Vec<&Wish> = lists.waiting.iter().map(|(_, wish)| wish).collect();
        let flocks = lists.flocks.iter().cloned().map(Wish::Flock);
        let records = lists.records.iter().cloned().map(Wish::Record);
        let mut list = Vec::new();
        for lock in flocks.chain(records) {
            let waiters: Vec<Wish> = left
                .extract_if(.., |wish| wish.conflicts(&lock))
                .cloned()
                .collect();
            list.push(ListedLock { lock, waits: false });
            list.extend(waiters.into_iter().map(|lock| ListedLock { lock, waits: true }));
        }
        list
    }

    fn address(&self) -> usize {
        core::ptr::from_ref(self).addr()
    }
}

impl Wish {
    fn conflicts(&self, lock: &Wish) -> bool {
        match (self, lock) {
            (Wish::Flock(wish), Wish::Flock(lock)) => {
                wish.owner != lock.owner && (wish.exclusive || lock.exclusive)
            }
            (Wish::Record(wish), Wish::Record(lock)) => lock.conflicts(wish),
            _ => false,
        }
    }
}

/// The inodes that have locks, or had.
#[derive(Default)]
pub struct LockedInodes {
    inodes: SpinLock<Vec<(Weak<dyn INode>, DevT)>, class::Leaf>,
}

impl LockedInodes {
    /// A lock of the file's inode was taken.
    pub fn note(&self, file: &OpenFile) {
        let context = file.inode.common().locks.context();
        if context.listed.swap(true, Ordering::SeqCst) {
            return;
        }
        let mut inodes = self.inodes.lock();
        if inodes.len() == inodes.capacity() {
            // Those that are gone leave before the list grows.
            inodes.retain(|(inode, _)| inode.strong_count() > 0);
        }
        if inodes.try_reserve(1).is_err() {
            // The next lock tries again.
            context.listed.store(false, Ordering::SeqCst);
            return;
        }
        inodes.push((Arc::downgrade(&file.inode), file.path.mount.sb.dev));
    }

    /// All locks of all inodes, with the numbers of device and inode.
    pub fn for_each(&self, mut show: impl FnMut(DevT, u64, &ListedLock) -> Result<()>) -> Result<()> {
        let alive = |(inode, dev): &(Weak<dyn INode>, DevT)| Some((inode.upgrade()?, *dev));
        let inodes: Vec<_> = self.inodes.lock().iter().filter_map(alive).collect();
        for (inode, dev) in &inodes {
            let list = inode.common().locks.list();
            let number = if list.is_empty() {
                0
            } else {
                inode.metadata().inode
            };
            list.iter().try_for_each(|lock| show(*dev, number, lock))?;
        }
        Ok(())
    }
}

/// Cuts `new` out of its owner's locks; with `lock`, then adds it and joins neighbours.
fn replace(records: &mut Vec<RecordLock>, new: &RecordLock, lock: bool) -> Result<()> {
    // At most one more by cutting, one more by adding.
    if records.try_reserve(2).is_err() {
        bail!(ENOLCK, "no memory for a record lock");
    }
    let mut new = new.clone();
    let mut at = 0;
    while at < records.len() {
        let old = &mut records[at];
        if !old.same_owner(&new) {
            at += 1;
            continue;
        }
        if lock && old.exclusive == new.exclusive {
            // Same kind: overlapping or touching ones are joined.
            if old.start <= new.end.saturating_add(1) && new.start <= old.end.saturating_add(1) {
                new.start = new.start.min(old.start);
                new.end = new.end.max(old.end);
                records.remove(at);
                continue;
            }
        } else if old.overlaps(&new) {
            let (start, end) = (old.start, old.end);
            if start < new.start {
                old.end = new.start - 1;
                if end > new.end {
                    let mut rest = old.clone();
                    rest.start = new.end + 1;
                    rest.end = end;
                    records.insert(at + 1, rest);
                    at += 1;
                }
            } else if end > new.end {
                old.start = new.end + 1;
            } else {
                records.remove(at);
                continue;
            }
        }
        at += 1;
    }
    if lock {
        let at = records
            .iter()
            .position(|old| old.same_owner(&new) && old.start > new.start)
            .unwrap_or(records.len());
        records.insert(at, new);
    }
    Ok(())
}

/// Who waits for whose POSIX lock, in the whole kernel.
#[derive(Default)]
pub struct BlockedLocks {
    edges: SpinLock<Vec<Edge>, class::Leaf>,
}

struct Edge {
    waiter: usize,
    blocker: usize,
    inode: usize,
}

impl BlockedLocks {
    /// Notes that `waiter` is about to wait for `blocker`; `EDEADLK` if that closes a circle. What it
    /// waited for before on this inode is forgotten.
    pub fn block(&self, waiter: usize, blocker: usize, inode: &FileLocks) -> Result<()> {
        let mut edges = self.edges.lock();
        let inode = inode.address();
        edges.retain(|edge| !(edge.waiter == waiter && edge.inode == inode));
        let mut at = blocker;
        // A circle that does not go through `waiter` cannot exist, but threads that share a table may
        // wait for several; the bound keeps the walk finite.
        for _ in 0..=edges.len() {
            ensure!(at != waiter, EDEADLK, "the owners would wait for one another");
            match edges.iter().find(|edge| edge.waiter == at) {
                Some(edge) => at = edge.blocker,
                None => break,
            }
        }
        if edges.try_reserve(1).is_err() {
            bail!(ENOLCK);
        }
        edges.push(Edge {
            waiter,
            blocker,
            inode,
        });
        Ok(())
    }

    /// `waiter` waits no more on this inode.
    pub fn unblock(&self, waiter: usize, inode: &FileLocks) {
        let inode = inode.address();
        self.edges
            .lock()
            .retain(|edge| !(edge.waiter == waiter && edge.inode == inode));
    }

    fn forget_blocker(&self, blocker: usize, inode: &FileLocks) {
        let inode = inode.address();
        self.edges
            .lock()
            .retain(|edge| !(edge.blocker == blocker && edge.inode == inode));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Errno;

    fn lock(owner: usize, start: u64, end: u64, exclusive: bool) -> RecordLock {
        RecordLock {
            owner,
            ofd: false,
            start,
            end,
            exclusive,
            pid: None,
        }
    }

    /// Random locks and unlocks against a table with one cell per byte.
    #[test]
    fn records_agree_with_a_byte_map() {
        const BYTES: usize = 24;
        const OWNERS: usize = 3;
        let mut seed = 1u64;
        let mut random = move |n: usize| {
            seed = seed
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (seed >> 33) as usize % n
        };
        for _ in 0..200 {
            let locks = FileLocks::default();
            let blocked = BlockedLocks::default();
            let mut model = [[0u8; BYTES]; OWNERS];
            for _ in 0..60 {
                let owner = random(OWNERS);
                let a = random(BYTES);
                let b = a + random(BYTES - a);
                let kind = random(3) as u8;
                let wish = lock(owner, a as u64, b as u64, kind == 2);
                let free = (a..=b).all(|byte| {
                    (0..OWNERS).all(|other| {
                        other == owner || model[other][byte] == 0 || kind < 2 && model[other][byte] < 2
                    })
                });
                if kind == 0 {
                    locks.unset(&blocked, &wish).unwrap();
                } else {
                    assert_eq!(locks.test(&wish).is_none(), free);
                    let got = locks.set(&blocked, &wish).unwrap().is_ok();
                    assert_eq!(got, free);
                    if !got {
                        continue;
                    }
                }
                model[owner][a..=b].fill(kind);
                let mut seen = [[0u8; BYTES]; OWNERS];
                let records = locks.context().lists.lock().records.clone();
                for record in &records {
                    for byte in record.start..=record.end {
                        assert_eq!(seen[record.owner][byte as usize], 0, "records overlap");
                        seen[record.owner][byte as usize] = 1 + u8::from(record.exclusive);
                    }
                }
                assert_eq!(seen, model);
                for (n, one) in records.iter().enumerate() {
                    for two in &records[n + 1..] {
                        let touching = one.end + 1 == two.start || two.end + 1 == one.start;
                        let same = one.owner == two.owner && one.exclusive == two.exclusive;
                        assert!(!(touching && same), "neighbours are not joined");
                    }
                }
            }
        }
    }

    #[test]
    fn a_circle_of_waits_is_refused() {
        let (a, b) = (FileLocks::default(), FileLocks::default());
        let blocked = BlockedLocks::default();
        blocked.block(1, 2, &a).unwrap();
        blocked.block(2, 3, &b).unwrap();
        assert_eq!(blocked.block(3, 1, &a).unwrap_err(), Errno::EDEADLK);
        blocked.unblock(2, &b);
        blocked.block(3, 1, &a).unwrap();
    }

    #[test]
    fn converting_a_flock_gives_the_old_one_up() {
        let flock = |owner, exclusive| Flock {
            owner,
            exclusive,
            pid: None,
        };
        let locks = FileLocks::default();
        locks.flock(&flock(1, false)).unwrap();
        locks.flock(&flock(2, false)).unwrap();
        assert_eq!(locks.flock(&flock(1, true)).unwrap_err(), Errno::EAGAIN);
        locks.flock(&flock(2, true)).unwrap();
        let waiting = locks.wait(Wish::Flock(flock(1, true))).unwrap();
        let waits: Vec<bool> = locks.list().iter().map(|lock| lock.waits).collect();
        assert_eq!(waits, [false, true]);
        drop(waiting);
        assert_eq!(locks.list().len(), 1);
        locks.remove_file(2);
        locks.flock(&flock(1, true)).unwrap();
    }
}
