//! AF_INET and AF_INET6 sockets (`ip(7)`, `ipv6(7)`, `udp(7)`, `tcp(7)`, `raw(7)`, `icmp(7)`).
//!
//! A socket stays in the namespace in which it was made, and keeps it alive. Ports are claimed in
//! that namespace's [`SocketTable`](super::stack::sockets::SocketTable).
//!
//! Locks: `class::Inode` around a socket's state. Packets are sent and delivered without it, so that
//! no two sockets are locked at once.

mod addr;
mod brioctl;
mod device;
mod dgram;
mod ethtool;
pub mod ifreq;
mod membership;
mod options;
mod ports;
mod tcp;

pub use addr::SockAddrIn;
pub use dgram::DatagramSocket;
pub use tcp::TcpSocket;

use alloc::sync::Arc;

use super::payer::Payer;
use super::{Socket, SocketType};
use crate::bail;
use crate::cred::Capability;
use crate::ensure;
use crate::error::Result;
use crate::namespace::NetNamespace;
use crate::task::Task;

/// `IPPROTO_*` that a socket may have.
mod proto {
    pub use crate::net::stack::proto::*;
    pub const IP: i32 = 0;
    pub const RAW: u8 = 255;
}

/// `socket(AF_INET, …)` and `socket(AF_INET6, …)`.
pub fn create(task: &Arc<Task>, v6: bool, kind: SocketType, protocol: i32) -> Result<Arc<dyn Socket>> {
    ensure!((0..=255).contains(&protocol), EINVAL, "no such protocol");
    let ns = task.nsproxy().net_ns.clone();
    let ping = if v6 { proto::ICMPV6 } else { proto::ICMP };
    match (kind, protocol) {
        (SocketType::Stream, 0 | 6) => Ok(TcpSocket::create(ns, v6, Payer::current(task))),
        (SocketType::Datagram, 0 | 17) => Ok(DatagramSocket::create(
            ns,
            v6,
            Payer::current(task),
            kind,
            proto::UDP,
        )),
        (SocketType::Datagram, nr) if nr == ping as i32 => {
            check_ping(task, &ns)?;
            Ok(DatagramSocket::create(ns, v6, Payer::current(task), kind, ping))
        }
        (SocketType::Raw, proto::IP) => bail!(EPROTONOSUPPORT, "a raw socket has a protocol"),
        (SocketType::Raw, nr) => {
            ensure!(
                task.cred().ns_capable(ns.user_ns(), Capability::NET_RAW),
                EPERM,
                "no CAP_NET_RAW"
            );
            Ok(DatagramSocket::create(
                ns,
                v6,
                Payer::current(task),
                kind,
                nr as u8,
            ))
        }
        (SocketType::Stream | SocketType::Datagram, _) => bail!(EPROTONOSUPPORT, "not with this protocol"),
        _ => bail!(ESOCKTNOSUPPORT, "no such type of socket"),
    }
}

/// `ping_group_range`: whose groups may send echo requests.
fn check_ping(task: &Arc<Task>, ns: &Arc<NetNamespace>) -> Result<()> {
    let sysctl = &ns.stack().sysctl;
    let range = sysctl.ping_group_low.get()..=sysctl.ping_group_high.get();
    let cred = task.cred();
    let member = range.contains(&(cred.egid.0 as i64))
        || cred.groups.iter().any(|gid| range.contains(&(gid.0 as i64)));
    ensure!(member, EACCES, "no group of the caller is in ping_group_range");
    Ok(())
}
