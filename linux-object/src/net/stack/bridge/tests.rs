//! The rules of a forwarding database.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use super::fdb::{Fdb, Owners};
use super::*;
use crate::net::stack::device::Mac;
use crate::net::stack::neigh::Nud;
use crate::sim::Random;
use crate::time::Ktime;

const AGE: Duration = Duration::from_secs(300);
const NOW: Ktime = Ktime(1_000_000_000_000);

fn mac(n: u8) -> Mac {
    [2, 0, 0, 0, 0, n]
}
fn key(n: u8) -> FdbKey {
    FdbKey::of(mac(n))
}
fn update(port: u32, state: Nud) -> FdbUpdate {
    FdbUpdate {
        port,
        state,
        sticky: false,
        create: true,
        exclusive: false,
        notify: FdbFlags::empty(),
        refresh: true,
    }
}
fn set(fdb: &mut Fdb, n: u8, port: u32, state: Nud) {
    fdb.set(key(n), &update(port, state), AGE, NOW).unwrap();
}
fn at(fdb: &Fdb, n: u8) -> Option<(u32, Nud)> {
    let entry = fdb.get(&key(n))?;
    Some((entry.port, entry.state(NOW, AGE)))
}
fn owners(ports: &[(u32, u8)], bridge: u8) -> Owners {
    Owners {
        bridge: mac(bridge),
        ports: ports.iter().map(|(port, n)| (*port, mac(*n))).collect(),
    }
}

#[test]
fn what_is_local_or_sticky_stays_and_all_else_moves() {
    let mut fdb = Fdb::default();
    set(&mut fdb, 1, 5, Nud::Permanent);
    set(&mut fdb, 2, 5, Nud::Noarp);
    set(&mut fdb, 3, 5, Nud::Reachable);
    let sticky = FdbUpdate {
        sticky: true,
        ..update(5, Nud::Reachable)
    };
    fdb.set(key(4), &sticky, AGE, NOW).unwrap();
    fdb.learn_ext(key(5), 5, NOW).unwrap();
    for n in 1..=6 {
        fdb.learn(key(n), 6, false, NOW);
    }
    let ports: Vec<_> = (1..=6).map(|n| at(&fdb, n).unwrap().0).collect();
    assert_eq!(ports, [5, 6, 6, 5, 6, 6]);
    // Moved, it is no longer what a program has learnt.
    assert_eq!(fdb.get(&key(5)).unwrap().flags, FdbFlags::ADDED_BY_USER);
    assert_eq!(at(&fdb, 2), Some((6, Nud::Noarp)));
    assert_eq!(fdb.get(&key(6)).unwrap().flags, FdbFlags::empty());
    // A frame to what is local goes up.
    assert_eq!(fdb.find(&mac(1), NOW), Some((5, true)));
    assert_eq!(fdb.find(&mac(2), NOW), Some((6, false)));
    assert_eq!(fdb.find(&mac(9), NOW), None);
}

#[test]
fn requests_say_what_has_to_be_there() {
    let mut fdb = Fdb::default();
    let mut wanted = update(5, Nud::Noarp);
    wanted.create = false;
    assert!(fdb.set(key(1), &wanted, AGE, NOW).is_err());
    assert!(fdb.take_changes().is_empty());
    set(&mut fdb, 1, 5, Nud::Noarp);
    fdb.set(key(1), &wanted, AGE, NOW).unwrap();
    // The second changed nothing.
    assert_eq!(fdb.take_changes().len(), 1);
    wanted.exclusive = true;
    assert!(fdb.set(key(1), &wanted, AGE, NOW).is_err());
    assert!(fdb.remove(key(1), 6).is_err());
    fdb.remove(key(1), 5).unwrap();
    assert!(fdb.remove(key(1), 5).is_err());
    let changes = fdb.take_changes();
    assert!(changes.len() == 1 && changes[0].gone);
}

#[test]
fn an_own_address_goes_to_whoever_else_has_it() {
    let mut fdb = Fdb::default();
    fdb.learn(key(1), 7, false, NOW);
    for port in [5, 6] {
        fdb.add_local(port, mac(1), 0, NOW);
    }
    assert_eq!(at(&fdb, 1), Some((5, Nud::Permanent)));
    fdb.port_gone(5, &owners(&[(6, 1)], 1));
    assert_eq!(at(&fdb, 1), Some((6, Nud::Permanent)));
    fdb.port_gone(6, &owners(&[], 1));
    assert_eq!(at(&fdb, 1), Some((OWN, Nud::Permanent)));
    fdb.lose_local(OWN, mac(1), 0, &owners(&[(7, 2)], 1));
    assert_eq!(at(&fdb, 1), None);
    // No entry for what is no address of one device.
    fdb.add_local(5, [0; 6], 0, NOW);
    fdb.add_local(5, [3; 6], 0, NOW);
    assert!(fdb.list().is_empty());
    // What a program made is not the port's own.
    set(&mut fdb, 3, 5, Nud::Permanent);
    fdb.lose_local(5, mac(3), 0, &owners(&[], 9));
    assert!(at(&fdb, 3).is_some());
}

