//! The graph itself: tasks and futexes, and what each lends to the next.

use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry;
use alloc::vec::Vec;
use core::cmp::Reverse;

use super::{FutexKey, PiTask};

/// A longer chain counts as a circle, and what is lent goes no further (Linux's `max_lock_depth`).
pub const MAX_LOCK_DEPTH: usize = 1024;

/// A place in a queue: the real-time priority, and when the task came.
type Place = (Reverse<u8>, u64);

/// A futex that somebody waits for.
struct PiLock<T> {
    owner: T,
    waiters: BTreeMap<Place, T>,
    /// The first waiter's place, as the owner's node has it.
    lends: Option<Place>,
    stale: bool,
}

/// A task in the graph.
#[derive(Default)]
struct Node {
    /// Futexes that it owns and others wait for, by the place of the first of them.
    owns: BTreeMap<Place, FutexKey>,
    /// What it was left by a dead owner and has yet to write its name to.
    stale: Option<FutexKey>,
    waits: Option<(FutexKey, Place)>,
    parked: Option<(FutexKey, Place)>,
    boost: u8,
}

impl Node {
    fn is_needed(&self) -> bool {
        !self.owns.is_empty() || self.stale.is_some() || self.is_blocked()
    }
    fn is_blocked(&self) -> bool {
        self.waits.is_some() || self.parked.is_some()
    }
}

struct Parked<T> {
    task: T,
    target: FutexKey,
}

/// What the kernel knows of a futex.
pub struct Owner<T> {
    /// Who owns it.
    pub task: T,
    /// The word does not say so yet.
    pub stale: bool,
}

/// Why a task may not wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// It would never end: the owner waits, through others, for the task (`EDEADLK`).
    Deadlock,
    /// The owner has ended.
    Ended,
}

/// All futexes with inheritance that somebody waits for, and all tasks concerned.
pub struct PiGraph<T> {
    locks: BTreeMap<FutexKey, PiLock<T>>,
    nodes: BTreeMap<u64, Node>,
    parked: BTreeMap<FutexKey, BTreeMap<Place, Parked<T>>>,
    arrivals: u64,
}

impl<T> Default for PiGraph<T> {
    fn default() -> Self {
        PiGraph {
            locks: BTreeMap::new(),
            nodes: BTreeMap::new(),
            parked: BTreeMap::new(),
            arrivals: 0,
        }
    }
}

impl<T: PiTask> PiGraph<T> {
    /// Who owns a futex that somebody waits for.
    pub fn owner(&self, key: FutexKey) -> Option<Owner<T>> {
        self.locks.get(&key).map(|lock| Owner {
            task: lock.owner.clone(),
            stale: lock.stale,
        })
    }
    /// The first waiter of a futex: who is to own it next.
    pub fn next_owner(&self, key: FutexKey) -> Option<T> {
        self.locks.get(&key)?.waiters.values().next().cloned()
    }
    /// Whether the task waits or is parked.
    pub fn is_blocked(&self, task: &T) -> bool {
        self.nodes.get(&task.id()).is_some_and(Node::is_blocked)
    }
    /// Whether the task is parked.
    pub fn is_parked(&self, task: &T) -> bool {
        self.nodes
            .get(&task.id())
            .is_some_and(|node| node.parked.is_some())
    }
    /// Whether somebody is parked at this word.
    pub fn has_parked(&self, key: FutexKey) -> bool {
        self.parked.contains_key(&key)
    }
    /// The futex that the task was left by a dead owner and has not written its name to.
    pub fn stale_of(&self, task: &T) -> Option<FutexKey> {
        self.nodes.get(&task.id())?.stale
    }
    /// Whether nobody waits, owns or is parked.
    pub fn is_empty(&self) -> bool {
        self.locks.is_empty() && self.nodes.is_empty() && self.parked.is_empty()
    }

    /// The priority to show (Linux's `prio`): its own, or that of the first who waits for it. Nice levels
    /// are seen here, although they lend nothing.
    pub fn prio(&self, task: &T) -> u8 {
        let mut prio = task.normal_prio();
        let mut at = task.id();
        for _ in 0..MAX_LOCK_DEPTH {
            let node = self.nodes.get(&at);
            let first = node.and_then(|node| node.owns.first_key_value());
            let waiter = first.and_then(|(place, key)| self.locks.get(key)?.waiters.get(place));
            let Some(waiter) = waiter else {
                break;
            };
            prio = prio.min(waiter.normal_prio());
            at = waiter.id();
        }
        prio
    }

