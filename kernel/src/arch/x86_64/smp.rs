//! Starting the other CPUs (Intel SDM vol. 3, 9.4).
//!
//! The boot CPU prepares a [`PerCpu`] and a stack for each, wakes them all, and waits until they have set
//! themselves up. They find their `PerCpu` by their APIC id, so that they can start side by side
//! and still have numbers in the firmware's order. Then they halt until there is work.
//!
//! [`PerCpu`]: super::percpu::PerCpu

use alloc::vec::Vec;
use core::sync::atomic::{
    AtomicBool, AtomicU32, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release,
};

use super::acpi::MachineInfo;
use super::features::{self, rdtsc_ordered};
use super::percpu::{self, PerCpu};
use super::{apic, gdt, idt, interrupts, kernel_map, tsc, user};
use crate::mm::kstack::KernelStack;
use crate::mm::phys_to_virt;

/// The page below 1 MiB where CPUs begin.
const TRAMPOLINE: u64 = 0x8000;
/// Spins before a CPU is given up; the clock does not run yet.
const PATIENCE: u32 = 50_000_000;

unsafe extern "C" {
    static ap_trampoline: u8;
    static ap_trampoline_end: u8;
    static ap_root: AtomicU64;
    static ap_cpus: [AtomicU64; 256];
}

/// CPUs that have set themselves up, by number.
static READY: AtomicU64 = AtomicU64::new(0);
static GO: AtomicBool = AtomicBool::new(false);
/// The exchange of [`compare_tsc`]: whose turn it is, and what that CPU read.
static TSC_TURN: AtomicU32 = AtomicU32::new(0);
static TSC_ANSWER: AtomicU64 = AtomicU64::new(0);

/// Starts CPUs until there are `max`.
pub fn start(info: &MachineInfo, max: usize) {
    let trampoline = phys_to_virt::<u8>(TRAMPOLINE);
    let (start, end) = (&raw const ap_trampoline, &raw const ap_trampoline_end);
    // SAFETY: the page is reserved for this (`boot_memory`), and the code fits.
    unsafe { trampoline.copy_from_nonoverlapping(start, end.addr() - start.addr()) };
    // SAFETY: variables of entry.S, read by the new CPUs only.
    let (root, slots) = unsafe { (&ap_root, &ap_cpus) };
    root.store(kernel_map::root_phys(), Relaxed);

    let me = percpu::this().apic_id.get();
    let others = info.cpus.iter().filter(|&&id| id != me);
    let mut cpus = Vec::new();
    for (&apic_id, id) in others.zip(1..max) {
        let Some(slot) = slots.get(apic_id as usize) else {
            log::error!("APIC id {apic_id} is too large");
            continue;
        };
        let stack = KernelStack::new().expect("memory for an idle stack");
        let cpu = percpu::new_cpu(id, apic_id);
        cpu.kernel_rsp.set(stack.range().end as u64);
        core::mem::forget(stack);
        slot.store(core::ptr::from_ref(cpu) as u64, Release);
        cpus.push(cpu);
    }
    for cpu in &cpus {
        apic::send_init(cpu.apic_id.get());
    }
    if !features::get().hypervisor && !cpus.is_empty() {
        spin_for_10ms();
    }
    for cpu in &cpus {
        apic::send_startup(cpu.apic_id.get(), (TRAMPOLINE >> 12) as u8);
    }
    for cpu in cpus {
        if !wait_for(cpu) {
            // Numbers have no holes: those after it are not used either.
            log::error!("CPU {} does not start", cpu.id.get());
            return;
        }
        percpu::announce(cpu);
        if !tsc::is_emulated() {
            compare_tsc(cpu);
        }
    }
}

fn wait_for(cpu: &PerCpu) -> bool {
    for turn in 0..PATIENCE {
        if READY.load(Acquire) & 1 << cpu.id.get() != 0 {
            return true;
        }
        if turn == PATIENCE / 2 {
            apic::send_startup(cpu.apic_id.get(), (TRAMPOLINE >> 12) as u8);
        }
        super::relax();
    }
    false
}

/// The time that real hardware may need between INIT and start-up. The PIT-free way: a read of port
/// 0x80 takes about a microsecond.
fn spin_for_10ms() {
    for _ in 0..10_000 {
        // SAFETY: the POST code port has no effect.
        unsafe { x86_64::instructions::port::Port::<u8>::new(0x80).read() };
    }
}

/// The new CPU reads its counter between two readings here; the best of some rounds bounds the skew.
fn compare_tsc(cpu: &PerCpu) {
    let mut best = u64::MAX;
    for _ in 0..4 {
        let before = rdtsc_ordered();
        TSC_TURN.store(cpu.id.get(), Release);
        while TSC_TURN.load(Acquire) != 0 {
            super::relax();
        }
        let (theirs, after) = (TSC_ANSWER.load(Relaxed), rdtsc_ordered());
        let skew = if theirs < before {
            before - theirs
        } else {
            theirs.saturating_sub(after)
        };
        best = best.min(skew);
    }
    tsc::note_skew(best);
}

#[unsafe(no_mangle)]
extern "C" fn ap_main(cpu: &'static PerCpu) -> ! {
    features::enable();
    // SAFETY: the state was made for this CPU.
    unsafe { percpu::load(cpu) };
    init_cpu(cpu);
    apic::init_cpu();
    READY.fetch_or(1 << cpu.id.get(), Release);
    while !GO.load(Acquire) {
        if tsc::is_emulated() {
            // Leaves the host's processors to those who still have something to do.
            interrupts::wait();
        } else if TSC_TURN.load(Acquire) == cpu.id.get() {
            TSC_ANSWER.store(rdtsc_ordered(), Relaxed);
            TSC_TURN.store(0, Release);
        } else {
            super::relax();
        }
    }
    crate::init::cpu_main()
}

/// Tables and registers that every CPU sets alike.
pub fn init_cpu(cpu: &'static PerCpu) {
    gdt::load(cpu);
    idt::load();
    user::init();
    if features::get().rdtscp {
        // SAFETY: IA32_TSC_AUX, which `rdtscp` and `rdpid` return.
        unsafe { x86_64::registers::model_specific::Msr::new(0xc000_0103).write(u64::from(cpu.id.get())) };
    }
}

/// Lets the other CPUs go to their main loop.
pub fn release() {
    GO.store(true, Release);
    let me = percpu::this().id.get();
    for cpu in percpu::all().filter(|cpu| cpu.id.get() != me) {
        apic::send(cpu.apic_id.get(), interrupts::KICK);
    }
}
