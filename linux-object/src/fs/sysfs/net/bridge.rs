//! What a bridge and its ports have more (`brctl` reads it).

use alloc::sync::Arc;

use super::{NetFile, Sub, number, setting, text};
use crate::error::Result;
use crate::fs::seq_file::SeqBuf;
use crate::net::stack::device::{Device, DeviceKind};
use crate::net::stack::{
    Bridge, BridgePort, FdbFlags, FdbFlush, NetStack, NetState, OWN, PortChange, PortFlags,
};
use crate::time::Ktime;
use crate::{ensure, err};

fn bridge(dev: &Device) -> Result<&Bridge> {
    match &dev.kind {
        DeviceKind::Bridge(bridge) => Ok(bridge),
        _ => Err(err!(EINVAL, "not a bridge")),
    }
}

fn id(dev: &Device, out: &mut SeqBuf) -> Result<()> {
    let [a, b, c, d, e, f] = dev.mac;
    writeln!(out, "8000.{a:02x}{b:02x}{c:02x}{d:02x}{e:02x}{f:02x}")
}

/// Every entry that is behind a port, as `struct __fdb_entry`, the newest first.
fn forward(state: &NetState, dev: &Device, now: Ktime, out: &mut SeqBuf) -> Result<()> {
    let bridge = bridge(dev)?;
    for (key, entry) in bridge.fdb().list() {
        let port = state.devices.get(&entry.port).and_then(|dev| dev.port.as_ref());
        let Some(port) = port.filter(|_| entry.port != OWN) else {
            continue;
        };
        let age = match entry.flags.contains(FdbFlags::STATIC) {
            true => 0,
            false => (now.since(entry.updated).as_millis() / 10) as u32,
        };
        let [low, high] = port.number.to_le_bytes();
        let local = entry.flags.contains(FdbFlags::LOCAL) as u8;
        out.bytes(&key.mac)?;
        out.bytes(&[low, local])?;
        out.bytes(&age.to_ne_bytes())?;
        out.bytes(&[high, 0, 0, 0])?;
    }
    Ok(())
}

macro_rules! fixed {
    ($dir:expr, $name:literal, $value:literal) => {
        text($dir, $name, |_, _, out| writeln!(out, "{}", $value))
    };
}

macro_rules! flag {
    ($name:literal, $flag:ident) => {
        setting(
            Sub::Port,
            $name,
            |_, dev, out| writeln!(out, "{}", port(dev)?.flags.contains(PortFlags::$flag) as u8),
            |stack, ifindex, data| {
                change(stack, ifindex, data, |change, on| {
                    change.flag(PortFlags::$flag, on != 0)
                })
            },
        )
    };
}

