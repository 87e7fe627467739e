//! PID namespaces (`pid_namespaces(7)`).
//!
//! Model: a namespace numbers the processes that were made in it and below it. The first one made in
//! it is number 1, its *child reaper*: it inherits orphans, and with its end the namespace ends: everything
//! in it is killed and no new pid can be made (`ENOMEM`). Numbers are given in a cycle; after
//! the first round those below [`RESERVED_PIDS`] are left out.
//!
//! Locks: the table of numbers has its own leaf lock, one per namespace, so processes of
//! different namespaces do not meet. The child reaper is set once.

use alloc::sync::{Arc, Weak};
use core::any::Any;
use core::sync::atomic::{AtomicI32, Ordering};

use smallvec::SmallVec;
use spin::Once;

use super::{Namespace, NsCommon, NsKind, NsRegistry, NsSet, UserNamespace};
use crate::cred::{Capability, Cred, UCount, UCountGuard, UCounts};
use crate::error::Result;
use crate::fs::PollEvents;
use crate::ids::{KoID, PidNr};
use crate::kobject::KoidTable;
use crate::sync::{SpinLock, WaitQueue, class};
use crate::task::pid::{Numbers, Pid};
use crate::task::pid_map::PidMap;
use crate::task::{TaskTree, ThreadGroup};
use crate::{bail, ensure, err};

/// Not given out again once the numbers have passed it.
pub const RESERVED_PIDS: i32 = 300;

struct Table {
    map: PidMap<Arc<Pid>>,
    /// The number to try next.
    cursor: i32,
    /// Pids with a number here.
    allocated: u32,
    /// Cleared when the child reaper exits: no more pids.
    adding: bool,
}

/// A pid namespace.
pub struct PidNamespace {
    common: NsCommon,
    level: u32,
    parent: Option<Arc<PidNamespace>>,
    user_ns: Arc<UserNamespace>,
    /// KoIDs from the initial namespace down to this one.
    lineage: SmallVec<[KoID; 4]>,
    table: SpinLock<Table, class::Leaf>,
    /// Weak, since the reaper's own pid keeps the namespace.
    reaper: Once<Weak<ThreadGroup>>,
    /// Woken when only the child reaper is left (see `zap_pid_ns_processes`).
    pub drained: WaitQueue,
    /// The signal that ends the reaper in place of its exit code after `reboot(2)` inside; 0: none.
    pub reboot_signal: AtomicI32,
    _count: Option<UCountGuard>,
}

impl PidNamespace {
    /// Levels below the initial one.
    pub const MAX_LEVEL: u32 = 32;

    /// The initial pid namespace.
    pub fn initial(registry: &Arc<NsRegistry>, user_ns: Arc<UserNamespace>) -> Arc<PidNamespace> {
        let common = registry.initial(NsKind::Pid);
        registry.register(Arc::new(PidNamespace::build(common, None, user_ns, None)))
    }

    fn build(
        common: NsCommon,
        parent: Option<Arc<PidNamespace>>,
        user_ns: Arc<UserNamespace>,
        count: Option<UCountGuard>,
    ) -> PidNamespace {
        let mut lineage: SmallVec<[KoID; 4]> = SmallVec::new();
        if let Some(parent) = &parent {
            lineage.extend_from_slice(&parent.lineage);
        }
        lineage.push(common.koid());
        PidNamespace {
            level: parent.as_ref().map_or(0, |parent| parent.level + 1),
            common,
            parent,
            user_ns,
            lineage,
            table: SpinLock::new(Table {
                map: PidMap::default(),
                cursor: 1,
                allocated: 0,
                adding: true,
            }),
            reaper: Once::new(),
            drained: WaitQueue::new(),
            reboot_signal: AtomicI32::new(0),
            _count: count,
        }
    }

    /// A namespace below `parent`, owned by `user_ns` (Linux's `create_pid_namespace`).
    pub fn create(
        parent: &Arc<PidNamespace>,
        user_ns: &Arc<UserNamespace>,
        cred: &Cred,
    ) -> Result<Arc<PidNamespace>> {
        ensure!(
            parent.user_ns.contains(user_ns),
            EINVAL,
            "the owner is not below the owner of the parent"
        );
        ensure!(
            parent.level < PidNamespace::MAX_LEVEL,
            ENOSPC,
            "32 levels of pid namespaces"
        );
        let count = UCounts::of(user_ns, cred.euid)
            .inc(UCount::PidNamespaces)
            .ok_or(err!(ENOSPC, "max_pid_namespaces"))?;
        let registry = parent.common.registry();
        Ok(registry.register(Arc::new(PidNamespace::build(
            registry.allocate(),
            Some(parent.clone()),
            user_ns.clone(),
            Some(count),
        ))))
    }

