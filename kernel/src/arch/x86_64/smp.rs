//! Starting the other CPUs (Intel SDM vol. 3, 9.4).
//!
//! One after the other: the boot CPU prepares a stack and a [`PerCpu`], wakes the CPU at the
//! trampoline page, and waits until it has announced itself.
//!
//! [`PerCpu`]: super::percpu::PerCpu

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

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
    static ap_stack: AtomicU64;
    static ap_cpu: AtomicU64;
}

/// The boot CPU's counter while a new CPU compares its own with it; 0: not yet.
static TSC_PING: AtomicU64 = AtomicU64::new(0);
static TSC_PONG: AtomicU64 = AtomicU64::new(0);
static GO: AtomicBool = AtomicBool::new(false);

/// Starts CPUs until there are `max`.
pub fn start(info: &MachineInfo, max: usize) {
    let trampoline = phys_to_virt::<u8>(TRAMPOLINE);
    let (start, end) = (&raw const ap_trampoline, &raw const ap_trampoline_end);
    // SAFETY: the page is reserved for this (`boot_memory`), and the code fits.
    unsafe { trampoline.copy_from_nonoverlapping(start, end.addr() - start.addr()) };
    // SAFETY: variables of entry.S, read by the new CPU only.
    unsafe { ap_root.store(kernel_map::root_phys(), Relaxed) };
    let me = percpu::this().apic_id.get();
    for &apic_id in info.cpus.iter().filter(|&&id| id != me) {
        if percpu::count() >= max {
            break;
        }
        start_one(apic_id);
    }
}

fn start_one(apic_id: u32) {
    let id = percpu::count();
    let cpu = percpu::new_cpu(id, apic_id);
    let stack = KernelStack::new().expect("memory for an idle stack");
    // SAFETY: as in `start`.
    unsafe {
        ap_stack.store(stack.range().end as u64, Relaxed);
        ap_cpu.store(core::ptr::from_ref(cpu) as u64, Release);
    }
    core::mem::forget(stack);
    TSC_PING.store(0, Relaxed);
    TSC_PONG.store(0, Relaxed);
    apic::send_init(apic_id);
    if !features::get().hypervisor {
        spin_for_10ms();
    }
    apic::send_startup(apic_id, (TRAMPOLINE >> 12) as u8);
    let mut patience = PATIENCE;
    while percpu::count() == id {
        super::relax();
        patience -= 1;
        if patience == 0 {
            log::error!("CPU with APIC id {apic_id} does not start");
            return;
        }
        if patience == PATIENCE / 2 {
            apic::send_startup(apic_id, (TRAMPOLINE >> 12) as u8);
        }
    }
    compare_tsc();
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
fn compare_tsc() {
    let mut best = u64::MAX;
    for _ in 0..4 {
        let before = rdtsc_ordered();
        TSC_PING.store(1, Release);
        let theirs = loop {
            let pong = TSC_PONG.swap(0, Acquire);
            if pong != 0 {
                break pong;
            }
            super::relax();
        };
        let after = rdtsc_ordered();
        let skew = if theirs < before {
            before - theirs
        } else {
            theirs.saturating_sub(after)
        };
        best = best.min(skew);
    }
    TSC_PING.store(2, Release);
    while TSC_PING.load(Acquire) != 0 {
        super::relax();
    }
    tsc::note_skew(best);
}

fn answer_tsc() {
    loop {
        match TSC_PING.load(Acquire) {
            1 => {
                TSC_PING.store(0, Relaxed);
                TSC_PONG.store(rdtsc_ordered(), Release);
            }
            2 => {
                TSC_PING.store(0, Release);
                return;
            }
            _ => super::relax(),
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn ap_main(cpu: &'static PerCpu) -> ! {
    features::enable();
    // SAFETY: the state was made for this CPU.
    unsafe { percpu::load(cpu) };
    init_cpu(cpu);
    apic::init_cpu();
    percpu::announce(cpu);
    answer_tsc();
    // Halted, so that it leaves the host's processors to the CPUs still to come.
    while !GO.load(Acquire) {
        interrupts::wait();
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
