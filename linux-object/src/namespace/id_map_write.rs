//! Writing `/proc/PID/{uid_map,gid_map,projid_map,setgroups}` (`user_namespaces(7)`).
//!
//! Who writes is judged by the credentials that opened the file, and for ids that need a capability
//! also by those of the writer, so that a privileged program cannot be made to write through a
//! descriptor of someone else's.

use alloc::sync::Arc;

use super::id_map::{Extent, IdMap, parse};
use super::{IdKind, UserNamespace};
use crate::cred::{Capability, Cred};
use crate::error::Result;
use crate::fs::seq_file::until_nul;
use crate::ids::{Gid, PAGE_SIZE, Uid};
use crate::{bail, ensure, err};

impl IdKind {
    /// The capability towards the parent that allows any map of this kind; project ids need none.
    fn capability(self) -> Option<Capability> {
        match self {
            IdKind::Uid => Some(Capability::SETUID),
            IdKind::Gid => Some(Capability::SETGID),
            IdKind::Projid => None,
        }
    }
}

impl UserNamespace {
    /// Installs a map, once (Linux's `map_write`).
    pub fn write_id_map(
        self: &Arc<Self>,
        kind: IdKind,
        text: &[u8],
        opener: &Cred,
        writer: &Cred,
    ) -> Result<()> {
        let parent = self
            .parent()
            .ok_or(err!(EPERM, "id map: that of the initial namespace is fixed"))?;
        let inside = Arc::ptr_eq(&opener.user_ns, self);
        ensure!(
            inside || Arc::ptr_eq(&opener.user_ns, parent),
            EPERM,
            "id map: the writer is neither in the namespace nor in its parent"
        );
        ensure!(text.len() < PAGE_SIZE, EINVAL, "id map: a page or more");
        ensure!(self.id_map(kind).is_none(), EPERM, "id map: written already");
        if kind.capability().is_some() {
            ensure!(
                opener.ns_capable(self, Capability::SYS_ADMIN),
                EPERM,
                "id map: no CAP_SYS_ADMIN in the namespace"
            );
        }
        let mut extents = parse(text)?;
        ensure!(
            self.map_permitted(kind, parent, &extents, inside, opener, writer),
            EPERM,
            "id map: these ids need a capability in the parent"
        );
        let outer = parent
            .id_map(kind)
            .ok_or(err!(EPERM, "id map: the parent has none"))?;
        for extent in &mut extents {
            extent.lower = outer.down_range(extent.lower, extent.count).ok_or(err!(
                EPERM,
                "id map: ids that the parent does not map as one range"
            ))?;
        }
        let mut installed = false;
        self.maps[kind as usize].call_once(|| {
            installed = true;
            IdMap::new(extents)
        });
        ensure!(installed, EPERM, "id map: written already");
        Ok(())
    }

    /// Linux's `new_idmap_permitted`.
    fn map_permitted(
        self: &Arc<Self>,
        kind: IdKind,
        parent: &Arc<UserNamespace>,
        extents: &[Extent],
        inside: bool,
        opener: &Cred,
        writer: &Cred,
    ) -> bool {
        // Who maps the parent's root can write file capabilities that hold in the parent.
        if kind == IdKind::Uid && extents.iter().any(|extent| extent.lower == 0) {
            let could = if inside {
                self.parent_could_setfcap()
            } else {
                opener.ns_capable(parent, Capability::SETFCAP)
            };
            if !could {
                return false;
            }
        }
        // One's own id needs no privilege.
        if let [Extent { lower, count: 1, .. }] = *extents
            && self.owner() == opener.euid
        {
            let own = match kind {
                IdKind::Uid => parent.make_kuid(Uid(lower)) == Some(opener.euid),
                IdKind::Gid => !self.setgroups_allowed() && parent.make_kgid(Gid(lower)) == Some(opener.egid),
                IdKind::Projid => false,
            };
            if own {
                return true;
            }
        }
        match kind.capability() {
            Some(cap) => writer.ns_capable(parent, cap) && opener.ns_capable(parent, cap),
            None => true,
        }
    }

    /// Takes what was written to `setgroups`: `allow` or `deny`.
    pub fn write_setgroups(&self, text: &[u8]) -> Result<()> {
        ensure!(text.len() < 8, EINVAL, "setgroups: too long");
        match until_nul(text).trim_ascii_end() {
            b"allow" => ensure!(self.setgroups_allowed(), EPERM, "setgroups: denied for ever"),
            b"deny" => {
                ensure!(
                    self.id_map(IdKind::Gid).is_none(),
                    EPERM,
                    "setgroups: the group map is written"
                );
                self.deny_setgroups();
            }
            _ => bail!(EINVAL, "setgroups: allow or deny"),
        }
        Ok(())
    }
}
