//! Groups: which a device is in, who is a member, and what the network is told (`igmp`, `mld`).
//!
//! Model: a device has the groups of each family ([`Groups`]), a group ([`Group`]) counts its members: sockets, and
//! for a few the stack itself (all hosts, all nodes, the nodes solicited for an own address). A packet to a group is
//! taken only if a member wants its source. Joining sends nothing; it leaves changes, which the stack's timer tells,
//! repeats and forgets. A device that is down is in its groups but listens to none of their link-layer addresses.
//!
//! Invariants: a group without members is gone, though what has to be told of it may be left in `Groups::gone`;
//! a change that is not told yet has a time (`change_at`).
//!
//! Locks: all of it is behind the stack's lock.
//!
//! RFC 3376 and RFC 2236 for IPv4, RFC 3810 and RFC 2710 for IPv6; a querier of an older version is obeyed for as
//! long as the documents say.

mod group;
mod igmp;
mod mld;

pub use group::{Filter, Group, Mode, Record, RecordKind};

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;

use super::Net;
use super::conf::ConfKey;
use super::device::{Device, IfFlags, Mac};
use crate::error::Result;
use crate::time::Ktime;
use crate::{ensure, err};

/// 224.0.0.1: every device that is up is in it.
const ALL_HOSTS: IpAddr = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 1));
const INTERFACE_NODES: Ipv6Addr = Ipv6Addr::new(0xff01, 0, 0, 0, 0, 0, 0, 1);
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// All routers, of the interface, the link and the site.
const ROUTERS: [Ipv6Addr; 3] = [
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2),
    Ipv6Addr::new(0xff01, 0, 0, 0, 0, 0, 0, 2),
    Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 0, 2),
];
/// Before the first report of a change: several changes are told as one.
pub(super) const SOON: Duration = Duration::from_millis(8);
/// A change is told again within this time.
const UNSOLICITED: Duration = Duration::from_secs(1);
/// The same of a version before the last.
const UNSOLICITED_OLD: Duration = Duration::from_secs(10);

/// A group of a device, and when something is due about it.
pub struct Member {
    /// The group.
    pub group: Group,
    /// Which of the device's groups came first.
    born: u64,
    /// The device listens to its link-layer address.
    loaded: bool,
    /// When a query about it, or a join in an old version, is answered.
    timer: Option<Ktime>,
    /// How many more reports of an old version nobody asked for.
    unsolicited: u8,
    /// The sources that the query is about.
    asked: Vec<IpAddr>,
    /// The last report on the network was ours.
    reporter: bool,
}

/// The groups of one family that a device is in.
#[derive(Default)]
pub struct Groups {
    members: BTreeMap<IpAddr, Member>,
    /// What has to be told of groups that are left.
    gone: Vec<Group>,
    change_at: Option<Ktime>,
    answer_at: Option<Ktime>,
    /// A querier of version 1 and of version 2 was heard; it counts until then.
    old: [Option<Ktime>; 2],
}

impl Groups {
    /// The groups, the newest first.
    pub fn list(&self) -> Vec<&Member> {
        let mut list: Vec<&Member> = self.members.values().collect();
        list.sort_by_key(|member| core::cmp::Reverse(member.born));
        list
    }
    /// How many there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
    /// The version that is spoken; `last` if no older querier was heard.
    pub fn version(&self, now: Ktime, last: u8) -> u8 {
        let heard = |at: &Option<Ktime>| at.is_some_and(|until| until > now);
        let old = self.old.iter().position(heard);
        old.map_or(last, |at| at as u8 + 1)
    }
    fn due(&self) -> Option<Ktime> {
        let timers = self.members.values().filter_map(|member| member.timer);
        timers.chain(self.change_at).chain(self.answer_at).min()
    }
}

impl Member {
    /// When a report is due.
    pub fn timer(&self) -> Option<Ktime> {
        self.timer
    }
    /// Whether the device listens to its link-layer address.
    pub fn is_loaded(&self) -> bool {
        self.loaded
    }
    /// Whether it is never reported.
    pub fn is_silent(&self) -> bool {
        silent(self.group.addr)
    }
    /// Whether the last report on the network was ours.
    pub fn is_reporter(&self) -> bool {
        self.reporter
    }
}

