//! The machine as a container has it: what mounts of procfs and sysfs with the option `cgview` show (on
//! Linux that is the work of LXCFS).
//!
//! Model: a view begins at the root of the reader's cgroup namespace, in each hierarchy. What that cgroup and
//! those above it leave of the machine is the container's: CPUs by `cpuset` and by the quota of `cpu`, rounded
//! up to whole ones and numbered from 0; memory by the lowest limit. A controller whose root
//! cgroup is the hierarchy's own leaves everything, so without limits the view is the machine.
//!
//! The container has been up since the first process of the reader's pid namespace started.

use alloc::sync::{Arc, Weak};

use super::cpu::group_of_css;
use super::cpuacct::CpuacctCss;
use super::cpuset::CpusetCss;
use super::memory::memcg_of_css;
use super::{Cgroup, Css, SubsysId};
use crate::ids::{CpuId, PAGE_SIZE};
use crate::kernel::Kernel;
use crate::mm::memcg::Item;
use crate::namespace::CgroupNamespace;
use crate::sched::{CpuAccount, CpuMask, CpuTimes, LOAD_PERIOD, LoadAverage};
use crate::task::{Task, TaskState};
use crate::time::{Ktime, TimerCallback, Timers};

/// What one reader is shown.
pub struct View<'a> {
    reader: &'a Arc<Task>,
    ns: Arc<CgroupNamespace>,
}

/// A container's memory, in pages.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct MemoryView {
    /// The lowest limit.
    pub total: usize,
    /// What can still be had.
    pub free: usize,
    /// Private memory.
    pub anon: usize,
    /// Pages of files.
    pub file: usize,
    /// Of these, in page tables.
    pub mapped: usize,
    /// Kernel objects.
    pub slab: usize,
    /// Kernel stacks.
    pub kernel_stack: usize,
    /// Page tables.
    pub page_tables: usize,
}

/// What a CPU of the container did, in nanoseconds.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct CpuView {
    /// In user mode.
    pub user: u64,
    /// In the kernel.
    pub system: u64,
    /// Not used by the container.
    pub idle: u64,
}

