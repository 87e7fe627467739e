//! What every socket can do.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;

use super::{RecvMsg, SendMsg, SockAddr, SockBase};
use crate::bail;
use crate::error::Result;
use crate::fs::PollEvents;
use crate::ids::{KoID, UserAddr};
use crate::sync::WaitQueue;
use crate::task::Task;

/// The type of a socket.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
#[repr(u8)]
pub enum SocketType {
    Stream = 1,
    Datagram = 2,
    Raw = 3,
    Rdm = 4,
    SeqPacket = 5,
    Dccp = 6,
    Packet = 10,
}

impl SocketType {
    /// From the number of `socket(2)`, without its flags.
    pub fn from_number(nr: u32) -> Option<SocketType> {
        Some(match nr {
            1 => SocketType::Stream,
            2 => SocketType::Datagram,
            3 => SocketType::Raw,
            4 => SocketType::Rdm,
            5 => SocketType::SeqPacket,
            6 => SocketType::Dccp,
            10 => SocketType::Packet,
            _ => return None,
        })
    }
}

bitflags::bitflags! {
    /// Directions that are shut down.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct Shutdown: u8 {
        /// Nothing is received any more.
        const RECV = 1;
        /// Nothing can be sent any more.
        const SEND = 2;
    }
}

/// A socket. Nothing blocks: `EAGAIN` means that the call has to wait on [`Socket::wait_queue`] for
/// the events of reading or writing.
#[allow(unused_variables)]
pub trait Socket: Any + Send + Sync {
    /// The options that every socket has.
    fn base(&self) -> &SockBase;
    /// The network namespace that it was made in.
    fn net_ns(&self) -> KoID;
    /// The address family.
    fn family(&self) -> u16;
    /// Where to wait.
    fn wait_queue(&self) -> &WaitQueue;
    /// What is true now.
    fn poll(&self) -> PollEvents;
    /// The open file is gone.
    fn release(&self);
    /// For families to find their own sockets again.
    fn as_any(&self) -> &dyn Any;

    /// `bind(2)`.
    fn bind(&self, task: &Arc<Task>, addr: &[u8]) -> Result<()> {
        bail!(EOPNOTSUPP)
    }
    /// `listen(2)`; `backlog` is at most `somaxconn`.
    fn listen(&self, task: &Arc<Task>, backlog: u32) -> Result<()> {
        bail!(EOPNOTSUPP)
    }
    /// `connect(2)`. `EAGAIN`: wait to write, then try again.
    fn connect(&self, task: &Arc<Task>, addr: &[u8]) -> Result<()> {
        bail!(EOPNOTSUPP)
    }
    /// `accept(2)`. `EAGAIN`: wait to read.
    fn accept(&self, task: &Arc<Task>) -> Result<Arc<dyn Socket>> {
        bail!(EOPNOTSUPP)
    }
    /// Connects two fresh sockets of one family (`socketpair(2)`).
    fn pair(&self, task: &Arc<Task>, other: &dyn Socket) -> Result<()> {
        bail!(EOPNOTSUPP)
    }
    /// `getsockname(2)`, or with `peer` `getpeername(2)`.
    fn name(&self, peer: bool) -> Result<SockAddr> {
        bail!(EOPNOTSUPP)
    }
    /// Sends. A count that leaves bytes means that the rest has to wait; SIGPIPE is the caller's.
    fn send(&self, task: &Arc<Task>, msg: &mut SendMsg<'_>) -> Result<usize>;
    /// Receives.
    fn recv(&self, task: &Arc<Task>, msg: &mut RecvMsg<'_>) -> Result<usize>;
    /// `shutdown(2)`.
    fn shutdown(&self, how: Shutdown) -> Result<()> {
        bail!(EOPNOTSUPP)
    }
    /// Sets an option of a level other than `SOL_SOCKET`, or one that `SOL_SOCKET` leaves to the family.
    fn set_option(&self, task: &Arc<Task>, level: i32, name: i32, value: &[u8]) -> Result<()> {
        bail!(ENOPROTOOPT)
    }
    /// Whether an option is read by saying first of what, as filters of groups are.
    fn is_asked(&self, level: i32, name: i32) -> bool {
        false
    }
    /// Gets such an option; `asked` is what the caller's buffer says.
    fn get_asked(&self, level: i32, name: i32, asked: &[u8]) -> Result<Vec<u8>> {
        bail!(ENOPROTOOPT, "there is no such option")
    }
    /// Gets such an option. `len` is the room that the caller has.
    fn get_option(&self, task: &Arc<Task>, level: i32, name: i32, len: usize) -> Result<Vec<u8>> {
        bail!(ENOPROTOOPT)
    }
    /// `ioctl(2)`.
    fn ioctl(&self, task: &Arc<Task>, cmd: u32, arg: UserAddr) -> Result<usize> {
        bail!(ENOTTY)
    }
    /// The kernel hands it a message of its own (`mq_notify(2)` with `SIGEV_THREAD`); only asked of
    /// AF_NETLINK.
    fn deliver(&self, message: &[u8]) {}
    /// `SO_KEEPALIVE` was set or cleared.
    fn keep_alive(&self, on: bool) {}
    /// Whether a `close` with `SO_LINGER` still waits: what was sent is not acknowledged up to its end.
    fn lingers(&self) -> bool {
        false
    }
    /// Whether it listens (`SO_ACCEPTCONN`).
    fn is_listening(&self) -> bool {
        false
    }
}
