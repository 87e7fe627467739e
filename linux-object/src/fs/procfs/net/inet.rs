//! `tcp`, `udp`, `raw`, `icmp`, their IPv6 counterparts and `sockstat`: AF_INET and AF_INET6 sockets.
//!
//! Addresses are shown as the words that lie in memory. Addresses of kernel objects are hidden from everyone.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use super::NetCx;
use crate::error::Result;
use crate::fs::seq_file::SeqBuf;
use crate::net::stack::sockets::{InetInfo, Listing, tcp_state};

/// What is shown in place of an address of the kernel.
const HIDDEN: &str = "0000000000000000";
/// `USER_HZ`'s tick in nanoseconds.
const TICK: u64 = 10_000_000;

fn list(cx: &NetCx<'_>, which: Listing) -> Vec<InetInfo> {
    let sockets = cx.stack.lock().sockets.list(which);
    sockets.iter().map(|socket| socket.info()).collect()
}

/// `ADDRESS:PORT`.
fn end((addr, port): (IpAddr, u16), v6: bool) -> String {
    let words = |bytes: &[u8]| -> String {
        let words = bytes.as_chunks::<4>().0.iter();
        words
            .map(|&word| format!("{:08X}", u32::from_ne_bytes(word)))
            .collect()
    };
    let addr = match addr {
        IpAddr::V4(addr) if v6 && addr.is_unspecified() => words(&[0; 16]),
        IpAddr::V4(addr) if v6 => words(&addr.to_ipv6_mapped().octets()),
        IpAddr::V4(addr) => words(&addr.octets()),
        IpAddr::V6(addr) => words(&addr.octets()),
    };
    format!("{addr}:{port:04X}")
}

/// What the lines of all protocols begin with, up to the inode.
fn common(cx: &NetCx<'_>, info: &InetInfo) -> String {
    let listening = info.state == tcp_state::LISTEN;
    let gone = info.expires != 0;
    format!(
        "{} {} {:02X} {:08X}:{:08X} {:02X}:{:08X} 00000000 {:5} {:8} {}",
        end(info.local, info.v6),
        end(info.remote, info.v6),
        info.state,
        if listening { 0 } else { info.wqueue },
        info.rqueue,
        if gone { 3 } else { 0 },
        info.expires / TICK,
        if gone {
            0
        } else {
            cx.user_ns.from_kuid_munged(info.owner).0
        },
        0,
        if gone { 0 } else { info.ino }
    )
}

const HEAD6: &str = "  sl  local_address                         remote_address                        \
                     st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";
const HEAD4: &str =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";

fn show_tcp(cx: &NetCx<'_>, v6: bool, out: &mut SeqBuf) -> Result<()> {
    let width = if v6 { 0 } else { 149 };
    writeln!(out, "{:<width$}", if v6 { HEAD6 } else { HEAD4 })?;
    let all = list(cx, Listing::Tcp);
    // What is only bound is told by nobody on Linux.
    let here = all
        .iter()
        .filter(|info| info.v6 == v6 && info.state != tcp_state::CLOSE);
    for (n, info) in here.enumerate() {
        let words = info.tcp.as_deref().unwrap_or_default();
        let word = |n: usize| {
            let at = 8 + 4 * n;
            words
                .get(at..at + 4)
                .and_then(|b| b.first_chunk())
                .map_or(0, |&b| u32::from_ne_bytes(b))
        };
        let head = format!("{n:4}: {}", common(cx, info));
        let line = if info.expires != 0 {
            format!("{head} 3 {HIDDEN}")
        } else {
            let rto = (word(0) as u64 * 1000).div_ceil(TICK);
            let threshold = if info.state == tcp_state::LISTEN { 0 } else { -1 };
            format!("{head} 1 {HIDDEN} {rto} 0 0 {} {threshold}", word(18).max(10))
        };
        writeln!(out, "{line:<width$}")?;
    }
    Ok(())
}

fn show_datagrams(
    cx: &NetCx<'_>,
    which: Listing,
    v6: bool,
    (digits, width): (usize, usize),
    out: &mut SeqBuf,
) -> Result<()> {
    let head = format!("{} ref pointer drops", if v6 { HEAD6 } else { HEAD4 });
    writeln!(out, "{head:<width$}")?;
    let all = list(cx, which);
    for (n, info) in all.iter().filter(|info| info.v6 == v6).enumerate() {
        let line = format!("{n:digits$}: {} 2 {HIDDEN} {}", common(cx, info), info.drops);
        writeln!(out, "{line:<width$}")?;
    }
    Ok(())
}

