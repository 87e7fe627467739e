//! The keyrings of threads, processes, sessions and users (`thread-keyring(7)`, `process-keyring(7)`,
//! `session-keyring(7)`, `user-keyring(7)`, `user-session-keyring(7)`, `persistent-keyring(7)`).

use alloc::boxed::Box;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Bound;

use spin::Once;

use super::search::{Search, search_keyring};
use super::{Counted, Key, KeyIndex, KeyPerm, KeyRef, KeySerial, KeyType, Keys, Need, NewKey};
use crate::cred::{Capability, Cred};
use crate::error::{Errno, Result};
use crate::ids::{Kgid, Kuid};
use crate::namespace::UserNamespace;
use crate::task::{Task, ThreadFlags};
use crate::{bail, ensure, err};

/// Where `request_key(2)` keeps what it makes (`KEY_REQKEY_DEFL_*`).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[allow(missing_docs)]
#[repr(u8)]
pub enum RequestKeyring {
    #[default]
    Default = 0,
    Thread = 1,
    Process = 2,
    Session = 3,
    User = 4,
    UserSession = 5,
    Requestor = 7,
}

impl RequestKeyring {
    /// From its number.
    pub fn from_number(number: i32) -> Option<RequestKeyring> {
        use RequestKeyring::*;
        [Default, Thread, Process, Session, User, UserSession, Requestor]
            .into_iter()
            .find(|ring| *ring as i32 == number)
    }
}

/// The keyrings of a process's credentials.
#[derive(Clone, Default)]
pub struct CredKeys {
    /// Of the thread alone.
    pub thread: Option<Arc<Key>>,
    /// Of the threads of the process that were made after it.
    pub process: Option<Arc<Key>>,
    /// Handed on to children.
    pub session: Option<Arc<Key>>,
    /// Where requests are kept.
    pub request: RequestKeyring,
}

impl CredKeys {
    /// Whether a child, a thread or another process, has something else.
    pub fn differ_for_child(&self, thread: bool) -> bool {
        self.thread.is_some() || (!thread && self.process.is_some())
    }
    /// What a new program has.
    pub fn leave_process(&mut self) {
        (self.thread, self.process) = (None, None);
    }
}

/// The keyrings that a user namespace has for its users.
#[derive(Default)]
pub struct NsKeys {
    users: Once<Arc<Key>>,
    persistent: Once<Arc<Key>>,
}

fn uid_in(ns: &UserNamespace, uid: Kuid) -> u32 {
    ns.from_kuid(uid).map_or(u32::MAX, |uid| uid.0)
}

fn ring_index(name: impl Into<Vec<u8>>) -> KeyIndex {
    KeyIndex {
        kind: KeyType::Keyring,
        description: name.into().into_boxed_slice(),
    }
}

impl NsKeys {
    /// The user session keyring of `cred`'s user, if it is there.
    pub(super) fn user_session(&self, cred: &Cred) -> Option<Arc<Key>> {
        let index = ring_index(format!("_uid_ses.{}", uid_in(&cred.user_ns, cred.uid)));
        let found = self.users.get()?.link_for(&index)?;
        found.validate().is_ok().then_some(found)
    }
}

/// A number below zero that stands for a keyring (`KEY_SPEC_*`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum SpecialKey {
    Thread = -1,
    Process = -2,
    Session = -3,
}

bitflags::bitflags! {
    /// How a key is looked up.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Lookup: u32 {
        /// Makes special keyrings that are not there.
        const CREATE = 1;
        /// Negative keys too.
        const PARTIAL = 2;
    }
}

impl Keys {
    fn own_ring(
        self: &Arc<Self>,
        cred: &Cred,
        name: &str,
        perm: KeyPerm,
        counted: Counted,
    ) -> Result<Arc<Key>> {
        self.alloc(NewKey {
            index: ring_index(name),
            uid: cred.uid,
            gid: Some(cred.gid),
            perm,
            counted,
            published: Some(cred.user_ns.koid()),
            is_uid_keyring: false,
        })
    }

    /// A thread keyring for these credentials. `ENOMEM`.
    pub(crate) fn thread_keyring(self: &Arc<Self>, cred: &Cred) -> Result<Arc<Key>> {
        let perm = KeyPerm::POS_ALL | KeyPerm::USR_VIEW;
        self.own_ring(cred, "_tid", perm, Counted::Overrun)
    }

