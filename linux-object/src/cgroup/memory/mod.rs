//! The memory controller (`cgroup-v2.rst`, "Memory"; `cgroup-v1/memory.rst`).
//!
//! The policy is [`crate::mm::memcg`] and [`crate::mm::oom`]; here are its place in the cgroup tree and its
//! files. An address space is charged to the cgroup of its *owner*, the process that made it by
//! `fork` or `execve`; what else a task makes is charged to its own cgroup. Charges stay when a task moves,
//! unless v1 is told otherwise ([`Immigration`]).

mod event_control;
mod limits;
mod stat;
mod v1;
mod v2;

use alloc::boxed::Box;
use alloc::sync::Arc;

use super::{Css, CssData, CssEnv, Subsys, SubsysId, Taskset};
use crate::cgroup::CfType;
use crate::error::Result;
use crate::mm::memcg::{Immigration, MemCgroup, MemControl};
use crate::task::{Task, ThreadFlags};

/// The controller.
pub struct Memory;

/// What it keeps.
pub struct MemoryCss {
    control: Arc<MemControl>,
    memcg: Arc<MemCgroup>,
}

/// The memory cgroup behind a css.
pub fn memcg_of_css(css: &Css) -> &Arc<MemCgroup> {
    &css.data::<MemoryCss>().memcg
}

/// The memory cgroup that a task is in.
pub fn memcg_of(task: &Task) -> Arc<MemCgroup> {
    memcg_of_css(task.css_set().css(SubsysId::Memory)).clone()
}

impl Subsys for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }
    fn css_alloc(&self, env: &CssEnv<'_>, parent: Option<&Arc<Css>>) -> Result<CssData> {
        let control = env.memory.control.clone();
        let memcg = match parent {
            Some(parent) => control.create(memcg_of_css(parent))?,
            None => control.root().clone(),
        };
        Ok(Box::new(MemoryCss { control, memcg }))
    }
    fn css_online(&self, css: &Arc<Css>) -> Result<()> {
        memcg_of_css(css).set_css(css);
        Ok(())
    }
    fn css_offline(&self, css: &Arc<Css>) {
        let data = css.data::<MemoryCss>();
        if !css.is_root() {
            data.control.offline(&data.memcg);
        }
    }
    fn can_attach(&self, set: &Taskset<'_>) -> Result<()> {
        // Charges move with one process whose leader moves, in v1 alone.
        let mut leaders = set.leaders();
        let (Some((task, from, to)), None) = (leaders.next(), leaders.next()) else {
            return Ok(());
        };
        let (from, to) = (memcg_of_css(from), memcg_of_css(to));
        let kinds = to.move_charge();
        if kinds.is_empty() || !to.is_legacy() {
            return Ok(());
        }
        if let Some(mm) = task.try_mm()
            && mm.owner() == task.group().koid()
        {
            let coming = Immigration::prepare(&mm, from, to, kinds)?;
            *task.kernel().memory.control.immigration.lock() = Some(coming);
        }
        Ok(())
    }
    fn cancel_attach(&self, set: &Taskset<'_>) {
        if let Some((task, _, _)) = set.leaders().next() {
            task.kernel().memory.control.take_immigration();
        }
    }
    fn attach(&self, set: &Taskset<'_>) {
        for (task, _, to) in set.leaders() {
            if let Some(mm) = task.try_mm()
                && mm.owner() == task.group().koid()
            {
                mm.set_memcg(memcg_of_css(to));
            }
            if let Some(coming) = task.kernel().memory.control.take_immigration() {
                coming.commit();
            }
        }
    }
    fn fork(&self, child: &Arc<Task>, css: &Arc<Css>) {
        // A new address space has no owner yet; a shared one keeps its owner.
        if child.is_leader()
            && let Some(mm) = child.try_mm()
            && mm.owner() == crate::ids::KoID(0)
        {
            mm.set_owner(child.group().koid(), memcg_of_css(css));
        }
    }
    fn exit(&self, task: &Arc<Task>, _css: &Arc<Css>) {
        task.memory.stop_waiting();
        if task.thread_flags().contains(ThreadFlags::MEMORY_EVENTS) {
            // It does not go to user mode any more.
            task.kernel().memory.control.tell_thresholds();
        }
    }
    fn legacy_cftypes(&self) -> &'static [CfType] {
        v1::FILES
    }
    fn dfl_cftypes(&self) -> &'static [CfType] {
        v2::FILES
    }
}