pub(super) fn tcp(cx: &NetCx<'_>, out: &mut SeqBuf) -> Result<()> {
    show_tcp(cx, false, out)
}
pub(super) fn tcp6(cx: &NetCx<'_>, out: &mut SeqBuf) -> Result<()> {
    show_tcp(cx, true, out)
}
pub(super) fn udp(cx: &NetCx<'_>, out: &mut SeqBuf) -> Result<()> {
    show_datagrams(cx, Listing::Udp, false, (5, 127), out)
}
pub(super) fn udp6(cx: &NetCx<'_>, out: &mut SeqBuf) -> Result<()> {
    show_datagrams(cx, Listing::Udp, true, (5, 0), out)
}
pub(super) fn raw(cx: &NetCx<'_>, out: &mut SeqBuf) -> Result<()> {
    show_datagrams(cx, Listing::Raw, false, (4, 0), out)
}
pub(super) fn raw6(cx: &NetCx<'_>, out: &mut SeqBuf) -> Result<()> {
    show_datagrams(cx, Listing::Raw, true, (5, 0), out)
}
pub(super) fn icmp(cx: &NetCx<'_>, out: &mut SeqBuf) -> Result<()> {
    show_datagrams(cx, Listing::Ping, false, (5, 127), out)
}
pub(super) fn icmp6(cx: &NetCx<'_>, out: &mut SeqBuf) -> Result<()> {
    show_datagrams(cx, Listing::Ping, true, (5, 0), out)
}

/// How many sockets of a protocol a family has.
fn count(cx: &NetCx<'_>, which: Listing, v6: bool) -> usize {
    let all = list(cx, which);
    all.iter()
        .filter(|info| info.v6 == v6 && info.expires == 0)
        .count()
}

pub(super) fn sockstat(cx: &NetCx<'_>, out: &mut SeqBuf) -> Result<()> {
    let all = list(cx, Listing::Tcp);
    let waiting = all.iter().filter(|info| info.expires != 0).count();
    let orphans = all
        .iter()
        .filter(|info| info.expires == 0 && info.ino == 0)
        .count();
    let bytes: u64 = all
        .iter()
        .map(|info| info.memory[0] as u64 + info.memory[2] as u64)
        .sum();
    let datagrams = list(cx, Listing::Udp);
    let udp_bytes: u64 = datagrams.iter().map(|info| info.memory[0] as u64).sum();
    let unix = cx.kernel.unix.list(cx.stack.koid).len();
    let others = list(cx, Listing::Raw).len() + list(cx, Listing::Ping).len() + cx.stack.netlink.all().len();
    writeln!(
        out,
        "sockets: used {}",
        all.len() + datagrams.len() + unix + others
    )?;
    writeln!(
        out,
        "TCP: inuse {} orphan {orphans} tw {waiting} alloc {} mem {}",
        count(cx, Listing::Tcp, false),
        all.len() - waiting,
        bytes.div_ceil(4096)
    )?;
    writeln!(
        out,
        "UDP: inuse {} mem {}",
        count(cx, Listing::Udp, false),
        udp_bytes.div_ceil(4096)
    )?;
    out.bytes(b"UDPLITE: inuse 0\n")?;
    writeln!(out, "RAW: inuse {}", count(cx, Listing::Raw, false))?;
    let (inuse, memory) = cx.stack.lock().fragments[0].facts();
    writeln!(out, "FRAG: inuse {inuse} memory {memory}")
}

pub(super) fn sockstat6(cx: &NetCx<'_>, out: &mut SeqBuf) -> Result<()> {
    writeln!(out, "TCP6: inuse {}", count(cx, Listing::Tcp, true))?;
    writeln!(out, "UDP6: inuse {}", count(cx, Listing::Udp, true))?;
    out.bytes(b"UDPLITE6: inuse 0\n")?;
    writeln!(out, "RAW6: inuse {}", count(cx, Listing::Raw, true))?;
    let (inuse, memory) = cx.stack.lock().fragments[1].facts();
    writeln!(out, "FRAG6: inuse {inuse} memory {memory}")
}
