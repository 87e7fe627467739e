//! User namespaces (`user_namespaces(7)`).
//!
//! Model: a mapping of user, group and project ids to those of the kernel, and the scope in
//! which capabilities hold. The maps are empty at first, written once, and never change again, so
//! readers take no lock. Namespaces form a tree of at most 33 levels below the initial one.

use alloc::sync::Arc;
use core::any::Any;
use core::sync::atomic::{AtomicU8, Ordering};

use spin::Once;

use super::id_map::IdMap;
use super::{Namespace, NsCommon, NsKind, NsRegistry, NsSet};
use crate::cred::{UCount, UCountGuard, UCountLimits, UCountTable, UCounts};
use crate::error::Result;
use crate::ids::{Gid, Kgid, KoID, Kuid, Uid};
use crate::keys::NsKeys;

/// Which of the three maps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum IdKind {
    Uid,
    Gid,
    Projid,
}

/// How `setgroups(2)` stands in a user namespace.
const SETGROUPS_ALLOWED: u8 = 1;
const PARENT_COULD_SETFCAP: u8 = 2;

/// A user namespace: a mapping of ids and the scope of capabilities.
pub struct UserNamespace {
    pub(super) common: NsCommon,
    parent: Option<Arc<UserNamespace>>,
    /// Effective user and group of the process that made it.
    owner: Kuid,
    group: Kgid,
    level: u32,
    pub(super) maps: [Once<IdMap>; 3],
    pub(super) flags: AtomicU8,
    limits: UCountLimits,
    ucounts: UCountTable,
    /// The keyrings of its users.
    pub(crate) keys: NsKeys,
    /// The count of its maker in the parent; the chain on which everything made here is counted.
    creator: Option<UCountGuard>,
}

impl UserNamespace {
    /// Levels below the initial one; one more than the 32 of the man page.
    pub const MAX_LEVEL: u32 = 33;

    /// The initial user namespace.
    pub fn initial(registry: &Arc<NsRegistry>, max_threads: usize) -> Arc<UserNamespace> {
        let limits = UCountLimits::new((max_threads / 2) as i64, [u64::MAX; 4]);
        limits.set_max(UCount::InotifyInstances, 128);
        limits.set_max(UCount::InotifyWatches, 8192);
        registry.register(Arc::new(UserNamespace {
            common: registry.initial(NsKind::User),
            parent: None,
            owner: Kuid::ROOT,
            group: Kgid::ROOT,
            level: 0,
            maps: core::array::from_fn(|_| Once::initialized(IdMap::identity())),
            flags: AtomicU8::new(SETGROUPS_ALLOWED),
            limits,
            ucounts: UCountTable::default(),
            keys: NsKeys::default(),
            creator: None,
        }))
    }
    pub(super) fn child(
        parent: &Arc<UserNamespace>,
        owner: Kuid,
        group: Kgid,
        could_setfcap: bool,
        creator: UCountGuard,
        rlimits: [u64; 4],
    ) -> Arc<UserNamespace> {
        let registry = parent.common.registry();
        let inherited = parent.flags.load(Ordering::Relaxed) & SETGROUPS_ALLOWED;
        registry.register(Arc::new(UserNamespace {
            common: registry.allocate(),
            parent: Some(parent.clone()),
            owner,
            group,
            level: parent.level + 1,
            maps: core::array::from_fn(|_| Once::new()),
            flags: AtomicU8::new(inherited | if could_setfcap { PARENT_COULD_SETFCAP } else { 0 }),
            limits: UCountLimits::new(i32::MAX as i64, rlimits),
            ucounts: UCountTable::default(),
            keys: NsKeys::default(),
            creator: Some(creator),
        }))
    }
    /// Its identity.
    pub fn koid(&self) -> KoID {
        self.common.koid()
    }
    /// The namespace it was made in; `None` for the initial one.
    pub fn parent(&self) -> Option<&Arc<UserNamespace>> {
        self.parent.as_ref()
    }
    /// The user who made it, as the kernel numbers users.
    pub fn owner(&self) -> Kuid {
        self.owner
    }
    /// The effective group of its maker.
    pub fn owner_group(&self) -> Kgid {
        self.group
    }
    /// Depth below the initial one.
    pub fn level(&self) -> u32 {
        self.level
    }
    /// Whether `other` is this namespace or lies below it.
    pub fn contains(&self, other: &UserNamespace) -> bool {
        let mut ns = other;
        while ns.level > self.level {
            match ns.parent.as_ref() {
                Some(parent) => ns = parent,
                None => return false,
            }
        }
        ns.koid() == self.koid()
    }
    /// Limits of what is made here.
    pub fn ucount_limits(&self) -> &UCountLimits {
        &self.limits
    }
    pub(crate) fn ucount_table(&self) -> &UCountTable {
        &self.ucounts
    }
    pub(crate) fn creator_ucounts(&self) -> Option<&Arc<UCounts>> {
        self.creator.as_ref().map(UCountGuard::counts)
    }
    /// Whether `setgroups(2)` may be used here: a group map is written and `/proc/PID/setgroups`
    /// does not say `deny`.
    pub fn may_setgroups(&self) -> bool {
        self.maps[IdKind::Gid as usize].get().is_some() && self.setgroups_allowed()
    }
    /// What `/proc/PID/setgroups` shows.
    pub fn setgroups_allowed(&self) -> bool {
        self.flags.load(Ordering::Relaxed) & SETGROUPS_ALLOWED != 0
    }
    /// The maker could give files capabilities (needed to map the parent's root).
    pub(super) fn parent_could_setfcap(&self) -> bool {
        self.flags.load(Ordering::Relaxed) & PARENT_COULD_SETFCAP != 0
    }
    pub(super) fn deny_setgroups(&self) {
        self.flags.fetch_and(!SETGROUPS_ALLOWED, Ordering::Relaxed);
    }

