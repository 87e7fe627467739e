//! Network cards in the stack: `eth0` and so on, at first in the initial namespace.
//!
//! Model: a [`Nic`] knows in which namespace its device is, and the device knows its card. Frames go out in the
//! context of whoever sends; they come in by [`Nic::poll`], which the machine's interrupt causes, a bounded number
//! each time. A frame for which the card has no room is lost, and counted (`tx_dropped`).
//!
//! A card is not made and not removed: when its namespace dies it goes home ([`Nic::go_home`]).
//!
//! Locks: the place has a leaf lock, as a device moves while its stack is locked.

use alloc::boxed::Box;
use alloc::format;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use super::stack::device::{DevRef, Device, DeviceKind};
use super::stack::packet::Packet;
use super::stack::{Job, NetShared, NetStack, Run};
use crate::hal::{self, Hal};
use crate::sync::{SpinLock, class};
use crate::time::{Ktime, TimerCallback};

/// Frames that one run takes (Linux's `NAPI_POLL_WEIGHT`).
const WEIGHT: usize = 64;
/// Frames that one interrupt takes (`net.core.netdev_budget`); then others have their turn first.
const BUDGET: usize = 300;
/// How long the others have.
const PAUSE_NS: u64 = 100_000;

/// A card and where its device is.
pub struct Nic {
    port: Arc<dyn hal::Nic>,
    hal: Arc<dyn Hal>,
    shared: Weak<NetShared>,
    place: SpinLock<DevRef, class::Leaf>,
}

/// Makes a device in the initial namespace of every card that the machine has.
pub fn start(hal: &Arc<dyn Hal>, init: &Arc<NetStack>) {
    let cards = hal.nics().into_iter().map(|port| {
        let nic = Arc::new(Nic {
            port,
            hal: hal.clone(),
            shared: Arc::downgrade(&init.shared),
            place: SpinLock::default(),
        });
        let link = nic.port.link();
        init.with(|net| {
            let name = net.state.choose_name("eth%d");
            // There are not so many cards.
            let mut dev = Device::new(
                &name.unwrap_or_default(),
                DeviceKind::Nic(nic.clone()),
                nic.port.mac(),
            );
            dev.carrier = link;
            let ifindex = net.register(dev);
            *nic.place.lock() = DevRef {
                stack: Arc::downgrade(init),
                ifindex,
            };
        });
        nic
    });
    init.shared.set_nics(cards.collect());
}

impl Nic {
    /// Largest MTU.
    pub fn max_mtu(&self) -> u32 {
        self.port.max_mtu()
    }
    /// The address that the card was made with.
    pub fn mac(&self) -> [u8; 6] {
        self.port.mac()
    }
    /// Its parent's path below `/sys/devices`.
    pub fn path(&self) -> &str {
        self.port.path()
    }
    /// Names of its parent's bus and of the parent (`virtio`, `virtio0`).
    pub fn parent(&self) -> (&str, &str) {
        let name = self.path().rsplit('/').next().unwrap_or_default();
        (name.trim_end_matches(|c: char| c.is_ascii_digit()), name)
    }
    /// The device sends a frame; whether there was room for it. Called with the stack locked.
    pub fn send(&self, mut frame: Packet) -> bool {
        frame.complete();
        self.port.send(frame.data())
    }
    /// The device is somewhere else now.
    pub fn moved(&self, to: DevRef) {
        *self.place.lock() = to;
    }
    fn place(&self) -> Option<(Arc<NetStack>, u32)> {
        let place = self.place.lock();
        Some((place.stack.upgrade()?, place.ifindex))
    }

    /// Takes what came in. No lock is held.
    pub fn poll(self: &Arc<Self>) {
        for _ in 0..BUDGET.div_ceil(WEIGHT) {
            if !self.poll_some() {
                return;
            }
        }
        if let Some(shared) = self.shared.upgrade() {
            let at = shared.time.now().0 + PAUSE_NS;
            shared.timers.add(Ktime(at), self.clone());
        }
    }
    /// Whether there may be more.
    fn poll_some(&self) -> bool {
        let up = |(stack, ifindex): &(Arc<NetStack>, u32)| {
            let state = stack.lock();
            state.devices.get(ifindex).is_some_and(|dev| dev.is_up())
        };
        let place = self.place().filter(up);
        let mut run = Run::new();
        let mut take = |frame: &[u8]| {
            // Nobody pays for frames that come in; they must not use up what the kernel needs itself.
            if let Some((stack, ifindex)) = &place
                && !self.hal.reserve_is_low()
            {
                run.push(Job::Receive(stack.clone(), *ifindex, Packet::new(frame)));
            }
        };
        let more = (0..WEIGHT).all(|_| self.port.receive(&mut take));
        run.finish();
        more
    }

    /// The link came or went.
    pub fn link_changed(&self) {
        if let Some((stack, ifindex)) = self.place() {
            let on = self.port.link();
            stack.with(|net| net.carrier(ifindex, on));
        }
    }

    /// The device's namespace is gone: it goes to the initial one, down, and with another name if its own is taken
    /// there (Linux's `default_device_exit`).
    pub fn go_home(self: &Arc<Self>, mut dev: Box<Device>) {
        let Some(home) = self.shared.upgrade().and_then(|shared| shared.init_stack()) else {
            return;
        };
        dev.leave_namespace();
        home.with(|net| {
            let fallback = format!("dev{}", dev.ifindex);
            let names = [&dev.name, fallback.as_str(), "dev%d"];
            let free = names.iter().find_map(|name| net.state.choose_name(name).ok());
            if let Some(name) = free {
                dev.name = name;
                net.arrive(dev);
            }
        });
    }
}

impl TimerCallback for Nic {
    fn fire(self: Arc<Self>, _: Ktime) {
        self.poll();
    }
}

impl NetShared {
    /// Frames came in on some card. Called without locks.
    pub fn poll_nics(&self) {
        for nic in self.nics() {
            nic.poll();
        }
    }
    /// The link of some card came or went. Called without locks.
    pub fn nics_link(&self) {
        for nic in self.nics() {
            nic.link_changed();
        }
    }
}

/// The cards of a kernel.
pub type Cards = Vec<Arc<Nic>>;