impl<'a> View<'a> {
    /// The view of a task that has not exited.
    pub fn of(reader: &'a Arc<Task>) -> Option<View<'a>> {
        let ns = reader.try_nsproxy()?.cgroup_ns.clone();
        Some(View { reader, ns })
    }

    fn kernel(&self) -> &Arc<Kernel> {
        self.reader.kernel()
    }

    /// The root in the hierarchy of a controller.
    fn root(&self, id: SubsysId) -> Option<Arc<Cgroup>> {
        let membership = self.kernel().cgroups.lock();
        let mut hierarchies = membership.hierarchies.iter().map(|root| &root.hierarchy);
        let hierarchy = hierarchies.find(|hierarchy| hierarchy.has(id))?.clone();
        drop(membership);
        self.ns.root(&hierarchy)
    }

    fn css(&self, id: SubsysId) -> Arc<Css> {
        let css = self.root(id).and_then(|root| root.effective_css(id));
        css.unwrap_or_else(|| self.kernel().cgroups.root_css(id).clone())
    }

    /// Its CPUs, numbered from 0.
    pub fn cpus(&self) -> CpuMask {
        let cpus = self.css(SubsysId::Cpuset).data::<CpusetCss>().effective_cpus();
        let machine = self.kernel().sched.cpu_mask();
        let mut count = cpus.and(machine).count().max(1) as u64;
        let css = self.css(SubsysId::Cpu);
        let mut at = Some(group_of_css(&css));
        while let Some(group) = at {
            let limit = group.bandwidth().limit();
            if let Some(quota) = limit.quota {
                count = count.min(quota.div_ceil(limit.period).max(1));
            }
            at = group.parent();
        }
        CpuMask::first_n(count as usize)
    }

    /// Where its CPU time is counted; `None`: it is that of the machine.
    fn account(&self) -> Option<Arc<CpuAccount>> {
        let css = self.css(SubsysId::Cpuacct);
        if !css.is_root() && css.cgroup().is_some_and(|cgroup| !cgroup.on_dfl()) {
            return Some(css.data::<CpuacctCss>().account.clone());
        }
        let root = self.ns.dfl_root();
        root.cpu_account().filter(|_| !root.is_root()).cloned()
    }

    /// Nanoseconds that it has been up.
    pub fn uptime(&self) -> u64 {
        let init = self.reader.pid_ns().child_reaper();
        let start = init.map_or(Ktime(0), |init| init.start_time);
        self.kernel().hal.now().0.saturating_sub(start.0)
    }

    /// What its CPUs did since it is up, by number; `None`: what the machine's did.
    pub fn cpu_times(&self) -> Option<impl Iterator<Item = CpuView> + use<>> {
        let account = self.account()?;
        let sched = &self.kernel().sched;
        sched.flush_accounts();
        let (up, shown, machine) = (self.uptime(), self.cpus().count(), sched.cpu_mask());
        let all = account.times();
        // Time was used on any CPU of the machine: the container's have equal parts.
        let share = move |n: usize, sum: u64| (sum + n as u64) / shown as u64;
        let one = machine.count() == shown;
        Some((0..shown).map(move |n| {
            let used = match one {
                true => account.on_cpu(CpuId(n as u32)),
                false => CpuTimes {
                    user: share(n, all.user),
                    system: share(n, all.system),
                },
            };
            CpuView {
                user: used.user,
                system: used.system,
                idle: up.saturating_sub(used.user + used.system),
            }
        }))
    }

    /// Its memory; `None`: all of the machine's.
    pub fn memory(&self) -> Option<MemoryView> {
        let css = self.css(SubsysId::Memory);
        let memcg = memcg_of_css(&css);
        if memcg.is_root() {
            return None;
        }
        let memory = &self.kernel().memory;
        let machine = self.kernel().hal.frame_stats();
        memory.control.drain(memcg);
        let (mut total, mut free) = (machine.total as u64, machine.free as u64);
        for css in css.self_and_ancestors() {
            let memcg = memcg_of_css(css);
            if !memcg.is_root() {
                let (max, usage) = (memcg.memory.max(), memcg.memory.usage());
                total = total.min(max);
                free = free.min(max.saturating_sub(usage));
            }
        }
        let pages = |item| memcg.stat(item) as usize;
        Some(MemoryView {
            total: total as usize,
            free: free.min(total.saturating_sub(memcg.memory.usage())) as usize,
            anon: pages(Item::Anon),
            file: pages(Item::Shmem),
            mapped: pages(Item::Mapped),
            slab: pages(Item::Slab).div_ceil(PAGE_SIZE),
            kernel_stack: pages(Item::KernelStack),
            page_tables: pages(Item::PageTables),
        })
    }

    /// The cgroup whose tasks the container's are; `None`: all are.
    fn tasks(&self) -> Option<Arc<Cgroup>> {
        let dfl = self.ns.dfl_root();
        if !dfl.is_root() {
            return Some(dfl.clone());
        }
        let mut roots = SubsysId::ALL.into_iter().filter_map(|id| self.root(id));
        roots.find(|root| !root.is_root())
    }

    /// Load averages as `/proc/loadavg` has them, tasks that run or could, and all; `None`: those of the
    /// machine. The averages begin when the first reader asks.
    pub fn load(&self) -> Option<([u64; 3], u64, usize)> {
        let cgroup = self.tasks()?;
        let now = self.kernel().hal.now();
        let load = cgroup.load.call_once(|| {
            let load = Arc::new(CgroupLoad {
                cgroup: Arc::downgrade(&cgroup),
                timers: self.kernel().timers.clone(),
                average: LoadAverage::new(now),
            });
            load.timers.add(Ktime(now.0 + LOAD_PERIOD), load.clone());
            load
        });
        let (running, all) = count_tasks(&cgroup);
        Some((load.average.loads(), running, all))
    }
}

/// The tasks of a subtree that run or could, and all.
fn count_tasks(top: &Arc<Cgroup>) -> (u64, usize) {
    let (mut running, mut all) = (0, 0);
    for set in top.subtree().flat_map(|cgroup| cgroup.sets()) {
        let tasks = set.tasks.lock();
        all += tasks.live.len();
        let runs = |task: &&Arc<Task>| task.sched.state() == TaskState::Running;
        running += tasks.live.values().filter(runs).count() as u64;
    }
    (running, all)
}

/// The load of a cgroup that somebody looks at, sampled as long as that lives.
pub(super) struct CgroupLoad {
    cgroup: Weak<Cgroup>,
    timers: Arc<Timers>,
    average: LoadAverage,
}

impl TimerCallback for CgroupLoad {
    fn fire(self: Arc<Self>, now: Ktime) {
        let Some(cgroup) = self.cgroup.upgrade().filter(|cgroup| !cgroup.is_dead()) else {
            return;
        };
        self.average.catch_up(now, || count_tasks(&cgroup).0);
        let timers = self.timers.clone();
        timers.add(Ktime(now.0 + LOAD_PERIOD), self);
    }
}
