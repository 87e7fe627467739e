//! `/proc/PID/{mounts,mountinfo,mountstats}`; `poll` tells of changes by `POLLERR | POLLPRI`.

use alloc::sync::Arc;

use super::base::PidCx;
use super::inode::Event;
use crate::err;
use crate::error::Result;
use crate::fs::seq_file::SeqBuf;
use crate::fs::{Path, mount};
use crate::namespace::MountNamespace;
use crate::sync::WaitQueue;
use crate::task::Task;

fn view(task: &Task) -> Result<(Arc<MountNamespace>, Path)> {
    let parts = task.parts.lock();
    let ns = parts.nsproxy.as_ref().ok_or(err!(EINVAL))?.mnt_ns.clone();
    let root = parts.fs.as_ref().ok_or(err!(EINVAL))?.root();
    Ok((ns, root))
}

/// `mounts`.
pub(super) fn mounts(cx: &PidCx<'_>, out: &mut SeqBuf) -> Result<()> {
    let (ns, root) = view(cx.task)?;
    out.bytes(&mount::show_mounts(cx.kernel, &ns, &root))
}

/// `mountinfo`.
pub(super) fn mountinfo(cx: &PidCx<'_>, out: &mut SeqBuf) -> Result<()> {
    let (ns, root) = view(cx.task)?;
    out.bytes(&mount::show_mountinfo(cx.kernel, &ns, &root))
}

/// `mountstats`.
pub(super) fn mountstats(cx: &PidCx<'_>, out: &mut SeqBuf) -> Result<()> {
    let (ns, root) = view(cx.task)?;
    out.bytes(&mount::show_mountstats(cx.kernel, &ns, &root))
}

/// Tells of changes of the task's mount namespace.
pub(super) fn event(task: &Task) -> Result<Arc<dyn Event>> {
    Ok(view(task)?.0)
}

impl Event for MountNamespace {
    fn queue(&self) -> &WaitQueue {
        &self.poll
    }
    fn count(&self) -> u64 {
        self.event()
    }
}
