//! A counter of pages with a limit, in a tree (Linux's `page_counter`).
//!
//! Model: what is charged to a counter is charged to all its ancestors too, so the usage of one is the
//! sum of its subtree. A charge that would exceed any limit on the way up changes nothing.
//!
//! Protection (`memory.min`, `memory.low`) is not kept up to date by charges: [`effective_protection`]
//! computes it from usages when memory is reclaimed, so that a charge does not pay for it.
//!
//! Lock-free. `Documentation/admin-guide/cgroup-v2.rst`, "Memory Interface Files".

use alloc::sync::Arc;
use core::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use crate::ids::PAGE_SIZE;

/// No limit, in pages (Linux's `PAGE_COUNTER_MAX`).
pub const UNLIMITED: u64 = i64::MAX as u64 / PAGE_SIZE as u64;

/// The counter is full: so many levels above the one that was charged, 0 for itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OverLimit(pub usize);

/// A counter. Everything is in pages.
#[derive(Debug)]
pub struct PageCounter {
    parent: Option<Arc<PageCounter>>,
    usage: AtomicI64,
    max: AtomicU64,
    /// The most that was ever used.
    watermark: AtomicU64,
    /// How often a charge was refused because of this limit.
    failcnt: AtomicU64,
}

impl PageCounter {
    /// An empty one without a limit.
    pub fn new(parent: Option<Arc<PageCounter>>) -> Arc<PageCounter> {
        Arc::new(PageCounter {
            parent,
            usage: AtomicI64::new(0),
            max: AtomicU64::new(UNLIMITED),
            watermark: AtomicU64::new(0),
            failcnt: AtomicU64::new(0),
        })
    }

    fn chain(&self) -> impl Iterator<Item = &PageCounter> {
        core::iter::successors(Some(self), |counter| counter.parent.as_deref())
    }

    /// What is charged.
    pub fn usage(&self) -> u64 {
        self.usage.load(Relaxed).max(0) as u64
    }
    /// The limit.
    pub fn max(&self) -> u64 {
        self.max.load(Relaxed)
    }
    /// The most that was ever charged.
    pub fn watermark(&self) -> u64 {
        self.watermark.load(Relaxed)
    }
    /// Forgets that.
    pub fn reset_watermark(&self) {
        self.watermark.store(self.usage(), Relaxed);
    }
    /// Charges that were refused.
    pub fn failcnt(&self) -> u64 {
        self.failcnt.load(Relaxed)
    }
    /// One more was.
    pub fn note_failure(&self) {
        self.failcnt.fetch_add(1, Relaxed);
    }
    /// Forgets them.
    pub fn reset_failcnt(&self) {
        self.failcnt.store(0, Relaxed);
    }
    /// What may still be charged to this counter, its ancestors aside.
    pub fn margin(&self) -> u64 {
        self.max().saturating_sub(self.usage())
    }

    fn note_watermark(&self, usage: i64) {
        if usage as u64 > self.watermark() {
            self.watermark.fetch_max(usage as u64, Relaxed);
        }
    }

    /// Charges this counter and all above, whatever the limits.
    pub fn charge(&self, pages: u64) {
        for counter in self.chain() {
            let usage = counter.usage.fetch_add(pages as i64, Relaxed) + pages as i64;
            counter.note_watermark(usage);
        }
    }

    /// Charges this counter and all above, or none. A refusal that `counts` is noted in `failcnt`.
    pub fn try_charge(&self, pages: u64, counts: bool) -> Result<(), OverLimit> {
        for (level, counter) in self.chain().enumerate() {
            let usage = counter.usage.fetch_add(pages as i64, Relaxed) + pages as i64;
            if usage > counter.max() as i64 {
                if counts {
                    counter.failcnt.fetch_add(1, Relaxed);
                }
                for undo in self.chain().take(level + 1) {
                    undo.usage.fetch_sub(pages as i64, Relaxed);
                }
                return Err(OverLimit(level));
            }
            counter.note_watermark(usage);
        }
        Ok(())
    }

    /// Gives back.
    pub fn uncharge(&self, pages: u64) {
        for counter in self.chain() {
            let before = counter.usage.fetch_sub(pages as i64, Relaxed);
            debug_assert!(before >= pages as i64, "more is uncharged than was charged");
        }
    }

    /// Sets the limit, whatever the usage. Returns the old one.
    pub fn set_max(&self, pages: u64) -> u64 {
        self.max.swap(pages, Relaxed)
    }

    /// Sets the limit unless more is used (Linux's `page_counter_set_max`). False, and nothing is
    /// changed, if more is.
    #[must_use]
    pub fn try_set_max(&self, pages: u64) -> bool {
        if self.usage() > pages {
            return false;
        }
        // A charge that passes the old limit from here on is seen below.
        let old = self.set_max(pages);
        let fits = self.usage() <= pages;
        if !fits {
            self.set_max(old);
        }
        fits
    }
}

impl Drop for PageCounter {
    /// Ancestors go one after the other: a tree may be deeper than the stack.
    fn drop(&mut self) {
        let mut above = self.parent.take();
        while let Some(parent) = above {
            above = Arc::into_inner(parent).and_then(|mut parent| parent.parent.take());
        }
    }
}