/// Groups that nobody reports: those that everybody is in, and what stays within the host.
fn silent(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(_) => addr == ALL_HOSTS,
        IpAddr::V6(addr) => addr == ALL_NODES || addr.octets()[1] & 15 < 2,
    }
}

/// The link-layer address of a group.
pub fn mac_of(group: IpAddr) -> Mac {
    match group {
        IpAddr::V4(addr) => {
            let [_, b, c, d] = addr.octets();
            [1, 0, 0x5e, b & 0x7f, c, d]
        }
        IpAddr::V6(addr) => {
            let o = addr.octets();
            [0x33, 0x33, o[12], o[13], o[14], o[15]]
        }
    }
}

impl Device {
    /// Its groups of a family.
    pub fn groups(&self, v6: bool) -> &Groups {
        &self.groups[v6 as usize]
    }
    /// In no group but those that every node of IPv6 is in.
    pub(super) fn reset_groups(&mut self) {
        self.groups = Default::default();
        self.added_macs = Vec::new();
        if self.mtu < 1280 {
            return;
        }
        for addr in [INTERFACE_NODES, ALL_NODES].map(IpAddr::V6) {
            self.insert_group(addr);
            if let Some(member) = self.groups[1].members.get_mut(&addr) {
                member.group.add(&Filter::ALL);
                member.group.changes = Default::default();
            }
        }
    }
    fn insert_group(&mut self, addr: IpAddr) {
        self.born += 1;
        let groups = &mut self.groups[addr.is_ipv6() as usize];
        // Left and joined again before that was told: what is told begins there.
        let back = groups.gone.iter().position(|gone| gone.addr == addr);
        let group = back.map_or_else(|| Group::new(addr), |at| groups.gone.swap_remove(at));
        let member = Member {
            group,
            born: self.born,
            loaded: true,
            timer: None,
            unsolicited: 0,
            asked: Vec::new(),
            reporter: false,
        };
        groups.members.insert(addr, member);
    }
    /// The link-layer addresses of groups that it listens to, with how many share each, the oldest first, and whether
    /// a program added it.
    pub fn multicast_macs(&self) -> Vec<(Mac, u32, bool)> {
        let mut macs: Vec<(Mac, u32, bool)> = Vec::new();
        // Only what has such addresses: an Ethernet.
        if self.arphrd() != 1 {
            return macs;
        }
        let mut members: Vec<&Member> = Vec::new();
        for groups in &self.groups {
            let heard = |member: &&Member| {
                member.loaded && !matches!(member.group.addr, IpAddr::V6(addr) if addr.octets()[1] & 15 < 2)
            };
            members.extend(groups.members.values().filter(heard));
        }
        members.sort_by_key(|member| member.born);
        let of_groups = members.iter().map(|member| (mac_of(member.group.addr), false));
        for (mac, added) in of_groups.chain(self.added_macs.iter().map(|mac| (*mac, true))) {
            match macs.iter_mut().find(|(have, ..)| *have == mac) {
                Some((_, users, already)) => (*users, *already) = (*users + 1, *already | added),
                None => macs.push((mac, 1, added)),
            }
        }
        macs
    }
    /// A program adds the link-layer address of a group (`SIOCADDMULTI`); once more makes no difference. `EINVAL`:
    /// the device listens to no groups.
    pub fn add_mac(&mut self, mac: Mac) -> Result<()> {
        self.takes_macs()?;
        if !self.added_macs.contains(&mac) {
            let room = self.added_macs.try_reserve(1);
            room.map_err(|_| err!(ENOMEM, "no room for the address"))?;
            self.added_macs.push(mac);
        }
        Ok(())
    }
    /// A program takes one back. `ENOENT`: none did add it.
    pub fn drop_mac(&mut self, mac: Mac) -> Result<()> {
        self.takes_macs()?;
        let at = self.added_macs.iter().position(|have| *have == mac);
        self.added_macs
            .remove(at.ok_or(err!(ENOENT, "no program added the address"))?);
        Ok(())
    }
    fn takes_macs(&self) -> Result<()> {
        let fine = self.arphrd() == 1;
        ensure!(fine, EINVAL, "the device does not choose what it listens to");
        Ok(())
    }
}

