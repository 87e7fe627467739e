//! A socket in groups: `IP_ADD_MEMBERSHIP` and its kin (`ip(7)`, `ipv6(7)`), and the options of both families (RFC
//! 3678).
//!
//! The socket keeps what it has joined; the stack counts it per device ([`mcast`](crate::net::stack::mcast)).
//! A device that has gone has taken its groups along; the socket may leave them nevertheless.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::options::{SOL_IP, SOL_IPV6};
use crate::error::Result;
use crate::net::stack::Net;
use crate::net::stack::mcast::{Filter, Mode};
use crate::{bail, ensure, err};

/// The most sources of a membership: `net.ipv4.igmp_max_msf` or `net.ipv6.mld_max_msf`.
fn max_sources(net: &Net<'_>, v6: bool) -> usize {
    let setting = if v6 {
        &net.stack.shared.core.mld_max_msf
    } else {
        &net.stack.sysctl.igmp_max_msf
    };
    setting.get().max(0) as usize
}

/// Lengths of `struct ip_mreq`, `ip_mreqn`, `ipv6_mreq`, `group_req`, `group_source_req`; of the heads of
/// `ip_msfilter` and `group_filter`.
const MREQ: usize = 8;
const MREQN: usize = 12;
const MREQ6: usize = 20;
const GROUP_REQ: usize = 136;
const GROUP_SOURCE_REQ: usize = 264;
const MSFILTER: usize = 16;
const GROUP_FILTER: usize = 144;
/// `sizeof(struct sockaddr_storage)`.
const STORAGE: usize = 128;

mod option {
    pub const IF: i32 = 32;
    pub const ADD: i32 = 35;
    pub const DROP: i32 = 36;
    pub const UNBLOCK: i32 = 37;
    pub const BLOCK: i32 = 38;
    pub const ADD_SOURCE: i32 = 39;
    pub const DROP_SOURCE: i32 = 40;
    pub const FILTER: i32 = 41;
    pub const MCAST_JOIN: i32 = 42;
    pub const MCAST_BLOCK: i32 = 43;
    pub const MCAST_UNBLOCK: i32 = 44;
    pub const MCAST_LEAVE: i32 = 45;
    pub const MCAST_JOIN_SOURCE: i32 = 46;
    pub const MCAST_LEAVE_SOURCE: i32 = 47;
    pub const MCAST_FILTER: i32 = 48;
    pub const IF6: i32 = 17;
    pub const HOPS6: i32 = 18;
    pub const JOIN6: i32 = 20;
    pub const LEAVE6: i32 = 21;
}

/// Whether an option is about groups and needs the stack.
pub fn is_option(level: i32, name: i32) -> bool {
    match level {
        SOL_IP => name == option::IF || (option::ADD..=option::MCAST_FILTER).contains(&name),
        SOL_IPV6 => {
            matches!(name, option::IF6 | option::JOIN6 | option::LEAVE6)
                || (option::MCAST_JOIN..=option::MCAST_FILTER).contains(&name)
        }
        _ => false,
    }
}
/// Whether an option is read by saying of what.
pub fn is_asked(level: i32, name: i32) -> bool {
    level == SOL_IP && name == option::FILTER
        || matches!(level, SOL_IP | SOL_IPV6) && name == option::MCAST_FILTER
}
/// What a stream says to it: it is in no groups. `EPROTO`, `EINVAL`.
pub fn refuse_stream(level: i32, name: i32) -> Result<()> {
    match (level, name) {
        (SOL_IP, option::ADD | option::DROP) | (SOL_IPV6, option::JOIN6 | option::LEAVE6) => {
            bail!(EPROTO, "a connection is in no group")
        }
        (SOL_IP, option::IF | 33) | (SOL_IPV6, option::IF6 | option::HOPS6) => {
            bail!(EINVAL, "a connection sends to no group")
        }
        (_, option::MCAST_JOIN | option::MCAST_LEAVE) if is_option(level, name) => {
            bail!(EPROTO, "a connection is in no group")
        }
        (..) if is_option(level, name) => bail!(EINVAL, "a connection is in no group"),
        _ => Ok(()),
    }
}

