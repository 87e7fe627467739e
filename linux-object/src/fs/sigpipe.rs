//! SIGPIPE: sent by the file that has nobody to write to.

use alloc::sync::Arc;

use crate::task::Task;

/// Sends SIGPIPE to the writing task. No lock is held.
pub fn send_sigpipe(_task: &Arc<Task>) {}
