//! ICMP for IPv4 (RFC 792): echo, and errors in both directions.

use core::net::IpAddr;

use smoltcp::wire::Ipv4Packet;

use super::ip4::{HLEN4, proto};
use super::mib::Counter;
use super::packet::{Packet, be16, checksum};
use super::sockets::{Delivery, Ends, IcmpError};
use super::{Flow, Job, Net};
use crate::error::Errno;

const ECHO_REPLY: u8 = 0;
const UNREACHABLE: u8 = 3;
const ECHO: u8 = 8;
const TIME_EXCEEDED: u8 = 11;
const PARAMETER: u8 = 12;

/// What an unreachable of this code means (Linux's `icmp_err_convert`), and whether it is final.
fn unreachable_errno(code: u8) -> (Errno, bool) {
    match code {
        0 | 5 | 11 => (Errno::ENETUNREACH, false),
        2 => (Errno::ENOPROTOOPT, true),
        3 => (Errno::ECONNREFUSED, true),
        4 => (Errno::EMSGSIZE, false),
        6 | 9 => (Errno::ENETUNREACH, true),
        7 => (Errno::EHOSTDOWN, true),
        8 => (Errno::ENONET, true),
        10 | 13 | 14 | 15 => (Errno::EHOSTUNREACH, true),
        _ => (Errno::EHOSTUNREACH, false),
    }
}

