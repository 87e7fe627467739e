//! One fair queue: entities that share a CPU, or the part of it that their group has, by weight.
//!
//! Model: Linux's CFS. Each entity has a *virtual runtime*: the time it ran divided by its weight.
//! The entity with the smallest one runs next, so all advance together. `min_vruntime` follows the
//! smallest and never goes back; a newcomer or a sleeper is placed relative to it.
//!
//! Invariants: an entity that runs (`curr`) is not in the heap but counts in `load` and `nr`.
//! `Entity` fields change only under the lock of the run queue that the queue belongs to; they are
//! atomics so that they can live inside of what they schedule.
//!
//! The heap knows each entity's place through [`Entity::position`], so any entity leaves in O(log n)
//! without a search, and nothing is allocated in steady state.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use super::weight::{NICE_0_WEIGHT, virtual_time};

const NOWHERE: u32 = u32::MAX;

/// What a fair queue knows of a task or a group.
#[derive(Debug)]
pub struct Entity {
    vruntime: AtomicU64,
    weight: AtomicU64,
    /// Index in the heap, or `NOWHERE`.
    position: AtomicU32,
    /// Time used since it was picked, for the length of its slice.
    ran: AtomicU64,
}

impl Entity {
    /// An entity of this scaled weight at virtual time 0.
    pub const fn new(weight: u64) -> Entity {
        Entity {
            vruntime: AtomicU64::new(0),
            weight: AtomicU64::new(weight),
            position: AtomicU32::new(NOWHERE),
            ran: AtomicU64::new(0),
        }
    }
    /// Its virtual runtime.
    pub fn vruntime(&self) -> u64 {
        self.vruntime.load(Relaxed)
    }
    /// Sets its virtual runtime, while it is in no queue.
    pub fn set_vruntime(&self, vruntime: u64) {
        self.vruntime.store(vruntime, Relaxed);
    }
    /// Its scaled weight.
    pub fn weight(&self) -> u64 {
        self.weight.load(Relaxed)
    }
    /// Sets its weight, while it is in no queue.
    pub fn set_weight(&self, weight: u64) {
        self.weight.store(weight, Relaxed);
    }
    /// Whether it is in the heap of a queue (not running).
    pub fn is_queued(&self) -> bool {
        self.position.load(Relaxed) != NOWHERE
    }
    /// Time used since it was picked.
    pub fn ran(&self) -> u64 {
        self.ran.load(Relaxed)
    }
    /// Starts a new slice.
    pub fn start_slice(&self) {
        self.ran.store(0, Relaxed);
    }
}

/// How entities are handed to a queue: a cheap reference that leads to the [`Entity`].
pub trait Handle: Clone {
    /// The entity.
    fn entity(&self) -> &Entity;
    /// Whether both are the same entity.
    fn same(&self, other: &Self) -> bool {
        core::ptr::eq(self.entity(), other.entity())
    }
}

/// Lengths that decide how often a queue switches, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Tunables {
    /// Within this time everyone runs once, as long as slices do not fall below `min_granularity`.
    pub latency: u64,
    /// Shortest slice.
    pub min_granularity: u64,
    /// How far ahead, in virtual time, the running one must be for a newcomer to preempt it.
    pub wakeup_granularity: u64,
}

impl Default for Tunables {
    fn default() -> Self {
        Tunables {
            latency: 6_000_000,
            min_granularity: 750_000,
            wakeup_granularity: 1_000_000,
        }
    }
}

/// How an entity comes into a queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Enqueue {
    /// It was here a moment ago or comes from another CPU; its place was made relative to here.
    Keep,
    /// It slept: at most half a latency of credit.
    Wakeup,
    /// It is new: it waits for a slice.
    New,
}

/// The queue.
#[derive(Debug)]
pub struct FairQueue<H> {
    heap: Vec<H>,
    curr: Option<H>,
    min_vruntime: u64,
    load: u64,
}

impl<H: Handle> Default for FairQueue<H> {
    fn default() -> Self {
        FairQueue::new()
    }
}