impl Net<'_> {
    fn groups_mut(&mut self, ifindex: u32, v6: bool) -> Option<&mut Groups> {
        Some(&mut self.device_mut(ifindex)?.groups[v6 as usize])
    }
    fn within(&self, most: Duration) -> Duration {
        let nanos = most.as_nanos().max(1) as u64;
        Duration::from_nanos(self.stack.shared.rng.next_u64() % nanos)
    }

    /// Adds a member that wants what `filter` says.
    pub fn join_group(&mut self, ifindex: u32, addr: IpAddr, filter: &Filter) {
        let v6 = addr.is_ipv6();
        let Some(dev) = self.device_mut(ifindex) else {
            return;
        };
        let is_new = !dev.groups[v6 as usize].members.contains_key(&addr);
        if is_new {
            dev.insert_group(addr);
        }
        if let Some(member) = dev.groups[v6 as usize].members.get_mut(&addr) {
            member.group.add(filter);
        }
        self.group_changed(ifindex, addr, is_new);
    }

    /// Takes a member out.
    pub fn leave_group(&mut self, ifindex: u32, addr: IpAddr, filter: &Filter) {
        let v6 = addr.is_ipv6();
        let now = self.now();
        let Some(groups) = self.groups_mut(ifindex, v6) else {
            return;
        };
        let Some(member) = groups.members.get_mut(&addr) else {
            return;
        };
        member.group.remove(filter);
        if member.group.users > 0 {
            self.group_changed(ifindex, addr, false);
            return;
        }
        let old = groups.version(now, 3) < if v6 { 2 } else { 3 };
        if let Some(member) = groups.members.remove(&addr) {
            if !old && !silent(addr) {
                groups.gone.push(member.group);
            } else if member.reporter {
                self.old_leave(ifindex, addr);
            }
        }
        self.changes_wait(ifindex, v6);
    }

    /// A member of a group wants something else.
    pub fn change_group(&mut self, ifindex: u32, addr: IpAddr, old: &Filter, new: &Filter) {
        if let Some(groups) = self.groups_mut(ifindex, addr.is_ipv6())
            && let Some(member) = groups.members.get_mut(&addr)
        {
            member.group.change(old, new);
            self.group_changed(ifindex, addr, false);
        }
    }

    fn group_changed(&mut self, ifindex: u32, addr: IpAddr, is_new: bool) {
        let v6 = addr.is_ipv6();
        let now = self.now();
        let up = self.device(ifindex).is_some_and(|dev| dev.is_up());
        let Some(groups) = self.groups_mut(ifindex, v6) else {
            return;
        };
        let version = groups.version(now, 3);
        let Some(member) = groups.members.get_mut(&addr) else {
            return;
        };
        if silent(addr) || !up {
            member.group.changes = Default::default();
        } else if version < if v6 { 2 } else { 3 } {
            // The old versions know no sources: a group is joined or not.
            member.group.changes = Default::default();
            if is_new {
                member.unsolicited = group::ROBUSTNESS - 1;
                member.timer = Some(now + SOON);
                self.arm_groups(ifindex, v6);
            }
        } else {
            self.changes_wait(ifindex, v6);
        }
    }

    /// If there is something to tell, it is told soon.
    fn changes_wait(&mut self, ifindex: u32, v6: bool) {
        let at = self.now() + SOON;
        let Some(groups) = self.groups_mut(ifindex, v6) else {
            return;
        };
        let waits = |group: &Group| !group.changes.is_empty();
        groups.gone.retain(waits);
        if !groups.gone.is_empty() || groups.members.values().any(|member| waits(&member.group)) {
            groups.change_at = Some(groups.change_at.map_or(at, |have| have.min(at)));
        }
        self.arm_groups(ifindex, v6);
    }

    fn arm_groups(&mut self, ifindex: u32, v6: bool) {
        let due = self.device(ifindex).and_then(|dev| dev.groups(v6).due());
        if let Some(due) = due {
            self.stack.arm(self.state, due);
        }
    }

    /// Whether a packet from `src` to a group is wanted on a device; messages about the group itself are, from
    /// everybody.
    pub(super) fn is_member(&self, ifindex: u32, group: IpAddr, src: IpAddr, about: bool) -> bool {
        let groups = self.device(ifindex).map(|dev| dev.groups(group.is_ipv6()));
        let member = groups.and_then(|groups| groups.members.get(&group));
        member.is_some_and(|member| about || member.group.allows(src))
    }

    /// A device has come to the namespace: if it forwards IPv6, it is one of the routers.
    pub(super) fn groups_begin(&mut self, ifindex: u32) {
        let many = |dev: &Device| dev.set_flags.contains(IfFlags::MULTICAST);
        if self.device(ifindex).is_some_and(many) && self.conf_of(ifindex, ConfKey::Forwarding6) != 0 {
            self.join_group(ifindex, ROUTERS[0].into(), &Filter::ALL);
        }
    }

    /// The device forwards IPv6 now, or no longer: it is one of the routers.
    pub(super) fn routers(&mut self, ifindex: u32, on: bool) {
        let many = |dev: &Device| dev.set_flags.contains(IfFlags::MULTICAST);
        if !self.device(ifindex).is_some_and(many) {
            return;
        }
        for addr in ROUTERS {
            match on {
                true => self.join_group(ifindex, addr.into(), &Filter::ALL),
                false => self.leave_group(ifindex, addr.into(), &Filter::ALL),
            }
        }
    }

    /// A device of IPv4 is up.
    pub(super) fn groups_up4(&mut self, ifindex: u32) {
        self.join_group(ifindex, ALL_HOSTS, &Filter::ALL);
        self.load_groups(ifindex, false);
    }

    /// A device can carry IPv6 now.
    pub(super) fn groups_up6(&mut self, ifindex: u32) {
        self.load_groups(ifindex, true);
    }

    /// Listens to the groups of a device and tells of all of them.
    fn load_groups(&mut self, ifindex: u32, v6: bool) {
        let Some(groups) = self.groups_mut(ifindex, v6) else {
            return;
        };
        let addrs: Vec<IpAddr> = groups.members.keys().copied().collect();
        for member in groups.members.values_mut() {
            member.loaded = true;
            if !silent(member.group.addr) {
                member.group.tell_again();
            }
        }
        for addr in addrs {
            self.group_changed(ifindex, addr, true);
        }
    }

    /// A device is down: it hears nothing and says nothing.
    pub(super) fn groups_down(&mut self, ifindex: u32) {
        self.leave_group(ifindex, ALL_HOSTS, &Filter::ALL);
        let Some(dev) = self.device_mut(ifindex) else {
            return;
        };
        for groups in &mut dev.groups {
            groups.gone.clear();
            groups.change_at = None;
            groups.answer_at = None;
            groups.old = [None; 2];
            for member in groups.members.values_mut() {
                member.loaded = false;
                member.timer = None;
                member.group.changes = Default::default();
            }
        }
    }

    /// What is due about groups.
    pub(super) fn groups_timer(&mut self) {
        let now = self.now();
        let due = |dev: &&alloc::boxed::Box<Device>| dev.groups.iter().any(|groups| groups.due().is_some());
        let devices: Vec<u32> = self
            .state
            .devices
            .values()
            .filter(due)
            .map(|dev| dev.ifindex)
            .collect();
        for ifindex in devices {
            for v6 in [false, true] {
                self.groups_due(ifindex, v6, now);
                self.arm_groups(ifindex, v6);
            }
        }
    }

    fn groups_due(&mut self, ifindex: u32, v6: bool, now: Ktime) {
        let again = now + SOON + self.within(UNSOLICITED);
        let later = now + self.within(UNSOLICITED_OLD);
        let Some(groups) = self.groups_mut(ifindex, v6) else {
            return;
        };
        let is_due = |at: Option<Ktime>| at.is_some_and(|at| at <= now);
        let old = groups.version(now, 3) < if v6 { 2 } else { 3 };
        let mut records = Vec::new();
        if is_due(groups.change_at) {
            groups.change_at = None;
            let members = groups.members.values_mut().map(|member| &mut member.group);
            for group in groups.gone.iter_mut().chain(members) {
                let filter = group.filter();
                records.extend(group.changes.take(group.addr, &filter));
                if !group.changes.is_empty() {
                    groups.change_at = Some(again);
                }
            }
            groups.gone.retain(|group| !group.changes.is_empty());
        }
        let mut answers = Vec::new();
        if is_due(groups.answer_at) {
            groups.answer_at = None;
            let told = groups
                .members
                .values()
                .filter(|member| !silent(member.group.addr));
            answers.extend(told.filter_map(|member| member.group.answer(&[])));
        }
        let mut reports = Vec::new();
        for member in groups.members.values_mut().filter(|member| is_due(member.timer)) {
            member.timer = None;
            if old {
                member.reporter = true;
                reports.push(member.group.addr);
                if member.unsolicited > 0 {
                    member.unsolicited -= 1;
                    member.timer = Some(later);
                }
            } else {
                let asked = core::mem::take(&mut member.asked);
                answers.extend(member.group.answer(&asked));
            }
        }
        for records in [records, answers] {
            if !records.is_empty() {
                match v6 {
                    false => self.igmp_report(ifindex, &records),
                    true => self.mld_report(ifindex, &records),
                }
            }
        }
        for group in reports {
            match group {
                IpAddr::V4(group) => self.igmp_old(ifindex, group, false),
                IpAddr::V6(group) => self.mld_old(ifindex, group, false),
            }
        }
    }

    fn old_leave(&mut self, ifindex: u32, group: IpAddr) {
        match group {
            IpAddr::V4(group) => self.igmp_old(ifindex, group, true),
            IpAddr::V6(group) => self.mld_old(ifindex, group, true),
        }
    }

    /// Somebody else has reported a group in an old version: that is enough.
    fn heard_report(&mut self, ifindex: u32, group: IpAddr) {
        if let Some(groups) = self.groups_mut(ifindex, group.is_ipv6())
            && let Some(member) = groups.members.get_mut(&group)
        {
            member.timer = None;
            member.reporter = false;
        }
    }

    /// A querier asks: about `group`, or all if it is unspecified; to be answered within `time`.
    fn heard_query(&mut self, ifindex: u32, query: Query) {
        let Query {
            group,
            old,
            time,
            sources,
        } = query;
        let v6 = group.is_ipv6();
        let now = self.now();
        let (at, answer_at) = (now + self.within(time), now + self.within(time));
        let Some(groups) = self.groups_mut(ifindex, v6) else {
            return;
        };
        if let Some((version, until)) = old {
            groups.old[version as usize - 1] = Some(until);
            groups.change_at = None;
            groups.answer_at = None;
            groups.gone.clear();
            for member in groups.members.values_mut() {
                member.group.changes = Default::default();
            }
        } else if group.is_unspecified() && groups.version(now, 3) >= if v6 { 2 } else { 3 } {
            let sooner = groups.answer_at.is_none_or(|have| have > answer_at);
            if sooner {
                groups.answer_at = Some(answer_at);
            }
            self.arm_groups(ifindex, v6);
            return;
        }
        for member in groups.members.values_mut() {
            let asked = group.is_unspecified() || member.group.addr == group;
            if !asked || silent(member.group.addr) {
                continue;
            }
            match member.timer {
                Some(have) if have <= at => {}
                _ => member.timer = Some(at),
            }
            member.asked.clone_from(&sources);
        }
        self.arm_groups(ifindex, v6);
    }
}

