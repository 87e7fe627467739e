//! All hierarchies of a kernel, and the lock over them (Linux's `cgroup_mutex`).
//!
//! The lock's content is the token: functions that change a tree, bind a controller or move a task take
//! `&mut CgroupMembership`, which only the lock can lend.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use super::fs::NodeOwner;
use super::hierarchy::Shared;
use super::{Cgroup, Css, CssSet, Hierarchy, SubsysId, SubsysMask};
use crate::error::Result;
use crate::hal::Hal;
use crate::kernel::Kernel;
use crate::kobject::KoidTable;
use crate::mm::Memory;
use crate::sched::Scheduler;
use crate::sync::{SpinGuard, SpinLock, class};
use crate::time::Timekeeper;
use crate::{bail, ensure, err};

/// What a controller may need to make its data: the parts of a kernel.
#[allow(missing_docs)]
pub struct CssEnv<'a> {
    pub hal: &'a Arc<dyn Hal>,
    pub memory: &'a Arc<Memory>,
    pub sched: &'a Scheduler,
    pub time: &'a Arc<Timekeeper>,
}

impl Kernel {
    /// For the controllers.
    pub fn css_env(&self) -> CssEnv<'_> {
        CssEnv {
            hal: &self.hal,
            memory: &self.memory,
            sched: &self.sched,
            time: &self.time,
        }
    }
}

/// Proof that the trees and the membership of tasks may be changed.
pub struct CgroupMembership {
    pub(super) hierarchies: Vec<Root>,
    pub(super) next_hierarchy: u32,
}

/// A hierarchy with its root, which lives as long as it is here.
pub(super) struct Root {
    pub hierarchy: Arc<Hierarchy>,
    pub cgroup: Arc<Cgroup>,
}

/// All hierarchies.
pub struct Cgroups {
    pub(super) shared: Arc<Shared>,
    membership: SpinLock<CgroupMembership, class::CgroupMembership>,
    dfl: Arc<Cgroup>,
    root_css: [Arc<Css>; SubsysId::COUNT],
    init_set: Arc<CssSet>,
}

impl Cgroups {
    /// The default hierarchy with all controllers that it can have, and no task.
    pub fn new(koids: &Arc<KoidTable>, env: &CssEnv<'_>) -> Cgroups {
        let shared = Arc::new(Shared {
            nr_cpus: env.hal.nr_cpus(),
            koids: koids.clone(),
            state: SpinLock::new(()),
            sets: SpinLock::default(),
            released: Default::default(),
            unmounted: AtomicBool::new(false),
            dfl_visible: AtomicBool::new(false),
        });
        let hierarchy = Hierarchy::new(&shared, 0, Vec::new());
        let dfl = Cgroup::new(&hierarchy, None, b"", NodeOwner::root(env.time));
        hierarchy.set_root(&dfl);
        hierarchy.set_subsys_mask(SubsysMask::filter(|_| true));
        let root_css = SubsysId::ALL.map(|id| {
            let subsys = id.subsys();
            let data = subsys.css_alloc(env, None).expect("the root of a controller");
            let css = Css::new(koids.allocate(), id, None, data);
            css.set_cgroup(&dfl);
            dfl.set_css(id, Some(css.clone()));
            subsys.css_online(&css).expect("the root of a controller");
            css.set_online(true);
            css
        });
        let init_set = CssSet::root(&shared, &dfl, root_css.clone());
        Cgroups {
            shared,
            membership: SpinLock::new(CgroupMembership {
                hierarchies: alloc::vec![Root {
                    hierarchy,
                    cgroup: dfl.clone(),
                }],
                next_hierarchy: 1,
            }),
            dfl,
            root_css,
            init_set,
        }
    }
    /// Lends the token.
    pub fn lock(&self) -> SpinGuard<'_, CgroupMembership, class::CgroupMembership> {
        let mut membership = self.membership.lock();
        if self.shared.unmounted.swap(false, Ordering::AcqRel) {
            membership.reap_hierarchies();
        }
        membership
    }
    /// Whether cgroup2 was ever mounted: `/proc/PID/cgroup` leaves it out before.
    pub fn dfl_is_visible(&self) -> bool {
        self.shared.dfl_visible.load(Ordering::Relaxed)
    }
    /// The root of cgroup2.
    pub fn dfl_root(&self) -> &Arc<Cgroup> {
        &self.dfl
    }
    /// The root's css of a controller, in whatever hierarchy it is.
    pub fn root_css(&self, id: SubsysId) -> &Arc<Css> {
        &self.root_css[id as usize]
    }
    /// The set of the first process.
    pub fn init_set(&self) -> &Arc<CssSet> {
        &self.init_set
    }
}

impl CgroupMembership {
    /// Makes a css for `cgroup`, not yet its own.
    fn make_css(&mut self, env: &CssEnv<'_>, cgroup: &Arc<Cgroup>, id: SubsysId) -> Result<Arc<Css>> {
        let parent = cgroup.parent().and_then(|parent| parent.effective_css(id));
        let data = id.subsys().css_alloc(env, parent.as_ref())?;
        let css = Css::new(cgroup.hierarchy().shared.koids.allocate(), id, parent, data);
        css.set_cgroup(cgroup);
        Ok(css)
    }

