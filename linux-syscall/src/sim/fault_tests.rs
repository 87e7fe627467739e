//! Memory runs out midway: every request of a call that can be refused is, one after the other. The call
//! then fails with `ENOMEM` and has changed nothing, or it succeeds since it could do without.

use super::{Sys, boot};

const ENOMEM: i64 = -12;

const DETACH: u64 = 2;
const BIND: u64 = 0x1000;
const REC: u64 = 0x4000;
const PRIVATE: u64 = 0x4_0000 | REC;
const SLAVE: u64 = 0x8_0000;
const SHARED: u64 = 0x10_0000;

const FIXED: u64 = 0x10;
const ANON_PRIVATE: u64 = 0x22;
const POPULATE: u64 = 0x8000;

const NEWNS: u64 = 0x2_0000;
const NEWCGROUP: u64 = 0x200_0000;
const NEWUTS: u64 = 0x400_0000;
const NEWIPC: u64 = 0x800_0000;
const NEWUSER: u64 = 0x1000_0000;
const NEWPID: u64 = 0x2000_0000;
const NEWNET: u64 = 0x4000_0000;
const NEWTIME: u64 = 0x80;
const FILES: u64 = 0x400;
const ALL: u64 = NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWPID | NEWNET;

const OPEN: u64 = 2;
const MMAP: u64 = 9;
const MUNMAP: u64 = 11;
const MREMAP: u64 = 25;
const MKDIR: u64 = 83;
const MOUNT: u64 = 165;
const UMOUNT: u64 = 166;
const UNSHARE: u64 = 272;
const PIPE2: u64 = 293;
const SETNS: u64 = 308;
const MEMFD: u64 = 319;
const PIDFD_OPEN: u64 = 434;

/// All that a call could leave behind.
#[derive(PartialEq, Eq, Debug)]
struct Held {
    threads: usize,
    namespaces: usize,
    free_frames: usize,
    own: [u64; 8],
}

fn held(sys: &Sys<'_>) -> Held {
    let kernel = sys.user().machine().kernel().expect("it runs");
    let own = own_namespaces(sys);
    // What is dropped late is gone once everybody else has had the CPU.
    sys.sleep(10_000_000);
    Held {
        threads: kernel.tasks.nr_threads(),
        namespaces: kernel.namespaces.list().len(),
        free_frames: kernel.hal.frame_stats().free,
        own,
    }
}

/// The numbers of the caller's namespaces.
fn own_namespaces(sys: &Sys<'_>) -> [u64; 8] {
    const TYPES: [&str; 8] = [
        "cgroup",
        "ipc",
        "mnt",
        "net",
        "pid",
        "pid_for_children",
        "user",
        "uts",
    ];
    let stat = sys.word(2048);
    TYPES.map(|ns| {
        let path = sys.text(&alloc::format!("/proc/self/ns/{ns}"));
        sys.must(4, &[path, stat]);
        let number = sys.user().read(stat + 8, 8);
        u64::from_ne_bytes(number.try_into().expect("8 bytes"))
    })
}

/// What a call answered, and whether it ended before its n-th request.
type Attempt = (i64, bool);

/// Makes a call whose n-th request fails; 0: none does.
fn attempt(sys: &Sys<'_>, n: u64, call: impl FnOnce() -> i64) -> Attempt {
    let machine = sys.user().machine();
    machine.fail_nth(n);
    let result = call();
    (result, machine.fail_nth(0))
}

/// Makes every request of a call fail, one after the other. `run` makes the call with the n-th of them failing, and
/// takes back what it did.
fn each_failure(sys: &Sys<'_>, what: &str, run: impl Fn(&Sys<'_>, u64) -> Attempt) {
    // Tables that grow once and stay.
    for _ in 0..2 {
        let (result, _) = run(sys, 0);
        assert!(result >= 0, "{what} answers {result} without a failure");
    }
    let before = held(sys);
    for n in 1.. {
        let (result, is_done) = run(sys, n);
        if is_done {
            assert!(n > 1, "{what} asks for nothing that could fail");
            return;
        }
        assert!(
            result >= 0 || result == ENOMEM,
            "{what}: failure {n} is answered by {result}"
        );
        assert_eq!(held(sys), before, "{what} after failure {n}");
    }
}

