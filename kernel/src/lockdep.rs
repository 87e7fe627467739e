//! The lock order, checked at run time in debug builds.
//!
//! Each CPU keeps the ranks of the locks that it holds as a bit mask. A thread never switches with a
//! lock held, so what a CPU holds is what its thread holds.

use linux_object::sync::{class, hooks};

use crate::arch::{self, percpu};

/// Hangs the checks, and the serving of TLB shootdowns, into the libraries' locks.
pub fn init() {
    hooks::install(hooks::Hooks {
        relax: arch::relax,
        acquire,
        release,
    });
}

fn acquire(rank: u8, name: &'static str, nested: bool) {
    let cpu = percpu::this();
    let held = cpu.held_locks.get();
    // Everything at or above this rank is in the way; with `nested`, its own class is not.
    let in_the_way = held >> (rank + u8::from(nested));
    if in_the_way != 0 {
        panic!("lock order: {name} is taken while holding {}", Held(held));
    }
    let count = &cpu.held_counts[usize::from(rank)];
    count.set(count.get() + 1);
    cpu.held_locks.set(held | 1 << rank);
}

fn release(rank: u8) {
    let cpu = percpu::this();
    let count = &cpu.held_counts[usize::from(rank)];
    count.set(count.get().wrapping_sub(1));
    if count.get() == 0 {
        cpu.held_locks.set(cpu.held_locks.get() & !(1 << rank));
    }
}

/// Panics if this CPU holds a lock (in builds that check).
#[inline]
pub fn assert_none_held(doing: &str) {
    if hooks::CHECKED {
        let held = percpu::this().held_locks.get();
        assert!(held == 0, "{doing} while holding {}", Held(held));
    }
}

/// The locks held on this CPU, for a panic message; `None` if there are none.
pub fn held() -> Option<Held> {
    let held = percpu::this().held_locks.get();
    (held != 0).then_some(Held(held))
}

/// A set of ranks, shown by name.
pub struct Held(u64);

impl core::fmt::Display for Held {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let names = class::ALL
            .iter()
            .enumerate()
            .filter(|(rank, _)| self.0 >> rank & 1 != 0);
        for (i, (_, (name, _))) in names.enumerate() {
            write!(f, "{}{name}", if i > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}
