//! smoltcp for one connection.

use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;
use core::net::IpAddr;

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Checksum, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};

use super::isn;
use super::stats::{Stats, header_len};
use super::urgent::{News, Urgent};
use crate::error::Result;
use crate::net::payer::SockCharge;
use crate::net::stack::packet::{Buffers, LARGE, Packet};
use crate::time::Ktime;

/// Bytes that a connection's buffers have, each way: 64 KiB, and as much as is usually not acknowledged yet when
/// those come.
pub const BUFFER: usize = 65536 + 8192;
/// Unanswered segments are given up after (`tcp_retries2`, about).
const TIMEOUT: Duration = Duration::from_secs(924);
/// How long a cork holds (Linux's shortest retransmission time-out).
const CORK_TIME: u64 = 200_000_000;
/// An acknowledgement waits so long for data that it can go with.
const ACK_DELAY: Duration = Duration::from_millis(10);

struct Queue {
    incoming: VecDeque<Packet>,
    outgoing: VecDeque<Packet>,
    mtu: usize,
    /// A large buffer for a packet to send, and that of one which was received.
    spare: Option<Vec<u8>>,
    used: Option<Vec<u8>>,
}

struct Rx<'a>(Packet, &'a mut Option<Vec<u8>>);
struct Tx<'a>(&'a mut VecDeque<Packet>, &'a mut Option<Vec<u8>>);

impl RxToken for Rx<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        let result = f(self.0.data());
        if let Some(buf) = self.0.into_large() {
            *self.1 = Some(buf);
        }
        result
    }
}

impl TxToken for Tx<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let spare = if len > LARGE { self.1.take() } else { None };
        let mut packet = match spare {
            Some(buf) => Packet::reusing(buf, len),
            None => Packet::zeroed(len),
        };
        let result = f(packet.data_mut());
        self.0.push_back(packet);
        result
    }
}

impl Device for Queue {
    type RxToken<'a> = Rx<'a>;
    type TxToken<'a> = Tx<'a>;
    fn receive(&mut self, _: Instant) -> Option<(Rx<'_>, Tx<'_>)> {
        let packet = self.incoming.pop_front()?;
        let tx = Tx(&mut self.outgoing, &mut self.spare);
        Some((Rx(packet, &mut self.used), tx))
    }
    fn transmit(&mut self, _: Instant) -> Option<Tx<'_>> {
        Some(Tx(&mut self.outgoing, &mut self.spare))
    }
    fn capabilities(&self) -> DeviceCapabilities {
        let mut caps = DeviceCapabilities::default();
        caps.medium = Medium::Ip;
        caps.max_transmission_unit = self.mtu;
        // The network layer has checked what comes in, and makes its own header; the transport's
        // checksum is for wires only.
        caps.checksum.ipv4 = Checksum::None;
        caps.checksum.tcp = Checksum::None;
        caps
    }
}

/// One connection.
pub struct Engine {
    interface: Interface,
    sockets: SocketSet<'static>,
    handle: SocketHandle,
    queue: Queue,
    /// Our FIN goes when everything before it is acknowledged or, of what is held, on its way.
    closing: bool,
    /// What is written and does not fill a segment while a cork is in (`TCP_CORK`, `MSG_MORE`), and until when.
    held: Vec<u8>,
    held_until: Ktime,
    /// What it measures.
    pub stats: Stats,
    /// Its urgent data.
    pub urgent: Urgent,
    /// Bytes that were read when the peer was told a window last.
    read_when_told: u32,
    /// What it does without (Nagle).
    nagle: bool,
    /// What its buffers cost.
    _memory: SockCharge,
}

fn instant(now: Ktime) -> Instant {
    Instant::from_micros((now.as_nanos() / 1000) as i64)
}

fn interface(local: IpAddress, queue: &mut Queue, seed: u64, now: Ktime) -> Interface {
    let mut config = Config::new(HardwareAddress::Ip);
    config.random_seed = seed;
    let mut interface = Interface::new(config, queue, instant(now));
    interface.update_ip_addrs(|addrs| {
        // Everything is directly reachable: routing is the network layer's.
        let _ = addrs.push(IpCidr::new(local, 0));
    });
    interface
}

