//! Ids and keys of one kind of object in one namespace (Linux's `ipc_ids`).
//!
//! An id is an index with a sequence number above it, so that an id of a removed object is refused
//! for a long time. Indices go round: the next object takes the next free one, up to a bound that grows with
//! the number of objects, and each turn raises the sequence number.
//!
//! Invariants: an object in the table has the id that leads to it; a key leads to an object in the
//! table. Objects are made before the table is locked and enter it, or not, in one step.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicI32, Ordering};

use hashbrown::HashMap;

use super::perm::{IPC_PRIVATE, IpcFlags, IpcPerm};
use crate::error::Result;
use crate::sync::{SpinLock, class};
use crate::{bail, ensure, err};

/// Most objects of one kind (`IPCMNI`).
pub const IPCMNI: u32 = 1 << INDEX_BITS;
const INDEX_BITS: u32 = 15;
/// Sequence numbers are below this.
const SEQ_MAX: u16 = (i32::MAX >> INDEX_BITS) as u16;
/// Indices go round within at least so many.
const MIN_CYCLE: u32 = 64;

/// Something with an id.
pub trait IpcObject: Send + Sync {
    /// Identity, owner, mode.
    fn perm(&self) -> &SpinLock<IpcPerm, class::Leaf>;
    /// It got its id.
    fn entered(&self, _id: i32) {}
    /// What it adds to the total that is limited besides the number of objects.
    fn weight(&self) -> u64 {
        0
    }
}

/// The objects.
pub struct IpcIds<T> {
    table: SpinLock<Table<T>, class::Ipc>,
    /// The id of the next object (`*_next_id`); negative: whatever comes.
    next_id: AtomicI32,
}

struct Table<T> {
    objects: BTreeMap<u32, Arc<T>>,
    keys: HashMap<i32, u32>,
    /// Where the search for a free index goes on.
    next: u32,
    last: Option<u32>,
    seq: u16,
    weight: u64,
}

impl<T> Default for IpcIds<T> {
    fn default() -> IpcIds<T> {
        IpcIds {
            table: SpinLock::new(Table {
                objects: BTreeMap::new(),
                keys: HashMap::new(),
                next: 0,
                last: None,
                seq: 0,
                weight: 0,
            }),
            next_id: AtomicI32::new(-1),
        }
    }
}

/// How many there may be.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// Objects.
    pub count: u32,
    /// Their weights together.
    pub weight: u64,
}

fn index_of(id: i32) -> u32 {
    id as u32 & (IPCMNI - 1)
}

fn seq_of(id: i32) -> u16 {
    (id >> INDEX_BITS) as u16
}

impl<T: IpcObject> Table<T> {
    /// The lowest free index in a range.
    fn free_index(&self, from: u32, to: u32) -> Option<u32> {
        let mut free = from;
        for (&taken, _) in self.objects.range(from..to) {
            if taken != free {
                break;
            }
            free += 1;
        }
        (free < to).then_some(free)
    }

    fn allocate(&mut self, next_id: i32) -> Result<(u32, u16)> {
        if next_id >= 0 {
            let index = self.free_index(index_of(next_id), IPCMNI);
            return Ok((index.ok_or(err!(ENOSPC, "no id from there on"))?, seq_of(next_id)));
        }
        let used = self.objects.len() as u32;
        let end = (used * 3 / 2).clamp(MIN_CYCLE, IPCMNI);
        let index = match self.free_index(self.next.min(end), end) {
            Some(index) => index,
            None => self.free_index(0, end).ok_or(err!(ENOSPC, "no id left"))?,
        };
        self.next = index + 1;
        if self.last.is_some_and(|last| index <= last) {
            self.seq = (self.seq + 1) % SEQ_MAX;
        }
        self.last = Some(index);
        Ok((index, self.seq))
    }
}

impl<T: IpcObject> IpcIds<T> {
    /// `*get(2)`: the id of the object with this key, or of a new one. `check` looks at what was found; `make`
    /// makes one that carries `key` in its permissions. `ENOENT`, `EEXIST`, `ENOSPC`.
    pub fn get(
        &self,
        key: i32,
        flags: u32,
        limit: impl Fn() -> Limit,
        check: impl Fn(&T) -> Result<()>,
        make: impl FnOnce() -> Result<Arc<T>>,
    ) -> Result<i32> {
        let flags = IpcFlags::from_bits_retain(flags);
        if let Some(found) = self.find_key(key) {
            return IpcIds::<T>::found(&found, flags, check);
        }
        ensure!(
            key == IPC_PRIVATE || flags.contains(IpcFlags::CREAT),
            ENOENT,
            "no object has this key"
        );
        let new = make()?;
        match self.insert(&new, limit()) {
            Ok(id) => Ok(id),
            // Somebody else was faster.
            Err(Refused::Taken(found)) => IpcIds::<T>::found(&found, flags, check),
            Err(Refused::Full) => bail!(ENOSPC, "as many objects as may be"),
        }
    }