pub(super) static FILES: &[NetFile] = &[
    NetFile {
        dir: Sub::OfBridge,
        name: "brforward",
        show: None,
        show_at: Some(forward),
        store: None,
    },
    setting(
        Sub::Bridge,
        "ageing_time",
        |_, dev, out| writeln!(out, "{}", bridge(dev)?.ageing_time()),
        |stack, ifindex, data| {
            let hundredths = number(data)?;
            ensure!(hundredths <= u32::MAX as u64, ERANGE, "the time is too long");
            stack.with(|net| net.set_ageing_time(ifindex, hundredths as u32))
        },
    ),
    text(Sub::Bridge, "bridge_id", |_, dev, out| id(dev, out)),
    NetFile {
        dir: Sub::Bridge,
        name: "flush",
        show: None,
        show_at: None,
        store: Some(|stack, ifindex, _| stack.with(|net| net.flush_fdb(ifindex, &FdbFlush::AGEING))),
    },
    fixed!(Sub::Bridge, "forward_delay", 1500),
    fixed!(Sub::Bridge, "group_addr", "1:80:c2:0:0:0"),
    fixed!(Sub::Bridge, "hello_time", 200),
    fixed!(Sub::Bridge, "max_age", 2000),
    fixed!(Sub::Bridge, "priority", 32768),
    text(Sub::Bridge, "root_id", |_, dev, out| id(dev, out)),
    fixed!(Sub::Bridge, "root_path_cost", 0),
    fixed!(Sub::Bridge, "root_port", 0),
    fixed!(Sub::Bridge, "stp_state", 0),
    fixed!(Sub::Bridge, "topology_change", 0),
    fixed!(Sub::Bridge, "topology_change_detected", 0),
    fixed!(Sub::Bridge, "vlan_filtering", 0),
    setting(
        Sub::Port,
        "path_cost",
        |_, dev, out| writeln!(out, "{}", port(dev)?.path_cost(dev)),
        |stack, ifindex, data| {
            change(stack, ifindex, data, |change, cost| {
                change.cost = Some(u32::try_from(cost).unwrap_or(u32::MAX));
            })
        },
    ),
    setting(
        Sub::Port,
        "priority",
        |_, dev, out| writeln!(out, "{}", port(dev)?.priority),
        |stack, ifindex, data| {
            change(stack, ifindex, data, |change, priority| {
                change.priority = Some(u16::try_from(priority).unwrap_or(u16::MAX));
            })
        },
    ),
    setting(
        Sub::Port,
        "group_fwd_mask",
        |_, dev, out| writeln!(out, "{:#x}", port(dev)?.group_fwd_mask),
        |stack, ifindex, data| {
            change(stack, ifindex, data, |change, mask| {
                change.group_fwd_mask = Some(mask as u16)
            })
        },
    ),
    NetFile {
        dir: Sub::Port,
        name: "flush",
        show: None,
        show_at: None,
        store: Some(|stack, ifindex, data| change(stack, ifindex, data, |change, _| change.flush = true)),
    },
    flag!("hairpin_mode", HAIRPIN),
    flag!("learning", LEARNING),
    flag!("unicast_flood", FLOOD),
    flag!("multicast_flood", MCAST_FLOOD),
    flag!("broadcast_flood", BCAST_FLOOD),
    flag!("proxyarp", PROXY_ARP),
    flag!("proxyarp_wifi", PROXY_ARP_WIFI),
    flag!("isolated", ISOLATED),
    text(Sub::Port, "port_id", |_, dev, out| {
        writeln!(out, "0x{:x}", port(dev)?.id())
    }),
    text(Sub::Port, "port_no", |_, dev, out| {
        writeln!(out, "0x{:x}", port(dev)?.number)
    }),
    text(Sub::Port, "state", |_, dev, out| {
        writeln!(out, "{}", port(dev)?.state as u8)
    }),
    text(Sub::Port, "designated_root", |state, dev, out| {
        of_bridge(state, dev, out)
    }),
    text(Sub::Port, "designated_bridge", |state, dev, out| {
        of_bridge(state, dev, out)
    }),
    text(Sub::Port, "designated_port", |_, dev, out| {
        writeln!(out, "{}", port(dev)?.id())
    }),
    fixed!(Sub::Port, "designated_cost", 0),
    fixed!(Sub::Port, "change_ack", 0),
    fixed!(Sub::Port, "config_pending", 0),
    fixed!(Sub::Port, "message_age_timer", 0),
    fixed!(Sub::Port, "forward_delay_timer", 0),
    fixed!(Sub::Port, "hold_timer", 0),
];

fn port(dev: &Device) -> Result<&BridgePort> {
    dev.port.as_deref().ok_or(err!(EINVAL, "not a port"))
}

fn of_bridge(state: &NetState, dev: &Device, out: &mut SeqBuf) -> Result<()> {
    let bridge = state.devices.get(&port(dev)?.bridge);
    id(bridge.ok_or(err!(EINVAL, "the bridge is gone"))?, out)
}

/// Changes a port as the number in a file says.
fn change(
    stack: &Arc<NetStack>,
    ifindex: u32,
    data: &[u8],
    fill: impl FnOnce(&mut PortChange, u64),
) -> Result<()> {
    let mut change = PortChange::default();
    fill(&mut change, number(data)?);
    stack.with(|net| {
        net.change_port(ifindex, &change)?;
        net.port_event(ifindex);
        Ok(())
    })
}
