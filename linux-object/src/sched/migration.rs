//! What moving tasks between two run queues would do to their loads.
//!
//! Model: a CPU's load is the sum of the weights in its root queue, where a group counts with the
//! part of its weight that is here. A task's load is its part of that, down the tree. CPUs whose loads
//! are equal give every group its weight; so a task moves, or two change places, if that makes the difference
//! smaller. Where nothing does (three equal tasks on two CPUs), moves that leave it as it is, done now
//! and then, let everyone have a turn on the emptier CPU.

use alloc::sync::Arc;

use smallvec::SmallVec;

use super::fair::Enqueue;
use super::run_queue::{Node, RunQueue, RunTask};
use super::{CpuMask, rebase_task};
use crate::ids::CpuId;

/// Waiting tasks that are looked at for one move, and on each side for an exchange.
const MAX_LOOKED_AT: usize = 64;
const MAX_EXCHANGED: usize = 16;

/// How good a move must be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Aim {
    /// The target has nothing to run.
    Fill,
    /// The difference gets smaller.
    Even,
    /// The difference gets smaller by an exchange.
    Exchange,
    /// It does not get larger.
    Rotate,
}

/// A move to try: from a CPU to a CPU.
pub type Move = (CpuId, CpuId, Aim);

/// Time between moves of a CPU that even nothing out.
const ROTATE_INTERVAL: u64 = 30_000_000;

/// The moves that a CPU with several tasks tries until one succeeds: to the CPU with the least load,
/// from the one with the most. `figures` are a CPU's load and tasks.
pub fn plan(here: CpuId, cpus: CpuMask, figures: impl Fn(CpuId) -> (u64, u32)) -> SmallVec<[Move; 8]> {
    let mut moves = SmallVec::new();
    let others = || cpus.iter().filter(move |cpu| *cpu != here);
    let (Some(least), Some(most)) = (
        others().min_by_key(|cpu| figures(*cpu)),
        others().max_by_key(|cpu| figures(*cpu)),
    ) else {
        return moves;
    };
    // The tasks that wait here may not run on every CPU that is idle.
    for idle in others().filter(|cpu| figures(*cpu).1 == 0) {
        moves.push((here, idle, Aim::Fill));
    }
    for aim in [Aim::Even, Aim::Exchange, Aim::Rotate] {
        if figures(here).0 > figures(least).0 {
            moves.push((here, least, aim));
        }
        if figures(most).0 > figures(here).0 && figures(most).1 > 1 {
            moves.push((most, here, aim));
        }
    }
    moves
}

/// Moves one waiting task that `may` move to the other CPU, or exchanges two, if that serves the aim.
/// Both CPUs have been charged up to now. Returns the task that comes to `target`.
pub fn migrate<T: RunTask>(
    source: &mut RunQueue<T>,
    target: &mut RunQueue<T>,
    aim: Aim,
    may: impl Fn(&Arc<T>, CpuId) -> bool,
) -> Option<Arc<T>> {
    let now = target.charged_until;
    let (from, to) = (source.cpu, target.cpu);
    let fits = match aim {
        Aim::Fill => target.nr_running() == 0,
        Aim::Even => true,
        Aim::Exchange => target.nr_running() > 1,
        Aim::Rotate => now >= source.rotated_at.max(target.rotated_at) + ROTATE_INTERVAL,
    };
    if !fits || source.nr_running() < 2 {
        return None;
    }
    if aim == Aim::Exchange {
        let mine = source.some_waiting(|task| may(task, to));
        let theirs = target.some_waiting(|task| may(task, from));
        let gap = source.load().saturating_sub(target.load());
        if gap < source.load() / 16 {
            return None;
        }
        let pairs = mine.iter().flat_map(|x| theirs.iter().map(move |y| (x, y)));
        let (after, x, y) = pairs
            .map(|(x, y)| (gap.abs_diff(2 * x.0.saturating_sub(y.0)), &x.1, &y.1))
            .min_by_key(|(after, _, _)| *after)?;
        if after >= gap - gap / 16 {
            return None;
        }
        carry(y, target, source);
        carry(x, source, target);
        return Some(x.clone());
    }
    let task = source.find_migration(target.load(), aim, |task| may(task, to))?;
    carry(&task, source, target);
    if aim == Aim::Rotate {
        (source.rotated_at, target.rotated_at) = (now, now);
    }
    Some(task)
}

