//! `igmp`, `igmp6`, `mcfilter`, `mcfilter6`, `dev_mcast`: the groups that devices are in.

use core::net::IpAddr;

use crate::error::Result;
use crate::fs::seq_file::SeqBuf;
use crate::net::stack::NetState;
use crate::time::Ktime;

/// Hundredths of a second until then.
fn left(at: Option<Ktime>, now: Ktime) -> u64 {
    at.map_or(0, |at| at.since(now).as_millis() as u64 / 10)
}

fn v4(addr: IpAddr) -> u32 {
    match addr {
        IpAddr::V4(addr) => u32::from(addr),
        IpAddr::V6(_) => 0,
    }
}
fn v6(addr: IpAddr) -> u128 {
    match addr {
        IpAddr::V6(addr) => u128::from(addr),
        IpAddr::V4(_) => 0,
    }
}

pub(super) fn igmp(state: &NetState, now: Ktime, out: &mut SeqBuf) -> Result<()> {
    out.bytes(b"Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n")?;
    for dev in state.devices.values() {
        let groups = dev.groups(false);
        if groups.is_empty() {
            continue;
        }
        let version = groups.version(now, 3);
        writeln!(
            out,
            "{}\t{:<10}: {:5}      V{version}",
            dev.ifindex,
            dev.name,
            groups.len()
        )?;
        for member in groups.list() {
            writeln!(
                out,
                "\t\t\t\t{:08X} {:5} {}:{:08X}\t\t{}",
                v4(member.group.addr).swap_bytes(),
                member.group.users,
                member.timer().is_some() as u8,
                left(member.timer(), now),
                member.is_reporter() as u8
            )?;
        }
    }
    Ok(())
}

pub(super) fn igmp6(state: &NetState, now: Ktime, out: &mut SeqBuf) -> Result<()> {
    for dev in state.devices.values() {
        for member in dev.groups(true).list() {
            let flags = (member.timer().is_some() as u8) << 1
                | (member.is_reporter() as u8) << 2
                | (member.is_loaded() as u8) << 3
                | (member.is_silent() as u8) << 4;
            writeln!(
                out,
                "{:<4} {:<15} {:032x} {:5} {flags:08X} {}",
                dev.ifindex,
                dev.name,
                v6(member.group.addr),
                member.group.users,
                left(member.timer(), now)
            )?;
        }
    }
    Ok(())
}

pub(super) fn mcfilter(state: &NetState, _: Ktime, out: &mut SeqBuf) -> Result<()> {
    let mut begun = false;
    for dev in state.devices.values() {
        for member in dev.groups(false).list() {
            for (source, include, exclude) in member.group.sources() {
                if !begun {
                    out.bytes(b"Idx Device        MCA        SRC    INC    EXC\n")?;
                    begun = true;
                }
                writeln!(
                    out,
                    "{:3} {:>6.6} {:#010x} {:#010x} {include:6} {exclude:6}",
                    dev.ifindex,
                    dev.name,
                    v4(member.group.addr),
                    v4(source)
                )?;
            }
        }
    }
    Ok(())
}

pub(super) fn mcfilter6(state: &NetState, _: Ktime, out: &mut SeqBuf) -> Result<()> {
    let mut begun = false;
    for dev in state.devices.values() {
        for member in dev.groups(true).list() {
            for (source, include, exclude) in member.group.sources() {
                if !begun {
                    let (group, source) = ("Multicast Address", "Source Address");
                    writeln!(out, "Idx Device {group:>32} {source:>32}    INC    EXC")?;
                    begun = true;
                }
                writeln!(
                    out,
                    "{:3} {:>6.6} {:032x} {:032x} {include:6} {exclude:6}",
                    dev.ifindex,
                    dev.name,
                    v6(member.group.addr),
                    v6(source)
                )?;
            }
        }
    }
    Ok(())
}

pub(super) fn dev_mcast(state: &NetState, _: Ktime, out: &mut SeqBuf) -> Result<()> {
    for dev in state.devices.values() {
        for ([a, b, c, d, e, f], users, added) in dev.multicast_macs() {
            writeln!(
                out,
                "{:<4} {:<15} {users:<5} {:<5} {a:02x}{b:02x}{c:02x}{d:02x}{e:02x}{f:02x}",
                dev.ifindex, dev.name, added as u8
            )?;
        }
    }
    Ok(())
}
