//! Tracers and tracees whose steps meet in any order.

use super::{Sys, each_seed};

const ECHILD: i64 = -10;
const ESRCH: i64 = -3;
const SIGKILL: u64 = 9;
const SIGTRAP: u32 = 5;
const SIGCONT: u64 = 18;
const SIGSTOP: u64 = 19;

const CONT: u64 = 7;
const DETACH: u64 = 17;
const SYSCALL: u64 = 24;
const SETOPTIONS: u64 = 0x4200;
const GETEVENTMSG: u64 = 0x4201;
const SEIZE: u64 = 0x4206;
const INTERRUPT: u64 = 0x4207;
const LISTEN: u64 = 0x4208;
const TRACESYSGOOD: u64 = 1;
const TRACECLONE: u64 = 1 << 3;
const EXITKILL: u64 = 1 << 20;

const WALL: u64 = 0x4000_0000;
const WUNTRACED: u64 = 2;

fn ptrace(sys: &Sys<'_>, request: u64, pid: i64, data: u64) -> i64 {
    sys.call(101, &[request, pid as u64, 0, data])
}

/// `wait4`: who, and its status.
fn wait(sys: &Sys<'_>, pid: i64, options: u64) -> (i64, u32) {
    let status = sys.word(1);
    let who = sys.call(61, &[pid as u64, status, options, 0]);
    (who, if who > 0 { sys.peek(status) } else { 0 })
}

fn is_stop(status: u32) -> bool {
    status & 0xff == 0x7f
}

fn busy(sys: &Sys<'_>) -> ! {
    loop {
        sys.user().compute(500);
        sys.call(110, &[]);
    }
}

/// Directs a tracee until it ends, or so many stops have been.
fn follow(sys: &Sys<'_>, pid: i64, stops: usize) {
    for _ in 0..stops {
        let (who, status) = wait(sys, pid, WALL);
        assert_eq!(who, pid);
        if !is_stop(status) {
            assert_eq!(u64::from(status), SIGKILL);
            return;
        }
        let resumed = ptrace(sys, SYSCALL, pid, 0);
        assert!(resumed == 0 || resumed == ESRCH, "{resumed}");
    }
}

#[test]
fn either_side_dies_at_any_moment() {
    each_seed(60, |sys| {
        let victim = sys.fork(|sys| busy(sys));
        let tracer = sys.fork(move |sys| {
            // A stop at a call that nobody sees would be a SIGTRAP.
            let seized = ptrace(sys, SEIZE, victim, TRACESYSGOOD);
            assert!(seized == 0 || seized == ESRCH || seized == -1, "{seized}");
            if seized == 0 {
                let interrupted = ptrace(sys, INTERRUPT, victim, 0);
                assert!(interrupted == 0 || interrupted == ESRCH, "{interrupted}");
                follow(sys, victim, 6);
            }
            0
        });
        let killer = sys.fork(move |sys| {
            sys.sleep(20_000);
            sys.kill(tracer, SIGKILL);
            sys.sleep(5_000);
            sys.kill(victim, SIGKILL);
            0
        });
        assert_eq!(wait(sys, victim, 0), (victim, SIGKILL as u32));
        assert_eq!(wait(sys, tracer, 0).0, tracer);
        assert_eq!(wait(sys, killer, 0), (killer, 0));
        assert_eq!(wait(sys, -1, WALL).0, ECHILD);
    });
}

#[test]
fn the_parent_hears_of_an_end_once_and_after_the_tracer() {
    each_seed(60, |sys| {
        let victim = sys.fork(|sys| {
            sys.sleep(30_000);
            7
        });
        let tracer = sys.fork(move |sys| {
            assert_eq!(ptrace(sys, SEIZE, victim, 0), 0);
            assert_eq!(wait(sys, victim, WALL), (victim, 7 << 8));
            assert_eq!(wait(sys, victim, WALL).0, ECHILD);
            0
        });
        assert_eq!(wait(sys, victim, 0), (victim, 7 << 8));
        assert_eq!(wait(sys, tracer, 0), (tracer, 0));
        assert_eq!(wait(sys, -1, WALL).0, ECHILD);
    });
}

#[test]
fn exitkill_leaves_no_thread() {
    each_seed(60, |sys| {
        let (from, to) = sys.pipe();
        let victim = sys.fork(|sys| {
            for _ in 0..3 {
                sys.thread(|sys| {
                    sys.sleep(1_000);
                });
            }
            busy(sys)
        });
        let tracer = sys.fork(move |sys| {
            assert_eq!(ptrace(sys, SEIZE, victim, TRACECLONE | EXITKILL), 0);
            assert_eq!(sys.write(to, b"x"), 1);
            for _ in 0..5 {
                let (who, status) = wait(sys, -1, WALL);
                assert!(who > 0);
                if is_stop(status) {
                    ptrace(sys, CONT, who, 0);
                }
                if who == victim {
                    break;
                }
            }
            0
        });
        let killer = sys.fork(move |sys| {
            assert!(sys.read(from, 1).is_ok());
            sys.sleep(10_000);
            sys.kill(tracer, SIGKILL);
            0
        });
        assert_eq!(wait(sys, victim, 0), (victim, SIGKILL as u32));
        assert_eq!(wait(sys, tracer, 0).0, tracer);
        assert_eq!(wait(sys, killer, 0).0, killer);
        assert_eq!(wait(sys, -1, WALL).0, ECHILD);
    });
}