impl Net<'_> {
    /// An ICMP message for us.
    pub(super) fn icmp4_input(&mut self, delivery: Delivery) {
        let message = delivery.transport();
        self.count(Counter::IcmpInMsgs);
        if message.len() < 8 || checksum(message) != 0 {
            self.count(Counter::IcmpInErrors);
            if message.len() >= 8 {
                self.count(Counter::IcmpInCsumErrors);
            }
            return;
        }
        match message[0] {
            ECHO => self.count(Counter::IcmpInEchos),
            ECHO_REPLY => self.count(Counter::IcmpInEchoReps),
            UNREACHABLE => self.count(Counter::IcmpInDestUnreachs),
            TIME_EXCEEDED => self.count(Counter::IcmpInTimeExcds),
            _ => {}
        }
        match message[0] {
            ECHO => self.icmp4_echo(&delivery),
            ECHO_REPLY => {
                let id = be16(message, 4);
                let sockets = &self.state.sockets.ping;
                if let Some(socket) = sockets.find(delivery.dst, id, delivery.src, 0, delivery.ifindex) {
                    self.run.push(Job::Deliver(socket, delivery));
                }
            }
            UNREACHABLE | TIME_EXCEEDED | PARAMETER => self.icmp4_error_input(delivery),
            _ => {}
        }
    }

    fn icmp4_echo(&mut self, delivery: &Delivery) {
        let sysctl = &self.stack.sysctl;
        let IpAddr::V4(dst) = delivery.dst else { return };
        let to_us = self.is_local(delivery.dst);
        let many = dst.is_multicast() || !to_us;
        if sysctl.icmp_echo_ignore_all.get() != 0 || many && sysctl.icmp_echo_ignore_broadcasts.get() != 0 {
            return;
        }
        let mut reply = Packet::new(delivery.transport());
        let data = reply.data_mut();
        data[0] = ECHO_REPLY;
        data[2..4].fill(0);
        let sum = checksum(data);
        data[2..4].copy_from_slice(&sum.to_be_bytes());
        let mut flow = Flow::new(proto::ICMP, delivery.src);
        flow.src = to_us.then_some(delivery.dst);
        flow.tos = delivery.tos;
        self.run.push(Job::Send(self.stack.clone(), flow, reply));
    }

    /// Tells the sender of a packet that it did not arrive (Linux's `icmp_send`).
    pub(super) fn icmp4_error(&mut self, about: &Packet, kind: u8, code: u8, info: u32) {
        let Ok(header) = Ipv4Packet::new_checked(about.data()) else {
            return;
        };
        let (src, dst) = (header.src_addr(), header.dst_addr());
        let header_len = header.header_len() as usize;
        // Never about errors, later fragments, what was for many or came from nobody (RFC 1122, 3.2.2).
        let icmp = u8::from(header.next_header()) == proto::ICMP;
        let about_error =
            icmp && !matches!(about.data().get(header_len), Some(&(ECHO | ECHO_REPLY | 13..=18)));
        let to_many = dst.is_broadcast() || dst.is_multicast();
        if header.frag_offset() != 0 || about_error || to_many || src.is_unspecified() || src.is_multicast() {
            return;
        }
        let quoted = &about.data()[..about.len().min(576 - HLEN4 - 8)];
        let mut message = Packet::new(quoted);
        let data = message.push(8);
        data[0] = kind;
        data[1] = code;
        data[2..4].fill(0);
        data[4..8].copy_from_slice(&info.to_be_bytes());
        let sum = checksum(data);
        data[2..4].copy_from_slice(&sum.to_be_bytes());
        let mut flow = Flow::new(proto::ICMP, src.into());
        flow.src = self.is_local(dst.into()).then_some(dst.into());
        flow.tos = 0xc0;
        self.run.push(Job::Send(self.stack.clone(), flow, message));
    }

    /// The neighbour of a packet that was to go out did not answer.
    pub(super) fn unreachable(&mut self, packet: Packet, v6: bool) {
        if v6 {
            self.icmp6_error(&packet, 1, 3, 0);
        } else {
            self.icmp4_error(&packet, UNREACHABLE, 1, 0);
        }
    }

    /// Something that we sent did not arrive: the socket hears of it.
    fn icmp4_error_input(&mut self, delivery: Delivery) {
        let message = delivery.transport();
        let (kind, code) = (message[0], message[1]);
        let info = be16(message, 6) as u32;
        let quoted = &message[8..];
        let Ok(header) = Ipv4Packet::new_checked(quoted).or_else(|_| {
            // The quoted packet is cut; its header must be whole.
            if quoted.len() >= HLEN4 && quoted.len() >= (quoted[0] & 15) as usize * 4 {
                Ok(Ipv4Packet::new_unchecked(quoted))
            } else {
                Err(smoltcp::wire::Error)
            }
        }) else {
            return;
        };
        let (errno, hard) = match kind {
            UNREACHABLE => unreachable_errno(code),
            TIME_EXCEEDED => (Errno::EHOSTUNREACH, false),
            _ => (Errno::EPROTO, true),
        };
        let error = IcmpError {
            errno,
            kind,
            code,
            info: if kind == UNREACHABLE && code == 4 { info } else { 0 },
            hard,
            local: false,
            offender: delivery.src,
        };
        let (transport, protocol) = (header.header_len() as usize, header.next_header().into());
        let (src, dst) = (header.src_addr().into(), header.dst_addr().into());
        self.deliver_error(quoted, transport, protocol, src, dst, delivery.ifindex, error);
    }

    /// Gives an error to the socket that sent `quoted`.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn deliver_error(
        &mut self,
        quoted: &[u8],
        transport: usize,
        protocol: u8,
        src: IpAddr,
        dst: IpAddr,
        ifindex: u32,
        error: IcmpError,
    ) {
        let ports = &quoted[transport.min(quoted.len())..];
        if ports.len() < 8 {
            return;
        }
        let (src_port, dst_port) = (be16(ports, 0), be16(ports, 2));
        let delivery = || Delivery {
            packet: Packet::new(quoted),
            transport,
            src,
            dst,
            protocol,
            ifindex,
            ttl: 0,
            tos: 0,
            error: Some(error),
        };
        let sockets = &self.state.sockets;
        let found = match protocol {
            proto::UDP => sockets.udp.find(src, src_port, dst, dst_port, 0),
            proto::TCP => {
                let ends = Ends {
                    local: src,
                    port: src_port,
                    remote: dst,
                    remote_port: dst_port,
                };
                sockets.connections.get(&ends).cloned()
            }
            proto::ICMP | proto::ICMPV6 => sockets.ping.find(src, be16(ports, 4), dst, 0, 0),
            _ => None,
        };
        if let Some(socket) = found {
            self.run.push(Job::Deliver(socket, delivery()));
        }
        for raw in &self.state.sockets.raw {
            let fits = raw.protocol == protocol
                && raw.v6 == src.is_ipv6()
                && (raw.local.is_unspecified() || raw.local == src)
                && (raw.remote.is_unspecified() || raw.remote == dst);
            if fits && let Some(socket) = raw.socket.upgrade() {
                self.run.push(Job::Deliver(socket, delivery()));
            }
        }
    }
}
