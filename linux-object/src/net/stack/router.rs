//! Router discovery and addresses made from prefixes (RFC 4861, 6.3; RFC 4862, 5.5).
//!
//! A device that has got its link-local address asks for routers, ever more seldom, until one answers. A router that
//! says how long it is one becomes a default route; a prefix that is to be used for addresses gives one, checked for
//! duplicates as any other. A host that forwards does neither, unless `accept_ra` is 2.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv6Addr};
use core::time::Duration;

use super::address::{FOREVER, IfAddr, IfaFlags, link_local, scope6};
use super::conf::ConfKey;
use super::ip4::{proto, transport_checksum};
use super::packet::{Packet, be16};
use super::route::{Route, RouteType, scope, table};
use super::sockets::Delivery;
use super::{Event, Net};
use crate::time::Ktime;

const SOLICIT: u8 = 133;
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
/// `router_solicitation_interval` and `router_solicitation_max_interval`.
const FIRST: Duration = Duration::from_secs(4);
const LONGEST: Duration = Duration::from_secs(3600);
/// `RTPROT_RA`.
const PROTOCOL_RA: u8 = 9;
const METRIC: u32 = 1024;
/// A prefix with less than two hours left is not cut shorter by an advertisement (RFC 4862, 5.5.3).
const TWO_HOURS: u32 = 7200;

/// Options of neighbour discovery.
const OPT_SOURCE: u8 = 1;
const OPT_PREFIX: u8 = 3;
const OPT_MTU: u8 = 5;

/// What a device knows of routers.
#[derive(Default)]
pub struct Routers {
    /// When the next question goes out, the interval after it, and how many were asked.
    ask: Option<(Ktime, Duration, i32)>,
    /// Default routers, and until when.
    known: Vec<(Ipv6Addr, Ktime)>,
}

