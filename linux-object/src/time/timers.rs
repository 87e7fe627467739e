//! Timer queues: callbacks at instants of the monotonic clock.
//!
//! Model: each CPU has a queue; a timer goes into the queue of the CPU that sets it and fires
//! there. Setting and cancelling cost O(log n) and allocate nothing in steady state: a binary heap of
//! deadlines whose elements know their slot, and slots that know their place in the heap.
//!
//! A [`TimerId`] names one setting of one timer for ever: cancelling it after it fired, or twice, does
//! nothing. A cancelled timer may still be firing on another CPU at that moment; callbacks check
//! what they find.
//!
//! Locks: `Timer`; callbacks run with none held, in the context of an interrupt's thread.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{ClockEvents, Ktime};
use crate::hal::Hal;
use crate::sched::StateMask;
use crate::sync::{SpinLock, class};
use crate::task::Task;

/// What happens when a timer fires.
pub trait TimerCallback: Send + Sync {
    /// Called once for each setting, at or after the deadline, without locks.
    fn fire(self: Arc<Self>, now: Ktime);
}

/// A sleeping task is woken, to look at the time itself.
impl TimerCallback for Task {
    fn fire(self: Arc<Self>, _now: Ktime) {
        self.kernel().sched.wake_up(&self, StateMask::NORMAL);
    }
}

/// One setting of a timer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimerId {
    cpu: u32,
    slot: u32,
    generation: u64,
}

struct Slot {
    /// Place in the heap.
    at: u32,
    generation: u64,
    callback: Option<Arc<dyn TimerCallback>>,
}

/// The queue of one CPU: pure, without a clock.
#[derive(Default)]
pub struct TimerQueue {
    heap: Vec<(Ktime, u32)>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    generation: u64,
}

impl TimerQueue {
    /// The earliest deadline.
    pub fn first(&self) -> Option<Ktime> {
        self.heap.first().map(|(deadline, _)| *deadline)
    }
    /// Number of timers.
    pub fn nr(&self) -> usize {
        self.heap.len()
    }

