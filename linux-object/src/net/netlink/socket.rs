//! The socket: bind, groups, requests, queue.

use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::any::Any;
use core::sync::atomic::{AtomicU32, Ordering};

use super::message::{Header, NLMSG_HDRLEN, NlFlags, kind, u16_at, u32_at};
use super::{NlResult, Reply, ack, diag, genl, proto, rtnl, uevent};
use crate::cbpf::PacketInput;
use crate::cred::{Capability, Cred};
use crate::error::{Errno, Result};
use crate::fs::PollEvents;
use crate::ids::{Kgid, KoID, Kuid};
use crate::namespace::{NetNamespace, UserNamespace};
use crate::net::stack::NetStack;
use crate::net::{MsgFlags, RecvMsg, ScmCreds, SendMsg, SockAddr, SockBase, Socket, SocketType, af};
use crate::sync::{SpinLock, WaitQueue, class};
use crate::task::Task;
use crate::{bail, ensure, err};

const SOL_NETLINK: i32 = 270;
const NETLINK_ADD_MEMBERSHIP: i32 = 1;
const NETLINK_DROP_MEMBERSHIP: i32 = 2;
const NETLINK_PKTINFO: i32 = 3;
/// The one who broadcasts is told that a queue was full: only the kernel's own events have such a sender, and those
/// of no protocol that is here ask, on Linux as here.
const NETLINK_BROADCAST_ERROR: i32 = 4;
const NETLINK_NO_ENOBUFS: i32 = 5;
const NETLINK_LIST_MEMBERSHIPS: i32 = 9;
const NETLINK_CAP_ACK: i32 = 10;
const NETLINK_EXT_ACK: i32 = 11;
const NETLINK_GET_STRICT_CHK: i32 = 12;

/// Groups of a protocol.
const NR_GROUPS: u32 = 64;
/// One read gives at most about so much of a dump.
const DUMP_PART: usize = 8192;
/// Bytes of one `send`.
const SEND_MAX: usize = 1 << 20;

struct Datagram {
    data: Vec<u8>,
    from: u32,
    group: u32,
}

#[derive(Default)]
struct State {
    port: Option<u32>,
    /// Whom it is connected to.
    peer: (u32, u32),
    groups: u64,
    queue: VecDeque<Datagram>,
    bytes: usize,
    /// Parts of a dump that were not asked for yet.
    dump: VecDeque<Vec<u8>>,
    options: u32,
}

/// An AF_NETLINK socket.
pub struct NetlinkSocket {
    base: SockBase,
    /// Keeps the namespace alive.
    ns: Arc<NetNamespace>,
    opener: Arc<Cred>,
    state: SpinLock<State, class::Inode>,
    queue: WaitQueue,
    /// Messages that were lost because the queue was full.
    pub drops: AtomicU32,
    this: Weak<NetlinkSocket>,
}

