//! Routes: `struct rtmsg` and its attributes.

use alloc::vec::Vec;
use core::net::IpAddr;

use super::super::message::{Attrs, Builder, NlFlags, u32_at};
use super::super::{NlResult, Reply};
use super::addr::{ip, put_ip};
use super::{Cx, family, rtm};
use crate::net::stack::route::{Route, RouteType, key, mask, protocol, scope, table};
use crate::net::stack::{Event, Net};
use crate::time::Ktime;
use crate::{err, nl_err};

const HEAD: usize = 12;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_PREFSRC: u16 = 7;
const RTA_METRICS: u16 = 8;
const RTA_MULTIPATH: u16 = 9;
const RTA_CACHEINFO: u16 = 12;
const RTA_TABLE: u16 = 15;
const RTA_VIA: u16 = 18;
const RTA_PREF: u16 = 20;
const RTA_UID: u16 = 25;
const RTAX_MTU: u16 = 2;
const RTNH_F_ONLINK: u32 = 4;
const RTM_F_CLONED: u32 = 0x200;

fn from_key(bits: u128, v6: bool) -> IpAddr {
    if v6 {
        IpAddr::V6(bits.into())
    } else {
        IpAddr::V4(((bits >> 96) as u32).into())
    }
}

/// Writes a route.
pub fn fill(_now: Ktime, route: &Route, v6: bool, kind: u16, seq: u32, pid: u32) -> Vec<u8> {
    let flags = if route.onlink { RTNH_F_ONLINK } else { 0 };
    let mut head = alloc::vec![
        if v6 { family::INET6 } else { family::INET },
        route.prefix,
        0,
        route.tos,
        if route.table < 256 { route.table as u8 } else { 252 },
        route.protocol,
        route.scope,
        route.kind as u8,
    ];
    head.extend_from_slice(&flags.to_ne_bytes());
    let mut message = Builder::new(kind, NlFlags::empty(), seq, pid, &head);
    message.u32(RTA_TABLE, route.table);
    if route.prefix > 0 {
        put_ip(&mut message, RTA_DST, from_key(route.dst, v6));
    }
    if v6 || route.metric != 0 {
        message.u32(RTA_PRIORITY, route.metric);
    }
    if let Some(src) = route.prefsrc {
        put_ip(&mut message, RTA_PREFSRC, src);
    }
    if route.mtu != 0 {
        message.nest(RTA_METRICS, |nest| {
            nest.u32(RTAX_MTU, route.mtu);
        });
    }
    if let Some(gateway) = route.gateway {
        put_ip(&mut message, RTA_GATEWAY, gateway);
    }
    if route.oif != 0 {
        message.u32(RTA_OIF, route.oif);
    }
    if v6 {
        message.attr(RTA_CACHEINFO, &[0; 32]);
        message.u8(RTA_PREF, 0);
    }
    message.finish()
}

/// `RTM_GETROUTE`: a dump, or the route to one destination.
pub fn get(cx: &Cx<'_>, payload: &[u8]) -> NlResult<Reply> {
    let (seq, pid) = (cx.header.seq, cx.header.pid);
    let wanted = payload[0];
    if !cx.is_dump() {
        return one(cx, payload);
    }
    let mut only_table = 0;
    let mut only_oif = 0;
    let mut only_protocol = 0;
    let mut only_kind = 0;
    if cx.socket.strict() {
        if payload.len() < HEAD {
            return Err(nl_err!(EINVAL, "Invalid header for FIB dump request"));
        }
        let attrs = Attrs::after(payload, HEAD)?;
        only_table = attrs.u32(RTA_TABLE)?.unwrap_or(payload[4] as u32);
        only_oif = attrs.u32(RTA_OIF)?.unwrap_or(0);
        only_protocol = payload[5];
        only_kind = payload[7];
        // Cached routes are not dumped: there are none.
        if u32_at(payload, 8) & RTM_F_CLONED != 0 {
            return Ok(Reply::Dump(Vec::new()));
        }
    } else if payload.len() >= HEAD && u32_at(payload, 8) & RTM_F_CLONED != 0 {
        return Ok(Reply::Dump(Vec::new()));
    }
    cx.socket.stack().with(|net| {
        let mut messages = Vec::new();
        let now = net.now();
        for v6 in [false, true] {
            if wanted != family::UNSPEC && (wanted == family::INET6) != v6 || wanted == 128 {
                continue;
            }
            let routes = net.state.fib(v6);
            let mut found = 0;
            for route in routes.all() {
                if only_table != 0 && route.table != only_table {
                    continue;
                }
                found += 1;
                let fits = (only_oif == 0 || route.oif == only_oif)
                    && (only_protocol == 0 || route.protocol == only_protocol)
                    && (only_kind == 0 || route.kind as u8 == only_kind);
                if fits {
                    messages.push(fill(now, route, v6, rtm::NEWROUTE, seq, pid));
                }
            }
            let known = [0, table::LOCAL, table::MAIN, table::DEFAULT].contains(&only_table);
            if found == 0 && !known && wanted != family::UNSPEC {
                return Err(nl_err!(ENOENT, "FIB table does not exist"));
            }
        }
        Ok(Reply::Dump(messages))
    })
}

