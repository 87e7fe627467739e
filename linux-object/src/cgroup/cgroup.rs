//! A node of a hierarchy.

use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU16, AtomicU32, Ordering};

use hashbrown::HashMap;
use spin::Once;

use super::bpf::CgroupBpf;
use super::cftype::Line;
use super::fs::{NodeOwner, Nodes};
use super::view::CgroupLoad;
use super::{CfType, CgroupMembership, Css, CssSet, Hierarchy, SubsysId, SubsysMask};
use super::{core_files, legacy_files};
use crate::fs::Name;
use crate::ids::KoID;
use crate::kobject::KObject;
use crate::sched::CpuAccount;
use crate::sync::{SpinLock, class};

bitflags::bitflags! {
    /// State of a cgroup that is set by writing to its files.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct CgroupFlags: u32 {
        /// v1: run the release agent when it becomes empty.
        const NOTIFY_ON_RELEASE = 1 << 0;
        /// v1: a child's cpuset begins as a copy of its parent's.
        const CLONE_CHILDREN = 1 << 1;
        /// Its tasks are to freeze, because of its own `cgroup.freeze` or an ancestor's.
        const FREEZE = 1 << 2;
        /// All tasks of the subtree are frozen.
        const FROZEN = 1 << 3;
        /// It is a threaded cgroup.
        const THREADED = 1 << 4;
    }
}

/// Children by name and, for listings, by age.
#[derive(Default)]
pub(super) struct Children {
    pub by_name: HashMap<Name, Arc<Cgroup>>,
    pub by_age: BTreeMap<KoID, Arc<Cgroup>>,
}

/// Counts that follow tasks, changed under `class::CgroupState`.
#[derive(Default)]
pub(super) struct State {
    /// Sets of tasks that are not empty.
    pub populated_sets: AtomicU32,
    /// Populated children that are domains.
    pub populated_domain_children: AtomicU32,
    /// Populated children that are threaded.
    pub populated_threaded_children: AtomicU32,
    /// cgroup2: tasks that have not exited.
    pub tasks: AtomicU32,
    /// Living children.
    pub nr_children: AtomicU32,
    /// Tasks that are frozen.
    pub frozen_tasks: AtomicU32,
    /// Children whose whole subtree is frozen.
    pub frozen_children: AtomicU32,
}

/// A cgroup.
pub struct Cgroup {
    koid: KoID,
    hierarchy: Arc<Hierarchy>,
    parent: Option<Arc<Cgroup>>,
    level: u32,
    name: SpinLock<Name, class::Leaf>,
    pub(super) children: SpinLock<Children, class::KoidTable>,
    flags: AtomicU32,
    dead: AtomicBool,
    /// Own csses: one for each controller that is enabled here.
    csses: SpinLock<[Option<Arc<Css>>; SubsysId::COUNT], class::Leaf>,
    /// Controllers enabled for the children (`cgroup.subtree_control`).
    subtree_control: AtomicU16,
    pub(super) nr_descendants: AtomicU32,
    pub(super) nr_dying_descendants: AtomicU32,
    pub(super) nr_threaded_children: AtomicU32,
    /// `i32::MAX`: no limit.
    pub(super) max_descendants: AtomicI32,
    pub(super) max_depth: AtomicI32,
    pub(super) state: State,
    /// The sets of tasks that name it.
    pub(super) sets: SpinLock<BTreeMap<KoID, Weak<CssSet>>, class::KoidTable>,
    /// `cgroup.freeze` was set here.
    pub(super) freeze_self: AtomicBool,
    /// Its directory and files.
    pub(super) nodes: Nodes,
    /// cgroup2: device programs.
    pub(super) bpf: CgroupBpf,
    /// cgroup2: CPU time used in the subtree.
    cpu_account: Option<Arc<CpuAccount>>,
    /// Its load averages, once somebody has asked.
    pub(super) load: Once<Arc<CgroupLoad>>,
}

