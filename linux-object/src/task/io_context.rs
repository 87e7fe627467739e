//! I/O priorities (`ioprio_set(2)`, Linux's `block/ioprio.c`).
//!
//! A task gets an [`IoContext`] with the first priority that is set for it; a child gets one of its own with the
//! same priority, or the very same with `CLONE_IO`. Files here are memory and no request waits for
//! another, so a priority is kept and told, and orders nothing, as on a Linux whose devices have no I/O scheduler.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU16, Ordering};

use super::Task;
use crate::ensure;
use crate::error::Result;
use crate::sched::{Policy, SchedParams};

const CLASS_SHIFT: u32 = 13;
const LEVEL_MASK: u16 = 7;

/// The class of a priority; the better ones first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u16)]
pub enum IoClass {
    /// Not set: the nice level tells.
    None = 0,
    /// Before all others.
    RealTime = 1,
    /// The usual one.
    BestEffort = 2,
    /// When nobody else has anything to do.
    Idle = 3,
}

/// A priority as user space packs it: the class in the upper three bits, hints, the level in the lower three.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct IoPrio(u16);

impl IoPrio {
    /// From an argument, of which 16 bits count: `EINVAL` for an unknown class, or a level that means nothing.
    pub fn new(number: i32) -> Result<IoPrio> {
        let prio = IoPrio(number as u16);
        let class = prio.0 >> CLASS_SHIFT;
        ensure!(class <= IoClass::Idle as u16, EINVAL, "ioprio: no such class");
        ensure!(
            class != IoClass::None as u16 || prio.0 & LEVEL_MASK == 0,
            EINVAL,
            "ioprio: a level without a class"
        );
        Ok(prio)
    }
    /// What a task without a priority of its own has.
    pub fn of_nice(params: &SchedParams) -> IoPrio {
        let class = match params.policy {
            Policy::Idle => IoClass::Idle,
            Policy::Fifo | Policy::Rr => IoClass::RealTime,
            Policy::Other | Policy::Batch => IoClass::BestEffort,
        };
        let level = (i32::from(params.nice) + 20) / 5;
        IoPrio((class as u16) << CLASS_SHIFT | level as u16 & LEVEL_MASK)
    }
    /// Its class.
    pub fn class(self) -> IoClass {
        match self.0 >> CLASS_SHIFT {
            1 => IoClass::RealTime,
            2 => IoClass::BestEffort,
            3 => IoClass::Idle,
            _ => IoClass::None,
        }
    }
    /// As user space packs it.
    pub fn number(self) -> u16 {
        self.0
    }
}

/// What tasks that share their I/O have in common (Linux's `io_context`).
pub struct IoContext {
    prio: AtomicU16,
}

impl IoContext {
    fn new(prio: IoPrio) -> Arc<IoContext> {
        Arc::new(IoContext {
            prio: AtomicU16::new(prio.0),
        })
    }
    fn prio(&self) -> IoPrio {
        IoPrio(self.prio.load(Ordering::Relaxed))
    }
}

impl Task {
    /// The priority that was set for it.
    pub fn io_prio(&self) -> IoPrio {
        if self.is_exiting() {
            return IoPrio::default();
        }
        let context = self.io_context.lock();
        context
            .as_ref()
            .map_or(IoPrio::default(), |context| context.prio())
    }
    /// The priority that its requests have.
    pub fn effective_io_prio(&self) -> IoPrio {
        let prio = self.io_prio();
        match prio.class() {
            IoClass::None => IoPrio::of_nice(&self.sched.params()),
            _ => prio,
        }
    }
    /// Sets it, for all who share it; `ESRCH` once the task exits.
    pub fn set_io_prio(&self, prio: IoPrio) -> Result<()> {
        ensure!(!self.is_exiting(), ESRCH, "ioprio: the task exits");
        let mut context = self.io_context.lock();
        match &*context {
            Some(context) => context.prio.store(prio.0, Ordering::Relaxed),
            None => *context = Some(IoContext::new(prio)),
        }
        Ok(())
    }
    /// A new task takes over, or shares, its parent's.
    pub(super) fn copy_io_context(&self, parent: &Task, share: bool) {
        let from = parent.io_context.lock().clone();
        let Some(from) = from else { return };
        let own = if share {
            Some(from)
        } else {
            let prio = from.prio();
            (prio.class() != IoClass::None).then(|| IoContext::new(prio))
        };
        *self.io_context.lock() = own;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_and_levels_are_checked() {
        let given = |class: i32, data: i32| IoPrio::new(class << CLASS_SHIFT | data).map(IoPrio::number);
        assert!(given(0, 1).is_err() && given(0, 9).is_err());
        assert_eq!(given(0, 8), Ok(8));
        for class in 1..=3 {
            assert_eq!(given(class, 0x1fff), Ok((class as u16) << 13 | 0x1fff));
        }
        for class in 4..8 {
            assert!(given(class, 0).is_err());
        }
        assert_eq!(IoPrio::new(1 << 16 | 2 << 13 | 4), IoPrio::new(2 << 13 | 4));
    }

    #[test]
    fn the_nice_level_makes_eight_levels() {
        let of = |policy, nice| {
            let params = SchedParams {
                policy,
                rt_priority: 0,
                nice,
                reset_on_fork: false,
            };
            let prio = IoPrio::of_nice(&params);
            (prio.class(), prio.number() & LEVEL_MASK)
        };
        assert_eq!(of(Policy::Other, -20), (IoClass::BestEffort, 0));
        assert_eq!(of(Policy::Other, 0), (IoClass::BestEffort, 4));
        assert_eq!(of(Policy::Batch, 19), (IoClass::BestEffort, 7));
        assert_eq!(of(Policy::Idle, 0), (IoClass::Idle, 4));
        assert_eq!(of(Policy::Rr, 0), (IoClass::RealTime, 4));
    }
}
