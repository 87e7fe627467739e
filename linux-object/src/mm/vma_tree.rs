//! The areas of an address space, sorted by address.
//!
//! A two-level B+ tree: leaves of up to [`LEAF`] areas, and an index of their first addresses. A
//! process with few areas has one leaf, so a look-up is one binary search in one array; with the
//! most areas allowed the index is 16 KiB to move.
//!
//! Each leaf remembers the largest gap between its areas, as far as it is known, so that the search
//! for unmapped space skips leaves.

use alloc::vec::Vec;

use super::Vma;
use crate::ensure;
use crate::error::Result;

const LEAF: usize = 32;

struct Leaf {
    /// Upper bound of the gaps between the areas in it; `u64::MAX` when not known.
    max_gap: u64,
    areas: Vec<Vma>,
}

/// The place of an area, until the tree changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Pos {
    leaf: usize,
    at: usize,
}

/// The areas.
#[derive(Default)]
pub(super) struct VmaTree {
    /// First address of each leaf.
    starts: Vec<u64>,
    leaves: Vec<Leaf>,
    len: usize,
}

impl VmaTree {
    /// Areas in it.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The first area that ends above `addr` (Linux's `find_vma`).
    #[inline]
    pub fn find(&self, addr: u64) -> Option<Pos> {
        let after = match self.starts.len() {
            1 => 1,
            _ => self.starts.partition_point(|&start| start <= addr).max(1),
        };
        let leaf = after - 1;
        let areas = &self.leaves.get(leaf)?.areas;
        let at = areas.partition_point(|vma| vma.end <= addr);
        if at < areas.len() {
            Some(Pos { leaf, at })
        } else {
            (after < self.leaves.len()).then_some(Pos { leaf: after, at: 0 })
        }
    }

    /// The area that holds `addr`.
    pub fn containing(&self, addr: u64) -> Option<&Vma> {
        self.find(addr)
            .map(|pos| self.get(pos))
            .filter(|vma| vma.start <= addr)
    }

    #[inline]
    pub fn get(&self, pos: Pos) -> &Vma {
        &self.leaves[pos.leaf].areas[pos.at]
    }

    /// Change an area, but not its place among the others.
    #[inline]
    pub fn get_mut(&mut self, pos: Pos) -> &mut Vma {
        &mut self.leaves[pos.leaf].areas[pos.at]
    }

    /// Moves the borders of an area without passing another.
    pub fn set_range(&mut self, pos: Pos, start: u64, end: u64) {
        let leaf = &mut self.leaves[pos.leaf];
        leaf.max_gap = u64::MAX;
        if pos.at == 0 {
            self.starts[pos.leaf] = start;
        }
        let vma = &mut leaf.areas[pos.at];
        (vma.start, vma.end) = (start, end);
    }

    pub fn last(&self) -> Option<Pos> {
        let leaf = self.leaves.len().checked_sub(1)?;
        let at = self.leaves[leaf].areas.len() - 1;
        Some(Pos { leaf, at })
    }

    pub fn next(&self, pos: Pos) -> Option<Pos> {
        if pos.at + 1 < self.leaves[pos.leaf].areas.len() {
            Some(Pos {
                at: pos.at + 1,
                ..pos
            })
        } else {
            (pos.leaf + 1 < self.leaves.len()).then_some(Pos {
                leaf: pos.leaf + 1,
                at: 0,
            })
        }
    }

    pub fn prev(&self, pos: Pos) -> Option<Pos> {
        if pos.at > 0 {
            return Some(Pos {
                at: pos.at - 1,
                ..pos
            });
        }
        let leaf = pos.leaf.checked_sub(1)?;
        let at = self.leaves[leaf].areas.len() - 1;
        Some(Pos { leaf, at })
    }

    /// Every area in order.
    pub fn iter(&self) -> impl Iterator<Item = &Vma> {
        self.leaves.iter().flat_map(|leaf| &leaf.areas)
    }

    /// The areas that reach into the range, in order.
    pub fn iter_range(&self, start: u64, end: u64) -> impl Iterator<Item = &Vma> {
        let mut next = self.find(start);
        core::iter::from_fn(move || {
            let pos = next?;
            next = self.next(pos);
            Some(self.get(pos))
        })
        .take_while(move |vma| vma.start < end)
    }

