//! The run queue of one CPU: real-time tasks first, then the tree of fair queues.
//!
//! Model: `curr` is the task that the CPU runs (`None`: idle). Real-time tasks stay in their lists
//! while they run; a fair task that runs is `curr` of its group's queue, its group's entity is `curr` of
//! the parent's queue, and so on up to the root.
//!
//! Invariant: a group's entity is in its parent's queue exactly while its own queue is not empty.
//! All of it belongs to whoever holds the CPU's `RunQueue` lock. Throttled tasks: [`super::throttle`].

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering::Relaxed;

use smallvec::SmallVec;

use super::account::Open;
use super::fair::{Enqueue, Entity, FairQueue, Handle, Tunables, wakeup_preempts};
use super::real_time::RtQueue;
use super::rt_bandwidth::{RtBandwidth, RtThrottle};
use super::task_group::GroupCpu;
use super::throttle::Throttle;
use super::weight::nice_to_weight;
use super::{CpuMask, Policy, SchedTask, TaskGroup};
use crate::ids::CpuId;

/// Over which loads are averaged for the balance, in nanoseconds.
const STEADY_TIME: u64 = 24_000_000;
/// Groups whose weights are brought up to date at one time.
const MAX_WEIGHED: usize = 64;

/// What the run queue asks of a task; the host tests have tasks that are nothing else.
pub trait RunTask {
    /// The scheduler's part.
    fn sched(&self) -> &SchedTask;
    /// Nanoseconds in user mode up to now.
    fn user_time(&self) -> u64 {
        0
    }
    /// Told what was charged: time used, and how much of the new time was user mode.
    fn charged(&self, delta: u64, user: u64) {
        let _ = (delta, user);
    }
    /// Told that it has to stop on its way to user mode: bandwidth is used up.
    fn must_throttle(&self) {}
    /// Whether it has something to do before it can be throttled: to die, to stop.
    fn must_run(&self) -> bool {
        false
    }
}

impl RunTask for SchedTask {
    fn sched(&self) -> &SchedTask {
        self
    }
}

/// A task or a group in a fair queue.
#[derive(Debug)]
pub(super) enum Node<T> {
    Task(Arc<T>),
    Group(Arc<GroupCpu>),
}

impl<T> Clone for Node<T> {
    fn clone(&self) -> Self {
        match self {
            Node::Task(task) => Node::Task(task.clone()),
            Node::Group(group) => Node::Group(group.clone()),
        }
    }
}

impl<T: RunTask> Handle for Node<T> {
    fn entity(&self) -> &Entity {
        match self {
            Node::Task(task) => &task.sched().entity,
            Node::Group(group) => &group.entity,
        }
    }
}

pub(super) struct GroupQueue<T> {
    pub(super) group: Arc<TaskGroup>,
    /// Slot of the parent's queue; the root's own for the root.
    pub(super) parent: usize,
    pub(super) queue: FairQueue<Node<T>>,
    /// The group's version when its entity was weighed.
    version: u32,
    pub(super) throttle: Throttle<T>,
}

/// The run queue.
pub struct RunQueue<T> {
    pub(super) cpu: CpuId,
    tunables: Tunables,
    groups: Vec<Option<GroupQueue<T>>>,
    pub(super) rt: RtQueue<Arc<T>>,
    pub(super) rt_bandwidth: Arc<RtBandwidth>,
    pub(super) rt_throttle: RtThrottle,
    pub(super) curr: Option<Arc<T>>,
    pub(super) curr_is_rt: bool,
    pub(super) nr_fair: usize,
    pub(super) charged_until: u64,
    /// Groups here that have a limit, and those of them that are throttled.
    pub(super) nr_limited: usize,
    pub(super) throttled: Vec<usize>,
    /// When to look again whether these can go on.
    pub(super) look_at: u64,
    /// CPUs that time was given back for.
    pub(super) kicks: CpuMask,
    /// When a task last came or went although that evened nothing out.
    pub(super) rotated_at: u64,
    /// The average of `load`, and when it was last brought up to date.
    pub(super) steady_load: u64,
    steady_at: u64,
    open: Open,
    /// User time of tasks on this CPU: usual ones, and those with a positive nice level.
    pub(super) user_times: [u64; 2],
}

