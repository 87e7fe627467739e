//! Which CPUs share their load (Linux's `sched_domain`, without levels).

use alloc::boxed::Box;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::CpuMask;
use crate::ids::CpuId;

/// For each CPU those with which it shares its load, itself among them; none for one that is isolated: a task
/// leaves it, or comes, only because it may not be elsewhere.
pub struct Domains(Box<[AtomicU64]>);

impl Domains {
    pub(super) fn new(cpus: usize) -> Domains {
        let all = CpuMask::first_n(cpus).0;
        Domains((0..cpus).map(|_| AtomicU64::new(all)).collect())
    }
    /// The domain of a CPU.
    #[inline]
    pub fn of(&self, cpu: CpuId) -> CpuMask {
        CpuMask(self.0[cpu.0 as usize].load(Relaxed))
    }
    /// Sets all: sets that have no CPU in common.
    pub fn set(&self, domains: &[CpuMask]) {
        for (cpu, place) in self.0.iter().enumerate() {
            let mine = domains.iter().find(|domain| domain.contains(CpuId(cpu as u32)));
            place.store(mine.map_or(0, |domain| domain.0), Relaxed);
        }
    }
}
