//! A sparse array of frames, indexed by page number (the part of Linux's xarray that a page
//! cache needs).
//!
//! Pages are kept in leaves of [`LEAF`] slots, so neighbours cost one look-up and small files
//! one small allocation.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry;
use alloc::vec::Vec;
use core::ops::Range;

use crate::ensure;
use crate::error::Result;
use crate::ids::Frame;

const LEAF: u64 = 32;
/// No machine has this frame.
const NONE: u32 = u32::MAX;

struct Leaf {
    used: u32,
    slots: Box<[u32]>,
}

/// The array.
#[derive(Default)]
pub(super) struct PageTree {
    leaves: BTreeMap<u64, Leaf>,
    len: u64,
}

impl PageTree {
    /// Pages in it.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// The frame of page `index`.
    #[inline]
    pub fn get(&self, index: u64) -> Option<Frame> {
        let slot = self.leaves.get(&(index / LEAF))?.slots[(index % LEAF) as usize];
        (slot != NONE).then_some(Frame(slot))
    }

    /// Puts a frame at `index`, where none is.
    pub fn insert(&mut self, index: u64, frame: Frame) -> Result<()> {
        let leaf = match self.leaves.entry(index / LEAF) {
            Entry::Occupied(leaf) => leaf.into_mut(),
            Entry::Vacant(place) => {
                let mut slots = Vec::new();
                ensure!(
                    slots.try_reserve_exact(LEAF as usize).is_ok(),
                    ENOMEM,
                    "no memory for the index of a file's pages"
                );
                slots.resize(LEAF as usize, NONE);
                let slots = slots.into_boxed_slice();
                place.insert(Leaf { used: 0, slots })
            }
        };
        let slot = &mut leaf.slots[(index % LEAF) as usize];
        debug_assert_eq!(*slot, NONE);
        *slot = frame.0;
        leaf.used += 1;
        self.len += 1;
        Ok(())
    }

    /// The first page at `from` or later.
    pub fn next_present(&self, from: u64) -> Option<u64> {
        self.leaves.range(from / LEAF..).find_map(|(&key, leaf)| {
            let first = if key == from / LEAF { from % LEAF } else { 0 };
            let at = leaf.slots[first as usize..]
                .iter()
                .position(|&slot| slot != NONE)?;
            Some(key * LEAF + first + at as u64)
        })
    }

    /// The first index at `from` or later that has no page.
    pub fn next_absent(&self, from: u64) -> u64 {
        let mut index = from;
        while let Some(leaf) = self.leaves.get(&(index / LEAF)) {
            let first = (index % LEAF) as usize;
            match leaf.slots[first..].iter().position(|&slot| slot == NONE) {
                Some(at) => return index + at as u64,
                None => index = (index / LEAF + 1) * LEAF,
            }
        }
        index
    }

    /// Removes up to `out.capacity() - out.len()` pages of the range into `out`; false when none is
    /// left there.
    pub fn remove_some(&mut self, range: Range<u64>, out: &mut Vec<Frame>) -> bool {
        let mut index = range.start;
        while out.len() < out.capacity() {
            match self.next_present(index) {
                Some(at) if at < range.end => {
                    out.extend(self.remove(at));
                    index = at + 1;
                }
                _ => return false,
            }
        }
        true
    }

    /// Removes one page.
    pub fn remove(&mut self, index: u64) -> Option<Frame> {
        let leaf = self.leaves.get_mut(&(index / LEAF))?;
        let slot = &mut leaf.slots[(index % LEAF) as usize];
        if *slot == NONE {
            return None;
        }
        let frame = Frame(core::mem::replace(slot, NONE));
        leaf.used -= 1;
        self.len -= 1;
        if leaf.used == 0 {
            self.leaves.remove(&(index / LEAF));
        }
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behaves_like_a_map() {
        let mut tree = PageTree::default();
        let mut model = BTreeMap::new();
        let mut seed = 1u64;
        for _ in 0..20_000 {
            seed = seed
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            let index = (seed >> 33) % 200;
            match seed >> 60 {
                0..8 => {
                    if tree.get(index).is_none() {
                        tree.insert(index, Frame(index as u32)).unwrap();
                        model.insert(index, Frame(index as u32));
                    }
                }
                8..14 => assert_eq!(tree.remove(index), model.remove(&index)),
                14 => {
                    let mut out = Vec::with_capacity(4);
                    tree.remove_some(index..index + 9, &mut out);
                    for frame in out {
                        assert_eq!(model.remove(&u64::from(frame.0)), Some(frame));
                    }
                }
                _ => {
                    let present = model.range(index..).next().map(|(&at, _)| at);
                    assert_eq!(tree.next_present(index), present);
                    let absent = (index..).find(|at| !model.contains_key(at));
                    assert_eq!(Some(tree.next_absent(index)), absent);
                }
            }
            assert_eq!(tree.get(index), model.get(&index).copied());
            assert_eq!(tree.len(), model.len() as u64);
        }
    }
}
