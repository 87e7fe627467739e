//! Processes, signals and pid namespaces under many interleavings.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use support::*;

const CLONE_NEWPID: u64 = 0x2000_0000;
const CLONE_NEWUSER: u64 = 0x1000_0000;
const CLONE_NEWUTS: u64 = 0x0400_0000;
const THREAD_FLAGS: u64 = 0x100 | 0x200 | 0x400 | 0x800 | 0x1_0000;
const SIGKILL: u64 = 9;
const SIGUSR1: u64 = 10;
const SIGSTOP: u64 = 19;
const SIGCONT: u64 = 18;

#[test]
fn children_are_born_and_reaped() {
    scenario(|user| {
        assert_eq!(user.call(GETPID, &[]), 1);
        assert_eq!(user.call(GETPPID, &[]), 0);
        assert_eq!(wait(user, -1, 0).0, -ECHILD);
        let pids: Vec<i64> = (0..5)
            .map(|n| {
                fork(user, move |child| {
                    assert_eq!(child.call(GETPPID, &[]), 1);
                    40 + n
                })
            })
            .collect();
        assert_eq!(pids, [2, 3, 4, 5, 6]);
        assert_eq!(wait(user, 4, 0), (4, 42 << 8));
        let mut rest: Vec<(i64, i32)> = (0..4).map(|_| wait(user, -1, 0)).collect();
        rest.sort();
        assert_eq!(rest, [(2, 40 << 8), (3, 41 << 8), (5, 43 << 8), (6, 44 << 8)]);
        assert_eq!(wait(user, -1, WNOHANG).0, -ECHILD);
    });
}

#[test]
fn a_killed_child_says_so() {
    scenario(|user| {
        let child = fork(user, |child| {
            loop {
                child.call(34, &[]);
            }
        });
        assert_eq!(wait(user, child, WNOHANG).0, 0);
        assert_eq!(user.call(KILL, &[child as u64, SIGKILL]), 0);
        assert_eq!(wait(user, child, 0), (child, 9));
        assert_eq!(user.call(KILL, &[child as u64, 0]), -3);
    });
}

#[test]
fn an_ignored_sigchld_leaves_no_zombies() {
    scenario(|user| {
        sigaction(user, SIGCHLD, 1, 0);
        for n in 0..3 {
            fork(user, move |_| n);
        }
        assert_eq!(wait(user, -1, 0).0, -ECHILD);
    });
}

#[test]
fn orphans_go_to_init() {
    scenario(|user| {
        let child = fork(user, |child| {
            fork(child, |orphan| {
                while orphan.call(GETPPID, &[]) != 1 {
                    orphan.call(24, &[]);
                }
                7
            });
            0
        });
        let mut seen = [wait(user, -1, 0), wait(user, -1, 0)];
        seen.sort();
        assert_eq!(seen, [(child, 0), (child + 1, 7 << 8)]);
    });
}

#[test]
fn stop_and_continue_are_reported() {
    scenario(|user| {
        let child = fork(user, |child| {
            loop {
                child.compute(1000);
                child.call(GETPID, &[]);
            }
        });
        let pid = child as u64;
        assert_eq!(user.call(KILL, &[pid, SIGSTOP]), 0);
        assert_eq!(wait(user, child, 2), (child, 0x137f));
        assert_eq!(wait(user, child, 2 | WNOHANG).0, 0);
        assert_eq!(user.call(KILL, &[pid, SIGCONT]), 0);
        assert_eq!(wait(user, child, 8), (child, 0xffff));
        assert_eq!(user.call(KILL, &[pid, SIGSTOP]), 0);
        assert_eq!(wait(user, child, 2), (child, 0x137f));
        assert_eq!(user.call(KILL, &[pid, SIGKILL]), 0);
        assert_eq!(wait(user, child, 0), (child, 9));
    });
}

#[test]
fn handlers_run_and_calls_restart() {
    scenario(|user| {
        let count = Arc::new(AtomicUsize::new(0));
        let seen = count.clone();
        let stack = mmap(user, 0x4000);
        user.set_stack(stack + 0x3000);
        let handler = user.handler(Arc::new(move |_, signal, _| {
            assert_eq!(signal, 10);
            seen.fetch_add(1, Ordering::SeqCst);
        }));
        sigaction(user, SIGUSR1, handler, 0x1000_0000);
        let child = fork(user, |child| {
            for _ in 0..3 {
                child.call(KILL, &[1, SIGUSR1]);
                child.call(24, &[]);
            }
            3
        });
        // SA_RESTART: the wait goes on.
        assert_eq!(wait(user, child, 0), (child, 3 << 8));
        assert!((1..=3).contains(&count.load(Ordering::SeqCst)));
    });
}

#[test]
fn the_death_of_a_pid_namespace() {
    scenario(|user| {
        let init = clone(user, CLONE_NEWPID | SIGCHLD, |init| {
            assert_eq!(init.call(GETPID, &[]), 1);
            assert_eq!(init.call(GETPPID, &[]), 0);
            let child = fork(init, |child| {
                assert_eq!(child.call(GETPID, &[]), 2);
                fork(child, |grandchild| {
                    loop {
                        grandchild.call(34, &[]);
                    }
                });
                loop {
                    child.call(34, &[]);
                }
            });
            assert_eq!(child, 2);
            // Its init is not to be killed from inside.
            assert_eq!(init.call(KILL, &[1, SIGKILL]), 0);
            assert_eq!(init.call(KILL, &[1, 15]), 0);
            5
        });
        assert_eq!(wait(user, init, 0), (init, 5 << 8));
        assert_eq!(wait(user, -1, 0).0, -ECHILD);
    });
}

