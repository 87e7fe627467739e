//! What a bridge and its ports have more (`brctl` reads it).

use super::{NetFile, Sub, number, setting, text};
use crate::error::Result;
use crate::fs::seq_file::SeqBuf;
use crate::net::stack::Bridge;
use crate::net::stack::device::{Device, DeviceKind};
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

macro_rules! fixed {
    ($dir:expr, $name:literal, $value:literal) => {
        text($dir, $name, |_, _, out| writeln!(out, "{}", $value))
    };
}

pub(super) static FILES: &[NetFile] = &[
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
        store: Some(|stack, ifindex, _| stack.with(|net| net.flush_fdb(ifindex))),
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
    text(Sub::Port, "path_cost", |_, dev, out| {
        writeln!(out, "{}", dev.path_cost())
    }),
    text(Sub::Port, "port_id", |_, dev, out| {
        writeln!(out, "0x{:x}", 0x8000 | port(dev)?.0)
    }),
    text(Sub::Port, "port_no", |_, dev, out| {
        writeln!(out, "0x{:x}", port(dev)?.0)
    }),
    fixed!(Sub::Port, "priority", 32),
    text(Sub::Port, "state", |_, dev, out| {
        writeln!(out, "{}", port(dev)?.1)
    }),
];

/// A port's number and state.
fn port(dev: &Device) -> Result<(u16, u8)> {
    let port = dev.port.as_ref().ok_or(err!(EINVAL, "not a port"))?;
    Ok((port.number, port.state as u8))
}
