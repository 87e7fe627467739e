//! Processes that change the same keyrings in any order.

use alloc::vec::Vec;

use crate::sim::{Sys, each_seed};

const SESSION: u64 = -3i64 as u64;
const EEXIST: i64 = -17;

fn add(sys: &Sys<'_>, kind: &str, name: &str, len: u64, ring: u64) -> i64 {
    let (kind, at) = (sys.text(kind), sys.word(64));
    let mut bytes = name.as_bytes().to_vec();
    bytes.push(0);
    sys.user().write(at, &bytes);
    let name = at;
    sys.call(248, &[kind, name, name, len, ring])
}

fn keyctl(sys: &Sys<'_>, op: u64, args: &[u64]) -> i64 {
    let mut all = [op, 0, 0, 0, 0];
    all[1..=args.len()].copy_from_slice(args);
    sys.call(250, &all)
}

#[test]
fn keyrings_are_changed_by_many() {
    each_seed(60, |sys| {
        let session = keyctl(sys, 1, &[0]);
        assert!(session > 0);
        let rings: Vec<u64> = ["a", "b", "c"]
            .iter()
            .map(|name| add(sys, "keyring", name, 0, SESSION) as u64)
            .collect();
        let children: Vec<i64> = (0..3)
            .map(|n: usize| {
                let rings = rings.clone();
                sys.fork(move |sys| {
                    for round in 0..8 {
                        let ring = rings[(n + round) % 3];
                        let key = add(sys, "user", "k", 1 + round as u64 % 2, ring);
                        assert!(key > 0, "add_key: {key}");
                        match round % 4 {
                            // Link, unlink, move: somebody else may have been faster.
                            0 => drop(keyctl(sys, 8, &[key as u64, rings[n]])),
                            1 => drop(keyctl(sys, 9, &[key as u64, ring])),
                            2 => {
                                let moved = keyctl(sys, 30, &[key as u64, ring, rings[n], 1]);
                                assert!(moved == 0 || moved == EEXIST || moved < 0);
                            }
                            _ => drop(keyctl(sys, 3, &[key as u64])),
                        }
                        // Two rings in each other: never both.
                        let _ = keyctl(sys, 8, &[rings[n], rings[(n + 1) % 3]]);
                        let _ = keyctl(sys, 9, &[rings[n], rings[(n + 1) % 3]]);
                    }
                    0
                })
            })
            .collect();
        for child in children {
            assert_eq!(sys.waitpid(child), (child, 0));
        }
        for ring in &rings {
            assert_eq!(keyctl(sys, 7, &[*ring]), 0);
        }
        assert_eq!(keyctl(sys, 11, &[session as u64, 0, 0]), 12);
    });
}
