//! Sockets (`socket(2)`, `socket(7)`).
//!
//! A family makes [`Socket`]s; a [`SocketFile`] is one as an open file. The system calls know only the
//! trait, so a family needs no change there: it adds a line to [`create`].

mod file;
mod filter;
pub mod inet;
mod message;
pub mod netlink;
pub mod nic;
pub(crate) mod options;
pub mod packet;
mod payer;
mod socket;
pub mod stack;
pub mod tun;
pub mod unix;

pub use file::{SocketFile, socket_of};
pub use message::{ControlMessage, MsgFlags, RecvMsg, ScmCreds, SendMsg, SockAddr};
pub use options::{SOL_SOCKET, SockBase, SockOption, sol_socket};
pub use socket::{Shutdown, Socket, SocketType};

use alloc::sync::Arc;

use crate::bail;
use crate::error::Result;
use crate::task::Task;

/// Address families (`AF_*`).
#[allow(missing_docs)]
pub mod af {
    pub const UNSPEC: u16 = 0;
    pub const UNIX: u16 = 1;
    pub const INET: u16 = 2;
    pub const INET6: u16 = 10;
    pub const NETLINK: u16 = 16;
    pub const PACKET: u16 = 17;
    pub const MAX: i32 = 46;
}

/// Makes a socket (`socket(2)`). `EAFNOSUPPORT`: no such family.
pub fn create(task: &Arc<Task>, family: i32, kind: u32, protocol: i32) -> Result<Arc<dyn Socket>> {
    if !(0..af::MAX).contains(&family) {
        bail!(EAFNOSUPPORT, "no such address family");
    }
    let Some(kind) = SocketType::from_number(kind) else {
        bail!(EINVAL, "no such type of socket");
    };
    match family as u16 {
        af::UNIX => Ok(unix::UnixSocket::create(task, kind, protocol)?),
        af::INET => inet::create(task, false, kind, protocol),
        af::INET6 => inet::create(task, true, kind, protocol),
        af::NETLINK => Ok(netlink::NetlinkSocket::create(task, kind, protocol)?),
        af::PACKET => Ok(packet::PacketSocket::create(task, kind, protocol)?),
        _ => bail!(EAFNOSUPPORT, "the address family is not supported"),
    }
}

/// Makes two connected sockets (`socketpair(2)`).
pub fn create_pair(task: &Arc<Task>, family: i32, kind: u32, protocol: i32) -> Result<[Arc<dyn Socket>; 2]> {
    let first = create(task, family, kind, protocol)?;
    let second = create(task, family, kind, protocol)?;
    first.pair(task, &*second)?;
    Ok([first, second])
}
