//! What memory management keeps for the whole kernel: the machine, settings, totals.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};

use super::charge::PageTotal;
use super::memcg::MemControl;
use super::oom::Patience;
use crate::cred::Capability;
use crate::hal::Hal;
use crate::ids::PAGE_SIZE;
use crate::sysctl::Sysctls;
use crate::time::Timekeeper;

/// Settings and totals, shared by all address spaces and page caches of one kernel.
///
/// Address spaces refer to this and not to the `Kernel`, so that no cycle keeps either alive.
pub struct Memory {
    /// The machine.
    pub hal: Arc<dyn Hal>,
    /// `vm.*` and `kernel.randomize_va_space`.
    pub sysctl: Arc<Sysctls>,
    /// The clocks, for times of files.
    pub time: Arc<Timekeeper>,
    /// Pages promised to private writable and shared anonymous mappings (`Committed_AS`).
    pub committed: AtomicI64,
    /// Pages of anonymous memory (`AnonPages`).
    pub nr_anon: PageTotal,
    /// Pages in page caches (`Cached`, `Shmem`).
    pub nr_cache: PageTotal,
    /// Pages of page caches that are in page tables (`Mapped`).
    pub nr_mapped: AtomicI64,
    /// Pages in pipes.
    pub nr_pipe: PageTotal,
    /// Processes that were killed for their memory and still hold some.
    pub oom_victims: AtomicUsize,
    /// How long one waits for them.
    pub(super) oom_patience: Patience,
    /// Somebody is choosing whom to kill.
    pub(super) oom_turn: AtomicBool,
    /// Who pays for what.
    pub control: Arc<MemControl>,
    next_id: AtomicU64,
}

impl Memory {
    /// Nothing in use yet.
    pub fn new(hal: Arc<dyn Hal>, sysctl: Arc<Sysctls>, time: Arc<Timekeeper>) -> Arc<Memory> {
        Arc::new(Memory {
            control: MemControl::new(&hal),
            hal,
            sysctl,
            time,
            committed: AtomicI64::new(0),
            nr_anon: PageTotal::default(),
            nr_cache: PageTotal::default(),
            nr_mapped: AtomicI64::new(0),
            nr_pipe: PageTotal::default(),
            oom_victims: AtomicUsize::new(0),
            oom_patience: Patience::default(),
            oom_turn: AtomicBool::new(false),
            next_id: AtomicU64::new(1),
        })
    }

    /// A number that no other address space or page cache of this kernel has.
    pub(crate) fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Pages that may be promised in overcommit mode 2 (`CommitLimit`).
    pub fn commit_limit(&self) -> u64 {
        match self.sysctl.overcommit_kbytes.get_u64() {
            0 => self.hal.frame_stats().total as u64 * self.sysctl.overcommit_ratio.get_u64() / 100,
            kbytes => kbytes / (PAGE_SIZE as u64 / 1024),
        }
    }

    /// Promises `pages`, or says no (Linux's `__vm_enough_memory`). What was promised is given back
    /// with [`Memory::uncommit`].
    #[must_use]
    pub(super) fn commit(&self, pages: u64, admin: bool) -> bool {
        let now = self.committed.fetch_add(pages as i64, Ordering::Relaxed) + pages as i64;
        let fits = match self.sysctl.overcommit_memory.get() {
            0 => pages <= self.hal.frame_stats().total as u64,
            1 => true,
            _ => {
                let limit = self.commit_limit();
                let reserve = self.sysctl.admin_reserve_kbytes.get_u64() / (PAGE_SIZE as u64 / 1024);
                now as u64
                    <= if admin {
                        limit
                    } else {
                        limit.saturating_sub(reserve)
                    }
            }
        };
        if !fits {
            self.uncommit(pages);
        }
        fits
    }

    /// Takes a promise back.
    pub(super) fn uncommit(&self, pages: u64) {
        self.committed.fetch_sub(pages as i64, Ordering::Relaxed);
    }
}

/// Pages that are promised to a file (Linux's `shmem_acct_size`); the promise is taken back when it is
/// dropped.
pub struct Promise {
    memory: Arc<Memory>,
    pages: u64,
}

impl Promise {
    /// `None`: that is more than may be promised.
    pub fn new(memory: &Arc<Memory>, pages: u64, admin: bool) -> Option<Promise> {
        memory.commit(pages, admin).then(|| Promise {
            memory: memory.clone(),
            pages,
        })
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.memory.uncommit(self.pages);
    }
}

/// For whom memory is mapped: asked for a limit or a capability only where one matters.
pub trait MmQuota {
    /// `RLIMIT_AS` in bytes.
    fn limit_as(&self) -> u64;
    /// `RLIMIT_DATA` in bytes.
    fn limit_data(&self) -> u64;
    /// `RLIMIT_STACK` in bytes.
    fn limit_stack(&self) -> u64;
    /// `RLIMIT_MEMLOCK` in bytes.
    fn limit_memlock(&self) -> u64;
    /// Whether it has a capability in the initial user namespace.
    fn capable(&self, cap: Capability) -> bool;
    /// Its `personality(2)`.
    fn personality(&self) -> u32 {
        0
    }
}

/// The kernel itself: no limits.
pub(crate) struct Unlimited;

impl MmQuota for Unlimited {
    fn limit_as(&self) -> u64 {
        u64::MAX
    }
    fn limit_data(&self) -> u64 {
        u64::MAX
    }
    fn limit_stack(&self) -> u64 {
        u64::MAX
    }
    fn limit_memlock(&self) -> u64 {
        u64::MAX
    }
    fn capable(&self, _cap: Capability) -> bool {
        true
    }
}
