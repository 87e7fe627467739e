//! Pids (Linux's `struct pid`): what is named by a number in each pid namespace.
//!
//! Model: a [`Pid`] has one number in the pid namespace it was made in and one in each ancestor.
//! It may name a task, a thread group, a process group and a session at once; it lives as
//! long as any of them or a handle (pidfd, procfs inode, `F_SETOWN`), and its numbers are free again
//! when nothing is attached to it. A handle never reaches a later task that was given the
//! same number.
//!
//! What is attached to it changes under the `TaskSet` lock (see [`super::task_set`]).

use alloc::sync::Arc;

use smallvec::SmallVec;

use crate::ids::{KoID, PidNr};
use crate::namespace::PidNamespace;
use crate::sync::WaitQueue;

/// The number at one level.
#[derive(Clone)]
pub struct UPid {
    /// The number.
    pub nr: PidNr,
    /// The namespace that gave it.
    pub ns: Arc<PidNamespace>,
}

/// An object with a number in every pid namespace from its own up to the initial one.
pub struct Pid {
    koid: KoID,
    /// From the initial namespace (index 0) down to its own.
    numbers: SmallVec<[UPid; 1]>,
    /// Woken when the thread group that it names exits (pidfd poll).
    pub exit_queue: WaitQueue,
}

impl Pid {
    /// A pid with these numbers, from the initial namespace down.
    pub fn new(koid: KoID, numbers: SmallVec<[UPid; 1]>) -> Pid {
        assert!(!numbers.is_empty(), "a pid has a number in the initial namespace");
        Pid {
            koid,
            numbers,
            exit_queue: WaitQueue::new(),
        }
    }
    /// Its identity.
    pub fn koid(&self) -> KoID {
        self.koid
    }
    /// The namespace it was made in.
    pub fn ns(&self) -> &Arc<PidNamespace> {
        &self.numbers[self.numbers.len() - 1].ns
    }
    /// Its numbers from the initial namespace down (`NSpid` of `/proc/PID/status`).
    pub fn numbers(&self) -> &[UPid] {
        &self.numbers
    }
    /// Its number in `ns`, 0 where it is not visible (Linux's `pid_nr_ns`).
    pub fn nr_in(&self, ns: &PidNamespace) -> PidNr {
        match self.numbers.get(ns.level() as usize) {
            Some(upid) if upid.ns.koid() == ns.koid() => upid.nr,
            _ => PidNr(0),
        }
    }
    /// Its number in the initial namespace.
    pub fn global_nr(&self) -> PidNr {
        self.numbers[0].nr
    }
    /// Whether it is pid 1 of its namespace.
    pub fn is_child_reaper(&self) -> bool {
        self.numbers[self.numbers.len() - 1].nr == PidNr(1)
    }
}
