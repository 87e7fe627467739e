//! Network namespaces (`network_namespaces(7)`).

use alloc::sync::Arc;
use core::any::Any;

use super::{Namespace, NsCommon, NsKind, NsRegistry, NsSet, UserNamespace};
use crate::cred::{Cred, UCount, UCountGuard, UCounts};
use crate::err;
use crate::error::Result;
use crate::net::stack::{NetShared, NetStack};

/// A network namespace.
pub struct NetNamespace {
    common: NsCommon,
    user_ns: Arc<UserNamespace>,
    stack: Arc<NetStack>,
    _count: Option<UCountGuard>,
}

impl NetNamespace {
    /// The initial one.
    pub fn initial(
        registry: &Arc<NsRegistry>,
        user_ns: &Arc<UserNamespace>,
        shared: Arc<NetShared>,
    ) -> Arc<NetNamespace> {
        NetNamespace::new(registry, registry.initial(NsKind::Net), user_ns, shared, None)
    }
    fn new(
        registry: &Arc<NsRegistry>,
        common: NsCommon,
        user_ns: &Arc<UserNamespace>,
        shared: Arc<NetShared>,
        count: Option<UCountGuard>,
    ) -> Arc<NetNamespace> {
        let stack = NetStack::new(shared, common.koid(), user_ns.clone());
        let new = registry.register(Arc::new(NetNamespace {
            common,
            user_ns: user_ns.clone(),
            stack,
            _count: count,
        }));
        new.stack.ns.call_once(|| Arc::downgrade(&new));
        new
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
        let shared = old.stack.shared.clone();
        Ok(NetNamespace::new(
            registry,
            registry.allocate(),
            user_ns,
            shared,
            Some(count),
        ))
    }
    /// What it contains.
    pub fn stack(&self) -> &Arc<NetStack> {
        &self.stack
    }
    /// The user namespace that owns it.
    pub fn user_ns(&self) -> &Arc<UserNamespace> {
        &self.user_ns
    }
}

impl Drop for NetNamespace {
    fn drop(&mut self) {
        self.stack.shutdown();
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
