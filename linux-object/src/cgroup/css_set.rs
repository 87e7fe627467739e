//! Where a task is in all hierarchies together (Linux's `css_set`), shared by tasks.

use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use hashbrown::HashTable;
use smallvec::SmallVec;

use super::cpuacct::CpuacctCss;
use super::hierarchy::Shared;
use super::{Cgroup, CgroupMembership, Css, Hierarchy, SubsysId};
use crate::ids::KoID;
use crate::sched::Accounts;
use crate::sync::{SpinLock, class};
use crate::task::Task;

/// The tasks of a set.
#[derive(Default)]
pub struct SetTasks {
    /// Those that have not exited, by age.
    pub live: BTreeMap<KoID, Arc<Task>>,
    /// Leaders that have exited while other threads of their process live.
    pub dying: BTreeMap<KoID, Arc<Task>>,
}

/// A cgroup of every hierarchy and the css of every controller.
pub struct CssSet {
    id: KoID,
    shared: Arc<Shared>,
    hash: u64,
    dfl: Arc<Cgroup>,
    /// The cgroups of v1 hierarchies that are not roots, by hierarchy.
    v1: SmallVec<[Arc<Cgroup>; 2]>,
    css: [Arc<Css>; SubsysId::COUNT],
    /// Where CPU time is charged.
    accounts: Arc<Accounts>,
    /// Its tasks.
    pub(super) tasks: SpinLock<SetTasks, class::CssSet>,
}

/// Finds a set by what it consists of.
#[derive(Default)]
pub struct SetTable(HashTable<(u64, Weak<CssSet>)>);

type Parts = (
    Arc<Cgroup>,
    SmallVec<[Arc<Cgroup>; 2]>,
    [Arc<Css>; SubsysId::COUNT],
);

fn hash_parts((dfl, v1, css): &Parts) -> u64 {
    let ids = v1
        .iter()
        .map(|cgroup| cgroup.koid().0)
        .chain(css.iter().map(|css| css.id().0));
    ids.fold(dfl.koid().0, |hash, id| {
        (hash.rotate_left(7) ^ id).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    })
}

impl CssSet {
    /// The set in which every task begins.
    pub(super) fn root(
        shared: &Arc<Shared>,
        dfl: &Arc<Cgroup>,
        css: [Arc<Css>; SubsysId::COUNT],
    ) -> Arc<CssSet> {
        CssSet::find_or_create(shared, (dfl.clone(), SmallVec::new(), css))
    }

    fn find_or_create(shared: &Arc<Shared>, parts: Parts) -> Arc<CssSet> {
        let hash = hash_parts(&parts);
        // Compared without the lock: a reference given up here may be the last one.
        let similar: SmallVec<[Arc<CssSet>; 2]> = {
            let table = shared.sets.lock();
            let similar = table.0.iter_hash(hash).filter(|(other, _)| *other == hash);
            similar.filter_map(|(_, set)| set.upgrade()).collect()
        };
        if let Some(found) = similar.into_iter().find(|set| set.is(&parts)) {
            return found;
        }
        let (dfl, v1, css) = parts;
        let v1_account = &css[SubsysId::Cpuacct as usize].data::<CpuacctCss>().account;
        let accounts = Accounts::new(dfl.cpu_account().into_iter().chain([v1_account]).cloned());
        let set = Arc::new(CssSet {
            id: shared.koids.allocate(),
            shared: shared.clone(),
            hash,
            dfl,
            v1,
            css,
            accounts,
            tasks: SpinLock::default(),
        });
        for cgroup in set.cgroups() {
            cgroup.sets.lock().insert(set.id, Arc::downgrade(&set));
        }
        let entry = (hash, Arc::downgrade(&set));
        shared.sets.lock().0.insert_unique(hash, entry, |(hash, _)| *hash);
        set
    }

    fn is(&self, (dfl, v1, css): &Parts) -> bool {
        Arc::ptr_eq(&self.dfl, dfl)
            && self.v1.len() == v1.len()
            && self.v1.iter().zip(v1).all(|(a, b)| Arc::ptr_eq(a, b))
            && self.css.iter().zip(css).all(|(a, b)| Arc::ptr_eq(a, b))
    }

    /// Its identity.
    pub fn id(&self) -> KoID {
        self.id
    }
    /// The effective css of a controller.
    #[inline]
    pub fn css(&self, id: SubsysId) -> &Arc<Css> {
        &self.css[id as usize]
    }
    /// Where its tasks' CPU time is charged.
    pub fn accounts(&self) -> &Arc<Accounts> {
        &self.accounts
    }
    /// The cgroup of cgroup2.
    pub fn dfl_cgroup(&self) -> &Arc<Cgroup> {
        &self.dfl
    }
    /// The cgroup in a hierarchy; `None` only if that is gone.
    pub fn cgroup(&self, hierarchy: &Arc<Hierarchy>) -> Option<Arc<Cgroup>> {
        if hierarchy.on_dfl() {
            return Some(self.dfl.clone());
        }
        let own = self
            .v1
            .iter()
            .find(|cgroup| Arc::ptr_eq(cgroup.hierarchy(), hierarchy));
        own.cloned().or_else(|| hierarchy.root())
    }
    /// The cgroups that it names: cgroup2's, and those of v1 that are not roots.
    pub fn cgroups(&self) -> impl Iterator<Item = &Arc<Cgroup>> {
        core::iter::once(&self.dfl).chain(&self.v1)
    }

    /// The set of a task that moves from this one to `to`. With the same cgroup: after a change of the
    /// controllers that are enabled.
    pub(super) fn with_cgroup(&self, to: &Arc<Cgroup>, _: &mut CgroupMembership) -> Arc<CssSet> {
        let mut dfl = self.dfl.clone();
        let mut v1 = self.v1.clone();
        if to.on_dfl() {
            dfl = to.clone();
        } else {
            v1.retain(|cgroup| !Arc::ptr_eq(cgroup.hierarchy(), to.hierarchy()));
            if !to.is_root() {
                v1.push(to.clone());
                v1.sort_by_key(|cgroup| cgroup.hierarchy().id());
            }
        }
        let css = SubsysId::ALL.map(|id| to.effective_css(id).unwrap_or_else(|| self.css(id).clone()));
        CssSet::find_or_create(&self.shared, (dfl, v1, css))
    }
}

impl SetTable {
    /// Every living set.
    pub fn all(&self) -> Vec<Arc<CssSet>> {
        self.0.iter().filter_map(|(_, set)| set.upgrade()).collect()
    }
}

impl Drop for CssSet {
    fn drop(&mut self) {
        let this = core::ptr::from_ref(self);
        let found = {
            let mut table = self.shared.sets.lock();
            let entry = table
                .0
                .find_entry(self.hash, |(_, set)| core::ptr::eq(set.as_ptr(), this));
            entry.ok().map(|entry| entry.remove().0)
        };
        drop(found);
        for cgroup in core::iter::once(&self.dfl).chain(&self.v1) {
            let own = cgroup.sets.lock().remove(&self.id);
            drop(own);
        }
    }
}

impl Task {
    /// Where it is in the cgroup hierarchies.
    #[inline]
    pub fn css_set(&self) -> Arc<CssSet> {
        self.cgroups.lock().clone()
    }
}
