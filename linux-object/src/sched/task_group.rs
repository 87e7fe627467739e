//! Groups of tasks that get CPU time together (Linux's `task_group`), the scheduler's side of a
//! cgroup with the cpu controller.
//!
//! Model: a tree. On each CPU a group has a fair queue of its own (in the `RunQueue`) and an
//! entity that stands for it in its parent's queue. The group's weight is shared out over CPUs by
//! load: the entity weighs `weight × load on this CPU / load on all CPUs`.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::fair::Entity;
use super::weight::{NICE_0_WEIGHT, WEIGHT_SHIFT};

/// The least weight of a group's entity on one CPU.
const MIN_ENTITY_WEIGHT: u64 = 2 << WEIGHT_SHIFT;

/// A group.
#[derive(Debug)]
pub struct TaskGroup {
    slot: u32,
    depth: u32,
    parent: Option<Arc<TaskGroup>>,
    weight: AtomicU64,
    /// Sum of the loads of all CPUs.
    load: AtomicU64,
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
    /// The queue's load as added to the group's sum.
    pub(super) load: AtomicU64,
}

impl TaskGroup {
    pub(super) fn new(slot: u32, parent: Option<Arc<TaskGroup>>, weight: u64, cpus: usize) -> Arc<TaskGroup> {
        Arc::new(TaskGroup {
            slot,
            depth: parent.as_ref().map_or(0, |parent| parent.depth + 1),
            parent,
            weight: AtomicU64::new(weight),
            load: AtomicU64::new(0),
            cpus: (0..cpus)
                .map(|_| {
                    Arc::new(GroupCpu {
                        slot: slot as usize,
                        entity: Entity::new(NICE_0_WEIGHT),
                        min_vruntime: AtomicU64::new(0),
                        load: AtomicU64::new(0),
                    })
                })
                .collect(),
        })
    }
    /// The root group.
    pub fn root(cpus: usize) -> Arc<TaskGroup> {
        TaskGroup::new(0, None, NICE_0_WEIGHT, cpus)
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
    }

    /// Notes the load of one CPU's queue, and returns what the group's entity weighs there.
    pub(super) fn update_load(&self, cpu: usize, load: u64) -> u64 {
        let old = self.cpus[cpu].load.swap(load, Relaxed);
        let change = load.wrapping_sub(old);
        let total = self.load.fetch_add(change, Relaxed).wrapping_add(change);
        let weight = self.weight();
        if load >= total {
            return weight;
        }
        let share = u128::from(weight) * u128::from(load) / u128::from(total);
        (share as u64).clamp(MIN_ENTITY_WEIGHT.min(weight), weight)
    }
}