impl Cgroup {
    pub(super) fn new(
        hierarchy: &Arc<Hierarchy>,
        parent: Option<&Arc<Cgroup>>,
        name: &[u8],
        owner: NodeOwner,
    ) -> Arc<Cgroup> {
        let koid = hierarchy.shared.koids.allocate();
        hierarchy.nr_cgroups.fetch_add(1, Ordering::Relaxed);
        let cpu_account = hierarchy.on_dfl().then(|| {
            let parent = parent.and_then(|parent| parent.cpu_account.clone());
            CpuAccount::new(parent, hierarchy.shared.nr_cpus)
        });
        let cgroup = Arc::new(Cgroup {
            koid,
            hierarchy: hierarchy.clone(),
            parent: parent.cloned(),
            level: parent.map_or(0, |parent| parent.level + 1),
            name: SpinLock::new(Name::from_slice(name)),
            children: SpinLock::default(),
            flags: AtomicU32::new(0),
            dead: AtomicBool::new(false),
            csses: SpinLock::new([const { None }; SubsysId::COUNT]),
            subtree_control: AtomicU16::new(0),
            nr_descendants: AtomicU32::new(0),
            nr_dying_descendants: AtomicU32::new(0),
            nr_threaded_children: AtomicU32::new(0),
            max_descendants: AtomicI32::new(i32::MAX),
            max_depth: AtomicI32::new(i32::MAX),
            state: State::default(),
            sets: SpinLock::default(),
            freeze_self: AtomicBool::new(false),
            nodes: Nodes::new(owner),
            bpf: CgroupBpf::default(),
            cpu_account,
            load: Once::new(),
        });
        let object: Arc<dyn KObject> = cgroup.clone();
        hierarchy.shared.koids.register(&object);
        cgroup
    }
    /// Its identity; also its inode number and what `name_to_handle_at(2)` would give.
    pub fn koid(&self) -> KoID {
        self.koid
    }
    /// The root's number of every hierarchy.
    pub const ROOT_ID: u64 = 1;
    /// The number that user space knows it by: that of its directory's inode (Linux's `cgroup_id`).
    pub fn id(&self) -> u64 {
        if self.is_root() {
            Cgroup::ROOT_ID
        } else {
            self.koid.0
        }
    }
    /// The tree that it is in.
    pub fn hierarchy(&self) -> &Arc<Hierarchy> {
        &self.hierarchy
    }
    /// Whether it is in cgroup2.
    pub fn on_dfl(&self) -> bool {
        self.hierarchy.on_dfl()
    }
    /// The one above; `None` for a root.
    pub fn parent(&self) -> Option<&Arc<Cgroup>> {
        self.parent.as_ref()
    }
    /// Whether it is the root of its hierarchy.
    pub fn is_root(&self) -> bool {
        self.parent.is_none()
    }
    /// Distance from the root.
    pub fn level(&self) -> u32 {
        self.level
    }
    /// Its name in its parent.
    pub fn name(&self) -> Name {
        self.name.lock().clone()
    }
    pub(super) fn set_name(&self, name: &[u8]) {
        *self.name.lock() = Name::from_slice(name);
    }
    /// Itself and its ancestors, up to the root.
    pub fn self_and_ancestors(self: &Arc<Cgroup>) -> impl Iterator<Item = &Arc<Cgroup>> {
        core::iter::successors(Some(self), |cgroup| cgroup.parent())
    }
    /// Whether `ancestor` is this or above it.
    pub fn is_descendant(self: &Arc<Cgroup>, ancestor: &Arc<Cgroup>) -> bool {
        self.self_and_ancestors()
            .any(|cgroup| Arc::ptr_eq(cgroup, ancestor))
    }
    /// Whether it was removed.
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }
    pub(super) fn set_dead(&self, _: &mut CgroupMembership) {
        self.dead.store(true, Ordering::Release);
    }
    /// Its state.
    pub fn flags(&self) -> CgroupFlags {
        CgroupFlags::from_bits_retain(self.flags.load(Ordering::SeqCst))
    }
    pub(super) fn set_flags(&self, flags: CgroupFlags, on: bool) {
        if on {
            self.flags.fetch_or(flags.bits(), Ordering::SeqCst);
        } else {
            self.flags.fetch_and(!flags.bits(), Ordering::SeqCst);
        }
    }

    /// The css of a controller that is enabled here.
    pub fn css(&self, id: SubsysId) -> Option<Arc<Css>> {
        self.csses.lock()[id as usize].clone()
    }
    pub(super) fn set_css(&self, id: SubsysId, css: Option<Arc<Css>>) {
        let old = core::mem::replace(&mut self.csses.lock()[id as usize], css);
        drop(old);
    }
    /// The css that controls it: its own or, in cgroup2, that of the nearest ancestor with one. `None`
    /// if the controller is bound elsewhere.
    pub fn effective_css(self: &Arc<Cgroup>, id: SubsysId) -> Option<Arc<Css>> {
        if !self.hierarchy.has(id) {
            return None;
        }
        self.self_and_ancestors().find_map(|cgroup| cgroup.css(id))
    }

    /// Controllers that are enabled for its children.
    pub fn subtree_control(&self) -> SubsysMask {
        SubsysMask(self.subtree_control.load(Ordering::Acquire))
    }
    pub(super) fn set_subtree_control(&self, mask: SubsysMask, _: &mut CgroupMembership) {
        self.subtree_control.store(mask.0, Ordering::Release);
    }
    /// Controllers that it could enable for its children (`cgroup.controllers`).
    pub fn control(&self) -> SubsysMask {
        match &self.parent {
            None => self.hierarchy.subsys_mask().intersection(SubsysMask::on_dfl()),
            Some(parent) if self.is_threaded() => {
                parent.subtree_control().intersection(SubsysMask::threaded())
            }
            Some(parent) => parent.subtree_control(),
        }
    }

    /// Whether it is threaded: its tasks' domain is above.
    pub fn is_threaded(&self) -> bool {
        self.flags().contains(CgroupFlags::THREADED)
    }
    /// The domain of its tasks: itself, or for a threaded one the nearest ancestor that is not.
    pub fn domain(self: &Arc<Cgroup>) -> &Arc<Cgroup> {
        let mut at = self;
        while at.is_threaded() {
            let Some(parent) = at.parent() else { break };
            at = parent;
        }
        at
    }
    /// Whether there are tasks in it, or below.
    pub fn is_populated(&self) -> bool {
        let state = &self.state;
        state.populated_sets.load(Ordering::SeqCst) != 0
            || state.populated_domain_children.load(Ordering::SeqCst) != 0
            || state.populated_threaded_children.load(Ordering::SeqCst) != 0
    }
    /// Whether there are tasks in itself.
    pub fn has_tasks(&self) -> bool {
        self.state.populated_sets.load(Ordering::SeqCst) != 0
    }

    /// CPU time used in its subtree; none in v1.
    pub fn cpu_account(&self) -> Option<&Arc<CpuAccount>> {
        self.cpu_account.as_ref()
    }

    /// Living children, oldest first.
    pub fn children(&self) -> Vec<Arc<Cgroup>> {
        self.children.lock().by_age.values().cloned().collect()
    }
    /// Whether there are any.
    pub fn has_children(&self) -> bool {
        !self.children.lock().by_age.is_empty()
    }
    /// The living child of this name.
    pub fn child(&self, name: &[u8]) -> Option<Arc<Cgroup>> {
        self.children.lock().by_name.get(name).cloned()
    }
    /// The first child that is younger than `koid`.
    pub fn child_after(&self, koid: KoID) -> Option<Arc<Cgroup>> {
        use core::ops::Bound::{Excluded, Unbounded};
        let children = self.children.lock();
        let (_, child) = children.by_age.range((Excluded(koid), Unbounded)).next()?;
        Some(child.clone())
    }
    /// Itself and all living descendants, parents before children.
    pub fn subtree(self: &Arc<Cgroup>) -> Subtree {
        Subtree(alloc::vec![self.clone()])
    }

    /// The path from `root`, with `/..` for each level that `root` is below the common ancestor.
    pub fn path_from(self: &Arc<Cgroup>, root: &Arc<Cgroup>) -> Vec<u8> {
        let mut up = Vec::new();
        let common = {
            let mut at = root;
            loop {
                if self.is_descendant(at) {
                    break at;
                }
                up.extend_from_slice(b"/..");
                match at.parent() {
                    Some(parent) => at = parent,
                    None => break at,
                }
            }
        };
        let names: Vec<Name> = self
            .self_and_ancestors()
            .take_while(|cgroup| !Arc::ptr_eq(cgroup, common) && !cgroup.is_root())
            .map(|cgroup| cgroup.name())
            .collect();
        for name in names.iter().rev() {
            up.push(b'/');
            up.extend_from_slice(name);
        }
        if up.is_empty() {
            up.push(b'/');
        }
        up
    }

    /// The path from the root of its hierarchy.
    pub fn path(self: &Arc<Cgroup>) -> Vec<u8> {
        match self.self_and_ancestors().last() {
            Some(root) => self.path_from(root),
            None => Vec::new(),
        }
    }

    /// The files that it has now, with their controllers.
    pub(super) fn lines(&self) -> Vec<Line> {
        let dfl = self.on_dfl();
        let mut lines = Vec::new();
        let mut add = |id: Option<SubsysId>, table: &'static [CfType]| {
            lines.extend(
                table
                    .iter()
                    .filter(|line| line.is_in(self.is_root()))
                    .map(|line| (id, line)),
            );
        };
        add(
            None,
            if dfl {
                core_files::FILES
            } else {
                legacy_files::FILES
            },
        );
        if dfl {
            add(None, super::cpu::BASE_FILES);
        }
        for id in SubsysId::ALL {
            if self.csses.lock()[id as usize].is_some() {
                let subsys = id.subsys();
                add(
                    Some(id),
                    if dfl {
                        subsys.dfl_cftypes()
                    } else {
                        subsys.legacy_cftypes()
                    },
                );
            }
        }
        lines
    }

    /// Controllers that have a css here.
    pub(super) fn css_mask(&self) -> SubsysMask {
        let csses = self.csses.lock();
        let own = SubsysId::ALL
            .into_iter()
            .filter(|&id| csses[id as usize].is_some());
        own.fold(SubsysMask::EMPTY, SubsysMask::with)
    }
    /// Takes csses out, for the caller to end.
    pub(super) fn detach(&self, mask: SubsysMask) -> Vec<Arc<Css>> {
        let mut csses = self.csses.lock();
        mask.iter().filter_map(|id| csses[id as usize].take()).collect()
    }
    /// The sets of tasks that are in it.
    pub fn sets(self: &Arc<Cgroup>) -> Vec<Arc<CssSet>> {
        if self.on_dfl() || !self.is_root() {
            return self.sets.lock().values().filter_map(Weak::upgrade).collect();
        }
        // A set does not name the roots of v1.
        let mut all = self.hierarchy.shared.sets.lock().all();
        all.retain(|set| {
            let own = set.cgroup(&self.hierarchy);
            own.is_some_and(|own| Arc::ptr_eq(&own, self))
        });
        all
    }
}

