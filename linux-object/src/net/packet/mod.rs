//! AF_PACKET (`packet(7)`): frames as the devices have them.
//!
//! A [`PacketSocket`] stands in its namespace's table of taps from birth to release; a tap with EtherType 0
//! takes nothing. A device shows it every frame that it sends or receives. Rings in memory (`PACKET_RX_RING`,
//! `PACKET_VERSION`) are not there: programs that ask are told so and read one frame at a time.
//!
//! Locks: the queue has a leaf lock, as frames come while the stack is locked; all else `class::Inode`.

mod queue;

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::any::Any;

use self::queue::{Frame, FrameQueue};
use super::inet::ifreq;
use super::stack::device::{IfFlags, Mac};
use super::stack::packet::{ETH_HLEN, Packet, be16};
use super::stack::sockets::{Tap, TapInfo, TapSocket};
use super::stack::{NetStack, pkttype};
use super::{MsgFlags, RecvMsg, SendMsg, SockAddr, SockBase, Socket, SocketType, af};
use crate::cbpf::PacketInput;
use crate::cred::Capability;
use crate::error::{Errno, Result};
use crate::fs::PollEvents;
use crate::ids::{KoID, UserAddr};
use crate::namespace::NetNamespace;
use crate::sync::{SpinLock, WaitQueue, class};
use crate::task::Task;
use crate::{bail, ensure, err};

const SOL_PACKET: i32 = 263;
const PACKET_ADD_MEMBERSHIP: i32 = 1;
const PACKET_DROP_MEMBERSHIP: i32 = 2;
const PACKET_STATISTICS: i32 = 6;
const PACKET_AUXDATA: i32 = 8;
const PACKET_IGNORE_OUTGOING: i32 = 23;
const PACKET_MR_PROMISC: u16 = 1;
const PACKET_MR_UNICAST: u16 = 3;
/// `TP_STATUS_USER`, `TP_STATUS_CSUMNOTREADY`.
const STATUS_USER: u32 = 1;
const STATUS_CSUMNOTREADY: u32 = 8;
/// `sizeof(struct sockaddr_ll)`, and where its address begins.
const SOCKADDR_LL: usize = 20;
const LL_ADDR: usize = 12;
const ARPHRD_ETHER: u16 = 1;
const ARPHRD_LOOPBACK: u16 = 772;
const FIONREAD: u32 = 0x541b;
const SIOCOUTQ: u32 = 0x5411;

/// A membership (`struct packet_mreq`): device, type, length, address.
type Membership = (u32, u16, u16, [u8; 8]);

#[derive(Default)]
struct State {
    protocol: u16,
    ifindex: u32,
    auxdata: bool,
    timestamp: bool,
    ignore_outgoing: bool,
    memberships: Vec<Membership>,
}

/// What [`TapSocket::frame`] needs, which may take no lock but this.
#[derive(Default)]
struct Inbox {
    queue: FrameQueue,
    ignore_outgoing: bool,
    closed: bool,
}

/// An AF_PACKET socket.
pub struct PacketSocket {
    base: SockBase,
    ns: Arc<NetNamespace>,
    state: SpinLock<State, class::Inode>,
    inbox: SpinLock<Inbox, class::Leaf>,
    queue: WaitQueue,
    this: Weak<PacketSocket>,
}

/// `struct sockaddr_ll` of someone who sends or binds.
struct LinkAddr {
    protocol: u16,
    ifindex: u32,
    mac: Option<Mac>,
}

impl LinkAddr {
    fn parse(raw: &[u8]) -> Result<LinkAddr> {
        ensure!(
            raw.len() >= SOCKADDR_LL,
            EINVAL,
            "packet: the address is too short"
        );
        let family = u16::from_ne_bytes([raw[0], raw[1]]);
        ensure!(family == af::PACKET, EINVAL, "packet: another family");
        ensure!(
            raw.len() >= LL_ADDR + raw[11] as usize,
            EINVAL,
            "packet: the address is too short"
        );
        Ok(LinkAddr {
            protocol: be16(raw, 2),
            ifindex: u32::from_ne_bytes([raw[4], raw[5], raw[6], raw[7]]),
            mac: raw[LL_ADDR..].first_chunk().copied(),
        })
    }
}

fn sockaddr(protocol: u16, ifindex: u32, loopback: Option<bool>, kind: u8, mac: Option<Mac>) -> SockAddr {
    let mut addr = SockAddr::new();
    addr.extend_from_slice(&af::PACKET.to_ne_bytes());
    addr.extend_from_slice(&protocol.to_be_bytes());
    addr.extend_from_slice(&ifindex.to_ne_bytes());
    let hatype = match loopback {
        Some(true) => ARPHRD_LOOPBACK,
        Some(false) => ARPHRD_ETHER,
        None => 0,
    };
    addr.extend_from_slice(&hatype.to_ne_bytes());
    addr.push(kind);
    addr.push(if mac.is_some() { 6 } else { 0 });
    addr.extend_from_slice(mac.as_ref().map_or(&[], |mac| &mac[..]));
    addr
}

