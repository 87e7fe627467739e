//! Pipes, sockets, eventfd and epoll under many interleavings.

use alloc::vec::Vec;

use super::{Sys, each_seed};

const EPOLL_CREATE1: u64 = 291;
const EPOLL_CTL: u64 = 233;
const EPOLL_WAIT: u64 = 232;
const EVENTFD2: u64 = 290;
const SOCKETPAIR: u64 = 53;
const SOCKET: u64 = 41;
const BIND: u64 = 49;
const SENDTO: u64 = 44;
const FCNTL: u64 = 72;
const F_SETFL: u64 = 4;
const DUP: u64 = 32;

const ADD: u64 = 1;
const DEL: u64 = 2;
const MOD: u64 = 3;
const IN: u32 = 1;
const OUT: u32 = 4;
const HUP: u32 = 0x10;
const ONESHOT: u32 = 1 << 30;
const ET: u32 = 1 << 31;

const EPERM: i64 = -1;
const ENOENT: i64 = -2;
const EAGAIN: i64 = -11;
const EEXIST: i64 = -17;
const EINVAL: i64 = -22;
const ELOOP: i64 = -40;

fn epoll(sys: &Sys<'_>) -> u64 {
    sys.must(EPOLL_CREATE1, &[0])
}

fn ctl(sys: &Sys<'_>, epfd: u64, op: u64, fd: u64, events: u32) -> i64 {
    let at = sys.word(20);
    sys.user().write(at, &events.to_ne_bytes());
    sys.user().write(at + 4, &fd.to_ne_bytes());
    sys.call(EPOLL_CTL, &[epfd, op, fd, at])
}

/// What is ready: events and descriptor.
fn wait(sys: &Sys<'_>, epfd: u64, timeout: i32) -> Vec<(u32, u64)> {
    let at = sys.word(30);
    let n = sys.must(EPOLL_WAIT, &[epfd, at, 8, timeout as u64]);
    let event = |n: u64| (sys.peek(at + 12 * n), sys.peek(at + 12 * n + 4).into());
    (0..n).map(event).collect()
}

fn eventfd(sys: &Sys<'_>, count: u64, flags: u64) -> u64 {
    sys.must(EVENTFD2, &[count, flags])
}

fn pair(sys: &Sys<'_>, kind: u64) -> (u64, u64) {
    let at = sys.word(2);
    sys.must(SOCKETPAIR, &[1, kind, 0, at]);
    (sys.peek(at).into(), sys.peek(at + 4).into())
}

#[test]
fn every_byte_of_many_writers_reaches_one_of_many_readers() {
    each_seed(40, |sys| {
        let (from, to) = sys.pipe();
        let total = sys.shared(4096);
        let readers: [i64; 3] = core::array::from_fn(|n| {
            sys.fork(move |sys| {
                sys.close(to);
                let mut sum = 0;
                loop {
                    let part = sys.read(from, 1 + 40 * n).unwrap();
                    if part.is_empty() {
                        break;
                    }
                    sum += part.iter().map(|&byte| byte as u32).sum::<u32>();
                }
                sys.poke(total + 4 * n as u64, sum);
                0
            })
        });
        let writers: [i64; 3] = core::array::from_fn(|n| {
            sys.fork(move |sys| {
                for _ in 0..12 {
                    assert_eq!(sys.write(to, &[n as u8 + 1; 50]), 50);
                }
                0
            })
        });
        sys.close(to);
        sys.close(from);
        for child in readers.into_iter().chain(writers) {
            assert_eq!(sys.waitpid(child), (child, 0));
        }
        let sum: u32 = (0..3).map(|n| sys.peek(total + 4 * n)).sum();
        assert_eq!(sum, 12 * 50 * (1 + 2 + 3));
    });
}

#[test]
fn writers_of_a_full_pipe_take_turns() {
    each_seed(20, |sys| {
        let (from, to) = sys.pipe();
        // One page: each large write has to wait, small ones share what is left.
        sys.must(FCNTL, &[to, 1031, 4096]);
        let writers: [i64; 3] = core::array::from_fn(|n| {
            sys.fork(move |sys| {
                sys.close(from);
                for _ in 0..4 {
                    let len = [4096, 700, 5000][n];
                    assert_eq!(sys.write(to, &[n as u8; 5000][..len]), len as i64);
                }
                0
            })
        });
        sys.close(to);
        let mut got = 0;
        loop {
            match sys.read(from, 3000).unwrap().len() {
                0 => break,
                n => got += n,
            }
        }
        assert_eq!(got, 4 * (4096 + 700 + 5000));
        for child in writers {
            assert_eq!(sys.waitpid(child), (child, 0));
        }
    });
}