    /// Gives the task a keyring that it does not have yet. `EDQUOT` for a second session, `ENOMEM`.
    pub fn install(self: &Arc<Self>, task: &Task, ring: SpecialKey) -> Result<()> {
        let mut cred = (*task.cred()).clone();
        let perm = KeyPerm::POS_ALL | KeyPerm::USR_VIEW;
        match ring {
            SpecialKey::Thread if cred.keys.thread.is_none() => {
                cred.keys.thread = Some(self.thread_keyring(&cred)?)
            }
            SpecialKey::Process if cred.keys.process.is_none() => {
                cred.keys.process = Some(self.own_ring(&cred, "_pid", perm, Counted::Overrun)?);
            }
            SpecialKey::Session => {
                let counted = match cred.keys.session {
                    Some(_) => Counted::Quota,
                    None => Counted::Overrun,
                };
                let perm = perm | KeyPerm::USR_READ;
                cred.keys.session = Some(self.own_ring(&cred, "_ses", perm, counted)?);
            }
            _ => return Ok(()),
        }
        task.commit_creds(cred);
        Ok(())
    }

    /// The register of the users' keyrings, or of the persistent ones, of a namespace.
    fn register(self: &Arc<Self>, ns: &UserNamespace, persistent: bool) -> Result<Arc<Key>> {
        let (slot, name, counted) = match persistent {
            false => (&ns.keys.users, ".user_reg", Counted::Quota),
            true => (&ns.keys.persistent, ".persistent_register", Counted::Not),
        };
        if let Some(register) = slot.get() {
            return Ok(register.clone());
        }
        let register = self.alloc(NewKey {
            index: ring_index(name),
            uid: ns.owner(),
            gid: None,
            perm: KeyPerm::POS_WRITE | KeyPerm::POS_SEARCH | KeyPerm::USR_VIEW | KeyPerm::USR_READ,
            counted,
            published: None,
            is_uid_keyring: false,
        })?;
        Ok(slot.call_once(|| register).clone())
    }

    /// What the register has under this name, or what `make` makes. Not to be called with links locked.
    fn registered(
        self: &Arc<Self>,
        cred: &Cred,
        register: &Arc<Key>,
        name: Box<[u8]>,
        make: impl FnOnce(KeyIndex) -> NewKey,
    ) -> Result<Arc<Key>> {
        let index = KeyIndex {
            kind: KeyType::Keyring,
            description: name,
        };
        let find = || {
            let top = KeyRef {
                key: register.clone(),
                possessed: true,
            };
            let search = Search {
                cred,
                index: &index,
                exact: None,
                check_state: true,
                skip_expired: false,
                recurse: false,
                now: self.now(),
            };
            search_keyring(&top, &search)
        };
        match find() {
            Ok(found) => return Ok(found.key),
            Err(error) if error.errno() == Errno::EAGAIN => {}
            Err(error) => return Err(error),
        }
        let made = self.alloc(make(index.clone()))?;
        let topology = self.topology.lock();
        // Somebody may have been faster.
        if let Ok(found) = find() {
            drop(topology);
            return Ok(found.key);
        }
        let old = self.insert_link(register, &made);
        drop(topology);
        old.map(drop)?;
        Ok(made)
    }

    /// The user keyring and the user session keyring of `cred`'s user in its user namespace (Linux's
    /// `look_up_user_keyrings`).
    pub fn user_keyrings(self: &Arc<Self>, cred: &Cred) -> Result<(Arc<Key>, Arc<Key>)> {
        let register = self.register(&cred.user_ns, false)?;
        let uid = uid_in(&cred.user_ns, cred.uid);
        let make = |index| NewKey {
            index,
            uid: cred.uid,
            gid: None,
            perm: (KeyPerm::POS_ALL - KeyPerm::POS_SETATTR) | KeyPerm::USR_ALL,
            counted: Counted::Quota,
            published: Some(cred.user_ns.koid()),
            is_uid_keyring: true,
        };
        let name = |name: &str| format!("{name}.{uid}").into_bytes().into_boxed_slice();
        let user = self.registered(cred, &register, name("_uid"), make)?;
        let session = match cred.user_ns.keys.user_session(cred) {
            Some(session) => session,
            None => {
                let session = self.registered(cred, &register, name("_uid_ses"), make)?;
                self.link(&session, &user)?;
                session
            }
        };
        Ok((user, session))
    }

