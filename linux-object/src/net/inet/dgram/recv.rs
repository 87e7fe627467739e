//! What a program reads from a datagram socket.

use core::net::IpAddr;

use super::{Datagram, DatagramSocket};
use crate::error::Result;
use crate::net::inet::addr::SockAddrIn;
use crate::net::inet::options::{IPV6_PATHMTU, SOL_IP, SOL_IPV6};
use crate::net::payer::SockCharge;
use crate::net::stack::mib::Counter;
use crate::net::{MsgFlags, RecvMsg, Shutdown};
use crate::{bail, err};

const SO_EE_ORIGIN_LOCAL: u8 = 1;
const SO_EE_ORIGIN_ICMP: u8 = 2;
const SO_EE_ORIGIN_ICMP6: u8 = 3;

impl DatagramSocket {
    /// `recv(2)`.
    pub(super) fn receive(&self, msg: &mut RecvMsg<'_>) -> Result<usize> {
        if msg.flags.contains(MsgFlags::ERRQUEUE) {
            return self.recv_error(msg);
        }
        self.base.take_error()?;
        if let Some((dst, ifindex, mtu)) = self.take_path_mtu() {
            let addr = SockAddrIn::emit(dst, 0, ifindex, self.v6);
            let mut info = addr.to_vec();
            info.resize(28, 0);
            info.extend_from_slice(&mtu.to_ne_bytes());
            msg.control.push((SOL_IPV6, IPV6_PATHMTU, info));
            msg.addr = Some(addr);
            return Ok(0);
        }
        let peek = msg.flags.contains(MsgFlags::PEEK);
        let (datagram, options, timestamp) = {
            let mut state = self.state.lock();
            let options = state.options.clone();
            let timestamp = state.timestamp;
            let Some(first) = state.queue.front() else {
                if state.shutdown.contains(Shutdown::RECV) {
                    return Ok(0);
                }
                bail!(EAGAIN, "nothing was received");
            };
            let datagram = if peek {
                Datagram {
                    data: first.data.clone(),
                    _memory: SockCharge::none(),
                    ..*first
                }
            } else {
                state.bytes -= first.data.len() + 512;
                match state.queue.pop_front() {
                    Some(first) => first,
                    None => bail!(EAGAIN),
                }
            };
            (datagram, options, timestamp)
        };
        if self.is_udp() && !peek {
            self.ns.stack().mib.add(match datagram.dst {
                IpAddr::V4(_) => Counter::UdpInDatagrams,
                IpAddr::V6(_) => Counter::Udp6InDatagrams,
            });
        }
        let port = if self.is_udp() { datagram.port } else { 0 };
        msg.addr = Some(SockAddrIn::emit(datagram.src, port, datagram.ifindex, self.v6));
        if timestamp {
            let (sec, usec) = (datagram.at / 1_000_000_000, datagram.at % 1_000_000_000 / 1000);
            msg.control
                .push((1, 29, [sec, usec].map(i64::to_ne_bytes).concat()));
        }
        match datagram.dst {
            IpAddr::V4(dst) => {
                if options.pktinfo {
                    let mut info = datagram.ifindex.to_ne_bytes().to_vec();
                    info.extend_from_slice(&dst.octets());
                    info.extend_from_slice(&dst.octets());
                    msg.control.push((SOL_IP, 8, info));
                }
                if options.recvttl {
                    msg.control
                        .push((SOL_IP, 2, (datagram.ttl as i32).to_ne_bytes().to_vec()));
                }
                if options.recvtos {
                    msg.control.push((SOL_IP, 1, alloc::vec![datagram.tos]));
                }
            }
            IpAddr::V6(dst) => {
                if options.recvpktinfo6 {
                    let mut info = dst.octets().to_vec();
                    info.extend_from_slice(&datagram.ifindex.to_ne_bytes());
                    msg.control.push((SOL_IPV6, 50, info));
                }
                if options.recvhops {
                    msg.control
                        .push((SOL_IPV6, 52, (datagram.ttl as i32).to_ne_bytes().to_vec()));
                }
                if options.recvtclass {
                    msg.control
                        .push((SOL_IPV6, 67, (datagram.tos as i32).to_ne_bytes().to_vec()));
                }
            }
        }
        copy_out(msg, &datagram.data)
    }

    fn take_path_mtu(&self) -> Option<(IpAddr, u32, u32)> {
        let mut state = self.state.lock();
        let wanted = state.options.recv_path_mtu;
        if wanted { state.path_mtu.take() } else { None }
    }

    /// `MSG_ERRQUEUE`: what came back, and why (`IP_RECVERR`).
    fn recv_error(&self, msg: &mut RecvMsg<'_>) -> Result<usize> {
        let (item, more) = {
            let mut state = self.state.lock();
            let item = state.errors.pop_front().ok_or(err!(EAGAIN, "no errors"))?;
            (item, state.errors.front().and_then(|next| next.error))
        };
        match more {
            Some(next) => self.base.set_error(next.errno),
            None => {
                let _ = self.base.take_error();
            }
        }
        let Some(error) = item.error else { bail!(EAGAIN) };
        let v4 = item.src.is_ipv4();
        let mut body = (error.errno as u32).to_ne_bytes().to_vec();
        body.extend_from_slice(&[
            match v4 {
                _ if error.local => SO_EE_ORIGIN_LOCAL,
                true => SO_EE_ORIGIN_ICMP,
                false => SO_EE_ORIGIN_ICMP6,
            },
            error.kind,
            error.code,
            0,
        ]);
        body.extend_from_slice(&error.info.to_ne_bytes());
        body.extend_from_slice(&0u32.to_ne_bytes());
        let mut offender = SockAddrIn::emit(error.offender, 0, item.ifindex, !v4);
        if error.local {
            // Nobody else's: AF_UNSPEC.
            offender.fill(0);
        }
        body.extend_from_slice(&offender);
        msg.control.push(if v4 {
            (SOL_IP, 11, body)
        } else {
            (SOL_IPV6, 25, body)
        });
        msg.addr = Some(SockAddrIn::emit(item.src, item.port, item.ifindex, self.v6));
        msg.out_flags |= MsgFlags::ERRQUEUE;
        copy_out(msg, &item.data)
    }
}

fn copy_out(msg: &mut RecvMsg<'_>, data: &[u8]) -> Result<usize> {
    let room = msg.data.remaining();
    msg.data.put_all(&data[..data.len().min(room)])?;
    if data.len() > room {
        msg.out_flags |= MsgFlags::TRUNC;
    }
    Ok(if msg.flags.contains(MsgFlags::TRUNC) {
        data.len()
    } else {
        data.len().min(room)
    })
}
