//! Addresses: none, a path, or an abstract name.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::UnixSocket;
use crate::error::Result;
use crate::fs::namei::{LookupFlags, path_lookup};
use crate::fs::permission::{Access, inode_permission};
use crate::net::{SockAddr, SocketType, af};
use crate::task::Task;
use crate::{bail, ensure};

/// `offsetof(struct sockaddr_un, sun_path)`.
const PATH_AT: usize = 2;
/// `sizeof(struct sockaddr_un)`.
const MAX_LEN: usize = 110;

/// A name: a path without its zero byte, or an abstract name with its leading one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum UnixAddr {
    Path(Vec<u8>),
    Abstract(Vec<u8>),
}

impl UnixAddr {
    /// From a `struct sockaddr_un` that names something. `EINVAL`: another family, or too short or long.
    pub fn parse(raw: &[u8]) -> Result<UnixAddr> {
        ensure!(
            raw.len() > PATH_AT && raw.len() <= MAX_LEN,
            EINVAL,
            "the address is too short or too long"
        );
        ensure!(family(raw) == af::UNIX, EINVAL, "the address is not AF_UNIX");
        let name = &raw[PATH_AT..];
        if name[0] == 0 {
            return Ok(UnixAddr::Abstract(name.to_vec()));
        }
        let len = name.iter().position(|&c| c == 0).unwrap_or(name.len());
        Ok(UnixAddr::Path(name[..len].to_vec()))
    }
    /// The bytes as listings show them.
    pub fn shown(&self) -> &[u8] {
        match self {
            UnixAddr::Path(name) | UnixAddr::Abstract(name) => name,
        }
    }
}

/// The family of an address; 0 if it is too short to have one.
pub(super) fn family(raw: &[u8]) -> u16 {
    raw.first_chunk().map_or(0, |&bytes| u16::from_ne_bytes(bytes))
}

/// Whether the address only says AF_UNIX: bind to any name.
pub(super) fn is_autobind(raw: &[u8]) -> bool {
    raw.len() == PATH_AT && family(raw) == af::UNIX
}

/// As `struct sockaddr_un`, with the length that Linux tells.
pub(super) fn sockaddr(addr: Option<&UnixAddr>) -> SockAddr {
    let mut out = SockAddr::from_slice(&af::UNIX.to_ne_bytes());
    match addr {
        None => {}
        Some(UnixAddr::Abstract(name)) => out.extend_from_slice(name),
        Some(UnixAddr::Path(name)) => {
            out.extend_from_slice(name);
            out.push(0);
        }
    }
    out
}

impl UnixSocket {
    /// The socket with this name, for a sender or connecter of type `kind` (Linux's
    /// `unix_find_other`).
    pub(super) fn find_other(&self, task: &Arc<Task>, addr: &UnixAddr) -> Result<Arc<UnixSocket>> {
        let kind: SocketType = self.base.kind;
        let name = match addr {
            UnixAddr::Abstract(name) => {
                let found = self.table.find(self.net_ns, kind, name);
                return found.ok_or(crate::err!(ECONNREFUSED, "nobody has this abstract name"));
            }
            UnixAddr::Path(name) => name,
        };
        let path = path_lookup(task, None, name, LookupFlags::FOLLOW)?;
        let inode = path.inode()?;
        inode_permission(task, &task.cred(), &path.mount, &**inode, Access::WRITE)?;
        let bound = inode.common().socket.lock().upgrade();
        let Some(other) = bound else {
            bail!(ECONNREFUSED, "no socket is bound to the file");
        };
        ensure!(
            other.base.kind == kind,
            EPROTOTYPE,
            "the socket there is of another type"
        );
        Ok(other)
    }
}
