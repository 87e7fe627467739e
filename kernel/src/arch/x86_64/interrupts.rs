//! Interrupt vectors and what each one does.

use super::{apic, percpu, timer, tlb};
use crate::drivers::{uart, virtio_net};
use crate::upcall;

/// The console's UART.
pub const UART: u8 = 0x34;
/// A queue of a network card has news.
pub const NIC: u8 = 0x35;
/// The settings of a network card have changed.
pub const NIC_CONFIG: u8 = 0x36;
/// This CPU's timer.
pub const TIMER: u8 = 0xf0;
/// "Look at your run queue."
pub const KICK: u8 = 0xf1;
/// "Look into your mailbox."
pub const SHOOTDOWN: u8 = 0xf2;
/// Spurious interrupts of the local APIC.
pub const SPURIOUS: u8 = 0xff;

/// Handles an interrupt, in thread context.
pub fn handle(vector: u8) {
    tlb::serve();
    match vector {
        TIMER => {
            apic::end_of_interrupt();
            timer::interrupt();
        }
        KICK => {
            apic::end_of_interrupt();
            if let Some(upcalls) = upcall::get() {
                upcalls.kick_interrupt();
            }
        }
        SHOOTDOWN => apic::end_of_interrupt(),
        UART => {
            apic::end_of_interrupt();
            uart::interrupt();
        }
        NIC => {
            apic::end_of_interrupt();
            virtio_net::interrupt();
        }
        NIC_CONFIG => {
            apic::end_of_interrupt();
            virtio_net::config_interrupt();
        }
        SPURIOUS => {}
        _ => {
            apic::end_of_interrupt();
            log::warn!(
                "unexpected interrupt {vector:#x} on CPU {}",
                percpu::this().id.get()
            );
        }
    }
}

/// Halts until an interrupt came, and handles it.
pub fn wait() {
    // SAFETY: thread context at a point where interrupts are allowed (the contract of `idle`). `sti`
    // takes effect after the `hlt`, so an interrupt that is pending already ends it.
    unsafe { core::arch::asm!("sti", "hlt", "cli", options(nostack)) };
}

/// Handles what is pending.
pub fn poll() {
    // SAFETY: as above, at the contract of `poll_interrupts`; the `nop` ends the shadow of `sti`.
    unsafe { core::arch::asm!("sti", "nop", "cli", options(nostack)) };
}
