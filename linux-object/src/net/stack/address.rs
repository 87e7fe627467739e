//! Addresses of devices, and the routes that come and go with them.
//!
//! An address has a route of type `local`; while its device is up it also has one for its network, and for IPv4 one
//! for its broadcast address, as Linux's `fib_add_ifaddr` and `addrconf_prefix_route` make them. When a device goes
//! down, IPv4 addresses stay with their local routes, IPv6 addresses go.

use alloc::string::String;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;

use super::conf::ConfKey;
use super::device::{Device, IfFlags};
use super::ip6::solicited_node;
use super::mcast::Filter;
use super::route::{Route, RouteType, key, mask, protocol, scope, table};
use super::{Event, Net};
use crate::error::Result;
use crate::time::Ktime;
use crate::{bail, ensure, err};

bitflags::bitflags! {
    /// `IFA_F_*`.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    #[allow(missing_docs)]
    pub struct IfaFlags: u32 {
        const SECONDARY = 1;
        const NODAD = 2;
        const OPTIMISTIC = 4;
        const DADFAILED = 8;
        const HOMEADDRESS = 0x10;
        const DEPRECATED = 0x20;
        const TENTATIVE = 0x40;
        const PERMANENT = 0x80;
        const MANAGETEMPADDR = 0x100;
        const NOPREFIXROUTE = 0x200;
        const _ = !0;
    }
}

/// A lifetime without end.
pub const FOREVER: u32 = u32::MAX;

/// An address of a device.
#[derive(Clone, Debug)]
pub struct IfAddr {
    /// The address itself (`IFA_LOCAL`).
    pub addr: IpAddr,
    /// The other end of a point-to-point link, else `addr` (`IFA_ADDRESS`).
    pub peer: IpAddr,
    /// Bits of the network.
    pub prefix: u8,
    /// `RT_SCOPE_*`.
    pub scope: u8,
    /// Flags.
    pub flags: IfaFlags,
    /// The broadcast address.
    pub broadcast: Option<Ipv4Addr>,
    /// `IFA_LABEL`, IPv4 only.
    pub label: String,
    /// Seconds from `stamp` that it is valid and preferred.
    pub valid: u32,
    /// Seconds from `stamp`.
    pub preferred: u32,
    /// The metric of its network route, 0 for the default.
    pub metric: u32,
    /// When it was made and last changed.
    pub created: Ktime,
    /// When it was last changed.
    pub stamp: Ktime,
    /// When the next step of the check for a duplicate is due.
    pub dad_until: Option<Ktime>,
    /// The question has been asked with this.
    pub dad_nonce: Option<[u8; 6]>,
}

impl IfAddr {
    /// An address that stays.
    pub fn new(addr: IpAddr, prefix: u8, scope: u8, now: Ktime) -> IfAddr {
        IfAddr {
            addr,
            peer: addr,
            prefix,
            scope,
            flags: IfaFlags::PERMANENT,
            broadcast: None,
            label: String::new(),
            valid: FOREVER,
            preferred: FOREVER,
            metric: 0,
            created: now,
            stamp: now,
            dad_until: None,
            dad_nonce: None,
        }
    }
    /// Sets its lifetimes in seconds from `stamp`.
    pub fn live(&mut self, valid: u32, preferred: u32) {
        (self.valid, self.preferred) = (valid, preferred);
        self.flags.set(IfaFlags::PERMANENT, valid == FOREVER);
        self.flags.set(IfaFlags::DEPRECATED, preferred == 0);
    }
    /// Whether packets may come from it.
    pub fn usable(&self) -> bool {
        !self.flags.intersects(IfaFlags::TENTATIVE | IfaFlags::DADFAILED)
            || self.flags.contains(IfaFlags::OPTIMISTIC)
    }
    /// Whether both are in the same network, as IPv4's primary and secondary addresses are.
    fn same_network(&self, other: &IfAddr) -> bool {
        self.prefix == other.prefix
            && self.peer.is_ipv4() == other.peer.is_ipv4()
            && (key(self.peer) ^ key(other.peer)) & mask(self.prefix) == 0
    }
}

/// The scope that an IPv6 address has by itself.
pub fn scope6(addr: Ipv6Addr) -> u8 {
    match addr {
        Ipv6Addr::LOCALHOST => scope::HOST,
        _ if addr.is_unicast_link_local() || addr.is_multicast() && addr.octets()[1] & 15 == 2 => scope::LINK,
        _ if addr.segments()[0] & 0xffc0 == 0xfec0 => scope::SITE,
        _ => scope::UNIVERSE,
    }
}

