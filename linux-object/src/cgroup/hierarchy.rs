//! A tree of cgroups (Linux's `cgroup_root`).

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, Ordering};

use spin::Once;

use super::css_set::SetTable;
use super::release::Released;
use super::{Cgroup, SubsysId, SubsysMask};
use crate::fs::SuperBlock;
use crate::kobject::KoidTable;
use crate::sync::{SpinLock, class};

bitflags::bitflags! {
    /// Mount options of a hierarchy.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct RootFlags: u32 {
        /// v1: controllers' files have no prefix.
        const NOPREFIX = 1 << 1;
        /// v2: cgroup namespaces are delegation boundaries.
        const NS_DELEGATE = 1 << 3;
        /// Migrations are to be fast. They are; the option is only shown.
        const FAVOR_DYNMODS = 1 << 4;
        /// v2: `memory.events` counts what happened in the cgroup itself only.
        const MEMORY_LOCAL_EVENTS = 1 << 17;
        /// v2: `memory.low` and `memory.min` protect the whole subtree.
        const MEMORY_RECURSIVE_PROT = 1 << 18;
        /// v1: extended attributes are allowed.
        const XATTR = 1 << 2;
    }
}

/// What all trees share.
pub struct Shared {
    pub(super) nr_cpus: usize,
    pub(super) koids: Arc<KoidTable>,
    /// Populated and frozen states follow tasks under this lock.
    pub(super) state: SpinLock<(), class::CgroupState>,
    pub(super) sets: SpinLock<SetTable, class::CssSetTable>,
    /// v1: cgroups that became empty.
    pub(super) released: Released,
    /// A v1 hierarchy lost its last mount: it may be gone.
    pub(super) unmounted: AtomicBool,
    /// cgroup2 was mounted.
    pub(super) dfl_visible: AtomicBool,
}

/// A hierarchy.
pub struct Hierarchy {
    pub(super) shared: Arc<Shared>,
    id: u32,
    name: Vec<u8>,
    subsys: AtomicU16,
    flags: AtomicU32,
    root: Once<Weak<Cgroup>>,
    /// Its superblock while it is mounted.
    pub(super) sb: SpinLock<Weak<SuperBlock>, class::Leaf>,
    /// v1: run when a cgroup with `notify_on_release` becomes empty.
    pub release_agent: SpinLock<Vec<u8>, class::Leaf>,
    /// Living cgroups, the root included.
    pub(super) nr_cgroups: AtomicU32,
}

impl Hierarchy {
    pub(super) fn new(shared: &Arc<Shared>, id: u32, name: Vec<u8>) -> Arc<Hierarchy> {
        Arc::new(Hierarchy {
            shared: shared.clone(),
            id,
            name,
            subsys: AtomicU16::new(0),
            flags: AtomicU32::new(0),
            root: Once::new(),
            sb: SpinLock::new(Weak::new()),
            release_agent: SpinLock::default(),
            nr_cgroups: AtomicU32::new(0),
        })
    }
    pub(super) fn set_root(&self, root: &Arc<Cgroup>) {
        self.root.call_once(|| Arc::downgrade(root));
    }
    /// The number in `/proc/PID/cgroup`; 0 is cgroup2.
    pub fn id(&self) -> u32 {
        self.id
    }
    /// Whether it is the default one, cgroup2.
    pub fn on_dfl(&self) -> bool {
        self.id == 0
    }
    /// The `name=` that a v1 hierarchy was mounted with; empty without.
    pub fn name(&self) -> &[u8] {
        &self.name
    }
    /// Its root; `None` once a v1 hierarchy is gone.
    pub fn root(&self) -> Option<Arc<Cgroup>> {
        self.root.get()?.upgrade()
    }
    /// The controllers that are bound to it.
    pub fn subsys_mask(&self) -> SubsysMask {
        SubsysMask(self.subsys.load(Ordering::Acquire))
    }
    pub(super) fn set_subsys_mask(&self, mask: SubsysMask) {
        self.subsys.store(mask.0, Ordering::Release);
    }
    /// Whether a controller is bound to it.
    pub fn has(&self, id: SubsysId) -> bool {
        self.subsys_mask().contains(id)
    }
    /// Its options.
    pub fn flags(&self) -> RootFlags {
        RootFlags::from_bits_retain(self.flags.load(Ordering::Acquire))
    }
    /// Replaces them.
    pub fn set_flags(&self, flags: RootFlags) {
        self.flags.store(flags.bits(), Ordering::Release);
    }
}
