//! System V semaphores (`semget(2)`, `semop(2)`, `semctl(2)`).
//!
//! A [`SemArray`] is a [`SemSet`] with an identity, under one lock. A thread that has to wait leaves a
//! [`SemWaiter`] there; whoever makes its operation possible completes it and wakes the thread, which finds the
//! result. [`SemUndoList`] is what a process takes back when it ends.
//!
//! Locks: the set is `class::Ipc`, and never held together with another of the class.

mod set;
#[cfg(test)]
mod tests;
mod undo;
mod waiter;

pub use set::{Ended, Operation, Outcome, SEMVMX, SemOp, SemSet};
pub use undo::SemUndoList;
pub use waiter::SemWaiter;

use alloc::sync::Arc;
use core::sync::atomic::{AtomicI64, Ordering};

use super::ids::{IpcObject, Limit};
use super::perm::{IpcPerm, READ, WRITE};
use super::{IpcContent, seconds};
use crate::error::Result;
use crate::mm::memcg::{Item, KmemCharge};
use crate::namespace::IpcNamespace;
use crate::sync::{SpinGuard, SpinLock, class};
use crate::task::Task;
use crate::task::pid::Pid;
use crate::{bail, ensure};

/// A set of semaphores.
pub struct SemArray {
    perm: SpinLock<IpcPerm, class::Leaf>,
    nsems: u32,
    _memory: KmemCharge,
    /// When it was operated on last, in seconds since 1970; 0: never.
    pub otime: AtomicI64,
    /// When it was changed by `semctl` last.
    pub ctime: AtomicI64,
    /// `None` once it is removed.
    set: SpinLock<Option<SemSet<Arc<SemWaiter>>>, class::Ipc>,
}

impl IpcObject for SemArray {
    fn perm(&self) -> &SpinLock<IpcPerm, class::Leaf> {
        &self.perm
    }
    fn weight(&self) -> u64 {
        self.nsems.into()
    }
}

/// The set while it is locked and not removed.
pub struct LockedSet<'a>(SpinGuard<'a, Option<SemSet<Arc<SemWaiter>>>, class::Ipc>);

impl core::ops::Deref for LockedSet<'_> {
    type Target = SemSet<Arc<SemWaiter>>;
    fn deref(&self) -> &Self::Target {
        self.0.as_ref().expect("checked when it was locked")
    }
}

impl core::ops::DerefMut for LockedSet<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.0.as_mut().expect("checked when it was locked")
    }
}

