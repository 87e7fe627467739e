//! Numbers to objects: the table behind one pid namespace.
//!
//! Model: a radix tree of 64-way nodes over the numbers 0..2^22, with a bit per slot that tells
//! which numbers are taken and, one level up, which leaves are full, so that looking for a free
//! number skips full parts 64 and 4096 at a time. A number may be taken before an object stands
//! behind it (reserved while a clone is prepared); then `get` finds nothing.
//!
//! Pure data: the owner locks.

use alloc::boxed::Box;
use alloc::vec::Vec;

const FAN: usize = 64;
const LEAF_SHIFT: u32 = 6;
const NODE_SHIFT: u32 = 12;

/// Numbers that the table can hold at most (Linux's `PID_MAX_LIMIT` on 64 bits).
pub const PID_MAX_LIMIT: i32 = 4 * 1024 * 1024;

struct Leaf<T> {
    used: u64,
    slots: [Option<T>; FAN],
}

struct Node<T> {
    /// Leaves that exist.
    present: u64,
    /// Leaves without a free number.
    full: u64,
    leaves: [Option<Box<Leaf<T>>>; FAN],
}

/// The table.
pub struct PidMap<T> {
    nodes: Vec<Option<Box<Node<T>>>>,
    used: usize,
}

impl<T> Default for PidMap<T> {
    fn default() -> Self {
        PidMap {
            nodes: Vec::new(),
            used: 0,
        }
    }
}

fn split(nr: i32) -> (usize, usize, usize) {
    let nr = nr as u32;
    (
        (nr >> NODE_SHIFT) as usize,
        (nr >> LEAF_SHIFT) as usize % FAN,
        nr as usize % FAN,
    )
}

impl<T> PidMap<T> {
    /// Numbers that are taken.
    pub fn len(&self) -> usize {
        self.used
    }
    /// Whether no number is taken.
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    fn leaf(&self, nr: i32) -> Option<&Leaf<T>> {
        if nr < 0 {
            return None;
        }
        let (node, leaf, _) = split(nr);
        self.nodes.get(node)?.as_ref()?.leaves[leaf].as_deref()
    }

    /// The object behind a number.
    pub fn get(&self, nr: i32) -> Option<&T> {
        self.leaf(nr)?.slots[nr as usize % FAN].as_ref()
    }
    /// Whether the number is taken, by an object or a reservation.
    pub fn is_taken(&self, nr: i32) -> bool {
        self.leaf(nr)
            .is_some_and(|leaf| leaf.used >> (nr as usize % FAN) & 1 != 0)
    }

    /// Takes this number; false if it is taken already. The caller has checked its range.
    pub fn take(&mut self, nr: i32) -> bool {
        let (at, leaf_at, bit) = split(nr);
        if self.nodes.len() <= at {
            self.nodes.resize_with(at + 1, || None);
        }
        let node = self.nodes[at].get_or_insert_with(|| {
            Box::new(Node {
                present: 0,
                full: 0,
                leaves: [const { None }; FAN],
            })
        });
        let leaf = node.leaves[leaf_at].get_or_insert_with(|| {
            Box::new(Leaf {
                used: 0,
                slots: [const { None }; FAN],
            })
        });
        node.present |= 1 << leaf_at;
        if leaf.used >> bit & 1 != 0 {
            return false;
        }
        leaf.used |= 1 << bit;
        if leaf.used == u64::MAX {
            node.full |= 1 << leaf_at;
        }
        self.used += 1;
        true
    }

    /// The lowest free number in `from..to`.
    pub fn first_free(&self, from: i32, to: i32) -> Option<i32> {
        let mut nr = from;
        while nr < to {
            let (at, leaf_at, bit) = split(nr);
            let Some(node) = self.nodes.get(at).and_then(Option::as_ref) else {
                return Some(nr);
            };
            let not_full = !node.full & u64::MAX << leaf_at;
            if not_full == 0 {
                nr = ((at as i32) + 1) << NODE_SHIFT;
                continue;
            }
            let next = not_full.trailing_zeros() as usize;
            if next != leaf_at {
                nr = ((at as i32) << NODE_SHIFT) + ((next as i32) << LEAF_SHIFT);
                continue;
            }
            let Some(leaf) = &node.leaves[leaf_at] else {
                return Some(nr);
            };
            let free = !leaf.used & u64::MAX << bit;
            if free != 0 {
                let found = (nr & !(FAN as i32 - 1)) + free.trailing_zeros() as i32;
                return (found < to).then_some(found);
            }
            nr = (nr | (FAN as i32 - 1)) + 1;
        }
        None
    }

    /// Takes the first free number at or after `next`, below `max`; failing that, the first one
    /// from `min` on (Linux's `idr_alloc_cyclic`).
    pub fn take_cyclic(&mut self, next: i32, min: i32, max: i32) -> Option<i32> {
        let nr = self
            .first_free(next.max(min), max)
            .or_else(|| self.first_free(min, next.min(max)))?;
        self.take(nr);
        Some(nr)
    }

