//! Making and changing keys (`add_key(2)`, `request_key(2)`, `keyctl(2)`).

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::key::{AT_ONCE, NEVER, Payload};
use super::keyring::check_restriction;
use super::search::{Search, no_key, search_process};
use super::{Counted, Key, KeyIndex, KeyPerm, KeyRef, KeyType, Keys, Lookup, Need, NewKey, RequestKeyring};
use crate::cred::{Capability, Cred};
use crate::error::{Errno, Result};
use crate::ids::{Kgid, Kuid};
use crate::task::Task;
use crate::{bail, ensure, err};

/// The largest payload of the types of bytes.
const MAX_PAYLOAD: usize = 32767;
/// How long it is remembered that a key could not be had, in seconds (Linux's `key_negative_timeout`).
const NEGATIVE_TIMEOUT: i64 = 60;

/// What `add_key(2)` is given.
#[allow(missing_docs)]
pub struct AddKey {
    pub kind: KeyType,
    pub description: Option<Vec<u8>>,
    pub payload: Vec<u8>,
}

/// What `request_key(2)` is given.
#[allow(missing_docs)]
pub struct RequestKey {
    pub kind: KeyType,
    pub description: Vec<u8>,
    /// Somebody is to make the key if there is none.
    pub call_out: bool,
}

impl KeyType {
    /// `EINVAL` for a payload that the type does not take.
    fn check_payload(self, len: usize) -> Result<()> {
        let fits = match self {
            KeyType::Keyring => len == 0,
            KeyType::User | KeyType::Logon => (1..=MAX_PAYLOAD).contains(&len),
        };
        ensure!(fits, EINVAL, "not a payload for this type of key");
        Ok(())
    }
    /// `EINVAL`: empty, or a `logon` key without its service.
    fn check_description(self, text: &[u8]) -> Result<()> {
        let service = text.iter().position(|&byte| byte == b':');
        ensure!(
            !text.is_empty() && (self != KeyType::Logon || service.is_some_and(|at| at > 0)),
            EINVAL,
            "not a description for this type of key"
        );
        Ok(())
    }
}

impl Keys {
    /// Puts a payload into a key of bytes, which becomes positive and forgets its timeout. `EDQUOT`, `ENOMEM`.
    fn fill(self: &Arc<Self>, key: &Key, payload: Vec<u8>) -> Result<()> {
        if key.is_keyring() {
            return Ok(());
        }
        let memory = self.charge(&key.index, payload.len())?;
        let mut state = key.state.lock();
        self.reserve(key, state.user, state.datalen, payload.len())?;
        state.datalen = payload.len();
        let old = core::mem::replace(&mut state.payload, Payload::Bytes(payload.into_boxed_slice()));
        let charged = core::mem::replace(&mut state.memory, memory);
        state.negative = None;
        state.expiry = None;
        key.ends.store(NEVER, core::sync::atomic::Ordering::Relaxed);
        drop(state);
        drop((old, charged));
        Ok(())
    }

    fn new_key(self: &Arc<Self>, cred: &Cred, index: KeyIndex) -> Result<Arc<Key>> {
        let is_keyring = index.kind == KeyType::Keyring;
        self.alloc(NewKey {
            perm: index.kind.default_perm(),
            index,
            uid: cred.fsuid,
            gid: Some(cred.fsgid),
            counted: Counted::Quota,
            published: is_keyring.then(|| cred.user_ns.koid()),
            is_uid_keyring: false,
        })
    }

