//! The zcell kernel: the machine underneath, the libraries on top.
#![no_std]
#![no_main]

extern crate alloc;

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

/// What the boot CPU does when the machine is up.
fn run(booted: init::Booted) -> ! {
    // SAFETY: the other CPUs have not been released.
    unsafe { hal::init_zero_page() };
    drivers::uart::enable_input();
    if cmdline::options().selftest {
        selftest::run(&booted);
    }
    arch::smp::release();
    log::info!("cmdline: {}", booted.cmdline);
    drivers::power::power_off();
}

/// What the other CPUs do.
fn cpu_main() -> ! {
    if cmdline::options().selftest {
        selftest::cpu_main();
    }
    loop {
        arch::interrupts::wait();
    }
}
