//! Who wants to be told of a memory cgroup through an eventfd (v1's `cgroup.event_control`).
//!
//! Model: one list of all watches of the kernel, in which those of a cgroup stand side by side. A cgroup with
//! thresholds knows the two next ones around its usage, so that whoever charges sees with two loads whether one was
//! crossed. Charges are made under inner locks, an eventfd is signalled under none: who crosses a threshold sets
//! [`ThreadFlags::MEMORY_EVENTS`], and [`MemControl::tell_thresholds`] runs on the way to user mode. As on Linux
//! usage is looked at from time to time only: when a stock is filled or given back.
//!
//! A watch ends with its eventfd or with its cgroup; the latter is told.
//!
//! `Documentation/admin-guide/cgroup-v1/memory.rst`, "Memory thresholds", "OOM Control", "Memory Pressure".

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::{MemCgroup, MemControl};
use crate::bail;
use crate::error::Result;
use crate::fs::FileOps;
use crate::fs::eventfd::EventFd;
use crate::task::ThreadFlags;

/// How hard it is to reclaim memory.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Pressure {
    /// Memory is reclaimed.
    Low,
    /// Much of what is looked at is in use.
    Medium,
    /// There is nothing to reclaim, or nearly.
    Critical,
}

/// Which of a subtree's pressure is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// That which nobody below was told of.
    Default,
    /// All.
    Hierarchy,
    /// The cgroup's own.
    Local,
}

/// Of what is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Watched {
    /// The usage reaches so many pages, or falls below.
    Usage(u64),
    /// It is full, and so is perhaps one above.
    Oom,
    /// Pressure of this level or worse.
    Pressure(Pressure, Reach),
}

pub(super) struct Watch {
    memcg: Arc<MemCgroup>,
    what: Watched,
    /// An [`EventFd`].
    to: Weak<dyn FileOps>,
}

fn signal(to: &Arc<dyn FileOps>) {
    if let Some(eventfd) = to.as_any().downcast_ref::<EventFd>() {
        eventfd.signal(1);
    }
}

/// The thresholds next to the usage: from `above` on, or below `below`, somebody wants to know. In pages.
pub(super) struct Bounds {
    below: AtomicU64,
    above: AtomicU64,
}

impl Bounds {
    pub fn new() -> Bounds {
        Bounds {
            below: AtomicU64::new(0),
            above: AtomicU64::new(u64::MAX),
        }
    }
    #[inline]
    pub fn crossed_by(&self, usage: u64) -> bool {
        usage >= self.above.load(Relaxed) || usage < self.below.load(Relaxed)
    }
}

impl MemControl {
    /// Signals the eventfd `to` from now on. `EINVAL` if it is none, `ENOMEM`.
    pub fn watch(&self, memcg: &Arc<MemCgroup>, what: Watched, to: &Arc<dyn FileOps>) -> Result<()> {
        if !to.as_any().is::<EventFd>() {
            bail!(EINVAL, "cgroup.event_control: not an eventfd");
        }
        self.drain(memcg);
        let watch = Watch {
            memcg: memcg.clone(),
            what,
            to: Arc::downgrade(to),
        };
        let gone = {
            let mut watches = self.watches.lock();
            let gone = take_gone(&mut watches);
            if watches.try_reserve(1).is_err() {
                drop(watches);
                drop(gone);
                bail!(ENOMEM, "no memory for another watch");
            }
            let at = of_cgroup(&watches, memcg).end;
            watches.insert(at, watch);
            self.nr_watches.store(watches.len() as u32, Relaxed);
            set_bounds(&watches[of_cgroup(&watches, memcg)], memcg);
            gone
        };
        drop(gone);
        // Who comes late to an out-of-memory situation is told of it.
        if what == Watched::Oom && crate::mm::oom::is_under_oom(memcg) {
            signal(to);
        }
        Ok(())
    }

    /// The cgroup is gone: its watchers are told once more, for each watch.
    pub(super) fn end_watches(&self, memcg: &Arc<MemCgroup>) {
        if self.nr_watches.load(Relaxed) == 0 {
            return;
        }
        let ended: Vec<Watch> = {
            let mut watches = self.watches.lock();
            let range = of_cgroup(&watches, memcg);
            let ended = watches.drain(range).collect();
            self.nr_watches.store(watches.len() as u32, Relaxed);
            ended
        };
        for watch in &ended {
            if let Some(to) = watch.to.upgrade() {
                signal(&to);
            }
        }
    }

