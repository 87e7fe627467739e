//! Groups of tasks that get CPU time together (Linux's `task_group`), the scheduler's side of a
//! cgroup with the cpu controller.
//!
//! Model: a tree. On each CPU a group has a fair queue of its own (in the `RunQueue`, made when the
//! first task comes) and an entity that stands for it in its parent's queue. The group's weight is
//! shared out over CPUs by load: the entity weighs `weight × load on this CPU / load on all CPUs`.
//! What other CPUs change is seen when the entity is picked and at ticks, through `version`.
//!
//! A load that falls counts as it was for a while, unless nobody is left: tasks that sleep and wake
//! many times a second would otherwise shift the weight back and forth between CPUs, and a share that goes up and down
//! is worth less than a steady one.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{
    AtomicBool, AtomicU32, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};

use super::CpuMask;
use super::bandwidth::Bandwidth;
use super::fair::Entity;
use super::weight::{IDLE_WEIGHT, NICE_0_WEIGHT};
use crate::ids::CpuId;
use crate::sync::{SpinLock, class};

/// The least weight of a group's entity on one CPU, scaled: far below what shares can express.
const MIN_ENTITY_WEIGHT: u64 = 2;
/// How long a load counts that has fallen.
const HOLD_LOAD: u64 = 50_000_000;

/// Numbers of groups: indices into the run queues, used again when a group is gone.
#[derive(Debug)]
struct Slots {
    next: AtomicU32,
    free: SpinLock<Vec<u32>, class::Leaf>,
    /// For each CPU, the numbers of offline groups that may still have an empty queue there.
    graves: Box<[SpinLock<Vec<u32>, class::Leaf>]>,
}

impl Slots {
    fn new(cpus: usize) -> Arc<Slots> {
        Arc::new(Slots {
            next: AtomicU32::new(0),
            free: SpinLock::default(),
            graves: (0..cpus).map(|_| SpinLock::default()).collect(),
        })
    }
    fn take(&self) -> u32 {
        let free = self.free.lock().pop();
        free.unwrap_or_else(|| self.next.fetch_add(1, Relaxed))
    }
}

/// A group.
#[derive(Debug)]
pub struct TaskGroup {
    slot: u32,
    slots: Arc<Slots>,
    depth: u32,
    parent: Option<Arc<TaskGroup>>,
    weight: AtomicU64,
    /// Its tasks run when nobody else wants to (`cpu.idle`).
    idle: AtomicBool,
    /// It has left its tree: queues are forgotten when their last task leaves.
    offline: AtomicBool,
    /// CPUs on which it may have a queue.
    queues: AtomicU64,
    /// Sum of the loads of all CPUs.
    load: AtomicU64,
    /// Changes with `weight` and `load`.
    version: AtomicU32,
    bandwidth: Bandwidth,
    pub(super) cpus: Box<[Arc<GroupCpu>]>,
}

/// A group on one CPU.
#[derive(Debug)]
pub struct GroupCpu {
    /// Index of the group's queue in the run queue.
    pub(super) slot: usize,
    /// Stands for the group in its parent's queue.
    pub(super) entity: Entity,
    /// The queue's `min_vruntime`, to place tasks that move between CPUs.
    pub(super) min_vruntime: AtomicU64,
    /// The queue's load as added to the group's sum, and when it was last as high; 0: it counts no longer.
    load: AtomicU64,
    load_at: AtomicU64,
}