    /// Adds an area that overlaps none. `ENOMEM`, and then nothing changed.
    pub fn insert(&mut self, vma: Vma) -> Result<()> {
        let after = self.starts.partition_point(|&start| start <= vma.start);
        let mut leaf = after.saturating_sub(1);
        if self.leaves.get(leaf).is_none_or(|leaf| leaf.areas.len() == LEAF) {
            // A full leaf is split in the middle, at its end only what is new goes to a new leaf.
            let mut areas = Vec::new();
            let room = self.starts.try_reserve(1).is_ok()
                && self.leaves.try_reserve(1).is_ok()
                && areas
                    .try_reserve_exact(if self.len == 0 { 8 } else { LEAF })
                    .is_ok();
            ensure!(room, ENOMEM, "no memory for an area");
            if self.leaves.is_empty() {
                self.starts.push(vma.start);
                self.leaves.push(Leaf { max_gap: 0, areas });
            } else {
                let full = &mut self.leaves[leaf];
                full.max_gap = u64::MAX;
                areas.extend(full.areas.drain(LEAF / 2..));
                let start = areas[0].start;
                self.starts.insert(leaf + 1, start);
                self.leaves.insert(
                    leaf + 1,
                    Leaf {
                        max_gap: u64::MAX,
                        areas,
                    },
                );
                if start <= vma.start {
                    leaf += 1;
                }
            }
        }
        let (start, target) = (vma.start, &mut self.leaves[leaf]);
        ensure!(
            target.areas.try_reserve(1).is_ok(),
            ENOMEM,
            "no memory for an area"
        );
        let at = target.areas.partition_point(|other| other.start < start);
        target.areas.insert(at, vma);
        target.max_gap = u64::MAX;
        if at == 0 {
            self.starts[leaf] = start;
        }
        self.len += 1;
        Ok(())
    }

    /// Takes an area out.
    pub fn remove(&mut self, pos: Pos) -> Vma {
        let leaf = &mut self.leaves[pos.leaf];
        let vma = leaf.areas.remove(pos.at);
        leaf.max_gap = u64::MAX;
        if leaf.areas.is_empty() {
            self.leaves.remove(pos.leaf);
            self.starts.remove(pos.leaf);
        } else if pos.at == 0 {
            self.starts[pos.leaf] = leaf.areas[0].start;
        }
        self.len -= 1;
        vma
    }

    /// Every area, and an empty tree.
    pub fn take(&mut self) -> impl Iterator<Item = Vma> + use<> {
        core::mem::take(self)
            .leaves
            .into_iter()
            .flat_map(|leaf| leaf.areas)
    }

    /// The highest address at which `len` bytes fit between `low` and `high`.
    pub fn find_gap_topdown(&mut self, len: u64, low: u64, high: u64) -> Option<u64> {
        if high < low || high - low < len {
            return None;
        }
        // The end of the gap that is looked at.
        let mut end = high;
        let mut leaf = self.leaves.len();
        while leaf > 0 {
            leaf -= 1;
            let current = &self.leaves[leaf];
            let (first, last) = (&current.areas[0], &current.areas[current.areas.len() - 1]);
            if first.start_gap() >= high {
                continue;
            }
            if last.end < end && end - last.end.max(low) >= len {
                return Some(end - len);
            }
            if last.end >= high || current.max_gap >= len {
                let mut max_gap = 0;
                for vma in current.areas.iter().rev() {
                    if vma.end < end {
                        max_gap = max_gap.max(end - vma.end);
                        let from = vma.end.max(low);
                        if end >= from && end - from >= len {
                            return Some(end - len);
                        }
                    }
                    end = end.min(vma.start_gap());
                }
                // The gap above the last area belongs to no leaf; counting it errs on the safe side.
                self.leaves[leaf].max_gap = if last_is_below(&self.leaves[leaf], high) {
                    max_gap
                } else {
                    u64::MAX
                };
            } else {
                end = end.min(first.start_gap());
            }
            if end < low || end - low < len {
                return None;
            }
        }
        (end >= low && end - low >= len).then(|| end - len)
    }

    /// The lowest address at which `len` bytes fit between `low` and `high`.
    pub fn find_gap_bottomup(&self, len: u64, low: u64, high: u64) -> Option<u64> {
        let mut addr = low;
        let mut next = self.find(low);
        while addr <= high && high - addr >= len {
            match next {
                Some(pos) => {
                    let vma = self.get(pos);
                    if vma.start_gap() >= addr && vma.start_gap() - addr >= len {
                        return Some(addr);
                    }
                    addr = addr.max(vma.end);
                    next = self.next(pos);
                }
                None => return Some(addr),
            }
        }
        None
    }
}

/// Whether all gaps of the leaf lie below `high`, so that a search from there saw them whole.
fn last_is_below(leaf: &Leaf, high: u64) -> bool {
    leaf.areas.last().is_some_and(|vma| vma.end <= high)
}
