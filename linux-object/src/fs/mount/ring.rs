//! Mounts in an order that matters, each once: what Linux links through `mnt_share` and `mnt_slave`.
//!
//! A ring whose links are found by the mount, so that a member comes and goes without a walk past the others, however
//! many copies of a mount namespaces hold.

use alloc::collections::BTreeMap;

#[derive(Clone, Copy)]
struct Link {
    next: u64,
    prev: u64,
}

/// The ring; it has a first member.
#[derive(Default)]
pub struct Ring {
    links: BTreeMap<u64, Link>,
    first: Option<u64>,
}

impl Ring {
    /// Whether it has no members.
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }
    /// Its first member.
    pub fn first(&self) -> Option<u64> {
        self.first
    }
    /// The members, the first one first.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.first.into_iter().flat_map(|first| self.around(first))
    }
    /// The members around the ring from this one on, or from the first if it is not here.
    pub fn iter_from(&self, member: u64) -> impl Iterator<Item = u64> + '_ {
        let start = match self.links.contains_key(&member) {
            true => Some(member),
            false => self.first,
        };
        start.into_iter().flat_map(|start| self.around(start))
    }
    fn around(&self, start: u64) -> impl Iterator<Item = u64> + '_ {
        let next = move |&at: &u64| self.links.get(&at).map(|link| link.next);
        core::iter::successors(Some(start), move |at| next(at).filter(|&next| next != start))
    }

    /// Adds a member behind the last one.
    pub fn push_back(&mut self, new: u64) {
        let Some(first) = self.first else {
            self.first = Some(new);
            self.links.insert(new, Link { next: new, prev: new });
            return;
        };
        if let Some(last) = self.links.get(&first).map(|link| link.prev) {
            self.link(last, new, first);
        }
    }
    /// Adds a member before the first one.
    pub fn push_front(&mut self, new: u64) {
        self.push_back(new);
        self.first = Some(new);
    }
    /// Adds a member behind `member`, or behind the last one if that is not here.
    pub fn insert_after(&mut self, member: u64, new: u64) {
        match self.links.get(&member).map(|link| link.next) {
            // Behind the last one is not before the first one, which stays the first.
            Some(next) => self.link(member, new, next),
            None => self.push_back(new),
        }
    }
    fn link(&mut self, prev: u64, new: u64, next: u64) {
        self.links.insert(new, Link { next, prev });
        if let Some(link) = self.links.get_mut(&prev) {
            link.next = new;
        }
        if let Some(link) = self.links.get_mut(&next) {
            link.prev = new;
        }
    }
    /// Takes a member out, if it is here.
    pub fn remove(&mut self, member: u64) {
        let Some(Link { next, prev }) = self.links.remove(&member) else {
            return;
        };
        if self.first == Some(member) {
            self.first = (next != member).then_some(next);
        }
        if let Some(link) = self.links.get_mut(&prev) {
            link.next = next;
        }
        if let Some(link) = self.links.get_mut(&next) {
            link.prev = prev;
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::Ring;

    #[test]
    fn it_is_a_list() {
        let mut seed = 11u64;
        let mut random = move |n: u64| {
            seed = seed
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (seed >> 33) % n
        };
        let (mut ring, mut list) = (Ring::default(), Vec::new());
        for _ in 0..20_000 {
            let (what, one, other) = (random(5), random(12), random(12));
            let at = list.iter().position(|&member| member == other);
            match what {
                0 | 1 => {
                    ring.remove(one);
                    list.retain(|&member| member != one);
                }
                _ if list.contains(&one) => {}
                2 => {
                    ring.push_back(one);
                    list.push(one);
                }
                3 => {
                    ring.push_front(one);
                    list.insert(0, one);
                }
                _ => {
                    ring.insert_after(other, one);
                    list.insert(at.map_or(list.len(), |at| at + 1), one);
                }
            }
            assert_eq!(ring.iter().collect::<Vec<_>>(), list);
            assert_eq!(ring.first(), list.first().copied());
            assert_eq!(ring.is_empty(), list.is_empty());
            let mut turned = list.clone();
            turned.rotate_left(list.iter().position(|&member| member == other).unwrap_or(0));
            assert_eq!(ring.iter_from(other).collect::<Vec<_>>(), turned);
        }
    }
}
