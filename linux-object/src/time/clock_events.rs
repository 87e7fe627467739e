//! The machine's one-shot timer of each CPU, shared by the slices of the scheduler and the timer
//! queues.
//!
//! Setting the machine's timer costs more than an early interrupt now and then, so it is only ever
//! set to an *earlier* instant; one that comes for nothing finds nothing due and sets it anew.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::Ktime;
use crate::hal::Hal;
use crate::ids::CpuId;

struct ClockEvent {
    /// When the running task's slice is over; `u64::MAX`: no tick is needed.
    tick: AtomicU64,
    /// The first deadline in the CPU's timer queue.
    first_timer: AtomicU64,
    /// What the machine's timer is set to.
    programmed: AtomicU64,
}

/// The one-shot timers.
pub struct ClockEvents {
    hal: Arc<dyn Hal>,
    cpus: Box<[ClockEvent]>,
}

impl ClockEvents {
    /// None is set.
    pub fn new(hal: Arc<dyn Hal>) -> Arc<ClockEvents> {
        let event = |_| ClockEvent {
            tick: AtomicU64::new(u64::MAX),
            first_timer: AtomicU64::new(u64::MAX),
            programmed: AtomicU64::new(u64::MAX),
        };
        let cpus = (0..hal.nr_cpus().max(1)).map(event).collect();
        Arc::new(ClockEvents { hal, cpus })
    }

    fn event(&self, cpu: CpuId) -> &ClockEvent {
        &self.cpus[cpu.0 as usize]
    }
    /// Notes when the slice of `cpu` is over; takes effect at [`ClockEvents::program`].
    pub(crate) fn set_tick(&self, cpu: CpuId, at: u64) {
        self.event(cpu).tick.store(at, Relaxed);
    }
    /// Notes the first timer of `cpu`.
    pub(crate) fn set_first_timer(&self, cpu: CpuId, at: Ktime) {
        self.event(cpu).first_timer.store(at.0, Relaxed);
    }
    /// The timer of `cpu` has fired.
    pub(crate) fn fired(&self, cpu: CpuId) {
        self.event(cpu).programmed.store(u64::MAX, Relaxed);
    }
    /// Sets the timer of `cpu`, which is this one, if it must come earlier than it would.
    pub(crate) fn program(&self, cpu: CpuId) {
        let event = self.event(cpu);
        let want = event.tick.load(Relaxed).min(event.first_timer.load(Relaxed));
        if want < event.programmed.load(Relaxed) {
            event.programmed.store(want, Relaxed);
            self.hal.set_timer(Some(Ktime(want)));
        }
    }
}