/// The link-local address that a device makes from its MAC address (RFC 4291).
pub fn link_local(mac: [u8; 6]) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac;
    let word = |high: u8, low: u8| (high as u16) << 8 | low as u16;
    Ipv6Addr::new(
        0xfe80,
        0,
        0,
        0,
        word(a ^ 2, b),
        word(c, 0xff),
        word(0xfe, d),
        word(e, f),
    )
}

impl Net<'_> {
    /// Adds an address. `EEXIST`: the device has it.
    pub fn add_addr(&mut self, ifindex: u32, mut new: IfAddr) -> Result<()> {
        let dev = self.state.devices.get_mut(&ifindex).ok_or(err!(ENODEV))?;
        if dev.addrs.iter().any(|have| {
            have.addr == new.addr
                && (new.addr.is_ipv6() || have.prefix == new.prefix && have.peer == new.peer)
        }) {
            bail!(EEXIST, "the device has this address");
        }
        if new.addr.is_ipv4() {
            if new.label.is_empty() {
                new.label = dev.name.clone();
            }
            let secondary = dev.addrs.iter().any(|have| have.same_network(&new));
            new.flags.set(IfaFlags::SECONDARY, secondary);
        }
        // IPv6 addresses stand by scope, the newest first (Linux's `ipv6_link_dev_addr`).
        let after = |have: &IfAddr| have.addr.is_ipv6() && have.scope >= new.scope;
        let at = dev
            .addrs
            .iter()
            .position(|have| new.addr.is_ipv6() && after(have));
        dev.addrs.insert(at.unwrap_or(dev.addrs.len()), new.clone());
        let (up, loopback) = (dev.is_up(), dev.is_loopback());
        if new.addr.is_ipv6()
            && !loopback
            && !new.flags.contains(IfaFlags::NODAD)
            && let Some(have) = self.addr_mut(ifindex, new.addr)
        {
            have.flags |= IfaFlags::TENTATIVE;
        }
        self.solicited_group(ifindex, new.addr, true);
        self.add_addr_routes(ifindex, &new);
        if up && new.addr.is_ipv6() {
            self.start_dad(ifindex, new.addr);
        }
        self.event(Event::NewAddr(ifindex, new.addr));
        if Self::ages(&new) {
            self.lifetime_timer();
        }
        Ok(())
    }

    /// Whether the address counts its lifetimes down. Permanent ones do not, but for IPv6 what they are preferred.
    fn ages(addr: &IfAddr) -> bool {
        let preferred = addr.addr.is_ipv6() && addr.preferred != FOREVER;
        !addr.flags.contains(IfaFlags::PERMANENT) || preferred
    }

    /// Addresses that are preferred no more are deprecated, those that are not valid any more go.
    pub(super) fn lifetime_timer(&mut self) {
        let now = self.now();
        let mut next: Option<Ktime> = None;
        let mut old = alloc::vec::Vec::new();
        let mut gone = alloc::vec::Vec::new();
        for dev in self.state.devices.values_mut() {
            let ifindex = dev.ifindex;
            for addr in dev.addrs.iter_mut().filter(|addr| Self::ages(addr)) {
                let at = |seconds: u32| addr.stamp + Duration::from_secs(seconds.into());
                let mut due = |at: Ktime| next = Some(next.map_or(at, |have| have.min(at)));
                if addr.valid != FOREVER {
                    if at(addr.valid) <= now {
                        gone.push((ifindex, addr.addr, addr.prefix));
                        continue;
                    }
                    due(at(addr.valid));
                }
                if addr.preferred == FOREVER || addr.flags.contains(IfaFlags::DEPRECATED) {
                    continue;
                }
                if at(addr.preferred) <= now {
                    addr.flags |= IfaFlags::DEPRECATED;
                    old.push((ifindex, addr.addr));
                } else {
                    due(at(addr.preferred));
                }
            }
        }
        for (ifindex, addr) in old {
            self.event(Event::NewAddr(ifindex, addr));
        }
        for (ifindex, addr, prefix) in gone {
            let _ = self.del_addr(ifindex, addr, prefix);
        }
        if let Some(next) = next {
            self.stack.arm(self.state, next);
        }
    }

    /// Sets how long an address of a device is valid and preferred, from now on.
    pub fn set_lifetimes(&mut self, ifindex: u32, addr: IpAddr, valid: u32, preferred: u32) {
        let now = self.now();
        let Some(have) = self.addr_mut(ifindex, addr) else {
            return;
        };
        have.stamp = now;
        have.live(valid, preferred);
        self.event(Event::NewAddr(ifindex, addr));
        self.lifetime_timer();
    }

    /// The device's address, to change it.
    pub(super) fn addr_mut(&mut self, ifindex: u32, addr: IpAddr) -> Option<&mut IfAddr> {
        let dev = self.state.devices.get_mut(&ifindex)?;
        dev.addrs.iter_mut().find(|have| have.addr == addr)
    }

    /// Removes an address. Secondary IPv4 addresses go with their primary one; with `promote_secondaries` the
    /// first of them takes its place.
    pub fn del_addr(&mut self, ifindex: u32, addr: IpAddr, prefix: u8) -> Result<()> {
        let promote = self.conf_max(ifindex, ConfKey::PromoteSecondaries) > 0;
        let mut promoted = None;
        let dev = self.state.devices.get_mut(&ifindex).ok_or(err!(ENODEV))?;
        let at = dev
            .addrs
            .iter()
            .position(|have| have.addr == addr && have.prefix == prefix);
        let at = at.ok_or(err!(EADDRNOTAVAIL, "the device has no such address"))?;
        let gone = dev.addrs.remove(at);
        let primary = gone.addr.is_ipv4() && !gone.flags.contains(IfaFlags::SECONDARY);
        let mut all = alloc::vec![gone];
        if primary && promote {
            let first = all[0].clone();
            let next = dev
                .addrs
                .iter_mut()
                .find(|have| have.addr.is_ipv4() && have.same_network(&first));
            if let Some(next) = next {
                next.flags -= IfaFlags::SECONDARY;
                promoted = Some(next.clone());
            }
        } else if primary {
            let first = all[0].clone();
            let mut kept = smallvec::SmallVec::new();
            for have in core::mem::take(&mut dev.addrs) {
                if have.addr.is_ipv4() && have.same_network(&first) {
                    all.push(have);
                } else {
                    kept.push(have);
                }
            }
            dev.addrs = kept;
        }
        for gone in all.into_iter().rev() {
            self.solicited_group(ifindex, gone.addr, false);
            self.event_addr_gone(ifindex, &gone);
            self.del_addr_routes(ifindex, &gone);
        }
        if let Some(next) = promoted {
            // Its network's route came with the one that is gone.
            self.add_addr_routes(ifindex, &next);
            self.event(Event::NewAddr(ifindex, next.addr));
        }
        Ok(())
    }

    fn addr_route(&self, ifindex: u32, addr: &IfAddr, dst: IpAddr, prefix: u8, kind: RouteType) -> Route {
        let v4 = addr.addr.is_ipv4();
        Route {
            dst: key(dst) & mask(prefix),
            prefix,
            tos: 0,
            table: match kind {
                RouteType::Unicast => table::MAIN,
                _ => table::LOCAL,
            },
            kind,
            scope: match kind {
                _ if !v4 => scope::UNIVERSE,
                RouteType::Local => scope::HOST,
                _ => scope::LINK,
            },
            protocol: protocol::KERNEL,
            metric: match kind {
                _ if v4 => addr.metric,
                RouteType::Unicast | RouteType::Multicast if addr.metric == 0 => 256,
                RouteType::Unicast => addr.metric,
                _ => 0,
            },
            oif: ifindex,
            gateway: None,
            prefsrc: v4.then_some(addr.addr),
            mtu: 0,
            onlink: false,
        }
    }

    /// The routes that belong to an address.
    fn addr_routes(&self, ifindex: u32, addr: &IfAddr) -> alloc::vec::Vec<Route> {
        let mut routes = alloc::vec::Vec::new();
        let dev = self.device(ifindex);
        let (loopback, up) = dev.map_or((false, false), |dev| (dev.is_loopback(), dev.is_up()));
        let mut add = |dst, prefix, kind| routes.push(self.addr_route(ifindex, addr, dst, prefix, kind));
        match addr.addr {
            IpAddr::V4(_) => {
                add(addr.addr, 32, RouteType::Local);
                if !up {
                    return routes;
                }
                if let Some(broadcast) = addr.broadcast
                    && !broadcast.is_broadcast()
                {
                    add(broadcast.into(), 32, RouteType::Broadcast);
                }
                let secondary = addr.flags.contains(IfaFlags::SECONDARY);
                let peer = match addr.peer {
                    IpAddr::V4(peer) => peer,
                    IpAddr::V6(_) => return routes,
                };
                let net = (key(addr.peer) & mask(addr.prefix)) >> 96;
                if net as u32 >> 24 != 0 && !secondary && (addr.prefix < 32 || addr.peer != addr.addr) {
                    if !addr.flags.contains(IfaFlags::NOPREFIXROUTE) {
                        let kind = if loopback {
                            RouteType::Local
                        } else {
                            RouteType::Unicast
                        };
                        add(peer.into(), addr.prefix, kind);
                    }
                    if addr.prefix < 31 {
                        let last = net as u32 | !((mask(addr.prefix) >> 96) as u32);
                        add(Ipv4Addr::from(last).into(), 32, RouteType::Broadcast);
                    }
                }
            }
            IpAddr::V6(_) => {
                add(addr.addr, 128, RouteType::Local);
                if up && !addr.flags.contains(IfaFlags::NOPREFIXROUTE) && !loopback {
                    add(addr.peer, addr.prefix, RouteType::Unicast);
                }
            }
        }
        routes
    }

    /// Adds the routes of an address; what is there already stays.
    pub(super) fn add_addr_routes(&mut self, ifindex: u32, addr: &IfAddr) {
        for route in self.addr_routes(ifindex, addr) {
            let fib = self.state.fib(addr.addr.is_ipv6());
            // A network route with the same destination through another device stands beside it.
            if fib.add(route.clone(), false, false, true).is_ok() {
                self.event(Event::NewRoute(addr.addr.is_ipv6(), route));
            }
        }
    }

    /// Removes the routes of an address, but for those that another address of the device still needs.
    fn del_addr_routes(&mut self, ifindex: u32, addr: &IfAddr) {
        let v6 = addr.addr.is_ipv6();
        let mut needed = alloc::vec::Vec::new();
        let others = self
            .device(ifindex)
            .map(|dev| dev.addrs.clone())
            .unwrap_or_default();
        for other in others.iter().filter(|other| other.addr.is_ipv6() == v6) {
            needed.extend(self.addr_routes(ifindex, other));
        }
        for route in self.addr_routes(ifindex, addr) {
            let same = |other: &Route| {
                other.dst == route.dst && other.prefix == route.prefix && other.kind == route.kind
            };
            if needed.iter().any(same) {
                continue;
            }
            let fib = self.state.fib(v6);
            let hit = |have: &Route| {
                have.oif == ifindex && have.kind == route.kind && have.prefsrc == route.prefsrc
            };
            if let Some(gone) = fib.remove_one(route.table, route.dst, route.prefix, hit) {
                self.event(Event::DelRoute(v6, gone));
            }
        }
        // Routes that prefer the address as source go with it.
        if !others.iter().any(|other| other.addr == addr.addr) {
            let gone = self
                .state
                .fib(v6)
                .remove(|route| route.prefsrc == Some(addr.addr));
            for route in gone {
                self.event(Event::DelRoute(v6, route));
            }
        }
    }

    /// Joins or leaves the group on which the owner of an IPv6 address is asked for it.
    fn solicited_group(&mut self, ifindex: u32, addr: IpAddr, join: bool) {
        let asks = |dev: &Device| !dev.is_loopback() && !dev.set_flags.contains(IfFlags::NOARP);
        if let IpAddr::V6(addr) = addr
            && self.device(ifindex).is_some_and(asks)
        {
            let group = solicited_node(addr).into();
            match join {
                true => self.join_group(ifindex, group, &Filter::ALL),
                false => self.leave_group(ifindex, group, &Filter::ALL),
            }
        }
    }

    /// The device went up: `lo` gets its addresses, others their link-local one, and all their routes.
    pub(super) fn addrs_up(&mut self, ifindex: u32) {
        let now = self.now();
        let Some(dev) = self.device(ifindex) else { return };
        let (loopback, mac) = (dev.is_loopback(), dev.mac);
        let have: smallvec::SmallVec<[IfAddr; 2]> = dev.addrs.clone();
        self.groups_up4(ifindex);
        for addr in &have {
            self.add_addr_routes(ifindex, addr);
            if addr.addr.is_ipv6() {
                self.start_dad(ifindex, addr.addr);
            }
        }
        if loopback {
            if !have.iter().any(|addr| addr.addr.is_ipv4()) {
                let addr = IfAddr::new(Ipv4Addr::LOCALHOST.into(), 8, scope::HOST, now);
                let _ = self.add_addr(ifindex, addr);
            }
            if self.ipv6_on(ifindex) {
                let addr = IfAddr::new(Ipv6Addr::LOCALHOST.into(), 128, scope::HOST, now);
                let _ = self.add_addr(ifindex, addr);
            }
        } else if self.ipv6_on(ifindex) {
            self.addrs6_ready(ifindex, mac);
        }
    }

    /// The device has become usable for IPv6: it gets its link-local address and the multicast route.
    pub(super) fn addrs6_ready(&mut self, ifindex: u32, mac: [u8; 6]) {
        let now = self.now();
        let on = self.ipv6_on(ifindex);
        let Some(dev) = self.device_mut(ifindex) else {
            return;
        };
        if !dev.is_running() || dev.is_loopback() || !on || dev.ip6_ready {
            return;
        }
        dev.ip6_ready = true;
        self.groups_up6(ifindex);
        let Some(dev) = self.device(ifindex) else { return };
        let has_mac = dev.addr_len() != 0;
        let multicast = IfAddr::new(
            Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0).into(),
            8,
            scope::UNIVERSE,
            now,
        );
        let route = self.addr_route(ifindex, &multicast, multicast.addr, 8, RouteType::Multicast);
        let _ = self.state.fib6.add(route, false, false, true);
        if !has_mac {
            // Nothing to make one of; programs give such a device its addresses.
            return;
        }
        let addr = IfAddr::new(link_local(mac).into(), 64, scope::LINK, now);
        let _ = self.add_addr(ifindex, addr);
    }

    /// The device went down.
    pub(super) fn addrs_down(&mut self, ifindex: u32) {
        self.addrs6_down(ifindex);
        self.groups_down(ifindex);
        // Linux tells of no IPv4 route that goes with its device.
        let goes = |route: &Route| route.oif == ifindex && route.kind != RouteType::Local;
        self.state.fib4.remove(goes);
        self.state.neigh.forget(|key, _| key.0 == ifindex);
    }

    /// A device loses its IPv6 addresses and routes.
    fn addrs6_down(&mut self, ifindex: u32) {
        let Some(dev) = self.state.devices.get_mut(&ifindex) else {
            return;
        };
        dev.ip6_ready = false;
        dev.routers = Default::default();
        let mut gone = alloc::vec::Vec::new();
        dev.addrs.retain(|addr| {
            let keep = addr.addr.is_ipv4();
            if !keep {
                gone.push(addr.clone());
            }
            keep
        });
        for addr in &gone {
            self.solicited_group(ifindex, addr.addr, false);
            self.event_addr_gone(ifindex, addr);
        }
        let routes = self.state.fib6.remove(|route| route.oif == ifindex);
        for route in routes {
            self.event(Event::DelRoute(true, route));
        }
    }

    /// `disable_ipv6` of a device changed.
    pub(super) fn ipv6_switched(&mut self, ifindex: u32, on: bool) {
        if !on {
            self.addrs6_down(ifindex);
            self.state
                .neigh
                .forget(|key, _| key.0 == ifindex && key.1.is_ipv6());
        } else if self.device(ifindex).is_some_and(|dev| dev.is_up()) {
            self.addrs_up(ifindex);
        }
    }

    /// Whether IPv6 is in use on a device.
    pub(super) fn ipv6_on(&self, ifindex: u32) -> bool {
        let on = |dev: &Device| dev.mtu >= 1280 && dev.conf.get(ConfKey::DisableIpv6) == 0;
        self.device(ifindex).is_some_and(on)
    }

    /// Adds a route, which must not be there.
    pub fn add_route(&mut self, v6: bool, route: Route) -> Result<()> {
        self.state.fib(v6).add(route.clone(), true, false, false)?;
        self.event(Event::NewRoute(v6, route));
        Ok(())
    }

    /// Whether the address is one of this namespace.
    pub fn is_local(&self, addr: IpAddr) -> bool {
        let fib = if addr.is_ipv6() {
            &self.state.fib6
        } else {
            &self.state.fib4
        };
        fib.lookup_in(table::LOCAL, key(addr), 0)
            .is_some_and(|route| route.kind == RouteType::Local)
    }

    /// Checks that a socket may bind to the address.
    pub fn check_bindable(&self, addr: IpAddr) -> Result<()> {
        let fine = addr.is_unspecified()
            || addr.is_multicast()
            || self.is_local(addr)
            || addr == IpAddr::V4(Ipv4Addr::BROADCAST);
        ensure!(fine, EADDRNOTAVAIL, "the address is none of this namespace");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_local_addresses_are_eui64() {
        let addr = link_local([0x02, 0, 0, 0, 0, 1]);
        assert_eq!(addr, "fe80::ff:fe00:1".parse::<Ipv6Addr>().unwrap());
        assert_eq!(scope6(addr), scope::LINK);
        assert_eq!(scope6(Ipv6Addr::LOCALHOST), scope::HOST);
    }
}