fn one(cx: &Cx<'_>, payload: &[u8]) -> NlResult<Reply> {
    let attrs = Attrs::after(payload, HEAD)?;
    let family = payload[0];
    let v6 = match family {
        family::INET => false,
        family::INET6 => true,
        _ => return Err(err!(EOPNOTSUPP, "rtnetlink: no such family").into()),
    };
    let dst = attrs.get(RTA_DST).and_then(|data| ip(family, data));
    let src = attrs.get(2).and_then(|data| ip(family, data));
    let oif = attrs.u32(RTA_OIF)?.unwrap_or(0);
    let Some(dst) = dst else {
        return Err(err!(EINVAL, "rtnetlink: no destination").into());
    };
    let (seq, pid) = (cx.header.seq, cx.header.pid);
    cx.socket.stack().with(|net| {
        let found = match (dst, src) {
            (IpAddr::V4(dst), Some(IpAddr::V4(src))) => net.route4(dst, Some(src), oif)?,
            (IpAddr::V4(dst), _) => net.route4(dst, None, oif)?,
            (IpAddr::V6(dst), Some(IpAddr::V6(src))) => net.route6(dst, Some(src), oif)?,
            (IpAddr::V6(dst), _) => net.route6(dst, None, oif)?,
        };
        let local = found.kind == RouteType::Local;
        let in_table = if local { table::LOCAL } else { table::MAIN };
        let mut head = alloc::vec![
            family,
            if v6 { 128 } else { 32 },
            0,
            0,
            in_table as u8,
            if v6 { protocol::KERNEL } else { 0 },
            scope::UNIVERSE,
            found.kind as u8,
        ];
        head.extend_from_slice(&(if v6 { 0 } else { RTM_F_CLONED }).to_ne_bytes());
        let mut message = Builder::new(rtm::NEWROUTE, NlFlags::empty(), seq, pid, &head);
        message.u32(RTA_TABLE, in_table);
        put_ip(&mut message, RTA_DST, dst);
        if found.next != dst {
            put_ip(&mut message, RTA_GATEWAY, found.next);
        }
        message.u32(RTA_OIF, found.oif);
        put_ip(&mut message, RTA_PREFSRC, found.src);
        if !v6 {
            message.u32(RTA_UID, cx.task.cred().uid.0);
        }
        message.attr(RTA_CACHEINFO, &[0; 32]);
        if v6 {
            message.u32(RTA_PRIORITY, 0).u8(RTA_PREF, 0);
        }
        Ok(Reply::One(message.finish()))
    })
}

fn parse(payload: &[u8]) -> NlResult<(bool, Route)> {
    let attrs = Attrs::after(payload, HEAD)?;
    let family = payload[0];
    let v6 = match family {
        family::INET => false,
        family::INET6 => true,
        _ => return Err(err!(EOPNOTSUPP, "rtnetlink: no such family").into()),
    };
    let prefix = payload[1];
    if prefix > if v6 { 128 } else { 32 } {
        return Err(nl_err!(EINVAL, "Invalid prefix length"));
    }
    if attrs.get(RTA_MULTIPATH).is_some() || attrs.get(RTA_VIA).is_some() {
        return Err(err!(EOPNOTSUPP, "rtnetlink: one way per route, of one family").into());
    }
    let dst = attrs.get(RTA_DST).and_then(|data| ip(family, data));
    let bits = dst.map_or(0, key);
    if !v6 && bits & !mask(prefix) != 0 {
        return Err(nl_err!(EINVAL, "Invalid prefix for given prefix length"));
    }
    let mut mtu = 0;
    if let Some(metrics) = attrs.nest(RTA_METRICS)? {
        mtu = metrics.u32(RTAX_MTU)?.unwrap_or(0);
    }
    let table = attrs.u32(RTA_TABLE)?.unwrap_or(payload[4] as u32);
    let kind = match payload[7] {
        0 => RouteType::Unicast,
        nr => RouteType::from_number(nr).ok_or(err!(EINVAL, "rtnetlink: no such type of route"))?,
    };
    let route = Route {
        dst: bits & mask(prefix),
        prefix,
        tos: payload[3],
        table: if table == 0 { table::MAIN } else { table },
        kind,
        scope: if v6 { scope::UNIVERSE } else { payload[6] },
        protocol: payload[5],
        metric: match attrs.u32(RTA_PRIORITY)? {
            None | Some(0) if v6 => 1024,
            metric => metric.unwrap_or(0),
        },
        oif: attrs.u32(RTA_OIF)?.unwrap_or(0),
        gateway: attrs
            .get(RTA_GATEWAY)
            .and_then(|data| ip(family, data))
            .filter(|gateway| !gateway.is_unspecified()),
        prefsrc: attrs.get(RTA_PREFSRC).and_then(|data| ip(family, data)),
        mtu,
        onlink: u32_at(payload, 8) & RTNH_F_ONLINK != 0,
    };
    Ok((v6, route))
}

