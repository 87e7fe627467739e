//! A run queue's side of bandwidth limits: which groups may run here, and who waits.
//!
//! Model: each group's queue on a CPU has what is left of its slice. When it is used up and the
//! pool has nothing, the group is throttled here. Its tasks are not stopped where they are: one that is
//! in the kernel, where it may hold what others wait for, runs on until it is about to go back to user mode.
//! There, or when it is picked next after it was preempted there, it is *parked*: out of the
//! queue, on the list of the nearest throttled group above it. When the group may run again, its
//! parked tasks come back to where they were.
//!
//! Invariants: a parked task is on exactly one list, that of a throttled group; its CPU is one it may
//! use; its state is one that only the holder of this run queue's lock ends.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering::Relaxed;

use super::fair::Enqueue;
use super::run_queue::{RunQueue, RunTask};
use super::{CpuMask, TaskGroup};

/// A group's limit as one CPU knows it.
pub(super) struct Throttle<T> {
    limited: bool,
    /// What is left of the slice; negative: more than it was used.
    remaining: i64,
    /// Since when the group is throttled here.
    since: Option<u64>,
    parked: Vec<Arc<T>>,
}

impl<T> Throttle<T> {
    pub(super) fn new(limited: bool) -> Throttle<T> {
        Throttle {
            limited,
            remaining: 0,
            since: None,
            parked: Vec::new(),
        }
    }
    pub(super) fn is_empty(&self) -> bool {
        self.parked.is_empty()
    }
    /// Charges time used. Returns whether the slice is used up.
    #[inline]
    pub(super) fn charge(&mut self, delta: u64) -> bool {
        if !self.limited {
            return false;
        }
        self.remaining -= delta as i64;
        self.remaining <= 0
    }
    /// Time until the slice is used up.
    #[inline]
    pub(super) fn left(&self) -> u64 {
        if !self.limited || self.since.is_some() {
            return u64::MAX;
        }
        self.remaining.max(0) as u64
    }
    /// Gives an unused slice back; returns the CPUs that should look again.
    pub(super) fn give_back(&mut self, group: &TaskGroup) -> CpuMask {
        if self.remaining <= 0 {
            return CpuMask::EMPTY;
        }
        let unused = core::mem::take(&mut self.remaining);
        group.bandwidth().give_back(unused as u64)
    }
    fn debt(&self) -> u64 {
        self.remaining.min(0).unsigned_abs()
    }
}

impl<T: RunTask> RunQueue<T> {
    /// Takes new slices for the groups from `slot` upwards that have used theirs up. Returns whether
    /// one of them is throttled.
    #[cold]
    pub(super) fn replenish(&mut self, mut slot: usize) -> bool {
        let (now, cpu) = (self.charged_until, self.cpu);
        let mut any = false;
        loop {
            let level = self.level_mut(slot);
            let throttle = &mut level.throttle;
            if throttle.limited && throttle.remaining <= 0 && throttle.since.is_none() {
                let bandwidth = level.group.bandwidth();
                throttle.remaining += bandwidth.take(cpu, throttle.debt(), now) as i64;
                if throttle.remaining <= 0 {
                    throttle.since = Some(now);
                    let until = bandwidth.throttle(cpu, now);
                    self.look_at = self.look_at.min(until);
                    self.throttled.push(slot);
                }
            }
            let level = self.level(slot);
            any |= level.throttle.since.is_some();
            if slot == level.parent {
                return any;
            }
            slot = level.parent;
        }
    }

    pub(super) fn throttle_curr(&self) {
        if let Some(curr) = &self.curr {
            curr.must_throttle();
        }
    }

    /// The nearest throttled group from `slot` upwards.
    fn throttled_level(&self, mut slot: usize) -> Option<usize> {
        loop {
            let level = self.level(slot);
            if level.throttle.since.is_some() {
                return Some(slot);
            }
            if slot == level.parent {
                return None;
            }
            slot = level.parent;
        }
    }

    /// Parks the task that was just picked, in a throttled group, if it is where it may be stopped.
    pub(super) fn park(&mut self, task: &Arc<T>) -> bool {
        let sched = task.sched();
        let Some(slot) = self.throttled_level(sched.group_slot()) else {
            return false;
        };
        if !sched.at_boundary() || !sched.throttle() {
            return false;
        }
        // Who sets the reason looks at the state afterwards.
        core::sync::atomic::fence(core::sync::atomic::Ordering::SeqCst);
        if task.must_run() {
            sched.unthrottle();
            return false;
        }
        self.add_parked(slot, task.clone());
        self.curr = Some(task.clone());
        self.put_prev(true);
        true
    }

