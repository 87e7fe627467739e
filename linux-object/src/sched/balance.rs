//! Which CPU a task runs on: placement at wake-up, idle CPUs that pull, busy ones that push.

use core::sync::atomic::Ordering;

use smallvec::SmallVec;

use super::migration::{Aim, migrate, plan};
use super::{CpuMask, CpuState, MIN_TICK, RunQueue, Scheduler};
use crate::ids::CpuId;
use crate::sync::{SpinGuard, class};
use crate::task::Task;
use crate::time::Ktime;

type RqGuard<'a> = SpinGuard<'a, RunQueue<Task>, class::RunQueue>;

impl Scheduler {
    fn load_of(&self, cpu: CpuId) -> u32 {
        self.cpu(cpu).nr_running.load(Ordering::Relaxed)
    }

    /// CPUs that the task may use; all, if the ones it asked for are not there.
    pub(super) fn allowed(&self, task: &Task) -> CpuMask {
        let mask = task.sched.affinity().and(self.cpu_mask());
        if mask.is_empty() { self.cpu_mask() } else { mask }
    }

    /// Where a task that wakes up goes: its last CPU if that is idle or no other is, else an idle
    /// one, else the least loaded of its last CPU and this one.
    pub(super) fn select_cpu(&self, task: &Task) -> CpuId {
        if self.cpus.len() == 1 {
            return CpuId(0);
        }
        let mut allowed = self.allowed(task);
        let idle = CpuMask(self.idle.load(Ordering::SeqCst));
        let last = task.sched.cpu();
        // A new task begins where its parent is.
        let home = match task.sched.fresh.load(Ordering::Relaxed) {
            true => self.hal.current_cpu(),
            false => last,
        };
        if allowed.contains(home) {
            allowed = allowed.and(self.domains.of(home));
            if allowed.is_empty() {
                return home;
            }
        }
        let free = |cpu: CpuId| idle.contains(cpu) && self.load_of(cpu) == 0;
        if allowed.contains(last) && free(last) {
            return last;
        }
        if let Some(cpu) = allowed.and(idle).iter().find(|cpu| free(*cpu)) {
            return cpu;
        }
        let here = self.hal.current_cpu();
        if task.sched.fresh.load(Ordering::Relaxed) || !allowed.contains(last) {
            return allowed
                .iter()
                .min_by_key(|cpu| self.load_of(*cpu))
                .unwrap_or(here);
        }
        if allowed.contains(here) && self.load_of(here) < self.load_of(last) {
            return here;
        }
        last
    }

    /// Locks two run queues in the order of their CPUs; returns them as they were asked for.
    fn lock_two<'a>(&self, a: (CpuId, &'a CpuState), b: (CpuId, &'a CpuState)) -> (RqGuard<'a>, RqGuard<'a>) {
        if a.0 < b.0 {
            let first = a.1.rq.lock();
            (first, b.1.rq.lock_nested())
        } else {
            let first = b.1.rq.lock();
            (a.1.rq.lock_nested(), first)
        }
    }

    /// Moves one waiting task between CPUs if that serves the aim. Returns whether it did.
    fn migrate_one(&self, from: CpuId, to: CpuId, aim: Aim, now: Ktime) -> bool {
        let (source, target) = (self.cpu(from), self.cpu(to));
        let (mut source_rq, mut target_rq) = self.lock_two((from, source), (to, target));
        source_rq.update_curr(now.0);
        target_rq.update_curr(now.0);
        let task = migrate(&mut source_rq, &mut target_rq, aim, |task, to| {
            let sched = &task.sched;
            !sched.on_cpu() && sched.affinity().contains(to)
        });
        let Some(task) = task else { return false };
        source.publish(&source_rq);
        self.kick_all(self.hal.current_cpu(), source_rq.take_kicks());
        drop(source_rq);
        self.after_enqueue(to, target, &target_rq, &task, now);
        true
    }

    fn weight_on(&self, cpu: CpuId) -> u64 {
        self.cpu(cpu).load.load(Ordering::Relaxed)
    }

    /// This CPU has nothing to run: takes a task from the busiest other.
    pub(super) fn pull(&self, here: CpuId, now: Ktime) {
        let others = self.domains.of(here).iter().filter(|cpu| *cpu != here);
        let mut busy: SmallVec<[CpuId; 8]> = others.filter(|cpu| self.load_of(*cpu) > 1).collect();
        busy.sort_unstable_by_key(|cpu| core::cmp::Reverse(self.weight_on(*cpu)));
        // The busiest may have only tasks that may not come here.
        for from in busy {
            if self.migrate_one(from, here, Aim::Fill, now) {
                return;
            }
        }
    }

    /// This CPU has several tasks: now and then, moves one to or from the CPU whose load differs most.
    pub(super) fn balance(&self, here: CpuId, now: Ktime) {
        let due = &self.cpu(here).next_balance;
        if now.0 < due.load(Ordering::Relaxed) {
            return;
        }
        // The more CPUs there are, the more there is to look at.
        let interval = BALANCE_INTERVAL * (self.cpus.len() as u64).div_ceil(8);
        let next = (now.0 / interval + 1) * interval + u64::from(here.0) * MIN_TICK;
        due.store(next, Ordering::Relaxed);
        for cpu in self.cpus.iter() {
            let mut rq = cpu.rq.lock();
            rq.weigh(now.0);
            cpu.publish(&rq);
        }
        let figures = |cpu| (self.weight_on(cpu), self.load_of(cpu));
        for (from, to, aim) in plan(here, self.domains.of(here), figures) {
            if self.migrate_one(from, to, aim, now) {
                return;
            }
        }
    }
}

/// Time between two looks of a CPU at the others.
const BALANCE_INTERVAL: u64 = 8_000_000;
