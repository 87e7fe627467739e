//! Mount namespaces (`mount_namespaces(7)`).

use alloc::sync::Arc;
use core::any::Any;

use super::{Namespace, NsCommon, NsKind, NsRegistry, NsSet, UserNamespace};
use crate::cred::{Cred, UCount, UCountGuard, UCounts};
use crate::err;
use crate::error::Result;
use crate::fs::FsStruct;

/// A mount namespace.
pub struct MntNamespace {
    common: NsCommon,
    user_ns: Arc<UserNamespace>,
    _count: Option<UCountGuard>,
}

impl MntNamespace {
    /// The initial one.
    pub fn initial(registry: &Arc<NsRegistry>, user_ns: &Arc<UserNamespace>) -> Arc<MntNamespace> {
        registry.register(Arc::new(MntNamespace {
            common: registry.initial(NsKind::Mnt),
            user_ns: user_ns.clone(),
            _count: None,
        }))
    }
    /// A new one owned by `user_ns`.
    pub fn create(old: &MntNamespace, user_ns: &Arc<UserNamespace>, cred: &Cred) -> Result<Arc<MntNamespace>> {
        let count = UCounts::of(user_ns, cred.euid)
            .inc(UCount::MntNamespaces)
            .ok_or(err!(ENOSPC, "max_mnt_namespaces"))?;
        let registry = old.common.registry();
        Ok(registry.register(Arc::new(MntNamespace {
            common: registry.allocate(),
            user_ns: user_ns.clone(),
            _count: Some(count),
        })))
    }
    /// The user namespace that owns it.
    pub fn user_ns(&self) -> &Arc<UserNamespace> {
        &self.user_ns
    }
    /// A copy of the mounts of `old`; root and working directory in `fs` move to their copies.
    pub fn copy(
        old: &MntNamespace,
        user_ns: &Arc<UserNamespace>,
        cred: &Cred,
        _fs: Option<&FsStruct>,
    ) -> Result<Arc<MntNamespace>> {
        MntNamespace::create(old, user_ns, cred)
    }
}

crate::namespace_object!(MntNamespace);

impl Namespace for MntNamespace {
    fn common(&self) -> &NsCommon {
        &self.common
    }
    fn kind(&self) -> NsKind {
        NsKind::Mnt
    }
    fn owner_ns(&self) -> Option<Arc<UserNamespace>> {
        Some(self.user_ns.clone())
    }
    fn install(self: Arc<Self>, set: &mut NsSet<'_>) -> Result<()> {
        set.check_admin(&self.user_ns)?;
        set.nsproxy.mnt_ns = self;
        Ok(())
    }
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}
