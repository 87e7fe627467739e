//! Finding keys, and who possesses them (`keyrings(7)` "Searching for keys", "Possession").
//!
//! A keyring is searched before the keyrings in it, those before the ones in them, six levels down. Each is visited
//! once, so a search costs no more than there are links, however often keyrings are linked.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::key::Payload;
use super::{CredKeys, Key, KeyIndex, KeyRef, KeySerial, KeyType, Keys, Need};
use crate::cred::Cred;
use crate::err;
use crate::error::{Errno, Error, Result};

/// Levels below the keyring in which a search begins (Linux's `KEYRING_SEARCH_MAX_DEPTH`).
pub(super) const MAX_DEPTH: usize = 6;

/// What is looked for, and how.
pub(super) struct Search<'a> {
    pub cred: &'a Cred,
    pub index: &'a KeyIndex,
    /// This very key.
    pub exact: Option<&'a Key>,
    /// What is revoked, expired or negative ends in its error.
    pub check_state: bool,
    /// An expired key is as good as none.
    pub skip_expired: bool,
    pub recurse: bool,
    pub now: i64,
}

impl Search<'_> {
    /// What to think of a key of the right type and description; `None`: it is another one.
    fn judge(&self, key: &Arc<Key>, possessed: bool) -> Option<Result<KeyRef>> {
        let info = key.info();
        if self.check_state {
            if info.revoked || info.invalidated {
                return Some(Err(err!(EKEYREVOKED, "the key that was found is revoked")));
            }
            if info.is_expired(self.now) {
                return (!self.skip_expired)
                    .then_some(Err(err!(EKEYEXPIRED, "the key that was found has expired")));
            }
        }
        if self.exact.is_some_and(|exact| exact.serial != key.serial) {
            return None;
        }
        if let Err(error) = info.permission(self.cred, possessed, Need::Search) {
            return Some(Err(error));
        }
        if let (true, Some(errno)) = (self.check_state, info.negative) {
            return Some(Err(Error::from(errno)));
        }
        let key = key.clone();
        Some(Ok(KeyRef { key, possessed }))
    }
}

impl Key {
    /// The link for `index`, and the keyrings among the links if they are wanted. Nothing is in a keyring that is
    /// revoked.
    fn look(&self, index: Option<&KeyIndex>, nested: bool) -> (Option<Arc<Key>>, Vec<Arc<Key>>) {
        let state = self.state.lock();
        match &state.payload {
            Payload::Links(links) if !state.revoked && !state.invalidated => {
                let hit = index.and_then(|index| links.get(index)).cloned();
                let rings = links.values().take_while(|key| nested && key.is_keyring());
                (hit, rings.cloned().collect())
            }
            _ => (None, Vec::new()),
        }
    }
    /// The link for `index`.
    pub(super) fn link_for(&self, index: &KeyIndex) -> Option<Arc<Key>> {
        self.look(Some(index), false).0
    }
    /// The keyrings in this one.
    pub(super) fn nested(&self) -> Vec<Arc<Key>> {
        self.look(None, true).1
    }
}

/// Searches a keyring (Linux's `keyring_search_rcu`). `ENOTDIR`, `EACCES`; `EAGAIN` if nothing is there; else what is
/// wrong with what was found last.
pub(super) fn search_keyring(top: &KeyRef, search: &Search<'_>) -> Result<KeyRef> {
    top.check_keyring()?;
    top.permission(search.cred, Need::Search)?;
    if *top.key.index == *search.index
        && let Some(verdict) = search.judge(&top.key, top.possessed)
    {
        return verdict;
    }
    let mut result = err!(EAGAIN, "no such key in the keyring");
    let mut visited: BTreeSet<KeySerial> = BTreeSet::new();
    let mut level = Vec::from([top.key.clone()]);
    for depth in 0..=MAX_DEPTH {
        let mut next = Vec::new();
        for ring in level {
            let (hit, rings) = ring.look(Some(search.index), search.recurse && depth < MAX_DEPTH);
            match hit.as_ref().and_then(|key| search.judge(key, top.possessed)) {
                Some(Ok(found)) => return Ok(found),
                Some(Err(error)) => result = error,
                None => {}
            }
            for ring in rings {
                let allowed = ring.info().permission(search.cred, top.possessed, Need::Search);
                if allowed.is_ok() && visited.insert(ring.serial) {
                    next.push(ring);
                }
            }
        }
        level = next;
    }
    Err(result)
}

/// Searches the keyrings of a process (Linux's `search_cred_keyrings_rcu`), which are possessed: the thread's, the
/// process's, the session's or in its place the user's session. That one of them has no such key weighs more than
/// what is wrong with a key in another.
pub(super) fn search_process(search: &Search<'_>) -> Result<KeyRef> {
    let CredKeys {
        thread,
        process,
        session,
        ..
    } = &search.cred.keys;
    let stand_in = match session {
        Some(_) => None,
        None => search.cred.user_ns.keys.user_session(search.cred),
    };
    let mut missing: Option<Error> = None;
    let mut wrong = err!(EAGAIN, "no such key in the process's keyrings");
    for ring in [thread, process, session, &stand_in].into_iter().flatten() {
        let top = KeyRef {
            key: ring.clone(),
            possessed: true,
        };
        match search_keyring(&top, search) {
            Ok(found) => return Ok(found),
            Err(error) if error.errno() == Errno::EAGAIN => missing = missing.or(Some(error)),
            Err(error) if error.errno() == Errno::ENOKEY => missing = Some(error),
            Err(error) => wrong = error,
        }
    }
    Err(missing.unwrap_or(wrong))
}

impl Keys {
    /// The key, and whether `cred` possesses it.
    pub(super) fn with_possession(&self, cred: &Cred, key: Arc<Key>) -> KeyRef {
        let search = Search {
            cred,
            index: &key.index,
            exact: Some(&key),
            check_state: false,
            skip_expired: false,
            recurse: true,
            now: 0,
        };
        let possessed = search_process(&search).is_ok();
        KeyRef { key, possessed }
    }
    /// Searches a tree of keyrings for a key that is of use. `EAGAIN` becomes `ENOKEY`.
    pub fn search(&self, cred: &Cred, top: &KeyRef, kind: KeyType, description: &[u8]) -> Result<KeyRef> {
        let index = KeyIndex {
            kind,
            description: description.into(),
        };
        let search = Search {
            cred,
            index: &index,
            exact: None,
            check_state: true,
            skip_expired: false,
            recurse: true,
            now: self.now(),
        };
        search_keyring(top, &search).map_err(no_key)
    }
}

/// What a search says to user space.
pub(super) fn no_key(error: Error) -> Error {
    match error.errno() {
        Errno::EAGAIN => err!(ENOKEY, "no such key"),
        _ => error,
    }
}
