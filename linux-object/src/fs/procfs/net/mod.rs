//! `/proc/PID/net`: the network as the task's namespace has it (`proc_net(5)`).

mod groups;
mod inet;
mod other;
mod snmp;

use alloc::sync::Arc;
use core::net::IpAddr;

use super::base::PidCx;
use crate::error::Result;
use crate::fs::seq_file::SeqBuf;
use crate::kernel::Kernel;
use crate::namespace::UserNamespace;
use crate::net::stack::neigh::Nud;
use crate::net::stack::route::{RouteType, mask, table};
use crate::net::stack::{NetStack, NetState};
use crate::time::Ktime;

/// A file.
pub(super) struct NetFile {
    pub name: &'static str,
    show: Show,
}

/// How it is written.
enum Show {
    /// From the stack, which is locked meanwhile.
    State(fn(&NetState, Ktime, &mut SeqBuf) -> Result<()>),
    /// From sockets, each locked on its own.
    Sockets(fn(&NetCx<'_>, &mut SeqBuf) -> Result<()>),
}

/// The namespace that a file is about, and for whom it is written.
struct NetCx<'a> {
    kernel: &'a Kernel,
    stack: &'a Arc<NetStack>,
    /// Whose user numbers are shown.
    user_ns: &'a UserNamespace,
}

const fn state(name: &'static str, show: fn(&NetState, Ktime, &mut SeqBuf) -> Result<()>) -> NetFile {
    let show = Show::State(show);
    NetFile { name, show }
}

const fn sockets(name: &'static str, show: fn(&NetCx<'_>, &mut SeqBuf) -> Result<()>) -> NetFile {
    let show = Show::Sockets(show);
    NetFile { name, show }
}

/// The files, in order.
pub(super) static FILES: &[NetFile] = &[
    state("arp", arp),
    state("dev", dev),
    state("dev_mcast", groups::dev_mcast),
    sockets("icmp", inet::icmp),
    sockets("icmp6", inet::icmp6),
    state("if_inet6", if_inet6),
    state("igmp", groups::igmp),
    state("igmp6", groups::igmp6),
    state("ipv6_route", route6),
    state("mcfilter", groups::mcfilter),
    state("mcfilter6", groups::mcfilter6),
    sockets("netlink", other::netlink),
    sockets("netstat", snmp::netstat),
    sockets("packet", other::packet),
    sockets("ptype", snmp::ptype),
    sockets("raw", inet::raw),
    sockets("raw6", inet::raw6),
    state("route", route),
    sockets("snmp", snmp::snmp),
    sockets("snmp6", snmp::snmp6),
    sockets("sockstat", inet::sockstat),
    sockets("sockstat6", inet::sockstat6),
    sockets("tcp", inet::tcp),
    sockets("tcp6", inet::tcp6),
    sockets("udp", inet::udp),
    sockets("udp6", inet::udp6),
    sockets("unix", other::unix),
];

impl NetFile {
    /// Writes the text.
    pub fn show(&self, cx: &PidCx<'_>, out: &mut SeqBuf) -> Result<()> {
        let Some(nsproxy) = cx.task.try_nsproxy() else {
            return Ok(());
        };
        let stack = nsproxy.net_ns.stack();
        match self.show {
            Show::State(show) => {
                let now = stack.shared.time.now();
                show(&stack.lock(), now, out)
            }
            Show::Sockets(show) => show(
                &NetCx {
                    kernel: cx.kernel,
                    stack,
                    user_ns: &cx.cred.user_ns,
                },
                out,
            ),
        }
    }
}

fn dev(state: &NetState, _: Ktime, out: &mut SeqBuf) -> Result<()> {
    out.bytes(b"Inter-|   Receive                                                |  Transmit\n")?;
    out.bytes(b" face |bytes    packets errs drop fifo frame compressed multicast|")?;
    out.bytes(b"bytes    packets errs drop fifo colls carrier compressed\n")?;
    for dev in state.devices.values() {
        let s = &dev.stats;
        writeln!(
            out,
            "{:>6}: {:7} {:7} {:4} {:4} {:4} {:5} {:10} {:9} {:8} {:7} {:4} {:4} {:4} {:5} {:7} {:10}",
            dev.name,
            s.rx_bytes,
            s.rx_packets,
            s.rx_errors,
            s.rx_dropped,
            0,
            0,
            0,
            s.multicast,
            s.tx_bytes,
            s.tx_packets,
            s.tx_errors,
            s.tx_dropped,
            0,
            s.collisions,
            0,
            0
        )?;
    }
    Ok(())
}

