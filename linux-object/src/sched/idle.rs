//! The idle loop of a CPU.

use core::sync::atomic::Ordering;

use super::{CpuState, Scheduler};
use crate::ids::CpuId;
use crate::time::Ktime;

impl Scheduler {
    /// Becomes this CPU's idle thread, for ever. Interrupts are taken in here.
    pub fn idle_loop(&self) -> ! {
        loop {
            self.idle_step();
        }
    }

    /// One turn of the idle loop: runs what there is to run, else halts until an interrupt.
    pub fn idle_step(&self) {
        let (id, cpu) = self.here();
        cpu.idle_thread.call_once(|| self.hal.boot_thread());
        self.note_idle(id, cpu, true, self.hal.now());
        // The mask is set before the queue is looked at; a waker enqueues before it looks at the mask.
        if cpu.rq.lock().nr_running() > 0 || self.somebody_waits() {
            self.schedule();
        }
        if cpu.rq.lock().nr_running() == 0 {
            self.events.program(id);
            self.hal.idle();
        }
    }

    /// Whether some CPU has a task to give away.
    fn somebody_waits(&self) -> bool {
        self.cpus.len() > 1
            && self
                .cpus
                .iter()
                .any(|cpu| cpu.nr_running.load(Ordering::Relaxed) > 1)
    }

    /// Notes that this CPU goes idle or does not stay so.
    pub(super) fn note_idle(&self, id: CpuId, cpu: &CpuState, idle: bool, now: Ktime) {
        let bit = 1u64 << id.0;
        let was = self.idle.load(Ordering::Relaxed) & bit != 0;
        if idle == was {
            return;
        }
        if idle {
            cpu.idle_since.store(now.0, Ordering::Relaxed);
            self.idle.fetch_or(bit, Ordering::SeqCst);
        } else {
            self.idle.fetch_and(!bit, Ordering::SeqCst);
            let spent = now.0.saturating_sub(cpu.idle_since.load(Ordering::Relaxed));
            let total = cpu.idle_time.load(Ordering::Relaxed) + spent;
            cpu.idle_time.store(total, Ordering::Relaxed);
        }
    }

    /// Nanoseconds of user time on a CPU: of usual tasks, and of those with a positive nice level
    /// (`/proc/stat`).
    pub fn user_time(&self, cpu: CpuId) -> (u64, u64) {
        let mut rq = self.cpu(cpu).rq.lock();
        rq.update_curr(self.hal.now().0);
        let [user, nice] = rq.user_times;
        (user, nice)
    }

    /// Nanoseconds that a CPU was idle (`/proc/stat`, `/proc/uptime`).
    pub fn idle_time(&self, cpu: CpuId) -> u64 {
        let state = self.cpu(cpu);
        let total = state.idle_time.load(Ordering::Relaxed);
        if self.idle.load(Ordering::Relaxed) & (1 << cpu.0) == 0 {
            return total;
        }
        let since = state.idle_since.load(Ordering::Relaxed);
        total + self.hal.now().0.saturating_sub(since)
    }
}
