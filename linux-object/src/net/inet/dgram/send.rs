//! What a datagram socket sends.

use alloc::vec::Vec;
use core::net::IpAddr;

use super::{Datagram, DatagramSocket, MAX_ERRORS, State, control};
use crate::error::{Errno, Result};
use crate::fs::PollEvents;
use crate::net::inet::addr::SockAddrIn;
use crate::net::inet::proto;
use crate::net::payer::SockCharge;
use crate::net::stack::mib::Counter;
use crate::net::stack::packet::{Packet, checksum};
use crate::net::stack::sockets::IcmpError;
use crate::net::stack::{Flow, transport_checksum};
use crate::net::{MsgFlags, SendMsg, Shutdown, SockOption};
use crate::{bail, ensure};

impl DatagramSocket {
    /// `send(2)`.
    pub(super) fn transmit(&self, msg: &mut SendMsg<'_>) -> Result<usize> {
        self.base.take_error()?;
        ensure!(!msg.flags.contains(MsgFlags::OOB), EOPNOTSUPP, "no urgent data");
        let len = msg.data.remaining();
        ensure!(len <= 65535, EMSGSIZE, "longer than a packet");
        let to = match msg.addr {
            Some(raw) if !raw.is_empty() => Some(SockAddrIn::parse(raw, self.v6)?),
            _ => None,
        };
        if let Some(to) = to {
            ensure!(!self.is_udp() || to.port != 0, EINVAL, "port 0");
        }
        self.autobind()?;
        let (mut flow, ports, place, bound) = {
            let state = self.state.lock();
            ensure!(!state.shutdown.contains(Shutdown::SEND), EPIPE, "shut down");
            let ping = !self.is_raw() && self.proto == proto::ICMPV6;
            let place = if ping { Some(2) } else { state.checksum };
            let (dst, dst_port, scope) = match (to, state.remote) {
                (Some(to), _) => (to.addr, to.port, to.scope),
                (None, Some((addr, port))) => (addr, port, state.scope),
                (None, None) => bail!(EDESTADDRREQ, "where to?"),
            };
            let ports = (state.port, dst_port);
            let bound = if scope != 0 { scope } else { state.ifindex };
            (self.flow(&state, dst, scope), ports, place, bound)
        };
        if !msg.control.is_empty() {
            let stack = self.ns.stack();
            stack.with(|net| control::apply(net, &mut flow, self.v6, bound, msg.control))?;
        }
        let most = if flow.dst.is_ipv6() { 65527 } else { 65507 };
        ensure!(len <= most || !self.is_udp(), EMSGSIZE, "longer than a packet");
        let mut data = alloc::vec![0; len];
        msg.data.take_all(&mut data)?;
        let to_v6 = flow.dst.is_ipv6();
        let allow_broadcast = self.base.is_set(SockOption::Broadcast);
        let mut mtu = 0;
        let sent = self.ns.stack().with(|net| {
            let src = match flow.src {
                Some(IpAddr::V4(src)) => Some(src),
                _ => None,
            };
            let src6 = match flow.src {
                Some(IpAddr::V6(src)) => Some(src),
                _ => None,
            };
            let route = match flow.dst {
                IpAddr::V4(dst) => net.route4(dst, src, flow.oif)?,
                IpAddr::V6(dst) => net.route6(dst, src6, flow.oif)?,
            };
            let broadcast = route.kind == crate::net::stack::route::RouteType::Broadcast;
            ensure!(!broadcast || allow_broadcast, EACCES, "SO_BROADCAST is off");
            if flow.dst.is_unspecified() {
                flow.dst = route.next;
            }
            let packet = self.packet(&data, &flow, route.src, ports, place)?;
            if !flow.hdrincl {
                flow.src = Some(route.src);
            }
            let sent = net.ip_send(&flow, packet);
            if sent.as_ref().is_err_and(|error| error.errno() == Errno::EMSGSIZE) {
                mtu = net.mtu_for(&flow, &net.path(route, flow.dst));
            }
            sent
        });
        if mtu != 0 {
            self.was_too_long(&flow, ports.1, mtu);
        }
        sent?;
        if self.is_udp() {
            self.ns.stack().mib.add(match to_v6 {
                false => Counter::UdpOutDatagrams,
                true => Counter::Udp6OutDatagrams,
            });
        }
        Ok(len)
    }

