//! What listings show of a socket (`/proc/net/unix`, `ss -x`).

use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use super::{Phase, UnixSocket};
use crate::ids::Kuid;
use crate::net::stack::sockets::tcp_state;
use crate::net::{Shutdown, SocketType};

/// One socket.
#[derive(Clone, Debug)]
pub struct UnixInfo {
    /// Its type.
    pub kind: SocketType,
    /// `TCP_ESTABLISHED`, `TCP_LISTEN` or `TCP_CLOSE`.
    pub state: u8,
    /// Owner and number of its inode; 0 for one that waits for `accept`.
    pub owner: Kuid,
    /// The number of its inode.
    pub ino: u64,
    /// `SO_COOKIE`.
    pub cookie: u64,
    /// Its name: a path, or with a leading zero byte an abstract one.
    pub name: Option<Vec<u8>>,
    /// Number and device of the file that it is bound to.
    pub file: Option<(u64, u32)>,
    /// The inode of the other end.
    pub peer: Option<u64>,
    /// Inodes of the other ends of connections that wait for `accept`; only of a listening one.
    pub pending: Option<Vec<u64>>,
    /// Bytes to read and bytes that the others have not read; connections that wait, and how many may.
    pub queues: (u32, u32),
    /// Taken and allowed, to receive and to send.
    pub memory: [u32; 4],
    /// Directions that are shut down.
    pub shutdown: Shutdown,
}

impl UnixSocket {
    /// What there is to see.
    pub fn info(&self) -> UnixInfo {
        let state = self.state.lock();
        let sent = self.sent.load(Ordering::SeqCst) as u32;
        let received = state.recv_bytes as u32;
        let listening = state.phase == Phase::Listening;
        let others = |socket: &UnixSocket| socket.base.ino();
        // An embryo's peer is fixed for its life: the inode of whoever connects.
        let embryos: Vec<_> = state.embryos.iter().cloned().collect();
        let info = UnixInfo {
            kind: self.base.kind,
            state: match state.phase {
                Phase::Connected => tcp_state::ESTABLISHED,
                Phase::Listening => tcp_state::LISTEN,
                Phase::Unconnected | Phase::Dead => tcp_state::CLOSE,
            },
            owner: self.base.owner(),
            ino: self.base.ino(),
            cookie: self.base.cookie(),
            name: state.addr.as_deref().map(|addr| addr.shown().to_vec()),
            file: None,
            peer: state.peer.as_deref().map(others),
            pending: None,
            queues: if listening {
                (state.embryos.len() as u32, state.backlog as u32)
            } else {
                (received, sent)
            },
            memory: [
                received,
                self.base.rcvbuf() as u32,
                sent,
                self.base.sndbuf() as u32,
            ],
            shutdown: state.shutdown,
        };
        let path = state.path.clone();
        drop(state);
        let file = path.and_then(|path| {
            let dev = path.mount.sb.dev;
            // As the kernel packs it inside: 20 bits for the minor number.
            Some((
                path.dentry.inode()?.metadata().inode,
                dev.major() << 20 | dev.minor(),
            ))
        });
        let pending = listening.then(|| {
            let peers = embryos.iter().map(|embryo| embryo.state.lock().peer.clone());
            peers.map(|peer| peer.map_or(0, |peer| peer.base.ino())).collect()
        });
        UnixInfo {
            file,
            pending,
            ..info
        }
    }
}
