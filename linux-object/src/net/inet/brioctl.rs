//! The calls of `brctl(8)`: bridges as before rtnetlink (`linux/if_bridge.h`).

use alloc::string::String;
use alloc::sync::Arc;

use crate::cred::Capability;
use crate::error::Result;
use crate::ids::UserAddr;
use crate::namespace::NetNamespace;
use crate::net::stack::device::{Device, DeviceKind, IFNAMSIZ};
use crate::net::stack::{Bridge, link};
use crate::task::Task;
use crate::{bail, ensure, err};

const SIOCBRADDBR: u32 = 0x89a0;
const SIOCBRDELBR: u32 = 0x89a1;
const SIOCBRADDIF: u32 = 0x89a2;
const SIOCBRDELIF: u32 = 0x89a3;
const IFREQ: usize = 40;

/// Whether the number is one of these.
pub fn is_one(cmd: u32) -> bool {
    (SIOCBRADDBR..=SIOCBRDELIF).contains(&cmd)
}

fn name_in(raw: &[u8]) -> Result<String> {
    let end = raw[..IFNAMSIZ - 1].iter().position(|&c| c == 0);
    let name = core::str::from_utf8(&raw[..end.unwrap_or(IFNAMSIZ - 1)]);
    Ok(name.map_err(|_| err!(EINVAL, "not a name"))?.into())
}

/// `ioctl(2)`: makes or removes a bridge, adds or removes a port. `EPERM`: no CAP_NET_ADMIN in the owner.
pub fn ioctl(task: &Arc<Task>, ns: &Arc<NetNamespace>, cmd: u32, arg: UserAddr) -> Result<usize> {
    let hal = &task.kernel().hal;
    let stack = ns.stack();
    let admin = || -> Result<()> {
        let fine = task.cred().ns_capable(ns.user_ns(), Capability::NET_ADMIN);
        ensure!(fine, EPERM, "no CAP_NET_ADMIN");
        Ok(())
    };
    let mut raw = [0; IFREQ];
    if matches!(cmd, SIOCBRADDBR | SIOCBRDELBR) {
        admin()?;
        hal.copy_from_user(&mut raw[..IFNAMSIZ], arg)?;
        let name = name_in(&raw)?;
        let _rtnl = stack.shared.rtnl();
        if cmd == SIOCBRADDBR {
            let name = stack.lock().choose_name(&name)?;
            let mac = stack.shared.random_mac();
            let dev = Device::new(&name, DeviceKind::Bridge(Bridge::new()), mac);
            stack.with(|net| net.register(dev));
            return Ok(0);
        }
        let found = {
            let state = stack.lock();
            let ifindex = state.by_name(&name).ok_or(err!(ENXIO, "no such device"))?;
            let dev = state.devices.get(&ifindex).ok_or(err!(ENXIO))?;
            ensure!(
                matches!(dev.kind, DeviceKind::Bridge(_)),
                EPERM,
                "the device is no bridge"
            );
            ensure!(!dev.is_up(), EBUSY, "the bridge is up");
            ifindex
        };
        link::delete(stack, found)?;
        return Ok(0);
    }
    hal.copy_from_user(&mut raw, arg)?;
    let name = name_in(&raw)?;
    let port = u32::from_ne_bytes([raw[16], raw[17], raw[18], raw[19]]);
    let _rtnl = stack.shared.rtnl();
    stack.with(|net| {
        let bridge = net.state.by_name(&name).ok_or(err!(ENODEV, "no such device"))?;
        let dev = net.device(bridge).ok_or(err!(ENODEV))?;
        ensure!(
            matches!(dev.kind, DeviceKind::Bridge(_)),
            EOPNOTSUPP,
            "the device is no bridge"
        );
        admin()?;
        let dev = net.device(port).ok_or(err!(EINVAL, "no such port"))?;
        match cmd {
            SIOCBRADDIF => net.join_bridge(port, bridge)?,
            _ => {
                let of_it = dev.port.as_ref().is_some_and(|port| port.bridge == bridge);
                if !of_it {
                    bail!(EINVAL, "not a port of this bridge");
                }
                net.leave_bridge(port)?;
            }
        }
        Ok(0)
    })
}
