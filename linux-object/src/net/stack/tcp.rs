//! Segments of TCP connections on their way out.
//!
//! A segment to this very host is given to the other end at once, without a frame: a socket cannot tell, and nobody
//! else looks. What looks is a packet socket, a raw socket, or a filter of the other end, and then it takes the way
//! of all packets.

use alloc::sync::Arc;
use core::net::IpAddr;

use super::ip4::{LO, proto, pseudo_sum};
use super::mib::Counter;
use super::packet::{Packet, be16};
use super::route::{RouteType, key, table};
use super::sockets::{Delivery, Ends, InetSocket};
use super::{Flow, Job, Net};
use crate::error::Result;

impl Net<'_> {
    /// Sends a segment that has the network header of its connection in front.
    pub(super) fn tcp_output(&mut self, flow: &Flow, mut packet: Packet) -> Result<()> {
        let header = if flow.dst.is_ipv6() { 40 } else { 20 };
        if let (Some(src), Some(socket)) = (flow.src, self.turns(flow, header, &packet)) {
            let delivery = Delivery {
                packet,
                transport: header,
                src,
                dst: flow.dst,
                protocol: proto::TCP,
                ifindex: LO,
                ttl: flow.ttl.unwrap_or(64),
                tos: flow.tos,
                error: None,
            };
            self.run.push(Job::Deliver(socket, delivery));
            return Ok(());
        }
        packet.pull(header);
        if let Some(src) = flow.src {
            let pseudo = pseudo_sum(src, flow.dst, proto::TCP, packet.len());
            packet.set_partial(16, pseudo);
        }
        self.ip_send(flow, packet)
    }

    /// The other end, if it is on this host and nobody looks at what is sent there. Then the segment is counted as
    /// sent and received.
    fn turns(&mut self, flow: &Flow, header: usize, packet: &Packet) -> Option<Arc<dyn InetSocket>> {
        let sockets = &self.state.sockets;
        if !sockets.taps.is_empty() || !sockets.raw.is_empty() || flow.oif > LO {
            return None;
        }
        let (ports, len) = (packet.data().get(header..)?, packet.len());
        let ends = Ends {
            local: flow.dst,
            port: be16(ports, 2),
            remote: flow.src?,
            remote_port: be16(ports, 0),
        };
        let socket = sockets
            .connections
            .get(&ends)
            .filter(|socket| !socket.looks())?
            .clone();
        let v6 = flow.dst.is_ipv6();
        let fib = if v6 { &self.state.fib6 } else { &self.state.fib4 };
        let route = fib.lookup_in(table::LOCAL, key(flow.dst), 0)?;
        let narrow = matches!(flow.dst, IpAddr::V6(addr) if addr.is_unicast_link_local());
        if route.kind != RouteType::Local || narrow {
            return None;
        }
        let dev = self.device_mut(LO)?;
        if !dev.is_up() || len > dev.mtu as usize {
            return None;
        }
        dev.stats.tx_packets += 1;
        dev.stats.tx_bytes += len as u64;
        dev.stats.rx_packets += 1;
        dev.stats.rx_bytes += len as u64;
        let counters = if v6 { &COUNTERS_6 } else { &COUNTERS_4 };
        for counter in counters.0 {
            self.count(counter);
        }
        for counter in counters.1 {
            self.stack.mib.add_many(counter, len as u64);
        }
        self.count(Counter::TcpInSegs);
        Some(socket)
    }
}

/// What counts packets, and what counts bytes.
type Counters = ([Counter; 3], [Counter; 2]);

static COUNTERS_4: Counters = (
    [
        Counter::IpOutRequests,
        Counter::IpInReceives,
        Counter::IpInDelivers,
    ],
    [Counter::IpExtOutOctets, Counter::IpExtInOctets],
);
static COUNTERS_6: Counters = (
    [
        Counter::Ip6OutRequests,
        Counter::Ip6InReceives,
        Counter::Ip6InDelivers,
    ],
    [Counter::Ip6OutOctets, Counter::Ip6InOctets],
);
