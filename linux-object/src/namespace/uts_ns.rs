//! UTS namespaces (`uts_namespaces(7)`): host name and NIS domain name.
//!
//! Who changes a name wakes the pollers of `/proc/sys/kernel/{hostname,domainname}`.

use alloc::sync::Arc;
use core::any::Any;
use core::sync::atomic::{AtomicU64, Ordering};

use super::{Namespace, NsCommon, NsKind, NsRegistry, NsSet, UserNamespace};
use crate::cred::{Cred, UCount, UCountGuard, UCounts};
use crate::err;
use crate::error::Result;
use crate::fs::PollEvents;
use crate::sync::{SpinLock, WaitQueue, class};

/// `sysname` of `uname(2)`.
pub const SYSNAME: &str = "Linux";
/// `release`: the Linux whose interface this is.
pub const RELEASE: &str = "6.1.0-zcell";
/// `version`.
pub const VERSION: &str = "#1 SMP PREEMPT_NONE zcell";
/// `machine`.
pub const MACHINE: &str = "x86_64";
/// Longest name (`__NEW_UTS_LEN`).
pub const NAME_MAX: usize = 64;

/// A name of at most 64 bytes.
#[derive(Clone, Copy)]
pub struct Name {
    bytes: [u8; NAME_MAX + 1],
}

impl Name {
    /// The first 64 of these bytes; zeros may be among them.
    pub const fn new(name: &[u8]) -> Name {
        let mut bytes = [0; NAME_MAX + 1];
        let len = if name.len() < NAME_MAX {
            name.len()
        } else {
            NAME_MAX
        };
        bytes.split_at_mut(len).0.copy_from_slice(name.split_at(len).0);
        Name { bytes }
    }
    /// As `uname(2)` copies it out.
    pub const fn padded(&self) -> &[u8; NAME_MAX + 1] {
        &self.bytes
    }
    /// Up to the first zero.
    pub fn as_bytes(&self) -> &[u8] {
        let len = self.bytes.iter().position(|byte| *byte == 0);
        &self.bytes[..len.unwrap_or(NAME_MAX)]
    }
}

/// Both names.
#[derive(Clone, Copy)]
pub struct UtsNames {
    /// `gethostname(2)`.
    pub node: Name,
    /// `getdomainname(2)`.
    pub domain: Name,
}

/// A UTS namespace.
pub struct UtsNamespace {
    common: NsCommon,
    user_ns: Arc<UserNamespace>,
    _count: Option<UCountGuard>,
    names: SpinLock<UtsNames, class::Leaf>,
    generation: AtomicU64,
    /// Woken when a name has changed.
    pub changed: WaitQueue,
}

impl UtsNamespace {
    /// The initial one.
    pub fn initial(registry: &Arc<NsRegistry>, user_ns: &Arc<UserNamespace>) -> Arc<UtsNamespace> {
        registry.register(Arc::new(UtsNamespace {
            common: registry.initial(NsKind::Uts),
            user_ns: user_ns.clone(),
            _count: None,
            names: SpinLock::new(UtsNames {
                node: Name::new(b"(none)"),
                domain: Name::new(b"(none)"),
            }),
            generation: AtomicU64::new(0),
            changed: WaitQueue::new(),
        }))
    }
    /// A new one owned by `user_ns`.
    pub fn create(
        old: &UtsNamespace,
        user_ns: &Arc<UserNamespace>,
        cred: &Cred,
    ) -> Result<Arc<UtsNamespace>> {
        let count = UCounts::of(user_ns, cred.euid)
            .inc(UCount::UtsNamespaces)
            .ok_or(err!(ENOSPC, "max_uts_namespaces"))?;
        let registry = old.common.registry();
        let names = old.names();
        Ok(registry.register(Arc::new(UtsNamespace {
            common: registry.allocate(),
            user_ns: user_ns.clone(),
            _count: Some(count),
            names: SpinLock::new(names),
            generation: AtomicU64::new(0),
            changed: WaitQueue::new(),
        })))
    }
    /// The user namespace that owns it.
    pub fn user_ns(&self) -> &Arc<UserNamespace> {
        &self.user_ns
    }
    /// The names.
    pub fn names(&self) -> UtsNames {
        *self.names.lock()
    }
    /// Looks at the names without a copy; `f` takes no lock.
    pub fn with_names<T>(&self, f: impl FnOnce(&UtsNames) -> T) -> T {
        f(&self.names.lock())
    }
    /// Changes the names and tells those who poll. The caller has checked `CAP_SYS_ADMIN` in
    /// [`UtsNamespace::user_ns`].
    pub fn update(&self, f: impl FnOnce(&mut UtsNames)) {
        f(&mut self.names.lock());
        self.generation.fetch_add(1, Ordering::Release);
        self.changed.wake_all(PollEvents::ERR | PollEvents::PRI);
    }
    /// Counts the changes; a poller compares it with what it saw last.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }
}

crate::namespace_object!(UtsNamespace);

impl Namespace for UtsNamespace {
    fn common(&self) -> &NsCommon {
        &self.common
    }
    fn kind(&self) -> NsKind {
        NsKind::Uts
    }
    fn owner_ns(&self) -> Option<Arc<UserNamespace>> {
        Some(self.user_ns.clone())
    }
    fn install(self: Arc<Self>, set: &mut NsSet<'_>) -> Result<()> {
        set.check_admin(&self.user_ns)?;
        set.nsproxy.uts_ns = self;
        Ok(())
    }
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}
