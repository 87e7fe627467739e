//! The jobs of one call.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

use super::packet::Packet;
use super::route::Route;
use super::sockets::{Delivery, InetSocket};
use super::{Flow, NetStack};

/// Jobs that wait at most (`net.core.netdev_max_backlog`); what comes on top is lost, as on a wire.
const BACKLOG: usize = 1000;
/// Frames that one run carries at most: a storm in a loop of bridges ends.
const MAX_FRAMES: usize = 20_000;

/// Something to do without locks.
pub enum Job {
    /// A frame arrives at a device.
    Receive(Arc<NetStack>, u32, Packet),
    /// A network packet of a socket goes out.
    Send(Arc<NetStack>, Flow, Packet),
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
    /// Does everything, and what follows from it. No lock is held.
    pub fn finish(mut self) {
        while let Some(job) = self.jobs.pop_front() {
            match job {
                Job::Receive(stack, ifindex, packet) => {
                    stack.enter(&mut self, |net| net.eth_input(ifindex, packet));
                }
                Job::Send(stack, flow, packet) => {
                    // Nobody waits for the answer; what cannot be sent is lost.
                    let _ = stack.enter(&mut self, |net| net.ip_send(&flow, packet));
                }
                Job::Deliver(socket, delivery) => socket.deliver(&mut self, delivery),
                Job::PeerUp(stack, ifindex, other) => {
                    stack.enter(&mut self, |net| net.peer_up(ifindex, other));
                }
                Job::Carrier(stack, ifindex, on) => {
                    stack.enter(&mut self, |net| net.set_carrier(ifindex, on));
                }
                Job::Notify(stack, group, message) => {
                    crate::net::netlink::broadcast(&stack, group, &message);
                }
            }
        }
    }
}
