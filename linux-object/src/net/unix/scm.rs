//! Ancillary data: credentials as the reader's namespaces show them, and checks of claimed ones.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::PeerCred;
use crate::error::Result;
use crate::net::ScmCreds;
use crate::task::Task;
use crate::{bail, ensure};

/// Who sends, as it is, for a message that claims nothing.
pub(super) fn own_creds(task: &Arc<Task>) -> ScmCreds {
    let cred = task.cred();
    ScmCreds {
        pid: Some(task.group().tgid.clone()),
        uid: cred.uid,
        gid: cred.gid,
    }
}

/// `struct ucred` for `SO_PEERCRED`: pid 0 and ids -1 without a peer.
pub(super) fn peercred_bytes(task: &Arc<Task>, peer: Option<&PeerCred>) -> Vec<u8> {
    let (pid, uid, gid) = match peer {
        None => (0, u32::MAX, u32::MAX),
        Some(peer) => {
            let cred = task.cred();
            (
                peer.pid.nr_in(task.pid().ns()).0 as u32,
                cred.user_ns.from_kuid_munged(peer.cred.euid).0,
                cred.user_ns.from_kgid_munged(peer.cred.egid).0,
            )
        }
    };
    [pid, uid, gid].map(u32::to_ne_bytes).concat()
}

/// The supplementary groups for `SO_PEERGROUPS`. `ERANGE`: no room (the length is then the needed one,
/// which the caller cannot tell from here). `ENODATA`: no peer.
pub(super) fn peergroups_bytes(task: &Arc<Task>, peer: Option<&PeerCred>, len: usize) -> Result<Vec<u8>> {
    let Some(peer) = peer else {
        bail!(ENODATA, "there is no peer");
    };
    ensure!(
        len >= peer.cred.groups.len() * 4,
        ERANGE,
        "the groups of the peer do not fit"
    );
    let user_ns = task.cred().user_ns.clone();
    let groups = peer.cred.groups.iter();
    let shown = groups.map(|&gid| user_ns.from_kgid_munged(gid).0.to_ne_bytes());
    Ok(shown.collect::<Vec<_>>().concat())
}