impl NetlinkSocket {
    /// `socket(AF_NETLINK, …)`. `EPROTONOSUPPORT`: nobody is behind the protocol.
    pub fn create(task: &Arc<Task>, kind: SocketType, protocol: i32) -> Result<Arc<NetlinkSocket>> {
        ensure!(
            matches!(kind, SocketType::Raw | SocketType::Datagram),
            ESOCKTNOSUPPORT,
            "netlink: raw or datagram"
        );
        ensure!(
            (0..proto::MAX).contains(&protocol)
                && matches!(
                    protocol,
                    proto::ROUTE
                        | proto::USERSOCK
                        | proto::SOCK_DIAG
                        | proto::KOBJECT_UEVENT
                        | proto::GENERIC
                ),
            EPROTONOSUPPORT,
            "netlink: there is no such protocol"
        );
        let ns = task.nsproxy().net_ns.clone();
        Ok(Arc::new_cyclic(|this| NetlinkSocket {
            base: SockBase::new(kind, protocol, &ns.stack().shared.core),
            ns,
            opener: task.cred(),
            state: SpinLock::new(State::default()),
            queue: WaitQueue::new(),
            drops: AtomicU32::new(0),
            this: this.clone(),
        }))
    }
    /// Its protocol.
    pub fn protocol(&self) -> i32 {
        self.base.protocol
    }
    /// Its namespace's stack.
    pub fn stack(&self) -> &Arc<NetStack> {
        self.ns.stack()
    }
    /// Its namespace.
    pub fn ns(&self) -> &Arc<NetNamespace> {
        &self.ns
    }
    /// Its port; 0 before it is bound.
    pub fn port(&self) -> u32 {
        self.state.lock().port.unwrap_or(0)
    }
    /// Groups, bytes in the queue (`/proc/net/netlink`, `ss`).
    pub fn facts(&self) -> (u64, usize) {
        let state = self.state.lock();
        (state.groups, state.bytes)
    }
    /// Whom it is connected to: a port and groups.
    pub fn peer(&self) -> (u32, u32) {
        self.state.lock().peer
    }
    /// Whether a dump is under way.
    pub fn dumps(&self) -> bool {
        !self.state.lock().dump.is_empty()
    }
    /// The user namespace of whoever opened it.
    pub fn opener_ns(&self) -> &Arc<UserNamespace> {
        &self.opener.user_ns
    }
    /// Whether it is in a group, from 1.
    pub fn in_group(&self, group: u32) -> bool {
        (1..=NR_GROUPS).contains(&group) && self.state.lock().groups & 1 << (group - 1) != 0
    }
    /// Whether an option is on.
    pub fn option(&self, option: i32) -> bool {
        self.state.lock().options & 1 << option != 0
    }
    /// `NETLINK_GET_STRICT_CHK`.
    pub fn strict(&self) -> bool {
        self.option(NETLINK_GET_STRICT_CHK)
    }
    /// Whether both who opened it and who sends have the capability where it counts (`netlink_net_capable`).
    pub fn capable(&self, task: &Task, capability: Capability) -> bool {
        let user_ns = self.ns.user_ns();
        self.opener.ns_capable(user_ns, capability) && task.cred().ns_capable(user_ns, capability)
    }

    fn insert(&self, port: u32) -> bool {
        self.stack().netlink.insert(self.base.protocol, port, &self.this)
    }

    /// Binds to the caller's pid, or to some negative number if that is taken.
    fn autobind(&self, task: &Arc<Task>) -> Result<u32> {
        if let Some(port) = self.state.lock().port {
            return Ok(port);
        }
        let mut port = task.tgid().0 as u32;
        while !self.insert(port) {
            port = (self.stack().shared.rng.next_u64() as u32 % 0x7fff_f000).wrapping_add(0x8000_0000);
        }
        let mut state = self.state.lock();
        match state.port {
            Some(other) => {
                drop(state);
                self.stack().netlink.remove(self.base.protocol, port, &self.this);
                Ok(other)
            }
            None => {
                state.port = Some(port);
                Ok(port)
            }
        }
    }

    fn set_groups(&self, groups: u64) {
        self.state.lock().groups = groups;
        if self.base.protocol == proto::ROUTE {
            // What nobody listens to is not written down; a bit that stays set costs only time.
            let bits = (groups as u32) << 1;
            self.stack().listeners.fetch_or(bits, Ordering::Relaxed);
        }
        if self.base.protocol == proto::KOBJECT_UEVENT && groups != 0 {
            let bit = uevent::LISTENER_BIT;
            self.stack().listeners.fetch_or(bit, Ordering::Relaxed);
        }
    }

    /// Puts a message into the queue; it may be lost.
    pub fn push(&self, mut data: Vec<u8>, from: u32, group: u32) {
        let seen = PacketInput {
            data: &data,
            protocol: self.base.protocol as u16,
            ..PacketInput::default()
        };
        match self.base.passes(&seen) {
            Some(keep) => data.truncate(keep),
            None => return,
        }
        {
            let mut state = self.state.lock();
            let size = data.len() + 256;
            if state.bytes + size > self.base.rcvbuf() {
                self.drops.fetch_add(1, Ordering::Relaxed);
                if state.options & 1 << NETLINK_NO_ENOBUFS == 0 {
                    self.base.set_error(Errno::ENOBUFS);
                }
            } else {
                state.bytes += size;
                state.queue.push_back(Datagram { data, from, group });
            }
        }
        self.queue.wake(PollEvents::READABLE);
    }