impl<T: RunTask> RunQueue<T> {
    /// An empty queue with the root group.
    pub fn new(cpu: CpuId, root: &Arc<TaskGroup>, tunables: Tunables) -> RunQueue<T> {
        let mut rq = RunQueue {
            cpu,
            tunables,
            groups: Vec::new(),
            rt: RtQueue::new(),
            rt_bandwidth: Arc::default(),
            rt_throttle: RtThrottle::default(),
            curr: None,
            curr_is_rt: false,
            nr_fair: 0,
            charged_until: 0,
            nr_limited: 0,
            throttled: Vec::new(),
            look_at: u64::MAX,
            kicks: CpuMask::EMPTY,
            rotated_at: 0,
            steady_load: 0,
            steady_at: 0,
            open: Open::default(),
            user_times: [0; 2],
        };
        rq.add_group(root);
        rq
    }

    /// The limit of real-time tasks, which all CPUs have together.
    pub fn set_rt_bandwidth(&mut self, limit: Arc<RtBandwidth>) {
        self.rt_bandwidth = limit;
    }

    /// The running task.
    pub fn curr(&self) -> Option<&Arc<T>> {
        self.curr.as_ref()
    }
    /// Tasks here, the running one included.
    pub fn nr_running(&self) -> usize {
        self.nr_fair + self.rt.len()
    }
    /// When time was last charged.
    pub fn charged_until(&self) -> u64 {
        self.charged_until
    }

    /// Sum of the weights of what runs here, group by group.
    pub fn load(&self) -> u64 {
        self.level(0).queue.load()
    }

    /// The load as the balance sees it, an average over some [`STEADY_TIME`]: who works for a moment now and then
    /// does not move the others about.
    pub fn steady_load(&self) -> u64 {
        self.steady_load
    }
    fn settle(&mut self, now: u64) {
        let passed = i128::from(now.saturating_sub(self.steady_at));
        self.steady_at = now;
        let (old, new) = (i128::from(self.steady_load), i128::from(self.load()));
        let average = old + (new - old) * passed / (passed + i128::from(STEADY_TIME));
        self.steady_load = average.max(0) as u64;
    }

    /// Makes a queue for a group.
    fn add_group(&mut self, group: &Arc<TaskGroup>) {
        for grave in group.note_queue(self.cpu) {
            self.remove_group(grave as usize);
        }
        let slot = group.slot() as usize;
        if self.groups.len() <= slot {
            self.groups.resize_with(slot + 1, || None);
        }
        let limited = group.bandwidth().is_limited();
        self.nr_limited += usize::from(limited);
        self.groups[slot] = Some(GroupQueue {
            group: group.clone(),
            parent: group.parent().map_or(slot, |parent| parent.slot() as usize),
            queue: FairQueue::new(),
            version: group.version(),
            throttle: Throttle::new(limited),
        });
    }

    /// Forgets the queue of a group if that is offline and has no tasks here.
    pub(super) fn remove_group(&mut self, slot: usize) {
        let Some(level) = self.groups.get(slot).and_then(Option::as_ref) else {
            return;
        };
        if level.group.is_offline() && level.queue.is_empty() && level.throttle.is_empty() {
            self.set_limited(slot, false);
            self.groups[slot] = None;
        }
    }

    /// Whether a group has a queue here.
    pub(super) fn has_level(&self, slot: usize) -> bool {
        self.groups.get(slot).is_some_and(Option::is_some)
    }

    #[inline]
    pub(super) fn level(&self, slot: usize) -> &GroupQueue<T> {
        self.groups[slot].as_ref().expect("a task's group has a queue")
    }

    #[inline]
    pub(super) fn level_mut(&mut self, slot: usize) -> &mut GroupQueue<T> {
        self.groups[slot].as_mut().expect("a task's group has a queue")
    }

