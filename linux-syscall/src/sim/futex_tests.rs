//! Futexes with priority inheritance, over many seeds.

use alloc::format;
use alloc::string::String;

use super::{Sys, each_seed};

const EAGAIN: i64 = -11;
const ESRCH: i64 = -3;
const EINVAL: i64 = -22;
const EDEADLK: i64 = -35;
const ETIMEDOUT: i64 = -110;
const SIGKILL: u64 = 9;
const SIGUSR1: u64 = 10;
const FUTEX: u64 = 202;
const LOCK_PI: u64 = 6;
const UNLOCK_PI: u64 = 7;
const WAIT_REQUEUE_PI: u64 = 11;
const CMP_REQUEUE_PI: u64 = 12;
const LOCK_PI2: u64 = 13;
const WAITERS: u32 = 0x8000_0000;
const OWNER_DIED: u32 = 0x4000_0000;
const TID_MASK: u32 = 0x3fff_ffff;

fn tid(sys: &Sys<'_>) -> u32 {
    sys.must(186, &[]) as u32
}

/// `SCHED_FIFO` of this priority; 0: an ordinary task.
fn run_at(sys: &Sys<'_>, priority: u32) {
    let param = sys.word(20);
    sys.poke(param, priority);
    sys.must(144, &[0, u64::from(priority > 0), param]);
}

fn lock(sys: &Sys<'_>, at: u64) -> i64 {
    if sys.user().compare_exchange(at, 0, tid(sys)) == 0 {
        return 0;
    }
    sys.call(FUTEX, &[at, LOCK_PI, 0, 0])
}

fn unlock(sys: &Sys<'_>, at: u64) {
    let tid = tid(sys);
    assert_eq!(sys.peek(at) & TID_MASK, tid);
    if sys.user().compare_exchange(at, tid, 0) != tid {
        assert_eq!(sys.call(FUTEX, &[at, UNLOCK_PI]), 0);
    }
}

/// Adds one to a word, slowly.
fn add(sys: &Sys<'_>, at: u64) {
    let value = sys.peek(at);
    sys.user().compute(30_000);
    sys.poke(at, value + 1);
}

/// Nobody owns or waits for anything any more.
fn assert_nothing_is_left(sys: &Sys<'_>) {
    let kernel = sys.user().machine().kernel().expect("it runs");
    let empty = loop {
        // A CPU of the simulator may stand still with the lock held.
        match kernel.pi_futexes.try_lock() {
            Some(graph) => break graph.is_empty(),
            None => drop(sys.sleep(1000)),
        }
    };
    assert!(empty && kernel.futexes.nr_waiters() == 0);
}

#[test]
fn processes_of_all_priorities_exclude_each_other() {
    each_seed(40, |sys| {
        let page = sys.shared(4096);
        let children: [i64; 4] = core::array::from_fn(|n| {
            sys.fork(move |sys| {
                run_at(sys, [0, 0, 3, 7][n]);
                for _ in 0..5 {
                    assert_eq!(lock(sys, page), 0);
                    add(sys, page + 64);
                    unlock(sys, page);
                    sys.sleep(10_000);
                }
                0
            })
        });
        for child in children {
            assert_eq!(sys.waitpid(child), (child, 0));
        }
        assert_eq!((sys.peek(page), sys.peek(page + 64)), (0, 20));
        assert_nothing_is_left(sys);
    });
}

/// The list has one entry, at `page + 256`, whose futex is at `page`.
fn set_robust_list(sys: &Sys<'_>, page: u64) {
    let (head, entry) = (sys.word(200), page + 256);
    let user = sys.user();
    for (at, value) in [
        (entry, head),
        (head, entry | 1),
        (head + 8, page.wrapping_sub(entry)),
        (head + 16, 0),
    ] {
        user.write(at, &value.to_ne_bytes());
    }
    sys.must(273, &[head, 24]);
}

#[test]
fn those_who_end_leave_their_futexes_to_others() {
    each_seed(60, |sys| {
        let page = sys.shared(4096);
        let children: [i64; 4] = core::array::from_fn(|n| {
            sys.fork(move |sys| {
                set_robust_list(sys, page);
                run_at(sys, [0, 2, 0, 5][n]);
                for round in 0..3 {
                    assert_eq!(lock(sys, page), 0);
                    add(sys, page + 64);
                    if round < 2 {
                        unlock(sys, page);
                    }
                }
                0
            })
        });
        for child in children {
            assert_eq!(sys.waitpid(child), (child, 0));
        }
        assert_eq!(sys.peek(page) & !WAITERS, OWNER_DIED);
        assert_eq!(sys.peek(page + 64), 12);
        assert_eq!(lock(sys, page), 0);
        unlock(sys, page);
        assert_eq!(sys.peek(page), 0);
        assert_nothing_is_left(sys);
    });
}

/// The field `priority` of a process's `stat`.
fn priority(sys: &Sys<'_>, pid: i64) -> i64 {
    let fd = sys.must(2, &[sys.text(&format!("/proc/{pid}/stat")), 0]);
    let text = String::from_utf8(sys.read(fd, 1024).expect("it can be read")).expect("it is text");
    sys.close(fd);
    let (_, fields) = text.rsplit_once(") ").expect("a name in parentheses");
    let field = fields.split(' ').nth(18 - 3);
    field.and_then(|field| field.parse().ok()).expect("a number")
}