/// A walk over a subtree.
pub struct Subtree(Vec<Arc<Cgroup>>);

impl Iterator for Subtree {
    type Item = Arc<Cgroup>;
    fn next(&mut self) -> Option<Arc<Cgroup>> {
        let next = self.0.pop()?;
        let children = next.children.lock();
        self.0.extend(children.by_age.values().rev().cloned());
        drop(children);
        Some(next)
    }
}

impl KObject for Cgroup {
    fn koid(&self) -> KoID {
        self.koid
    }
}

impl Drop for Cgroup {
    /// Ancestors that go with it go one after the other: a tree may be deeper than the kernel's stack.
    fn drop(&mut self) {
        fn leave(cgroup: &mut Cgroup) -> Option<Arc<Cgroup>> {
            cgroup.hierarchy.shared.koids.forget(cgroup.koid);
            let dead = *cgroup.dead.get_mut();
            let parent = cgroup.parent.take()?;
            if dead {
                for above in parent.self_and_ancestors() {
                    above.nr_dying_descendants.fetch_sub(1, Ordering::Relaxed);
                }
            }
            Some(parent)
        }
        let mut above = leave(self);
        while let Some(parent) = above {
            above = match Arc::into_inner(parent) {
                Some(mut parent) => leave(&mut parent),
                None => None,
            };
        }
    }
}
