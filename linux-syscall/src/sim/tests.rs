//! Scenarios with several processes, each over many seeds.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering::SeqCst};

use super::{Sys, each_seed};

const EAGAIN: i64 = -11;
const EINTR: i64 = -4;
const ECHILD: i64 = -10;
const SIGKILL: u64 = 9;
const SIGUSR1: u64 = 10;
const SIGCHLD: u64 = 17;
const SA_RESTART: u64 = 0x1000_0000;

fn exited(code: u32) -> u32 {
    code << 8
}

#[test]
fn fork_exit_and_wait() {
    each_seed(60, |sys| {
        assert_eq!(sys.getpid(), 1);
        let children: [i64; 3] = core::array::from_fn(|n| {
            sys.fork(move |sys| {
                let grandchild = sys.fork(move |_| n as i32 + 10);
                let (who, status) = sys.waitpid(-1);
                assert_eq!((who, status), (grandchild, exited(n as u32 + 10)));
                n as i32
            })
        });
        for (n, child) in children.into_iter().enumerate().rev() {
            assert!(child > 1);
            assert_eq!(sys.waitpid(child), (child, exited(n as u32)));
        }
        assert_eq!(sys.waitpid(-1).0, ECHILD);
    });
}

#[test]
fn memory_is_copied_on_write() {
    each_seed(40, |sys| {
        let (private, shared) = (sys.word(100), sys.shared(4096));
        sys.poke(private, 1);
        let child = sys.fork(move |sys| {
            assert_eq!(sys.peek(private), 1);
            sys.poke(private, 2);
            sys.poke(shared, 3);
            0
        });
        sys.poke(private, 4);
        sys.waitpid(child);
        assert_eq!((sys.peek(private), sys.peek(shared)), (4, 3));
    });
}

#[test]
fn pipes_carry_everything_in_order() {
    each_seed(40, |sys| {
        let (from, to) = sys.pipe();
        let child = sys.fork(move |sys| {
            sys.close(from);
            for n in 0..20u8 {
                assert_eq!(sys.write(to, &[n; 100]), 100);
            }
            0
        });
        sys.close(to);
        let mut got = alloc::vec::Vec::new();
        loop {
            let part = sys.read(from, 77).unwrap();
            if part.is_empty() {
                break;
            }
            got.extend_from_slice(&part);
        }
        assert_eq!(got.len(), 2000);
        assert!(
            got.iter()
                .enumerate()
                .all(|(at, byte)| *byte as usize == at / 100)
        );
        assert_eq!(sys.waitpid(child), (child, 0));
    });
}

/// Ulrich Drepper's second mutex, in shared memory.
fn lock(sys: &Sys<'_>, at: u64) {
    let mut seen = sys.user().compare_exchange(at, 0, 1);
    while seen != 0 {
        if seen == 2 || sys.user().compare_exchange(at, 1, 2) != 0 {
            let result = sys.futex_wait(at, 2);
            assert!(result == 0 || result == EAGAIN, "{result}");
        }
        seen = sys.user().compare_exchange(at, 0, 2);
    }
}

fn unlock(sys: &Sys<'_>, at: u64) {
    if sys.user().compare_exchange(at, 1, 0) != 1 {
        sys.poke(at, 0);
        sys.futex_wake(at, 1);
    }
}

#[test]
fn processes_exclude_each_other_with_a_futex() {
    each_seed(40, |sys| {
        let page = sys.shared(4096);
        let children: [i64; 3] = core::array::from_fn(|_| {
            sys.fork(move |sys| {
                for _ in 0..5 {
                    lock(sys, page);
                    let value = sys.peek(page + 64);
                    sys.user().compute(50_000);
                    sys.poke(page + 64, value + 1);
                    unlock(sys, page);
                }
                0
            })
        });
        for child in children {
            assert_eq!(sys.waitpid(child), (child, 0));
        }
        assert_eq!(sys.peek(page + 64), 15);
    });
}

#[test]
fn threads_share_and_end() {
    each_seed(40, |sys| {
        let page = sys.shared(4096);
        for n in 0..3 {
            let tid = sys.thread(move |sys| {
                sys.user().compute(10_000 * n);
                lock(sys, page);
                let value = sys.peek(page + 64);
                sys.poke(page + 64, value + 1);
                unlock(sys, page);
                sys.futex_wake(page + 64, 100);
            });
            assert!(tid > 1, "{tid}");
        }
        loop {
            let value = sys.peek(page + 64);
            if value == 3 {
                break;
            }
            sys.futex_wait(page + 64, value);
        }
    });
}