    /// The key that a number stands for, and what the caller may do with it (Linux's `lookup_user_key`). `ENOKEY`,
    /// `EINVAL`, `EKEYREVOKED`, `EKEYEXPIRED`, `EACCES`.
    pub fn lookup(self: &Arc<Self>, task: &Task, id: i32, lookup: Lookup, need: Need) -> Result<KeyRef> {
        let found = self.named(task, id, lookup.contains(Lookup::CREATE))?;
        if need != Need::Unlink && need != Need::Deferred {
            if !lookup.contains(Lookup::PARTIAL) {
                found.key.check_positive()?;
            }
            found.key.validate()?;
        }
        found.permission(&task.cred(), need)?;
        Ok(found)
    }

    fn named(self: &Arc<Self>, task: &Task, id: i32, create: bool) -> Result<KeyRef> {
        let cred = task.cred();
        let missing = || err!(ENOKEY, "the process has no such keyring");
        let key = match id {
            -1 | -2 => {
                let (special, slot): (_, fn(&Cred) -> &Option<Arc<Key>>) = match id {
                    -1 => (SpecialKey::Thread, |cred| &cred.keys.thread),
                    _ => (SpecialKey::Process, |cred| &cred.keys.process),
                };
                if slot(&cred).is_none() && create {
                    self.install(task, special)?;
                }
                slot(&task.cred()).clone().ok_or_else(missing)?
            }
            -3 => self.session(task, create)?,
            -4 => self.user_keyrings(&cred)?.0,
            -5 => self.user_keyrings(&cred)?.1,
            // Only whom the kernel asks for a key has these.
            -7 | -8 => return Err(missing()),
            id if id < 1 => bail!(EINVAL, "no such special keyring"),
            id => return Ok(self.with_possession(&cred, self.find(KeySerial(id))?)),
        };
        Ok(KeyRef { key, possessed: true })
    }

    /// The session keyring. A process without one gets that of its user, or its own if one is to be made.
    fn session(self: &Arc<Self>, task: &Task, create: bool) -> Result<Arc<Key>> {
        let cred = task.cred();
        match &cred.keys.session {
            Some(session) if !(create && session.is_uid_keyring) => return Ok(session.clone()),
            None if !create => {
                let (_, session) = self.user_keyrings(&cred)?;
                let mut new = (*cred).clone();
                new.keys.session = Some(session.clone());
                task.commit_creds(new);
                return Ok(session);
            }
            None => drop(self.user_keyrings(&cred)?),
            Some(_) => {}
        }
        self.install(task, SpecialKey::Session)?;
        let session = task.cred().keys.session.clone();
        session.ok_or(err!(ENOKEY, "the process has no session keyring"))
    }

    /// Joins the session keyring with this name, which is made if the caller finds none in its user namespace;
    /// without a name, a new one (`KEYCTL_JOIN_SESSION_KEYRING`). Gives its number, or nothing if the caller has it
    /// already.
    pub fn join_session(self: &Arc<Self>, task: &Task, name: Option<Vec<u8>>) -> Result<Option<KeySerial>> {
        let Some(name) = name else {
            self.install(task, SpecialKey::Session)?;
            return Ok(task.cred().keys.session.as_ref().map(|key| key.serial));
        };
        let mut cred = (*task.cred()).clone();
        let index = ring_index(name);
        let ring = match self.find_named(&cred, &index) {
            Some(found)
                if cred
                    .keys
                    .session
                    .as_ref()
                    .is_some_and(|own| own.serial == found.serial) =>
            {
                return Ok(None);
            }
            Some(found) => found,
            None => {
                ensure!(!index.description.is_empty(), EINVAL, "a keyring needs a name");
                self.alloc(NewKey {
                    index,
                    uid: cred.uid,
                    gid: Some(cred.gid),
                    perm: KeyPerm::POS_ALL | KeyPerm::USR_VIEW | KeyPerm::USR_READ | KeyPerm::USR_LINK,
                    counted: Counted::Quota,
                    published: Some(cred.user_ns.koid()),
                    is_uid_keyring: false,
                })?
            }
        };
        let serial = ring.serial;
        cred.keys.session = Some(ring);
        task.commit_creds(cred);
        Ok(Some(serial))
    }

