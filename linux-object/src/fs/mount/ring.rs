//! Mounts in an order that matters, each once: what Linux links through `mnt_share` and `mnt_slave`.
//!
//! The links are kept with the mounts, so that a member comes and goes without a walk past the others, however
//! many copies of a mount namespaces hold.

use super::table::MountKey;

/// The neighbours of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    next: MountKey,
    prev: MountKey,
}

/// Where the links of one kind of ring are.
pub(super) trait Links {
    /// The link of a mount.
    fn get(&self, mount: MountKey) -> Option<Link>;
}

/// The same, to be changed.
pub(super) trait LinksMut: Links {
    /// Sets or clears the link of a mount.
    fn set(&mut self, mount: MountKey, link: Option<Link>);
}

/// A ring; it has a first member.
#[derive(Clone, Copy, Default)]
pub(super) struct Ring {
    first: Option<MountKey>,
}

impl Ring {
    /// Whether it has no members.
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }
    /// Its first member.
    pub fn first(&self) -> Option<MountKey> {
        self.first
    }
    /// The members, the first one first.
    pub fn iter<L: Links>(&self, links: L) -> impl Iterator<Item = MountKey> + use<L> {
        let first = self.first;
        let next = move |&at: &MountKey| links.get(at).map(|link| link.next);
        core::iter::successors(first, move |at| next(at).filter(|&next| Some(next) != first))
    }

    /// Adds a member behind the last one.
    pub fn push_back(&mut self, links: &mut impl LinksMut, new: MountKey) {
        let Some(first) = self.first else {
            self.first = Some(new);
            links.set(new, Some(Link { next: new, prev: new }));
            return;
        };
        if let Some(last) = links.get(first).map(|link| link.prev) {
            join(links, last, new, first);
        }
    }
    /// Adds a member before the first one.
    pub fn push_front(&mut self, links: &mut impl LinksMut, new: MountKey) {
        self.push_back(links, new);
        self.first = Some(new);
    }
    /// Adds a member behind `member`, which is one.
    pub fn insert_after(&mut self, links: &mut impl LinksMut, member: MountKey, new: MountKey) {
        if let Some(next) = links.get(member).map(|link| link.next) {
            // Behind the last one is not before the first one, which stays the first.
            join(links, member, new, next);
        }
    }
    /// Takes out a member.
    pub fn remove(&mut self, links: &mut impl LinksMut, member: MountKey) {
        let Some(Link { next, prev }) = links.get(member) else {
            return;
        };
        links.set(member, None);
        if self.first == Some(member) {
            self.first = (next != member).then_some(next);
        }
        change(links, prev, |link| link.next = next);
        change(links, next, |link| link.prev = prev);
    }
}

/// The members of the ring that `start` is in, that one first.
pub(super) fn around<L: Links>(start: MountKey, links: L) -> impl Iterator<Item = MountKey> {
    Ring { first: Some(start) }.iter(links)
}

fn change(links: &mut impl LinksMut, mount: MountKey, change: impl FnOnce(&mut Link)) {
    if let Some(mut link) = links.get(mount) {
        change(&mut link);
        links.set(mount, Some(link));
    }
}

fn join(links: &mut impl LinksMut, prev: MountKey, new: MountKey, next: MountKey) {
    links.set(new, Some(Link { next, prev }));
    change(links, prev, |link| link.next = new);
    change(links, next, |link| link.prev = new);
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::vec::Vec;

    use super::*;

    impl Links for &mut BTreeMap<MountKey, Link> {
        fn get(&self, mount: MountKey) -> Option<Link> {
            BTreeMap::get(self, &mount).copied()
        }
    }

    impl LinksMut for &mut BTreeMap<MountKey, Link> {
        fn set(&mut self, mount: MountKey, link: Option<Link>) {
            match link {
                Some(link) => self.insert(mount, link),
                None => BTreeMap::remove(self, &mount),
            };
        }
    }

    #[test]
    fn it_is_a_list() {
        let mut seed = 11u64;
        let mut random = move |n: u64| {
            seed = seed
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (seed >> 33) % n
        };
        let key = |seq: u64| MountKey { seq, id: seq as u32 };
        let (mut ring, mut list) = (Ring::default(), Vec::new());
        let mut links = BTreeMap::new();
        for _ in 0..20_000 {
            let (what, one, other) = (random(5), key(random(12)), key(random(12)));
            let mut links = &mut links;
            let at = list.iter().position(|&member| member == other);
            match what {
                0 | 1 => {
                    ring.remove(&mut links, one);
                    list.retain(|&member| member != one);
                }
                _ if list.contains(&one) => {}
                2 => {
                    ring.push_back(&mut links, one);
                    list.push(one);
                }
                3 => {
                    ring.push_front(&mut links, one);
                    list.insert(0, one);
                }
                _ => {
                    ring.insert_after(&mut links, other, one);
                    if let Some(at) = at {
                        list.insert(at + 1, one);
                    }
                }
            }
            assert_eq!(ring.iter(&mut *links).collect::<Vec<_>>(), list);
            assert_eq!(ring.first(), list.first().copied());
            assert_eq!(ring.is_empty(), list.is_empty());
            assert_eq!(links.len(), list.len());
            if let Some(at) = list.iter().position(|&member| member == other) {
                let mut turned = list.clone();
                turned.rotate_left(at);
                assert_eq!(around(other, &mut *links).collect::<Vec<_>>(), turned);
            }
        }
    }
}