    fn add_parked(&mut self, slot: usize, task: Arc<T>) {
        let parked = &mut self.level_mut(slot).throttle.parked;
        task.sched().parked_slot.store(slot as u32, Relaxed);
        task.sched().parked_at.store(parked.len() as u32, Relaxed);
        parked.push(task);
    }

    /// Lets a parked task run although its group may not. Returns whether it was parked here.
    pub fn release(&mut self, task: &Arc<T>) -> bool {
        let sched = task.sched();
        if !sched.is_throttled() {
            return false;
        }
        let slot = sched.parked_slot.load(Relaxed) as usize;
        let at = sched.parked_at.load(Relaxed) as usize;
        let parked = &mut self.level_mut(slot).throttle.parked;
        parked.swap_remove(at);
        if let Some(moved) = parked.get(at) {
            moved.sched().parked_at.store(at as u32, Relaxed);
        }
        sched.unthrottle();
        self.enqueue(task, Enqueue::Keep);
        true
    }

    /// Lets groups go on whose next period has begun. Returns whether tasks have come back.
    #[inline]
    pub fn unthrottle_due(&mut self, now: u64) -> bool {
        now >= self.look_at && self.look_again(now)
    }

    /// Lets throttled groups go on that there is time for.
    #[cold]
    pub fn look_again(&mut self, now: u64) -> bool {
        let cpu = self.cpu;
        self.look_at = u64::MAX;
        let mut any = false;
        for slot in core::mem::take(&mut self.throttled) {
            let level = self.level_mut(slot);
            let bandwidth = level.group.bandwidth();
            let throttle = &mut level.throttle;
            throttle.remaining += bandwidth.take(cpu, throttle.debt(), now) as i64;
            if throttle.remaining > 0 {
                any |= self.unthrottle(slot, now);
            } else {
                let until = bandwidth.throttle(cpu, now);
                self.look_at = self.look_at.min(until);
                self.throttled.push(slot);
            }
        }
        any
    }

    fn unthrottle(&mut self, slot: usize, now: u64) -> bool {
        let cpu = self.cpu;
        let level = self.level_mut(slot);
        let Some(since) = level.throttle.since.take() else {
            return false;
        };
        level.group.bandwidth().unthrottle(cpu, since, now);
        let parked = core::mem::take(&mut level.throttle.parked);
        let mut any = false;
        for task in parked {
            match self.throttled_level(task.sched().group_slot()) {
                Some(other) => self.add_parked(other, task),
                None => {
                    task.sched().unthrottle();
                    self.enqueue(&task, Enqueue::Keep);
                    any = true;
                }
            }
        }
        if !any {
            // Nobody was there for the slice.
            let level = self.level_mut(slot);
            if level.queue.is_empty() {
                let group = level.group.clone();
                let kicks = level.throttle.give_back(&group);
                self.kicks = CpuMask(self.kicks.0 | kicks.0);
                if group.is_offline() {
                    self.remove_group(slot);
                }
            }
        }
        any
    }

    /// Takes over a group's new limit. Returns whether parked tasks have come back.
    pub fn limit_changed(&mut self, group: &TaskGroup, now: u64) -> bool {
        let slot = group.slot() as usize;
        self.has_level(slot) && {
            self.charged_until = self.charged_until.max(now);
            let any = self.set_limited(slot, false);
            if self.has_level(slot) {
                self.set_limited(slot, group.bandwidth().is_limited());
            }
            any
        }
    }

    /// Forgets slice and debt; unthrottles.
    pub(super) fn set_limited(&mut self, slot: usize, limited: bool) -> bool {
        let throttle = &mut self.level_mut(slot).throttle;
        let was = core::mem::replace(&mut throttle.limited, limited);
        throttle.remaining = 0;
        self.nr_limited = self.nr_limited + usize::from(limited) - usize::from(was);
        self.throttled.retain(|other| *other != slot);
        if self.throttled.is_empty() {
            self.look_at = u64::MAX;
        }
        self.unthrottle(slot, self.charged_until)
    }

    /// Whether a group here has a limit.
    #[inline]
    pub fn has_limits(&self) -> bool {
        self.nr_limited != 0
    }
    /// Whether a group here is throttled.
    pub fn has_throttled(&self) -> bool {
        !self.throttled.is_empty()
    }

    /// The CPUs that time was given back for, to be kicked.
    #[inline]
    pub fn take_kicks(&mut self) -> CpuMask {
        core::mem::take(&mut self.kicks)
    }
}
