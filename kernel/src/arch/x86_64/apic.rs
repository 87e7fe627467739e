//! The local APIC, as registers in memory or as MSRs (Intel SDM vol. 3, 11).

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use x86_64::registers::model_specific::{ApicBase, ApicBaseFlags, Msr};

use super::{features, interrupts, kernel_map, percpu};

const ID: u32 = 0x20;
const TASK_PRIORITY: u32 = 0x80;
const EOI: u32 = 0xb0;
const SPURIOUS: u32 = 0xf0;
const ICR_LOW: u32 = 0x300;
const ICR_HIGH: u32 = 0x310;
const LVT_TIMER: u32 = 0x320;
const LVT_LINT0: u32 = 0x350;
const LVT_LINT1: u32 = 0x360;
const LVT_ERROR: u32 = 0x370;
const TIMER_COUNT: u32 = 0x380;
const TIMER_CURRENT: u32 = 0x390;
const TIMER_DIVIDE: u32 = 0x3e0;

const MASKED: u32 = 1 << 16;
const DEADLINE_MODE: u32 = 2 << 18;
const DELIVER_NMI: u32 = 4 << 8;
const DELIVER_INIT: u32 = 5 << 8;
const DELIVER_STARTUP: u32 = 6 << 8;
const ASSERT: u32 = 1 << 14;
const SEND_PENDING: u32 = 1 << 12;
const ALL_BUT_SELF: u32 = 3 << 18;

/// Where the registers are mapped; 0 in x2APIC mode.
static BASE: AtomicUsize = AtomicUsize::new(0);

#[inline]
fn write(register: u32, value: u32) {
    let base = BASE.load(Relaxed);
    // SAFETY: a register of this CPU's APIC, mapped uncached or as an MSR.
    unsafe {
        if base == 0 {
            Msr::new(0x800 + (register >> 4)).write(u64::from(value));
        } else {
            ((base + register as usize) as *mut u32).write_volatile(value);
        }
    }
}

#[inline]
fn read(register: u32) -> u32 {
    let base = BASE.load(Relaxed);
    // SAFETY: as in `write`.
    unsafe {
        if base == 0 {
            Msr::new(0x800 + (register >> 4)).read() as u32
        } else {
            ((base + register as usize) as *mut u32).read_volatile()
        }
    }
}

/// Finds the registers, on the boot CPU.
pub fn init() {
    if !features::get().x2apic {
        let (frame, _) = ApicBase::read();
        let base = kernel_map::map_physical::<u8>(frame.start_address().as_u64(), 4096, kernel_map::DEVICE);
        BASE.store(base.addr(), Relaxed);
    }
    init_cpu();
}

/// Switches this CPU's APIC on.
pub fn init_cpu() {
    let (frame, mut flags) = ApicBase::read();
    flags |= ApicBaseFlags::LAPIC_ENABLE;
    // x2APIC can only be entered from the enabled state.
    // SAFETY: the base address stays; nothing uses the APIC yet.
    unsafe { ApicBase::write(frame, flags) };
    if features::get().x2apic {
        // SAFETY: as above.
        unsafe { ApicBase::write(frame, flags | ApicBaseFlags::X2APIC_ENABLE) };
    }
    write(TASK_PRIORITY, 0);
    write(LVT_LINT0, MASKED);
    write(LVT_LINT1, DELIVER_NMI);
    write(LVT_ERROR, MASKED);
    write(TIMER_DIVIDE, 0b1011); // by 1
    let mode = if features::get().tsc_deadline {
        DEADLINE_MODE
    } else {
        0
    };
    write(LVT_TIMER, mode | u32::from(interrupts::TIMER));
    write(SPURIOUS, 1 << 8 | u32::from(interrupts::SPURIOUS));
}

/// This CPU's id.
pub fn id() -> u32 {
    let id = read(ID);
    if features::get().x2apic { id } else { id >> 24 }
}

/// Ends the handling of an interrupt.
#[inline]
pub fn end_of_interrupt() {
    write(EOI, 0);
}

fn command(apic_id: u32, command: u32) {
    if BASE.load(Relaxed) == 0 {
        core::sync::atomic::fence(core::sync::atomic::Ordering::SeqCst);
        // SAFETY: x2APIC's command register; no memory access depends on it but the fence above.
        unsafe { Msr::new(0x830).write(u64::from(apic_id) << 32 | u64::from(command)) };
        return;
    }
    while read(ICR_LOW) & SEND_PENDING != 0 {
        core::hint::spin_loop();
    }
    write(ICR_HIGH, apic_id << 24);
    write(ICR_LOW, command);
}

/// Sends an interrupt to a CPU.
pub fn send(apic_id: u32, vector: u8) {
    command(apic_id, ASSERT | u32::from(vector));
}

/// Sends an NMI to all other CPUs.
pub fn send_nmi_to_others() {
    if percpu::count() > 1 {
        command(0, ALL_BUT_SELF | ASSERT | DELIVER_NMI);
    }
}

/// Resets a CPU into the wait for [`send_startup`].
pub fn send_init(apic_id: u32) {
    command(apic_id, ASSERT | DELIVER_INIT);
}

/// Makes a CPU begin in real mode at a page below 1 MiB.
pub fn send_startup(apic_id: u32, page: u8) {
    command(apic_id, ASSERT | DELIVER_STARTUP | u32::from(page));
}

/// Starts the timer for so many ticks; 0 stops it.
pub fn set_timer_count(ticks: u32) {
    write(TIMER_COUNT, ticks);
}

/// Ticks left.
pub fn timer_count() -> u32 {
    read(TIMER_CURRENT)
}

/// Keeps the timer from interrupting, for calibration.
pub fn mask_timer(mask: bool) {
    let mode = if features::get().tsc_deadline && !mask {
        DEADLINE_MODE
    } else {
        0
    };
    write(
        LVT_TIMER,
        mode | u32::from(interrupts::TIMER) | if mask { MASKED } else { 0 },
    );
}

/// Sets the TSC value at which the timer fires; 0 stops it.
pub fn set_timer_deadline(tsc: u64) {
    // SAFETY: IA32_TSC_DEADLINE; the caller knows that it exists.
    unsafe { Msr::new(0x6e0).write(tsc) };
}
