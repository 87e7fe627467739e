//! From a kernel without tasks to the first program.
//!
//! [`start`] makes the task that becomes pid 1 and lets it run; it mounts the root, opens the
//! console three times and executes the first program that it finds, as `init/main.c` of Linux
//! documents it: `rdinit=` or `/init`, then `init=`, then the usual places. [`cpu_main`] is what every CPU
//! does when there is nothing else.

use alloc::boxed::Box;
use alloc::sync::Arc;

use linux_object::bail;
use linux_object::cred::Cred;
use linux_object::error::Result;
use linux_object::fs::namei::LookupFlags;
use linux_object::fs::{self, FileTable, FsStruct, OpenFlags, OpenHow};
use linux_object::hal::UserRegs;
use linux_object::kernel::Kernel;
use linux_object::sched::Scheduler;
use linux_object::task::clone::spawn_process;
use linux_object::task::{Task, TaskParts};

use crate::calls;
use crate::context::Cx;
use crate::thread::run_user_thread;

/// Makes pid 1. Mounts the root and unpacks the initial RAM file system into it, whose memory
/// is free again afterwards.
pub fn start(kernel: &Arc<Kernel>, initrd: Option<&[u8]>) -> Result<()> {
    let root = fs::init_mounts(kernel, initrd)?;
    let Some(mnt_ns) = kernel.vfs.init_mnt_ns.get() else {
        bail!(EINVAL, "init_mounts makes the initial mount namespace");
    };
    let thread = Scheduler::new_thread(kernel, Box::new(init_thread))?;
    let parts = TaskParts {
        cred: Arc::new(Cred::root(kernel.init_user_ns.clone())),
        nsproxy: Some(kernel.init_ns.nsproxy(mnt_ns.clone())),
        fs: Some(FsStruct::new(root)),
        files: Some(FileTable::new(kernel)),
        mm: None,
        comm: *b"swapper\0\0\0\0\0\0\0\0\0",
    };
    let task = spawn_process(kernel, thread, parts)?;
    kernel.sched.start(&task);
    Ok(())
}

/// What a CPU does from its start on.
pub fn cpu_main(kernel: &Arc<Kernel>) -> ! {
    kernel.sched.idle_loop()
}

fn init_thread(task: &Arc<Task>) {
    let mut regs = UserRegs::default();
    let mut cx = Cx::new(task, &mut regs);
    if let Err(error) = open_console(&cx) {
        log::warn!("unable to open an initial console: {error:?}");
    }
    first_program(&mut cx);
    run_user_thread(task, regs);
}

/// Descriptors 0, 1 and 2 of the first program.
fn open_console(cx: &Cx<'_>) -> Result<()> {
    let how = OpenHow::new(OpenFlags::RDWR, 0, LookupFlags::empty())?;
    let console = fs::open(cx.task, None, b"/dev/console", how)?;
    for _ in 0..3 {
        cx.files().install(console.clone(), false, 0, 3)?;
    }
    Ok(())
}

/// Executes the first program that can be; the registers are its own then.
fn first_program(cx: &mut Cx<'_>) {
    let cmdline = cx.kernel.cmdline.clone();
    let ramdisk = cmdline.value("rdinit").unwrap_or("/init");
    let chosen = cmdline.value("init");
    let usual = ["/sbin/init", "/etc/init", "/bin/init", "/bin/sh"];
    for path in [ramdisk].into_iter().chain(chosen).chain(usual) {
        let mut argv = alloc::vec![path.as_bytes().to_vec()];
        argv.extend(cmdline.init_args.iter().map(|arg| arg.as_bytes().to_vec()));
        let mut envp = alloc::vec![b"HOME=/".to_vec(), b"TERM=linux".to_vec()];
        envp.extend(cmdline.init_env.iter().map(|var| var.as_bytes().to_vec()));
        match calls::exec::kernel_execve(cx, path.as_bytes(), argv, envp) {
            Ok(()) => {
                log::info!("run {path} as init process");
                return;
            }
            Err(error) => log::debug!("{path}: {error:?}"),
        }
    }
    panic!("no working init found; try init= on the kernel command line");
}
