//! `/proc/PID/net`: the network as the task's namespace has it (`proc_net(5)`).

use core::net::IpAddr;

use super::base::PidCx;
use crate::error::Result;
use crate::fs::seq_file::SeqBuf;
use crate::net::stack::NetState;
use crate::net::stack::neigh::Nud;
use crate::net::stack::route::{RouteType, mask, table};
use crate::time::Ktime;

/// A file.
pub(super) struct NetFile {
    pub name: &'static str,
    show: fn(&NetState, Ktime, &mut SeqBuf) -> Result<()>,
}

/// The files, in order.
pub(super) static FILES: &[NetFile] = &[
    NetFile {
        name: "arp",
        show: arp,
    },
    NetFile {
        name: "dev",
        show: dev,
    },
    NetFile {
        name: "if_inet6",
        show: if_inet6,
    },
    NetFile {
        name: "route",
        show: route,
    },
];

impl NetFile {
    /// Writes the text.
    pub fn show(&self, cx: &PidCx<'_>, out: &mut SeqBuf) -> Result<()> {
        let Some(nsproxy) = cx.task.try_nsproxy() else {
            return Ok(());
        };
        let stack = nsproxy.net_ns.stack();
        let now = stack.shared.time.now();
        let state = stack.lock();
        (self.show)(&state, now, out)
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
