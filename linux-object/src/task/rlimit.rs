//! Resource limits (`getrlimit(2)`).

use core::ops::{Index, IndexMut};

/// What can be limited, as x86-64 numbers it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, non_camel_case_types)]
#[repr(usize)]
pub enum Resource {
    CPU = 0,
    FSIZE = 1,
    DATA = 2,
    STACK = 3,
    CORE = 4,
    RSS = 5,
    NPROC = 6,
    NOFILE = 7,
    MEMLOCK = 8,
    AS = 9,
    LOCKS = 10,
    SIGPENDING = 11,
    MSGQUEUE = 12,
    NICE = 13,
    RTPRIO = 14,
    RTTIME = 15,
}

impl Resource {
    /// How many there are.
    pub const COUNT: usize = 16;
    /// Every resource by number.
    pub const ALL: [Resource; Resource::COUNT] = {
        use Resource::*;
        [
            CPU, FSIZE, DATA, STACK, CORE, RSS, NPROC, NOFILE, MEMLOCK, AS, LOCKS, SIGPENDING, MSGQUEUE,
            NICE, RTPRIO, RTTIME,
        ]
    };
    /// A resource by number.
    pub fn new(nr: u32) -> Option<Resource> {
        Resource::ALL.get(nr as usize).copied()
    }
}

/// No limit.
pub const RLIM_INFINITY: u64 = u64::MAX;

/// A soft and a hard limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct Rlimit {
    pub cur: u64,
    pub max: u64,
}

/// All limits of a process.
#[derive(Clone, Copy, Debug)]
pub struct Rlimits([Rlimit; Resource::COUNT]);

impl Rlimits {
    /// What the first process has; `max_threads` is half of `threads-max`.
    pub fn initial(max_threads: u64) -> Rlimits {
        const NONE: u64 = RLIM_INFINITY;
        const STACK: u64 = 8 << 20;
        const MEMLOCK: u64 = 8 << 20;
        let limit = |cur, max| Rlimit { cur, max };
        Rlimits([
            limit(NONE, NONE),
            limit(NONE, NONE),
            limit(NONE, NONE),
            limit(STACK, NONE),
            limit(0, NONE),
            limit(NONE, NONE),
            limit(max_threads, max_threads),
            limit(1024, 4096),
            limit(MEMLOCK, MEMLOCK),
            limit(NONE, NONE),
            limit(NONE, NONE),
            limit(max_threads, max_threads),
            limit(819_200, 819_200),
            limit(0, 0),
            limit(0, 0),
            limit(NONE, NONE),
        ])
    }
}

impl Index<Resource> for Rlimits {
    type Output = Rlimit;
    fn index(&self, resource: Resource) -> &Rlimit {
        &self.0[resource as usize]
    }
}

impl IndexMut<Resource> for Rlimits {
    fn index_mut(&mut self, resource: Resource) -> &mut Rlimit {
        &mut self.0[resource as usize]
    }
}
