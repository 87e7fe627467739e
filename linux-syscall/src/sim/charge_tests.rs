//! What a process makes is charged to its cgroup and given back with it: after any run, and whichever charge
//! failed, nothing is left of a cgroup whose processes are gone.

use alloc::format;

use super::{Sys, boot, each_seed};

const OPEN: u64 = 2;
const CLOSE: u64 = 3;
const SIGPROCMASK: u64 = 14;
const DUP2: u64 = 33;
const MKDIR: u64 = 83;
const RMDIR: u64 = 84;
const SIGQUEUEINFO: u64 = 129;
const SETRLIMIT: u64 = 160;
const MOUNT: u64 = 165;
const TIMER_CREATE: u64 = 222;
const EPOLL_CTL: u64 = 233;
const INOTIFY_ADD_WATCH: u64 = 254;
const UNSHARE: u64 = 272;
const EVENTFD2: u64 = 290;
const EPOLL_CREATE1: u64 = 291;
const INOTIFY_INIT1: u64 = 294;

const NEWNS: u64 = 0x2_0000;
const BIND: u64 = 0x1000;
const PRIVATE: u64 = 0x4_0000 | 0x4000;
const NOFILE: u64 = 7;
const RTSIG: u64 = 40;

/// Mounts cgroup2 with the memory controller and makes a cgroup.
fn prepare(sys: &Sys<'_>) {
    sys.user().write(sys.word(600), b"cgroup2\0");
    sys.must(MKDIR, &[sys.text("/cg"), 0o755]);
    sys.must(MOUNT, &[sys.word(600), sys.text("/cg"), sys.word(600), 0, 0]);
    put(sys, "/cg/cgroup.subtree_control", b"+memory");
    for dir in ["/cg/a", "/d", "/e"] {
        sys.must(MKDIR, &[sys.text(dir), 0o755]);
    }
    let set = 1u64 << (RTSIG - 1);
    sys.user().write(sys.word(601), &set.to_ne_bytes());
    sys.must(SIGPROCMASK, &[0, sys.word(601), 0, 8]);
    for n in [602, 603] {
        sys.user().write(sys.word(n), &5000u64.to_ne_bytes());
    }
    sys.must(SETRLIMIT, &[NOFILE, sys.word(602)]);
}

fn put(sys: &Sys<'_>, path: &str, text: &[u8]) {
    let fd = sys.must(OPEN, &[sys.text(path), 1]);
    assert_eq!(sys.write(fd, text), text.len() as i64, "{path}");
    sys.close(fd);
}

/// Makes some of everything; what fails for want of memory is left out.
fn make(sys: &Sys<'_>, rounds: u64) {
    let inotify = sys.call(INOTIFY_INIT1, &[0o4000]) as u64;
    sys.call(INOTIFY_ADD_WATCH, &[inotify, sys.text("/d"), 0x300]);
    let (one, two) = (
        sys.call(EPOLL_CREATE1, &[0]) as u64,
        sys.call(EPOLL_CREATE1, &[0]) as u64,
    );
    for round in 0..rounds {
        let file = sys.call(EVENTFD2, &[0, 0]) as u64;
        sys.call(EPOLL_CTL, &[one, 1, file, sys.word(610)]);
        sys.call(EPOLL_CTL, &[two, 1, file, sys.word(610)]);
        match round % 3 {
            0 => sys.call(EPOLL_CTL, &[one, 2, file, 0]),
            1 => sys.call(CLOSE, &[file]),
            _ => sys.call(DUP2, &[file, 100 << round.min(5)]),
        };
        sys.call(TIMER_CREATE, &[1, 0, sys.word(611)]);
        let name = sys.text(&format!("/d/{round}"));
        sys.call(MKDIR, &[name, 0o755]);
        sys.call(RMDIR, &[name]);
        sys.call(INOTIFY_ADD_WATCH, &[inotify, sys.text("/e"), 0x300 << round]);
        let mut info = [0; 128];
        info[..4].copy_from_slice(&(RTSIG as u32).to_ne_bytes());
        info[8..12].copy_from_slice(&(-1i32).to_ne_bytes());
        sys.user().write(sys.word(620), &info);
        let target = sys.getpid() as u64;
        sys.call(SIGQUEUEINFO, &[target, RTSIG, sys.word(620)]);
        if sys.call(UNSHARE, &[NEWNS]) == 0 {
            sys.call(MOUNT, &[0, sys.text("/"), 0, PRIVATE, 0]);
            let at = sys.text("/d");
            sys.call(MOUNT, &[at, at, 0, BIND, 0]);
        }
        let child = sys.fork(|sys| {
            sys.call(DUP2, &[0, 1000]);
            0
        });
        if child > 0 {
            sys.waitpid(child);
        }
    }
}

/// The processes of the cgroup are gone: so is all that it had.
fn end(sys: &Sys<'_>) {
    let control = sys
        .user()
        .machine()
        .kernel()
        .expect("it runs")
        .memory
        .control
        .clone();
    // What is dropped late is gone once everybody else has had the CPU.
    sys.sleep(10_000_000);
    sys.must(RMDIR, &[sys.text("/cg/a")]);
    sys.sleep(10_000_000);
    assert_eq!(
        control.count(),
        0,
        "a cgroup lives on, so something is charged to it"
    );
}

#[test]
fn nothing_is_charged_to_a_cgroup_whose_processes_are_gone() {
    each_seed(20, |sys| {
        prepare(sys);
        let children: [i64; 2] = core::array::from_fn(|n| {
            sys.fork(move |sys| {
                put(sys, "/cg/a/cgroup.procs", b"0");
                make(sys, 5 + n as u64);
                0
            })
        });
        for child in children {
            assert_eq!(sys.waitpid(child), (child, 0));
        }
        end(sys);
    });
}

#[test]
fn a_charge_that_fails_leaves_nothing_behind() {
    boot(1, 1, |sys| {
        prepare(sys);
        for n in 1.. {
            let child = sys.fork(move |sys| {
                put(sys, "/cg/a/cgroup.procs", b"0");
                let machine = sys.user().machine();
                machine.fail_nth(n);
                make(sys, 3);
                machine.fail_nth(0) as i32
            });
            let (_, status) = sys.waitpid(child);
            assert_eq!(status & 0x7f, 0, "failure {n}");
            if status != 0 {
                break;
            }
            // Where it was the removal of a directory that failed.
            for round in 0..3 {
                sys.call(RMDIR, &[sys.text(&format!("/d/{round}"))]);
            }
            if n % 20 == 0 {
                let kernel = sys.user().machine().kernel().expect("it runs");
                let memcg = kernel.memory.control.find(1).expect("the cgroup");
                sys.sleep(10_000_000);
                assert_eq!(kernel.memory.control.usage_bytes(&memcg), 0, "failure {n}");
            }
        }
        end(sys);
    });
}
