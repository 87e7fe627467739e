//! The policy of semaphore sets against a naive model.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use smallvec::SmallVec;

use super::set::{Operation, Operator, Outcome, SEMVMX, SemOp, SemSet};
use crate::err;

impl Operator for u32 {
    type Name = u32;
    fn name(&self) -> u32 {
        *self
    }
}

fn op(steps: &[(u16, i16)]) -> Operation {
    Operation {
        steps: steps
            .iter()
            .map(|&(num, by)| SemOp {
                num,
                by,
                nowait: false,
                undo: true,
            })
            .collect(),
        undo: 1,
    }
}

fn set(count: usize) -> SemSet<u32> {
    let mut set = SemSet::new(count).unwrap();
    set.add_undo(1).unwrap();
    set
}

fn names(ended: super::set::Ended<u32>) -> Vec<u32> {
    ended
        .iter()
        .map(|(who, result)| {
            assert!(result.is_ok());
            *who
        })
        .collect()
}

#[test]
fn all_steps_or_none() {
    let mut sems = set(2);
    assert_eq!(sems.perform(&op(&[(0, 3), (1, -1)]), &0), Ok(Outcome::Blocked(1)));
    assert_eq!((sems.value(0), sems.last(0)), (0, None));
    assert_eq!(
        sems.perform(&op(&[(0, 3), (0, -3), (0, 0), (1, 2)]), &7),
        Ok(Outcome::Done)
    );
    assert_eq!((sems.value(0), sems.value(1), sems.last(0)), (0, 2, Some(&7)));
    sems.set(0, SEMVMX, &0);
    assert_eq!(sems.perform(&op(&[(1, 1), (0, 1)]), &0), Err(err!(ERANGE)));
    assert_eq!(sems.value(1), 2);
}

#[test]
fn waiters_go_on_by_age_and_zero_comes_first() {
    let mut sems = set(2);
    sems.set(1, 1, &0);
    for (who, steps) in [(1, [(0, -2)]), (2, [(0, -1)]), (3, [(1, 0)])] {
        let Ok(Outcome::Blocked(at)) = sems.perform(&op(&steps), &who) else {
            panic!()
        };
        sems.wait(op(&steps), at, who).unwrap();
    }
    assert_eq!((sems.waiting_for_more(0), sems.waiting_for_zero(1)), (2, 1));
    sems.perform(&op(&[(0, 2), (1, -1)]), &9).unwrap();
    assert_eq!(names(sems.update([0, 1].into_iter())), [3, 1]);
    assert!(sems.cancel(&[0, 1], |&who| who == 2));
    assert!(!sems.cancel(&[0, 1], |&who| who == 2));
}

#[test]
fn adjustments_are_cut_to_the_range() {
    let mut sems = set(1);
    sems.perform(&op(&[(0, 5)]), &1).unwrap();
    sems.perform(
        &Operation {
            undo: 2,
            ..op(&[(0, -3)])
        },
        &1,
    )
    .unwrap();
    assert!(sems.apply_undo(1, &4).unwrap().is_empty());
    assert_eq!((sems.value(0), sems.last(0)), (0, Some(&4)));
    assert!(sems.apply_undo(1, &4).is_none());
}

/// Random operations: no value leaves its range, nobody waits who could go on, and adjustments
/// add up.
#[test]
fn nobody_waits_who_could_go_on() {
    let mut random = 0x1234_5678_9abc_def1u64;
    let mut next = |n: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % n
    };
    for _ in 0..300 {
        let mut sems = set(3);
        let mut waiting: BTreeMap<u32, Operation> = BTreeMap::new();
        let mut sums = [0i32; 3];
        for who in 0..60u32 {
            if next(10) == 0
                && let Some((&who, _)) = waiting.iter().next()
            {
                assert!(sems.cancel(&[0, 1, 2], |&other| other == who));
                waiting.remove(&who);
                continue;
            }
            let steps: SmallVec<[(u16, i16); 3]> = (0..1 + next(3))
                .map(|_| (next(3) as u16, next(7) as i16 - 3))
                .collect();
            let operation = op(&steps);
            let mut add = |operation: &Operation| {
                for step in &operation.steps {
                    sums[step.num as usize] += i32::from(step.by);
                }
            };
            match sems.perform(&operation, &who).unwrap() {
                Outcome::Blocked(at) => {
                    sems.wait(operation.clone(), at, who).unwrap();
                    waiting.insert(who, operation);
                }
                Outcome::Done => {
                    add(&operation);
                    for who in names(sems.update(steps.iter().map(|step| step.0))) {
                        add(&waiting.remove(&who).unwrap());
                    }
                }
            }
            for (num, sum) in sums.iter().enumerate() {
                assert_eq!(sems.value(num), *sum);
                assert!(*sum >= 0);
            }
            for operation in waiting.values() {
                assert!(matches!(sems.perform(operation, &0), Ok(Outcome::Blocked(_))));
            }
            let queued: usize = (0..3)
                .map(|num| sems.waiting_for_more(num) + sems.waiting_for_zero(num))
                .sum();
            assert_eq!(queued, waiting.len());
        }
        sems.drain();
    }
}
