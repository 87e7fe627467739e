//! System calls as a program makes them.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use linux_object::sim::User;

/// A program's handle on its kernel, with a page or two of memory for arguments and a stack.
pub struct Sys<'a> {
    user: &'a User,
    /// Start of the scratch area; the stack grows down from its end.
    scratch: u64,
}

const SCRATCH_SIZE: u64 = 64 << 10;
/// Flags of `clone(2)` for a thread.
const CLONE_THREAD: u64 = 0x100 | 0x200 | 0x400 | 0x800 | 0x1_0000 | 0x4_0000;

#[allow(missing_docs)]
impl<'a> Sys<'a> {
    pub(super) fn first(user: &'a User) -> Sys<'a> {
        let scratch = mmap(user, SCRATCH_SIZE, false);
        user.set_stack(scratch + SCRATCH_SIZE);
        Sys { user, scratch }
    }

    /// Any call; `-errno` on errors.
    pub fn call(&self, nr: u64, args: &[u64]) -> i64 {
        self.user.call(nr, args)
    }
    /// A call that must succeed.
    pub fn must(&self, nr: u64, args: &[u64]) -> u64 {
        let result = self.call(nr, args);
        assert!(result >= 0, "system call {nr}{args:?} answers {result}");
        result as u64
    }
    pub fn user(&self) -> &User {
        self.user
    }
    /// The n-th word of the scratch area.
    pub fn word(&self, n: u64) -> u64 {
        self.scratch + 8 * n
    }
    /// Puts a string with its zero byte into the scratch area; returns its address.
    pub fn text(&self, text: &str) -> u64 {
        let at = self.scratch + 4096;
        let mut bytes = text.as_bytes().to_vec();
        bytes.push(0);
        self.user.write(at, &bytes);
        at
    }
    pub fn peek(&self, at: u64) -> u32 {
        let bytes = self.user.read(at, 4);
        u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
    }
    pub fn poke(&self, at: u64, value: u32) {
        self.user.write(at, &value.to_ne_bytes());
    }
    /// Memory that children share.
    pub fn shared(&self, len: u64) -> u64 {
        mmap(self.user, len, true)
    }

    pub fn getpid(&self) -> i64 {
        self.call(39, &[])
    }
    /// A child that runs `program` and exits with what it returns.
    pub fn fork(&self, program: impl FnOnce(&Sys<'_>) -> i32 + Send + 'static) -> i64 {
        let scratch = self.scratch;
        self.user
            .set_child(Box::new(move |user| program(&Sys { user, scratch })));
        self.call(57, &[])
    }
    /// Likewise with these flags of `clone(2)`, which share no memory.
    pub fn clone(&self, flags: u64, program: impl FnOnce(&Sys<'_>) -> i32 + Send + 'static) -> i64 {
        let scratch = self.scratch;
        self.user
            .set_child(Box::new(move |user| program(&Sys { user, scratch })));
        self.call(56, &[flags | 17, 0, 0, 0, 0])
    }
    /// A thread; it ends with `exit(2)` when `program` returns.
    pub fn thread(&self, program: impl FnOnce(&Sys<'_>) + Send + 'static) -> i64 {
        let scratch = mmap(self.user, SCRATCH_SIZE, false);
        self.user.set_child(Box::new(move |user| {
            let sys = Sys { user, scratch };
            program(&sys);
            sys.call(60, &[0]);
            0
        }));
        self.call(56, &[CLONE_THREAD, scratch + SCRATCH_SIZE, 0, 0, 0])
    }
    /// `wait4`: who, and its status.
    pub fn waitpid(&self, pid: i64) -> (i64, u32) {
        let status = self.word(1);
        let who = self.call(61, &[pid as u64, status, 0, 0]);
        (who, if who > 0 { self.peek(status) } else { 0 })
    }
    pub fn kill(&self, pid: i64, signal: u64) -> i64 {
        self.call(62, &[pid as u64, signal])
    }
    /// Descriptors to read from and to write to.
    pub fn pipe(&self) -> (u64, u64) {
        let fds = self.word(2);
        self.must(293, &[fds, 0]);
        (self.peek(fds).into(), self.peek(fds + 4).into())
    }
    pub fn write(&self, fd: u64, bytes: &[u8]) -> i64 {
        let at = self.scratch + 8192;
        self.user.write(at, bytes);
        self.call(1, &[fd, at, bytes.len() as u64])
    }
    pub fn read(&self, fd: u64, len: usize) -> Result<Vec<u8>, i64> {
        let at = self.scratch + 16384;
        let n = self.call(0, &[fd, at, len as u64]);
        if n < 0 {
            Err(n)
        } else {
            Ok(self.user.read(at, n as usize))
        }
    }
    pub fn close(&self, fd: u64) -> i64 {
        self.call(3, &[fd])
    }
    pub fn sleep(&self, nanos: u64) -> i64 {
        let at = self.word(4);
        self.user.write(at, &(nanos / 1_000_000_000).to_ne_bytes());
        self.user.write(at + 8, &(nanos % 1_000_000_000).to_ne_bytes());
        self.call(35, &[at, 0])
    }
    pub fn futex_wait(&self, at: u64, value: u32) -> i64 {
        self.call(202, &[at, 0, value.into(), 0])
    }
    pub fn futex_wake(&self, at: u64, nr: u64) -> i64 {
        self.call(202, &[at, 1, nr])
    }
    /// Installs a handler with `SA_RESTORER` and these other flags.
    pub fn sigaction(
        &self,
        signal: u64,
        flags: u64,
        handler: impl Fn(&Sys<'_>, i32) + Send + Sync + 'static,
    ) {
        let scratch = self.scratch;
        let at = self.user.handler(Arc::new(move |user: &User, signal, _| {
            // Its own words: the handler may have come between a write and a call.
            let sys = Sys {
                user,
                scratch: scratch + 24576,
            };
            handler(&sys, signal);
        }));
        self.set_action(signal, at, flags | 0x400_0000);
    }
    pub fn set_action(&self, signal: u64, handler: u64, flags: u64) {
        let act = self.word(8);
        for (n, value) in [handler, flags, 0x30_0000, 0].into_iter().enumerate() {
            self.user.write(act + 8 * n as u64, &value.to_ne_bytes());
        }
        self.must(13, &[signal, act, 0, 8]);
    }
}

fn mmap(user: &User, len: u64, shared: bool) -> u64 {
    let flags = 0x20 | if shared { 1 } else { 2 };
    let at = user.call(9, &[0, len, 3, flags, u64::MAX, 0]);
    assert!(at > 0, "mmap answers {at}");
    at as u64
}