#[test]
fn epoll_levels_edges_and_single_shots() {
    each_seed(2, |sys| {
        let ep = epoll(sys);
        let level = eventfd(sys, 1, 0o4000);
        assert_eq!(ctl(sys, ep, ADD, level, IN), 0);
        assert_eq!(ctl(sys, ep, ADD, level, IN), EEXIST);
        assert_eq!(wait(sys, ep, 0), [(IN, level)]);
        assert_eq!(wait(sys, ep, -1), [(IN, level)]);
        sys.read(level, 8).unwrap();
        assert_eq!(wait(sys, ep, 0), []);
        // An edge is told once, each write is one.
        assert_eq!(ctl(sys, ep, MOD, level, IN | ET), 0);
        for _ in 0..2 {
            sys.write(level, &1u64.to_ne_bytes());
            assert_eq!(wait(sys, ep, 0), [(IN, level)]);
            assert_eq!(wait(sys, ep, 0), []);
        }
        // One shot: silent until it is set again.
        assert_eq!(ctl(sys, ep, MOD, level, IN | OUT | ONESHOT), 0);
        assert_eq!(wait(sys, ep, 0), [(IN | OUT, level)]);
        sys.write(level, &1u64.to_ne_bytes());
        assert_eq!(wait(sys, ep, 0), []);
        assert_eq!(ctl(sys, ep, MOD, level, OUT), 0);
        assert_eq!(wait(sys, ep, 0), [(OUT, level)]);
        assert_eq!(ctl(sys, ep, DEL, level, 0), 0);
        assert_eq!(ctl(sys, ep, DEL, level, 0), ENOENT);
        assert_eq!(ctl(sys, ep, MOD, level, IN), ENOENT);
        assert_eq!(wait(sys, ep, 0), []);
        assert_eq!(ctl(sys, ep, ADD, ep, IN), EINVAL);
    });
}

#[test]
fn epoll_forgets_what_is_closed() {
    each_seed(2, |sys| {
        let ep = epoll(sys);
        let (from, to) = sys.pipe();
        assert_eq!(ctl(sys, ep, ADD, from, IN), 0);
        let copy = sys.must(DUP, &[from]);
        sys.close(from);
        // The description lives on in the copy.
        sys.write(to, b"x");
        assert_eq!(wait(sys, ep, 0), [(IN, from)]);
        sys.close(to);
        assert_eq!(wait(sys, ep, 0), [(IN | HUP, from)]);
        sys.close(copy);
        assert_eq!(wait(sys, ep, 0), []);
        let path = sys.text("/");
        let dir = sys.must(2, &[path, 0, 0]);
        assert_eq!(ctl(sys, ep, ADD, dir, IN), EPERM);
    });
}

#[test]
fn epoll_nests_but_not_in_circles() {
    each_seed(2, |sys| {
        let (outer, inner) = (epoll(sys), epoll(sys));
        let count = eventfd(sys, 0, 0o4000);
        assert_eq!(ctl(sys, outer, ADD, inner, IN), 0);
        assert_eq!(ctl(sys, inner, ADD, outer, IN), ELOOP);
        assert_eq!(ctl(sys, inner, ADD, count, IN), 0);
        assert_eq!(wait(sys, outer, 0), []);
        sys.write(count, &1u64.to_ne_bytes());
        assert_eq!(wait(sys, outer, 0), [(IN, inner)]);
        assert_eq!(wait(sys, inner, 0), [(IN, count)]);
        sys.read(count, 8).unwrap();
        assert_eq!(wait(sys, outer, 0), []);
    });
}

#[test]
fn epoll_waiters_share_the_work() {
    each_seed(40, |sys| {
        let ep = epoll(sys);
        let work = eventfd(sys, 0, 1);
        let done = eventfd(sys, 0, 1);
        assert_eq!(ctl(sys, ep, ADD, work, IN), 0);
        let children: [i64; 3] = core::array::from_fn(|_| {
            sys.fork(move |sys| {
                loop {
                    assert_eq!(wait(sys, ep, -1), [(IN, work)]);
                    sys.must(FCNTL, &[work, F_SETFL, 0o4002]);
                    match sys.read(work, 8) {
                        Ok(_) => sys.write(done, &1u64.to_ne_bytes()),
                        Err(error) => {
                            assert_eq!(error, EAGAIN);
                            continue;
                        }
                    };
                }
            })
        });
        for _ in 0..10 {
            sys.write(work, &1u64.to_ne_bytes());
        }
        for _ in 0..10 {
            sys.read(done, 8).unwrap();
        }
        for child in children {
            sys.kill(child, 9);
            assert_eq!(sys.waitpid(child), (child, 9));
        }
    });
}