    /// Gives `cgroup` a css of each controller in `mask`, all or none.
    pub(super) fn online_css(
        &mut self,
        env: &CssEnv<'_>,
        cgroup: &Arc<Cgroup>,
        mask: SubsysMask,
    ) -> Result<()> {
        let mut done = SubsysMask::EMPTY;
        for id in mask.iter() {
            let made = self.make_css(env, cgroup, id).and_then(|css| {
                cgroup.set_css(id, Some(css.clone()));
                let online = id.subsys().css_online(&css);
                if online.is_err() {
                    cgroup.set_css(id, None);
                }
                online?;
                css.set_online(true);
                Ok(())
            });
            if let Err(error) = made {
                self.offline_css(cgroup, done);
                return Err(error);
            }
            done = done.with(id);
        }
        Ok(())
    }

    /// Takes the csses in `mask` away from `cgroup`. They live on while somebody refers to them.
    pub(super) fn offline_css(&mut self, cgroup: &Arc<Cgroup>, mask: SubsysMask) {
        for id in mask.iter() {
            if let Some(css) = cgroup.css(id) {
                css.set_online(false);
                id.subsys().css_offline(&css);
                cgroup.set_css(id, None);
            }
        }
    }

    /// `mkdir`: a new child of `parent`. `ENODEV` if that is gone, `EEXIST`, `EAGAIN` at a limit.
    pub fn create(
        &mut self,
        env: &CssEnv<'_>,
        parent: &Arc<Cgroup>,
        name: &[u8],
        owner: NodeOwner,
    ) -> Result<Arc<Cgroup>> {
        ensure!(!parent.is_dead(), ENODEV, "mkdir: the cgroup is gone");
        ensure!(
            !name.contains(&b'\n'),
            EINVAL,
            "mkdir: a newline in the name of a cgroup"
        );
        let mut depth = 0;
        for above in parent.self_and_ancestors() {
            depth += 1;
            let descendants = above.nr_descendants.load(Ordering::Relaxed) as i32;
            ensure!(
                descendants < above.max_descendants.load(Ordering::Relaxed)
                    && depth <= above.max_depth.load(Ordering::Relaxed),
                EAGAIN,
                "mkdir: cgroup.max.descendants or cgroup.max.depth of an ancestor"
            );
        }
        if parent.child(name).is_some() {
            bail!(EEXIST);
        }
        let cgroup = Cgroup::new(parent.hierarchy(), Some(parent), name, owner);
        cgroup.inherit(parent);
        let mask = if parent.on_dfl() {
            cgroup.control()
        } else {
            parent.hierarchy().subsys_mask()
        };
        if let Err(error) = self.online_css(env, &cgroup, mask) {
            parent.hierarchy().nr_cgroups.fetch_sub(1, Ordering::Relaxed);
            return Err(error);
        }
        for above in parent.self_and_ancestors() {
            above.nr_descendants.fetch_add(1, Ordering::Relaxed);
        }
        cgroup.bpf_online(parent);
        let mut children = parent.children.lock();
        children.by_name.insert(cgroup.name(), cgroup.clone());
        children.by_age.insert(cgroup.koid(), cgroup.clone());
        drop(children);
        cgroup.joins_parent(parent);
        Ok(cgroup)
    }

    /// A v1 cgroup gets another name.
    pub fn rename(&mut self, cgroup: &Arc<Cgroup>, name: &[u8]) -> Result<()> {
        ensure!(!cgroup.is_dead(), ENOENT, "rename: the cgroup is gone");
        let parent = cgroup.parent().ok_or(err!(EINVAL, "rename: a root"))?;
        let mut children = parent.children.lock();
        ensure!(
            !children.by_name.contains_key(name),
            EEXIST,
            "rename: the name is taken"
        );
        let child = children.by_name.remove(&cgroup.name());
        cgroup.set_name(name);
        if let Some(child) = child {
            children.by_name.insert(cgroup.name(), child);
        }
        Ok(())
    }

    /// `rmdir`: `EBUSY` while there are tasks or children in it, `ENODEV` if it is gone.
    pub fn destroy(&mut self, cgroup: &Arc<Cgroup>) -> Result<()> {
        ensure!(!cgroup.is_dead(), ENODEV, "rmdir: the cgroup is gone");
        let Some(parent) = cgroup.parent() else {
            bail!(EBUSY, "rmdir: the root of a hierarchy")
        };
        ensure!(
            !cgroup.is_populated() && !cgroup.has_children(),
            EBUSY,
            "rmdir: there are tasks or cgroups in it"
        );
        cgroup.set_dead(self);
        cgroup.bpf_offline();
        self.offline_css(cgroup, SubsysMask::filter(|_| true));
        cgroup.leaves_parent(parent);
        for above in parent.self_and_ancestors() {
            above.nr_descendants.fetch_sub(1, Ordering::Relaxed);
            above.nr_dying_descendants.fetch_add(1, Ordering::Relaxed);
        }
        if cgroup.is_threaded() {
            parent.nr_threaded_children.fetch_sub(1, Ordering::Relaxed);
        }
        cgroup.hierarchy().nr_cgroups.fetch_sub(1, Ordering::Relaxed);
        let gone = {
            let mut children = parent.children.lock();
            children.by_age.remove(&cgroup.koid());
            children.by_name.remove(&cgroup.name())
        };
        drop(gone);
        Ok(())
    }
}