/// A group that a socket is in.
#[derive(Clone, Debug)]
pub struct Membership {
    group: IpAddr,
    ifindex: u32,
    /// The device's address by which it was named.
    named: Ipv4Addr,
    filter: Filter,
    /// It has had a list of sources, so its mode is what it is.
    listed: bool,
}

/// The groups of a socket.
#[derive(Default)]
pub struct Memberships {
    list: Vec<Membership>,
}

/// How a device is named.
#[derive(Clone, Copy, Debug)]
struct Dev {
    ifindex: u32,
    addr: Ipv4Addr,
}

impl Dev {
    fn nr(ifindex: u32) -> Dev {
        let addr = Ipv4Addr::UNSPECIFIED;
        Dev { ifindex, addr }
    }
    /// The device (Linux's `ip_mc_find_dev`): by number, by its address, or where the route to the group leads.
    fn find(self, net: &Net<'_>, group: IpAddr) -> Option<u32> {
        if self.ifindex != 0 {
            return net.device(self.ifindex).map(|dev| dev.ifindex);
        }
        if !self.addr.is_unspecified() {
            let own = IpAddr::V4(self.addr);
            let mut devices = net.state.devices.values();
            let found = devices.find(|dev| dev.addrs.iter().any(|addr| addr.addr == own));
            return found.map(|dev| dev.ifindex);
        }
        let route = match group {
            IpAddr::V4(group) => net.route4(group, None, 0),
            IpAddr::V6(group) => net.route6(group, None, 0),
        };
        route.ok().map(|route| route.oif)
    }
}

fn word(value: &[u8], at: usize) -> u32 {
    let bytes = value.get(at..).and_then(|b| b.first_chunk());
    bytes.map_or(0, |&b| u32::from_ne_bytes(b))
}
fn addr4(value: &[u8], at: usize) -> Ipv4Addr {
    let bytes = value.get(at..).and_then(|b| b.first_chunk::<4>());
    bytes.map_or(Ipv4Addr::UNSPECIFIED, |&b| Ipv4Addr::from(b))
}
fn addr6(value: &[u8], at: usize) -> Ipv6Addr {
    let bytes = value.get(at..).and_then(|b| b.first_chunk::<16>());
    bytes.map_or(Ipv6Addr::UNSPECIFIED, |&b| Ipv6Addr::from(b))
}
/// The address of a `struct sockaddr` of the level's family.
fn storage(level: i32, value: &[u8], at: usize) -> Option<IpAddr> {
    let family = value.get(at..).and_then(|b| b.first_chunk::<2>());
    match (level, family.map(|&b| u16::from_ne_bytes(b))) {
        (SOL_IP, Some(crate::net::af::INET)) => Some(addr4(value, at + 4).into()),
        (SOL_IPV6, Some(crate::net::af::INET6)) => Some(addr6(value, at + 8).into()),
        _ => None,
    }
}
fn mode(number: u32) -> Result<Mode> {
    match number {
        0 => Ok(Mode::Exclude),
        1 => Ok(Mode::Include),
        _ => bail!(EINVAL, "no such mode"),
    }
}

impl Memberships {
    /// Whether the socket takes a packet to a group (Linux's `ip_mc_sf_allow`, `inet6_mc_check`); `all`: it also
    /// takes what it has not joined.
    pub fn allow(&self, group: IpAddr, src: IpAddr, ifindex: u32, all: bool) -> bool {
        let here = |m: &&Membership| m.group == group && (group.is_ipv6() || m.ifindex == ifindex);
        self.list.iter().find(here).map_or(all, |m| m.filter.allows(src))
    }

    fn position(&self, group: IpAddr, dev: Dev) -> Option<usize> {
        self.list.iter().position(|m| {
            m.group == group
                && match dev {
                    Dev { ifindex: 0, addr } => addr.is_unspecified() || addr == m.named,
                    Dev { ifindex, .. } => ifindex == m.ifindex,
                }
        })
    }

