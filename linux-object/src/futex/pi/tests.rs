use std::boxed::Box;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::vec::Vec;

use super::*;

struct Inner {
    id: u64,
    prio: Cell<u8>,
    boost: Cell<u8>,
    presence: PiPresence,
    marks: Rc<RefCell<Vec<FutexKey>>>,
}

#[derive(Clone)]
struct Mock(Rc<Inner>);

impl Mock {
    fn boost(&self) -> u8 {
        self.0.boost.get()
    }
    fn set_rt(&self, priority: u8) {
        self.0.prio.set(if priority == 0 { 120 } else { 99 - priority });
    }
}

impl PiTask for Mock {
    fn id(&self) -> u64 {
        self.0.id
    }
    fn normal_prio(&self) -> u8 {
        self.0.prio.get()
    }
    fn set_boost(&self, priority: u8) {
        self.0.boost.set(priority);
    }
    fn enter(&self) -> bool {
        assert!(!self.0.presence.is_member());
        self.0.presence.enter()
    }
    fn leave(&self) {
        assert!(self.0.presence.is_member());
        self.0.presence.leave();
    }
    fn mark(&self, key: FutexKey, waited_for: bool) {
        let mut marks = self.0.marks.borrow_mut();
        if waited_for {
            marks.push(key);
        } else {
            let at = marks.iter().position(|marked| *marked == key).unwrap();
            marks.swap_remove(at);
        }
    }
}

fn tasks(priorities: &[u8]) -> Vec<Mock> {
    let marks: Rc<RefCell<Vec<FutexKey>>> = Rc::default();
    let each = priorities.iter().enumerate();
    each.map(|(n, priority)| {
        let task = Mock(Rc::new(Inner {
            id: n as u64,
            prio: Cell::new(120),
            boost: Cell::new(0),
            presence: PiPresence::default(),
            marks: marks.clone(),
        }));
        task.set_rt(*priority);
        task
    })
    .collect()
}

fn key(n: u64) -> FutexKey {
    FutexKey::private(1, n * 4)
}

fn boosts(t: &[Mock]) -> Box<[u8]> {
    t.iter().map(Mock::boost).collect()
}

#[test]
fn a_chain_lends_and_takes_back() {
    let t = tasks(&[0, 5, 0, 40]);
    let mut graph = PiGraph::default();
    graph.wait(key(0), &t[0], &t[1]).unwrap();
    graph.wait(key(1), &t[1], &t[2]).unwrap();
    assert_eq!(*boosts(&t), [5, 0, 0, 0]);
    graph.wait(key(2), &t[2], &t[3]).unwrap();
    assert_eq!(*boosts(&t), [40, 40, 40, 0]);
    assert_eq!(graph.wait(key(3), &t[3], &t[0]), Err(Refusal::Deadlock));
    t[3].set_rt(20);
    graph.adjust(&t[3]);
    assert_eq!(*boosts(&t), [20, 20, 20, 0]);
    assert!(graph.give_up(&t[3]));
    assert_eq!(*boosts(&t), [5, 0, 0, 0]);
    assert_eq!(graph.hand_over(key(0)).unwrap().id(), 1);
    assert_eq!(graph.hand_over(key(1)).unwrap().id(), 2);
    assert!(graph.is_empty());
}

#[test]
fn the_urgent_first_then_in_order() {
    let t = tasks(&[0, 0, 7, 0, 7, 9]);
    let mut graph = PiGraph::default();
    for task in &t[1..] {
        graph.wait(key(0), &t[0], task).unwrap();
    }
    let order: Vec<u64> = core::iter::from_fn(|| graph.hand_over(key(0)).map(|task| task.id())).collect();
    assert_eq!(order, [5, 2, 4, 1, 3]);
    assert!(graph.is_empty());
}

#[test]
fn nice_levels_are_shown_but_lend_nothing() {
    let t = tasks(&[0, 0, 0]);
    t[1].0.prio.set(115);
    t[2].0.prio.set(101);
    let mut graph = PiGraph::default();
    graph.wait(key(0), &t[0], &t[1]).unwrap();
    graph.wait(key(0), &t[0], &t[2]).unwrap();
    assert_eq!((graph.prio(&t[0]), t[0].boost()), (115, 0));
    assert_eq!(graph.hand_over(key(0)).unwrap().id(), 1);
    assert_eq!((graph.prio(&t[0]), graph.prio(&t[1])), (120, 101));
}

#[test]
fn a_dead_owner_leaves_a_stale_word() {
    let t = tasks(&[0, 3, 8]);
    let mut graph = PiGraph::default();
    graph.wait(key(0), &t[0], &t[1]).unwrap();
    let woken = graph.exit(&t[0], 9);
    assert_eq!(woken[0].id(), 1);
    assert_eq!(t[0].boost(), 0);
    assert!(graph.owner(key(0)).unwrap().stale);
    graph.wait(key(0), &t[1], &t[2]).unwrap();
    assert_eq!(t[1].boost(), 8);
    assert!(graph.give_up(&t[2]));
    assert_eq!(graph.stale_of(&t[1]), Some(key(0)));
    graph.settle(&t[1]);
    assert_eq!(graph.stale_of(&t[1]), None);
    assert!(graph.is_empty());
}

