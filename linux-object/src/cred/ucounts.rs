//! Counts per user and user namespace (Linux's `struct ucounts`).
//!
//! What a user makes is counted for that user in its user namespace, and for the maker of that
//! namespace in the namespace around it, up to the initial one; every level has its own limit
//! (`/proc/sys/user/max_*_namespaces`, and resource limits frozen when the namespace was made).

use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use hashbrown::HashMap;

use crate::ids::Kuid;
use crate::namespace::UserNamespace;
use crate::sync::{SpinLock, class};

/// What is counted with a limit per user namespace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
#[repr(usize)]
pub enum UCount {
    UserNamespaces,
    PidNamespaces,
    UtsNamespaces,
    IpcNamespaces,
    NetNamespaces,
    MntNamespaces,
    CgroupNamespaces,
    TimeNamespaces,
    InotifyInstances,
    InotifyWatches,
}

impl UCount {
    /// How many kinds.
    pub const COUNT: usize = 10;
    /// The file names under `/proc/sys/user`, in order.
    pub const NAMES: [&'static str; UCount::COUNT] = [
        "max_user_namespaces",
        "max_pid_namespaces",
        "max_uts_namespaces",
        "max_ipc_namespaces",
        "max_net_namespaces",
        "max_mnt_namespaces",
        "max_cgroup_namespaces",
        "max_time_namespaces",
        "max_inotify_instances",
        "max_inotify_watches",
    ];
}

/// What is counted against a resource limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
#[repr(usize)]
pub enum UCountRlimit {
    Nproc,
    MsgQueue,
    SigPending,
    Memlock,
}

impl UCountRlimit {
    /// How many kinds.
    pub const COUNT: usize = 4;
}

/// Limits that a user namespace sets for what is made in it.
pub struct UCountLimits {
    max: [AtomicI64; UCount::COUNT],
    rlimit: [AtomicU64; UCountRlimit::COUNT],
}

impl UCountLimits {
    /// `max` for every count, `rlimits` frozen from the maker.
    pub fn new(max: i64, rlimits: [u64; UCountRlimit::COUNT]) -> UCountLimits {
        UCountLimits {
            max: core::array::from_fn(|_| AtomicI64::new(max)),
            rlimit: rlimits.map(AtomicU64::new),
        }
    }
    /// One limit.
    pub fn max(&self, kind: UCount) -> i64 {
        self.max[kind as usize].load(Ordering::Relaxed)
    }
    /// Sets one (`/proc/sys/user/max_*`).
    pub fn set_max(&self, kind: UCount, max: i64) {
        self.max[kind as usize].store(max, Ordering::Relaxed);
    }
    fn rlimit(&self, kind: UCountRlimit) -> i64 {
        i64::try_from(self.rlimit[kind as usize].load(Ordering::Relaxed)).unwrap_or(i64::MAX)
    }
}

/// The counts of one user in one user namespace.
pub struct UCounts {
    ns: Arc<UserNamespace>,
    uid: Kuid,
    counts: [AtomicI64; UCount::COUNT],
    rlimits: [AtomicI64; UCountRlimit::COUNT],
}

/// The users of one user namespace that have counts.
pub type UCountTable = SpinLock<HashMap<Kuid, Weak<UCounts>>, class::Counter>;

impl UCounts {
    /// The counts of `uid` in `ns`.
    pub fn of(ns: &Arc<UserNamespace>, uid: Kuid) -> Arc<UCounts> {
        let mut table = ns.ucount_table().lock();
        if let Some(found) = table.get(&uid).and_then(Weak::upgrade) {
            return found;
        }
        let new = Arc::new(UCounts {
            ns: ns.clone(),
            uid,
            counts: Default::default(),
            rlimits: Default::default(),
        });
        table.insert(uid, Arc::downgrade(&new));
        new
    }

    /// The user.
    pub fn uid(&self) -> Kuid {
        self.uid
    }
    /// The user namespace.
    pub fn ns(&self) -> &Arc<UserNamespace> {
        &self.ns
    }

    fn chain(&self) -> impl Iterator<Item = &UCounts> {
        core::iter::successors(Some(self), |counts| {
            counts.ns.creator_ucounts().map(|next| &**next)
        })
    }

    /// Counts one at every level; `None` if that would exceed a limit somewhere (`ENOSPC`). The
    /// guard takes it back when dropped.
    pub fn inc(self: &Arc<Self>, kind: UCount) -> Option<UCountGuard> {
        for (done, level) in self.chain().enumerate() {
            let max = level.ns.ucount_limits().max(kind);
            let below = level.counts[kind as usize].fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| {
                (n < max).then_some(n + 1)
            });
            if below.is_err() {
                for level in self.chain().take(done) {
                    level.counts[kind as usize].fetch_sub(1, Ordering::Relaxed);
                }
                return None;
            }
        }
        Some(UCountGuard {
            counts: self.clone(),
            kind,
        })
    }

    /// Adds `n` at every level. Returns the new count at this one, or `i64::MAX` if a limit of
    /// a level above is exceeded.
    pub fn inc_rlimit(&self, kind: UCountRlimit, n: i64) -> i64 {
        let mut result = 0;
        let mut max = i64::MAX;
        for (depth, level) in self.chain().enumerate() {
            let new = level.rlimits[kind as usize].fetch_add(n, Ordering::Relaxed) + n;
            if new < 0 || new > max {
                result = i64::MAX;
            } else if depth == 0 {
                result = new;
            }
            max = level.ns.ucount_limits().rlimit(kind);
        }
        result
    }
    /// Takes `n` away at every level.
    pub fn dec_rlimit(&self, kind: UCountRlimit, n: i64) {
        for level in self.chain() {
            level.rlimits[kind as usize].fetch_sub(n, Ordering::Relaxed);
        }
    }
    /// The count at this level.
    pub fn rlimit_count(&self, kind: UCountRlimit) -> i64 {
        self.rlimits[kind as usize].load(Ordering::Relaxed)
    }
    /// Whether a level is above its limit; `limit` is that of this level.
    pub fn is_over(&self, kind: UCountRlimit, limit: u64) -> bool {
        let mut max = i64::try_from(limit).unwrap_or(i64::MAX);
        self.chain().any(|level| {
            let count = level.rlimits[kind as usize].load(Ordering::Relaxed);
            let over = count < 0 || count > max;
            max = level.ns.ucount_limits().rlimit(kind);
            over
        })
    }
}

impl Drop for UCounts {
    fn drop(&mut self) {
        let mut table = self.ns.ucount_table().lock();
        if table
            .get(&self.uid)
            .is_some_and(|entry| entry.strong_count() == 0)
        {
            table.remove(&self.uid);
        }
    }
}

/// One count; taken back when dropped.
pub struct UCountGuard {
    counts: Arc<UCounts>,
    kind: UCount,
}

impl UCountGuard {
    /// Whose count it is.
    pub fn counts(&self) -> &Arc<UCounts> {
        &self.counts
    }
}

impl Drop for UCountGuard {
    fn drop(&mut self) {
        for level in self.counts.chain() {
            level.counts[self.kind as usize].fetch_sub(1, Ordering::Relaxed);
        }
    }
}
