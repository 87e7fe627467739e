//! Making user namespaces (`user_namespaces(7)`).

use alloc::sync::Arc;

use super::user_ns::UserNamespace;
use crate::cred::{Capabilities, Capability, Cred, UCount, UCounts};
use crate::error::Result;
use crate::task::{Resource, Task};
use crate::{ensure, err};

impl UserNamespace {
    /// `EPERM` where the administrator allows user namespaces to the privileged only
    /// (`kernel.unprivileged_userns_clone`, a switch of Debian's kernels).
    pub fn check_unprivileged(task: &Task) -> Result<()> {
        ensure!(
            task.kernel().sysctl.unprivileged_userns_clone.get() != 0
                || task.cred().capable(Capability::SYS_ADMIN),
            EPERM,
            "kernel.unprivileged_userns_clone is 0"
        );
        Ok(())
    }

    /// A namespace below that of `cred`, which the calling `task` has or will have (Linux's
    /// `create_user_ns`).
    pub fn create(task: &Task, cred: &Cred) -> Result<Arc<UserNamespace>> {
        let parent = &cred.user_ns;
        ensure!(
            parent.level() < UserNamespace::MAX_LEVEL,
            ENOSPC,
            "33 levels of user namespaces"
        );
        let count = UCounts::of(parent, cred.euid)
            .inc(UCount::UserNamespaces)
            .ok_or(err!(ENOSPC, "max_user_namespaces"))?;
        // Else a set-uid program could be given a root directory of its caller's making.
        ensure!(
            !task.is_chrooted(),
            EPERM,
            "no user namespace may be made in a chroot"
        );
        ensure!(
            parent.from_kuid(cred.euid).is_some() && parent.from_kgid(cred.egid).is_some(),
            EPERM,
            "the maker is not mapped in the parent user namespace"
        );
        let rlimits = [
            Resource::NPROC,
            Resource::MSGQUEUE,
            Resource::SIGPENDING,
            Resource::MEMLOCK,
        ]
        .map(|resource| task.group().rlimit(resource).cur);
        Ok(UserNamespace::child(
            parent,
            cred.euid,
            cred.egid,
            cred.cap_effective.contains(Capabilities::SETFCAP),
            count,
            rlimits,
        ))
    }
}

impl Task {
    /// Whether its root directory is not that of its mount namespace (Linux's `current_chrooted`).
    pub fn is_chrooted(&self) -> bool {
        let (fs, nsproxy) = {
            let parts = self.parts.lock();
            (parts.fs.clone(), parts.nsproxy.clone())
        };
        let (Some(fs), Some(nsproxy)) = (fs, nsproxy) else {
            return false;
        };
        let Some(mut top) = nsproxy.mnt_ns.root() else {
            return false;
        };
        while let Some(above) = top.child_at(&top.root) {
            top = above;
        }
        let root = fs.root();
        !Arc::ptr_eq(&root.mount, &top) || !Arc::ptr_eq(&root.dentry, &top.root)
    }
}
