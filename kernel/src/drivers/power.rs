//! The ways to end: ACPI's S5, resets, QEMU's debug exit.

use x86_64::instructions::port::Port;

use crate::arch;
use crate::sync::BootCell;

/// Where the firmware's tables say the machine is switched off and reset.
#[derive(Clone, Copy)]
struct Ports {
    power_off: Option<(u16, u16)>,
    reset: Option<(u16, u8)>,
}

static PORTS: BootCell<Ports> = BootCell::new(Ports {
    power_off: None,
    reset: None,
});

/// QEMU's `isa-debug-exit` at its usual place.
const DEBUG_EXIT: u16 = 0xf4;

/// Takes note of the firmware's ports.
///
/// # Safety
/// Once, before anything asks.
pub unsafe fn init(power_off: Option<(u16, u16)>, reset: Option<(u16, u8)>) {
    // SAFETY: by the contract of this function.
    unsafe { PORTS.set(Ports { power_off, reset }) };
}

/// Switches the machine off: sleep type and SLP_EN into PM1a_CNT (ACPI 6.5, 4.8.3.2.1).
pub fn power_off() -> ! {
    if let Some((port, kind)) = PORTS.get().power_off {
        // SAFETY: the register that the firmware names; the machine ends here.
        unsafe { Port::<u16>::new(port).write(kind << 10 | 1 << 13) };
    }
    // Where QEMU's chipsets have it, should the tables not say.
    // SAFETY: as above; elsewhere the port is unused.
    unsafe { Port::<u16>::new(0x604).write(0x2000) };
    arch::halt()
}

/// Resets the machine.
pub fn restart() -> ! {
    if let Some((port, value)) = PORTS.get().reset {
        // SAFETY: the reset register that the firmware names.
        unsafe { Port::<u8>::new(port).write(value) };
    }
    // SAFETY: the PCI reset control register, then the keyboard controller's reset line.
    unsafe {
        Port::<u8>::new(0xcf9).write(0x02);
        Port::<u8>::new(0xcf9).write(0x06);
        Port::<u8>::new(0x64).write(0xfe);
    }
    arch::halt()
}

/// Ends QEMU with exit code `2 * code + 1`, if it has the device; returns otherwise.
pub fn debug_exit(code: u8) {
    // SAFETY: without the device the port is unused.
    unsafe { Port::<u32>::new(DEBUG_EXIT).write(u32::from(code)) };
}
