//! The context of a call: who calls, on which kernel, with which registers.

use alloc::sync::Arc;
use core::cell::OnceCell;

use linux_object::error::Result;
use linux_object::fs::{FileTable, OpenFile};
use linux_object::hal::{Hal, UserRegs};
use linux_object::ids::Fd;
use linux_object::kernel::Kernel;
use linux_object::task::Task;

/// Handed to every handler.
pub struct Cx<'a> {
    /// The kernel.
    pub kernel: &'a Arc<Kernel>,
    /// The calling task.
    pub task: &'a Arc<Task>,
    /// Its user registers; changed by `execve`, `rt_sigreturn` and signal delivery.
    pub regs: &'a mut UserRegs,
    /// The caller's own table of descriptors, remembered: only the task itself replaces it, with
    /// [`Cx::replace_files`].
    files: OnceCell<Arc<FileTable>>,
}

impl<'a> Cx<'a> {
    /// The context of a task's calls.
    pub fn new(task: &'a Arc<Task>, regs: &'a mut UserRegs) -> Cx<'a> {
        Cx {
            kernel: task.kernel(),
            task,
            regs,
            files: OnceCell::new(),
        }
    }
    /// The caller's descriptors.
    #[inline]
    pub fn files(&self) -> &Arc<FileTable> {
        self.files.get_or_init(|| self.task.files())
    }
    /// The caller's file for reading or writing; `EBADF` (Linux's `fdget`).
    #[inline]
    pub fn file(&self, fd: Fd) -> Result<Arc<OpenFile>> {
        self.files().get_rw(fd)
    }
    /// Gives the caller another table; it leaves the old one.
    pub fn replace_files(&mut self, files: Arc<FileTable>) {
        let old = self.task.parts.lock().files.replace(files);
        self.files.take();
        if let Some(old) = old {
            old.leave(self.task);
        }
    }
}

impl Cx<'_> {
    /// The machine, for user copies and the like.
    pub fn hal(&self) -> &dyn Hal {
        &*self.kernel.hal
    }
}