    /// Puts the object behind a number that was taken.
    pub fn publish(&mut self, nr: i32, object: T) {
        let (node, leaf, bit) = split(nr);
        if let Some(leaf) = self.nodes[node]
            .as_mut()
            .and_then(|node| node.leaves[leaf].as_mut())
        {
            leaf.slots[bit] = Some(object);
        }
    }

    /// Frees a number; returns the object that stood behind it.
    pub fn remove(&mut self, nr: i32) -> Option<T> {
        let (node_at, leaf_at, bit) = split(nr);
        let slot = self.nodes.get_mut(node_at)?;
        let node = slot.as_mut()?;
        let leaf = node.leaves[leaf_at].as_mut()?;
        if leaf.used >> bit & 1 == 0 {
            return None;
        }
        let object = leaf.slots[bit].take();
        leaf.used &= !(1 << bit);
        node.full &= !(1 << leaf_at);
        self.used -= 1;
        if leaf.used == 0 {
            node.leaves[leaf_at] = None;
            node.present &= !(1 << leaf_at);
            if node.present == 0 {
                *slot = None;
            }
        }
        object
    }

    /// The first object at or after a number, with its number (for listings).
    pub fn next_from(&self, from: i32) -> Option<(i32, &T)> {
        let mut nr = from.max(0);
        loop {
            let (at, leaf_at, bit) = split(nr);
            if at >= self.nodes.len() {
                return None;
            }
            let Some(node) = &self.nodes[at] else {
                nr = ((at as i32) + 1) << NODE_SHIFT;
                continue;
            };
            let present = node.present & u64::MAX << leaf_at;
            if present == 0 {
                nr = ((at as i32) + 1) << NODE_SHIFT;
                continue;
            }
            let next = present.trailing_zeros() as usize;
            let base = ((at as i32) << NODE_SHIFT) + ((next as i32) << LEAF_SHIFT);
            let first = if next == leaf_at { bit } else { 0 };
            if let Some(leaf) = &node.leaves[next] {
                for (n, slot) in leaf.slots.iter().enumerate().skip(first) {
                    if let Some(object) = slot {
                        return Some((base + n as i32, object));
                    }
                }
            }
            nr = base + FAN as i32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;

    struct Rng(u64);
    impl Rng {
        fn next(&mut self, below: u64) -> u64 {
            self.0 = self
                .0
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (self.0 >> 33) % below
        }
    }

    /// The same operations on a sorted map.
    fn naive_cyclic(map: &BTreeMap<i32, Option<u32>>, next: i32, min: i32, max: i32) -> Option<i32> {
        (next.max(min)..max)
            .chain(min..next.min(max))
            .find(|nr| !map.contains_key(nr))
    }

    #[test]
    fn agrees_with_a_naive_model() {
        for seed in 0..60 {
            let mut rng = Rng(seed);
            let max = [40, 130, 5000, 20000][seed as usize % 4];
            let mut map = PidMap::default();
            let mut model: BTreeMap<i32, Option<u32>> = BTreeMap::new();
            let (mut next, mut min) = (1, 1);
            for step in 0..4000u32 {
                match rng.next(if seed % 2 == 0 { 7 } else { 12 }) {
                    0..=2 => {
                        let want = naive_cyclic(&model, next, min, max);
                        let got = map.take_cyclic(next, min, max);
                        assert_eq!(got, want);
                        if let Some(nr) = got {
                            if rng.next(4) == 0 {
                                model.insert(nr, None);
                                assert!(map.get(nr).is_none());
                            } else {
                                model.insert(nr, Some(step));
                                map.publish(nr, step);
                            }
                            if nr < next {
                                min = 10;
                            }
                            next = nr + 1;
                        }
                    }
                    3..=4 if !model.is_empty() => {
                        let at = rng.next(model.len() as u64) as usize;
                        let nr = *model.keys().nth(at).unwrap();
                        assert_eq!(map.remove(nr), model.remove(&nr).unwrap());
                    }
                    5 => {
                        let nr = rng.next(max as u64) as i32;
                        let free = !model.contains_key(&nr);
                        assert_eq!(map.take(nr), free);
                        model.entry(nr).or_insert(None);
                    }
                    _ => {
                        let from = rng.next(max as u64) as i32;
                        let want = model
                            .range(from..)
                            .find_map(|(nr, object)| Some((*nr, object.as_ref()?)));
                        assert_eq!(map.next_from(from), want);
                        assert_eq!(map.is_taken(from), model.contains_key(&from));
                        assert_eq!(map.get(from), model.get(&from).and_then(Option::as_ref));
                    }
                }
                assert_eq!(map.len(), model.len());
            }
        }
    }
}
