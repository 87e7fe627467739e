//! Time namespaces (`time_namespaces(7)`): offsets of `CLOCK_MONOTONIC` and `CLOCK_BOOTTIME`.
//!
//! The offsets may be written until the first task enters; then they are frozen.

use alloc::sync::Arc;
use core::any::Any;

use super::{Namespace, NsCommon, NsKind, NsRegistry, NsSet, UserNamespace};
use crate::cred::{Cred, UCount, UCountGuard, UCounts};
use crate::error::Result;
use crate::sync::{SpinLock, class};
use crate::{ensure, err};

/// What is added to the clocks of the initial namespace, in nanoseconds.
#[derive(Clone, Copy, Default, Debug)]
pub struct TimeOffsets {
    /// For `CLOCK_MONOTONIC` and its kin.
    pub monotonic: i64,
    /// For `CLOCK_BOOTTIME`.
    pub boottime: i64,
    /// A task has entered.
    pub frozen: bool,
}

/// A time namespace.
pub struct TimeNamespace {
    common: NsCommon,
    user_ns: Arc<UserNamespace>,
    _count: Option<UCountGuard>,
    offsets: SpinLock<TimeOffsets, class::Leaf>,
}

impl TimeNamespace {
    /// The initial one.
    pub fn initial(registry: &Arc<NsRegistry>, user_ns: &Arc<UserNamespace>) -> Arc<TimeNamespace> {
        registry.register(Arc::new(TimeNamespace {
            common: registry.initial(NsKind::Time),
            user_ns: user_ns.clone(),
            _count: None,
            offsets: SpinLock::new(TimeOffsets {
                frozen: true,
                ..TimeOffsets::default()
            }),
        }))
    }
    /// A new one owned by `user_ns`.
    pub fn create(
        old: &TimeNamespace,
        user_ns: &Arc<UserNamespace>,
        cred: &Cred,
    ) -> Result<Arc<TimeNamespace>> {
        let count = UCounts::of(user_ns, cred.euid)
            .inc(UCount::TimeNamespaces)
            .ok_or(err!(ENOSPC, "max_time_namespaces"))?;
        let registry = old.common.registry();
        let offsets = old.offsets();
        Ok(registry.register(Arc::new(TimeNamespace {
            common: registry.allocate(),
            user_ns: user_ns.clone(),
            _count: Some(count),
            offsets: SpinLock::new(TimeOffsets {
                frozen: false,
                ..offsets
            }),
        })))
    }
    /// The user namespace that owns it.
    pub fn user_ns(&self) -> &Arc<UserNamespace> {
        &self.user_ns
    }
    /// The offsets.
    pub fn offsets(&self) -> TimeOffsets {
        *self.offsets.lock()
    }
    /// A task enters: the offsets stay as they are.
    pub fn freeze(&self) {
        self.offsets.lock().frozen = true;
    }
    /// Changes the offsets (`/proc/PID/timens_offsets`); `EACCES` once a task has entered.
    pub fn set_offsets(&self, f: impl FnOnce(&mut TimeOffsets) -> Result<()>) -> Result<()> {
        let mut offsets = self.offsets.lock();
        ensure!(!offsets.frozen, EACCES, "a task has entered the time namespace");
        let mut new = *offsets;
        f(&mut new)?;
        *offsets = new;
        Ok(())
    }
}

crate::namespace_object!(TimeNamespace);

impl Namespace for TimeNamespace {
    fn common(&self) -> &NsCommon {
        &self.common
    }
    fn kind(&self) -> NsKind {
        NsKind::Time
    }
    fn owner_ns(&self) -> Option<Arc<UserNamespace>> {
        Some(self.user_ns.clone())
    }
    fn install(self: Arc<Self>, set: &mut NsSet<'_>) -> Result<()> {
        ensure!(
            set.task.group().nr_threads() == 1,
            EUSERS,
            "setns: a time namespace is entered by single-threaded processes"
        );
        set.check_admin(&self.user_ns)?;
        self.freeze();
        set.nsproxy.time_ns = self.clone();
        set.nsproxy.time_ns_for_children = self;
        Ok(())
    }
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}
