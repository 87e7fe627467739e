//! Control groups under races: forks against migrations, removals against newcomers, kills and freezes
//! against everything. After each run every counter equals what is there, which is nothing.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{Sys, each_seed};

const EBUSY: i64 = -16;
const ENOENT: i64 = -2;
const ENODEV: i64 = -19;
const ESRCH: i64 = -3;
const SIGKILL: u64 = 9;
const WNOHANG: u64 = 1;

/// Mounts cgroup2 on `/cg` and enables pids.
fn mount(sys: &Sys<'_>) {
    mkdir(sys, "/cg");
    let at = sys.text("/cg");
    let name = sys.word(600);
    sys.user().write(name, b"cgroup2\0");
    sys.must(165, &[name, at, name, 0, 0]);
    put(sys, "/cg/cgroup.subtree_control", "+pids");
}

fn mkdir(sys: &Sys<'_>, path: &str) {
    let at = sys.text(path);
    sys.must(83, &[at, 0o755]);
}

fn rmdir(sys: &Sys<'_>, path: &str) -> i64 {
    let at = sys.text(path);
    sys.call(84, &[at])
}

fn write(sys: &Sys<'_>, path: &str, text: &str) -> i64 {
    let at = sys.text(path);
    let fd = sys.call(2, &[at, 1]);
    if fd < 0 {
        return fd;
    }
    let result = sys.write(fd as u64, text.as_bytes());
    sys.close(fd as u64);
    result
}

fn put(sys: &Sys<'_>, path: &str, text: &str) {
    assert_eq!(write(sys, path, text), text.len() as i64, "{path} <- {text}");
}

fn read(sys: &Sys<'_>, path: &str) -> String {
    let at = sys.text(path);
    let fd = sys.must(2, &[at, 0]);
    let text = sys.read(fd, 4096).unwrap();
    sys.close(fd);
    String::from_utf8(text).unwrap()
}

fn pids(sys: &Sys<'_>, dir: &str) -> Vec<i64> {
    let text = read(sys, &format!("{dir}/cgroup.procs"));
    text.lines().map(|line| line.parse().unwrap()).collect()
}

/// Nobody is left in these cgroups, and they know it.
fn all_gone(sys: &Sys<'_>, dirs: &[&str]) {
    while sys.waitpid(-1).0 > 0 {}
    for dir in dirs {
        assert_eq!(read(sys, &format!("{dir}/pids.current")), "0\n", "{dir}");
        assert!(read(sys, &format!("{dir}/cgroup.events")).starts_with("populated 0\n"));
        assert!(pids(sys, dir).is_empty());
    }
    for dir in dirs.iter().rev() {
        assert_eq!(rmdir(sys, dir), 0, "{dir}");
    }
    assert_eq!(
        read(sys, "/cg/cgroup.stat"),
        "nr_descendants 0\nnr_dying_descendants 0\n"
    );
}

#[test]
fn forks_against_a_migration() {
    each_seed(60, |sys| {
        mount(sys);
        mkdir(sys, "/cg/a");
        mkdir(sys, "/cg/b");
        let parent = sys.fork(|sys| {
            put(sys, "/cg/a/cgroup.procs", "0");
            for _ in 0..4 {
                let child = sys.fork(|_| 0);
                assert!(child > 0);
                sys.waitpid(child);
            }
            let thread = sys.thread(|sys| {
                let child = sys.fork(|_| 0);
                sys.waitpid(child);
            });
            assert!(thread > 0);
            sys.sleep(1_000_000);
            0
        });
        for n in 0..6 {
            let to = if n % 2 == 0 { "b" } else { "a" };
            let moved = write(sys, &format!("/cg/{to}/cgroup.procs"), &parent.to_string());
            assert!(moved > 0 || moved == ESRCH, "{moved}");
        }
        assert_eq!(sys.waitpid(parent), (parent, 0));
        all_gone(sys, &["/cg/a", "/cg/b"]);
    });
}