    /// Adds a timer; returns slot and generation.
    pub fn add(&mut self, deadline: Ktime, callback: Arc<dyn TimerCallback>) -> (u32, u64) {
        self.generation += 1;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                at: 0,
                generation: 0,
                callback: None,
            });
            self.slots.len() as u32 - 1
        });
        let entry = &mut self.slots[slot as usize];
        entry.generation = self.generation;
        entry.callback = Some(callback);
        self.heap.push((deadline, slot));
        self.sift_up(self.heap.len() - 1);
        (slot, self.generation)
    }

    /// Removes a timer that has not fired.
    pub fn cancel(&mut self, slot: u32, generation: u64) -> Option<Arc<dyn TimerCallback>> {
        let entry = self.slots.get(slot as usize)?;
        if entry.generation != generation || entry.callback.is_none() {
            return None;
        }
        self.remove(entry.at as usize)
    }

    /// Takes the first timer out if its deadline has come.
    pub fn pop(&mut self, now: Ktime) -> Option<Arc<dyn TimerCallback>> {
        if self.first()? > now {
            return None;
        }
        self.remove(0)
    }

    fn remove(&mut self, at: usize) -> Option<Arc<dyn TimerCallback>> {
        let (_, slot) = self.heap.swap_remove(at);
        if at < self.heap.len() {
            self.sift_down(at);
            self.sift_up(at);
        }
        self.free.push(slot);
        self.slots[slot as usize].callback.take()
    }

    fn settle(&mut self, at: usize) {
        let slot = self.heap[at].1;
        self.slots[slot as usize].at = at as u32;
    }

    fn sift_up(&mut self, mut at: usize) {
        while at > 0 && self.before(at, (at - 1) / 2) {
            let parent = (at - 1) / 2;
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
                if child < self.heap.len() && self.before(child, least) {
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

    /// Equal deadlines fire in the order in which they were set.
    fn before(&self, a: usize, b: usize) -> bool {
        let key = |at: usize| {
            let (deadline, slot) = self.heap[at];
            (deadline, self.slots[slot as usize].generation)
        };
        key(a) < key(b)
    }
}

/// The timers of a kernel.
pub struct Timers {
    hal: Arc<dyn Hal>,
    events: Arc<ClockEvents>,
    queues: Box<[SpinLock<TimerQueue, class::Timer>]>,
}

impl Timers {
    /// No timers.
    pub fn new(hal: Arc<dyn Hal>, events: Arc<ClockEvents>) -> Timers {
        let queues = (0..hal.nr_cpus().max(1))
            .map(|_| SpinLock::new(TimerQueue::default()))
            .collect();
        Timers { hal, events, queues }
    }

    /// Calls `callback` at `deadline`, or at the next interrupt if that has passed. At
    /// [`Ktime::MAX`] it never does, but the timer has to be cancelled all the same.
    pub fn add(&self, deadline: Ktime, callback: Arc<dyn TimerCallback>) -> TimerId {
        let cpu = self.hal.current_cpu();
        let mut queue = self.queues[cpu.0 as usize].lock();
        let (slot, generation) = queue.add(deadline, callback);
        let first = queue.first() == Some(deadline);
        drop(queue);
        if first {
            self.events.set_first_timer(cpu, deadline);
            self.events.program(cpu);
        }
        TimerId {
            cpu: cpu.0,
            slot,
            generation,
        }
    }

    /// Takes a timer back. Returns whether it had not fired.
    pub fn cancel(&self, id: TimerId) -> bool {
        let callback = self.queues[id.cpu as usize].lock().cancel(id.slot, id.generation);
        callback.is_some()
    }

    /// Fires what is due on this CPU.
    pub(crate) fn run_due(&self) {
        let cpu = self.hal.current_cpu();
        let queue = &self.queues[cpu.0 as usize];
        let now = self.hal.now();
        loop {
            let due = queue.lock().pop(now);
            match due {
                Some(callback) => callback.fire(now),
                None => break,
            }
        }
        let first = queue.lock().first().unwrap_or(Ktime::MAX);
        self.events.set_first_timer(cpu, first);
        self.events.program(cpu);
    }

    /// How many are set, on all CPUs.
    pub fn nr(&self) -> usize {
        self.queues.iter().map(|queue| queue.lock().nr()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
    use std::collections::BTreeMap;

    struct Note(AtomicU64, u64);
    impl TimerCallback for Note {
        fn fire(self: Arc<Self>, _now: Ktime) {
            self.0.store(1, Relaxed);
        }
    }

    #[test]
    fn fires_in_order_against_a_model() {
        let mut random = 12345u64;
        let mut next = move |n: u64| {
            random = random
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (random >> 33) % n
        };
        let mut queue = TimerQueue::default();
        let mut model = BTreeMap::new();
        let mut seq = 0;
        let mut now = 0;
        for _ in 0..50_000 {
            match next(4) {
                0 | 1 => {
                    let deadline = now + next(1000);
                    seq += 1;
                    let id = queue.add(Ktime(deadline), Arc::new(Note(AtomicU64::new(0), seq)));
                    model.insert((deadline, seq), id);
                }
                2 => {
                    let nth = next(model.len() as u64 + 1) as usize;
                    if let Some((key, id)) = model.iter().nth(nth).map(|(k, v)| (*k, *v)) {
                        model.remove(&key);
                        assert!(queue.cancel(id.0, id.1).is_some());
                        assert!(queue.cancel(id.0, id.1).is_none());
                    }
                }
                _ => {
                    now += next(200);
                    while let Some(callback) = queue.pop(Ktime(now)) {
                        let ((deadline, _), id) = model.pop_first().unwrap();
                        assert!(deadline <= now);
                        assert!(queue.cancel(id.0, id.1).is_none());
                        callback.fire(Ktime(now));
                    }
                    assert!(model.first_key_value().is_none_or(|((d, _), _)| *d > now));
                }
            }
            assert_eq!(queue.nr(), model.len());
            assert_eq!(
                queue.first().map(|d| d.0),
                model.first_key_value().map(|((d, _), _)| *d)
            );
        }
        let _ = Note(AtomicU64::new(0), 1).1;
    }
}