    /// Something was longer than may be sent there: the error queue tells the MTU, or a message does
    /// (`IPV6_RECVPATHMTU`).
    fn was_too_long(&self, flow: &Flow, port: u16, mtu: u32) {
        let at = self.ns.stack().shared.time.realtime();
        let v6 = flow.dst.is_ipv6();
        let mut state = self.state.lock();
        if v6 && flow.dont_frag && state.options.recv_path_mtu {
            state.path_mtu = Some((flow.dst, flow.oif, mtu));
        }
        let wanted = if v6 {
            state.options.recverr6
        } else {
            state.options.recverr
        };
        if !wanted || state.errors.len() >= MAX_ERRORS {
            return;
        }
        state.errors.push_back(Datagram {
            data: Vec::new(),
            src: flow.dst,
            port: if self.is_udp() { port } else { 0 },
            dst: flow.dst,
            ifindex: flow.oif,
            ttl: 0,
            tos: 0,
            at,
            error: Some(IcmpError {
                errno: Errno::EMSGSIZE,
                kind: 0,
                code: 0,
                info: mtu,
                hard: true,
                local: true,
                offender: flow.dst,
            }),
            _memory: SockCharge::none(),
        });
        drop(state);
        self.queue.wake_all(PollEvents::ERR);
    }

    fn flow(&self, state: &State, dst: IpAddr, scope: u32) -> Flow {
        let mut flow = Flow::new(self.proto, dst);
        flow.src = (!state.local.is_unspecified()).then_some(state.local);
        flow.oif = if scope != 0 { scope } else { state.ifindex };
        let options = &state.options;
        let many = dst.is_multicast();
        if many {
            let (through, again) = match dst {
                IpAddr::V4(_) => (options.mc_if, options.mc_loop),
                IpAddr::V6(_) => (options.mc_if6, options.mc_loop6),
            };
            flow.mc_loop = again;
            if flow.oif == 0 {
                flow.oif = through;
            }
            if dst.is_ipv4() && flow.src.is_none() && !options.mc_addr.is_unspecified() {
                flow.src = Some(options.mc_addr.into());
            }
        }
        match dst {
            IpAddr::V4(_) => {
                flow.ttl = if many {
                    Some(options.multicast_ttl)
                } else {
                    options.ttl
                };
                flow.tos = options.tos;
            }
            IpAddr::V6(_) => {
                flow.ttl = if many {
                    options.multicast_hops
                } else {
                    options.hops
                };
                flow.tos = options.tclass;
            }
        }
        if dst.is_ipv6() {
            flow.pmtu = options.mtu_discover6;
            flow.frag_size = options.frag_size6;
            // Raw packets of other protocols are cut all the same, as on Linux.
            flow.dont_frag = options.dont_frag6
                && (!self.is_raw() || matches!(self.proto, proto::UDP | proto::ICMPV6 | proto::RAW));
        } else {
            flow.pmtu = options.mtu_discover;
        }
        flow.hdrincl = options.hdrincl && self.is_raw() && !self.v6;
        flow
    }

    /// Puts the transport header in front of the data; with `place` the checksum of IPv6 goes there.
    fn packet(
        &self,
        data: &[u8],
        flow: &Flow,
        src: IpAddr,
        (port, dst_port): (u16, u16),
        place: Option<u16>,
    ) -> Result<Packet> {
        let mut packet = Packet::new(data);
        if self.is_udp() {
            let len = data.len() + 8;
            let header = packet.push(8);
            header[..2].copy_from_slice(&port.to_be_bytes());
            header[2..4].copy_from_slice(&dst_port.to_be_bytes());
            header[4..6].copy_from_slice(&(len as u16).to_be_bytes());
            header[6..8].fill(0);
            let check = match transport_checksum(src, flow.dst, proto::UDP, packet.data()) {
                0 => 0xffff,
                check => check,
            };
            packet.data_mut()[6..8].copy_from_slice(&check.to_be_bytes());
            return Ok(packet);
        }
        let bytes = packet.data_mut();
        if !self.is_raw() {
            let echo = if self.v6 { 128 } else { 8 };
            ensure!(
                bytes.len() >= 8 && bytes[0] == echo && bytes[1] == 0,
                EINVAL,
                "an echo socket sends echo requests"
            );
            bytes[2..4].fill(0);
            bytes[4..6].copy_from_slice(&port.to_be_bytes());
        }
        if let Some(at) = place {
            let at = at as usize;
            ensure!(bytes.len() >= at + 2, EINVAL, "too short for its checksum");
            bytes[at..at + 2].fill(0);
            let check = match transport_checksum(src, flow.dst, self.proto, bytes) {
                0 if self.proto == proto::UDP => 0xffff,
                check => check,
            };
            bytes[at..at + 2].copy_from_slice(&check.to_be_bytes());
        } else if !self.is_raw() {
            let check = checksum(bytes);
            bytes[2..4].copy_from_slice(&check.to_be_bytes());
        }
        Ok(packet)
    }
}
