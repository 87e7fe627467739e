//! Making user namespaces and writing their maps (`user_namespaces(7)`).

use alloc::sync::Arc;

use super::id_map::{Extent, IdMap, parse};
use super::user_ns::{IdKind, UserNamespace};
use crate::cred::{Capabilities, Capability, Cred, UCount, UCounts};
use crate::error::Result;
use crate::ids::{Gid, PAGE_SIZE, Uid};
use crate::task::{Resource, Task};
use crate::{bail, ensure, err};

impl UserNamespace {
    /// A namespace below that of `cred`, which the calling `task` has or will have (Linux's
    /// `create_user_ns`).
    pub fn create(task: &Task, cred: &Cred) -> Result<Arc<UserNamespace>> {
        let parent = &cred.user_ns;
        ensure!(
            parent.level() < UserNamespace::MAX_LEVEL,
            ENOSPC,
            "32 levels of user namespaces"
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

    /// Writes a map (`/proc/PID/{uid,gid,projid}_map`): `current` writes to a file that `opener`
    /// opened. Once, and only by someone in this namespace or its parent.
    pub fn write_map(
        self: &Arc<Self>,
        kind: IdKind,
        offset: u64,
        text: &[u8],
        current: &Cred,
        opener: &Cred,
    ) -> Result<()> {
        let Some(parent) = self.parent() else {
            bail!(EPERM, "the initial user namespace has its maps");
        };
        ensure!(
            Arc::ptr_eq(&opener.user_ns, self) || Arc::ptr_eq(&opener.user_ns, parent),
            EPERM,
            "an id map is written from the namespace or its parent"
        );
        ensure!(
            offset == 0 && text.len() < PAGE_SIZE,
            EINVAL,
            "an id map is written with one write of less than a page"
        );
        ensure!(
            self.id_map(kind).is_none(),
            EPERM,
            "an id map can be written only once"
        );
        ensure!(
            kind == IdKind::Projid || opener.ns_capable(self, Capability::SYS_ADMIN),
            EPERM,
            "id map: no CAP_SYS_ADMIN in the user namespace"
        );
        let mut extents = parse(text)?;
        ensure!(
            self.may_map(parent, kind, &extents, current, opener),
            EPERM,
            "id map: these ids may not be mapped by this writer"
        );
        for extent in &mut extents {
            let Some(lower) = parent
                .id_map(kind)
                .and_then(|map| map.down_range(extent.lower, extent.count))
            else {
                bail!(EPERM, "id map: ids that the parent does not map");
            };
            extent.lower = lower;
        }
        let mut first = false;
        self.maps[kind as usize].call_once(|| {
            first = true;
            IdMap::new(extents)
        });
        ensure!(first, EPERM, "an id map can be written only once");
        Ok(())
    }

    /// Linux's `new_idmap_permitted`.
    fn may_map(
        self: &Arc<Self>,
        parent: &Arc<UserNamespace>,
        kind: IdKind,
        extents: &[Extent],
        current: &Cred,
        opener: &Cred,
    ) -> bool {
        let maps_root = kind == IdKind::Uid && extents.iter().any(|extent| extent.lower == 0);
        if maps_root {
            // File capabilities that root gives there must be those that the maker could give.
            let allowed = if Arc::ptr_eq(&opener.user_ns, self) {
                self.parent_could_setfcap()
            } else {
                opener.ns_capable(parent, Capability::SETFCAP)
            };
            if !allowed {
                return false;
            }
        }
        if let [only] = extents
            && only.count == 1
            && self.owner() == opener.euid
        {
            let own = match kind {
                IdKind::Uid => parent.make_kuid(Uid(only.lower)) == Some(opener.euid),
                IdKind::Gid => {
                    !self.setgroups_allowed() && parent.make_kgid(Gid(only.lower)) == Some(opener.egid)
                }
                IdKind::Projid => false,
            };
            if own {
                return true;
            }
        }
        let cap = match kind {
            IdKind::Uid => Capability::SETUID,
            IdKind::Gid => Capability::SETGID,
            IdKind::Projid => return true,
        };
        current.ns_capable(parent, cap) && opener.ns_capable(parent, cap)
    }

    /// Writes `/proc/PID/setgroups`; the opener needed `CAP_SYS_ADMIN` here.
    pub fn write_setgroups(&self, offset: u64, text: &[u8]) -> Result<()> {
        ensure!(offset == 0 && text.len() < 8, EINVAL, "setgroups: allow or deny");
        match text.trim_ascii_end() {
            b"allow" => ensure!(self.setgroups_allowed(), EPERM, "setgroups: denied for ever"),
            b"deny" => {
                ensure!(
                    self.id_map(IdKind::Gid).is_none(),
                    EPERM,
                    "setgroups: the group map is written already"
                );
                self.deny_setgroups();
            }
            _ => bail!(EINVAL, "setgroups: allow or deny"),
        }
        Ok(())
    }
}

impl Task {
    /// Whether its root directory is not that of its mount namespace (Linux's `current_chrooted`).
    pub fn is_chrooted(&self) -> bool {
        let (Some(fs), Some(nsproxy)) = (self.parts.lock().fs.clone(), self.try_nsproxy()) else {
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
