//! Socket statistics (`sock_diag(7)`), what `ss` shows.
//!
//! A request names a family; the answer is one message per socket of the caller's namespace, with a fixed
//! head and the attributes that were asked for. A socket is looked at under its own lock alone, so a listing is
//! true of each socket but of no single instant. Sockets cannot be destroyed by it.

mod filter;
mod inet;
mod netlink;
mod packet;
mod unix;

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::message::{Builder, Header, NlFlags, u32_at};
use super::{NetlinkSocket, NlResult, Reply};
use crate::err;
use crate::net::af;
use crate::net::stack::proto;
use crate::task::Task;

/// `SOCK_DIAG_BY_FAMILY`.
const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// The requests from before there were families.
const TCPDIAG_GETSOCK: u16 = 18;
const DCCPDIAG_GETSOCK: u16 = 19;

/// A request, and for whom it is.
pub(super) struct Cx<'a> {
    socket: &'a NetlinkSocket,
    task: &'a Arc<Task>,
    header: &'a Header,
}

impl Cx<'_> {
    fn is_dump(&self) -> bool {
        self.header.flags.contains(NlFlags::DUMP)
    }
    /// An answer with this head.
    fn answer(&self, head: &[u8]) -> Builder {
        let (seq, pid) = (self.header.seq, self.header.pid);
        Builder::new(self.header.kind, NlFlags::empty(), seq, pid, head)
    }
    /// A user as whoever asks sees it.
    fn uid(&self, uid: crate::ids::Kuid) -> u32 {
        self.socket.opener_ns().from_kuid_munged(uid).0
    }
}

/// `struct sk_meminfo`'s words: taken and allowed, to receive and to send; and what was lost.
fn skmeminfo(memory: [u32; 4], drops: u32) -> Vec<u8> {
    let [rmem, rcvbuf, wmem, sndbuf] = memory;
    [rmem, rcvbuf, wmem, sndbuf, 0, wmem, 0, 0, drops]
        .map(u32::to_ne_bytes)
        .concat()
}

/// Whether a request's cookie fits; `!0` asks for none.
fn cookie_fits(request: &[u8], at: usize, cookie: u64) -> bool {
    let asked = u32_at(request, at) as u64 | (u32_at(request, at + 4) as u64) << 32;
    asked == u64::MAX || asked == cookie
}

/// A request. `EINVAL`: malformed; `ENOENT`: no such family or socket.
pub fn request(socket: &NetlinkSocket, task: &Arc<Task>, header: &Header, payload: &[u8]) -> NlResult<Reply> {
    let cx = Cx { socket, task, header };
    match header.kind {
        TCPDIAG_GETSOCK => return inet::request_old(&cx, proto::TCP, payload),
        DCCPDIAG_GETSOCK => return inet::request_old(&cx, inet::DCCP, payload),
        SOCK_DIAG_BY_FAMILY => {}
        _ => return Err(err!(EINVAL, "sock_diag: no such request").into()),
    }
    if payload.len() < 2 || payload[0] as i32 >= af::MAX {
        return Err(err!(EINVAL, "sock_diag: which family?").into());
    }
    match payload[0] as u16 {
        af::INET | af::INET6 => inet::request(&cx, payload),
        af::UNIX => unix::request(&cx, payload),
        af::NETLINK => netlink::request(&cx, payload),
        af::PACKET => packet::request(&cx, payload),
        _ => Err(err!(ENOENT, "sock_diag: no handler of this family").into()),
    }
}
