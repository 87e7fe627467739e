//! System V IPC and POSIX queues under many interleavings.

use linux_object::namespace::NsRegistry;
use linux_object::sim::run;

use super::{Sys, each_seed, start};

const SHMGET: u64 = 29;
const SHMAT: u64 = 30;
const SHMCTL: u64 = 31;
const SEMGET: u64 = 64;
const SEMCTL: u64 = 66;
const SHMDT: u64 = 67;
const MSGGET: u64 = 68;
const MSGSND: u64 = 69;
const MSGRCV: u64 = 70;
const MSGCTL: u64 = 71;
const SEMTIMEDOP: u64 = 220;
const MQ_OPEN: u64 = 240;
const MQ_SEND: u64 = 242;
const MQ_RECEIVE: u64 = 243;
const UNSHARE: u64 = 272;
const WAIT4: u64 = 61;
const WNOHANG: u64 = 1;

const IPC_CREAT: u64 = 0o1000;
const IPC_NOWAIT: u64 = 0o4000;
const IPC_RMID: u64 = 0;
const IPC_SET: u64 = 1;
const IPC_STAT: u64 = 2;
const GETVAL: u64 = 12;
const GETNCNT: u64 = 14;
const SETVAL: u64 = 16;
const SEM_UNDO: u16 = 0x1000;
const CLONE_NEWIPC: u64 = 0x0800_0000;

const EINTR: i64 = -4;
const EAGAIN: i64 = -11;
const EINVAL: i64 = -22;
const EIDRM: i64 = -43;
const ETIMEDOUT: i64 = -110;

fn semaphores(sys: &Sys<'_>, count: u64) -> u64 {
    sys.must(SEMGET, &[0, count, IPC_CREAT | 0o600])
}

fn value(sys: &Sys<'_>, id: u64, num: u64) -> u64 {
    sys.must(SEMCTL, &[id, num, GETVAL, 0])
}

/// An operation of steps (semaphore, change), with a time-out in nanoseconds if there is one.
fn semop(sys: &Sys<'_>, id: u64, steps: &[(u16, i16)], flags: u16, timeout: Option<u64>) -> i64 {
    let at = sys.word(20);
    for (n, (num, by)) in steps.iter().enumerate() {
        let at = at + 6 * n as u64;
        sys.user().write(at, &num.to_ne_bytes());
        sys.user().write(at + 2, &by.to_ne_bytes());
        sys.user().write(at + 4, &flags.to_ne_bytes());
    }
    let limit = timeout.map_or(0, |nanos| {
        sys.user().write(sys.word(40), &0u64.to_ne_bytes());
        sys.user().write(sys.word(41), &nanos.to_ne_bytes());
        sys.word(40)
    });
    sys.call(SEMTIMEDOP, &[id, at, steps.len() as u64, limit])
}

fn send(sys: &Sys<'_>, id: u64, kind: u64, value: u32, len: u64, flags: u64) -> i64 {
    let at = sys.word(20);
    sys.user().write(at, &kind.to_ne_bytes());
    sys.poke(at + 8, value);
    sys.call(MSGSND, &[id, at, len, flags])
}

fn receive(sys: &Sys<'_>, id: u64, kind: i64, flags: u64) -> Result<u32, i64> {
    let at = sys.word(20);
    match sys.call(MSGRCV, &[id, at, 64, kind as u64, flags]) {
        error if error < 0 => Err(error),
        _ => Ok(sys.peek(at + 8)),
    }
}

/// A message queue for so many bytes.
fn queue(sys: &Sys<'_>, bytes: u64) -> u64 {
    let id = sys.must(MSGGET, &[0, IPC_CREAT | 0o600]);
    let at = sys.word(100);
    sys.must(MSGCTL, &[id, IPC_STAT, at]);
    sys.user().write(at + 88, &bytes.to_ne_bytes());
    sys.must(MSGCTL, &[id, IPC_SET, at]);
    id
}

fn join(sys: &Sys<'_>, child: i64) {
    assert_eq!(sys.waitpid(child), (child, 0));
}

