//! What a controller keeps for a cgroup (Linux's `cgroup_subsys_state`).

use alloc::boxed::Box;
use alloc::sync::{Arc, Weak};
use core::any::Any;
use core::sync::atomic::{AtomicBool, Ordering};

use super::{Cgroup, SubsysId};
use crate::ids::KoID;
use crate::sync::{SpinLock, class};

/// A controller's own data.
pub type CssData = Box<dyn Any + Send + Sync>;

/// One controller's side of one cgroup. It lives as long as anybody refers to it: sets of
/// tasks, zombies, charges. *Online* it belongs to a living cgroup.
pub struct Css {
    id: KoID,
    ssid: SubsysId,
    parent: Option<Arc<Css>>,
    /// The root's changes when the controller is bound elsewhere.
    cgroup: SpinLock<Weak<Cgroup>, class::Leaf>,
    online: AtomicBool,
    data: CssData,
}

impl Css {
    pub(super) fn new(id: KoID, ssid: SubsysId, parent: Option<Arc<Css>>, data: CssData) -> Arc<Css> {
        Arc::new(Css {
            id,
            ssid,
            parent,
            cgroup: SpinLock::new(Weak::new()),
            online: AtomicBool::new(false),
            data,
        })
    }
    /// Its identity.
    pub fn id(&self) -> KoID {
        self.id
    }
    /// Whose it is.
    pub fn ssid(&self) -> SubsysId {
        self.ssid
    }
    /// That of the nearest ancestor that has one; `None` for the root.
    pub fn parent(&self) -> Option<&Arc<Css>> {
        self.parent.as_ref()
    }
    /// Whether it is the root.
    pub fn is_root(&self) -> bool {
        self.parent.is_none()
    }
    /// Itself and its ancestors, up to the root.
    pub fn self_and_ancestors(self: &Arc<Css>) -> impl Iterator<Item = &Arc<Css>> {
        core::iter::successors(Some(self), |css| css.parent())
    }
    /// Whether `ancestor` is this or above it.
    pub fn is_descendant(self: &Arc<Css>, ancestor: &Arc<Css>) -> bool {
        self.self_and_ancestors().any(|css| Arc::ptr_eq(css, ancestor))
    }
    /// The cgroup; `None` once that is gone.
    pub fn cgroup(&self) -> Option<Arc<Cgroup>> {
        self.cgroup.lock().upgrade()
    }
    pub(super) fn set_cgroup(&self, cgroup: &Arc<Cgroup>) {
        let old = core::mem::replace(&mut *self.cgroup.lock(), Arc::downgrade(cgroup));
        drop(old);
    }
    /// Whether its cgroup lives and is controlled.
    pub fn is_online(&self) -> bool {
        self.online.load(Ordering::Acquire)
    }
    pub(super) fn set_online(&self, online: bool) {
        self.online.store(online, Ordering::Release);
    }
    /// The controller's data. Panics if it is of another type, which only a wrong [`SubsysId`] can cause.
    #[inline]
    pub fn data<T: Any>(&self) -> &T {
        self.data.downcast_ref().expect("the data of this controller")
    }
    /// Something that `file` shows has changed: wakes `poll` and inotify, now or a little later. May be called with
    /// locks that rank before `class::Timer`.
    pub fn notify(&self, file: &str) {
        if let Some(cgroup) = self.cgroup() {
            cgroup.notify(file);
        }
    }
}

impl Drop for Css {
    /// Ancestors that go with it go one after the other: a tree may be deeper than the kernel's stack.
    fn drop(&mut self) {
        let mut above = self.parent.take();
        while let Some(parent) = above {
            above = Arc::into_inner(parent).and_then(|mut parent| parent.parent.take());
        }
    }
}