/// Completes and checks where a new route leads (Linux's `fib_check_nh`).
fn check(net: &Net<'_>, v6: bool, route: &mut Route) -> NlResult<()> {
    let nowhere = matches!(
        route.kind,
        RouteType::Blackhole | RouteType::Unreachable | RouteType::Prohibit
    );
    if nowhere {
        if v6 {
            route.oif = 1;
        } else if route.oif != 0 || route.gateway.is_some() {
            return Err(nl_err!(
                EINVAL,
                "Route with device can not be used with this route type"
            ));
        }
        return Ok(());
    }
    if route.oif != 0 {
        let Some(dev) = net.device(route.oif) else {
            return Err(err!(ENODEV, "rtnetlink: no such device").into());
        };
        if !dev.is_up() {
            return Err(nl_err!(ENETDOWN, "Nexthop device is not up"));
        }
    }
    if let Some(prefsrc) = route.prefsrc
        && !net.is_local(prefsrc)
    {
        return Err(nl_err!(EINVAL, "Invalid prefsrc address"));
    }
    match route.gateway {
        Some(gateway) => {
            if !v6 && route.scope >= scope::LINK {
                return Err(nl_err!(EINVAL, "Nexthop has invalid scope"));
            }
            if route.onlink {
                if route.oif == 0 {
                    return Err(nl_err!(EINVAL, "Nexthop device required for onlink"));
                }
                return Ok(());
            }
            if net.is_local(gateway) {
                return Err(nl_err!(EINVAL, "Nexthop has invalid gateway"));
            }
            let fib = if v6 { &net.state.fib6 } else { &net.state.fib4 };
            let link_local = matches!(gateway, IpAddr::V6(gateway) if gateway.is_unicast_link_local());
            let way = fib.lookup_in(table::MAIN, key(gateway), route.oif);
            match way {
                Some(way) if way.kind == RouteType::Unicast && (way.gateway.is_none() || v6) => {
                    if route.oif == 0 {
                        route.oif = way.oif;
                    }
                }
                Some(way) if way.gateway.is_some() => {
                    return Err(nl_err!(ENETUNREACH, "Nexthop has invalid gateway"));
                }
                _ if link_local && route.oif != 0 => {}
                _ if v6 => return Err(err!(EHOSTUNREACH, "rtnetlink: no way to the gateway").into()),
                _ => return Err(nl_err!(ENETUNREACH, "Nexthop has invalid gateway")),
            }
        }
        None => {
            if route.oif == 0 {
                return Err(err!(ENODEV, "rtnetlink: neither device nor gateway").into());
            }
        }
    }
    Ok(())
}

/// `RTM_NEWROUTE`.
pub fn new(cx: &Cx<'_>, payload: &[u8]) -> NlResult<Reply> {
    cx.socket.stack().with(|net| {
        let (v6, mut route) = parse(payload)?;
        check(net, v6, &mut route)?;
        let (exclusive, replace) = (cx.flag(NlFlags::EXCL), cx.flag(NlFlags::REPLACE));
        let (create, append) = (cx.flag(NlFlags::CREATE), cx.flag(NlFlags::APPEND));
        let fib = net.state.fib(v6);
        if !create {
            let same = |have: &&Route| {
                have.table == route.table
                    && have.dst == route.dst
                    && have.prefix == route.prefix
                    && have.metric == route.metric
            };
            if !fib.all().iter().any(same) {
                return Err(err!(ENOENT, "rtnetlink: there is no such route").into());
            }
        }
        fib.add(route.clone(), exclusive, replace, append || v6)?;
        net.event(Event::NewRoute(v6, route));
        Ok(Reply::Done)
    })
}

/// `RTM_DELROUTE`: the first route that fits what is given.
pub fn del(cx: &Cx<'_>, payload: &[u8]) -> NlResult<Reply> {
    cx.socket.stack().with(|net| {
        let (v6, wanted) = parse(payload)?;
        let attrs = Attrs::after(payload, HEAD)?;
        let metric = attrs.u32(RTA_PRIORITY)?.unwrap_or(0);
        let any_kind = payload[7] == 0;
        let any_scope = payload[6] == scope::NOWHERE || v6;
        let fits = |have: &Route| {
            (any_kind || have.kind == wanted.kind || v6)
                && (any_scope || have.scope == wanted.scope)
                && (wanted.protocol == 0 || have.protocol == wanted.protocol)
                && (metric == 0 || have.metric == metric)
                && (wanted.tos == 0 || have.tos == wanted.tos)
                && (wanted.oif == 0 || have.oif == wanted.oif)
                && (wanted.gateway.is_none() || have.gateway == wanted.gateway)
                && (wanted.prefsrc.is_none() || have.prefsrc == wanted.prefsrc)
        };
        let gone = net
            .state
            .fib(v6)
            .remove_one(wanted.table, wanted.dst, wanted.prefix, fits);
        let gone = gone.ok_or(err!(ESRCH, "rtnetlink: there is no such route"))?;
        net.event(Event::DelRoute(v6, gone));
        Ok(Reply::Done)
    })
}
