//! Boot, step by step.

use alloc::string::String;

use linux_object::hal::Hal;

use crate::arch::pvh::BootData;
use crate::arch::tsc::{self, Calibration};
use crate::arch::{
    acpi::MachineInfo, alternatives, apic, features, gdt, idt, interrupts, ioapic, percpu, smp, thread,
};
use crate::drivers::{power, rtc, uart, virtio_net};
use crate::mm::{boot_memory, phys_to_virt};
use crate::sync::BootCell;
use crate::{cmdline, lockdep, logger};

/// What is handed on to the libraries.
pub struct Booted {
    /// The whole command line.
    pub cmdline: String,
    /// The initial RAM disk: physical address and length.
    pub initrd: Option<(u64, u64)>,
}

impl Booted {
    /// The initial RAM disk's bytes. They stay until [`Booted::free_initrd`].
    pub fn initrd(&self) -> Option<&'static [u8]> {
        let (start, len) = self.initrd?;
        // SAFETY: RAM in the direct map that the allocator does not own.
        Some(unsafe { core::slice::from_raw_parts(phys_to_virt(start), len as usize) })
    }

    /// Gives the initial RAM disk's memory to the allocator.
    ///
    /// # Safety
    /// Nobody uses the slice from [`Booted::initrd`] any more.
    pub unsafe fn free_initrd(&self) {
        if let Some((start, len)) = self.initrd {
            boot_memory::free_physical(start..start + len);
        }
    }
}

static BOOT_REALTIME: BootCell<u64> = BootCell::new(0);

/// Nanoseconds since 1970 when the clock was 0.
pub fn boot_realtime() -> u64 {
    *BOOT_REALTIME.get()
}

/// The first Rust code, on the boot stack and the boot page tables.
#[unsafe(no_mangle)]
extern "C" fn kernel_start(start_info: u64) -> ! {
    // SAFETY: the only call, on the only CPU that runs, with the loader's pointer.
    let booted = unsafe { boot(start_info) };
    crate::run(booted)
}

/// # Safety
/// Once, on the boot CPU.
unsafe fn boot(start_info: u64) -> Booted {
    // SAFETY: first things first; the order of all these steps is the contract that they state.
    unsafe {
        percpu::init_boot_cpu();
        gdt::load(percpu::this());
        idt::init();
        features::init();
        alternatives::apply();
    }
    uart::init();

    // SAFETY: the loader's pointer, on the boot page tables.
    let data = unsafe { BootData::read(start_info) };
    // SAFETY: nobody has asked yet.
    unsafe { cmdline::init(data.cmdline()) };
    logger::init();
    // SAFETY: once, here.
    unsafe { boot_memory::init(&data) };
    lockdep::init();

    let info = MachineInfo::read(data.rsdp);
    apic::init();
    percpu::this().apic_id.set(apic::id());
    smp::init_cpu(percpu::this());
    let calibration = Calibration::start(&info);
    // SAFETY: nobody has asked yet.
    unsafe { power::init(info.power_off, info.reset) };
    ioapic::init(&info, uart::ISA_IRQ, interrupts::UART, apic::id());
    smp::start(&info, cmdline::options().max_cpus);
    percpu::settle();
    boot_memory::free_boot_part();
    let realtime = rtc::seconds(info.rtc_century);
    // SAFETY: the other CPUs wait for `release` and look at no clock.
    unsafe {
        calibration.finish();
        BOOT_REALTIME.set((realtime * 1_000_000_000).saturating_sub(tsc::now().0));
    }
    // SAFETY: as above.
    unsafe { virtio_net::init() };
    thread::boot_thread();
    log::info!("{} CPUs, {} MiB", percpu::count(), memory_mib());

    Booted {
        cmdline: data.cmdline().into(),
        initrd: data.initrd,
    }
}

fn memory_mib() -> usize {
    crate::mm::frames::stats().total / 256
}

/// What every CPU but the first does when it is let go.
pub fn cpu_main() -> ! {
    thread::boot_thread();
    crate::cpu_main()
}

/// The machine as the libraries see it.
pub fn machine() -> alloc::sync::Arc<dyn Hal> {
    alloc::sync::Arc::new(crate::hal::Machine)
}