impl PacketSocket {
    /// `socket(AF_PACKET, …)`. `EPERM`: no `CAP_NET_RAW` in the owner of the namespace.
    pub fn create(task: &Arc<Task>, kind: SocketType, protocol: i32) -> Result<Arc<PacketSocket>> {
        let ns = task.nsproxy().net_ns.clone();
        ensure!(
            task.cred().ns_capable(ns.user_ns(), Capability::NET_RAW),
            EPERM,
            "packet: no CAP_NET_RAW"
        );
        ensure!(
            matches!(kind, SocketType::Raw | SocketType::Datagram),
            ESOCKTNOSUPPORT,
            "packet: raw or datagram"
        );
        let new = Arc::new_cyclic(|this| PacketSocket {
            base: SockBase::new(kind, protocol, &ns.stack().shared.core),
            ns,
            state: SpinLock::new(State {
                protocol: u16::from_be(protocol as u16),
                ..State::default()
            }),
            inbox: SpinLock::new(Inbox::default()),
            queue: WaitQueue::new(),
            this: this.clone(),
        });
        new.register();
        Ok(new)
    }
    fn stack(&self) -> &Arc<NetStack> {
        self.ns.stack()
    }
    fn weak(&self) -> Weak<dyn TapSocket> {
        self.this.clone()
    }
    fn is_raw(&self) -> bool {
        self.base.kind == SocketType::Raw
    }
    /// Puts it into the table of taps as it is bound now.
    fn register(&self) {
        let (protocol, ifindex) = {
            let state = self.state.lock();
            (state.protocol, state.ifindex)
        };
        let tap = Tap {
            protocol,
            ifindex,
            socket: self.weak(),
        };
        let mut stack = self.stack().lock();
        let taps = &mut stack.sockets.taps;
        taps.retain(|have| !have.socket.ptr_eq(&tap.socket));
        taps.push(tap);
    }

    /// Counts a listener in promiscuous mode in or out.
    fn promiscuous(&self, ifindex: u32, on: bool) {
        if let Some(dev) = self.stack().lock().devices.get_mut(&ifindex) {
            dev.promiscuity = match on {
                true => dev.promiscuity.saturating_add(1),
                false => dev.promiscuity.saturating_sub(1),
            };
        }
    }
    fn membership(&self, add: bool, value: &[u8]) -> Result<()> {
        ensure!(value.len() >= 16, EINVAL, "packet: a struct packet_mreq");
        let ifindex = u32::from_ne_bytes([value[0], value[1], value[2], value[3]]);
        let kind = u16::from_ne_bytes([value[4], value[5]]);
        let len = u16::from_ne_bytes([value[6], value[7]]);
        let mut addr = [0; 8];
        addr.copy_from_slice(&value[8..16]);
        let entry = (ifindex, kind, len, addr);
        let mut state = self.state.lock();
        if add {
            ensure!(
                self.stack().lock().devices.contains_key(&ifindex),
                ENODEV,
                "no such device"
            );
            ensure!(kind <= PACKET_MR_UNICAST, EINVAL, "packet: no such membership");
            ensure!(len <= 6, EINVAL, "packet: longer than an address");
            state.memberships.push(entry);
        } else {
            let at = state.memberships.iter().position(|have| *have == entry);
            // As on Linux, leaving what one is not in is no error.
            let Some(at) = at else { return Ok(()) };
            state.memberships.swap_remove(at);
        }
        drop(state);
        // Other kinds change nothing: devices here pass on every frame that reaches them.
        if kind == PACKET_MR_PROMISC {
            self.promiscuous(ifindex, add);
        }
        Ok(())
    }
}

