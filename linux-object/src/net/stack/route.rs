//! Routing tables of one address family (Linux's FIB): `local`, `main`, `default` and numbered ones.
//!
//! Addresses are 128-bit numbers aligned to the left, so that one table serves IPv4 and IPv6. A lookup
//! tries the prefix lengths that are in use, longest first; within one prefix the smallest metric wins.
//! Policy rules are the three of a fresh namespace: `local`, then `main`, then `default`.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::IpAddr;

use hashbrown::HashMap;

use crate::bail;
use crate::error::Result;

/// Numbers of the tables that have names.
#[allow(missing_docs)]
pub mod table {
    pub const DEFAULT: u32 = 253;
    pub const MAIN: u32 = 254;
    pub const LOCAL: u32 = 255;
}

/// What a route does with a packet (`RTN_*`).
#[allow(missing_docs)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum RouteType {
    Unicast = 1,
    Local = 2,
    Broadcast = 3,
    Anycast = 4,
    Multicast = 5,
    Blackhole = 6,
    Unreachable = 7,
    Prohibit = 8,
}

impl RouteType {
    /// From the number.
    pub fn from_number(nr: u8) -> Option<RouteType> {
        use RouteType::*;
        [
            Unicast,
            Local,
            Broadcast,
            Anycast,
            Multicast,
            Blackhole,
            Unreachable,
            Prohibit,
        ]
        .into_iter()
        .find(|&kind| kind as u8 == nr)
    }
}

/// How far a destination is (`RT_SCOPE_*`).
#[allow(missing_docs)]
pub mod scope {
    pub const UNIVERSE: u8 = 0;
    pub const SITE: u8 = 200;
    pub const LINK: u8 = 253;
    pub const HOST: u8 = 254;
    pub const NOWHERE: u8 = 255;
}

/// Who made a route (`RTPROT_*`).
#[allow(missing_docs)]
pub mod protocol {
    pub const KERNEL: u8 = 2;
    pub const BOOT: u8 = 3;
}

/// An address as a number, left-aligned.
pub fn key(addr: IpAddr) -> u128 {
    match addr {
        IpAddr::V4(addr) => (u32::from(addr) as u128) << 96,
        IpAddr::V6(addr) => u128::from(addr),
    }
}

/// The mask of a prefix.
pub fn mask(prefix: u8) -> u128 {
    match prefix {
        0 => 0,
        n => u128::MAX << (128 - n as u32),
    }
}

/// One route.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct Route {
    /// The destination's bits, left-aligned and masked.
    pub dst: u128,
    pub prefix: u8,
    pub tos: u8,
    pub table: u32,
    pub kind: RouteType,
    pub scope: u8,
    pub protocol: u8,
    pub metric: u32,
    /// The device; 0 for routes that lead nowhere.
    pub oif: u32,
    pub gateway: Option<IpAddr>,
    pub prefsrc: Option<IpAddr>,
    pub mtu: u32,
    /// `RTNH_F_ONLINK`.
    pub onlink: bool,
}

#[derive(Default)]
struct Table {
    by_prefix: BTreeMap<u8, HashMap<u128, Vec<Route>>>,
}

/// All tables of one family.
#[derive(Default)]
pub struct Fib {
    tables: BTreeMap<u32, Table>,
    nr: usize,
}

impl Fib {
    /// Number of routes.
    pub fn len(&self) -> usize {
        self.nr
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.nr == 0
    }

    /// The route in one table.
    pub fn lookup_in(&self, table: u32, dst: u128, oif: u32) -> Option<&Route> {
        let table = self.tables.get(&table)?;
        table.by_prefix.iter().rev().find_map(|(&prefix, routes)| {
            let routes = routes.get(&(dst & mask(prefix)))?;
            routes.iter().find(|route| oif == 0 || route.oif == oif)
        })
    }
    /// The route as the rules say: `local`, `main`, `default`. With `oif` only through that device.
    pub fn lookup(&self, dst: u128, oif: u32) -> Option<&Route> {
        [table::LOCAL, table::MAIN, table::DEFAULT]
            .into_iter()
            .find_map(|table| self.lookup_in(table, dst, oif))
    }

    /// Adds a route. `exclusive` refuses one that is there with the same destination and metric,
    /// `replace` takes its place; else it goes in front, or with `append` behind. `EEXIST`.
    pub fn add(&mut self, route: Route, exclusive: bool, replace: bool, append: bool) -> Result<()> {
        let table = self.tables.entry(route.table).or_default();
        let routes = table.by_prefix.entry(route.prefix).or_default();
        let list = routes.entry(route.dst).or_default();
        let same = |other: &Route| other.metric == route.metric && other.tos == route.tos;
        if let Some(at) = list.iter().position(same) {
            if exclusive {
                bail!(EEXIST, "the route is there");
            }
            if replace {
                list[at] = route;
                return Ok(());
            }
            if list.contains(&route) {
                bail!(EEXIST, "the very same route is there");
            }
            let at = if append {
                list.iter().rposition(same).map_or(at, |at| at + 1)
            } else {
                at
            };
            list.insert(at, route);
        } else {
            let at = list.partition_point(|other| other.metric <= route.metric);
            list.insert(at, route);
        }
        self.nr += 1;
        Ok(())
    }

