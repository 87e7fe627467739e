//! One key: what it is, who may do what with it, and its end.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicI64, Ordering};

use super::Keys;
use crate::cred::Cred;
use crate::error::{Errno, Error, Result};
use crate::ids::{Kgid, KoID, Kuid};
use crate::mm::memcg::KmemCharge;
use crate::sync::{SpinLock, class};
use crate::{bail, ensure};

/// The number of a key (`key_serial_t`), positive.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct KeySerial(pub i32);

/// What a key holds. Keyrings come first in a keyring's links.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum KeyType {
    /// Links to keys.
    Keyring,
    /// Bytes.
    User,
    /// Bytes that are never read again.
    Logon,
}

impl KeyType {
    /// From its name.
    pub fn from_name(name: &[u8]) -> Option<KeyType> {
        [KeyType::Keyring, KeyType::User, KeyType::Logon]
            .into_iter()
            .find(|kind| kind.name().as_bytes() == name)
    }
    /// As user space calls it.
    pub fn name(self) -> &'static str {
        match self {
            KeyType::Keyring => "keyring",
            KeyType::User => "user",
            KeyType::Logon => "logon",
        }
    }
    /// Whether `KEYCTL_READ` shows it.
    pub fn is_readable(self) -> bool {
        self != KeyType::Logon
    }
    /// What a new key allows: everything to its possessor, as far as the type can do it, and its owner
    /// may look at it.
    pub(super) fn default_perm(self) -> KeyPerm {
        let all = KeyPerm::POS_ALL | KeyPerm::USR_VIEW;
        if self.is_readable() {
            all
        } else {
            all - KeyPerm::POS_READ
        }
    }
}

bitflags::bitflags! {
    /// Rights, four times over: of the possessor, the user, the group and others (`keyrings(7)`).
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    #[allow(missing_docs)]
    pub struct KeyPerm: u32 {
        const OTH_ALL = 0x3f;
        const GRP_ALL = 0x3f << 8;
        const USR_VIEW = 0x01 << 16;
        const USR_READ = 0x02 << 16;
        const USR_LINK = 0x10 << 16;
        const USR_ALL = 0x3f << 16;
        const POS_READ = 0x02 << 24;
        const POS_VIEW = 0x01 << 24;
        const POS_WRITE = 0x04 << 24;
        const POS_SEARCH = 0x08 << 24;
        const POS_SETATTR = 0x20 << 24;
        const POS_ALL = 0x3f << 24;
    }
}

/// What somebody wants to do with a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Need {
    View,
    Read,
    Write,
    Search,
    Link,
    SetAttr,
    /// Unlink it: a matter of the keyring alone.
    Unlink,
    /// The caller looks itself.
    Deferred,
}

impl Need {
    fn mask(self) -> u32 {
        match self {
            Need::View => 0x01,
            Need::Read => 0x02,
            Need::Write => 0x04,
            Need::Search => 0x08,
            Need::Link => 0x10,
            Need::SetAttr => 0x20,
            Need::Unlink | Need::Deferred => 0,
        }
    }
}

/// Under what a key is found.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct KeyIndex {
    /// Its type.
    pub kind: KeyType,
    /// Its description.
    pub description: Box<[u8]>,
}

/// The links of a keyring: at most one for a type and description.
pub(super) type Links = BTreeMap<Arc<KeyIndex>, Arc<Key>>;

pub(super) enum Payload {
    Links(Links),
    Bytes(Box<[u8]>),
}

pub(super) struct State {
    pub uid: Kuid,
    /// Against whom it is counted, whatever its owner has become since.
    pub user: Kuid,
    /// `None` is nobody's group.
    pub gid: Option<Kgid>,
    pub perm: KeyPerm,
    pub revoked: bool,
    pub invalidated: bool,
    /// Seconds of the wall clock.
    pub expiry: Option<i64>,
    /// It stands for the fact that there is no such key.
    pub negative: Option<Errno>,
    /// A keyring that takes no more links.
    pub restricted: bool,
    /// Bytes of the payload, as the quota counts them.
    pub datalen: usize,
    pub payload: Payload,
    pub memory: KmemCharge,
}

/// What a glance at a key tells.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct KeyInfo {
    pub uid: Kuid,
    pub gid: Option<Kgid>,
    pub perm: KeyPerm,
    pub revoked: bool,
    pub invalidated: bool,
    pub expiry: Option<i64>,
    pub negative: Option<Errno>,
}

/// A key.
pub struct Key {
    pub(super) keys: Arc<Keys>,
    /// Its number.
    pub serial: KeySerial,
    /// Its type and description.
    pub index: Arc<KeyIndex>,
    /// Counted against its owner.
    pub in_quota: bool,
    /// A user's keyring, which is no session of its own.
    pub(super) is_uid_keyring: bool,
    /// The user namespace in which a keyring can be joined by name.
    pub(super) published: Option<KoID>,
    /// When it was revoked or expires, in seconds of the wall clock; [`NEVER`], or [`AT_ONCE`] for what is
    /// invalidated. Some time afterwards links to it go.
    pub(super) ends: AtomicI64,
    pub(super) state: SpinLock<State, class::Key>,
}

pub(super) const NEVER: i64 = i64::MAX;
pub(super) const AT_ONCE: i64 = i64::MIN;

