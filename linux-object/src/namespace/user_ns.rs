//! User namespaces (`user_namespaces(7)`).

use alloc::sync::Arc;

use crate::ids::{Gid, Kgid, KoID, Kuid, Uid};

/// A user namespace: a mapping of ids and the scope of capabilities.
pub struct UserNamespace {
    koid: KoID,
    parent: Option<Arc<UserNamespace>>,
    /// Effective user of the process that made it.
    owner: Kuid,
    level: u32,
}

impl UserNamespace {
    /// The initial user namespace.
    pub fn initial(koid: KoID) -> Arc<UserNamespace> {
        Arc::new(UserNamespace {
            koid,
            parent: None,
            owner: Kuid::ROOT,
            level: 0,
        })
    }
    /// Its identity.
    pub fn koid(&self) -> KoID {
        self.koid
    }
    /// The namespace it was made in; `None` for the initial one.
    pub fn parent(&self) -> Option<&Arc<UserNamespace>> {
        self.parent.as_ref()
    }
    /// The user who made it, as the kernel numbers users.
    pub fn owner(&self) -> Kuid {
        self.owner
    }
    /// Depth below the initial one.
    pub fn level(&self) -> u32 {
        self.level
    }
    /// The kernel id behind `uid`, if it is mapped here.
    pub fn make_kuid(&self, uid: Uid) -> Option<Kuid> {
        Some(Kuid(uid.0))
    }
    /// The kernel id behind `gid`, if it is mapped here.
    pub fn make_kgid(&self, gid: Gid) -> Option<Kgid> {
        Some(Kgid(gid.0))
    }
    /// How this namespace shows `kuid`: the overflow id (65534) if it is not mapped.
    pub fn from_kuid_munged(&self, kuid: Kuid) -> Uid {
        Uid(kuid.0)
    }
    /// How this namespace shows `kgid`: the overflow id (65534) if it is not mapped.
    pub fn from_kgid_munged(&self, kgid: Kgid) -> Gid {
        Gid(kgid.0)
    }
}
