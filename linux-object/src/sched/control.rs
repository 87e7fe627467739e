//! Changing tasks that may be queued anywhere: policy, nice, affinity, group; and reading times.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use super::{
    Accounts, CpuMask, CpuState, CpuTimes, Enqueue, Limit, RunQueue, SchedParams, SchedTask, Scheduler,
    TaskGroup,
};
use crate::ids::CpuId;
use crate::sync::{SpinGuard, class};
use crate::task::{Task, ThreadFlags};

impl Scheduler {
    /// Locks the run queue of the CPU that the task is on.
    pub(super) fn lock_rq_of<'a>(
        &'a self,
        task: &SchedTask,
    ) -> (
        CpuId,
        &'a CpuState,
        SpinGuard<'a, RunQueue<Task>, class::RunQueue>,
    ) {
        loop {
            let id = task.cpu();
            let cpu = self.cpu(id);
            let rq = cpu.rq.lock();
            if task.cpu() == id {
                return (id, cpu, rq);
            }
        }
    }

    fn resched(&self, id: CpuId, rq: &RunQueue<Task>) {
        if let Some(curr) = rq.curr() {
            curr.set_thread_flags(ThreadFlags::NEED_RESCHED);
        }
        if id != self.hal.current_cpu() {
            self.hal.kick(id);
        }
    }

    /// Sets policy, priority and nice level. The caller has checked permissions and values.
    pub fn set_params(&self, task: &Arc<Task>, new: SchedParams) {
        let mut params = task.sched.params.lock();
        self.install(task, &new, task.sched.boost());
        *params = new;
    }

    /// Lets a task run with at least this real-time priority (Linux's `rt_mutex_setprio`); 0: with its own.
    pub fn set_boost(&self, task: &Arc<Task>, priority: u8) {
        let params = task.sched.params.lock();
        self.install(task, &params, priority);
    }

    /// The caller has the task's parameters locked.
    fn install(&self, task: &Arc<Task>, new: &SchedParams, boost: u8) {
        let (id, cpu, mut rq) = self.lock_rq_of(&task.sched);
        rq.update_curr(self.hal.now().0);
        if new.policy.is_real_time() || boost > 0 {
            // Limits are for the others.
            rq.release(task);
        }
        let queued = rq.contains(task);
        rq.change(task, |sched| {
            sched.set_boost(boost);
            sched.install(new);
        });
        cpu.publish(&rq);
        if queued {
            self.resched(id, &rq);
        }
    }

    /// Sets the nice level.
    pub fn set_nice(&self, task: &Arc<Task>, nice: i8) {
        let params = task.sched.params();
        self.set_params(task, SchedParams { nice, ..params });
    }

    /// Sets the CPUs that a task may use; the mask has at least one CPU of the machine. A task on
    /// another CPU leaves it: at once if it waits, on its way to user mode if it runs.
    pub fn set_affinity(&self, task: &Arc<Task>, mask: CpuMask) {
        let moved = {
            let _params = task.sched.params.lock();
            let (id, cpu, mut rq) = self.lock_rq_of(&task.sched);
            task.sched.set_affinity(mask);
            if !mask.contains(id) && rq.release(task) {
                cpu.publish(&rq);
            }
            if mask.contains(id) || !rq.contains(task) {
                false
            } else if rq.is_curr(task) {
                self.resched(id, &rq);
                false
            } else {
                rq.update_curr(self.hal.now().0);
                rq.dequeue(task);
                cpu.publish(&rq);
                task.sched.detach()
            }
        };
        if moved {
            self.place(task, Enqueue::Keep);
        }
    }

    /// Sets a group's scaled weight.
    pub fn set_group_weight(&self, group: &TaskGroup, weight: u64) {
        group.set_weight(weight);
        self.reweight(group);
    }

    /// Lets a group run only when its siblings do not want to, or makes it an ordinary one of the
    /// default weight (`cpu.idle`).
    pub fn set_group_idle(&self, group: &TaskGroup, idle: bool) {
        group.set_idle(idle);
        self.reweight(group);
    }

    fn reweight(&self, group: &TaskGroup) {
        for cpu in self.cpus.iter() {
            let mut rq = cpu.rq.lock();
            rq.reweight_group(group);
            cpu.publish(&rq);
        }
    }

    /// Sets a group's limit, from now on. The caller has checked the values.
    pub fn set_group_limit(&self, group: &TaskGroup, limit: Limit) {
        // Every CPU drops its slice of the old limit before it takes one of the new.
        group.bandwidth().set_limit(limit, self.hal.now().0);
        for (id, cpu) in self.cpu_mask().iter().zip(self.cpus.iter()) {
            let now = self.hal.now().0;
            let mut rq = cpu.rq.lock();
            rq.update_curr(now);
            rq.limit_changed(group, now);
            cpu.publish(&rq);
            self.resched(id, &rq);
        }
    }

    /// Moves a task to another group and to other accounts.
    pub fn move_to_group(&self, task: &Arc<Task>, group: &Arc<TaskGroup>, accounts: &Arc<Accounts>) {
        if task.sched.is_in(group, accounts) {
            return;
        }
        let _params = task.sched.params.lock();
        let (id, cpu, mut rq) = self.lock_rq_of(&task.sched);
        rq.update_curr(self.hal.now().0);
        let old_accounts = task.sched.set_accounts(accounts.clone());
        if rq.is_curr(task) {
            rq.open_accounts();
        }
        let mut old = None;
        if task.sched.group_slot() != group.slot() as usize {
            rq.release(task);
            let min = |group: &TaskGroup| group.cpus[id.0 as usize].min_vruntime.load(Ordering::Relaxed);
            let queued = rq.contains(task);
            rq.change(task, |sched| {
                let from = sched.set_group(group.clone());
                let vruntime = sched.entity.vruntime();
                sched
                    .entity
                    .set_vruntime(vruntime.wrapping_sub(min(&from)).wrapping_add(min(group)));
                old = Some(from);
            });
            cpu.publish(&rq);
            if queued {
                self.resched(id, &rq);
            }
        }
        drop(rq);
        drop((old, old_accounts));
    }

    /// Adds up to now what CPUs have charged to the accounts of cgroups.
    pub fn flush_accounts(&self) {
        for cpu in self.cpus.iter() {
            let mut rq = cpu.rq.lock();
            rq.update_curr(self.hal.now().0);
            rq.flush_accounts();
        }
    }

    /// The slice of a fair task in nanoseconds; 0 on a CPU where no fair task runs or waits.
    pub fn fair_slice(&self, task: &Arc<Task>) -> u64 {
        let (_, _, rq) = self.lock_rq_of(&task.sched);
        rq.fair_slice(&task.sched)
    }

    /// CPU time of a task up to now.
    pub fn cpu_times(&self, task: &Arc<Task>) -> CpuTimes {
        self.charge_now(task);
        task.sched.charged()
    }

    /// CPU time of a process up to now, where `task` is the caller or any of its threads; time that
    /// other threads of it use at this moment is known up to their last charge.
    pub fn group_cpu_times(&self, task: &Arc<Task>) -> CpuTimes {
        self.charge_now(task);
        task.group().sched.charged()
    }

    fn charge_now(&self, task: &Arc<Task>) {
        if task.sched.on_cpu() {
            let (_, _, mut rq) = self.lock_rq_of(&task.sched);
            if rq.is_curr(task) {
                rq.update_curr(self.hal.now().0);
            }
        }
    }
}