    /// A keyring of the user namespace that the caller may search without possessing it.
    fn find_named(&self, cred: &Cred, index: &KeyIndex) -> Option<Arc<Key>> {
        let ns = cred.user_ns.koid();
        let index = Arc::new(index.clone());
        let from = (ns, index.clone(), KeySerial(0));
        let to = (ns, index, KeySerial(i32::MAX));
        let found: Vec<Arc<Key>> = {
            let table = self.table.lock();
            let range = table.names.range((Bound::Included(from), Bound::Included(to)));
            range.filter_map(|(_, key)| key.upgrade()).collect()
        };
        let fits = |key: &&Arc<Key>| {
            let info = key.info();
            cred.user_ns.from_kuid(info.uid).is_some()
                && !info.revoked
                && info.permission(cred, false, Need::Search).is_ok()
        };
        found.iter().find(fits).cloned()
    }

    /// The persistent keyring of a user, linked into `dest` and kept for some more days (`KEYCTL_GET_PERSISTENT`).
    /// `EPERM` without `CAP_SETUID` for somebody else's.
    pub fn persistent(self: &Arc<Self>, task: &Task, uid: Kuid, dest: i32) -> Result<KeySerial> {
        let cred = task.cred();
        ensure!(
            uid == cred.uid || uid == cred.euid || cred.ns_capable(&cred.user_ns, Capability::SETUID),
            EPERM,
            "another user's persistent keyring"
        );
        let dest = self.lookup(task, dest, Lookup::CREATE, Need::Write)?;
        dest.check_keyring()?;
        let register = self.register(&cred.user_ns, true)?;
        let name = format!("_persistent.{}", uid_in(&cred.user_ns, uid));
        let make = |index| NewKey {
            index,
            uid,
            gid: None::<Kgid>,
            perm: (KeyPerm::POS_ALL - KeyPerm::POS_SETATTR) | KeyPerm::USR_VIEW | KeyPerm::USR_READ,
            counted: Counted::Not,
            published: Some(cred.user_ns.koid()),
            is_uid_keyring: false,
        };
        let key = self.registered(&cred, &register, name.into_bytes().into_boxed_slice(), make)?;
        let found = KeyRef { key, possessed: true };
        found.permission(&cred, Need::Link)?;
        self.link(&dest.key, &found.key)?;
        self.set_timeout(&found.key, self.sysctl.key_persistent_expiry.get());
        Ok(found.key.serial)
    }

    /// Gives the caller's session keyring to its parent, which takes it when it next goes to user mode
    /// (`KEYCTL_SESSION_TO_PARENT`). `EPERM` for init, for a parent with threads, with other ids, or whose session
    /// keyring or the caller's is another user's.
    pub fn session_to_parent(self: &Arc<Self>, task: &Task) -> Result<()> {
        let session = self
            .lookup(task, SpecialKey::Session as i32, Lookup::empty(), Need::Link)?
            .key;
        let group = task.group().parent().filter(|parent| parent.nr_threads() == 1);
        let parent = group.as_ref().and_then(|parent| parent.leader());
        let Some(parent) =
            parent.filter(|parent| parent.try_mm().is_some() && parent.group().tgid.global_nr().0 > 1)
        else {
            bail!(EPERM, "the parent is init, or has threads")
        };
        let (own, its) = (task.cred(), parent.cred());
        let old = its.keys.session.as_ref();
        if old.is_some_and(|old| old.serial == session.serial) {
            return Ok(());
        }
        let same_uid = [its.uid, its.euid, its.suid].iter().all(|uid| *uid == own.euid);
        let same_gid = [its.gid, its.egid, its.sgid].iter().all(|gid| *gid == own.egid);
        let owned = |ring: &Arc<Key>| ring.info().uid == own.euid;
        ensure!(
            same_uid && same_gid && owned(&session) && old.is_none_or(owned),
            EPERM,
            "the parent or a session keyring is another user's"
        );
        let old = parent.given_session.lock().replace(session);
        drop(old);
        parent.set_thread_flags(ThreadFlags::TASK_WORK);
        parent.leave_user_mode();
        Ok(())
    }

    /// The parent's part of it.
    pub fn take_given_session(&self, task: &Task) {
        let given = task.given_session.lock().take();
        if let Some(session) = given {
            let mut cred = (*task.cred()).clone();
            cred.keys.session = Some(session);
            task.commit_creds(cred);
        }
    }
}
