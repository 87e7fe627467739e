//! `SIOCETHTOOL` (`linux/ethtool.h`): what a device is and whether its link is there. Nothing can be set, and there are
//! no statistics, features or time stamps of devices to tell of: `EOPNOTSUPP`, as from a driver without them.

use alloc::sync::Arc;

use crate::cred::Capability;
use crate::error::Result;
use crate::ids::UserAddr;
use crate::namespace::{NetNamespace, RELEASE};
use crate::net::stack::device::{Device, DeviceKind};
use crate::task::Task;
use crate::{bail, ensure, err};

pub(super) const SIOCETHTOOL: u32 = 0x8946;
const ETHTOOL_GDRVINFO: u32 = 3;
const ETHTOOL_GLINK: u32 = 0xa;
/// Commands that everyone may ask with; the others take `CAP_NET_ADMIN`.
const FOR_EVERYONE: &[u32] = &[
    0x01,
    ETHTOOL_GDRVINFO,
    0x07,
    ETHTOOL_GLINK,
    0x0e,
    0x10,
    0x12,
    0x14,
    0x16,
    0x18,
    0x1b,
    0x1d,
    0x1e,
    0x20,
    0x21,
    0x23,
    0x25,
    0x27,
    0x29,
    0x2b,
    0x2d,
    0x2e,
    0x2f,
    0x30,
    0x37,
    0x38,
    0x3a,
    0x3c,
    0x41,
    0x44,
    0x46,
    0x48,
    0x4a,
    0x4c,
    0x4e,
    0x50,
];

/// `struct ethtool_drvinfo`: a command, five texts of 32 bytes, what is reserved, five counts.
const DRVINFO: usize = 196;
const TEXT: usize = 32;

/// The driver as Linux calls it, its version and what it says of its bus. `None`: it says nothing of itself.
fn driver(dev: &Device) -> Option<(&'static str, &'static str, &'static str)> {
    Some(match &dev.kind {
        DeviceKind::Loopback => return None,
        DeviceKind::Veth(_) => ("veth", "1.0", ""),
        DeviceKind::Bridge(_) => ("bridge", "2.3", "N/A"),
        DeviceKind::Dummy => ("dummy", RELEASE, ""),
        DeviceKind::Tun(_) if dev.addr_len() == 0 => ("tun", "1.6", "tun"),
        DeviceKind::Tun(_) => ("tun", "1.6", "tap"),
        DeviceKind::Nic(_) => ("virtio_net", "1.0.0", ""),
    })
}

fn drvinfo(dev: &Device) -> Result<[u8; DRVINFO]> {
    let (name, version, bus) = driver(dev).ok_or(err!(EOPNOTSUPP, "the device says nothing of itself"))?;
    let firmware = match dev.kind {
        DeviceKind::Bridge(_) => "N/A",
        _ => "",
    };
    let mut out = [0; DRVINFO];
    out[..4].copy_from_slice(&ETHTOOL_GDRVINFO.to_ne_bytes());
    for (n, text) in [name, version, firmware, bus].into_iter().enumerate() {
        let at = 4 + n * TEXT;
        let len = text.len().min(TEXT - 1);
        out[at..at + len].copy_from_slice(&text.as_bytes()[..len]);
    }
    Ok(out)
}

/// The call for the device `name`; `data` is the command's structure.
pub(super) fn ioctl(task: &Arc<Task>, ns: &Arc<NetNamespace>, name: &str, data: UserAddr) -> Result<usize> {
    let hal = &task.kernel().hal;
    let mut cmd = [0; 4];
    hal.copy_from_user(&mut cmd, data)?;
    let cmd = u32::from_ne_bytes(cmd);
    ensure!(
        FOR_EVERYONE.contains(&cmd) || task.cred().ns_capable(ns.user_ns(), Capability::NET_ADMIN),
        EPERM,
        "no CAP_NET_ADMIN"
    );
    let answer = ns.stack().with(|net| {
        let ifindex = net.state.by_name(name).ok_or(err!(ENODEV, "no such device"))?;
        let dev = net.device(ifindex).ok_or(err!(ENODEV))?;
        let mut link = [0; DRVINFO];
        match cmd {
            ETHTOOL_GDRVINFO => Ok((drvinfo(dev)?, DRVINFO)),
            ETHTOOL_GLINK if !matches!(dev.kind, DeviceKind::Dummy) => {
                link[..4].copy_from_slice(&cmd.to_ne_bytes());
                link[4] = dev.is_running() as u8;
                Ok((link, 8))
            }
            _ => bail!(EOPNOTSUPP, "the device cannot tell"),
        }
    });
    let (bytes, len) = answer?;
    hal.copy_to_user(data, &bytes[..len])?;
    Ok(0)
}
