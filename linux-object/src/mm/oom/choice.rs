//! Whom to kill: the process whose end frees most, moved by `oom_score_adj` (Linux's `oom_badness`, `proc(5)`).

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use super::patience::{FOR_OTHERS, FOR_VICTIMS};
use crate::cgroup::memory::memcg_of;
use crate::ids::PAGE_SIZE;
use crate::kernel::Kernel;
use crate::mm::Mm;
use crate::mm::memcg::MemCgroup;
use crate::task::ThreadGroup;

/// A process and its memory.
pub struct Victim {
    /// Who is to be killed.
    pub group: Arc<ThreadGroup>,
    /// What that frees.
    pub mm: Arc<Mm>,
}

/// Whom to kill.
pub enum Choice {
    /// This process.
    Kill(Victim),
    /// Nobody more: an earlier victim has not gone yet.
    Wait,
    /// Nobody is left that may be killed.
    Nobody,
}

/// The processes of a memory cgroup and below it; all but the first process for the machine.
pub(super) fn for_each_process(
    kernel: &Kernel,
    within: Option<&Arc<MemCgroup>>,
    mut f: impl FnMut(&Arc<ThreadGroup>, &Arc<Mm>),
) {
    kernel.tasks.for_each_group(&kernel.init_ns.pid_ns, |nr, group| {
        let Some((task, mm)) = group.find_thread(|task| Some((task.clone(), task.try_mm()?))) else {
            return;
        };
        if nr.0 != 1 && within.is_none_or(|within| memcg_of(&task).is_descendant(within)) {
            f(group, &mm);
        }
    });
}

/// What processes do that end, by themselves or killed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Ending {
    /// There are none.
    Nobody,
    /// Each of them waits for something.
    Waiting,
    /// Somebody runs or is about to, and gives back what it holds.
    AtWork,
}

fn ending(kernel: &Kernel, within: Option<&Arc<MemCgroup>>) -> Ending {
    let mut found = Ending::Nobody;
    kernel.tasks.for_each_group(&kernel.init_ns.pid_ns, |_, group| {
        if found == Ending::AtWork || !group.is_exiting() {
            return;
        }
        group.find_thread(|task| {
            if !task.has_exited() && within.is_none_or(|within| memcg_of(task).is_descendant(within)) {
                let does = if task.sched.on_rq() {
                    Ending::AtWork
                } else {
                    Ending::Waiting
                };
                found = found.max(does);
            }
            (found == Ending::AtWork).then_some(())
        });
    });
    found
}

/// Whether what victims still hold is worth waiting for, or with `others` what processes hold that end by themselves.
fn wait_for_others(kernel: &Kernel, within: Option<&Arc<MemCgroup>>, others: bool) -> bool {
    let (victims, patience) = match within {
        Some(memcg) => (
            memcg.oom_victims.load(Ordering::SeqCst) as usize,
            &memcg.oom_patience,
        ),
        None => (
            kernel.memory.oom_victims.load(Ordering::SeqCst),
            &kernel.memory.oom_patience,
        ),
    };
    if victims == 0 && !others {
        return false;
    }
    let ending = ending(kernel, within);
    let most = match victims {
        0 if ending == Ending::Nobody => return false,
        0 => FOR_OTHERS,
        _ => FOR_VICTIMS,
    };
    patience.lasts(kernel.time.now(), most, ending == Ending::AtWork)
}

/// The process whose end frees most, moved by `oom_score_adj`. The first process and those with -1000
/// are never chosen.
pub fn select_victim(kernel: &Kernel, within: Option<&Arc<MemCgroup>>) -> Choice {
    match wait_for_others(kernel, within, true) {
        true => Choice::Wait,
        false => worst(kernel, within),
    }
}

/// The same for one who cannot ask again later: earlier victims are all that is waited for.
pub(super) fn select_victim_now(kernel: &Kernel, within: &Arc<MemCgroup>) -> Choice {
    match wait_for_others(kernel, Some(within), false) {
        true => Choice::Wait,
        false => worst(kernel, Some(within)),
    }
}

fn worst(kernel: &Kernel, within: Option<&Arc<MemCgroup>>) -> Choice {
    let machine = kernel.hal.frame_stats().total as u64;
    let total = within.map_or(machine, |memcg| memcg.memory.max().min(machine));
    largest(kernel, within, |group, mm| {
        let adj = group.oom_score_adj.load(Ordering::Relaxed);
        mm.oom_badness(adj, total)
    })
}

/// The process that frees most of those that are never chosen, for the case that nobody else is left.
pub(super) fn select_spared(kernel: &Kernel) -> Choice {
    largest(kernel, None, |_, mm| mm.oom_badness(0, 0))
}

/// The process with the most points of those that do not end already.
fn largest(
    kernel: &Kernel,
    within: Option<&Arc<MemCgroup>>,
    points: impl Fn(&Arc<ThreadGroup>, &Arc<Mm>) -> Option<i64>,
) -> Choice {
    let mut best: Option<(i64, Victim)> = None;
    for_each_process(kernel, within, |group, mm| {
        if !group.is_exiting()
            && let Some(points) = points(group, mm)
            && best.as_ref().is_none_or(|(most, _)| points > *most)
        {
            best = Some((
                points,
                Victim {
                    group: group.clone(),
                    mm: mm.clone(),
                },
            ));
        }
    });
    match best {
        Some((_, victim)) => Choice::Kill(victim),
        None => Choice::Nobody,
    }
}

impl Mm {
    /// How much memory killing the process would free, in pages, moved by `oom_score_adj` in
    /// thousandths of `total` pages (Linux's `oom_badness`). `None`: never kill it.
    pub fn oom_badness(&self, oom_score_adj: i32, total: u64) -> Option<i64> {
        if oom_score_adj == -1000 || self.core.unstable.load(Ordering::Relaxed) {
            return None;
        }
        let points = self.rss() + self.page_table_bytes() / PAGE_SIZE as u64;
        Some(points as i64 + i64::from(oom_score_adj) * (total / 1000) as i64)
    }
}
