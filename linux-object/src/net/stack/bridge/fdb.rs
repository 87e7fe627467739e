//! The forwarding database of a bridge (`bridge(8)`, `fdb`): which address is where.
//!
//! An entry is behind a port or is the bridge's own. It was learnt from a frame, which makes it age, or somebody
//! said so: then it is static and stays. A local one is an address of this host: frames to it go up, and it is
//! never learnt elsewhere. The ports' and the bridge's addresses are such entries. Learning moves what is not local
//! and not sticky. Nobody filters VLANs, so frames have none; but ports and bridge are in the default VLAN and what
//! programs say is said of it, too ([`super::VLANS`]).
//!
//! Invariants: a local entry that no program made is for an address that its port, or the bridge, has; every change
//! that listeners hear of is in `changes` until it was told.
//!
//! Locks: all of it is behind the stack's lock. A frame costs a look-up for each of its addresses.

use alloc::vec::Vec;
use core::time::Duration;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use super::super::device::Mac;
use super::super::neigh::Nud;
use super::entry::{FdbChange, FdbEntry, FdbFlags, FdbFlush, FdbKey, FdbUpdate, OWN};
use crate::error::Result;
use crate::time::Ktime;
use crate::{ensure, err};

/// Entries of a bridge: who is on the network does not take all memory.
const MAX_ENTRIES: usize = 16384;
/// Between two looks for what is too old.
pub(super) const GC_PAUSE: Duration = Duration::from_millis(10);
/// The addresses of a bridge and its ports.
pub struct Owners {
    /// The bridge's.
    pub bridge: Mac,
    /// The ports', in their order.
    pub ports: Vec<(u32, Mac)>,
}

impl Owners {
    /// Who has the address but for this one: the first such port, or the bridge.
    fn other(&self, port: u32, mac: &Mac) -> Option<u32> {
        let fits = |(other, have): &&(u32, Mac)| *other != port && have == mac;
        match self.ports.iter().find(fits) {
            Some((other, _)) => Some(*other),
            None => (port != OWN && self.bridge == *mac).then_some(OWN),
        }
    }
}

/// The database.
#[derive(Default)]
pub struct Fdb {
    entries: HashMap<FdbKey, FdbEntry>,
    serial: u64,
    changes: Vec<FdbChange>,
}

