//! PID namespaces (`pid_namespaces(7)`).

use alloc::sync::Arc;

use super::UserNamespace;
use crate::ids::KoID;

/// A pid namespace.
pub struct PidNamespace {
    koid: KoID,
    level: u32,
    parent: Option<Arc<PidNamespace>>,
    user_ns: Arc<UserNamespace>,
}

impl PidNamespace {
    /// The initial pid namespace.
    pub fn initial(koid: KoID, user_ns: Arc<UserNamespace>) -> Arc<PidNamespace> {
        Arc::new(PidNamespace {
            koid,
            level: 0,
            parent: None,
            user_ns,
        })
    }
    /// Its identity.
    pub fn koid(&self) -> KoID {
        self.koid
    }
    /// Depth below the initial one.
    pub fn level(&self) -> u32 {
        self.level
    }
    /// The namespace around it.
    pub fn parent(&self) -> Option<&Arc<PidNamespace>> {
        self.parent.as_ref()
    }
    /// The user namespace that owns it.
    pub fn user_ns(&self) -> &Arc<UserNamespace> {
        &self.user_ns
    }
}