    fn join(&mut self, net: &mut Net<'_>, group: IpAddr, dev: Dev, filter: Filter) -> Result<()> {
        ensure!(group.is_multicast(), EINVAL, "not the address of a group");
        let v6 = group.is_ipv6();
        if v6 {
            ensure!(
                self.position(group, dev).is_none(),
                EADDRINUSE,
                "already in the group"
            );
        }
        let ifindex = dev.find(net, group).ok_or(err!(ENODEV, "no such device"))?;
        let taken = self.position(group, Dev::nr(ifindex)).is_some();
        ensure!(!taken, EADDRINUSE, "already in the group");
        ensure!(
            v6 || (self.list.len() as i64) < net.stack.sysctl.igmp_max_memberships.get(),
            ENOBUFS,
            "in too many groups"
        );
        net.join_group(ifindex, group, &filter);
        let named = dev.addr;
        let listed = false;
        self.list.push(Membership {
            group,
            ifindex,
            named,
            filter,
            listed,
        });
        Ok(())
    }

    fn leave(&mut self, net: &mut Net<'_>, group: IpAddr, dev: Dev) -> Result<()> {
        ensure!(
            group.is_ipv4() || group.is_multicast(),
            EINVAL,
            "not the address of a group"
        );
        let anywhere = dev.ifindex == 0 && dev.addr.is_unspecified();
        if anywhere && group.is_ipv4() {
            dev.find(net, group).ok_or(err!(ENODEV, "no such device"))?;
        }
        let at = self
            .position(group, dev)
            .ok_or(err!(EADDRNOTAVAIL, "not in the group"))?;
        let gone = self.list.remove(at);
        net.leave_group(gone.ifindex, gone.group, &gone.filter);
        Ok(())
    }

    /// Adds a source to a list of this mode, or takes it off (Linux's `ip_mc_source`).
    fn source(
        &mut self,
        net: &mut Net<'_>,
        (group, dev): (IpAddr, Dev),
        mode: Mode,
        source: IpAddr,
        add: bool,
    ) -> Result<()> {
        ensure!(group.is_multicast(), EINVAL, "not the address of a group");
        let ifindex = dev.find(net, group).ok_or(err!(ENODEV, "no such device"))?;
        let at = self.position(group, Dev::nr(ifindex));
        let at = at.ok_or(err!(EINVAL, "not in the group"))?;
        let member = &mut self.list[at];
        let old = member.filter.clone();
        // With a list that never was the mode may change.
        ensure!(
            !member.listed || old.mode == mode,
            EINVAL,
            "the list is of the other kind"
        );
        let mut new = Filter {
            mode,
            sources: old.sources.clone(),
        };
        let have = new.sources.iter().position(|other| *other == source);
        match (add, have) {
            (true, None) => {
                let most = max_sources(net, group.is_ipv6());
                ensure!(new.sources.len() < most, ENOBUFS, "too many sources");
                new.sources.push(source);
                member.listed = true;
            }
            (false, Some(have)) if mode == Mode::Exclude || new.sources.len() > 1 => {
                new.sources.remove(have);
            }
            // Of nobody is not in the group.
            (false, Some(_)) => return self.leave(net, group, Dev::nr(ifindex)),
            _ => {
                member.filter.mode = mode;
                net.change_group(ifindex, group, &old, &member.filter);
                bail!(EADDRNOTAVAIL, "the source is there, or is not");
            }
        }
        net.change_group(ifindex, group, &old, &new);
        member.filter = new;
        Ok(())
    }

    fn set_filter(&mut self, net: &mut Net<'_>, group: IpAddr, dev: Dev, new: Filter) -> Result<()> {
        ensure!(group.is_multicast(), EINVAL, "not the address of a group");
        let ifindex = dev.find(net, group).ok_or(err!(ENODEV, "no such device"))?;
        if new == Filter::NONE {
            return self.leave(net, group, Dev::nr(ifindex));
        }
        let at = self.position(group, Dev::nr(ifindex));
        let member = &mut self.list[at.ok_or(err!(EINVAL, "not in the group"))?];
        net.change_group(ifindex, group, &member.filter, &new);
        member.listed = !new.sources.is_empty();
        member.filter = new;
        Ok(())
    }

    /// The socket is closed.
    pub fn leave_all(&mut self, net: &mut Net<'_>) {
        for gone in core::mem::take(&mut self.list) {
            net.leave_group(gone.ifindex, gone.group, &gone.filter);
        }
    }