impl Fdb {
    /// One entry.
    pub fn get(&self, key: &FdbKey) -> Option<&FdbEntry> {
        self.entries.get(key)
    }
    /// Every entry, the newest first.
    pub fn list(&self) -> Vec<(FdbKey, FdbEntry)> {
        let mut list: Vec<_> = self.entries.iter().map(|(key, entry)| (*key, *entry)).collect();
        list.sort_unstable_by_key(|(_, entry)| core::cmp::Reverse(entry.serial));
        list
    }
    /// What changed since the last call.
    pub(super) fn take_changes(&mut self) -> Vec<FdbChange> {
        core::mem::take(&mut self.changes)
    }
    /// Whether something changed since.
    pub(super) fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }
    /// Where a frame to this address goes, and whether that is up.
    pub(super) fn find(&mut self, mac: &Mac, now: Ktime) -> Option<(u32, bool)> {
        let entry = self.entries.get_mut(&FdbKey::of(*mac))?;
        let local = entry.flags.contains(FdbFlags::LOCAL);
        if !local {
            entry.used = now;
        }
        Some((entry.port, local))
    }

    /// `ENOMEM`: there is no room, or there are too many; there is always some for addresses of our own.
    fn create(&mut self, key: FdbKey, port: u32, flags: FdbFlags, now: Ktime) -> Result<&mut FdbEntry> {
        let own = flags == FdbFlags::LOCAL | FdbFlags::STATIC;
        let room = self.entries.len() < MAX_ENTRIES || own;
        ensure!(
            room && self.entries.try_reserve(1).is_ok(),
            ENOMEM,
            "the forwarding database is full"
        );
        self.serial += 1;
        let entry = FdbEntry {
            port,
            flags,
            updated: now,
            used: now,
            serial: self.serial,
        };
        match self.entries.entry(key) {
            Entry::Occupied(mut there) => {
                there.insert(entry);
                Ok(there.into_mut())
            }
            Entry::Vacant(free) => Ok(free.insert(entry)),
        }
    }
    fn tell(&mut self, key: FdbKey) {
        if let Some(&entry) = self.entries.get(&key) {
            let gone = false;
            self.changes.push(FdbChange { gone, key, entry });
        }
    }
    fn delete(&mut self, key: FdbKey) {
        if let Some(entry) = self.entries.remove(&key) {
            let gone = true;
            self.changes.push(FdbChange { gone, key, entry });
        }
    }
    /// Deletes what `which` picks, the newest first.
    fn delete_all(&mut self, which: impl Fn(&FdbKey, &FdbEntry) -> bool) {
        let before = self.changes.len();
        let changes = &mut self.changes;
        self.entries.retain(|key, entry| {
            let gone = which(key, entry);
            if gone {
                let (key, entry) = (*key, *entry);
                changes.push(FdbChange { gone, key, entry });
            }
            !gone
        });
        changes[before..].sort_unstable_by_key(|change| core::cmp::Reverse(change.entry.serial));
    }

    /// A frame came from an address by a port; `by_user`: a program says so.
    pub(super) fn learn(&mut self, key: FdbKey, port: u32, by_user: bool, now: Ktime) {
        let user = match by_user {
            true => FdbFlags::ADDED_BY_USER,
            false => FdbFlags::empty(),
        };
        let Some(entry) = self.entries.get_mut(&key) else {
            // Without room it is not learnt.
            if self.create(key, port, user, now).is_ok() {
                self.tell(key);
            }
            return;
        };
        if entry.flags.contains(FdbFlags::LOCAL) {
            return;
        }
        entry.updated = now;
        let mut changed = entry.flags.contains(FdbFlags::NOTIFY_INACTIVE);
        entry.flags -= FdbFlags::NOTIFY_INACTIVE;
        if entry.port != port && !entry.flags.contains(FdbFlags::STICKY) {
            entry.port = port;
            entry.flags -= FdbFlags::EXT_LEARN;
            changed = true;
        }
        entry.flags |= user;
        if changed {
            self.tell(key);
        }
    }

    /// A program makes or changes an entry. `ENOENT`, `EEXIST`, `ENOMEM`.
    pub(super) fn set(
        &mut self,
        key: FdbKey,
        update: &FdbUpdate,
        ageing: Duration,
        now: Ktime,
    ) -> Result<()> {
        let mut changed = !self.entries.contains_key(&key);
        if changed {
            ensure!(update.create, ENOENT, "no such entry");
            self.create(key, update.port, FdbFlags::empty(), now)?;
        } else {
            ensure!(!update.exclusive, EEXIST, "there is such an entry");
        }
        let entry = self.entries.get_mut(&key).ok_or(err!(ENOENT))?;
        let before = (entry.port, entry.state(now, ageing), entry.flags);
        entry.port = update.port;
        let flags = &mut entry.flags;
        if before.1 != update.state {
            let is = |state| update.state == state;
            flags.set(FdbFlags::LOCAL, is(Nud::Permanent));
            flags.set(FdbFlags::STATIC, is(Nud::Permanent) || is(Nud::Noarp));
            changed = true;
        }
        flags.set(FdbFlags::STICKY, update.sticky);
        let wanted = update.notify;
        if wanted.contains(FdbFlags::NOTIFY_INACTIVE) {
            *flags |= FdbFlags::NOTIFY_INACTIVE;
        }
        if wanted.contains(FdbFlags::NOTIFY) {
            *flags |= FdbFlags::NOTIFY;
        } else if flags.contains(FdbFlags::NOTIFY) {
            *flags -= FdbFlags::NOTIFY | FdbFlags::NOTIFY_INACTIVE;
        }
        changed |= before.0 != entry.port || before.2 != entry.flags;
        entry.flags |= FdbFlags::ADDED_BY_USER;
        entry.used = now;
        if changed {
            if update.refresh {
                entry.updated = now;
            }
            self.tell(key);
        }
        Ok(())
    }

    /// A program says what it has learnt. `ENOMEM`.
    pub(super) fn learn_ext(&mut self, key: FdbKey, port: u32, now: Ktime) -> Result<()> {
        let own = match port {
            OWN => FdbFlags::LOCAL,
            _ => FdbFlags::empty(),
        };
        let Some(entry) = self.entries.get_mut(&key) else {
            let flags = FdbFlags::EXT_LEARN | FdbFlags::ADDED_BY_USER | own;
            self.create(key, port, flags, now)?;
            self.tell(key);
            return Ok(());
        };
        entry.updated = now;
        let mut changed = entry.port != port;
        entry.port = port;
        if entry.flags.contains(FdbFlags::EXT_LEARN) {
            entry.used = now;
        } else if !entry.flags.contains(FdbFlags::ADDED_BY_USER) {
            entry.flags |= FdbFlags::EXT_LEARN;
            changed = true;
        }
        entry.flags |= FdbFlags::ADDED_BY_USER | own;
        if changed {
            self.tell(key);
        }
        Ok(())
    }

    /// A program removes an entry of a port. `ENOENT`: there is none.
    pub(super) fn remove(&mut self, key: FdbKey, port: u32) -> Result<()> {
        let entry = self.entries.get(&key).filter(|entry| entry.port == port);
        ensure!(entry.is_some(), ENOENT, "no such entry");
        self.delete(key);
        Ok(())
    }

    /// A port, or the bridge, has this address. It may be another's already.
    pub(super) fn add_local(&mut self, port: u32, mac: Mac, vlan: u16, now: Ktime) {
        let key = FdbKey { mac, vlan };
        if mac[0] & 1 != 0 || mac == [0; 6] {
            return;
        }
        match self.entries.get(&key) {
            Some(entry) if entry.flags.contains(FdbFlags::LOCAL) => return,
            Some(_) => self.delete(key),
            None => {}
        }
        if self
            .create(key, port, FdbFlags::LOCAL | FdbFlags::STATIC, now)
            .is_ok()
        {
            self.tell(key);
        }
    }
    /// Somebody loses a local entry, which is another's if that has the same address.
    fn delete_local(&mut self, key: FdbKey, port: u32, owners: &Owners) {
        match (owners.other(port, &key.mac), self.entries.get_mut(&key)) {
            (Some(other), Some(entry)) => {
                entry.port = other;
                entry.flags -= FdbFlags::ADDED_BY_USER;
            }
            _ => self.delete(key),
        }
    }
    fn is_own(entry: &FdbEntry, port: u32) -> bool {
        entry.port == port && entry.flags & (FdbFlags::LOCAL | FdbFlags::ADDED_BY_USER) == FdbFlags::LOCAL
    }
    /// A port, or the bridge, no longer has this address.
    pub(super) fn lose_local(&mut self, port: u32, mac: Mac, vlan: u16, owners: &Owners) {
        let key = FdbKey { mac, vlan };
        if self
            .entries
            .get(&key)
            .is_some_and(|entry| Self::is_own(entry, port))
        {
            self.delete_local(key, port, owners);
        }
    }

    /// Nothing that ages is behind a port any more.
    pub(super) fn flush_port(&mut self, port: u32) {
        self.delete_all(|_, entry| entry.port == port && entry.ages());
    }
    /// A port goes, and everything of it.
    pub(super) fn port_gone(&mut self, port: u32, owners: &Owners) {
        for (key, entry) in self.list() {
            match entry.port == port {
                true if entry.flags.contains(FdbFlags::LOCAL) => self.delete_local(key, port, owners),
                true => self.delete(key),
                false => {}
            }
        }
    }
    /// Removes entries of these kinds.
    pub(super) fn flush(&mut self, what: &FdbFlush) {
        self.delete_all(|key, entry| {
            (what.vlan == 0 || what.vlan == key.vlan)
                && what.port.is_none_or(|port| port == entry.port)
                && (what.mask.is_empty() || entry.flags & what.mask == what.flags)
        });
    }

    /// Removes what is too old. When there is something to do again, if ever.
    pub(super) fn collect(&mut self, ageing: Duration, now: Ktime) -> Option<Ktime> {
        let mut next: Option<Ktime> = None;
        let mut silent = Vec::new();
        for (key, entry) in &self.entries {
            let tells = entry.flags & (FdbFlags::NOTIFY | FdbFlags::NOTIFY_INACTIVE) == FdbFlags::NOTIFY;
            let at = entry.updated + ageing;
            if !entry.ages() && !tells {
                continue;
            }
            match at > now {
                true => next = Some(next.map_or(at, |next| next.min(at))),
                false if !entry.ages() => silent.push(*key),
                false => {}
            }
        }
        self.delete_all(|_, entry| entry.ages() && entry.updated + ageing <= now);
        for key in silent {
            if let Some(entry) = self.entries.get_mut(&key) {
                entry.flags |= FdbFlags::NOTIFY_INACTIVE;
                self.tell(key);
            }
        }
        next.map(|next| next.max(now + GC_PAUSE))
    }
}
