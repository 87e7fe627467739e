//! A datagram socket gets its ends: `bind(2)`, `connect(2)`, `SO_BINDTODEVICE`.

use alloc::sync::Arc;
use core::net::IpAddr;

use super::DatagramSocket;
use crate::cred::Capability;
use crate::error::Result;
use crate::net::SockOption;
use crate::net::inet::addr::SockAddrIn;
use crate::net::inet::ports::{any, check_low_port, claim};
use crate::net::stack::sockets::{Bound, Ends};
use crate::task::Task;
use crate::{ensure, err};

impl DatagramSocket {
    /// `bind(2)`.
    pub(super) fn bind_to(&self, task: &Arc<Task>, addr: &[u8]) -> Result<()> {
        let to = SockAddrIn::parse(addr, self.v6)?;
        if !self.is_raw() {
            check_low_port(task, &self.ns, if self.is_udp() { to.port } else { 0 })?;
        }
        {
            let state = self.state.lock();
            ensure!(self.is_raw() || state.port == 0, EINVAL, "the socket is bound");
            if !state.options.freebind {
                let free = state.options.freebind;
                drop(state);
                self.ns
                    .stack()
                    .with(|net| if free { Ok(()) } else { net.check_bindable(to.addr) })?;
            }
        }
        if self.is_raw() {
            {
                let mut state = self.state.lock();
                state.local = to.addr;
                if to.scope != 0 {
                    state.ifindex = to.scope;
                }
            }
            self.register_raw();
            return Ok(());
        }
        if to.scope != 0 && matches!(to.addr, IpAddr::V6(addr) if addr.is_unicast_link_local()) {
            self.state.lock().ifindex = to.scope;
        }
        self.claim(to.addr, to.port)
    }

    /// `connect(2)`.
    pub(super) fn connect_to(&self, addr: &[u8]) -> Result<()> {
        if SockAddrIn::is_unspec(addr) {
            self.state.lock().remote = None;
            self.update_table();
            return Ok(());
        }
        let mut to = SockAddrIn::parse(addr, self.v6)?;
        if to.addr.is_unspecified() {
            to.addr = match to.addr {
                IpAddr::V4(_) => core::net::Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => core::net::Ipv6Addr::LOCALHOST.into(),
            };
        }
        let (local, ifindex) = {
            let state = self.state.lock();
            let ifindex = match to.addr {
                _ if to.scope != 0 => to.scope,
                _ if state.ifindex != 0 => state.ifindex,
                IpAddr::V4(to) if to.is_multicast() => state.options.mc_if,
                IpAddr::V6(to) if to.is_multicast() => state.options.mc_if6,
                _ => 0,
            };
            (state.local, ifindex)
        };
        let found = self.ns.stack().with(|net| match (to.addr, local) {
            (IpAddr::V4(dst), IpAddr::V4(src)) => net.route4(dst, Some(src), ifindex),
            (IpAddr::V4(dst), _) => net.route4(dst, None, ifindex),
            (IpAddr::V6(dst), IpAddr::V6(src)) => net.route6(dst, Some(src), ifindex),
            (IpAddr::V6(dst), _) => net.route6(dst, None, ifindex),
        })?;
        let broadcast = found.kind == crate::net::stack::route::RouteType::Broadcast;
        ensure!(
            !broadcast || self.base.is_set(SockOption::Broadcast),
            EACCES,
            "SO_BROADCAST is off"
        );
        self.autobind()?;
        {
            let mut state = self.state.lock();
            if state.local.is_unspecified() {
                state.local = found.src;
            }
            state.scope = to.scope;
            state.remote = Some((to.addr, to.port));
        }
        self.update_table();
        Ok(())
    }

    /// Claims a port for an address; 0 is any.
    fn claim(&self, local: IpAddr, port: u16) -> Result<()> {
        let (ifindex, v6only) = {
            let state = self.state.lock();
            (state.ifindex, state.options.v6only)
        };
        let bound = Bound {
            ends: Ends {
                local,
                port,
                remote: any(local.is_ipv6()),
                remote_port: 0,
            },
            ifindex,
            dual: self.v6 && !v6only,
            reuse_addr: self.base.is_set(SockOption::ReuseAddr),
            reuse_port: self.base.is_set(SockOption::ReusePort).then_some(0),
            socket: self.weak(),
        };
        let port = claim(&self.ns, self.table(), bound, |_, _| true)?;
        let mut state = self.state.lock();
        state.port = port;
        state.local = local;
        Ok(())
    }
    /// Gives a socket that sends a port.
    pub(super) fn autobind(&self) -> Result<()> {
        if self.is_raw() || self.state.lock().port != 0 {
            return Ok(());
        }
        let local = self.state.lock().local;
        self.claim(local, 0)
    }
    /// Tells the table what the socket is connected to.
    pub(super) fn update_table(&self) {
        if self.is_raw() {
            return self.register_raw();
        }
        let (port, local, remote, ifindex) = {
            let state = self.state.lock();
            (state.port, state.local, state.remote, state.ifindex)
        };
        let (remote, remote_port) = remote.unwrap_or((any(self.v6), 0));
        let echo = !self.is_udp();
        let mut stack = self.ns.stack().lock();
        (self.table())(&mut stack.sockets).update(port, &self.weak(), |bound| {
            bound.ends.local = local;
            bound.ends.remote = remote;
            bound.ends.remote_port = if echo { 0 } else { remote_port };
            bound.ifindex = ifindex;
        });
    }

    /// `SO_BINDTODEVICE`.
    pub(super) fn bind_to_device(&self, task: &Arc<Task>, value: &[u8]) -> Result<()> {
        let end = value.iter().position(|&c| c == 0).unwrap_or(value.len());
        let name = core::str::from_utf8(&value[..end]).map_err(|_| err!(ENODEV))?;
        let ifindex = match name {
            "" => 0,
            name => self.ns.stack().lock().by_name(name).ok_or(err!(ENODEV))?,
        };
        let bound = self.state.lock().ifindex != 0;
        ensure!(
            !bound || task.cred().ns_capable(self.ns.user_ns(), Capability::NET_RAW),
            EPERM,
            "no CAP_NET_RAW"
        );
        self.state.lock().ifindex = ifindex;
        self.update_table();
        Ok(())
    }
}
