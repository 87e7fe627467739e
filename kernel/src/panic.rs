//! Panics: stop everything, say where, leave.

use core::panic::PanicInfo;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::arch::{percpu, stop, tsc};
use crate::cmdline::{self, OnPanic};
use crate::drivers::{power, uart};
use crate::{backtrace, kprintln, lockdep};

/// Exit code for `isa-debug-exit` after a panic: QEMU ends with 2 * 127 + 1 = 255.
const EXIT_CODE: u8 = 127;

static DEPTH: AtomicU32 = AtomicU32::new(0);

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    stop::others();
    uart::force_unlock();
    match DEPTH.fetch_add(1, Relaxed) {
        0 => report(info),
        // A panic in the report: say what can be said without going deeper.
        1 => kprintln!("panic while panicking: {}", info.message()),
        _ => {}
    }
    end()
}

fn report(info: &PanicInfo<'_>) {
    let cpu = percpu::this().id.get();
    kprintln!("\nKernel panic on CPU {cpu}: {}", info.message());
    if let Some(location) = info.location() {
        kprintln!("at {location}");
    }
    if let Some(held) = lockdep::held() {
        kprintln!("locks held: {held}");
    }
    backtrace::print();
}

fn end() -> ! {
    match cmdline::options().on_panic {
        OnPanic::Halt => {}
        OnPanic::Reset => {
            power::debug_exit(EXIT_CODE);
            power::restart();
        }
        OnPanic::ResetAfter(seconds) => {
            tsc::delay(u64::from(seconds) * 1_000_000_000);
            power::restart();
        }
    }
    kprintln!("---[ end Kernel panic ]---");
    crate::arch::halt()
}
