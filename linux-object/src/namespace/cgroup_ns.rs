//! Cgroup namespaces (`cgroup_namespaces(7)`): where a task sees the root of the hierarchies.

use alloc::sync::Arc;
use core::any::Any;

use super::{Namespace, NsCommon, NsKind, NsRegistry, NsSet, UserNamespace};
use crate::cgroup::{Cgroup, CssSet, Hierarchy};
use crate::cred::{Cred, UCount, UCountGuard, UCounts};
use crate::err;
use crate::error::Result;
use crate::task::Task;

/// A cgroup namespace.
pub struct CgroupNamespace {
    common: NsCommon,
    user_ns: Arc<UserNamespace>,
    /// Where its creator was: the root of the view.
    root: Arc<CssSet>,
    count: Option<UCountGuard>,
}

impl CgroupNamespace {
    /// The initial one.
    pub fn initial(
        registry: &Arc<NsRegistry>,
        user_ns: &Arc<UserNamespace>,
        root: &Arc<CssSet>,
    ) -> Arc<CgroupNamespace> {
        registry.register(Arc::new(CgroupNamespace {
            common: registry.initial(NsKind::Cgroup),
            user_ns: user_ns.clone(),
            root: root.clone(),
            count: None,
        }))
    }
    /// A new one owned by `user_ns`, whose root is where `task` is now.
    pub fn create(
        task: &Task,
        old: &CgroupNamespace,
        user_ns: &Arc<UserNamespace>,
        cred: &Cred,
    ) -> Result<Arc<CgroupNamespace>> {
        let count = UCounts::of(user_ns, cred.euid)
            .inc(UCount::CgroupNamespaces)
            .ok_or(err!(ENOSPC, "max_cgroup_namespaces"))?;
        let registry = old.common.registry();
        Ok(registry.register(Arc::new(CgroupNamespace {
            common: registry.allocate(),
            user_ns: user_ns.clone(),
            root: task.css_set(),
            count: Some(count),
        })))
    }
    /// Its root in a hierarchy; `None` only if that is gone.
    pub fn root(&self, hierarchy: &Arc<Hierarchy>) -> Option<Arc<Cgroup>> {
        self.root.cgroup(hierarchy)
    }
    /// Its root in cgroup2.
    pub fn dfl_root(&self) -> &Arc<Cgroup> {
        self.root.dfl_cgroup()
    }
    /// Whether it is the one that the kernel began with.
    pub fn is_initial(&self) -> bool {
        self.count.is_none()
    }
    /// The user namespace that owns it.
    pub fn user_ns(&self) -> &Arc<UserNamespace> {
        &self.user_ns
    }
}

crate::namespace_object!(CgroupNamespace);

impl Namespace for CgroupNamespace {
    fn common(&self) -> &NsCommon {
        &self.common
    }
    fn kind(&self) -> NsKind {
        NsKind::Cgroup
    }
    fn owner_ns(&self) -> Option<Arc<UserNamespace>> {
        Some(self.user_ns.clone())
    }
    fn install(self: Arc<Self>, set: &mut NsSet<'_>) -> Result<()> {
        set.check_admin(&self.user_ns)?;
        set.nsproxy.cgroup_ns = self;
        Ok(())
    }
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}
