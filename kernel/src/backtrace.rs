//! Return addresses on a kernel stack, by frame pointers.

use core::cell::Cell;
use core::ops::Range;

use crate::arch::{kernel_map, percpu};
use crate::mm::boot_memory::Image;
use crate::symbols;

/// Frames shown at most.
const DEPTH: usize = 256;

struct PanicTrap(Cell<Option<(u64, u64)>>);

// SAFETY: written and read only by a CPU that panics, after or before it stopped the others.
unsafe impl Sync for PanicTrap {}

/// Where a trap that leads to a panic happened: the stack below it is shown, too.
static TRAP: PanicTrap = PanicTrap(Cell::new(None));

/// Notes a trap in the kernel that is being reported.
pub fn note_trap(rip: u64, rbp: u64) {
    TRAP.0.set(Some((rip, rbp)));
}

fn is_text(addr: u64) -> bool {
    Image::get().text.contains(&(addr as usize))
}

/// Follows the frames from `rbp`, reading only what `readable` allows.
fn walk(mut rbp: u64, readable: impl Fn(usize) -> bool, mut each: impl FnMut(u64) -> bool) {
    for _ in 0..DEPTH {
        if rbp == 0 || !rbp.is_multiple_of(8) || !readable(rbp as usize) || !readable(rbp as usize + 15) {
            return;
        }
        // SAFETY: two readable words of the kernel's own memory.
        let [next, rip] = unsafe { (rbp as *const [u64; 2]).read_volatile() };
        if !is_text(rip) || !each(rip) || next <= rbp {
            return;
        }
        rbp = next;
    }
}

/// The frames of a thread that does not run, from its saved stack pointer.
pub fn walk_saved(rsp: usize, stack: Range<usize>, out: &mut [u64]) -> usize {
    // What `switch_stacks` pushed: r15 r14 r13 r12 rbx rbp, then the return address.
    let frame = rsp + 5 * 8;
    let mut found = 0;
    let readable = |at: usize| stack.contains(&at);
    walk(frame as u64, readable, |rip| {
        let Some(slot) = out.get_mut(found) else {
            return false;
        };
        *slot = rip;
        found += 1;
        true
    });
    found
}

/// Prints return addresses, equal ones in a row (a recursion) once.
struct Printer {
    last: u64,
    repeated: usize,
}

impl Printer {
    fn show(&mut self, rip: u64) -> bool {
        if rip == self.last {
            self.repeated += 1;
            return true;
        }
        self.end();
        self.last = rip;
        // A call that does not return may be a function's last instruction.
        match symbols::lookup(rip - 1) {
            Some((name, offset)) => crate::kprintln!("  {rip:016x} {name}+{:#x}", offset + 1),
            None => crate::kprintln!("  {rip:016x}"),
        }
        true
    }

    fn end(&mut self) {
        if self.repeated > 0 {
            crate::kprintln!("  … {} times more", self.repeated);
            self.repeated = 0;
        }
    }
}

/// Prints this CPU's stack.
pub fn print() {
    let readable = |at: usize| at >= crate::mm::PHYS_OFFSET && kernel_map::is_mapped(at);
    let mut printer = Printer { last: 0, repeated: 0 };
    crate::kprintln!("backtrace, CPU {}:", percpu::this().id.get());
    let rbp = match TRAP.0.take() {
        Some((rip, rbp)) => {
            printer.show(rip);
            rbp
        }
        None => {
            let rbp: u64;
            // SAFETY: reads the frame pointer.
            unsafe { core::arch::asm!("mov {}, rbp", out(reg) rbp, options(nomem, nostack)) };
            rbp
        }
    };
    walk(rbp, readable, |rip| printer.show(rip));
    printer.end();
}