    /// Its identity.
    #[inline]
    pub fn koid(&self) -> KoID {
        self.common.koid()
    }
    /// Depth below the initial one.
    #[inline]
    pub fn level(&self) -> u32 {
        self.level
    }
    /// The namespace around it.
    pub fn parent(&self) -> Option<&Arc<PidNamespace>> {
        self.parent.as_ref()
    }
    /// The user namespace that owns it.
    pub fn user_ns(&self) -> &Arc<UserNamespace> {
        &self.user_ns
    }
    /// Whether `other` is this namespace or lies below it.
    #[inline]
    pub fn is_ancestor_of(&self, other: &PidNamespace) -> bool {
        other.lineage.get(self.level as usize) == Some(&self.koid())
    }
    /// Its process number 1, until it is reaped.
    pub fn child_reaper(&self) -> Option<Arc<ThreadGroup>> {
        self.reaper.get()?.upgrade()
    }
    pub(crate) fn set_child_reaper(&self, _tree: &mut TaskTree, reaper: &Arc<ThreadGroup>) {
        self.reaper.call_once(|| Arc::downgrade(reaper));
    }
    /// Whether its init still lives, or has not been born: new pids may be made.
    pub fn is_adding(&self) -> bool {
        self.table.lock().adding
    }
    /// No more pids from now on (the child reaper exits).
    pub(crate) fn disable_adding(&self) {
        self.table.lock().adding = false;
    }
    /// Pids with a number here.
    pub fn nr_pids(&self) -> u32 {
        self.table.lock().allocated
    }
    /// `/proc/sys/kernel/ns_last_pid`.
    pub fn last_pid(&self) -> i32 {
        self.table.lock().cursor - 1
    }
    /// Sets it: the next number tried is the following one.
    pub fn set_last_pid(&self, last: i32) {
        self.table.lock().cursor = last + 1;
    }

    /// What `nr` names here.
    pub fn find(&self, nr: PidNr) -> Option<Arc<Pid>> {
        self.table.lock().map.get(nr.0).cloned()
    }
    /// The first pid at or after `nr`, with its number.
    pub fn next_from(&self, nr: PidNr) -> Option<(PidNr, Arc<Pid>)> {
        let table = self.table.lock();
        let (nr, pid) = table.map.next_from(nr.0)?;
        Some((PidNr(nr), pid.clone()))
    }

    /// This namespace and those around it, innermost first.
    fn ancestry(&self) -> impl Iterator<Item = &PidNamespace> {
        core::iter::successors(Some(self), |ns| ns.parent.as_deref())
    }

    /// Reserves one number here and in each ancestor (the first part of Linux's `alloc_pid`).
    /// `set_tid` asks for certain numbers, innermost first (`clone3(2)`); that needs
    /// `CAP_CHECKPOINT_RESTORE` or `CAP_SYS_ADMIN` at every level for which one is given.
    pub fn reserve(
        self: &Arc<Self>,
        koids: &KoidTable,
        set_tid: &[i32],
        pid_max: i32,
        cred: &Cred,
    ) -> Result<PidReservation> {
        ensure!(
            set_tid.len() <= self.level as usize + 1,
            EINVAL,
            "set_tid: more numbers than levels"
        );
        let mut reservation = PidReservation {
            ns: self.clone(),
            numbers: SmallVec::from_elem(PidNr(0), self.level as usize + 1),
            pid: None,
        };
        for (depth, ns) in self.ancestry().enumerate() {
            let nr = match set_tid.get(depth) {
                Some(&nr) => {
                    ensure!(nr >= 1 && nr < pid_max, EINVAL, "set_tid: out of range");
                    ensure!(
                        nr == 1 || ns.reaper.get().is_some(),
                        EINVAL,
                        "set_tid: the first process of a namespace is number 1"
                    );
                    ensure!(
                        cred.ns_capable(&ns.user_ns, Capability::CHECKPOINT_RESTORE)
                            || cred.ns_capable(&ns.user_ns, Capability::SYS_ADMIN),
                        EPERM,
                        "set_tid: no CAP_CHECKPOINT_RESTORE in the owner of the pid namespace"
                    );
                    if !ns.table.lock().map.take(nr) {
                        bail!(EEXIST, "set_tid: the number is taken");
                    }
                    nr
                }
                None => ns.reserve_next(pid_max)?,
            };
            reservation.numbers[ns.level as usize] = PidNr(nr);
        }
        ensure!(self.is_adding(), ENOMEM, "the init of the pid namespace is gone");
        reservation.pid = Some(Arc::new(Pid::new(
            koids.allocate(),
            self.clone(),
            reservation.numbers.clone(),
        )));
        Ok(reservation)
    }