impl TapSocket for PacketSocket {
    fn frame(&self, (ifindex, loopback): (u32, bool), frame: &Packet, kind: u8) {
        if frame.sender == self.base.cookie() {
            return;
        }
        let data = frame.data();
        let skip = if self.is_raw() { 0 } else { ETH_HLEN };
        let seen = PacketInput {
            data: &data[skip..],
            network: Some(&data[ETH_HLEN..]),
            link: Some(data),
            protocol: be16(data, 12),
            pkttype: kind,
            ifindex,
            hatype: if loopback { ARPHRD_LOOPBACK } else { ARPHRD_ETHER },
        };
        let Some(keep) = self.base.passes(&seen) else {
            return;
        };
        let at = self.stack().shared.time.realtime();
        let taken = {
            let mut inbox = self.inbox.lock();
            if inbox.closed || inbox.ignore_outgoing && kind == pkttype::OUTGOING {
                return;
            }
            let mut from = [0; 6];
            from.copy_from_slice(&data[6..12]);
            inbox.queue.push(self.base.rcvbuf(), data.len(), || Frame {
                data: data[skip..][..keep].to_vec(),
                ifindex,
                loopback,
                protocol: be16(data, 12),
                kind,
                from,
                at,
                partial: frame.is_partial(),
            })
        };
        if taken {
            self.queue.wake(PollEvents::READABLE);
        }
    }
    fn info(&self) -> TapInfo {
        let (protocol, ifindex) = {
            let state = self.state.lock();
            (state.protocol, state.ifindex)
        };
        let bytes = self.inbox.lock().queue.bytes() as u32;
        TapInfo {
            kind: self.base.kind,
            protocol,
            ifindex,
            bytes,
            owner: self.base.owner(),
            ino: self.base.ino(),
            cookie: self.base.cookie(),
            memory: [bytes, self.base.rcvbuf() as u32, 0, self.base.sndbuf() as u32],
        }
    }
}

