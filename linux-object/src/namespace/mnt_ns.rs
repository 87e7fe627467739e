//! Mount namespaces (`mount_namespaces(7)`): identity, copy rule; the content is in `fs::mount`.

use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use core::any::Any;
use core::sync::atomic::{AtomicU64, Ordering};

use super::{Namespace, NsCommon, NsKind, NsSet, UserNamespace};
use crate::cred::{Capability, Cred, UCount, UCountGuard, UCounts};
use crate::error::Result;
use crate::fs::{FsStruct, Mount, Path, PollEvents};
use crate::ids::KoID;
use crate::kernel::Kernel;
use crate::mm::memcg::{Item, KmemCharge};
use crate::sync::{SpinLock, WaitQueue, class};
use crate::{ensure, err};

/// A tree of mounts that its processes see.
pub struct MountNamespace {
    common: NsCommon,
    user_ns: Arc<UserNamespace>,
    _count: Option<UCountGuard>,
    /// Changes with every change of the tree; `/proc/PID/mounts` polls on it.
    event: AtomicU64,
    /// Woken with each change.
    pub poll: WaitQueue,
    /// The mounts by age, which hold the tree together. Changes with the topology token only.
    pub(crate) mounts: SpinLock<NsMounts, class::Leaf>,
    anonymous: bool,
    kernel: Weak<Kernel>,
    _memory: KmemCharge,
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
        MountNamespace::make(kernel, user_ns, None, false, KmemCharge::none())
    }

    fn make(
        kernel: &Arc<Kernel>,
        user_ns: Arc<UserNamespace>,
        count: Option<UCountGuard>,
        anonymous: bool,
        memory: KmemCharge,
    ) -> Arc<MountNamespace> {
        let ns = Arc::new(MountNamespace {
            common: kernel.namespaces.allocate_mnt(),
            user_ns,
            _count: count,
            event: AtomicU64::new(0),
            poll: WaitQueue::new(),
            mounts: SpinLock::default(),
            anonymous,
            kernel: Arc::downgrade(kernel),
            _memory: memory,
        });
        // A detached tree is nobody's namespace and not listed.
        if anonymous {
            ns
        } else {
            kernel.namespaces.register(ns)
        }
    }
    /// What holds a tree that stands in no namespace (`open_tree`, `fsmount`).
    pub(crate) fn detached(kernel: &Arc<Kernel>, user_ns: Arc<UserNamespace>) -> Arc<MountNamespace> {
        MountNamespace::make(kernel, user_ns, None, true, KmemCharge::none())
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
    /// Whether it holds a detached tree that no process sees (`open_tree`, `fsmount`).
    pub(crate) fn is_anonymous(&self) -> bool {
        self.anonymous
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
        old: &Arc<MountNamespace>,
        user_ns: &Arc<UserNamespace>,
        cred: &Cred,
        fs: Option<&FsStruct>,
    ) -> Result<Arc<MountNamespace>> {
        let kernel = old.kernel().ok_or(err!(EINVAL, "the kernel is gone"))?;
        let count = UCounts::of(user_ns, cred.euid)
            .inc(UCount::MntNamespaces)
            .ok_or(err!(ENOSPC, "max_mnt_namespaces"))?;
        let bytes = size_of::<MountNamespace>();
        let memory = kernel.memory.control.charge_kmem(bytes, Item::Slab)?;
        let new = MountNamespace::make(&kernel, user_ns.clone(), Some(count), false, memory);
        crate::fs::mount::copy_namespace(&kernel, old, &new, fs)?;
        Ok(new)
    }

    /// The place where a process that enters begins: the root, and what is mounted on it.
    pub fn root_path(&self) -> Option<Path> {
        let mut path = Path::root_of(&self.root()?);
        while let Some(mount) = path.mount.child_at(&path.dentry) {
            path = Path::root_of(&mount);
        }
        Some(path)
    }
}

impl Drop for MountNamespace {
    fn drop(&mut self) {
        if let Some(kernel) = self.kernel.upgrade() {
            let mounts = core::mem::take(self.mounts.get_mut());
            crate::fs::mount::drop_namespace(&kernel, mounts.list.into_values().collect());
        }
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
        ensure!(
            set.current.ns_capable(set.user_ns(), Capability::SYS_CHROOT),
            EPERM,
            "setns: no CAP_SYS_CHROOT in the caller's user namespace"
        );
        ensure!(!self.anonymous, EINVAL, "a detached tree is not entered");
        let fs = crate::fs::task_fs(set.task)?;
        ensure!(
            fs.users.load(Ordering::Acquire) == 1,
            EINVAL,
            "root and working directory are shared with another task"
        );
        set.root = Some(self.root_path().ok_or(err!(EINVAL, "the namespace is empty"))?);
        set.nsproxy.mnt_ns = self;
        Ok(())
    }
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}
