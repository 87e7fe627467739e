//! SIGPIPE: sent by the file that has nobody to write to.

use alloc::sync::Arc;

use crate::task::signal::send_to_task;
use crate::task::{SigInfo, SigInfoFields, Signal, Task, si_code};

/// Sends SIGPIPE to the writing task. No lock is held.
pub fn send_sigpipe(task: &Arc<Task>) {
    let info = SigInfo {
        signal: Signal::PIPE,
        errno: 0,
        code: si_code::SI_USER,
        fields: SigInfoFields::Sender {
            pid: Some(task.group().tgid.clone()),
            uid: task.cred().uid,
            value: 0,
        },
    };
    let _ = send_to_task(task, info);
}