#[test]
fn time_removes_what_ages() {
    let mut fdb = Fdb::default();
    set(&mut fdb, 1, 5, Nud::Noarp);
    set(&mut fdb, 2, 5, Nud::Reachable);
    fdb.learn(key(3), 5, false, NOW + Duration::from_secs(1));
    fdb.learn_ext(key(4), 5, NOW).unwrap();
    assert_eq!(fdb.collect(AGE, NOW), Some(NOW + AGE));
    assert_eq!(fdb.list().len(), 4);
    let next = fdb.collect(AGE, NOW + AGE);
    assert_eq!(next, Some(NOW + AGE + Duration::from_secs(1)));
    assert_eq!(at(&fdb, 2), None);
    assert_eq!(fdb.collect(AGE, NOW + AGE + AGE), None);
    let left: Vec<_> = fdb.list().iter().map(|(key, _)| key.mac[5]).collect();
    assert_eq!(left, [4, 1]);
}

#[test]
fn activity_is_told_once() {
    let mut fdb = Fdb::default();
    let watched = FdbUpdate {
        notify: FdbFlags::NOTIFY,
        ..update(5, Nud::Noarp)
    };
    fdb.set(key(1), &watched, AGE, NOW).unwrap();
    assert_eq!(fdb.take_changes().len(), 1);
    assert_eq!(fdb.collect(AGE, NOW), Some(NOW + AGE));
    assert_eq!(fdb.collect(AGE, NOW + AGE), None);
    let told = fdb.take_changes();
    assert!(told.len() == 1 && told[0].entry.flags.contains(FdbFlags::NOTIFY_INACTIVE));
    assert_eq!(fdb.collect(AGE, NOW + AGE), None);
    assert!(fdb.take_changes().is_empty());
    for _ in 0..2 {
        fdb.learn(key(1), 5, false, NOW + AGE);
    }
    assert_eq!(fdb.take_changes().len(), 1);
}

#[test]
fn a_flush_takes_what_it_names() {
    let fill = || {
        let mut fdb = Fdb::default();
        set(&mut fdb, 1, 5, Nud::Permanent);
        set(&mut fdb, 2, 5, Nud::Noarp);
        set(&mut fdb, 3, 6, Nud::Reachable);
        fdb.learn(key(4), 5, false, NOW);
        fdb
    };
    let left = |what: FdbFlush| {
        let mut fdb = fill();
        fdb.flush(&what);
        let mut left: Vec<_> = fdb.list().iter().map(|(key, _)| key.mac[5]).collect();
        left.reverse();
        left
    };
    let all = FdbFlush::default();
    assert!(left(all).is_empty());
    assert_eq!(left(FdbFlush { vlan: 1, ..all }), [1, 2, 3, 4]);
    assert_eq!(left(FdbFlush { port: Some(5), ..all }), [3]);
    assert_eq!(left(FdbFlush::AGEING), [1, 2]);
    let by_user = FdbFlush {
        mask: FdbFlags::ADDED_BY_USER | FdbFlags::LOCAL,
        flags: FdbFlags::ADDED_BY_USER,
        ..all
    };
    assert_eq!(left(by_user), [1, 4]);
    // What is asked for outside of the mask is never so.
    let never = FdbFlush {
        mask: FdbFlags::LOCAL,
        flags: FdbFlags::STICKY,
        ..all
    };
    assert_eq!(left(never), [1, 2, 3, 4]);
}

#[test]
fn a_full_database_learns_no_more_but_knows_itself() {
    let mut fdb = Fdb::default();
    for n in 0..20_000u32 {
        let [a, b, c, _] = n.to_le_bytes();
        fdb.learn(FdbKey::of([2, 0, 0, c, b, a]), 5, false, NOW);
    }
    let many = fdb.list().len();
    assert!(many < 20_000);
    assert!(fdb.learn_ext(FdbKey::of([6; 6]), 5, NOW).is_err());
    fdb.add_local(5, [8; 6], 0, NOW);
    assert_eq!(fdb.list().len(), many + 1);
}

/// Who listens from the beginning knows what is there.
#[test]
fn changes_tell_all() {
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let mut fdb = Fdb::default();
        let mut known = BTreeMap::new();
        let mut now = NOW;
        for _ in 0..300 {
            let (n, port) = (random.below(12) as u8, 5 + random.below(3) as u32);
            let states = [Nud::Permanent, Nud::Noarp, Nud::Reachable];
            match random.below(8) {
                0 => {
                    let mut wanted = update(port, states[random.below(3) as usize]);
                    wanted.sticky = random.one_in(2);
                    wanted.create = random.one_in(2);
                    wanted.exclusive = random.one_in(2);
                    let _ = fdb.set(key(n), &wanted, AGE, now);
                }
                1 => _ = fdb.learn_ext(key(n), port, now),
                2 => _ = fdb.remove(key(n), port),
                3 if random.one_in(4) => fdb.flush_port(port),
                4 if random.one_in(8) => fdb.flush(&FdbFlush::AGEING),
                5 => now = now + Duration::from_secs(random.below(200)),
                6 => {
                    let next = fdb.collect(AGE, now);
                    assert!(next.is_none_or(|next| next > now));
                    let old = |(_, entry): &(FdbKey, FdbEntry)| entry.state(now, AGE) == Nud::Stale;
                    assert!(!fdb.list().iter().any(old));
                }
                _ => fdb.learn(key(n), port, random.one_in(4), now),
            }
            for change in fdb.take_changes() {
                let at = (change.entry.port, change.entry.flags & !FdbFlags::ADDED_BY_USER);
                match change.gone {
                    true => _ = known.remove(&change.key.mac),
                    false => _ = known.insert(change.key.mac, at),
                }
            }
        }
        let there: BTreeMap<_, _> = fdb
            .list()
            .iter()
            .map(|(key, entry)| (key.mac, (entry.port, entry.flags & !FdbFlags::ADDED_BY_USER)))
            .collect();
        assert_eq!(there, known, "seed {seed}");
    }
}
