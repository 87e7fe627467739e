//! Kernel objects and the table that finds them by KoID.
//!
//! Every task, thread group, pid, namespace and cgroup has a KoID, which says of two of them
//! whether they are the same, and which came first. The table finds those that somebody looks for by it: namespaces
//! (the tree in `/sys/kernel/namespaces`, `ioctl_ns`) and cgroups (file handles). Tasks are looked for by pid, mounts
//! by path, so they are not in it. It holds weak references only: being listed keeps nothing alive. An object enters
//! with [`KoidTable::register`] and leaves with [`KoidTable::forget`] in its `Drop`.
//!
//! The table is split into shards by the low bits of the KoID so that objects made on different CPUs do not meet on
//! one lock.

use alloc::sync::{Arc, Weak};
use core::any::Any;
use core::sync::atomic::{AtomicU64, Ordering};

use hashbrown::HashMap;

use crate::ids::KoID;
use crate::sync::{SpinLock, class};

/// An object with identity.
pub trait KObject: Any + Send + Sync {
    /// Its identity.
    fn koid(&self) -> KoID;
    /// The object as a namespace, if it is one.
    fn as_namespace(self: Arc<Self>) -> Option<Arc<dyn crate::namespace::Namespace>> {
        None
    }
}

const SHARDS: usize = 16;

type Shard = SpinLock<HashMap<KoID, Weak<dyn KObject>>, class::KoidTable>;

/// Finds an object by its KoID.
pub struct KoidTable {
    next: AtomicU64,
    shards: [Shard; SHARDS],
}

impl Default for KoidTable {
    fn default() -> Self {
        KoidTable::new()
    }
}

impl KoidTable {
    /// An empty table. KoIDs below 1024 are never given out, as in Zircon.
    pub fn new() -> KoidTable {
        KoidTable {
            next: AtomicU64::new(1024),
            shards: core::array::from_fn(|_| SpinLock::new(HashMap::new())),
        }
    }

    /// A KoID never given out before.
    pub fn allocate(&self) -> KoID {
        KoID(self.next.fetch_add(1, Ordering::Relaxed))
    }

    fn shard(&self, koid: KoID) -> &Shard {
        &self.shards[koid.0 as usize % SHARDS]
    }

    /// Makes `object` findable. The object removes itself with [`KoidTable::forget`] when dropped.
    pub fn register(&self, object: &Arc<dyn KObject>) {
        self.shard(object.koid())
            .lock()
            .insert(object.koid(), Arc::downgrade(object));
    }

    /// Removes an object that is being dropped.
    pub fn forget(&self, koid: KoID) {
        self.shard(koid).lock().remove(&koid);
    }

    /// The living object with this KoID.
    pub fn find(&self, koid: KoID) -> Option<Arc<dyn KObject>> {
        self.shard(koid).lock().get(&koid)?.upgrade()
    }

    /// Every living object, in no order. For listings only.
    pub fn for_each(&self, mut f: impl FnMut(&Arc<dyn KObject>)) {
        for shard in &self.shards {
            let alive: alloc::vec::Vec<_> = shard.lock().values().filter_map(Weak::upgrade).collect();
            alive.iter().for_each(&mut f);
        }
    }
}
