//! `/proc/kmsg`: the kernel log as `syslog(2)` reads it. Each message is read once, by one reader.

use alloc::sync::Arc;
use core::any::Any;

use crate::cred::Capability;
use crate::error::Result;
use crate::fs::io::IoDst;
use crate::fs::{FileOps, OpenFile, OpenFlags, PollEvents};
use crate::kernel::Kernel;
use crate::sync::WaitQueue;
use crate::task::Task;
use crate::{bail, ensure};

struct Kmsg {
    kernel: Arc<Kernel>,
}

/// Opens it; for `CAP_SYSLOG` only.
pub(super) fn open(task: &Arc<Task>, _flags: OpenFlags) -> Result<Arc<dyn FileOps>> {
    let cred = task.cred();
    ensure!(
        cred.capable(Capability::SYSLOG) || cred.capable(Capability::SYS_ADMIN),
        EPERM,
        "kmsg: no CAP_SYSLOG"
    );
    Ok(Arc::new(Kmsg {
        kernel: task.kernel().clone(),
    }))
}

impl FileOps for Kmsg {
    fn read(
        &self,
        _file: &OpenFile,
        _task: &Arc<Task>,
        _offset: &mut u64,
        to: &mut dyn IoDst,
    ) -> Result<usize> {
        if to.remaining() == 0 {
            return Ok(0);
        }
        if self.kernel.log.unread() == 0 {
            bail!(EAGAIN);
        }
        to.put(&self.kernel.log.take(to.remaining()))
    }
    fn poll(&self, _file: &OpenFile, _task: &Arc<Task>) -> PollEvents {
        match self.kernel.log.unread() {
            0 => PollEvents::empty(),
            _ => PollEvents::READABLE,
        }
    }
    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.kernel.log.queue)
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}
