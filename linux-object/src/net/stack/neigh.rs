//! Neighbours: which link-layer address a network address has (`arp(7)`, RFC 4861).
//!
//! An entry is made when something is sent to an address. Packets wait in it until the answer comes; after
//! three questions without one they come back as unreachable. An answer makes the entry `REACHABLE` for
//! thirty seconds; then it is `STALE`, used on but asked again when it is.

use core::net::IpAddr;
use core::time::Duration;

use hashbrown::HashMap;
use smallvec::SmallVec;

use super::device::Mac;
use super::packet::Packet;
use super::{Event, Net};
use crate::time::Ktime;

/// `NUD_*`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
#[repr(u16)]
pub enum Nud {
    Incomplete = 1,
    Reachable = 2,
    Stale = 4,
    Delay = 8,
    Probe = 16,
    Failed = 32,
    Noarp = 64,
    Permanent = 128,
}

impl Nud {
    /// From the number.
    pub fn from_number(nr: u16) -> Option<Nud> {
        use Nud::*;
        [
            Incomplete, Reachable, Stale, Delay, Probe, Failed, Noarp, Permanent,
        ]
        .into_iter()
        .find(|&state| state as u16 == nr)
    }
}

/// `base_reachable_time`.
const REACHABLE_TIME: Duration = Duration::from_secs(30);
/// `delay_first_probe_time`.
const DELAY_FIRST_PROBE: Duration = Duration::from_secs(5);
/// `retrans_time`.
const RETRANS: Duration = Duration::from_secs(1);
/// `ucast_solicit` and `mcast_solicit`.
const PROBES: u8 = 3;
/// `unres_qlen`.
const QUEUE: usize = 101;
/// `gc_thresh3`.
const MAX_ENTRIES: usize = 1024;

/// What is known of a neighbour.
pub struct Neigh {
    state: Nud,
    /// Its link-layer address; meaningless while incomplete or failed.
    pub mac: Mac,
    /// When it was last heard to be there, changed, and used.
    pub confirmed: Ktime,
    /// When the entry changed.
    pub updated: Ktime,
    /// When it was last used.
    pub used: Ktime,
    probes: u8,
    deadline: Option<Ktime>,
    waiting: SmallVec<[Packet; 1]>,
}

impl Neigh {
    /// Its state now.
    pub fn state(&self, now: Ktime) -> Nud {
        match self.state {
            Nud::Reachable if now > self.confirmed + REACHABLE_TIME => Nud::Stale,
            state => state,
        }
    }
    /// Questions that were asked.
    pub fn probes(&self) -> u8 {
        self.probes
    }
    fn has_mac(&self) -> bool {
        !matches!(self.state, Nud::Incomplete | Nud::Failed)
    }
}

/// Device and address.
pub type NeighKey = (u32, IpAddr);

/// The neighbours of a namespace.
#[derive(Default)]
pub struct NeighTable {
    entries: HashMap<NeighKey, Neigh>,
}

impl NeighTable {
    /// Every entry.
    pub fn iter(&self) -> impl Iterator<Item = (&NeighKey, &Neigh)> {
        self.entries.iter()
    }
    /// One entry.
    pub fn get(&self, key: &NeighKey) -> Option<&Neigh> {
        self.entries.get(key)
    }
    /// Removes what `which` picks.
    pub fn forget(&mut self, mut which: impl FnMut(&NeighKey, &Neigh) -> bool) {
        self.entries.retain(|key, neigh| !which(key, neigh));
    }
    /// When something has to be done next.
    pub(super) fn deadline(&self) -> Option<Ktime> {
        self.entries.values().filter_map(|neigh| neigh.deadline).min()
    }

    fn entry(&mut self, key: NeighKey, now: Ktime) -> &mut Neigh {
        if self.entries.len() >= MAX_ENTRIES && !self.entries.contains_key(&key) {
            let oldest = self
                .entries
                .iter()
                .filter(|(_, neigh)| neigh.state != Nud::Permanent)
                .min_by_key(|(_, neigh)| neigh.used)
                .map(|(key, _)| *key);
            if let Some(oldest) = oldest {
                self.entries.remove(&oldest);
            }
        }
        self.entries.entry(key).or_insert_with(|| Neigh {
            state: Nud::Failed,
            mac: [0; 6],
            confirmed: now,
            updated: now,
            used: now,
            probes: 0,
            deadline: None,
            waiting: SmallVec::new(),
        })
    }
}

