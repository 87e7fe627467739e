//! What every device has.

use super::{NetFile, Sub, number, setting, text};
use crate::error::Result;
use crate::fs::seq_file::SeqBuf;
use crate::net::netlink::uevent;
use crate::net::stack::device::{Device, DeviceKind, Mac, oper};
use crate::net::stack::link::broadcast_mac;
use crate::net::tun::Tun;
use crate::{ensure, err};

fn address(out: &mut SeqBuf, dev: &Device, mac: Mac) -> Result<()> {
    if dev.addr_len() == 0 {
        return out.byte(b'\n');
    }
    let [a, b, c, d, e, f] = mac;
    writeln!(out, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
}

macro_rules! statistic {
    ($name:literal) => {
        // The device has no way to this error.
        text(Sub::Statistics, $name, |_, _, out| writeln!(out, "0"))
    };
    ($name:literal, $field:ident) => {
        text(Sub::Statistics, $name, |_, dev, out| {
            writeln!(out, "{}", dev.stats.$field)
        })
    };
}

/// Link speed and duplex are those of an Ethernet at the other end of the cable.
fn ethernet(dev: &Device) -> Result<()> {
    ensure!(
        dev.is_up() && matches!(dev.kind, DeviceKind::Veth(_)),
        EINVAL,
        "the device has no speed"
    );
    Ok(())
}

fn tun(dev: &Device) -> Result<&Tun> {
    match &dev.kind {
        DeviceKind::Tun(tun) => Ok(tun),
        _ => Err(err!(EINVAL, "not a tun")),
    }
}

pub(super) static FILES: &[NetFile] = &[
    text(Sub::Device, "addr_assign_type", |_, dev, out| {
        let kind = match dev.mac_set {
            true => 3,
            false => (!dev.is_loopback() && dev.perm_addr().is_none()) as u8,
        };
        writeln!(out, "{kind}")
    }),
    text(Sub::Device, "addr_len", |_, dev, out| {
        writeln!(out, "{}", dev.addr_len())
    }),
    text(Sub::Device, "address", |_, dev, out| address(out, dev, dev.mac)),
    text(Sub::Device, "broadcast", |_, dev, out| {
        address(out, dev, broadcast_mac(dev))
    }),
    text(Sub::Device, "carrier", |_, dev, out| {
        ensure!(dev.is_up(), EINVAL, "the device is down");
        writeln!(out, "{}", dev.carrier as u8)
    }),
    text(Sub::Device, "carrier_changes", |_, dev, out| {
        writeln!(out, "{}", dev.carrier_changes)
    }),
    text(Sub::Device, "dev_id", |_, _, out| writeln!(out, "0x0")),
    text(Sub::Device, "dev_port", |_, _, out| writeln!(out, "0")),
    text(Sub::Device, "dormant", |_, dev, out| {
        ensure!(dev.is_up(), EINVAL, "the device is down");
        writeln!(out, "0")
    }),
    text(Sub::Device, "duplex", |_, dev, out| {
        ethernet(dev)?;
        writeln!(out, "full")
    }),
    setting(
        Sub::Device,
        "flags",
        |_, dev, out| writeln!(out, "0x{:x}", dev.set_flags.bits() & 0xffff),
        |stack, ifindex, data| {
            let flags = number(data)? as u32;
            stack.with(|net| net.change_flags(ifindex, flags, u32::MAX));
            Ok(())
        },
    ),
    setting(
        Sub::Device,
        "ifalias",
        |_, dev, out| {
            out.bytes(&dev.alias)?;
            match dev.alias.is_empty() {
                true => Ok(()),
                false => out.byte(b'\n'),
            }
        },
        |stack, ifindex, data| {
            let alias = data.strip_suffix(b"\n").unwrap_or(data);
            ensure!(alias.len() < 256, EINVAL, "the alias is too long");
            stack.with(|net| {
                let dev = net.device_mut(ifindex).ok_or(err!(ENODEV))?;
                dev.alias = alias.to_vec();
                net.link_changed(ifindex);
                Ok(())
            })
        },
    ),
    text(Sub::Device, "ifindex", |_, dev, out| {
        writeln!(out, "{}", dev.ifindex)
    }),
    text(Sub::Device, "iflink", |_, dev, out| {
        let link = dev.peer().map_or(dev.ifindex, |(_, peer)| peer);
        writeln!(out, "{link}")
    }),
    text(Sub::Device, "link_mode", |_, _, out| writeln!(out, "0")),
    setting(
        Sub::Device,
        "mtu",
        |_, dev, out| writeln!(out, "{}", dev.mtu),
        |stack, ifindex, data| {
            let mtu = u32::try_from(number(data)?).map_err(|_| err!(EINVAL))?;
            stack.with(|net| net.set_mtu(ifindex, mtu))
        },
    ),
    setting(
        Sub::Device,
        "netdev_group",
        |_, dev, out| writeln!(out, "{}", dev.group),
        |stack, ifindex, data| {
            let group = number(data)? as u32;
            stack.with(|net| {
                net.device_mut(ifindex).ok_or(err!(ENODEV))?.group = group;
                net.link_changed(ifindex);
                Ok(())
            })
        },
    ),
    text(Sub::Device, "operstate", |_, dev, out| {
        let name = match dev.operstate() {
            oper::UP => "up",
            oper::DOWN => "down",
            oper::LOWERLAYERDOWN => "lowerlayerdown",
            _ => "unknown",
        };
        writeln!(out, "{name}")
    }),
    text(Sub::Device, "speed", |_, dev, out| {
        ethernet(dev)?;
        writeln!(out, "10000")
    }),
    setting(
        Sub::Device,
        "tx_queue_len",
        |_, dev, out| writeln!(out, "{}", dev.txqlen),
        |stack, ifindex, data| {
            let len = u32::try_from(number(data)?).map_err(|_| err!(ERANGE))?;
            stack.with(|net| net.set_txqlen(ifindex, len))
        },
    ),
    text(Sub::Device, "type", |_, dev, out| {
        writeln!(out, "{}", dev.arphrd())
    }),
    setting(
        Sub::Device,
        "uevent",
        |_, dev, out| {
            if let DeviceKind::Bridge(_) = dev.kind {
                writeln!(out, "DEVTYPE=bridge")?;
            }
            writeln!(out, "INTERFACE={}\nIFINDEX={}", dev.name, dev.ifindex)
        },
        uevent::synthesize,
    ),
    text(Sub::Tun, "group", |_, dev, out| {
        let group = tun(dev)?.group;
        writeln!(out, "{}", group.map_or(-1, |group| i64::from(group.0)))
    }),
    text(Sub::Tun, "owner", |_, dev, out| {
        let owner = tun(dev)?.owner;
        writeln!(out, "{}", owner.map_or(-1, |owner| i64::from(owner.0)))
    }),
    text(Sub::Tun, "tun_flags", |_, dev, out| {
        writeln!(out, "0x{:x}", tun(dev)?.flags())
    }),
    statistic!("collisions", collisions),
    statistic!("multicast", multicast),
    statistic!("rx_bytes", rx_bytes),
    statistic!("rx_compressed"),
    statistic!("rx_crc_errors"),
    statistic!("rx_dropped", rx_dropped),
    statistic!("rx_errors", rx_errors),
    statistic!("rx_fifo_errors"),
    statistic!("rx_frame_errors"),
    statistic!("rx_length_errors"),
    statistic!("rx_missed_errors"),
    statistic!("rx_nohandler"),
    statistic!("rx_over_errors"),
    statistic!("rx_packets", rx_packets),
    statistic!("tx_aborted_errors"),
    statistic!("tx_bytes", tx_bytes),
    statistic!("tx_carrier_errors"),
    statistic!("tx_compressed"),
    statistic!("tx_dropped", tx_dropped),
    statistic!("tx_errors", tx_errors),
    statistic!("tx_fifo_errors"),
    statistic!("tx_heartbeat_errors"),
    statistic!("tx_packets", tx_packets),
    statistic!("tx_window_errors"),
];