    fn map(&self, kind: IdKind) -> Option<&IdMap> {
        self.maps[kind as usize].get()
    }
    /// The map as written, if it has been.
    pub fn id_map(&self, kind: IdKind) -> Option<&IdMap> {
        self.map(kind)
    }
    /// The kernel id behind `uid`, if it is mapped here.
    pub fn make_kuid(&self, uid: Uid) -> Option<Kuid> {
        self.map(IdKind::Uid)?.down(uid.0).map(Kuid)
    }
    /// The kernel id behind `gid`, if it is mapped here.
    pub fn make_kgid(&self, gid: Gid) -> Option<Kgid> {
        self.map(IdKind::Gid)?.down(gid.0).map(Kgid)
    }
    /// How this namespace shows `kuid`, if it is mapped.
    pub fn from_kuid(&self, kuid: Kuid) -> Option<Uid> {
        self.map(IdKind::Uid)?.up(kuid.0).map(Uid)
    }
    /// How this namespace shows `kgid`, if it is mapped.
    pub fn from_kgid(&self, kgid: Kgid) -> Option<Gid> {
        self.map(IdKind::Gid)?.up(kgid.0).map(Gid)
    }
    /// How this namespace shows `kuid`: the overflow id if it is not mapped.
    pub fn from_kuid_munged(&self, kuid: Kuid) -> Uid {
        let overflow = &self.common.registry().overflow_uid;
        self.from_kuid(kuid)
            .unwrap_or_else(|| Uid(overflow.load(Ordering::Relaxed)))
    }
    /// How this namespace shows `kgid`: the overflow id if it is not mapped.
    pub fn from_kgid_munged(&self, kgid: Kgid) -> Gid {
        let overflow = &self.common.registry().overflow_gid;
        self.from_kgid(kgid)
            .unwrap_or_else(|| Gid(overflow.load(Ordering::Relaxed)))
    }
}

crate::namespace_object!(UserNamespace);

impl Namespace for UserNamespace {
    fn common(&self) -> &NsCommon {
        &self.common
    }
    fn kind(&self) -> NsKind {
        NsKind::User
    }
    fn owner_ns(&self) -> Option<Arc<UserNamespace>> {
        self.parent.clone()
    }
    fn parent_ns(&self) -> Option<Arc<dyn Namespace>> {
        self.parent.clone().map(|parent| parent as Arc<dyn Namespace>)
    }
    fn install(self: Arc<Self>, set: &mut NsSet<'_>) -> Result<()> {
        super::install::user(self, set)
    }
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}
