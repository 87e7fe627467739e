//! AF_UNIX sockets (`unix(7)`).
//!
//! Model: a [`UnixSocket`] has a receive queue of [`Packet`]s; sending puts packets into the queue
//! of the other end. A packet counts against the send buffer of its sender until it is read. A
//! listening socket has a queue of embryos: connected sockets that `accept` has not taken yet.
//!
//! Invariants: two connected streams hold references to each other; [`Socket::release`], called
//! when the open file goes, is what parts them. Packets are dropped (with the files that they
//! carry) only when no lock is held.
//!
//! Locks: `class::Inode` around each socket's state; where two are needed the second is taken
//! nested, a connecting socket before the one it connects to. User memory is copied out under the
//! lock of the receiver.

mod addr;
mod connect;
mod gc;
mod info;
mod oob;
mod recv;
mod scm;
mod send;
mod table;

pub use info::UnixInfo;
pub use table::{BoundSlot, UnixTable, bound_slot};

use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::any::Any;
use core::sync::atomic::{AtomicUsize, Ordering};

use self::addr::UnixAddr;
use self::recv::Packet;
use super::{MsgFlags, RecvMsg, SendMsg, Shutdown, SockAddr, SockBase, SockOption, Socket, SocketType, af};
use crate::cred::Cred;
use crate::error::Result;
use crate::fs::{Path, PollEvents};
use crate::ids::{KoID, UserAddr};
use crate::kobject::KObject;
use crate::sync::{SpinLock, WaitQueue, class};
use crate::task::Task;
use crate::task::pid::Pid;
use crate::{bail, ensure};

const FIONREAD: u32 = 0x541b;
const SIOCOUTQ: u32 = 0x5411;
/// Asked of the socket, not about devices as others of its kind.
pub(super) const SIOCATMARK: u32 = 0x8905;

/// Who was at the other end when it connected (`SO_PEERCRED`).
#[derive(Clone)]
struct PeerCred {
    pid: Arc<Pid>,
    cred: Arc<Cred>,
}

