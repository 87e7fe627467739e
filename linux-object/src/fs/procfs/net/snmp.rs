//! Counters, and who takes which packets: `snmp`, `snmp6`, `netstat`, `ptype`.

use alloc::vec::Vec;

use super::NetCx;
use crate::error::Result;
use crate::fs::seq_file::SeqBuf;
use crate::net::stack::conf::{ConfKey, ConfOf};

/// A line of names and one of numbers.
fn table(cx: &NetCx<'_>, name: &'static str, first: &[(&'static str, i64)], out: &mut SeqBuf) -> Result<()> {
    let counted = cx.stack.mib.table(name).map(|(name, n)| (name, n as i64));
    let all: Vec<(&str, i64)> = first.iter().copied().chain(counted).collect();
    write!(out, "{name}:")?;
    for (name, _) in &all {
        write!(out, " {name}")?;
    }
    write!(out, "\n{name}:")?;
    for (_, n) in &all {
        write!(out, " {n}")?;
    }
    out.byte(b'\n')
}

pub(super) fn snmp(cx: &NetCx<'_>, out: &mut SeqBuf) -> Result<()> {
    let forwards = cx
        .stack
        .lock()
        .conf(ConfOf::All)
        .map_or(0, |conf| conf.get(ConfKey::Forwarding));
    let ttl = cx.stack.sysctl.ip_default_ttl.get();
    let forwarding = if forwards != 0 { 1 } else { 2 };
    table(cx, "Ip", &[("Forwarding", forwarding), ("DefaultTTL", ttl)], out)?;
    table(cx, "Icmp", &[], out)?;
    table(cx, "Tcp", &[], out)?;
    table(cx, "Udp", &[], out)
}

pub(super) fn snmp6(cx: &NetCx<'_>, out: &mut SeqBuf) -> Result<()> {
    for name in ["Ip6", "Icmp6", "Udp6"] {
        for (counter, n) in cx.stack.mib.table(name) {
            let counter = alloc::format!("{name}{counter}");
            writeln!(out, "{counter:<32}\t{n}")?;
        }
    }
    Ok(())
}

pub(super) fn netstat(cx: &NetCx<'_>, out: &mut SeqBuf) -> Result<()> {
    table(cx, "TcpExt", &[], out)?;
    table(cx, "IpExt", &[], out)
}

/// Packet sockets, then the protocols of the stack.
pub(super) fn ptype(cx: &NetCx<'_>, out: &mut SeqBuf) -> Result<()> {
    writeln!(out, "Type Device      Function")?;
    let state = cx.stack.lock();
    for tap in state.sockets.taps.iter().filter(|tap| tap.protocol != 0) {
        let name = state.devices.get(&tap.ifindex).map_or("", |dev| &dev.name);
        match tap.protocol {
            3 => writeln!(out, "ALL  {name:<8} packet_rcv")?,
            protocol => writeln!(out, "{protocol:04x} {name:<8} packet_rcv")?,
        }
    }
    for (protocol, function) in [("0800", "ip_rcv"), ("0806", "arp_rcv"), ("86dd", "ipv6_rcv")] {
        writeln!(out, "{protocol} {:<8} {function}", "")?;
    }
    Ok(())
}