    /// Charges the running task with the time until `now`.
    pub fn update_curr(&mut self, now: u64) {
        let delta = now.saturating_sub(self.charged_until);
        self.charged_until = self.charged_until.max(now);
        if self.rt.len() > 0 {
            self.charge_rt(delta);
        }
        let Some(curr) = &self.curr else { return };
        let task = curr.sched();
        let user = task.charge(delta, curr.user_time());
        if user != 0 {
            let low = !self.curr_is_rt && task.entity.weight() < nice_to_weight(0);
            self.user_times[low as usize] += user;
        }
        curr.charged(delta, user);
        self.open.charge(delta, user);
        if self.curr_is_rt {
            task.rr_used.store(task.rr_used.load(Relaxed) + delta, Relaxed);
            return;
        }
        let leaf = task.group_slot();
        let mut exhausted = false;
        let mut slot = leaf;
        loop {
            let cpu = self.cpu.0 as usize;
            let level = self.level_mut(slot);
            level.queue.charge(delta);
            exhausted |= level.throttle.charge(delta);
            let min = level.queue.min_vruntime();
            level.group.cpus[cpu].min_vruntime.store(min, Relaxed);
            if slot == level.parent {
                break;
            }
            slot = level.parent;
        }
        if exhausted && self.replenish(leaf) {
            self.throttle_curr();
        }
    }

    /// Adds what was charged to the accounts of cgroups. What the running task has used since
    /// the last `update_curr` is not in it.
    pub fn flush_accounts(&mut self) {
        self.open.flush(self.cpu);
    }

    /// Opens the accounts of the running task.
    #[inline]
    pub(super) fn open_accounts(&mut self) {
        if let Some(curr) = &self.curr
            && !self.open.is(curr.sched().accounts_at())
        {
            self.open.switch(curr.sched().accounts(), self.cpu);
        }
    }

    /// Adds a task that may run.
    pub fn enqueue(&mut self, task: &Arc<T>, how: Enqueue) {
        let sched = task.sched();
        sched.set_cpu(self.cpu);
        if sched.is_real_time() {
            if how == Enqueue::Wakeup {
                sched.begin_rt_time();
            }
            let prio = sched.rt_priority();
            self.rt.enqueue(task.clone(), prio, false);
            return;
        }
        self.nr_fair += 1;
        let tunables = self.tunables;
        let mut slot = sched.group_slot();
        if !self.has_level(slot) {
            self.add_group(&sched.group());
        }
        let mut node = Some((Node::Task(task.clone()), how));
        loop {
            let level = self.level_mut(slot);
            let mut parent_node = None;
            if let Some((node, how)) = node {
                if level.queue.is_empty() {
                    parent_node = Some(how);
                }
                level.queue.enqueue(node, how, &tunables);
            }
            let parent = level.parent;
            if !self.has_level(parent)
                && let Some(group) = self.level(slot).group.parent().cloned()
            {
                self.add_group(&group);
            }
            // However a task comes, its group's place here may be an old one.
            let entering = parent_node.is_some();
            node = self
                .refresh(slot, entering)
                .filter(|_| entering)
                .map(|group| (Node::Group(group), Enqueue::Wakeup));
            if slot == parent {
                return;
            }
            slot = parent;
        }
    }

    /// Brings the published figures of a level up to date and reweights its entity. Returns the
    /// entity's owner, unless it is the root.
    fn refresh(&mut self, slot: usize, entering: bool) -> Option<Arc<GroupCpu>> {
        let cpu = self.cpu.0 as usize;
        let level = self.level(slot);
        let group = level.group.cpus[cpu].clone();
        group.min_vruntime.store(level.queue.min_vruntime(), Relaxed);
        if slot == level.parent {
            return None;
        }
        let parent = level.parent;
        let queued = !level.queue.is_empty() && !entering;
        let weight = level
            .group
            .update_load(cpu, level.queue.load(), self.charged_until);
        let version = level.group.version();
        self.level_mut(slot).version = version;
        if queued {
            self.level_mut(parent)
                .queue
                .reweight(&Node::Group(group.clone()), weight);
        } else {
            group.entity.set_weight(weight);
        }
        Some(group)
    }