    fn found(found: &T, flags: IpcFlags, check: impl Fn(&T) -> Result<()>) -> Result<i32> {
        ensure!(
            !flags.contains(IpcFlags::CREAT | IpcFlags::EXCL),
            EEXIST,
            "the key is taken"
        );
        check(found)?;
        Ok(found.perm().lock().id)
    }

    fn find_key(&self, key: i32) -> Option<Arc<T>> {
        if key == IPC_PRIVATE {
            return None;
        }
        let table = self.table.lock();
        table.objects.get(table.keys.get(&key)?).cloned()
    }

    fn insert(&self, new: &Arc<T>, limit: Limit) -> Result<i32, Refused<T>> {
        let weight = new.weight();
        let key = new.perm().lock().key;
        let mut table = self.table.lock();
        if let Some(found) = table.keys.get(&key).and_then(|index| table.objects.get(index)) {
            return Err(Refused::Taken(found.clone()));
        }
        let fits = (table.objects.len() as u32) < limit.count.min(IPCMNI)
            && table
                .weight
                .checked_add(weight)
                .is_some_and(|sum| sum <= limit.weight)
            && (key == IPC_PRIVATE || table.keys.try_reserve(1).is_ok());
        if !fits {
            return Err(Refused::Full);
        }
        let next_id = self.next_id.load(Ordering::Relaxed);
        let (index, seq) = table.allocate(next_id).map_err(|_| Refused::Full)?;
        if next_id >= 0 {
            self.next_id.store(-1, Ordering::Relaxed);
        }
        let id = (i32::from(seq) << INDEX_BITS) | index as i32;
        {
            let mut perm = new.perm().lock();
            (perm.id, perm.seq) = (id, seq);
        }
        new.entered(id);
        table.objects.insert(index, new.clone());
        if key != IPC_PRIVATE {
            table.keys.insert(key, index);
        }
        table.weight += weight;
        Ok(id)
    }

    /// The object with this id. `EINVAL`.
    pub fn find(&self, id: i32) -> Result<Arc<T>> {
        let found = (id >= 0).then(|| self.table.lock().objects.get(&index_of(id)).cloned());
        match found.flatten() {
            Some(found) if found.perm().lock().id == id => Ok(found),
            _ => bail!(EINVAL, "no object has this id"),
        }
    }

    /// The object at this index, whatever its sequence number (`*_STAT`). `EINVAL`.
    pub fn at(&self, index: i32) -> Result<Arc<T>> {
        let found = self.table.lock().objects.get(&index_of(index)).cloned();
        found.ok_or(err!(EINVAL, "no object has this index"))
    }

    /// Takes an object out if it is still there and `allowed` says so, asked while nobody can find it
    /// meanwhile. Returns whether it was taken out.
    pub fn remove_if(&self, object: &Arc<T>, allowed: impl FnOnce(&T) -> bool) -> bool {
        let mut table = self.table.lock();
        let (id, key) = {
            let perm = object.perm().lock();
            (perm.id, perm.key)
        };
        let index = index_of(id);
        let there = table
            .objects
            .get(&index)
            .is_some_and(|found| Arc::ptr_eq(found, object));
        if !there || !allowed(object) {
            return false;
        }
        let removed = table.objects.remove(&index);
        if key != IPC_PRIVATE {
            table.keys.remove(&key);
        }
        table.weight -= object.weight();
        drop(table);
        drop(removed);
        true
    }

    /// Does something while the table stands still; tells whether the object is in it.
    pub fn with_object<R>(&self, object: &Arc<T>, f: impl FnOnce() -> R) -> Option<R> {
        let table = self.table.lock();
        let index = index_of(object.perm().lock().id);
        let there = table
            .objects
            .get(&index)
            .is_some_and(|found| Arc::ptr_eq(found, object));
        there.then(f)
    }

    /// No key leads to the object any more (Linux's `ipc_set_key_private`).
    pub fn forget_key(&self, object: &T) {
        let mut table = self.table.lock();
        let key = core::mem::replace(&mut object.perm().lock().key, IPC_PRIVATE);
        if key != IPC_PRIVATE {
            table.keys.remove(&key);
        }
    }

