//! Interrupt vectors and what each one does.

use core::sync::atomic::{AtomicU64, Ordering};

use linux_object::hal::InterruptSource;

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

const fn source(vector: u8, name: &'static str, text: &'static str, optional: bool) -> (u8, InterruptSource) {
    let source = InterruptSource { name, text, optional };
    (vector, source)
}

/// What each vector is, in the order of `/proc/interrupts`.
const SOURCES: [(u8, InterruptSource); 7] = [
    source(UART, "4", "IO-APIC   4-edge      ttyS0", false),
    source(NIC, "24", "PCI-MSI   virtio-queues", true),
    source(NIC_CONFIG, "25", "PCI-MSI   virtio-config", true),
    source(TIMER, "LOC", "Local timer interrupts", false),
    source(SPURIOUS, "SPU", "Spurious interrupts", false),
    source(KICK, "RES", "Rescheduling interrupts", false),
    source(SHOOTDOWN, "TLB", "TLB shootdowns", false),
];

/// How often each of [`SOURCES`] interrupted one CPU, which alone writes it.
pub struct Counts([AtomicU64; SOURCES.len()]);

impl Counts {
    /// None yet.
    pub const fn new() -> Counts {
        Counts([const { AtomicU64::new(0) }; SOURCES.len()])
    }
    fn add(&self, vector: u8) {
        if let Some(n) = SOURCES.iter().position(|(known, _)| *known == vector) {
            let count = self.0[n].load(Ordering::Relaxed);
            self.0[n].store(count + 1, Ordering::Relaxed);
        }
    }
    /// The counts with what they count.
    pub fn for_each(&self, each: &mut dyn FnMut(&InterruptSource, u64)) {
        for ((_, source), count) in SOURCES.iter().zip(&self.0) {
            each(source, count.load(Ordering::Relaxed));
        }
    }
}

/// Handles an interrupt, in thread context.
pub fn handle(vector: u8) {
    percpu::this().interrupts.add(vector);
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
