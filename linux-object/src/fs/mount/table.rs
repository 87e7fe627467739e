//! What is kept for each mount, found by its number in the same time however many there are.
//!
//! The numbers that `mountinfo` shows are the smallest that are free, so an array of them is dense. It is kept in
//! chunks of about a page, two levels deep: a change allocates no more than that at a time, and chunks without
//! values are given back.

use alloc::boxed::Box;
use alloc::vec::Vec;

/// Values of a chunk.
const VALUES: usize = 32;
/// Chunks of a directory.
const CHUNKS: usize = 256;

/// A mount, for as long as the kernel runs: numbers come again, their order does not.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MountKey {
    /// Order by age; never used again.
    pub seq: u64,
    /// The id in `mountinfo`.
    pub id: u32,
}

/// Up to `N` values.
struct Chunk<T, const N: usize> {
    used: usize,
    slots: Box<[Option<T>]>,
}

impl<T, const N: usize> Default for Chunk<T, N> {
    fn default() -> Self {
        Chunk {
            used: 0,
            slots: core::iter::repeat_with(|| None).take(N).collect(),
        }
    }
}

impl<T, const N: usize> Chunk<T, N> {
    fn put(&mut self, at: usize, value: T) -> Option<T> {
        let old = self.slots[at].replace(value);
        self.used += usize::from(old.is_none());
        old
    }
    fn take(&mut self, at: usize) -> Option<T> {
        let old = self.slots[at].take();
        self.used -= usize::from(old.is_some());
        old
    }
}

type Directory<T> = Chunk<Chunk<T, VALUES>, CHUNKS>;

/// Values by dense numbers.
pub(super) struct Dense<T> {
    directories: Vec<Option<Directory<T>>>,
}

impl<T> Default for Dense<T> {
    fn default() -> Self {
        Dense {
            directories: Vec::new(),
        }
    }
}

/// Place in the directories, in a directory and in a chunk.
fn place(number: u32) -> (usize, usize, usize) {
    let number = number as usize;
    (
        number / VALUES / CHUNKS,
        number / VALUES % CHUNKS,
        number % VALUES,
    )
}

impl<T> Dense<T> {
    /// The value of a number.
    pub fn get(&self, number: u32) -> Option<&T> {
        let (directory, chunk, at) = place(number);
        self.directories.get(directory)?.as_ref()?.slots[chunk]
            .as_ref()?
            .slots[at]
            .as_ref()
    }
    /// The same, to be changed.
    pub fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        let (directory, chunk, at) = place(number);
        self.directories.get_mut(directory)?.as_mut()?.slots[chunk]
            .as_mut()?
            .slots[at]
            .as_mut()
    }
    /// Gives a number a value.
    pub fn insert(&mut self, number: u32, value: T) -> Option<T> {
        let (directory, chunk, at) = place(number);
        if self.directories.len() <= directory {
            self.directories.resize_with(directory + 1, || None);
        }
        let directory = self.directories[directory].get_or_insert_default();
        if directory.slots[chunk].is_none() {
            directory.put(chunk, Chunk::default());
        }
        directory.slots[chunk].as_mut()?.put(at, value)
    }
    /// Takes the value of a number.
    pub fn remove(&mut self, number: u32) -> Option<T> {
        let (directory, chunk, at) = place(number);
        let slot = self.directories.get_mut(directory)?;
        let chunks = slot.as_mut()?;
        let values = chunks.slots[chunk].as_mut()?;
        let old = values.take(at)?;
        if values.used == 0 {
            chunks.take(chunk);
            if chunks.used == 0 {
                *slot = None;
            }
        }
        Some(old)
    }
    /// All values in the order of their numbers.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        let chunks = self
            .directories
            .iter()
            .flatten()
            .flat_map(|chunks| chunks.slots.iter().flatten());
        chunks.flat_map(|values| values.slots.iter().flatten())
    }
    /// How many there are.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.values().count()
    }
}

/// Values of mounts.
pub(super) struct MountTable<T>(Dense<(u64, T)>);

impl<T> Default for MountTable<T> {
    fn default() -> Self {
        MountTable(Dense::default())
    }
}

impl<T> MountTable<T> {
    /// The value of a mount; none if only an earlier one of its number has one.
    pub fn get(&self, mount: MountKey) -> Option<&T> {
        let (seq, value) = self.0.get(mount.id)?;
        (*seq == mount.seq).then_some(value)
    }
    /// The same, to be changed.
    pub fn get_mut(&mut self, mount: MountKey) -> Option<&mut T> {
        let (seq, value) = self.0.get_mut(mount.id)?;
        (*seq == mount.seq).then_some(value)
    }
    /// Gives a mount a value.
    pub fn insert(&mut self, mount: MountKey, value: T) {
        self.0.insert(mount.id, (mount.seq, value));
    }
    /// Takes the value of a mount.
    pub fn remove(&mut self, mount: MountKey) -> Option<T> {
        self.get(mount)?;
        self.0.remove(mount.id).map(|(_, value)| value)
    }
    /// All values.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.0.values().map(|(_, value)| value)
    }
    /// How many there are.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use super::*;

    #[test]
    fn it_is_a_map_that_gives_its_memory_back() {
        let mut seed = 3u64;
        let mut random = move |n: u64| {
            seed = seed
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (seed >> 33) % n
        };
        let (mut dense, mut model) = (Dense::default(), BTreeMap::new());
        for step in 0..20_000u64 {
            let number = random(40_000) as u32;
            match random(3) {
                0 => assert_eq!(dense.insert(number, step), model.insert(number, step)),
                1 => assert_eq!(dense.remove(number), model.remove(&number)),
                _ => assert_eq!(dense.get(number), model.get(&number)),
            }
            assert_eq!(dense.len(), model.len());
        }
        assert!(dense.values().eq(model.values()));
        for number in model.into_keys() {
            dense.remove(number);
        }
        assert!(dense.directories.iter().all(Option::is_none));
    }

    #[test]
    fn a_number_that_comes_again_is_another_mount() {
        let mut table = MountTable::default();
        let (old, new) = (MountKey { seq: 1, id: 5 }, MountKey { seq: 2, id: 5 });
        table.insert(old, 'a');
        assert_eq!((table.get(old), table.get(new)), (Some(&'a'), None));
        table.insert(new, 'b');
        assert_eq!(table.remove(old), None);
        assert_eq!(table.remove(new), Some('b'));
    }
}