    /// Every object in the order of indices.
    pub fn all(&self) -> alloc::vec::Vec<Arc<T>> {
        self.table.lock().objects.values().cloned().collect()
    }

    /// How many there are, their weights together, and the highest index (0 without any).
    pub fn usage(&self) -> (u32, u64, u32) {
        let table = self.table.lock();
        let highest = table.objects.last_key_value().map_or(0, |(&index, _)| index);
        (table.objects.len() as u32, table.weight, highest)
    }

    /// `*_next_id`.
    pub fn next_id(&self) -> &AtomicI32 {
        &self.next_id
    }
}

/// Why an object did not enter.
enum Refused<T> {
    Full,
    Taken(Arc<T>),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cred::Cred;
    use crate::kobject::KoidTable;
    use crate::namespace::{NsRegistry, UserNamespace};

    struct Thing(SpinLock<IpcPerm, class::Leaf>, u64);

    impl IpcObject for Thing {
        fn perm(&self) -> &SpinLock<IpcPerm, class::Leaf> {
            &self.0
        }
        fn weight(&self) -> u64 {
            self.1
        }
    }

    struct Bed {
        ids: IpcIds<Thing>,
        cred: Cred,
        count: u32,
    }

    impl Bed {
        fn new() -> Bed {
            let registry = NsRegistry::new(Arc::new(KoidTable::new()));
            Bed {
                ids: IpcIds::default(),
                cred: Cred::root(UserNamespace::initial(&registry, 100)),
                count: IPCMNI,
            }
        }
        fn get(&self, key: i32, flags: u32, weight: u64) -> Result<i32> {
            let limit = || Limit {
                count: self.count,
                weight: 100,
            };
            self.ids.get(
                key,
                flags,
                limit,
                |_| Ok(()),
                || {
                    let perm = IpcPerm::new(key, flags, &self.cred);
                    Ok(Arc::new(Thing(SpinLock::new(perm), weight)))
                },
            )
        }
        fn remove(&self, id: i32) {
            let object = self.ids.find(id).unwrap();
            assert!(self.ids.remove_if(&object, |_| true));
            assert!(!self.ids.remove_if(&object, |_| true));
        }
    }

    #[test]
    fn ids_go_round_and_count_turns() {
        let bed = Bed::new();
        for n in 0..200 {
            let id = bed.get(0, 0, 0).unwrap();
            assert_eq!(id, ((n / 64) << 15) | (n % 64));
            bed.remove(id);
            assert!(bed.ids.find(id).is_err());
        }
        let kept: alloc::vec::Vec<i32> = (0..200).map(|_| bed.get(0, 0, 0).unwrap()).collect();
        assert!(kept.iter().all(|&id| bed.ids.find(id).is_ok()));
        assert_eq!(bed.ids.usage().0, 200);
    }

    #[test]
    fn keys_find_objects_until_they_are_removed() {
        let bed = Bed::new();
        let creat = IpcFlags::CREAT.bits();
        assert_eq!(bed.get(7, 0, 0).unwrap_err(), err!(ENOENT));
        let id = bed.get(7, creat, 0).unwrap();
        assert_eq!(bed.get(7, 0, 0).unwrap(), id);
        assert_eq!(
            bed.get(7, creat | IpcFlags::EXCL.bits(), 0).unwrap_err(),
            err!(EEXIST)
        );
        bed.ids.forget_key(&bed.ids.find(id).unwrap());
        let other = bed.get(7, creat, 0).unwrap();
        assert_ne!(other, id);
        bed.remove(id);
        assert_eq!(bed.get(7, 0, 0).unwrap(), other);
    }

    #[test]
    fn both_limits_hold() {
        let mut bed = Bed::new();
        let a = bed.get(0, 0, 60).unwrap();
        assert_eq!(bed.get(0, 0, 41).unwrap_err(), err!(ENOSPC));
        bed.get(0, 0, 40).unwrap();
        bed.remove(a);
        bed.count = 1;
        assert_eq!(bed.get(0, 0, 0).unwrap_err(), err!(ENOSPC));
    }

    #[test]
    fn the_next_id_may_be_chosen() {
        let bed = Bed::new();
        bed.ids.next_id().store(70000, Ordering::Relaxed);
        assert_eq!(bed.get(0, 0, 0).unwrap(), 70000);
        assert_eq!(bed.get(0, 0, 0).unwrap(), 0);
        bed.ids.next_id().store(70000, Ordering::Relaxed);
        assert_eq!(bed.get(0, 0, 0).unwrap(), 70001);
    }
}
