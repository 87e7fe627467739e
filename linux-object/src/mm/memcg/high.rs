//! `memory.high`: who charges above it pays with time.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use super::{Event, MemCgroup};
use crate::mm::page_counter::UNLIMITED;

/// How long a task has to sleep that charged `pages` while its cgroup or one above was over `memory.high`,
/// in nanoseconds (Linux's `mem_cgroup_handle_over_high`): with the square of the overage, at most two seconds.
pub fn high_delay(memcg: &Arc<MemCgroup>, pages: u32) -> Option<u64> {
    const SHIFT: u32 = 20;
    const SECOND: u64 = 1_000_000_000;
    let mut most = 0u128;
    for at in memcg.self_and_ancestors().filter(|at| !at.is_root()) {
        let (usage, high) = (at.memory.usage(), at.high.load(Ordering::Relaxed));
        if high >= UNLIMITED || usage <= high {
            continue;
        }
        at.event(Event::High);
        most = most.max((u128::from(usage - high) << SHIFT) / u128::from(high.max(1)));
    }
    let delay = (most * most * u128::from(SECOND)) >> (SHIFT + 14);
    let delay = (delay * u128::from(pages) / 64).min(u128::from(2 * SECOND)) as u64;
    // Less is not worth a sleep.
    (delay > SECOND / 100).then_some(delay)
}
