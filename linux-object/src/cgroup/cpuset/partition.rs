//! Partitions of cgroup2: cpusets that have CPUs for themselves (`cpuset.cpus.partition`).
//!
//! Model: a valid partition takes what it asks for out of its parent, which notes it in `given`; nobody else
//! below the parent gets it. A partition that may not have its CPUs is *invalid*: it remembers what it was to be,
//! and why it is not, and gets what a member gets. Whether it is valid is looked at again when its own
//! settings change or its parent does, not when a sibling does, as on Linux.

use alloc::sync::Arc;

use super::{Flags, State, children, cpuset};
use crate::cgroup::Css;
use crate::sched::CpuMask;

/// What a cpuset is, or is to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Kind {
    /// A member of the partition that its parent is in.
    #[default]
    Member,
    /// The root of a partition.
    Root,
    /// Likewise, without balance of load.
    Isolated,
}

impl Kind {
    const NAMES: [(Kind, &'static str); 3] = [
        (Kind::Member, "member"),
        (Kind::Root, "root"),
        (Kind::Isolated, "isolated"),
    ];
    pub fn find(name: &[u8]) -> Option<Kind> {
        let found = Kind::NAMES.iter().find(|(_, known)| known.as_bytes() == name);
        found.map(|(kind, _)| *kind)
    }
    pub fn name(self) -> &'static str {
        Kind::NAMES[self as usize].1
    }
}

/// Why a partition is none, in Linux's words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Invalid(pub &'static str);

const NO_OVERLAP: Invalid = Invalid("Invalid cpu list in cpuset.cpus");
const PARENT_INVALID: Invalid = Invalid("Parent is an invalid partition root");
const PARENT_MEMBER: Invalid = Invalid("Parent is not a partition root");
const SHARED: Invalid = Invalid("Cpu list in cpuset.cpus not exclusive");
const NOTHING_LEFT: Invalid = Invalid("Parent unable to distribute cpu downstream");
const EMPTY: Invalid = Invalid("cpuset.cpus is empty");

/// What a cpuset is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Partition {
    pub kind: Kind,
    pub invalid: Option<Invalid>,
}

impl Partition {
    pub fn is_valid(self) -> bool {
        self.kind != Kind::Member && self.invalid.is_none()
    }
}

/// How a cpuset's part of its parent's CPUs changes.
#[derive(Clone, Copy)]
pub(super) enum Part {
    /// It becomes a partition.
    Take,
    /// It is one no more.
    GiveBack,
    /// It may not be one any more, since a sibling has the same CPUs.
    Lose,
    /// It asks for these CPUs from now on.
    Ask(CpuMask),
    /// Its parent has changed.
    Review,
}

/// Whether tasks of the partition `css` would have no CPU if it had none left: `but` and other partitions
/// aside.
fn has_own_tasks(css: &Arc<Css>, but: Option<&Arc<Css>>) -> bool {
    let Some(cgroup) = css.cgroup() else { return false };
    cgroup.has_tasks()
        || cgroup.children().iter().any(|child| {
            let own = child.css(css.ssid());
            let apart = own.is_some_and(|own| {
                but.is_some_and(|but| Arc::ptr_eq(but, &own)) || cpuset(&own).state().partition.is_valid()
            });
            !apart && child.is_populated()
        })
}

/// Whether no sibling has one of the CPUs that `css` asks for.
pub(super) fn is_exclusive(css: &Arc<Css>, cpus: CpuMask) -> bool {
    let siblings = css.parent().map(children).unwrap_or_default();
    siblings
        .iter()
        .filter(|sibling| !Arc::ptr_eq(sibling, css))
        .all(|sibling| cpuset(sibling).state().cpus.and(cpus).is_empty())
}

/// Changes what a cpuset is, and tells who waits.
pub(super) fn set_partition(css: &Arc<Css>, to: Partition) {
    let changed = {
        let mut state = cpuset(css).state.lock();
        let old = core::mem::replace(&mut state.partition, to);
        state.flags.set(Flags::CPU_EXCLUSIVE, to.is_valid());
        let isolated = to.is_valid() && to.kind == Kind::Isolated;
        state.flags.set(Flags::SCHED_LOAD_BALANCE, !isolated);
        (old.kind, old.is_valid()) != (to.kind, to.is_valid())
    };
    if changed {
        css.notify("cpuset.cpus.partition");
    }
}