#[test]
fn no_births_in_a_dead_pid_namespace() {
    scenario(|user| {
        assert_eq!(user.call(272, &[CLONE_NEWPID]), 0);
        let init = fork(user, |init| {
            assert_eq!(init.call(GETPID, &[]), 1);
            0
        });
        // It races with the end of the namespace's init: born or refused, never left over.
        let late = fork(user, |late| {
            loop {
                late.call(34, &[]);
            }
        });
        assert!(late == -12 || late > 0, "fork: {late}");
        // The init is not reaped before all others are, of whom one is a child of ours.
        if late > 0 {
            assert_eq!(wait(user, late, 0), (late, 9));
        }
        assert_eq!(wait(user, init, 0), (init, 0));
        assert_eq!(fork(user, |_| 0), -12);
        // Only once.
        assert_eq!(user.call(272, &[CLONE_NEWPID]), -22);
    });
}

#[test]
fn an_init_is_killed_from_outside() {
    scenario(|user| {
        let init = clone(user, CLONE_NEWPID | SIGCHLD, |init| {
            for _ in 0..2 {
                fork(init, |child| {
                    loop {
                        child.call(34, &[]);
                    }
                });
            }
            loop {
                init.call(34, &[]);
            }
        });
        assert_eq!(user.call(KILL, &[init as u64, 15]), 0);
        assert_eq!(user.call(KILL, &[init as u64, SIGKILL]), 0);
        assert_eq!(wait(user, init, 0), (init, 9));
        assert_eq!(wait(user, -1, 0).0, -ECHILD);
    });
}

#[test]
fn threads_end_with_their_process() {
    scenario(|user| {
        let child = fork(user, |leader| {
            for n in 0..3u64 {
                clone(leader, THREAD_FLAGS, move |thread| {
                    assert_eq!(thread.call(GETPID, &[]), leader_pid());
                    if n == 1 {
                        thread.call(EXIT_GROUP, &[9]);
                    }
                    loop {
                        thread.call(34, &[]);
                    }
                });
            }
            // The leader ends first; the process goes on without it.
            leader.call(EXIT, &[1]);
            0
        });
        assert_eq!(wait(user, child, 0), (child, 9 << 8));
        assert_eq!(wait(user, -1, 0).0, -ECHILD);
    });
}

fn leader_pid() -> i64 {
    2
}

#[test]
fn new_user_namespaces_have_no_ids_yet() {
    scenario(|user| {
        let child = clone(user, CLONE_NEWUSER | CLONE_NEWUTS | SIGCHLD, |child| {
            assert_eq!(child.call(102, &[]), 65534);
            assert_eq!(child.call(104, &[]), 65534);
            // setuid to an unmapped id.
            assert_eq!(child.call(105, &[0]), -22);
            assert_eq!(child.call(272, &[CLONE_NEWUTS]), 0);
            0
        });
        assert_eq!(wait(user, child, 0), (child, 0));
        assert_eq!(user.call(272, &[CLONE_NEWUSER | 0x1000]), -22);
    });
}

#[test]
fn a_vfork_parent_waits() {
    scenario(|user| {
        let ended = Arc::new(AtomicUsize::new(0));
        let seen = ended.clone();
        let child = clone(user, 0x4000 | 0x100 | SIGCHLD, move |child| {
            child.compute(5000);
            seen.store(1, Ordering::SeqCst);
            0
        });
        assert_eq!(ended.load(Ordering::SeqCst), 1);
        assert_eq!(wait(user, child, 0), (child, 0));
    });
}

#[test]
fn signals_for_a_process_find_a_willing_thread() {
    scenario(|user| {
        let count = Arc::new(AtomicUsize::new(0));
        let seen = count.clone();
        let stack = mmap(user, 0x8000);
        let handler = user.handler(Arc::new(move |_, _, _| {
            seen.fetch_add(1, Ordering::SeqCst);
        }));
        sigaction(user, SIGUSR1, handler, 0);
        // The leader blocks it, the thread does not.
        let mask = mmap(user, 4096);
        user.write(mask, &(1u64 << (SIGUSR1 - 1)).to_le_bytes());
        let empty = mask + 8;
        let waiter = count.clone();
        assert_eq!(user.call(14, &[0, mask, 0, 8]), 0);
        clone(user, THREAD_FLAGS, move |thread| {
            thread.set_stack(stack + 0x7000);
            assert_eq!(thread.call(14, &[2, empty, 0, 8]), 0);
            while waiter.load(Ordering::SeqCst) == 0 {
                thread.call(24, &[]);
            }
            thread.call(EXIT, &[0]);
            0
        });
        assert_eq!(user.call(KILL, &[1, SIGUSR1]), 0);
        while count.load(Ordering::SeqCst) == 0 {
            sleep(user, 1000);
        }
    });
}
