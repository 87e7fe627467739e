//! A set of CPUs.

use crate::ids::CpuId;

/// CPUs that a set can hold; the machine never has more.
pub const MAX_CPUS: usize = 64;

/// A set of CPUs (Linux's `cpumask_t`), bit n for CPU n.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CpuMask(pub u64);

impl CpuMask {
    /// No CPU.
    pub const EMPTY: CpuMask = CpuMask(0);
    /// Every CPU that can be.
    pub const ALL: CpuMask = CpuMask(u64::MAX);

    /// The first `n` CPUs.
    pub const fn first_n(n: usize) -> CpuMask {
        if n >= MAX_CPUS {
            CpuMask::ALL
        } else {
            CpuMask((1 << n) - 1)
        }
    }
    /// Just this one.
    pub const fn of(cpu: CpuId) -> CpuMask {
        CpuMask(1 << cpu.0)
    }
    /// Whether `cpu` is in it.
    pub const fn contains(self, cpu: CpuId) -> bool {
        cpu.0 < MAX_CPUS as u32 && self.0 & (1 << cpu.0) != 0
    }
    /// Whether it is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
    /// CPUs in both.
    pub const fn and(self, other: CpuMask) -> CpuMask {
        CpuMask(self.0 & other.0)
    }
    /// All of these but `cpu`.
    pub const fn without(self, cpu: CpuId) -> CpuMask {
        CpuMask(self.0 & !CpuMask::of(cpu).0)
    }
    /// How many.
    pub const fn count(self) -> usize {
        self.0.count_ones() as usize
    }
    /// The lowest.
    pub fn first(self) -> Option<CpuId> {
        (self.0 != 0).then(|| CpuId(self.0.trailing_zeros()))
    }
    /// From the lowest to the highest.
    pub fn iter(self) -> impl Iterator<Item = CpuId> {
        let mut rest = self.0;
        core::iter::from_fn(move || {
            let cpu = (rest != 0).then(|| CpuId(rest.trailing_zeros()));
            rest &= rest.wrapping_sub(1);
            cpu
        })
    }
}
