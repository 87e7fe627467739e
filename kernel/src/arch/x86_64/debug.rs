//! Debug registers (Intel SDM vol. 3, 17.2). They hold what the running thread's tracer watches, and nothing while
//! a thread without a tracer runs.

use core::arch::asm;

/// What register 6 is after a reset; the CPU never clears bits itself.
const STATUS_RESET: u64 = 0xffff_0ff0;
/// Its bits that tell of something: four addresses, access to the registers, single step, task switch.
const STATUS_MASK: u64 = 0xe00f;

/// Why the last debug exception came.
pub fn take_status() -> u64 {
    let status: u64;
    // SAFETY: reads and resets a status word.
    unsafe {
        asm!("mov {}, dr6", out(reg) status, options(nomem, nostack, preserves_flags));
        asm!("mov dr6, {}", in(reg) STATUS_RESET, options(nomem, nostack, preserves_flags));
    }
    status & STATUS_MASK
}

/// Watches four addresses, as the control word says.
#[cold]
pub fn watch(regs: &[u64; 5]) {
    let [a, b, c, d, control] = *regs;
    // SAFETY: the addresses are the user's, and the control word does not protect the registers themselves, both of
    // which `set_debug`'s caller has checked; an exception in kernel mode that they cause is expected.
    unsafe {
        asm!(
            "mov dr0, {a}", "mov dr1, {b}", "mov dr2, {c}", "mov dr3, {d}", "mov dr7, {control}",
            a = in(reg) a, b = in(reg) b, c = in(reg) c, d = in(reg) d, control = in(reg) control,
            options(nostack, preserves_flags),
        );
    }
}

/// Watches nothing.
#[cold]
pub fn ignore() {
    // SAFETY: switches watching off.
    unsafe { asm!("mov dr7, {}", in(reg) 0x400u64, options(nostack, preserves_flags)) };
}
