//! Simulated processes: closures that make real system calls, on the simulator's machine.
//!
//! ```ignore
//! sim::boot(seed, 2, |sys| {
//!     let child = sys.fork(|sys| { sys.call(GETPID, &[]); 7 });
//!     assert_eq!(sys.waitpid(child), (child, 7 << 8));
//! });
//! ```
//!
//! User mode is as real as it gets without a CPU: memory goes through simulated page tables and
//! faults, interrupts preempt, signals run handlers on the program's stack.

#[cfg(test)]
mod cgroup_tests;
#[cfg(test)]
mod charge_tests;
#[cfg(test)]
mod fault_tests;
#[cfg(test)]
mod file_tests;
#[cfg(test)]
mod futex_tests;
#[cfg(test)]
mod mount_tests;
#[cfg(test)]
mod net_tests;
#[cfg(test)]
mod ns_tests;
#[cfg(test)]
mod ptrace_tests;
mod sys;
#[cfg(test)]
mod tcp_tests;
#[cfg(test)]
mod tests;

pub use sys::Sys;

use alloc::boxed::Box;
use alloc::sync::Arc;

use linux_object::cred::Cred;
use linux_object::fs::{self, FileTable, FsStruct};
use linux_object::hal::UserRegs;
use linux_object::kernel::Kernel;
use linux_object::mm::Mm;
use linux_object::sched::Scheduler;
use linux_object::sim::{PROGRAM_RIP, SimThread, run};
use linux_object::task::TaskParts;
use linux_object::task::clone::spawn_process;

use crate::thread::run_user_thread;

/// `reboot(2)`: its magic numbers and the switch.
const POWER_OFF: [u64; 4] = [0xfee1_dead, 672_274_793, 0x4321_fedc, 0];

/// Boots a kernel whose first process runs `program`; the machine goes off when it returns. Panics
/// with the seed if anything fails.
pub fn boot(seed: u64, nr_cpus: usize, program: impl FnOnce(&Sys<'_>) + Send + 'static) {
    run(seed, nr_cpus, move |kernel| start(kernel, program));
}

/// Likewise for this many seeds (or `ZCELL_SEEDS`), on 1 to 4 CPUs.
pub fn each_seed(count: u64, program: impl Fn(&Sys<'_>) + Send + Sync + 'static) {
    let wanted = std::env::var("ZCELL_SEEDS").ok();
    let count = wanted.and_then(|n| n.parse().ok()).unwrap_or(count);
    let program = Arc::new(program);
    for seed in 0..count {
        let program = program.clone();
        boot(seed, 1 + (seed % 4) as usize, move |sys| program(sys));
    }
}

fn start(kernel: &Arc<Kernel>, program: impl FnOnce(&Sys<'_>) + Send + 'static) {
    let root = fs::init_mounts(kernel, None).expect("a root file system");
    let mnt_ns = kernel.vfs.init_mnt_ns.get().expect("it is mounted").clone();
    let body = Box::new(|task: &Arc<linux_object::task::Task>| {
        let regs = UserRegs {
            rip: PROGRAM_RIP,
            cs: 0x33,
            ss: 0x2b,
            rflags: 0x202,
            ..UserRegs::default()
        };
        run_user_thread(task, regs);
    });
    let thread = Scheduler::new_thread(kernel, body).expect("a thread");
    let sim_thread = thread.as_any().downcast_ref::<SimThread>();
    sim_thread
        .expect("a thread of the simulator")
        .set_program(Box::new(move |user| {
            let sys = Sys::first(user);
            program(&sys);
            sys.call(169, &POWER_OFF);
            0
        }));
    let parts = TaskParts {
        cred: Arc::new(Cred::root(kernel.init_user_ns.clone())),
        nsproxy: Some(kernel.init_ns.nsproxy(mnt_ns)),
        fs: Some(FsStruct::new(root)),
        files: Some(FileTable::new(kernel)),
        mm: Some(Mm::new(kernel).expect("an address space")),
        comm: *b"init\0\0\0\0\0\0\0\0\0\0\0\0",
    };
    let task = spawn_process(kernel, thread, parts).expect("the first task");
    kernel.sched.start(&task);
}