    /// Makes a key in a keyring, or updates the one that is there (Linux's `key_create_or_update`). `ENOTDIR`,
    /// `EINVAL`, `EPERM` in a restricted keyring, `EACCES`, `EDQUOT`, `ENOMEM`.
    pub fn add(self: &Arc<Self>, cred: &Cred, ring: &KeyRef, new: AddKey) -> Result<Arc<Key>> {
        ring.check_keyring()?;
        new.kind.check_payload(new.payload.len())?;
        let Some(description) = new.description else {
            bail!(EINVAL, "a key needs a description")
        };
        check_restriction(&ring.key)?;
        ring.permission(cred, Need::Write)?;
        new.kind.check_description(&description)?;
        let index = KeyIndex {
            kind: new.kind,
            description: description.into_boxed_slice(),
        };
        let updatable = || {
            let found = ring.key.link_for(&index).filter(|found| {
                let info = found.info();
                !found.is_keyring() && !info.revoked && !info.invalidated
            });
            found.map(|key| KeyRef {
                key,
                possessed: ring.possessed,
            })
        };
        let mut found = updatable();
        if found.is_none() {
            let key = self.new_key(cred, index.clone())?;
            // Another one may make it meanwhile, which is then to be updated.
            let filled = self.fill(&key, new.payload.clone());
            let topology = self.topology.lock();
            found = updatable();
            if found.is_none() {
                let old = filled
                    .and_then(|()| check_restriction(&ring.key))
                    .and_then(|()| self.insert_link(&ring.key, &key));
                drop(topology);
                old.map(drop)?;
                return Ok(key);
            }
        }
        let Some(found) = found else {
            bail!(ENOKEY, "the key is gone")
        };
        found.permission(cred, Need::Write)?;
        self.fill(&found.key, new.payload)?;
        Ok(found.key)
    }

    /// Finds a key in the caller's keyrings, and links it into `dest` (Linux's `request_key_and_link`). `ENOKEY`,
    /// `EKEYREVOKED`, `EACCES`. With a call-out, since no program answers: `ENOENT`, and it is remembered for a minute
    /// that there is no such key; `EPERM` for a keyring.
    pub fn request(
        self: &Arc<Self>,
        task: &Task,
        want: RequestKey,
        dest: Option<&KeyRef>,
    ) -> Result<Arc<Key>> {
        let cred = task.cred();
        let index = KeyIndex {
            kind: want.kind,
            description: want.description.into_boxed_slice(),
        };
        let search = Search {
            cred: &cred,
            index: &index,
            exact: None,
            check_state: true,
            skip_expired: true,
            recurse: true,
            now: self.now(),
        };
        match search_process(&search) {
            Ok(found) => {
                if let Some(dest) = dest {
                    found.permission(&cred, Need::Link)?;
                    self.link(&dest.key, &found.key)?;
                }
                return Ok(found.key);
            }
            Err(error) if error.errno() == Errno::EAGAIN && want.call_out => {}
            Err(error) => return Err(no_key(error)),
        }
        ensure!(
            want.kind != KeyType::Keyring,
            EPERM,
            "nobody makes keyrings on request"
        );
        want.kind.check_description(&index.description)?;
        let dest = match dest {
            Some(dest) => dest.clone(),
            None => self.default_ring(task)?,
        };
        let key = self.new_key(&cred, index)?;
        {
            let mut state = key.state.lock();
            state.negative = Some(Errno::ENOKEY);
        }
        self.link(&dest.key, &key)?;
        self.set_timeout(&key, NEGATIVE_TIMEOUT);
        Err(err!(ENOENT, "request_key: there is no program that makes keys"))
    }

    /// Where a requested key goes if the caller does not say.
    fn default_ring(self: &Arc<Self>, task: &Task) -> Result<KeyRef> {
        let cred = task.cred();
        let keys = &cred.keys;
        let order = [
            (RequestKeyring::Thread, keys.thread.clone()),
            (RequestKeyring::Process, keys.process.clone()),
            (RequestKeyring::Session, keys.session.clone()),
        ];
        let from = match keys.request {
            RequestKeyring::Default | RequestKeyring::Requestor => RequestKeyring::Thread,
            other => other,
        };
        let own = order
            .into_iter()
            .filter(|(ring, _)| *ring as u8 >= from as u8)
            .find_map(|(_, key)| key);
        let key = match own {
            Some(key) => key,
            None if from == RequestKeyring::User => self.user_keyrings(&cred)?.0,
            None => self.user_keyrings(&cred)?.1,
        };
        let ring = KeyRef { key, possessed: true };
        ring.permission(&cred, Need::Write)?;
        Ok(ring)
    }

