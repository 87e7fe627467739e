//! A set of semaphores: the policy alone, without tasks or locks.
//!
//! Model: an operation is a list of steps, done in order, all or none ([`SemSet::perform`]). One that
//! cannot go on waits in the queue of the one semaphore that stops it, so a change of a semaphore looks only at
//! those that it may let go on. Whoever changes a value completes the operations of waiters on their behalf
//! ([`SemSet::update`]); they wake up with the result.
//!
//! Order, as on Linux: those that wait for zero first, then those that wait for more by age; one that cannot
//! go on does not hold up those behind it.
//!
//! Undo: every list of adjustments (see [`SemUndoList`](super::SemUndoList)) has a row of them here.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::error::Result;
use crate::{bail, ensure};

/// Largest value (`SEMVMX`), and largest adjustment (`SEMAEM`).
pub const SEMVMX: i32 = 32767;

/// One step of an operation (`struct sembuf`).
#[derive(Clone, Copy, Debug)]
pub struct SemOp {
    /// Which semaphore.
    pub num: u16,
    /// Added to it; 0 waits for zero.
    pub by: i16,
    /// `IPC_NOWAIT`.
    pub nowait: bool,
    /// `SEM_UNDO`.
    pub undo: bool,
}

/// An operation.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Its steps.
    pub steps: SmallVec<[SemOp; 2]>,
    /// The list of adjustments that steps with `SEM_UNDO` go to.
    pub undo: u64,
}

impl Operation {
    /// Whether it changes a value.
    pub fn alters(&self) -> bool {
        self.steps.iter().any(|step| step.by != 0)
    }
}

/// Who waits.
pub trait Operator: Clone {
    /// How a semaphore remembers who operated on it.
    type Name: Clone;
    /// Likewise.
    fn name(&self) -> Self::Name;
}

/// What became of an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Everything is done.
    Done,
    /// This step has to wait; nothing is done.
    Blocked(usize),
}

/// An operation that waits, for `W`.
struct Waiting<W> {
    operation: Operation,
    ticket: u64,
    who: W,
}

struct Semaphore<W: Operator> {
    value: i32,
    /// Who changed it last.
    last: Option<W::Name>,
    /// Operations that wait until it is zero.
    for_zero: VecDeque<Waiting<W>>,
    /// Operations that wait until it is larger.
    for_more: VecDeque<Waiting<W>>,
}

/// A row of adjustments.
type Adjustments = Box<[i16]>;

/// The set.
pub struct SemSet<W: Operator> {
    semaphores: Box<[Semaphore<W>]>,
    undo: HashMap<u64, Adjustments>,
    next_ticket: u64,
}

/// Those whose operation has ended, and how.
pub type Ended<W> = SmallVec<[(W, Result<()>); 4]>;

impl<W: Operator> SemSet<W> {
    /// So many semaphores with the value 0. `ENOMEM`.
    pub fn new(count: usize) -> Result<SemSet<W>> {
        let mut semaphores = Vec::new();
        ensure!(
            semaphores.try_reserve_exact(count).is_ok(),
            ENOMEM,
            "no memory for the semaphores"
        );
        semaphores.extend((0..count).map(|_| Semaphore {
            value: 0,
            last: None,
            for_zero: VecDeque::new(),
            for_more: VecDeque::new(),
        }));
        Ok(SemSet {
            semaphores: semaphores.into_boxed_slice(),
            undo: HashMap::new(),
            next_ticket: 0,
        })
    }