impl TaskGroup {
    fn make(slots: Arc<Slots>, parent: Option<Arc<TaskGroup>>, weight: u64, cpus: usize) -> Arc<TaskGroup> {
        let slot = slots.take();
        Arc::new(TaskGroup {
            slot,
            slots,
            depth: parent.as_ref().map_or(0, |parent| parent.depth + 1),
            parent,
            weight: AtomicU64::new(weight),
            idle: AtomicBool::new(false),
            offline: AtomicBool::new(false),
            queues: AtomicU64::new(0),
            load: AtomicU64::new(0),
            version: AtomicU32::new(0),
            bandwidth: Bandwidth::default(),
            cpus: (0..cpus)
                .map(|_| {
                    Arc::new(GroupCpu {
                        slot: slot as usize,
                        entity: Entity::new(NICE_0_WEIGHT),
                        min_vruntime: AtomicU64::new(0),
                        load: AtomicU64::new(0),
                        load_at: AtomicU64::new(0),
                    })
                })
                .collect(),
        })
    }
    /// A root group, for `cpus` CPUs.
    pub fn root(cpus: usize) -> Arc<TaskGroup> {
        TaskGroup::make(Slots::new(cpus), None, NICE_0_WEIGHT, cpus)
    }
    /// A group below `parent` with a scaled weight.
    pub fn new(parent: &Arc<TaskGroup>, weight: u64) -> Arc<TaskGroup> {
        TaskGroup::make(
            parent.slots.clone(),
            Some(parent.clone()),
            weight,
            parent.cpus.len(),
        )
    }
    pub(super) fn slot(&self) -> u32 {
        self.slot
    }
    pub(super) fn depth(&self) -> u32 {
        self.depth
    }
    /// The group around it.
    pub fn parent(&self) -> Option<&Arc<TaskGroup>> {
        self.parent.as_ref()
    }
    /// Its scaled weight among its siblings.
    pub fn weight(&self) -> u64 {
        self.weight.load(Relaxed)
    }
    pub(super) fn set_weight(&self, weight: u64) {
        self.weight.store(weight, Relaxed);
        self.version.fetch_add(1, Relaxed);
    }
    /// Whether it runs only when its siblings do not want to.
    pub fn is_idle(&self) -> bool {
        self.idle.load(Relaxed)
    }
    pub(super) fn set_idle(&self, idle: bool) {
        self.idle.store(idle, Relaxed);
        self.set_weight(if idle { IDLE_WEIGHT } else { NICE_0_WEIGHT });
    }
    pub(super) fn is_offline(&self) -> bool {
        self.offline.load(Relaxed)
    }
    /// It gets no more tasks. CPUs forget its queues when they make others, or when its last task
    /// leaves.
    pub fn set_offline(&self) {
        self.offline.store(true, SeqCst);
        for cpu in CpuMask(self.queues.load(SeqCst)).iter() {
            self.slots.graves[cpu.0 as usize].lock().push(self.slot);
        }
    }
    /// A queue is made on this CPU. Returns groups whose queues can go, if they are offline.
    pub(super) fn note_queue(&self, cpu: CpuId) -> Vec<u32> {
        self.queues.fetch_or(CpuMask::of(cpu).0, SeqCst);
        core::mem::take(&mut *self.slots.graves[cpu.0 as usize].lock())
    }
    /// Its limit.
    pub fn bandwidth(&self) -> &Bandwidth {
        &self.bandwidth
    }
    pub(super) fn version(&self) -> u32 {
        self.version.load(Relaxed)
    }

    /// A task leaves a CPU for another: the load goes with it at once.
    pub(super) fn release_load(&self, cpu: usize) {
        self.cpus[cpu].load_at.store(0, Relaxed);
    }

    /// Whether the sum of the group's loads has another figure for this CPU's queue.
    pub(super) fn holds_load(&self, cpu: usize, load: u64) -> bool {
        self.cpus[cpu].load.load(Relaxed) != load
    }

    /// Notes the load of one CPU's queue, and returns what the group's entity weighs there.
    pub(super) fn update_load(&self, cpu: usize, load: u64, now: u64) -> u64 {
        let mine = &self.cpus[cpu];
        let old = mine.load.load(Relaxed);
        let load_at = mine.load_at.load(Relaxed);
        let held = load < old && load != 0 && load_at != 0 && now < load_at + HOLD_LOAD;
        let load = if held {
            old
        } else {
            mine.load_at.store(now, Relaxed);
            load
        };
        let total = if old == load {
            self.load.load(Relaxed)
        } else {
            mine.load.store(load, Relaxed);
            let change = load.wrapping_sub(old);
            self.version.fetch_add(1, Relaxed);
            self.load.fetch_add(change, Relaxed).wrapping_add(change)
        };
        let weight = self.weight();
        if load >= total {
            return weight;
        }
        let share = u128::from(weight) * u128::from(load) / u128::from(total);
        (share as u64).clamp(MIN_ENTITY_WEIGHT.min(weight), weight)
    }
}

impl Drop for TaskGroup {
    fn drop(&mut self) {
        self.slots.free.lock().push(self.slot);
    }
}
