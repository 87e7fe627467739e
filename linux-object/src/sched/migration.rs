//! What moving tasks between two run queues would do to their loads.
//!
//! Model: a CPU's load is the sum of the weights in its root queue, where a group counts with the
//! part of its weight that is here. A task's load is its part of that, down the tree. CPUs whose loads
//! are equal give every group its weight; so a task moves, or two change places, if that makes the difference
//! smaller. Where nothing does (three equal tasks on two CPUs), moves that leave it as it is, done now
//! and then, let everyone have a turn on the emptier CPU, and spread groups that crowd on one.

use alloc::sync::Arc;
use core::cmp::Reverse;

use smallvec::SmallVec;

use super::fair::Enqueue;
use super::run_queue::{Node, RunQueue, RunTask};
use super::{CpuMask, rebase_task};
use crate::ids::CpuId;

/// Waiting tasks that are looked at for one move, and on each side for an exchange.
const MAX_LOOKED_AT: usize = 64;
const MAX_EXCHANGED: usize = 16;
/// Tasks that go one way in an exchange: both run queues are locked meanwhile.
const MAX_CARRIED: usize = 6;

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
    if aim == Aim::Exchange || aim == Aim::Rotate {
        let gap = source.steady_load().saturating_sub(target.steady_load());
        if gap < source.steady_load() / 16 {
            return None;
        }
        let mine = source.some_waiting(|task| may(task, to));
        let theirs = target.some_waiting(|task| may(task, from));
        let loads = |tasks: &[(u64, Arc<T>)]| tasks.iter().map(|(load, _)| *load).collect::<Loads>();
        let (my_loads, their_loads) = (loads(&mine), loads(&theirs));
        let exchange = if aim == Aim::Exchange {
            exchange(&my_loads, &their_loads, gap)
        } else {
            let crowded = |n: &usize| source.is_crowded(&mine[*n].1, target);
            (0..mine.len())
                .filter(crowded)
                .find_map(|n| spread(n, &my_loads, &their_loads, gap))
        };
        if let Some(exchange) = exchange {
            for &n in &exchange.back {
                carry(&theirs[n].1, target, source);
            }
            for &n in &exchange.over {
                carry(&mine[n].1, source, target);
            }
            if aim == Aim::Rotate {
                (source.rotated_at, target.rotated_at) = (now, now);
            }
            return Some(mine[exchange.over[0]].1.clone());
        }
        if aim == Aim::Exchange {
            return None;
        }
    }
    let task = source.find_migration(target.steady_load(), aim, |task| may(task, to))?;
    carry(&task, source, target);
    if aim == Aim::Rotate {
        (source.rotated_at, target.rotated_at) = (now, now);
    }
    Some(task)
}

type Loads = SmallVec<[u64; MAX_EXCHANGED]>;
type Chosen = SmallVec<[usize; MAX_CARRIED]>;

/// Tasks that change places, as indices.
#[derive(Debug)]
struct Exchange {
    /// From the fuller CPU to the other.
    over: Chosen,
    /// Back to the fuller CPU.
    back: Chosen,
}

/// The exchange of one task for some others, either way, that makes a difference of `gap` smallest; the loads
/// are sorted, the largest first. `None` if nothing makes it clearly smaller.
fn exchange(mine: &[u64], theirs: &[u64], gap: u64) -> Option<Exchange> {
    let sum = |loads: &[u64], chosen: &[usize]| chosen.iter().map(|&n| loads[n]).sum::<u64>();
    let one = |n: usize| Chosen::from_slice(&[n]);
    let for_mine = (0..mine.len()).map(|n| (one(n), fill(theirs, mine[n].saturating_sub(gap / 2))));
    let for_theirs = (0..theirs.len()).map(|n| (fill(mine, theirs[n] + gap / 2), one(n)));
    let (after, over, back) = for_mine
        .chain(for_theirs)
        .filter(|(over, back)| !over.is_empty() && !back.is_empty())
        .map(|(over, back)| {
            let moved = sum(mine, &over).saturating_sub(sum(theirs, &back));
            (gap.abs_diff(2 * moved), over, back)
        })
        .min_by_key(|(after, over, back)| (*after, over.len() + back.len()))?;
    (after < gap - gap / 16).then_some(Exchange { over, back })
}

