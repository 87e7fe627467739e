//! Calls that go on where a signal interrupted them (`restart_syscall(2)`, `ERESTARTBLOCK`).
//!
//! A handler whose arguments cannot be used again (a relative time-out has partly passed) leaves
//! what is left to do with its task and answers `ERESTARTBLOCK`. If no handler of a signal ran, the
//! return to user mode turns the call into `restart_syscall`, which runs it; else user space
//! sees `EINTR`.

use alloc::boxed::Box;

use linux_object::error::{Error, Result};
use linux_object::{bail, err};

use crate::context::Cx;

/// What is left to do.
pub type Restart = Box<dyn FnOnce(&mut Cx<'_>) -> Result<usize> + Send>;

/// Leaves `rest` with the task; returns the error to answer.
pub fn later(cx: &Cx<'_>, rest: impl FnOnce(&mut Cx<'_>) -> Result<usize> + Send + 'static) -> Error {
    let rest: Restart = Box::new(rest);
    let old = cx.task.restart_block.lock().replace(Box::new(rest));
    drop(old);
    err!(ERESTARTBLOCK)
}

/// `restart_syscall(2)`: goes on with the interrupted call.
pub fn run(cx: &mut Cx<'_>) -> Result<usize> {
    let rest = cx.task.restart_block.lock().take();
    match rest.and_then(|rest| rest.downcast::<Restart>().ok()) {
        Some(rest) => rest(cx),
        None => bail!(EINTR, "no call to restart"),
    }
}
