//! What every namespace has: identity, number, kind.

use alloc::sync::Arc;
use core::any::Any;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use super::{NsSet, OVERFLOW_ID, UserNamespace};
use crate::error::Result;
use crate::ids::KoID;
use crate::kobject::{KObject, KoidTable};

/// The kinds of namespaces, in the order in which `setns` with a pidfd installs them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[allow(missing_docs)]
pub enum NsKind {
    User,
    Mnt,
    Uts,
    Ipc,
    Pid,
    Cgroup,
    Net,
    Time,
}

impl NsKind {
    /// Every kind.
    pub const ALL: [NsKind; 8] = [
        NsKind::User,
        NsKind::Mnt,
        NsKind::Uts,
        NsKind::Ipc,
        NsKind::Pid,
        NsKind::Cgroup,
        NsKind::Net,
        NsKind::Time,
    ];
    /// The name under `/proc/PID/ns`.
    pub fn name(self) -> &'static str {
        match self {
            NsKind::User => "user",
            NsKind::Mnt => "mnt",
            NsKind::Uts => "uts",
            NsKind::Ipc => "ipc",
            NsKind::Pid => "pid",
            NsKind::Cgroup => "cgroup",
            NsKind::Net => "net",
            NsKind::Time => "time",
        }
    }
    /// The `CLONE_NEW*` flag (`NS_GET_NSTYPE`).
    pub fn clone_flag(self) -> u64 {
        match self {
            NsKind::Time => 0x80,
            NsKind::Mnt => 0x0002_0000,
            NsKind::Cgroup => 0x0200_0000,
            NsKind::Uts => 0x0400_0000,
            NsKind::Ipc => 0x0800_0000,
            NsKind::User => 0x1000_0000,
            NsKind::Pid => 0x2000_0000,
            NsKind::Net => 0x4000_0000,
        }
    }
    /// The number of the initial namespace, as on Linux.
    pub fn initial_number(self) -> u64 {
        match self {
            NsKind::Time => 4026531834,
            NsKind::Cgroup => 4026531835,
            NsKind::Pid => 4026531836,
            NsKind::User => 4026531837,
            NsKind::Uts => 4026531838,
            NsKind::Ipc => 4026531839,
            NsKind::Net => 4026531840,
            NsKind::Mnt => 4026531841,
        }
    }
}

/// Makes namespace numbers and lists what lives. Numbers are never reused.
pub struct NsRegistry {
    koids: Arc<KoidTable>,
    next: AtomicU64,
    /// What ids that are not mapped are shown as (`kernel.overflowuid`, `kernel.overflowgid`).
    pub overflow_uid: AtomicU32,
    /// Likewise of groups.
    pub overflow_gid: AtomicU32,
    /// The first mount namespace is the initial one; it is made when the root is mounted.
    mnt_made: AtomicBool,
}

impl NsRegistry {
    /// Nothing registered.
    pub fn new(koids: Arc<KoidTable>) -> Arc<NsRegistry> {
        Arc::new(NsRegistry {
            koids,
            next: AtomicU64::new(4026532100),
            overflow_uid: AtomicU32::new(OVERFLOW_ID),
            overflow_gid: AtomicU32::new(OVERFLOW_ID),
            mnt_made: AtomicBool::new(false),
        })
    }
    /// Identity for an initial namespace.
    pub fn initial(self: &Arc<Self>, kind: NsKind) -> NsCommon {
        NsCommon {
            koid: self.koids.allocate(),
            number: kind.initial_number(),
            registry: self.clone(),
        }
    }
    /// Identity for a new namespace.
    pub fn allocate(self: &Arc<Self>) -> NsCommon {
        NsCommon {
            koid: self.koids.allocate(),
            number: self.next.fetch_add(1, Ordering::Relaxed),
            registry: self.clone(),
        }
    }
    /// Identity for a mount namespace, the first of which is the initial one.
    pub fn allocate_mnt(self: &Arc<Self>) -> NsCommon {
        if self.mnt_made.swap(true, Ordering::Relaxed) {
            self.allocate()
        } else {
            self.initial(NsKind::Mnt)
        }
    }
    /// Makes a namespace findable by its KoID.
    pub fn register<N: Namespace>(&self, ns: Arc<N>) -> Arc<N> {
        let object: Arc<dyn KObject> = ns.clone();
        self.koids.register(&object);
        ns
    }
    /// Every living namespace in the order of KoIDs, which is the order of birth.
    pub fn list(&self) -> alloc::vec::Vec<Arc<dyn Namespace>> {
        let mut list = alloc::vec::Vec::new();
        self.koids
            .for_each(|object| list.extend(object.clone().as_namespace()));
        list.sort_by_key(|ns| ns.common().koid());
        list
    }
    /// The living namespace with this KoID.
    pub fn find(&self, koid: KoID) -> Option<Arc<dyn Namespace>> {
        self.koids.find(koid)?.as_namespace()
    }
}

