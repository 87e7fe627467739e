//! Changing credentials (`credentials(7)`, `capabilities(7)` "Effect of user ID changes on
//! capabilities").

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use super::{Capabilities, Cred, SecureBits, UCountRlimit, UCounts};
use crate::ids::{Kuid, Uid};
use crate::task::{Resource, Task};

/// Which call changes ids; that decides what happens to capabilities.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SetId {
    /// `setuid`, `setreuid`, `setresuid`.
    Real,
    /// `setfsuid`.
    Fs,
}

/// Capabilities that concern file systems and follow `fsuid`.
const FS_SET: Capabilities = Capabilities::CHOWN
    .union(Capabilities::DAC_OVERRIDE)
    .union(Capabilities::DAC_READ_SEARCH)
    .union(Capabilities::FOWNER)
    .union(Capabilities::FSETID)
    .union(Capabilities::LINUX_IMMUTABLE)
    .union(Capabilities::MKNOD)
    .union(Capabilities::MAC_OVERRIDE);

impl Cred {
    /// The super-user of its user namespace, as the kernel numbers users.
    pub fn root_kuid(&self) -> Option<Kuid> {
        self.user_ns.make_kuid(Uid(0))
    }

    /// Adjusts the capabilities after the ids changed from those of `old` (Linux's `cap_task_fix_setuid`).
    pub fn fix_capabilities(&mut self, old: &Cred, change: SetId) {
        if self.securebits.contains(SecureBits::NO_SETUID_FIXUP) {
            return;
        }
        let Some(root) = old.root_kuid() else { return };
        match change {
            SetId::Real => {
                let had_root = [old.uid, old.euid, old.suid].contains(&root);
                let has_root = [self.uid, self.euid, self.suid].contains(&root);
                if had_root && !has_root {
                    if !self.securebits.contains(SecureBits::KEEP_CAPS) {
                        self.cap_permitted = Capabilities::empty();
                        self.cap_effective = Capabilities::empty();
                    }
                    self.cap_ambient = Capabilities::empty();
                }
                if old.euid == root && self.euid != root {
                    self.cap_effective = Capabilities::empty();
                }
                if old.euid != root && self.euid == root {
                    self.cap_effective = self.cap_permitted;
                }
            }
            SetId::Fs => {
                if old.fsuid == root && self.fsuid != root {
                    self.cap_effective -= FS_SET;
                }
                if old.fsuid != root && self.fsuid == root {
                    self.cap_effective |= FS_SET & self.cap_permitted;
                }
            }
        }
    }

    /// Whether `new` has no capability that `self` lacks (Linux's `cred_cap_issubset`).
    fn covers(&self, new: &Cred) -> bool {
        if Arc::ptr_eq(&self.user_ns, &new.user_ns) {
            return self.cap_permitted.contains(new.cap_permitted);
        }
        // The maker of a user namespace has every capability in it.
        let mut ns = &new.user_ns;
        while let Some(parent) = ns.parent() {
            if Arc::ptr_eq(parent, &self.user_ns) && ns.owner() == self.euid {
                return true;
            }
            ns = parent;
        }
        false
    }
}

impl Task {
    /// Installs new credentials of the calling task (Linux's `commit_creds`). Who becomes someone
    /// else, or more powerful, can no longer be looked into or be told of its parent's death.
    pub fn commit_creds(&self, mut new: Cred) {
        let old = self.cred();
        if new.uid != old.uid || !Arc::ptr_eq(&new.user_ns, &old.user_ns) {
            new.ucounts = UCounts::of(&new.user_ns, new.uid);
        }
        if (new.fsuid != old.fsuid || new.fsgid != old.fsgid)
            && let Some(ring) = &new.keys.thread
        {
            ring.follow_ids(new.fsuid, new.fsgid);
        }
        let other = old.euid != new.euid
            || old.egid != new.egid
            || old.fsuid != new.fsuid
            || old.fsgid != new.fsgid
            || !old.covers(&new);
        if other {
            if let Some(mm) = self.try_mm() {
                mm.set_dumpable(self.kernel().sysctl.suid_dumpable.get_u64());
            }
            self.pdeath_signal.store(0, Ordering::Relaxed);
        }
        if !Arc::ptr_eq(&new.ucounts, &old.ucounts) {
            // setuid(2) does not fail for too many processes, a later execve(2) does: if there were too
            // many before this one. Joining or making a user namespace says nothing about that.
            if Arc::ptr_eq(&new.user_ns, &old.user_ns) {
                let limit = self.group().rlimit(Resource::NPROC).cur;
                let exceeded = new.uid != Kuid::ROOT && new.ucounts.is_over(UCountRlimit::Nproc, limit);
                self.nproc_exceeded.store(exceeded, Ordering::Relaxed);
            }
            new.ucounts.inc_rlimit(UCountRlimit::Nproc, 1);
            old.ucounts.dec_rlimit(UCountRlimit::Nproc, 1);
        }
        let old = core::mem::replace(&mut *self.cred.lock(), Arc::new(new));
        drop(old);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kobject::KoidTable;
    use crate::namespace::{NsRegistry, UserNamespace};

    fn root() -> Cred {
        let registry = NsRegistry::new(Arc::new(KoidTable::new()));
        Cred::root(UserNamespace::initial(&registry, 1000))
    }

    #[test]
    fn leaving_root_drops_capabilities() {
        let old = root();
        let mut new = old.clone();
        (new.uid, new.euid, new.suid) = (Kuid(5), Kuid(5), Kuid(5));
        new.fix_capabilities(&old, SetId::Real);
        assert!(new.cap_permitted.is_empty() && new.cap_effective.is_empty());

        let mut kept = old.clone();
        kept.securebits = SecureBits::KEEP_CAPS;
        let before = kept.clone();
        (kept.uid, kept.euid, kept.suid) = (Kuid(5), Kuid(5), Kuid(5));
        kept.fix_capabilities(&before, SetId::Real);
        assert!(!kept.cap_permitted.is_empty() && kept.cap_effective.is_empty());
    }

    #[test]
    fn effective_follows_the_effective_user() {
        let old = root();
        let mut new = old.clone();
        new.euid = Kuid(5);
        new.fix_capabilities(&old, SetId::Real);
        assert_eq!(new.cap_permitted, Capabilities::all());
        assert!(new.cap_effective.is_empty());
        let mut back = new.clone();
        back.euid = Kuid::ROOT;
        back.fix_capabilities(&new, SetId::Real);
        assert_eq!(back.cap_effective, Capabilities::all());
    }

    #[test]
    fn fsuid_takes_the_file_capabilities_along() {
        let old = root();
        let mut new = old.clone();
        new.fsuid = Kuid(7);
        new.fix_capabilities(&old, SetId::Fs);
        assert_eq!(new.cap_effective, Capabilities::all() - FS_SET);
        let mut back = new.clone();
        back.fsuid = Kuid::ROOT;
        back.fix_capabilities(&new, SetId::Fs);
        assert_eq!(back.cap_effective, Capabilities::all());
    }

    #[test]
    fn no_fixup_leaves_all() {
        let mut old = root();
        old.securebits = SecureBits::NO_SETUID_FIXUP;
        let mut new = old.clone();
        (new.uid, new.euid, new.suid) = (Kuid(5), Kuid(5), Kuid(5));
        new.fix_capabilities(&old, SetId::Real);
        assert_eq!(new.cap_effective, Capabilities::all());
    }
}
