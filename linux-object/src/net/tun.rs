//! TUN and TAP: a device whose other end is a program (`Documentation/networking/tuntap.rst`).
//!
//! A description of `/dev/net/tun` belongs to the network namespace of who opened it. `TUNSETIFF` makes a device or
//! takes one that waits without a program; what the device sends is read, what is written the device receives. TAP
//! carries Ethernet frames, TUN the packets in them: there our frames get their header here. A device goes with its
//! program, unless it is persistent; then it stays without a carrier. One program per device, no offloads.
//!
//! Locks: the queue has a leaf lock, as frames come while the stack is locked. A device that goes with its
//! program goes without `class::Rtnl`, as devices do that go with their namespace.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::{Arc, Weak};
use core::any::Any;

use super::stack::device::{DevRef, Device, DeviceKind, IFNAMSIZ, IfFlags};
use super::stack::link;
use super::stack::packet::{ETH_HLEN, Packet, be16};
use super::stack::{Job, NetStack, Run};
use crate::cred::Capability;
use crate::error::Result;
use crate::fs::device::{self, CharDevice};
use crate::fs::io::{IoDst, IoSrc};
use crate::fs::{DevT, FileOps, OpenFile, OpenFlags, PollEvents};
use crate::ids::{Gid, Kgid, Kuid, Uid, UserAddr};
use crate::kernel::Kernel;
use crate::namespace::NetNamespace;
use crate::sync::{SpinLock, WaitQueue, class};
use crate::task::Task;
use crate::{bail, ensure, err};

const TUNSETNOCSUM: u32 = 0x4004_54c8;
const TUNSETIFF: u32 = 0x4004_54ca;
const TUNSETPERSIST: u32 = 0x4004_54cb;
const TUNSETOWNER: u32 = 0x4004_54cc;
const TUNSETGROUP: u32 = 0x4004_54ce;
const TUNGETFEATURES: u32 = 0x8004_54cf;
const TUNSETOFFLOAD: u32 = 0x4004_54d0;
const TUNGETIFF: u32 = 0x8004_54d2;

const IFF_TUN: u16 = 1;
const IFF_TAP: u16 = 2;
const IFF_NO_PI: u16 = 0x1000;
const IFF_ONE_QUEUE: u16 = 0x2000;
const IFF_TUN_EXCL: u16 = 0x8000;
const IFF_PERSIST: u16 = 0x800;
/// `struct tun_pi`, and its flag for a packet that was cut.
const PI: usize = 4;
const TUN_PKT_STRIP: u16 = 1;
const IFREQ: usize = 40;
/// Packets that wait for the program (`TUN_READQ_SIZE`); `ip link set txqueuelen` changes it.
pub const QUEUE_LEN: u32 = 500;

/// What the device knows of its other end.
pub struct Tun {
    /// TAP, else TUN.
    pub tap: bool,
    /// Packets have no `struct tun_pi` in front.
    pub no_pi: bool,
    /// It stays without a program.
    pub persist: bool,
    /// Who may take it without CAP_NET_ADMIN.
    pub owner: Option<Kuid>,
    /// Whose members may.
    pub group: Option<Kgid>,
    file: Weak<TunFile>,
}

impl Tun {
    /// `IFF_*` as programs see them.
    pub fn flags(&self) -> u16 {
        let kind = if self.tap { IFF_TAP } else { IFF_TUN };
        kind | if self.no_pi { IFF_NO_PI } else { 0 } | if self.persist { IFF_PERSIST } else { 0 }
    }
    /// The device sends a frame; whether there was room for it. Called with the stack locked.
    pub fn send(&self, mut frame: Packet, limit: u32) -> bool {
        let Some(file) = self.file.upgrade() else {
            return false;
        };
        frame.complete();
        {
            let mut state = file.state.lock();
            if state.frames.len() >= limit as usize {
                return false;
            }
            state.frames.push_back(frame);
        }
        file.queue.wake(PollEvents::READABLE);
        true
    }
    /// The device is somewhere else now, or nowhere.
    pub fn moved(&self, to: Option<DevRef>) {
        if let Some(file) = self.file.upgrade() {
            let mut state = file.state.lock();
            state.device = to;
            let old = core::mem::take(&mut state.frames);
            drop(state);
            drop(old);
            file.queue.wake_all(PollEvents::all());
        }
    }
}

