//! Inter-process communication by name and number: System V shared memory, message queues and semaphores
//! (`sysvipc(7)`), POSIX message queues (`mq_overview(7)`).
//!
//! Model: an [`IpcNamespace`](crate::namespace::IpcNamespace) has an [`IpcContent`], made at the first use of it. The
//! three System V kinds have their objects in an [`IpcIds`] each; POSIX queues are files of the namespace's
//! [`MqueueFs`](mqueue::MqueueFs). The policy of semaphores and queues is plain data ([`sem::SemSet`],
//! [`msg::MsgState`], [`mqueue::MqState`]) that knows neither tasks nor locks.
//!
//! Waiting: a thread leaves a waiter in the object; who makes its operation possible completes it, on behalf of the
//! sleeper and under the object's lock, and wakes it. So nobody wakes up in vain, and the order of service is the
//! object's.
//!
//! Locks: tables of ids and objects are `class::Ipc`, one at a time; permissions are a leaf inside.

pub mod ids;
mod limits;
pub mod mqueue;
pub mod msg;
pub mod perm;
pub mod sem;
pub mod shm;
mod show;

pub use ids::{IPCMNI, IpcIds};
pub use limits::IpcLimits;
pub use show::{show_msg, show_sem, show_shm};

use alloc::sync::Arc;

use crate::kernel::Kernel;
use crate::time::NSEC_PER_SEC;

/// Everything in an IPC namespace.
#[derive(Default)]
pub struct IpcContent {
    /// Its limits.
    pub limits: IpcLimits,
    /// Segments of shared memory.
    pub shm: IpcIds<shm::Segment>,
    /// Sets of semaphores.
    pub sem: IpcIds<sem::SemArray>,
    /// Message queues.
    pub msg: IpcIds<msg::MsgQueue>,
    /// Messages in the queues.
    pub msg_totals: Arc<msg::MsgTotals>,
    /// POSIX message queues.
    pub mqueues: mqueue::Mqueues,
}

impl Drop for IpcContent {
    /// Whoever waits is told. Segments just go: nobody has one attached, since that would have kept the
    /// namespace.
    fn drop(&mut self) {
        self.destroy_sems();
        self.destroy_msgs();
    }
}

/// Seconds since 1970, for time stamps of objects.
pub fn seconds(kernel: &Kernel) -> i64 {
    kernel.time.realtime() / NSEC_PER_SEC as i64
}