fn carry<T: RunTask>(task: &Arc<T>, source: &mut RunQueue<T>, target: &mut RunQueue<T>) {
    source.release_load(task.sched().group_slot());
    source.dequeue(task);
    rebase_task(task.sched(), source.cpu, target.cpu);
    target.enqueue(task, Enqueue::Keep);
}

impl<T: RunTask> RunQueue<T> {
    /// The part of this CPU's load that a queued task is.
    pub fn task_load(&self, task: &T) -> u64 {
        let sched = task.sched();
        let cpu = self.cpu.0 as usize;
        let mut load = sched.entity.weight();
        let mut slot = sched.group_slot();
        loop {
            let level = self.level(slot);
            if slot == level.parent {
                return load;
            }
            let entity = level.group.cpus[cpu].entity.weight();
            let whole = level.queue.load().max(1);
            load = (u128::from(load) * u128::from(entity) / u128::from(whole)) as u64;
            slot = level.parent;
        }
    }

    /// Calls `look` with waiting tasks until it returns false.
    fn each_waiting(&self, mut look: impl FnMut(&Arc<T>) -> bool) {
        let waits = |task: &&Arc<T>| !self.is_curr(task);
        for task in self.rt.iter().filter(waits) {
            if !look(task) {
                return;
            }
        }
        let mut levels: SmallVec<[usize; 16]> = SmallVec::from_slice(&[0]);
        while let Some(slot) = levels.pop() {
            let queue = &self.level(slot).queue;
            for node in queue.curr().into_iter().chain(queue.waiting()) {
                match node {
                    Node::Group(group) => levels.push(group.slot),
                    Node::Task(task) if waits(&task) => {
                        if !look(task) {
                            return;
                        }
                    }
                    Node::Task(_) => {}
                }
            }
        }
    }

    /// Loads of some waiting fair tasks that `may` move.
    fn some_waiting(&self, may: impl Fn(&Arc<T>) -> bool) -> SmallVec<[(u64, Arc<T>); MAX_EXCHANGED]> {
        let mut some = SmallVec::new();
        self.each_waiting(|task| {
            if !task.sched().is_real_time() && may(task) {
                some.push((self.task_load(task), task.clone()));
            }
            some.len() < MAX_EXCHANGED
        });
        some
    }

    fn release_load(&self, mut slot: usize) {
        if self.has_level(slot) {
            while slot != self.level(slot).parent {
                self.level(slot).group.release_load(self.cpu.0 as usize);
                slot = self.level(slot).parent;
            }
        }
    }

    /// The waiting task that `may` move and whose move to a CPU with this load serves the aim best.
    fn find_migration(&self, target: u64, aim: Aim, may: impl Fn(&Arc<T>) -> bool) -> Option<Arc<T>> {
        let gap = self.load().saturating_sub(target);
        // Differences that short sleeps make are not worth a move.
        if aim != Aim::Fill && gap < self.load() / 16 {
            return None;
        }
        let limit = match aim {
            Aim::Fill => u64::MAX,
            Aim::Even | Aim::Exchange => gap - gap / 16,
            Aim::Rotate => gap + gap / 16,
        };
        let mut best: Option<(u64, Arc<T>)> = None;
        let mut looked_at = 0;
        self.each_waiting(|task| {
            looked_at += 1;
            if may(task) {
                let real_time = task.sched().is_real_time();
                let load = if real_time { 0 } else { self.task_load(task) };
                let after = gap.abs_diff(2 * load);
                if real_time && aim == Aim::Fill {
                    best = Some((0, task.clone()));
                    return false;
                }
                if after < limit && load != 0 && best.as_ref().is_none_or(|(least, _)| after < *least) {
                    best = Some((after, task.clone()));
                }
            }
            looked_at < MAX_LOOKED_AT
        });
        best.map(|(_, task)| task)
    }
}
