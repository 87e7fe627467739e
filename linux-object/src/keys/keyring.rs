//! Links (`keyctl(2)`: `KEYCTL_LINK`, `_UNLINK`, `_CLEAR`, `_MOVE`, `_RESTRICT_KEYRING`).
//!
//! Each function that changes links takes the lock of all of them, and drops what was displaced after it.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::key::{Links, Payload, State};
use super::search::MAX_DEPTH;
use super::{Key, KeySerial, Keys};
use crate::error::Result;
use crate::{bail, ensure};

/// What a link costs (Linux's `KEYQUOTA_LINK_BYTES`).
const LINK_BYTES: usize = 4;

fn links(state: &mut State) -> Result<&mut Links> {
    match &mut state.payload {
        Payload::Links(links) => Ok(links),
        Payload::Bytes(_) => bail!(ENOTDIR, "not a keyring"),
    }
}

/// Whether `top` stands below `ring`, or too much does. Returns the levels below `ring`.
fn depth_below(top: &Key, ring: &Key, depth: usize, known: &mut BTreeMap<KeySerial, usize>) -> Result<usize> {
    ensure!(
        ring.serial != top.serial,
        EDEADLK,
        "a keyring would contain itself"
    );
    let mut below = 0;
    for child in ring.nested() {
        ensure!(
            child.serial != top.serial,
            EDEADLK,
            "a keyring would contain itself"
        );
        ensure!(depth < MAX_DEPTH, ELOOP, "keyrings would be nested too deeply");
        let levels = match known.get(&child.serial) {
            Some(levels) => *levels,
            None => depth_below(top, &child, depth + 1, known)?,
        };
        ensure!(
            depth + 1 + levels <= MAX_DEPTH,
            ELOOP,
            "keyrings would be nested too deeply"
        );
        below = below.max(levels + 1);
    }
    known.insert(ring.serial, below);
    Ok(below)
}

impl Keys {
    /// A link is allowed by the ring's restriction, and closes no circle. `EPERM`, `EDEADLK`, `ELOOP`.
    fn check_link(&self, ring: &Key, key: &Key) -> Result<()> {
        check_restriction(ring)?;
        if key.is_keyring() {
            depth_below(ring, key, 0, &mut BTreeMap::new())?;
        }
        Ok(())
    }

    /// The link itself, charged if it is one more; gives what it displaced. `EDQUOT`.
    pub(super) fn insert_link(&self, ring: &Key, key: &Arc<Key>) -> Result<Option<Arc<Key>>> {
        let mut state = ring.state.lock();
        ensure!(!state.revoked, EKEYREVOKED, "the keyring is revoked");
        let (user, datalen) = (state.user, state.datalen);
        if !links(&mut state)?.contains_key(&*key.index) {
            self.reserve(ring, user, datalen, datalen + LINK_BYTES)?;
            state.datalen += LINK_BYTES;
        }
        // The index of the one displaced goes with it.
        let links = links(&mut state)?;
        let old = links.remove_entry(&*key.index);
        links.insert(key.index.clone(), key.clone());
        Ok(old.map(|(_, old)| old))
    }

    /// Removes the links that are not wanted any more; gives them to be dropped.
    pub(super) fn retain_links(&self, ring: &Key, keep: impl Fn(&Key) -> bool) -> Vec<Arc<Key>> {
        let mut state = ring.state.lock();
        let (user, datalen) = (state.user, state.datalen);
        let Payload::Links(links) = &mut state.payload else {
            return Vec::new();
        };
        let mut gone = Vec::new();
        links.retain(|_, key| {
            let stays = keep(key);
            if !stays {
                gone.push(key.clone());
            }
            stays
        });
        let less = datalen - gone.len() * LINK_BYTES;
        let _ = self.reserve(ring, user, datalen, less);
        state.datalen = less;
        gone
    }

    /// Links a key into a keyring in place of its namesake (Linux's `key_link`). `ENOTDIR`, `EPERM`, `EDEADLK`,
    /// `ELOOP`, `EDQUOT`.
    pub fn link(&self, ring: &Key, key: &Arc<Key>) -> Result<()> {
        ensure!(ring.is_keyring(), ENOTDIR, "not a keyring");
        let topology = self.topology.lock();
        self.check_link(ring, key)?;
        let old = self.insert_link(ring, key);
        drop(topology);
        old.map(drop)
    }

    /// Removes a link. `ENOTDIR`, `ENOENT`.
    pub fn unlink(&self, ring: &Key, key: &Key) -> Result<()> {
        ensure!(ring.is_keyring(), ENOTDIR, "not a keyring");
        let topology = self.topology.lock();
        let gone = self.retain_links(ring, |link| link.serial != key.serial);
        drop(topology);
        ensure!(!gone.is_empty(), ENOENT, "the key is not linked there");
        Ok(())
    }

    /// Removes all links. `ENOTDIR`.
    pub fn clear(&self, ring: &Key) -> Result<()> {
        ensure!(ring.is_keyring(), ENOTDIR, "not a keyring");
        let topology = self.topology.lock();
        let gone = self.retain_links(ring, |_| false);
        drop(topology);
        drop(gone);
        Ok(())
    }

    /// Moves a link (Linux's `key_move`). `ENOTDIR`, `ENOENT`, `EEXIST` with `exclusive` if it would displace one, and
    /// what [`Keys::link`] says.
    pub fn move_link(&self, key: &Arc<Key>, from: &Key, to: &Key, exclusive: bool) -> Result<()> {
        if from.serial == to.serial {
            return Ok(());
        }
        ensure!(from.is_keyring() && to.is_keyring(), ENOTDIR, "not a keyring");
        let topology = self.topology.lock();
        let linked = from
            .link_for(&key.index)
            .is_some_and(|link| link.serial == key.serial);
        ensure!(linked, ENOENT, "the key is not linked there");
        ensure!(
            !exclusive || to.link_for(&key.index).is_none(),
            EEXIST,
            "there is such a key already"
        );
        self.check_link(to, key)?;
        let old = self.insert_link(to, key)?;
        let gone = self.retain_links(from, |link| link.serial != key.serial);
        drop(topology);
        drop((old, gone));
        Ok(())
    }

    /// No more links from now on. `ENOTDIR`, `EEXIST` if it is so already.
    pub fn restrict(&self, ring: &Key) -> Result<()> {
        ensure!(ring.is_keyring(), ENOTDIR, "not a keyring");
        let _topology = self.topology.lock();
        let mut state = ring.state.lock();
        ensure!(!state.restricted, EEXIST, "the keyring is restricted already");
        state.restricted = true;
        Ok(())
    }
}

pub(super) fn check_restriction(ring: &Key) -> Result<()> {
    ensure!(
        !ring.state.lock().restricted,
        EPERM,
        "the keyring takes no more links"
    );
    Ok(())
}
