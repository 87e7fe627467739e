//! Peer groups and who receives a mount (`Documentation/filesystems/sharedsubtree.rst`).
//!
//! Pure: mounts are numbers here. A *peer group* has members and slaves; a slave is a mount
//! that is not shared itself, or a member of another group all of whose members have the same
//! master. A mount may be member of one group and slave of another.

use alloc::vec::Vec;

use hashbrown::HashSet;

use super::ring::{self, Link, Links, LinksMut, Ring};
use super::table::{Dense, MountKey, MountTable};
use crate::fs::id_pool::IdPool;

/// A peer group, by the number that `mountinfo` shows.
pub type GroupId = u32;

/// What a mount is.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
struct Kind {
    shared: Option<GroupId>,
    master: Option<GroupId>,
    unbindable: bool,
}

/// A mount that is not private: it is in the ring of the members of `shared`, and in that of the slaves of `master`.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Node {
    kind: Kind,
    member: Option<Link>,
    slave: Option<Link>,
}

#[derive(Default)]
struct Nodes(MountTable<Node>);

impl Nodes {
    fn get(&self, mount: MountKey) -> Node {
        self.0.get(mount).copied().unwrap_or_default()
    }
    fn change(&mut self, mount: MountKey, change: impl FnOnce(&mut Node)) {
        if let Some(node) = self.0.get_mut(mount) {
            change(node);
            if *node == Node::default() {
                self.0.remove(mount);
            }
            return;
        }
        let mut node = Node::default();
        change(&mut node);
        if node != Node::default() {
            self.0.insert(mount, node);
        }
    }
}

/// The links of one kind: among peers, or among the slaves of one group.
struct Chain<N> {
    nodes: N,
    link: fn(&mut Node) -> &mut Option<Link>,
}

fn members<N>(nodes: N) -> Chain<N> {
    Chain {
        nodes,
        link: |node| &mut node.member,
    }
}

fn slaves<N>(nodes: N) -> Chain<N> {
    Chain {
        nodes,
        link: |node| &mut node.slave,
    }
}

impl<N: core::ops::Deref<Target = Nodes>> Links for Chain<N> {
    fn get(&self, mount: MountKey) -> Option<Link> {
        *(self.link)(&mut self.nodes.get(mount))
    }
}

impl LinksMut for Chain<&mut Nodes> {
    fn set(&mut self, mount: MountKey, link: Option<Link>) {
        self.nodes.change(mount, |node| *(self.link)(node) = link);
    }
}

#[derive(Default)]
struct Group {
    members: Ring,
    slaves: Ring,
}

/// A mount that an event at another mount reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receiver {
    /// The mount.
    pub mount: MountKey,
    /// Its own group.
    pub group: Option<GroupId>,
    /// The group it receives from; the same as `group` for peers of the origin.
    pub from: GroupId,
}

/// The propagation types of all mounts. Private mounts are not listed.
pub struct Propagation {
    nodes: Nodes,
    groups: Dense<Group>,
    ids: IdPool,
}

impl Default for Propagation {
    fn default() -> Self {
        Propagation {
            nodes: Nodes::default(),
            groups: Dense::default(),
            ids: IdPool::new(1),
        }
    }
}