#[derive(Default)]
struct State {
    device: Option<DevRef>,
    tap: bool,
    no_pi: bool,
    frames: VecDeque<Packet>,
}

/// An open description of `/dev/net/tun`.
pub struct TunFile {
    ns: Arc<NetNamespace>,
    state: SpinLock<State, class::Leaf>,
    queue: WaitQueue,
    this: Weak<TunFile>,
}

struct TunDriver;

impl CharDevice for TunDriver {
    fn open(&self, task: &Arc<Task>, _: DevT, _: OpenFlags) -> Result<Arc<dyn FileOps>> {
        let ns = task.nsproxy().net_ns.clone();
        Ok(Arc::new_cyclic(|this| TunFile {
            ns,
            state: SpinLock::new(State::default()),
            queue: WaitQueue::new(),
            this: this.clone(),
        }))
    }
}

/// Registers `/dev/net/tun`.
pub fn init(kernel: &Arc<Kernel>) -> Result<()> {
    let dev = DevT::new(10, 200);
    device::register_chrdev(kernel, dev, 1, Arc::new(TunDriver))?;
    device::add_node(kernel, "net/tun", dev, 0o600)
}

impl TunFile {
    /// Its device. `EBADFD`: it has none.
    fn device(&self) -> Result<(Arc<NetStack>, u32)> {
        let state = self.state.lock();
        let device = state.device.as_ref().ok_or(err!(EBADFD, "tun: no device"))?;
        let stack = device.stack.upgrade().ok_or(err!(EBADFD, "tun: no device"))?;
        Ok((stack, device.ifindex))
    }
    fn with_tun<R>(&self, work: impl FnOnce(&mut Tun) -> R) -> Result<R> {
        let (stack, ifindex) = self.device()?;
        let mut state = stack.lock();
        match state.devices.get_mut(&ifindex).map(|dev| &mut dev.kind) {
            Some(DeviceKind::Tun(tun)) => Ok(work(tun)),
            _ => bail!(EBADFD, "tun: no device"),
        }
    }

    /// `TUNSETIFF`: takes the device of this name, or makes one.
    fn set_iff(&self, task: &Task, name: &str, flags: u16) -> Result<(String, u16)> {
        let known = IFF_TUN | IFF_TAP | IFF_NO_PI | IFF_ONE_QUEUE | IFF_TUN_EXCL;
        ensure!(
            self.state.lock().device.is_none(),
            EEXIST,
            "tun: there is a device"
        );
        ensure!(flags & !known == 0, EINVAL, "tun: unknown flags");
        let (tap, no_pi) = (flags & IFF_TAP != 0, flags & IFF_NO_PI != 0);
        ensure!(tap != (flags & IFF_TUN != 0), EINVAL, "tun: TUN or TAP");
        let stack = self.ns.stack();
        let cred = task.cred();
        let admin = cred.ns_capable(self.ns.user_ns(), Capability::NET_ADMIN);
        let _rtnl = stack.shared.rtnl();
        let found = stack.lock().by_name(name);
        let ifindex = match found {
            Some(ifindex) => {
                ensure!(flags & IFF_TUN_EXCL == 0, EBUSY, "tun: the name is taken");
                let mut state = stack.lock();
                let dev = state.devices.get_mut(&ifindex).ok_or(err!(ENODEV))?;
                let DeviceKind::Tun(tun) = &mut dev.kind else {
                    bail!(EINVAL, "tun: another kind of device")
                };
                ensure!(tun.tap == tap, EINVAL, "tun: another kind of device");
                let stranger = tun.owner.is_some_and(|owner| owner != cred.euid)
                    || tun
                        .group
                        .is_some_and(|gid| gid != cred.egid && !cred.groups.contains(&gid));
                ensure!(!stranger || admin, EPERM, "tun: somebody else's");
                ensure!(tun.file.strong_count() == 0, EBUSY, "tun: a program has it");
                tun.file = self.this.clone();
                tun.no_pi = no_pi;
                ifindex
            }
            None => {
                ensure!(admin, EPERM, "tun: no CAP_NET_ADMIN");
                let pattern = match (name, tap) {
                    ("", true) => "tap%d",
                    ("", false) => "tun%d",
                    (name, _) => name,
                };
                let tun = Tun {
                    tap,
                    no_pi,
                    persist: false,
                    owner: None,
                    group: None,
                    file: self.this.clone(),
                };
                let name = stack.lock().choose_name(pattern)?;
                let mac = if tap { stack.shared.random_mac() } else { [0; 6] };
                let dev = Device::new(&name, DeviceKind::Tun(Box::new(tun)), mac);
                stack.with(|net| net.register(dev))
            }
        };
        {
            let mut state = self.state.lock();
            (state.tap, state.no_pi) = (tap, no_pi);
            state.device = Some(DevRef {
                stack: Arc::downgrade(stack),
                ifindex,
            });
        }
        stack.with(|net| net.carrier(ifindex, true));
        self.iff()
    }
    fn iff(&self) -> Result<(String, u16)> {
        let (stack, ifindex) = self.device()?;
        let state = stack.lock();
        let dev = state.devices.get(&ifindex).ok_or(err!(EBADFD))?;
        match &dev.kind {
            DeviceKind::Tun(tun) => Ok((dev.name.clone(), tun.flags())),
            _ => bail!(EBADFD, "tun: no device"),
        }
    }
}

