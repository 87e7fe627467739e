use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::*;
use crate::cred::Cred;
use crate::error::Errno;
use crate::kernel::{BootInfo, Kernel};
use crate::mm::testing::machine;
use crate::sim::Random;

struct World {
    kernel: Arc<Kernel>,
    cred: Cred,
}

impl World {
    fn new() -> World {
        let kernel = Kernel::new(machine(1 << 12), BootInfo::default());
        let cred = Cred::root(kernel.init_user_ns.clone());
        World { kernel, cred }
    }
    fn keys(&self) -> &Arc<Keys> {
        &self.kernel.keys
    }
    fn ring(&self, name: &str) -> Arc<Key> {
        let index = KeyIndex {
            kind: KeyType::Keyring,
            description: name.as_bytes().into(),
        };
        self.keys()
            .alloc(NewKey {
                index,
                uid: Kuid::ROOT,
                gid: None,
                perm: KeyPerm::all(),
                counted: Counted::Quota,
                published: Some(self.cred.user_ns.koid()),
                is_uid_keyring: false,
            })
            .unwrap()
    }
    fn add(&self, ring: &Arc<Key>, name: &str, payload: &[u8]) -> Result<Arc<Key>> {
        let ring = KeyRef {
            key: ring.clone(),
            possessed: true,
        };
        let new = AddKey {
            kind: KeyType::User,
            description: Some(name.into()),
            payload: payload.into(),
        };
        self.keys().add(&self.cred, &ring, new)
    }
    fn user(&self) -> KeyUser {
        let table = self.keys().table.lock();
        table.users.get(&Kuid::ROOT).copied().unwrap_or_default()
    }
}

#[test]
fn a_long_chain_is_dropped_without_recursion() {
    let world = World::new();
    let mut head = world.ring("0");
    let first = head.clone();
    for n in 1..100_000 {
        let next = world.ring("next");
        next.keys.insert_link(&head, &next).unwrap();
        assert!(n > 0);
        head = next;
    }
    drop(head);
    assert_eq!(world.user().nkeys, 100_000);
    drop(first);
    assert_eq!(world.user().nkeys, 0);
    assert!(world.keys().table.lock().serials.is_empty());
    assert!(world.keys().table.lock().names.is_empty());
}

/// Linked from each to each below it, six levels have very many ways through them.
#[test]
fn a_search_visits_each_ring_once() {
    let world = World::new();
    let levels: Vec<Vec<Arc<Key>>> = (0..7)
        .map(|level| (0..30).map(|n| world.ring(&format!("{level}.{n}"))).collect())
        .collect();
    for pair in levels.windows(2) {
        for upper in &pair[0] {
            for lower in &pair[1] {
                world.keys().insert_link(upper, lower).unwrap();
            }
        }
    }
    let top = KeyRef {
        key: levels[0][0].clone(),
        possessed: true,
    };
    let find = |name: &[u8]| world.keys().search(&world.cred, &top, KeyType::User, name);
    assert_eq!(find(b"none").err().unwrap(), Errno::ENOKEY);
    let key = world.add(&levels[6][29], "deep", b"x").unwrap();
    assert_eq!(find(b"deep").ok().unwrap().key.serial, key.serial);
    let over = world.ring("over");
    assert_eq!(world.keys().link(&over, &levels[0][0]), Ok(()));
    let under = world.ring("under");
    world.keys().insert_link(&levels[6][29], &under).unwrap();
    assert_eq!(world.keys().link(&over, &levels[0][1]).unwrap_err(), Errno::ELOOP);
    assert_eq!(
        world.keys().link(&levels[6][0], &levels[0][1]).unwrap_err(),
        Errno::EDEADLK
    );
}

#[test]
fn the_collector_takes_what_is_due() {
    let world = World::new();
    let ring = world.ring("r");
    let (a, b) = (
        world.add(&ring, "a", b"1").unwrap(),
        world.add(&ring, "b", b"2").unwrap(),
    );
    world.keys().set_timeout(&a, 10);
    let now = world.keys().now();
    assert_eq!(world.keys().collect(now + 309), now + 310);
    assert_eq!(ring.len(), 2);
    world.keys().invalidate(&b);
    world.keys().collect(now);
    assert_eq!(ring.len(), 1);
    assert_eq!(world.keys().collect(now + 310), i64::MAX);
    assert_eq!(ring.len(), 0);
    drop((a, b));
    assert_eq!((world.user().nkeys, world.user().qnbytes), (1, 2));
}

/// Random links against a plain graph: the same verdicts, no circle ever, and the quota is what is there.
#[test]
fn links_behave_as_a_graph() {
    const RINGS: usize = 12;
    for seed in 0..60 {
        let mut random = Random::new(seed);
        let world = World::new();
        let rings: Vec<Arc<Key>> = (0..RINGS).map(|n| world.ring(&format!("{n}"))).collect();
        let mut graph: BTreeMap<usize, BTreeSet<usize>> = (0..RINGS).map(|n| (n, BTreeSet::new())).collect();
        fn height(graph: &BTreeMap<usize, BTreeSet<usize>>, at: usize) -> usize {
            graph[&at]
                .iter()
                .map(|&child| 1 + height(graph, child))
                .max()
                .unwrap_or(0)
        }
        fn reaches(graph: &BTreeMap<usize, BTreeSet<usize>>, from: usize, to: usize) -> bool {
            from == to || graph[&from].iter().any(|&child| reaches(graph, child, to))
        }
        for _ in 0..200 {
            let (ring, key) = (
                random.below(RINGS as u64) as usize,
                random.below(RINGS as u64) as usize,
            );
            if random.below(3) == 0 {
                let linked = graph.get_mut(&ring).unwrap().remove(&key);
                assert_eq!(world.keys().unlink(&rings[ring], &rings[key]).is_ok(), linked);
                continue;
            }
            let verdict = world.keys().link(&rings[ring], &rings[key]);
            let circle = reaches(&graph, key, ring);
            let deep = height(&graph, key) > 6;
            match verdict {
                Ok(()) => {
                    assert!(!circle && !deep);
                    graph.get_mut(&ring).unwrap().insert(key);
                }
                Err(error) if error == Errno::EDEADLK => assert!(circle),
                Err(error) => {
                    assert_eq!(error, Errno::ELOOP);
                    assert!(deep);
                }
            }
        }
        let links: usize = graph.values().map(BTreeSet::len).sum();
        let names: usize = rings.iter().map(|ring| ring.index.description.len() + 1).sum();
        assert_eq!(world.user().qnbytes, names + 4 * links);
        drop(rings);
        assert_eq!(world.user().nkeys, 0);
    }
}

/// A thread keyring follows the file system ids of its thread; it stays counted against whom it was made for.
#[test]
fn who_follows_ids_stays_counted() {
    let world = World::new();
    let before = world.user().nkeys;
    let ring = world.keys().thread_keyring(&world.cred).unwrap();
    world.add(&ring, "of the ring", b"bytes").unwrap();
    ring.follow_ids(Kuid(1000), Kgid(1000));
    world.add(&ring, "later", b"bytes").unwrap();
    assert_eq!(world.user().nkeys, before + 3);
    drop(ring);
    assert_eq!(world.user().nkeys, before);
    let table = world.keys().table.lock();
    assert!(!table.users.contains_key(&Kuid(1000)));
}
