//! The zcell kernel: the machine underneath, the libraries on top.
#![no_std]
#![no_main]
// As in linux-object: the circle of objects is wide.
#![recursion_limit = "256"]

extern crate alloc;

use alloc::sync::Arc;

use linux_object::error::Result;
use linux_object::hal::Access;
use linux_object::ids::UserAddr;
use linux_object::kernel::{BootInfo, Kernel};
use linux_object::time::Ktime;

mod arch;
mod backtrace;
mod cmdline;
mod drivers;
mod hal;
mod init;
mod lockdep;
mod logger;
mod mm;
mod panic;
mod selftest;
mod symbols;
mod sync;
mod upcall;

#[global_allocator]
static HEAP: mm::heap::Heap = mm::heap::Heap;

static KERNEL: spin::Once<Arc<Kernel>> = spin::Once::new();

/// Hands the machine's events to the kernel.
struct Events;

impl upcall::Upcalls for Events {
    fn timer_interrupt(&self) {
        kernel().timer_interrupt();
    }
    fn kick_interrupt(&self) {
        kernel().kick_interrupt();
    }
    fn console_input(&self, bytes: &[u8]) {
        kernel().console_input(bytes);
    }
    fn nic_interrupt(&self) {
        kernel().net.poll_nics();
    }
    fn nic_link_interrupt(&self) {
        kernel().net.nics_link();
    }
    fn user_fault(&self, addr: UserAddr, access: Access, present: bool) -> Result<()> {
        kernel().user_fault(addr, access, present)
    }
    fn log(&self, at: Ktime, level: u8, text: &[u8]) -> bool {
        kernel().log.append(at, level, 0, text)
    }
}

fn kernel() -> &'static Arc<Kernel> {
    KERNEL.get().expect("set before the first event")
}

/// What the boot CPU does when the machine is up.
fn run(booted: init::Booted) -> ! {
    // SAFETY: the other CPUs have not been released.
    unsafe { hal::init_zero_page() };
    if cmdline::options().selftest {
        drivers::uart::enable_input();
        selftest::run(&booted);
    }
    let boot = BootInfo {
        cmdline: booted.cmdline.clone(),
    };
    KERNEL.call_once(|| Kernel::new(init::machine(), boot));
    kernel().log.set_console_level(cmdline::options().console_level);
    upcall::install(&Events);
    logger::hand_over();
    drivers::uart::enable_input();
    if let Err(error) = linux_syscall::start::start(kernel(), booted.initrd()) {
        panic!("no first process: {error:?}");
    }
    // SAFETY: `start` has unpacked the archive and keeps nothing of it.
    unsafe { booted.free_initrd() };
    arch::smp::release();
    cpu_main()
}

/// What every CPU does from then on.
fn cpu_main() -> ! {
    if cmdline::options().selftest {
        selftest::cpu_main();
    }
    linux_syscall::start::cpu_main(kernel())
}
