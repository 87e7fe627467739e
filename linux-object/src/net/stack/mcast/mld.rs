//! MLD (RFC 3810, RFC 2710): groups of IPv6.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv6Addr};
use core::time::Duration;

use super::igmp::{put_record, split};
use super::{OLD_QUERIER, Query, ROUTERS, Record, expand, silent};
use crate::net::stack::Net;
use crate::net::stack::ip4::{proto, transport_checksum};
use crate::net::stack::ip6::HLEN6;
use crate::net::stack::mib::Counter;
use crate::net::stack::packet::Packet;
use crate::net::stack::sockets::Delivery;

const QUERY: u8 = 130;
const REPORT: u8 = 131;
const DONE: u8 = 132;
const REPORT2: u8 = 143;
/// Where reports of version 2 go.
const ROUTERS2: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);
/// Hop-by-hop options: a router alert that says MLD, and padding. Behind them is ICMPv6.
const ROUTER_ALERT: [u8; 8] = [proto::ICMPV6, 0, 5, 2, 0, 0, 1, 0];

impl Net<'_> {
    /// Tells of groups, in as many packets as it takes.
    pub(super) fn mld_report(&mut self, ifindex: u32, records: &[Record]) {
        let room = self.room(ifindex, HLEN6 + ROUTER_ALERT.len() + 8);
        for part in split(records, room, 16) {
            let mut message = alloc::vec![REPORT2, 0, 0, 0, 0, 0];
            message.extend_from_slice(&(part.len() as u16).to_be_bytes());
            part.iter().for_each(|record| put_record(&mut message, record));
            self.mld_send(ifindex, ROUTERS2, message);
        }
    }

    /// The device has got an address to report from: what it is in is told once more, from there (RFC 3810, 5.2.13).
    pub(in crate::net::stack) fn mld_again(&mut self, ifindex: u32) {
        let Some(groups) = self.groups_mut(ifindex, true) else {
            return;
        };
        for member in groups.members.values_mut() {
            if !silent(member.group.addr) {
                member.group.tell_again();
            }
        }
        self.changes_wait(ifindex, true);
    }

    /// A report or a leave of the first version.
    pub(super) fn mld_old(&mut self, ifindex: u32, group: Ipv6Addr, leave: bool) {
        let (kind, to) = if leave {
            (DONE, ROUTERS[0])
        } else {
            (REPORT, group)
        };
        let mut message = alloc::vec![kind, 0, 0, 0, 0, 0, 0, 0];
        message.extend_from_slice(&group.octets());
        self.mld_send(ifindex, to, message);
    }

    fn mld_send(&mut self, ifindex: u32, to: Ipv6Addr, mut message: Vec<u8>) {
        let Some(dev) = self.device(ifindex) else { return };
        let own = dev.addrs.iter().find_map(|addr| match addr.addr {
            IpAddr::V6(own) if own.is_unicast_link_local() && addr.usable() => Some(own),
            _ => None,
        });
        let src = own.unwrap_or(Ipv6Addr::UNSPECIFIED);
        let check = transport_checksum(src.into(), to.into(), proto::ICMPV6, &message);
        message[2..4].copy_from_slice(&check.to_be_bytes());
        let mut packet = Packet::new(&message);
        packet.push(ROUTER_ALERT.len())[..ROUTER_ALERT.len()].copy_from_slice(&ROUTER_ALERT);
        self.count(Counter::Icmp6OutMsgs);
        let packet = self.header6(packet, 0, src, to, 1, 0);
        self.link_output(ifindex, to.into(), packet);
    }

    /// A message for us; it has come no further than from the link.
    pub(in crate::net::stack) fn mld_input(&mut self, delivery: &Delivery) {
        let message = delivery.transport();
        let local = matches!(delivery.src, IpAddr::V6(src) if src.is_unicast_link_local());
        if message.len() < 24 || delivery.ttl != 1 || !local {
            return;
        }
        let addr = |at: usize| {
            let bytes = message.get(at..at + 16).and_then(|b| b.first_chunk::<16>());
            IpAddr::V6(bytes.map_or(Ipv6Addr::UNSPECIFIED, |b| Ipv6Addr::from(*b)))
        };
        let group = addr(8);
        let code = u16::from_be_bytes([message[4], message[5]]) as u32;
        let (old, time, sources) = match (message[0], message.len()) {
            (REPORT, _) => return self.heard_report(delivery.ifindex, group),
            (QUERY, 24) => {
                let time = Duration::from_millis(code as u64);
                let old = Some((1, self.now() + OLD_QUERIER));
                let sources = Vec::new();
                (old, time, sources)
            }
            (QUERY, 28..) => {
                let count = u16::from_be_bytes([message[26], message[27]]) as usize;
                if message.len() < 28 + count * 16 {
                    return;
                }
                let time = Duration::from_millis(expand(code, 16).max(1) as u64);
                let sources = (0..count).map(|n| addr(28 + n * 16)).collect();
                let old = None;
                (old, time, sources)
            }
            _ => return,
        };
        let query = Query {
            group,
            old,
            time,
            sources,
        };
        self.heard_query(delivery.ifindex, query);
    }
}