fn arp(state: &NetState, now: Ktime, out: &mut SeqBuf) -> Result<()> {
    out.bytes(b"IP address       HW type     Flags       HW address            Mask     Device\n")?;
    let mut all: alloc::vec::Vec<_> = state.neigh.iter().collect();
    all.sort_by_key(|(key, _)| **key);
    for ((ifindex, addr), neigh) in all {
        let (IpAddr::V4(addr), Some(dev)) = (addr, state.devices.get(ifindex)) else {
            continue;
        };
        let flags = match neigh.state(now) {
            Nud::Incomplete | Nud::Failed => 0,
            Nud::Permanent => 6,
            _ => 2,
        };
        let [a, b, c, d, e, f] = if flags == 0 { [0; 6] } else { neigh.mac };
        let text = alloc::format!("{addr}");
        writeln!(
            out,
            "{text:<16} 0x1         0x{flags:<10x}{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}     *        {}",
            dev.name
        )?;
    }
    Ok(())
}

fn if_inet6(state: &NetState, _: Ktime, out: &mut SeqBuf) -> Result<()> {
    for dev in state.devices.values() {
        for addr in &dev.addrs {
            let IpAddr::V6(own) = addr.addr else { continue };
            let scope = match addr.scope {
                254 => 0x10,
                253 => 0x20,
                200 => 0x40,
                _ => 0,
            };
            writeln!(
                out,
                "{:032x} {:02x} {:02x} {:02x} {:02x} {:>8}",
                u128::from(own),
                dev.ifindex,
                addr.prefix,
                scope,
                addr.flags.bits() as u8,
                dev.name
            )?;
        }
    }
    Ok(())
}

fn route(state: &NetState, _: Ktime, out: &mut SeqBuf) -> Result<()> {
    let head = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT";
    writeln!(out, "{head:<127}")?;
    for route in state.fib4.all() {
        let shown = !matches!(
            route.kind,
            RouteType::Broadcast | RouteType::Multicast | RouteType::Local
        );
        if route.table != table::MAIN || !shown {
            continue;
        }
        let name = state.devices.get(&route.oif).map_or("*", |dev| &dev.name);
        let gateway = match route.gateway {
            Some(IpAddr::V4(gateway)) => u32::from(gateway),
            _ => 0,
        };
        let bits = (mask(route.prefix) >> 96) as u32;
        let mut flags = 1;
        if gateway != 0 {
            flags |= 2;
        }
        if route.prefix == 32 {
            flags |= 4;
        }
        if route.kind != RouteType::Unicast {
            flags |= 0x200;
        }
        let line = alloc::format!(
            "{name}\t{:08X}\t{:08X}\t{flags:04X}\t0\t0\t{}\t{:08X}\t{}\t0\t0",
            ((route.dst >> 96) as u32).swap_bytes(),
            gateway.swap_bytes(),
            route.metric,
            bits.swap_bytes(),
            route.mtu
        );
        writeln!(out, "{line:<127}")?;
    }
    Ok(())
}

fn route6(state: &NetState, _: Ktime, out: &mut SeqBuf) -> Result<()> {
    for route in state.fib6.all() {
        let name = state.devices.get(&route.oif).map_or("lo", |dev| &dev.name);
        let gateway = match route.gateway {
            Some(IpAddr::V6(gateway)) => u128::from(gateway),
            _ => 0,
        };
        let mut flags = 1u32;
        if gateway != 0 {
            flags |= 2;
        }
        if route.prefix == 128 {
            flags |= 4;
        }
        match route.kind {
            RouteType::Unicast | RouteType::Multicast => {}
            RouteType::Local => flags |= 0x8020_0000,
            _ => flags |= 0x200,
        }
        writeln!(
            out,
            "{:032x} {:02x} {:032x} 00 {gateway:032x} {:08x} 00000001 00000000 {flags:08x} {name:>8}",
            route.dst, route.prefix, 0, route.metric
        )?;
    }
    Ok(())
}
