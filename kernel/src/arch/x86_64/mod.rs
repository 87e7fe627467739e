//! x86-64.

use core::arch::{asm, global_asm};

pub mod acpi;
pub mod activate;
pub mod address_space;
pub mod alternatives;
pub mod apic;
mod boot;
pub mod cpu_info;
mod debug;
pub mod features;
pub mod fpu;
pub mod gdt;
pub mod idt;
pub mod interrupts;
pub mod ioapic;
pub mod kernel_map;
pub mod page;
mod page_table;
pub mod percpu;
pub mod pte;
pub mod pvh;
pub mod smp;
pub mod stop;
pub mod thread;
pub mod timer;
pub mod tlb;
pub mod trap;
pub mod tsc;
pub mod uaccess;
pub mod user;

global_asm!(
    include_str!("macros.S"),
    include_str!("mem.S"),
    include_str!("entry.S"),
    options(att_syntax)
);

/// A turn of a spinning loop: serves TLB shootdowns, pauses.
#[inline]
pub fn relax() {
    tlb::serve();
    core::hint::spin_loop();
}

/// Stops this CPU for ever.
pub fn halt() -> ! {
    loop {
        // SAFETY: with interrupts off nothing runs here any more.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) };
    }
}
