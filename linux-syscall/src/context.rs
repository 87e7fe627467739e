//! The context of a call: who calls, on which kernel, with which registers.

use alloc::sync::Arc;

use linux_object::hal::{Hal, UserRegs};
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
}

impl Cx<'_> {
    /// The machine, for user copies and the like.
    pub fn hal(&self) -> &dyn Hal {
        &*self.kernel.hal
    }
}
