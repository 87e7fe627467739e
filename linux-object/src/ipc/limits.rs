//! Limits of an IPC namespace (`/proc/sys/kernel/{shm*,msg*,sem}`, `/proc/sys/fs/mqueue/*`).

use crate::sync::{SpinLock, class};
use crate::sysctl::Setting;

/// Most semaphores of a set, of a namespace, operations of a call, sets (`SEMMSL SEMMNS SEMOPM SEMMNI`).
const SEM: [i32; 4] = [32000, 1_024_000_000, 500, 32000];

macro_rules! limits {
    ($($(#[$doc:meta])* $name:ident = $default:expr,)*) => {
        /// The limits.
        pub struct IpcLimits {
            $($(#[$doc])* pub $name: Setting,)*
            sem: SpinLock<[i32; 4], class::Leaf>,
        }
        impl Default for IpcLimits {
            fn default() -> IpcLimits {
                IpcLimits {
                    $($name: Setting::new($default),)*
                    sem: SpinLock::new(SEM),
                }
            }
        }
    };
}

limits! {
    /// `shmmax`: bytes of a segment.
    shmmax = -1 - (1 << 24),
    /// `shmall`: pages of all segments.
    shmall = -1 - (1 << 24),
    /// `shmmni`: segments.
    shmmni = 4096,
    /// `shm_rmid_forced`: segments go with the last detach.
    shm_rmid_forced = 0,
    /// `msgmax`: bytes of a message.
    msgmax = 8192,
    /// `msgmnb`: bytes of a new queue.
    msgmnb = 16384,
    /// `msgmni`: queues.
    msgmni = 32000,
    /// `queues_max`: POSIX queues.
    mq_queues_max = 256,
    /// `msg_max`: messages of a POSIX queue.
    mq_msg_max = 10,
    /// `msgsize_max`: bytes of a message of a POSIX queue.
    mq_msgsize_max = 8192,
    /// `msg_default`: messages of a POSIX queue that is made without attributes.
    mq_msg_default = 10,
    /// `msgsize_default`: likewise for bytes of a message.
    mq_msgsize_default = 8192,
}

impl IpcLimits {
    /// `sem`: semaphores of a set, of the namespace, operations of a call, sets.
    pub fn sem(&self) -> [i32; 4] {
        *self.sem.lock()
    }
    /// Changes them.
    pub fn set_sem(&self, sem: [i32; 4]) {
        *self.sem.lock() = sem;
    }
}