    fn enter(&mut self, task: &T) -> Result<(), Refusal> {
        if let Entry::Vacant(place) = self.nodes.entry(task.id()) {
            if !task.enter() {
                return Err(Refusal::Ended);
            }
            place.insert(Node::default());
        }
        Ok(())
    }

    fn place(&mut self, priority: u8) -> Place {
        self.arrivals += 1;
        (Reverse(priority), self.arrivals)
    }

    /// Lets `task` wait for the futex that `owner` owns, as the graph or else the word says.
    pub fn wait(&mut self, key: FutexKey, owner: &T, task: &T) -> Result<(), Refusal> {
        let known = self.locks.get(&key).map(|lock| lock.owner.clone());
        let owner = known.as_ref().unwrap_or(owner);
        self.check_chain(owner, task)?;
        self.enter(task)?;
        if let Err(refusal) = self.enter(owner) {
            self.adjust(task);
            return Err(refusal);
        }
        let boost = self.nodes.get(&task.id()).map_or(0, |node| node.boost);
        let place = self.place(boost.max(task.rt_priority()));
        if known.is_none() {
            owner.mark(key, true);
        }
        let lock = self.locks.entry(key).or_insert_with(|| PiLock {
            owner: owner.clone(),
            waiters: BTreeMap::new(),
            lends: None,
            stale: false,
        });
        lock.waiters.insert(place, task.clone());
        self.nodes.entry(task.id()).or_default().waits = Some((key, place));
        if self.lend(key) {
            self.adjust(owner);
        }
        Ok(())
    }

    fn check_chain(&self, owner: &T, task: &T) -> Result<(), Refusal> {
        let mut at = owner.id();
        for _ in 0..MAX_LOCK_DEPTH {
            if at == task.id() {
                return Err(Refusal::Deadlock);
            }
            let waits = self.nodes.get(&at).and_then(|node| node.waits);
            match waits.and_then(|(key, _)| self.locks.get(&key)) {
                Some(lock) => at = lock.owner.id(),
                None => return Ok(()),
            }
        }
        Err(Refusal::Deadlock)
    }

    /// Tells the owner's node who is first now. Returns whether it is another, or has another place.
    fn lend(&mut self, key: FutexKey) -> bool {
        let Some(lock) = self.locks.get_mut(&key) else {
            return false;
        };
        let first = lock.waiters.keys().next().copied();
        let before = core::mem::replace(&mut lock.lends, first);
        if before == first {
            return false;
        }
        let node = self.nodes.entry(lock.owner.id()).or_default();
        if let Some(before) = before {
            node.owns.remove(&before);
        }
        if let Some(first) = first {
            node.owns.insert(first, key);
        }
        true
    }

    /// Computes anew what a task inherits, its place among the waiters of what it waits for, and the same
    /// for everyone after it. To be called also when its own priority has changed.
    pub fn adjust(&mut self, task: &T) {
        let mut task = task.clone();
        for _ in 0..MAX_LOCK_DEPTH {
            let id = task.id();
            let Some(node) = self.nodes.get_mut(&id) else {
                return;
            };
            let boost = node.owns.keys().next().map_or(0, |place| place.0.0);
            if boost != node.boost {
                node.boost = boost;
                task.set_boost(boost);
            }
            if !node.is_needed() {
                self.nodes.remove(&id);
                task.leave();
                return;
            }
            let priority = boost.max(task.rt_priority());
            let Some((key, place)) = node.waits.filter(|(_, place)| place.0.0 != priority) else {
                return;
            };
            let new = self.place(priority);
            if let Some(node) = self.nodes.get_mut(&id) {
                node.waits = Some((key, new));
            }
            let Some(lock) = self.locks.get_mut(&key) else {
                return;
            };
            lock.waiters.remove(&place);
            lock.waiters.insert(new, task);
            task = lock.owner.clone();
            if !self.lend(key) {
                return;
            }
        }
    }

    /// Gives the futex to its first waiter, which the caller wakes.
    pub fn hand_over(&mut self, key: FutexKey) -> Option<T> {
        self.pass(key, false)
    }

    fn pass(&mut self, key: FutexKey, stale: bool) -> Option<T> {
        let lock = self.locks.get_mut(&key)?;
        let next = lock.waiters.pop_first().map(|(_, task)| task);
        let before = match &next {
            Some(next) => core::mem::replace(&mut lock.owner, next.clone()),
            None => lock.owner.clone(),
        };
        let lent = lock.lends.take();
        lock.stale = stale;
        if next.is_none() || !stale && lock.waiters.is_empty() {
            self.locks.remove(&key);
            before.mark(key, false);
        }
        if let Some(node) = self.nodes.get_mut(&before.id()) {
            if let Some(lent) = lent {
                node.owns.remove(&lent);
            }
            node.stale = node.stale.filter(|left| *left != key);
        }
        if let Some(next) = &next {
            let node = self.nodes.entry(next.id()).or_default();
            node.waits = None;
            node.stale = stale.then_some(key);
            self.lend(key);
            self.adjust(next);
        }
        self.adjust(&before);
        next
    }