impl Drop for TunFile {
    fn drop(&mut self) {
        let Ok((stack, ifindex)) = self.device() else {
            return;
        };
        let persist = self.with_tun(|tun| tun.persist);
        match persist {
            Ok(true) => stack.with(|net| net.carrier(ifindex, false)),
            _ => {
                let _ = link::delete(&stack, ifindex);
            }
        }
    }
}

impl FileOps for TunFile {
    fn read(&self, _: &OpenFile, _: &Arc<Task>, _: &mut u64, to: &mut dyn IoDst) -> Result<usize> {
        self.device()?;
        let (mut frame, tap, no_pi) = {
            let mut state = self.state.lock();
            let frame = state.frames.pop_front();
            let frame = frame.ok_or(err!(EAGAIN, "tun: nothing was sent"))?;
            (frame, state.tap, state.no_pi)
        };
        let protocol = be16(frame.data(), 12);
        if !tap {
            frame.pull(ETH_HLEN);
        }
        let mut done = 0;
        if !no_pi {
            ensure!(to.remaining() >= PI, EINVAL, "tun: no room for the header");
            let cut = to.remaining() - PI < frame.len();
            let mut header = if cut { TUN_PKT_STRIP } else { 0 }.to_ne_bytes().to_vec();
            header.extend_from_slice(&protocol.to_be_bytes());
            done += to.put(&header)?;
        }
        let len = frame.len().min(to.remaining());
        done += to.put(&frame.data()[..len])?;
        Ok(done)
    }
    fn write(&self, _: &OpenFile, _: &Arc<Task>, _: &mut u64, from: &mut dyn IoSrc) -> Result<usize> {
        let (stack, ifindex) = self.device()?;
        let (tap, no_pi) = {
            let state = self.state.lock();
            (state.tap, state.no_pi)
        };
        let len = from.remaining();
        let head = if no_pi { 0 } else { PI };
        let least = head + if tap { ETH_HLEN } else { 1 };
        ensure!(len >= least && len <= 65536 + 64, EINVAL, "tun: not a packet");
        let mut raw = alloc::vec![0; len];
        let taken = from.take(&mut raw)?;
        ensure!(taken == len, EFAULT, "tun: the packet ended early");
        let mac = {
            let state = stack.lock();
            let dev = state.devices.get(&ifindex).ok_or(err!(EBADFD))?;
            ensure!(dev.is_up(), EIO, "tun: the device is down");
            dev.mac
        };
        let data = &raw[head..];
        let mut packet = Packet::new(data);
        if !tap {
            let protocol = match (no_pi, data[0] >> 4) {
                (false, _) => be16(&raw, 2),
                (true, 4) => 0x800,
                (true, 6) => 0x86dd,
                _ => bail!(EINVAL, "tun: neither IPv4 nor IPv6"),
            };
            let header = packet.push(ETH_HLEN);
            header[..6].copy_from_slice(&mac);
            header[6..12].fill(0);
            header[12..14].copy_from_slice(&protocol.to_be_bytes());
        }
        let mut run = Run::new();
        run.push(Job::Receive(stack, ifindex, packet));
        run.finish();
        Ok(len)
    }
    fn poll(&self, _: &OpenFile, _: &Arc<Task>) -> PollEvents {
        let Ok((stack, ifindex)) = self.device() else {
            return PollEvents::ERR;
        };
        let mut events = PollEvents::empty();
        if !self.state.lock().frames.is_empty() {
            events |= PollEvents::READABLE;
        }
        if stack.lock().devices.get(&ifindex).is_some_and(|dev| dev.is_up()) {
            events |= PollEvents::WRITABLE;
        }
        events
    }
    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.queue)
    }
    fn seekable(&self) -> bool {
        false
    }
    fn ioctl(&self, _: &OpenFile, task: &Arc<Task>, cmd: u32, arg: UserAddr) -> Result<usize> {
        let hal = &task.kernel().hal;
        let on = arg.0 != 0;
        match cmd {
            TUNGETFEATURES => {
                let features = IFF_TUN | IFF_TAP | IFF_NO_PI | IFF_ONE_QUEUE;
                hal.copy_to_user(arg, &u32::from(features).to_ne_bytes())?;
                return Ok(0);
            }
            TUNSETIFF => {
                let mut req = [0; IFREQ];
                hal.copy_from_user(&mut req, arg)?;
                req[IFNAMSIZ - 1] = 0;
                let end = req.iter().position(|&c| c == 0).unwrap_or(0);
                let name = core::str::from_utf8(&req[..end]).map_err(|_| err!(EINVAL))?;
                let done = self.set_iff(task, name, u16::from_ne_bytes([req[16], req[17]]))?;
                return put_iff(task, arg, &done);
            }
            _ => {}
        }
        self.device()?;
        match cmd {
            TUNGETIFF => put_iff(task, arg, &self.iff()?)?,
            // There is nothing to switch off.
            TUNSETNOCSUM => 0,
            TUNSETPERSIST => self.with_tun(|tun| tun.persist = on).map(|()| 0)?,
            TUNSETOWNER => {
                let owner = task.user_ns().make_kuid(Uid(arg.0 as u32));
                let owner = owner.ok_or(err!(EINVAL, "tun: no such user"))?;
                self.with_tun(|tun| tun.owner = Some(owner)).map(|()| 0)?
            }
            TUNSETGROUP => {
                let group = task.user_ns().make_kgid(Gid(arg.0 as u32));
                let group = group.ok_or(err!(EINVAL, "tun: no such group"))?;
                self.with_tun(|tun| tun.group = Some(group)).map(|()| 0)?
            }
            TUNSETOFFLOAD => {
                ensure!(!on, EINVAL, "tun: no offloads");
                0
            }
            _ => bail!(EINVAL, "tun: no such call"),
        };
        Ok(0)
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn put_iff(task: &Task, arg: UserAddr, (name, flags): &(String, u16)) -> Result<usize> {
    let mut req = [0; IFREQ];
    req[..name.len()].copy_from_slice(name.as_bytes());
    req[16..18].copy_from_slice(&flags.to_ne_bytes());
    task.kernel().hal.copy_to_user(arg, &req)?;
    Ok(0)
}

/// The flags that a new device has.
pub(super) fn device_flags(tun: &Tun) -> IfFlags {
    if tun.tap {
        IfFlags::BROADCAST | IfFlags::MULTICAST
    } else {
        IfFlags::POINTOPOINT | IfFlags::NOARP | IfFlags::MULTICAST
    }
}
