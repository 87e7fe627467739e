//! IPC namespaces (`ipc_namespaces(7)`): System V IPC and POSIX message queues.
//!
//! The content is made at its first use, so that a namespace that nobody uses costs an identity alone. It goes with the
//! namespace: with the last process, open or mounted nsfs file, attached segment.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::any::Any;

use spin::Once;

use super::{Namespace, NsCommon, NsKind, NsRegistry, NsSet, UserNamespace};
use crate::cred::{Cred, UCount, UCountGuard, UCounts};
use crate::err;
use crate::error::Result;
use crate::ipc::IpcContent;

/// An IPC namespace.
pub struct IpcNamespace {
    common: NsCommon,
    user_ns: Arc<UserNamespace>,
    _count: Option<UCountGuard>,
    content: Once<Box<IpcContent>>,
}

impl IpcNamespace {
    /// The initial one.
    pub fn initial(registry: &Arc<NsRegistry>, user_ns: &Arc<UserNamespace>) -> Arc<IpcNamespace> {
        registry.register(Arc::new(IpcNamespace {
            common: registry.initial(NsKind::Ipc),
            user_ns: user_ns.clone(),
            _count: None,
            content: Once::new(),
        }))
    }
    /// A new one owned by `user_ns`.
    pub fn create(
        old: &IpcNamespace,
        user_ns: &Arc<UserNamespace>,
        cred: &Cred,
    ) -> Result<Arc<IpcNamespace>> {
        let count = UCounts::of(user_ns, cred.euid)
            .inc(UCount::IpcNamespaces)
            .ok_or(err!(ENOSPC, "max_ipc_namespaces"))?;
        let registry = old.common.registry();
        Ok(registry.register(Arc::new(IpcNamespace {
            common: registry.allocate(),
            user_ns: user_ns.clone(),
            _count: Some(count),
            content: Once::new(),
        })))
    }
    /// The user namespace that owns it.
    pub fn user_ns(&self) -> &Arc<UserNamespace> {
        &self.user_ns
    }
    /// What is in it.
    pub fn content(&self) -> &IpcContent {
        self.content.call_once(Box::default)
    }
}

crate::namespace_object!(IpcNamespace);

impl Namespace for IpcNamespace {
    fn common(&self) -> &NsCommon {
        &self.common
    }
    fn kind(&self) -> NsKind {
        NsKind::Ipc
    }
    fn owner_ns(&self) -> Option<Arc<UserNamespace>> {
        Some(self.user_ns.clone())
    }
    fn install(self: Arc<Self>, set: &mut NsSet<'_>) -> Result<()> {
        set.check_admin(&self.user_ns)?;
        set.nsproxy.ipc_ns = self;
        Ok(())
    }
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}