#[test]
fn nobody_stays_behind_in_a_removed_cgroup() {
    each_seed(60, |sys| {
        mount(sys);
        mkdir(sys, "/cg/a");
        mkdir(sys, "/cg/b");
        let parent = sys.fork(|sys| {
            let entered = write(sys, "/cg/a/cgroup.procs", "0");
            assert!(
                entered == 1 || entered == ENODEV || entered == ENOENT,
                "{entered}"
            );
            for _ in 0..3 {
                let child = sys.fork(|_| 0);
                sys.waitpid(child);
            }
            0
        });
        let mut removed = false;
        for _ in 0..4 {
            for pid in pids(sys, "/cg/a") {
                write(sys, "/cg/b/cgroup.procs", &pid.to_string());
            }
            match rmdir(sys, "/cg/a") {
                0 => {
                    removed = true;
                    break;
                }
                error => assert_eq!(error, EBUSY),
            }
        }
        assert_eq!(sys.waitpid(parent), (parent, 0));
        if removed {
            all_gone(sys, &["/cg/b"]);
        } else {
            all_gone(sys, &["/cg/a", "/cg/b"]);
        }
    });
}

#[test]
fn a_kill_leaves_nobody_that_forks() {
    each_seed(60, |sys| {
        mount(sys);
        mkdir(sys, "/cg/a");
        put(sys, "/cg/a/cgroup.subtree_control", "+pids");
        mkdir(sys, "/cg/a/b");
        fn bomb(sys: &Sys<'_>, depth: u32) -> i32 {
            for _ in 0..3 {
                if depth > 0 {
                    sys.fork(move |sys| bomb(sys, depth - 1));
                }
            }
            loop {
                sys.sleep(1_000_000_000);
            }
        }
        let first = sys.fork(|sys| {
            put(sys, "/cg/a/b/cgroup.procs", "0");
            bomb(sys, 2)
        });
        while pids(sys, "/cg/a/b").is_empty() {
            sys.sleep(1000);
        }
        put(sys, "/cg/a/cgroup.kill", "1");
        // Everybody is about to die; whoever forks finds itself killed.
        while read(sys, "/cg/a/cgroup.events").starts_with("populated 1") {
            sys.sleep(1000);
        }
        assert_eq!(sys.waitpid(first).1, SIGKILL as u32);
        while read(sys, "/cg/a/b/pids.current") != "0\n" {
            sys.call(61, &[u64::MAX, 0, WNOHANG, 0]);
            sys.sleep(1000);
        }
        all_gone(sys, &["/cg/a", "/cg/a/b"]);
    });
}

#[test]
fn a_freeze_stops_whoever_forks() {
    each_seed(60, |sys| {
        mount(sys);
        mkdir(sys, "/cg/a");
        let counter = sys.shared(4096);
        let worker = sys.fork(move |sys| {
            put(sys, "/cg/a/cgroup.procs", "0");
            loop {
                let child = sys.fork(move |sys| {
                    sys.poke(counter, sys.peek(counter).wrapping_add(1));
                    0
                });
                sys.waitpid(child);
            }
        });
        while sys.peek(counter) == 0 {
            sys.sleep(1000);
        }
        for _ in 0..2 {
            put(sys, "/cg/a/cgroup.freeze", "1");
            while read(sys, "/cg/a/cgroup.events") != "populated 1\nfrozen 1\n" {
                sys.sleep(1000);
            }
            let before = sys.peek(counter);
            sys.sleep(1_000_000);
            assert_eq!(sys.peek(counter), before);
            put(sys, "/cg/a/cgroup.freeze", "0");
            while sys.peek(counter) == before {
                sys.sleep(1000);
            }
        }
        put(sys, "/cg/a/cgroup.freeze", "1");
        put(sys, "/cg/a/cgroup.kill", "1");
        assert_eq!(sys.waitpid(worker), (worker, SIGKILL as u32));
        // The child of the worker comes to us, and counts until it is reaped.
        while sys.waitpid(-1).0 > 0 {}
        assert_eq!(read(sys, "/cg/a/pids.current"), "0\n");
        assert_eq!(read(sys, "/cg/a/cgroup.events"), "populated 0\nfrozen 1\n");
        all_gone(sys, &["/cg/a"]);
    });
}

