//! `unix`, `netlink` and `packet`: sockets that are not of the Internet.

use core::sync::atomic::Ordering;

use super::NetCx;
use crate::error::Result;
use crate::fs::seq_file::SeqBuf;
use crate::net::Socket;
use crate::net::netlink::proto;
use crate::net::stack::sockets::{Tap, tcp_state};

/// `SO_ACCEPTCON`.
const ACCEPTCON: u32 = 0x10000;

pub(super) fn unix(cx: &NetCx<'_>, out: &mut SeqBuf) -> Result<()> {
    out.bytes(b"Num       RefCount Protocol Flags    Type St Inode Path\n")?;
    for socket in cx.kernel.unix.list(cx.stack.koid) {
        let info = socket.info();
        let connected = info.state == tcp_state::ESTABLISHED;
        // `SS_*`; a connection that waits for `accept` has no socket yet.
        let state = match (info.ino != 0, connected) {
            (true, true) => 3,
            (true, false) => 1,
            (false, true) => 2,
            (false, false) => 4,
        };
        let flags = if info.pending.is_some() { ACCEPTCON } else { 0 };
        write!(
            out,
            "0000000000000000: {:08X} 00000000 {flags:08X} {:04X} {state:02X} {:5}",
            2 + connected as u32,
            info.kind as u8,
            info.ino
        )?;
        if let Some(name) = &info.name {
            out.byte(b' ')?;
            for &byte in name {
                out.byte(if byte == 0 { b'@' } else { byte })?;
            }
        }
        out.byte(b'\n')?;
    }
    Ok(())
}

pub(super) fn netlink(cx: &NetCx<'_>, out: &mut SeqBuf) -> Result<()> {
    out.bytes(b"sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n")?;
    let sockets = cx.stack.netlink.all();
    let mut kernels = proto::OF_KERNEL.into_iter().peekable();
    let of_kernel = |out: &mut SeqBuf, protocol: i32| {
        writeln!(
            out,
            "0000000000000000 {protocol:<3} {:<10} {:08x} {:<8} {:<8} {:<5} {:<8} {:<8} {:<8}",
            0, 0, 0, 0, 0, 2, 0, 0
        )
    };
    for socket in sockets {
        while let Some(protocol) = kernels.next_if(|protocol| *protocol <= socket.protocol()) {
            of_kernel(out, protocol)?;
        }
        let (groups, bytes) = socket.facts();
        writeln!(
            out,
            "0000000000000000 {:<3} {:<10} {:08x} {bytes:<8} {:<8} {:<5} {:<8} {:<8} {:<8}",
            socket.protocol(),
            socket.port(),
            groups as u32,
            0,
            socket.dumps() as u8,
            2,
            socket.drops.load(Ordering::Relaxed),
            socket.base().ino()
        )?;
    }
    kernels.try_for_each(|protocol| of_kernel(out, protocol))
}

pub(super) fn packet(cx: &NetCx<'_>, out: &mut SeqBuf) -> Result<()> {
    out.bytes(b"sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n")?;
    let taps: alloc::vec::Vec<Tap> = cx.stack.lock().sockets.taps.clone();
    for socket in taps.iter().filter_map(|tap| tap.socket.upgrade()) {
        let info = socket.info();
        writeln!(
            out,
            "0000000000000000 {:<6} {:<4} {:04x}   {:<5} {} {:<6} {:<6} {:<6}",
            3,
            info.kind as u8,
            info.protocol,
            info.ifindex,
            (info.protocol != 0) as u8,
            info.bytes,
            cx.user_ns.from_kuid_munged(info.owner).0,
            info.ino
        )?;
    }
    Ok(())
}
