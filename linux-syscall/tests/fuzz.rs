//! Random system calls with random arguments: whatever user space asks, the kernel must not panic,
//! deadlock or hang, and must be able to kill and reap the process afterwards.

#[allow(dead_code)]
mod support;

use linux_object::sim::{Random, User};
use linux_syscall::table::CALLS;
use support::*;

/// Calls that would end the run or that the simulated user mode cannot take at random: signal
/// handlers and frames need addresses of its own, programs are not files, and `reboot` works.
const LEFT_OUT: &[&str] = &["rt_sigaction", "rt_sigreturn", "execve", "execveat", "reboot"];
const CALLS_PER_PROCESS: u64 = 120;

/// An argument: often a number that means something, seldom complete nonsense.
fn argument(random: &mut Random, memory: u64) -> u64 {
    match random.below(16) {
        0..=3 => random.below(12),
        4 => u64::MAX - random.below(200),
        5 => 1 << random.below(64),
        6 => (1 << random.below(64)) - 1,
        7..=11 => memory + random.below(3 * 4096),
        12 => memory + 3 * 4096 - random.below(40),
        13 => 0,
        14 => random.below(1 << 20) * 4096,
        _ => random.below(u64::MAX),
    }
}

/// Fills memory with what may look like structures: small numbers, pointers into itself, text.
fn scribble(user: &User, random: &mut Random, memory: u64) {
    let mut bytes = Vec::new();
    while bytes.len() < 2048 {
        let word = match random.below(6) {
            0 => u64::from_le_bytes(*b"/proc/1\0"),
            1 => u64::from_le_bytes(*b"a/b\0tmp\0"),
            _ => argument(random, memory),
        };
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    user.write(memory + random.below(2) * 4096, &bytes);
}

/// Descriptors of every kind at low numbers.
fn open_files(user: &User, memory: u64) {
    user.write(memory, b"/proc\0/f\0ptmx\0");
    let calls: &[(u64, [u64; 4])] = &[
        (2, [memory, 0o200000, 0, 0]),
        (2, [memory + 6, 0o102, 0o666, 0]),
        (293, [memory + 64, 0o4000, 0, 0]),
        (53, [1, 1, 0, memory + 64]),
        (290, [3, 0, 0, 0]),
        (291, [0, 0, 0, 0]),
        (283, [1, 0, 0, 0]),
        (319, [memory + 6, 3, 0, 0]),
        (294, [0, 0, 0, 0]),
        (434, [1, 0, 0, 0]),
    ];
    for (nr, args) in calls {
        user.call(*nr, args);
    }
}

/// A signal every 20 ms ends what a call waits for, unless the process gets itself out of its way.
fn do_not_wait_for_ever(user: &User) {
    const SIGALRM: u64 = 14;
    let stack = mmap(user, 16 * 4096);
    user.set_stack(stack + 16 * 4096);
    let handler = user.handler(std::sync::Arc::new(|_, _, _| {}));
    sigaction(user, SIGALRM, handler, 0);
    let interval: Vec<u8> = [0u64, 20_000, 0, 20_000]
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect();
    user.write(stack, &interval);
    user.call(38, &[0, stack, 0]);
}

/// Makes the calls; `ZCELL_TRACE=1` shows them.
fn misbehave(user: &User, seed: u64) -> i32 {
    let mut random = Random::new(seed);
    let memory = mmap(user, 3 * 4096);
    open_files(user, memory);
    do_not_wait_for_ever(user);
    let trace = std::env::var("ZCELL_TRACE").is_ok();
    let calls: Vec<u64> = CALLS
        .iter()
        .filter(|call| !LEFT_OUT.contains(&call.name))
        .map(|call| call.nr)
        .collect();
    for _ in 0..CALLS_PER_PROCESS {
        if random.one_in(3) {
            scribble(user, &mut random, memory);
        }
        let nr = match random.below(40) {
            0 => random.below(600) + 500,
            _ => calls[random.below(calls.len() as u64) as usize],
        };
        let args: Vec<u64> = (0..6).map(|_| argument(&mut random, memory)).collect();
        user.set_child(Box::new(|_| 0));
        let result = user.call(nr, &args);
        if trace {
            eprintln!("{seed}: {nr} {args:x?} = {result}");
        }
    }
    0
}

#[test]
fn nothing_that_a_process_asks_for_harms_the_kernel() {
    let seed = std::sync::atomic::AtomicU64::new(0);
    scenario(move |user| {
        let memory = mmap(user, 4096);
        user.write(memory, b"/proc\0proc\0");
        user.call(83, &[memory, 0o755]);
        user.call(165, &[0, memory, memory + 6, 0, 0]);
        for _ in 0..4 {
            let seed = seed.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            fork(user, move |child| misbehave(child, seed));
        }
        // Some of them wait for something that never comes.
        for _ in 0..20 {
            sleep(user, 900_000_000);
        }
        loop {
            user.call(KILL, &[u64::MAX, 9]);
            if wait(user, -1, 0x4000_0000).0 == -ECHILD {
                break;
            }
        }
    });
}