impl Propagation {
    fn kind(&self, mount: MountKey) -> Kind {
        self.nodes.get(mount).kind
    }
    fn put(&mut self, mount: MountKey, kind: Kind) {
        self.nodes.change(mount, |node| node.kind = kind);
    }
    /// The group that it is a peer in.
    pub fn shared(&self, mount: MountKey) -> Option<GroupId> {
        self.kind(mount).shared
    }
    /// The group that it is a slave of.
    pub fn master(&self, mount: MountKey) -> Option<GroupId> {
        self.kind(mount).master
    }
    /// The group that the members of a group are slaves of.
    pub fn master_of_group(&self, group: GroupId) -> Option<GroupId> {
        let first = self.groups.get(group)?.members.first()?;
        self.kind(first).master
    }
    /// Whether it may not be bound.
    pub fn is_unbindable(&self, mount: MountKey) -> bool {
        self.kind(mount).unbindable
    }
    /// The members of a group.
    pub fn members(&self, group: GroupId) -> impl Iterator<Item = MountKey> + '_ {
        let group = self.groups.get(group);
        group
            .into_iter()
            .flat_map(|group| group.members.iter(members(&self.nodes)))
    }
    /// The peers of a mount, itself the first.
    fn peers_from(&self, mount: MountKey) -> impl Iterator<Item = MountKey> + '_ {
        ring::around(mount, members(&self.nodes))
    }

    /// Adds `new` to the peers of a group, behind `after` or the last one.
    fn add_member(&mut self, group: GroupId, after: Option<MountKey>, new: MountKey) {
        let Some(group) = self.groups.get_mut(group) else {
            return;
        };
        let links = &mut members(&mut self.nodes);
        match after {
            Some(after) => group.members.insert_after(links, after, new),
            None => group.members.push_back(links, new),
        }
    }
    /// Takes a slave from its master.
    fn remove_slave(&mut self, master: Option<GroupId>, mount: MountKey) {
        if let Some(master) = master.and_then(|master| self.groups.get_mut(master)) {
            master.slaves.remove(&mut slaves(&mut self.nodes), mount);
        }
    }

    /// `MS_SHARED`: a group of its own, unless it is in one.
    pub fn make_shared(&mut self, mount: MountKey) {
        let mut kind = self.kind(mount);
        if kind.shared.is_none() {
            let id = self.ids.allocate();
            self.groups.insert(id, Group::default());
            self.add_member(id, None, mount);
            kind.shared = Some(id);
        }
        kind.unbindable = false;
        self.put(mount, kind);
    }

    /// `MS_SLAVE`: a slave of its former peers; of its master if it has none; else private.
    pub fn make_slave(&mut self, mount: MountKey) {
        let mut kind = self.kind(mount);
        let Some(id) = kind.shared.take() else {
            return;
        };
        let Some(group) = self.groups.get_mut(id) else {
            return;
        };
        group.members.remove(&mut members(&mut self.nodes), mount);
        if group.members.is_empty() {
            self.end_group(id, kind.master);
        } else {
            self.remove_slave(kind.master, mount);
            if let Some(group) = self.groups.get_mut(id) {
                group.slaves.push_front(&mut slaves(&mut self.nodes), mount);
            }
            kind.master = Some(id);
        }
        self.put(mount, kind);
    }

    /// A group has no members any more: its slaves go to its master.
    fn end_group(&mut self, id: GroupId, master: Option<GroupId>) {
        let Some(mut group) = self.groups.remove(id) else {
            return;
        };
        self.ids.free(id);
        while let Some(slave) = group.slaves.first() {
            group.slaves.remove(&mut slaves(&mut self.nodes), slave);
            self.nodes.change(slave, |node| node.kind.master = master);
            if let Some(master) = master.and_then(|master| self.groups.get_mut(master)) {
                master.slaves.push_back(&mut slaves(&mut self.nodes), slave);
            }
        }
    }

    /// `MS_PRIVATE`, `MS_UNBINDABLE`: out of everything.
    pub fn make_private(&mut self, mount: MountKey, unbindable: bool) {
        self.make_slave(mount);
        self.remove_slave(self.kind(mount).master, mount);
        let kind = Kind {
            unbindable,
            ..Kind::default()
        };
        self.put(mount, kind);
    }

    /// A new mount becomes what its original is: a peer, a slave of the same master.
    pub fn copy(&mut self, original: MountKey, new: MountKey) {
        let kind = self.kind(original);
        if let Some(group) = kind.shared {
            self.add_member(group, Some(original), new);
        }
        if let Some(master) = kind.master.and_then(|id| self.groups.get_mut(id)) {
            master
                .slaves
                .insert_after(&mut slaves(&mut self.nodes), original, new);
        }
        self.put(new, kind);
    }

    /// A mount that is in no group becomes what another one is.
    pub fn join(&mut self, original: MountKey, mount: MountKey, unbindable: bool) {
        self.copy(original, mount);
        let mut kind = self.kind(mount);
        kind.unbindable = unbindable;
        self.put(mount, kind);
    }

    /// A new mount becomes a slave of its original's group; a copy if that is not shared.
    pub fn copy_as_slave(&mut self, original: MountKey, new: MountKey) {
        let kind = self.kind(original);
        let Some(id) = kind.shared else {
            return self.copy(original, new);
        };
        if let Some(group) = self.groups.get_mut(id) {
            group.slaves.push_front(&mut slaves(&mut self.nodes), new);
        }
        let kind = Kind {
            shared: None,
            master: Some(id),
            unbindable: kind.unbindable,
        };
        self.put(new, kind);
    }

    /// Those whom an event at `origin` reaches, the nearest first; none if it is not shared.
    pub fn receivers(&self, origin: MountKey) -> Vec<Receiver> {
        let mut out = Vec::new();
        let Some(first) = self.shared(origin) else {
            return out;
        };
        // Nobody else hears of most events.
        let alone = |group: &Group| group.slaves.is_empty() && self.peers_from(origin).nth(1).is_none();
        if self.groups.get(first).is_none_or(alone) {
            return out;
        }
        let mut seen = HashSet::new();
        seen.insert(first);
        let mut todo = alloc::vec![(first, first)];
        let mut next = 0;
        while let Some(&(id, from)) = todo.get(next) {
            next += 1;
            let Some(group) = self.groups.get(id) else {
                continue;
            };
            // In ring order from the origin on, as Linux visits peers.
            let start = if id == first {
                Some(origin)
            } else {
                group.members.first()
            };
            let ring = start.into_iter().flat_map(|start| self.peers_from(start));
            for mount in ring.filter(|&mount| mount != origin) {
                out.push(Receiver {
                    mount,
                    group: Some(id),
                    from,
                });
            }
            for mount in group.slaves.iter(slaves(&self.nodes)) {
                match self.shared(mount) {
                    Some(shared) => {
                        if seen.insert(shared) {
                            todo.push((shared, id));
                        }
                    }
                    None => out.push(Receiver {
                        mount,
                        group: None,
                        from: id,
                    }),
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use super::*;

    fn key(number: u64) -> MountKey {
        MountKey {
            seq: 1000 + number,
            id: number as u32,
        }
    }

    /// A naive model of sharedsubtree.rst: each mount lists its peers and names one master.
    #[derive(Default, Clone)]
    struct Oracle {
        mounts: BTreeMap<u64, OracleMount>,
    }

    #[derive(Clone, Default)]
    struct OracleMount {
        shared: bool,
        peers: Vec<u64>,
        master: Option<u64>,
        unbindable: bool,
    }

    impl Oracle {
        fn slaves(&self, of: u64) -> Vec<u64> {
            let slave = |(_, m): &(&u64, &OracleMount)| m.master == Some(of);
            self.mounts.iter().filter(slave).map(|(&n, _)| n).collect()
        }
        fn make_slave(&mut self, mount: u64) {
            let peers = core::mem::take(&mut self.mounts.get_mut(&mount).unwrap().peers);
            self.mounts.get_mut(&mount).unwrap().shared = false;
            for peer in &peers {
                self.mounts.get_mut(peer).unwrap().peers.retain(|&p| p != mount);
            }
            let master = peers.first().copied().or(self.mounts[&mount].master);
            for slave in self.slaves(mount) {
                self.mounts.get_mut(&slave).unwrap().master = master;
            }
            self.mounts.get_mut(&mount).unwrap().master = master;
        }
        fn change(&mut self, mount: u64, kind: usize) {
            if kind == 0 {
                let mount = self.mounts.get_mut(&mount).unwrap();
                (mount.shared, mount.unbindable) = (true, false);
                return;
            }
            self.make_slave(mount);
            if kind > 1 {
                let mount = self.mounts.get_mut(&mount).unwrap();
                (mount.master, mount.unbindable) = (None, kind == 3);
            }
        }
        fn copy(&mut self, old: u64, new: u64, slave: bool) {
            let mut copy = self.mounts[&old].clone();
            if slave && copy.shared {
                (copy.shared, copy.peers, copy.master) = (false, Vec::new(), Some(old));
            } else if copy.shared {
                for peer in copy.peers.clone() {
                    self.mounts.get_mut(&peer).unwrap().peers.push(new);
                }
                self.mounts.get_mut(&old).unwrap().peers.push(new);
                copy.peers.push(old);
            }
            self.mounts.insert(new, copy);
        }
        /// All that `propagation_next` visits.
        fn receivers(&self, origin: u64) -> HashSet<u64> {
            let mut seen = HashSet::new();
            let mut todo = alloc::vec![origin];
            while let Some(mount) = todo.pop() {
                if seen.insert(mount) {
                    todo.extend(self.slaves(mount));
                    todo.extend(&self.mounts[&mount].peers);
                }
            }
            seen.remove(&origin);
            seen
        }
    }

    #[test]
    fn groups_agree_with_linux_rings() {
        let mut seed = 7u64;
        let mut random = move |n: usize| {
            seed = seed
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (seed >> 33) as usize % n
        };
        for _ in 0..150 {
            let mut groups = Propagation::default();
            let mut oracle = Oracle::default();
            oracle.mounts.insert(0, OracleMount::default());
            let mut alive = alloc::vec![0u64];
            for step in 1..60u64 {
                let mount = alive[random(alive.len())];
                match random(8) {
                    0..4 => {
                        let kind = random(4);
                        match kind {
                            0 => groups.make_shared(key(mount)),
                            1 => groups.make_slave(key(mount)),
                            _ => groups.make_private(key(mount), kind == 3),
                        }
                        oracle.change(mount, kind);
                    }
                    4..6 => {
                        groups.copy(key(mount), key(step));
                        oracle.copy(mount, step, false);
                        alive.push(step);
                    }
                    6 => {
                        groups.copy_as_slave(key(mount), key(step));
                        oracle.copy(mount, step, true);
                        alive.push(step);
                    }
                    _ if alive.len() > 1 => {
                        groups.make_private(key(mount), false);
                        oracle.change(mount, 2);
                        oracle.mounts.remove(&mount);
                        alive.retain(|&m| m != mount);
                    }
                    _ => {}
                }
                for &mount in &alive {
                    let expected = &oracle.mounts[&mount];
                    assert_eq!(groups.shared(key(mount)).is_some(), expected.shared);
                    assert_eq!(groups.is_unbindable(key(mount)), expected.unbindable);
                    assert_eq!(groups.master(key(mount)).is_some(), expected.master.is_some());
                    let master = expected.master.and_then(|master| groups.shared(key(master)));
                    assert_eq!(groups.master(key(mount)), master);
                    for &peer in &expected.peers {
                        assert_eq!(groups.shared(key(peer)), groups.shared(key(mount)));
                    }
                    if expected.shared {
                        let reached = groups.receivers(key(mount));
                        let set: HashSet<u64> = reached.iter().map(|r| u64::from(r.mount.id)).collect();
                        assert_eq!(set.len(), reached.len(), "reached twice");
                        assert_eq!(set, oracle.receivers(mount));
                    }
                }
            }
        }
    }
}