impl Engine {
    /// From now on its packets are no longer than this.
    pub fn narrow(&mut self, mtu: usize, seed: u64, now: Ktime) {
        let mtu = mtu.clamp(576, 65535);
        if mtu >= self.queue.mtu {
            return;
        }
        self.queue.mtu = mtu;
        // An interface asks its device only when it is made, and this one knows nothing else.
        if let Some(local) = self.interface.ip_addrs().first().map(|addr| addr.address()) {
            self.interface = interface(local, &mut self.queue, seed, now);
        }
    }
    /// A closed connection with a local address.
    /// `isn`: its first number, and random bits. `memory` pays for two buffers of that size.
    pub fn new(
        local: IpAddr,
        mtu: usize,
        (isn, noise): (u32, u64),
        now: Ktime,
        (memory, size): (SockCharge, usize),
    ) -> Engine {
        let mut queue = Queue {
            incoming: VecDeque::new(),
            outgoing: VecDeque::new(),
            mtu: mtu.clamp(576, 65535),
            spare: None,
            used: None,
        };
        let stats = Stats::new(queue.mtu);
        let interface = interface(local.into(), &mut queue, isn::seed(isn, noise), now);
        let buffer = || SocketBuffer::new(vec![0; size]);
        let mut socket = Socket::new(buffer(), buffer());
        socket.set_timeout(Some(TIMEOUT));
        let mut sockets = SocketSet::new(Vec::with_capacity(1));
        let handle = sockets.add(socket);
        Engine {
            interface,
            sockets,
            handle,
            queue,
            closing: false,
            held: Vec::new(),
            held_until: Ktime(0),
            stats,
            urgent: Urgent::default(),
            read_when_told: 0,
            nagle: true,
            _memory: memory,
        }
    }
    /// The state machine.
    pub fn socket(&mut self) -> &mut Socket<'static> {
        self.sockets.get_mut(self.handle)
    }
    /// Where it is as its user and the peer see it.
    pub fn state(&mut self) -> State {
        match self.socket().state() {
            State::CloseWait if self.closing => State::LastAck,
            State::Established if self.closing => State::FinWait1,
            state => state,
        }
    }
    /// Nothing more will be sent. In LAST-ACK smoltcp takes no window but with an acknowledgement of more, and would
    /// wait until it probes; so what is left goes before.
    pub fn close(&mut self) {
        self.uncork();
        let held = !self.held.is_empty();
        let socket = self.socket();
        if held || socket.state() == State::CloseWait && socket.send_queue() > 0 {
            self.closing = true;
        } else {
            socket.close();
        }
    }
    /// Begins to connect; `false`: it cannot.
    pub fn connect(&mut self, remote: (IpAddr, u16), local: (IpAddr, u16)) -> bool {
        let socket = self.sockets.get_mut::<Socket<'static>>(self.handle);
        let remote = (IpAddress::from(remote.0), remote.1);
        let local = (IpAddress::from(local.0), local.1);
        socket.connect(self.interface.context(), remote, local).is_ok()
    }
    /// The connection is given up when nothing is acknowledged for so long; 0: for the usual time.
    pub fn set_timeout(&mut self, ms: u64) {
        self.socket().set_timeout(Some(match ms {
            0 => TIMEOUT,
            ms => Duration::from_millis(ms),
        }));
    }
    /// Whether every segment is acknowledged at once.
    pub fn set_quick_ack(&mut self, on: bool) {
        self.socket().set_ack_delay((!on).then_some(ACK_DELAY));
    }
    /// Takes bytes that are written, with a cork in: whole segments go, what is over is held. `take` fills a part of
    /// what it is given; nothing is left if it does not fill it. There are `len` bytes at most.
    pub fn hold(
        &mut self,
        now: Ktime,
        len: usize,
        mut take: impl FnMut(&mut [u8]) -> Result<usize>,
    ) -> Result<usize> {
        let segment = (self.stats.mss() as usize).max(1);
        let mut taken = 0;
        loop {
            if self.held.len() >= segment {
                self.uncork();
            }
            let old = self.held.len();
            if old >= segment {
                return Ok(taken);
            }
            if old == 0 {
                self.held_until = Ktime(now.as_nanos() + CORK_TIME);
            }
            self.held.resize(segment.min(old + len - taken), 0);
            let got = take(&mut self.held[old..]);
            let n = *got.as_ref().unwrap_or(&0);
            self.held.truncate(old + n);
            taken += n;
            match got {
                Err(error) if taken == 0 => return Err(error),
                Ok(n) if old + n == segment => {}
                _ => return Ok(taken),
            }
        }
    }
    /// Whether something is held.
    pub fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }
    /// What is held goes as far as there is room.
    pub fn uncork(&mut self) {
        if !self.held.is_empty() {
            let socket = self.sockets.get_mut::<Socket<'static>>(self.handle);
            let n = socket.send_slice(&self.held).unwrap_or(0);
            self.held.drain(..n);
        }
    }
    /// Bytes that are not acknowledged.
    pub fn send_queue(&mut self) -> usize {
        self.held.len() + self.socket().send_queue()
    }
    /// Whether small segments wait for acknowledgements.
    pub fn set_nagle(&mut self, on: bool) {
        self.nagle = on;
        if !self.urgent.is_sending() {
            self.socket().set_nagle_enabled(on);
        }
    }
    /// Packets that leave after this poll.
    pub(super) fn outgoing(&mut self) -> impl Iterator<Item = &mut Packet> {
        self.queue.outgoing.iter_mut()
    }
    /// A packet came in. `inline`: what `SO_OOBINLINE` says.
    pub fn receive(&mut self, mut packet: Packet, now: Ktime, inline: impl FnOnce() -> bool) -> News {
        // CPUs overtake each other; the state machine drops the data of a segment with an old acknowledgement.
        if let Some((ack, window)) = self.stats.received(packet.data(), now) {
            let header = header_len(packet.data());
            let data = &mut packet.data_mut()[header..];
            data[8..12].copy_from_slice(&ack.to_be_bytes());
            data[14..16].copy_from_slice(&window.to_be_bytes());
        }
        let mut news = News::default();
        if self.stats.flags() & self.urgent.watch != 0 {
            self.take_in(now);
            news = self.look_for_urgent(packet.data(), inline());
        }
        self.queue.incoming.push_back(packet);
        news
    }
    /// Works on what came in.
    fn take_in(&mut self, now: Ktime) {
        let before = self.queue.outgoing.len();
        let (at, queue) = (instant(now), &mut self.queue);
        while !queue.incoming.is_empty() {
            self.interface.poll_ingress_single(at, queue, &mut self.sockets);
        }
        self.count_sent(before, now);
    }
    fn count_sent(&mut self, before: usize, now: Ktime) {
        if self.queue.outgoing.len() > before {
            self.read_when_told = self.urgent.read;
        }
        for packet in self.queue.outgoing.range_mut(before..) {
            self.stats.withhold(packet.data_mut());
            self.stats.sent(packet.data(), now);
        }
    }
    /// Works until there is nothing to do; then there may be packets to send.
    pub fn poll(&mut self, now: Ktime, buffers: &Buffers) {
        let at = instant(now);
        if self.socket().send_queue() > LARGE {
            self.queue.spare = buffers.take();
        }
        let before = self.queue.outgoing.len();
        self.interface.poll(at, &mut self.queue, &mut self.sockets);
        // What has just come in may have made room.
        let full = self.held.len() >= self.stats.mss() as usize;
        if self.is_holding() && (full || self.closing || now >= self.held_until) {
            self.uncork();
            self.interface.poll(at, &mut self.queue, &mut self.sockets);
        }
        if self.may_close() {
            self.closing = false;
            self.socket().close();
            self.interface.poll(at, &mut self.queue, &mut self.sockets);
        }
        for buf in [self.queue.spare.take(), self.queue.used.take()]
            .into_iter()
            .flatten()
        {
            buffers.put(buf);
        }
        self.count_sent(before, now);
        if self.urgent.is_sending() {
            self.mark_sent(self.nagle);
        }
    }
    fn may_close(&mut self) -> bool {
        self.closing
            && self.held.is_empty()
            && (self.socket().state() != State::CloseWait || self.socket().send_queue() == 0)
    }
    /// Whether so much was read that the peer may have to be told of a larger window. smoltcp tells it when there is
    /// twice what is left of the window that was told last; that is what is free, without what was read since. Windows
    /// are told in units, and one without a scale has an end.
    pub fn may_tell_window(&mut self) -> bool {
        let read = self.urgent.read.wrapping_sub(self.read_when_told) as usize;
        let scale = self.stats.window_scale();
        let socket = self.socket();
        let capacity = socket.recv_capacity();
        let untold = (2 << scale) + capacity.saturating_sub(usize::from(u16::MAX) << scale);
        read + untold >= (capacity - socket.recv_queue()) / 2
    }
    /// Whether there is a packet to send.
    pub fn has_packets(&self) -> bool {
        !self.queue.outgoing.is_empty()
    }
    /// The next packet to send, with its network header.
    pub fn next_packet(&mut self) -> Option<Packet> {
        self.queue.outgoing.pop_front()
    }
    /// When to poll again.
    pub fn poll_at(&mut self, now: Ktime) -> Option<Ktime> {
        let held = self.is_holding().then_some(self.held_until.max(now));
        let at = self.interface.poll_at(instant(now), &self.sockets);
        let at = at.map(|at| Ktime((at.total_micros().max(0) as u64).saturating_mul(1000)).max(now));
        at.into_iter().chain(held).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Random;

    /// The first numbers are this and the two after it.
    const ISN: u32 = 0xfffe_0000;

    /// A connection of two ends, with what waits on the way from each.
    struct Pair {
        ends: [Engine; 2],
        way: [VecDeque<Packet>; 2],
        buffers: Buffers,
        now: Ktime,
    }

    impl Pair {
        fn new(seed: u64, mtu: usize) -> Pair {
            let addr = |n: u8| IpAddr::from([10, 0, 0, n]);
            let now = Ktime(1_000_000_000);
            let end = |n: u8| {
                Engine::new(
                    addr(n),
                    mtu,
                    (ISN + n as u32, seed),
                    now,
                    (SockCharge::default(), BUFFER),
                )
            };
            let mut pair = Pair {
                ends: [end(1), end(2)],
                way: Default::default(),
                buffers: Buffers::new(),
                now,
            };
            assert!(pair.ends[1].socket().listen(80).is_ok());
            assert!(pair.ends[0].connect((addr(2), 80), (addr(1), 1024)));
            for end in [0, 1, 0, 1] {
                pair.poll(end);
                pair.arrive(1 - end, usize::MAX);
            }
            pair
        }
        fn poll(&mut self, end: usize) {
            self.ends[end].poll(self.now, &self.buffers);
            while let Some(packet) = self.ends[end].next_packet() {
                self.way[end].push_back(packet);
            }
        }
        /// Written with a cork in, which stays or is taken out.
        fn write_held(&mut self, end: usize, data: &[u8], stays: bool) -> usize {
            let engine = &mut self.ends[end];
            let mut rest = data;
            let taken = engine.hold(self.now, data.len(), |buf| {
                let n = buf.len().min(rest.len());
                buf[..n].copy_from_slice(&rest[..n]);
                rest = &rest[n..];
                Ok(n)
            });
            if !stays {
                engine.uncork();
            }
            assert_eq!(taken.unwrap(), data.len() - rest.len());
            data.len() - rest.len()
        }
        /// The end is polled only if its window may have opened; else it would send nothing but what was due before.
        fn was_read(&mut self, end: usize, len: usize) {
            let engine = &mut self.ends[end];
            engine.urgent.read = engine.urgent.read.wrapping_add(len as u32);
            let told = engine.stats.position();
            let (due, now) = (engine.poll_at(self.now), self.now);
            let looks = engine.may_tell_window();
            self.poll(end);
            if !looks && due.is_none_or(|due| due > now) {
                assert_eq!(self.ends[end].stats.position(), told);
            }
        }
        /// At most so many packets arrive at an end, in order.
        fn arrive(&mut self, end: usize, most: usize) {
            for _ in 0..most {
                let Some(packet) = self.way[1 - end].pop_front() else {
                    break;
                };
                self.ends[end].receive(packet, self.now, || false);
            }
            self.poll(end);
        }
        fn is_quiet(&self) -> bool {
            self.way.iter().all(VecDeque::is_empty)
        }
    }

    fn byte(end: usize, at: usize) -> u8 {
        ((at * 7919) >> 5) as u8 ^ end as u8
    }

    #[test]
    fn a_connection_begins_where_it_should() {
        for seed in 0..200 {
            let pair = Pair::new(seed, 1500);
            assert_eq!(pair.ends[0].stats.begin(), [ISN + 2, ISN + 3]);
            assert_eq!(pair.ends[1].stats.begin(), [ISN + 3, ISN + 2]);
        }
    }

    /// Whatever is written, read and on its way in which order: nothing that was allowed is refused, so nothing is
    /// sent again.
    #[test]
    fn what_a_window_allowed_is_taken() {
        for seed in 0..60 {
            let mut random = Random::new(seed);
            let mtu = [65535, 65535, 1500, 9000][random.below(4) as usize];
            let mut pair = Pair::new(seed, mtu);
            let (mut written, mut read) = ([0; 2], [0; 2]);
            let total = 400_000;
            let mut buf = vec![0; 70_000];
            let mut moved = pair.now;
            let mut closed = [false; 2];
            let ended = |pair: &mut Pair, end: usize| {
                matches!(pair.ends[end].state(), State::Closed | State::TimeWait)
            };
            while read != [total; 2] || !ended(&mut pair, 0) || !ended(&mut pair, 1) {
                // Only acknowledgements are waited for, never the second until something is sent again or a window
                // probed.
                let step = if pair.is_quiet() { 2_000_000 } else { 1000 };
                pair.now = Ktime(pair.now.as_nanos() + step);
                let idle = pair.now.as_nanos() - moved.as_nanos();
                assert!(
                    idle < 800_000_000,
                    "seed {seed}: nothing moves, {written:?} {read:?}"
                );
                let (end, most) = (random.below(2) as usize, 1 + random.below(70_000) as usize);
                let socket = pair.ends[end].socket();
                match random.below(4) {
                    0 if closed[end] => {}
                    0 if written[end] == total => {
                        pair.ends[end].close();
                        closed[end] = true;
                        moved = pair.now;
                        pair.poll(end);
                    }
                    0 => {
                        let len = most.min(total - written[end]);
                        let data: Vec<u8> = (written[end]..written[end] + len)
                            .map(|at| byte(end, at))
                            .collect();
                        let corked = random.below(3) == 0 || pair.ends[end].is_holding();
                        let len = match corked {
                            true => pair.write_held(end, &data, random.below(2) == 0),
                            false => pair.ends[end].socket().send_slice(&data).unwrap(),
                        };
                        written[end] += len;
                        moved = if len > 0 { pair.now } else { moved };
                        pair.poll(end);
                    }
                    1 => {
                        let len = socket.recv_slice(&mut buf[..most]).unwrap_or(0);
                        let from = read[end];
                        let right = (from..from + len).all(|at| buf[at - from] == byte(1 - end, at));
                        assert!(right, "seed {seed}: bytes from {from}");
                        read[end] += len;
                        moved = if len > 0 { pair.now } else { moved };
                        pair.was_read(end, len);
                    }
                    _ => pair.arrive(end, 1 + random.below(3) as usize),
                }
            }
            for end in &pair.ends {
                assert_eq!(
                    end.stats.retrans(),
                    0,
                    "seed {seed}: segments that were sent again"
                );
            }
        }
    }
}
