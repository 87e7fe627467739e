//! Process file descriptors (`pidfd_open(2)`).

use alloc::string::String;
use alloc::sync::Arc;
use core::any::Any;
use core::fmt::Write;

use super::Task;
use super::pid::Pid;
use crate::error::Result;
use crate::fs::{FileOps, OpenFile, OpenFlags, PollEvents, anon_file};
use crate::kernel::Kernel;
use crate::sync::WaitQueue;

/// What a pidfd does: it is readable once the process has ended.
pub struct PidFd {
    pid: Arc<Pid>,
}

impl PidFd {
    /// The process.
    pub fn pid(&self) -> &Arc<Pid> {
        &self.pid
    }
    /// The process behind an open file, if it is a pidfd.
    pub fn of(file: &OpenFile) -> Option<Arc<Pid>> {
        let ops = file.ops.as_ref()?;
        Some(ops.as_any().downcast_ref::<PidFd>()?.pid.clone())
    }
    /// A new open file for a process; `flags` may have `NONBLOCK`.
    pub fn open(
        kernel: &Arc<Kernel>,
        opener: &Task,
        pid: Arc<Pid>,
        flags: OpenFlags,
    ) -> Result<Arc<OpenFile>> {
        let ops = Arc::new(PidFd { pid });
        anon_file(kernel, "[pidfd]", ops, flags | OpenFlags::RDWR, opener.cred())
    }
}

impl FileOps for PidFd {
    fn poll(&self, _file: &OpenFile, _task: &Arc<Task>) -> PollEvents {
        let lives = self
            .pid
            .task()
            .is_some_and(|task| !task.has_exited() || task.group().nr_threads() > 1);
        if lives {
            PollEvents::empty()
        } else {
            PollEvents::READABLE
        }
    }
    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.pid.exit_queue)
    }
    fn fdinfo(&self, _file: &OpenFile, task: &Arc<Task>, out: &mut String) {
        let ns = task.pid_ns();
        // -1: it is gone. 0: the reader cannot see it.
        let nr = if self.pid.task().is_some() {
            self.pid.nr_in(ns).0
        } else {
            -1
        };
        let _ = write!(out, "Pid:\t{nr}\nNSpid:\t{nr}");
        if nr > 0 {
            for nr in &self.pid.numbers()[ns.level() as usize + 1..] {
                let _ = write!(out, "\t{nr}");
            }
        }
        out.push('\n');
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}