/// Whether virtual time `a` is before `b`; virtual time may wrap around.
#[inline]
pub fn before(a: u64, b: u64) -> bool {
    (a.wrapping_sub(b) as i64) < 0
}

impl<H: Handle> FairQueue<H> {
    /// An empty queue.
    pub const fn new() -> FairQueue<H> {
        FairQueue {
            heap: Vec::new(),
            curr: None,
            min_vruntime: 0,
            load: 0,
        }
    }
    /// Entities, the running one included.
    pub fn nr(&self) -> usize {
        self.heap.len() + usize::from(self.curr.is_some())
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.nr() == 0
    }
    /// Sum of the weights.
    pub fn load(&self) -> u64 {
        self.load
    }
    /// Where newcomers are placed.
    pub fn min_vruntime(&self) -> u64 {
        self.min_vruntime
    }
    /// The running entity.
    pub fn curr(&self) -> Option<&H> {
        self.curr.as_ref()
    }
    /// The waiting entity that would run next.
    pub fn first(&self) -> Option<&H> {
        self.heap.first()
    }
    /// The waiting entities, in no order.
    pub fn waiting(&self) -> impl Iterator<Item = &H> {
        self.heap.iter()
    }

    /// Adds an entity.
    pub fn enqueue(&mut self, handle: H, how: Enqueue, tunables: &Tunables) {
        let entity = handle.entity();
        let place = match how {
            Enqueue::Keep => entity.vruntime(),
            Enqueue::Wakeup => {
                let credited = self.min_vruntime.wrapping_sub(tunables.latency / 2);
                later(entity.vruntime(), credited)
            }
            Enqueue::New => {
                let load = self.load + entity.weight();
                let slice = slice(tunables, entity.weight(), load, self.nr() + 1);
                later(
                    entity.vruntime(),
                    self.min_vruntime
                        .wrapping_add(virtual_time(slice, entity.weight())),
                )
            }
        };
        entity.set_vruntime(place);
        self.load += entity.weight();
        self.push(handle);
        self.advance_min();
    }

    /// Removes an entity, running or waiting.
    pub fn dequeue(&mut self, handle: &H) {
        let entity = handle.entity();
        self.load -= entity.weight();
        if self.curr.as_ref().is_some_and(|curr| curr.same(handle)) {
            self.curr = None;
        } else {
            self.remove(entity.position.load(Relaxed) as usize);
        }
        self.advance_min();
    }

    /// Takes the next entity out of the heap and makes it the running one.
    pub fn pick(&mut self) -> Option<H> {
        debug_assert!(self.curr.is_none());
        if self.heap.is_empty() {
            return None;
        }
        let next = self.remove(0);
        next.entity().start_slice();
        self.curr = Some(next.clone());
        Some(next)
    }

    /// Makes a waiting entity the running one; its slice goes on.
    pub fn set_curr(&mut self, handle: &H) {
        debug_assert!(self.curr.is_none());
        let at = handle.entity().position.load(Relaxed) as usize;
        self.curr = Some(self.remove(at));
    }

    /// Puts the running entity back among the waiting.
    pub fn put_prev(&mut self) {
        if let Some(curr) = self.curr.take() {
            self.push(curr);
        }
    }

    /// Charges the running entity with `delta` nanoseconds.
    #[inline]
    pub fn charge(&mut self, delta: u64) {
        let Some(curr) = &self.curr else { return };
        let entity = curr.entity();
        let vruntime = entity
            .vruntime()
            .wrapping_add(virtual_time(delta, entity.weight()));
        entity.vruntime.store(vruntime, Relaxed);
        entity.ran.store(entity.ran().wrapping_add(delta), Relaxed);
        self.advance_min();
    }

    /// Changes the weight of an entity that is here.
    pub fn reweight(&mut self, handle: &H, weight: u64) {
        let entity = handle.entity();
        self.load = self.load - entity.weight() + weight;
        entity.set_weight(weight);
    }

    /// Moves the running entity behind everyone who waits (`sched_yield`).
    pub fn yield_curr(&mut self) {
        let Some(curr) = &self.curr else { return };
        let last = self.heap.iter().map(|h| h.entity().vruntime());
        if let Some(last) = last.reduce(later) {
            curr.entity()
                .set_vruntime(later(curr.entity().vruntime(), last.wrapping_add(1)));
        }
    }