    /// Removes a task, running or waiting.
    pub fn dequeue(&mut self, task: &Arc<T>) {
        let sched = task.sched();
        if sched.is_real_time() {
            self.rt
                .dequeue(sched.rt_priority(), |other| Arc::ptr_eq(other, task));
            return;
        }
        self.nr_fair -= 1;
        let (cpu, now) = (self.cpu.0 as usize, self.charged_until);
        let mut slot = sched.group_slot();
        let mut node = Some(Node::Task(task.clone()));
        loop {
            let level = self.level_mut(slot);
            let parent = level.parent;
            let left = node.take();
            if let Some(node) = &left {
                level.queue.dequeue(node);
            }
            if slot == parent {
                self.refresh(slot, false);
                return;
            }
            if left.is_some() && level.queue.is_empty() {
                // The entity leaves its parent's queue with the weight it has there.
                let group = level.group.cpus[cpu].clone();
                group.min_vruntime.store(level.queue.min_vruntime(), Relaxed);
                level.group.update_load(cpu, 0, now);
                node = Some(Node::Group(group));
                let group = level.group.clone();
                let kicks = level.throttle.give_back(&group);
                self.kicks = CpuMask(self.kicks.0 | kicks.0);
                if group.is_offline() {
                    self.remove_group(group.slot() as usize);
                }
            } else {
                self.refresh(slot, false);
            }
            slot = parent;
        }
    }

    /// Gives the group's entity the weight that follows from the group's.
    pub fn reweight_group(&mut self, group: &TaskGroup) {
        let slot = group.slot() as usize;
        if self.has_level(slot) {
            self.refresh(slot, false);
        }
    }

    /// Weighs the groups that run here anew, some at least: a CPU that does not switch has not noticed
    /// what others have changed, nor that a load has fallen for good.
    pub fn weigh(&mut self, now: u64) {
        let mut levels: SmallVec<[usize; 16]> = SmallVec::from_slice(&[0]);
        let mut at = 0;
        while at < levels.len() && levels.len() < MAX_WEIGHED {
            let queue = &self.level(levels[at]).queue;
            for node in queue.curr().into_iter().chain(queue.waiting()) {
                if let Node::Group(group) = node {
                    levels.push(group.slot);
                }
            }
            at += 1;
        }
        for slot in levels {
            let level = self.level(slot);
            if level.group.holds_load(self.cpu.0 as usize, level.queue.load()) {
                self.refresh(slot, false);
            } else {
                self.catch_up(slot);
            }
        }
        self.settle(now);
    }

    /// Weighs a group's entity anew if other CPUs have changed what it is.
    #[inline]
    fn catch_up(&mut self, slot: usize) {
        let level = self.level(slot);
        if level.version != level.group.version() {
            self.refresh(slot, false);
        }
    }

    /// Whether the task is here.
    pub fn contains(&self, task: &Arc<T>) -> bool {
        let sched = task.sched();
        self.is_curr(task)
            || sched.entity.is_queued()
            || sched.is_real_time() && self.rt.iter().any(|other| Arc::ptr_eq(other, task))
    }

    /// Whether the task runs here.
    pub fn is_curr(&self, task: &Arc<T>) -> bool {
        self.curr.as_ref().is_some_and(|curr| Arc::ptr_eq(curr, task))
    }

    /// Puts the running task back among the waiting, or, if it leaves, out of the queue.
    pub fn put_prev(&mut self, leaves: bool) {
        let Some(prev) = self.curr.take() else { return };
        if leaves {
            self.dequeue(&prev);
        }
        if self.curr_is_rt {
            return;
        }
        let mut slot = prev.sched().group_slot();
        loop {
            let Some(level) = self.groups.get_mut(slot).and_then(Option::as_mut) else {
                // The last task of a group that is offline.
                slot = parent_slot(&prev.sched().group(), slot);
                continue;
            };
            level.queue.put_prev();
            if slot == level.parent {
                return;
            }
            slot = level.parent;
        }
    }