    /// Works on the requests in `data`.
    fn requests(&self, task: &Arc<Task>, data: &[u8]) {
        let mut left = data;
        while let Some((mut header, payload, rest)) = Header::split(left) {
            let whole = &left[..header.len as usize];
            left = rest;
            let port = self.port();
            header.pid = port;
            if !header.flags.contains(NlFlags::REQUEST) {
                continue;
            }
            let result = if header.kind < kind::MIN_TYPE {
                Ok(Reply::Done)
            } else {
                self.request(task, &header, payload)
            };
            let acked = header.flags.contains(NlFlags::ACK);
            let mut done = None;
            match result {
                Ok(Reply::Done) => done = acked.then_some(None),
                Ok(Reply::One(message)) => {
                    self.push(message, 0, 0);
                    done = acked.then_some(None);
                }
                Ok(Reply::Dump(messages)) => {
                    if let Err(error) = self.start_dump(&header, messages) {
                        done = Some(Some(error.into()));
                    }
                }
                Err(error) => done = Some(Some(error)),
            }
            if let Some(error) = done {
                let options = self.state.lock().options;
                let on = |option: i32| options & 1 << option != 0;
                let message = ack(&header, whole, error, on(NETLINK_CAP_ACK), on(NETLINK_EXT_ACK));
                self.push(message, 0, 0);
            }
        }
    }

    fn request(&self, task: &Arc<Task>, header: &Header, payload: &[u8]) -> NlResult<Reply> {
        match self.base.protocol {
            proto::ROUTE => rtnl::request(self, task, header, payload),
            proto::SOCK_DIAG => diag::request(self, task, header, payload),
            proto::GENERIC => genl::request(header, payload),
            _ => Err(err!(ECONNREFUSED, "netlink: nobody is behind this protocol").into()),
        }
    }

    fn start_dump(&self, header: &Header, messages: Vec<Vec<u8>>) -> Result<()> {
        let mut parts = VecDeque::new();
        let mut part: Vec<u8> = Vec::new();
        let done = super::message::Builder::new(kind::DONE, NlFlags::MULTI, header.seq, header.pid, &[0; 4])
            .finish();
        for mut message in messages {
            // Every message of a dump says that there are more.
            let flags = u16_at(&message, 6) | NlFlags::MULTI.bits();
            message[6..8].copy_from_slice(&flags.to_ne_bytes());
            if !part.is_empty() && part.len() + message.len() > DUMP_PART {
                parts.push_back(core::mem::take(&mut part));
            }
            part.append(&mut message);
        }
        if !part.is_empty() {
            parts.push_back(part);
        }
        parts.push_back(done);
        {
            let mut state = self.state.lock();
            ensure!(state.dump.is_empty(), EBUSY, "netlink: a dump is under way");
            state.dump = parts;
        }
        self.next_part();
        Ok(())
    }

    /// The next part of a dump goes into the queue.
    fn next_part(&self) {
        let part = {
            let mut state = self.state.lock();
            if !state.queue.is_empty() {
                return;
            }
            state.dump.pop_front()
        };
        if let Some(part) = part {
            self.push(part, 0, 0);
        }
    }
}

/// `struct sockaddr_nl`.
fn sockaddr(port: u32, groups: u32) -> SockAddr {
    let mut addr = SockAddr::new();
    addr.extend_from_slice(&af::NETLINK.to_ne_bytes());
    addr.extend_from_slice(&[0; 2]);
    addr.extend_from_slice(&port.to_ne_bytes());
    addr.extend_from_slice(&groups.to_ne_bytes());
    addr
}

fn parse_addr(addr: &[u8]) -> Result<(u32, u32)> {
    ensure!(addr.len() >= 12, EINVAL, "netlink: the address is too short");
    ensure!(
        u16_at(addr, 0) == af::NETLINK,
        EINVAL,
        "netlink: the address is of another family"
    );
    Ok((u32_at(addr, 4), u32_at(addr, 8)))
}

