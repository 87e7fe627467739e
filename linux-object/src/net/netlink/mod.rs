//! AF_NETLINK (`netlink(7)`): how programs talk to the kernel about the network.
//!
//! A [`NetlinkSocket`] belongs to a namespace and a protocol. What it sends is worked on at once, and the answers are
//! in its queue when `send` returns. A dump is made as a whole at one instant, so it is never inconsistent, and
//! handed out in parts as it is read. Events go to those who joined a group; who reads too slowly loses some and is
//! told so (`ENOBUFS`).
//!
//! Protocols: ROUTE ([`rtnl`]), USERSOCK (between programs), KOBJECT_UEVENT, GENERIC and SOCK_DIAG ([`diag`]).

pub mod diag;
pub mod genl;
pub mod message;
pub mod rtnl;
mod socket;
pub mod uevent;

pub use socket::NetlinkSocket;

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use hashbrown::HashMap;

use self::message::{Builder, Header, NLMSG_HDRLEN, NlFlags, kind};
use super::stack::NetStack;
use crate::error::Error;
use crate::sync::{SpinLock, class};

/// Netlink protocols.
#[allow(missing_docs)]
pub mod proto {
    pub const ROUTE: i32 = 0;
    pub const USERSOCK: i32 = 2;
    pub const SOCK_DIAG: i32 = 4;
    pub const KOBJECT_UEVENT: i32 = 15;
    pub const GENERIC: i32 = 16;
    pub const MAX: i32 = 32;
    /// Those that the kernel itself answers or tells of, in every namespace.
    pub const OF_KERNEL: [i32; 4] = [ROUTE, SOCK_DIAG, KOBJECT_UEVENT, GENERIC];
}

/// The bound netlink sockets of a namespace.
#[derive(Default)]
pub struct NetlinkTable {
    sockets: SpinLock<HashMap<(i32, u32), Weak<NetlinkSocket>>, class::KoidTable>,
}

impl NetlinkTable {
    /// Gives a socket a port, if it is free.
    fn insert(&self, protocol: i32, port: u32, socket: &Weak<NetlinkSocket>) -> bool {
        let mut sockets = self.sockets.lock();
        if sockets
            .get(&(protocol, port))
            .is_some_and(|have| have.strong_count() > 0)
        {
            return false;
        }
        sockets.insert((protocol, port), socket.clone());
        true
    }
    fn remove(&self, protocol: i32, port: u32, socket: &Weak<NetlinkSocket>) {
        let mut sockets = self.sockets.lock();
        if sockets
            .get(&(protocol, port))
            .is_some_and(|have| have.ptr_eq(socket))
        {
            sockets.remove(&(protocol, port));
        }
    }
    fn find(&self, protocol: i32, port: u32) -> Option<Arc<NetlinkSocket>> {
        self.sockets.lock().get(&(protocol, port))?.upgrade()
    }
    /// Every bound socket, in order of protocols and ports.
    pub fn all(&self) -> Vec<Arc<NetlinkSocket>> {
        let sockets = self.sockets.lock();
        let mut list: Vec<_> = sockets
            .iter()
            .filter_map(|(key, s)| Some((*key, s.upgrade()?)))
            .collect();
        drop(sockets);
        list.sort_by_key(|(key, _)| *key);
        list.into_iter().map(|(_, socket)| socket).collect()
    }
}

/// Gives a message to everyone in a group of a protocol.
pub fn broadcast(stack: &Arc<NetStack>, (protocol, group): (i32, u32), message: &[u8]) {
    for socket in stack.netlink.all() {
        if socket.protocol() == protocol && socket.in_group(group) {
            socket.push(message.into(), 0, group);
        }
    }
}

/// Why a request failed: the errno, and what Linux says about it in an extended ack.
#[derive(Clone, Copy, Debug)]
pub struct NlError {
    /// The errno.
    pub error: Error,
    /// The text for programs, only where Linux has one.
    pub text: Option<&'static str>,
}

impl From<Error> for NlError {
    fn from(error: Error) -> NlError {
        NlError { error, text: None }
    }
}

/// A result with an extended ack.
pub type NlResult<T> = core::result::Result<T, NlError>;

/// An error with a text: `nl_err!(EINVAL, "Interface name too long")`.
#[macro_export]
macro_rules! nl_err {
    ($errno:ident, $text:literal) => {
        $crate::net::netlink::NlError {
            error: $crate::err!($errno, $text),
            text: Some($text),
        }
    };
}

/// What a handler answers.
pub enum Reply {
    /// Done; acknowledged if that was asked for.
    Done,
    /// One message, and an acknowledgement if that was asked for.
    One(Vec<u8>),
    /// A dump.
    Dump(Vec<Vec<u8>>),
}

/// An acknowledgement or error (`NLMSG_ERROR`) for a request.
fn ack(request: &Header, whole: &[u8], error: Option<NlError>, capped: bool, extended: bool) -> Vec<u8> {
    let text = error.and_then(|error| error.text).filter(|_| extended);
    let mut flags = NlFlags::empty();
    let cut = capped || error.is_none();
    if cut {
        flags |= NlFlags::CAPPED;
    }
    if text.is_some() {
        flags |= NlFlags::ACK_TLVS;
    }
    let errno = error.map_or(0, |error| -(error.error.errno() as i32));
    let mut head = errno.to_ne_bytes().to_vec();
    head.extend_from_slice(&whole[..if cut { NLMSG_HDRLEN } else { whole.len() }]);
    let mut message = Builder::new(kind::ERROR, flags, request.seq, request.pid, &head);
    if let Some(text) = text {
        message.string(1, text);
    }
    message.finish()
}
