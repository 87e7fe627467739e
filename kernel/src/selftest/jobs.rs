//! Work for the other CPUs.

use core::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicUsize, Ordering::Acquire, Ordering::Relaxed, Ordering::Release,
};

use linux_object::hal::Hal;
use linux_object::ids::CpuId;

use crate::arch::{interrupts, percpu};

type Job = fn(&dyn Hal);

static JOB: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());
static ROUND: AtomicUsize = AtomicUsize::new(0);
static RUNNING: AtomicUsize = AtomicUsize::new(0);
/// Tells jobs to come to an end.
pub static STOP: AtomicBool = AtomicBool::new(false);

/// The main loop of the other CPUs: idle until there is a new round.
pub fn cpu_main() -> ! {
    let mut done = 0;
    loop {
        let round = ROUND.load(Acquire);
        if round == done {
            interrupts::wait();
            continue;
        }
        done = round;
        // SAFETY: `start` stored a `Job`.
        let job = unsafe { core::mem::transmute::<*mut (), Job>(JOB.load(Relaxed)) };
        job(&crate::hal::Machine);
        RUNNING.fetch_sub(1, Release);
    }
}

/// Starts a job on all other CPUs.
pub fn start(hal: &dyn Hal, job: Job) {
    STOP.store(false, Relaxed);
    RUNNING.store(percpu::count() - 1, Relaxed);
    JOB.store(job as *mut (), Relaxed);
    ROUND.fetch_add(1, Release);
    for cpu in 1..percpu::count() {
        hal.kick(CpuId(cpu as u32));
    }
}

/// Waits until all have finished it.
pub fn join(hal: &dyn Hal) {
    STOP.store(true, Relaxed);
    while RUNNING.load(Acquire) != 0 {
        hal.poll_interrupts();
        hal.relax();
    }
}

/// Runs a job on all CPUs, this one included.
pub fn everywhere(hal: &dyn Hal, job: Job) {
    start(hal, job);
    job(hal);
    join(hal);
}
