//! Races of namespaces, each over many seeds.

use super::{Sys, each_seed};

const EPERM: i64 = -1;
const ESRCH: i64 = -3;
const ECHILD: i64 = -10;
const EAGAIN: i64 = -11;
const ENOMEM: i64 = -12;
const SIGKILL: u64 = 9;

const NEWUTS: u64 = 0x400_0000;
const NEWIPC: u64 = 0x800_0000;
const NEWUSER: u64 = 0x1000_0000;
const NEWPID: u64 = 0x2000_0000;
const NEWNET: u64 = 0x4000_0000;

const FORK: u64 = 57;
const SETHOSTNAME: u64 = 170;
const MKDIR: u64 = 83;
const MOUNT: u64 = 165;
const OPEN: u64 = 2;
const UNSHARE: u64 = 272;
const SETNS: u64 = 308;
const PIDFD_OPEN: u64 = 434;

/// Text at its own place, so that calls can take several.
fn text_at(sys: &Sys<'_>, n: u64, text: &str) -> u64 {
    let at = sys.word(4096 + 64 * n);
    let mut bytes = text.as_bytes().to_vec();
    bytes.push(0);
    sys.user().write(at, &bytes);
    at
}

fn exited(code: u32) -> u32 {
    code << 8
}

/// Waits for all children and returns them in the order of their ends.
fn wait_for_all(sys: &Sys<'_>) -> alloc::vec::Vec<(i64, u32)> {
    let mut ended = alloc::vec::Vec::new();
    loop {
        match sys.waitpid(-1) {
            (ECHILD, _) => return ended,
            child => ended.push(child),
        }
    }
}

#[test]
fn forks_race_with_the_death_of_the_namespace_s_init() {
    each_seed(400, |sys| {
        let (from, to) = sys.pipe();
        let maker = sys.fork(move |sys| {
            sys.close(from);
            sys.must(UNSHARE, &[NEWPID]);
            let init = sys.fork(|sys| {
                for _ in 0..2 {
                    // Forks until it is killed with the namespace.
                    sys.fork(|sys| {
                        loop {
                            let child = sys.fork(|_| 0);
                            assert!(child > 0 || child == ENOMEM || child == EAGAIN, "{child}");
                            sys.waitpid(-1);
                        }
                    });
                }
                sys.user().compute(30_000);
                7
            });
            // Siblings of init are born until it is gone.
            let mut born = 0;
            loop {
                match sys.fork(|sys| {
                    sys.user().compute(u64::MAX);
                    0
                }) {
                    ENOMEM => break,
                    child => assert!(child > 0, "{child}"),
                }
                born += 1;
                if born >= 4 {
                    sys.sleep(200_000);
                }
            }
            let ended = wait_for_all(sys);
            assert_eq!(ended.len(), born + 1);
            // Init is the last: everything else has gone before.
            assert_eq!(ended[born], (init, exited(7)));
            assert!(ended[..born].iter().all(|(_, status)| *status == SIGKILL as u32));
            assert_eq!(sys.call(FORK, &[]), ENOMEM);
            0
        });
        assert_eq!(sys.waitpid(maker), (maker, 0));
        // Nobody is left who could hold the pipe.
        sys.close(to);
        assert_eq!(sys.read(from, 1).unwrap(), b"");
    });
}

#[test]
fn an_outside_kill_of_init_races_with_forks_inside() {
    each_seed(400, |sys| {
        let init = sys.clone(NEWPID, |sys| {
            loop {
                sys.fork(|sys| {
                    sys.fork(|_| 0);
                    0
                });
                sys.waitpid(-1);
            }
        });
        assert!(init > 0);
        sys.sleep(100_000);
        assert_eq!(sys.kill(init, SIGKILL), 0);
        assert_eq!(sys.waitpid(init), (init, SIGKILL as u32));
        assert_eq!(sys.waitpid(-1).0, ECHILD);
    });
}

#[test]
fn setns_races_with_exit() {
    each_seed(400, |sys| {
        let target = sys.clone(NEWUTS | NEWIPC | NEWNET, |sys| {
            sys.user().compute(20_000);
            0
        });
        let pidfd = sys.must(PIDFD_OPEN, &[target as u64, 0]);
        let entering = sys.fork(move |sys| {
            let entered = sys.call(SETNS, &[pidfd, NEWUTS | NEWIPC | NEWNET]);
            assert!(entered == 0 || entered == ESRCH, "{entered}");
            // All or nothing, and usable either way.
            sys.must(SETHOSTNAME, &[text_at(sys, 0, "name"), 4]);
            0
        });
        assert_eq!(sys.waitpid(target), (target, 0));
        assert_eq!(sys.waitpid(entering), (entering, 0));
        assert_eq!(sys.call(SETNS, &[pidfd, NEWUTS]), ESRCH);
    });
}

#[test]
fn unshare_races_with_a_kill() {
    each_seed(400, |sys| {
        let children: [i64; 2] = core::array::from_fn(|_| {
            sys.fork(|sys| {
                loop {
                    sys.must(UNSHARE, &[NEWUTS | NEWIPC | NEWNET]);
                    let child = sys.clone(NEWUTS | NEWPID, |_| 0);
                    assert!(child > 0, "{child}");
                    sys.waitpid(child);
                }
            })
        });
        sys.sleep(100_000);
        for child in children {
            assert_eq!(sys.kill(child, SIGKILL), 0);
        }
        for child in children {
            assert_eq!(sys.waitpid(child), (child, SIGKILL as u32));
        }
    });
}

#[test]
fn one_of_two_writers_of_a_map_wins_while_the_namespace_forks() {
    each_seed(300, |sys| {
        sys.call(MKDIR, &[text_at(sys, 0, "/proc"), 0o755]);
        let proc = text_at(sys, 1, "proc");
        sys.must(MOUNT, &[proc, text_at(sys, 0, "/proc"), proc, 0, 0]);
        let target = sys.clone(NEWUSER, |sys| {
            for _ in 0..3 {
                sys.fork(|_| 0);
            }
            while sys.call(102, &[]) != 0 {
                sys.user().compute(1_000);
            }
            // A map is seen as a whole: the last line too.
            sys.must(105, &[5]);
            0
        });
        assert!(target > 0, "{target}");
        let path = alloc::format!("/proc/{target}/uid_map");
        let writers: [i64; 2] = core::array::from_fn(|_| {
            let path = path.clone();
            sys.fork(move |sys| {
                let fd = sys.must(OPEN, &[text_at(sys, 2, &path), 1, 0]);
                match sys.write(fd, b"0 0 1\n5 1000 1\n") {
                    15 => 1,
                    EPERM => 2,
                    other => panic!("{other}"),
                }
            })
        });
        let mut results = writers.map(|writer| sys.waitpid(writer).1);
        results.sort_unstable();
        assert_eq!(results, [exited(1), exited(2)]);
        assert_eq!(sys.waitpid(target), (target, 0));
    });
}
