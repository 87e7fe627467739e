//! Who may send a signal to whom (`kill(2)`, `credentials(7)`).

use alloc::sync::Arc;

use super::types::Signal;
use crate::cred::{Capability, Cred};
use crate::error::Result;
use crate::task::{Task, ThreadGroup};
use crate::{bail, ensure};

/// Whether the real or effective user of the sender is the real or saved one of the receiver, or
/// the sender has `CAP_KILL` towards it.
fn allowed_by_cred(sender: &Cred, target: &Cred) -> bool {
    sender.euid == target.suid
        || sender.euid == target.uid
        || sender.uid == target.suid
        || sender.uid == target.uid
        || sender.ns_capable(&target.user_ns, Capability::KILL)
}

/// `EPERM` unless `sender` may send `signal` to the process (`task`: to that thread of it). SIGCONT
/// may be sent within a session, and anything within a process.
pub fn check_kill_permission(
    sender: &Arc<Task>,
    group: &Arc<ThreadGroup>,
    task: Option<&Arc<Task>>,
    signal: Option<Signal>,
) -> Result<()> {
    if Arc::ptr_eq(sender.group(), group) {
        return Ok(());
    }
    let target = match task {
        Some(task) => task.cred(),
        None => match group.leader() {
            Some(leader) => leader.cred(),
            None => bail!(ESRCH, "the process is gone"),
        },
    };
    if allowed_by_cred(&sender.cred(), &target) {
        return Ok(());
    }
    ensure!(
        signal == Some(Signal::CONT) && Arc::ptr_eq(&group.session(), &sender.group().session()),
        EPERM,
        "kill: neither the same user nor CAP_KILL"
    );
    Ok(())
}