impl PeerCred {
    fn of(task: &Arc<Task>) -> PeerCred {
        PeerCred {
            pid: task.group().tgid.clone(),
            cred: task.cred(),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Unconnected,
    Listening,
    Connected,
    Dead,
}

struct UnixState {
    phase: Phase,
    addr: Option<Arc<UnixAddr>>,
    /// The socket's own file, kept while it is bound to it.
    path: Option<Path>,
    /// The other end: of a stream always alive or dead with us; a datagram socket's destination.
    peer: Option<Arc<UnixSocket>>,
    peercred: Option<PeerCred>,
    shutdown: Shutdown,
    recvq: VecDeque<Packet>,
    /// Which packet of `recvq` is an urgent byte.
    urgent: Option<usize>,
    /// Bytes in `recvq`.
    recv_bytes: usize,
    /// Connections that wait for `accept`.
    embryos: VecDeque<Arc<UnixSocket>>,
    backlog: usize,
    /// Whether it is itself such a connection.
    embryo: bool,
    /// Sockets that wait for room here: to connect, or to send a datagram.
    waiting: Vec<Weak<UnixSocket>>,
}

/// An AF_UNIX socket.
pub struct UnixSocket {
    base: SockBase,
    net_ns: KoID,
    table: Arc<UnixTable>,
    /// Bytes sent that nobody has read.
    sent: AtomicUsize,
    state: SpinLock<UnixState, class::Inode>,
    queue: WaitQueue,
    this: Weak<UnixSocket>,
}

impl UnixSocket {
    /// `socket(AF_UNIX, …)`.
    pub fn create(task: &Arc<Task>, kind: SocketType, protocol: i32) -> Result<Arc<UnixSocket>> {
        ensure!(
            protocol == 0 || protocol == af::UNIX as i32,
            EPROTONOSUPPORT,
            "AF_UNIX has no protocols"
        );
        let kind = match kind {
            SocketType::Stream | SocketType::SeqPacket | SocketType::Datagram => kind,
            // Linux takes a raw one for a datagram socket.
            SocketType::Raw => SocketType::Datagram,
            _ => bail!(ESOCKTNOSUPPORT, "AF_UNIX has no such type"),
        };
        let table = task.kernel().unix.clone();
        let nsproxy = task.nsproxy();
        let net_ns = &nsproxy.net_ns;
        // A number below zero is a large one, as in Linux.
        let backlog = net_ns.stack().sysctl.max_dgram_qlen.get() as u32 as usize;
        let base = SockBase::new(kind, protocol, &net_ns.stack().shared.core);
        Ok(UnixSocket::new(base, net_ns.koid(), table, backlog))
    }

    /// `backlog`: datagrams that it keeps from those that it is not connected to, until it listens.
    fn new(base: SockBase, net_ns: KoID, table: Arc<UnixTable>, backlog: usize) -> Arc<UnixSocket> {
        let new = Arc::new_cyclic(|this| UnixSocket {
            base,
            net_ns,
            table,
            sent: AtomicUsize::new(0),
            state: SpinLock::new(UnixState {
                phase: Phase::Unconnected,
                addr: None,
                path: None,
                peer: None,
                peercred: None,
                shutdown: Shutdown::empty(),
                recvq: VecDeque::new(),
                urgent: None,
                recv_bytes: 0,
                embryos: VecDeque::new(),
                backlog,
                embryo: false,
                waiting: Vec::new(),
            }),
            queue: WaitQueue::new(),
            this: this.clone(),
        });
        new.table.born(&new);
        new
    }

    fn arc(&self) -> Result<Arc<UnixSocket>> {
        // Whoever calls holds a reference.
        self.this.upgrade().ok_or(crate::err!(ENOTCONN))
    }

    fn is_datagram(&self) -> bool {
        self.base.kind == SocketType::Datagram
    }

    /// Whether new data may be sent without much delay.
    fn writable(&self) -> bool {
        self.sent.load(Ordering::SeqCst) * 4 <= self.base.sndbuf()
    }

    /// A packet of `size` bytes that this socket sent was read or dropped.
    fn sent_less(&self, size: usize) {
        self.sent.fetch_sub(size, Ordering::SeqCst);
        if self.writable() {
            self.queue.wake_all(PollEvents::WRITABLE);
        }
    }

    /// Adds `waiter` to those who wait for room in this one.
    fn wait_for_room(state: &mut UnixState, waiter: &Weak<UnixSocket>) {
        if !state.waiting.iter().any(|other| other.ptr_eq(waiter)) && state.waiting.try_reserve(1).is_ok() {
            state.waiting.push(waiter.clone());
        }
    }
}

/// Tells those who waited for room to try again. No lock is held.
fn wake_waiting(waiting: Vec<Weak<UnixSocket>>) {
    for socket in waiting.iter().filter_map(Weak::upgrade) {
        socket.queue.wake_all(PollEvents::WRITABLE);
    }
}

impl Socket for UnixSocket {
    fn base(&self) -> &SockBase {
        &self.base
    }
    fn net_ns(&self) -> KoID {
        self.net_ns
    }
    fn family(&self) -> u16 {
        af::UNIX
    }
    fn wait_queue(&self) -> &WaitQueue {
        &self.queue
    }
    fn poll(&self) -> PollEvents {
        let mut events = PollEvents::empty();
        let peer = {
            let state = self.state.lock();
            if self.base.has_error() {
                events |= PollEvents::ERR;
            }
            if state.shutdown == Shutdown::all() {
                events |= PollEvents::HUP;
            }
            if state.shutdown.contains(Shutdown::RECV) {
                events |= PollEvents::READABLE | PollEvents::RDHUP;
            }
            if !state.recvq.is_empty() || !state.embryos.is_empty() {
                events |= PollEvents::READABLE;
            }
            if state.urgent.is_some() {
                events |= PollEvents::PRI;
            }
            if !self.is_datagram() && state.phase == Phase::Unconnected {
                events |= PollEvents::HUP;
            }
            if state.phase == Phase::Listening || !self.writable() {
                return events;
            }
            state.peer.clone().filter(|_| self.is_datagram())
        };
        if let Some(peer) = peer
            && !core::ptr::eq(&*peer, self)
            && peer.is_full_for(self)
        {
            return events;
        }
        events | PollEvents::WRITABLE | PollEvents::WRBAND
    }
    fn release(&self) {
        self.close();
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn bind(&self, task: &Arc<Task>, addr: &[u8]) -> Result<()> {
        self.bind_addr(task, addr)
    }
    fn listen(&self, task: &Arc<Task>, backlog: u32) -> Result<()> {
        self.start_listening(task, backlog)
    }
    fn connect(&self, task: &Arc<Task>, addr: &[u8]) -> Result<()> {
        if self.is_datagram() {
            self.connect_datagram(task, addr)
        } else {
            self.connect_stream(task, addr)
        }
    }
    fn accept(&self, _: &Arc<Task>) -> Result<Arc<dyn Socket>> {
        Ok(self.take_embryo()?)
    }
    fn pair(&self, task: &Arc<Task>, other: &dyn Socket) -> Result<()> {
        match other.as_any().downcast_ref::<UnixSocket>() {
            Some(other) => self.pair_with(task, other),
            None => bail!(EOPNOTSUPP),
        }
    }
    fn name(&self, peer: bool) -> Result<SockAddr> {
        let state = self.state.lock();
        let addr = if peer {
            let Some(peer) = state.peer.clone() else {
                bail!(ENOTCONN, "there is no other end");
            };
            drop(state);
            peer.state.lock().addr.clone()
        } else {
            state.addr.clone()
        };
        Ok(addr::sockaddr(addr.as_deref()))
    }
    fn send(&self, task: &Arc<Task>, msg: &mut SendMsg<'_>) -> Result<usize> {
        match self.base.kind {
            SocketType::Stream => self.send_stream(task, msg),
            _ => self.send_datagram(task, msg),
        }
    }
    fn recv(&self, _: &Arc<Task>, msg: &mut RecvMsg<'_>) -> Result<usize> {
        match self.base.kind {
            SocketType::Stream if msg.flags.contains(MsgFlags::OOB) => self.recv_urgent(msg),
            SocketType::Stream => self.recv_stream(msg),
            _ => self.recv_datagram(msg),
        }
    }
    fn shutdown(&self, how: Shutdown) -> Result<()> {
        self.shut_down(how);
        Ok(())
    }
    fn get_option(&self, task: &Arc<Task>, level: i32, name: i32, len: usize) -> Result<Vec<u8>> {
        ensure!(level == super::options::SOL_SOCKET, EOPNOTSUPP);
        let peer = self.state.lock().peercred.clone();
        if name == SockOption::PeerCred as i32 {
            Ok(scm::peercred_bytes(task, peer.as_ref()))
        } else if name == SockOption::PeerGroups as i32 {
            scm::peergroups_bytes(task, peer.as_ref(), len)
        } else {
            bail!(ENOPROTOOPT)
        }
    }
    fn set_option(&self, _: &Arc<Task>, level: i32, _: i32, _: &[u8]) -> Result<()> {
        ensure!(level == super::options::SOL_SOCKET, EOPNOTSUPP);
        bail!(ENOPROTOOPT)
    }
    fn ioctl(&self, task: &Arc<Task>, cmd: u32, arg: UserAddr) -> Result<usize> {
        let number = match cmd {
            FIONREAD => {
                let state = self.state.lock();
                ensure!(state.phase != Phase::Listening, EINVAL, "the socket listens");
                if self.is_datagram() {
                    state.recvq.front().map_or(0, Packet::remaining)
                } else {
                    state.recv_bytes
                }
            }
            SIOCATMARK => self.at_mark()? as usize,
            SIOCOUTQ => self.sent.load(Ordering::SeqCst),
            _ => bail!(ENOTTY),
        };
        let number = i32::try_from(number).unwrap_or(i32::MAX);
        task.kernel().hal.copy_to_user(arg, &number.to_ne_bytes())?;
        Ok(0)
    }
    fn is_listening(&self) -> bool {
        self.state.lock().phase == Phase::Listening
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        // Sockets that never had a file (a failed call) go without `release`.
        self.close();
        self.table.gone(self);
    }
}