    /// Removes the routes that `which` picks; returns them.
    pub fn remove(&mut self, mut which: impl FnMut(&Route) -> bool) -> Vec<Route> {
        let mut gone = Vec::new();
        for table in self.tables.values_mut() {
            table.by_prefix.retain(|_, routes| {
                routes.retain(|_, list| {
                    list.retain(|route| {
                        let hit = which(route);
                        if hit {
                            gone.push(route.clone());
                        }
                        !hit
                    });
                    !list.is_empty()
                });
                !routes.is_empty()
            });
        }
        self.tables.retain(|_, table| !table.by_prefix.is_empty());
        self.nr -= gone.len();
        gone
    }
    /// Changes the routes that `which` picks, but nothing that they are found by.
    pub fn change(&mut self, which: impl Fn(&Route) -> bool, mut change: impl FnMut(&mut Route)) {
        let tables = self.tables.values_mut();
        let prefixes = tables.flat_map(|table| table.by_prefix.values_mut());
        let routes = prefixes.flat_map(|routes| routes.values_mut().flatten());
        routes.filter(|route| which(route)).for_each(&mut change);
    }
    /// Removes the first route that `which` picks among those for one destination.
    pub fn remove_one(
        &mut self,
        table: u32,
        dst: u128,
        prefix: u8,
        mut which: impl FnMut(&Route) -> bool,
    ) -> Option<Route> {
        let routes = self.tables.get_mut(&table)?.by_prefix.get_mut(&prefix)?;
        let list = routes.get_mut(&dst)?;
        let at = list.iter().position(&mut which)?;
        let route = list.remove(at);
        if list.is_empty() {
            routes.remove(&dst);
            if routes.is_empty()
                && let Some(table) = self.tables.get_mut(&table)
            {
                table.by_prefix.remove(&prefix);
            }
        }
        self.nr -= 1;
        Some(route)
    }

    /// Every route: tables in order of their numbers, `local` last but first in what Linux shows; within one by
    /// destination.
    pub fn all(&self) -> Vec<&Route> {
        let mut list = Vec::with_capacity(self.nr);
        for table in self.tables.values() {
            for routes in table.by_prefix.values() {
                list.extend(routes.values().flatten());
            }
        }
        list.sort_by_key(|route| (route.table, route.dst, route.prefix, route.metric));
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(dst: &str, prefix: u8, metric: u32, oif: u32) -> Route {
        Route {
            dst: key(dst.parse().unwrap()) & mask(prefix),
            prefix,
            tos: 0,
            table: table::MAIN,
            kind: RouteType::Unicast,
            scope: scope::LINK,
            protocol: protocol::BOOT,
            metric,
            oif,
            gateway: None,
            prefsrc: None,
            mtu: 0,
            onlink: false,
        }
    }

    #[test]
    fn the_longest_prefix_wins_then_the_smallest_metric() {
        let mut fib = Fib::default();
        for (dst, prefix, metric, oif) in [
            ("0.0.0.0", 0, 0, 1),
            ("10.0.0.0", 8, 0, 2),
            ("10.1.0.0", 16, 5, 3),
            ("10.1.0.0", 16, 2, 4),
            ("10.1.2.3", 32, 0, 5),
        ] {
            fib.add(route(dst, prefix, metric, oif), true, false, false)
                .unwrap();
        }
        let oif = |dst: &str| fib.lookup(key(dst.parse().unwrap()), 0).map(|r| r.oif);
        assert_eq!(oif("10.1.2.3"), Some(5));
        assert_eq!(oif("10.1.2.4"), Some(4));
        assert_eq!(oif("10.2.2.4"), Some(2));
        assert_eq!(oif("11.2.2.4"), Some(1));
        let through_3 = fib.lookup(key("10.1.2.3".parse().unwrap()), 3);
        assert_eq!(through_3.map(|r| r.prefix), Some(16));
    }

    #[test]
    fn what_is_there_is_refused_or_replaced() {
        let mut fib = Fib::default();
        fib.add(route("10.0.0.0", 8, 0, 1), true, false, false).unwrap();
        assert!(fib.add(route("10.0.0.0", 8, 0, 2), true, false, false).is_err());
        fib.add(route("10.0.0.0", 8, 0, 2), false, true, false).unwrap();
        assert_eq!(fib.len(), 1);
        assert_eq!(fib.all()[0].oif, 2);
        let dst = key("10.0.0.0".parse().unwrap());
        assert!(fib.remove_one(table::MAIN, dst, 8, |r| r.oif == 1).is_none());
        assert!(fib.remove_one(table::MAIN, dst, 8, |r| r.oif == 2).is_some());
        assert!(fib.is_empty() && fib.all().is_empty());
    }
}