impl Net<'_> {
    /// Sends a network packet to a neighbour, now or when its address is known.
    pub(super) fn neigh_output(&mut self, ifindex: u32, next: IpAddr, packet: Packet) {
        let now = self.now();
        let key = (ifindex, next);
        let neigh = self.state.neigh.entry(key, now);
        neigh.used = now;
        neigh.state = neigh.state(now);
        match neigh.state {
            Nud::Incomplete => {
                if neigh.waiting.len() < QUEUE {
                    neigh.waiting.push(packet);
                }
                return;
            }
            Nud::Failed => {
                neigh.state = Nud::Incomplete;
                neigh.updated = now;
                neigh.probes = 1;
                neigh.deadline = Some(now + RETRANS);
                neigh.waiting.push(packet);
                self.stack.arm(self.state, now + RETRANS);
                self.solicit(ifindex, next, None);
                return;
            }
            Nud::Stale => {
                neigh.state = Nud::Delay;
                neigh.updated = now;
                neigh.probes = 0;
                neigh.deadline = Some(now + DELAY_FIRST_PROBE);
                let mac = neigh.mac;
                self.stack.arm(self.state, now + DELAY_FIRST_PROBE);
                self.eth_output(ifindex, mac, packet, next.is_ipv6());
                return;
            }
            _ => {}
        }
        let mac = neigh.mac;
        self.eth_output(ifindex, mac, packet, next.is_ipv6());
    }

    /// Asks who has the address; `to` only that one.
    fn solicit(&mut self, ifindex: u32, target: IpAddr, to: Option<Mac>) {
        match target {
            IpAddr::V4(target) => self.arp_request(ifindex, target, to),
            IpAddr::V6(target) => self.ndp_solicit(ifindex, target, to),
        }
    }

    /// Something was heard of a neighbour. `confirmed`: it answered us; `create`: worth an entry if there is none;
    /// `override_mac`: a new address takes the place of the old one.
    pub(super) fn neigh_update(
        &mut self,
        ifindex: u32,
        addr: IpAddr,
        mac: Mac,
        confirmed: bool,
        create: bool,
        override_mac: bool,
    ) {
        let now = self.now();
        let key = (ifindex, addr);
        if !create && !self.state.neigh.entries.contains_key(&key) {
            return;
        }
        let neigh = self.state.neigh.entry(key, now);
        if neigh.state == Nud::Permanent || neigh.state == Nud::Noarp {
            return;
        }
        let had_mac = neigh.has_mac();
        let changed = !had_mac || neigh.mac != mac;
        if had_mac && changed && !override_mac {
            // Another address without the right to replace ours makes it doubtful.
            if neigh.state == Nud::Reachable {
                neigh.state = Nud::Stale;
            }
            return;
        }
        neigh.mac = mac;
        if confirmed {
            neigh.state = Nud::Reachable;
            neigh.confirmed = now;
            neigh.deadline = None;
            neigh.probes = 0;
        } else if changed {
            neigh.state = Nud::Stale;
            neigh.deadline = None;
        }
        if changed {
            neigh.updated = now;
        }
        let waiting = core::mem::take(&mut neigh.waiting);
        if changed {
            self.event(Event::NewNeigh(ifindex, addr));
        }
        for packet in waiting {
            self.neigh_output(ifindex, addr, packet);
        }
    }

    /// Sets an entry by hand (`ip neigh add`).
    pub fn set_neigh(&mut self, ifindex: u32, addr: IpAddr, mac: Mac, state: Nud) {
        let now = self.now();
        let neigh = self.state.neigh.entry((ifindex, addr), now);
        neigh.mac = mac;
        neigh.state = state;
        neigh.confirmed = now;
        neigh.updated = now;
        neigh.deadline = None;
        let waiting = core::mem::take(&mut neigh.waiting);
        self.event(Event::NewNeigh(ifindex, addr));
        for packet in waiting {
            self.neigh_output(ifindex, addr, packet);
        }
    }

    /// Does what is due: asks again, gives up.
    pub(super) fn neigh_timer(&mut self) {
        let now = self.now();
        let due: SmallVec<[NeighKey; 4]> = self
            .state
            .neigh
            .entries
            .iter()
            .filter(|(_, neigh)| neigh.deadline.is_some_and(|at| at <= now))
            .map(|(key, _)| *key)
            .collect();
        for key in due {
            let Some(neigh) = self.state.neigh.entries.get_mut(&key) else {
                continue;
            };
            neigh.deadline = None;
            let ask = match neigh.state {
                Nud::Incomplete => neigh.probes < PROBES,
                Nud::Delay if now <= neigh.confirmed + REACHABLE_TIME => {
                    neigh.state = Nud::Reachable;
                    continue;
                }
                Nud::Delay => {
                    neigh.state = Nud::Probe;
                    true
                }
                Nud::Probe => neigh.probes < PROBES,
                _ => continue,
            };
            if ask {
                neigh.probes += 1;
                neigh.deadline = Some(now + RETRANS);
                let to = (neigh.state == Nud::Probe).then_some(neigh.mac);
                self.solicit(key.0, key.1, to);
                continue;
            }
            neigh.state = Nud::Failed;
            neigh.updated = now;
            neigh.probes = 0;
            let waiting = core::mem::take(&mut neigh.waiting);
            self.event(Event::NewNeigh(key.0, key.1));
            for packet in waiting {
                self.unreachable(packet, key.1.is_ipv6());
            }
        }
        if let Some(next) = self.state.neigh.deadline() {
            self.stack.arm(self.state, next);
        }
    }
}