    /// Chooses the next task and makes it the running one. Throttled tasks that hold nothing are
    /// parked on the way; others may run in the kernel.
    pub fn pick_next(&mut self) -> Option<Arc<T>> {
        debug_assert!(self.curr.is_none());
        let next = if let Some(task) = self.rt.first()
            && !self.rt_is_throttled()
        {
            self.curr_is_rt = true;
            task.clone()
        } else {
            self.curr_is_rt = false;
            loop {
                let mut slot = 0;
                let task = loop {
                    match self.level_mut(slot).queue.pick()? {
                        Node::Task(task) => break task,
                        Node::Group(group) => slot = group.slot,
                    }
                    self.catch_up(slot);
                };
                if self.nr_limited == 0 || !self.replenish(slot) {
                    break task;
                }
                if !self.park(&task) {
                    task.must_throttle();
                    break task;
                }
            }
        };
        self.curr = Some(next.clone());
        self.open_accounts();
        Some(next)
    }

    /// Applies `change` to a task's parameters while it is out of the queue.
    pub fn change(&mut self, task: &Arc<T>, change: impl FnOnce(&SchedTask)) {
        let here = self.contains(task);
        let runs = self.is_curr(task);
        if runs {
            self.put_prev(false);
        }
        if here {
            self.dequeue(task);
        }
        change(task.sched());
        if here {
            self.enqueue(task, Enqueue::Keep);
        }
        if runs {
            self.resume(task);
        }
    }

    /// Makes a queued task the running one again.
    fn resume(&mut self, task: &Arc<T>) {
        self.curr = Some(task.clone());
        self.curr_is_rt = task.sched().is_real_time();
        if self.curr_is_rt {
            return;
        }
        let cpu = self.cpu.0 as usize;
        let mut slot = task.sched().group_slot();
        let mut node = Node::Task(task.clone());
        loop {
            let level = self.level_mut(slot);
            level.queue.set_curr(&node);
            if slot == level.parent {
                return;
            }
            node = Node::Group(level.group.cpus[cpu].clone());
            slot = level.parent;
        }
    }

    /// `sched_yield(2)`: the others of the same standing go first.
    pub fn yield_curr(&mut self) {
        let Some(curr) = self.curr.clone() else { return };
        if self.curr_is_rt {
            self.rt
                .rotate(curr.sched().rt_priority(), |task| Arc::ptr_eq(task, &curr));
        } else {
            let slot = curr.sched().group_slot();
            self.level_mut(slot).queue.yield_curr();
        }
    }

    /// Whether `task`, just enqueued, should run instead of the running one.
    pub fn preempts(&self, task: &Arc<T>) -> bool {
        let Some(curr) = &self.curr else { return true };
        let (old, new) = (curr.sched(), task.sched());
        match (self.curr_is_rt, new.is_real_time()) {
            (true, true) => return new.rt_priority() > old.rt_priority(),
            (true, false) => return self.rt_is_throttled(),
            (false, true) => return !self.rt_is_throttled(),
            (false, false) => {}
        }
        match (old.policy(), new.policy()) {
            (Policy::Idle, Policy::Idle) => {}
            (Policy::Idle, _) => return true,
            (_, Policy::Batch | Policy::Idle) => return false,
            _ => {}
        }
        let cpu = self.cpu.0 as usize;
        let (mut a, mut b) = (old.group_slot(), new.group_slot());
        let (mut old, mut new) = (&old.entity, &new.entity);
        let (mut old_idle, mut new_idle) = (false, false);
        while a != b {
            let (level_a, level_b) = (self.level(a), self.level(b));
            let (depth_a, depth_b) = (level_a.group.depth(), level_b.group.depth());
            if depth_a >= depth_b {
                old = &level_a.group.cpus[cpu].entity;
                old_idle = level_a.group.is_idle();
                a = level_a.parent;
            }
            if depth_b >= depth_a {
                new = &level_b.group.cpus[cpu].entity;
                new_idle = level_b.group.is_idle();
                b = level_b.parent;
            }
        }
        if old_idle != new_idle {
            return old_idle;
        }
        !core::ptr::eq(old, new) && wakeup_preempts(old, new, &self.tunables)
    }