#[test]
fn every_message_reaches_one_receiver() {
    each_seed(60, |sys| {
        // Room for about two messages.
        let id = queue(sys, 20);
        let sums = sys.shared(4096);
        let receivers: [i64; 3] = core::array::from_fn(|n| {
            sys.fork(move |sys| {
                let mut sum = 0;
                for _ in 0..8 {
                    sum += receive(sys, id, -9, 0).unwrap();
                }
                sys.poke(sums + 4 * n as u64, sum);
                0
            })
        });
        let senders: [i64; 4] = core::array::from_fn(|n| {
            sys.fork(move |sys| {
                for i in 0..6u32 {
                    let kind = 1 + u64::from(i) % 3;
                    assert_eq!(send(sys, id, kind, 1 << n, 4 + 2 * n as u64, 0), 0);
                }
                0
            })
        });
        senders.into_iter().for_each(|child| join(sys, child));
        receivers.into_iter().for_each(|child| join(sys, child));
        let total: u32 = (0..3).map(|n| sys.peek(sums + 4 * n)).sum();
        assert_eq!(total, 6 * 15);
        assert_eq!(receive(sys, id, 0, IPC_NOWAIT), Err(-42));
    });
}

#[test]
fn undo_makes_up_for_every_death() {
    each_seed(60, |sys| {
        let id = semaphores(sys, 2);
        sys.must(SEMCTL, &[id, 0, SETVAL, 2]);
        let children: [i64; 4] = core::array::from_fn(|n| {
            sys.fork(move |sys| {
                for _ in 0..3 {
                    let done = semop(sys, id, &[(0, -1), (1, 1)], SEM_UNDO, None);
                    assert_eq!(done, 0);
                    if n == 3 {
                        break;
                    }
                    assert_eq!(semop(sys, id, &[(0, 1), (1, -1)], SEM_UNDO, None), 0);
                }
                if n == 2 {
                    // Waits until it is killed.
                    semop(sys, id, &[(1, -9)], SEM_UNDO, None);
                }
                0
            })
        });
        for child in [children[0], children[1], children[3]] {
            join(sys, child);
        }
        sys.kill(children[2], 9);
        sys.waitpid(children[2]);
        assert_eq!((value(sys, id, 0), value(sys, id, 1)), (2, 0));
        assert_eq!(sys.call(SEMCTL, &[id, 1, GETNCNT, 0]), 0);
    });
}

#[test]
fn removal_reaches_every_waiter() {
    each_seed(60, |sys| {
        let (sems, full, empty) = (semaphores(sys, 2), queue(sys, 4), queue(sys, 100));
        assert_eq!(send(sys, full, 1, 0, 4, 0), 0);
        let children: [i64; 6] = core::array::from_fn(|n| {
            sys.fork(move |sys| {
                let result = match n % 3 {
                    0 => semop(sys, sems, &[(n as u16 / 3, -1)], SEM_UNDO, None),
                    1 => send(sys, full, 1, 0, 4, 0),
                    _ => receive(sys, empty, n as i64, 0).map_or_else(|error| error, i64::from),
                };
                assert!(result == EIDRM || result == EINVAL, "{result}");
                0
            })
        });
        sys.must(SEMCTL, &[sems, 0, IPC_RMID, 0]);
        sys.must(MSGCTL, &[full, IPC_RMID, 0]);
        sys.must(MSGCTL, &[empty, IPC_RMID, 0]);
        children.into_iter().for_each(|child| join(sys, child));
    });
}

#[test]
fn time_outs_and_signals_lose_nothing() {
    each_seed(60, |sys| {
        let id = semaphores(sys, 1);
        let counts = sys.shared(4096);
        let children: [i64; 3] = core::array::from_fn(|n| {
            sys.fork(move |sys| {
                sys.sigaction(10, 0, |_, _| {});
                let mut taken = 0;
                for turn in 0..6u64 {
                    let timeout = (n != 0).then_some(turn * 40_000);
                    match semop(sys, id, &[(0, -1)], 0, timeout) {
                        0 => taken += 1,
                        EAGAIN | EINTR => {}
                        other => panic!("semtimedop answers {other}"),
                    }
                }
                sys.poke(counts + 4 * n as u64, taken);
                0
            })
        });
        for _ in 0..6 {
            assert_eq!(semop(sys, id, &[(0, 1)], 0, None), 0);
            sys.kill(children[1], 10);
            sys.sleep(30_000);
        }
        // The first has no time-out.
        let done = loop {
            let who = sys.call(WAIT4, &[children[0] as u64, sys.word(1), WNOHANG, 0]);
            if who != 0 {
                break who;
            }
            assert_eq!(semop(sys, id, &[(0, 1)], 0, None), 0);
            sys.poke(counts + 64, sys.peek(counts + 64) + 1);
            sys.sleep(50_000);
        };
        assert_eq!(done, children[0]);
        join(sys, children[1]);
        join(sys, children[2]);
        let taken: u32 = (0..3).map(|n| sys.peek(counts + 4 * n)).sum();
        let given = 6 + sys.peek(counts + 64);
        assert_eq!(u64::from(taken) + value(sys, id, 0), given.into());
    });
}

