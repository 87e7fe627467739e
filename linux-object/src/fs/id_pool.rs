//! Small numbers that are given out and taken back (Linux's `ida`): device minors, mount ids, peer groups.

use alloc::collections::BTreeSet;

/// Gives the smallest free number from `first` on.
pub struct IdPool {
    next: u32,
    free: BTreeSet<u32>,
}

impl IdPool {
    /// A pool whose first number is `first`.
    pub const fn new(first: u32) -> IdPool {
        IdPool {
            next: first,
            free: BTreeSet::new(),
        }
    }
    /// The smallest number not in use.
    pub fn allocate(&mut self) -> u32 {
        self.free.pop_first().unwrap_or_else(|| {
            self.next += 1;
            self.next - 1
        })
    }
    /// Takes a number back.
    pub fn free(&mut self, id: u32) {
        if id + 1 == self.next {
            self.next = id;
            while self.next > 0 && self.free.remove(&(self.next - 1)) {
                self.next -= 1;
            }
        } else {
            self.free.insert(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::IdPool;

    #[test]
    fn gives_the_smallest_free_number() {
        let mut pool = IdPool::new(1);
        assert_eq!((pool.allocate(), pool.allocate(), pool.allocate()), (1, 2, 3));
        pool.free(2);
        assert_eq!((pool.allocate(), pool.allocate()), (2, 4));
        pool.free(3);
        pool.free(4);
        assert_eq!(pool.allocate(), 3);
    }
}
