//! User mode as a function: the Rust side of `entry.S`.

use core::arch::asm;
use core::mem::offset_of;

use linux_object::hal::{Access, Trap, UserClock, UserRegs};
use linux_object::ids::UserAddr;
use x86_64::VirtAddr;
use x86_64::registers::control::Cr2;
use x86_64::registers::model_specific::{LStar, SFMask, Star};
use x86_64::registers::rflags::RFlags;

use super::debug;
use super::gdt;
use super::interrupts;
use super::percpu::PerCpu;
use super::tsc;
use crate::mm::frames;

unsafe extern "C" {
    fn syscall_entry();
}

const _: () = assert!(offset_of!(PerCpu, regs) == 8 && offset_of!(PerCpu, kernel_rsp) == 16);
const _: () = assert!(gdt::USER_SS == gdt::USER_CS - 8);
const _: () = assert!(offset_of!(UserRegs, rip) == 128 && offset_of!(UserRegs, ss) == 160);

/// Sets up `syscall` on this CPU (Intel SDM vol. 3, 5.8.8).
pub fn init() {
    // sysret loads cs from bits 48.. plus 16 and ss from there plus 8, with privilege level 3.
    let user_base = (gdt::USER_CS as u16 - 16) | 3;
    // SAFETY: the selectors match the GDT, and the entry point expects exactly this.
    unsafe { Star::write_raw(user_base, gdt::KERNEL_CS) };
    LStar::write(VirtAddr::new_truncate(syscall_entry as *const () as u64));
    SFMask::write(
        RFlags::TRAP_FLAG
            | RFlags::INTERRUPT_FLAG
            | RFlags::DIRECTION_FLAG
            | RFlags::IOPL_LOW
            | RFlags::IOPL_HIGH
            | RFlags::NESTED_TASK
            | RFlags::RESUME_FLAG
            | RFlags::ALIGNMENT_CHECK,
    );
}

/// Runs user code on `regs` until it traps. Interrupts have been handled when this returns.
#[inline]
pub fn run(regs: &mut UserRegs, clock: &UserClock) -> Trap {
    let (code, error): (u64, u64);
    clock.enter(tsc::cycles());
    // SAFETY: enters user mode on this thread's registers and comes back through a trap, on this
    // stack. rbx and rbp are kept by the code; everything else that it changes is listed.
    unsafe {
        asm!(
            "call enter_user",
            inout("rdi") core::ptr::from_mut(regs) => _,
            out("rax") code,
            out("rdx") error,
            out("rcx") _, out("rsi") _, out("r8") _, out("r9") _, out("r10") _, out("r11") _,
            out("r12") _, out("r13") _, out("r14") _, out("r15") _,
        );
    }
    clock.leave(tsc::cycles());
    if code == 0 {
        return if frames::is_low() {
            Trap::SyscallLowMemory
        } else {
            Trap::Syscall
        };
    }
    trapped((code - 1) as u8, error)
}

#[inline(never)]
fn trapped(vector: u8, error: u64) -> Trap {
    match vector {
        // User code, but not a user access: QEMU's emulator reads the stack of a far return so, which
        // SMAP then forbids. Trying again would not help.
        14 if error & 0b101 == 0b001 => Trap::Exception { vector: 13, error: 0 },
        14 => Trap::PageFault {
            addr: UserAddr(Cr2::read_raw()),
            access: access_of(error),
            present: error & 1 != 0,
        },
        1 => Trap::Exception {
            vector,
            error: debug::take_status(),
        },
        0..32 => Trap::Exception { vector, error },
        _ => {
            interrupts::handle(vector);
            Trap::Interrupt
        }
    }
}

/// How a page fault's access was made (Intel SDM vol. 3, 4.7).
pub fn access_of(error: u64) -> Access {
    if error & 1 << 4 != 0 {
        Access::Exec
    } else if error & 1 << 1 != 0 {
        Access::Write
    } else {
        Access::Read
    }
}