impl Net<'_> {
    fn takes_advertisements(&self, ifindex: u32) -> bool {
        let least = if self.conf_of(ifindex, ConfKey::Forwarding6) != 0 {
            2
        } else {
            1
        };
        self.conf_of(ifindex, ConfKey::AcceptRa) >= least
            && self.device(ifindex).is_some_and(|dev| !dev.is_loopback())
    }

    /// Begins to ask for routers.
    pub(super) fn look_for_routers(&mut self, ifindex: u32) {
        if !self.takes_advertisements(ifindex) || self.conf_of(ifindex, ConfKey::RouterSolicitations) == 0 {
            return;
        }
        let now = self.now();
        if let Some(dev) = self.device_mut(ifindex) {
            dev.routers.ask = Some((now, FIRST, 0));
        }
        self.router_timer();
    }

    /// Asks where that is due, and forgets routers whose time is over.
    pub(super) fn router_timer(&mut self) {
        let now = self.now();
        let mut next: Option<Ktime> = None;
        let mut due = Vec::new();
        let mut gone = Vec::new();
        for dev in self.state.devices.values_mut() {
            let most = dev.conf.get(ConfKey::RouterSolicitations);
            let jitter = self.stack.shared.rng.next_u64() % 200;
            if let Some((at, interval, asked)) = dev.routers.ask
                && at <= now
            {
                due.push(dev.ifindex);
                // A tenth more or less, so that hosts do not ask in step.
                let wait = interval * (900 + jitter as u32) / 1000;
                let more = most < 0 || asked + 1 < most;
                dev.routers.ask =
                    more.then_some((now + wait, (interval * 2).min(LONGEST), asked.saturating_add(1)));
            }
            let ifindex = dev.ifindex;
            dev.routers.known.retain(|(router, until)| {
                let over = *until <= now;
                if over {
                    gone.push((ifindex, *router));
                }
                !over
            });
            let times = dev.routers.known.iter().map(|(_, until)| *until);
            for at in times.chain(dev.routers.ask.map(|(at, ..)| at)) {
                next = Some(next.map_or(at, |have| have.min(at)));
            }
        }
        for ifindex in due {
            self.router_solicit(ifindex);
        }
        for (ifindex, router) in gone {
            self.router_gone(ifindex, router);
        }
        if let Some(next) = next {
            self.stack.arm(self.state, next);
        }
    }

    fn router_solicit(&mut self, ifindex: u32) {
        let Some(src) = self.source6(ifindex, ALL_ROUTERS) else {
            return;
        };
        let Some(dev) = self.device(ifindex) else { return };
        let mac = dev.mac;
        let mut packet = Packet::zeroed(if dev.addr_len() == 0 { 8 } else { 16 });
        let data = packet.data_mut();
        data[0] = SOLICIT;
        if let Some(option) = data.get_mut(8..) {
            option[..2].copy_from_slice(&[OPT_SOURCE, 1]);
            option[2..].copy_from_slice(&mac);
        }
        let check = transport_checksum(src.into(), ALL_ROUTERS.into(), proto::ICMPV6, data);
        data[2..4].copy_from_slice(&check.to_be_bytes());
        let packet = self.header6(packet, proto::ICMPV6, src, ALL_ROUTERS, 255, 0);
        self.link_output(ifindex, ALL_ROUTERS.into(), packet);
    }

    fn router_gone(&mut self, ifindex: u32, router: Ipv6Addr) {
        let of_router = |route: &Route| {
            route.oif == ifindex && route.protocol == PROTOCOL_RA && route.gateway == Some(router.into())
        };
        for route in self.state.fib6.remove(of_router) {
            self.event(Event::DelRoute(true, route));
        }
    }

    /// A router tells of itself and of the prefixes on the link.
    pub(super) fn router_input(&mut self, delivery: &Delivery) {
        let ifindex = delivery.ifindex;
        let IpAddr::V6(router) = delivery.src else { return };
        let message = delivery.transport();
        if message.len() < 16 || !router.is_unicast_link_local() || !self.takes_advertisements(ifindex) {
            return;
        }
        let now = self.now();
        let lifetime = be16(message, 6);
        let (hop_limit, mut options) = (message[4], &message[16..]);
        let mut parsed = Vec::new();
        while let [kind, words, ..] = *options {
            let len = words as usize * 8;
            if len == 0 || len > options.len() {
                return;
            }
            parsed.push((kind, &options[..len]));
            options = &options[len..];
        }
        if let Some(dev) = self.device_mut(ifindex) {
            dev.routers.ask = None;
            dev.routers.known.retain(|(known, _)| *known != router);
            if lifetime != 0 {
                let until = now + Duration::from_secs(lifetime.into());
                dev.routers.known.push((router, until));
            }
        }
        if lifetime == 0 {
            self.router_gone(ifindex, router);
        } else {
            let route = default_route(ifindex, router);
            let have = self.state.fib6.all();
            let known = have
                .iter()
                .any(|have| have.oif == ifindex && have.gateway == route.gateway);
            if !known && self.state.fib6.add(route.clone(), false, false, true).is_ok() {
                self.event(Event::NewRoute(true, route));
            }
            self.router_timer();
        }
        if hop_limit != 0 {
            self.set_conf(
                super::conf::ConfOf::Device(ifindex),
                ConfKey::HopLimit,
                hop_limit.into(),
            );
        }
        for (kind, option) in parsed {
            match kind {
                OPT_SOURCE => {
                    if let Some(mac) = option[2..].first_chunk::<6>() {
                        self.neigh_update(ifindex, router.into(), *mac, false, true, true);
                    }
                }
                OPT_PREFIX if option.len() >= 32 => self.prefix_input(ifindex, option),
                OPT_MTU => self.mtu_input(ifindex, option),
                _ => {}
            }
        }
    }

    /// Routes of a device have the MTU that its routers name, if that is less than its own.
    fn mtu_input(&mut self, ifindex: u32, option: &[u8]) {
        let mtu = option[4..]
            .first_chunk::<4>()
            .map_or(0, |b| u32::from_be_bytes(*b));
        let own = self.device(ifindex).map_or(0, |dev| dev.mtu);
        if mtu >= 1280 && mtu <= own {
            let of_device = |route: &Route| route.oif == ifindex;
            self.state
                .fib6
                .change(of_device, |route| route.mtu = if mtu == own { 0 } else { mtu });
        }
    }

    fn prefix_input(&mut self, ifindex: u32, option: &[u8]) {
        const ON_LINK: u8 = 0x80;
        const AUTONOMOUS: u8 = 0x40;
        let (bits, flags) = (option[2], option[3]);
        let word = |at: usize| {
            option[at..]
                .first_chunk::<4>()
                .map_or(0, |b| u32::from_be_bytes(*b))
        };
        let (valid, preferred) = (word(4), word(8));
        let prefix = option[16..]
            .first_chunk::<16>()
            .map_or(0, |b| u128::from_be_bytes(*b));
        let addr = Ipv6Addr::from(prefix);
        let fit = bits == 64 && preferred <= valid && !addr.is_unicast_link_local() && !addr.is_multicast();
        if flags & AUTONOMOUS == 0 || !fit || self.conf_of(ifindex, ConfKey::Autoconf) == 0 {
            return;
        }
        let Some(dev) = self.device(ifindex) else { return };
        let low = u128::from(link_local(dev.mac)) & u64::MAX as u128;
        let own = Ipv6Addr::from(prefix & !(u64::MAX as u128) | low);
        let now = self.now();
        let have = dev.addrs.iter().find(|have| have.addr == IpAddr::V6(own));
        match have.map(|have| (have.valid, now.since(have.stamp).as_secs() as u32)) {
            Some((left, age)) => {
                let left = if left == FOREVER {
                    left
                } else {
                    left.saturating_sub(age)
                };
                let valid = match valid {
                    valid if valid > TWO_HOURS || valid > left => valid,
                    _ => left.min(TWO_HOURS),
                };
                self.set_lifetimes(ifindex, own.into(), valid, preferred.min(valid));
            }
            None if valid != 0 => {
                let mut new = IfAddr::new(own.into(), 64, scope6(own), now);
                new.live(valid, preferred);
                new.flags |= IfaFlags::MANAGETEMPADDR;
                if flags & ON_LINK == 0 {
                    new.flags |= IfaFlags::NOPREFIXROUTE;
                }
                let _ = self.add_addr(ifindex, new);
            }
            None => {}
        }
    }
}

fn default_route(ifindex: u32, router: Ipv6Addr) -> Route {
    Route {
        dst: 0,
        prefix: 0,
        tos: 0,
        table: table::MAIN,
        kind: RouteType::Unicast,
        scope: scope::UNIVERSE,
        protocol: PROTOCOL_RA,
        metric: METRIC,
        oif: ifindex,
        gateway: Some(router.into()),
        prefsrc: None,
        mtu: 0,
        onlink: false,
    }
}