    /// `setsockopt(2)` of an option for which [`is_option`] holds, but for that of the device to send through.
    pub fn set(&mut self, net: &mut Net<'_>, level: i32, name: i32, value: &[u8]) -> Result<()> {
        let long = |len: usize| ensure_len(value, len);
        match (level, name) {
            (SOL_IP, option::ADD | option::DROP) => {
                long(MREQ)?;
                let group = addr4(value, 0).into();
                let ifindex = if value.len() >= MREQN { word(value, 8) } else { 0 };
                let dev = Dev {
                    ifindex,
                    addr: addr4(value, 4),
                };
                match name {
                    option::ADD => self.join(net, group, dev, Filter::ALL),
                    _ => self.leave(net, group, dev),
                }
            }
            (SOL_IPV6, option::JOIN6 | option::LEAVE6) => {
                long(MREQ6)?;
                let (group, dev) = (addr6(value, 0).into(), Dev::nr(word(value, 16)));
                match name {
                    option::JOIN6 => self.join(net, group, dev, Filter::ALL),
                    _ => self.leave(net, group, dev),
                }
            }
            (_, option::MCAST_JOIN | option::MCAST_LEAVE) => {
                long(GROUP_REQ)?;
                let dev = Dev::nr(word(value, 0));
                let Some(group) = storage(level, value, 8) else {
                    let errno = if level == SOL_IP {
                        err!(EINVAL)
                    } else {
                        err!(EADDRNOTAVAIL)
                    };
                    return Err(errno);
                };
                match name {
                    option::MCAST_JOIN => self.join(net, group, dev, Filter::ALL),
                    _ => self.leave(net, group, dev),
                }
            }
            (SOL_IP, option::UNBLOCK..=option::DROP_SOURCE) => {
                ensure!(
                    value.len() == MREQN,
                    EINVAL,
                    "the option is a struct ip_mreq_source"
                );
                let dev = Dev {
                    ifindex: 0,
                    addr: addr4(value, 4),
                };
                let (mode, add) = match name {
                    option::BLOCK => (Mode::Exclude, true),
                    option::UNBLOCK => (Mode::Exclude, false),
                    option::ADD_SOURCE => (Mode::Include, true),
                    _ => (Mode::Include, false),
                };
                let group = addr4(value, 0).into();
                self.join_for((mode, add), net, group, dev)?;
                self.source(net, (group, dev), mode, addr4(value, 8).into(), add)
            }
            (_, option::MCAST_BLOCK | option::MCAST_UNBLOCK)
            | (_, option::MCAST_JOIN_SOURCE | option::MCAST_LEAVE_SOURCE) => {
                ensure!(
                    value.len() == GROUP_SOURCE_REQ,
                    EINVAL,
                    "the option is a struct group_source_req"
                );
                let addrs = (storage(level, value, 8), storage(level, value, 8 + STORAGE));
                let (Some(group), Some(source)) = addrs else {
                    bail!(EADDRNOTAVAIL, "addresses of the other family");
                };
                let dev = Dev::nr(word(value, 0));
                let (mode, add) = match name {
                    option::MCAST_BLOCK => (Mode::Exclude, true),
                    option::MCAST_UNBLOCK => (Mode::Exclude, false),
                    option::MCAST_JOIN_SOURCE => (Mode::Include, true),
                    _ => (Mode::Include, false),
                };
                self.join_for((mode, add), net, group, dev)?;
                self.source(net, (group, dev), mode, source, add)
            }
            (SOL_IP, option::FILTER) => {
                long(MSFILTER)?;
                let count = word(value, 12) as usize;
                ensure!(count <= max_sources(net, false), ENOBUFS, "too many sources");
                long(MSFILTER + count * 4)?;
                let sources = (0..count)
                    .map(|n| addr4(value, MSFILTER + n * 4).into())
                    .collect();
                let filter = Filter {
                    mode: mode(word(value, 8))?,
                    sources,
                };
                let dev = Dev {
                    ifindex: 0,
                    addr: addr4(value, 4),
                };
                self.set_filter(net, addr4(value, 0).into(), dev, filter)
            }
            (_, option::MCAST_FILTER) => {
                long(GROUP_FILTER)?;
                let count = word(value, 140) as usize;
                ensure!(
                    count <= max_sources(net, level == SOL_IPV6),
                    ENOBUFS,
                    "too many sources"
                );
                long(GROUP_FILTER + count * STORAGE)?;
                let sources = (0..count).map(|n| storage(level, value, GROUP_FILTER + n * STORAGE));
                let (group, sources) = (storage(level, value, 8), sources.collect::<Option<Vec<_>>>());
                let (Some(group), Some(sources)) = (group, sources) else {
                    bail!(EADDRNOTAVAIL, "addresses of the other family");
                };
                let filter = Filter {
                    mode: mode(word(value, 136))?,
                    sources,
                };
                self.set_filter(net, group, Dev::nr(word(value, 0)), filter)
            }
            _ => bail!(ENOPROTOOPT, "there is no such option"),
        }
    }

