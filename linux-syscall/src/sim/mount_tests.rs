//! Mounts under races: walks against unmounts, propagation against both, namespaces that end meanwhile.
//!
//! Each run ends with everything unmounted, and then with what it began with: as many mounts, no file of a file system
//! that is gone, no frame less.

use alloc::string::String;

use super::{Sys, each_seed};

const SIGKILL: u64 = 9;
const ENOENT: i64 = -2;
const EBUSY: i64 = -16;
const EINVAL: i64 = -22;

const DETACH: u64 = 2;
const PRIVATE: u64 = 0x4_4000;
const SLAVE: u64 = 0x8_4000;
const SHARED: u64 = 0x10_0000;
const NEWNS: u64 = 0x2_0000;

const OPEN: u64 = 2;
const MKDIR: u64 = 83;
const MOUNT: u64 = 165;
const UMOUNT: u64 = 166;
const CREATE: u64 = 0o101;

fn mkdir(sys: &Sys<'_>, path: &str) {
    sys.must(MKDIR, &[sys.text(path), 0o755]);
}

fn mount(sys: &Sys<'_>, kind: &str, at: &str, flags: u64) -> i64 {
    let name = sys.word(600);
    sys.user().write(name, kind.as_bytes());
    sys.user().write(name + kind.len() as u64, &[0]);
    sys.call(MOUNT, &[name, sys.text(at), name, flags, 0])
}

fn umount(sys: &Sys<'_>, at: &str, flags: u64) -> i64 {
    sys.call(UMOUNT, &[sys.text(at), flags])
}

/// Unmounts as soon as nobody is inside.
fn unmount(sys: &Sys<'_>, at: &str, flags: u64) {
    loop {
        match umount(sys, at, flags) {
            0 => return,
            error => assert!(error == EBUSY && flags & DETACH == 0, "{error}"),
        }
        sys.sleep(1_000);
    }
}

/// How many mounts of its namespace the caller sees at a path or below.
fn mounts_below(sys: &Sys<'_>, path: &str) -> usize {
    let fd = sys.must(OPEN, &[sys.text("/proc/self/mountinfo"), 0]);
    let text = sys.read(fd, 8192).expect("it can be read");
    sys.close(fd);
    let text = String::from_utf8(text).expect("it is text");
    let at = |line: &str| line.split(' ').nth(4).is_some_and(|at| at.starts_with(path));
    text.lines().filter(|line| at(line)).count()
}

/// Threads, namespaces and free frames, when what ends late has ended.
fn held(sys: &Sys<'_>) -> (usize, usize, usize) {
    let kernel = sys.user().machine().kernel().expect("it runs");
    sys.sleep(10_000_000);
    (
        kernel.tasks.nr_threads(),
        kernel.namespaces.list().len(),
        kernel.hal.frame_stats().free,
    )
}

