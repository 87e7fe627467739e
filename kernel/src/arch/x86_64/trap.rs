//! Traps from kernel mode.
//!
//! Only two kinds are expected: interrupts, in `idle` and `poll_interrupts`; and page faults in a
//! copy to or from user memory, which are resolved by the current task's fault handler or make the copy
//! fail (table `.extable`). Everything else is a bug and panics.

use linux_object::ids::{USER_END, UserAddr};
use x86_64::registers::control::Cr2;

use super::user::access_of;
use super::{debug, interrupts, stop, thread};
use crate::{mm, upcall};

/// What the entry code and the CPU pushed.
#[repr(C)]
#[derive(Debug)]
#[allow(missing_docs)]
pub struct TrapFrame {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub rbp: u64,
    pub rbx: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rax: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub vector: u64,
    pub error: u64,
    pub rip: u64,
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u64,
}

#[repr(C)]
struct Fixup {
    start: u64,
    end: u64,
    fixup: u64,
}

unsafe extern "C" {
    static __extable_start: Fixup;
    static __extable_end: Fixup;
}

/// Where to continue after a fault at `rip` that cannot be resolved.
fn fixup(rip: u64) -> Option<u64> {
    let (start, end) = (&raw const __extable_start, &raw const __extable_end);
    let len = (end.addr() - start.addr()) / size_of::<Fixup>();
    // SAFETY: the section is an array of that many entries.
    let table = unsafe { core::slice::from_raw_parts(start, len) };
    let hit = table.iter().find(|f| (f.start..f.end).contains(&rip))?;
    Some(hit.fixup)
}

#[unsafe(no_mangle)]
extern "C" fn kernel_trap(frame: &mut TrapFrame) {
    match frame.vector {
        // The kernel touched what a tracer watches, which does not count.
        1 => {
            debug::take_status();
        }
        2 => stop::nmi(),
        14 => page_fault(frame),
        8 => double_fault(frame),
        0..32 => panic!(
            "exception {} in the kernel, error code {:#x}\n{}",
            frame.vector,
            frame.error,
            Registers(frame)
        ),
        vector => interrupts::handle(vector as u8),
    }
}

fn page_fault(frame: &mut TrapFrame) {
    let addr = Cr2::read_raw();
    if addr < USER_END
        && let Some(fixup) = fixup(frame.rip)
    {
        // The handler may sleep, and vector registers may hold a part of the copy.
        thread::keep_fpu();
        let fault = upcall::get()
            .map(|upcalls| upcalls.user_fault(UserAddr(addr), access_of(frame.error), frame.error & 1 != 0));
        if !matches!(fault, Some(Ok(()))) {
            frame.rip = fixup;
        }
        return;
    }
    panic!(
        "page fault in the kernel at {addr:#x}, error code {:#x}\n{}",
        frame.error,
        Registers(frame)
    );
}

fn double_fault(frame: &TrapFrame) -> ! {
    let addr = Cr2::read_raw();
    if mm::kstack::is_guard(addr as usize) || mm::kstack::is_guard(frame.rsp as usize) {
        panic!("kernel stack overflow\n{}", Registers(frame));
    }
    panic!("double fault, cr2 {addr:#x}\n{}", Registers(frame));
}

/// The registers, for a panic message.
struct Registers<'a>(&'a TrapFrame);

impl core::fmt::Display for Registers<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let r = self.0;
        crate::backtrace::note_trap(r.rip, r.rbp);
        writeln!(
            f,
            "rip {:016x} rsp {:016x} rbp {:016x} rflags {:x}",
            r.rip, r.rsp, r.rbp, r.rflags
        )?;
        writeln!(
            f,
            "rax {:016x} rbx {:016x} rcx {:016x} rdx {:016x}",
            r.rax, r.rbx, r.rcx, r.rdx
        )?;
        writeln!(
            f,
            "rsi {:016x} rdi {:016x} r8  {:016x} r9  {:016x}",
            r.rsi, r.rdi, r.r8, r.r9
        )?;
        writeln!(
            f,
            "r10 {:016x} r11 {:016x} r12 {:016x} r13 {:016x}",
            r.r10, r.r11, r.r12, r.r13
        )?;
        write!(f, "r14 {:016x} r15 {:016x}", r.r14, r.r15)
    }
}
