//! Starts what v1 hierarchies name as their agent (`cgroup-v1/cgroups.rst`; Linux's `call_usermodehelper`).
//!
//! The agent is a process of the kernel's making: root with all capabilities in the initial namespaces, at the roots of
//! all cgroups, without open files, with the root and working directory of pid 1. Nobody waits for it. If it cannot
//! be started nothing happens, as on Linux.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use linux_object::bail;
use linux_object::cgroup::release::Agent;
use linux_object::cred::Cred;
use linux_object::error::Result;
use linux_object::fs::FileTable;
use linux_object::hal::UserRegs;
use linux_object::kernel::Kernel;
use linux_object::sched::Scheduler;
use linux_object::task::clone::spawn_process;
use linux_object::task::{Task, TaskParts};

use crate::calls;
use crate::context::Cx;
use crate::thread::run_user_thread;

/// Starts the agents of the cgroups that became empty. The caller holds no lock.
#[cold]
pub fn run(kernel: &Arc<Kernel>) {
    for agent in kernel.cgroups.take_released() {
        if let Err(error) = start(kernel, agent) {
            log::debug!("release agent: {error:?}");
        }
    }
}

fn start(kernel: &Arc<Kernel>, agent: Agent) -> Result<()> {
    let first = kernel.init_ns.pid_ns.child_reaper();
    let first = first.and_then(|first| first.leader());
    let fs = first.and_then(|first| first.parts.lock().fs.clone());
    let (Some(fs), Some(mnt_ns)) = (fs, kernel.vfs.init_mnt_ns.get()) else {
        bail!(ESRCH, "release agent: pid 1 is gone");
    };
    let thread = Scheduler::new_thread(kernel, Box::new(move |task| agent_thread(task, &agent)))?;
    let parts = TaskParts {
        cred: Arc::new(Cred::root(kernel.init_user_ns.clone())),
        nsproxy: Some(kernel.init_ns.nsproxy(mnt_ns.clone())),
        fs: Some(fs.fork()),
        files: Some(FileTable::new(kernel)),
        mm: None,
        comm: *b"kworker/u\0\0\0\0\0\0\0",
    };
    let task = spawn_process(kernel, thread, parts)?;
    kernel.sched.start(&task);
    Ok(())
}

fn agent_thread(task: &Arc<Task>, agent: &Agent) {
    let mut regs = UserRegs::default();
    let mut cx = Cx::new(task, &mut regs);
    let argv: Vec<Vec<u8>> = [&agent.path, &agent.cgroup].map(Clone::clone).into();
    let envp = [&b"HOME=/"[..], b"PATH=/sbin:/bin:/usr/sbin:/usr/bin"];
    let envp = envp.map(<[u8]>::to_vec).into();
    if let Err(error) = calls::exec::kernel_execve(&mut cx, &agent.path, argv, envp) {
        log::debug!("release agent: {error:?}");
        calls::exit::do_group_exit(&mut cx, 0);
    }
    run_user_thread(task, regs);
}