/// What one cgroup may keep when memory is reclaimed, of `min` or of `low`, in pages (Linux's
/// `effective_protection`).
///
/// A cgroup never keeps more than it uses, nor, together with its siblings, more than their parent
/// may: `siblings_protected` is the sum of `min(usage, setting)` over all children of the parent. What the
/// parent may keep and no child claims is shared out by unclaimed usage if the hierarchy is mounted with
/// `memory_recursiveprot`.
pub fn effective_protection(
    usage: u64,
    parent_usage: u64,
    setting: u64,
    parent_effective: u64,
    siblings_protected: u64,
    recursive: bool,
) -> u64 {
    let scale = |a: u64, b: u64, c: u64| (u128::from(a) * u128::from(b) / u128::from(c.max(1))) as u64;
    let protected = usage.min(setting);
    if siblings_protected > parent_effective {
        return scale(protected, parent_effective, siblings_protected);
    }
    let mut effective = protected;
    if recursive
        && parent_effective > siblings_protected
        && parent_usage > siblings_protected
        && usage > protected
    {
        let unclaimed = parent_effective - siblings_protected;
        effective += scale(unclaimed, usage - protected, parent_usage - siblings_protected);
    }
    effective
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn random(seed: &mut u64) -> u64 {
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        *seed
    }

    /// Random trees and charges against sums that are made anew each time.
    #[test]
    fn every_usage_is_the_sum_of_the_subtree_and_below_the_limit() {
        for seed in 1..200u64 {
            let mut seed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mut parents: Vec<Option<usize>> = alloc::vec![None];
            let mut tree = alloc::vec![PageCounter::new(None)];
            let mut own = alloc::vec![0u64];
            for _ in 0..random(&mut seed) % 20 {
                let parent = random(&mut seed) as usize % tree.len();
                tree.push(PageCounter::new(Some(tree[parent].clone())));
                parents.push(Some(parent));
                own.push(0);
            }
            let sum = |own: &[u64], at: usize| -> u64 {
                let below = |mut node: usize| loop {
                    if node == at {
                        return true;
                    }
                    match parents[node] {
                        Some(parent) => node = parent,
                        None => return false,
                    }
                };
                (0..own.len()).filter(|&n| below(n)).map(|n| own[n]).sum()
            };
            for _ in 0..300 {
                let at = random(&mut seed) as usize % tree.len();
                let pages = random(&mut seed) % 40;
                match random(&mut seed) % 4 {
                    0 | 1 => {
                        let mut level = Some(at);
                        let mut over = None;
                        let mut n = 0;
                        while let Some(node) = level {
                            if sum(&own, node) + pages > tree[node].max() {
                                over = Some(OverLimit(n));
                                break;
                            }
                            n += 1;
                            level = parents[node];
                        }
                        match tree[at].try_charge(pages, true) {
                            Ok(()) => {
                                assert_eq!(over, None);
                                own[at] += pages;
                            }
                            Err(level) => assert_eq!(over, Some(level)),
                        }
                    }
                    2 => {
                        let pages = pages.min(own[at]);
                        tree[at].uncharge(pages);
                        own[at] -= pages;
                    }
                    _ => {
                        let fits = sum(&own, at) <= pages * 8;
                        assert_eq!(tree[at].try_set_max(pages * 8), fits);
                    }
                }
                for (node, counter) in tree.iter().enumerate() {
                    assert_eq!(counter.usage(), sum(&own, node));
                    assert!(counter.watermark() >= counter.usage());
                    assert!(
                        counter.watermark() <= 8 * 40
                            || counter.max() == UNLIMITED
                            || counter.usage() <= counter.max()
                    );
                }
            }
        }
    }

    #[test]
    fn a_refusal_changes_nothing_and_says_where() {
        let root = PageCounter::new(None);
        let middle = PageCounter::new(Some(root.clone()));
        let leaf = PageCounter::new(Some(middle.clone()));
        middle.set_max(10);
        assert_eq!(leaf.try_charge(11, true), Err(OverLimit(1)));
        assert_eq!((leaf.usage(), middle.usage(), root.usage()), (0, 0, 0));
        assert_eq!((leaf.failcnt(), middle.failcnt()), (0, 1));
        assert_eq!(
            leaf.watermark(),
            11,
            "as on Linux, the attempt shows below the limit"
        );
        assert_eq!(leaf.try_charge(10, true), Ok(()));
        assert!(!middle.try_set_max(9));
        assert_eq!(middle.max(), 10);
    }

    /// The examples of `cgroup-v2.rst`, "memory.low": children compete for what the parent has.
    #[test]
    fn protection_follows_the_document() {
        // The parent may keep 50, its children ask for 75 + 25 + 0 of 100 used each.
        let share = |usage, setting| effective_protection(usage, 300, setting, 50, 100, false);
        assert_eq!((share(100, 75), share(100, 25), share(100, 0)), (37, 12, 0));
        // Below its protection a cgroup keeps what it uses, no more.
        assert_eq!(effective_protection(10, 10, 50, 100, 10, false), 10);
        // Unclaimed protection goes to those who use more than they asked for, if it is recursive.
        assert_eq!(effective_protection(100, 200, 0, 50, 0, true), 25);
        assert_eq!(effective_protection(100, 200, 0, 50, 0, false), 0);
    }

    #[test]
    fn siblings_never_keep_more_than_their_parent() {
        let mut seed = 7;
        for _ in 0..2000 {
            let children: Vec<(u64, u64)> = (0..1 + random(&mut seed) % 6)
                .map(|_| (random(&mut seed) % 1000, random(&mut seed) % 1000))
                .collect();
            let parent_usage: u64 = children.iter().map(|child| child.0).sum();
            let protected: u64 = children.iter().map(|child| child.0.min(child.1)).sum();
            let parent = random(&mut seed) % 2000;
            for recursive in [false, true] {
                let kept = children.iter().map(|&(usage, setting)| {
                    let kept =
                        effective_protection(usage, parent_usage, setting, parent, protected, recursive);
                    assert!(kept <= usage || recursive && kept <= parent);
                    kept
                });
                assert!(kept.sum::<u64>() <= parent);
            }
        }
    }
}
