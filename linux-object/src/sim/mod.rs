//! The simulator: a machine on the host, for tests of whole kernels.
//!
//! [`run`] makes a kernel on a [`Machine`] whose every decision (who runs at each lock, park and wake,
//! how long things take) comes from a seed, and fails with that seed if something panics, deadlocks
//! or sleeps for ever. Simulated processes are closures in user mode ([`User`]) that make real
//! system calls; the part that needs the system-call table is in `linux-syscall`.

mod fault;
mod gate;
mod hal;
mod lockdep;
mod machine;
mod memory;
mod random;
#[cfg(test)]
mod tests;
mod thread;

pub(crate) use fault::request;
pub use machine::{Machine, Outcome};
pub use random::Random;
pub use thread::{HANDLER_BASE, Handler, PROGRAM_RIP, Program, SimThread, User};

use alloc::string::String;
use alloc::sync::Arc;
use core::any::Any;

use crate::hal::MachineThread;
use crate::kernel::{BootInfo, Kernel};

/// The simulated thread behind a machine thread.
fn thread_arc(thread: &Arc<dyn MachineThread>) -> Arc<SimThread> {
    let any: Arc<dyn Any + Send + Sync> = thread.clone();
    any.downcast::<SimThread>().expect("a thread of this machine")
}

/// Boots a kernel on `nr_cpus` CPUs. `setup` runs on the first one and starts what is to run; the run
/// ends when that powers the machine off. Panics, naming the seed, if it ends otherwise.
pub fn run(seed: u64, nr_cpus: usize, setup: impl FnOnce(&Arc<Kernel>) + Send + 'static) {
    let machine = Machine::new(seed, nr_cpus);
    let first = SimThread::new(&machine, None);
    let boot = machine.clone();
    let gate = first.gate.clone();
    machine.set_boot_thread(0, first.clone());
    machine.spawn(&gate, Some(first), move || {
        let kernel = Kernel::new(boot.clone(), BootInfo::default());
        *boot.kernel.lock().unwrap() = Arc::downgrade(&kernel);
        for cpu in 1..nr_cpus {
            let other = SimThread::new(&boot, None);
            let kernel = kernel.clone();
            boot.spawn(&other.gate.clone(), Some(other.clone()), move || {
                kernel.sched.idle_loop();
            });
            boot.set_boot_thread(cpu, other);
        }
        setup(&kernel);
        kernel.sched.idle_loop();
    });
    gate.open();
    if let Outcome::Failed(why) = machine.join() {
        let console = machine.console();
        let console = String::from_utf8_lossy(&console);
        panic!("seed {seed}, {nr_cpus} CPUs: {why}\n{console}");
    }
}
