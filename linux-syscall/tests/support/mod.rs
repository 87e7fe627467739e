//! Words for scenarios that speak of raw calls; processes and boot are `linux_syscall::sim`'s.

use linux_object::sim::User;
use linux_syscall::sim;

/// Boots a kernel for each of many seeds whose first process runs `init`. When it returns, the machine
/// goes off.
pub fn scenario(init: impl Fn(&User) + Send + Sync + 'static) {
    sim::each_seed(40, move |sys| init(sys.user()));
}

pub const GETPID: u64 = 39;
pub const CLONE: u64 = 56;
pub const EXIT: u64 = 60;
pub const WAIT4: u64 = 61;
pub const KILL: u64 = 62;
pub const GETPPID: u64 = 110;
pub const EXIT_GROUP: u64 = 231;

pub const SIGCHLD: u64 = 17;
pub const ECHILD: i64 = 10;
pub const WNOHANG: u64 = 1;

/// Writable memory of this many bytes.
pub fn mmap(user: &User, len: u64) -> u64 {
    let at = user.call(9, &[0, len, 3, 0x22, u64::MAX, 0]);
    assert!(at > 0, "mmap: {at}");
    at as u64
}

/// A child that runs `program` in copies of everything; its exit code is what that returns.
pub fn fork(user: &User, program: impl FnOnce(&User) -> i32 + Send + 'static) -> i64 {
    clone(user, SIGCHLD, program)
}

/// A child made with these flags, on the same stack.
pub fn clone(user: &User, flags: u64, program: impl FnOnce(&User) -> i32 + Send + 'static) -> i64 {
    user.set_child(Box::new(program));
    user.call(CLONE, &[flags, 0, 0, 0, 0])
}

/// Waits for a child; returns its pid and its wait status.
pub fn wait(user: &User, pid: i64, options: u64) -> (i64, i32) {
    let at = mmap(user, 4096);
    let found = user.call(WAIT4, &[pid as u64, at, options, 0]);
    let status = user.read(at, 4);
    user.call(11, &[at, 4096]);
    (
        found,
        i32::from_le_bytes([status[0], status[1], status[2], status[3]]),
    )
}

/// Gives up the CPU for this many nanoseconds.
pub fn sleep(user: &User, nanos: u64) {
    let at = mmap(user, 4096);
    let mut spec = [0; 16];
    spec[8..].copy_from_slice(&nanos.to_le_bytes());
    user.write(at, &spec);
    user.call(35, &[at, 0]);
    user.call(11, &[at, 4096]);
}

/// Sets the action of a signal: 0 default, 1 ignore, or a handler's address.
pub fn sigaction(user: &User, signal: u64, handler: u64, flags: u64) {
    let at = mmap(user, 4096);
    let words = [handler, flags | 0x0400_0000, 0x1234, 0];
    let bytes: Vec<u8> = words.iter().flat_map(|word: &u64| word.to_le_bytes()).collect();
    user.write(at, &bytes);
    assert_eq!(user.call(13, &[signal, at, 0, 8]), 0);
    user.call(11, &[at, 4096]);
}