#[test]
fn a_stale_word_that_nobody_can_write() {
    let t = tasks(&[0, 3, 2]);
    let mut graph = PiGraph::default();
    graph.wait(key(0), &t[0], &t[1]).unwrap();
    graph.wait(key(0), &t[0], &t[2]).unwrap();
    assert_eq!(graph.exit(&t[0], 9)[0].id(), 1);
    assert_eq!(graph.abandon(&t[1]).unwrap().id(), 2);
    assert_eq!(graph.stale_of(&t[2]), Some(key(0)));
    assert!(graph.abandon(&t[2]).is_none());
    assert!(graph.is_empty());
}

#[test]
fn nobody_waits_for_the_dead() {
    let t = tasks(&[0, 3]);
    let mut graph = PiGraph::default();
    assert!(!t[0].0.presence.end());
    assert_eq!(graph.wait(key(0), &t[0], &t[1]), Err(Refusal::Ended));
    assert!(graph.is_empty() && !t[1].0.presence.is_member());
}

#[test]
fn the_parked_move_by_urgency() {
    let t = tasks(&[0, 1, 5, 0]);
    let mut graph = PiGraph::default();
    for task in &t[1..] {
        graph.park(key(0), key(1), task).unwrap();
    }
    let (first, target) = graph.first_parked(key(0)).unwrap();
    assert_eq!((first.id(), target), (2, key(1)));
    graph.wait(key(1), &t[0], &first).unwrap();
    graph.unpark(&first);
    assert_eq!(t[0].boost(), 5);
    assert!(graph.is_blocked(&first) && !graph.is_parked(&first));
    assert_eq!(graph.first_parked(key(0)).unwrap().0.id(), 1);
    assert!(graph.give_up(&t[1]) && graph.give_up(&t[3]) && graph.give_up(&first));
    assert!(graph.is_empty());
}

/// The low bits of a xorshift sequence.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }
}

/// After any operations, everyone inherits what a naive walk over all waiters says, and at the end
/// nothing is left.
#[test]
fn inherits_what_the_naive_model_says() {
    for seed in 1..3000u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let own: Vec<u8> = (0..6).map(|_| random.below(4) as u8).collect();
        let t = tasks(&own);
        let mut graph: PiGraph<Mock> = PiGraph::default();
        let mut owners: BTreeMap<u64, u64> = BTreeMap::new();
        for _ in 0..100 {
            let (n, k) = (random.below(6) as usize, random.below(4));
            match random.below(7) {
                0 | 1 if !graph.is_blocked(&t[n]) => {
                    let owner = *owners.entry(k).or_insert(n as u64) as usize;
                    let _ = owner != n && graph.wait(key(k), &t[owner], &t[n]).is_ok();
                }
                2 if owners.get(&k) == Some(&(n as u64)) && !graph.is_blocked(&t[n]) => {
                    match graph.hand_over(key(k)) {
                        Some(next) => owners.insert(k, next.id()),
                        None => owners.remove(&k),
                    };
                }
                3 => {
                    graph.give_up(&t[n]);
                }
                4 => {
                    t[n].set_rt(random.below(6) as u8);
                    graph.adjust(&t[n]);
                }
                5 if !graph.is_blocked(&t[n]) => graph.park(key(9), key(k), &t[n]).unwrap(),
                6 => {
                    if let Some((first, target)) = graph.first_parked(key(9)) {
                        let owner = *owners.entry(target.offset / 4).or_insert(first.id());
                        if owner == first.id() || graph.wait(target, &t[owner as usize], &first).is_ok() {
                            graph.unpark(&first);
                        }
                    }
                }
                _ => {}
            }
            check(&graph, &t);
        }
        for task in &t {
            let mut member = task.0.presence.end();
            while member {
                let woken = graph.exit(task, 1);
                woken.iter().for_each(|next| graph.settle(next));
                member = task.0.presence.is_member();
            }
            check(&graph, &t);
        }
        assert!(graph.is_empty());
        assert!(t.iter().all(|task| !task.0.presence.is_member()));
    }
}

fn check(graph: &PiGraph<Mock>, t: &[Mock]) {
    let mut want: Vec<u8> = t.iter().map(PiTask::rt_priority).collect();
    let edges = graph.edges();
    for _ in 0..t.len() {
        for (waiter, owner) in &edges {
            let owner = owner.id() as usize;
            want[owner] = want[owner].max(want[waiter.id() as usize]);
        }
    }
    for (task, want) in t.iter().zip(want) {
        assert_eq!(task.rt_priority().max(task.boost()), want);
        if task.boost() > 0 {
            assert_eq!(99 - graph.prio(task), want);
        }
    }
    let marked: BTreeSet<FutexKey> = t[0].0.marks.borrow().iter().copied().collect();
    assert_eq!(marked, graph.keys().into_iter().collect());
}