    /// `KEYCTL_UPDATE`. `EOPNOTSUPP` for a keyring, `EINVAL`, `EDQUOT`, `ENOMEM`.
    pub fn update(self: &Arc<Self>, key: &Key, payload: Vec<u8>) -> Result<()> {
        ensure!(!key.is_keyring(), EOPNOTSUPP, "keyrings are not updated");
        key.index.kind.check_payload(payload.len())?;
        self.fill(key, payload)
    }

    /// `KEYCTL_REVOKE`: the key's payload goes at once.
    pub fn revoke(self: &Arc<Self>, key: &Key) {
        let now = self.now();
        let topology = self.topology.lock();
        let mut gone = Vec::new();
        if key.is_keyring() {
            gone = self.retain_links(key, |_| false);
        }
        let mut state = key.state.lock();
        state.revoked = true;
        let mut old = None;
        if !key.is_keyring() {
            let _ = self.reserve(key, state.user, state.datalen, 0);
            let bytes = core::mem::take(&mut state.datalen);
            state.memory.shrink(bytes as u32);
            old = Some(core::mem::replace(
                &mut state.payload,
                Payload::Bytes(Box::default()),
            ));
        }
        drop(state);
        drop(topology);
        drop((gone, old));
        self.ends_at(key, now);
    }

    /// `KEYCTL_INVALIDATE`.
    pub fn invalidate(self: &Arc<Self>, key: &Key) {
        key.state.lock().invalidated = true;
        self.ends_at(key, AT_ONCE);
    }

    /// The key expires so many seconds from now; never with 0.
    pub fn set_timeout(self: &Arc<Self>, key: &Key, seconds: i64) {
        let expiry = (seconds > 0).then(|| self.now().saturating_add(seconds));
        let mut state = key.state.lock();
        state.expiry = expiry;
        let revoked = state.revoked || state.invalidated;
        drop(state);
        if !revoked {
            self.ends_at(key, expiry.unwrap_or(NEVER));
        }
    }

    /// `KEYCTL_SETPERM`. `EACCES` for who is neither owner nor `CAP_SYS_ADMIN`.
    pub fn set_perm(&self, cred: &Cred, key: &Key, perm: KeyPerm) -> Result<()> {
        let mut state = key.state.lock();
        ensure!(
            state.uid == cred.fsuid || cred.capable(Capability::SYS_ADMIN),
            EACCES,
            "another user's key"
        );
        state.perm = perm;
        Ok(())
    }

    /// `KEYCTL_CHOWN`. `EACCES` for another user or a group of others without `CAP_SYS_ADMIN`, `EDQUOT`.
    pub fn chown(&self, cred: &Cred, key: &Key, uid: Option<Kuid>, gid: Option<Kgid>) -> Result<()> {
        let mut state = key.state.lock();
        let new_uid = uid.filter(|uid| *uid != state.uid);
        let foreign = gid.is_some_and(|gid| state.gid != Some(gid) && !cred.in_group(gid));
        ensure!(
            (new_uid.is_none() && !foreign) || cred.capable(Capability::SYS_ADMIN),
            EACCES,
            "the caller has no CAP_SYS_ADMIN"
        );
        if let Some(uid) = new_uid {
            let bytes = key.index.description.len() + 1 + state.datalen;
            self.change_owner(key, state.user, uid, bytes)?;
            (state.uid, state.user) = (uid, uid);
        }
        if gid.is_some() {
            state.gid = gid;
        }
        Ok(())
    }

    /// `KEYCTL_SET_REQKEY_KEYRING`: gives what was set before.
    pub fn set_request_keyring(
        self: &Arc<Self>,
        task: &Task,
        ring: RequestKeyring,
    ) -> Result<RequestKeyring> {
        match ring {
            RequestKeyring::Thread => drop(self.lookup(task, -1, Lookup::CREATE, Need::Deferred)?),
            RequestKeyring::Process => drop(self.lookup(task, -2, Lookup::CREATE, Need::Deferred)?),
            _ => {}
        }
        let mut cred = (*task.cred()).clone();
        let old = core::mem::replace(&mut cred.keys.request, ring);
        task.commit_creds(cred);
        Ok(old)
    }
}
