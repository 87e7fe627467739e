//! The jobs of one call.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

use smallvec::SmallVec;

use super::packet::Packet;
use super::route::Route;
use super::sockets::{Delivery, InetSocket};
use super::{Flow, NetStack};

/// Jobs that wait at most (`net.core.netdev_max_backlog`); what comes on top is lost, as on a wire.
const BACKLOG: usize = 1000;
/// Frames that one run carries at most: a storm in a loop of bridges ends.
const MAX_FRAMES: usize = 20_000;

/// How often a run takes over what others wanted to send meanwhile.
const MAX_ROUNDS: usize = 64;

/// Something to do without locks.
pub enum Job {
    /// A frame arrives at a device.
    Receive(Arc<NetStack>, u32, Packet),
    /// A network packet of a socket goes out.
    Send(Arc<NetStack>, Flow, Packet),
    /// A segment of a TCP connection goes out; before it is the network header that the connection made.
    Segment(Arc<NetStack>, Flow, Packet),
    /// A packet arrives at a socket.
    Deliver(Arc<dyn InetSocket>, Delivery),
    /// The other end of a device's cable came up.
    PeerUp(Arc<NetStack>, u32, (Arc<NetStack>, u32)),
    /// A device's carrier came or went.
    Carrier(Arc<NetStack>, u32, bool),
    /// A message for the listeners of a netlink protocol's group.
    Notify(Arc<NetStack>, (i32, u32), Vec<u8>),
}

/// What changed in a namespace, for those who listen.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum Event {
    NewLink(u32),
    /// A port's settings, as its bridge tells of them.
    NewPort(u32),
    NewAddr(u32, IpAddr),
    NewRoute(bool, Route),
    DelRoute(bool, Route),
    NewNeigh(u32, IpAddr),
}

/// A queue of jobs.
#[derive(Default)]
pub struct Run {
    jobs: VecDeque<Job>,
    frames: usize,
    rounds: usize,
    /// Connections whose segments travel in this run and, so that none overtakes another, in no other run meanwhile.
    carried: SmallVec<[Arc<dyn InetSocket>; 2]>,
}

impl Run {
    /// Nothing to do.
    pub fn new() -> Run {
        Run::default()
    }
    /// Adds a job. Frames and packets may be lost.
    pub fn push(&mut self, job: Job) {
        if let Job::Receive(..) = job {
            self.frames += 1;
            if self.jobs.len() >= BACKLOG || self.frames > MAX_FRAMES {
                return;
            }
        }
        self.jobs.push_back(job);
    }
    /// Whether the connection's segments travel in this run.
    pub fn carries(&self, socket: *const dyn InetSocket) -> bool {
        let mut carried = self.carried.iter();
        carried.any(|have| core::ptr::addr_eq(Arc::as_ptr(have), socket))
    }
    /// From now on they do.
    pub fn carry(&mut self, socket: Arc<dyn InetSocket>) {
        self.carried.push(socket);
    }
    /// Whether the next thing to do is to deliver another packet to the socket.
    pub fn has_more_for(&self, socket: *const dyn InetSocket) -> bool {
        match self.jobs.front() {
            Some(Job::Deliver(next, delivery)) => {
                delivery.error.is_none() && core::ptr::addr_eq(Arc::as_ptr(next), socket)
            }
            _ => false,
        }
    }
    /// Whether the run, when it has nothing left to do, should go on with what others wanted to send meanwhile.
    pub fn goes_on(&mut self) -> bool {
        self.rounds += 1;
        self.frames = 0;
        self.rounds <= MAX_ROUNDS
    }
    /// Does everything, and what follows from it. No lock is held.
    pub fn finish(mut self) {
        loop {
            self.work();
            match self.carried.pop() {
                Some(socket) => socket.put_down(&mut self),
                None => break,
            }
        }
    }
    fn work(&mut self) {
        while let Some(job) = self.jobs.pop_front() {
            match job {
                Job::Receive(stack, ifindex, packet) => {
                    stack.enter(self, |net| net.eth_input(ifindex, packet));
                }
                Job::Send(stack, flow, packet) => {
                    // Nobody waits for the answer; what cannot be sent is lost.
                    let _ = stack.enter(self, |net| net.ip_send(&flow, packet));
                }
                Job::Segment(stack, flow, packet) => {
                    let _ = stack.enter(self, |net| net.tcp_output(&flow, packet));
                }
                Job::Deliver(socket, delivery) => socket.deliver(self, delivery),
                Job::PeerUp(stack, ifindex, other) => {
                    stack.enter(self, |net| net.peer_up(ifindex, other));
                }
                Job::Carrier(stack, ifindex, on) => {
                    stack.enter(self, |net| net.set_carrier(ifindex, on));
                }
                Job::Notify(stack, group, message) => {
                    crate::net::netlink::broadcast(&stack, group, &message);
                }
            }
        }
    }
}