/// Task `n` of the fuller CPU for some of the other's, if that makes the difference no larger.
fn spread(n: usize, mine: &[u64], theirs: &[u64], gap: u64) -> Option<Exchange> {
    let back = fill(theirs, mine[n].saturating_sub(gap / 2));
    let moved = mine[n].saturating_sub(back.iter().map(|&n| theirs[n]).sum());
    let fits = !back.is_empty() && gap.abs_diff(2 * moved) <= gap + gap / 16;
    fits.then(|| Exchange {
        over: Chosen::from_slice(&[n]),
        back,
    })
}

/// Some of these loads that come near to `want` together: the largest that still fit, one after another, and one
/// more if that overshoots by less than what is missing without it.
fn fill(loads: &[u64], want: u64) -> Chosen {
    let mut chosen = Chosen::new();
    let mut missing = want;
    let mut next = None;
    for (n, &load) in loads.iter().enumerate() {
        if chosen.len() == MAX_CARRIED {
            break;
        }
        if load <= missing {
            chosen.push(n);
            missing -= load;
        } else {
            next = Some((n, load));
        }
    }
    if let Some((n, load)) = next
        && chosen.len() < MAX_CARRIED
        && load - missing.min(load) < missing
    {
        chosen.push(n);
    }
    chosen
}

fn carry<T: RunTask>(task: &Arc<T>, source: &mut RunQueue<T>, target: &mut RunQueue<T>) {
    let load = match task.sched().is_real_time() {
        true => 0,
        false => source.task_load(task),
    };
    source.steady_load = source.steady_load.saturating_sub(load);
    target.steady_load += load;
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

    /// Whether the task's group would still have as much here as on the other CPU if it went there. Groups whose tasks
    /// are spread leave the balance only small things to even out; two large tasks on one CPU may be beyond it.
    fn is_crowded(&self, task: &T, other: &RunQueue<T>) -> bool {
        let slot = task.sched().group_slot();
        let there = match other.has_level(slot) {
            true => other.level(slot).queue.load(),
            false => 0,
        };
        self.level(slot).queue.load() >= there + 2 * task.sched().entity.weight()
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

    /// Loads of some waiting fair tasks that `may` move, the largest first.
    fn some_waiting(&self, may: impl Fn(&Arc<T>) -> bool) -> SmallVec<[(u64, Arc<T>); MAX_EXCHANGED]> {
        let mut some = SmallVec::<[(u64, Arc<T>); MAX_EXCHANGED]>::new();
        self.each_waiting(|task| {
            if !task.sched().is_real_time() && may(task) {
                some.push((self.task_load(task), task.clone()));
            }
            some.len() < MAX_EXCHANGED
        });
        some.sort_unstable_by_key(|(load, _)| Reverse(*load));
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
        let gap = self.steady_load().saturating_sub(target);
        // Differences that short sleeps make are not worth a move.
        if aim != Aim::Fill && gap < self.steady_load() / 16 {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_large_task_goes_for_several_small_ones() {
        // Two tasks of 56 beside nobody, against what should be beside one of them.
        let exchange = exchange(&[5625], &[1875, 1875, 1875, 1875, 625, 625], 1875).unwrap();
        assert_eq!(exchange.over[..], [0]);
        assert_eq!(exchange.back[..3], [0, 1, 4]);
    }

    #[test]
    fn several_small_ones_go_for_a_large_one() {
        let exchange = exchange(&[40, 30, 20], &[50], 40).unwrap();
        assert_eq!((&exchange.over[..], &exchange.back[..]), (&[0, 1][..], &[0][..]));
    }

    #[test]
    fn nothing_is_exchanged_for_nothing() {
        assert!(exchange(&[10, 10], &[10, 10], 10).is_none());
        assert!(exchange(&[100], &[], 60).is_none());
        assert!(exchange(&[], &[100], 60).is_none());
    }
}