#[test]
fn posix_queues_keep_every_message() {
    each_seed(60, |sys| {
        let attr = sys.word(50);
        for (n, word) in [0u64, 1, 16].into_iter().enumerate() {
            sys.user().write(attr + 8 * n as u64, &word.to_ne_bytes());
        }
        let name = sys.text("q");
        let q = sys.must(MQ_OPEN, &[name, 0o102, 0o600, attr]);
        let counts = sys.shared(4096);
        let senders: [i64; 3] = core::array::from_fn(|n| {
            sys.fork(move |sys| {
                for turn in 0..5u64 {
                    let at = sys.word(20);
                    sys.poke(at, 1);
                    assert_eq!(sys.call(MQ_SEND, &[q, at, 4, turn + n as u64, 0]), 0);
                }
                0
            })
        });
        let receivers: [i64; 3] = core::array::from_fn(|n| {
            sys.fork(move |sys| {
                let mut got = 0;
                while got < 5 {
                    // An absolute time that is over, now and then.
                    let limit = if n == 1 && got % 2 == 1 { sys.word(40) } else { 0 };
                    sys.user().write(sys.word(40), &[0; 16]);
                    match sys.call(MQ_RECEIVE, &[q, sys.word(20), 16, 0, limit]) {
                        4 => got += 1,
                        ETIMEDOUT => {
                            if sys.call(MQ_RECEIVE, &[q, sys.word(20), 16, 0, 0]) == 4 {
                                got += 1;
                            }
                        }
                        other => panic!("mq_timedreceive answers {other}"),
                    }
                }
                sys.poke(counts + 4 * n as u64, got);
                0
            })
        });
        senders.into_iter().for_each(|child| join(sys, child));
        receivers.into_iter().for_each(|child| join(sys, child));
        assert_eq!((0..3).map(|n| sys.peek(counts + 4 * n)).sum::<u32>(), 15);
    });
}

#[test]
fn segments_go_with_their_last_user() {
    each_seed(60, |sys| {
        let id = sys.must(SHMGET, &[77, 8192, IPC_CREAT | 0o600]);
        let at = sys.must(SHMAT, &[id, 0, 0]);
        let children: [i64; 3] = core::array::from_fn(|n| {
            sys.fork(move |sys| {
                match n {
                    0 => assert_eq!(sys.call(SHMDT, &[at]), 0),
                    // A part of it.
                    1 => assert_eq!(sys.call(11, &[at + 4096, 4096]), 0),
                    _ => {
                        let again = sys.call(SHMAT, &[id, 0, 0]);
                        assert!(again > 0 || again == EINVAL || again == EIDRM, "{again}");
                    }
                }
                0
            })
        });
        sys.must(SHMCTL, &[id, IPC_RMID, 0]);
        sys.must(SHMDT, &[at]);
        children.into_iter().for_each(|child| join(sys, child));
        assert_eq!(sys.call(SHMCTL, &[id, IPC_STAT, sys.word(100)]), EINVAL);
        assert_eq!(sys.call(SHMGET, &[77, 0, 0]), -2);
    });
}

#[test]
fn namespaces_come_and_go() {
    for seed in 0..30 {
        run(seed, 1 + (seed % 4) as usize, |kernel| {
            let registry = kernel.namespaces.clone();
            start(kernel, move |sys| make_and_drop(sys, &registry));
        });
    }
}

fn make_and_drop(sys: &Sys<'_>, registry: &NsRegistry) {
    let before = registry.list().len();
    let children: [i64; 3] = core::array::from_fn(|n| {
        sys.fork(move |sys| {
            for _ in 0..4 {
                sys.must(UNSHARE, &[CLONE_NEWIPC]);
                let id = semaphores(sys, 1);
                assert_eq!(semop(sys, id, &[(0, 1)], SEM_UNDO, None), 0);
                let shm = sys.must(SHMGET, &[0, 4096, IPC_CREAT | 0o600]);
                let at = sys.must(SHMAT, &[shm, 0, 0]);
                sys.poke(at, n as u32);
                let q = queue(sys, 100);
                assert_eq!(send(sys, q, 1, 0, 4, 0), 0);
                sys.must(SHMDT, &[at]);
            }
            0
        })
    });
    children.into_iter().for_each(|child| join(sys, child));
    assert_eq!(registry.list().len(), before);
}
