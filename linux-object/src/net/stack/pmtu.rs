//! Path MTUs (RFC 1191, RFC 8201): what routers said of destinations behind something narrow.
//!
//! Learnt from errors about packets that a socket here has sent, kept for ten minutes, and only for what starts here:
//! a router forwards by its devices. A route that goes takes with it all that was learnt, since the way may be
//! another one.

use core::net::IpAddr;
use core::time::Duration;

use hashbrown::HashMap;

use super::Net;
use super::ip4::{Dst, Flow};
use super::route::RouteType;
use crate::time::Ktime;

/// `net.ipv4.route.mtu_expires`, `net.ipv6.route.mtu_expires`.
const EXPIRES: Duration = Duration::from_secs(600);
/// `net.ipv4.route.min_pmtu`: a path that is said to be narrower is taken for one that cuts packets.
const MIN_4: u32 = 552;
/// No packet of IPv4 is longer.
const MAX_4: u32 = 65535;
/// No path of IPv6 is narrower.
const MIN_6: u32 = 1280;
/// Destinations that are remembered at most.
const MOST: usize = 4096;

#[derive(Clone, Copy)]
struct Learnt {
    mtu: u32,
    cut: bool,
    until: Ktime,
}

/// What was learnt.
#[derive(Default)]
pub struct Paths(HashMap<IpAddr, Learnt>);

impl Paths {
    fn put(&mut self, dst: IpAddr, learnt: Learnt, now: Ktime) {
        if !self.0.contains_key(&dst) {
            if self.0.len() >= MOST {
                self.0.retain(|_, learnt| learnt.until > now);
            }
            if self.0.len() >= MOST || self.0.try_reserve(1).is_err() {
                return;
            }
        }
        self.0.insert(dst, learnt);
    }
    /// All is forgotten.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

impl Net<'_> {
    /// A route to `dst`, with what was learnt of the way.
    pub fn path(&self, route: Dst, dst: IpAddr) -> Dst {
        if self.state.paths.0.is_empty() {
            return route;
        }
        self.known_path(route, dst)
    }
    fn known_path(&self, mut route: Dst, dst: IpAddr) -> Dst {
        if let Some(learnt) = self.state.paths.0.get(&dst)
            && learnt.until > self.now()
            && route.kind == RouteType::Unicast
            && learnt.mtu < route.mtu
        {
            (route.mtu, route.cut) = (learnt.mtu, learnt.cut);
        }
        route
    }
    /// The largest packet that goes that way as a whole.
    pub(super) fn mtu_of(&self, flow: &Flow, route: &Dst) -> u32 {
        if !flow.pmtu.of_device() {
            return route.mtu;
        }
        self.device(route.oif).map_or(route.mtu, |dev| dev.mtu)
    }
    /// The largest packet that a socket sends that way if it may not be cut, and what else it is cut to.
    pub fn mtu_for(&self, flow: &Flow, route: &Dst) -> u32 {
        let mtu = self.mtu_of(flow, route);
        match (flow.dst, flow.frag_size) {
            (IpAddr::V6(_), size @ 1..) => mtu.min(size),
            _ => mtu,
        }
    }
    /// The largest packet to there, for a socket that is connected to it.
    pub fn path_mtu(&self, dst: IpAddr, src: Option<IpAddr>, oif: u32) -> Option<u32> {
        let route = match (dst, src) {
            (IpAddr::V4(dst), Some(IpAddr::V4(src))) => self.route4(dst, Some(src), oif),
            (IpAddr::V4(dst), _) => self.route4(dst, None, oif),
            (IpAddr::V6(dst), Some(IpAddr::V6(src))) => self.route6(dst, Some(src), oif),
            (IpAddr::V6(dst), _) => self.route6(dst, None, oif),
        };
        let mtu = self.path(route.ok()?, dst).mtu;
        Some(if dst.is_ipv4() { mtu.min(MAX_4) } else { mtu })
    }
    /// A router says that packets of so many bytes, and no more, get through to `dst`.
    pub fn learn_path_mtu(&mut self, dst: IpAddr, mtu: u32) {
        let Some(now_mtu) = self.path_mtu(dst, None, 0) else {
            return;
        };
        let (mtu, cut) = match dst {
            IpAddr::V4(_) if mtu < MIN_4 => (now_mtu.min(MIN_4), true),
            IpAddr::V4(_) => (mtu, false),
            IpAddr::V6(_) if mtu < MIN_6 => return,
            IpAddr::V6(_) => (mtu, false),
        };
        if mtu >= now_mtu && !cut {
            return;
        }
        let now = self.now();
        let until = now + EXPIRES;
        self.state.paths.put(dst, Learnt { mtu, cut, until }, now);
    }
}