#[test]
fn events_name_the_new_thread() {
    each_seed(40, |sys| {
        let child = sys.fork(|sys| {
            assert_eq!(ptrace(sys, 0, 0, 0), 0);
            sys.kill(sys.getpid(), SIGSTOP);
            sys.thread(|_| {});
            0
        });
        assert_eq!(wait(sys, child, 0), (child, (SIGSTOP as u32) << 8 | 0x7f));
        assert_eq!(ptrace(sys, SETOPTIONS, child, TRACECLONE), 0);
        assert_eq!(ptrace(sys, CONT, child, 0), 0);
        assert_eq!(wait(sys, child, WALL), (child, 3 << 16 | SIGTRAP << 8 | 0x7f));
        assert_eq!(ptrace(sys, GETEVENTMSG, child, sys.word(16)), 0);
        let thread = i64::from(sys.peek(sys.word(16)));
        assert_eq!(wait(sys, thread, WALL), (thread, (SIGSTOP as u32) << 8 | 0x7f));
        assert_eq!(ptrace(sys, CONT, thread, 0), 0);
        assert_eq!(ptrace(sys, CONT, child, 0), 0);
        assert_eq!(wait(sys, thread, WALL), (thread, 0));
        assert_eq!(wait(sys, child, 0), (child, 0));
    });
}

/// Whatever comes first, a seized tracee that listens hears of SIGCONT, and goes on.
#[test]
fn listening_misses_no_continuation() {
    each_seed(60, |sys| {
        let child = sys.fork(|sys| busy(sys));
        assert_eq!(ptrace(sys, SEIZE, child, 0), 0);
        sys.kill(child, SIGSTOP);
        assert_eq!(wait(sys, child, WALL), (child, (SIGSTOP as u32) << 8 | 0x7f));
        assert_eq!(ptrace(sys, CONT, child, SIGSTOP), 0);
        let stopped = 128 << 16 | (SIGSTOP as u32) << 8 | 0x7f;
        assert_eq!(wait(sys, child, WALL), (child, stopped));
        let sender = sys.fork(move |sys| {
            sys.kill(child, SIGCONT);
            0
        });
        assert_eq!(ptrace(sys, LISTEN, child, 0), 0);
        assert_eq!(wait(sys, child, WALL), (child, 128 << 16 | SIGTRAP << 8 | 0x7f));
        assert_eq!(ptrace(sys, CONT, child, 0), 0);
        assert_eq!(wait(sys, child, WALL), (child, (SIGCONT as u32) << 8 | 0x7f));
        assert_eq!(ptrace(sys, DETACH, child, SIGCONT), 0);
        sys.kill(child, SIGKILL);
        assert_eq!(wait(sys, child, WUNTRACED), (child, SIGKILL as u32));
        assert_eq!(wait(sys, sender, 0), (sender, 0));
    });
}

/// The letter of `/proc/PID/stat`.
fn state(sys: &Sys<'_>, pid: i64) -> char {
    let fd = sys.must(2, &[sys.text(&alloc::format!("/proc/{pid}/stat")), 0, 0]);
    let line = sys.read(fd, 64).expect("it is there");
    sys.close(fd);
    let line = alloc::string::String::from_utf8(line).expect("it is text");
    let (_, fields) = line.split_once(") ").expect("a name in parentheses");
    fields.chars().next().expect("a letter")
}

/// Who has heard of a stop finds it so, though the stopped task may not have come to its sleep.
#[test]
fn a_stop_that_was_reported_is_seen() {
    each_seed(120, |sys| {
        let at = sys.text("/proc");
        sys.must(83, &[at, 0o755]);
        // The name of the file system stands behind the slash.
        sys.must(165, &[at + 1, at, at + 1, 0, 0]);
        let child = sys.fork(|sys| busy(sys));
        sys.kill(child, SIGSTOP);
        assert_eq!(wait(sys, child, WUNTRACED), (child, (SIGSTOP as u32) << 8 | 0x7f));
        assert_eq!(state(sys, child), 'T');
        sys.kill(child, SIGCONT);
        assert_eq!(ptrace(sys, SEIZE, child, 0), 0);
        assert_eq!(ptrace(sys, INTERRUPT, child, 0), 0);
        let (who, status) = wait(sys, child, WALL);
        assert!(who == child && is_stop(status), "{status:x}");
        assert_eq!(state(sys, child), 't');
        sys.kill(child, SIGKILL);
        while is_stop(wait(sys, child, WALL).1) {}
    });
}