    /// At a tick: whether the running task's slice is over. Rotates RR tasks.
    pub fn tick(&mut self) -> bool {
        let Some(curr) = self.curr.clone() else {
            return self.nr_running() > 0;
        };
        let sched = curr.sched();
        if self.rt.len() > 0 && self.curr_is_rt == self.rt_is_throttled() {
            return true;
        }
        if self.curr_is_rt {
            let prio = sched.rt_priority();
            if sched.policy() != Policy::Rr || sched.rr_used.load(Relaxed) < self.rt_bandwidth.timeslice() {
                return false;
            }
            sched.rr_used.store(0, Relaxed);
            if self.rt.nr_at(prio) < 2 {
                return false;
            }
            self.rt.rotate(prio, |task| Arc::ptr_eq(task, &curr));
            return true;
        }
        let mut slot = sched.group_slot();
        loop {
            self.catch_up(slot);
            let level = self.level(slot);
            if level.queue.slice_over(&self.tunables) {
                return true;
            }
            if slot == level.parent {
                return false;
            }
            slot = level.parent;
        }
    }

    /// Nanoseconds until the running task's slice is over, its bandwidth is used up, or throttled
    /// tasks may go on; `None` if no tick is needed.
    pub fn next_tick(&self) -> Option<u64> {
        let mut nearest = match self.look_at {
            u64::MAX => u64::MAX,
            at => at.saturating_sub(self.charged_until),
        };
        if let Some(curr) = &self.curr {
            let sched = curr.sched();
            nearest = nearest.min(self.rt_change());
            if !self.curr_is_rt {
                nearest = nearest.min(self.fair_tick(sched.group_slot()));
            } else if sched.policy() == Policy::Rr && self.rt.nr_at(sched.rt_priority()) > 1 {
                nearest = nearest.min(
                    self.rt_bandwidth
                        .timeslice()
                        .saturating_sub(sched.rr_used.load(Relaxed)),
                );
            }
        }
        (nearest != u64::MAX).then_some(nearest)
    }

    fn fair_tick(&self, mut slot: usize) -> u64 {
        let mut nearest = u64::MAX;
        loop {
            let level = self.level(slot);
            if let (Some(slice), Some(curr)) = (level.queue.curr_slice(&self.tunables), level.queue.curr()) {
                nearest = nearest.min(slice.saturating_sub(curr.entity().ran()));
            }
            nearest = nearest.min(level.throttle.left());
            if slot == level.parent {
                return nearest;
            }
            slot = level.parent;
        }
    }

    /// The slice that a fair task has among those of its group here; 0 if there is none.
    pub fn fair_slice(&self, task: &SchedTask) -> u64 {
        let slot = task.group_slot();
        if !self.has_level(slot) || self.level(slot).queue.is_empty() {
            return 0;
        }
        self.level(slot).queue.slice_of(&task.entity, &self.tunables)
    }
}

/// The slot of the parent of the group at `slot`, from a group at or below it.
#[cold]
fn parent_slot(group: &Arc<TaskGroup>, slot: usize) -> usize {
    let mut group = group;
    while let Some(parent) = group.parent() {
        if group.slot() as usize == slot {
            return parent.slot() as usize;
        }
        group = parent;
    }
    0
}

/// Moves the virtual runtime of a task that is in no queue from one CPU's time to another's.
pub fn rebase(task: &SchedTask, group: &TaskGroup, from: CpuId, to: CpuId) {
    if from == to {
        return;
    }
    let min = |cpu: CpuId| group.cpus[cpu.0 as usize].min_vruntime.load(Relaxed);
    let vruntime = task.entity.vruntime();
    task.entity
        .set_vruntime(vruntime.wrapping_sub(min(from)).wrapping_add(min(to)));
}
