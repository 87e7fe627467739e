//! Tests of the machine layer on the machine itself: `zcell.selftest` on the command line.
//!
//! Prints TAP on the console and ends with QEMU's debug exit: 0 passed (exit code 1), 1 failed (exit
//! code 3). A failed assertion is a panic (exit code 255 with `panic=-1`). `zcell.selftest=bench`
//! prints costs in cycles instead, which are instructions under `-icount shift=0`. Two end in a panic that
//! has to say so: `=overflow` overflows a kernel stack, `=panic` panics on the last CPU while the others
//! hold locks. `=input` shows what comes in on the console until a `q`. Any other value runs the tests
//! whose name contains it.

mod bench;
mod jobs;
mod memory;
mod smp;
mod space;
mod threads;
mod time;
mod user;

use alloc::sync::Arc;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use linux_object::err;
use linux_object::error::Result;
use linux_object::hal::{Access, AddressSpace, Frames, Hal, PageFlags, Pte};
use linux_object::ids::UserAddr;
use linux_object::time::Ktime;

use crate::hal::Machine;
use crate::sync::Lock;
use crate::{cmdline, drivers, init, kprintln, upcall};

pub use jobs::cpu_main;

type Test = (&'static str, fn(&dyn Hal));

const TESTS: &[Test] = &[
    ("memory functions agree with byte loops", memory::functions),
    ("heap blocks keep their contents and come back", memory::heap),
    ("frames are counted and come back", memory::frames),
    (
        "out of frames is ENOMEM, the heap has a reserve",
        memory::exhaustion,
    ),
    ("page tables agree with a map", space::model),
    (
        "text is read-only, data is not executable",
        space::write_xor_execute,
    ),
    ("user copies fault and recover", space::copies),
    ("system calls keep all registers", user::registers),
    ("exceptions tell what happened", user::exceptions),
    ("protection of user pages", user::protection),
    ("odd return states", user::odd_returns),
    ("single steps are reported", user::single_step),
    ("vector state follows its thread", user::vector_state),
    ("segment bases follow their thread", user::bases),
    ("fpu state from a signal frame is checked", user::fpu_frame),
    ("threads switch and end", threads::ping_pong),
    ("stacks are reused and given back", threads::stacks),
    ("backtrace of a thread that does not run", threads::backtrace),
    ("the clock is monotonic on all CPUs", time::monotonic),
    ("the timer fires when it should, in idle", time::idle),
    ("the timer interrupts user mode", time::user),
    ("a kick ends idle and user mode", smp::kick),
    ("threads migrate between CPUs", smp::migrate),
    ("heap and frames from all CPUs", smp::memory),
    ("shootdowns reach user mode and spinning CPUs", smp::shootdown),
    ("crossing shootdowns do not lock up", smp::crossing),
];

/// A window of an address space.
type Lazy = (Arc<dyn AddressSpace>, u64, u64);

/// Counts of upcalls, and what to do about faults under user copies.
struct Receiver {
    timers: [AtomicUsize; 32],
    kicks: [AtomicUsize; 32],
    faults: AtomicUsize,
    /// Pages in this window of the current space are made on first touch.
    lazy: Lock<Option<Lazy>>,
}

static RECEIVER: Receiver = Receiver {
    timers: [const { AtomicUsize::new(0) }; 32],
    kicks: [const { AtomicUsize::new(0) }; 32],
    faults: AtomicUsize::new(0),
    lazy: Lock::new(None),
};

fn this_cpu() -> usize {
    crate::arch::percpu::this().id.get() as usize
}

impl upcall::Upcalls for Receiver {
    fn timer_interrupt(&self) {
        self.timers[this_cpu()].fetch_add(1, Relaxed);
    }
    fn kick_interrupt(&self) {
        self.kicks[this_cpu()].fetch_add(1, Relaxed);
    }
    fn console_input(&self, bytes: &[u8]) {
        kprintln!("# console input: {bytes:?}");
        QUIT.fetch_add(usize::from(bytes.contains(&b'q')), Relaxed);
    }
    fn nic_interrupt(&self) {}
    fn nic_link_interrupt(&self) {}
    fn log(&self, _: Ktime, _: u8, _: &[u8]) -> bool {
        true
    }
    fn user_fault(&self, addr: UserAddr, _: Access, _: bool) -> Result<()> {
        self.faults.fetch_add(1, Relaxed);
        let lazy = self.lazy.lock().clone();
        match lazy {
            Some((space, start, end)) if (start..end).contains(&addr.0) => {
                let frame = Machine.alloc_frame(true)?;
                let flags = PageFlags::READ | PageFlags::WRITE;
                space.map(addr.page(), Pte { frame, flags })?;
                Ok(())
            }
            _ => Err(err!(EFAULT)),
        }
    }
}

/// Runs the tests and leaves.
pub fn run(booted: &init::Booted) -> ! {
    upcall::install(&RECEIVER);
    crate::arch::smp::release();
    let hal = init::machine();
    let mode = booted
        .cmdline
        .split_ascii_whitespace()
        .find_map(|word| word.strip_prefix("zcell.selftest="));
    match mode {
        Some("bench") => bench::run(&*hal),
        Some("overflow") => threads::overflow(&*hal),
        Some("panic") => smp::panic(&*hal),
        Some("input") => input(&*hal),
        Some(only) => run_tests(&*hal, only),
        None => run_tests(&*hal, ""),
    }
    drivers::power::debug_exit(0);
    drivers::power::power_off()
}

static QUIT: AtomicUsize = AtomicUsize::new(0);

fn input(hal: &dyn Hal) {
    while QUIT.load(Relaxed) == 0 {
        hal.idle();
    }
}

fn run_tests(hal: &dyn Hal, only: &str) {
    debug_assert!(cmdline::options().selftest);
    let tests = TESTS.iter().filter(|(name, _)| name.contains(only));
    kprintln!("TAP version 13\n1..{}", tests.clone().count());
    for (i, (name, test)) in tests.enumerate() {
        let before = hal.now();
        test(hal);
        let us = hal.now().since(before).as_micros();
        kprintln!("ok {} - {name} # {us} us", i + 1);
    }
}

/// A small deterministic generator (xorshift64*).
pub struct Random(u64);

impl Random {
    fn new(seed: u64) -> Random {
        Random(seed | 1)
    }
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
    fn below(&mut self, n: usize) -> usize {
        (self.next() >> 33) as usize % n
    }
}

/// Frees every page of a space.
fn clear_space(hal: &dyn Hal, space: &dyn AddressSpace) {
    let all = UserAddr(0)..UserAddr(linux_object::ids::USER_END);
    let mut frames = alloc::vec::Vec::new();
    space.unmap(all.clone(), &mut |_, pte| frames.push(pte.frame));
    space.flush(all);
    for frame in frames {
        hal.put_frame(frame);
    }
}