    fn reserve_next(&self, pid_max: i32) -> Result<i32> {
        let mut table = self.table.lock();
        let min = if table.cursor > RESERVED_PIDS {
            RESERVED_PIDS
        } else {
            1
        };
        let cursor = table.cursor;
        match table.map.take_cyclic(cursor, min, pid_max) {
            Some(nr) => {
                table.cursor = nr + 1;
                Ok(nr)
            }
            None => bail!(EAGAIN, "no free pid"),
        }
    }

    /// Frees the numbers of a pid to which nothing is attached any more.
    pub(crate) fn free_numbers(&self, numbers: &[PidNr]) {
        for ns in self.ancestry() {
            let (gone, left) = {
                let mut table = ns.table.lock();
                table.allocated -= 1;
                (table.map.remove(numbers[ns.level as usize].0), table.allocated)
            };
            drop(gone);
            if left <= 2 {
                ns.drained.wake_all(PollEvents::IN);
            }
        }
    }
}

/// Numbers taken for a pid that is being made; freed when dropped unless published.
pub struct PidReservation {
    ns: Arc<PidNamespace>,
    numbers: Numbers,
    pid: Option<Arc<Pid>>,
}

impl PidReservation {
    /// The pid, not yet findable.
    pub fn pid(&self) -> &Arc<Pid> {
        self.pid.as_ref().expect("a complete reservation has a pid")
    }
    /// Makes it findable at every level. Called with the tree locked and something attached to it.
    pub(crate) fn publish(mut self, _tree: &mut TaskTree) {
        let Some(pid) = self.pid.take() else { return };
        for ns in self.ns.ancestry() {
            let mut table = ns.table.lock();
            table.map.publish(self.numbers[ns.level as usize].0, pid.clone());
            table.allocated += 1;
        }
        self.numbers.clear();
    }
}

impl Drop for PidReservation {
    fn drop(&mut self) {
        if self.numbers.is_empty() {
            return;
        }
        for ns in self.ns.ancestry() {
            let nr = self.numbers[ns.level as usize];
            if nr != PidNr(0) {
                ns.table.lock().map.remove(nr.0);
            }
        }
    }
}

crate::namespace_object!(PidNamespace);

impl Namespace for PidNamespace {
    fn common(&self) -> &NsCommon {
        &self.common
    }
    fn kind(&self) -> NsKind {
        NsKind::Pid
    }
    fn owner_ns(&self) -> Option<Arc<UserNamespace>> {
        Some(self.user_ns.clone())
    }
    fn parent_ns(&self) -> Option<Arc<dyn Namespace>> {
        self.parent.clone().map(|parent| parent as Arc<dyn Namespace>)
    }
    /// Only a namespace at or below the caller's own may be entered, and only children are in it.
    fn install(self: Arc<Self>, set: &mut NsSet<'_>) -> Result<()> {
        set.check_admin(&self.user_ns)?;
        ensure!(
            set.task.pid_ns().is_ancestor_of(&self),
            EINVAL,
            "setns: not the caller's pid namespace nor one below it"
        );
        set.nsproxy.pid_ns_for_children = self;
        Ok(())
    }
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}

impl PidNamespace {
    /// The signal by which `reboot(2)` inside made the init end.
    pub fn take_reboot_signal(&self) -> Option<i32> {
        match self.reboot_signal.load(Ordering::Relaxed) {
            0 => None,
            signal => Some(signal),
        }
    }
}
