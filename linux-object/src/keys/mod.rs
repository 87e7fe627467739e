//! Keys and keyrings (`keyrings(7)`, `keyctl(2)`, Linux's `Documentation/security/keys/core.rst`).
//!
//! Model: a [`Key`] has a number, a type, a description and a payload; a keyring is a key whose payload
//! is links, which keep what they link to alive. Credentials hold the keyrings of the thread, the process and the
//! session ([`CredKeys`]); a user namespace holds the keyrings of its users. Whoever *possesses* a key, that is,
//! reaches it by searchable links from its own keyrings, has the possessor's rights ([`search`]).
//!
//! Invariants: keyrings form no circle, and at most six levels stand below one when it is linked. The quota of a
//! user ([`quota`]) counts the keys that user owns, their descriptions, payloads and links; a key's memory is
//! charged to the memory cgroup of whoever made it. A key goes with its last link or user, at once; links to what is
//! revoked or expired go after `gc_delay`, to what is invalidated soon ([`gc`]).
//!
//! Locks: links change under `class::Keyring`; a key's state is its own `class::Key`, and no two of them are held
//! together, so a search copies the keyrings of one level before it looks into them. The table of numbers,
//! names and quotas is a leaf.
//!
//! A request that finds nothing is answered as Linux answers without `/sbin/request-key`. *Rejected:* the
//! type `big_key` (Debian's kernel for clouds is built without it), and restrictions by the signature of a key.

mod change;
mod gc;
mod key;
mod keyring;
mod process;
mod quota;
mod search;
mod show;
#[cfg(test)]
mod tests;

pub use change::{AddKey, RequestKey};
pub use key::{Key, KeyIndex, KeyInfo, KeyPerm, KeyRef, KeySerial, KeyType, Need};
pub use process::{CredKeys, Lookup, NsKeys, RequestKeyring, SpecialKey};
pub use show::{show_keys, show_users};

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::AtomicI64;

use key::{Links, NEVER, Payload, State};
use quota::KeyUser;

use crate::error::Result;
use crate::hal::Hal;
use crate::ids::{Kgid, KoID, Kuid};
use crate::mm::memcg::{Item, KmemCharge, MemControl};
use crate::rng::Rng;
use crate::sync::{SpinLock, class};
use crate::sysctl::Sysctls;
use crate::time::{Timekeeper, Timers};

/// The keys of a kernel.
pub struct Keys {
    time: Arc<Timekeeper>,
    timers: Arc<Timers>,
    memory: Arc<MemControl>,
    sysctl: Arc<Sysctls>,
    rng: Rng,
    table: SpinLock<Table, class::Leaf>,
    /// Held while links change.
    topology: SpinLock<(), class::Keyring>,
    gc: SpinLock<gc::Gc, class::TimerState>,
}

#[derive(Default)]
struct Table {
    serials: BTreeMap<KeySerial, Weak<Key>>,
    /// Keyrings that can be joined, by user namespace and description.
    names: BTreeMap<(KoID, Arc<KeyIndex>, KeySerial), Weak<Key>>,
    users: BTreeMap<Kuid, KeyUser>,
}

/// How a new key is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Counted {
    /// Within the limits of its owner.
    Quota,
    /// Counted, whatever the limits say.
    Overrun,
    /// Not at all.
    Not,
}

/// What a new key is made of.
struct NewKey {
    index: KeyIndex,
    uid: Kuid,
    gid: Option<Kgid>,
    perm: KeyPerm,
    counted: Counted,
    published: Option<KoID>,
    is_uid_keyring: bool,
}

impl Keys {
    /// None yet.
    pub fn new(
        hal: &dyn Hal,
        time: &Arc<Timekeeper>,
        timers: &Arc<Timers>,
        memory: &Arc<MemControl>,
        sysctl: &Arc<Sysctls>,
    ) -> Arc<Keys> {
        Arc::new(Keys {
            time: time.clone(),
            timers: timers.clone(),
            memory: memory.clone(),
            sysctl: sysctl.clone(),
            rng: Rng::new(hal),
            table: SpinLock::default(),
            topology: SpinLock::default(),
            gc: SpinLock::default(),
        })
    }

    /// Seconds of the wall clock.
    pub fn now(&self) -> i64 {
        self.time.realtime() / crate::time::NSEC_PER_SEC as i64
    }

    /// The key with this number. `ENOKEY`.
    pub fn find(&self, serial: KeySerial) -> Result<Arc<Key>> {
        let found = self.table.lock().serials.get(&serial).and_then(Weak::upgrade);
        found.ok_or(crate::err!(ENOKEY, "no key has this number"))
    }

    /// Every key, by number.
    fn all(&self) -> Vec<Arc<Key>> {
        self.table
            .lock()
            .serials
            .values()
            .filter_map(Weak::upgrade)
            .collect()
    }

    /// Memory of the caller for a key with this payload. `ENOMEM`.
    fn charge(&self, index: &KeyIndex, payload: usize) -> Result<KmemCharge> {
        let bytes = size_of::<Key>() + index.description.len() + payload;
        self.memory.charge_kmem(bytes, Item::Slab)
    }

    /// A key without payload that nothing links to. `EDQUOT`, `ENOMEM`.
    fn alloc(self: &Arc<Self>, new: NewKey) -> Result<Arc<Key>> {
        let memory = self.charge(&new.index, 0)?;
        let index = Arc::new(new.index);
        let payload = match index.kind {
            KeyType::Keyring => Payload::Links(Links::new()),
            _ => Payload::Bytes(Box::default()),
        };
        let state = State {
            uid: new.uid,
            user: new.uid,
            gid: new.gid,
            perm: new.perm,
            revoked: false,
            invalidated: false,
            expiry: None,
            negative: None,
            restricted: false,
            datalen: 0,
            payload,
            memory,
        };
        let mut serial = KeySerial((self.rng.next_u64() >> 33) as i32);
        let mut table = self.table.lock();
        table.add_key(&self.sysctl, new.uid, index.description.len() + 1, new.counted)?;
        while serial.0 < 3 || table.serials.contains_key(&serial) {
            serial.0 = serial.0.wrapping_add(1) & i32::MAX;
        }
        let key = Arc::new(Key {
            keys: self.clone(),
            serial,
            index: index.clone(),
            in_quota: new.counted != Counted::Not,
            is_uid_keyring: new.is_uid_keyring,
            published: new.published,
            ends: AtomicI64::new(NEVER),
            state: SpinLock::new(state),
        });
        table.serials.insert(serial, Arc::downgrade(&key));
        if let Some(ns) = new.published {
            table.names.insert((ns, index, serial), Arc::downgrade(&key));
        }
        Ok(key)
    }

    /// The end of a key.
    fn forget(&self, key: &Key) {
        let (user, datalen) = {
            let state = key.state.lock();
            (state.user, state.datalen)
        };
        let mut table = self.table.lock();
        table.serials.remove(&key.serial);
        if let Some(ns) = key.published {
            table.names.remove(&(ns, key.index.clone(), key.serial));
        }
        table.remove_key(user, key.index.description.len() + 1 + datalen, key.in_quota);
    }
}