/// Identity of a namespace. Dropping it takes it off the KoID table.
pub struct NsCommon {
    koid: KoID,
    number: u64,
    registry: Arc<NsRegistry>,
}

impl NsCommon {
    /// Its identity.
    #[inline]
    pub fn koid(&self) -> KoID {
        self.koid
    }
    /// Its inode number in nsfs (`uts:[4026531838]`).
    pub fn number(&self) -> u64 {
        self.number
    }
    /// Where it is registered.
    pub fn registry(&self) -> &Arc<NsRegistry> {
        &self.registry
    }
}

impl Drop for NsCommon {
    fn drop(&mut self) {
        self.registry.koids.forget(self.koid);
    }
}

/// A namespace of any kind: what `setns`, nsfs, `ioctl_ns` and the tree need.
pub trait Namespace: KObject {
    /// Identity and number.
    fn common(&self) -> &NsCommon;
    /// Its kind.
    fn kind(&self) -> NsKind;
    /// The user namespace that owns it (`NS_GET_USERNS`); for a user namespace, its parent. `None`
    /// for the initial user namespace.
    fn owner_ns(&self) -> Option<Arc<UserNamespace>>;
    /// The namespace it was made in (`NS_GET_PARENT`); only pid and user namespaces have one.
    fn parent_ns(&self) -> Option<Arc<dyn Namespace>> {
        None
    }
    /// Enters it in a `setns` that is being prepared; changes nothing but `set`.
    fn install(self: Arc<Self>, set: &mut NsSet<'_>) -> Result<()>;
    /// For the kind's own code.
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
}

/// Implements [`KObject`] and the uniform part of [`Namespace`] for a struct with a field `common`.
#[macro_export]
macro_rules! namespace_object {
    ($ty:ty) => {
        impl $crate::kobject::KObject for $ty {
            fn koid(&self) -> $crate::ids::KoID {
                self.common.koid()
            }
            fn as_namespace(
                self: alloc::sync::Arc<Self>,
            ) -> Option<alloc::sync::Arc<dyn $crate::namespace::Namespace>> {
                Some(self)
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cred::{Cred, UCount};
    use crate::namespace::{PidNamespace, UtsNamespace};

    fn setup() -> (Arc<NsRegistry>, Arc<UserNamespace>, Cred) {
        let registry = NsRegistry::new(Arc::new(KoidTable::new()));
        let user_ns = UserNamespace::initial(&registry, 1000);
        let cred = Cred::root(user_ns.clone());
        (registry, user_ns, cred)
    }

    #[test]
    fn numbers_are_linux_s_and_never_reused() {
        let (registry, user_ns, cred) = setup();
        let uts = UtsNamespace::initial(&registry, &user_ns);
        assert_eq!(user_ns.common().number(), 4026531837);
        assert_eq!(uts.common().number(), 4026531838);
        let first = UtsNamespace::create(&uts, &user_ns, &cred).unwrap();
        let number = first.common().number();
        drop(first);
        let second = UtsNamespace::create(&uts, &user_ns, &cred).unwrap();
        assert!(second.common().number() > number);
    }

    #[test]
    fn the_registry_lists_what_lives() {
        let (registry, user_ns, cred) = setup();
        let pid = PidNamespace::initial(&registry, user_ns.clone());
        let child = PidNamespace::create(&pid, &user_ns, &cred).unwrap();
        let koid = child.koid();
        assert_eq!(registry.list().len(), 3);
        let found = registry.find(koid).unwrap();
        assert_eq!(found.parent_ns().unwrap().common().koid(), pid.koid());
        assert_eq!(found.owner_ns().unwrap().koid(), user_ns.koid());
        drop((child, found));
        assert!(registry.find(koid).is_none());
        assert_eq!(registry.list().len(), 2);
    }

    #[test]
    fn limits_count_per_user_and_come_back() {
        let (registry, user_ns, cred) = setup();
        let uts = UtsNamespace::initial(&registry, &user_ns);
        user_ns.ucount_limits().set_max(UCount::UtsNamespaces, 2);
        let kept: alloc::vec::Vec<_> = (0..2)
            .map(|_| UtsNamespace::create(&uts, &user_ns, &cred).unwrap())
            .collect();
        let refused = UtsNamespace::create(&uts, &user_ns, &cred);
        assert_eq!(refused.err().unwrap().errno(), crate::error::Errno::ENOSPC);
        drop(kept);
        assert!(UtsNamespace::create(&uts, &user_ns, &cred).is_ok());
    }

    #[test]
    fn pid_namespaces_nest_32_deep() {
        let (registry, user_ns, cred) = setup();
        let mut ns = PidNamespace::initial(&registry, user_ns.clone());
        for level in 1..=32 {
            ns = PidNamespace::create(&ns, &user_ns, &cred).unwrap();
            assert_eq!(ns.level(), level);
        }
        assert!(PidNamespace::create(&ns, &user_ns, &cred).is_err());
        drop(ns);
        assert_eq!(registry.list().len(), 1);
    }
}
