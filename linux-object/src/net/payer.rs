//! Who pays for a socket's memory.

use alloc::sync::Arc;

use crate::error::Result;
use crate::mm::memcg::{Item, KmemCharge, MemCgroup, MemControl};
use crate::task::Task;

/// The cgroup of the task that made a socket. What arrives is charged to it, whoever sends it.
#[derive(Clone)]
pub struct Payer {
    control: Arc<MemControl>,
    memcg: Arc<MemCgroup>,
}

impl Payer {
    /// The running task's cgroup.
    pub fn current(task: &Task) -> Payer {
        let control = task.kernel().memory.control.clone();
        let memcg = control.current();
        Payer { control, memcg }
    }
    /// Charges so many bytes. `ENOMEM`: over the limit.
    pub fn charge(&self, bytes: usize) -> Result<KmemCharge> {
        self.control.charge_kmem_to(&self.memcg, bytes, Item::Sock)
    }
}