    /// How many semaphores.
    pub fn len(&self) -> usize {
        self.semaphores.len()
    }
    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        self.len() * size_of::<Semaphore<W>>()
    }
    /// A set is never empty.
    pub fn is_empty(&self) -> bool {
        false
    }
    /// A value.
    pub fn value(&self, num: usize) -> i32 {
        self.semaphores[num].value
    }
    /// Who changed it last (`GETPID`).
    pub fn last(&self, num: usize) -> Option<&W::Name> {
        self.semaphores[num].last.as_ref()
    }
    /// How many wait until it is larger (`GETNCNT`).
    pub fn waiting_for_more(&self, num: usize) -> usize {
        self.semaphores[num].for_more.len()
    }
    /// How many wait until it is zero (`GETZCNT`).
    pub fn waiting_for_zero(&self, num: usize) -> usize {
        self.semaphores[num].for_zero.len()
    }

    /// Makes the row of a list of adjustments. `ENOMEM`.
    pub fn add_undo(&mut self, list: u64) -> Result<()> {
        if self.undo.contains_key(&list) {
            return Ok(());
        }
        let mut row = Vec::new();
        let room = row.try_reserve_exact(self.len()).is_ok() && self.undo.try_reserve(1).is_ok();
        ensure!(room, ENOMEM, "no memory for adjustments");
        row.resize(self.len(), 0);
        self.undo.insert(list, row.into_boxed_slice());
        Ok(())
    }

    /// Tries the steps in order. `ERANGE`: a value or adjustment would leave its range. `EAGAIN`: a step with
    /// `IPC_NOWAIT` would wait. Then, and if it blocks, everything is as before.
    pub fn perform(&mut self, operation: &Operation, who: &W::Name) -> Result<Outcome> {
        let steps = &operation.steps;
        let mut done = 0;
        let outcome = loop {
            let Some(step) = steps.get(done) else {
                break Ok(Outcome::Done);
            };
            let num = step.num as usize;
            let value = self.semaphores[num].value;
            let new = value + i32::from(step.by);
            if step.by == 0 && value != 0 || new < 0 {
                if step.nowait {
                    break Err(crate::err!(EAGAIN, "semop: would have to wait"));
                }
                break Ok(Outcome::Blocked(done));
            }
            if new > SEMVMX {
                break Err(crate::err!(ERANGE, "semop: the value would exceed SEMVMX"));
            }
            if step.undo
                && let Some(row) = self.undo.get_mut(&operation.undo)
            {
                let adjust = i32::from(row[num]) - i32::from(step.by);
                if !(-SEMVMX - 1..=SEMVMX).contains(&adjust) {
                    break Err(crate::err!(ERANGE, "semop: the adjustment would exceed SEMAEM"));
                }
                row[num] = adjust as i16;
            }
            self.semaphores[num].value = new;
            done += 1;
        };
        if outcome == Ok(Outcome::Done) {
            for step in steps {
                self.semaphores[step.num as usize].last = Some(who.clone());
            }
        } else {
            for step in steps[..done].iter().rev() {
                let num = step.num as usize;
                self.semaphores[num].value -= i32::from(step.by);
                if step.undo
                    && let Some(row) = self.undo.get_mut(&operation.undo)
                {
                    row[num] = (i32::from(row[num]) + i32::from(step.by)) as i16;
                }
            }
        }
        outcome
    }

    /// Enqueues an operation that [`perform`](Self::perform) found blocked at step `at`. `ENOMEM`.
    pub fn wait(&mut self, operation: Operation, at: usize, who: W) -> Result<()> {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.enqueue(
            Waiting {
                operation,
                ticket,
                who,
            },
            at,
        )
    }

    fn enqueue(&mut self, waiting: Waiting<W>, at: usize) -> Result<()> {
        let step = waiting.operation.steps[at];
        let semaphore = &mut self.semaphores[step.num as usize];
        let queue = if step.by == 0 {
            &mut semaphore.for_zero
        } else {
            &mut semaphore.for_more
        };
        if queue.try_reserve(1).is_err() {
            bail!(ENOMEM, "no memory to wait");
        }
        let place = queue.partition_point(|other| other.ticket < waiting.ticket);
        queue.insert(place, waiting);
        Ok(())
    }

    /// Takes a waiting operation on some of these semaphores back. False if it has ended.
    pub fn cancel(&mut self, numbers: &[u16], is_it: impl Fn(&W) -> bool) -> bool {
        for &num in numbers {
            let semaphore = &mut self.semaphores[num as usize];
            for queue in [&mut semaphore.for_zero, &mut semaphore.for_more] {
                if let Some(place) = queue.iter().position(|waiting| is_it(&waiting.who)) {
                    queue.remove(place);
                    return true;
                }
            }
        }
        false
    }

    /// The values of these semaphores have changed: completes what can be completed now.
    pub fn update(&mut self, changed: impl Iterator<Item = u16>) -> Ended<W> {
        let mut ended = Ended::new();
        let mut changed: SmallVec<[u16; 8]> = changed.collect();
        changed.sort_unstable();
        changed.dedup();
        while let Some(altered) = self.complete_one(&changed, &mut ended) {
            for num in altered {
                if let Err(place) = changed.binary_search(&num) {
                    changed.insert(place, num);
                }
            }
        }
        ended
    }

    /// The oldest waiter of these queues from `ticket` on: which semaphore, and its place.
    fn oldest(&self, changed: &[u16], zero: bool, ticket: u64) -> Option<(u16, usize, u64)> {
        let mut best: Option<(u16, usize, u64)> = None;
        for &num in changed {
            let semaphore = &self.semaphores[num as usize];
            let queue = if zero {
                &semaphore.for_zero
            } else if semaphore.value > 0 {
                &semaphore.for_more
            } else {
                // It was too small for them before, and cannot be smaller.
                continue;
            };
            let place = queue.partition_point(|waiting| waiting.ticket < ticket);
            if let Some(waiting) = queue.get(place)
                && best.is_none_or(|(_, _, age)| waiting.ticket < age)
            {
                best = Some((num, place, waiting.ticket));
            }
        }
        best
    }

    /// Tries the waiters in their order up to the first that completes and alters something; returns
    /// what it altered.
    fn complete_one(&mut self, changed: &[u16], ended: &mut Ended<W>) -> Option<SmallVec<[u16; 2]>> {
        for zero in [true, false] {
            let mut ticket = 0;
            while let Some((num, place, age)) = self.oldest(changed, zero, ticket) {
                ticket = age + 1;
                let semaphore = &mut self.semaphores[num as usize];
                let queue = if zero {
                    &mut semaphore.for_zero
                } else {
                    &mut semaphore.for_more
                };
                let Some(waiting) = queue.remove(place) else {
                    continue;
                };
                match self.perform(&waiting.operation, &waiting.who.name()) {
                    Ok(Outcome::Blocked(at)) => {
                        let who = waiting.who.clone();
                        if let Err(error) = self.enqueue(waiting, at) {
                            ended.push((who, Err(error)));
                        }
                    }
                    Ok(Outcome::Done) => {
                        ended.push((waiting.who, Ok(())));
                        if waiting.operation.alters() {
                            let steps = waiting.operation.steps.iter();
                            return Some(steps.filter(|step| step.by != 0).map(|step| step.num).collect());
                        }
                    }
                    Err(error) => ended.push((waiting.who, Err(error))),
                }
            }
        }
        None
    }

    /// Sets a value (`SETVAL`, `SETALL`): all adjustments of the semaphore are forgotten. Followed by
    /// [`update`](Self::update).
    pub fn set(&mut self, num: usize, value: i32, who: &W::Name) {
        for row in self.undo.values_mut() {
            row[num] = 0;
        }
        let semaphore = &mut self.semaphores[num];
        semaphore.value = value;
        semaphore.last = Some(who.clone());
    }

    /// Applies and forgets the adjustments of a list, within the range of values. Returns whom that
    /// let go on; `None` if the list has no row here.
    pub fn apply_undo(&mut self, list: u64, who: &W::Name) -> Option<Ended<W>> {
        let row = self.undo.remove(&list)?;
        let mut changed: SmallVec<[u16; 8]> = SmallVec::new();
        for (num, &adjust) in row.iter().enumerate().filter(|(_, adjust)| **adjust != 0) {
            let semaphore = &mut self.semaphores[num];
            semaphore.value = (semaphore.value + i32::from(adjust)).clamp(0, SEMVMX);
            semaphore.last = Some(who.clone());
            changed.push(num as u16);
        }
        Some(self.update(changed.into_iter()))
    }

    /// The set is removed: everyone who waits.
    pub fn drain(&mut self) -> Vec<W> {
        self.undo.clear();
        let mut all = Vec::new();
        for semaphore in &mut self.semaphores {
            let zero = semaphore.for_zero.drain(..);
            all.extend(
                zero.chain(semaphore.for_more.drain(..))
                    .map(|waiting| waiting.who),
            );
        }
        all
    }
}