#[test]
fn a_chain_lends_takes_back_and_makes_no_circle() {
    each_seed(60, |sys| {
        sys.call(83, &[sys.text("/proc"), 0o755]);
        let (name, at) = (sys.text("proc"), sys.word(900));
        sys.user().write(at, b"/proc\0");
        sys.must(165, &[name, at, name, 0, 0]);
        let page = sys.shared(4096);
        let me = sys.getpid();
        assert_eq!(lock(sys, page), 0);
        let middle = sys.fork(move |sys| {
            assert_eq!(lock(sys, page + 4), 0);
            sys.poke(page + 64, 1);
            assert_eq!(lock(sys, page), 0);
            unlock(sys, page);
            unlock(sys, page + 4);
            0
        });
        while sys.peek(page + 64) == 0 || sys.peek(page) & WAITERS == 0 {
            sys.sleep(10_000);
        }
        let urgent = sys.fork(move |sys| {
            run_at(sys, 20);
            assert_eq!(lock(sys, page + 8), 0);
            lock(sys, page + 4);
            1
        });
        while priority(sys, me) != -21 {
            sys.sleep(10_000);
        }
        assert_eq!((priority(sys, middle), priority(sys, urgent)), (-21, -21));
        assert_eq!(lock(sys, page + 4), EDEADLK);
        assert_eq!(lock(sys, page + 8), EDEADLK);
        assert_eq!(sys.kill(urgent, SIGKILL), 0);
        assert_eq!(sys.waitpid(urgent), (urgent, SIGKILL as u32));
        assert_eq!((priority(sys, middle), priority(sys, me)), (20, 20));
        unlock(sys, page);
        assert_eq!(sys.waitpid(middle), (middle, 0));
        assert_nothing_is_left(sys);
    });
}

/// Owners and waiters are killed at any moment, and waits end by time-outs.
#[test]
fn time_outs_and_kills_leave_nothing() {
    each_seed(60, |sys| {
        let page = sys.shared(4096);
        let children: [i64; 5] = core::array::from_fn(|n| {
            sys.fork(move |sys| {
                run_at(sys, [0, 4, 0, 2, 0][n]);
                let until = sys.word(40);
                for round in 0..4u64 {
                    let (first, second) = (page + 4 * (round % 2), page + 4 - 4 * (round % 2));
                    let mut held = [false; 2];
                    for (at, held) in [first, second].into_iter().zip(&mut held) {
                        sys.must(228, &[1, until]);
                        let nanos = sys.user().read(until + 8, 8);
                        let nanos = u64::from_ne_bytes(nanos.try_into().expect("eight bytes"));
                        let later = nanos.min(900_000_000) + 20_000 * (n as u64 + 1);
                        sys.user().write(until + 8, &later.to_ne_bytes());
                        let result = sys.call(FUTEX, &[at, LOCK_PI2, 0, until]);
                        // The dead leave words that name them.
                        assert!(
                            [0, ETIMEDOUT, EDEADLK, ESRCH, EINVAL].contains(&result),
                            "{result}"
                        );
                        *held = result == 0;
                        sys.user().compute(15_000);
                    }
                    for (at, held) in [first, second].into_iter().zip(held) {
                        if held {
                            unlock(sys, at);
                        }
                    }
                }
                0
            })
        });
        sys.sleep(60_000);
        assert_eq!(sys.kill(children[1], SIGKILL), 0);
        sys.sleep(30_000);
        assert_eq!(sys.kill(children[2], SIGKILL), 0);
        for child in children {
            let (who, status) = sys.waitpid(child);
            assert!(
                who == child && (status == 0 || status == SIGKILL as u32),
                "{status:#x}"
            );
        }
        assert_nothing_is_left(sys);
    });
}

/// A condition variable: its waiters get the mutex one after the other.
#[test]
fn all_who_wait_for_a_condition_are_moved_to_its_mutex() {
    each_seed(60, |sys| {
        let page = sys.shared(4096);
        let (condition, mutex, ready, woken) = (page, page + 4, page + 64, page + 128);
        sys.sigaction(SIGUSR1, 0, |_, _| {});
        let children: [i64; 4] = core::array::from_fn(|n| {
            sys.fork(move |sys| {
                run_at(sys, [0, 2, 0, 5][n]);
                assert_eq!(lock(sys, mutex), 0);
                while sys.peek(ready) == 0 {
                    let seen = sys.peek(condition);
                    unlock(sys, mutex);
                    let result = sys.call(FUTEX, &[condition, WAIT_REQUEUE_PI, seen.into(), 0, mutex]);
                    if result != 0 {
                        assert_eq!(result, EAGAIN);
                        assert_eq!(lock(sys, mutex), 0);
                    }
                }
                add(sys, woken);
                unlock(sys, mutex);
                0
            })
        });
        sys.sleep(50_000);
        // Interrupted before or after it is moved.
        sys.kill(children[0], SIGUSR1);
        assert_eq!(lock(sys, mutex), 0);
        sys.poke(ready, 1);
        sys.poke(condition, 1);
        let moved = sys.call(FUTEX, &[condition, CMP_REQUEUE_PI, 1, 100, mutex, 1]);
        assert!((0..=4).contains(&moved), "{moved}");
        sys.kill(children[1], SIGUSR1);
        unlock(sys, mutex);
        for child in children {
            assert_eq!(sys.waitpid(child), (child, 0));
        }
        assert_eq!((sys.peek(mutex), sys.peek(woken)), (0, 4));
        assert_nothing_is_left(sys);
    });
}
