//! CPU time of cgroups: what all tasks at or below a cgroup have ever used, per CPU.
//!
//! Model: a tree of accounts, one per cgroup that counts. A CPU keeps the account of the task it runs
//! *open*: charges go into two plain numbers of its run queue, and are added to the account and its
//! ancestors only when a task of another account is picked, or somebody reads. So a switch between tasks
//! of one cgroup costs nothing at any depth, and a reader adds up one number per CPU.
//!
//! Because every charge goes to all ancestors at once, a parent's figure holds whatever its
//! children used, also when they are gone or a task has moved away.
//!
//! Locks: a CPU's numbers are written under its run queue lock only.
//!
//! `cgroup-v2.rst` (`cpu.stat`), `cgroup-v1/cpuacct.rst`.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use smallvec::SmallVec;

use super::CpuTimes;
use crate::ids::CpuId;

/// A CPU's part, on a cache line of its own.
#[repr(align(64))]
#[derive(Debug, Default)]
struct PerCpu {
    total: AtomicU64,
    user: AtomicU64,
}

/// The account of one cgroup.
#[derive(Debug)]
pub struct CpuAccount {
    parent: Option<Arc<CpuAccount>>,
    cpus: Box<[PerCpu]>,
    /// What a writer of `cpuacct.usage` has set to zero, per CPU.
    base: Box<[PerCpu]>,
}

impl CpuAccount {
    /// An empty account for a machine of `cpus` CPUs.
    pub fn new(parent: Option<Arc<CpuAccount>>, cpus: usize) -> Arc<CpuAccount> {
        let make = || (0..cpus).map(|_| PerCpu::default()).collect();
        Arc::new(CpuAccount {
            parent,
            cpus: make(),
            base: make(),
        })
    }

    fn add(&self, cpu: CpuId, total: u64, user: u64) {
        let mut account = self;
        loop {
            let mine = &account.cpus[cpu.0 as usize];
            mine.total.store(mine.total.load(Relaxed) + total, Relaxed);
            mine.user.store(mine.user.load(Relaxed) + user, Relaxed);
            match &account.parent {
                Some(parent) => account = parent,
                None => return,
            }
        }
    }

    /// Nanoseconds used on one CPU since the last reset, as of the last flush.
    pub fn on_cpu(&self, cpu: CpuId) -> CpuTimes {
        let (mine, base) = (&self.cpus[cpu.0 as usize], &self.base[cpu.0 as usize]);
        let total = mine.total.load(Relaxed).saturating_sub(base.total.load(Relaxed));
        let user = mine.user.load(Relaxed).saturating_sub(base.user.load(Relaxed));
        let user = user.min(total);
        CpuTimes {
            user,
            system: total - user,
        }
    }
    /// Nanoseconds used on all CPUs.
    pub fn times(&self) -> CpuTimes {
        let mut sum = CpuTimes::default();
        for cpu in 0..self.cpus.len() {
            let one = self.on_cpu(CpuId(cpu as u32));
            sum.user += one.user;
            sum.system += one.system;
        }
        sum
    }
    /// Counts from zero again; ancestors keep what was counted.
    pub fn reset(&self) {
        for (mine, base) in self.cpus.iter().zip(&self.base) {
            base.total.store(mine.total.load(Relaxed), Relaxed);
            base.user.store(mine.user.load(Relaxed), Relaxed);
        }
    }
}

/// The accounts of a task: one in each hierarchy that counts CPU time. Tasks of the same cgroups
/// share one value.
#[derive(Debug, Default)]
pub struct Accounts(SmallVec<[Arc<CpuAccount>; 2]>);

impl Accounts {
    /// Charges go to these accounts and their ancestors.
    pub fn new(accounts: impl IntoIterator<Item = Arc<CpuAccount>>) -> Arc<Accounts> {
        Arc::new(Accounts(accounts.into_iter().collect()))
    }
}

/// What a run queue has charged and not yet added.
#[derive(Debug, Default)]
pub(super) struct Open {
    accounts: Option<Arc<Accounts>>,
    total: u64,
    user: u64,
}

impl Open {
    #[inline]
    pub(super) fn charge(&mut self, total: u64, user: u64) {
        self.total += total;
        self.user += user;
    }
    /// Whether charges go to the accounts at this address.
    #[inline]
    pub(super) fn is(&self, accounts_at: usize) -> bool {
        self.accounts
            .as_ref()
            .is_some_and(|open| Arc::as_ptr(open) as usize == accounts_at)
    }
    pub(super) fn flush(&mut self, cpu: CpuId) {
        let (total, user) = (core::mem::take(&mut self.total), core::mem::take(&mut self.user));
        if total | user == 0 {
            return;
        }
        for account in self.accounts.iter().flat_map(|open| &open.0) {
            account.add(cpu, total, user);
        }
    }
    pub(super) fn switch(&mut self, accounts: Arc<Accounts>, cpu: CpuId) {
        self.flush(cpu);
        self.accounts = Some(accounts);
    }
}