#[test]
fn random_operations_leave_nothing() {
    each_seed(60, |sys| {
        mount(sys);
        let dirs = ["/cg/a", "/cg/a/b", "/cg/a/c", "/cg/d"];
        for dir in dirs {
            mkdir(sys, dir);
        }
        put(sys, "/cg/a/cgroup.subtree_control", "+pids");
        let workers: Vec<i64> = (0..4u32)
            .map(|n| {
                sys.fork(move |sys| {
                    let mut state = n + 1;
                    let mut next = move |below: u32| {
                        state = state.wrapping_mul(1_103_515_245).wrapping_add(12345);
                        (state >> 16) % below
                    };
                    for _ in 0..6 {
                        let dir = dirs[1 + next(3) as usize];
                        let file = format!("{dir}/cgroup.procs");
                        match next(5) {
                            0 | 1 => _ = write(sys, &file, "0"),
                            2 => {
                                let child = sys.fork(|_| 0);
                                if child > 0 {
                                    sys.waitpid(child);
                                }
                            }
                            3 => {
                                let change = if next(2) == 0 { "-pids" } else { "+pids" };
                                write(sys, "/cg/a/cgroup.subtree_control", change);
                            }
                            // Only somebody outside can thaw it.
                            _ => _ = write(sys, &format!("{dir}/cgroup.freeze"), "1"),
                        }
                    }
                    0
                })
            })
            .collect();
        loop {
            for dir in dirs {
                write(sys, &format!("{dir}/cgroup.freeze"), "0");
            }
            sys.sleep(100_000);
            if read(sys, "/cg/cgroup.procs").lines().count() == 1
                && dirs.iter().all(|dir| pids(sys, dir).is_empty())
            {
                break;
            }
        }
        for worker in workers {
            assert_eq!(sys.waitpid(worker), (worker, 0));
        }
        put(sys, "/cg/a/cgroup.subtree_control", "+pids");
        all_gone(sys, &dirs);
    });
}

#[test]
fn a_frozen_task_with_a_pending_signal_is_killed() {
    each_seed(20, |sys| {
        mount(sys);
        mkdir(sys, "/cg/a");
        let sleepers = [0, 1].map(|_| {
            sys.fork(|sys| {
                sys.sigaction(10, 0, |_, _| {});
                put(sys, "/cg/a/cgroup.procs", "0");
                loop {
                    sys.call(34, &[]);
                }
            })
        });
        while pids(sys, "/cg/a").len() != 2 {
            sys.sleep(1000);
        }
        put(sys, "/cg/a/cgroup.freeze", "1");
        while read(sys, "/cg/a/cgroup.events") != "populated 1\nfrozen 1\n" {
            sys.sleep(1000);
        }
        assert_eq!(sys.kill(sleepers[0], 10), 0);
        sys.sleep(1_000_000);
        assert_eq!(sys.kill(sleepers[0], SIGKILL), 0);
        assert_eq!(sys.waitpid(sleepers[0]), (sleepers[0], SIGKILL as u32));
        assert_eq!(sys.kill(sleepers[1], 15), 0);
        assert_eq!(sys.waitpid(sleepers[1]), (sleepers[1], 15));
        all_gone(sys, &["/cg/a"]);
    });
}

#[test]
fn tasks_that_an_ancestor_freezes_are_killed() {
    each_seed(60, |sys| {
        mount(sys);
        let dirs = ["/cg/a", "/cg/a/b", "/cg/a/b/c"];
        for dir in dirs {
            mkdir(sys, dir);
        }
        put(sys, "/cg/a/cgroup.subtree_control", "+pids");
        put(sys, "/cg/a/b/cgroup.subtree_control", "+pids");
        let worker = sys.fork(move |sys| {
            put(sys, "/cg/a/b/c/cgroup.procs", "0");
            sys.fork(|sys| {
                loop {
                    sys.sleep(1000);
                }
            });
            loop {
                sys.user().compute(1000);
            }
        });
        while pids(sys, "/cg/a/b/c").len() < 2 {
            sys.sleep(1000);
        }
        put(sys, "/cg/a/b/cgroup.freeze", "1");
        put(sys, "/cg/a/cgroup.freeze", "1");
        put(sys, "/cg/a/b/cgroup.freeze", "0");
        while read(sys, "/cg/a/b/c/cgroup.events") != "populated 1\nfrozen 1\n" {
            sys.sleep(1000);
        }
        put(sys, "/cg/a/b/c/cgroup.kill", "1");
        assert_eq!(sys.waitpid(worker), (worker, SIGKILL as u32));
        while sys.waitpid(-1).0 > 0 {}
        all_gone(sys, &dirs);
    });
}