    /// The usage of `memcg` has changed: if it has crossed a threshold, here or above, the running task tells
    /// of it before it is in user mode again. Any lock may be held.
    #[inline]
    pub(super) fn check_thresholds(&self, memcg: &Arc<MemCgroup>) {
        if self.nr_watches.load(Relaxed) != 0 {
            self.note_crossed(memcg);
        }
    }

    #[cold]
    fn note_crossed(&self, memcg: &Arc<MemCgroup>) {
        let mut up = memcg.self_and_ancestors();
        if up.any(|memcg| memcg.bounds.crossed_by(memcg.memory.usage()))
            && let Some(task) = self.current_task()
        {
            task.set_thread_flags(ThreadFlags::MEMORY_EVENTS);
        }
    }

    /// Tells of every threshold that was crossed, and of room where tasks wait for it. Called without locks.
    pub fn tell_thresholds(&self) {
        crate::mm::oom::tell_of_room(self);
        let mut told: Vec<Arc<dyn FileOps>> = Vec::new();
        {
            let watches = self.watches.lock();
            for of_one in watches.chunk_by(|a, b| Arc::ptr_eq(&a.memcg, &b.memcg)) {
                let memcg = &of_one[0].memcg;
                let usage = memcg.memory.usage();
                if !memcg.bounds.crossed_by(usage) {
                    continue;
                }
                let (below, above) = (memcg.bounds.below.load(Relaxed), memcg.bounds.above.load(Relaxed));
                for watch in of_one {
                    let Watched::Usage(at) = watch.what else { continue };
                    let rose = at >= above && at <= usage;
                    let fell = at <= below && at > usage;
                    if (rose || fell)
                        && let Some(to) = watch.to.upgrade()
                    {
                        told.push(to);
                    }
                }
                set_bounds(of_one, memcg);
            }
        }
        for to in &told {
            signal(to);
        }
    }

    /// `over` is out of memory: everybody below and in it is told. Called without locks.
    pub(in crate::mm) fn tell_oom(&self, over: &Arc<MemCgroup>) {
        self.tell(|watch| watch.what == Watched::Oom && watch.memcg.is_descendant(over));
    }

    /// Reclaim in `memcg` had this difficulty. Called without locks.
    pub fn tell_pressure(&self, memcg: &Arc<MemCgroup>, is: Pressure) {
        let mut told_below = false;
        for at in memcg.self_and_ancestors() {
            let told = self.tell(|watch| {
                let Watched::Pressure(level, reach) = watch.what else {
                    return false;
                };
                let reaches = match reach {
                    Reach::Hierarchy => true,
                    Reach::Local => Arc::ptr_eq(at, memcg),
                    Reach::Default => !told_below,
                };
                level <= is && reaches && Arc::ptr_eq(&watch.memcg, at)
            });
            told_below |= told;
        }
    }

    fn tell(&self, whom: impl Fn(&Watch) -> bool) -> bool {
        if self.nr_watches.load(Relaxed) == 0 {
            return false;
        }
        let told: Vec<Arc<dyn FileOps>> = {
            let watches = self.watches.lock();
            let chosen = watches.iter().filter(|watch| whom(watch));
            chosen.filter_map(|watch| watch.to.upgrade()).collect()
        };
        told.iter().for_each(signal);
        !told.is_empty()
    }
}

/// Takes out those whose eventfd is closed.
fn take_gone(watches: &mut Vec<Watch>) -> Vec<Watch> {
    watches
        .extract_if(.., |watch| watch.to.strong_count() == 0)
        .collect()
}

/// Where the watches of `memcg` stand, or would stand.
fn of_cgroup(watches: &[Watch], memcg: &Arc<MemCgroup>) -> Range<usize> {
    let key = Arc::as_ptr(memcg);
    let first = watches.partition_point(|watch| Arc::as_ptr(&watch.memcg) < key);
    let len = watches[first..].partition_point(|watch| Arc::as_ptr(&watch.memcg) == key);
    first..first + len
}

/// The thresholds around the usage of `memcg`, whose watches these are.
fn set_bounds(watches: &[Watch], memcg: &MemCgroup) {
    let usage = memcg.memory.usage();
    let (mut below, mut above) = (0, u64::MAX);
    for watch in watches {
        match watch.what {
            Watched::Usage(at) if at <= usage => below = at.max(below),
            Watched::Usage(at) => above = at.min(above),
            _ => {}
        }
    }
    memcg.bounds.below.store(below, Relaxed);
    memcg.bounds.above.store(above, Relaxed);
}
