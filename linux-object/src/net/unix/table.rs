//! Names of sockets: abstract ones per net namespace, and those in the file system.

use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};

use hashbrown::HashMap;

use super::UnixSocket;
use super::gc::InFlight;
use crate::bail;
use crate::error::Result;
use crate::ids::KoID;
use crate::net::SocketType;
use crate::sync::{SpinLock, class};

/// Where an inode keeps the socket that is bound to it.
pub type BoundSlot = SpinLock<Weak<UnixSocket>, class::Leaf>;

/// An empty slot for an inode.
pub fn bound_slot() -> BoundSlot {
    BoundSlot::new(Weak::new())
}

type Key = (KoID, SocketType, Vec<u8>);

/// What the AF_UNIX sockets of a kernel share.
#[derive(Default)]
pub struct UnixTable {
    names: SpinLock<HashMap<Key, Weak<UnixSocket>>, class::Leaf>,
    /// Every socket there is, for listings, by net namespace and address.
    all: SpinLock<BTreeMap<(KoID, usize), Weak<UnixSocket>>, class::Leaf>,
    /// Where autobind looks next.
    next_auto: AtomicU32,
    /// Sockets that are on their way in messages.
    pub(super) in_flight: InFlight,
}

impl UnixTable {
    /// Gives `socket` the abstract name (with its leading zero byte). `EADDRINUSE`.
    pub(super) fn bind(&self, socket: &UnixSocket, name: &[u8]) -> Result<()> {
        let mut names = self.names.lock();
        let key = (socket.net_ns, socket.base.kind, name.to_vec());
        if names.contains_key(&key) {
            bail!(EADDRINUSE, "the abstract name is taken");
        }
        names.insert(key, socket.this.clone());
        Ok(())
    }
    /// Takes the name away if it is this socket's.
    pub(super) fn unbind(&self, socket: &UnixSocket, name: &[u8]) {
        let key = (socket.net_ns, socket.base.kind, name.to_vec());
        let mut names = self.names.lock();
        if matches!(names.get(&key), Some(owner) if owner.ptr_eq(&socket.this)) {
            names.remove(&key);
        }
    }
    /// Who has this abstract name.
    pub(super) fn find(&self, net_ns: KoID, kind: SocketType, name: &[u8]) -> Option<Arc<UnixSocket>> {
        let key = (net_ns, kind, name.to_vec());
        self.names.lock().get(&key)?.upgrade()
    }
    /// A candidate for an automatic name: a zero byte and five hex digits.
    pub(super) fn next_auto(&self) -> [u8; 6] {
        let nr = self.next_auto.fetch_add(1, Ordering::Relaxed) & 0xf_ffff;
        let mut name = [0; 6];
        for (at, digit) in name[1..].iter_mut().enumerate() {
            *digit = b"0123456789abcdef"[(nr >> (16 - 4 * at) & 15) as usize];
        }
        name
    }
    /// A socket is there.
    pub(super) fn born(&self, socket: &Arc<UnixSocket>) {
        let key = (socket.net_ns, Arc::as_ptr(socket) as usize);
        self.all.lock().insert(key, Arc::downgrade(socket));
    }
    /// It is gone.
    pub(super) fn gone(&self, socket: &UnixSocket) {
        let key = (socket.net_ns, core::ptr::from_ref(socket) as usize);
        self.all.lock().remove(&key);
    }
    /// The sockets of a net namespace.
    pub fn list(&self, net_ns: KoID) -> Vec<Arc<UnixSocket>> {
        let all = self.all.lock();
        let here = all.range((net_ns, 0)..=(net_ns, usize::MAX));
        here.filter_map(|(_, socket)| socket.upgrade()).collect()
    }
}