/// Changes what a cpuset takes out of its parent (Linux's `update_parent_subparts_cpumask`), and, but for
/// [`Part::Take`] and [`Part::GiveBack`], whether it is valid.
pub(super) fn change_part(css: &Arc<Css>, part: Part) -> Result<(), Invalid> {
    let Some(parent) = css.parent() else { return Ok(()) };
    let (above, own) = (cpuset(parent).state(), cpuset(css).state());
    let was_valid = own.partition.is_valid();
    if !above.partition.is_valid() {
        return Err(match above.partition.kind {
            Kind::Member => PARENT_MEMBER,
            _ => PARENT_INVALID,
        });
    }
    let held = match was_valid {
        true => own.cpus.and(above.given),
        false => CpuMask::EMPTY,
    };
    let free = |cpus: CpuMask| CpuMask(cpus.0 & above.cpus.0 & !above.given.0);
    let empties = |add: CpuMask, back: CpuMask| {
        above.effective_cpus.0 & !add.0 == 0 && back.is_empty() && has_own_tasks(parent, Some(css))
    };
    let (mut add, mut back, mut why) = (CpuMask::EMPTY, CpuMask::EMPTY, None);
    match part {
        Part::Take => {
            if own.cpus.is_empty() {
                return Err(EMPTY);
            }
            if !is_exclusive(css, own.cpus) {
                return Err(SHARED);
            }
            if own.cpus.and(above.cpus).is_empty() {
                return Err(NO_OVERLAP);
            }
            if empties(own.cpus, CpuMask::EMPTY) {
                return Err(NOTHING_LEFT);
            }
            add = own.cpus;
        }
        Part::GiveBack => back = held,
        Part::Lose if was_valid => {
            back = held;
            why = Some(SHARED);
        }
        Part::Lose => return Ok(()),
        Part::Ask(cpus) => {
            if cpus.is_empty() {
                return Err(EMPTY);
            }
            back = CpuMask(held.0 & !cpus.0);
            add = free(cpus);
            if !add.is_empty() && empties(add, back) {
                (add, back, why) = (CpuMask::EMPTY, held, Some(NOTHING_LEFT));
            }
        }
        Part::Review => {
            if own.cpus.is_empty() {
                return Err(EMPTY);
            }
            add = free(own.cpus);
            let lost = was_valid && above.given.is_empty();
            if lost || !add.is_empty() && empties(add, CpuMask::EMPTY) {
                (add, back, why) = (CpuMask::EMPTY, held, Some(NOTHING_LEFT));
            }
        }
    }
    if matches!(part, Part::Ask(_) | Part::Review | Part::Lose) {
        let asked = if let Part::Ask(cpus) = part {
            cpus
        } else {
            own.cpus
        };
        if !was_valid && why.is_none() && !is_exclusive(css, asked) {
            return Err(SHARED);
        }
        set_partition(
            css,
            Partition {
                invalid: why,
                ..own.partition
            },
        );
    }
    let mut state = cpuset(parent).state.lock();
    state.given = CpuMask((state.given.0 | add.0) & !back.0);
    let all = cpuset(parent).all_cpus;
    state.effective_cpus = CpuMask((state.effective_cpus.0 & !add.0 | back.0) & all.0);
    Ok(())
}

/// The file is written (Linux's `update_prstate`): never fails, but may leave the partition invalid.
pub(super) fn become_kind(css: &Arc<Css>, kind: Kind) {
    let old = cpuset(css).state().partition;
    let set = |invalid| set_partition(css, Partition { kind, invalid });
    match (old.kind, kind) {
        (Kind::Member, Kind::Member) => {}
        (Kind::Member, _) => set(change_part(css, Part::Take).err()),
        (_, Kind::Member) => {
            let _ = change_part(css, Part::GiveBack);
            set(None);
        }
        // What is invalid stays so.
        _ => set(old.invalid),
    }
}

/// The parent is looked at: whether a partition below it still is one.
pub(super) fn review(css: &Arc<Css>) {
    let own = cpuset(css).state().partition;
    if own.kind == Kind::Member {
        return;
    }
    let parent = css.parent().map(|parent| cpuset(parent).state().partition);
    if parent.is_some_and(|parent| parent.is_valid()) {
        let _ = change_part(css, Part::Review);
    } else if let Err(why) = change_part(css, Part::Review) {
        let invalid = Some(why);
        set_partition(css, Partition { invalid, ..own });
    }
}

/// What a cpuset of cgroup2 gets, and what of it is given to partitions below.
pub(super) fn shares(css: &Arc<Css>, own: &State, above: &State) -> (CpuMask, CpuMask) {
    let valid = own.partition.is_valid();
    let mut gets = match valid {
        true => CpuMask((above.effective_cpus.0 | above.given.0) & own.cpus.0),
        false => own.cpus.and(above.effective_cpus),
    };
    gets = gets.and(cpuset(css).all_cpus);
    let mut given = if valid {
        own.given.and(own.cpus)
    } else {
        CpuMask::EMPTY
    };
    if gets.is_empty() && !valid {
        gets = above.effective_cpus;
    }
    if !given.is_empty() && gets.0 & !given.0 == 0 && has_own_tasks(css, None) {
        // They compete for them again.
        given = CpuMask::EMPTY;
    }
    (CpuMask(gets.0 & !given.0), given)
}