impl Socket for PacketSocket {
    fn base(&self) -> &SockBase {
        &self.base
    }
    fn net_ns(&self) -> KoID {
        self.ns.stack().koid
    }
    fn family(&self) -> u16 {
        af::PACKET
    }
    fn wait_queue(&self) -> &WaitQueue {
        &self.queue
    }
    fn poll(&self) -> PollEvents {
        let mut events = PollEvents::WRITABLE;
        if self.base.has_error() {
            events |= PollEvents::ERR;
        }
        if self.inbox.lock().queue.next_len().is_some() {
            events |= PollEvents::READABLE;
        }
        events
    }
    fn release(&self) {
        let weak = self.weak();
        self.stack()
            .lock()
            .sockets
            .taps
            .retain(|have| !have.socket.ptr_eq(&weak));
        let memberships = core::mem::take(&mut self.state.lock().memberships);
        for (ifindex, kind, ..) in memberships {
            if kind == PACKET_MR_PROMISC {
                self.promiscuous(ifindex, false);
            }
        }
        let mut inbox = self.inbox.lock();
        inbox.closed = true;
        inbox.queue.clear();
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn bind(&self, _: &Arc<Task>, addr: &[u8]) -> Result<()> {
        let to = LinkAddr::parse(addr)?;
        let mut down = false;
        {
            let mut state = self.state.lock();
            if to.ifindex != 0 {
                let stack = self.stack().lock();
                let dev = stack
                    .devices
                    .get(&to.ifindex)
                    .ok_or(err!(ENODEV, "no such device"))?;
                down = !dev.is_up();
            }
            state.ifindex = to.ifindex;
            if to.protocol != 0 {
                state.protocol = to.protocol;
            }
        }
        self.register();
        if down {
            self.base.set_error(Errno::ENETDOWN);
        }
        Ok(())
    }
    fn name(&self, peer: bool) -> Result<SockAddr> {
        ensure!(!peer, EOPNOTSUPP, "packet: there is no other end");
        let (protocol, ifindex) = {
            let state = self.state.lock();
            (state.protocol, state.ifindex)
        };
        let stack = self.stack().lock();
        let dev = stack.devices.get(&ifindex);
        Ok(sockaddr(
            protocol,
            ifindex,
            dev.map(|dev| dev.is_loopback()),
            0,
            dev.map(|dev| dev.mac),
        ))
    }
    fn send(&self, _: &Arc<Task>, msg: &mut SendMsg<'_>) -> Result<usize> {
        let to = match msg.addr {
            Some(raw) => LinkAddr::parse(raw)?,
            None => {
                let state = self.state.lock();
                LinkAddr {
                    protocol: state.protocol,
                    ifindex: state.ifindex,
                    mac: None,
                }
            }
        };
        let len = msg.data.remaining();
        let header = if self.is_raw() { ETH_HLEN } else { 0 };
        {
            let stack = self.stack().lock();
            let dev = stack.devices.get(&to.ifindex);
            let dev = dev.ok_or(err!(ENXIO, "packet: no such device"))?;
            ensure!(
                dev.set_flags.contains(IfFlags::UP),
                ENETDOWN,
                "the device is down"
            );
            ensure!(
                len <= dev.mtu as usize + header,
                EMSGSIZE,
                "packet: longer than a frame"
            );
            ensure!(
                self.is_raw() || to.mac.is_some(),
                EINVAL,
                "packet: to whom on the wire?"
            );
        }
        ensure!(len >= header, EINVAL, "packet: shorter than its header");
        let mut data = alloc::vec![0; len];
        msg.data.take_all(&mut data)?;
        let mut frame = Packet::new(&data);
        frame.sender = self.base.cookie();
        self.stack().with(|net| {
            if self.is_raw() {
                net.xmit(to.ifindex, frame);
            } else if let Some(mac) = to.mac {
                net.eth_send(to.ifindex, mac, to.protocol, frame);
            }
        });
        Ok(len)
    }
    fn recv(&self, _: &Arc<Task>, msg: &mut RecvMsg<'_>) -> Result<usize> {
        ensure!(!msg.flags.contains(MsgFlags::ERRQUEUE), EAGAIN, "no errors");
        self.base.take_error()?;
        let frame = self.inbox.lock().queue.pop(msg.flags.contains(MsgFlags::PEEK));
        let frame = frame.ok_or(err!(EAGAIN, "nothing was received"))?;
        let (auxdata, timestamp) = {
            let state = self.state.lock();
            (state.auxdata, state.timestamp)
        };
        let (len, room) = (frame.data.len(), msg.data.remaining());
        msg.data.put_all(&frame.data[..len.min(room)])?;
        if len > room {
            msg.out_flags |= MsgFlags::TRUNC;
        }
        let mut addr = sockaddr(
            frame.protocol,
            frame.ifindex,
            Some(frame.loopback),
            frame.kind,
            Some(frame.from),
        );
        addr.resize(SOCKADDR_LL, 0);
        msg.addr = Some(addr);
        if timestamp {
            let (sec, usec) = (frame.at / 1_000_000_000, frame.at % 1_000_000_000 / 1000);
            msg.control
                .push((1, 29, [sec, usec].map(i64::to_ne_bytes).concat()));
        }
        if auxdata {
            let partial = if frame.partial { STATUS_CSUMNOTREADY } else { 0 };
            let mut aux = [STATUS_USER | partial, len as u32, len as u32]
                .map(u32::to_ne_bytes)
                .concat();
            let network = if self.is_raw() { ETH_HLEN as u16 } else { 0 };
            for half in [0, network, 0, 0] {
                aux.extend_from_slice(&half.to_ne_bytes());
            }
            msg.control.push((SOL_PACKET, PACKET_AUXDATA, aux));
        }
        Ok(if msg.flags.contains(MsgFlags::TRUNC) {
            len
        } else {
            len.min(room)
        })
    }
    fn set_option(&self, _: &Arc<Task>, level: i32, name: i32, value: &[u8]) -> Result<()> {
        let number = || match value.first_chunk() {
            Some(&bytes) => Ok(i32::from_ne_bytes(bytes)),
            None => bail!(EINVAL, "the option is an int"),
        };
        match (level, name) {
            (1, 29) => self.state.lock().timestamp = number()? != 0,
            (SOL_PACKET, PACKET_ADD_MEMBERSHIP | PACKET_DROP_MEMBERSHIP) => {
                self.membership(name == PACKET_ADD_MEMBERSHIP, value)?;
            }
            (SOL_PACKET, PACKET_AUXDATA) => self.state.lock().auxdata = number()? != 0,
            (SOL_PACKET, PACKET_IGNORE_OUTGOING) => {
                let number = number()?;
                ensure!((0..=1).contains(&number), EINVAL, "the option is 0 or 1");
                self.state.lock().ignore_outgoing = number != 0;
                self.inbox.lock().ignore_outgoing = number != 0;
            }
            _ => bail!(ENOPROTOOPT, "there is no such option"),
        }
        Ok(())
    }
    fn get_option(&self, _: &Arc<Task>, level: i32, name: i32, _: usize) -> Result<Vec<u8>> {
        let number = match (level, name) {
            (1, 29) => self.state.lock().timestamp,
            (SOL_PACKET, PACKET_STATISTICS) => {
                let (packets, drops) = self.inbox.lock().queue.take_statistics();
                return Ok([packets, drops].map(u32::to_ne_bytes).concat());
            }
            (SOL_PACKET, PACKET_AUXDATA) => self.state.lock().auxdata,
            (SOL_PACKET, PACKET_IGNORE_OUTGOING) => self.state.lock().ignore_outgoing,
            _ => bail!(ENOPROTOOPT, "there is no such option"),
        };
        Ok((number as i32).to_ne_bytes().to_vec())
    }
    fn ioctl(&self, task: &Arc<Task>, cmd: u32, arg: UserAddr) -> Result<usize> {
        let number = match cmd {
            FIONREAD => self.inbox.lock().queue.next_len().unwrap_or(0),
            SIOCOUTQ => 0,
            _ => return ifreq::ioctl(task, &self.ns, cmd, arg),
        };
        task.kernel()
            .hal
            .copy_to_user(arg, &(number as i32).to_ne_bytes())?;
        Ok(0)
    }
}
