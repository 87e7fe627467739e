//! `/sys/class/net`, `/sys/devices/virtual/net` and the way to network cards: the devices of the network namespace in
//! which the file system was mounted (`Documentation/ABI/testing/sysfs-class-net`).
//!
//! A device is a directory with one fact per file, `statistics`, and what a bridge or its port adds; links lead from
//! a port to its bridge (`master`, `upper_…`) and back (`lower_…`, `brif`). Nothing here outlives its namespace: a
//! mount that does shows no devices. Only what is true is listed.

mod bridge;
mod device;

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{FileType, SeqBuf};
use crate::cred::Capability;
use crate::error::Result;
use crate::fs::pseudo::inode_number;
use crate::fs::seq_file::SeqCx;
use crate::ids::{Gid, Kgid, Kuid, Uid};
use crate::net::stack::device::{Device, DeviceKind};
use crate::net::stack::{NetStack, NetState};
use crate::time::Ktime;
use crate::{ensure, err};

pub(super) const CLASS_DIR: &str = "class/net";
pub(super) const DEVICES_DIR: &str = "devices/virtual/net";
pub(super) const ROOT_DIR: &str = "devices";

/// A directory of a device.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sub {
    /// The device itself.
    Device,
    /// The device itself, of a tun or tap.
    Tun,
    /// The device itself, of a bridge.
    OfBridge,
    /// `statistics`.
    Statistics,
    /// `bridge`: the settings of a bridge.
    Bridge,
    /// `brif`: its ports.
    Ports,
    /// `brport`: a port of a bridge.
    Port,
}

/// Where a link leads.
#[derive(Clone, Copy)]
pub(super) enum Target {
    /// From `class/net` to the device.
    Device,
    /// The class.
    Class,
    /// What a card's device is part of.
    Parent,
    /// To another device, from this one's directory.
    Other(u32),
    /// From `brif` to what the port knows.
    Port(u32),
    /// From `brport` to the bridge.
    OfPort(u32),
}

/// What stands below the two directories; the number is the device's.
#[derive(Clone, Copy)]
pub(super) enum NetNode {
    /// A directory on the way to a card, so many names below `devices`.
    Way(u32, usize),
    Dir(u32, Sub),
    File(u32, &'static NetFile),
    Link(u32, Target),
}

type Show = fn(&NetState, &Device, &mut SeqBuf) -> Result<()>;
type ShowAt = fn(&NetState, &Device, Ktime, &mut SeqBuf) -> Result<()>;
type Store = fn(&Arc<NetStack>, u32, &[u8]) -> Result<()>;

/// A file of a device.
pub(super) struct NetFile {
    dir: Sub,
    name: &'static str,
    show: Option<Show>,
    /// What depends on the time.
    show_at: Option<ShowAt>,
    store: Option<Store>,
}

const fn text(dir: Sub, name: &'static str, show: Show) -> NetFile {
    let (show, store) = (Some(show), None);
    NetFile {
        dir,
        name,
        show,
        show_at: None,
        store,
    }
}

const fn setting(dir: Sub, name: &'static str, show: Show, store: Store) -> NetFile {
    let (show, store) = (Some(show), Some(store));
    NetFile {
        dir,
        name,
        show,
        show_at: None,
        store,
    }
}

fn files() -> impl Iterator<Item = &'static NetFile> {
    device::FILES.iter().chain(bridge::FILES)
}

/// The devices that are children of a directory.
pub(super) fn devices(stack: &NetStack, dir: &str) -> Vec<(Vec<u8>, NetNode)> {
    let state = stack.lock();
    if dir == ROOT_DIR {
        return on_the_way(&state, "", 0);
    }
    let class = dir == CLASS_DIR;
    let node = |dev: &Device| match class {
        true => NetNode::Link(dev.ifindex, Target::Device),
        false => NetNode::Dir(dev.ifindex, Sub::Device),
    };
    let devices = state.devices.values();
    devices
        .filter(|dev| class || !matches!(dev.kind, DeviceKind::Nic(_)))
        .map(|dev| (dev.name.clone().into_bytes(), node(dev)))
        .collect()
}

/// The first `depth` names of the way to a card.
fn way(dev: &Device, depth: usize) -> String {
    let path = dev.path();
    let names: Vec<&str> = path.split('/').skip(1).take(depth).collect();
    names.join("/")
}

/// What is in the directory `way`, which is `depth` names below `devices`, on the way to the cards.
fn on_the_way(state: &NetState, from: &str, depth: usize) -> Vec<(Vec<u8>, NetNode)> {
    let mut list: Vec<(Vec<u8>, NetNode)> = Vec::new();
    for dev in state.devices.values() {
        if !matches!(dev.kind, DeviceKind::Nic(_)) || way(dev, depth) != from {
            continue;
        }
        let path = dev.path();
        let mut rest = path.split('/').skip(1 + depth);
        let name = rest.next().unwrap_or_default().as_bytes().to_vec();
        let node = match rest.next() {
            Some(_) => NetNode::Way(dev.ifindex, depth + 1),
            None => NetNode::Dir(dev.ifindex, Sub::Device),
        };
        if list.iter().all(|(have, _)| *have != name) {
            list.push((name, node));
        }
    }
    list
}

