//! rtnetlink (`rtnetlink(7)`): devices, addresses, routes, neighbours, rules and namespace numbers.
//!
//! Each kind of object has a module with the layout of its message, written in one place and read in one,
//! so that what is shown and what is told to listeners are the same bytes.

mod addr;
mod bridge;
mod fdb;
mod link;
mod neigh;
mod nsid;
mod route;
mod rule;

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::message::{Header, NlFlags};
use super::{NetlinkSocket, NlResult, Reply, proto};
use crate::cred::Capability;
use crate::error::Result;
use crate::fs::nsfs::namespace_of;
use crate::ids::{Fd, PidNr};
use crate::namespace::NetNamespace;
use crate::net::stack::address::IfAddr;
use crate::net::stack::{Event, FdbChange, Job, Net};
use crate::task::Task;
use crate::{ensure, err, nl_err};

/// Message types: the `NEW` of each kind; `DEL`, `GET` and `SET` follow.
#[allow(missing_docs)]
pub mod rtm {
    pub const NEWLINK: u16 = 16;
    pub const DELLINK: u16 = 17;
    pub const GETLINK: u16 = 18;
    pub const SETLINK: u16 = 19;
    pub const NEWADDR: u16 = 20;
    pub const DELADDR: u16 = 21;
    pub const GETADDR: u16 = 22;
    pub const NEWROUTE: u16 = 24;
    pub const DELROUTE: u16 = 25;
    pub const GETROUTE: u16 = 26;
    pub const NEWNEIGH: u16 = 28;
    pub const DELNEIGH: u16 = 29;
    pub const GETNEIGH: u16 = 30;
    pub const NEWRULE: u16 = 32;
    pub const DELRULE: u16 = 33;
    pub const GETRULE: u16 = 34;
    pub const NEWNSID: u16 = 88;
    pub const GETNSID: u16 = 90;
    pub const MAX: u16 = 122;
}

/// `RTNLGRP_*`.
#[allow(missing_docs)]
mod group {
    pub const LINK: u32 = 1;
    pub const NEIGH: u32 = 3;
    pub const IPV4_IFADDR: u32 = 5;
    pub const IPV4_ROUTE: u32 = 7;
    pub const IPV6_IFADDR: u32 = 9;
    pub const IPV6_ROUTE: u32 = 11;
}

/// Address families in messages.
#[allow(missing_docs)]
mod family {
    pub const UNSPEC: u8 = 0;
    pub const INET: u8 = 2;
    pub const BRIDGE: u8 = 7;
    pub const INET6: u8 = 10;
}

/// Who asks, and in which namespace.
struct Cx<'a> {
    socket: &'a NetlinkSocket,
    task: &'a Arc<Task>,
    header: &'a Header,
}

impl Cx<'_> {
    fn is_dump(&self) -> bool {
        self.header.flags.contains(NlFlags::DUMP)
    }
    fn flag(&self, flag: NlFlags) -> bool {
        self.header.flags.contains(flag)
    }
    /// The namespace of a process (`IFLA_NET_NS_PID`) or a descriptor (`IFLA_NET_NS_FD`).
    fn ns_of_pid(&self, pid: u32) -> Result<Arc<NetNamespace>> {
        let kernel = self.task.kernel();
        let found = kernel.tasks.find_task(self.task.pid_ns(), PidNr(pid as i32));
        let task = found.ok_or(err!(ESRCH, "there is no such process"))?;
        let nsproxy = task.try_nsproxy().ok_or(err!(ESRCH, "the process is gone"))?;
        Ok(nsproxy.net_ns.clone())
    }
    fn ns_of_fd(&self, fd: u32) -> Result<Arc<NetNamespace>> {
        let file = self.task.files().get(Fd(fd as i32))?;
        let ns = namespace_of(&*file.inode).ok_or(err!(EINVAL, "the descriptor is no namespace"))?;
        let ns = ns.into_any().downcast::<NetNamespace>();
        ns.map_err(|_| err!(EINVAL, "the descriptor is no network namespace"))
    }
    /// That the caller may work on another namespace.
    fn check_ns(&self, ns: &Arc<NetNamespace>) -> Result<()> {
        let fine = self.task.cred().ns_capable(ns.user_ns(), Capability::NET_ADMIN);
        ensure!(fine, EPERM, "no CAP_NET_ADMIN in the other namespace");
        Ok(())
    }
}

/// A request.
pub fn request(socket: &NetlinkSocket, task: &Arc<Task>, header: &Header, payload: &[u8]) -> NlResult<Reply> {
    let cx = Cx { socket, task, header };
    if header.kind > rtm::MAX {
        return Err(err!(EOPNOTSUPP, "rtnetlink: no such message").into());
    }
    if payload.is_empty() {
        return Ok(Reply::Done);
    }
    // The third of four types of a kind asks, the others change.
    if header.kind & 3 != 2 && !socket.capable(task, Capability::NET_ADMIN) {
        return Err(err!(EPERM, "rtnetlink: no CAP_NET_ADMIN").into());
    }
    let of_bridge = payload[0] == family::BRIDGE;
    // The second of four types of a kind removes.
    let bulk = header.kind & 3 == 1 && cx.flag(NlFlags::BULK);
    if bulk && !(of_bridge && header.kind == rtm::DELNEIGH) {
        return Err(nl_err!(EOPNOTSUPP, "Bulk delete is not supported"));
    }
    let _rtnl = socket.stack().shared.rtnl();
    match header.kind {
        rtm::GETLINK => link::get(&cx, payload),
        rtm::NEWLINK => link::new(&cx, payload),
        rtm::SETLINK if of_bridge => bridge::set_link(&cx, payload),
        rtm::SETLINK => link::set(&cx, payload),
        rtm::DELLINK => link::del(&cx, payload),
        rtm::GETADDR => addr::get(&cx, payload),
        rtm::NEWADDR => addr::new(&cx, payload),
        rtm::DELADDR => addr::del(&cx, payload),
        rtm::GETROUTE => route::get(&cx, payload),
        rtm::NEWROUTE => route::new(&cx, payload),
        rtm::DELROUTE => route::del(&cx, payload),
        rtm::GETNEIGH if of_bridge => fdb::get(&cx, payload),
        rtm::NEWNEIGH if of_bridge => fdb::new(&cx, payload),
        rtm::DELNEIGH if bulk => fdb::del_bulk(&cx, payload),
        rtm::DELNEIGH if of_bridge => fdb::del(&cx, payload),
        rtm::GETNEIGH => neigh::get(&cx, payload),
        rtm::NEWNEIGH => neigh::new(&cx, payload),
        rtm::DELNEIGH => neigh::del(&cx, payload),
        rtm::GETRULE => rule::get(&cx, payload),
        rtm::GETNSID => nsid::get(&cx, payload),
        rtm::NEWNSID => nsid::new(&cx, payload),
        _ => Err(err!(EOPNOTSUPP, "rtnetlink: no such message").into()),
    }
}

