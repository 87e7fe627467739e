//! Moving tasks between cgroups, several at once, all or nothing.
//!
//! 1. Collect the threads, find or make the set that each goes to.
//! 2. Ask every controller whose css changes (`can_attach`); a refusal undoes those asked before.
//! 3. Under the signal lock of each process, look whether a thread was born meanwhile: if so, start
//!    again. Otherwise every thread that still lives changes its set (`moved`). Nothing here can fail.
//! 4. Tell the controllers (`attach`).
//!
//! A fork never waits for this: see [`fork`](super::fork).

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Cgroup, CgroupMembership, Css, CssSet, SubsysId, SubsysMask};
use crate::error::Result;
use crate::task::{Task, ThreadGroup};

/// A task that moves.
#[derive(Clone)]
pub struct Moved {
    /// Which.
    pub task: Arc<Task>,
    /// Where it is.
    pub from: Arc<CssSet>,
    /// Where it goes.
    pub to: Arc<CssSet>,
}

/// The tasks of a migration as one controller sees them.
pub struct Taskset<'a> {
    id: SubsysId,
    moved: &'a [Moved],
}

impl<'a> Taskset<'a> {
    /// Each task that changes its css, with the old and the new one.
    pub fn iter(&self) -> impl Iterator<Item = (&'a Arc<Task>, &'a Arc<Css>, &'a Arc<Css>)> {
        let id = self.id;
        let all = self.moved.iter();
        all.map(move |moved| (&moved.task, moved.from.css(id), moved.to.css(id)))
            .filter(|(_, from, to)| !Arc::ptr_eq(from, to))
    }
    /// Likewise, but only tasks that lead their process.
    pub fn leaders(&self) -> impl Iterator<Item = (&'a Arc<Task>, &'a Arc<Css>, &'a Arc<Css>)> {
        self.iter().filter(|(task, _, _)| task.is_leader())
    }
}

/// The controllers whose css changes for some task.
fn changed(moved: &[Moved]) -> SubsysMask {
    let ids = SubsysId::ALL.into_iter().filter(|&id| {
        let mut moved = moved.iter();
        moved.any(|moved| !Arc::ptr_eq(moved.from.css(id), moved.to.css(id)))
    });
    ids.fold(SubsysMask::EMPTY, SubsysMask::with)
}

/// Threads that have not begun to exit.
fn living_threads(group: &ThreadGroup) -> Vec<Arc<Task>> {
    let state = group.signal.lock();
    let living = state.threads.iter().filter(|thread| !thread.is_exiting());
    living.cloned().collect()
}

impl CgroupMembership {
    /// Moves `leader`'s process (`whole`) or the task alone to `to`. Permission and the rules of cgroup2
    /// have been looked at.
    pub fn attach(&mut self, to: &Arc<Cgroup>, leader: &Arc<Task>, whole: bool) -> Result<()> {
        loop {
            let tasks = if whole {
                living_threads(leader.group())
            } else if leader.is_exiting() {
                Vec::new()
            } else {
                alloc::vec![leader.clone()]
            };
            let moved = tasks.iter().map(|task| {
                let from = task.css_set();
                Moved {
                    task: task.clone(),
                    to: from.with_cgroup(to, self),
                    from,
                }
            });
            let moved = moved.filter(Moved::moves).collect();
            let whole = whole.then(|| (leader.group(), &tasks[..]));
            if self.migrate(moved, whole)? {
                return Ok(());
            }
        }
    }

    /// Moves tasks whose sets are found. With `whole`, a process and its threads as they were seen: false,
    /// with nothing changed, if there are others by now.
    pub(super) fn migrate(
        &mut self,
        moved: Vec<Moved>,
        whole: Option<(&Arc<ThreadGroup>, &[Arc<Task>])>,
    ) -> Result<bool> {
        let controllers = changed(&moved);
        for id in controllers.iter() {
            if let Err(error) = id.subsys().can_attach(&Taskset { id, moved: &moved }) {
                cancel(controllers.iter().take_while(|&done| done != id), &moved);
                return Err(error);
            }
        }
        let (moved, stayed): (Vec<Moved>, Vec<Moved>) = {
            let _signal = match whole {
                None => None,
                Some((group, seen)) => {
                    let state = group.signal.lock();
                    let known = |thread: &Arc<Task>| seen.iter().any(|task| Arc::ptr_eq(task, thread));
                    let newcomer = state
                        .threads
                        .iter()
                        .any(|thread| !thread.is_exiting() && !known(thread));
                    if newcomer {
                        drop(state);
                        cancel(controllers.iter(), &moved);
                        return Ok(false);
                    }
                    Some(state)
                }
            };
            moved.into_iter().partition(Moved::commit)
        };
        cancel(controllers.iter(), &stayed);
        for id in controllers.iter() {
            id.subsys().attach(&Taskset { id, moved: &moved });
        }
        Ok(true)
    }
}

/// What `can_attach` took for these is given back.
fn cancel(controllers: impl Iterator<Item = SubsysId>, moved: &[Moved]) {
    if moved.is_empty() {
        return;
    }
    for id in controllers {
        id.subsys().cancel_attach(&Taskset { id, moved });
    }
}

impl Moved {
    fn moves(&self) -> bool {
        !Arc::ptr_eq(&self.from, &self.to)
    }

    /// The switch. False if the task has left its set: it exits.
    fn commit(&self) -> bool {
        let Moved { task, from, to } = self;
        let mut old = from.tasks.lock();
        if old.live.remove(&task.koid()).is_none() {
            return false;
        }
        let mut new = to.tasks.lock_nested();
        if new.live.is_empty() {
            to.populated_changed(true);
        }
        new.live.insert(task.koid(), task.clone());
        let (here, there) = (from.dfl_cgroup(), to.dfl_cgroup());
        if !Arc::ptr_eq(here, there) {
            here.count_task(task, false);
            there.count_task(task, true);
        }
        let before = core::mem::replace(&mut *task.cgroups.lock(), to.clone());
        task.follow_css_set(to);
        for id in SubsysId::ALL {
            if !Arc::ptr_eq(from.css(id), to.css(id)) {
                id.subsys().moved(task, from.css(id), to.css(id));
            }
        }
        if old.live.is_empty() {
            from.populated_changed(false);
        }
        drop((new, old));
        drop(before);
        true
    }
}
