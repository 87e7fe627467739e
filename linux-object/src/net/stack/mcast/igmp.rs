//! IGMP (RFC 3376, RFC 2236): groups of IPv4.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;

use smoltcp::wire::{IpProtocol, Ipv4Packet};

use super::{OLD_QUERIER, Query, Record, expand};
use crate::net::stack::Net;
use crate::net::stack::ip4::proto;
use crate::net::stack::mib::Counter;
use crate::net::stack::packet::{Packet, checksum};
use crate::net::stack::sockets::Delivery;

const QUERY: u8 = 0x11;
const REPORT1: u8 = 0x12;
const REPORT2: u8 = 0x16;
const LEAVE: u8 = 0x17;
const REPORT3: u8 = 0x22;
/// Where reports of version 3 go, and leaves.
const ROUTERS3: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 22);
const ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 2);
/// `IPOPT_RA`: a router looks at it.
const ROUTER_ALERT: [u8; 4] = [0x94, 4, 0, 0];
const HEADER: usize = 24;

impl Net<'_> {
    /// Tells of groups, in as many packets as it takes.
    pub(super) fn igmp_report(&mut self, ifindex: u32, records: &[Record]) {
        let room = self.room(ifindex, HEADER + 8);
        for part in split(records, room, 4) {
            let mut message = alloc::vec![REPORT3, 0, 0, 0, 0, 0];
            message.extend_from_slice(&(part.len() as u16).to_be_bytes());
            part.iter().for_each(|record| put_record(&mut message, record));
            self.igmp_send(ifindex, ROUTERS3, message);
        }
    }

    /// A report or a leave of an older version.
    pub(super) fn igmp_old(&mut self, ifindex: u32, group: Ipv4Addr, leave: bool) {
        let now = self.now();
        let version = self
            .device(ifindex)
            .map_or(3, |dev| dev.groups(false).version(now, 3));
        let (kind, to) = match (leave, version) {
            // Version 1 leaves without a word.
            (true, 1) => return,
            (true, _) => (LEAVE, ROUTERS),
            (false, 1) => (REPORT1, group),
            (false, _) => (REPORT2, group),
        };
        let mut message = alloc::vec![kind, 0, 0, 0];
        message.extend_from_slice(&group.octets());
        self.igmp_send(ifindex, to, message);
    }

    fn igmp_send(&mut self, ifindex: u32, to: Ipv4Addr, mut message: Vec<u8>) {
        let Some(mtu) = self.device(ifindex).map(|dev| dev.mtu) else {
            return;
        };
        let check = checksum(&message);
        message[2..4].copy_from_slice(&check.to_be_bytes());
        let src = self.source4(ifindex, to).unwrap_or(Ipv4Addr::UNSPECIFIED);
        let mut packet = Packet::new(&message);
        packet.local = true;
        packet.push(HEADER);
        let len = packet.len();
        packet.data_mut()[20..HEADER].copy_from_slice(&ROUTER_ALERT);
        let mut header = Ipv4Packet::new_unchecked(packet.data_mut());
        header.set_version(4);
        header.set_header_len(HEADER as u8);
        header.set_dscp(0xc0 >> 2);
        header.set_ecn(0);
        header.set_total_len(len as u16);
        header.set_ident(0);
        header.clear_flags();
        header.set_frag_offset(0);
        header.set_dont_frag(true);
        header.set_hop_limit(1);
        header.set_next_header(IpProtocol::from(proto::IGMP));
        header.set_src_addr(src);
        header.set_dst_addr(to);
        header.fill_checksum();
        self.count(Counter::IpOutRequests);
        self.count(Counter::IpExtOutMcastPkts);
        self.ip4_output(ifindex, to.into(), mtu, packet);
    }

    /// A message for us.
    pub(in crate::net::stack) fn igmp_input(&mut self, delivery: &Delivery) {
        let message = delivery.transport();
        if message.len() < 8 || checksum(message) != 0 {
            return;
        }
        let addr = |at: usize| {
            let bytes = message.get(at..at + 4).and_then(|b| b.first_chunk::<4>());
            IpAddr::V4(bytes.map_or(Ipv4Addr::UNSPECIFIED, |b| Ipv4Addr::from(*b)))
        };
        let group = addr(4);
        let tenths = |code: u32| Duration::from_millis(code as u64 * 100);
        let (old, time, sources) = match (message[0], message.len()) {
            (REPORT1 | REPORT2, _) => return self.heard_report(delivery.ifindex, group),
            (QUERY, 8) => {
                let code = message[1] as u32;
                let version = if code == 0 { 1 } else { 2 };
                let time = tenths(if code == 0 { 100 } else { code });
                let old = Some((version, self.now() + OLD_QUERIER));
                let sources = Vec::new();
                (old, time, sources)
            }
            (QUERY, 12..) => {
                let count = u16::from_be_bytes([message[10], message[11]]) as usize;
                if message.len() < 12 + count * 4 {
                    return;
                }
                let time = tenths(expand(message[1] as u32, 8).max(1));
                let sources = (0..count).map(|n| addr(12 + n * 4)).collect();
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

    /// What a report has room for behind `headers` bytes.
    pub(super) fn room(&self, ifindex: u32, headers: usize) -> usize {
        let mtu = self.device(ifindex).map_or(576, |dev| dev.mtu as usize);
        mtu.min(1500).saturating_sub(headers)
    }
}

/// Writes a record; its layout is that of both families.
pub(super) fn put_record(message: &mut Vec<u8>, record: &Record) {
    message.extend_from_slice(&[record.kind as u8, 0]);
    message.extend_from_slice(&(record.sources.len() as u16).to_be_bytes());
    for addr in core::iter::once(&record.group).chain(&record.sources) {
        match addr {
            IpAddr::V4(addr) => message.extend_from_slice(&addr.octets()),
            IpAddr::V6(addr) => message.extend_from_slice(&addr.octets()),
        }
    }
}

/// Records in parts of at most `room` bytes each; `size` is that of an address.
pub(super) fn split(records: &[Record], room: usize, size: usize) -> Vec<&[Record]> {
    let mut parts = Vec::new();
    let (mut from, mut bytes) = (0, 0);
    for (at, record) in records.iter().enumerate() {
        let more = 4 + size * (1 + record.sources.len());
        if bytes + more > room && at > from {
            parts.push(&records[from..at]);
            (from, bytes) = (at, 0);
        }
        bytes += more;
    }
    if from < records.len() {
        parts.push(&records[from..]);
    }
    parts
}