/// Tells listeners what changed.
pub(in crate::net) fn queue_event(net: &mut Net<'_>, event: Event) {
    let stack = net.stack.clone();
    let (group, message) = match &event {
        Event::NewLink(ifindex) if stack.has_listeners(group::LINK) => (
            group::LINK,
            link::fill(net, *ifindex, rtm::NEWLINK, NlFlags::empty(), 0, 0),
        ),
        Event::NewPort(ifindex) if stack.has_listeners(group::LINK) => {
            let message = bridge::fill_port(net, *ifindex, rtm::NEWLINK, NlFlags::empty(), 0, 0);
            (group::LINK, message)
        }
        Event::NewAddr(ifindex, address) => {
            let group = addr_group(address.is_ipv6());
            if !stack.has_listeners(group) {
                return;
            }
            let found = net
                .device(*ifindex)
                .and_then(|dev| dev.addrs.iter().find(|have| have.addr == *address));
            let message = found.map(|found| addr::fill(net, *ifindex, found, rtm::NEWADDR, 0, 0));
            (group, message)
        }
        Event::NewRoute(v6, route) | Event::DelRoute(v6, route) => {
            let group = if *v6 { group::IPV6_ROUTE } else { group::IPV4_ROUTE };
            if !stack.has_listeners(group) {
                return;
            }
            let kind = match event {
                Event::NewRoute(..) => rtm::NEWROUTE,
                _ => rtm::DELROUTE,
            };
            (group, Some(route::fill(net.now(), route, *v6, kind, 0, 0)))
        }
        Event::NewNeigh(ifindex, addr) if stack.has_listeners(group::NEIGH) => {
            let now = net.now();
            let found = net.state.neigh.get(&(*ifindex, *addr));
            let message = found.map(|found| neigh::fill(now, *ifindex, *addr, found, rtm::NEWNEIGH, 0, 0));
            (group::NEIGH, message)
        }
        _ => return,
    };
    if let Some(message) = message {
        net.run.push(Job::Notify(stack, (proto::ROUTE, group), message));
    }
}

fn addr_group(v6: bool) -> u32 {
    if v6 {
        group::IPV6_IFADDR
    } else {
        group::IPV4_IFADDR
    }
}

/// Tells listeners that an address is gone.
pub(in crate::net) fn queue_addr_gone(net: &mut Net<'_>, ifindex: u32, gone: &IfAddr) {
    let group = addr_group(gone.addr.is_ipv6());
    let stack = net.stack.clone();
    if stack.has_listeners(group) {
        let message = addr::fill(net, ifindex, gone, rtm::DELADDR, 0, 0);
        net.run.push(Job::Notify(stack, (proto::ROUTE, group), message));
    }
}

/// Tells listeners what changed in the forwarding database of a bridge.
pub(in crate::net) fn queue_fdb(net: &mut Net<'_>, bridge: u32, change: &FdbChange) {
    let stack = net.stack.clone();
    if stack.has_listeners(group::NEIGH)
        && let Some(message) = fdb::fill_change(net, bridge, change)
    {
        net.run
            .push(Job::Notify(stack, (proto::ROUTE, group::NEIGH), message));
    }
}

/// Tells listeners of an address of a device itself.
fn queue_self(net: &mut Net<'_>, message: impl FnOnce() -> Vec<u8>) {
    let stack = net.stack.clone();
    if stack.has_listeners(group::NEIGH) {
        net.run
            .push(Job::Notify(stack, (proto::ROUTE, group::NEIGH), message()));
    }
}

/// Tells listeners that a port leaves its bridge.
pub(in crate::net) fn queue_port_gone(net: &mut Net<'_>, ifindex: u32) {
    let stack = net.stack.clone();
    if stack.has_listeners(group::LINK)
        && let Some(message) = bridge::fill_port(net, ifindex, rtm::DELLINK, NlFlags::empty(), 0, 0)
    {
        net.run
            .push(Job::Notify(stack, (proto::ROUTE, group::LINK), message));
    }
}

/// Tells listeners that a device is going.
pub(in crate::net) fn queue_link_gone(net: &mut Net<'_>, ifindex: u32) {
    let stack = net.stack.clone();
    net.state.generation = net.state.generation.wrapping_add(1);
    if stack.has_listeners(group::LINK)
        && let Some(message) = link::fill(net, ifindex, rtm::DELLINK, NlFlags::empty(), 0, 0)
    {
        net.run
            .push(Job::Notify(stack, (proto::ROUTE, group::LINK), message));
    }
}
