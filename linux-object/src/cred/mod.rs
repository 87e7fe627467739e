//! Credentials (`credentials(7)`, `capabilities(7)`).
//!
//! A [`Cred`] is immutable; changing credentials makes a new one and installs it (Linux's
//! `prepare_creds`/`commit_creds`). A task reads its own without waiting; others take a reference.

mod capability;
mod change;
pub mod exec;
mod ucounts;

pub use capability::{Capabilities, Capability};
pub use change::SetId;
pub use ucounts::{UCount, UCountGuard, UCountLimits, UCountRlimit, UCountTable, UCounts};

use alloc::sync::Arc;

use crate::ids::{Kgid, Kuid};
use crate::keys::CredKeys;
use crate::namespace::UserNamespace;

bitflags::bitflags! {
    /// `PR_SET_SECUREBITS` (`capabilities(7)`).
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    #[allow(missing_docs)]
    pub struct SecureBits: u32 {
        const NOROOT = 1 << 0;
        const NOROOT_LOCKED = 1 << 1;
        const NO_SETUID_FIXUP = 1 << 2;
        const NO_SETUID_FIXUP_LOCKED = 1 << 3;
        const KEEP_CAPS = 1 << 4;
        const KEEP_CAPS_LOCKED = 1 << 5;
        const NO_CAP_AMBIENT_RAISE = 1 << 6;
        const NO_CAP_AMBIENT_RAISE_LOCKED = 1 << 7;
    }
}

/// Who a task is.
#[derive(Clone)]
#[allow(missing_docs)]
pub struct Cred {
    pub uid: Kuid,
    pub gid: Kgid,
    pub suid: Kuid,
    pub sgid: Kgid,
    pub euid: Kuid,
    pub egid: Kgid,
    /// What file-system checks use.
    pub fsuid: Kuid,
    pub fsgid: Kgid,
    /// Supplementary groups, sorted.
    pub groups: Arc<[Kgid]>,
    pub securebits: SecureBits,
    pub cap_inheritable: Capabilities,
    pub cap_permitted: Capabilities,
    pub cap_effective: Capabilities,
    pub cap_bounding: Capabilities,
    pub cap_ambient: Capabilities,
    /// The namespace in which the capabilities hold.
    pub user_ns: Arc<UserNamespace>,
    /// What `uid` has made in `user_ns`.
    pub ucounts: Arc<UCounts>,
    /// The keyrings.
    pub keys: CredKeys,
}

impl Cred {
    /// The credentials of the first process: the super-user of `user_ns`.
    pub fn root(user_ns: Arc<UserNamespace>) -> Cred {
        Cred {
            uid: Kuid::ROOT,
            gid: Kgid::ROOT,
            suid: Kuid::ROOT,
            sgid: Kgid::ROOT,
            euid: Kuid::ROOT,
            egid: Kgid::ROOT,
            fsuid: Kuid::ROOT,
            fsgid: Kgid::ROOT,
            groups: Arc::new([]),
            securebits: SecureBits::empty(),
            cap_inheritable: Capabilities::empty(),
            cap_permitted: Capabilities::all(),
            cap_effective: Capabilities::all(),
            cap_bounding: Capabilities::all(),
            cap_ambient: Capabilities::empty(),
            ucounts: UCounts::of(&user_ns, Kuid::ROOT),
            keys: CredKeys::default(),
            user_ns,
        }
    }

    /// Whether the file-system group or a supplementary group is `gid`.
    pub fn in_group(&self, gid: Kgid) -> bool {
        self.fsgid == gid || self.groups.binary_search(&gid).is_ok()
    }

    /// Whether this credential has `cap` towards objects that `target` owns (Linux's `ns_capable`):
    /// it is effective in `target` or an ancestor of it, or the caller's user namespace is
    /// the parent of one of them and the caller's euid made it (`user_namespaces(7)`).
    pub fn ns_capable(&self, target: &Arc<UserNamespace>, cap: Capability) -> bool {
        let mut ns = target;
        loop {
            if Arc::ptr_eq(ns, &self.user_ns) {
                return self.cap_effective.contains(cap.into());
            }
            let Some(parent) = ns.parent() else {
                return false;
            };
            if ns.level() <= self.user_ns.level() {
                return false;
            }
            if Arc::ptr_eq(parent, &self.user_ns) && ns.owner() == self.euid {
                return true;
            }
            ns = parent;
        }
    }

    /// Becomes the super-user, as to capabilities, of `ns` (`clone`, `unshare` and `setns` into a
    /// user namespace; Linux's `set_cred_user_ns`). Ids stay what they are.
    pub fn enter_user_ns(&mut self, ns: Arc<UserNamespace>) {
        self.securebits = SecureBits::empty();
        self.cap_inheritable = Capabilities::empty();
        self.cap_permitted = Capabilities::all();
        self.cap_effective = Capabilities::all();
        self.cap_ambient = Capabilities::empty();
        self.cap_bounding = Capabilities::all();
        self.ucounts = UCounts::of(&ns, self.uid);
        self.user_ns = ns;
    }

    /// Whether this credential has `cap` in the initial user namespace (Linux's `capable`).
    pub fn capable(&self, cap: Capability) -> bool {
        self.user_ns.parent().is_none() && self.cap_effective.contains(cap.into())
    }
}