    /// A source is joined with its group, if that was not.
    fn join_for(&mut self, ask: (Mode, bool), net: &mut Net<'_>, group: IpAddr, dev: Dev) -> Result<()> {
        if ask != (Mode::Include, true) {
            return Ok(());
        }
        match self.join(net, group, dev, Filter::NONE) {
            Err(error) if error.errno() == crate::error::Errno::EADDRINUSE => Ok(()),
            other => other,
        }
    }

    /// `getsockopt(2)` of a filter; `asked` says of which group, and how many sources there is room for.
    pub fn get(&self, net: &Net<'_>, level: i32, name: i32, asked: &[u8]) -> Result<Vec<u8>> {
        let old = name == option::FILTER;
        ensure_len(asked, if old { MSFILTER } else { GROUP_FILTER })?;
        let (group, dev, room) = if old {
            let dev = Dev {
                ifindex: 0,
                addr: addr4(asked, 4),
            };
            (addr4(asked, 0).into(), dev, word(asked, 12))
        } else {
            let group = storage(level, asked, 8).ok_or(err!(EADDRNOTAVAIL, "of the other family"))?;
            (group, Dev::nr(word(asked, 0)), word(asked, 140))
        };
        ensure!(group.is_multicast(), EINVAL, "not the address of a group");
        let ifindex = dev.find(net, group).ok_or(err!(ENODEV, "no such device"))?;
        let at = self
            .position(group, Dev::nr(ifindex))
            .ok_or(err!(EADDRNOTAVAIL, "not in the group"))?;
        let filter = &self.list[at].filter;
        let mut out = asked[..if old { MSFILTER } else { GROUP_FILTER }].to_vec();
        let words = [filter.mode as u32, filter.sources.len() as u32]
            .map(u32::to_ne_bytes)
            .concat();
        let place = if old { 8 } else { 136 };
        out[place..place + 8].copy_from_slice(&words);
        for source in filter.sources.iter().take(room as usize) {
            match source {
                IpAddr::V4(source) if old => out.extend_from_slice(&source.octets()),
                source => {
                    let mut storage = super::SockAddrIn::emit(*source, 0, 0, source.is_ipv6());
                    storage.resize(STORAGE, 0);
                    out.extend_from_slice(&storage);
                }
            }
        }
        Ok(out)
    }
}

fn ensure_len(value: &[u8], len: usize) -> Result<()> {
    ensure!(value.len() >= len, EINVAL, "the option is too short");
    Ok(())
}

/// `IP_MULTICAST_IF` and `IPV6_MULTICAST_IF`: the device and the address that the value names. `EADDRNOTAVAIL`,
/// `ENODEV`: there is none.
pub fn send_through(net: &Net<'_>, level: i32, value: &[u8], bound: u32) -> Result<(u32, Ipv4Addr)> {
    ensure_len(value, 4)?;
    if level == SOL_IPV6 {
        let ifindex = word(value, 0);
        if ifindex != 0 {
            ensure!(bound == 0 || bound == ifindex, EINVAL, "bound to another device");
            net.device(ifindex).ok_or(err!(ENODEV, "no such device"))?;
        }
        return Ok((ifindex, Ipv4Addr::UNSPECIFIED));
    }
    let addr = addr4(value, if value.len() >= MREQ { 4 } else { 0 });
    let ifindex = if value.len() >= MREQN { word(value, 8) } else { 0 };
    if ifindex == 0 && addr.is_unspecified() {
        return Ok((0, addr));
    }
    let dev = Dev { ifindex, addr };
    let found = dev
        .find(net, IpAddr::V4(addr))
        .ok_or(err!(EADDRNOTAVAIL, "no such device"))?;
    ensure!(bound == 0 || bound == found, EINVAL, "bound to another device");
    Ok((found, addr))
}
