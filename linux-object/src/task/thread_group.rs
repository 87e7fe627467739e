//! Thread groups: what user space calls a process.

use alloc::sync::Arc;

use crate::ids::KoID;
use crate::sched::SchedGroup;
use crate::sync::WaitQueue;
use crate::task::pid::Pid;

/// What the threads of a process share for ever.
pub struct ThreadGroup {
    koid: KoID,
    /// Woken with every change that `wait4` of this process may look for, and when a vfork child
    /// releases it.
    pub wait_child: WaitQueue,
    /// Woken when a signal becomes pending for any thread (signalfd).
    pub signal_queue: WaitQueue,
    /// CPU time of its threads.
    pub sched: SchedGroup,
    /// The pid of the leader.
    pub tgid: Arc<Pid>,
}

impl ThreadGroup {
    /// A group led by the task that `tgid` names.
    pub fn new(koid: KoID, tgid: Arc<Pid>) -> Arc<ThreadGroup> {
        Arc::new(ThreadGroup {
            koid,
            wait_child: WaitQueue::new(),
            signal_queue: WaitQueue::new(),
            sched: SchedGroup::new(),
            tgid,
        })
    }
    /// Its identity.
    pub fn koid(&self) -> KoID {
        self.koid
    }
}
