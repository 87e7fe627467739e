//! Mount namespaces (`mount_namespaces(7)`): identity, copy rule; the content is in `fs::mount`.

use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use core::any::Any;
use core::sync::atomic::{AtomicU64, Ordering};

use super::{Namespace, NsCommon, NsKind, NsSet, UserNamespace};
use crate::bail;
use crate::cred::Cred;
use crate::error::Result;
use crate::fs::{FsStruct, Mount, PollEvents};
use crate::ids::KoID;
use crate::kernel::Kernel;
use crate::sync::{SpinLock, WaitQueue, class};

/// A tree of mounts that its processes see.
pub struct MountNamespace {
    common: NsCommon,
    user_ns: Arc<UserNamespace>,
    /// Changes with every change of the tree; `/proc/PID/mounts` polls on it.
    event: AtomicU64,
    /// Woken with each change.
    pub poll: WaitQueue,
    /// The mounts by age, which hold the tree together. Changes with the topology token only.
    pub(crate) mounts: SpinLock<NsMounts, class::Leaf>,
    kernel: Weak<Kernel>,
}

/// The mounts of a namespace.
#[derive(Default)]
pub(crate) struct NsMounts {
    /// The root of the tree.
    pub root: Option<Arc<Mount>>,
    /// In the order of `mountinfo`.
    pub list: BTreeMap<u64, Arc<Mount>>,
    /// Key of the next mount in the list.
    pub next: u64,
}

impl MountNamespace {
    /// A namespace without mounts.
    pub(crate) fn empty(kernel: &Arc<Kernel>, user_ns: Arc<UserNamespace>) -> Arc<MountNamespace> {
        kernel.namespaces.register(Arc::new(MountNamespace {
            common: kernel.namespaces.allocate_mnt(),
            user_ns,
            event: AtomicU64::new(0),
            poll: WaitQueue::new(),
            mounts: SpinLock::default(),
            kernel: Arc::downgrade(kernel),
        }))
    }
    /// Its identity.
    pub fn koid(&self) -> KoID {
        self.common.koid()
    }
    /// The user namespace that owns it.
    pub fn user_ns(&self) -> &Arc<UserNamespace> {
        &self.user_ns
    }
    /// The root of its tree.
    pub fn root(&self) -> Option<Arc<Mount>> {
        self.mounts.lock().root.clone()
    }
    /// Number of changes so far.
    pub fn event(&self) -> u64 {
        self.event.load(Ordering::Acquire)
    }
    /// The tree changed.
    pub(crate) fn touch(&self) {
        self.event.fetch_add(1, Ordering::AcqRel);
        self.poll.wake_all(PollEvents::ERR | PollEvents::PRI);
    }
    /// The kernel it belongs to.
    pub(crate) fn kernel(&self) -> Option<Arc<Kernel>> {
        self.kernel.upgrade()
    }
}

impl MountNamespace {
    /// A copy of the mounts of `old`, owned by `user_ns` (`max_mnt_namespaces` counts it for
    /// `cred`'s user); root and working directory in `fs` move to their copies. Linux's `copy_mnt_ns`.
    pub fn copy(
        _old: &Arc<MountNamespace>,
        _user_ns: &Arc<UserNamespace>,
        _cred: &Cred,
        _fs: Option<&FsStruct>,
    ) -> Result<Arc<MountNamespace>> {
        bail!(ENOSYS, "mount namespaces are not copied yet")
    }
}

crate::namespace_object!(MountNamespace);

impl Namespace for MountNamespace {
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
        bail!(ENOSYS, "mount namespaces are not entered yet")
    }
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}
