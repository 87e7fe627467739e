//! A datagram socket gets its ends: `bind(2)`, `connect(2)`, and a device.

use alloc::sync::Arc;
use core::net::IpAddr;

use super::DatagramSocket;
use crate::ensure;
use crate::error::Result;
use crate::net::SockOption;
use crate::net::inet::addr::SockAddrIn;
use crate::net::inet::device;
use crate::net::inet::ports::{any, check_low_port, claim};
use crate::net::stack::sockets::{Bound, Ends};
use crate::task::Task;

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
        self.claim(to.addr, to.port)?;
        let mut state = self.state.lock();
        state.keeps_local |= !to.addr.is_unspecified();
        state.keeps_port |= to.port != 0;
        Ok(())
    }

    /// `connect(2)`.
    pub(super) fn connect_to(&self, addr: &[u8]) -> Result<()> {
        if SockAddrIn::is_unspec(addr) {
            self.disconnect();
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

    /// `connect(2)` to `AF_UNSPEC`: what `connect` and the first send chose is given back, and the
    /// device; what `bind` was told to take stays (Linux's `__udp_disconnect`).
    fn disconnect(&self) {
        let port = {
            let mut state = self.state.lock();
            state.remote = None;
            state.scope = 0;
            state.ifindex = 0;
            if !state.keeps_local {
                state.local = any(self.v6);
            }
            if state.keeps_port {
                0
            } else {
                core::mem::take(&mut state.port)
            }
        };
        if port == 0 {
            self.update_table();
        } else {
            let mut stack = self.ns.stack().lock();
            (self.table())(&mut stack.sockets).remove(port, &self.weak());
        }
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

    /// `SO_BINDTODEVICE` and `SO_BINDTOIFINDEX`.
    pub(super) fn bind_to_device(&self, task: &Arc<Task>, name: i32, value: &[u8]) -> Result<()> {
        let old = self.state.lock().ifindex;
        let new = device::set(task, self.ns.stack(), old, name, value)?;
        self.state.lock().ifindex = new;
        self.update_table();
        Ok(())
    }
}