#[test]
fn a_kill_ends_whatever_it_meets() {
    each_seed(60, |sys| {
        let (from, to) = sys.pipe();
        // One sleeps in a read, one computes, one waits for a child, one exits by itself.
        let children = [
            sys.fork(move |sys| sys.read(from, 1).map_or(1, |_| 0)),
            sys.fork(move |sys| {
                sys.user().compute(u64::MAX);
                1
            }),
            sys.fork(move |sys| {
                sys.fork(move |sys| sys.sleep(1_000_000) as i32);
                sys.waitpid(-1);
                3
            }),
            sys.fork(|_| 3),
        ];
        for child in children {
            assert_eq!(sys.kill(child, SIGKILL), 0);
        }
        for (n, child) in children.into_iter().enumerate() {
            let (who, status) = sys.waitpid(child);
            assert_eq!(who, child);
            let by_itself = n >= 2 && status == exited(3);
            assert!(status == SIGKILL as u32 || by_itself, "child {n}: {status:#x}");
        }
        let _ = to;
    });
}

#[test]
fn exit_group_races_with_a_kill_of_threads() {
    each_seed(60, |sys| {
        let child = sys.fork(|sys| {
            for n in 0..3u64 {
                sys.thread(move |sys| {
                    if n == 0 {
                        sys.call(231, &[5]);
                    }
                    sys.user().compute(u64::MAX);
                });
            }
            sys.sleep(u64::MAX / 4);
            1
        });
        sys.kill(child, SIGKILL);
        let (who, status) = sys.waitpid(child);
        assert_eq!(who, child);
        assert!(status == SIGKILL as u32 || status == exited(5), "{status:#x}");
    });
}

#[test]
fn handlers_run_and_calls_are_interrupted_or_restarted() {
    each_seed(60, |sys| {
        let hits = Arc::new(AtomicU32::new(0));
        let seen = hits.clone();
        sys.sigaction(SIGUSR1, 0, move |_, signal| {
            assert_eq!(signal, SIGUSR1 as i32);
            seen.fetch_add(1, SeqCst);
        });
        let me = sys.getpid();
        let (from, _to) = sys.pipe();
        let child = sys.fork(move |sys| {
            sys.sleep(100_000);
            sys.kill(me, SIGUSR1);
            0
        });
        // The signal may come before the read, which then has to be interrupted by SIGCHLD or not at all.
        sys.sigaction(SIGCHLD, 0, |_, _| {});
        assert_eq!(sys.read(from, 1), Err(EINTR));
        loop {
            let (who, status) = sys.waitpid(child);
            if who != EINTR {
                assert_eq!((who, status), (child, 0));
                break;
            }
        }
        assert_eq!(hits.load(SeqCst), 1);
    });
}

#[test]
fn restarted_calls_go_on() {
    each_seed(60, |sys| {
        let hits = Arc::new(AtomicU32::new(0));
        let seen = hits.clone();
        sys.sigaction(SIGUSR1, SA_RESTART, move |_, _| {
            seen.fetch_add(1, SeqCst);
        });
        let me = sys.getpid();
        let (from, to) = sys.pipe();
        let child = sys.fork(move |sys| {
            for _ in 0..3 {
                sys.sleep(50_000);
                sys.kill(me, SIGUSR1);
            }
            sys.write(to, b"x");
            0
        });
        assert_eq!(sys.read(from, 1).unwrap(), b"x");
        assert_eq!(sys.waitpid(child), (child, 0));
        let hits = hits.load(SeqCst);
        assert!((1..=3).contains(&hits), "{hits}");
    });
}

#[test]
fn alarms_interrupt_and_computing_is_preempted() {
    each_seed(40, |sys| {
        let hits = Arc::new(AtomicU32::new(0));
        let seen = hits.clone();
        sys.sigaction(14, 0, move |_, _| {
            seen.fetch_add(1, SeqCst);
        });
        let busy = sys.fork(|sys| {
            sys.user().compute(u64::MAX);
            0
        });
        assert_eq!(sys.call(37, &[1]), 0);
        // pause(2)
        assert_eq!(sys.call(34, &[]), EINTR);
        assert_eq!(hits.load(SeqCst), 1);
        sys.kill(busy, SIGKILL);
        assert_eq!(sys.waitpid(busy), (busy, SIGKILL as u32));
    });
}