/// The way from a directory to something else, both below the root.
fn relative(from: &str, to: &str) -> String {
    let common = from
        .split('/')
        .zip(to.split('/'))
        .take_while(|(from, to)| from == to)
        .count();
    let mut path = "../".repeat(from.split('/').count() - common);
    let rest: Vec<&str> = to.split('/').skip(common).collect();
    path += &rest.join("/");
    path
}

impl NetNode {
    fn ifindex(&self) -> u32 {
        match *self {
            NetNode::Dir(ifindex, _)
            | NetNode::File(ifindex, _)
            | NetNode::Link(ifindex, _)
            | NetNode::Way(ifindex, _) => ifindex,
        }
    }
    pub fn file_type(&self) -> FileType {
        match self {
            NetNode::Dir(..) | NetNode::Way(..) => FileType::Directory,
            NetNode::File(..) => FileType::Regular,
            NetNode::Link(..) => FileType::Symlink,
        }
    }
    pub fn mode(&self) -> u32 {
        match self {
            NetNode::Dir(..) | NetNode::Way(..) => 0o755,
            NetNode::File(_, file) => {
                let shown = file.show.is_some() || file.show_at.is_some();
                let read = if shown { 0o444 } else { 0 };
                read | if file.store.is_some() { 0o200 } else { 0 }
            }
            NetNode::Link(..) => 0o777,
        }
    }
    /// An inode number among those of its namespace.
    pub fn number(&self, seed: u64) -> u64 {
        let name = match self {
            NetNode::Dir(ifindex, sub) => format!("net/{ifindex}/{}", *sub as u8),
            NetNode::File(ifindex, file) => format!("net/{ifindex}/{}/{}", file.dir as u8, file.name),
            NetNode::Way(ifindex, depth) => format!("net/{ifindex}/way/{depth}"),
            NetNode::Link(ifindex, target) => {
                let (kind, other) = match target {
                    Target::Device => (0, 0),
                    Target::Class => (1, 0),
                    Target::Other(other) => (2, *other),
                    Target::Port(other) => (3, *other),
                    Target::OfPort(other) => (4, *other),
                    Target::Parent => (5, 0),
                };
                format!("net/{ifindex}/link/{kind}/{other}")
            }
        };
        inode_number(seed, name.as_bytes())
    }
    /// Whose it is: root's in the owner of the namespace.
    pub fn owner(stack: &NetStack) -> (Kuid, Kgid) {
        let user_ns = &stack.user_ns;
        (
            user_ns.make_kuid(Uid(0)).unwrap_or(Kuid::ROOT),
            user_ns.make_kgid(Gid(0)).unwrap_or(Kgid::ROOT),
        )
    }
    /// Whether its device is still there.
    pub fn is_alive(&self, stack: &NetStack) -> bool {
        stack.lock().devices.contains_key(&self.ifindex())
    }

    /// The content of a directory.
    pub fn children(&self, stack: &NetStack) -> Vec<(Vec<u8>, NetNode)> {
        let state = stack.lock();
        let ifindex = self.ifindex();
        let Some(dev) = state.devices.get(&ifindex) else {
            return Vec::new();
        };
        let dir = match *self {
            NetNode::Dir(_, dir) => dir,
            NetNode::Way(_, depth) => return on_the_way(&state, &way(dev, depth), depth),
            _ => return Vec::new(),
        };
        let special = match dev.kind {
            DeviceKind::Tun(_) => Some(Sub::Tun),
            DeviceKind::Bridge(_) => Some(Sub::OfBridge),
            _ => None,
        };
        let mut list: Vec<(Vec<u8>, NetNode)> = files()
            .filter(|file| file.dir == dir || dir == Sub::Device && Some(file.dir) == special)
            .map(|file| (file.name.into(), NetNode::File(ifindex, file)))
            .collect();
        let name_of = |other: u32| state.devices.get(&other).map(|dev| dev.name.as_str());
        let mut add = |name: String, node: NetNode| list.push((name.into_bytes(), node));
        let bridge = match &dev.kind {
            DeviceKind::Bridge(bridge) => Some(bridge),
            _ => None,
        };
        match dir {
            Sub::Device => {
                add("statistics".into(), NetNode::Dir(ifindex, Sub::Statistics));
                add("subsystem".into(), NetNode::Link(ifindex, Target::Class));
                if let DeviceKind::Nic(_) = dev.kind {
                    add("device".into(), NetNode::Link(ifindex, Target::Parent));
                }
                if let Some(bridge) = bridge {
                    add("bridge".into(), NetNode::Dir(ifindex, Sub::Bridge));
                    add("brif".into(), NetNode::Dir(ifindex, Sub::Ports));
                    for &port in &bridge.ports {
                        let name = format!("lower_{}", name_of(port).unwrap_or_default());
                        add(name, NetNode::Link(ifindex, Target::Other(port)));
                    }
                }
                if let Some(port) = &dev.port {
                    let to = NetNode::Link(ifindex, Target::Other(port.bridge));
                    add("brport".into(), NetNode::Dir(ifindex, Sub::Port));
                    add("master".into(), to);
                    add(format!("upper_{}", name_of(port.bridge).unwrap_or_default()), to);
                }
            }
            Sub::Ports => {
                for &port in bridge.map_or(&[][..], |bridge| &bridge.ports) {
                    let name = name_of(port).unwrap_or_default();
                    add(name.into(), NetNode::Link(ifindex, Target::Port(port)));
                }
            }
            Sub::Port => {
                if let Some(port) = &dev.port {
                    add(
                        "bridge".into(),
                        NetNode::Link(ifindex, Target::OfPort(port.bridge)),
                    );
                }
            }
            Sub::Tun | Sub::OfBridge | Sub::Statistics | Sub::Bridge => {}
        }
        list
    }