impl Key {
    /// Its attributes.
    pub fn info(&self) -> KeyInfo {
        let state = self.state.lock();
        KeyInfo {
            uid: state.uid,
            gid: state.gid,
            perm: state.perm,
            revoked: state.revoked,
            invalidated: state.invalidated,
            expiry: state.expiry,
            negative: state.negative,
        }
    }
    /// Whether it is a keyring.
    pub fn is_keyring(&self) -> bool {
        self.index.kind == KeyType::Keyring
    }
    /// `ENOKEY` if it is invalidated, `EKEYREVOKED`, `EKEYEXPIRED` (Linux's `key_validate`).
    pub fn validate(&self) -> Result<()> {
        let info = self.info();
        ensure!(!info.invalidated, ENOKEY, "the key is invalidated");
        ensure!(!info.revoked, EKEYREVOKED, "the key is revoked");
        ensure!(
            !info.is_expired(self.keys.now()),
            EKEYEXPIRED,
            "the key has expired"
        );
        Ok(())
    }
    /// The error that a negative key stands for.
    pub fn check_positive(&self) -> Result<()> {
        match self.info().negative {
            Some(errno) => Err(Error::from(errno)),
            None => Ok(()),
        }
    }
    /// Whether links to it may go.
    pub(super) fn is_dead(&self, now: i64, delay: i64) -> bool {
        let ends = self.ends.load(Ordering::Relaxed);
        ends != NEVER && ends.saturating_add(delay) <= now
    }
    /// What `KEYCTL_READ` shows: the bytes, or the numbers of the keys that are linked. Type and state have
    /// been looked at.
    pub fn read(&self) -> Result<Vec<u8>> {
        let state = self.state.lock();
        let mut out = Vec::new();
        match &state.payload {
            Payload::Bytes(bytes) => {
                ensure!(
                    out.try_reserve_exact(bytes.len()).is_ok(),
                    ENOMEM,
                    "no memory for a key's payload"
                );
                out.extend_from_slice(bytes);
            }
            Payload::Links(links) => {
                let len = links.len() * size_of::<i32>();
                ensure!(
                    out.try_reserve_exact(len).is_ok(),
                    ENOMEM,
                    "no memory for a keyring's list"
                );
                for key in links.values() {
                    out.extend_from_slice(&key.serial.0.to_ne_bytes());
                }
            }
        }
        Ok(out)
    }
    /// Keys that are linked, or bytes.
    pub(super) fn len(&self) -> usize {
        let state = self.state.lock();
        match &state.payload {
            Payload::Bytes(_) => state.datalen,
            Payload::Links(links) => links.len(),
        }
    }
    pub(super) fn take_links(&self) -> Links {
        match &mut self.state.lock().payload {
            Payload::Links(links) => core::mem::take(links),
            Payload::Bytes(_) => Links::new(),
        }
    }
    /// The thread keyring of a task that changes its file system ids.
    pub(crate) fn follow_ids(&self, uid: Kuid, gid: Kgid) {
        let mut state = self.state.lock();
        state.uid = uid;
        state.gid = Some(gid);
    }
}

impl KeyInfo {
    /// Whether its time has come.
    pub fn is_expired(&self, now: i64) -> bool {
        self.expiry.is_some_and(|expiry| expiry <= now)
    }
    /// Whether `cred` may do this (Linux's `key_task_permission`). User, group and others exclude each
    /// other, what the possessor may comes on top; no capability counts. `EACCES`.
    pub fn permission(&self, cred: &Cred, possessed: bool, need: Need) -> Result<()> {
        let perm = self.perm.bits();
        let mut rights = if self.uid == cred.fsuid {
            perm >> 16
        } else if self.perm.intersects(KeyPerm::GRP_ALL) && self.gid.is_some_and(|gid| cred.in_group(gid)) {
            perm >> 8
        } else {
            perm
        };
        if possessed {
            rights |= perm >> 24;
        }
        if rights & need.mask() != need.mask() {
            bail!(EACCES, "the key does not allow this");
        }
        Ok(())
    }
}

/// A long chain of keyrings is taken apart without recursion.
impl Drop for Key {
    fn drop(&mut self) {
        self.keys.forget(self);
        let mut levels = Vec::new();
        let links = self.take_links();
        if !links.is_empty() {
            levels.push(links.into_values());
        }
        while let Some(level) = levels.last_mut() {
            let Some(key) = level.next() else {
                levels.pop();
                continue;
            };
            if let Some(key) = Arc::into_inner(key) {
                let links = key.take_links();
                if !links.is_empty() {
                    levels.push(links.into_values());
                }
            }
        }
    }
}

/// A key, and whether the caller possesses it.
#[derive(Clone)]
pub struct KeyRef {
    /// The key.
    pub key: Arc<Key>,
    /// It hangs, searchable, on one of the caller's keyrings.
    pub possessed: bool,
}

impl KeyRef {
    /// Whether `cred` may do this. `EACCES`.
    pub fn permission(&self, cred: &Cred, need: Need) -> Result<()> {
        self.key.info().permission(cred, self.possessed, need)
    }
    /// `ENOTDIR` if it is no keyring.
    pub fn check_keyring(&self) -> Result<()> {
        ensure!(self.key.is_keyring(), ENOTDIR, "not a keyring");
        Ok(())
    }
}
