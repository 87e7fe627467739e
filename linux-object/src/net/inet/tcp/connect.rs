//! A socket gets its ends: `bind(2)` and `connect(2)`.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::net::IpAddr;

use smoltcp::socket::tcp::State as TcpState;

use super::engine::{BUFFER, Engine};
use super::isn::initial_sequence;
use super::socket::{Phase, TcpSocket};
use super::stats::after;
use crate::error::Result;
use crate::net::Shutdown;
use crate::net::inet::addr::SockAddrIn;
use crate::net::inet::ports::{check_low_port, claim, not_kept};
use crate::net::stack::mib::Counter;
use crate::net::stack::route::RouteType;
use crate::net::stack::sockets::Ends;
use crate::net::stack::{Dst, Run};
use crate::task::Task;
use crate::{bail, ensure};

impl TcpSocket {
    /// `bind(2)`.
    pub(super) fn bind_to(&self, task: &Arc<Task>, addr: &[u8]) -> Result<()> {
        let to = SockAddrIn::parse(addr, self.v6)?;
        let ns = self.ns()?;
        self.stack.with(|net| net.check_bindable(to.addr))?;
        check_low_port(task, &ns, to.port)?;
        let bound = {
            let mut state = self.state.lock();
            ensure!(
                state.port == 0 && matches!(state.phase, Phase::Idle),
                EINVAL,
                "the socket is bound"
            );
            if to.scope != 0 {
                state.ifindex = to.scope;
            }
            self.bound(&state, to.addr, to.port)
        };
        let port = claim(&ns, |sockets| &mut sockets.tcp, bound, not_kept)?;
        let mut state = self.state.lock();
        state.local = to.addr;
        state.port = port;
        state.chose_addr = !to.addr.is_unspecified();
        state.chose_port = to.port != 0;
        Ok(())
    }

    /// `connect(2)`.
    pub(super) fn connect_to(&self, addr: &[u8]) -> Result<()> {
        ensure!(addr.len() >= 2, EINVAL, "the address is too short");
        if SockAddrIn::is_unspec(addr) {
            self.disconnect();
            return Ok(());
        }
        let fresh = {
            let mut state = self.state.lock();
            let connecting = state.connecting;
            match &mut state.phase {
                Phase::Idle => true,
                Phase::Listening { .. } => bail!(EISCONN, "the socket listens"),
                Phase::Connected(engine) => match engine.socket().state() {
                    TcpState::SynSent => bail!(EALREADY, "the handshake goes on"),
                    TcpState::Closed => {
                        let failed = self.base.take_error();
                        state.phase = Phase::Idle;
                        state.shutdown = Shutdown::empty();
                        state.connecting = false;
                        failed?;
                        ensure!(!connecting, ECONNABORTED, "the connection failed");
                        true
                    }
                    _ if connecting => {
                        state.connecting = false;
                        return Ok(());
                    }
                    _ => bail!(EISCONN, "the socket is connected"),
                },
            }
        };
        if fresh {
            self.start_connect(addr)?;
            // It may be over already, but as on Linux only the next call tells.
            bail!(EINPROGRESS, "the handshake goes on");
        }
        let mut state = self.state.lock();
        let Phase::Connected(engine) = &mut state.phase else {
            bail!(ECONNABORTED)
        };
        match engine.socket().state() {
            TcpState::SynSent => bail!(EINPROGRESS, "the handshake goes on"),
            TcpState::Closed => {
                state.phase = Phase::Idle;
                state.shutdown = Shutdown::empty();
                state.connecting = false;
                drop(state);
                self.base.take_error()?;
                bail!(ECONNREFUSED, "nobody listens there")
            }
            _ => {
                state.connecting = false;
                Ok(())
            }
        }
    }

    fn route(&self, to: &SockAddrIn, local: IpAddr, ifindex: u32) -> Result<Dst> {
        let oif = if to.scope != 0 { to.scope } else { ifindex };
        self.stack.with(|net| match (to.addr, local) {
            (IpAddr::V4(dst), IpAddr::V4(src)) => net.route4(dst, Some(src), oif),
            (IpAddr::V4(dst), _) => net.route4(dst, None, oif),
            (IpAddr::V6(dst), IpAddr::V6(src)) => net.route6(dst, Some(src), oif),
            (IpAddr::V6(dst), _) => net.route6(dst, None, oif),
        })
    }

    /// What a connection begins with, not before `least`, and random bits.
    pub(super) fn first_number(&self, ends: &Ends, least: Option<u32>) -> (u32, u64) {
        let shared = &self.stack.shared;
        let isn = initial_sequence(&shared.isn_key, ends, self.now());
        let isn = match least {
            Some(least) if after(least, isn) => least,
            _ => isn,
        };
        (isn, shared.rng.next_u64())
    }

    fn start_connect(&self, addr: &[u8]) -> Result<()> {
        let mut to = SockAddrIn::parse(addr, self.v6)?;
        if to.addr.is_unspecified() {
            to.addr = match to.addr {
                IpAddr::V4(_) => core::net::Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => core::net::Ipv6Addr::LOCALHOST.into(),
            };
        }
        let ns = self.ns()?;
        let (local, port, ifindex) = {
            let state = self.state.lock();
            (state.local, state.port, state.ifindex)
        };
        let route = self.route(&to, local, ifindex)?;
        ensure!(
            matches!(route.kind, RouteType::Unicast | RouteType::Local),
            ENETUNREACH,
            "TCP connects to one host"
        );
        ensure!(to.port != 0, ECONNREFUSED, "port 0");
        let memory = self.payer.charge_buffers(BUFFER)?;
        let ends = |port: u16| Ends {
            local: route.src,
            port,
            remote: to.addr,
            remote_port: to.port,
        };
        let this = self.arc()?;
        let port = if port == 0 {
            let mut bound = self.bound(&self.state.lock(), route.src, 0);
            // Two connections may have one port if they lead to different places.
            bound.reuse_addr = true;
            claim(
                &ns,
                |sockets| &mut sockets.tcp,
                bound,
                |sockets, port| !sockets.connections.contains_key(&ends(port)),
            )?
        } else {
            port
        };
        let ends = ends(port);
        let old = self.stack.lock().sockets.connections.get(&ends).cloned();
        let isn = old.and_then(|old| old.give_way());
        {
            let mut stack = self.stack.lock();
            let connections = &mut stack.sockets.connections;
            ensure!(
                !connections.contains_key(&ends),
                EADDRNOTAVAIL,
                "there is such a connection"
            );
            connections.insert(ends, this);
        }
        let now = self.now();
        let mtu = self
            .stack
            .enter(&mut Run::new(), |net| net.path(route, to.addr).mtu);
        let isn = self.first_number(&ends, isn);
        let tcp = self.state.lock().tcp.clone();
        let mtu = tcp.narrowed(mtu, route.src);
        let mut engine = Engine::new(route.src, mtu as usize, isn, now, memory);
        // How the last connection ended is no error of this one.
        let _ = self.base.take_error();
        self.stack.mib.add(Counter::TcpActiveOpens);
        engine.connect((to.addr, to.port), (route.src, port));
        {
            let mut state = self.state.lock();
            state.tcp.apply(&mut engine);
            engine.set_timeout(tcp.connect_timeout(&self.stack.sysctl));
            state.local = route.src;
            state.port = port;
            state.remote = Some((to.addr, to.port));
            state.scope = to.scope;
            state.connecting = true;
            state.last = TcpState::SynSent;
            state.phase = Phase::Connected(Box::new(engine));
        }
        let mut run = Run::new();
        self.drive(&mut run, false);
        run.finish();
        Ok(())
    }
}
