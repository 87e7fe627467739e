//! Network namespaces (`network_namespaces(7)`).

use alloc::sync::Arc;
use core::any::Any;

use super::{Namespace, NsCommon, NsKind, NsRegistry, NsSet, UserNamespace};
use crate::cred::{Cred, UCount, UCountGuard, UCounts};
use crate::err;
use crate::error::Result;

/// A network namespace.
pub struct NetNamespace {
    common: NsCommon,
    user_ns: Arc<UserNamespace>,
    _count: Option<UCountGuard>,
}

impl NetNamespace {
    /// The initial one.
    pub fn initial(registry: &Arc<NsRegistry>, user_ns: &Arc<UserNamespace>) -> Arc<NetNamespace> {
        registry.register(Arc::new(NetNamespace {
            common: registry.initial(NsKind::Net),
            user_ns: user_ns.clone(),
            _count: None,
        }))
    }
    /// A new one owned by `user_ns`.
    pub fn create(
        old: &NetNamespace,
        user_ns: &Arc<UserNamespace>,
        cred: &Cred,
    ) -> Result<Arc<NetNamespace>> {
        let count = UCounts::of(user_ns, cred.euid)
            .inc(UCount::NetNamespaces)
            .ok_or(err!(ENOSPC, "max_net_namespaces"))?;
        let registry = old.common.registry();
        Ok(registry.register(Arc::new(NetNamespace {
            common: registry.allocate(),
            user_ns: user_ns.clone(),
            _count: Some(count),
        })))
    }
    /// The user namespace that owns it.
    pub fn user_ns(&self) -> &Arc<UserNamespace> {
        &self.user_ns
    }
}

crate::namespace_object!(NetNamespace);

impl Namespace for NetNamespace {
    fn common(&self) -> &NsCommon {
        &self.common
    }
    fn kind(&self) -> NsKind {
        NsKind::Net
    }
    fn owner_ns(&self) -> Option<Arc<UserNamespace>> {
        Some(self.user_ns.clone())
    }
    fn install(self: Arc<Self>, set: &mut NsSet<'_>) -> Result<()> {
        set.check_admin(&self.user_ns)?;
        set.nsproxy.net_ns = self;
        Ok(())
    }
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}