/// What a querier wants to know.
struct Query {
    group: IpAddr,
    /// It speaks this old version, and counts until then.
    old: Option<(u8, Ktime)>,
    time: Duration,
    sources: Vec<IpAddr>,
}

/// How long the querier of an old version counts: twice the usual interval, and an answer.
const OLD_QUERIER: Duration = Duration::from_secs(2 * 125 + 10);

/// A number of a query as a float of 8 bits (RFC 3376, 4.1.1) or of 16 (RFC 3810, 5.1.3).
fn expand(code: u32, bits: u32) -> u32 {
    let top = 1 << (bits - 1);
    if code < top {
        return code;
    }
    let mantissa_bits = bits - 4;
    let mantissa = code & ((1 << mantissa_bits) - 1);
    let exponent = code >> mantissa_bits & 7;
    (mantissa | 1 << mantissa_bits) << (exponent + 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_small_floats() {
        assert_eq!(expand(127, 8), 127);
        assert_eq!(expand(0x80, 8), 128);
        assert_eq!(expand(0xff, 8), 31744);
        assert_eq!(expand(10000, 16), 10000);
        assert_eq!(expand(0x8000, 16), 32768);
    }

    #[test]
    fn groups_have_link_layer_addresses() {
        assert_eq!(mac_of(IpAddr::from([239, 129, 2, 3])), [1, 0, 0x5e, 1, 2, 3]);
        assert_eq!(mac_of(ALL_NODES.into()), [0x33, 0x33, 0, 0, 0, 1]);
    }
}
