//! Claiming ports.

use alloc::sync::Arc;
use core::net::IpAddr;

use crate::cred::Capability;
use crate::error::Result;
use crate::namespace::NetNamespace;
use crate::net::stack::sockets::{Bound, PortTable, SocketTable};
use crate::task::Task;
use crate::{bail, ensure};

/// That the caller may bind to a port (`CAP_NET_BIND_SERVICE` in the owner of the namespace).
pub fn check_low_port(task: &Task, ns: &Arc<NetNamespace>, port: u16) -> Result<()> {
    let low = ns.stack().sysctl.ip_unprivileged_port_start.get();
    ensure!(
        port == 0 || port as i64 >= low || task.cred().ns_capable(ns.user_ns(), Capability::NET_BIND_SERVICE),
        EACCES,
        "a low port takes CAP_NET_BIND_SERVICE"
    );
    Ok(())
}

/// Claims the port of `bound`, or with 0 a free one; returns it. `EADDRINUSE`.
pub fn claim(
    ns: &Arc<NetNamespace>,
    table: fn(&mut SocketTable) -> &mut PortTable,
    mut bound: Bound,
    accept: impl Fn(&SocketTable, u16) -> bool,
) -> Result<u16> {
    let stack = ns.stack();
    let mut state = stack.lock();
    let sockets = &mut state.sockets;
    if bound.ends.port != 0 {
        let port = bound.ends.port;
        ensure!(
            table(sockets).is_free(port, &bound, false) && !table(sockets).is_kept(port, &bound),
            EADDRINUSE,
            "the port is taken"
        );
        table(sockets).insert(bound);
        return Ok(port);
    }
    let low = stack.sysctl.local_port_low.get().clamp(1, 65535) as u32;
    let high = stack.sysctl.local_port_high.get().clamp(low as i64, 65535) as u32;
    let count = high - low + 1;
    // From a random place on, so that ports are not guessed.
    let start = (stack.shared.rng.next_u64() as u32 ^ sockets.next_port as u32) % count;
    for n in 0..count {
        let port = (low + (start + n) % count) as u16;
        if table(sockets).is_free(port, &bound, true) && accept(sockets, port) {
            bound.ends.port = port;
            table(sockets).insert(bound);
            return Ok(port);
        }
    }
    bail!(EADDRINUSE, "all ports are taken");
}

/// Of a port that nobody asked for by its number: whether no connection of TCP keeps it.
pub fn not_kept(sockets: &SocketTable, port: u16) -> bool {
    !sockets.tcp.is_kept_at_all(port)
}

/// The wildcard of a family.
pub fn any(v6: bool) -> IpAddr {
    if v6 {
        IpAddr::V6(core::net::Ipv6Addr::UNSPECIFIED)
    } else {
        IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED)
    }
}
