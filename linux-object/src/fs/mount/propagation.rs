//! Peer groups and who receives a mount (`Documentation/filesystems/sharedsubtree.rst`).
//!
//! Pure: mounts are numbers here. A *peer group* has members and slaves; a slave is a mount
//! that is not shared itself, or a member of another group all of whose members have the same
//! master. A mount may be member of one group and slave of another.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use hashbrown::HashSet;

use super::ring::Ring;
use crate::fs::id_pool::IdPool;

/// A peer group, by the number that `mountinfo` shows.
pub type GroupId = u32;

#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
struct Node {
    shared: Option<GroupId>,
    master: Option<GroupId>,
    unbindable: bool,
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
    pub mount: u64,
    /// Its own group.
    pub group: Option<GroupId>,
    /// The group it receives from; the same as `group` for peers of the origin.
    pub from: GroupId,
}

/// The propagation types of all mounts. Private mounts are not listed.
pub struct Propagation {
    nodes: BTreeMap<u64, Node>,
    groups: BTreeMap<GroupId, Group>,
    ids: IdPool,
}

impl Default for Propagation {
    fn default() -> Self {
        Propagation {
            nodes: BTreeMap::new(),
            groups: BTreeMap::new(),
            ids: IdPool::new(1),
        }
    }
}

impl Propagation {
    fn node(&self, mount: u64) -> Node {
        self.nodes.get(&mount).copied().unwrap_or_default()
    }
    fn put(&mut self, mount: u64, node: Node) {
        if node == Node::default() {
            self.nodes.remove(&mount);
        } else {
            self.nodes.insert(mount, node);
        }
    }
    /// The group that it is a peer in.
    pub fn shared(&self, mount: u64) -> Option<GroupId> {
        self.node(mount).shared
    }
    /// The group that it is a slave of.
    pub fn master(&self, mount: u64) -> Option<GroupId> {
        self.node(mount).master
    }
    /// The group that the members of a group are slaves of.
    pub fn master_of_group(&self, group: GroupId) -> Option<GroupId> {
        let first = self.groups.get(&group)?.members.first()?;
        self.node(first).master
    }
    /// Whether it may not be bound.
    pub fn is_unbindable(&self, mount: u64) -> bool {
        self.node(mount).unbindable
    }
    /// The members of a group.
    pub fn members(&self, group: GroupId) -> impl Iterator<Item = u64> + '_ {
        let group = self.groups.get(&group);
        group.into_iter().flat_map(|group| group.members.iter())
    }

    /// `MS_SHARED`: a group of its own, unless it is in one.
    pub fn make_shared(&mut self, mount: u64) {
        let mut node = self.node(mount);
        if node.shared.is_none() {
            let id = self.ids.allocate();
            self.groups.entry(id).or_default().members.push_back(mount);
            node.shared = Some(id);
        }
        node.unbindable = false;
        self.put(mount, node);
    }

    /// `MS_SLAVE`: a slave of its former peers; of its master if it has none; else private.
    pub fn make_slave(&mut self, mount: u64) {
        let mut node = self.node(mount);
        let Some(id) = node.shared.take() else {
            return;
        };
        let Some(group) = self.groups.get_mut(&id) else {
            return;
        };
        group.members.remove(mount);
        if group.members.is_empty() {
            // The slaves of the group go to its master.
            let slaves = core::mem::take(&mut group.slaves);
            self.groups.remove(&id);
            self.ids.free(id);
            for slave in slaves.iter() {
                let mut node_of_slave = self.node(slave);
                node_of_slave.master = node.master;
                self.put(slave, node_of_slave);
            }
            if let Some(master) = node.master.and_then(|master| self.groups.get_mut(&master)) {
                slaves.iter().for_each(|slave| master.slaves.push_back(slave));
            }
        } else {
            group.slaves.push_front(mount);
            if let Some(master) = node.master.and_then(|master| self.groups.get_mut(&master)) {
                master.slaves.remove(mount);
            }
            node.master = Some(id);
        }
        self.put(mount, node);
    }

    /// `MS_PRIVATE`, `MS_UNBINDABLE`: out of everything.
    pub fn make_private(&mut self, mount: u64, unbindable: bool) {
        self.make_slave(mount);
        let node = self.node(mount);
        if let Some(master) = node.master.and_then(|master| self.groups.get_mut(&master)) {
            master.slaves.remove(mount);
        }
        self.put(
            mount,
            Node {
                unbindable,
                ..Node::default()
            },
        );
    }

    /// A new mount becomes what its original is: a peer, a slave of the same master.
    pub fn copy(&mut self, original: u64, new: u64) {
        let node = self.node(original);
        if let Some(group) = node.shared.and_then(|id| self.groups.get_mut(&id)) {
            group.members.insert_after(original, new);
        }
        if let Some(master) = node.master.and_then(|id| self.groups.get_mut(&id)) {
            master.slaves.insert_after(original, new);
        }
        self.put(new, node);
    }

    /// A mount that is in no group becomes what another one is.
    pub fn join(&mut self, original: u64, mount: u64, unbindable: bool) {
        self.copy(original, mount);
        let mut node = self.node(mount);
        node.unbindable = unbindable;
        self.put(mount, node);
    }

    /// A new mount becomes a slave of its original's group; a copy if that is not shared.
    pub fn copy_as_slave(&mut self, original: u64, new: u64) {
        let node = self.node(original);
        let Some(id) = node.shared else {
            return self.copy(original, new);
        };
        if let Some(group) = self.groups.get_mut(&id) {
            group.slaves.push_front(new);
        }
        self.put(
            new,
            Node {
                shared: None,
                master: Some(id),
                unbindable: node.unbindable,
            },
        );
    }

    /// Those whom an event at `origin` reaches, the nearest first; none if it is not shared.
    pub fn receivers(&self, origin: u64) -> Vec<Receiver> {
        let mut out = Vec::new();
        let Some(first) = self.shared(origin) else {
            return out;
        };
        let mut seen = HashSet::new();
        seen.insert(first);
        let mut todo = alloc::vec![(first, first)];
        let mut next = 0;
        while let Some(&(id, from)) = todo.get(next) {
            next += 1;
            let Some(group) = self.groups.get(&id) else {
                continue;
            };
            // In ring order from the origin on, as Linux visits peers.
            let ring = group.members.iter_from(origin);
            for mount in ring.filter(|&mount| mount != origin) {
                out.push(Receiver {
                    mount,
                    group: Some(id),
                    from,
                });
            }
            for mount in group.slaves.iter() {
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
    use super::*;

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
                            0 => groups.make_shared(mount),
                            1 => groups.make_slave(mount),
                            _ => groups.make_private(mount, kind == 3),
                        }
                        oracle.change(mount, kind);
                    }
                    4..6 => {
                        groups.copy(mount, step);
                        oracle.copy(mount, step, false);
                        alive.push(step);
                    }
                    6 => {
                        groups.copy_as_slave(mount, step);
                        oracle.copy(mount, step, true);
                        alive.push(step);
                    }
                    _ if alive.len() > 1 => {
                        groups.make_private(mount, false);
                        oracle.change(mount, 2);
                        oracle.mounts.remove(&mount);
                        alive.retain(|&m| m != mount);
                    }
                    _ => {}
                }
                for &mount in &alive {
                    let expected = &oracle.mounts[&mount];
                    assert_eq!(groups.shared(mount).is_some(), expected.shared);
                    assert_eq!(groups.is_unbindable(mount), expected.unbindable);
                    assert_eq!(groups.master(mount).is_some(), expected.master.is_some());
                    let master = expected.master.and_then(|master| groups.shared(master));
                    assert_eq!(groups.master(mount), master);
                    for &peer in &expected.peers {
                        assert_eq!(groups.shared(peer), groups.shared(mount));
                    }
                    if expected.shared {
                        let reached = groups.receivers(mount);
                        let set: HashSet<u64> = reached.iter().map(|r| r.mount).collect();
                        assert_eq!(set.len(), reached.len(), "reached twice");
                        assert_eq!(set, oracle.receivers(mount));
                    }
                }
            }
        }
    }
}
