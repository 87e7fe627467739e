//! What keys cost their owner (`/proc/key-users`, `/proc/sys/kernel/keys/`).
//!
//! The limits are the kernel's, and those of root are its own; users are the kernel's too, whatever user
//! namespace they are in.

use super::{Counted, Key, Keys, Table};
use crate::ensure;
use crate::error::Result;
use crate::ids::Kuid;
use crate::sysctl::Sysctls;

/// The counts of one owner.
#[derive(Clone, Copy, Default, Debug)]
#[allow(missing_docs)]
pub struct KeyUser {
    /// All keys, and those that are counted.
    pub nkeys: usize,
    pub qnkeys: usize,
    pub qnbytes: usize,
}

/// How many keys and bytes a user may have.
pub(super) fn limits(sysctl: &Sysctls, uid: Kuid) -> (usize, usize) {
    let (keys, bytes) = if uid == Kuid::ROOT {
        (&sysctl.key_root_maxkeys, &sysctl.key_root_maxbytes)
    } else {
        (&sysctl.key_maxkeys, &sysctl.key_maxbytes)
    };
    (keys.get() as usize, bytes.get() as usize)
}

impl Table {
    /// One more key. `EDQUOT`.
    pub(super) fn add_key(
        &mut self,
        sysctl: &Sysctls,
        uid: Kuid,
        bytes: usize,
        counted: Counted,
    ) -> Result<()> {
        let mut user = self.users.get(&uid).copied().unwrap_or_default();
        let (maxkeys, maxbytes) = limits(sysctl, uid);
        ensure!(
            counted != Counted::Quota || (user.qnkeys < maxkeys && user.qnbytes + bytes <= maxbytes),
            EDQUOT,
            "the user has too many keys"
        );
        user.nkeys += 1;
        if counted != Counted::Not {
            user.qnkeys += 1;
            user.qnbytes += bytes;
        }
        self.users.insert(uid, user);
        Ok(())
    }
    /// One less.
    pub(super) fn remove_key(&mut self, uid: Kuid, bytes: usize, in_quota: bool) {
        let Some(user) = self.users.get_mut(&uid) else {
            return;
        };
        user.nkeys -= 1;
        if in_quota {
            user.qnkeys -= 1;
            user.qnbytes -= bytes;
        }
        if user.nkeys == 0 {
            self.users.remove(&uid);
        }
    }
}

impl Keys {
    /// A payload becomes `to` bytes after `from`; more of them need room (Linux's `key_payload_reserve`). `EDQUOT`.
    pub(super) fn reserve(&self, key: &Key, user: Kuid, from: usize, to: usize) -> Result<()> {
        if !key.in_quota || from == to {
            return Ok(());
        }
        let mut table = self.table.lock();
        let (_, maxbytes) = limits(&self.sysctl, user);
        if let Some(user) = table.users.get_mut(&user) {
            let bytes = user.qnbytes - from + to;
            ensure!(
                to < from || bytes <= maxbytes,
                EDQUOT,
                "the user's keys have too many bytes"
            );
            user.qnbytes = bytes;
        }
        Ok(())
    }
    /// A key of `bytes` gets another owner. `EDQUOT`.
    pub(super) fn change_owner(&self, key: &Key, from: Kuid, to: Kuid, bytes: usize) -> Result<()> {
        let mut table = self.table.lock();
        let counted = if key.in_quota {
            Counted::Quota
        } else {
            Counted::Not
        };
        table.add_key(&self.sysctl, to, bytes, counted)?;
        table.remove_key(from, bytes, key.in_quota);
        Ok(())
    }
}