#[test]
fn epoll_gives_one_shot_to_one() {
    each_seed(60, |sys| {
        let ep = epoll(sys);
        let work = eventfd(sys, 0, 0o4000);
        let done = eventfd(sys, 0, 1);
        assert_eq!(ctl(sys, ep, ADD, work, IN | ONESHOT), 0);
        let children: [i64; 3] = core::array::from_fn(|_| {
            sys.fork(move |sys| {
                loop {
                    assert_eq!(wait(sys, ep, -1), [(IN, work)]);
                    // Nobody else can have been sent to read it.
                    let n = u64::from_ne_bytes(sys.read(work, 8).unwrap().try_into().unwrap());
                    assert_eq!(ctl(sys, ep, MOD, work, IN | ONESHOT), 0);
                    sys.write(done, &n.to_ne_bytes());
                }
            })
        });
        for _ in 0..12 {
            sys.write(work, &1u64.to_ne_bytes());
        }
        for _ in 0..12 {
            sys.read(done, 8).unwrap();
        }
        for child in children {
            sys.kill(child, 9);
            assert_eq!(sys.waitpid(child), (child, 9));
        }
    });
}

#[test]
fn a_semaphore_lets_as_many_through_as_it_counts() {
    each_seed(40, |sys| {
        let count = eventfd(sys, 0, 1);
        let children: [i64; 4] = core::array::from_fn(|_| {
            sys.fork(move |sys| {
                for _ in 0..3 {
                    assert_eq!(sys.read(count, 8).unwrap(), 1u64.to_ne_bytes());
                }
                0
            })
        });
        for n in [5u64, 4, 3] {
            assert_eq!(sys.write(count, &n.to_ne_bytes()), 8);
        }
        for child in children {
            assert_eq!(sys.waitpid(child), (child, 0));
        }
    });
}

#[test]
fn datagrams_wait_for_room() {
    each_seed(40, |sys| {
        let receiver = sys.must(SOCKET, &[1, 2, 0]);
        let name = b"\x01\0\0room";
        let at = sys.word(40);
        sys.user().write(at, name);
        sys.must(BIND, &[receiver, at, name.len() as u64]);
        let senders: [i64; 3] = core::array::from_fn(|n| {
            sys.fork(move |sys| {
                let socket = sys.must(SOCKET, &[1, 2, 0]);
                let data = sys.word(50);
                for part in 0..9u8 {
                    sys.user().write(data, &[n as u8, part]);
                    let sent = sys.call(SENDTO, &[socket, data, 2, 0, at, name.len() as u64]);
                    assert_eq!(sent, 2);
                }
                0
            })
        });
        let mut next = [0; 3];
        for _ in 0..27 {
            let message = sys.read(receiver, 8).unwrap();
            assert_eq!(message[1], next[message[0] as usize]);
            next[message[0] as usize] += 1;
        }
        for child in senders {
            assert_eq!(sys.waitpid(child), (child, 0));
        }
    });
}

#[test]
fn streams_carry_more_than_they_hold() {
    each_seed(10, |sys| {
        let (one, two) = pair(sys, 1);
        // The smallest send buffer.
        let at = sys.word(60);
        sys.poke(at, 1);
        sys.must(54, &[one, 1, 7, at, 4]);
        let child = sys.fork(move |sys| {
            sys.close(two);
            for n in 0..6u8 {
                assert_eq!(sys.write(one, &[n; 5000]), 5000);
            }
            0
        });
        sys.close(one);
        let mut got = Vec::new();
        loop {
            let part = sys.read(two, 1700).unwrap();
            if part.is_empty() {
                break;
            }
            got.extend_from_slice(&part);
        }
        assert!((0..6).all(|n| got[5000 * n..][..5000].iter().all(|&byte| byte == n as u8)));
        assert_eq!(got.len(), 30000);
        assert_eq!(sys.waitpid(child), (child, 0));
    });
}