    /// Where a link leads.
    pub fn readlink(&self, stack: &NetStack) -> Result<Vec<u8>> {
        let NetNode::Link(ifindex, target) = *self else {
            return Err(err!(EINVAL, "not a symlink"));
        };
        let state = stack.lock();
        let path = |ifindex: u32| -> Result<String> {
            let dev = state.devices.get(&ifindex);
            Ok(dev.ok_or(err!(ENOENT, "the device is gone"))?.path())
        };
        let here = path(ifindex)?;
        Ok(match target {
            Target::Device => relative(CLASS_DIR, &here),
            Target::Class => relative(&here, CLASS_DIR),
            Target::Parent => {
                let parent = here.rsplitn(3, '/').nth(2).unwrap_or_default();
                format!("../../../{}", parent.rsplit('/').next().unwrap_or_default())
            }
            Target::Other(other) => relative(&here, &path(other)?),
            Target::Port(port) => relative(&format!("{here}/brif"), &format!("{}/brport", path(port)?)),
            Target::OfPort(bridge) => relative(&format!("{here}/brport"), &path(bridge)?),
        }
        .into_bytes())
    }

    /// Writes a file's text.
    pub fn show(&self, stack: &NetStack, out: &mut SeqBuf) -> Result<()> {
        let NetNode::File(ifindex, file) = *self else {
            return Err(err!(EIO));
        };
        let state = stack.lock();
        let dev = state
            .devices
            .get(&ifindex)
            .ok_or(err!(ENODEV, "the device is gone"))?;
        if let Some(show) = file.show_at {
            return show(&state, dev, stack.shared.time.now(), out);
        }
        let show = file.show.ok_or(err!(EIO, "the file is only written"))?;
        show(&state, dev, out)
    }

    /// Takes a write. `EPERM`: not without CAP_NET_ADMIN in the owner of the namespace.
    pub fn store(&self, stack: &Arc<NetStack>, cx: &SeqCx<'_>, data: &[u8]) -> Result<usize> {
        let NetNode::File(ifindex, file) = *self else {
            return Err(err!(EIO));
        };
        let store = file.store.ok_or(err!(EIO, "the file is only read"))?;
        ensure!(
            cx.task.cred().ns_capable(&stack.user_ns, Capability::NET_ADMIN),
            EPERM,
            "no CAP_NET_ADMIN in the owner of the network namespace"
        );
        let _rtnl = stack.shared.rtnl();
        store(stack, ifindex, data)?;
        Ok(data.len())
    }
}

/// A number as the kernel reads one (`kstrtoul` with base 0): a newline may end it.
fn number(data: &[u8]) -> Result<u64> {
    let text = core::str::from_utf8(data).map_err(|_| err!(EINVAL, "not a number"))?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let parsed = match text.strip_prefix("0x").or(text.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16),
        None if text.len() > 1 && text.starts_with('0') => u64::from_str_radix(text, 8),
        None => text.parse(),
    };
    parsed.map_err(|_| err!(EINVAL, "not a number"))
}

#[cfg(test)]
mod tests {
    use super::relative;

    #[test]
    fn links_lead_up_and_down() {
        let eth0 = "devices/pci0000:00/0000:00:03.0/virtio0/net/eth0";
        let br0 = "devices/virtual/net/br0";
        let of = |from, to| relative(from, to);
        assert_eq!(of("class/net", br0), "../../devices/virtual/net/br0");
        assert_eq!(of(br0, "class/net"), "../../../../class/net");
        assert_eq!(of(br0, "devices/virtual/net/v0"), "../v0");
        assert_eq!(of(br0, eth0), "../../../pci0000:00/0000:00:03.0/virtio0/net/eth0");
        assert_eq!(of(eth0, br0), "../../../../../virtual/net/br0");
    }
}
