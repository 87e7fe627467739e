//! Stopping all CPUs, for a panic.

use core::sync::atomic::{AtomicU32, Ordering::SeqCst};

use super::{apic, percpu};

/// The CPU that stopped the others, plus 1.
static STOPPER: AtomicU32 = AtomicU32::new(0);

/// Stops all other CPUs, whatever they do. If another CPU was first, stops this one.
pub fn others() {
    let me = percpu::this().id.get() + 1;
    match STOPPER.compare_exchange(0, me, SeqCst, SeqCst) {
        Ok(_) => apic::send_nmi_to_others(),
        Err(first) if first == me => {}
        Err(_) => super::halt(),
    }
}

/// A non-maskable interrupt came.
pub fn nmi() {
    match STOPPER.load(SeqCst) {
        0 => log::error!("unexpected NMI on CPU {}", percpu::this().id.get()),
        stopper if stopper == percpu::this().id.get() + 1 => {}
        _ => super::halt(),
    }
}
