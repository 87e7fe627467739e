//! Which CPU a task runs on: placement at wake-up, idle CPUs that pull, busy ones that push.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use super::{CpuMask, CpuState, Enqueue, RunQueue, Scheduler, rebase_task};
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
        let allowed = self.allowed(task);
        let idle = CpuMask(self.idle.load(Ordering::SeqCst));
        let last = task.sched.cpu();
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

    /// Moves one waiting task between CPUs. Returns it.
    fn migrate_one(&self, from: CpuId, to: CpuId, now: Ktime) -> Option<Arc<Task>> {
        let (source, target) = (self.cpu(from), self.cpu(to));
        let (mut source_rq, mut target_rq) = self.lock_two((from, source), (to, target));
        if source_rq.nr_running() < target_rq.nr_running() + usize::from(target_rq.curr().is_some()) + 1 {
            return None;
        }
        let task = source_rq.find_waiting(|task| {
            let sched = &task.sched;
            !sched.on_cpu() && sched.affinity().contains(to)
        })?;
        source_rq.update_curr(now.0);
        source_rq.dequeue(&task);
        source
            .nr_running
            .store(source_rq.nr_running() as u32, Ordering::Relaxed);
        rebase_task(&task.sched, from, to);
        target_rq.update_curr(now.0);
        target_rq.enqueue(&task, Enqueue::Keep);
        drop(source_rq);
        self.after_enqueue(to, target, &target_rq, &task, now);
        Some(task)
    }

    /// This CPU has nothing to run: takes a task from the busiest other.
    pub(super) fn pull(&self, here: CpuId, now: Ktime) {
        let others = self.cpu_mask().iter().filter(|cpu| *cpu != here);
        if let Some(busiest) = others.max_by_key(|cpu| self.load_of(*cpu))
            && self.load_of(busiest) > 1
        {
            self.migrate_one(busiest, here, now);
        }
    }

    /// This CPU has several tasks: gives one to the least busy other if that evens things out.
    pub(super) fn push(&self, here: CpuId, now: Ktime) {
        let others = self.cpu_mask().iter().filter(|cpu| *cpu != here);
        if let Some(least) = others.min_by_key(|cpu| self.load_of(*cpu))
            && self.load_of(least) + 2 <= self.load_of(here)
        {
            self.migrate_one(here, least, now);
        }
    }
}