/// Likewise for a call that changes the caller: a child makes it.
fn each_failure_in_a_child(
    sys: &Sys<'_>,
    what: &'static str,
    call: impl Fn(&Sys<'_>) -> i64 + Clone + Send + 'static,
) {
    each_failure(sys, what, |sys, n| {
        let call = call.clone();
        let child = sys.fork(move |sys| {
            let before = own_namespaces(sys);
            let (result, is_done) = attempt(sys, n, || call(sys));
            if result < 0 {
                assert_eq!(own_namespaces(sys), before, "{what} after failure {n}");
            }
            -result as i32 * 2 + is_done as i32
        });
        let (_, status) = sys.waitpid(child);
        assert_eq!(status & 0x7f, 0, "{what}: failure {n} kills the caller");
        let code = i64::from(status >> 8);
        (-(code / 2), code % 2 == 1)
    });
}

/// Runs a test on one CPU: nobody else is there to ask for memory.
fn alone(program: impl FnOnce(&Sys<'_>) + Send + 'static) {
    boot(1, 1, move |sys| {
        sys.must(MKDIR, &[sys.text("/proc"), 0o755]);
        sys.user().write(sys.word(600), b"proc\0");
        sys.must(MOUNT, &[sys.word(600), sys.text("/proc"), sys.word(600), 0, 0]);
        sys.must(MOUNT, &[0, sys.text("/proc"), 0, PRIVATE, 0]);
        program(sys);
    });
}

#[test]
fn a_failed_clone_changes_nothing() {
    alone(|sys| {
        for (what, flags) in [
            ("fork", 0),
            ("clone NEWUTS", NEWUTS),
            ("clone NEWIPC", NEWIPC),
            ("clone NEWNS", NEWNS),
            ("clone NEWPID", NEWPID),
            ("clone NEWNET", NEWNET),
            ("clone NEWUSER", NEWUSER),
            ("clone NEWCGROUP", NEWCGROUP),
            ("clone of everything", NEWUSER | ALL),
        ] {
            each_failure(sys, what, |sys, n| {
                let attempt = attempt(sys, n, || sys.clone(flags, |_| 0));
                if attempt.0 > 0 {
                    assert_eq!(sys.waitpid(attempt.0).0, attempt.0);
                }
                attempt
            });
        }
    });
}

#[test]
fn a_failed_unshare_changes_nothing() {
    alone(|sys| {
        for (what, flags) in [
            ("unshare NEWNS", NEWNS),
            ("unshare of everything", NEWUSER | ALL | NEWTIME | FILES),
        ] {
            each_failure_in_a_child(sys, what, move |sys| sys.call(UNSHARE, &[flags]));
        }
    });
}

/// What there is to share is there already.
#[test]
fn setns_asks_for_nothing_that_could_fail() {
    alone(|sys| {
        let target = sys.clone(NEWUSER | ALL, |sys| {
            loop {
                sys.sleep(1_000_000_000);
            }
        });
        let pidfd = sys.must(PIDFD_OPEN, &[target as u64, 0]);
        for flags in [NEWUTS, NEWIPC, NEWNS, NEWPID, NEWNET, NEWCGROUP, NEWUSER | ALL] {
            let child = sys.fork(move |sys| {
                let (result, is_done) = attempt(sys, 1, || sys.call(SETNS, &[pidfd, flags]));
                i32::from(result != 0 || !is_done)
            });
            assert_eq!(sys.waitpid(child), (child, 0), "setns {flags:x}");
        }
        sys.kill(target, 9);
        assert_eq!(sys.waitpid(target), (target, 9));
    });
}

/// Undone by a call of its own.
fn each_failure_undone(
    sys: &Sys<'_>,
    what: &str,
    call: impl Fn(&Sys<'_>) -> i64,
    undo: impl Fn(&Sys<'_>, i64),
) {
    each_failure(sys, what, |sys, n| {
        let attempt = attempt(sys, n, || call(sys));
        if attempt.0 >= 0 {
            undo(sys, attempt.0);
        }
        attempt
    });
}

fn mount(sys: &Sys<'_>, from: &str, at: &str, flags: u64) -> i64 {
    sys.user().write(sys.word(600), b"tmpfs\0");
    let source = sys.word(700);
    sys.user().write(source, from.as_bytes());
    sys.user().write(source + from.len() as u64, &[0]);
    sys.call(MOUNT, &[source, sys.text(at), sys.word(600), flags, 0])
}

fn umount(sys: &Sys<'_>, at: &str) {
    sys.must(UMOUNT, &[sys.text(at), DETACH]);
}

#[test]
fn a_failed_mount_changes_nothing() {
    alone(|sys| {
        for dir in ["/from", "/group", "/peer", "/slave"] {
            sys.must(MKDIR, &[sys.text(dir), 0o755]);
        }
        assert_eq!(mount(sys, "tmpfs", "/from", 0), 0);
        for dir in ["/from/a", "/from/b", "/from/c"] {
            sys.must(MKDIR, &[sys.text(dir), 0o755]);
            assert_eq!(mount(sys, "tmpfs", dir, 0), 0);
        }
        assert_eq!(mount(sys, "tmpfs", "/group", 0), 0);
        assert_eq!(mount(sys, "none", "/group", SHARED), 0);
        sys.must(MKDIR, &[sys.text("/group/at"), 0o755]);
        assert_eq!(mount(sys, "/group", "/peer", BIND), 0);
        assert_eq!(mount(sys, "/group", "/slave", BIND), 0);
        assert_eq!(mount(sys, "none", "/slave", SLAVE), 0);
        let mounts = || sys.read(sys.must(OPEN, &[sys.text("/proc/self/mountinfo"), 0]), 4096);
        let before = mounts().expect("it can be read");
        each_failure_undone(
            sys,
            "a mount of a tree that three places get",
            |sys| mount(sys, "/from", "/group/at", BIND | REC),
            |sys, _| umount(sys, "/group/at"),
        );
        assert_eq!(mounts().expect("it can be read"), before);
    });
}

#[test]
fn a_failed_mapping_changes_nothing() {
    alone(|sys| {
        each_failure_undone(
            sys,
            "mmap",
            |sys| sys.call(MMAP, &[0, 8 << 12, 3, ANON_PRIVATE | POPULATE, u64::MAX, 0]),
            |sys, at| assert_eq!(sys.call(MUNMAP, &[at as u64, 8 << 12]), 0),
        );
        let place = sys.must(MMAP, &[0, 16 << 12, 3, ANON_PRIVATE, u64::MAX, 0]);
        sys.must(MUNMAP, &[place, 16 << 12]);
        each_failure_undone(
            sys,
            "mremap",
            |sys| {
                let fixed = ANON_PRIVATE | POPULATE | FIXED;
                let at = sys.call(MMAP, &[place, 4 << 12, 3, fixed, u64::MAX, 0]);
                let moved = sys.call(MREMAP, &[at as u64, 4 << 12, 4 << 12, 3, place + (8 << 12)]);
                sys.call(MUNMAP, &[place, 4 << 12]);
                moved
            },
            |sys, at| assert_eq!(sys.call(MUNMAP, &[at as u64, 4 << 12]), 0),
        );
    });
}

#[test]
fn a_failed_file_changes_nothing() {
    alone(|sys| {
        each_failure_undone(
            sys,
            "a pipe that is filled",
            |sys| {
                let ends = sys.word(2);
                let made = sys.call(PIPE2, &[ends, 0]);
                if made < 0 {
                    return made;
                }
                let (from, to) = (sys.peek(ends).into(), sys.peek(ends + 4).into());
                let written = sys.write(to, &[1; 4096]);
                let got = if written > 0 {
                    sys.read(from, 4096).map_or(-1, |got| got.len() as i64)
                } else {
                    0
                };
                assert!(written < 0 || got == written, "{got} of {written} bytes arrive");
                sys.close(from);
                sys.close(to);
                written
            },
            |_, _| {},
        );
        each_failure_undone(
            sys,
            "a file that is written",
            |sys| {
                let made = sys.call(MEMFD, &[sys.text("file"), 0]);
                let Ok(fd) = u64::try_from(made) else {
                    return made;
                };
                let written = sys.write(fd, &[1; 8192]);
                sys.close(fd);
                written
            },
            |_, _| {},
        );
    });
}
