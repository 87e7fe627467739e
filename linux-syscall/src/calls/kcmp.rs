//! Whether two processes share a resource (`kcmp(2)`).

use alloc::sync::Arc;

use linux_object::error::Result;
use linux_object::fs::epoll::Epoll;
use linux_object::fs::procfs::access::{PtraceMode, ptrace_may_access};
use linux_object::fs::{OpenFile, task_files};
use linux_object::ids::{Fd, PidNr, UserAddr};
use linux_object::task::{KcmpType, Task};
use linux_object::{bail, err};

use crate::abi;
use crate::context::Cx;
use crate::user_ptr::UserInPtr;

fn find(cx: &Cx<'_>, pid: i32) -> Result<Arc<Task>> {
    let task = cx.kernel.tasks.find_task(cx.task.pid_ns(), PidNr(pid));
    task.ok_or(err!(ESRCH, "kcmp: no such process"))
}

fn file(task: &Task, fd: u64) -> Result<Arc<OpenFile>> {
    let files = task_files(task).map_err(|_| err!(EBADF, "kcmp: the process has ended"))?;
    files.get(Fd(fd as u32 as i32))
}

/// The file that the epoll instance of `task` in `slot` watches.
fn watched(cx: &Cx<'_>, task: &Task, slot: u64) -> Result<Arc<OpenFile>> {
    let slot = UserInPtr::<abi::KcmpEpollSlot>::new(UserAddr(slot)).read(cx)?;
    let instance = file(task, slot.efd.into())?;
    let Some(epoll) = Epoll::of(&instance) else {
        bail!(EINVAL, "kcmp: not an epoll instance")
    };
    let found = epoll.watched(Fd(slot.tfd as i32), slot.toff as usize);
    found.ok_or(err!(ENOENT, "kcmp: not in the interest list"))
}

/// `kcmp(2)`.
pub fn kcmp(cx: &mut Cx<'_>, pid1: i32, pid2: i32, kind: i32, idx1: u64, idx2: u64) -> Result<usize> {
    let (one, two) = (find(cx, pid1)?, find(cx, pid2)?);
    for task in [&one, &two] {
        ptrace_may_access(cx.task, task, PtraceMode::READ_REALCREDS)?;
    }
    let Some(kind) = KcmpType::from_number(kind) else {
        bail!(EINVAL, "kcmp: no such type")
    };
    let order = &cx.kernel.kcmp;
    Ok(match kind {
        KcmpType::File => {
            let (first, second) = (file(&one, idx1)?, file(&two, idx2)?);
            order.compare(kind, Arc::as_ptr(&first).addr(), Arc::as_ptr(&second).addr())
        }
        KcmpType::EpollTfd => {
            let second = watched(cx, &two, idx2);
            if matches!(&second, Err(error) if error.errno() == linux_object::error::Errno::EFAULT) {
                return second.map(|_| 0);
            }
            let first = file(&one, idx1)?;
            let second = second?;
            order.compare(
                KcmpType::File,
                Arc::as_ptr(&first).addr(),
                Arc::as_ptr(&second).addr(),
            )
        }
        _ => order.compare(kind, one.kcmp_part(kind), two.kcmp_part(kind)),
    })
}