    /// The running entity's slice in nanoseconds; `None` if nobody waits for its place.
    pub fn curr_slice(&self, tunables: &Tunables) -> Option<u64> {
        let curr = self.curr.as_ref()?;
        if self.heap.is_empty() {
            return None;
        }
        Some(slice(tunables, curr.entity().weight(), self.load, self.nr()))
    }

    /// The slice of an entity if it were among those here.
    pub fn slice_of(&self, entity: &Entity, tunables: &Tunables) -> u64 {
        let load = self.load.max(entity.weight());
        slice(tunables, entity.weight(), load, self.nr().max(1))
    }

    /// Whether the running entity has used its slice, or is a slice ahead of who waits.
    pub fn slice_over(&self, tunables: &Tunables) -> bool {
        let (Some(curr), Some(slice), Some(first)) = (&self.curr, self.curr_slice(tunables), self.first())
        else {
            return false;
        };
        let entity = curr.entity();
        if entity.ran() >= slice {
            return true;
        }
        entity.ran() >= tunables.min_granularity
            && before(first.entity().vruntime().wrapping_add(slice), entity.vruntime())
    }

    fn advance_min(&mut self) {
        let waiting = self.heap.first().map(|h| h.entity().vruntime());
        let running = self.curr.as_ref().map(|h| h.entity().vruntime());
        let min = match (running, waiting) {
            (Some(a), Some(b)) => earlier(a, b),
            (Some(a), None) | (None, Some(a)) => a,
            (None, None) => return,
        };
        self.min_vruntime = later(self.min_vruntime, min);
    }

    fn push(&mut self, handle: H) {
        self.heap.push(handle);
        self.sift_up(self.heap.len() - 1);
    }

    fn remove(&mut self, at: usize) -> H {
        let removed = self.heap.swap_remove(at);
        removed.entity().position.store(NOWHERE, Relaxed);
        if at < self.heap.len() {
            self.sift_down(at);
            self.sift_up(at);
        }
        removed
    }

    fn key(&self, at: usize) -> u64 {
        self.heap[at].entity().vruntime()
    }

    fn settle(&self, at: usize) {
        self.heap[at].entity().position.store(at as u32, Relaxed);
    }

    fn sift_up(&mut self, mut at: usize) {
        while at > 0 {
            let parent = (at - 1) / 2;
            if !before(self.key(at), self.key(parent)) {
                break;
            }
            self.heap.swap(at, parent);
            self.settle(at);
            at = parent;
        }
        self.settle(at);
    }

    fn sift_down(&mut self, mut at: usize) {
        loop {
            let mut least = at;
            for child in [2 * at + 1, 2 * at + 2] {
                if child < self.heap.len() && before(self.key(child), self.key(least)) {
                    least = child;
                }
            }
            if least == at {
                break;
            }
            self.heap.swap(at, least);
            self.settle(at);
            at = least;
        }
        self.settle(at);
    }
}

fn later(a: u64, b: u64) -> u64 {
    if before(a, b) { b } else { a }
}

fn earlier(a: u64, b: u64) -> u64 {
    if before(a, b) { a } else { b }
}

/// The slice of an entity of `weight` among `nr` with `load` together.
fn slice(tunables: &Tunables, weight: u64, load: u64, nr: usize) -> u64 {
    let period = tunables.latency.max(tunables.min_granularity * nr as u64);
    let share = u128::from(period) * u128::from(weight) / u128::from(load.max(1));
    (share as u64).max(tunables.min_granularity)
}

/// Whether a newcomer at `new` preempts the running entity at `curr`.
pub fn wakeup_preempts(curr: &Entity, new: &Entity, tunables: &Tunables) -> bool {
    let granularity = if new.weight() > NICE_0_WEIGHT {
        virtual_time(tunables.wakeup_granularity, new.weight())
    } else {
        tunables.wakeup_granularity
    };
    before(new.vruntime().wrapping_add(granularity), curr.vruntime())
}
