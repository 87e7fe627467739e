//! Peer groups and who receives a mount (`Documentation/filesystems/sharedsubtree.rst`).
//!
//! Pure: mounts are numbers here. A *peer group* has members and slaves; a slave is a mount
//! that is not shared itself, or a member of another group all of whose members have the same
//! master. A mount may be member of one group and slave of another.

use alloc::vec::Vec;

use hashbrown::{HashMap, HashSet};

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
    members: Vec<u64>,
    slaves: Vec<u64>,
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
    nodes: HashMap<u64, Node>,
    groups: HashMap<GroupId, Group>,
    ids: IdPool,
}

impl Default for Propagation {
    fn default() -> Self {
        Propagation {
            nodes: HashMap::new(),
            groups: HashMap::new(),
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
        let first = *self.groups.get(&group)?.members.first()?;
        self.node(first).master
    }
    /// Whether it may not be bound.
    pub fn is_unbindable(&self, mount: u64) -> bool {
        self.node(mount).unbindable
    }
    /// The members of a group.
    pub fn members(&self, group: GroupId) -> &[u64] {
        self.groups.get(&group).map_or(&[], |group| &group.members)
    }

    /// `MS_SHARED`: a group of its own, unless it is in one.
    pub fn make_shared(&mut self, mount: u64) {
        let mut node = self.node(mount);
        if node.shared.is_none() {
            let id = self.ids.allocate();
            self.groups.entry(id).or_default().members.push(mount);
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
        group.members.retain(|&member| member != mount);
        if group.members.is_empty() {
            // The slaves of the group go to its master.
            let slaves = core::mem::take(&mut group.slaves);
            self.groups.remove(&id);
            self.ids.free(id);
            for &slave in &slaves {
                let mut node_of_slave = self.node(slave);
                node_of_slave.master = node.master;
                self.put(slave, node_of_slave);
            }
            if let Some(master) = node.master.and_then(|master| self.groups.get_mut(&master)) {
                master.slaves.extend(slaves);
            }
        } else {
            group.slaves.insert(0, mount);
            if let Some(master) = node.master.and_then(|master| self.groups.get_mut(&master)) {
                master.slaves.retain(|&slave| slave != mount);
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
            master.slaves.retain(|&slave| slave != mount);
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
            insert_after(&mut group.members, original, new);
        }
        if let Some(master) = node.master.and_then(|id| self.groups.get_mut(&id)) {
            insert_after(&mut master.slaves, original, new);
        }
        self.put(new, node);
    }

    /// A new mount becomes a slave of its original's group; a copy if that is not shared.
    pub fn copy_as_slave(&mut self, original: u64, new: u64) {
        let node = self.node(original);
        let Some(id) = node.shared else {
            return self.copy(original, new);
        };
        if let Some(group) = self.groups.get_mut(&id) {
            group.slaves.insert(0, new);
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
            let at = group.members.iter().position(|&m| m == origin).unwrap_or(0);
            let ring = group.members[at..].iter().chain(&group.members[..at]);
            for &mount in ring.filter(|&&mount| mount != origin) {
                out.push(Receiver {
                    mount,
                    group: Some(id),
                    from,
                });
            }
            for &mount in &group.slaves {
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

fn insert_after(list: &mut Vec<u64>, original: u64, new: u64) {
    let at = list
        .iter()
        .position(|&m| m == original)
        .map_or(list.len(), |at| at + 1);
    list.insert(at, new);
}