/// Runs a race, twice: what the kernel keeps for good it has after the first time.
fn race(count: u64, run: impl Fn(&Sys<'_>) + Send + Sync + Copy + 'static) {
    each_seed(count, move |sys| {
        mkdir(sys, "/proc");
        sys.must(MKDIR, &[sys.text("/m"), 0o755]);
        assert_eq!(mount(sys, "proc", "/proc", 0), 0);
        assert_eq!(mount(sys, "none", "/", PRIVATE), 0);
        run(sys);
        let (mounts, before) = (mounts_below(sys, "/"), held(sys));
        run(sys);
        assert_eq!(mounts_below(sys, "/"), mounts);
        assert_eq!(held(sys), before);
    });
}

/// Unmounts what a race has left there.
fn clear(sys: &Sys<'_>, at: &str) {
    while umount(sys, at, DETACH) == 0 {}
    assert_eq!(mounts_below(sys, at), 0);
}

/// Mounts a file system with a file of one page in a directory.
fn fill(sys: &Sys<'_>, at: &str) {
    assert_eq!(mount(sys, "tmpfs", at, 0), 0);
    mkdir(sys, &alloc::format!("{at}/d"));
    let fd = sys.must(OPEN, &[sys.text(&alloc::format!("{at}/d/f")), CREATE, 0o600]);
    assert_eq!(sys.write(fd, b"inside"), 6);
    sys.close(fd);
}

#[test]
fn walks_meet_unmounts() {
    race(150, |sys| {
        let walkers: [i64; 2] = core::array::from_fn(|_| {
            sys.fork(|sys| {
                for _ in 0..25 {
                    let fd = sys.call(OPEN, &[sys.text("/m/d/../d/f"), 0]);
                    assert!(fd >= 0 || fd == ENOENT, "{fd}");
                    if fd >= 0 {
                        // An open file keeps what it is in, or it is not there yet.
                        let text = sys.read(fd as u64, 16).expect("it can be read");
                        assert!(text == b"inside" || text.is_empty(), "{text:?}");
                        sys.close(fd as u64);
                    }
                }
                0
            })
        });
        for lazy in [false, true, false, true] {
            fill(sys, "/m");
            unmount(sys, "/m", if lazy { DETACH } else { 0 });
        }
        for walker in walkers {
            assert_eq!(sys.waitpid(walker), (walker, 0));
        }
        assert_eq!(umount(sys, "/m", 0), EINVAL);
    });
}

/// Mounts and unmounts at one of two places, as do others that share them.
fn mount_and_unmount(sys: &Sys<'_>, rounds: usize, salt: usize) {
    for n in 0..rounds {
        let at = if (n + salt).is_multiple_of(2) {
            "/m/a"
        } else {
            "/m/b"
        };
        // What is mounted there may go between the walk and the call's effect.
        let made = mount(sys, "tmpfs", at, 0);
        assert!(made == 0 || made == EINVAL, "{made}");
        if !(n + salt).is_multiple_of(3) {
            let gone = umount(sys, at, DETACH);
            assert!(gone == 0 || gone == EINVAL, "{gone}");
        }
    }
}

fn shared_tree(sys: &Sys<'_>) {
    assert_eq!(mount(sys, "tmpfs", "/m", 0), 0);
    assert_eq!(mount(sys, "none", "/m", SHARED), 0);
    mkdir(sys, "/m/a");
    mkdir(sys, "/m/b");
}

#[test]
fn peers_agree() {
    race(150, |sys| {
        shared_tree(sys);
        let (done, say_done) = sys.pipe();
        let (go, say_go) = sys.pipe();
        let peers: [i64; 2] = core::array::from_fn(|salt| {
            sys.clone(NEWNS, move |sys| {
                mount_and_unmount(sys, 5, salt);
                sys.write(say_done, b"x");
                sys.read(go, 1).expect("a byte");
                mounts_below(sys, "/m") as i32
            })
        });
        mount_and_unmount(sys, 3, 1);
        for _ in peers {
            sys.read(done, 1).expect("a byte");
        }
        let mounts = mounts_below(sys, "/m");
        sys.write(say_go, b"xx");
        for peer in peers {
            assert_eq!(sys.waitpid(peer), (peer, (mounts as u32) << 8));
        }
        for fd in [done, say_done, go, say_go] {
            sys.close(fd);
        }
        clear(sys, "/m");
    });
}

#[test]
fn slaves_get_and_do_not_give() {
    race(150, |sys| {
        shared_tree(sys);
        let slave = sys.clone(NEWNS, |sys| {
            // With all that is there already, which would remain a peer.
            assert_eq!(mount(sys, "none", "/m", SLAVE), 0);
            mount_and_unmount(sys, 6, 0);
            0
        });
        let before = mounts_below(sys, "/m");
        for _ in 0..4 {
            assert_eq!(mount(sys, "tmpfs", "/m/a", 0), 0);
            assert_eq!(mounts_below(sys, "/m"), before + 1);
            // The slave may be about to look into its copy.
            unmount(sys, "/m/a", 0);
        }
        assert_eq!(sys.waitpid(slave), (slave, 0));
        assert_eq!(mounts_below(sys, "/m"), before);
        clear(sys, "/m");
    });
}

#[test]
fn namespaces_end_under_propagation() {
    race(150, |sys| {
        shared_tree(sys);
        let spawner = sys.fork(|sys| {
            for n in 0..4 {
                let child = sys.clone(NEWNS, move |sys| {
                    if n % 2 == 0 {
                        mount_and_unmount(sys, n, 1);
                    }
                    0
                });
                assert!(child > 0, "{child}");
                if n == 3 {
                    sys.kill(child, SIGKILL);
                }
                assert_eq!(sys.waitpid(child).0, child);
            }
            0
        });
        mount_and_unmount(sys, 8, 0);
        assert_eq!(sys.waitpid(spawner), (spawner, 0));
        clear(sys, "/m");
    });
}
