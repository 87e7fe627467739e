//! Numbers that a namespace has for others (`RTM_NEWNSID`, `RTM_GETNSID`): how `ip` names the namespace at the other
//! end of a veth.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::super::message::{Attrs, Builder, NlFlags};
use super::super::{NlResult, Reply};
use super::{Cx, rtm};
use crate::namespace::NetNamespace;
use crate::net::stack::{NetStack, NetState};
use crate::nl_err;

const HEAD: usize = 4;
const NETNSA_NSID: u16 = 1;
const NETNSA_PID: u16 = 2;
const NETNSA_FD: u16 = 3;
const NOT_ASSIGNED: i32 = -1;

impl NetState {
    /// The number of another namespace, if it has one.
    pub fn nsid(&self, of: &Arc<NetStack>) -> Option<i32> {
        let found = self
            .nsids
            .iter()
            .find(|(_, stack)| core::ptr::eq(stack.as_ptr(), Arc::as_ptr(of)));
        found.map(|(id, _)| *id)
    }
    /// The number of another namespace, which gets the first free one if it has none. Numbers of
    /// namespaces that are gone are free.
    pub fn nsid_alloc(&mut self, of: &Arc<NetStack>) -> i32 {
        self.forget_gone();
        if let Some(id) = self.nsid(of) {
            return id;
        }
        let id = (0..)
            .find(|id| !self.nsids.iter().any(|(have, _)| have == id))
            .unwrap_or(0);
        self.nsids.push((id, Arc::downgrade(of)));
        id
    }
    fn forget_gone(&mut self) {
        self.nsids.retain(|(_, stack)| stack.strong_count() > 0);
    }
}

fn fill(id: i32, kind: u16, seq: u32, pid: u32) -> Vec<u8> {
    let mut message = Builder::new(kind, NlFlags::empty(), seq, pid, &[0; HEAD]);
    message.attr(NETNSA_NSID, &id.to_ne_bytes());
    message.finish()
}

fn target(cx: &Cx<'_>, attrs: Attrs<'_>) -> NlResult<Arc<NetNamespace>> {
    if let Some(pid) = attrs.u32(NETNSA_PID)? {
        return Ok(cx.ns_of_pid(pid)?);
    }
    if let Some(fd) = attrs.u32(NETNSA_FD)? {
        return Ok(cx.ns_of_fd(fd)?);
    }
    Err(nl_err!(EINVAL, "Peer netns reference is missing"))
}

/// `RTM_GETNSID`.
pub fn get(cx: &Cx<'_>, payload: &[u8]) -> NlResult<Reply> {
    let (seq, pid) = (cx.header.seq, cx.header.pid);
    let stack = cx.socket.stack();
    if cx.is_dump() {
        let ids = {
            let mut state = stack.lock();
            state.forget_gone();
            state.nsids.clone()
        };
        let messages = ids.iter().map(|(id, _)| fill(*id, rtm::NEWNSID, seq, pid));
        return Ok(Reply::Dump(messages.collect()));
    }
    let attrs = Attrs::after(payload, HEAD)?;
    let peer = target(cx, attrs)?;
    let id = stack.lock().nsid(peer.stack()).unwrap_or(NOT_ASSIGNED);
    Ok(Reply::One(fill(id, rtm::NEWNSID, seq, pid)))
}

/// `RTM_NEWNSID`.
pub fn new(cx: &Cx<'_>, payload: &[u8]) -> NlResult<Reply> {
    let attrs = Attrs::after(payload, HEAD)?;
    let Some(wanted) = attrs.u32(NETNSA_NSID)? else {
        return Err(nl_err!(EINVAL, "nsid is missing"));
    };
    let wanted = wanted as i32;
    let namespace = target(cx, attrs)?;
    let peer = namespace.stack();
    let mut state = cx.socket.stack().lock();
    state.forget_gone();
    if state.nsid(peer).is_some() {
        return Err(nl_err!(EEXIST, "Peer netns already has a nsid assigned"));
    }
    if wanted < 0 {
        state.nsid_alloc(peer);
    } else if state.nsids.iter().any(|(id, _)| *id == wanted) {
        return Err(nl_err!(EEXIST, "The specified nsid is already used"));
    } else {
        state.nsids.push((wanted, Arc::downgrade(peer)));
    }
    Ok(Reply::Done)
}