    /// Ends a wait. True: the task is out. False: it had been given the futex, or was not there.
    pub fn give_up(&mut self, task: &T) -> bool {
        let Some(node) = self.nodes.get_mut(&task.id()) else {
            return false;
        };
        let (parked, waits) = (node.parked.take(), node.waits.take());
        if let Some((key, place)) = parked {
            self.remove_parked(key, place);
        }
        if let Some((key, place)) = waits
            && let Some(lock) = self.locks.get_mut(&key)
        {
            lock.waiters.remove(&place);
            let owner = lock.owner.clone();
            let changed = self.lend(key);
            self.forget_if_free(key);
            if changed {
                self.adjust(&owner);
            }
        }
        self.adjust(task);
        parked.is_some() || waits.is_some()
    }

    fn forget_if_free(&mut self, key: FutexKey) {
        let Some(lock) = self.locks.get(&key) else {
            return;
        };
        if lock.waiters.is_empty() && !lock.stale {
            lock.owner.mark(key, false);
            self.locks.remove(&key);
        }
    }

    /// An owner ends: up to `most` of its futexes go to their first waiters, stale. Returns whom to
    /// wake. To be called again while the task is in the graph.
    pub fn exit(&mut self, task: &T, most: usize) -> Vec<T> {
        self.give_up(task);
        let mut woken = Vec::new();
        for _ in 0..most {
            let node = self.nodes.get(&task.id());
            let key = node.and_then(|node| node.stale.or_else(|| node.owns.values().next().copied()));
            let Some(key) = key else {
                break;
            };
            woken.extend(self.pass(key, true));
        }
        woken
    }

    /// The owner of a stale futex has written its name.
    pub fn settle(&mut self, task: &T) {
        let Some(key) = self.nodes.get_mut(&task.id()).and_then(|node| node.stale.take()) else {
            return;
        };
        if let Some(lock) = self.locks.get_mut(&key) {
            lock.stale = false;
        }
        self.forget_if_free(key);
        self.adjust(task);
    }

    /// The owner of a stale futex cannot write its name: the next waiter, which the caller wakes, is given
    /// it, stale as it is.
    pub fn abandon(&mut self, task: &T) -> Option<T> {
        let key = self.stale_of(task)?;
        self.pass(key, true)
    }

    /// Parks a task at `key` until it is moved to `target`.
    pub fn park(&mut self, key: FutexKey, target: FutexKey, task: &T) -> Result<(), Refusal> {
        self.enter(task)?;
        let place = self.place(task.rt_priority());
        if !self.parked.contains_key(&key) {
            task.mark(key, true);
        }
        let parked = Parked {
            task: task.clone(),
            target,
        };
        self.parked.entry(key).or_default().insert(place, parked);
        self.nodes.entry(task.id()).or_default().parked = Some((key, place));
        Ok(())
    }

    /// The first task parked at `key`, and where it wants to go.
    pub fn first_parked(&self, key: FutexKey) -> Option<(T, FutexKey)> {
        let first = self.parked.get(&key)?.values().next()?;
        Some((first.task.clone(), first.target))
    }

    /// Ends the parking of a task: it owns what it wanted, or waits for it.
    pub fn unpark(&mut self, task: &T) {
        let node = self.nodes.get_mut(&task.id());
        if let Some((key, place)) = node.and_then(|node| node.parked.take()) {
            self.remove_parked(key, place);
            self.adjust(task);
        }
    }

    fn remove_parked(&mut self, key: FutexKey, place: Place) {
        let Some(parked) = self.parked.get_mut(&key) else {
            return;
        };
        if let Some(removed) = parked.remove(&place)
            && parked.is_empty()
        {
            removed.task.mark(key, false);
            self.parked.remove(&key);
        }
    }

    #[cfg(test)]
    pub(super) fn keys(&self) -> Vec<FutexKey> {
        self.locks.keys().chain(self.parked.keys()).copied().collect()
    }
    #[cfg(test)]
    pub(super) fn edges(&self) -> Vec<(T, T)> {
        let each = self.locks.values();
        each.flat_map(|lock| {
            let owner = lock.owner.clone();
            lock.waiters
                .values()
                .map(move |task| (task.clone(), owner.clone()))
        })
        .collect()
    }
}