impl SemArray {
    /// How many semaphores.
    pub fn nsems(&self) -> u32 {
        self.nsems
    }
    /// Who may do what.
    pub fn ipc_perm(&self) -> IpcPerm {
        *self.perm.lock()
    }
    /// `EACCES` unless the task may read or (`write`) alter it.
    pub fn check(&self, ns: &IpcNamespace, task: &Task, write: bool) -> Result<()> {
        let flag = if write { WRITE } else { READ };
        self.ipc_perm().check(ns.user_ns(), &task.cred(), flag)
    }
    /// Locks it; `EIDRM` if it was removed meanwhile.
    pub fn lock(&self) -> Result<LockedSet<'_>> {
        let set = self.set.lock();
        ensure!(set.is_some(), EIDRM, "the set was removed");
        Ok(LockedSet(set))
    }
    /// The number of a semaphore; `EINVAL`.
    pub fn number(&self, num: i32) -> Result<usize> {
        match u32::try_from(num) {
            Ok(num) if num < self.nsems => Ok(num as usize),
            _ => bail!(EINVAL, "the set has no such semaphore"),
        }
    }
    /// Notes a change by `semctl`.
    pub fn changed(&self, now: i64) {
        self.ctime.store(now, Ordering::Relaxed);
    }
    /// The set goes: everyone who waits gets `EIDRM`.
    fn destroy(&self) {
        let mut set = self.set.lock();
        let gone = set.take().map(|mut gone| {
            let removed = || Err(crate::err!(EIDRM, "the set was removed"));
            let waiters = gone.drain().into_iter();
            (
                SemWaiter::end_all(waiters.map(|waiter| (waiter, removed()))),
                gone,
            )
        });
        drop(set);
        drop(gone);
    }

    /// `semop(2)`: does the operation, or enqueues `waiter` (`None`: it waits now).
    pub fn operate(&self, task: &Task, waiter: &Arc<SemWaiter>, operation: Operation) -> Result<Option<()>> {
        let mut set = self.lock()?;
        match set.perform(&operation, waiter.pid())? {
            Outcome::Done => {
                self.otime.store(seconds(task.kernel()), Ordering::Relaxed);
                if operation.alters() {
                    let ended = set.update(operation.steps.iter().map(|step| step.num));
                    let told = SemWaiter::end_all(ended);
                    drop(set);
                    drop(told);
                }
                Ok(Some(()))
            }
            Outcome::Blocked(at) => {
                set.wait(operation, at, waiter.clone())?;
                Ok(None)
            }
        }
    }

    /// A thread gives up waiting. False if its operation has ended meanwhile.
    pub fn cancel(&self, waiter: &Arc<SemWaiter>) -> bool {
        let mut set = self.set.lock();
        set.as_mut()
            .is_some_and(|set| set.cancel(waiter.numbers(), |other| Arc::ptr_eq(other, waiter)))
    }

    /// `SETVAL`.
    pub fn set_value(&self, num: usize, value: i32, pid: &Arc<Pid>, now: i64) -> Result<()> {
        let mut set = self.lock()?;
        set.set(num, value, pid);
        self.changed(now);
        let ended = set.update(core::iter::once(num as u16));
        let told = SemWaiter::end_all(ended);
        drop(set);
        drop(told);
        Ok(())
    }

    /// `SETALL`.
    pub fn set_all(&self, values: &[u16], pid: &Arc<Pid>, now: i64) -> Result<()> {
        let mut set = self.lock()?;
        for (num, &value) in values.iter().enumerate() {
            set.set(num, value.into(), pid);
        }
        self.changed(now);
        let ended = set.update(0..values.len() as u16);
        let told = SemWaiter::end_all(ended);
        drop(set);
        drop(told);
        Ok(())
    }
}

impl IpcContent {
    /// `semget(2)`.
    pub fn semget(&self, ns: &IpcNamespace, task: &Task, key: i32, nsems: i32, flags: u32) -> Result<i32> {
        let [msl, mns, _, mni] = self.limits.sem();
        let cred = task.cred();
        ensure!(
            (0..=msl).contains(&nsems),
            EINVAL,
            "semget: a number of semaphores below 0 or above SEMMSL"
        );
        let limit = || Limit {
            count: mni as u32,
            weight: mns as u64,
        };
        let check = |found: &SemArray| {
            ensure!(
                nsems as u32 <= found.nsems,
                EINVAL,
                "semget: the set has fewer semaphores"
            );
            found.ipc_perm().check(ns.user_ns(), &cred, flags)
        };
        self.sem.get(key, flags, limit, check, || {
            ensure!(nsems > 0, EINVAL, "semget: a set without semaphores");
            let now = seconds(task.kernel());
            let set = SemSet::new(nsems as usize)?;
            let bytes = size_of::<SemArray>() + set.bytes();
            Ok(Arc::new(SemArray {
                _memory: task.kernel().memory.control.charge_kmem(bytes, Item::Slab)?,
                perm: SpinLock::new(IpcPerm::new(key, flags, &cred)),
                nsems: nsems as u32,
                otime: AtomicI64::new(0),
                ctime: AtomicI64::new(now),
                set: SpinLock::new(Some(set)),
            }))
        })
    }

    /// `IPC_RMID`.
    pub fn remove_sem(&self, array: &Arc<SemArray>) -> Result<()> {
        ensure!(self.sem.remove_if(array, |_| true), EIDRM, "the set was removed");
        array.destroy();
        Ok(())
    }

    /// The namespace goes.
    pub(super) fn destroy_sems(&self) {
        for array in self.sem.all() {
            let _ = self.remove_sem(&array);
        }
    }
}
