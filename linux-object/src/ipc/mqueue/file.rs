//! The open file of a queue.

use alloc::format;
use alloc::sync::Arc;
use core::any::Any;

use super::Mqueue;
use crate::error::Result;
use crate::fs::io::IoDst;
use crate::fs::{FileOps, OpenFile, PollEvents};
use crate::sync::WaitQueue;
use crate::task::Task;

/// The behaviour of a queue's open file: what a message-queue descriptor is.
pub struct MqFile {
    queue: Arc<Mqueue>,
}

impl MqFile {
    pub(super) fn new(queue: Arc<Mqueue>) -> MqFile {
        MqFile { queue }
    }
    /// The queue.
    pub fn queue(&self) -> &Arc<Mqueue> {
        &self.queue
    }
}

impl FileOps for MqFile {
    /// One line about the queue.
    fn read(
        &self,
        _file: &OpenFile,
        task: &Arc<Task>,
        offset: &mut u64,
        to: &mut dyn IoDst,
    ) -> Result<usize> {
        let (bytes, registered) = self.queue.status();
        let (how, signal, pid) = match registered {
            Some((how, signal, owner)) => (how, signal, owner.nr_in(task.pid_ns()).0),
            None => (0, 0, 0),
        };
        let text = format!("QSIZE:{bytes:<10} NOTIFY:{how:<5} SIGNO:{signal:<5} NOTIFY_PID:{pid:<6}\n");
        let at = usize::try_from(*offset).unwrap_or(usize::MAX);
        let rest = text.as_bytes().get(at..).unwrap_or_default();
        let count = if rest.is_empty() { 0 } else { to.put(rest)? };
        *offset += count as u64;
        Ok(count)
    }
    fn seekable(&self) -> bool {
        true
    }
    fn poll(&self, _file: &OpenFile, _task: &Arc<Task>) -> PollEvents {
        self.queue.poll_events()
    }
    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.queue.poll)
    }
    /// Closing any descriptor of the queue takes the process's notification back.
    fn flush(&self, _file: &OpenFile, task: &Arc<Task>) -> Result<()> {
        self.queue.remove_notification(&task.group().tgid);
        Ok(())
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}
