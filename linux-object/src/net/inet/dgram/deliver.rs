//! Packets and errors that arrive at a datagram socket.

use alloc::sync::Arc;

use super::{Datagram, DatagramSocket, MAX_ERRORS, State};
use crate::cbpf::PacketInput;
use crate::error::Errno;
use crate::fs::PollEvents;
use crate::net::inet::ports::any;
use crate::net::inet::proto;
use crate::net::payer::SockCharge;
use crate::net::stack::mib::Counter;
use crate::net::stack::packet::be16;
use crate::net::stack::sockets::{Delivery, InetInfo, InetSocket, tcp_state};
use crate::net::stack::{PmtuDiscovery, Run, transport_checksum};

impl DatagramSocket {
    fn wanted(&self, state: &State, delivery: &Delivery) -> bool {
        let transport = delivery.transport();
        if delivery.dst.is_multicast() {
            let options = &state.options;
            let all = if delivery.dst.is_ipv4() {
                options.mc_all
            } else {
                options.mc_all6
            };
            let groups = &state.groups;
            if !groups.allow(delivery.dst, delivery.src, delivery.ifindex, all) {
                return false;
            }
        }
        match (self.is_raw(), self.proto, transport.first()) {
            (true, proto::ICMP, Some(&kind)) if kind < 32 => state.filter & 1 << kind == 0,
            (true, proto::ICMPV6, Some(&kind)) if self.v6 => {
                state.filter6[kind as usize / 32] & 1 << (kind % 32) == 0
            }
            (true, proto, _) if let Some(_) = state.checksum => {
                transport_checksum(delivery.src, delivery.dst, proto, transport) == 0
            }
            _ => true,
        }
    }
}

impl DatagramSocket {
    /// A router says that what was sent is too long for the path. Whether a socket that is connected should be told;
    /// `None`: nobody should.
    fn too_big(&self, run: &mut Run, delivery: &Delivery, mtu: u32) -> Option<bool> {
        let v6 = delivery.dst.is_ipv6();
        let mode = {
            let options = &self.state.lock().options;
            if v6 {
                options.mtu_discover6
            } else {
                options.mtu_discover
            }
        };
        let deaf = matches!(mode, PmtuDiscovery::Interface | PmtuDiscovery::Omit);
        if !deaf {
            self.ns
                .stack()
                .enter(run, |net| net.learn_path_mtu(delivery.dst, mtu));
        }
        match mode {
            PmtuDiscovery::Dont if !v6 => None,
            _ if v6 && deaf && self.is_udp() => None,
            _ if v6 && self.is_raw() => Some(mode == PmtuDiscovery::Do),
            _ => Some(mode != PmtuDiscovery::Dont),
        }
    }
}

impl InetSocket for DatagramSocket {
    fn deliver(self: Arc<Self>, run: &mut Run, delivery: Delivery) {
        let at = self.ns.stack().shared.time.realtime();
        let transport = delivery.transport();
        if let Some(mut error) = delivery.error {
            if error.errno == Errno::EMSGSIZE {
                match self.too_big(run, &delivery, error.info) {
                    Some(hard) => error.hard = hard,
                    None => return,
                }
            }
            let mut state = self.state.lock();
            let recverr = if self.v6 {
                state.options.recverr6
            } else {
                state.options.recverr
            };
            let connected = state.remote.is_some();
            if !(recverr || connected && error.hard) {
                return;
            }
            if recverr && state.errors.len() < MAX_ERRORS {
                let skip = if self.is_udp() { 8 } else { 0 };
                state.errors.push_back(Datagram {
                    data: transport.get(skip..).unwrap_or_default().to_vec(),
                    src: delivery.dst,
                    port: if self.is_udp() { be16(transport, 2) } else { 0 },
                    dst: delivery.src,
                    ifindex: delivery.ifindex,
                    ttl: 0,
                    tos: 0,
                    at,
                    error: Some(error),
                    _memory: SockCharge::none(),
                });
            }
            drop(state);
            self.base.set_error(error.errno);
            self.queue
                .wake_all(PollEvents::ERR | PollEvents::READABLE | PollEvents::WRITABLE);
            return;
        }
        {
            let mut state = self.state.lock();
            if state.closed || !self.wanted(&state, &delivery) {
                return;
            }
            let data = match (self.is_raw(), self.v6) {
                (true, false) => delivery.packet.data(),
                _ if self.is_udp() => transport.get(8..).unwrap_or_default(),
                _ => transport,
            };
            let ethertype = if delivery.src.is_ipv6() { 0x86dd } else { 0x800 };
            let seen = PacketInput {
                data: if self.is_udp() { transport } else { data },
                network: Some(delivery.packet.data()),
                protocol: ethertype,
                ifindex: delivery.ifindex,
                hatype: 1,
                ..PacketInput::default()
            };
            // The header of UDP is never cut.
            let header = if self.is_udp() { 8 } else { 0 };
            let Some(keep) = self.base.passes(&seen) else {
                return;
            };
            let data = &data[..data.len().min(keep.max(header) - header)];
            let size = data.len() + 512;
            let memory = self.payer.charge(size);
            let fits = state.bytes + size <= self.base.rcvbuf();
            let Some(memory) = memory.ok().filter(|_| fits) else {
                state.drops = state.drops.wrapping_add(1);
                if self.is_udp() {
                    let [errors, full] = match delivery.dst.is_ipv6() {
                        false => [Counter::UdpInErrors, Counter::UdpRcvbufErrors],
                        true => [Counter::Udp6InErrors, Counter::Udp6RcvbufErrors],
                    };
                    let mib = &self.ns.stack().mib;
                    mib.add(errors);
                    mib.add(full);
                }
                return;
            };
            state.bytes += size;
            state.queue.push_back(Datagram {
                data: data.to_vec(),
                src: delivery.src,
                port: if self.is_udp() { be16(transport, 0) } else { 0 },
                dst: delivery.dst,
                ifindex: delivery.ifindex,
                ttl: delivery.ttl,
                tos: delivery.tos,
                at,
                error: None,
                _memory: memory,
            });
        }
        self.queue.wake(PollEvents::READABLE);
    }
    fn info(&self) -> InetInfo {
        let state = self.state.lock();
        let port = if self.is_raw() {
            self.proto as u16
        } else {
            state.port
        };
        InetInfo {
            protocol: self.proto,
            v6: self.v6,
            state: match state.remote {
                Some(_) => tcp_state::ESTABLISHED,
                None => tcp_state::CLOSE,
            },
            local: (state.local, port),
            remote: state.remote.unwrap_or((any(self.v6), 0)),
            ifindex: state.ifindex,
            rqueue: state.bytes as u32,
            wqueue: 0,
            memory: [
                state.bytes as u32,
                self.base.rcvbuf() as u32,
                0,
                self.base.sndbuf() as u32,
            ],
            drops: state.drops,
            owner: self.base.owner(),
            ino: self.base.ino(),
            cookie: self.base.cookie(),
            tos: state.options.tos,
            tclass: state.options.tclass,
            v6only: state.options.v6only,
            shutdown: state.shutdown,
            expires: 0,
            tcp: None,
        }
    }
}
