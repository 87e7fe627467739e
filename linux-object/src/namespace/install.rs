//! `setns` as prepare and commit (Linux's `struct nsset`).

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use super::{NsProxy, UserNamespace};
use crate::cred::{Capability, Cred};
use crate::ensure;
use crate::error::Result;
use crate::fs::Path;
use crate::task::Task;
use crate::task::clone::CloneFlags;

/// A `setns` that is being prepared: each namespace enters itself here, nothing else changes.
pub struct NsSet<'a> {
    /// The caller.
    pub task: &'a Arc<Task>,
    /// Its credentials as they are: what checks use.
    pub current: Arc<Cred>,
    /// Its credentials to be, once a user namespace has entered.
    pub cred: Option<Cred>,
    /// Its namespaces to be.
    pub nsproxy: NsProxy,
    /// Its root and working directory to be, once a mount namespace has entered.
    pub root: Option<Path>,
    /// What changes.
    pub flags: CloneFlags,
}

impl<'a> NsSet<'a> {
    /// Starts with the caller's own namespaces.
    pub fn new(task: &'a Arc<Task>, flags: CloneFlags) -> NsSet<'a> {
        NsSet {
            task,
            current: task.cred(),
            cred: None,
            nsproxy: (*task.nsproxy()).clone(),
            root: None,
            flags,
        }
    }
    /// The user namespace that the caller will be in.
    pub fn user_ns(&self) -> &Arc<UserNamespace> {
        match &self.cred {
            Some(cred) => &cred.user_ns,
            None => &self.current.user_ns,
        }
    }
    /// What most kinds ask for: `CAP_SYS_ADMIN` in the namespace's owner and in the user namespace
    /// that the caller will be in.
    pub fn check_admin(&self, owner: &Arc<UserNamespace>) -> Result<()> {
        ensure!(
            self.current.ns_capable(owner, Capability::SYS_ADMIN),
            EPERM,
            "setns: no CAP_SYS_ADMIN in the owner of the namespace"
        );
        ensure!(
            self.current.ns_capable(self.user_ns(), Capability::SYS_ADMIN),
            EPERM,
            "setns: no CAP_SYS_ADMIN in the caller's user namespace"
        );
        Ok(())
    }
}

/// How a user namespace is entered: alone in its process, with a file-system state of its own, by
/// someone who may administer it; the caller gets all capabilities in it.
pub(super) fn user(ns: Arc<UserNamespace>, set: &mut NsSet<'_>) -> Result<()> {
    ensure!(
        !Arc::ptr_eq(&ns, &set.current.user_ns),
        EINVAL,
        "setns: already in that user namespace"
    );
    ensure!(
        set.task.group().nr_threads() == 1,
        EINVAL,
        "setns: a user namespace is entered by single-threaded processes"
    );
    ensure!(
        set.task.fs().users.load(Ordering::Acquire) == 1,
        EINVAL,
        "setns: the file-system state is shared with another process"
    );
    ensure!(
        set.current.ns_capable(&ns, Capability::SYS_ADMIN),
        EPERM,
        "setns: no CAP_SYS_ADMIN in that user namespace"
    );
    let mut cred = (*set.current).clone();
    cred.enter_user_ns(ns);
    set.cred = Some(cred);
    Ok(())
}