impl Socket for NetlinkSocket {
    fn base(&self) -> &SockBase {
        &self.base
    }
    fn net_ns(&self) -> KoID {
        self.ns.stack().koid
    }
    fn family(&self) -> u16 {
        af::NETLINK
    }
    fn wait_queue(&self) -> &WaitQueue {
        &self.queue
    }
    fn poll(&self) -> PollEvents {
        let mut events = PollEvents::WRITABLE;
        if self.base.has_error() {
            events |= PollEvents::ERR;
        }
        if !self.state.lock().queue.is_empty() {
            events |= PollEvents::READABLE;
        }
        events
    }
    fn release(&self) {
        let port = self.state.lock().port.take();
        if let Some(port) = port {
            self.stack().netlink.remove(self.base.protocol, port, &self.this);
        }
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn bind(&self, task: &Arc<Task>, addr: &[u8]) -> Result<()> {
        let (port, groups) = parse_addr(addr)?;
        if groups != 0 {
            self.check_groups(task)?;
        }
        let have = self.state.lock().port;
        match have {
            Some(have) => ensure!(have == port || port == 0, EINVAL, "netlink: the socket is bound"),
            None if port == 0 => {
                self.autobind(task)?;
            }
            None => {
                ensure!(self.insert(port), EADDRINUSE, "netlink: the port is taken");
                self.state.lock().port = Some(port);
            }
        }
        let old = self.state.lock().groups;
        self.set_groups(old & !0xffff_ffff | groups as u64);
        Ok(())
    }
    fn connect(&self, task: &Arc<Task>, addr: &[u8]) -> Result<()> {
        ensure!(addr.len() >= 2, EINVAL, "netlink: the address is too short");
        if u16_at(addr, 0) == af::UNSPEC {
            self.state.lock().peer = (0, 0);
            return Ok(());
        }
        let peer = parse_addr(addr)?;
        ensure!(
            peer == (0, 0) || self.may_send(task),
            EPERM,
            "netlink: only to the kernel"
        );
        self.autobind(task)?;
        self.state.lock().peer = peer;
        Ok(())
    }
    fn name(&self, peer: bool) -> Result<SockAddr> {
        let state = self.state.lock();
        Ok(if peer {
            sockaddr(state.peer.0, group_mask(state.peer.1))
        } else {
            sockaddr(state.port.unwrap_or(0), state.groups as u32)
        })
    }
    fn send(&self, task: &Arc<Task>, msg: &mut SendMsg<'_>) -> Result<usize> {
        ensure!(!msg.flags.contains(MsgFlags::OOB), EOPNOTSUPP, "netlink: MSG_OOB");
        let (port, groups) = match msg.addr {
            Some(addr) => parse_addr(addr)?,
            None => self.state.lock().peer,
        };
        ensure!(
            (port == 0 && groups == 0) || self.may_send(task),
            EPERM,
            "netlink: only to the kernel"
        );
        let from = self.autobind(task)?;
        let len = msg.data.remaining();
        ensure!(
            len <= SEND_MAX && len <= self.base.sndbuf(),
            EMSGSIZE,
            "netlink: too long"
        );
        let mut data = alloc::vec![0; len];
        msg.data.take_all(&mut data)?;
        if groups != 0 {
            let group = groups.trailing_zeros() + 1;
            for socket in self.stack().netlink.all() {
                if socket.protocol() == self.protocol() && socket.in_group(group) && socket.port() != from {
                    socket.push(data.clone(), from, group);
                }
            }
        }
        if port != 0 {
            let other = self.stack().netlink.find(self.base.protocol, port);
            let other = other.ok_or(err!(ECONNREFUSED, "netlink: nobody has this port"))?;
            other.push(data, from, 0);
        } else if groups == 0 {
            ensure!(
                matches!(
                    self.base.protocol,
                    proto::ROUTE | proto::SOCK_DIAG | proto::GENERIC
                ),
                ECONNREFUSED,
                "netlink: nobody is behind this protocol"
            );
            if data.len() >= NLMSG_HDRLEN {
                self.requests(task, &data);
            }
        }
        Ok(len)
    }
    fn recv(&self, _: &Arc<Task>, msg: &mut RecvMsg<'_>) -> Result<usize> {
        ensure!(!msg.flags.contains(MsgFlags::OOB), EOPNOTSUPP, "netlink: MSG_OOB");
        self.base.take_error()?;
        let peek = msg.flags.contains(MsgFlags::PEEK);
        let datagram = {
            let mut state = self.state.lock();
            let Some(first) = state.queue.front() else {
                bail!(EAGAIN, "netlink: the queue is empty");
            };
            if peek {
                Datagram {
                    data: first.data.clone(),
                    ..*first
                }
            } else {
                state.bytes -= first.data.len() + 256;
                match state.queue.pop_front() {
                    Some(first) => first,
                    None => bail!(EAGAIN),
                }
            }
        };
        if !peek {
            self.next_part();
        }
        let room = msg.data.remaining();
        let len = datagram.data.len();
        msg.data.put_all(&datagram.data[..len.min(room)])?;
        if len > room {
            msg.out_flags |= MsgFlags::TRUNC;
        }
        msg.addr = Some(sockaddr(datagram.from, group_mask(datagram.group)));
        if self.option(NETLINK_PKTINFO) {
            let group = datagram.group.to_ne_bytes().to_vec();
            msg.control.push((SOL_NETLINK, NETLINK_PKTINFO, group));
        }
        if self.base.passcred() {
            msg.creds = Some(ScmCreds {
                pid: None,
                uid: Kuid::ROOT,
                gid: Kgid::ROOT,
            });
        }
        Ok(if msg.flags.contains(MsgFlags::TRUNC) {
            len
        } else {
            len.min(room)
        })
    }
    fn set_option(&self, task: &Arc<Task>, level: i32, name: i32, value: &[u8]) -> Result<()> {
        ensure!(level == SOL_NETLINK, ENOPROTOOPT, "netlink: another level");
        ensure!(value.len() >= 4, EINVAL, "the option is an int");
        let number = u32_at(value, 0);
        match name {
            NETLINK_ADD_MEMBERSHIP | NETLINK_DROP_MEMBERSHIP => {
                self.check_groups(task)?;
                ensure!(
                    (1..=NR_GROUPS).contains(&number),
                    EINVAL,
                    "netlink: no such group"
                );
                let old = self.state.lock().groups;
                let bit = 1u64 << (number - 1);
                self.set_groups(if name == NETLINK_ADD_MEMBERSHIP {
                    old | bit
                } else {
                    old & !bit
                });
            }
            NETLINK_PKTINFO
            | NETLINK_BROADCAST_ERROR
            | NETLINK_NO_ENOBUFS
            | NETLINK_CAP_ACK
            | NETLINK_EXT_ACK
            | NETLINK_GET_STRICT_CHK => {
                let mut state = self.state.lock();
                let bit = 1 << name;
                if number != 0 {
                    state.options |= bit;
                } else {
                    state.options &= !bit;
                }
            }
            _ => bail!(ENOPROTOOPT, "netlink: no such option"),
        }
        Ok(())
    }
    fn get_option(&self, _: &Arc<Task>, level: i32, name: i32, len: usize) -> Result<Vec<u8>> {
        ensure!(level == SOL_NETLINK, ENOPROTOOPT, "netlink: another level");
        match name {
            NETLINK_PKTINFO
            | NETLINK_BROADCAST_ERROR
            | NETLINK_NO_ENOBUFS
            | NETLINK_CAP_ACK
            | NETLINK_EXT_ACK
            | NETLINK_GET_STRICT_CHK => {
                ensure!(len >= 4, EINVAL, "the option is an int");
                Ok((self.option(name) as i32).to_ne_bytes().to_vec())
            }
            NETLINK_LIST_MEMBERSHIPS => Ok(self.state.lock().groups.to_ne_bytes().to_vec()),
            _ => bail!(ENOPROTOOPT, "netlink: no such option"),
        }
    }
}

fn group_mask(group: u32) -> u32 {
    if group == 0 || group > 32 {
        0
    } else {
        1 << (group - 1)
    }
}

impl NetlinkSocket {
    fn may_send(&self, task: &Task) -> bool {
        self.base.protocol == proto::USERSOCK || self.capable(task, Capability::NET_ADMIN)
    }
    fn check_groups(&self, task: &Task) -> Result<()> {
        let free = matches!(
            self.base.protocol,
            proto::ROUTE | proto::KOBJECT_UEVENT | proto::GENERIC | proto::USERSOCK
        );
        ensure!(
            free || self.capable(task, Capability::NET_ADMIN),
            EPERM,
            "netlink: no CAP_NET_ADMIN to join groups"
        );
        Ok(())
    }
}
